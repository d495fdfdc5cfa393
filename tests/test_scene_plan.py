"""The plan: every default resolved, once."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene, parse_scene
from tau_stage.scene.plan import ItemPlan, LineKey, LinePlan, Plan, PlayerPlan, Timeouts, key_name, line_keys, plan_json
from tau_stage.scene.planner import make_plan

SCENES = Path(__file__).parent.parent / "scenes"


def plan_of(text: str) -> Plan:
    return make_plan(parse_scene(text))


def test_defaults() -> None:
    plan = plan_of("scene: A Duel!\nplayers: {ann: , ben: }\nlines:\n- ann: Hello\n")
    assert (plan.title, plan.slug, plan.path, plan.budget, plan.opening_gap_s) == (
        "A Duel!", "scene", "scene.yaml", None, None,
    )  # fmt: skip
    assert plan.players[0] == PlayerPlan(name="ann", voice="marin", model="gpt-realtime-2.1-mini")
    assert plan.lines == (
        LinePlan(
            number=1,
            id="ann-1",
            player="ann",
            words="Hello",
            direction="",
            prompt='Perform this line: "Hello"',
            hearers=("ben",),
            pause_s=0.35,
            source_line=4,
        ),
    )


def test_a_scene_is_known_by_its_file_whatever_its_title() -> None:
    text = "scene: Another title\nplayers: {ann: }\nlines:\n- ann: Hello\n"
    assert make_plan(parse_scene(text, "scenes/night_bus.yaml")).slug == "night_bus"
    assert make_plan(parse_scene(text, "scenes/Zoë 2.yml")).slug == "Zoë 2"
    for name in ("latest", "a\x07b", "CON", "trailing ", "x" * 200):
        slug = make_plan(parse_scene(text, f"scenes/{name}.yaml")).slug
        assert slug not in (name, "")
        assert len(slug) <= 60


CASCADE = """\
direction: Act.
persona: Anybody
accent: plain.
voice: sage
model: big
endpoint: azure
speed: 0.8
output: text
max_output_tokens: 100
pause: 1s
limits: {budget: $2, start_rate: 6/min}
players:
  ann:
  ben: {direction: Shout., persona: Ben, accent: Welsh, voice: echo, model: small, endpoint: openai, speed: 1.2,
        output: audio, max_output_tokens: 7}
lines:
- ann: Hello
- ben: Hm
  pause: 0s
  max_output_tokens: 9
"""


def test_what_stands_at_the_top_holds_for_every_player() -> None:
    assert plan_of(CASCADE).player("ann") == PlayerPlan(
        name="ann",
        voice="sage",
        model="big",
        endpoint="azure",
        instructions="Act.\nAnybody\nSpeak in plain.",
        speed=0.8,
        output="text",
        max_output_tokens=100,
    )


def test_a_player_overrides_the_top() -> None:
    assert plan_of(CASCADE).player("ben") == PlayerPlan(
        name="ben",
        voice="echo",
        model="small",
        endpoint="openai",
        instructions="Shout.\nBen\nSpeak in Welsh.",
        speed=1.2,
        output="audio",
        max_output_tokens=7,
    )


def test_a_line_overrides_the_scene() -> None:
    plan = plan_of(CASCADE)
    assert [(line.pause_s, line.max_output_tokens) for line in plan.lines] == [(1.0, None), (0.0, 9)]
    assert (plan.budget, plan.opening_gap_s) == (Decimal(2), 10.0)


def test_lines_are_counted_by_scene_and_by_player() -> None:
    plan = plan_of("players: {The Clerk: , ben: }\nlines:\n- ben: A\n- The Clerk: B\n- ben: C\n  id: x\n- ben: D\n")
    assert [(line.number, line.id) for line in plan.lines] == [(1, "ben-1"), (2, "the-clerk-1"), (3, "x"), (4, "ben-3")]


def test_prompts_keep_their_place_and_do_not_count_as_lines() -> None:
    plan = plan_of("players: {ann: , ben: }\nlines:\n- prompt: {ben: sad, ann: ' glad '}\n- ann: Hello\n")
    assert plan.steps[0] == ItemPlan(role="system", words=(("ben", "sad"), ("ann", "glad")), source_line=3)
    assert plan.lines[0].number == 1


@pytest.mark.parametrize(
    ("hears", "to", "hearers"),
    [
        ("everyone", "everyone", ("ben", "cid")),
        ("everyone", "nobody", ()),
        ("everyone", "[cid, ben]", ("ben", "cid")),
        ("everyone", "cid", ("cid",)),
        ("nobody", "everyone", ("ben",)),
        ("[ann]", "everyone", ("ben", "cid")),
        ("[ben]", "everyone", ("ben",)),
    ],
)
def test_hears_and_to_decide_the_hearing(hears: str, to: str, hearers: tuple[str, ...]) -> None:
    scene = f"players: {{ann: , ben: , cid: {{hears: {hears}}}}}\nlines:\n- ann: Hello\n  to: {to}\n"
    assert plan_of(scene).lines[0].hearers == hearers


@pytest.mark.parametrize(
    ("template", "words", "prompt"),
    [
        ("'{direction}: {words}'", "(low) Hm", "low: Hm"),
        ("'{direction}: {words}'", "Hm", "Hm"),
        ("'Say {words} ({words})'", "Hm", "Say Hm (Hm)"),
        ("'Say, {direction}: {words}'", "'(a {words} b) {direction} \\1'", "Say, a {words} b: {direction} \\1"),
    ],
)
def test_the_template_is_filled_once(template: str, words: str, prompt: str) -> None:
    scene = f"prompt_template: {template}\nplayers: {{ann: }}\nlines:\n- ann: {words}\n"
    assert plan_of(scene).lines[0].prompt == prompt


def test_sessions_open_in_the_order_of_first_lines() -> None:
    plan = plan_of("players: {mute: , ann: , ben: }\nlines:\n- ben: A\n- ann: B\n- ben: C\n")
    assert [player.name for player in plan.opening_order] == ["ben", "ann", "mute"]


def test_the_umbrella() -> None:
    plan = make_plan(load_scene(SCENES / "umbrella.yaml"))
    assert [line.id for line in plan.lines] == [
        "clerk-1", "tourist-1", "clerk-2", "tourist-2", "clerk-3", "tourist-3", "clerk-4", "stranger-1",
    ]  # fmt: skip
    assert plan.lines[4].words == "Yes"
    assert plan.lines[7].direction == "conspiratorially, tipsily"
    assert plan.player("clerk").instructions.endswith("\nSpeak in nervous, over-polite Liverpool.")


def test_the_monologue_tells_its_accent_in_two_prompts() -> None:
    plan = make_plan(load_scene(SCENES / "monologue.yaml"))
    assert (len(plan.players), len(plan.lines), len(plan.steps)) == (1, 5, 7)
    assert plan.players[0].instructions.count("Speak in") == 0
    assert all("[" in line.words for line in plan.lines)


def test_hello_is_five_lines_of_yaml() -> None:
    assert (SCENES / "hello.yaml").read_text(encoding="utf-8").count("\n") == 5
    assert len(make_plan(load_scene(SCENES / "hello.yaml")).lines) == 2


def test_how_long_a_scene_waits_and_what_it_does_without_a_player() -> None:
    scene = "players: {ann: }\nlines: [ann: hi]\n"
    assert make_plan(parse_scene(scene)).waits == Timeouts()
    assert make_plan(parse_scene(scene)).on_lost_player == "reopen"
    limits = "limits: {opening: 15s, silence: 20s, hearing: 500ms, closing: 1s, on_lost_player: stop}"
    plan = make_plan(parse_scene(scene + limits))
    assert plan.waits == Timeouts(opening_s=15, silence_s=20, hearing_s=0.5, closing_s=1)
    assert plan.on_lost_player == "stop"
    with pytest.raises(SceneError, match="'reopen', 'continue' or 'stop'"):
        parse_scene(scene + "limits: {on_lost_player: reopn}")


def test_a_plan_is_written_as_json_whatever_its_file_is_called() -> None:
    plan = replace(plan_of("limits: {budget: $1.50}\nplayers: {ann: }\nlines: [ann: Schön.]"), path="\udcff.yaml")
    told = json.loads(plan_json(plan))
    assert (told["path"], told["budget"], told["steps"][0]["words"]) == ("\udcff.yaml", "1.50", "Schön.")
    assert told.keys().isdisjoint({"locations", "warnings"})
    assert json.loads(plan_json(replace(plan, path="x.yaml"))) == told | {"path": "x.yaml"}


def test_lines_of_cues_count_among_all_lines_and_their_expectations_too() -> None:
    scene = "players: {ann: }\non: [{silence: 8s, do: [{ann: Hm, expect: {says: hm}}]}]\nlines: [ann: hi]\n"
    plan = make_plan(parse_scene(scene))
    assert [line.words for line in plan.all_lines] == ["hi", "Hm"]
    assert plan.has_expectations
    assert not make_plan(parse_scene("players: {ann: }\nlines: [ann: hi]\n")).has_expectations


KEYED = """
players:
  ann: {voice: ash, tools: none}
  ben: {voice: sage, tools: [bell]}
  cid: {voice: coral, tools: none, hears: ben}
  you: {human: sounds/student.wav}
  him: {human: mic, stand_in: sounds}
tools:
  bell: {description: Rings., returns: {rung: true}}
on:
  - said: hat
    do: [{ben: A hat., id: hat}, {prompt: {ann: You are cross.}}]
lines:
  - prompt: {ann: You are calm.}
  - sfx: sounds/door.wav
  - user: {ann: {wav: sounds/door.wav}}
  - ann: (softly) Hello.
  - pause: 1s
  - together: [{ben: Hm?, tools: [bell]}, {ann: Ah.}]
  - ann: Aside.
    conversation: none
  - ben: Well, it is a very long story.
  - ann: No.
    cut_in: {on: ben, after: 500ms}
  - you: Indeed.
  - him: Truly.
  - improvise: {players: [ann, ben], turns: 2}
  - listen: {player: ann, from: you, turns: 1}
  - cid: Farewell.
    when: {said: hat}
"""


def keys_of(text: str, *sounds: str) -> dict[str, LineKey]:
    plan = make_plan(parse_scene(text, str(SCENES / "keyed.yaml")))
    return line_keys(plan, {(SCENES / "sounds" / name): "another" for name in sounds})


def differing(text: str, *sounds: str) -> tuple[str, str]:
    """Lines whose own key is another, and those whose context alone is."""
    before, now = keys_of(KEYED), keys_of(text, *sounds)
    assert before.keys() == now.keys()
    own = [name for name in now if now[name].own != before[name].own]
    context = [name for name in now if name not in own and now[name].context != before[name].context]
    return " ".join(own), " ".join(context)


ANNS = "ann-1 ann-2 ann-3 ann-4"
LATER = "ann-2 ben-1 ann-3 ben-2 ann-4 improvise-1 listen-1"


@pytest.mark.parametrize(
    ("old", "new", "own", "context"),
    [
        ("Hello.", "Good day.", "ann-1", LATER),
        ("(softly)", "(loudly)", "ann-1", LATER),
        ("Hm?", "Well?", "ben-1", "ann-3 ben-2 ann-4 improvise-1 listen-1 cid-1"),
        ("Aside.", "Beside.", "ann-3", "ben-2 improvise-1"),
        ("after: 500ms", "after: 600ms", "ben-2", "ann-4 improvise-1 listen-1 cid-1"),
        ("voice: ash", "voice: echo", f"{ANNS} improvise-1 listen-1", "ben-1 ben-2 cid-1"),
        ("voice: ash", "voice: ash, setup: [{user: Hi.}]", "", f"{ANNS} improvise-1 listen-1"),
        ("You are calm.", "You are sad.", "", f"{ANNS} improvise-1 listen-1"),
        ("You are cross.", "You are glad.", "", f"{ANNS} improvise-1 listen-1"),
        ("A hat.", "No hat.", "hat", f"{ANNS} ben-1 ben-2 improvise-1 listen-1 cid-1"),
        ("{rung: true}", "{rung: false}", "hat ben-1 ben-2 improvise-1", f"{ANNS} listen-1 cid-1"),
        ("turns: 2", "turns: 3", "improvise-1", "listen-1 cid-1"),
        ("turns: 1", "turns: 2", "listen-1", ""),
        ("pause: 1s", "pause: 2s", "", ""),
        (", hears: ben", "", "", "cid-1"),
    ],
)  # fmt: skip
def test_a_key_changes_with_what_reaches_the_wire_and_a_context_key_with_what_was_heard(
    old: str, new: str, own: str, context: str
) -> None:
    assert old in KEYED
    found = differing(KEYED.replace(old, new))
    assert (set(found[0].split()), set(found[1].split())) == (set(own.split()), set(context.split()))


def test_the_sound_of_a_file_counts_and_not_its_name_alone() -> None:
    own, context = differing(KEYED, "student.wav")
    assert set(own.split()) == {"you-1", "him-1", "listen-1"}
    assert set(context.split()) == {"improvise-1"}
    assert set(differing(KEYED, "door.wav")[0].split()) == {"him-1"}


@pytest.mark.parametrize(
    ("line", "known", "name"),
    [
        ("ann-1", {"ann-1"}, "ann-1"),
        ("cue-1-ann-1.2", {"cue-1-ann-1"}, "cue-1-ann-1"),
        ("improvise-1-3", {"improvise-1"}, "improvise-1"),
        ("improvise-1.2-3", {"improvise-1"}, "improvise-1"),
        ("ann-1", {"ben-1"}, ""),
    ],
)
def test_a_line_has_the_key_of_its_cue_or_of_its_talk(line: str, known: set[str], name: str) -> None:
    assert key_name(line, known) == name


# ---- exact words, and how words are sent


EXACT = """
words: exact
pronounce: {CIA: C. I. A., Nguyen: "Win"}
players: {ann: {pronounce: {Nguyen: Nuh-win}}, ben: {words: free}, guest: {human: tty}}
lines:
  - ann: (low) The CIA, Nguyen. [Nguyen coughs]
  - ann: Nguyen?
    words: free
  - ben: Nguyen.
    takes: 2
  - ben: Yes.
    words: exact
    takes: 5
    pick: shortest
  - ann:
    improvise: Answer Nguyen.
  - guest: Hm.
"""


def test_exact_words_cascade_and_have_three_takes() -> None:
    plan = plan_of(EXACT)
    found = [(line.exact, line.takes) for line in plan.lines]
    assert found == [(True, 3), (False, 1), (False, 2), (True, 5), (False, 1), (False, 1)]


def test_words_are_sent_as_they_sound_and_kept_as_they_are_written() -> None:
    plan = plan_of(EXACT)
    assert [line.prompt for line in plan.lines[:3]] == [
        'Perform this line, low: "The C. I. A., Nuh-win. [Nguyen coughs]"',
        'Perform this line: "Nuh-win?"',
        'Perform this line: "Win."',
    ]
    assert plan.lines[0].words == "The CIA, Nguyen. [Nguyen coughs]"
    assert plan.lines[4].prompt == "Answer Nguyen."
    assert plan.player("ann").pronounce == (("CIA", "C. I. A."), ("Nguyen", "Nuh-win"))


def test_a_line_has_another_key_where_what_is_sent_is_another() -> None:
    """A line without such a word keeps its key."""
    scene = "players: {ann: , ben: }\n%slines: [ann: Nguyen., ben: Hm.]"
    before, after = (line_keys(plan_of(scene % more), {}) for more in ("", "pronounce: {Nguyen: Win}\n"))
    assert before["ann-1"].own != after["ann-1"].own
    assert before["ben-1"].own == after["ben-1"].own
    once = line_keys(plan_of(scene.replace("ann: Nguyen.", "{ann: Nguyen., takes: 1}") % ""), {})
    exact = line_keys(plan_of(scene.replace("ann: Nguyen.", "{ann: Nguyen., takes: 1, words: exact}") % ""), {})
    assert once["ann-1"].own != exact["ann-1"].own
    assert once["ben-1"].own == exact["ben-1"].own


def test_an_included_file_may_say_how_words_are_sent(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("pronounce: {CIA: see eye ay, Nguyen: Win}\n")
    text = "include: cast.yaml\npronounce: {CIA: C. I. A.}\nplayers: {ann: }\nlines: [ann: CIA Nguyen]"
    plan = make_plan(parse_scene(text, str(tmp_path / "scene.yaml")))
    assert dict(plan.player("ann").pronounce) == {"CIA": "C. I. A.", "Nguyen": "Win"}


def test_only_so_many_words_are_looked_for() -> None:
    words = ", ".join(f"w{number}: word" for number in range(1001))
    with pytest.raises(SceneError, match="'pronounce' has 1,001 words, but the limit is 1,000"):
        plan_of(f"pronounce: {{{words}}}\nplayers: {{ann: }}\nlines: [ann: Hi.]")
