"""From text to a scene: what is legal, what an author wrote stays what was written, and nothing else ever happens."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.load import cast_entries, load_cast, load_scene, parse_scene
from tau_stage.scene.model import (
    EVENTS,
    ROLES,
    CallEvent,
    Cue,
    CutIn,
    DetectionOptions,
    FailureEvent,
    Improvisation,
    Improvise,
    ItemStep,
    Limits,
    Line,
    Listen,
    Listening,
    Player,
    Scene,
    SilenceEvent,
    SoundStep,
    SpeechEvent,
    Together,
    ToolDefinition,
    TranscriptionOptions,
    When,
)
from tau_stage.scene.model import WORDS as WORDS_OF_STEPS
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.scene.validate import unfit_id
from tests.support.forked import python

SCENES = Path(__file__).parent.parent / "scenes"
UMBRELLA = (SCENES / "umbrella.yaml").read_text(encoding="utf-8")


def words(*steps: str) -> list[str]:
    """The words of the lines of a scene between Ann and Ben."""
    scene = parse_scene("players: {ann: , ben: }\nlines:\n" + "\n".join(steps))
    return [step.text for step in scene.lines if isinstance(step, Line)]


@pytest.mark.parametrize(
    "written",
    ["Yes", "No", "on", "1:30", "007", "null", "~", "1e3", "0x1F", "2026-11-21", "3.10", ".inf", "=", "9" * 5000],
)
def test_a_line_is_text_whatever_yaml_thinks(written: str) -> None:
    assert words(f"- ann: {written}") == [written]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ('- ann: "*Today*: [sighs] #3"', "*Today*: [sighs] #3"),
        ("- ann: 'It''s so'", "It's so"),
        ("- ann: |\n    First.\n    Second.", "First.\nSecond."),
        ("- ann: >-\n    First\n    second.", "First second."),
        ("- ann: First\n    second.", "First second."),
        ("- ann: Hello  #note", "Hello"),
        ("- ann: Hello # note", "Hello"),
        ("- ann: Hello # 3 now", "Hello"),
        ('- ann: "Hello" #note', "Hello"),
        ("- ann: C#, D# and 50% of it:*ten*", "C#, D# and 50% of it:*ten*"),
        ("- ann: once **SHOUTED**", "once **SHOUTED**"),
        (r"- ann: \(Aside\) he said", "(Aside) he said"),
        ("- ann: ... and so", "... and so"),
        ("- ann: wait [a beat] there, {so} & *so*", "wait [a beat] there, {so} & *so*"),
        ("- ann: Ünïcode 你好 🎭", "Ünïcode 你好 🎭"),
        ('- ann: "so it is\n    and was"', "so it is and was"),
    ],
)
def test_what_yaml_is_good_at_stays_legal(written: str, spoken: str) -> None:
    assert words(written) == [spoken]


def test_anchors_that_are_used_are_legal() -> None:
    scene = parse_scene(
        "x-calm: &calm {voice: sage, speed: 0.9}\n"
        "players: {ann: *calm, ben: *calm}\n"
        "lines:\n- ann: &vow I do.\n- ben: *vow\n"
    )
    assert [player.voice for player in scene.players.values()] == ["sage", "sage"]
    assert [step.text for step in scene.lines if isinstance(step, Line)] == ["I do.", "I do."]


def test_what_came_through_an_alias_is_wrong_where_the_alias_stands() -> None:
    with pytest.raises(SceneError) as raised:
        parse_scene("x-a: &a {voise: ash}\nplayers:\n  ann: *a\nlines: [ann: hi]")
    assert (raised.value.line, raised.value.column) == (3, 8)


def test_x_keys_are_ignored_in_every_mapping() -> None:
    scene = parse_scene(
        "x-a: 1\nplayers: {x-b: [2], ann: {x-c: 3}}\nlimits: {x-d: 4}\n"
        "lines:\n- ann: Hello\n  x-e: {f: 5}\n- prompt: {ann: be sad, x-g: 6}\n  x-h: 7\n"
    )
    assert list(scene.players) == ["ann"]
    assert [type(step) for step in scene.lines] == [Line, ItemStep]
    assert isinstance(scene.lines[1], ItemStep)
    assert dict(scene.lines[1].words) == {"ann": "be sad"}


def test_every_option_of_the_language() -> None:
    scene = parse_scene(
        """\
scene: 1984
direction: Act.
persona: Somebody
accent: Welsh
voice: sage
model: my-deployment
endpoint: azure
speed: 1
output: text
max_output_tokens: 100
pause: 800ms
prompt_template: 'Say: {words}'
limits: {budget: $0.50, start_rate: 6/min}
players:
  ann:
    voice: voice_abc
    hears: nobody
  ben:
    endpoint: ws://127.0.0.1:8000/v1/realtime
    voice: Robot 7
    hears: ann
  cid:
lines:
  - ann: (low) Hello
    direction: and slow
    id: first
    to: [ben, cid]
    pause: 2m
    max_output_tokens: 50
    note: the door is open
  - cid: Hm
    direction: gruff
    to: nobody
"""
    )
    line = scene.lines[0]
    assert isinstance(line, Line)
    assert (line.direction, line.id, line.to, line.pause) == ("low, and slow", "first", ("ben", "cid"), 120)
    assert (scene.title, scene.pause, scene.speed) == ("1984", 0.8, 1)
    assert (scene.limits.budget, scene.limits.start_rate) == (Decimal("0.50"), 6)
    assert (scene.players["ann"].hears, scene.players["ben"].hears) == ("nobody", ("ann",))


def test_texts_of_several_lines_end_without_a_break() -> None:
    scene = parse_scene("scene: |\n  A\n  Duel\naccent: |\n  Welsh\nplayers: {ann: }\nlines: [ann: hi]\n")
    assert (scene.title, scene.accent) == ("A Duel", "Welsh")


def test_without_a_title_the_file_names_the_scene(tmp_path: Path) -> None:
    file = tmp_path / "duel.yaml"
    file.write_bytes(b"\xef\xbb\xbfplayers: {ann: }\r\nlines: [ann: hi]\r\n")
    scene = load_scene(file)
    assert (scene.title, scene.path) == ("duel", str(file))
    assert isinstance(scene.lines[0], Line)
    assert scene.lines[0].source_line == 2


def test_all_errors_come_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(SceneError) as raised:
        parse_scene(
            "voize: ash\npause: 3\nplayers: {ann: {voise: ash}, ben: 1}\nlines:\n- bob: hi\n- ann: hi\n  to: bob\n"
        )
    errors = (raised.value, *raised.value.also)
    assert [(error.line, error.column) for error in errors] == [(1, 1), (2, 8), (3, 17), (3, 35), (5, 3), (7, 7)]


def test_a_scene_is_frozen() -> None:
    scene = parse_scene(UMBRELLA)
    with pytest.raises(ValueError, match="frozen"):
        scene.title = "x"  # type: ignore[misc]


def outcome(text: str) -> Scene | SceneError:
    """The only two things a text may become."""
    try:
        scene = parse_scene(text)
    except SceneError as caught:
        error = caught
    else:
        assert isinstance(make_plan(scene), Plan)
        return scene
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert str(error).startswith(f"scene.yaml:{error.line}:{error.column}: ")
    return error


@given(st.text())
def test_any_text_is_a_scene_or_a_scene_error(text: str) -> None:
    outcome(text)


SIGNS = st.sampled_from(
    [*"*&!|>%@`\"'[]{},?:-#()\\\n\t ~=", ": ", " #", "\n- ", "*a", "&a ", "\x00", "\ud800", "\u2028", "é", "''"]
)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.integers(0, len(UMBRELLA)), st.integers(0, 12), SIGNS | st.text(max_size=3)),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_scene_is_a_scene_or_a_scene_error(damages: list[tuple[int, int, str]]) -> None:
    """Slow: a hundred scenes."""
    text = UMBRELLA
    for at, length, instead in damages:
        text = text[:at] + instead + text[at + length :]
    outcome(text)


WORDS = ["ann", "ben", "everyone", "nobody", "prompt", "cut_in", "x-a"]
KEYS = st.sampled_from([*Scene.options(), *Player.options(), *Line.options(), *Limits.options(), *WORDS])
VALUES = st.sampled_from(
    [
        *WORDS,
        "ash",
        "openai",
        "ws://h",
        "1",
        "0.5",
        "800ms",
        "$1",
        "6/min",
        "audio",
        "(a)",
        "(a)b",
        "{words}",
        "Yes",
        "-",
    ]
)


def trees() -> st.SearchStrategy[object]:
    return st.recursive(
        VALUES | st.just(""),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
        max_leaves=12,
    )


def flow(node: object) -> str:
    """A tree as YAML on one line."""
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(flow, node)) + "]"
    return f'"{node}"'


@pytest.mark.slow
@given(st.dictionaries(KEYS, trees(), max_size=6), trees(), st.lists(trees(), max_size=3))
def test_any_shape_is_a_scene_or_a_scene_error(top: dict[str, object], player: object, steps: list[object]) -> None:
    """Slow: a hundred scenes."""
    scene = {"players": {"ann": player, "ben": ""}, "lines": [{"ann": "hi"}, *steps], **top}
    outcome("\n".join(f"{key}: {flow(value)}" for key, value in scene.items()))


WHOLE = """\
scene: All of it
vars: {city: Oslo}
matrix: {mood: [calm, cross]}
tools: {lights_on: {returns: {ok: true}, parameters: {room: string}}}
players:
  ann: {tools: lights_on, setup: [system: Hi], turn_detection: {silence: 800ms}}
  ben: {hears: ann}
  guest: {human: tty}
on:
- call: {player: ann, tool: lights_on}
  do: [{ann: So, when: {not: {said: no}}}]
lines:
- prompt: {ann: 'In ${city}'}
- ann: (low) One
- ben: Two
  cut_in: {on: ann, after: 1s}
- together: [ann: A, ben: B]
- improvise: {players: [ann, ben], turns: 2}
- listen: {player: ann, until: bye}
- ann: Three
  when: ${mood} == calm
"""
NAMES = ["ann", "ben", "guest", "everyone", "lights_on", "x-a", "any", "none", "${mood}", "ann-1", "server_vad"]
PARTS = (
    CallEvent,
    SpeechEvent,
    SilenceEvent,
    FailureEvent,
    CutIn,
    Improvisation,
    Improvise,
    Listen,
    Listening,
    SoundStep,
    Together,
    ToolDefinition,
    Cue,
    Player,
    When,
    DetectionOptions,
    TranscriptionOptions,
)
STEP_KEYS = st.sampled_from(
    sorted(
        {*NAMES, "wav", "type", "not", "silence", "system", *EVENTS, *ROLES, *WORDS_OF_STEPS}
        | {key for part in PARTS for key in part.options()}
    )
)
STEP_VALUES = st.sampled_from(
    [*NAMES, "", "1", "6", "800ms", "2m", "$1", "-3 dB", "(", "a == a", "yes", "(a) b", "string"]
)


def branches() -> st.SearchStrategy[object]:
    return st.recursive(
        STEP_VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STEP_KEYS, inner, max_size=4),
        max_leaves=14,
    )


def test_the_whole_language_is_a_scene() -> None:
    assert isinstance(outcome(WHOLE), Scene)


@pytest.mark.slow
@given(st.sampled_from(["lines", "on", "tools", "vars", "matrix", "include", "script"]), branches())
def test_any_shape_of_a_part_is_a_scene_or_a_scene_error(key: str, node: object) -> None:
    """Slow: a hundred scenes."""
    scene = {"players": {"ann": "", "ben": "", "guest": {"human": "tty"}}, "lines": [{"ann": "hi"}]}
    if key == "script":
        del scene["lines"]
    outcome("\n".join(f"{name}: {flow(value)}" for name, value in {**scene, key: node}.items()))


@pytest.mark.slow
@given(st.dictionaries(STEP_KEYS, branches(), min_size=1, max_size=4), st.dictionaries(STEP_KEYS, branches()))
def test_any_step_is_a_scene_or_a_scene_error(step: dict[str, object], cue: dict[str, object]) -> None:
    """Slow: a hundred scenes."""
    scene = {"players": {"ann": "", "ben": "", "guest": {"human": "mic"}}, "tools": {"lights_on": {"returns": "1"}}}
    steps = [{"ann": "hi"}, step, {"ben": "hi"}]
    outcome("\n".join(f"{name}: {flow(value)}" for name, value in {**scene, "lines": steps, "on": [cue]}.items()))


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), SIGNS | STEP_KEYS | st.text(max_size=3)),
        min_size=1,
        max_size=4,
    )
)
def test_the_whole_language_damaged_is_a_scene_or_a_scene_error(damages: list[tuple[int, int, str]]) -> None:
    """Slow: a hundred scenes."""
    text = WHOLE
    for at, length, instead in damages:
        text = text[:at] + instead + text[at + length :]
    outcome(text)


SCRIPT_LINES = st.lists(
    st.sampled_from(
        ["  ANN: hi", "  ben: (low) ho", "  BOB: hm", "  - pause: 1s", "  - pause: 3", "  - ann: *x", "    more", "",
         "  # so", "- ann: hi", "   - ben: hi", "  - ann: [a", "\t- ann: x", "  -", "      id: x", "  ANN:", "lines:",
         "  - listen: ann", "  - together:", "    - ann: a", "    - ben: b"]
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.slow
@given(SCRIPT_LINES)
def test_any_script_is_a_scene_or_a_scene_error(lines: list[str]) -> None:
    """Slow: a hundred scenes."""
    outcome("\n".join(["players: {ann: , ben: }", "script: |", *lines]))


def long_scene(steps: int) -> str:
    """A scene of twelve players with all kinds of steps."""
    players = [f"player {number}" for number in range(12)]
    lines = []
    for number in range(steps):
        ann, ben = players[number % 12], players[(number + 1) % 12]
        lines += [
            f"- {ann}: (softly) That is number {number} of ${{many}}.\n  pause: 500ms\n  to: [{ben}]",
            f"- {ann}: Hm.\n- {ben}: So.\n  cut_in: {{on: {ann}, after: 1s}}",
            f"- {ann}: Hm.\n  when: {{said: umbrella}}",
            f"- together:\n  - {ann}: One\n  - {ben}: Two",
            f"- prompt: {{{ann}: be quick}}",
            "- improvise: {turns: 3}",
            "- pause: 1s",
        ][number % 7].split("\n")
    head = ["vars: {many: '1000'}", "players:", *(f"  {name}: {{persona: Somebody}}" for name in players), "lines:"]
    return "\n".join([*head, *lines])


def test_a_long_scene_has_all_its_steps() -> None:
    plan = make_plan(parse_scene(long_scene(140)))
    assert len(plan.steps) == 160
    assert [line.number for line in plan.lines] == list(range(1, 121))


@pytest.mark.slow
def test_a_thousand_steps_are_validated(tmp_path: Path) -> None:
    """Slow: a process of its own."""
    file = tmp_path / "scene.yaml"
    file.write_text(long_scene(1000))
    assert python("-m", "tau_stage", "validate", str(file)).returncode == 0


@pytest.mark.parametrize("key", ["lines", "script", "on", "matrix"])
def test_a_cast_has_nothing_that_its_table_has(key: str, tmp_path: Path) -> None:
    cast = tmp_path / "cast.yaml"
    cast.write_text("players: {ann: {voice: ash}}\ndirection: Be calm.\n")
    assert [*load_cast(cast).players] == ["ann"]
    assert (load_cast(cast).lines, load_cast(cast).locations[()].line) == ((), 1)
    cast.write_text(f"players: {{ann: }}\n{key}: x\n")
    with pytest.raises(
        SceneError, match=f"a cast file may contain players, tools and defaults, but not '{key}'"
    ) as raised:
        load_cast(cast)
    assert raised.value.line == 2


def test_a_cast_has_variables_and_files_laid_over_it(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("vars: {mood: calm}\nplayers: {ann: {direction: 'Be ${mood}.'}}\n")
    (tmp_path / "de.yaml").write_text("players: {ann: {direction: 'Sei ${mood}.'}}\n")
    cast = load_cast(tmp_path / "cast.yaml", {"mood": "kühl"}, overlays=[str(tmp_path / "de.yaml")])
    assert (cast.players["ann"].direction, cast.given) == ("Sei kühl.", {"mood": "kühl"})
    assert cast_entries(tmp_path / "cast.yaml")["players"] == {"ann": {"direction": "Be ${mood}."}}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a/b", "'a/b' is not a valid id, because ids are used in file names"),
        ("Listen-1", "the id 'Listen-1' is reserved for the stage"),
        ("con.1", "the id 'con.1' is the name of a Windows device and cannot be a file name"),
        ("a\u200b", "'a\u200b' is not a valid id, because ids are used in file names"),
    ],
)
def test_what_is_wrong_with_an_id(name: str, told: str) -> None:
    found = unfit_id(name)
    assert found is not None
    assert found[0] == told
    assert ("U+200B" in found[1]) == ("\u200b" in name)
    assert unfit_id("Keeper-3") is None
