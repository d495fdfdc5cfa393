"""Formats of sound on the wire, and the way from and to ``Pcm`` at 24 kHz. Resampling happens here and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from tau_stage.audio.pcm import RATE, Pcm

Kind = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Law = Literal["ulaw", "alaw"]
LAWS: dict[str, Law] = {"audio/pcmu": "ulaw", "audio/pcma": "alaw"}


@dataclass(frozen=True, slots=True)
class Format:
    """How sound travels: as ``kind``, the Realtime API's name; 16-bit samples, or G.711 at 8,000 a second."""

    kind: Kind = "audio/pcm"
    rate: int = RATE

    @property
    def told(self) -> dict[str, Any]:
        """As a session is told of it."""
        return {"type": self.kind, "rate": self.rate} if self.kind == "audio/pcm" else {"type": self.kind}

    def encode(self, audio: Pcm) -> bytes:
        """Encode sound for the wire, resampled where it must be."""
        audio = resampled(audio, self.rate)
        if self.kind == "audio/pcm":
            return audio.data
        return encode_g711(audio.array, LAWS[self.kind])

    def decoder(self) -> Decoder:
        """Make a reader of one stream in this format."""
        return Decoder(self)

    def decode(self, data: bytes) -> Pcm:
        """Decode whole sound from bytes of the wire, at 24 kHz."""
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
            return self._resampled(Pcm.from_array(decode_g711(data, LAWS[self.form.kind]), self.form.rate))
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


# ---- G.711: telephone audio, 8 bits a sample (ITU-T Recommendation G.711, 1988), by tables

BIAS = 132
CLIP = 32_635


def encode_g711(samples: NDArray[np.int16], law: Law) -> bytes:
    """Encode 16-bit samples as G.711, one byte each."""
    return bytes(_encoder(law)[samples.astype(np.int32) + 32_768].tobytes())


def decode_g711(data: bytes, law: Law) -> NDArray[np.int16]:
    """Decode G.711 bytes to 16-bit samples."""
    samples: NDArray[np.int16] = _decoder(law)[np.frombuffer(data, np.uint8)]
    return samples


@cache
def _decoder(law: Law) -> NDArray[np.int16]:
    import soundfile

    codes = io.BytesIO(bytes(range(256)))
    samples: NDArray[np.int16]
    samples, _ = soundfile.read(codes, dtype="int16", samplerate=8000, channels=1, format="RAW", subtype=law.upper())
    return samples


@cache
def _encoder(law: Law) -> NDArray[np.uint8]:
    samples = np.arange(-32_768, 32_768)
    if law == "ulaw":
        fine = samples >> 2  # the law is defined on 14 bits
        sizes = np.minimum(np.abs(fine), CLIP >> 2) + (BIAS >> 2)
        exponent = np.floor(np.log2(sizes)).astype(int) - 5
        codes = ~((fine < 0) * 0x80 | exponent << 4 | (sizes >> exponent + 1) & 15)
        return np.asarray(codes & 0xFF, np.uint8)
    sizes = np.where(samples < 0, ~samples, samples) >> 3
    exponent = np.where(sizes < 32, 0, np.floor(np.log2(np.maximum(sizes, 1))).astype(int) - 4)
    mantissa = np.where(exponent == 0, sizes >> 1, sizes >> np.maximum(exponent, 1)) & 15
    codes = ((samples >= 0) * 0x80 | exponent << 4 | mantissa) ^ 0x55
    return np.asarray(codes & 0xFF, np.uint8)
