"""Left and right: what a stem or a mix of two channels is made of, and where in it something stands."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio.pcm import RATE, Pcm


@dataclass(frozen=True, slots=True)
class Stereo:
    """Signed 16-bit little-endian samples of two channels, left and right in turn, and their rate. Immutable.

    Attributes:
        data: The samples, four bytes for each moment.
        rate: Samples of each channel per second.

    Raises:
        ValueError: The bytes are not whole samples of both channels.

    >>> len(Stereo(bytes(96_000)))
    24000
    """

    channels: ClassVar[int] = 2

    data: bytes = b""
    rate: int = RATE

    def __post_init__(self) -> None:
        if len(self.data) % 4:
            raise ValueError(f"16-bit stereo needs four bytes for each moment, got {len(self.data)}")

    @classmethod
    def of(cls, left: Pcm, right: Pcm) -> Stereo:
        """Return two sounds of one length as left and right.

        >>> Stereo.of(Pcm(b"ab"), Pcm(b"cd")).data
        b'abcd'
        """
        return cls(np.stack([left.array, right.array], axis=1).tobytes(), left.rate)

    def __len__(self) -> int:
        """Return the number of samples of each channel."""
        return len(self.data) // 4

    def __getitem__(self, span: slice) -> Stereo:
        """Return a span of samples.

        >>> len(Stereo(bytes(40))[2:5])
        3
        """
        start, stop, _ = span.indices(len(self))
        return Stereo(self.data[4 * start : 4 * max(start, stop)], self.rate)

    @property
    def array(self) -> NDArray[np.int16]:
        """The samples by channel as a read-only array of int16."""
        return np.frombuffer(self.data, dtype="<i2").reshape(-1, 2)

    @property
    def sha256(self) -> str:
        """Hash of the samples, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


SoundT = TypeVar("SoundT", Pcm, Stereo)
"""Either of the two."""


def pan_gains(pan: float) -> tuple[float, float]:
    """Return the factors of left and right for a mono sound: at any place it has the same power in all.

    In the middle both have -3 dB, so that left and right by √½, added, are the sound itself.

    Args:
        pan: From -1, the left, to 1, the right.

    >>> [tuple(round(gain, 3) for gain in pan_gains(pan)) for pan in (-1, 0, 0.5)]
    [(1.0, 0.0), (0.707, 0.707), (0.383, 0.924)]
    """
    angle = (pan + 1) * math.pi / 4
    return max(0.0, math.cos(angle)), math.sin(angle)
