"""The JSON schema: current, true of our scenes, and of use to an editor."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tau_stage.scene.schema import scene_schema

TOP = Path(__file__).parent.parent
SCHEMA: dict[str, Any] = json.loads(scene_schema())


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Editor(yaml.SafeLoader):
    """YAML as editors read it, which is YAML 1.2: ``on``, ``yes`` and ``no`` are texts."""


Editor.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or sign in "tTfF"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def valid(text: str) -> bool:
    """Whether an editor would be content."""
    return bool(VALIDATOR.is_valid(yaml.load(text, Loader=Editor)))  # noqa: S506 - a safe loader


def test_the_committed_schema_is_current() -> None:
    """``tau-stage schema --write schemas/scene.schema.json`` makes it so."""
    assert (TOP / "schemas/scene.schema.json").read_text(encoding="utf-8") == scene_schema()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("scene", sorted((TOP / "scenes").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_scenes_satisfy_it(scene: Path) -> None:
    assert valid(scene.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "step",
    [
        "ann: Yes", "ann: 7", "ann: 1.5", "ann: null", "ann: hi\n  id: 3\n  to: [ann]\n  pause: 800ms\n  x-a: [1]",
        "prompt: {ann: 1984}",
    ],
)  # fmt: skip
def test_lines_may_be_what_yaml_makes_of_them(step: str) -> None:
    assert valid(f"scene: 1984\nplayers: {{ann: , x-y: {{voice: ash}}}}\nlines:\n- {step}\n")


@pytest.mark.parametrize(
    "scene",
    [
        "players: {ann: }",
        "players: {ann: {voise: ash}}\nlines: [ann: hi]",
        "players: {ann: {voice: asj}}\nlines: [ann: hi]",
        "players: {ann: }\nlines: [{ann: hi, pause: 3}]",
        "players: {ann: }\nlines: [{ann: hi, max_output_tokens: 5000}]",
        "players: {ann: }\nlines: []",
        "players: {}\nlines: [ann: hi]",
        "players: {ann: }\nlines: [ann: hi]\nlimits: {budget: 3}",
        "voize: ash\nplayers: {ann: }\nlines: [ann: hi]",
    ],
)
def test_an_editor_marks_what_is_wrong(scene: str) -> None:
    assert not valid(scene)


HEAD = "players: {ann: , ben: , guest: {human: mic}}\nlines:\n- "

GOOD_STEPS = [
    "pause: 800ms",
    "sfx: door.wav\n  gain: -18 dB\n  heard: true\n  pause: 0s",
    "bed: rain.wav\n  until: end",
    "user: {ann: hi, ben: {wav: guest.wav}}",
    "assistant: {ann: hi}\n  note: so",
    "together: [ann: One, ben: Two, sfx: door.wav]\n  pause: 1s",
    "improvise: {players: [ann, ben], about: rain, order: called, turns: 6, for: 45s, words: 9, budget: $0.05}",
    "improvise: {order: [ben, ann], turns: 6, until: bye, to: nobody, x-a: 1}\n  when: {not: {said: no}}",
    "listen: {player: ann, from: guest, for: 2m, turns: 3, until: bye, key: q, to: ben, x-a: 1}",
    "listen:",
    "listen: ann",
    "ann:\n  improvise: refuse",
    "ann:\n  improvise:",
    "ann: Hi\n  cut_in: ben",
    "ann: Hi\n  cut_in: {on: ben, after: 900ms, overlap: 0s}",
    "ann: Hi\n  when: ${mood} == happy",
    "ann: Hi\n  when: true",
    "ann: Hi\n  when: {call: {player: ann, tool: lights_on}}",
    "ann: Hi\n  when: {error: ann}",
    "ann: Hi\n  timeout: 30s\n  conversation: none\n  output: text\n  reasoning: low",
    "ann: Hi\n  tools: none\n  tool_choice: auto\n  max_output_tokens: 9",
    "ann: Hi\n  metadata: {shot: 12a, take: 3}\n  direction: low\n  to: [ben]",
]


@pytest.mark.parametrize("step", GOOD_STEPS)
def test_every_step_may_be_written(step: str) -> None:
    assert valid(HEAD + step)


@pytest.mark.parametrize(
    "step",
    [
        "pause: 3",
        "sfx: door.wav\n  gain: -18",
        "sfx: [door.wav]",
        "user: {ann: {wave: x.wav}}",
        "assistant: {ann: {wav: x.wav}}",
        "together: [ann: One]",
        "together: ann",
        "improvise: {turn: 6}",
        "improvise: {turns: six}",
        "improvise: {turns: 6}\n  turns: 6",
        "listen: {fro: guest}",
        "listen: {for: 120}",
        "ann: Hi\n  cut_in: {aftr: 1s}",
        "ann: Hi\n  cut_in: [ben]",
        "ann: Hi\n  when: {sayd: x}",
        "ann: Hi\n  when: {said: x, call: y}",
        "ann: Hi\n  when: {silence: 5s}",
        "ann: Hi\n  timeout: 30",
        "ann: Hi\n  conversation: all",
        "ann: Hi\n  metadata: [a]",
        "ann: Hi\n  reasoning: hihg",
    ],
)
def test_an_editor_marks_a_wrong_step(step: str) -> None:
    assert not valid(HEAD + step)


@pytest.mark.parametrize(
    "part",
    [
        "on: [{said: umbrella, do: [ann: So], times: 2}]",
        "on: [{silence: 8s, do: [pause: 1s]}, {call: {tool: t}, do: [ann: So]}, {error: , do: [ann: So]}]",
        "tools: {t: {description: a, returns: {ok: [1]}, timeout: 5s}, u: {run: 'm:f'}, v: {command: [./a, b]}}",
        "tools: {t: {returns: yes, parameters: {city: string, days: {type: integer}}}, x-a: 1}",
        "tools: {t: {returns: yes, parameters: {type: object, properties: {}, required: []}}}",
        "vars: {city: Oslo, n: 3}\nmatrix: {mood: [calm, 2, true]}\ninclude: [cast.yaml]",
        "include: cast.yaml\nlimits: {cues: 7, budget: $1, start_rate: 6/min}",
        "limits: {opening: 15s, silence: 20s, hearing: 500ms, closing: 1s, on_lost_player: continue}",
        "deliver: {mix: {loudness: -16 LUFS, peak: -1.5 dBTP, file: mix.ogg}, rate: 48 kHz, stems: packed, x-a: 1}",
        "deliver: {mix: none, lines: {trim: true, names: '{line}'}}",
        "deliver: {mix: , lines: }",
        "deliver: {preset: audiobook, mix: {rms: -20.5 dB, tolerance: 2 dB, noise_floor: -60 dB, head: 1s, tail: 2s}}",
        "deliver: {mix: {file: a.flac, bits: 24, title: A, rate: 44.1 kHz}, lines: {format: mp3, bitrate: 64 kbps}}",
        "deliver: {lines: {bits: 32f, rate: 48 kHz, loudness: -23 LUFS, peak: -1 dBTP, names: '{language}/{line}'}}",
        "turn_detection: semantic_vad\nreasoning: low\nhears_as: text\nlabel_speakers: true\npace: realtime",
        "turn_detection: {type: server_vad, silence: 800ms, padding: 1s, idle: 6s, threshold: 0.5, x-a: 1}",
        "transcription: off",
        "transcription: {model: gpt-transcribe, language: de, prompt: Whitby, x-a: 1}",
    ],
)
def test_every_part_may_be_written(part: str) -> None:
    assert valid(f"{HEAD}ann: hi\n{part}\n")


@pytest.mark.parametrize(
    "part",
    [
        "on: [{sayd: umbrella, do: [ann: So]}]",
        "on: [{said: umbrella}]",
        "on: {said: umbrella}",
        "tools: {t: {return: 1}}",
        "tools: {t: {command: ./lights on}}",
        "tools: {t: {returns: 1, parameters: {city: strin}}}",
        "matrix: {mood: calm}",
        "limits: {cues: 0}",
        "deliver: {mix: loud}",
        "deliver: {mix: {loudness: -16}}",
        "deliver: {mix: {file: mix.aac}}",
        "deliver: {rate: 44.1 kHz}",
        "deliver: {lines: {names: same}}",
        "turn_detection: {silnce: 800ms}",
        "turn_detection: server_vd",
        "transcription: [gpt-transcribe]",
        "transcription: {language: English}",
        "transcription: {modle: gpt-transcribe}",
        "label_speakers: sometimes",
    ],
)
def test_an_editor_marks_a_wrong_part(part: str) -> None:
    assert not valid(f"{HEAD}ann: hi\n{part}\n")


@pytest.mark.parametrize(
    ("player", "good"),
    [
        ("human: mic, stand_in: takes", True),
        ("setup: [{system: Sea., x-a: 1}, {user: Hi}]", True),
        ("tools: [a, b], tool_choice: a, hears: nobody", True),
        ("setup: [systm: Sea.]", False),
        ("setup: Sea.", False),
        ("hears_as: txt", False),
    ],
)
def test_players_may_be_so(player: str, good: bool) -> None:
    assert valid(f"players: {{ann: {{{player}}}}}\nlines: [ann: hi]") is good


def test_a_script_may_stand_for_lines() -> None:
    assert valid("players: {ann: }\nscript: |\n  ANN: Hi\n")
    assert not valid("players: {ann: }\nscript: [ANN]\n")


def test_what_another_file_brings_need_not_stand_here() -> None:
    assert valid("include: cast.yaml\nlines: [ann: hi]\n")


def properties(node: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        found = [*node.get("properties", {}).items()]
        return found + [each for value in node.values() for each in properties(value)]
    return [each for value in node for each in properties(value)] if isinstance(node, list) else []


def test_every_key_is_described() -> None:
    assert len(properties(SCHEMA)) > 30
    assert [name for name, field in properties(SCHEMA) if not field.get("description")] == []


def test_voices_are_completed() -> None:
    voice = SCHEMA["$defs"]["Player"]["properties"]["voice"]
    assert "marin" in voice["anyOf"][0]["enum"]


def test_nothing_of_ours_shows_in_it() -> None:
    names = {name for name, _ in properties(SCHEMA)}
    assert names.isdisjoint(
        {"path", "sha256", "source_line", "speaker", "told", "role", "event", "condition", "identity"}
    )
    assert "title" not in SCHEMA["properties"]
