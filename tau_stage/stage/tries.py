"""Takes of one line within one conversation, and lines of a former take told to a new one."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from tau_stage.audio.pcm import RATE
from tau_stage.errors import ModelRefused
from tau_stage.protocol.conversation import Response
from tau_stage.scene.plan import LinePlan
from tau_stage.session import Session
from tau_stage.stage.line import Delivery
from tau_stage.stage.picking import Option
from tau_stage.stage.recording import Recording


@dataclass(frozen=True, slots=True)
class Try:
    """One take of a line.

    Attributes:
        number: From 1.
        delivery: How it was delivered.
        recording: Its sound, on its way to the disk.
        took_s: Seconds from the request to its end.
    """

    number: int
    delivery: Delivery
    recording: Recording
    took_s: float

    @property
    def option(self) -> Option:
        """It, to be chosen among others."""
        response = self.delivery.response
        return Option(response.transcript, response.audio.duration_s, response.status == "completed")


async def let_finish(session: Session) -> None:
    """Wait until a player has answered whoever it listens to, and its answer was heard."""
    async with session.responses() as watch:
        while session.conversation.active and session.is_open:
            await anext(watch)
    playing = session.attention.playback
    if session.turn_detection and playing and playing.is_playing(now := anyio.current_time()):
        await anyio.sleep((playing.samples - playing.heard_samples(now)) / RATE)


async def forget(session: Session, response: Response) -> None:
    """Take what a player has said out of its conversation, so that it says it as if for the first time."""
    for item_id in response.item_ids:
        try:
            await session.delete_conversation_item(item_id)
        except ModelRefused as refused:  # one beside the conversation was never in it
            session.warnings.append(str(refused))


async def remember(session: Session, said: Response, words: str) -> None:
    """Make a player believe that it said other words than those it said last: sound cannot be put back."""
    await forget(session, said)
    if words:
        await session.assistant(words)


async def retell(session: Session, line: LinePlan, said: str) -> None:
    """Tell a new conversation of a line that its player said in a former one."""
    if line.prompt:
        await (session.system(line.prompt) if line.improvised else session.user(line.prompt))
    if said:
        await session.assistant(said)
