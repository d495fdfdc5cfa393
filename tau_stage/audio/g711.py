"""G.711: telephone audio, 8 bits a sample, u-law and A-law (ITU-T Recommendation G.711, 1988).

Both directions are tables, built once from the standard's formulas.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["ulaw", "alaw"]

RATE = 8_000
"""Samples per second of telephone audio."""

BIAS = 132
CLIP = 32_635


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """Encode 16-bit samples as G.711, one byte each.

    >>> import numpy as np
    >>> encode(np.array([0, 1000, -1000], dtype=np.int16), "ulaw").hex()
    'ffce4e'
    """
    return bytes(_encoder(law)[samples.astype(np.int32) + 32_768].tobytes())


def decode(data: bytes, law: Law) -> NDArray[np.int16]:
    """Decode G.711 bytes to 16-bit samples.

    >>> decode(bytes.fromhex("ffce4e"), "ulaw").tolist()
    [0, 988, -988]
    """
    samples: NDArray[np.int16] = _decoder(law)[np.frombuffer(data, np.uint8)]
    return samples


@cache
def _decoder(law: Law) -> NDArray[np.int16]:
    codes = np.arange(256)
    if law == "ulaw":
        flipped = ~codes & 0xFF
        sizes = (((flipped & 15) << 3) + BIAS << ((flipped >> 4) & 7)) - BIAS
        return np.where(flipped & 0x80, -sizes, sizes).astype(np.int16)
    flipped = codes ^ 0x55
    exponent = (flipped >> 4) & 7
    mantissa = ((flipped & 15) << 4) + 8
    sizes = np.where(exponent == 0, mantissa, (mantissa + 256) << np.maximum(exponent - 1, 0))
    return np.where(flipped & 0x80, sizes, -sizes).astype(np.int16)


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
