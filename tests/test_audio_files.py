"""Whatever sound file a person brings comes in as mono 24 kHz, or the message says why not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.files import read_audio
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter, header
from tau_stage.errors import UsageError


def wave(rate: int, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


@given(st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_a_mono_16_bit_file_at_24_khz_comes_back_sample_for_sample(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "exact.wav"
    with WavWriter(path) as file:
        file.append(Pcm(data))
    assert read_audio(path) == Pcm(data)


@pytest.mark.parametrize(
    ("name", "rate", "kind"),
    [
        ("a.wav", 24_000, "PCM_16"),
        ("a.wav", 44_100, "PCM_24"),
        ("a.wav", 8_000, "ULAW"),
        ("a.wav", 192_000, "DOUBLE"),
        ("a.wav", 16_000, "FLOAT"),
        ("a.flac", 48_000, "PCM_16"),
        ("a.ogg", 22_050, "VORBIS"),
        ("a.ogg", 48_000, "OPUS"),
        ("a.mp3", 44_100, "MPEG_LAYER_III"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_sounds_the_same(tmp_path: Path, name: str, rate: int, kind: str, channels: int) -> None:
    soundfile.write(tmp_path / name, np.column_stack([wave(rate)] * channels), rate, subtype=kind)
    heard = read_audio(tmp_path / name)
    assert heard.rate == RATE
    assert abs(len(heard) - RATE // 2) <= 1
    inner = slice(3000, 9000)
    spectrum = np.abs(np.fft.rfft(heard.array[inner] * np.hanning(6000)))
    assert np.argmax(spectrum) * RATE / 6000 == 440
    assert np.std(heard.array[inner] / 32_768) == pytest.approx(0.3 / 2**0.5, rel=0.05)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([[100, 200], [-32_768, -32_768], [5, -5]], "int16"), RATE)
    assert read_audio(tmp_path / "a.wav").array.tolist() == [150, -32_768, 0]


def test_resampling_leaves_no_seams_between_blocks(tmp_path: Path) -> None:
    long = wave(16_000, 100).astype("float32")
    soundfile.write(tmp_path / "a.wav", long, 16_000, subtype="FLOAT")
    at_once = soxr.resample(long * np.float32(32_768), 16_000, RATE)
    heard = read_audio(tmp_path / "a.wav").array
    assert len(heard) == len(at_once)
    assert np.max(np.abs(heard - at_once)) <= 1


def test_what_is_beyond_full_scale_or_no_number_does_no_harm(tmp_path: Path) -> None:
    wild = np.array([2, -2, np.nan, np.inf, -np.inf, 3e38], "float32")
    soundfile.write(tmp_path / "a.wav", wild, RATE, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav").array.tolist() == [32_767, -32_768, 0, 32_767, -32_768, 32_767]


def test_an_empty_sound_is_no_samples(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(header(0, 44_100))
    assert read_audio(tmp_path / "a.wav") == Pcm()


def test_more_than_an_hour_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(header(3601 * 8000, 8000))
    os.truncate(path, 44 + 2 * 3601 * 8000)
    with pytest.raises(UsageError, match=r"long\.wav: lasts longer than an hour\n  hint: cut it"):
        read_audio(path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.wav", None, "No such file or directory"),
        ("empty.wav", b"", "cannot be read as sound"),
        ("text.txt", b"hello, world\n", "cannot be read as sound"),
        ("bare.raw", b"\0\0\0\0", "cannot be read as sound"),
        ("slow.wav", header(0, 10), "10 samples per second are too few"),
        (".", None, "is not a file"),
    ],
)
def test_what_is_no_sound_is_refused_with_the_formats_that_are(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_audio(tmp_path / name)
    assert str(refused.value).startswith(f"{tmp_path / name}: {problem}")
    assert "WAV, FLAC, OGG or MP3" in refused.value.hint


@given(st.binary(max_size=60))
def test_a_broken_file_never_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "broken.wav"
    path.write_bytes(header(20, 8000)[: len(rest)] + rest)
    try:
        assert read_audio(path).rate == RATE
    except UsageError as error:
        assert "broken.wav" in str(error)  # noqa: PT017  either outcome is right
