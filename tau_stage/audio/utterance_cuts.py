"""Where people speak in a sound, by energy over its own noise floor. Pure."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio.loudness import SILENCE_DBFS
from tau_stage.audio.pcm import Pcm

Levels = NDArray[np.float64]

FRAME_S = 0.02
STARTING_FRAMES = 3  # loud frames in a row that are speech; a click has fewer
PADDING_S = 0.2
HIGH_PASS_S = 0.01  # a running mean of this length is taken off, twice: without DC, and with hum of 50 Hz 18 dB softer
FLOOR_PERCENT = 8  # so many of all frames are noise, at least
DIGITAL_SILENCE_DBFS = -80.0
SOFTEST_DBFS = -72.0
OVER_FLOOR_DB = 8.0  # speech begins so much over the noise floor
HYSTERESIS_DB = 3.0  # it ends so much below that
BELOW_LOUDEST_DB = 40.0  # what is softer than the loudest by more than this is no speech
STEADY_DBFS = -45.0  # a sound that is equally loud throughout is speech above this
OF_A_CLICK_DB = 12.0  # what is left and right of a click is softer than it by more than this
CHUNK_FRAMES = 3000


def utterances(audio: Pcm, silence_s: float = 0.6, padding_s: float = PADDING_S) -> list[tuple[int, int]]:
    """Find the spans of speech in a sound: first sample and the one after the last, in order, never overlapping.

    What counts is how loud 20 ms are without DC and hum, against the sound's own noise floor: a soft recording, or one
    with noise, is parted as any other. Speech starts with 60 ms that are 8 dB over the floor and ends where
    ``silence_s`` are not 5 dB over it. Each span has ``padding_s`` more at its head and its tail, as far as
    the sound and the neighbours leave room.

    >>> import numpy as np
    >>> tone = Pcm.from_array(0.1 * np.sin(np.arange(24_000) / 9))
    >>> utterances(Pcm.join([Pcm.silence(24_000), tone, Pcm.silence(24_000)]))
    [(19200, 52800)]
    """
    frame = max(1, round(audio.rate * FRAME_S))
    patience = max(1, math.ceil(round(silence_s * audio.rate / frame, 6)))
    spans = [(first * frame, last * frame) for first, last in _spoken(_levels(audio, frame), patience)]
    padding = round(padding_s * audio.rate)
    heads = [max(0, start - padding) for start, _end in spans]
    tails = [min(len(audio), end + padding) for _start, end in spans]
    for index, ((_, end), (start, _)) in enumerate(pairwise(spans)):
        if tails[index] > heads[index + 1]:
            tails[index] = heads[index + 1] = (end + start) // 2
    return list(zip(heads, tails, strict=True))


def _levels(audio: Pcm, frame: int) -> Levels:
    """Return the level of each whole frame in dBFS, without DC and hum; in chunks, as a sound may last an hour."""
    whole = len(audio) // frame * frame
    reach = max(1, round(audio.rate * HIGH_PASS_S / 2))
    powers = []
    for start in range(0, whole, CHUNK_FRAMES * frame):
        end = min(whole, start + CHUNK_FRAMES * frame)
        first = max(0, start - 2 * reach)
        samples = audio.array[first : min(len(audio), end + 2 * reach)].astype(np.float64)
        for _ in range(2):
            samples -= _running_mean(samples, reach)
        frames = samples[start - first : end - first].reshape(-1, frame)
        powers.append(np.square(frames).mean(axis=1))
    if not powers:
        return np.zeros(0)
    return 10 * np.log10(np.maximum(np.concatenate(powers) / 32_768**2, 10 ** (SILENCE_DBFS / 10)))


def _running_mean(samples: Levels, reach: int) -> Levels:
    """Average each sample and ``reach`` neighbours on either side; the outermost samples go on at the ends."""
    sums = np.cumsum(np.pad(samples, (reach + 1, reach), mode="edge"))
    means: Levels = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    return means


def _threshold(levels: Levels) -> float:
    """Return the level in dBFS above which a frame is speech; infinite where none is."""
    sounding = np.flatnonzero(levels > DIGITAL_SILENCE_DBFS)
    if len(levels) < STARTING_FRAMES or not len(sounding):
        return math.inf
    inner = levels[sounding[0] : sounding[-1] + 1]
    floor = float(np.percentile(inner, FLOOR_PERCENT))
    rows = [levels[row : len(levels) - STARTING_FRAMES + 1 + row] for row in range(STARTING_FRAMES)]
    loudest = float(np.max(np.min(rows, axis=0)))
    if floor > DIGITAL_SILENCE_DBFS and loudest < floor + OVER_FLOOR_DB:
        return STEADY_DBFS
    return max(floor + OVER_FLOOR_DB, loudest - BELOW_LOUDEST_DB, SOFTEST_DBFS)


def _spoken(levels: Levels, patience: int) -> list[tuple[int, int]]:
    """Return first frame and the one after the last of each utterance."""
    threshold = _threshold(levels)
    spoken: list[tuple[int, int]] = []
    for start, end in _runs(levels > threshold - HYSTERESIS_DB):
        if spoken and start - spoken[-1][1] < patience:
            spoken[-1] = (spoken[-1][0], end)
        elif _begins(levels[start:end], threshold):
            spoken.append((start, end))
    return spoken


def _begins(levels: Levels, threshold: float) -> bool:
    """Tell whether enough frames in a row are speech and about equally loud: taking off means spreads a click a bit."""
    loud = levels > max(threshold, float(levels.max()) - OF_A_CLICK_DB)
    return any(end - start >= STARTING_FRAMES for start, end in _runs(loud))


def _runs(loud: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first frame and the one after the last of each row of loud frames."""
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2)
    return [(start, end) for start, end in edges.tolist()]
