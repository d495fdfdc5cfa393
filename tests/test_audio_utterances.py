"""Where speech is in a sound: every burst is found once, silence and clicks never are."""

from __future__ import annotations

import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.audio.files import read_audio
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.utterance_cuts import utterances

SCENES = Path(__file__).parent.parent / "scenes"
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
        assert abs(start - wanted_start) <= 2 * FRAME
        assert abs(end - min(wanted_end, len(audio))) <= 2 * FRAME


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300)), max_size=12),
    st.floats(0, 2),
    st.sampled_from([8_000, 11_025, 24_000]),
)
def test_spans_are_in_order_inside_the_sound_and_apart(
    said: list[tuple[int, int]], silence_s: float, rate: int
) -> None:
    audio = Pcm(Pcm.join(part for quiet, loud in said for part in (silence(quiet), tone(loud))).data, rate)
    spans = utterances(audio, silence_s)
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


SENTENCES = read_audio(SCENES / "sounds" / "guest.wav").array / 32_768
NOISE = np.random.default_rng(12).standard_normal(len(SENTENCES))
SECONDS = np.arange(len(SENTENCES)) / RATE


@given(
    level_db=st.floats(-40, 6),
    offset=st.floats(-0.2, 0.2),
    hum_hz=st.sampled_from([50, 60]),
    hum_dbfs=st.floats(-120, -40),
    noise_dbfs=st.floats(-120, -40),
    edges_ms=st.integers(0, 2000),
)
@settings(max_examples=40)
def test_two_sentences_are_two_whatever_the_recording_is_like(
    level_db: float, offset: float, hum_hz: int, hum_dbfs: float, noise_dbfs: float, edges_ms: int
) -> None:
    """Hum and noise are told for a level of 0 dB: they are as far below the voice in a soft recording."""
    hum = 2**0.5 * 10 ** (hum_dbfs / 20) * np.sin(2 * np.pi * hum_hz * SECONDS)
    sound = 10 ** (level_db / 20) * (SENTENCES + hum + 10 ** (noise_dbfs / 20) * NOISE) + offset
    audio = Pcm.join([silence(edges_ms), Pcm.from_array(sound), silence(edges_ms)])
    clean = [tuple(place + len(silence(edges_ms)) for place in span) for span in utterances(Pcm.from_array(SENTENCES))]
    found = utterances(audio)
    assert len(found) == len(clean) == 2
    for (start, end), (clean_start, clean_end) in zip(found, clean, strict=True):
        assert abs(start - clean_start) < 0.3 * RATE
        assert abs(end - clean_end) < 0.3 * RATE


@pytest.mark.parametrize("middle", [127, 128])
def test_eight_bits_are_parted_whatever_their_middle(tmp_path: Path, middle: int) -> None:
    path = tmp_path / "eight.wav"
    raw = np.clip(np.round(SENTENCES * 127) + middle, 0, 255).astype(np.uint8)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, RATE, 0, "NONE", ""))
        file.writeframes(raw.tobytes())
    assert len(utterances(read_audio(path))) == 2


@given(st.floats(-120, -50), st.floats(-0.5, 0.5))
def test_noise_and_an_offset_alone_are_no_speech(noise_dbfs: float, offset: float) -> None:
    assert utterances(Pcm.from_array(offset + 10 ** (noise_dbfs / 20) * NOISE)) == []


def test_what_is_equally_loud_throughout_is_speech_if_it_is_loud() -> None:
    assert len(utterances(tone(1000, 0.01))) == 1
    assert utterances(tone(1000, 0.005)) == []


def test_a_long_sound_is_parted_as_a_short_one() -> None:
    """Longer than what is looked at in one go."""
    once = Pcm.join([silence(20_000), tone(500), silence(20_000)])
    span = [(20_000 * RATE // 1000 - PADDING, 20_500 * RATE // 1000 + PADDING)]
    found = utterances(Pcm.join([once, once]))
    assert np.max(np.abs(np.array(found) - [span[0], [len(once) + place for place in span[0]]])) <= FRAME


def test_nothing_at_all_has_no_speech() -> None:
    assert utterances(Pcm()) == []


def test_ten_minutes_are_parted_throughout() -> None:
    assert len(utterances(Pcm.join([tone(500), silence(1000)] * 400))) == 400
