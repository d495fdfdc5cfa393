"""Where speech is in a sound: every burst is found once, silence and clicks never are."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.utterances import utterances

FRAME = RATE // 50
PADDING = RATE // 5

bursts = st.lists(
    st.tuples(st.integers(700, 3000), st.integers(100, 3000), st.sampled_from([0.02, 0.2, 0.9])), max_size=6
)
"""Milliseconds of silence before, milliseconds of tone, amplitude of the tone."""


def tone(ms: int, amplitude: float = 0.3) -> Pcm:
    return Pcm.from_array(amplitude * np.sin(2 * np.pi * 300 * np.arange(ms * RATE // 1000) / RATE))


def silence(ms: int) -> Pcm:
    return Pcm.silence(ms * RATE // 1000)


@given(bursts, st.integers(0, 2000))
def test_every_burst_is_one_span_with_its_padding(said: list[tuple[int, int, float]], tail_ms: int) -> None:
    parts, expected, at = [], [], 0
    for quiet_ms, loud_ms, amplitude in said:
        parts += [silence(quiet_ms), tone(loud_ms, amplitude)]
        start = at + len(parts[-2])
        at = start + len(parts[-1])
        expected.append((start - PADDING, at + PADDING))
    audio = Pcm.join([*parts, silence(tail_ms)])
    found = utterances(audio)
    assert len(found) == len(expected)
    for (start, end), (wanted_start, wanted_end) in zip(found, expected, strict=True):
        assert abs(start - wanted_start) <= FRAME
        assert abs(end - min(wanted_end, len(audio))) <= FRAME


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300)), max_size=12),
    st.floats(0, 2),
    st.floats(-90, 0),
    st.sampled_from([8_000, 11_025, 24_000]),
)
def test_spans_are_in_order_inside_the_sound_and_apart(
    said: list[tuple[int, int]], silence_s: float, threshold_dbfs: float, rate: int
) -> None:
    audio = Pcm(Pcm.join(part for quiet, loud in said for part in (silence(quiet), tone(loud))).data, rate)
    spans = utterances(audio, silence_s, threshold_dbfs)
    assert all(0 <= start < end <= len(audio) for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@given(st.lists(st.integers(100, 500), min_size=1, max_size=5), st.integers(20, 560))
def test_a_pause_shorter_than_the_silence_parts_nothing(loud_ms: list[int], pause_ms: int) -> None:
    assert len(utterances(Pcm.join(part for ms in loud_ms for part in (tone(ms), silence(pause_ms))))) == 1


def test_padding_is_shared_where_utterances_are_close() -> None:
    audio = Pcm.join([tone(500), silence(100), tone(500)])
    assert utterances(audio, silence_s=0.1) == [(0, 13_200), (13_200, 26_400)]


@pytest.mark.parametrize("ms", [0, 1, 20, 40])
def test_clicks_are_no_speech(ms: int) -> None:
    assert utterances(Pcm.join([silence(500), tone(ms), silence(500)])) == []


def test_the_threshold_says_what_is_loud() -> None:
    soft = Pcm.join([silence(400), tone(400, 0.01), silence(400)])  # -43 dBFS
    assert len(utterances(soft)) == 1
    assert utterances(soft, threshold_dbfs=-42) == []


def test_nothing_at_all_has_no_speech() -> None:
    assert utterances(Pcm()) == []


def test_ten_minutes_take_well_under_a_second() -> None:
    audio = Pcm.join([tone(500), silence(1000)] * 400)
    start = time.perf_counter()
    assert len(utterances(audio)) == 400
    assert time.perf_counter() - start < 0.5
