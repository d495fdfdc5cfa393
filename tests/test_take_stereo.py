"""Takes in stereo: where players stand in the mix, how loud both channels are, and what else follows."""

from __future__ import annotations

import json
import math
import shutil
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rpp as reader
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.mp3 import MP3

from tau_stage.audio.pcm import RATE, pan_gains
from tau_stage.audio.riff import BEXT, CUE, IXML, read_chunks
from tau_stage.audio.wav import read_wav
from tau_stage.checks.snapshot import take_snapshot
from tau_stage.checks.snapshot_diff import compare_snapshot
from tau_stage.errors import TakeError
from tau_stage.report.delivering import deliver
from tau_stage.report.page import render_page
from tau_stage.scene.delivery_options import Deliver, Mix
from tau_stage.scene.load import load_scene
from tau_stage.scene.plan import Plan, plan_json
from tau_stage.scene.planner import make_plan
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import Journal
from tau_stage.take.mixing import mix
from tau_stage.take.stems import follow_picks
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import Playhouse
from tests.test_audio_loudness import Samples, second_peak_db, voice
from tests.test_report_sessions import in_reaper
from tests.test_take_mix import take_of

pytestmark = pytest.mark.anyio

SCENE = """
players: {ann: {voice: ash, pan: -0.5}, bob: {voice: coral, pan: 1}, cid: {voice: sage}}
lines:
  - {bed: wide.wav, until: bob-1, gain: -6 dB}
  - ann: Good evening to all of you.
    takes: 2
    pick: first
  - bob: Is it, in this rain?
  - {sfx: door.wav, heard: true}
  - cid: Who is there?
"""
STEREO = "deliver: {stereo: true, rate: 48 kHz, mix: {loudness: -20 LUFS}}\n"


def scene_in(folder: Path, deliver: str = STEREO) -> Plan:
    """The scene with its sounds: one of two channels that are not alike, and one of one."""
    seconds = np.arange(RATE // 2) / RATE
    left, right = 0.4 * np.sin(2 * np.pi * 300 * seconds), 0.2 * np.sin(2 * np.pi * 500 * seconds)
    soundfile.write(folder / "wide.wav", np.stack([left, right], axis=1), RATE, subtype="PCM_16")
    soundfile.write(folder / "door.wav", left[:4800], RATE, subtype="PCM_16")
    (folder / "scene.yaml").write_text(SCENE + deliver)
    return make_plan(load_scene(folder / "scene.yaml"))


async def performed(folder: Path, deliver: str = STEREO) -> tuple[Plan, TakeFolder, Take]:
    plan = scene_in(folder, deliver)
    house = Playhouse(folder)
    take = await house.perform(plan)
    return plan, house.folder, take


def read(path: Path) -> Samples:
    samples, _rate = soundfile.read(path, dtype="float64", always_2d=True)
    return np.asarray(samples, np.float64)


def in_stereo(take: Take, **pans: float) -> Take:
    """A take as if it were delivered in stereo."""
    players = tuple(player.model_copy(update={"pan": pans.get(player.name, 0.0)}) for player in take.players)
    return take.model_copy(update={"players": players, "channels": 2})


def second_meter(samples: Samples, rate: int = RATE) -> float:
    """The oracle: another program's meter, of both channels."""
    import pyloudnorm  # loads scipy: which takes a second

    return float(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples))


# ---- the law


@given(pan=st.floats(-1, 1))
def test_a_voice_has_the_same_power_wherever_it_stands(pan: float) -> None:
    left, right = pan_gains(pan)
    assert left**2 + right**2 == pytest.approx(1)
    assert min(left, right) >= 0
    assert pan_gains(-pan) == pytest.approx((right, left))
    assert (right > left) == (pan > 1e-9) or abs(pan) <= 1e-9
    assert (left + right) / math.sqrt(2) == pytest.approx(math.cos(pan * math.pi / 4))


@given(pan=st.floats(-1, 1), other=st.floats(-1, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_each_channel_of_a_mix_holds_each_stem_as_the_law_says(tmp_path: Path, pan: float, other: float) -> None:
    folder, take = take_of(tmp_path, clerk=voice(1, 1), tourist=voice(1, 2))
    made = mix(folder, in_stereo(take, clerk=pan, tourist=other), Mix(loudness=-26.0))
    clerk, tourist = (read(tmp_path / "stems" / f"{name}.wav") for name in ("clerk", "tourist"))
    wanted = clerk * pan_gains(pan) + tourist * pan_gains(other)
    assert not made.limited
    assert np.allclose(read(tmp_path / "mix.wav"), wanted * 10 ** (made.gain_db / 20), atol=2e-7)


@given(loud=st.floats(0.1, 1.0), wide=st.floats(0.0, 1.0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_where_nobody_is_panned_both_channels_added_are_the_mono_mix(tmp_path: Path, loud: float, wide: float) -> None:
    left, right = loud * voice(1, 3), wide * voice(1, 4)
    folder, take = take_of(tmp_path, clerk=voice(1, 1), rain=(left + right) / 2)
    alone = mix(folder, take, Mix(loudness=-26.0, file="mono.wav"))
    soundfile.write(tmp_path / "stems" / "rain.wav", np.stack([left, right], axis=1), RATE, subtype="PCM_16")
    both = mix(folder, in_stereo(take), Mix(loudness=-26.0))
    added = read(tmp_path / "mix.wav").sum(axis=1) / math.sqrt(2) / 10 ** (both.gain_db / 20)
    mono = read(tmp_path / "mono.wav")[:, 0] / 10 ** (alone.gain_db / 20)
    assert np.allclose(added, mono, atol=1e-4)  # the stems have 16 bit


@pytest.mark.parametrize("pan", [-1.0, -0.3, 0.0, 0.8])
def test_a_voice_is_as_loud_in_stereo_as_in_mono_wherever_it_stands(tmp_path: Path, pan: float) -> None:
    folder, take = take_of(tmp_path, clerk=voice(3, 1))
    alone = mix(folder, take, Mix(loudness=-26.0))
    both = mix(folder, in_stereo(take, clerk=pan), Mix(loudness=-26.0))
    assert both.gain_db == pytest.approx(alone.gain_db, abs=0.05)


# ---- the mix


@pytest.mark.parametrize("rate", [24_000, 48_000])
@pytest.mark.parametrize(("gain", "target"), [(1.0, -16.0), (0.01, -23.0), (4.0, -14.0)])
def test_it_is_as_loud_as_asked_and_below_its_ceiling_on_both_sides(
    tmp_path: Path, gain: float, target: float, rate: int
) -> None:
    folder, take = take_of(tmp_path, clerk=gain * voice(3, 1), tourist=gain * voice(3, 2))
    made = mix(folder, in_stereo(take, clerk=-0.7, tourist=0.2), Mix(loudness=target), rate)
    info = soundfile.info(tmp_path / "mix.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (rate, 2, "PCM_24", 3 * rate)
    sound = read(tmp_path / "mix.wav")
    assert second_meter(sound, rate) == pytest.approx(target, abs=0.5)
    assert max(second_peak_db(channel) for channel in sound.T) <= -1
    assert str(made) == f"mix.wav stereo, {made.lufs:.1f} LUFS, {made.peak_dbtp:.1f} dBTP"


def test_both_sides_are_turned_down_together(tmp_path: Path) -> None:
    steady, click = 0.1 * np.sin(np.arange(2 * RATE) / 4), np.zeros(2 * RATE)
    click[RATE : RATE + 20] = 0.9
    folder, take = take_of(tmp_path, clerk=steady, tourist=click)
    made = mix(folder, in_stereo(take, clerk=1.0, tourist=-1.0), Mix(loudness=-26.0, peak=-10.0))
    left, right = read(tmp_path / "mix.wav").T / 10 ** (made.gain_db / 20)
    assert made.limited
    assert second_peak_db(left * 10 ** (made.gain_db / 20)) <= -10
    turned = left[RATE : RATE + 20] / 0.9
    assert np.allclose(right[RATE : RATE + 20], steady[RATE : RATE + 20] * turned, atol=1e-4)
    assert turned.max() < 0.7
    assert np.allclose(right[: RATE - 500], steady[: RATE - 500], atol=1e-4)


@pytest.mark.parametrize(("kbps", "rate"), [(64, 24_000), (160, 24_000), (128, 48_000), (320, 48_000), (None, 24_000)])
def test_an_mp3_has_two_channels_and_its_bit_rate(tmp_path: Path, kbps: int | None, rate: int) -> None:
    folder, take = take_of(tmp_path, clerk=voice(1, 1), tourist=voice(1, 2))
    mix(folder, in_stereo(take, clerk=-1.0, tourist=1.0), Mix(file="a.mp3", bitrate=kbps), rate)
    info = MP3(tmp_path / "a.mp3").info
    assert (info.channels, info.sample_rate) == (2, rate)
    assert kbps is None or info.bitrate == kbps * 1000
    left, right = read(tmp_path / "a.mp3").T
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.2


@pytest.mark.parametrize("name", ["mix.flac", "mix.ogg"])
def test_every_kind_of_file_has_two_channels(tmp_path: Path, name: str) -> None:
    folder, take = take_of(tmp_path, clerk=voice(2, 1))
    mix(folder, in_stereo(take, clerk=0.5), Mix(file=name))
    left, right = (float(np.sqrt((channel**2).mean())) for channel in read(tmp_path / name).T)
    assert right / left == pytest.approx(math.tan(1.5 * math.pi / 4), rel=0.05)


def test_a_stem_with_another_number_of_channels_is_told(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, clerk=voice(1, 1), door=voice(1, 2))
    with pytest.raises(TakeError, match="has 1 channel at 24000 Hz, expected 2 at 24000 Hz") as raised:
        mix(folder, in_stereo(take), Mix())
    assert raised.value.path.endswith("door.wav")


# ---- a performance


async def test_sounds_keep_their_channels_and_players_hear_them_in_mono(tmp_path: Path) -> None:
    _plan, folder, take = await performed(tmp_path)
    assert take.channels == 2
    assert [player.pan for player in take.players] == [-0.5, 1.0, 0.0]
    wide, door = take.sounds
    stem = read(folder.path / wide.stem)
    assert stem.shape == (take.samples, 2)
    at = wide.offset_samples + 4800  # it comes in softly
    source = read(tmp_path / "wide.wav") * 10 ** (-6 / 20)
    assert np.abs(stem[at : at + 4800] - source[4800:9600]).max() < 1e-4
    assert not stem[wide.offset_samples + wide.samples :].any()
    edges = np.abs(np.diff(stem, axis=0)).max(axis=0)
    assert (edges < np.abs(np.diff(source, axis=0)).max(axis=0) + 1e-3).all()  # no click where it comes and goes
    both = read(folder.path / door.stem)
    assert np.array_equal(both[:, 0], both[:, 1])
    assert both.any()
    assert {hearing.sha256 for hearing in door.hearers} == {door.sha256}
    assert all(soundfile.info(folder.path / str(player.stem)).channels == 1 for player in take.players)


async def test_without_stereo_all_is_mono_and_nobody_is_panned(tmp_path: Path) -> None:
    _plan, folder, take = await performed(tmp_path, "deliver: {mix: {loudness: -20 LUFS}}\n")
    assert take.channels == 1
    assert {player.pan for player in take.players} == {0.0}
    assert all(read(folder.path / sound.stem).shape == (take.samples, 1) for sound in take.sounds)
    deliver(folder, take, Deliver())
    assert soundfile.info(folder.path / "mix.wav").channels == 1
    assert "VOLPAN 1 0 1 -1" in (folder.path / "session.rpp").read_text()
    assert "PANMODE" not in (folder.path / "session.rpp").read_text()


async def test_a_resumed_take_is_in_stereo_if_the_scene_now_is(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    await house.perform(scene_in(tmp_path, ""))
    journal = house.folder.journal.read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(journal) if '"line_spoken"' in line and '"bob"' in line)
    house.folder.journal.write_text("".join(journal[: end + 1]))
    take = await house.perform(scene_in(tmp_path), again=house.folder)
    assert (take.ended, take.channels) == ("complete", 2)
    assert [player.pan for player in take.players] == [-0.5, 1.0, 0.0]
    assert {read(house.folder.path / sound.stem).shape for sound in take.sounds} == {(take.samples, 2)}
    assert deliver(house.folder, take, Deliver(stereo=True)).told[0].startswith("mix.wav stereo, ")


async def test_a_pick_lays_the_stems_in_stereo_and_another_file_is_told(tmp_path: Path) -> None:
    _plan, folder, take = await performed(tmp_path)
    before = read(folder.path / take.sounds[0].stem)
    with closing(Journal(folder.journal, goes_on=True)) as journal:
        journal.append(record.TakePicked(at_s=9.0, line="ann-1", take=2))
    follow_picks(folder)
    after = read(folder.path / take.sounds[0].stem)
    assert after.shape[1] == 2
    assert len(after) > len(before)
    assert np.array_equal(after[:9600], before[:9600])
    left, right = read(tmp_path / "wide.wav").T
    soundfile.write(tmp_path / "wide.wav", np.stack([right, left], axis=1), RATE, subtype="PCM_16")
    with pytest.raises(TakeError, match="has changed since it was played as bed-1"):
        follow_picks(folder)


# ---- what else follows


async def test_sessions_have_the_places_and_the_rate_that_is_delivered(tmp_path: Path) -> None:
    plan, folder, take = await performed(tmp_path)
    told = deliver(folder, take, plan.deliver).told
    assert told[0].startswith("mix.wav stereo, -20.")
    assert told[1:] == ["stems-48kHz/ 5 stems", "lines-48kHz/ 4 lines"]
    project = reader.loads((folder.path / "session.rpp").read_text())
    tracks = project.findall(".//TRACK")
    assert [track.find("VOLPAN")[2:4] for track in tracks] == [
        [pan, "0.70794578438414"] for pan in ("-0.5", "1", "0", "0", "0")
    ]
    named = {clip.file for clip in in_reaper((folder.path / "session.rpp").read_text())}
    timeline = json.loads((folder.path / "session.otio").read_text())
    clips = [child for track in timeline["tracks"]["children"] for child in track["children"] if "Clip" in str(child)]
    media = [part for clip in clips for part in clip.get("media_references", {}).values()]
    assert {part["target_url"] for part in media} == named | {"lines-48kHz/001-ann-1.take-2.wav"}
    assert len(media) == 6
    for part in media:
        info, span = soundfile.info(folder.path / part["target_url"]), part["available_range"]["duration"]
        assert (info.samplerate, info.frames) == (span["rate"], span["value"]) == (48_000, span["value"])
    first = timeline["tracks"]["markers"][1]["marked_range"]["start_time"]
    assert first["value"] == 2 * take.lines[1].offset_samples
    assert [track["metadata"]["tau_stage"]["pan"] for track in timeline["tracks"]["children"]] == [-0.5, 1, 0, 0, 0]
    assert soundfile.info(folder.path / "stems-48kHz" / "bed-wide.wav").channels == 2


async def test_marks_lie_where_the_lines_are_and_tell_how_the_file_is(tmp_path: Path) -> None:
    plan, folder, take = await performed(tmp_path)
    deliver(folder, take, plan.deliver)
    line = take.lines[1]
    for name, bits, channels, mode in (
        ("mix.wav", "24", ["mix L", "mix R"], b"F=48000,W=24,M=stereo"),
        ("stems-48kHz/bob.wav", "16", ["bob"], b"F=48000,W=16,M=mono"),
        ("stems/bed-wide.wav", "16", ["bed-wide L", "bed-wide R"], b"F=24000,W=16,M=stereo"),
    ):
        chunks = read_chunks(folder.path / name)
        assert mode in chunks[BEXT]
        slate = ET.fromstring(chunks[IXML])  # noqa: S314 - our own
        assert slate.findtext("SPEED/AUDIO_BIT_DEPTH") == bits
        assert slate.findtext("SPEED/FILE_SAMPLE_RATE") == str(soundfile.info(folder.path / name).samplerate)
        assert [track.findtext("NAME") for track in slate.iterfind("TRACK_LIST/TRACK")] == channels
        if "bed" not in name:
            assert (2 * line.offset_samples).to_bytes(4, "little") in chunks[CUE]
    assert read_wav(folder.path / "stems-48kHz" / "bob.wav").rate == 48_000


async def test_a_snapshot_holds_channels_and_places(tmp_path: Path) -> None:
    from tau_stage.checks.snapshot import measure_folder

    plan, folder, take = await performed(tmp_path)
    kept = take_snapshot(take, measure_folder(folder, take), plan_json(plan), {})
    assert kept.deliver["stereo"] is True
    assert kept.deliver["pan"] == {"ann": -0.5, "bob": 1.0}
    moved = make_plan(load_scene(tmp_path / "scene.yaml"))
    other = kept.model_copy(update={"deliver": {"pan": {"ann": 0.5}}})
    said = [verdict.message for verdict in compare_snapshot(kept, moved, take, measure_folder(folder, take), other)]
    assert 'the scene: deliver: pan is {"ann": 0.5}, was {"ann": -0.5, "bob": 1.0}' in said
    assert "the scene: deliver: stereo is false, was true" in said


async def test_the_page_draws_and_plays_both_channels(tmp_path: Path) -> None:
    plan, folder, take = await performed(tmp_path)
    deliver(folder, take, plan.deliver)
    html = render_page(take, folder)
    assert "is not" not in html
    assert "./stems/bed-wide.wav" in html
    assert render_page(take, folder, embed=True).count("data:audio/flac") > 4
    shutil.rmtree(folder.stems)
    assert "bed-wide.wav is missing" in render_page(take, folder)
