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


def valid(text: str) -> bool:
    """Whether an editor, which reads YAML the usual way, would be content."""
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text)))


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
    assert names.isdisjoint({"path", "sha256", "source_line", "speaker", "words", "title"})
