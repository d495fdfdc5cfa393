"""Takes of one line within one conversation, and what they have used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import cast

import anyio

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import Timeout
from tau_stage.protocol.conversation import Response
from tau_stage.protocol.endings import Status
from tau_stage.protocol.usage import Usage
from tau_stage.session import Session
from tau_stage.stage.line import Delivery
from tau_stage.stage.picking import Option
from tau_stage.stage.recording import Recording
from tau_stage.take.records import TakeKept


@dataclass(frozen=True, slots=True)
class Try:
    """One take of a line.

    Attributes:
        number: From 1.
        delivery: How it was delivered.
        recording: Its sound, on its way to the disk.
        took_s: Seconds from the request to its end.
        paid: Dollars that were paid for it, where several are wanted; None where it is not paid for yet.
        is_former: Whether it had ended before the performance was stopped.
    """

    number: int
    delivery: Delivery
    recording: Recording
    took_s: float
    paid: Decimal | None = None
    is_former: bool = False

    @property
    def option(self) -> Option:
        """It, to be chosen among others."""
        response = self.delivery.response
        return Option(response.transcript, response.audio.duration_s, response.status == "completed")


def former_try(fact: TakeKept, audio: Pcm, recording: Recording, paid: Decimal) -> Try:
    """Return a take of a line that had ended before the performance was stopped.

    Args:
        fact: As it was written down.
        audio: Its sound.
        recording: Where that lies.
        paid: Dollars that were paid for it.
    """
    response = Response(
        id=fact.response,
        status=cast("Status", fact.status),
        transcript=fact.said,
        audio=audio,
        usage=fact.usage,
        first_audio_s=fact.first_audio_s,
    )
    told = fact.model_dump(
        include={"attempts", "reason", "first_words_s", "problem", "written", "commentary", "commentary_s"}
    )
    return Try(fact.take, Delivery(response, **told), recording, fact.took_s, paid, is_former=True)


@dataclass(slots=True)
class Owed:
    """What was used for a line and is written down nowhere yet.

    Attributes:
        now: By the request under way; None where there is none.
    """

    now: Usage | None = None

    def asked(self) -> None:
        """Note that a response is asked for: until its usage is told, nobody knows what it costs."""
        self.now = Usage(untold=1)

    def ended(self, response: Response) -> None:
        """Note that a response has ended."""
        self.now = response.usage

    def take(self) -> Usage | None:
        """Give what the request under way has used to whoever writes it down."""
        now, self.now = self.now, None
        return now


async def let_finish(session: Session) -> None:
    """Wait until a player has answered whoever it listens to, and its answer was heard.

    Raises:
        Timeout: It does not come to an end.
    """
    limit = session.deadlines.response_s
    with anyio.move_on_after(limit) as patience:
        async with session.responses() as watch:
            while session.conversation.active and session.is_open:
                await anext(watch, None)
    if patience.cancelled_caught:
        raise Timeout(what="end of the answer before", waited_s=limit, player=session.name)
    playing = session.attention.playback
    if session.turn_detection and playing and playing.is_playing(now := anyio.current_time()):
        await anyio.sleep((playing.samples - playing.heard_samples(now)) / RATE)
