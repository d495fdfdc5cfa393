"""Every step of the language and each of its options, from the text to the plan."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene, parse_scene
from tau_stage.scene.model import RESERVED, WORDS, CallEvent, FailureEvent, Line, Not, SilenceEvent, SpeechEvent
from tau_stage.scene.plan import (
    ChapterPlan,
    Cut,
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    SoundPlan,
    Step,
    TogetherPlan,
    lines_of,
    unwritten_line,
)
from tau_stage.scene.planner import change_line, make_plan
from tests.support.tone_voice import write_tone

HEAD = "players: {ann: , ben: , cid: {hears: nobody}}\nlines:\n"
PEOPLE = "players: {ann: , guest: {human: mic}}\nlines:\n"


def plan_of(text: str) -> Plan:
    return make_plan(parse_scene(text))


def steps_of(lines: str, head: str = HEAD) -> tuple[Step, ...]:
    return plan_of(head + lines).steps


def line_of(lines: str) -> LinePlan:
    """The last line of a scene."""
    return plan_of(HEAD + lines).lines[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("door.wav", "rain.wav", "guest.wav"):
        write_tone(tmp_path / name)
    (tmp_path / "takes").mkdir()
    return tmp_path


def performed(folder: Path, text: str) -> Plan:
    """The plan of a scene that lies beside sounds."""
    (folder / "scene.yaml").write_text(text)
    return make_plan(load_scene(folder / "scene.yaml"))


# ---- items


@pytest.mark.parametrize(("word", "role"), [("prompt", "system"), ("user", "user"), ("assistant", "assistant")])
def test_items_are_put_into_conversations(word: str, role: str) -> None:
    (step,) = steps_of(f"- {word}: {{ben: ' one ', ann: two, x-a: 3}}\n  note: so\n")
    assert step == ItemPlan(role=role, words=(("ben", "one"), ("ann", "two")), source_line=3)  # type: ignore[arg-type]


def test_what_a_user_said_may_be_a_sound(folder: Path) -> None:
    plan = performed(folder, HEAD + "- user: {ann: {wav: guest.wav}, ben: hello}\n")
    assert plan.steps == (
        ItemPlan(role="user", words=(("ben", "hello"),), sounds=(("ann", "guest.wav"),), source_line=3),
    )


# ---- time and sounds


def test_a_pause_is_a_step_or_stands_beside_one() -> None:
    assert steps_of("- pause: 800ms\n  note: so\n") == (PausePlan(0.8, 3),)
    assert line_of("- ann: Hello\n  pause: 2s\n").pause_s == 2
    assert line_of("- pause: 2s\n  ann: Hello\n").pause_s == 2


def test_a_chapter_is_a_step_with_a_title_and_an_id_of_its_own() -> None:
    lines = "- chapter: ' The   storm '\n  note: so\n- ann: Hello\n- chapter: 2\n  when: {said: never}\n"
    assert steps_of(lines)[::2] == (
        ChapterPlan("chapter-1", "The storm", 3),
        ChapterPlan("chapter-2", "2", 6, SpeechEvent(words="never")),
    )


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("chapter: ''", "this text is empty"),
        ("chapter: [a, b]", "expected a string, not a list"),
        (r'chapter: "a\u202Eb"', "invisible characters: U+202E"),
        ("{chapter: A, id: b}", "a chapter has unknown key 'id'"),
        ("{chapter: A, ann: Hi}", "a chapter and a line cannot be in one step"),
        ("together: [ann: Hi, chapter: A]", "'together' may contain only lines and sound effects"),
        ("section: A", "unknown player 'section'"),
    ],
)
def test_what_is_no_chapter_is_told(step: str, problem: str) -> None:
    with pytest.raises(SceneError) as told:
        parse_scene(HEAD + f"- {step}\n")
    assert problem in told.value.problem


def test_effects_and_beds_have_stems_of_their_own(folder: Path) -> None:
    lines = (
        "- bed: rain.wav\n  gain: -18 dB\n  until: second\n- bed: rain.wav\n- sfx: door.wav\n  heard: true\n"
        "  pause: 0s\n- sfx: door.wav\n- ann: Hello\n  id: second\n"
    )
    plan = performed(folder, "pause: 1s\n" + HEAD.replace("cid: ", "cid: {human: tty}, dan: ") + lines)
    assert plan.sounds == (
        SoundPlan("bed-1", "bed", "rain.wav", "bed-rain", -18, (), "second", 1, 4),
        SoundPlan("bed-2", "bed", "rain.wav", "bed-rain", 0, (), None, 1, 7),
        SoundPlan("sfx-1", "sfx", "door.wav", "sfx-door", 0, ("ann", "ben", "dan"), None, 0, 8),
        SoundPlan("sfx-2", "sfx", "door.wav", "sfx-door", 0, (), None, 1, 11),
    )


@pytest.mark.parametrize(("until", "planned"), [("end", None), ("ann-1", "ann-1")])
def test_a_bed_ends_with_a_line_or_the_scene(until: str, planned: str | None, folder: Path) -> None:
    plan = performed(folder, HEAD + f"- bed: rain.wav\n  until: {until}\n- ann: Hello\n")
    assert plan.sounds[0].until == planned


def test_lines_and_effects_begin_together(folder: Path) -> None:
    lines = "- together: [ann: One, ben: Two, sfx: door.wav]\n  pause: 2s\n- ann: Three\n"
    plan = performed(folder, HEAD + lines)
    group = plan.steps[0]
    assert isinstance(group, TogetherPlan)
    assert (group.pause_s, group.source_line, len(plan.sounds)) == (2, 3, 1)
    assert [line.id for line in plan.lines] == ["ann-1", "ben-1", "ann-2"]
    assert [line.number for line in plan.lines] == [1, 2, 3]


# ---- lines


def test_each_option_of_a_line() -> None:
    line = line_of(
        "- ann: (low) Hello\n  id: first\n  direction: slow\n  to: ben\n  pause: 1s\n  timeout: 30s\n"
        "  conversation: none\n  output: text\n  reasoning: xhigh\n  max_output_tokens: 9\n  metadata: {shot: 12a}\n"
        "  tool_choice: auto\n  tools: none\n  note: so\n  x-mine: [1]\n"
    )
    assert line == LinePlan(
        number=1,
        id="first",
        player="ann",
        words="Hello",
        direction="low, slow",
        prompt='Perform this line, low, slow: "Hello"',
        hearers=("ben",),
        pause_s=1,
        source_line=3,
        timeout_s=30,
        apart=True,
        output="text",
        reasoning="xhigh",
        max_output_tokens=9,
        metadata={"shot": "12a"},
        tools=(),
        tool_choice="auto",
    )


def test_an_empty_direction_beside_the_words_says_nothing() -> None:
    assert line_of("- ann: (low) Hello\n  direction:\n").direction == "low"
    assert line_of("- ann: Hello\n  conversation: auto\n").apart is False


@pytest.mark.parametrize(
    ("lines", "prompt"),
    [
        ("- ann:\n  improvise: refuse politely\n", "refuse politely"),
        ("- ann:\n  improvise:\n", ""),
        ("- ann:\n  improvise: refuse\n  direction: coldly\n", "refuse (coldly)"),
        ("- ann:\n  improvise:\n  direction: coldly\n", "(coldly)"),
    ],
)
def test_a_player_without_words_improvises(lines: str, prompt: str) -> None:
    line = line_of(lines)
    assert (line.improvised, line.words, line.prompt) == (True, "", prompt)


@pytest.mark.parametrize(
    ("cut_in", "cut"),
    [
        ("", Cut("ben-1", 1.0, 0.2)),
        (" ann", Cut("ben-1", 1.0, 0.2)),
        (" ann-1", Cut("ben-1", 1.0, 0.2)),
        (" {on: ann, after: 900ms, overlap: 0s}", Cut("ben-1", 0.9, 0.0)),
    ],
)
def test_a_line_cuts_into_the_one_before(cut_in: str, cut: Cut) -> None:
    cut_line, *_, cutting = plan_of(f"{HEAD}- ann: One\n- prompt: {{ben: now}}\n- ben: Two\n  cut_in:{cut_in}\n").lines
    assert (cut_line.cut, cut_line.cuts, cutting.cut, cutting.cuts) == (cut, None, None, "ann-1")
    assert cut.heard_s == cut.after_s + cut.overlap_s


def test_a_cut_line_may_cut_itself() -> None:
    lines = plan_of(f"{HEAD}- ann: One\n- ben: Two\n  cut_in: ann\n  id: x\n- ann: Three\n  cut_in: x\n").lines
    assert [(line.cuts, line.cut.by if line.cut else None) for line in lines] == [
        (None, "x"), ("ann-1", "ann-2"), ("x", None),
    ]  # fmt: skip


@pytest.mark.parametrize("wanted", ["ben", "ben-1", ""])
def test_nothing_is_cut_where_the_line_to_cut_is_left_out(wanted: str) -> None:
    lines = f"- cid: One\n- ben: Two\n  when: 'false'\n- cid: Three\n  cut_in: {wanted}\n"
    assert [line.cut for line in plan_of(HEAD + lines).lines] == [None, None]
    assert [line.cut for line in plan_of(HEAD + lines.replace("cid: One", "pause: 1s")).lines] == [None]


# ---- improvisation and open microphones


def test_each_option_of_free_play() -> None:
    (step,) = steps_of(
        "- improvise: {players: [ann, cid], about: the rain., order: [cid, ann], turns: 6, for: 45s, words: 200, "
        "budget: $0.05, until: good ?bye, to: ben}\n  pause: 1s\n  note: so\n"
    )
    assert step == ImprovisePlan(
        id="improvise-1",
        players=("ann", "cid"),
        order=("cid", "ann"),
        whispers={
            name: f"You are {name}. With you play: {other}. It is about: the rain. "
            "Answer what you hear, briefly and in character."
            for name, other in (("ann", "cid"), ("cid", "ann"))
        },
        hearers={"ann": ("ben",), "cid": ("ben",)},
        pause_s=1,
        source_line=3,
        turns=6,
        for_s=45,
        words=200,
        budget=Decimal("0.05"),
        until="good ?bye",
    )


def test_free_play_is_everybodys_in_turn() -> None:
    first, second = steps_of("- improvise: {turns: 2, order: called}\n- improvise: {turns: 2}\n", PLAY)
    assert isinstance(first, ImprovisePlan)
    assert isinstance(second, ImprovisePlan)
    assert (first.id, first.order, second.id, second.order) == ("improvise-1", "called", "improvise-2", "round")
    assert first.players == ("ann", "ben")
    assert first.whispers["ben"] == "You are ben. With you play: ann. Answer what you hear, briefly and in character."
    assert first.hearers == {"ann": ("ben",), "ben": ("ann",)}


PLAY = "players: {ann: , guest: {human: tty}, ben: }\nlines:\n"


def test_each_option_of_an_open_microphone() -> None:
    head = "players: {ann: , guest: {human: mic}, ben: , host: {human: tty}}\nlines:\n"
    options = "for: 2m, turns: 3, until: goodbye, key: q, to: ann, transcription: off"
    lines = f"- listen: {{player: ben, from: guest, {options}}}\n  pause: 1s\n"
    assert steps_of(lines, head) == (
        ListenPlan(
            id="listen-1",
            player="ben",
            person="guest",
            hearers={"ben": ("ann",), "guest": ("ann",)},
            pause_s=1,
            source_line=3,
            for_s=120,
            turns=3,
            until="goodbye",
            key="q",
            transcription=(),
        ),
    )


@pytest.mark.parametrize("scene", ["hearing: stream\n", ""])
@pytest.mark.parametrize("by_player", [True, False])
def test_who_listens_at_a_microphone_cannot_hear_by_stream(scene: str, *, by_player: bool) -> None:
    ann = "{hearing: stream}" if by_player else "{hears_as: text}" if scene else ""
    people = f"{scene}players: {{ann: {ann}, guest: {{human: mic}}}}\nlines:\n- listen: {{player: ann, turns: 1}}"
    if not by_player:
        plan_of(people)
        return
    with pytest.raises(
        SceneError, match="'ann' listens to a microphone, so 'hearing: stream' cannot be used"
    ) as refused:
        plan_of(people)
    assert refused.value.hint == "write 'hearing: create_audio' for player 'ann'"


@pytest.mark.parametrize("lines", ["- listen: {key: q}", "- listen: {player: ann, key: q}"])
def test_who_is_alone_need_not_be_named(lines: str) -> None:
    (step,) = steps_of(lines, PEOPLE)
    assert isinstance(step, ListenPlan)
    assert (step.player, step.person, step.hearers) == ("ann", "guest", {"ann": (), "guest": ()})


@pytest.mark.parametrize("human", ["tty", "guest.wav"])
def test_what_ends_by_itself_needs_no_end(human: str, folder: Path) -> None:
    plan = performed(folder, PEOPLE.replace("mic", human) + "- listen: ann\n- listen:\n")
    assert [type(step) for step in plan.steps] == [ListenPlan, ListenPlan]
    step = plan.steps[0]
    assert isinstance(step, ListenPlan)
    made_up = unwritten_line(step, step.player, step.id)
    assert (made_up.id, made_up.player, made_up.improvised) == (step.id, step.player, True)
    assert made_up.hearers == step.hearers[step.player]


def test_a_human_is_a_player_with_other_options(folder: Path) -> None:
    text = "players:\n  ann: {pace: fast}\n  guest: {human: guest.wav, stand_in: takes, pace: realtime}\n"
    plan = performed(folder, text + "lines:\n- guest: Hello\n- ann: Hello\n  to: guest\n")
    guest = plan.player("guest")
    assert (guest.human, guest.stand_in, guest.pace, guest.voice, guest.model) == (
        "guest.wav", "takes", "realtime", "", "",
    )  # fmt: skip
    assert ([p.name for p in plan.models], [p.name for p in plan.people]) == (["ann"], ["guest"])
    assert [line.hearers for line in plan.lines] == [("ann",), ()]
    with pytest.raises(KeyError):
        plan.player("host")


# ---- conditions


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        ("{said: umbrella}", SpeechEvent(words="umbrella")),
        ("{said: {player: ann, words: 'umbrellas?'}}", SpeechEvent(player="ann", words="umbrellas?")),
        ("{call: lights_on}", CallEvent(tool="lights_on")),
        ("{call: any}", CallEvent()),
        ("{call: {player: ann, tool: lights_on}}", CallEvent(player="ann", tool="lights_on")),
        ("{error: ann}", FailureEvent(player="ann")),
        ("{error: , x-why: so}", FailureEvent()),
        ("{not: {said: umbrella}}", Not(condition=SpeechEvent(words="umbrella"))),
        ("{not: {call: lights_on}}", Not(condition=CallEvent(tool="lights_on"))),
        ("{not: {error: any}}", Not(condition=FailureEvent())),
    ],
)
@pytest.mark.parametrize(
    "step",
    [
        "ben: Hello",
        "prompt: {ben: now}",
        "pause: 1s",
        "together: [ann: One, ben: Two]",
        "improvise: {turns: 2}",
        "listen: {player: ann, turns: 2}",
    ],
)
def test_a_step_may_depend_on_what_happened(step: str, when: str, condition: object) -> None:
    head = "tools: {lights_on: {returns: 1}}\nplayers: {ann: , ben: , guest: {human: mic}}\nlines:\n"
    (planned,) = steps_of(f"- {step}\n  when: {when}\n", head)
    assert planned.when == condition


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("${mood} == happy", True),
        ("${mood}==happy", True),
        ("${mood} == sad", False),
        ("${mood} != sad", True),
        ("${mood} != happy", False),
        ("'true'", True),
        ("'Yes'", True),
        ("off", False),
        ("${nothing}", False),
    ],
)
def test_a_comparison_is_decided_at_once(when: str, holds: bool) -> None:
    head = "vars: {mood: happy, nothing: ''}\n" + HEAD
    lines = (
        f"- ann: One\n- ann: Two\n  when: {when}\n- ann: Three\n- together: [ann: Four, ben: Five]\n  when: {when}\n"
    )
    planned = plan_of(head + lines).lines
    ids = ["ann-1", *(["ann-2"] if holds else []), "ann-3", *(["ann-4", "ben-1"] if holds else [])]
    assert [line.id for line in planned] == ids
    assert [line.when for line in planned] == [None] * len(ids)


def test_parts_of_a_group_may_be_left_out() -> None:
    lines = "- together:\n  - ann: One\n    when: 'no'\n  - ben: Two\n    when: '{}'\n- cid: Three\n"
    assert [line.id for line in plan_of(HEAD + lines.format("yes")).lines] == ["ben-1", "cid-1"]
    assert [type(step) for step in steps_of(lines.format("no"))] == [LinePlan]


# ---- cues


def test_cues_wait_for_what_happens() -> None:
    plan = plan_of(
        "tools: {lights_on: {returns: 1}}\nplayers: {ann: {tools: lights_on}, ben: }\nlines:\n- ann: Hello\n"
        "limits: {cues: 7}\non:\n"
        "- said: umbrella\n  times: 2\n  do:\n  - ann: One\n  - ann: Two\n    id: mine\n  - ben: Three\n"
        "- call: {player: ann, tool: lights_on}\n  note: so\n  do: [ann: Four]\n"
        "- silence: 8s\n  do: [ann: Five]\n- silence:\n  do: [ann: Six]\n- error: ann\n  do: [pause: 1s]\n"
    )
    assert [cue.event for cue in plan.cues] == [
        SpeechEvent(words="umbrella"),
        CallEvent(player="ann", tool="lights_on"),
        SilenceEvent(for_s=8),
        SilenceEvent(for_s=5),
        FailureEvent(player="ann"),
    ]
    assert [cue.id for cue in plan.cues] == [f"cue-{number}" for number in range(1, 6)]
    assert [cue.times for cue in plan.cues] == [2, None, None, None, None]
    assert plan.cues[0].source_line == 7
    ids = [step.id for cue in plan.cues for step in cue.steps if isinstance(step, LinePlan)]
    assert ids == ["cue-1-ann-1", "mine", "cue-1-ben-1", "cue-2-ann-1", "cue-3-ann-1", "cue-4-ann-1"]
    assert (plan.most_cues, [line.id for line in plan.lines]) == (7, ["ann-1"])


def test_a_line_cuts_in_within_a_cue() -> None:
    plan = plan_of(HEAD + "- ann: Hello\non:\n- said: hello\n  do:\n  - ann: One\n  - ben: Two\n    cut_in: ann\n")
    first, second = plan.cues[0].steps
    assert isinstance(first, LinePlan)
    assert isinstance(second, LinePlan)
    assert (first.cut, second.cuts) == (Cut("cue-1-ben-1", 1.0, 0.2), "cue-1-ann-1")


def test_sounds_of_cues_are_sounds_of_the_scene(folder: Path) -> None:
    text = HEAD + "- sfx: door.wav\non:\n- said: rain\n  do:\n  - bed: rain.wav\n  - sfx: door.wav\n"
    assert [sound.id for sound in performed(folder, text).sounds] == ["sfx-1", "bed-1", "sfx-2"]


def test_x_keys_are_ignored_wherever_mappings_stand() -> None:
    plan = plan_of(
        "x-a: '${none}'\nvars: {x-b: [1], c: d}\ntools: {x-d: 1, t: {returns: 1, x-e: 2, "
        "parameters: {x-f: 1, g: string}}}\n"
        "players: {ann: {x-g: '${none}', turn_detection: {type: semantic_vad, x-h: 1}, "
        "setup: [{system: Hi, x-i: 1}]}, ben: }\n"
        "on: [{said: {words: a, x-j: 1}, do: [{ann: b, x-k: 1}], x-l: 2}]\nlimits: {x-m: 1}\n"
        "lines:\n- {ann: One, x-n: 1, when: {said: a, x-o: 1}}\n- {ben: Two, cut_in: {on: ann, x-p: 1}}\n"
        "- {improvise: {turns: 1, x-q: 1}, x-r: 1}\n- {pause: 1s, x-s: 1}\n"
        "- {together: [{ann: c, x-t: 1}, ben: d], x-u: 1}\n"
    )
    assert len(plan.steps) == 5
    assert plan.player("ann").turn_detection == (("type", "semantic_vad"),)
    assert plan.player("ann").setup == (("system", "Hi"),)


def test_the_same_scene_gives_the_same_plan() -> None:
    text = HEAD + "- ann: One\n- improvise: {turns: 2}\n"
    assert plan_of(text) == plan_of(text)
    assert re.fullmatch(r"[0-9a-f]{64}", plan_of(text).sha256)


# ---- takes


def test_a_line_may_be_performed_several_times() -> None:
    line = line_of("- ann: Hello\n  takes: 3\n  pick: shortest\n")
    assert (line.takes, line.pick) == (3, "shortest")
    assert (line_of("- ann: Hello\n").takes, line_of("- ann: Hello\n  takes: 2\n").pick) == (1, "closest")


def test_takes_from_python_are_numbers() -> None:
    assert Line(speaker="ann", text="Hello", takes=3).takes == 3


def test_one_line_is_redirected_wherever_it_stands() -> None:
    scene = parse_scene(
        "players: {ann: , ben: }\non: [{said: x, do: [ann: Cue.]}]\n"
        "lines: [ann: One., {together: [ann: Two., ben: Three.]}, {pause: 1s}]"
    )
    for name, words in (("ann-1", "One."), ("ben-1", "Three."), ("cue-1-ann-1", "Cue.")):
        plan = make_plan(change_line(scene, name, direction="softly", takes=2))
        lines = {line.id: line for steps in plan.step_lists for line in lines_of(steps)}
        assert lines[name].prompt == f'Perform this line, softly: "{words}"'
        assert [line.id for line in lines.values() if line.takes == 2] == [name]
    with pytest.raises(KeyError):
        change_line(scene, "ann-9", direction="x")


@pytest.mark.parametrize("line", ["  - ann: Hi.\n    pause\u00a0: 2s", "  - ann: Hi.\n  - zed\u00a0: Hi."])
def test_a_space_that_only_looks_like_one_is_told_of(line: str) -> None:
    scene = f"players: {{ann: }}\nlines:\n{line}\n"
    with pytest.raises(SceneError, match=r"4:\d+: YAML does not read NO-BREAK SPACE"):
        parse_scene(scene, "scene.yaml")


def test_no_player_has_the_name_of_a_step() -> None:
    assert set(WORDS) <= RESERVED
