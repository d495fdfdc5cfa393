"""Takes opened in other programs: what their readers find is what take.json says, and sounds like the stems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import numpy as np
import opentimelineio
import pytest
import rpp as reader
from hypothesis import given, settings
from hypothesis import strategies as st
from rpp.scanner import tokenize
from trio.testing import MockClock

from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import read_wav
from tau_stage.protocol.usage import Usage
from tau_stage.report.delivering import write_sessions
from tau_stage.report.editor_sessions import quoted, render_otio, render_rpp
from tau_stage.stage.people import people_of
from tau_stage.take import records as record
from tau_stage.take.folding import fold
from tau_stage.take.take_model import Take
from tau_stage.text import printable
from tests.support.forked import python
from tests.support.in_memory_stage import Playhouse
from tests.test_scenes import plan_of
from tests.test_take import journal_of, spoken

TWICE = """
players: {O'Hara: {voice: ash}, bob: {voice: coral}}
lines:
  - {bed: sounds/rain.wav, until: bob-1}
  - O'Hara: One.
  - together: [bob: Two., {sfx: sounds/mug.wav}, {sfx: sounds/mug.wav}]
  - sfx: sounds/mug.wav
  - bob: Three.
"""


@dataclass(frozen=True)
class Played:
    """A take, its folder and its files."""

    take: Take
    folder: Path
    files: dict[str, str]


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory) -> Played:
    plan = plan_of("tavern")
    house = Playhouse(tmp_path_factory.mktemp("tavern"))

    async def performed() -> Take:
        return await house.perform(plan, people=people_of(plan, stand_in=True))

    take = anyio.run(performed, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
    return Played(take, house.folder.path, write_sessions(take))


@dataclass(frozen=True)
class Clip:
    """A stretch of a file, as another program reads it; places are samples."""

    track: str
    name: str
    file: str
    at: int
    samples: int
    skipped: int


def in_reaper(text: str) -> list[Clip]:
    """What a reader of Reaper's projects finds."""
    return [
        Clip(
            value(track, "NAME"),
            value(item, "NAME"),
            value(item.find("SOURCE"), "FILE"),
            sample(value(item, "POSITION")),
            sample(value(item, "LENGTH")),
            sample(value(item, "SOFFS")),
        )
        for track in reader.loads(text).findall("TRACK")
        for item in track.findall("ITEM")
    ]


def value(element: Any, key: str) -> str:
    return str(element.find(key)[1])


def sample(seconds: str) -> int:
    """A place that is within a millionth of a sample."""
    exact = float(seconds) * RATE
    assert abs(exact - round(exact)) < 1e-6
    return round(exact)


def in_timeline(text: str) -> list[Clip]:
    """What OpenTimelineIO finds."""
    timeline = opentimelineio.adapters.read_from_string(text, "otio_json")
    return list(_clips(timeline))


def _clips(timeline: Any) -> Iterator[Clip]:
    for track in timeline.tracks:
        for clip in track.find_clips():
            place = clip.transformed_time_range(clip.trimmed_range(), timeline.tracks)
            times = (place.start_time, place.duration, clip.source_range.start_time)
            assert {time.rate for time in times} == {RATE}
            file = clip.media_reference.target_url
            yield Clip(track.name, clip.name, unquote(file), *(round(time.value) for time in times))


def expected(take: Take) -> set[Clip]:
    lines = {
        Clip(line.player, line.id, str(line.file), line.offset_samples, line.samples, 0)
        for line in take.lines
        if line.samples
    }
    sounds = {
        Clip(Path(sound.stem).stem, sound.id, sound.stem, sound.offset_samples, sound.samples, sound.offset_samples)
        for sound in take.sounds
    }
    return lines | sounds


def clips_of(played: Played, program: str) -> list[Clip]:
    return in_reaper(played.files["session.rpp"]) if program == "rpp" else in_timeline(played.files["session.otio"])


def assert_it_sounds_like_the_stems(take: Take, folder: Path, clips: list[Clip]) -> None:
    stems = {player.name: player.stem for player in take.players} | {
        Path(sound.stem).stem: sound.stem for sound in take.sounds
    }
    for name, stem in stems.items():
        heard = np.zeros(take.samples, np.int32)
        for clip in clips:
            if clip.track == name:
                audio = read_wav(folder / clip.file).array[clip.skipped : clip.skipped + clip.samples]
                assert len(audio) == clip.samples
                heard[clip.at : clip.at + clip.samples] += audio
        assert np.array_equal(heard, read_wav(folder / str(stem)).array), name


# ---- both


@pytest.mark.slow
@pytest.mark.parametrize("program", ["rpp", "otio"])
def test_every_line_and_sound_is_at_its_sample_and_sounds_like_the_stems(tavern: Played, program: str) -> None:
    """Slow: performs the tavern, once for all tests here."""
    clips = clips_of(tavern, program)
    assert set(clips) == expected(tavern.take)
    assert len(clips) == len(tavern.take.lines) + len(tavern.take.sounds) == 18
    assert {clip.file for clip in clips if not (tavern.folder / clip.file).is_file()} == set()
    assert_it_sounds_like_the_stems(tavern.take, tavern.folder, clips)


async def test_a_sound_over_itself_is_one_piece_as_its_stem_holds_the_sum(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(TWICE)
    assert (take.ended, take.problem) == ("complete", "")
    for clips in (in_reaper(render_rpp(take)), in_timeline(render_otio(take))):
        assert [clip.name for clip in clips if clip.track == "sfx-mug"] == ["sfx-1 + sfx-2", "sfx-3"]
        assert_it_sounds_like_the_stems(take, house.folder.path, clips)


def take_of(*facts: record.Record) -> Take:
    return fold(journal_of(*facts))


TALK = take_of(
    spoken("b", "tourist", 48_001, Usage(), number=2, offset_samples=30_001, human=True, sha256="b"),
    spoken("a", "clerk", 24_000, Usage(), number=1, file="lines/001-clerk-a.wav", direction="low", sha256="a"),
    spoken("read", "clerk", 0, Usage(), number=3, file=None, offset_samples=80_000, said="Only text."),
)


def test_a_line_without_sound_is_only_a_marker() -> None:
    project = reader.loads(render_rpp(TALK))
    assert [marker[3] for marker in project.findall("MARKER")] == ["a", "b", "read"]
    timeline = opentimelineio.adapters.read_from_string(render_otio(TALK), "otio_json")
    marks = [(mark.name, mark.marked_range.start_time.value, mark.comment) for mark in timeline.tracks.markers]
    assert marks == [("a", 0, "words"), ("b", 30_001, "words"), ("read", 80_000, "Only text.")]
    for clips in (in_reaper(render_rpp(TALK)), in_timeline(render_otio(TALK))):
        assert [(clip.track, clip.name) for clip in clips] == [("clerk", "a"), ("tourist", "b")]


def test_takes_that_sound_the_same_give_the_same_files() -> None:
    later = TALK.model_copy(update={"started": "2030-01-01T00:00:00+00:00", "warnings": ("slow",)})
    assert write_sessions(later) == write_sessions(TALK)
    assert list(write_sessions(TALK)) == ["session.rpp", "session.otio"]
    other = TALK.lines[0].model_copy(update={"sha256": "c"})
    assert render_rpp(TALK.model_copy(update={"lines": (other, *TALK.lines[1:])})) != render_rpp(TALK)


def test_a_take_without_lines_is_a_session_with_empty_tracks() -> None:
    empty = take_of()
    assert [value(track, "NAME") for track in reader.loads(render_rpp(empty)).findall("TRACK")] == ["clerk", "tourist"]
    timeline = opentimelineio.adapters.read_from_string(render_otio(empty), "otio_json")
    assert [(track.name, len(track)) for track in timeline.tracks] == [("clerk", 0), ("tourist", 0)]


# ---- Reaper


def test_the_project_has_a_track_per_player_and_sound_and_a_marker_per_line(tavern: Played) -> None:
    project = reader.loads(tavern.files["session.rpp"])
    names = [value(track, "NAME") for track in project.findall("TRACK")]
    assert names == ["keeper", "maid", "fiddler", "traveller", "bed-rain", "sfx-door", "sfx-mug"]
    colors = [int(value(track, "PEAKCOL")) for track in project.findall("TRACK")]
    assert len(set(colors)) == 5
    assert all(color & 0x1000000 for color in colors)
    assert project.find("SAMPLERATE")[1:3] == ["24000", "1"]
    lines = sorted(tavern.take.lines, key=lambda line: (line.offset_samples, line.number))
    assert [(mark[3], sample(mark[2])) for mark in project.findall("MARKER")] == [
        (line.id, line.offset_samples) for line in lines
    ]


def test_no_two_things_have_the_same_guid(tavern: Played) -> None:
    text = tavern.files["session.rpp"]
    guids = [line.split()[1] for line in text.splitlines() if line.split()[0] in ("GUID", "IGUID", "TRACKID")]
    guids += [mark[8] for mark in reader.loads(text).findall("MARKER")]
    assert len(set(guids)) == len(guids) == 7 + 2 * 18 + 15


def test_failed_attempts_are_further_takes_behind_the_one_that_plays() -> None:
    tried = [f"lines/001-clerk-{name}.wav" for name in ("a.attempt-10", "a.attempt-2", "lost.attempt-1")]
    text = render_rpp(TALK, tried)
    item = reader.loads(text).find("TRACK").find("ITEM")
    assert [value(source, "FILE") for source in item.findall("SOURCE")] == [
        "lines/001-clerk-a.wav",
        "lines/001-clerk-a.attempt-2.wav",
        "lines/001-clerk-a.attempt-10.wav",
    ]
    assert [name[1] for name in item.findall("NAME")] == ["a", "a, failed attempt 2", "a, failed attempt 10"]
    assert text.count("TAKE\n") == 2
    assert "lost" not in text


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_is_read_back_as_far_as_rpp_can_write_it(name: str) -> None:
    wanted = printable(name).replace("\n", " ")
    if all(mark in name for mark in "\"'`"):
        wanted = wanted.replace("`", "'")
    assert [token.value for token in tokenize(f"NAME {quoted(name)}\n")] == ["NAME", wanted, "\n"]


def test_words_with_marks_of_the_format_stay_words() -> None:
    said = '> TRACK\n<ITEM |"it\'s" `\r\n'
    take = take_of(spoken("a", "clerk", 10, Usage(), said=said))
    item = reader.loads(render_rpp(take)).find("TRACK").find("ITEM")
    assert list(item.find("NOTES")) == ["|> TRACK", '|<ITEM |"it\'s" `']


# ---- OpenTimelineIO


def test_a_clip_tells_its_line_and_whether_a_person_spoke() -> None:
    timeline = opentimelineio.adapters.read_from_string(render_otio(TALK), "otio_json")
    first, second = timeline.find_clips()
    assert dict(first.metadata["tau_stage"]) == {
        "line": "a", "number": 1, "player": "clerk", "asked": "words", "said": "words", "direction": "low",
        "synthetic": True, "sha256": "a",
    }  # fmt: skip
    assert second.metadata["tau_stage"]["synthetic"] is False
    assert [type(item).__name__ for item in timeline.tracks[1]] == ["Gap", "Clip"]
    assert {track.kind for track in timeline.tracks} == {"Audio"}


def test_files_reach_as_far_as_the_timeline_says(tavern: Played) -> None:
    timeline = opentimelineio.adapters.read_from_string(tavern.files["session.otio"], "otio_json")
    for clip in timeline.find_clips():
        available = clip.available_range()
        audio = read_wav(tavern.folder / clip.media_reference.target_url)
        assert (available.start_time.value, available.duration.value) == (0, len(audio))
        assert clip.source_range.end_time_exclusive() <= available.end_time_exclusive()


def test_lines_of_one_player_that_overlapped_would_stand_on_further_tracks() -> None:
    take = take_of(*(spoken(f"a{at}", "clerk", 100, Usage(), number=at + 1, offset_samples=at) for at in (0, 50, 100)))
    assert [(clip.track, clip.name, clip.at) for clip in in_timeline(render_otio(take))] == [
        ("clerk", "a0", 0), ("clerk", "a100", 100), ("clerk 2", "a50", 50),
    ]  # fmt: skip


WITHOUT = """
import sys
sys.modules["opentimelineio"] = None
from tests.test_take import journal_of
from tau_stage.report.delivering import write_sessions
from tau_stage.take.folding import fold

print(*write_sessions(fold(journal_of())))
"""


@pytest.mark.slow
def test_without_its_package_there_is_no_timeline() -> None:
    """Slow: a process of its own."""
    done = python("-c", WITHOUT, cwd=Path(__file__).parent.parent)
    assert done.stdout == "session.rpp\n"
