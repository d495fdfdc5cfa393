"""Formats of sound on the wire, and the way from and to ``Pcm`` at 24 kHz. Resampling happens here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from tau_stage.audio import g711
from tau_stage.audio.pcm import RATE, Pcm

Kind = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
LAWS: dict[str, g711.Law] = {"audio/pcmu": "ulaw", "audio/pcma": "alaw"}


@dataclass(frozen=True, slots=True)
class Format:
    """How sound travels: 16-bit samples or G.711, at some rate.

    Attributes:
        kind: The Realtime API's name.
        rate: Samples per second on the wire; 8,000 for G.711.
    """

    kind: Kind = "audio/pcm"
    rate: int = RATE

    @property
    def told(self) -> dict[str, Any]:
        """As a session is told of it.

        >>> Format("audio/pcmu", 8000).told
        {'type': 'audio/pcmu'}
        """
        return {"type": self.kind, "rate": self.rate} if self.kind == "audio/pcm" else {"type": self.kind}

    def encode(self, audio: Pcm) -> bytes:
        """Encode sound for the wire, resampled where it must be."""
        audio = resampled(audio, self.rate)
        if self.kind == "audio/pcm":
            return audio.data
        return g711.encode(audio.array, LAWS[self.kind])

    def decoder(self) -> Decoder:
        """Make a reader of one stream in this format."""
        return Decoder(self)

    def decode(self, data: bytes) -> Pcm:
        """Decode whole sound from bytes of the wire, at 24 kHz.

        >>> len(Format("audio/pcmu", 8000).decode(bytes(800)))
        2400
        """
        decoder = self.decoder()
        return Pcm.join([decoder.feed(data), decoder.finish()])


PCM16 = Format()
ULAW = Format("audio/pcmu", 8_000)
ALAW = Format("audio/pcma", 8_000)


class Decoder:
    """Turns the bytes of one stream into sound at 24 kHz, piece by piece; half samples wait for their other half."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self._half = b""
        self._stream: Any = None
        if form.rate != RATE:
            self._stream = soxr.ResampleStream(form.rate, RATE, 1, dtype="float32")

    def feed(self, data: bytes) -> Pcm:
        """Decode some bytes, and return the sound that they complete."""
        if self.form.kind != "audio/pcm":
            return self._resampled(Pcm.from_array(g711.decode(data, LAWS[self.form.kind]), self.form.rate))
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        return self._resampled(Pcm(data[:whole], self.form.rate))

    def finish(self) -> Pcm:
        """Return what is left when the stream has ended."""
        return self._resampled(Pcm(b"", self.form.rate), last=True)

    def _resampled(self, audio: Pcm, *, last: bool = False) -> Pcm:
        if self._stream is None:
            return audio
        return _whole(self._stream.resample_chunk(_floats(audio), last=last), RATE)


def resampled(audio: Pcm, rate: int) -> Pcm:
    """Resample sound to another rate.

    >>> len(resampled(Pcm.silence(24_000), 8_000))
    8000
    """
    if audio.rate == rate:
        return audio
    return _whole(soxr.resample(_floats(audio), audio.rate, rate), rate)


def joined(blocks: Iterable[NDArray[np.float32]], rate: int) -> Pcm:
    """Return sound at 24 kHz from blocks of mono floats, full scale at 32,768, that follow each other at some rate."""
    return Pcm.join(_whole(block, RATE) for block in at_rate(blocks, rate, RATE))


def at_rate(
    blocks: Iterable[NDArray[np.float32]], rate: int, wanted: int, channels: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of floats at another rate, as they come: one dimension in mono, samples by channels else.

    >>> import numpy as np
    >>> sum(len(block) for block in at_rate([np.zeros(2400, np.float32)] * 3, 24_000, 48_000))
    14400
    """
    if rate == wanted:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0 if channels == 1 else (0, channels), np.float32), last=True)


def _floats(audio: Pcm) -> NDArray[np.float32]:
    """Return samples as floats: soxr would dither integers, and no two runs would agree."""
    return audio.array.astype("float32")


def as_samples(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return floats, full scale at 32,768, as 16 bit; what is beyond full scale is clipped."""
    return samples.round().clip(-32_768, 32_767).astype("int16")


def _whole(samples: NDArray[np.float32], rate: int) -> Pcm:
    return Pcm.from_array(as_samples(samples), rate)
