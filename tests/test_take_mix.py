"""The mix of a take: at its loudness, below its ceiling, for a second meter too; and what goes wrong."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3
from mutagen.mp3 import MP3, BitrateMode

from tau_stage.audio.loudness import Loudness
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.delivery_options import Deliver, Mix
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.mastering import Mastered
from tau_stage.take.mixing import SilentTake, mix
from tau_stage.take.reading import open_sound
from tau_stage.take.take_model import Take
from tests.test_audio_loudness import Samples, second_meter, second_peak_db, voice
from tests.test_take import ROLES, journal_of, spoken

HOUR = 3600


def take_of(path: Path, **stems: Samples) -> tuple[TakeFolder, Take]:
    """A take with a stem for each of the two players and each further name, which is a sound; who has one speaks."""
    length = max(len(stem) for stem in stems.values())
    facts: list[record.Record] = []
    silent = {role.name: np.zeros(0) for role in ROLES}
    for name, samples in (silent | stems).items():
        (path / "stems").mkdir(parents=True, exist_ok=True)
        audio = Pcm.from_array(np.concatenate([samples, np.zeros(length - len(samples))]))
        with WavWriter(path / "stems" / f"{name}.wav") as file:
            file.append(audio)
        if name in {role.name for role in ROLES}:
            facts.append(spoken(name, name, len(samples), Usage()))
        else:
            facts.append(
                record.SoundPlayed(
                    sound=name, kind="sfx", source="a.wav", stem=name, gain_db=0, offset_samples=0,
                    samples=len(samples), sha256="0", hearers=(),
                )
            )  # fmt: skip
    return TakeFolder(path), fold(journal_of(*facts))


def duo(path: Path, gain: float = 1.0, seconds: float = 3.0) -> tuple[TakeFolder, Take]:
    return take_of(path, clerk=gain * voice(seconds, 1), tourist=gain * voice(seconds, 2))


def read(path: Path) -> Samples:
    samples, _rate = soundfile.read(path, dtype="float64")
    return np.asarray(samples, np.float64)


@pytest.mark.parametrize("rate", [24_000, 48_000])
@pytest.mark.parametrize(("gain", "target"), [(1.0, -16.0), (0.1, -23.0), (0.001, -16.0), (0.001, -30.0), (4.0, -14.0)])
def test_a_mix_is_as_loud_as_asked_and_below_its_ceiling(tmp_path: Path, gain: float, target: float, rate: int) -> None:
    folder, take = duo(tmp_path, gain)
    made = mix(folder, take, Mix(loudness=target), rate)
    info = soundfile.info(tmp_path / "mix.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (rate, 1, "PCM_24", 3 * rate)
    sound = read(tmp_path / "mix.wav")
    assert second_meter(sound, rate) == pytest.approx(target, abs=0.5)
    assert second_peak_db(sound) <= -1
    assert made.lufs == pytest.approx(second_meter(sound, rate), abs=0.2)
    assert str(made) == f"mix.wav {made.lufs:.1f} LUFS, {made.peak_dbtp:.1f} dBTP"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mix.wav"]


def test_where_nothing_is_too_loud_the_mix_is_the_sum_of_the_stems(tmp_path: Path) -> None:
    folder, take = duo(tmp_path)
    made = mix(folder, take, Mix(loudness=-23.0))
    total = sum(read(tmp_path / "stems" / f"{name}.wav") for name in ("clerk", "tourist"))
    assert not made.limited
    assert np.allclose(read(tmp_path / "mix.wav"), total * 10 ** (made.gain_db / 20), atol=2**-23)


def test_peaks_are_limited_only_where_they_are(tmp_path: Path) -> None:
    sound = voice(4)
    sound[40_000:40_010] = 0.9
    folder, take = take_of(tmp_path, clerk=sound)
    made = mix(folder, take, Mix(loudness=-26.0, peak=-3.0))
    out = read(tmp_path / "mix.wav")
    assert made.limited
    assert second_peak_db(out) <= -3
    assert np.allclose(
        out[:39_000], read(tmp_path / "stems" / "clerk.wav")[:39_000] * 10 ** (made.gain_db / 20), atol=1e-6
    )


def test_peaks_far_above_all_samples_are_limited_too(tmp_path: Path) -> None:
    # the samples of this tone lie 3 dB below its peaks, which are between them
    tone = 0.2 * np.sin(np.pi / 2 * np.arange(3 * RATE) + np.pi / 4)
    folder, take = take_of(tmp_path, clerk=tone)
    samples_db = -1 - 0.4 - 1.5  # where they allow the loudness, and the peaks between them do not
    target = second_meter(tone, RATE) + samples_db - 20 * np.log10(np.abs(tone).max())
    made = mix(folder, take, Mix(loudness=round(float(target), 1)))
    assert made.limited
    assert second_peak_db(read(tmp_path / "mix.wav")) <= -1


def test_what_its_peaks_do_not_allow_is_told(tmp_path: Path) -> None:
    clicks = np.zeros(2 * RATE)
    clicks[:: RATE // 4] = 0.8
    made = mix(*take_of(tmp_path, clerk=clicks), Mix(loudness=-10.0))
    assert second_peak_db(read(tmp_path / "mix.wav")) <= -1
    assert str(made).endswith("(limited by its peaks; the target is -10 LUFS)")


@pytest.mark.parametrize("name", ["mix.flac", "mix.ogg", "mix.mp3", "MIX.WAV"])
def test_the_ending_says_what_kind_of_file_it_is(tmp_path: Path, name: str) -> None:
    folder, take = duo(tmp_path, 4.0, 2.0)
    made = mix(folder, take, Mix(file=name))
    sound = read(tmp_path / name)
    assert made.file == name
    assert second_meter(sound) == pytest.approx(-16, abs=0.5)
    assert second_peak_db(sound) <= -0.8


def test_sounds_are_mixed_too_and_each_stem_once(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, clerk=voice(2, 1), door=voice(2, 3))
    twice = take.model_copy(update={"sounds": take.sounds * 2})
    one, two = mix(folder, take, Mix(file="one.wav")), mix(folder, twice, Mix(file="two.wav"))
    assert one.gain_db == two.gain_db
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


@given(samples=st.integers(1, 15_000), level=st.floats(0.001, 1.0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_however_short_it_is_it_stays_below_the_ceiling(tmp_path: Path, samples: int, level: float) -> None:
    random = np.random.default_rng(samples)
    folder, take = take_of(tmp_path, clerk=level * random.uniform(-1, 1, samples) + 1e-4)
    made = mix(folder, take, Mix())
    out = read(tmp_path / "mix.wav")
    assert len(out) == samples
    assert np.abs(out).max() <= 10 ** (-1 / 20)
    assert made.peak_dbtp <= -1


# ---- what goes wrong


def test_a_silent_take_and_one_without_stems_are_not_mixed(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, clerk=np.zeros(100))
    (tmp_path / "mix.wav").write_text("kept")
    with pytest.raises(SilentTake, match="silent"):
        mix(folder, take, Mix())
    bare = take.model_copy(update={"players": ()})
    with pytest.raises(SilentTake, match="no stems"):
        mix(folder, bare, Mix())
    assert (tmp_path / "mix.wav").read_text() == "kept"


def spoil(path: Path, how: str) -> None:
    stem = path / "stems" / "tourist.wav"
    match how:
        case "missing":
            stem.unlink()
        case "truncated":
            stem.write_bytes(stem.read_bytes()[:-1000])
        case "short":
            soundfile.write(stem, np.zeros(1000), RATE, subtype="PCM_16")
        case "stereo":
            soundfile.write(stem, np.zeros((200_000, 2)), RATE, subtype="PCM_16")
        case "another rate":
            soundfile.write(stem, np.zeros(200_000), 44_100, subtype="PCM_16")
        case _:
            stem.write_bytes(b"no sound")


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("missing", "file not found"),
        ("truncated", "has 71500 samples, expected 72000"),
        ("short", "has 1000 samples, expected 72000"),
        ("stereo", "2 channels at 24000 Hz"),
        ("another rate", "1 channel at 44100 Hz"),
        ("garbage", "format not recognised"),
    ],
)
def test_a_stem_that_is_broken_is_one_clear_error(tmp_path: Path, how: str, problem: str) -> None:
    folder, take = duo(tmp_path)
    (tmp_path / "mix.wav").write_text("kept")
    spoil(tmp_path, how)
    with pytest.raises(TakeError, match=problem) as raised:
        mix(folder, take, Mix())
    assert raised.value.path.endswith("tourist.wav")
    assert raised.value.hint
    assert (tmp_path / "mix.wav").read_text() == "kept"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["../clerk.wav", "/etc/passwd", "stems/../../x.wav", "C:\\x.wav"])
def test_a_take_that_names_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder, take = duo(tmp_path)
    strange = take.players[0].model_copy(update={"stem": name})
    with pytest.raises(TakeError, match="outside the take"):
        mix(folder, take.model_copy(update={"players": (take.players[1], strange)}), Mix())


@pytest.mark.parametrize("name", ["mix.wav", "mix.flac", "mix.ogg", "mix.mp3"])
def test_a_full_disk_is_told_and_the_old_mix_stays(tmp_path: Path, name: str) -> None:
    folder, take = duo(tmp_path)
    (tmp_path / name).write_text("kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(TakeError) as raised:
            mix(folder, take, Mix(file=name))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.path == str(tmp_path / name)
    assert "free some disk space" in raised.value.hint
    assert (tmp_path / name).read_text() == "kept"
    assert not list(tmp_path.glob(".*"))


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    folder, take = duo(tmp_path)
    (tmp_path / "mix.wav").mkdir()
    with pytest.raises(TakeError, match="directory"):
        mix(folder, take, Mix())
    shutil.rmtree(folder.stems)
    with pytest.raises(TakeError, match="file not found"):
        mix(folder, take, Mix())


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_hour_of_twelve_stems_needs_little_memory(tmp_path: Path) -> None:
    """Slow: 86 million samples of twelve stems, twice, in a process of its own."""
    command = [sys.executable, "-m", "tests.hour", str(tmp_path / "take"), "0.1"]
    top = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["mb"] < 200
    assert told["lufs"] == pytest.approx(-16, abs=0.5)
    assert told["dbtp"] <= -1
    assert soundfile.info(tmp_path / "take" / "mix.wav").duration == HOUR


@pytest.mark.parametrize(("kbps", "rate"), [(32, 24_000), (64, 24_000), (160, 24_000), (128, 48_000), (320, 48_000)])
def test_an_mp3_has_the_bit_rate_that_is_asked_for(tmp_path: Path, kbps: int, rate: int) -> None:
    folder, take = duo(tmp_path)
    mix(folder, take, Mix(file="a.mp3", bitrate=kbps), rate)
    info = MP3(tmp_path / "a.mp3").info
    assert (info.bitrate, info.sample_rate) == (kbps * 1000, rate)


def test_an_mp3_has_title_artist_and_cover_and_nothing_is_said_of_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, take = duo(tmp_path)
    picture = b"\x89PNG\r\n\x1a\n" + bytes(30_000)
    (tmp_path / "c.png").write_bytes(picture)
    wanted = Mix(file="a.mp3", title="Zoë", artist="Us", cover=str(tmp_path / "c.png"))
    made = mix(folder, take, wanted)
    tags = ID3(tmp_path / "a.mp3")
    assert (str(tags["TIT2"]), str(tags["TPE1"])) == ("Zoë", "Us")
    assert (tags["APIC:"].data, tags["APIC:"].mime) == (picture, "image/png")
    assert soundfile.info(tmp_path / "a.mp3").duration == pytest.approx(made.seconds)
    assert mix(folder, take, Mix(file="b.mp3")).file == "b.mp3"
    assert str(ID3(tmp_path / "b.mp3")["TIT2"]) == take.scene.title
    assert capfd.readouterr().err == ""
    (tmp_path / "c.png").unlink()
    before = (tmp_path / "a.mp3").read_bytes()
    with pytest.raises(TakeError, match="the mix has no cover: no such file"):
        mix(folder, take, wanted)
    assert (tmp_path / "a.mp3").read_bytes() == before


def test_what_the_decoder_says_of_an_mp3_is_kept_from_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mix.mp3"
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32)
    soundfile.write(path, noise, 24_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    soundfile.info(path)
    assert "Xing" in capfd.readouterr().err
    with open_sound(path) as file:
        file.read()
    assert capfd.readouterr().err == ""


# ---- presets


@pytest.mark.slow
@pytest.mark.parametrize(("stereo", "lufs", "kbps"), [(False, -19.0, 128), (True, -16.0, 192)])
def test_a_podcast_is_what_its_preset_says_for_a_second_meter(
    tmp_path: Path, stereo: bool, lufs: float, kbps: int
) -> None:
    """Slow: MP3s are made, and measured twice."""
    folder, take = duo(tmp_path, 2.0)
    wanted = Deliver(preset="podcast", stereo=stereo)
    assert wanted.mix
    made = mix(folder, take.model_copy(update={"channels": wanted.channels}), wanted.mix, wanted.rate)
    sound, rate = soundfile.read(tmp_path / "mix.mp3")
    info = MP3(tmp_path / "mix.mp3").info
    assert (info.sample_rate, info.channels) == (44_100, wanted.channels)
    assert info.bitrate == pytest.approx(kbps * 1000, rel=0.001)
    assert info.bitrate_mode == BitrateMode.CBR
    assert second_meter(sound, rate) == pytest.approx(lufs, abs=0.5)
    assert second_peak_db(sound.reshape(len(sound), -1)[:, 0]) <= -1 + 0.1
    assert made.missed == ()
    assert f"{made.level:.1f} LUFS" in str(made)


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_an_audiobook_is_what_acx_asks_for(tmp_path: Path, gain: float) -> None:
    """Slow: MP3s are made, several times where peaks are too high."""
    folder, take = duo(tmp_path, gain)
    wanted = Deliver(preset="audiobook").mix
    assert wanted
    made = mix(folder, take, wanted)
    sound, rate = soundfile.read(tmp_path / "mix.mp3")
    info = MP3(tmp_path / "mix.mp3").info
    assert (rate, info.channels, info.bitrate_mode) == (44_100, 1, BitrateMode.CBR)
    assert info.bitrate == pytest.approx(192_000, rel=0.001)
    level = 10 * np.log10(np.mean(sound**2))
    assert -23 <= level <= -18
    assert made.level == pytest.approx(level, abs=0.01)
    assert 20 * np.log10(np.abs(sound).max()) <= -3
    assert second_peak_db(sound) <= -3 + 0.1
    heard = np.flatnonzero(np.abs(sound) > 0.003) / rate
    assert 0.5 <= heard[0] <= 1
    assert 1 <= len(sound) / rate - heard[-1] <= 5
    for start in (0, len(sound) - rate):  # what Audacity's ACX check calls the noise floor
        assert np.sqrt(np.mean(sound[start : start + rate // 2] ** 2)) <= 1e-3
    assert made.missed == ()
    assert str(made).startswith(f"mix.mp3 {level:.1f} dB RMS, ")


def test_a_file_that_does_not_meet_its_preset_says_what_it_has(tmp_path: Path) -> None:
    clicks = np.zeros(2 * RATE)
    clicks[:: RATE // 4] = 0.8
    folder, take = take_of(tmp_path, clerk=clicks)
    wanted = Deliver(preset="podcast", mix=Mix(loudness=-10, file="mix.flac")).mix
    assert wanted
    (problem,) = mix(folder, take, wanted).missed
    assert re.fullmatch(r"mix\.flac has -\d\d\.\d LUFS, expected -10 LUFS within 1 dB", problem)
    hiss = 0.05 * np.random.default_rng(1).normal(size=2 * RATE)
    folder, take = take_of(tmp_path / "hiss", clerk=hiss)
    (problem,) = mix(folder, take, Mix(rms=-20, noise_floor=-60)).missed
    assert re.fullmatch(r"mix\.wav has a noise floor of -2\d\.\d dB, above the maximum of -60 dB", problem)


def test_what_is_limited_below_every_peak_is_measured_and_told() -> None:
    over = Mastered(Loudness(-16.0, -0.4, 24_000, -18.0, -80.0))
    assert over.missed(Mix(peak=-1)) == ["has peaks of -0.4 dBTP, above the maximum of -1 dBTP"]
    assert Mastered(Loudness(None, None, 24_000)).peak_dbtp == -120


def test_silence_before_and_after_is_part_of_the_mix(tmp_path: Path) -> None:
    folder, take = duo(tmp_path)
    made = mix(folder, take, Mix(head=0.5, tail=4.0, bits="32f", rate=48_000))
    info = soundfile.info(tmp_path / "mix.wav")
    assert (info.subtype, info.samplerate, made.seconds) == ("FLOAT", 48_000, 7.5)
    sound = read(tmp_path / "mix.wav")
    assert not sound[:24_000].any()
    assert not sound[-4 * 48_000 :].any()
    assert sound[24_000:-192_000].any()
