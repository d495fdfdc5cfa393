"""What was said, as files: independent readers find every word, in order, at its time."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pysrt
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.audio.pcm import RATE
from tau_stage.protocol.usage import Usage
from tau_stage.report.words import (
    COLUMNS,
    LONGEST,
    LONGEST_S,
    SHORTEST_S,
    join_words,
    make_subtitles,
    render_labels,
    render_sheet,
    render_srt,
    render_transcript,
    render_vtt,
    spread_words,
    write_words,
)
from tau_stage.stage.people import people_of
from tau_stage.take.take_model import Costs, Performed, PlayedSound, Playing, Staged, Take
from tau_stage.text import columns, one_line
from tests.support.in_memory_stage import Playhouse
from tests.test_scenes import plan_of

NOTHING = Costs(spoken=Decimal(), listened=Decimal(), cached=Decimal(), total=Decimal())
SAMPLES = 30 * RATE


def line_of(number: int = 1, said: str = "Words.", **facts: object) -> Performed:
    told: dict[str, object] = {
        "id": f"line.{number}", "number": number, "player": "ann", "asked": "", "direction": "", "scripted": True,
        "human": False, "said": said, "offset_samples": 0, "samples": RATE, "first_audio_s": 0.2, "first_words_s": 0.1,
        "took_s": 1.0, "hearers": (), "calls": (), "usage": Usage(), "cost": NOTHING, "file": None, "sha256": "0",
        "response": "r", "attempts": 1, "ended": "completed", "reason": None, **facts,
    }  # fmt: skip
    times = {name: int(str(told[f"{place}_samples".lstrip("_")])) / RATE for name, place in TIMES.items()}
    return Performed.model_validate(told | times)


TIMES = {"offset_s": "offset", "duration_s": ""}


def take_of(*lines: Performed, sounds: tuple[PlayedSound, ...] = (), ended: str = "complete") -> Take:
    players = tuple(
        Playing(
            name=name, human=None, voice="ash", model="m", endpoint="openai", sessions=(), opened_s=None,
            opening_attempts=1, status="played", stem=None, lines=0, seconds=0.0, usage=Usage(), cost=NOTHING,
        )
        for name in dict.fromkeys(line.player for line in lines)
    )  # fmt: skip
    samples = max((line.offset_samples + line.samples for line in lines), default=0)
    staged = Staged(title="A scene", slug="a-scene", path="a.yaml", sha256="0", variant="")
    return Take.model_validate(
        {
            "tau_stage": "0", "scene": staged, "started": "2026-11-21T00:00:00+00:00", "provider": "openai",
            "spent": False, "ended": ended, "problem": "", "rate": RATE, "duration_s": samples / RATE,
            "samples": samples, "players": players, "lines": lines, "sounds": sounds, "usage": Usage(),
            "cost": NOTHING, "warnings": (),
        }
    )  # fmt: skip


PROSE = st.lists(
    st.sampled_from(
        ["I", "do", "not", "know,", "umbrella.", "Well…", "harbour;", "<b>", "&amp;", "-->", "=1", "傘" * 50]
    ),
    max_size=25,
).map(" ".join)
ANY = st.one_of(st.just(" "), PROSE, st.text(max_size=80))


@st.composite
def takes(draw: st.DrawFn) -> Take:
    lines = [
        line_of(
            number,
            draw(ANY),
            asked=draw(ANY),
            direction=draw(st.text(max_size=8)),
            player=draw(
                st.sampled_from(["ann", "Ben & <Co>", "=an old man who is called by the longest of names", "幽霊" * 20])
            ),
            offset_samples=draw(st.integers(0, SAMPLES)),
            samples=draw(st.integers(1, SAMPLES) | st.integers(1, 100)),
            ended=draw(st.sampled_from(["completed", "cancelled"])),
        )
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]
    return take_of(*lines)


def bare(texts: Iterable[str]) -> str:
    return "".join("".join(texts).split())


def said(line: Performed) -> str:
    return bare([one_line(line.said)])


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def tavern(house: Playhouse) -> Take:
    plan = plan_of("tavern")
    return await house.perform(plan, people=people_of(plan, stand_in=True))


# ---- independent readers


def read_vtt(take: Take) -> list[tuple[str, float, float, str]]:
    """Line, start, end and words of each cue."""
    read = []
    for cue in webvtt.from_string(render_vtt(take)).captions:
        spoken = re.fullmatch(r"<v [^>]+>(.*)", cue.raw_text, re.DOTALL)
        assert spoken, cue.raw_text
        start, end = (time.in_milliseconds() / 1000 for time in (cue.start_time, cue.end_time))
        read.append((str(cue.identifier).partition("/")[0], start, end, html.unescape(spoken[1])))
    return read


def read_srt(take: Take) -> list[tuple[float, float, str]]:
    read = pysrt.from_string(render_srt(take), error_handling=pysrt.ERROR_RAISE)
    assert [cue.index for cue in read] == list(range(1, len(read) + 1))
    return [(cue.start.ordinal / 1000, cue.end.ordinal / 1000, cue.text) for cue in read]


def read_labels(text: str) -> list[tuple[float, float, str]]:
    rows = [row.split("\t") for row in text.split("\n")[:-1]]
    return [(float(start), float(end), words) for start, end, words in rows]


def read_sheet(take: Take) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_sheet(take), newline=""), strict=True))


def in_order(times: list[tuple[float, float]], take: Take, shortest: float = 0.001) -> Iterator[bool]:
    yield [start for start, _ in times] == sorted(start for start, _ in times)
    for start, end in times:
        yield 0 <= start <= end - shortest + 1e-6
        yield end <= take.duration_s + 0.001


@settings(max_examples=20)
@given(takes())
def test_subtitles_hold_every_word_at_its_time(take: Take) -> None:
    read = read_vtt(take)
    assert all(in_order([(start, end) for _, start, end, _ in read], take))
    for line in take.lines:
        assert bare(words for name, _, _, words in read if name == line.id) == said(line)
    numbered = read_srt(take)
    assert all(in_order([(start, end) for start, end, _ in numbered], take))
    shown = list(zip(make_subtitles(take, named=True), numbered, strict=True))
    for line in take.lines:
        own = [words for cue, (*_, words) in shown if cue.id.partition("/")[0] == line.id]
        assert bare(words.partition(":")[2] for words in own) == said(line)


@settings(max_examples=20)
@given(takes())
def test_subtitles_can_be_read(take: Take) -> None:
    for cue in [*make_subtitles(take), *make_subtitles(take, named=True)]:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < columns(shown) <= LONGEST for shown in cue.lines)
        assert cue.end_ms - cue.start_ms <= 1000 * LONGEST_S + 1
    assert len({cue.id for cue in make_subtitles(take)}) == len(make_subtitles(take))


@settings(max_examples=20)
@given(takes())
def test_labels_hold_every_line(take: Take) -> None:
    spoken = [line for line in take.lines if one_line(line.said)]
    read = read_labels(render_labels(take))
    assert all(in_order([(start, end) for start, end, _ in read], take, 0))
    assert sorted(words for *_, words in read) == sorted(one_line(f"{line.player}: {line.said}") for line in spoken)


@settings(max_examples=20)
@given(takes())
def test_words_are_spread_over_their_line(take: Take) -> None:
    for line in take.lines:
        words = spread_words(line.said, line.offset_s, line.offset_s + line.duration_s)
        assert join_words(words) == one_line(line.said)
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert not times or (times[0] == line.offset_s and times[-1] == pytest.approx(line.offset_s + line.duration_s))


@settings(max_examples=20)
@given(takes())
def test_a_sheet_has_a_row_for_each_line_and_calculates_nothing(take: Take) -> None:
    text = render_sheet(take)
    assert text.endswith("\r\n")
    rows = read_sheet(take)
    assert [row["words said"].removeprefix("'") for row in rows] == [
        one_line(line.said).removeprefix("'") for line in take.lines
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@settings(max_examples=20)
@given(takes())
def test_a_transcript_holds_every_word_and_can_be_written(take: Take) -> None:
    text = render_transcript(take)
    for line in take.lines:
        assert one_line(line.said).rstrip("-–— ") in text
    for name, told in write_words(take).items():
        assert one_line(told) or name in ("subtitles.srt", "labels.txt")
        assert told.encode().decode() == told


def test_a_take_without_lines_has_valid_files() -> None:
    empty = take_of()
    assert set(write_words(empty)) == {"subtitles.vtt", "subtitles.srt", "transcript.txt", "labels.txt", "sheet.csv"}
    assert (read_vtt(empty), read_srt(empty), render_labels(empty)) == ([], [], "")
    assert render_sheet(empty) == ",".join(COLUMNS) + "\r\n"
    assert render_transcript(empty).startswith("A scene\n")


# ---- subtitles


def test_a_short_line_stands_a_second_where_there_is_room() -> None:
    no, why = line_of(1, "No.", samples=RATE // 5), line_of(2, "Why?", offset_samples=RATE // 2, samples=RATE // 5)
    end = line_of(3, "So.", offset_samples=9 * RATE, samples=RATE // 5)
    assert [(cue.start_ms, cue.end_ms) for cue in make_subtitles(take_of(no, why, end))] == [
        (0, 500), (500, 500 + 1000 * SHORTEST_S), (9000, 9200),
    ]  # fmt: skip


def test_a_long_line_is_split_where_sentences_end() -> None:
    told = "The tide waits for nobody, but I do. Three wars I have seen, and one peace. I prefer the peace by far."
    shown = [cue.lines for cue in make_subtitles(take_of(line_of(said=told, samples=6 * RATE)))]
    assert shown == [
        ("The tide waits for nobody, but I do.",),
        ("Three wars I have seen, and one peace.", "I prefer the peace by far."),
    ]


def test_a_slow_line_is_split_by_its_time() -> None:
    slow = make_subtitles(take_of(line_of(said="Sleep, my child, and dream of the sea.", samples=12 * RATE)))
    assert [cue.lines for cue in slow] == [("Sleep, my child,",), ("and dream of the sea.",)]
    assert [cue.id for cue in slow] == ["line.1", "line.1/2"]


def test_words_that_sound_at_once_stand_at_once() -> None:
    first, second = line_of(1, player="a&b"), line_of(2, "<Words>", player="b", offset_samples=RATE // 2)
    assert render_vtt(take_of(first, second)).split("\n\n")[1:] == [
        "line.1\n00:00:00.000 --> 00:00:01.000\n<v a&amp;b>Words.",
        "line.2\n00:00:00.500 --> 00:00:01.500\n<v b>&lt;Words&gt;\n",
    ]


def test_a_script_without_blanks_is_taken_apart_and_put_together() -> None:
    told = "最後の傘でございます。" * 8
    shown = make_subtitles(take_of(line_of(said=told, samples=20 * RATE)))
    assert len(shown) > 2
    assert "".join(words for cue in shown for words in cue.lines) == told
    assert all(cue.lines[-1].endswith("。") for cue in shown)


def test_what_is_written_stands_as_long_as_it_is_read() -> None:
    told = "Ladies and gentlemen, welcome to the harbour."
    take = take_of(line_of(1), line_of(2, told, offset_samples=RATE, samples=0))
    assert [(start, end) for _, start, end, _ in read_vtt(take)] == [(0, 1), (1, 4)]
    assert read_labels(render_labels(take))[1][:2] == (1, 1)
    assert read_sheet(take)[1]["note"] == "no audio"


# ---- the rest, of a real take


async def test_a_transcript_reads_like_a_play(house: Playhouse) -> None:
    text = render_transcript(await tavern(house))
    assert text.startswith("The tavern at the ford\n\nkeeper: ash\nmaid: coral\nfiddler: ballad\ntraveller: mic\n\n")
    assert "[00:00.0] [rain, until 00:21.5]\n\n[00:00.0] [door]\n\n[00:01.3] TRAVELLER (tired): Good evening," in text
    assert (
        "KEEPER (gruffly): We are full. We have been full since the bridge went down, and we shall be—\n"
        "    asked: We are full. We have been full since the bridge went down, and we shall be full until it stands"
    ) in text
    assert text.count("asked:") == 1


def test_moments_stress_and_punctuation_are_not_said() -> None:
    same = line_of(said="The last one, today.", asked="[sighs] The last one *today*.")
    assert render_transcript(take_of(same)).endswith("\n[00:00.0] ANN: The last one, today.\n")
    other = render_transcript(take_of(line_of(said="The last one.", asked="The first one."), ended="failed"))
    assert other.endswith("ANN: The last one.\n    asked: The first one.\n\n[00:01.0] [failed]\n")


async def test_the_tavern_is_told_in_full(house: Playhouse) -> None:
    take = await tavern(house)
    of_srt = [words for *_, words in read_srt(take)]
    for line in take.lines:
        words = f"{line.player}: {line.said}"
        assert bare(words for name, *_, words in read_vtt(take) if name == line.id) == said(line)
        assert said(line) in bare(told.partition(":")[2] for told in of_srt if told.startswith(f"{line.player}: "))
        assert (round(line.offset_s, 6), words) in [
            (start, told) for start, _, told in read_labels(render_labels(take))
        ]
    numbered = sorted(take.lines, key=lambda line: line.number)
    assert [row["words said"] for row in read_sheet(take)] == [line.said for line in numbered]


async def test_a_sheet_tells_what_to_record_again(house: Playhouse) -> None:
    rows = {row["id"]: row for row in read_sheet(await tavern(house))}
    cut = rows["keeper-1"]
    told = ("number", "player", "voice", "direction", "file", "start", "seconds", "attempts", "note")
    assert [cut[name] for name in told] == [
        "2", "keeper", "ash", "gruffly", "lines/002-keeper-1.wav", "5.122", "1.650", "1", "cancelled: cut_in",
    ]  # fmt: skip
    assert (rows["traveller-1"]["voice"], rows["traveller-1"]["note"]) == ("mic", "human")
    assert rows["improvise-1-1"]["note"] == "not scripted"
