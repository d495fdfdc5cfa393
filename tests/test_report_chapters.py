"""Chapters of a scene: marks in the journal and the take, and in every file that programs for listeners read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webvtt
from mutagen.flac import FLAC
from mutagen.id3 import ID3
from mutagen.oggvorbis import OggVorbis

from tau_stage.audio.riff import ADTL, read_chunks
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.report.delivering import deliver
from tau_stage.scene.delivery_options import Mix
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.tagging import chapters_of, write_tags
from tau_stage.take.take_model import ChapterMark, Take
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.test_take import journal_of, spoken

pytestmark = pytest.mark.anyio

SCENE = """
scene: The harbour
players: {ann: {voice: ash}, bob: {voice: coral}}
lines:
  - chapter: "Night = dark; # 1"
  - ann: Good evening.
  - bob: Is it?
  - pause: 500ms
  - chapter: Day <&> breakfast
  - ann: It was.
  - chapter: Zoë's end
"""


async def performed(path: Path, mix: str) -> tuple[TakeFolder, Take]:
    """A take that is delivered with a mix as it is written."""
    house, text = Playhouse(path), f"{SCENE}deliver: {{mix: {mix}}}\n"
    take = await house.perform(text)
    deliver(house.folder, take, plan_of(text).deliver)
    return house.folder, take


async def test_a_chapter_begins_where_the_next_step_does(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    assert [fact.chapter for fact in house.facts(record.ChapterBegan)] == ["chapter-1", "chapter-2", "chapter-3"]
    first, second, third = take.chapters
    assert first == ChapterMark(id="chapter-1", title="Night = dark; # 1", offset_s=0.0, offset_samples=0)
    assert second.offset_samples == take.lines[2].offset_samples
    assert third.offset_samples > take.samples - 1
    assert take.duration_s == pytest.approx(take.samples / take.rate)


def test_a_chapter_ends_with_the_next_one_or_with_the_file() -> None:
    marks = tuple(
        ChapterMark(id=f"chapter-{number}", title="T", offset_s=at, offset_samples=round(at * 24_000))
        for number, at in enumerate((0.0, 2.0, 2.0, 9.0), 1)
    )
    take = fold(journal_of(spoken("a", "clerk", 120_000, Usage()))).model_copy(update={"chapters": marks})
    spans = [(span.start_ms, span.end_ms) for span in chapters_of(take, Mix(head=0.75, tail=2.0))]
    assert spans == [(0, 2750), (2750, 2751), (2750, 7750), (9750, 9751)]
    assert [span.start_ms for span in chapters_of(take, None)] == [0, 2000, 2000, 9000]


async def test_json_chapters_are_as_the_podcast_namespace_has_them(tmp_path: Path) -> None:
    folder, take = await performed(tmp_path, "{file: a.mp3, artist: Us, head: 1s}")
    told = json.loads((folder.path / "chapters.json").read_text())
    assert (told["version"], told["fileName"], told["title"], told["author"]) == ("1.2.0", "a.mp3", "The harbour", "Us")
    assert [chapter["title"] for chapter in told["chapters"]] == [mark.title for mark in take.chapters]
    starts = [chapter["startTime"] for chapter in told["chapters"]]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert starts[1] == pytest.approx(1 + take.chapters[1].offset_s, abs=0.001)
    assert set(told["chapters"][0]) == {"startTime", "endTime", "title"}


async def test_webvtt_chapters_are_read_by_another_reader(tmp_path: Path) -> None:
    folder, take = await performed(tmp_path, "none")
    cues = webvtt.read(str(folder.path / "chapters.vtt")).captions
    assert [cue.identifier for cue in cues] == ["chapter-1", "chapter-2", "chapter-3"]
    assert cues[1].raw_text == "Day &lt;&amp;&gt; breakfast"
    assert cues[1].start == f"00:00:{take.chapters[1].offset_s:06.3f}"
    assert cues[0].end == cues[1].start
    assert "fileName" not in json.loads((folder.path / "chapters.json").read_text())


async def test_ffmetadata_escapes_what_ffmpeg_reads_otherwise(tmp_path: Path) -> None:
    folder, _ = await performed(tmp_path, "{file: mix.flac, title: A;B}")
    text = (folder.path / "chapters.ffmetadata").read_text()
    assert text.startswith(";FFMETADATA1\ntitle=A\\;B\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=")
    assert "title=Night \\= dark\\; \\# 1\n" in text


async def test_an_mp3_has_its_chapters_and_a_table_of_them(tmp_path: Path) -> None:
    folder, take = await performed(tmp_path, "{file: a.mp3, head: 500ms, tail: 1s}")
    tags = ID3(folder.path / "a.mp3")
    (table,) = tags.getall("CTOC")
    assert table.child_element_ids == ["chapter-1", "chapter-2", "chapter-3"]
    assert table.flags == 3  # top level, ordered
    chapters = [tags[f"CHAP:{name}"] for name in table.child_element_ids]
    assert [str(chapter.sub_frames["TIT2"]) for chapter in chapters] == [mark.title for mark in take.chapters]
    assert [chapter.start_time for chapter in chapters][:2] == [0, round(1000 * (0.5 + take.chapters[1].offset_s))]
    assert chapters[0].end_time == chapters[1].start_time
    seconds = soundfile.info(folder.path / "a.mp3").duration
    assert seconds == pytest.approx(take.duration_s + 1.5, abs=0.1)


@pytest.mark.parametrize(("file", "reader"), [("a.flac", FLAC), ("a.ogg", OggVorbis)])
async def test_flac_and_ogg_have_title_artist_cover_and_chapters(
    tmp_path: Path, file: str, reader: type[FLAC | OggVorbis]
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(3000)
    (tmp_path / "c.png").write_bytes(picture)
    mix = Mix(file=file, artist="Us", cover=str(tmp_path / "c.png"))
    folder, take = await performed(tmp_path, f"{{file: {file}, artist: Us, cover: {mix.cover}}}")
    tags = reader(folder.path / file)
    assert (tags["title"], tags["artist"]) == (["The harbour"], ["Us"])
    assert tags["CHAPTER000"] == ["00:00:00.000"]
    assert [tags[f"CHAPTER{n:03}NAME"] for n in range(3)] == [[mark.title] for mark in take.chapters]
    assert re.fullmatch(r"00:00:\d\d\.\d{3}", tags["CHAPTER001"][0])
    assert soundfile.info(folder.path / file).duration == pytest.approx(take.duration_s, abs=0.01)
    if isinstance(tags, FLAC):
        assert [each.data for each in tags.pictures] == [picture]
    else:
        assert "metadata_block_picture" in tags
    (tmp_path / "c.png").unlink()
    with pytest.raises(TakeError, match="the mix has no cover"):
        write_tags(folder.path / file, take, mix)


async def test_a_wav_has_a_mark_for_each_chapter_where_it_lies_in_it(tmp_path: Path) -> None:
    folder, take = await performed(tmp_path, "{head: 1s}")
    chunks = read_chunks(folder.path / "mix.wav")
    assert b"chapter: Night = dark; # 1" in chunks[ADTL]
    points = chunks[b"cue "]
    places = sorted(int.from_bytes(points[at + 20 : at + 24], "little") for at in range(4, len(points), 24))
    lines = [line.offset_samples + 24_000 for line in take.lines]
    assert places == sorted([0, *(mark.offset_samples + 24_000 for mark in take.chapters[1:]), *lines])


async def test_subtitles_and_the_page_know_of_the_silence_before_a_mix(tmp_path: Path) -> None:
    folder, take = await performed(tmp_path, "{head: 2s}")
    cues = webvtt.read(str(folder.path / "subtitles.vtt")).captions
    assert cues[0].start == f"00:00:{2 + take.lines[0].offset_s:06.3f}"
    page = (folder.path / "report.html").read_text()
    assert 'data-head="2.0"' in page
    assert "<li><bdi>Day &lt;&amp;&gt; breakfast</bdi>" in page


async def test_a_take_that_goes_on_has_each_chapter_once(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    whole = await house.perform(SCENE)
    journal = house.folder.journal.read_text().splitlines(keepends=True)
    for cut in (line for line in range(len(journal)) if "chapter" in journal[line] or "line_spoken" in journal[line]):
        house.folder.journal.write_text("".join(journal[: cut + 1]))
        take = await house.perform(SCENE, again=house.folder)
        assert (take.ended, take.chapters) == ("complete", whole.chapters)


async def test_a_take_without_chapters_has_no_files_of_them(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform("players: {ann: }\nlines: [ann: Good evening.]")
    deliver(house.folder, take, plan_of("players: {ann: }\nlines: [ann: Hi]").deliver)
    assert take.chapters == ()
    assert not [*house.folder.path.glob("chapters*")]


@pytest.mark.parametrize(("file", "reader"), [("a.mp3", ID3), ("a.ogg", OggVorbis)])
def test_there_may_be_more_chapters_than_a_table_of_an_mp3_holds(
    tmp_path: Path, file: str, reader: type[ID3 | OggVorbis]
) -> None:
    soundfile.write(tmp_path / file, np.zeros(24_000), 24_000)
    marks = tuple(
        ChapterMark(id=f"chapter-{number}", title=f"Part {number}", offset_s=float(number), offset_samples=number)
        for number in range(1, 1101)
    )
    take = fold(journal_of(spoken("a", "clerk", 120_000, Usage()))).model_copy(update={"chapters": marks})
    write_tags(tmp_path / file, take, Mix(file=file))
    tags = reader(tmp_path / file)
    if isinstance(tags, ID3):
        assert len(tags.getall("CHAP")) == 1100
        assert len(tags.getall("CTOC")[0].child_element_ids) == 255
    else:
        assert tags["CHAPTER999NAME"] == ["Part 1000"]
        assert "CHAPTER1000NAME" not in tags
