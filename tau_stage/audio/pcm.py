"""Mono 16-bit audio with its rate: the shape that sound has inside tau-stage; stems of sounds may be stereo."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pybase64

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 24_000
"""Samples per second of every stem, line and mix, and of the Realtime API's ``audio/pcm``."""


@dataclass(frozen=True, slots=True)
class Pcm:
    """Mono signed 16-bit little-endian samples and their rate. Immutable and hashable.

    Attributes:
        data: The samples, two bytes each, little-endian.
        rate: Samples per second.

    Raises:
        ValueError: The bytes are not whole samples, or the rate is not positive.

    >>> Pcm(bytes(48_000)).duration_s
    1.0
    """

    channels: ClassVar[int] = 1

    data: bytes = b""
    rate: int = RATE

    def __post_init__(self) -> None:
        if len(self.data) % 2:
            raise ValueError(f"16-bit audio needs an even number of bytes, got {len(self.data)}")
        if self.rate <= 0:
            raise ValueError(f"a rate must be positive, got {self.rate}")

    @classmethod
    def from_array(cls, samples: NDArray[np.floating] | NDArray[np.int16], rate: int = RATE) -> Pcm:
        """Make audio of an array of one dimension: int16 as it is, floats in [-1, 1] scaled by 32767 and clipped."""
        import numpy as np

        if samples.dtype != np.int16:
            samples = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        return cls(samples.astype("<i2", copy=False).tobytes(), rate)

    @classmethod
    def silence(cls, samples: int, rate: int = RATE) -> Pcm:
        """Make digital silence, ``samples`` long.

        >>> len(Pcm.silence(3).data)
        6
        """
        return cls(bytes(2 * samples), rate)

    @classmethod
    def join(cls, parts: Iterable[Pcm], rate: int = RATE) -> Pcm:
        """Join the parts end to end; nothing at all is no samples at ``rate``.

        Raises:
            ValueError: A part has another rate.

        >>> len(Pcm.join([Pcm.silence(2), Pcm.silence(3)]))
        5
        """
        parts = list(parts)
        if any(part.rate != rate for part in parts):
            raise ValueError(f"cannot join audio of {sorted({part.rate for part in parts})} Hz at {rate} Hz")
        return cls(b"".join(part.data for part in parts), rate)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.data) // 2

    def __getitem__(self, span: slice) -> Pcm:
        """Take a span of samples.

        >>> len(Pcm.silence(10)[2:5])
        3
        """
        start, stop, step = span.indices(len(self))
        if step != 1:
            raise ValueError("a span of audio has no step")
        return Pcm(self.data[2 * start : 2 * max(start, stop)], self.rate)

    @property
    def duration_s(self) -> float:
        """Length in seconds, from the sample count."""
        return len(self) / self.rate

    @property
    def array(self) -> NDArray[np.int16]:
        """The samples as a read-only array of int16."""
        import numpy as np

        return np.frombuffer(self.data, dtype="<i2")

    @property
    def sha256(self) -> str:
        """Hash of the samples (not of any file header), in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def base64(self) -> bytes:
        """The samples in base64, as the wire wants them.

        >>> Pcm.silence(1).base64
        b'AAA='
        """
        return pybase64.b64encode(self.data)
