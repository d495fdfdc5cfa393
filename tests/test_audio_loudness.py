"""Loudness and true peak, against the recommendation, a second meter, and blocks of any length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tau_stage.audio.bs1770 import REACH, true_peak
from tau_stage.audio.loudness import Limiter, Loudness, Meter
from tau_stage.audio.pcm import RATE

Samples = NDArray[np.float64]


def second_meter(samples: Samples, rate: int = RATE) -> float:
    """The oracle: another program's meter, with filters that are right at any rate."""
    import pyloudnorm  # loads scipy: which takes a second

    return float(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples))


def second_peak_db(samples: Samples) -> float:
    """The oracle: the highest value of the sound at eight times its rate, by Fourier transforms of its blocks."""
    block, margin = 1 << 14, 400  # what a block cuts off rings at its edges, where its neighbours are read instead
    step = block - 2 * margin
    padded = np.zeros(-(-(len(samples) + 2 * margin) // step) * step + 2 * margin)
    padded[margin : margin + len(samples)] = samples
    peak = 0.0
    for start in range(0, len(padded) - 2 * margin, step):
        fine = np.fft.irfft(np.fft.rfft(padded[start : start + block]), 8 * block) * 8
        peak = max(peak, float(np.abs(fine[8 * margin : -8 * margin]).max()))
    return float(20 * np.log10(peak))


def voice(seconds: float, seed: int = 0, rate: int = RATE) -> Samples:
    """Noise like a voice: more of it low, in syllables, with pauses."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(random.normal(0, 1, len(time)), np.hanning(13) / 6.5, mode="same")
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time), 0, None) * (np.sin(2 * np.pi * 0.31 * time) > -0.5)
    return np.asarray(0.2 * noise * syllables, np.float64)


def measured(samples: Samples, rate: int = RATE, gain_db: float = 0.0) -> Loudness:
    meter = Meter(rate, gain_db, levels=True)
    meter.feed(samples)
    return meter.result()


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_a_tone_at_full_scale_is_as_loud_as_the_recommendation_says(rate: int) -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(2 * rate) / rate)
    found = measured(tone, rate)
    assert found.lufs == pytest.approx(-3.01, abs=0.05)
    assert found.peak_dbtp == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_two_meters_agree_on_a_voice(rate: int) -> None:
    sound = voice(6, rate=rate)
    assert measured(sound, rate).lufs == pytest.approx(second_meter(sound, rate), abs=0.15)


def test_a_peak_between_the_samples_is_seen() -> None:
    tone = 0.5 * np.sin(2 * np.pi * np.arange(RATE) / 4 + np.pi / 4)
    assert np.abs(tone).max() < 0.36
    assert measured(tone).peak_dbtp == pytest.approx(-6.02, abs=0.15)  # it begins at once


@given(cuts=st.lists(st.integers(0, 12_000), max_size=8))
@settings(max_examples=20)
def test_blocks_of_any_length_measure_the_same(cuts: list[int]) -> None:
    sound = voice(0.5)
    meter = Meter(RATE, levels=True)
    for block in np.split(sound, sorted(cuts)):
        meter.feed(block)
    assert meter.result() == measured(sound)


@given(
    channels=st.sampled_from([1, 2]),
    loud=st.lists(st.tuples(st.integers(0, 11_990), st.floats(0.01, 2.0)), max_size=6),
    cuts=st.lists(st.integers(0, 12_000), max_size=3),
)
@settings(max_examples=25)
def test_the_highest_peak_is_found_wherever_it_is(
    channels: int, loud: list[tuple[int, float]], cuts: list[int]
) -> None:
    """The oracle looks between all samples; ours only where a peak can be."""
    sound = np.stack([voice(0.5, seed) for seed in range(channels)], axis=1)
    for at, level in loud:
        sound[at : at + 10, at % channels] += level * np.sign(np.sinc(np.arange(-5, 5) + 0.5))
    highest = true_peak(np.concatenate([np.zeros((REACH, channels)), sound]))
    meter = Meter(RATE, channels=channels)
    for block in np.split(sound if channels > 1 else sound[:, 0], sorted(cuts)):
        meter.feed(block)
    assert meter.result().peak_dbtp == pytest.approx(20 * np.log10(highest), abs=1e-9)


def test_less_than_a_gating_block_is_measured_with_silence_after_it() -> None:
    sound = voice(0.3)
    padded = np.concatenate([sound, np.zeros(round(0.1 * RATE))])
    assert measured(sound).lufs == pytest.approx(second_meter(padded), abs=0.2)


def test_below_the_gate_there_is_no_loudness_until_it_is_measured_louder() -> None:
    faint = voice(2) * 1e-4
    assert measured(faint).lufs is None
    found = measured(faint, gain_db=80).lufs
    assert found is not None
    gain = -16 - found
    assert second_meter(faint * 10 ** (gain / 20)) == pytest.approx(-16, abs=0.2)


@given(cuts=st.lists(st.integers(0, 3 * RATE), max_size=5), rate=st.sampled_from([8_000, 24_000, 44_100]))
@settings(max_examples=20)
def test_the_level_is_the_root_mean_square_and_the_floor_that_of_the_quietest_half_second(
    cuts: list[int], rate: int
) -> None:
    noise = np.random.default_rng(1).normal(size=4 * RATE)
    sound = np.concatenate([0.1 * noise[:RATE], 1e-3 * noise[RATE : 3 * RATE], 0.1 * noise[3 * RATE :]])
    meter = Meter(rate, gain_db=10, levels=True)
    for block in np.split(sound, sorted(cuts)):
        meter.feed(block)
    found = meter.result()
    assert found.rms_dbfs == pytest.approx(10 * np.log10(np.mean(sound**2)), abs=1e-6)
    assert found.floor_dbfs == pytest.approx(-60, abs=0.5)


def test_the_level_of_what_is_short_and_of_two_channels() -> None:
    meter = Meter(RATE, channels=2, levels=True)
    meter.feed(np.tile([0.5, 0.0], (RATE // 4, 1)))
    found = meter.result()
    assert found.rms_dbfs == found.floor_dbfs == pytest.approx(10 * np.log10(0.25 / 2))


@pytest.mark.parametrize("samples", [0, 1, 100, 24_000])
def test_silence_has_neither_loudness_nor_peak(samples: int) -> None:
    assert measured(np.zeros(samples)) == Loudness(None, None, samples)


def test_the_power_of_both_channels_counts() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(2 * RATE) / RATE)
    meter = Meter(RATE, channels=2)
    meter.feed(np.stack([tone, tone / 2], axis=1))
    found = meter.result()
    assert found.lufs == pytest.approx(-3.01 + 10 * np.log10(1.25), abs=0.05)
    assert found.peak_dbtp == pytest.approx(0, abs=0.1)
    short = Meter(RATE, channels=2)
    short.feed(np.stack([tone, tone], axis=1)[:100])
    assert short.result().samples == 100


# ---- the limiter

blocks = st.lists(st.integers(1, 4000), min_size=1, max_size=6)


def limited(sound: Samples, ceiling_db: float, lengths: list[int] | None = None, rate: int = RATE) -> Samples:
    limiter = Limiter(rate, ceiling_db)
    pieces = np.split(sound, np.cumsum(lengths or []))
    return np.concatenate([*(limiter.feed(piece) for piece in pieces), limiter.finish()])


@given(lengths=blocks, seed=st.integers(0, 9))
@settings(max_examples=25)
def test_blocks_of_any_length_are_limited_the_same(lengths: list[int], seed: int) -> None:
    sound = 4 * voice(0.3, seed)
    assert np.allclose(limited(sound, -3, lengths), limited(sound, -3), atol=1e-9)


@given(lengths=blocks, seed=st.integers(0, 9), ceiling=st.floats(-20, 0))
@settings(max_examples=25)
def test_two_channels_are_turned_down_by_what_the_louder_one_needs(
    lengths: list[int], seed: int, ceiling: float
) -> None:
    both = np.stack([4 * voice(0.3, seed), voice(0.3, seed + 10)], axis=1)
    limiter = Limiter(RATE, ceiling, 2)
    pieces = np.split(both, np.cumsum(lengths))
    out = np.concatenate([*(limiter.feed(piece) for piece in pieces), limiter.finish()])
    assert out.shape == both.shape
    assert np.abs(out).max() <= 10 ** (ceiling / 20) + 1e-9
    assert np.allclose(out[:, 0] * both[:, 1], out[:, 1] * both[:, 0], atol=1e-9)
    alone = [limited(channel, ceiling) for channel in both.T]
    assert all((np.abs(out[:, side]) <= np.abs(alone[side]) + 1e-9).all() for side in (0, 1))


@given(lengths=blocks, samples=st.integers(0, 9000))
@settings(max_examples=25)
def test_what_is_below_the_ceiling_comes_out_as_it_went_in(lengths: list[int], samples: int) -> None:
    sound = np.random.default_rng(samples).uniform(-0.3, 0.3, samples)
    assert np.array_equal(limited(sound, -0.5, lengths), sound)


@pytest.mark.parametrize("rate", [24_000, 48_000])
@pytest.mark.parametrize("gain", [1, 4, 16, 100])
def test_no_true_peak_is_above_the_ceiling(gain: int, rate: int) -> None:
    out = limited(gain * voice(1, gain, rate), -1, rate=rate)
    assert second_peak_db(out) < -0.8
    assert np.abs(out).max() <= 10 ** (-1 / 20) + 1e-9


def test_a_click_is_turned_down_before_it_comes_and_the_sound_comes_back() -> None:
    sound = np.full(RATE, 0.1)
    sound[12_000] = 2.0
    out = limited(sound, -6)
    assert abs(out[12_000]) <= 0.502
    assert np.array_equal(out[:11_850], sound[:11_850])
    assert out[11_990] < 0.05
    assert np.array_equal(out[-200:], sound[-200:])


def test_nothing_is_limited_to_nothing() -> None:
    assert len(limited(np.zeros(0), -1)) == 0
    assert limited(np.array([3.0]), -6)[0] == pytest.approx(0.5, abs=0.01)
