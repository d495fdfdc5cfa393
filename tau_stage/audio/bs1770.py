"""The loudness and the true peaks of ITU-R BS.1770-4 (2015), of sound that comes in blocks of any length.

The K-weighting of Annex 1 is two filters of second order. Here they are one convolution, whose response is cut where it
has fallen below a thousand-millionth. True peaks are looked for at four times the rate, as in Annex 2, by a sinc of 49
taps under a Hann window, as libebur128 does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

CELL_S = 0.1  # a gating block is four of them, and each begins one later
CELLS_IN_BLOCK = 4
CELLS_AT_ONCE = 10
RESPONSE_S = 0.1  # of the K-weighting; its slowest part falls to 1/e in 4.2 ms
OFFSET_LU = 0.691
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0

OVERSAMPLING = 4
TAPS = 49
REACH = TAPS // OVERSAMPLING
"""Samples before one that the values next to it are made of."""


class Cells:
    """Cuts sound that comes in blocks of any length into cells of a tenth of a second, ten of them at once.

    Attributes:
        samples: Of a cell.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.samples = round(CELL_S * rate)
        self._waiting: list[Samples] = [np.zeros((0, channels))]
        self._waits = 0

    def cut(self, block: Samples) -> Iterator[Samples]:
        """Take what comes next, samples by channels, and yield whatever makes ten cells."""
        self._waiting.append(block)
        self._waits += len(block)
        step = CELLS_AT_ONCE * self.samples
        if self._waits < step:
            return
        sound = np.concatenate(self._waiting)
        whole = len(sound) - len(sound) % step
        self._waiting, self._waits = [sound[whole:].copy()], len(sound) - whole
        yield from (sound[start : start + step] for start in range(0, whole, step))

    def rest(self) -> Samples:
        """Return what makes no ten cells."""
        return np.concatenate(self._waiting)


class IntegratedLoudness:
    """Measures the gated loudness of a sound. It keeps eight bytes for each tenth of a second: gating looks at all.

    >>> meter = IntegratedLoudness(48_000, channels=1)
    >>> meter.feed(np.sin(2 * np.pi * 997 * np.arange(48_000)[:, None] / 48_000))
    >>> round(meter.result(), 2)
    -3.01
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._cells = Cells(rate, channels)
        self._past, self._size, self._spectrum = _k_weighting(rate, CELLS_AT_ONCE * self._cells.samples)
        self._near: Samples = np.zeros((self._past, channels))
        self._powers: list[Samples] = []

    def feed(self, block: Samples) -> None:
        """Take what comes next: samples by channels, full scale is 1."""
        self._powers += map(self._weighted, self._cells.cut(block))

    def _weighted(self, sound: Samples) -> Samples:
        """Return the power of each cell of some sound, K-weighted, in the sum of its channels."""
        near = np.concatenate([self._near, sound])
        self._near = near[len(sound) :]
        weighted = np.fft.irfft(np.fft.rfft(near.T, self._size) * self._spectrum, self._size)[:, self._past : len(near)]
        powers: Samples = np.square(weighted).sum(axis=0).reshape(-1, self._cells.samples).mean(axis=1)
        return powers

    def result(self) -> float:
        """Return the loudness in LUFS; minus infinity where all is below the gate. Nothing can be fed any more."""
        rest = self._cells.rest()
        padded = np.zeros((CELLS_AT_ONCE * self._cells.samples, rest.shape[1]))
        padded[: len(rest)] = rest
        powers = np.concatenate([*self._powers, self._weighted(padded)[: len(rest) // self._cells.samples]])
        if len(powers) < CELLS_IN_BLOCK:
            return -math.inf
        blocks = np.lib.stride_tricks.sliding_window_view(powers, CELLS_IN_BLOCK).mean(axis=1)
        loud = blocks[blocks >= _power(ABSOLUTE_GATE_LUFS)]
        if not len(loud):
            return -math.inf
        gated = loud[loud >= max(_power(ABSOLUTE_GATE_LUFS), float(loud.mean()) * 10 ** (RELATIVE_GATE_LU / 10))]
        return 10 * math.log10(float(gated.mean())) - OFFSET_LU


def _power(lufs: float) -> float:
    return 10 ** ((lufs + OFFSET_LU) / 10)


@cache
def _k_weighting(rate: int, samples: int) -> tuple[int, int, NDArray[np.complex128]]:
    """Compute the spectrum of both filters' response to an impulse, for convolutions of so many samples at once.

    The recommendation has coefficients for 48 kHz only. Those of other rates follow from the analogue filters behind
    them, by the bilinear transform: their frequencies and qualities are libebur128's.

    Returns:
        How many samples before the first are needed, the length of the transform, and the spectrum.
    """
    impulse = np.zeros(round(RESPONSE_S * rate))
    impulse[0] = 1.0
    high = 10 ** (3.999843853973347 / 20)
    shelf, quality = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    middle = high**0.4996667741545416 * shelf / quality
    back = [1 + shelf / quality + shelf**2, 2 * (shelf**2 - 1), 1 - shelf / quality + shelf**2]
    shelved = _second_order(impulse, [high + middle + shelf**2, 2 * (shelf**2 - high), high - middle + shelf**2], back)
    cut, quality = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    back = [1 + cut / quality + cut**2, 2 * (cut**2 - 1), 1 - cut / quality + cut**2]
    response = _second_order(shelved, [back[0], -2 * back[0], back[0]], back)
    past = len(response) - 1
    size = 1 << (past + samples - 1).bit_length()
    return past, size, np.fft.rfft(response, size)


def _second_order(sound: Samples, forward: list[float], back: list[float]) -> Samples:
    """Filter a sound by a filter of second order: its coefficients, forward and back, are divided by the first back."""
    filtered, before, earlier = (np.convolve(sound, forward)[: len(sound)] / back[0]).tolist(), 0.0, 0.0
    for at, value in enumerate(filtered):
        before, earlier = value - (back[1] * before + back[2] * earlier) / back[0], before
        filtered[at] = before
    return np.array(filtered)


def true_peak(sound: Samples) -> float:
    """Return the highest value on and between the samples of a sound, but for its first ``REACH``; samples by channels.

    >>> quarter = np.sin(np.pi / 4 + np.pi / 2 * np.arange(100))[:, None]  # its samples are all at -3 dB
    >>> round(float(np.abs(quarter).max()), 2), round(true_peak(quarter), 2)
    (0.71, 1.0)
    """
    between = (np.convolve(channel, taps, mode="valid") for channel in sound.T for taps in _between())
    return max(float(np.abs(values).max()) for values in (sound[REACH:], *between))


@cache
def _between() -> tuple[Samples, ...]:
    """Make a filter for each of the three places between two samples."""
    at = np.arange(TAPS) - TAPS // 2
    taps = np.sinc(at / OVERSAMPLING) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(TAPS) / (TAPS - 1)))
    padded = np.pad(taps, (0, OVERSAMPLING * (REACH + 1) - TAPS))
    return tuple(padded[phase::OVERSAMPLING].copy() for phase in range(1, OVERSAMPLING))
