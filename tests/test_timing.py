"""When words are heard: in order, within the sound, whatever is told of them; and the files that say so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio import RATE, Pcm
from tau_stage.protocol import VisemeTime, WordTime
from tau_stage.report.delivering import deliver
from tau_stage.scene import load_scene, make_plan
from tau_stage.scene.delivery_options import Deliver
from tau_stage.take.records import LineSpoken
from tau_stage.timing import (
    Aligner,
    LineTimer,
    MouthShape,
    SpokenWord,
    WordSpan,
    provider_spans,
    render_mouths,
    shapes_of_visemes,
    split_transcript,
    time_words,
)
from tau_stage.timing.aligning import LETTERS, PHONES, plain_word, pronounce
from tau_stage.timing.timed_lines import SHAPES_OF_PHONES as SHAPED
from tau_stage.timing.timed_lines import SHAPES_OF_VISEMES as VISEMES
from tau_stage.understudy.actor import SpeechRequest
from tau_stage.understudy.delivery import plan_speech
from tests import word_timings
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.tampering_server import Event, Tampering
from tests.support.tone_voice import tone

MOUTHS = set("ABCDEFGHX")
SAID = "I'm afraid we're down to the... the last umbrella."


def assert_in_order(words: list[SpokenWord], said: str, sound: Pcm) -> None:
    """They are the words that were said, and their times go on within the sound."""
    assert "".join(word.text for word in words) == said.strip()
    at = 0.0
    for word in words:
        assert at <= word.start_s + 1e-3
        assert word.start_s <= word.end_s <= sound.duration_s + 1e-3
        assert 0 <= word.confidence <= 1
        at = word.end_s


times = st.floats(allow_nan=False, min_value=-1e6, max_value=1e6) | st.floats(0, 3)
spans = st.none() | st.builds(WordSpan, times, times, st.floats(-1, 2))


@pytest.mark.slow
@given(st.text(max_size=60), st.lists(spans, max_size=20), st.integers(1, 3 * RATE))
def test_words_are_those_that_were_said_and_their_times_go_on(
    said: str, known: list[WordSpan | None], samples: int
) -> None:
    """A hundred sounds are looked through."""
    words = split_transcript(said)
    known = (known + [None] * len(words))[: len(words)]
    sound = Pcm.silence(samples)
    timed = time_words(said, sound, known, "aligned")
    assert_in_order(timed, said, sound)
    assert {word.source for word in timed} <= {"aligned", "estimated"}


told_times = st.builds(WordTime, st.text(max_size=8), st.integers(-100, RATE * 4), st.integers(-100, RATE * 4))


@pytest.mark.slow
@given(st.text(alphabet="ab c'.日-", max_size=40), st.lists(told_times, max_size=12))
def test_whatever_a_provider_tells_times_go_on(said: str, told: list[WordTime]) -> None:
    """A hundred sounds are looked through."""
    sound = Pcm.silence(RATE)
    found = provider_spans(said, told, RATE)
    assert len(found) in (0, len(split_transcript(said)))
    assert_in_order(time_words(said, sound, found, "provider"), said, sound)


def test_a_provider_parts_words_as_it_likes() -> None:
    told = [WordTime("don", 0, 10), WordTime("'t", 10, 20), WordTime("go", 30, 40), WordTime(".", 40, 40)]
    assert provider_spans("Don’t go.", told, 10) == [WordSpan(0, 2), WordSpan(3, 4)]
    assert provider_spans("Twenty one", [WordTime("Twenty-one", 0, 20)], 10) == [WordSpan(0, 2), WordSpan(0, 2)]
    assert provider_spans("Don’t go.", [WordTime("Mind the step", 0, 10)], 10) == []
    assert provider_spans("...", told, 10) == []


def test_a_word_that_nobody_timed_stands_between_those_that_were() -> None:
    sound = Pcm.silence(3 * RATE)
    told = [WordTime("One", 0, RATE), WordTime("three", 2 * RATE, 3 * RATE)]
    one, two, three = time_words("One two three", sound, provider_spans("One two three", told, RATE), "provider")
    assert [one.source, two.source, three.source] == ["provider", "estimated", "provider"]
    assert (two.start_s, two.end_s) == (1.0, 2.0)
    assert two.confidence < one.confidence


def test_words_are_estimated_where_somebody_speaks() -> None:
    sound = Pcm.join([Pcm.silence(RATE), tone("ash", "A" * 50), Pcm.silence(RATE), tone("ash", "A" * 50)])
    one, two = time_words("One. Two.", sound)
    assert [round(word.start_s, 1) for word in (one, two)] == [1.0, 3.0]
    assert round(one.end_s, 1) == 2.0
    assert {one.source, two.source} == {"estimated"}


def test_scripts_without_blanks_are_timed_sign_by_sign() -> None:
    words = time_words("こんにちは、世界。", Pcm.silence(RATE))
    assert [word.text for word in words] == ["こ", "ん", "に", "ち", "は、", "世", "界。"]


# ---- aligned


def line_of(scene: str, name: str) -> word_timings.EngineLine:
    plan = make_plan(load_scene(Path("scenes") / f"{scene}.yaml"))
    (line,) = (line for line in word_timings.scripted(plan) if line.id == name)
    return word_timings.speak(*word_timings.speech_of(plan, line))


@pytest.mark.slow
def test_words_begin_where_the_engine_has_set_them() -> None:
    """A neural voice speaks, and a recogniser listens twice."""
    lines = [
        ("", name, line_of(*name.split("/"))) for name in ("umbrella/clerk-1", "tavern/keeper-1", "translator/clerk-1")
    ]
    _, measured = word_timings.measure_all(lines)
    errors = [abs(error) for line in measured for error in line.errors_ms]
    assert not any(line.problem for line in measured)
    assert np.mean(errors) < 60


@pytest.mark.slow
def test_a_line_is_aligned_as_if_it_were_the_first_and_other_words_are_not_found() -> None:
    """A neural voice speaks, and a recogniser listens."""
    spoken = line_of("umbrella", "clerk-1")
    words, aligner = split_transcript(spoken.said), Aligner()
    first = aligner.align(words, spoken.sound)
    assert first is not None
    assert {phone.name for phone in first.phones} <= SHAPED.keys()
    for other in ("Colourless green ideas sleep furiously.", "Ich weiß nicht, was soll es bedeuten", "日本", "", "..."):
        assert aligner.align(split_transcript(other), spoken.sound) is None
    assert aligner.align(words, Pcm.silence(RATE)) is None
    assert aligner.align(words, spoken.sound[:2400]) is None
    assert aligner.align(words, Pcm()) is None
    assert aligner.align(words, spoken.sound) == first


@pytest.mark.slow
def test_a_long_line_is_aligned_stretch_by_stretch() -> None:
    """A neural voice speaks for half a minute, and a recogniser listens."""
    words = "The ferry leaves at seven, and whoever is late stays on the island until tomorrow. " * 6
    asked = SpeechRequest(
        instructions="", system=(), user=f'Perform this line: "{words.strip()}"', heard=(), voice="ash"
    )
    spoken = word_timings.speak(plan_speech(asked), "ash")
    assert spoken.sound.duration_s > 25
    _, (measured,) = word_timings.measure_all([("", "long", spoken)])
    assert measured.problem == ""
    assert np.mean(np.abs(measured.errors_ms)) < 60


def test_every_phoneme_and_letter_has_sounds_that_the_model_knows_and_a_mouth_makes() -> None:
    sounds = {phone for row in (*PHONES.values(), *LETTERS.values()) for phone in row.split()}
    assert sounds <= SHAPED.keys()
    shapes = {shape for row in (*SHAPED.values(), *VISEMES.values()) for shape in row.split()}
    assert shapes == MOUTHS
    assert set(VISEMES) == {str(number) for number in range(22)}


@pytest.mark.slow
def test_a_word_that_is_in_no_dictionary_has_a_pronunciation() -> None:
    """Lexicons are read."""
    assert pronounce("umbrella") == "AH M B R EH L AH"
    assert pronounce("xyzzq") == "K S IY Z Z K W"
    assert all(pronounce(plain_word(word)) for word in ("1,250", "Xyzzy", "ß", "Ærøskøbing"))


# ---- mouths


def test_shapes_of_a_mouth_are_written_as_rhubarb_writes_them() -> None:
    shapes = shapes_of_visemes(
        [VisemeTime(0, 0), VisemeTime(21, 1200), VisemeTime(21, 2400), VisemeTime(2, 2401)], RATE
    )
    assert render_mouths(shapes, 0.3) == "0.00\tX\n0.05\tA\n0.10\tD\n0.30\tX\n"


@given(st.lists(st.builds(MouthShape, st.floats(-1, 9), st.sampled_from(sorted(MOUTHS)))), st.floats(0, 5))
def test_rows_of_shapes_go_on_to_the_end(shapes: list[MouthShape], duration_s: float) -> None:
    rows = [row.split("\t") for row in render_mouths(shapes, duration_s).splitlines()]
    at = [float(time) for time, _ in rows]
    assert at == sorted(at)
    assert at[0] == 0.0
    assert at[-1] <= duration_s + 1e-6
    assert rows[-1][1] == "X"
    assert all(one[1] != other[1] for one, other in pairwise(rows[:-1]))


# ---- of a take

SCENE = """
deliver: {words: true, mouths: true}
players: {ann: {voice: ash}, bob: {voice: coral}}
lines:
  - ann: Hello there, everybody & <all>.
  - bob: Good evening.
"""
TIMED = [("Hello", 0, 100), ("there", 120, 100), ("everybody", 240, 60), ("and", 310, 20), ("all", 340, 500)]


def telling(event: Event) -> Iterable[Event]:
    """Words and shapes of a mouth are timed, as Azure Voice Live does, after the sound."""
    if event["type"] == "response.output_audio.done":
        place = {key: event[key] for key in ("response_id", "item_id", "output_index", "content_index")}
        for text, start, length in TIMED:
            word = {"text": text, "audio_offset_ms": start, "audio_duration_ms": length, "timestamp_type": "word"}
            yield {"type": "response.audio_timestamp.delta", **place, **word}
        yield {"type": "response.audio_timestamp.delta", **place, "text": "lost", "audio_offset_ms": None}
        yield {"type": "response.audio_timestamp.delta", **place, "text": "late", "audio_offset_ms": 1e300}
        yield {"type": "response.animation_viseme.delta", **place, "viseme_id": 21, "audio_offset_ms": 50}
        yield {"type": "response.animation_viseme.delta", **place, "viseme_id": "a mouth", "audio_offset_ms": 60}
        yield {"type": "response.audio_timestamp.done", **place}
        yield {"type": "response.animation_viseme.done", **place}
    yield event


def words_of(house: Playhouse, name: str) -> list[dict[str, Any]]:
    told = json.loads((house.folder.path / "lines" / f"{name}.words.json").read_text("utf-8"))
    return list(told["words"])


async def test_words_that_a_provider_times_are_journalled_in_samples_and_delivered(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, judges=False)
    house.understudy = Tampering(telling)
    take = await house.perform(SCENE)
    fact = house.facts(LineSpoken)[0]
    assert fact.word_times[1] == WordTime("there", 2880, 5280)
    assert fact.word_times[-1].end == fact.samples  # not past its end
    assert fact.visemes == (VisemeTime(21, 1200),)
    assert take.lines[0].word_times == fact.word_times
    assert len([warning for warning in take.warnings if warning.endswith("ignored")]) == 3
    told = deliver(house.folder, take, plan_of(SCENE).deliver).told
    assert "lines/*.words.json 2 lines: 1 estimated, 1 provider" in told[-2]
    assert told[-1].startswith("lines/*.mouths.tsv 2 lines")
    words = words_of(house, "001-ann-1")
    assert [word["word"] for word in words] == ["Hello", "there,", "everybody &", "<all>."]
    assert [word["start_s"] for word in words] == [0.0, 0.12, 0.24, 0.31]
    assert {(word["source"], word["confidence"]) for word in words} == {("provider", 1.0)}
    assert (house.folder.path / "lines" / "001-ann-1.mouths.tsv").read_text().startswith("0.00\tX\n0.05\tA\n")
    cues = webvtt.read(str(house.folder.path / "subtitles.karaoke.vtt")).captions
    assert [unescape(cue.text) for cue in cues] == ["Hello there, everybody & <all>.", "Good evening."]
    assert (
        cues[0].raw_text == "<v ann>Hello <00:00:00.120>there, <00:00:00.240>everybody &amp; <00:00:00.310>&lt;all&gt;."
    )


async def test_without_a_recogniser_words_are_estimated_and_mouths_are_not_made(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    timer = LineTimer(take.rate, mouths=True, aligns=False)
    timed = timer.time(take.lines[0], house.file(take.lines[0]))
    assert (timed.source, timed.mouths, timed.is_unmatched) == ("estimated", [], False)
    assert {word.source for word in timed.words} == {"estimated"}


async def test_words_and_mouths_are_made_where_they_are_wanted_alone(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    deliver(house.folder, take, Deliver())
    assert not [*house.folder.path.glob("lines/*.json"), *house.folder.path.glob("*karaoke*")]


@pytest.mark.slow
async def test_a_line_that_is_no_speech_is_estimated_and_said_to_be(tmp_path: Path) -> None:
    """A recogniser is loaded, and listens to tones."""
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    words, mouths = deliver(house.folder, take, plan_of(SCENE).deliver).told[-2:]
    assert words == (
        "lines/*.words.json 2 lines: 2 estimated; the recogniser did not find the words of ann-1, bob-1 in the audio"
    )
    assert mouths == "lines/*.mouths.tsv 0 lines; the pronunciation of 2 lines is unknown"
    assert {word["source"] for word in words_of(house, "002-bob-1")} == {"estimated"}
