"""16-bit audio with its rate: the shape that sound has inside tau-stage. All is mono but stems of sounds and mixes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import pybase64

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 24_000  # samples per second of every stem, line and mix, and of the Realtime API's `audio/pcm`
FULL_SCALE = 32_768  # one more than the highest 16-bit sample


@dataclass(frozen=True, slots=True)
class Sound:
    """Signed 16-bit little-endian samples of some channels, in turn, and their rate. Immutable and hashable.

    Bytes that are not whole samples of all channels are a ``ValueError``, as is a rate that is not positive.
    """

    channels: ClassVar[int]
    width: ClassVar[int]
    """Bytes of one moment: two for each channel."""

    data: bytes = b""
    rate: int = RATE
    _sha256: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.data) % self.width:
            raise ValueError(f"the data of 16-bit audio is not a multiple of {self.width} bytes: got {len(self.data)}")
        if self.rate <= 0:
            raise ValueError(f"the sample rate must be positive, got {self.rate}")

    def __len__(self) -> int:
        """Count the samples of each channel."""
        return len(self.data) // self.width

    def __getitem__(self, span: slice) -> Self:
        """Return a span of samples."""
        start, stop, step = span.indices(len(self))
        if step != 1:
            raise ValueError("audio cannot be sliced with a step")
        return type(self)(self.data[self.width * start : self.width * max(start, stop)], self.rate)

    @property
    def duration_s(self) -> float:
        """The length in seconds, from the sample count."""
        return len(self) / self.rate

    @property
    def array(self) -> NDArray[np.int16]:
        """The samples as a read-only array of int16: one dimension in mono, samples by channels else."""
        import numpy as np

        samples = np.frombuffer(self.data, dtype="<i2")
        return samples if self.channels == 1 else samples.reshape(-1, self.channels)

    @property
    def sha256(self) -> str:
        """Hash of the samples (not of any file header), in hexadecimal; made once."""
        if not self._sha256:
            object.__setattr__(self, "_sha256", hashlib.sha256(self.data).hexdigest())
        return self._sha256


@dataclass(frozen=True, slots=True)
class Pcm(Sound):
    """Mono audio.

    >>> Pcm(bytes(48_000)).duration_s, len(Pcm(bytes(20))[2:5])
    (1.0, 3)
    """

    channels = 1
    width = 2

    @classmethod
    def from_array(cls, samples: NDArray[np.floating] | NDArray[np.int16], rate: int = RATE) -> Pcm:
        """Create audio from a one-dimensional array: int16 as is, floats in [-1, 1] scaled by 32767 and clipped."""
        import numpy as np

        if samples.dtype != np.int16:
            samples = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        return cls(samples.astype("<i2", copy=False).tobytes(), rate)

    @classmethod
    def silence(cls, samples: int, rate: int = RATE) -> Pcm:
        """Create digital silence of ``samples`` samples."""
        return cls(bytes(2 * samples), rate)

    @classmethod
    def join(cls, parts: Iterable[Pcm], rate: int = RATE) -> Pcm:
        """Join parts of the same rate end to end; without parts, return empty audio at ``rate``.

        >>> len(Pcm.join([Pcm.silence(2), Pcm.silence(3)]))
        5
        """
        parts = list(parts)
        if rates := {part.rate for part in parts} - {rate}:
            raise ValueError(f"cannot join audio of {sorted({rate, *rates})} Hz")
        sounding = [part for part in parts if part.data]
        return sounding[0] if len(sounding) == 1 else cls(b"".join([part.data for part in sounding]), rate)

    @property
    def base64(self) -> bytes:
        """The samples in base64, as sent to a server."""
        return pybase64.b64encode(self.data)


@dataclass(frozen=True, slots=True)
class Stereo(Sound):
    """Left and right in turn, four bytes for each moment.

    >>> len(Stereo(bytes(96_000))), len(Stereo(bytes(40))[2:5])
    (24000, 3)
    """

    channels = 2
    width = 4

    @classmethod
    def of(cls, left: Pcm, right: Pcm) -> Stereo:
        """Make one of two sounds of one length.

        >>> Stereo.of(Pcm(b"ab"), Pcm(b"cd")).data
        b'abcd'
        """
        import numpy as np

        return cls(np.stack([left.array, right.array], axis=1).tobytes(), left.rate)


SoundT = TypeVar("SoundT", bound=Sound)


def pan_gains(pan: float) -> tuple[float, float]:
    """Compute the factors of left and right for a mono sound: at any place it has the same power in all.

    In the middle both have -3 dB, so that left and right by √½, added, are the sound itself. The ``pan`` goes from -1,
    the left, to 1, the right.

    >>> [tuple(round(gain, 3) for gain in pan_gains(pan)) for pan in (-1, 0, 0.5)]
    [(1.0, 0.0), (0.707, 0.707), (0.383, 0.924)]
    """
    angle = (pan + 1) * math.pi / 4
    return max(0.0, math.cos(angle)), math.sin(angle)
