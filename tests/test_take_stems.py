"""Stems of what overlaps: effects over lines, lines over lines, beds under all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.take.stems import FADE, Stems


def flat(samples: int, value: int = 100) -> Pcm:
    return Pcm.from_array(np.full(samples, value, dtype=np.int16))


@given(
    placed=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(-9000, 9000)), max_size=8),
    reached=st.integers(0, 400),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_what_overlaps_on_a_stem_is_summed_sample_by_sample(
    tmp_path: Path, placed: list[tuple[int, int, int]], reached: int
) -> None:
    stems = Stems(tmp_path, ["a", "b"])
    wanted = np.zeros(600, dtype=np.int64)
    for at, samples, value in placed:
        stems.put("a", flat(samples, value), at)
        wanted[at : at + samples] = np.clip(wanted[at : at + samples] + value, -32_768, 32_767)
        stems.reach(reached)
    stems.close()
    one, other = read_wav(tmp_path / "a.wav").array, read_wav(tmp_path / "b.wav").array
    assert len(one) == len(other)
    assert not other.any()
    assert np.array_equal(one, wanted[: len(one)])
    assert not wanted[len(one) :].any()


def test_sums_that_do_not_fit_are_clipped(tmp_path: Path) -> None:
    stems = Stems(tmp_path, ["a"])
    stems.put("a", flat(10, 30_000), 0)
    stems.put("a", flat(10, 30_000), 5)
    stems.close()
    assert read_wav(tmp_path / "a.wav").array.tolist() == [30_000] * 5 + [32_767] * 5 + [30_000] * 5


def test_a_bed_is_repeated_comes_softly_and_fades_when_it_ends(tmp_path: Path) -> None:
    stems = Stems(tmp_path, ["bed", "ann"])
    stems.begin_bed("bed", flat(1000, 8000), 500)
    stems.put("ann", flat(20_000), 500)
    stems.reach(20_500)
    stems.end_bed("bed")
    stems.end_bed("bed")
    stems.put("ann", flat(5000), 21_000)
    stems.close()
    bed = read_wav(tmp_path / "bed.wav").array.astype(int)
    assert len(bed) == 26_000
    assert not bed[:500].any()
    assert bed[500] == 0
    assert 3900 < bed[500 + FADE // 2] < 4100
    assert set(bed[500 + FADE : 20_500 - FADE]) == {8000}
    assert 3900 < bed[20_500 - FADE // 2] < 4100
    assert not bed[20_500:].any()


def test_a_bed_that_nobody_ends_lasts_to_the_end(tmp_path: Path) -> None:
    stems = Stems(tmp_path, ["bed", "ann"])
    stems.begin_bed("bed", flat(3 * FADE, 8000), 0)
    stems.reach(10 * FADE)
    stems.close()
    bed = read_wav(tmp_path / "bed.wav").array
    assert len(bed) == 10 * FADE
    assert set(bed[FADE : 9 * FADE].tolist()) == {8000}
    assert 3900 < bed[9 * FADE + FADE // 2] < 4100


def test_nothing_is_laid_after_the_end_of_a_file(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav") as file, pytest.raises(ValueError, match="no sample 5"):
        file.overlay(5, flat(1))
