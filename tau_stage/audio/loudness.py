"""How loud sound is to a listener, and how far its peaks reach.

Loudness is gated K-weighted power and true peak the highest value between the samples, as in ITU-R BS.1770-4 (2015);
a programme is brought to one loudness as in EBU R 128 (2020). The limiter looks ahead, for true peaks: block by block,
and the same for any blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio.bs1770 import REACH as BEFORE_PEAK
from tau_stage.audio.bs1770 import Cells, IntegratedLoudness, Samples, true_peak
from tau_stage.audio.pcm import Pcm, SoundT

GATING_BLOCK_S = 0.4  # what BS.1770 measures at once; a shorter sound is measured with silence after it
CELL = 1 << 9  # samples of which the highest says whether the values between them are looked at
BEFORE = 64  # samples before a block that are kept; the meter's filter reaches over 13 at most
OVERSHOOT = 0.94
"""A value between two samples is higher than one of them by so many times the largest step near them, at most: the sum
of what the steps weigh in the meter's filter (0.933, and a thousandth of the sample)."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What a meter says: loudness, integrated and gated, and the true peak relative to full scale.

    There is no loudness where all is below the gate of -70 LUFS, and neither a peak nor a level in digital silence.

    Attributes:
        rms_dbfs: The root mean square of all samples of all channels, relative to full scale, if levels are measured.
        floor_dbfs: That of the quietest half second; of all, where there is less.
    """

    lufs: float | None
    peak_dbtp: float | None
    samples: int
    rms_dbfs: float | None = None
    floor_dbfs: float | None = None


class Meter:
    """Measures sound, mono or stereo, that comes in blocks of any length.

    The power of both channels counts, as the recommendation has it: the same sound on both is 3 LU louder than on one.
    It measures as if the sound were ``gain_db`` louder, and tells without it: so sound below the gate is heard. Without
    ``true_peak``, the highest sample is told in its place. Levels are measured where ``levels`` are wanted.

    It keeps some 30 bytes for each tenth of a second, a megabyte for an hour: gating looks at all of them.

    >>> import numpy as np
    >>> meter = Meter(24_000)
    >>> meter.feed(np.sin(2 * np.pi * 997 * np.arange(48_000) / 24_000))
    >>> found = meter.result()
    >>> round(found.lufs, 1), round(found.peak_dbtp, 1), found.samples
    (-3.0, 0.0, 48000)
    """

    def __init__(
        self, rate: int, gain_db: float = 0.0, channels: int = 1, *, true_peak: bool = True, levels: bool = False
    ) -> None:
        self._channels = channels
        self._is_true = true_peak
        self._power = IntegratedLoudness(rate, channels)
        self._gain_db = gain_db
        self._factor = 10 ** (gain_db / 20)
        self._block = math.ceil(GATING_BLOCK_S * rate)
        self._samples = 0
        self._peak = 0.0
        self._levels = _Levels(rate, channels) if levels else None
        self._last: Samples = np.zeros((BEFORE, channels))

    def feed(self, block: NDArray[np.floating]) -> None:
        """Measure what comes next: one dimension in mono, samples by channels in stereo.

        Full scale is 1; values beyond it are measured as they are.
        """
        if not len(block):
            return
        self._samples += len(block)
        louder = np.ascontiguousarray(block.reshape(len(block), self._channels), np.float64) * self._factor
        self._power.feed(louder)
        if self._levels:
            self._levels.feed(louder)
        if not self._is_true:
            self._peak = max(self._peak, float(np.abs(louder).max()))
            return
        near = np.concatenate([self._last, louder])
        self._last = near[-BEFORE:]
        starts = np.arange(BEFORE, len(near), CELL)
        highest = _bound(near, starts - BEFORE, OVERSHOOT)
        highest[:-1] = np.maximum(highest[:-1], highest[1:])
        top = int(highest.argmax())
        if highest[top] > self._peak:
            self._look_between(near, starts[top], starts[top] + CELL)
        left = np.flatnonzero(highest > self._peak)
        for cells in np.split(left, np.flatnonzero(np.diff(left) > 1) + 1) if len(left) else ():
            self._look_between(near, starts[cells[0]], starts[cells[-1]] + CELL)

    def _look_between(self, near: Samples, start: int, end: int) -> None:
        self._peak = max(self._peak, true_peak(near[start - BEFORE_PEAK : end]))

    def result(self) -> Loudness:
        """Return what was measured; nothing can be fed any more."""
        missing = self._block - self._samples
        if missing > 0:
            self._power.feed(np.zeros((missing, self._channels)))
        lufs = self._power.result()
        return Loudness(
            lufs - self._gain_db if math.isfinite(lufs) else None,
            20 * math.log10(self._peak) - self._gain_db if self._peak > 0 else None,
            self._samples,
            *(self._levels.result(self._gain_db) if self._levels else ()),
        )


FLOOR_CELLS = 5


class _Levels:
    """Adds up the power of a sound, and finds the quietest half second of it, a tenth of a second at a time."""

    def __init__(self, rate: int, channels: int) -> None:
        self._cells = Cells(rate, channels)
        self._powers: list[Samples] = []  # of all samples of a cell, in the mean of its channels

    def feed(self, block: Samples) -> None:
        self._powers += map(self._summed, self._cells.cut(block))

    def _summed(self, sound: Samples) -> Samples:
        powers: Samples = np.square(sound).mean(axis=1).reshape(-1, self._cells.samples).sum(axis=1)
        return powers

    def result(self, gain_db: float) -> tuple[float | None, float | None]:
        """Return the level of all, and that of the quietest part, in dB; nothing can be fed any more."""
        rest, cell = self._cells.rest(), self._cells.samples
        whole = len(rest) // cell * cell
        powers = np.concatenate([*self._powers, self._summed(rest[:whole])])
        samples = len(powers) * cell + len(rest) - whole
        mean = float(powers.sum() + np.square(rest[whole:]).mean(axis=1).sum()) / max(1, samples)
        floor = mean
        if len(powers) >= FLOOR_CELLS:
            windows = np.lib.stride_tricks.sliding_window_view(powers, FLOOR_CELLS).sum(axis=1)
            floor = float(windows.min()) / (cell * FLOOR_CELLS)
        rms, quietest = (10 * math.log10(level) - gain_db if level > 0 else None for level in (mean, floor))
        return rms, quietest


def _bound(sound: Samples, starts: NDArray[np.intp], overshoot: float) -> Samples:
    """Return what no value on or between the samples of each cell exceeds; ``sound`` is samples by channels."""
    levels = np.maximum.reduceat(np.abs(sound).max(axis=1), starts)
    steps = np.maximum.reduceat(np.abs(np.diff(sound, axis=0, append=sound[-1:])).max(axis=1), starts)
    bounds: Samples = 1.001 * levels + overshoot * steps
    return bounds


SILENCE_DBFS = -120.0
AUDIBLE_DBFS = -70.0  # what never gets louder than this cannot be heard
AUDIBLE_S = 0.01  # nor can what is shorter than this


def rms_dbfs(audio: Pcm) -> float:
    """Measure the root mean square level in dB relative to full scale (32768); nothing at all is -120.

    >>> rms_dbfs(Pcm.silence(10))
    -120.0
    """
    return dbfs(float((audio.array.astype("float64") ** 2).mean()) ** 0.5) if audio else SILENCE_DBFS


def peak_dbfs(audio: Pcm) -> float:
    """Measure the highest sample in dB relative to full scale; nothing at all is -120."""
    return dbfs(max(-float(audio.array.min()), float(audio.array.max()))) if audio else SILENCE_DBFS


def is_audible(audio: Pcm) -> bool:
    """Tell whether anything of a sound can be heard: it is neither too short nor too quiet throughout.

    >>> import numpy as np
    >>> loud = Pcm.from_array(np.full(24_000, 1000, np.int16))
    >>> is_audible(loud), is_audible(loud[:48]), is_audible(Pcm.silence(24_000)), is_audible(Pcm())
    (True, False, False, False)
    """
    seconds = (audio[at : at + audio.rate] for at in range(0, len(audio), audio.rate))
    return audio.duration_s >= AUDIBLE_S and any(peak_dbfs(second) >= AUDIBLE_DBFS for second in seconds)


def dbfs(amplitude: float) -> float:
    """Convert a level of 16-bit samples to dB relative to full scale; nothing is -120."""
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / 32768)) if amplitude > 0 else SILENCE_DBFS


def faded(audio: SoundT, start: float, end: float) -> SoundT:
    """Fade a sound from one factor of loudness to another, each from 0 to 1.

    >>> import numpy as np
    >>> faded(Pcm.from_array(np.full(4, 1000, np.int16)), 1.0, 0.0).array.tolist()
    [1000, 750, 500, 250]
    """
    ramp = np.clip(np.linspace(start, end, len(audio), endpoint=False), 0.0, 1.0)
    samples = np.round(audio.array.T * ramp).T
    return type(audio)(samples.astype("<i2").tobytes(), audio.rate)


LOOK_AHEAD_S = 0.005
RELEASE_S = 0.05
OVERSAMPLING = 4  # as in ITU-R BS.1770-4, Annex 2
REACH = 24  # samples on either side from which a value between two samples is made
PIECE = 1 << 13  # samples worked on at once: what is quiet for so long costs nothing
STEPS = 1.42  # as `OVERSHOOT`, for the limiter's filters
KAISER_BETA = 5.0

LEAST_DB = 1e-3  # a reduction that is smaller is none, so that sound is itself again after a peak


class Limiter:
    """Keeps true peaks below a ceiling, relative to full scale; what is below it anyway comes out sample for sample.

    It turns down 5 ms before a peak, holds, and comes back with a time constant of 50 ms. The sound is not delayed:
    what comes out in all is as long as what went in. Left and right are turned down together, by what the louder one
    needs: else the sound would move to the other side at each peak. Blocks have the shapes that a ``Meter`` takes.

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
        self._near: Samples = np.zeros((REACH, channels))
        self._next: Samples = np.zeros(1)
        self._before: Samples = np.zeros(self._ahead - 1)
        self._last_db = 0.0
        self._early = self._ahead
        self._feed(np.zeros((self._ahead, *self._shape)))

    def feed(self, block: NDArray[np.floating]) -> Samples:
        """Take some more sound, and return what is ready: it lags 5 ms and a little behind."""
        pieces = [self._feed(block[start : start + PIECE]) for start in range(0, len(block), PIECE)]
        ready = np.concatenate([self._delayed[:0], *pieces])
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
        near = np.concatenate([self._near, block.reshape(len(block), self._channels)])
        self._near = near[-2 * REACH :]
        wanted: Samples = np.zeros(max(0, len(near) - 2 * REACH))
        for start, end in _spans(near, self._ceiling):
            peaks = np.abs(near[start + REACH : end + REACH]).max(axis=1)
            for channel in near[start : end + 2 * REACH].T:
                for taps in _between():
                    np.maximum(peaks, np.abs(np.convolve(channel, taps, mode="valid")), out=peaks)
            loud = np.flatnonzero(peaks > self._ceiling)
            wanted[start + loud] = 20 * np.log10(peaks[loud] / self._ceiling)
        return wanted

    def _held(self, wanted: Samples) -> Samples:
        """Return the highest within the look-ahead, and one sample before: a peak between two is both's."""
        width = self._ahead + 1
        high = np.concatenate([self._next, wanted])
        self._next = high[-width + 1 :] if len(high) >= width else high
        if len(high) < width or not high.any():
            return np.zeros(max(0, len(high) - width + 1))
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


def _spans(near: Samples, ceiling: float) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a block, with ``REACH`` more on either side, in which a value may be over a ceiling."""
    last = len(near) - 2 * REACH
    if last <= 0:
        return
    cells = _bound(near, np.arange(0, len(near), REACH), STEPS) > ceiling
    reached = np.concatenate([[False], cells[:-2] | cells[1:-1] | cells[2:], [False]])
    edges = np.flatnonzero(np.diff(reached.astype(np.int8))) * REACH
    yield from ((start, min(end, last)) for start, end in zip(edges[::2], edges[1::2], strict=True))


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
