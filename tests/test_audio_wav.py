"""WAV files are whole at every moment of their writing."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tau_stage.audio.loudness import peak_dbfs, rms_dbfs
from tau_stage.audio.pcm import Pcm, Stereo
from tau_stage.audio.riff import append_chunks
from tau_stage.audio.wav import WavWriter, read_wav

KILLED = """
import os, signal, sys
from pathlib import Path
from tau_stage.audio.pcm import Pcm
from tau_stage.audio.riff import append_chunks
from tau_stage.audio.wav import WavWriter
writer = WavWriter(Path(sys.argv[1]))
for _ in range(50):
    writer.append(Pcm(b"\\x01\\x02" * 2400))
os.kill(os.getpid(), signal.SIGKILL)
"""


@given(st.lists(st.binary(max_size=64).map(lambda data: Pcm(data[: len(data) // 2 * 2])), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_what_is_written_is_read_back(tmp_path: Path, parts: list[Pcm]) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(path) as writer:
        for part in parts:
            writer.append(part)
    assert read_wav(path) == Pcm.join(parts)


def test_every_reader_sees_a_whole_file_after_every_append(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    writer = WavWriter(path)
    for count in range(1, 4):
        writer.append(Pcm(b"\x10\x20" * 100))
        with wave.open(str(path)) as file:
            assert file.getnframes() == 100 * count
        assert soundfile.info(path).frames == 100 * count
    writer.close()
    writer.close()


def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    """Not slow but a process of its own: nothing else can be killed."""
    path = tmp_path / "a.wav"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode < 0
    assert len(read_wav(path)) == 120_000
    assert soundfile.info(path).frames == 120_000


def test_a_system_that_takes_a_few_bytes_at_once_leaves_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path) -> bytes:
        with WavWriter(path) as writer:
            writer.append(Pcm(b"\x10\x20" * 400))
            writer.silence(300)
            writer.overlay(200, Pcm(b"\x01\x02" * 900))
            writer.fade_out(100)
        append_chunks(path, {b"note": b"spoken by a machine"})
        return path.read_bytes()

    whole = write(tmp_path / "whole.wav")
    few_at_once(monkeypatch)
    assert write(tmp_path / "few.wav") == whole


def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system take seven bytes at once, as it may."""
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:7], at))


def test_rates_do_not_mix(tmp_path: Path) -> None:
    with (
        WavWriter(tmp_path / "a.wav") as writer,
        pytest.raises(ValueError, match="24000 Hz, but the audio is at 8000 Hz"),
    ):
        writer.append(Pcm(b"", 8000))


@given(st.lists(st.binary(max_size=64).map(lambda data: Stereo(data[: len(data) // 4 * 4])), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_left_and_right_are_read_back(tmp_path: Path, parts: list[Stereo]) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(path, channels=2) as writer:
        for part in parts:
            writer.append(part)
        writer.silence(3)
    samples, _rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert samples.tobytes() == b"".join(part.data for part in parts) + bytes(12)


def test_both_channels_are_laid_over_and_faded(tmp_path: Path) -> None:
    flat = Stereo.of(Pcm(b"\x10\x00" * 8), Pcm(b"\x20\x00" * 8))
    with WavWriter(tmp_path / "a.wav", channels=2) as writer:
        writer.append(flat)
        writer.overlay(4, flat)
        writer.fade_out(4)
    samples, _rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert samples[:, 0].tolist() == [16] * 4 + [32] * 4 + [16, 12, 8, 4]
    assert (samples[:, 1] == 2 * samples[:, 0]).all()


def test_mono_and_stereo_do_not_mix(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav", channels=2) as writer:
        with pytest.raises(ValueError, match="has 2 channels, but the audio has 1"):
            writer.append(Pcm(b"ab"))
        with pytest.raises(ValueError, match="has 2 channels, but the audio has 1"):
            writer.overlay(0, Pcm(b"ab"))
    with pytest.raises(ValueError, match="a multiple of 4 bytes: got 6"):
        Stereo(bytes(6))


def test_other_files_are_refused(tmp_path: Path) -> None:
    stereo, text = tmp_path / "stereo.wav", tmp_path / "text.wav"
    soundfile.write(stereo, [[0.0, 0.0]], 24_000)
    text.write_text("hello")
    with pytest.raises(ValueError, match="2 channels"):
        read_wav(stereo)
    with pytest.raises(ValueError, match="not a WAV file"):
        read_wav(text)


def test_sound_that_a_file_is_not_of_is_neither_appended_nor_laid_over_it(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "mono.wav") as file:
        file.append(Pcm.silence(4))
        for other, problem in ((Pcm.silence(2, 8_000), "at 8000 Hz"), (Stereo(bytes(8)), "the audio has 2")):
            with pytest.raises(ValueError, match=problem):
                file.append(other)
            with pytest.raises(ValueError, match=problem):
                file.overlay(0, other)
    assert read_wav(tmp_path / "mono.wav") == Pcm.silence(4)


def test_levels_are_relative_to_full_scale() -> None:
    half = Pcm((16384).to_bytes(2, "little", signed=True) * 100)
    assert round(rms_dbfs(half), 2) == -6.02
    assert round(peak_dbfs(half), 2) == -6.02
    assert peak_dbfs(Pcm()) == rms_dbfs(Pcm()) == peak_dbfs(Pcm.silence(4)) == -120
