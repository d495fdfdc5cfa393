"""The shape of a sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tau_stage.audio.pcm import RATE, Pcm, Stereo
from tau_stage.audio.wav import WavWriter, header
from tau_stage.report.page_graphics import FEWEST, MOST, PER_SECOND, Sources, peaks
from tau_stage.take.folder import TakeFolder


def wav(path: Path, samples: np.typing.NDArray[np.int16]) -> Path:
    with WavWriter(path) as file:
        file.append(Pcm.from_array(samples))
    return path


def test_the_lowest_and_highest_of_each_span_are_kept(tmp_path: Path) -> None:
    samples = np.zeros(RATE, dtype=np.int16)
    samples[0], samples[RATE // 2], samples[-1] = 100, -200, 300
    found = peaks(wav(tmp_path / "a.wav", samples), RATE)
    assert len(found.highs) == len(found.lows) == PER_SECOND
    assert (found.highs[0], found.lows[PER_SECOND // 2], found.highs[-1]) == (100, -200, 300)
    assert (found.loudest, found.problem) == (300, "")


@pytest.mark.parametrize("samples", [1, 7, 100, RATE, 100 * RATE, 700_001])
def test_a_drawing_has_few_kilobytes_however_long_the_sound(tmp_path: Path, samples: int) -> None:
    path = wav(tmp_path / "a.wav", np.random.default_rng(1).integers(-9000, 9000, samples, dtype=np.int16))
    found = peaks(path, samples)
    assert min(FEWEST, samples) <= len(found.highs) <= MOST
    assert len(found.path()) < 12_000


def test_a_span_of_a_stem_is_read_alone(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.repeat(np.array([1, 50, 2], dtype=np.int16), 1000))
    assert {*peaks(path, 1000, 1000).highs} == {50}


def test_what_is_missing_or_broken_is_told(tmp_path: Path) -> None:
    assert peaks(tmp_path / "a.wav", 10).problem == "is missing"
    (tmp_path / "b.wav").write_text("no sound")
    assert peaks(tmp_path / "b.wav", 10).problem == "is not a WAV file"
    (tmp_path / "c.wav").write_bytes(b"")
    assert peaks(tmp_path / "c.wav", 10).problem == "is not a WAV file"
    assert "cannot be read" in peaks(tmp_path, 10).problem
    (tmp_path / "d.wav").write_bytes(header(RATE, RATE) + bytes(RATE + 1))
    short = peaks(tmp_path / "d.wav", RATE)
    assert short.problem == "is incomplete: it has 0.50 s of 1.00 s"
    assert short.highs
    import soundfile

    soundfile.write(tmp_path / "e.wav", np.zeros((10, 3)), RATE)
    assert peaks(tmp_path / "e.wav", 10).problem == "is not 16-bit mono or stereo"


def test_of_two_channels_the_larger_is_drawn(tmp_path: Path) -> None:
    both = np.array([[100, -200], [50, 300]] * 12, dtype=np.int16)
    with WavWriter(tmp_path / "a.wav", RATE, 2) as file:
        file.append(Stereo(both.tobytes()))
    found = peaks(tmp_path / "a.wav", 24)
    assert (found.lows, found.highs, found.problem) == ((-200,) * 8, (300,) * 8, "")


def test_a_name_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    wav(tmp_path / "secret.wav", np.ones(100, dtype=np.int16))
    (tmp_path / "take").mkdir()
    sources = Sources(TakeFolder(tmp_path / "take"))
    for name in ("../secret.wav", str(tmp_path / "secret.wav"), "a\0b"):
        assert sources.sound(name, 100).url == ""
    assert all("is not in the take's folder" in problem for problem in sources.problems)
