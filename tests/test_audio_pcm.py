"""Pcm is a value: whole samples and their rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.pcm import Pcm

samples = st.binary(max_size=400).map(lambda data: Pcm(data[: len(data) // 2 * 2]))


def test_half_samples_and_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="2 bytes"):
        Pcm(b"\x00")
    with pytest.raises(ValueError, match="positive"):
        Pcm(b"", 0)


def test_floats_are_scaled_and_clipped() -> None:
    assert list(Pcm.from_array(np.array([0.0, 1.0, -1.0, 2.0, -2.0])).array) == [0, 32767, -32767, 32767, -32767]


def test_integers_are_taken_as_they_are() -> None:
    assert list(Pcm.from_array(np.array([-32768, 7], dtype=np.int16), 8000).array) == [-32768, 7]


@given(st.lists(samples))
def test_joining_keeps_every_sample_in_order(parts: list[Pcm]) -> None:
    assert Pcm.join(parts).data == b"".join(part.data for part in parts)


def test_rates_do_not_mix() -> None:
    with pytest.raises(ValueError, match="8000, 24000"):
        Pcm.join([Pcm(b"", 8000), Pcm(b"", 24000)])


@given(samples, st.integers(-300, 300), st.integers(-300, 300))
def test_a_span_is_what_a_list_of_samples_would_give(audio: Pcm, start: int, stop: int) -> None:
    assert list(audio[start:stop].array) == list(audio.array)[start:stop]


def test_a_span_has_no_step() -> None:
    with pytest.raises(ValueError, match="sliced with a step"):
        Pcm.silence(4)[::2]


def test_the_hash_and_the_base64_are_of_the_samples_alone() -> None:
    audio = Pcm(b"\x01\x02")
    assert audio.base64 == b"AQI="
    assert audio.sha256 == "a12871fee210fb8619291eaea194581cbd2531e4b23759d225f6806923f63222"
