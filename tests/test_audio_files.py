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

from tau_stage.audio.files import quiet_decoder, read_audio, read_playable, survey
from tau_stage.audio.pcm import RATE, Pcm, Stereo
from tau_stage.audio.wav import WavWriter, header
from tau_stage.errors import UsageError


def wave(rate: int, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


@given(st.binary(min_size=2, max_size=400).filter(lambda data: len(data) % 2 == 0))
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


@pytest.mark.parametrize("rate", [24_000, 44_100, 96_000])
def test_a_file_of_two_channels_keeps_them_where_its_stem_is_stereo(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([wave(rate), 0.5 * wave(rate)], axis=1), rate)
    sound = read_playable(tmp_path / "a.wav", -6.0, stereo=True)
    assert isinstance(sound.laid, Stereo)
    assert len(sound.laid) == len(sound.heard)
    left, right = sound.laid.array.T.astype(float)
    assert np.abs(left - 2 * right).max() <= 2
    assert np.abs((left + right) / 2 - sound.heard.array).max() <= 1
    assert read_playable(tmp_path / "a.wav", -6.0).laid == sound.heard == read_audio(tmp_path / "a.wav", -6.0)


@pytest.mark.parametrize("channels", [1, 6])
def test_a_file_of_another_number_of_channels_is_the_same_on_both(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.column_stack([wave(RATE)] * channels), RATE)
    sound = read_playable(tmp_path / "a.wav", stereo=True)
    assert sound.laid == Stereo.of(sound.heard, sound.heard)


def test_a_channel_over_full_scale_makes_both_softer(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([[2.0, 0.5], [-1.0, 1.0]]), RATE, subtype="FLOAT")
    assert survey(tmp_path / "a.wav").loudest_dbfs == pytest.approx(6.02, abs=0.01)
    sound = read_playable(tmp_path / "a.wav", 12.0, stereo=True)
    assert sound.laid.array.tolist() == [[32_767, 8192], [-16_384, 16_384]]


def test_resampling_leaves_no_seams_between_blocks(tmp_path: Path) -> None:
    long = wave(16_000, 100).astype("float32")
    soundfile.write(tmp_path / "a.wav", long, 16_000, subtype="FLOAT")
    at_once = soxr.resample(long * np.float32(32_768), 16_000, RATE)
    heard = read_audio(tmp_path / "a.wav").array
    assert len(heard) == len(at_once)
    assert np.max(np.abs(heard - at_once)) <= 1


def test_what_is_beyond_full_scale_or_no_number_does_no_harm(tmp_path: Path) -> None:
    wild = np.array([2, -2, np.nan, np.inf, -np.inf, 1], "float32")
    soundfile.write(tmp_path / "a.wav", wild, RATE, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav").array.tolist() == [32_767, -32_768, 0, 0, 0, 16_384]


@given(gain_db=st.floats(-60, 24), peak=st.floats(0.01, 100))
def test_gain_comes_before_full_scale_and_never_distorts(
    tmp_path_factory: pytest.TempPathFactory, gain_db: float, peak: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "over.wav"
    shape = np.sin(2 * np.pi * 440 * np.arange(2400) / RATE)
    soundfile.write(path, peak * shape, RATE, subtype="FLOAT")
    loudest = min(1.0, peak * 10 ** (gain_db / 20)) * 32_768
    expected = loudest * shape / np.max(np.abs(shape))
    assert np.max(np.abs(read_audio(path, gain_db).array - expected)) <= 1.01


def mp3_with_a_cover(path: Path, seconds: float) -> None:
    """A tone at a constant rate without its Xing frame, behind a picture that passes for sound."""
    soundfile.write(path, wave(48_000, seconds), 48_000, bitrate_mode="CONSTANT", compression_level=0.5)
    data = path.read_bytes()
    picture = b"APIC" + (300_014).to_bytes(4, "big") + b"\0\0\0image/jpeg\0\3\0" + bytes(300_000)
    size = bytes(len(picture) >> shift & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + size + picture + data[data.index(data[:3], 48) :])


@pytest.mark.parametrize("seconds", [1, 30])
def test_only_frames_that_were_read_are_sound(tmp_path: Path, seconds: int) -> None:
    mp3_with_a_cover(tmp_path / "a.mp3", seconds)
    assert soundfile.info(tmp_path / "a.mp3").duration > seconds + 1
    heard = read_audio(tmp_path / "a.mp3")
    assert seconds <= heard.duration_s < seconds + 0.1
    assert np.std(heard.array[-6000:-2400] / 32_768) == pytest.approx(0.3 / 2**0.5, rel=0.05)


def mp3_without_length(path: Path, seconds: float) -> None:
    """An MP3 of variable bit rate whose first frame, which is noisy, is not what the rest is like."""
    sound = np.where(np.arange(round(44_100 * seconds)) < 2000, 1.0, 0.1) * wave(44_100, seconds)
    sound[:2000] += np.random.default_rng(1).normal(0, 0.2, 2000)
    soundfile.write(path, sound, 44_100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 4) :])  # without the frame of Xing


def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mp3_without_length(tmp_path / "a.mp3", 3.0)
    assert abs(soundfile.info(tmp_path / "a.mp3").duration - 3.0) > 0.5
    heard = read_audio(tmp_path / "a.mp3")
    assert heard.duration_s == pytest.approx(3.0, abs=0.1)
    assert read_audio(tmp_path / "a.mp3") == heard
    assert capfd.readouterr().err == ""


def test_half_an_mp3_that_does_not_tell_its_length_is_half_a_sound_or_an_error(tmp_path: Path) -> None:
    mp3_without_length(tmp_path / "a.mp3", 3.0)
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"cannot read this file as audio \(it is damaged or truncated\)"):
        read_audio(tmp_path / "b.mp3")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_half_a_file_is_an_error_or_half_a_sound_each_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, wave(48_000, 5), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def outcome() -> object:
        try:
            return read_audio(path)
        except UsageError as error:
            return str(error)

    once = outcome()
    assert outcome() == once
    if isinstance(once, Pcm):
        assert 2 < once.duration_s < 3
    else:
        assert name in str(once)


def test_the_decoder_says_nothing_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, wave(48_000, 5), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    soundfile.info(path)
    assert "Xing" in capfd.readouterr().err
    with quiet_decoder():
        os.write(2, b"somebody else's\n")
        soundfile.read(path)
    read_audio(path)
    assert capfd.readouterr().err == "somebody else's\n"


@pytest.mark.parametrize("content", [header(0, 44_100), header(3, 192_000) + bytes(6)])
def test_a_file_without_sound_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.wav: the file contains no audio"):
        read_audio(tmp_path / "a.wav")


def test_a_git_lfs_pointer_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(UsageError, match=r"a\.wav: is a Git LFS pointer\n  hint: fetch the file with git lfs pull"):
        read_audio(tmp_path / "a.wav")


def test_a_silent_sound_and_channels_that_cancel_each_other_are_told_of(tmp_path: Path) -> None:
    def told(*channels: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[str, ...]:
        soundfile.write(tmp_path / "a.wav", np.column_stack(channels), RATE)
        os.utime(tmp_path / "a.wav", ns=(len(seen), len(seen)))
        seen.append(channels)
        return survey(tmp_path / "a.wav").warnings

    seen: list[object] = []
    tone = wave(RATE)
    assert told(tone) == told(tone, tone) == told(tone, 0 * tone) == told(tone, 0.5 * tone) == ()
    assert told(tone, -0.5 * tone) == ()
    assert told(0 * tone) == told(0 * tone, 0 * tone) == ("is silent",)
    assert "quieter in mono because its channels cancel each other out" in told(tone, -tone)[0]
    assert "cancel" in told(tone, -0.95 * tone)[0]


def test_more_than_an_hour_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(header(3601 * 8000, 8000))
    os.truncate(path, 44 + 2 * 3601 * 8000)
    with pytest.raises(UsageError, match=r"long\.wav: the audio is longer than an hour\n  hint: split it"):
        read_audio(path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.wav", None, "No such file or directory"),
        ("text.txt", b"hello, world\n", "cannot read this file as audio"),
        ("bare.raw", b"\0\0\0\0", "cannot read this file as audio"),
        ("slow.wav", header(0, 10), "a sample rate of 10 Hz is too low"),
        (".", None, "not a file"),
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
    assert "WAV, FLAC, OGG and MP3" in refused.value.hint


def test_the_beginning_of_an_mp3_is_told_as_cut_short(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.mp3", wave(RATE), RATE)
    (tmp_path / "cut.mp3").write_bytes((tmp_path / "whole.mp3").read_bytes()[:254])
    with pytest.raises(UsageError, match=r"cut\.mp3: cannot read this file as audio \(it is damaged or truncated\)"):
        read_audio(tmp_path / "cut.mp3")


def test_an_empty_file_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(UsageError, match=r"empty\.wav: the file is empty\n  hint: record or export it again"):
        read_audio(tmp_path / "empty.wav")


@given(st.binary(max_size=60))
def test_a_broken_file_never_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "broken.wav"
    path.write_bytes(header(20, 8000)[: len(rest)] + rest)
    try:
        assert read_audio(path).rate == RATE
    except UsageError as error:
        assert "broken.wav" in str(error)  # noqa: PT017  either outcome is right
