"""What is fed to an open microphone, kept as long as somebody may be speaking in it."""

from __future__ import annotations

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.session import Session

KEPT = 5 * RATE
"""Samples kept while nobody speaks: more than any prefix that turn detection reaches back for."""


class Feed:
    """The sound that goes into a session's input, counted from the opening of the microphone.

    Args:
        session: Hears it.
    """

    def __init__(self, session: Session) -> None:
        heard = session.conversation.input
        self._session = session
        self._before = heard.begins + round(heard.duration_s * RATE)
        self._kept = bytearray()
        self._forgotten = 0

    @property
    def samples(self) -> int:
        """How much was fed."""
        return self._forgotten + len(self._kept) // 2

    async def give(self, block: Pcm) -> None:
        """Feed some sound."""
        self._kept += block.data
        await self._session.append_input_audio_buffer(block)

    def forget(self, before: int) -> None:
        """Let go of what lies far back, but not of what somebody has said and that is not left yet.

        Args:
            before: The first sample that is still needed.
        """
        spare = min(self.samples - KEPT, before) - self._forgotten
        if spare > 0:
            del self._kept[: 2 * spare]
            self._forgotten += spare

    def sample(self, session_ms: int) -> int:
        """Return the sample at a time of the session's input, which counts on from one microphone to the next."""
        return session_ms * RATE // 1000 - self._before

    def sound(self, start: int, end: int) -> Pcm:
        """Return a span of what was fed, as far as it is kept."""
        first, last = max(0, start - self._forgotten), max(0, end - self._forgotten)
        return Pcm(bytes(self._kept[2 * first : 2 * last]))
