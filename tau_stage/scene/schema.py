"""The JSON schema of scene files, generated from the models; editors complete, describe and check with it."""

import json

from pydantic.json_schema import JsonSchemaValue

from tau_stage.scene.fields import IGNORED, EditorSchema
from tau_stage.scene.model import EVENT_SCHEMA, TOLD_SCHEMAS, WHEN_SCHEMA, Line, Scene
from tau_stage.scene.names import RESERVED

ID = "https://json-schema.org/draft/2020-12/schema"

_SOUND_FILE = {"type": "string", "description": "A sound file, relative to the scene."}
_BODIES = {
    "Improvise": "Free play: players answer what they hear, until turns, for, words or a budget end it.",
    "Listen": "An open microphone: a person speaks, and the player answers.",
}


def scene_schema() -> str:
    """Return the schema as the text of ``schemas/scene.schema.json``."""
    schema = Scene.model_json_schema(schema_generator=EditorSchema)
    parts = schema["$defs"]
    _top(schema["properties"])
    schema["required"] = []
    schema["allOf"] = [
        {"anyOf": [{"required": [key]} for key in keys]} for keys in (("players", "include"), ("lines", "script"))
    ]
    parts["Cue"]["properties"] |= EVENT_SCHEMA
    parts["Cue"]["required"] = ["do"]
    _deliver(parts["Deliver"]["properties"])
    _expect(parts["Expect"]["properties"])
    _steps(parts)
    parts["When"] = WHEN_SCHEMA
    for part in parts.values():
        if "when" in part.get("properties", {}):
            description = part["properties"]["when"]["description"]
            part["properties"]["when"] = {"description": description, "$ref": "#/$defs/When"}
    schema.update(IGNORED)
    return json.dumps({"$schema": ID, **_without_nulls(schema)}, indent=2, ensure_ascii=False) + "\n"


def _top(properties: JsonSchemaValue) -> None:
    players = properties["players"]
    players["additionalProperties"] = {"anyOf": [players["additionalProperties"], {"type": "null"}]}
    players["minProperties"] = 1
    properties["lines"]["minItems"] = 1
    values = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    properties["matrix"]["additionalProperties"] = values
    for named in ("players", "tools", "vars", "matrix"):
        properties[named].update(IGNORED)


def _deliver(properties: JsonSchemaValue) -> None:
    for key in ("mix", "lines"):
        of_its_own = {"$ref": properties[key].pop("$ref")}
        properties[key]["anyOf"] = [of_its_own, {"type": ["string", "null"], "enum": ["none", None]}]


def _expect(properties: JsonSchemaValue) -> None:
    says = properties["says"]
    words: JsonSchemaValue = {"type": ["string", "number", "boolean", "null"]}
    says["anyOf"] = [words, {"type": "array", "items": words}, {"$ref": says.pop("$ref")}]


def _steps(parts: JsonSchemaValue) -> None:
    """Describe the steps as they are written: each begins with a word of its own."""
    parts["Line"]["propertyNames"] = {"not": {"enum": sorted(RESERVED - set(Line.options()))}}
    cut = parts["Line"]["properties"]["cut_in"]
    cut["anyOf"] = [{"type": "string"}, {"$ref": cut.pop("$ref")}]
    parts["ItemStep"]["properties"] |= TOLD_SCHEMAS
    parts["SoundStep"]["properties"] |= {"sfx": _SOUND_FILE, "bed": _SOUND_FILE}
    for word, keys in {"ItemStep": tuple(TOLD_SCHEMAS), "SoundStep": ("sfx", "bed")}.items():
        parts[word]["anyOf"] = [{"required": [key]} for key in keys]
        parts[word]["required"] = []
    for word, description in _BODIES.items():
        properties = dict(parts[word]["properties"])
        outer = {key: properties.pop(key) for key in ("when", "note", "pause")}
        body = {**IGNORED, "type": "object", "properties": properties, "additionalProperties": False}
        short = {"type": ["string", "null"]}
        parts[word]["properties"] = {**outer, word.lower(): {"description": description, "anyOf": [body, short]}}
    for word in ("Pause", "Together", *_BODIES):
        parts[word]["required"] = [word.lower()]
    parts["Together"]["properties"]["together"]["minItems"] = 2


def _without_nulls(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Leave out defaults of null, at any depth."""
    return {key: _inner(value) for key, value in schema.items() if not (key == "default" and value is None)}


def _inner(node: object) -> object:
    if isinstance(node, dict):
        return _without_nulls(node)
    return [_inner(item) for item in node] if isinstance(node, list) else node
