"""A limiter that looks ahead, for true peaks: block by block, and the same for any blocks."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

LOOK_AHEAD_S = 0.005
RELEASE_S = 0.05
OVERSAMPLING = 4
"""As in ITU-R BS.1770-4, Annex 2."""

REACH = 24
"""Samples on either side from which a value between two samples is made."""

REACH_GAIN = 4.0
"""No value between samples is higher than so many times the highest sample near it."""

KAISER_BETA = 5.0

LEAST_DB = 1e-3
"""A reduction that is smaller is none, so that sound is itself again after a peak."""


class Limiter:
    """Keeps true peaks below a ceiling; sound that is below it anyway comes out sample for sample.

    It turns down 5 ms before a peak, holds, and comes back with a time constant of 50 ms. The sound is not delayed:
    what comes out in all is as long as what went in. Left and right are turned down together, by what the louder one
    needs: else the sound would move to the other side at each peak.

    Args:
        rate: Samples per second.
        ceiling_db: Relative to full scale.
        channels: 1 or 2: blocks have one dimension in mono, and are samples by channels in stereo.

    >>> import numpy as np
    >>> limiter = Limiter(24_000, -6.0)
    >>> loud = np.sin(np.arange(2400) / 3)
    >>> out = np.concatenate([limiter.feed(loud), limiter.finish()])
    >>> len(out), bool(np.abs(out).max() <= 10 ** (-6 / 20))
    (2400, True)
    """

    def __init__(self, rate: int, ceiling_db: float, channels: int = 1) -> None:
        self._ceiling = 10 ** (ceiling_db / 20)
        self._ahead = max(1, round(LOOK_AHEAD_S * rate))
        self._slope = 1 / (RELEASE_S * rate)
        self._channels = channels
        self._shape = () if channels == 1 else (channels,)
        self._delayed: Samples = np.zeros((0, *self._shape))
        self._near: Samples = np.zeros((channels, REACH))
        self._next: Samples = np.zeros(1)
        self._before: Samples = np.zeros(self._ahead - 1)
        self._last_db = 0.0
        self._early = self._ahead
        self._feed(np.zeros((self._ahead, *self._shape)))

    def feed(self, block: NDArray[np.floating]) -> Samples:
        """Take some more sound, and return what is ready: it lags 5 ms and a little behind."""
        ready = self._feed(block)
        early = min(self._early, len(ready))  # the silence before the sound, in which the first peak is seen coming
        self._early -= early
        return ready[early:]

    def _feed(self, block: NDArray[np.floating]) -> Samples:
        self._delayed = np.concatenate([self._delayed, block])
        wanted = self._wanted_db(np.asarray(block, dtype=np.float64))
        reduction = self._smoothed(self._released(self._held(wanted)))
        ready, self._delayed = self._delayed[: len(reduction)], self._delayed[len(reduction) :]
        reduction = reduction[: len(ready)]
        return ready if not reduction.any() else (ready.T * 10 ** (-reduction / 20)).T

    def finish(self) -> Samples:
        """Return the rest."""
        left = len(self._delayed) - self._early
        return self.feed(np.zeros((REACH + self._ahead + 1, *self._shape)))[:left]

    def _wanted_db(self, block: Samples) -> Samples:
        """Measure by how much each sample, and what is between it and the next, is too loud."""
        near = np.concatenate([self._near, block.reshape(len(block), self._channels).T], axis=1)
        self._near = near[:, -2 * REACH :]
        if near.shape[1] <= 2 * REACH:
            return np.zeros(0)
        peaks: Samples = np.abs(near[:, REACH:-REACH]).max(axis=0)
        for channel in near:
            if np.abs(channel).max() * REACH_GAIN > self._ceiling:
                for taps in _between():
                    peaks = np.maximum(peaks, np.abs(np.convolve(channel, taps, mode="valid")))
        wanted: Samples = 20 * np.log10(np.maximum(peaks / self._ceiling, 1.0))
        return wanted

    def _held(self, wanted: Samples) -> Samples:
        """Return the highest within the look-ahead, and one sample before: a peak between two is both's."""
        width = self._ahead + 1
        high = np.concatenate([self._next, wanted])
        self._next = high[-width + 1 :] if len(high) >= width else high
        if len(high) < width:
            return np.zeros(0)
        done = 1
        while done < width:
            step = min(done, width - done)
            high = np.maximum(high[:-step], high[step:])
            done += step
        return high

    def _released(self, held: Samples) -> Samples:
        """Hold at least what is given; let what was there before go away exponentially."""
        if not len(held) or (not self._last_db and not held.any()):
            return held
        fall = np.arange(len(held)) * self._slope
        with np.errstate(divide="ignore"):
            risen = np.log(held) + fall
        before = math.log(self._last_db) - self._slope if self._last_db else -math.inf
        out: Samples = np.exp(np.maximum(np.maximum.accumulate(risen), before) - fall)
        out[out < LEAST_DB] = 0.0
        self._last_db = float(out[-1])
        return out

    def _smoothed(self, released: Samples) -> Samples:
        """Return the mean of the look-ahead's length: it has arrived where it is needed."""
        recent = np.concatenate([self._before, released])
        self._before = recent[len(recent) - (self._ahead - 1) :]
        if not len(released) or not recent.any():
            return np.zeros(len(released))
        sums = np.concatenate([[0.0], np.cumsum(recent)])
        means: Samples = (sums[self._ahead :] - sums[: -self._ahead]) / self._ahead
        means[means < LEAST_DB / self._ahead] = 0.0
        return means


@cache
def _between() -> tuple[Samples, ...]:
    """Make filters for the values at 1/4, 2/4 and 3/4 between two samples: a sinc under a Kaiser window."""
    filters = []
    for part in range(1, OVERSAMPLING):
        at = np.arange(-REACH, REACH + 1) - part / OVERSAMPLING
        inside = np.clip(1 - (at / (REACH + 1)) ** 2, 0, None)
        taps = np.sinc(at) * np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
        filters.append((taps / taps.sum())[::-1].copy())
    return tuple(filters)
