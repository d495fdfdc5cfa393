"""The machine's loudspeaker: what is played is kept until PortAudio's thread takes it, which waits for nobody.

The buffer needs no lock: whoever plays only ever adds and takes away at one end, the device at the other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio import RATE, Pcm
from tau_stage.devices import sound_cards

KEPT_S, GONE_S = 600.0, 5.0
"""How much may wait; and for how long a device may ask for nothing before it is gone, as not every one says so."""

PIECE = RATE // 100
"""Samples that are played or thrown away together."""


class Loudspeaker(Protocol):
    """Plays sound at the pace it is heard."""

    def play(self, audio: Pcm) -> None:
        """Play a sound after all that waits; never wait itself."""

    def flush(self) -> int:
        """Throw away what was not heard yet. Return how many samples that was."""

    @property
    def waiting_s(self) -> float:
        """Seconds still to be heard."""


class SoundCard:
    """A loudspeaker that a device takes its sound from.

    Ten minutes are kept; what comes on top of them is lost, and counted, as is all that a device does not take that is
    gone.
    """

    def __init__(self, rate: int = RATE, channels: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._pieces: deque[bytes] = deque()
        self._given = self._taken = self._lost = 0
        self._ended = False
        self._clock = clock
        self._asked_at = clock()
        self._channels = channels
        self._out = b""
        self._stream: Any = None
        if rate != RATE:
            import soxr

            self._stream = soxr.ResampleStream(RATE, rate, 1, dtype="float32")

    # ---- for whoever plays

    def play(self, audio: Pcm) -> None:
        """Play a sound after all that waits; never wait itself."""
        room = 0 if self.is_gone else max(0, round(KEPT_S * RATE) - self._waiting)
        self._lost += max(0, len(audio) - room)
        data = audio.data[: 2 * room]
        self._given += len(data) // 2
        self._pieces.extend(data[at : at + 2 * PIECE] for at in range(0, len(data), 2 * PIECE))

    def flush(self) -> int:
        """Throw away what was not heard yet. Return how many samples that was."""
        thrown = 0
        while self._pieces:
            try:
                thrown += len(self._pieces.pop()) // 2
            except IndexError:  # the device was faster
                break
        self._given -= thrown
        return thrown

    @property
    def waiting_s(self) -> float:
        """Seconds still to be heard; none, where the device is gone."""
        return 0.0 if self.is_gone else self._waiting / RATE

    @property
    def is_gone(self) -> bool:
        """Whether the device will take no more sound."""
        return self._ended or self._clock() - self._asked_at > GONE_S

    @property
    def lost_samples(self) -> int:
        """Samples that will not be heard, though nobody threw them away."""
        return self._lost + (self._waiting if self.is_gone else 0)

    @property
    def _waiting(self) -> int:
        return self._given - self._taken

    # ---- for the device, in any thread

    def feed(self, out: Any, samples: int, _time: object = None, _flags: object = None) -> None:
        """Fill a block of the device without ever waiting; where there is no sound, with silence."""
        self._asked_at = self._clock()
        while len(self._out) < 2 * samples:
            self._out += self._converted(self._next())
        data, self._out = self._out[: 2 * samples], self._out[2 * samples :]
        if self._channels > 1:
            data = np.repeat(np.frombuffer(data, np.int16), self._channels).tobytes()
        out[:] = data

    def end(self) -> None:
        """Note that the device takes no more."""
        self._ended = True

    def _next(self) -> bytes:
        try:
            piece = self._pieces.popleft()
        except IndexError:
            return bytes(2 * PIECE)
        self._taken += len(piece) // 2
        return piece

    def _converted(self, piece: bytes) -> bytes:
        if self._stream is None:
            return piece
        floats: NDArray[np.float32] = self._stream.resample_chunk(Pcm(piece).array.astype("float32"))
        return floats.round().clip(-32_768, 32_767).astype("<i2").tobytes()


@asynccontextmanager
async def open_loudspeaker(device: str | None = None) -> AsyncIterator[SoundCard]:
    """Play on a loudspeaker for as long as the context lasts; what still waits then is not heard.

    It is named by a part of its name, or its number; without, it is the machine's default.

    Raises:
        UsageError: There is none, or it cannot be opened; the hint names what to do instead.
    """

    def make(form: Mapping[str, Any], _undo: ExitStack) -> tuple[SoundCard, Mapping[str, Any]]:
        loudspeaker = SoundCard(form["samplerate"], form["channels"])
        return loudspeaker, {"callback": loudspeaker.feed, "finished_callback": loudspeaker.end}

    async with sound_cards.running(sound_cards.LOUDSPEAKER, device, make, _stop) as loudspeaker:
        yield loudspeaker


def has_loudspeaker() -> bool:
    """Tell whether this machine has a default loudspeaker and what it takes to play on it."""
    return sound_cards.is_found(sound_cards.LOUDSPEAKER)


def _stop(loudspeaker: SoundCard, stream: Any) -> None:
    """Close a stream when the device has played what it took; closing alone would cut that off."""
    loudspeaker.flush()
    stream.stop()
    stream.close()
