"""Loudness and true peaks are those of libebur128, whatever the rate, the channels and the blocks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.audio.bs1770 import REACH, IntegratedLoudness, Samples, true_peak

ebur128 = pytest.importorskip("pyebur128", reason="pyebur128 has no wheels for this version of Python")


@st.composite
def sounds(draw: st.DrawFn) -> tuple[int, Samples]:
    """Noise at any rate, at one level or with pauses, in one or two channels."""
    rate = draw(st.sampled_from([8_000, 22_050, 24_000, 44_100, 48_000]))
    samples, channels = draw(st.integers(0, 6 * rate)), draw(st.sampled_from([1, 2]))
    noise = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((samples, channels))
    syllables = np.sin(np.arange(samples) / rate * draw(st.floats(0.2, 20))) ** draw(st.sampled_from([0, 4, 20]))
    return rate, noise * syllables[:, None] * 10 ** (draw(st.floats(-80, 0)) / 20)


@given(sound=sounds(), cuts=st.lists(st.integers(0, 200_000), max_size=6))
@settings(max_examples=40)
def test_loudness_is_that_of_libebur128(sound: tuple[int, Samples], cuts: list[int]) -> None:
    rate, samples = sound
    channels = samples.shape[1]
    other = ebur128.R128State(channels, rate, ebur128.MeasurementMode.MODE_I)
    other.add_frames(np.ascontiguousarray(samples).ravel(), len(samples))
    ours = IntegratedLoudness(rate, channels)
    for start, end in pairwise([0, *sorted(cuts), len(samples)]):
        ours.feed(samples[start:end])
    loudness, expected = ours.result(), ebur128.get_loudness_global(other)
    assert loudness == pytest.approx(expected, abs=1e-4) or (math.isinf(loudness) and math.isinf(expected))


@given(sound=sounds())
@settings(max_examples=40)
def test_true_peaks_are_those_of_libebur128(sound: tuple[int, Samples]) -> None:
    rate, samples = sound
    channels = samples.shape[1]
    if not len(samples):
        return
    other = ebur128.R128State(channels, rate, ebur128.MeasurementMode.MODE_TRUE_PEAK)
    other.add_frames(np.ascontiguousarray(samples).ravel(), len(samples))
    expected = max(ebur128.get_true_peak(other, channel) for channel in range(channels))
    found = true_peak(np.concatenate([np.zeros((REACH, channels)), samples]))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
