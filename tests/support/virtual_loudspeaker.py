"""A room with a loudspeaker in memory: what is heard in it, on any clock."""

from __future__ import annotations

import anyio

from tau_stage.audio.pcm import RATE, Pcm


class Room:
    """Hears what is played at the pace of the loop's clock.

    Attributes:
        flushed: Samples thrown away.
    """

    def __init__(self) -> None:
        self.flushed = 0
        self._sound = bytearray()
        self._silent_at = 0.0

    def play(self, audio: Pcm) -> None:
        self._sound += audio.data
        self._silent_at = max(self._silent_at, anyio.current_time()) + audio.duration_s

    def flush(self) -> int:
        samples = round(self.waiting_s * RATE)
        del self._sound[len(self._sound) - 2 * samples :]
        self._silent_at -= samples / RATE
        self.flushed += samples
        return samples

    @property
    def waiting_s(self) -> float:
        return max(0.0, self._silent_at - anyio.current_time())

    @property
    def heard(self) -> Pcm:
        """What was heard, and what will be if nobody interferes."""
        return Pcm(bytes(self._sound))
