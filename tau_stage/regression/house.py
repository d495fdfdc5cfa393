"""A house for tests: an understudy in memory whose speech takes no time, so that two performances are alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import anyio
import anyio.lowlevel

from tau_stage.errors import ConnectFailed, unwrapped
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.stage.opening import Stage
from tau_stage.stage.people import known_words
from tau_stage.transport import Handshake, MemoryTransport, Transport
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.voices import Voices


class Reader:
    """Speaks with the understudy's voices, on the event loop: a virtual clock stands still meanwhile.

    Raises:
        UsageError: The voices are not installed.
    """

    def __init__(self) -> None:
        self._voices = _voices()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted."""
        await anyio.lowlevel.checkpoint()
        performance = plan_speech(request)
        audio = self._voices.speak(performance, request.voice) if request.wants_audio else None
        return SpokenLine(performance.transcript, audio)


@cache
def _voices() -> Voices:
    """Return one engine for all scenes of the process: loading it takes longer than many a line."""
    return Voices()


def house(plan: Plan, understudy: Understudy | None = None) -> Stage:
    """Return a stage on which the understudy plays everybody, whatever endpoint the scene names, without a socket.

    Args:
        plan: The scene's.
        understudy: One of its own, if it is not given.

    Raises:
        UsageError: The voices are not installed.
    """
    playing = understudy or Understudy(Reader())
    for audio, words in known_words(plan):
        playing.known_speech.teach(audio, words)

    @asynccontextmanager
    async def connect(player: PlayerPlan) -> AsyncIterator[Transport]:
        handshake = Handshake(query={"model": player.model})
        if refusal := await playing.admit(handshake):
            raise ConnectFailed(reason=refusal.body.strip(), status=refusal.status)
        ours, theirs = MemoryTransport.pair()
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(playing.listen, theirs, handshake)
                try:
                    yield ours
                finally:
                    ours.drop()
                    group.cancel_scope.cancel()

    return Stage(connect)
