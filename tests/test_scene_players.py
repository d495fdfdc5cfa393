"""What players and tools resolve to: what cascades, how one hears, what one may call."""

from typing import Any

import pytest

from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import ListenPlan, Plan
from tau_stage.scene.planner import make_plan


def plan_of(text: str) -> Plan:
    return make_plan(parse_scene(text))


CASCADE = """\
reasoning: low
hears_as: text
label_speakers: true
pace: realtime
tool_choice: required
turn_detection: semantic_vad
tools:
  lights_on: {description: The listener wants light., returns: {ok: true}}
  lights_off: {returns: done}
players:
  ann:
  ben:
    reasoning: high
    hears_as: audio
    label_speakers: no
    tool_choice: lights_on
    tools: lights_on
    turn_detection: {type: server_vad, silence: 800ms, padding: 0.3s, idle: 6s, threshold: 0.5}
    setup:
    - system: You have never seen the sea.
    - user: ' Hello? '
    - assistant: Hm.
  cid: {tools: none}
lines:
- ann: Hello
"""


def test_what_stands_at_the_top_holds_for_every_player() -> None:
    ann = plan_of(CASCADE).player("ann")
    assert (ann.reasoning, ann.hears_as, ann.label_speakers, ann.pace) == ("low", "text", True, "realtime")
    assert (ann.tools, ann.tool_choice) == (("lights_on", "lights_off"), "required")
    assert (ann.turn_detection, ann.setup) == ((("type", "semantic_vad"),), ())
    assert plan_of(CASCADE).pace == "realtime"


def test_a_player_overrides_the_top() -> None:
    ben = plan_of(CASCADE).player("ben")
    assert (ben.reasoning, ben.hears_as, ben.label_speakers) == ("high", "audio", False)
    assert (ben.tools, ben.tool_choice) == (("lights_on",), "lights_on")
    assert dict(ben.turn_detection) == {
        "type": "server_vad",
        "silence_duration_ms": 800,
        "prefix_padding_ms": 300,
        "idle_timeout_ms": 6000,
        "threshold": 0.5,
    }
    assert ben.setup == (("system", "You have never seen the sea."), ("user", "Hello?"), ("assistant", "Hm."))


def test_who_has_no_tools_has_no_choice() -> None:
    cid = plan_of(CASCADE).player("cid")
    assert (cid.tools, cid.tool_choice) == ((), None)


def test_written_words_call_no_tools_unless_they_say_so() -> None:
    plan = plan_of(
        CASCADE + "- ann: Light!\n  tool_choice: lights_on\n- ben: Dark!\n  tools: [lights_off]\n"
        "  tool_choice: lights_off\n- ann:\n  improvise: ask for light\n"
    )
    assert [line.tool_choice for line in plan.lines] == ["none", "lights_on", "lights_off", None]
    assert [line.tools for line in plan.lines] == [None, None, ("lights_off",), None]


@pytest.mark.parametrize(
    ("written", "planned"),
    [
        ("server_vad", {"type": "server_vad"}),
        ("semantic_vad", {"type": "semantic_vad"}),
        ("{silence: 1s}", {"type": "server_vad", "silence_duration_ms": 1000}),
        ("{type: semantic_vad, eagerness: high}", {"type": "semantic_vad", "eagerness": "high"}),
        ("{threshold: 1}", {"type": "server_vad", "threshold": 1.0}),
    ],
)
def test_turn_detection(written: str, planned: dict[str, object]) -> None:
    plan = plan_of(f"turn_detection: {written}\nplayers: {{ann: }}\nlines: [ann: hi]\n")
    assert dict(plan.players[0].turn_detection) == planned


@pytest.mark.parametrize(
    ("written", "planned"),
    [
        ("off", ()),
        ("gpt-live-transcribe", (("model", "gpt-live-transcribe"),)),
        ("{language: no}", (("model", "gpt-transcribe"), ("language", "no"))),
        ("{model: own, language: pt-BR, x-why: a test}", (("model", "own"), ("language", "pt-BR"))),
        ("{prompt: ' Whitby, Yorkshire '}", (("model", "gpt-transcribe"), ("prompt", "Whitby, Yorkshire"))),
    ],
)
def test_transcription(written: str, planned: object) -> None:
    plan = plan_of(f"transcription: {written}\nplayers: {{ann: }}\nlines: [ann: hi]\n")
    assert plan.players[0].transcription == planned


def test_the_transcription_of_the_step_counts_then_the_players_then_the_scenes() -> None:
    head = "transcription: {language: de}\nplayers: {ann: {transcription: off}, ben: , guest: {human: mic}}\nlines:\n"
    ways = ("ann", "ben", "ann, transcription: own")
    plan = plan_of(head + "".join(f"- listen: {{player: {way}, turns: 1}}\n" for way in ways))
    assert [step.transcription for step in plan.steps if isinstance(step, ListenPlan)] == [
        (),
        (("model", "gpt-transcribe"), ("language", "de")),
        (("model", "own"),),
    ]


@pytest.mark.parametrize(
    ("endpoint", "planned"),
    [
        ("azure", (("model", "gpt-transcribe"),)),
        ("azure-voice-live", (("model", "azure-speech"),)),
        ("xai", (("model", "grok-transcribe"),)),
        ("ws://127.0.0.1:8000", (("model", "gpt-transcribe"),)),
        ("speaches", None),
    ],
)
def test_who_writes_down_at_an_endpoint(endpoint: str, planned: object) -> None:
    plan = plan_of(f"endpoint: {endpoint}\nplayers: {{ann: }}\nlines: [ann: hi]\n")
    assert plan.players[0].transcription == planned


def test_what_is_said_of_transcription_goes_to_a_server_that_chooses_the_model() -> None:
    plan = plan_of("endpoint: vllm\ntranscription: {language: de}\nplayers: {ann: }\nlines: [ann: hi]\n")
    assert plan.players[0].transcription == (("language", "de"),)


def tool(text: str) -> Any:
    return plan_of(f"tools: {{t: {text}}}\nplayers: {{ann: }}\nlines: [ann: hi]\n").tools["t"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7), ("-7", -7), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("false", False), ("null", None),
        ("'7'", "7"), ('"true"', "true"), ("'null'", "null"), ("yes", "yes"), ("007", "007"), ("1:30", "1:30"),
        ("+7", "+7"), ("0x1F", "0x1F"), ("", ""), ("a text", "a text"), ("1e999", "1e999"), ("9" * 5000, "9" * 5000),
        ("{ok: true, n: [1, '1', {deep: 2.0}]}", {"ok": True, "n": [1, "1", {"deep": 2.0}]}),
    ],
)  # fmt: skip
def test_a_tool_returns_what_a_program_would_read(written: str, value: object) -> None:
    found = tool(f"{{returns: {written}}}")
    assert (found.returns, type(found.returns)) == (value, type(value))
    assert ("returns" in found.model_fields_set, found.is_code, found.timeout) == (True, False, 10)


def test_arguments_in_short_and_in_full() -> None:
    short = tool("{returns: 1, parameters: {city: string, days: integer, where: {type: array, items: {type: number}}}}")
    assert short.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "where": {"type": "array", "items": {"type": "number"}},
        },
        "required": ["city", "days", "where"],
    }
    full = "{type: object, properties: {days: {type: integer, maximum: 7}}, required: []}"
    assert tool(f"{{returns: 1, parameters: {full}}}").parameters == {
        "type": "object",
        "properties": {"days": {"type": "integer", "maximum": 7}},
        "required": [],
    }
    assert tool("{returns: 1}").parameters is None
    assert tool("{returns: 1, parameters: }").parameters == {"type": "object", "properties": {}, "required": []}


def test_tools_that_run_code_are_known() -> None:
    plan = plan_of(
        "tools:\n  a: {returns: 1}\n  b: {run: 'lights.house:on', timeout: 2s}\n  c: {command: [./lights, 'on']}\n"
        "players: {ann: }\nlines: [ann: hi]\n"
    )
    assert plan.runs_code == ("b", "c")
    assert (plan.tools["b"].run, plan.tools["b"].timeout) == ("lights.house:on", 2)
    assert plan.tools["c"].command == ("./lights", "on")
    assert plan.tools["c"].source_line == 4


def test_a_player_may_remember_none_of_its_lines_unless_one_says_so() -> None:
    text = "conversation: none\nplayers: {ann: , bob: {conversation: auto}}\nlines:\n"
    text += (
        "  - ann: One.\n  - {ann: Two., conversation: auto}\n  - bob: Three.\n  - {bob: Four., conversation: none}\n"
    )
    assert [line.apart for line in make_plan(parse_scene(text)).lines] == [True, False, False, True]


def test_a_language_stands_before_the_accent_and_that_of_the_batch_where_nobody_says() -> None:
    scene = parse_scene("accent: soft\nplayers: {ann: {language: pt-BR}, ben: }\nlines: [ann: Oi., ben: Hm.]")
    assert [player.instructions for player in make_plan(scene).players] == [
        "Speak Portuguese (pt-BR).\nSpeak in soft.",
        "Speak in soft.",
    ]
    of_batch = [make_plan(scene.model_copy(update={"batch_language": name})) for name in ("de", "loud")]
    assert [plan.player("ben").instructions for plan in of_batch] == ["Speak German.\nSpeak in soft.", "Speak in soft."]
    assert [plan.player("ann").instructions for plan in of_batch] == ["Speak Portuguese (pt-BR).\nSpeak in soft."] * 2
    assert [plan.language for plan in of_batch] == ["de", "loud"]
