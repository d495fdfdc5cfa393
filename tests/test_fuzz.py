"""A few hundred inputs of ``tests.fuzz``, and those that once were too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.audio.wav import header, read_wav
from tau_stage.report.page_graphics import peaks
from tests.fuzz import TARGETS, campaign, tried


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_read_is_taken_or_refused_with_a_typed_error(name: str) -> None:
    figures = campaign(name, 1, range(100))
    assert figures.failures == []
    assert sum(figures.outcomes.values()) == 100


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_spoilt_was_sound(name: str, tmp_path: Path) -> None:
    if name in ("g711", "wav", "fountain"):
        assert tried(name, TARGETS[name].seeds()[0], tmp_path) == "read"
    assert tried(name, b"", tmp_path) in {"read", "SceneError", "ProtocolError", "TakeError", "ValueError"}


def test_a_chunk_longer_than_its_file_is_no_wav(tmp_path: Path) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(header(4, 24_000)[:12] + b"LIST\xff\xff\0\0" + bytes(8))
    with pytest.raises(ValueError, match="not a WAV file"):
        read_wav(file)
    assert peaks(file, 100).problem == "is not a WAV file"


def test_a_sound_without_a_rate_has_no_shape(tmp_path: Path) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(header(4, 0) + bytes(8))
    assert peaks(file, 100).problem == "is not a WAV file"
