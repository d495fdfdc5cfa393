"""``expect:`` in a scene: what may stand there, what is wrong, and where it stands."""

from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.edit import as_lines, as_script
from tau_stage.scene.expect import (
    DOLLARS,
    LUFS,
    OFF,
    SECONDS,
    SHARE,
    CallWanted,
    Expect,
    PassRate,
    Range,
    Says,
    Tolerance,
)
from tau_stage.scene.load import load_variants, parse_scene
from tau_stage.scene.model import Line, Scene
from tau_stage.scene.plan import plan_json
from tau_stage.scene.planner import make_plan
from tau_stage.scene.source import Location, Source, locate
from tau_stage.scene.yaml_text import read_yaml

HEAD = """players: {ann: {accent: Irish}, bob: , guest: {human: mic}}
tools:
  lamp: {description: The listener wants light., returns: {ok: true}}
lines:
- ann: Good evening.
  expect:
    """


def scene(expect: str) -> Scene:
    return parse_scene(f"{HEAD}{expect}\n")


def expected(expect: str) -> Expect:
    line = scene(expect).lines[0]
    assert isinstance(line, Line)
    assert line.expect
    return line.expect


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("length: 1s..4s", 1.0, 4.0),
        ("length: 500..900ms", 0.5, 0.9),
        ("length: ..4s", None, 4.0),
        ("length: {min: 1s, x-why: so}", 1.0, None),
        ("loudness: -20..-14 LUFS", -20.0, -14.0),
        ("loudness: {min: -20 LUFS, max: -14 LUFS}", -20.0, -14.0),
        ("silence: 0s..1s", 0.0, 1.0),
        ("clipping: none", None, 0.0),
        ("clipping: 0..3", 0.0, 3.0),
        ("first_audio: {max: 800ms}", None, 0.8),
        ("dead_air: 1s..", 1.0, None),
        ("rate: 2..4/s", 2.0, 4.0),
        ("voice: own", None, 1.0),
        ("voice: 0..0.5", 0.0, 0.5),
        ("cost: $0.001..$0.01", 0.001, 0.01),
    ],
)
def test_a_range_is_written_with_its_unit(written: str, low: float | None, high: float | None) -> None:
    figure = getattr(expected(written), written.partition(":")[0])
    assert (figure.min, figure.max) == (low, high)


def test_words_are_one_text_a_list_or_more_than_that() -> None:
    assert expected("says: umbrella").says == Says(contains=("umbrella",))
    assert expected("says: [umbrella, rain ]").says == Says(contains=("umbrella", "rain"))
    whole = expected("says: {contains: rain, matches: 'r.*n', exact: Rain, wer: ..5%}").says
    assert whole == Says(contains=("rain",), matches="r.*n", exact="Rain", wer=Range(None, 0.05))
    assert expected("says_not: sorry").says_not == ("sorry",)


def test_calls_are_names_or_tools_with_arguments() -> None:
    assert expected("calls: none").calls == ()
    assert expected("calls: lamp").calls == (CallWanted(tool="lamp"),)
    told = expected("calls: [lamp, {tool: lamp, arguments: {room: hall, at: {hour: 3}}}]").calls
    assert told is not None
    assert told[1] == CallWanted(tool="lamp", arguments={"room": "hall", "at": {"hour": "3"}})


def test_a_tolerance_has_an_absolute_part_a_relative_one_or_both() -> None:
    told = expected("tolerances: {length: 300ms 15%, loudness: 2 LU, cost: off, words: 5%, rate: 0.5/s}").tolerances
    assert told is not None
    assert (told.length, told.loudness, told.cost) == (Tolerance(0.3, 0.15), Tolerance(2.0), OFF)
    assert (told.words, told.rate, told.voice) == (Tolerance(0.05), Tolerance(0.5), None)


def test_who_heard_it_is_written_as_who_hears_it() -> None:
    assert expected("heard_by: everyone").heard_by == "everyone"
    assert expected("heard_by: bob").heard_by == ("bob",)


def test_a_share_of_performances_is_written_as_it_is_said() -> None:
    assert expected("pass: 4 of 5").passes == PassRate(4, 5)


@pytest.mark.parametrize(
    ("written", "problem", "hint"),
    [
        ("", "'expect' is empty", "expect: {says"),
        ("pass: 6 of 5", "this is not a valid number of performances", "for example: 4 of 5"),
        ("pass: 0 of 5", "this is not a valid number of performances", "for example: 4 of 5"),
        ("pass: [4]", "this is not a valid number of performances", "for example: 4 of 5"),
        ("lenght: 1s..2s", "'expect' has unknown key 'lenght'", "did you mean 'length'?"),
        ("length: 5s", "'5s' is not a valid range", "did you mean ..5s, or 5s..?"),
        ("length: ..", "'..' is not a valid range", "1s..4s"),
        ("length: ..5", "a duration needs a unit", "did you mean ..5s?"),
        ("length: 5s..1s", "the minimum of 5s..1s is greater than the maximum", "did you mean 1s..5s?"),
        ("length: {max: 1s, min: 2s}", "the minimum of this range is greater than the maximum", "smaller value first"),
        ("length: [1s, 2s]", "a range cannot be a list", "1s..4s"),
        ("length: {mix: 1s}", "a range has unknown key 'mix'", "did you mean 'min'?"),
        ("length: {min: [1s]}", "'min' must be a single value", "4s"),
        ("length: {}", "a range needs 'min' or 'max'", "1s..4s"),
        ("loudness: -20..-14", "loudness needs a unit, but '-20' has none", "-20 LUFS..-14 LUFS"),
        ("loudness: loud..", "'loud' is not a valid loudness", "-20..-14 LUFS"),
        ("loudness: -20 dB..", "'dB' is not a valid unit for loudness", "-20..-14 LUFS"),
        ("loudness: 0..14 LUFS", "loudness must be from -70 LUFS to 0 LUFS, not 14 LUFS", "-20..-14 LUFS"),
        ("cost: ..0.5", "a dollar amount needs a unit", "did you mean ..$0.5?"),
        ("cost: $0.1", "'$0.1' is not a valid range", "did you mean ..$0.1"),
        ("says:", "the text to look for must contain a letter", "write the words"),
        ("says: '?!'", "the text to look for must contain a letter", "write the words"),
        ("says: {contian: x}", "'says' of 'expect' has unknown key 'contian'", "did you mean 'contains'?"),
        ("says: {contains: [[x]]}", "expected a string or a list of strings", "[umbrella"),
        ("says: {wer: {max: 5}}", "a percentage needs a unit, but '5' has none", "did you mean 5%?"),
        ("says_not: {a: b}", "expected a string or a list of strings", "[umbrella"),
        ("calls: lmap", "unknown tool 'lmap'", "did you mean 'lamp'?"),
        ("calls: [lamp, {tool: lmap}]", "unknown tool 'lmap'", "did you mean 'lamp'?"),
        ("calls: [{arguments: {room: hall}}]", "a call needs the name of a tool", "calls: ["),
        ("calls: [{tool: lamp, arguments: hall}]", "'arguments' must be a mapping", "calls: ["),
        ("calls: [[lamp]]", "a call must be a mapping", "calls: ["),
        ("calls: {tool: lamp}", "'calls' must be a tool name or a list of calls", "calls: ["),
        ("heard_by: [bbo]", "unknown player 'bbo'", "did you mean 'bob'?"),
        ("heard_by: [ann]", "'ann' always knows its own lines", "only the other players"),
        ("voice: other", "'other' is not a valid range", "for example: {max: 1}"),
        ("tolerances: 5%", "'tolerances' of 'expect' must be a mapping", "length: 300ms 15%"),
        ("tolerances: {length: 3}", "a duration needs a unit", "did you mean 3s?"),
        ("tolerances: {length: [3s]}", "a range cannot be a list", "1s..4s"),
        ("tolerances: {length: ''}", "'' is not a duration", "800ms"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(written: str, problem: str, hint: str) -> None:
    with pytest.raises(SceneError) as caught:
        scene(written)
    assert caught.value.problem.startswith(problem)
    assert hint in caught.value.hint
    assert caught.value.line in (6, 7)
    assert not caught.value.also


def test_expect_is_a_mapping() -> None:
    with pytest.raises(SceneError, match="'expect' must be a mapping"):
        parse_scene("expect: [x]\nplayers: {ann: }\nlines: [ann: Hi]")


def test_values_from_python_are_taken_as_they_are() -> None:
    line = Expect(length=Range(1.0, 2.0))
    assert line.length == Range(1.0, 2.0)
    assert (SECONDS.format(1.5), LUFS.format(-20.0)) == ("1.5s", "-20 LUFS")
    assert (DOLLARS.format(0.01), SHARE.format(0.05)) == ("$0.01", "5%")
    assert Range(None, 2.0).format("", "2s") == "at most 2s"
    assert Range(1.0).format("1s", "") == "at least 1s"


def test_the_whole_scene_may_expect_too() -> None:
    plan = make_plan(parse_scene("expect: {cost: ..$0.50, heard_by: bob}\nplayers: {ann: , bob: }\nlines: [ann: Hi]"))
    assert plan.expect is not None
    assert plan.expect.cost == Range(None, 0.5)
    with pytest.raises(SceneError, match="unknown player 'bbo'"):
        parse_scene("expect: {heard_by: bbo}\nplayers: {ann: , bob: }\nlines: [ann: Hi]")


def test_variables_of_a_matrix_work_inside(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = "matrix: {city: [Oslo, Rome]}\nplayers: {ann: }\nlines:\n- ann: To ${city}.\n  expect: {says: '${city}'}\n"
    file.write_text(text, encoding="utf-8")
    wanted = [make_plan(variant).lines[0].expect for variant in load_variants(file)]
    assert [expect and expect.says for expect in wanted] == [Says(contains=("Oslo",)), Says(contains=("Rome",))]


def test_fmt_keeps_it_in_both_notations() -> None:
    text = f"{HEAD}length: 1s..4s\n- bob: Hm?\n"
    document = read_yaml(Source.of(text, "scene.yaml"))
    script = as_script(document, ["ann", "bob", "guest"])
    assert "length: 1s..4s" in script
    plan, again = (make_plan(parse_scene(each)) for each in (text, script))
    assert [line.expect for line in plan.lines] == [line.expect for line in again.lines]
    back = as_lines(read_yaml(Source.of(script, "scene.yaml")), ["ann", "bob", "guest"])
    assert [line.expect for line in make_plan(parse_scene(back)).lines] == [line.expect for line in plan.lines]


SPOTS = """expect: {cost: ..$1}
voice: ash
players:
  ann:
    accent: Irish
  bob:
lines:
  - ann: Hi
    pause: 1s
    expect: {length: ..4s}
  - sfx: scenes/sounds/door.wav
  - together:
      - bob: Hm?
      - sfx: scenes/sounds/door.wav
  - id: last
    bob: Bye
on:
  - said: hi
    do:
      - bob: What?
"""


def test_everything_has_its_place_in_the_file() -> None:
    spots = make_plan(parse_scene(SPOTS, "a.yaml")).locations

    def at(*key: str) -> tuple[int, int]:
        return locate(spots, *key).line, locate(spots, *key).column

    assert locate(spots) == Location("a.yaml", 7, 1)
    assert at("expect", "cost") == (1, 10)
    assert (at("line", "ann-1"), at("line", "ann-1", "pause")) == ((8, 5), (9, 5))
    assert at("line", "ann-1", "expect", "length") == (10, 14)
    assert at("line", "ann-1", "expect", "cost") == (10, 5)
    assert (at("line", "bob-1"), at("line", "last")) == ((13, 9), (16, 5))
    assert (at("player", "ann", "accent"), at("player", "bob", "accent")) == ((5, 5), (6, 3))
    assert at("player", "ann", "voice") == (2, 1)
    assert (at("sound", "sfx-1"), at("sound", "sfx-2")) == ((11, 5), (14, 9))
    assert (at("cue", "cue-1"), at("line", "cue-1-bob-1")) == ((18, 5), (20, 9))
    assert at("line", "nobody-7") == (7, 1)


def test_a_script_has_places_too() -> None:
    text = "players: {ann: }\nscript: |\n  ANN: Hi\n"
    spots = make_plan(parse_scene(text)).locations
    assert (locate(spots).line, locate(spots, "line", "ann-1").line) == (2, 3)


def test_places_are_no_part_of_what_a_plan_is() -> None:
    one, other = (make_plan(parse_scene(f"{blank}players: {{ann: }}\nlines: [ann: Hi]")) for blank in ("", "\n"))
    assert one.lines[0].source_line != other.lines[0].source_line
    assert '"locations"' not in plan_json(one)
    assert one.locations != other.locations
