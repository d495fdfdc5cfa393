"""What a scene expects of its lines, held against what was performed on the understudy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.checks.checking import as_json, check
from tau_stage.checks.metrics import measure
from tau_stage.checks.verdict import Verdict, summary
from tau_stage.errors import TakeError
from tau_stage.scene.expect import Expect
from tau_stage.take.take_model import Called, Performed
from tau_stage.text import holds, letters_apart, word_error_rate
from tests.support.counted_calls import counted_calls
from tests.support.rehearsed_scene import Rehearsal, rehearse

pytestmark = pytest.mark.anyio

HEAD = """players: {ann: {voice: ash}, bob: {voice: coral}, cid: {hears: nobody}}
tools:
  lamp: {description: The listener wants light., returns: {ok: true}}
"""


def scene(expect: str, whole: str = "") -> str:
    top = f"expect: {{{whole}}}\n" if whole else ""
    return f"{top}{HEAD}lines:\n- ann: Good evening, and welcome to the lighthouse.\n- bob: The lamp is *out*.\n" + (
        f"  expect: {{{expect}}}\n" if expect else ""
    )


async def judged(tmp_path: Path, expect: str, whole: str = "") -> list[Verdict]:
    return (await rehearse(scene(expect, whole), tmp_path)).check()


def outcomes(verdicts: list[Verdict]) -> list[str]:
    return [verdict.outcome for verdict in verdicts]


PASSING = [
    "says: the lamp", "says: [lamp, OUT]", "says: {matches: 'lamp.*out'}", "says: {exact: the lamp is out}",
    "says: {wer: ..5%}", "says_not: umbrella", "calls: none", "length: 100ms..1s", "loudness: -25..-10 LUFS",
    "silence: ..100ms", "clipping: none", "first_audio: ..1s", "dead_air: 350..350ms", "rate: 1..20/s",
    "cost: ..$0.01", "heard_by: ann", "heard_by: [ann]", "voice: 0..100", "exact: true",
]  # fmt: skip
FAILING = [
    ("says: lamps", "says", "bob-2: said"),
    ("says: {matches: '^out'}", "says", "expected a match of “^out”"),
    ("says: {exact: the lamp}", "says", "expected exactly “the lamp”"),
    ("says: {wer: 10%..}", "wer", "0% of the words are wrong"),
    ("says_not: [lamp]", "says_not", "expected not “lamp”"),
    ("calls: lamp", "calls", "calls no tool, expected lamp"),
    ("length: 1s..2s", "length", "s, expected 1s..2s"),
    ("loudness: ..-40 LUFS", "loudness", "LUFS, expected at most -40 LUFS"),
    ("silence: 1s..", "silence", "silence 0s, expected at least 1s"),
    ("clipping: 3..", "clipping", "clipping 0, expected at least 3"),
    ("dead_air: ..100ms", "dead_air", "dead air 0.35s, expected at most 0.1s"),
    ("rate: ..1/s", "rate", "/s, expected at most 1/s"),
    ("cost: $1..", "cost", "expected at least $1"),
    ("heard_by: nobody", "heard_by", "heard by ann, expected nobody"),
    ("heard_by: everyone", "heard_by", "heard by ann, expected everyone"),
]


def test_each_expectation_is_met_by_something() -> None:
    of_all_performances = {"pass", "tolerances"}
    assert {expect.partition(":")[0] for expect in PASSING} == set(Expect.options()) - of_all_performances


@pytest.mark.parametrize("expect", PASSING)
async def test_an_expectation_is_met(expect: str, tmp_path: Path) -> None:
    if expect.startswith("voice"):
        performed = await rehearse(scene(expect), tmp_path)
        long = performed.heard("bob-1", voiced).heard("ann-1", voiced)
        verdicts = check(long.plan, long.take, long.measures(), long.snapshot(), compares=False)
    else:
        verdicts = await judged(tmp_path, expect)
    assert set(outcomes(verdicts)) == {"passed"}, list(map(str, verdicts))
    assert all(verdict.measured for verdict in verdicts)


@pytest.mark.parametrize(("expect", "what", "message"), FAILING)
async def test_an_expectation_fails_at_its_place(expect: str, what: str, message: str, tmp_path: Path) -> None:
    (verdict,) = await judged(tmp_path, expect)
    assert (verdict.outcome, verdict.what, verdict.of, verdict.lines) == ("failed", what, "bob-1", ("bob-1",))
    assert message.removeprefix("bob-2: ") in verdict.message
    assert (verdict.line, verdict.column) == (7, 12)
    assert str(verdict).startswith(f"{verdict.path}:7:12: bob-1: ")


def voiced(_sound: Pcm) -> Pcm:
    """A second of something like a voice."""
    times = np.arange(RATE) / RATE
    harmonics = np.sum([np.sin(2 * np.pi * 120 * n * times) / n for n in range(1, 30)], axis=0)
    return Pcm.from_array(0.1 * harmonics)


async def test_a_voice_needs_something_to_be_held_against(tmp_path: Path) -> None:
    performed = await rehearse(scene("voice: own"), tmp_path)
    (verdict,) = performed.heard("bob-1", voiced).check()
    assert (verdict.outcome, "no snapshot" in verdict.message) == ("error", True)


async def test_a_voice_is_held_against_the_players_other_lines(tmp_path: Path) -> None:
    text = scene("voice: own") + "- bob: So be it.\n"
    performed = (await rehearse(text, tmp_path)).heard("bob-1", voiced).heard("bob-2", voiced)
    assert [(verdict.outcome, verdict.measured) for verdict in performed.check()] == [("passed", "0")]


async def test_what_cannot_be_measured_is_an_error(tmp_path: Path) -> None:
    performed = await rehearse(scene("loudness: ..-3 LUFS, says: lamp"), tmp_path)

    def gone(line: Performed) -> Pcm:
        raise TakeError(f"lines/{line.id}.wav", "is missing")

    measures = measure(performed.take, gone)
    verdicts = check(performed.plan, performed.take, measures)
    assert sorted(outcomes(verdicts)) == ["error", "passed"]
    assert any("lines/bob-1.wav: is missing" in verdict.message for verdict in verdicts)
    assert summary(verdicts) == "2 expectations, 0 failed, 1 could not be measured"
    against = check(performed.plan, performed.take, measures, performed.snapshot())
    errors = {verdict.what for verdict in against if verdict.source == "snapshot" and verdict.outcome == "error"}
    assert errors == {"loudness", "silence", "clipping"}


async def test_other_words_than_the_scenes_are_a_failure(tmp_path: Path) -> None:
    """Whether or not the scene asks for exact words; what nobody has transcribed cannot be told."""
    performed = await rehearse(scene("exact: true", "exact: yes"), tmp_path)
    assert outcomes(performed.check()) == ["passed", "passed"]
    other = performed.told("bob-1", {"said": "The lamps are out."}).check()
    assert [verdict.message.partition(":")[0] for verdict in other if verdict.outcome == "failed"] == [
        "the scene",
        "bob-1",
    ]
    assert "bob-1 said “The lamps are out.” instead of “The lamp is *out*.”" in other[-1].message
    assert outcomes(performed.told("bob-1", {"said": ""}).check()) == ["error", "error"]
    assert outcomes(performed.told("bob-1", {"said": "", "file": None}).check()) == ["failed", "failed"]
    assert await judged(tmp_path, "exact: no") == []


async def test_a_sound_is_measured_once_and_the_figures_of_many_are_not_kept(tmp_path: Path) -> None:
    take = (await rehearse(scene("voice: own"), tmp_path)).take
    own = {
        line.id: Pcm.from_array(0.1 * np.random.default_rng(at).normal(size=RATE)) for at, line in enumerate(take.lines)
    }
    with counted_calls("Python") as first:
        measures = measure(take, lambda line: own[line.id])
    with counted_calls("Python") as again:
        assert measure(take, lambda line: own[line.id]) == measures
    assert (first["voice_print"] > 0, again["voice_print"]) == (True, 0)
    for level in range(200):
        measure(take, lambda _, level=level: Pcm.from_array(np.full(9, level, np.int16)))  # type: ignore[misc]
    with counted_calls("Python") as later:
        assert measure(take, lambda line: own[line.id]) == measures
    assert later["voice_print"] == first["voice_print"]


async def test_an_unknown_price_is_an_error(tmp_path: Path) -> None:
    performed = await rehearse(scene("cost: ..$1"), tmp_path)
    cost = performed.line("bob-1").cost.model_copy(update={"total": None})
    told = performed.told("bob-1", {"cost": cost})
    verdicts = told.check(performed.snapshot())
    assert [verdict.source for verdict in verdicts if verdict.outcome == "error"] == ["snapshot", "expect"]
    assert all("unknown price" in verdict.message for verdict in verdicts if verdict.outcome == "error")


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [
        ("lamp", "passed"),
        ("{tool: lamp, arguments: {room: hall}}", "passed"),
        ("{tool: lamp, arguments: {watts: 40, on: true, at: {hour: 3}, modes: [dim, 2]}}", "passed"),
        ("{tool: lamp, arguments: {room: kitchen}}", "failed"),
        ("{tool: lamp, arguments: {watts: many}}", "failed"),
        ("{tool: lamp, arguments: {modes: [dim]}}", "failed"),
        ("{tool: lamp, arguments: {at: {minute: 3}}}", "failed"),
        ("{tool: lamp, arguments: {colour: red}}", "failed"),
    ],
)
async def test_a_call_is_expected_with_a_part_of_its_arguments(wanted: str, outcome: str, tmp_path: Path) -> None:
    performed = await rehearse(scene(f"calls: [{wanted}]"), tmp_path)
    given = {"room": "hall", "watts": 40, "on": True, "at": {"hour": 3}, "modes": ["dim", 2]}
    call = Called(tool="lamp", arguments=json.dumps(given), output="{}", failed=False, at_s=0, took_s=0)
    broken = call.model_copy(update={"arguments": "{"})
    assert outcomes(performed.told("bob-1", {"calls": (broken, call)}).check()) == [outcome]


async def test_the_whole_is_held_against_what_the_scene_expects(tmp_path: Path) -> None:
    whole = (
        "says: [lighthouse, lamp], says_not: umbrella, length: 1s..3s, cost: ..$1, dead_air: 0s..1s, "
        "loudness: -30..-10 LUFS, clipping: none, rate: 1..20/s, first_audio: ..1s, silence: ..1s, calls: none, "
        "heard_by: everyone"
    )
    verdicts = await judged(tmp_path, "", whole)
    assert {verdict.kind for verdict in verdicts} == {"scene"}
    bad = [verdict for verdict in verdicts if not verdict.passed]
    assert [verdict.message for verdict in bad] == ["the scene: heard by ann-1 by bob; bob-1 by ann, expected everyone"]
    assert bad[0].lines == ("ann-1", "bob-1")


async def test_a_line_that_was_not_performed_fails_but_one_that_need_not_be_does_not(tmp_path: Path) -> None:
    performed = await rehearse(scene("says: lamp"), tmp_path)
    without = performed.take.model_copy(update={"lines": performed.take.lines[:1]})
    (verdict,) = replace(performed, take=without).check()
    assert (verdict.outcome, verdict.message) == ("failed", "bob-1: not performed")
    broken = without.model_copy(update={"ended": "failed", "problem": "the network is gone"})
    verdicts = replace(performed, take=broken).check()
    assert outcomes(verdicts) == ["error", "error"]
    assert "take failed: the network is gone" in verdicts[0].message
    silent = scene("says: lamp") + "on:\n- said: nothing\n  do:\n  - ann: What?\n    expect: {says: what}\n"
    conditional = silent.replace("expect: {says: lamp}", "expect: {says: lamp}\n  when: {said: nothing}")
    assert (await rehearse(conditional, tmp_path)).check() == []


async def test_a_line_of_a_cue_is_expected_each_time(tmp_path: Path) -> None:
    text = scene("") + "on:\n- said: evening|lamp\n  do:\n  - cid: What?\n    expect: {says: what}\n"
    verdicts = (await rehearse(text, tmp_path)).check()
    assert [verdict.of for verdict in verdicts] == ["cue-1-cid-1", "cue-1-cid-1.2"]


async def test_every_figure_is_kept_passed_or_not(tmp_path: Path) -> None:
    performed = await rehearse(scene("length: ..1s, says: rain"), tmp_path)
    measures = performed.measures()
    told = json.loads(as_json(performed.check(), measures))
    assert (told["passed"], told["failed"], told["errors"]) == (1, 1, 0)
    assert set(told["lines"]) == {"ann-1", "bob-1"}
    assert told["lines"]["ann-1"]["loudness"] == measures.lines["ann-1"].loudness
    assert [verdict["measured"] for verdict in told["verdicts"] if verdict["what"] == "length"] == ["0.32s"]


async def test_a_recogniser_hears_lines_or_others(tmp_path: Path) -> None:
    performed = await rehearse(scene(""), tmp_path)

    def heard(**words: str) -> list[str]:
        told = {name.replace("_", "-"): text for name, text in words.items()}
        verdicts = check(performed.plan, performed.take, performed.measures(), heard=told)
        return [f"{verdict.outcome}: {verdict.message}" for verdict in verdicts]

    own = {"ann_1": "good evening and welcome to the light house", "bob_1": "the lamp is out"}
    assert [each.partition(":")[0] for each in heard(**own)] == ["passed", "passed"]
    (_, swapped) = heard(ann_1=own["ann_1"], bob_1=own["ann_1"])
    assert "which is closer to ann-1" in swapped
    assert swapped.startswith("failed")
    assert heard(bob_1="")[0].startswith("failed: bob-1: speech recognition heard nothing, expected")


async def test_a_recogniser_may_hear_a_word_as_it_is_sent(tmp_path: Path) -> None:
    words = "players: {ann: , bob: }\n%slines: [ann: CIA., bob: FBI.]"
    for more, outcome in (("pronounce: {CIA: see eye ay}\n", "passed"), ("", "failed")):
        each = await rehearse(words % more, tmp_path)
        (verdict,) = check(each.plan, each.take, each.measures(), heard={"ann-1": "see eye ay"})
        assert verdict.outcome == outcome


def test_words_are_counted_as_they_sound() -> None:
    assert word_error_rate("Well, *not* in [sighs] here.", "well not in here") == 0.0
    assert word_error_rate("one two three four", "one three four five") == 0.5
    assert word_error_rate("雨が降る", "雨が振る") == 0.25
    assert word_error_rate(long := " ".join(map(str, range(3000))), long) == 0.0
    assert not holds("", "lamp")
    assert letters_apart("", "") == 0.0


def test_nothing_is_told_of_nothing() -> None:
    assert summary([]) == "no expectations"


def sounding(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Pcm:
    return Pcm.from_array(samples)


async def test_clipping_is_two_samples_in_a_row(tmp_path: Path) -> None:
    performed = await rehearse(scene("clipping: none"), tmp_path)

    def clipped(count: int) -> Rehearsal:
        samples = np.zeros(RATE)
        samples[100 : 100 + count] = 1.0
        return performed.heard("bob-1", lambda _: sounding(samples))

    assert [clipped(count).measures().lines["bob-1"].clipping for count in (0, 1, 2, 5)] == [0, 0, 2, 5]


async def test_silence_is_the_longest_one_of_a_line(tmp_path: Path) -> None:
    performed = await rehearse(scene(""), tmp_path)

    def silence(*parts: tuple[float, float]) -> float | None:
        times = [np.full(round(seconds * RATE), level) for level, seconds in parts]
        sound = sounding(np.concatenate(times))
        return performed.heard("bob-1", lambda _: sound).measures().lines["bob-1"].silence

    assert silence((0.5, 1.0), (0.0, 0.7), (0.5, 1.0), (0.001, 0.2)) == 0.7
    assert silence((0.0, 0.5)) == 0.5
    assert silence((0.5, 0.001)) == 0.0


async def test_a_line_in_writing_has_no_figures_of_sound(tmp_path: Path) -> None:
    text = HEAD + "lines:\n- ann: Hello.\n  output: text\n  expect: {says: hello, loudness: ..-3 LUFS}\n"
    performed = await rehearse(text, tmp_path)
    assert outcomes(performed.check()) == ["passed", "error"]
    assert {verdict.outcome for verdict in performed.check(performed.snapshot())} == {"passed", "error"}


@pytest.mark.slow
async def test_a_pattern_that_would_search_for_ever_cannot_be_measured(tmp_path: Path) -> None:
    """Slow: a search may take a quarter of a second."""
    line = f"  - ann: {'a' * 80}b\n    expect: {{says: {{matches: '^(a|aa)+$'}}}}\n"
    performed = await rehearse("players: {ann: {voice: ash}}\nlines:\n" + line, tmp_path)
    (verdict,) = performed.check()
    assert verdict.outcome == "error"
    assert "the regular expression '^(a|aa)+$' takes too long" in verdict.message
