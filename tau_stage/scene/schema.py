"""The JSON schema of scene files, generated from the models; editors complete, describe and check with it."""

import json
from collections.abc import Iterator
from functools import cache

from pydantic.json_schema import JsonSchemaValue

from tau_stage.scene.expect import CallWanted
from tau_stage.scene.fields import IGNORED, SCALAR, EditorSchema, SceneModel
from tau_stage.scene.model import RESERVED, Line, Scene

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SOUND_FILE = {
    "type": "string",
    "description": "An audio file, relative to the scene.",
    "examples": ["sounds/rain.wav"],
}
_WAV = {"type": "string", "description": "An audio file of the user's speech, relative to the scene."}
_USER_SOUND = {"type": "object", "properties": {"wav": _WAV}, "additionalProperties": False}
_ITEMS = {
    "prompt": ("Instructions to send to players, by player. They are not spoken.", SCALAR),
    "user": ("User messages to add to conversations, by player.", {"anyOf": [SCALAR, _USER_SOUND]}),
    "assistant": ("Messages to add to conversations as if the player had said them, by player.", SCALAR),
}
"""How the items of a step are described to an author, and how each is written."""

_GIVEN = {"clerk": "It is raining, and it is late."}
_COMPARISON = {"type": "string", "description": "A comparison, for example '${mood} == happy' or '${mood} != sad'."}


@cache
def scene_schema() -> str:
    """Return the schema as the text of ``schemas/scene.schema.json``."""
    schema = Scene.model_json_schema(schema_generator=EditorSchema)
    parts = schema["$defs"]
    _top(schema["properties"])
    schema["required"] = []
    schema["allOf"] = [{"anyOf": _required("players", "include")}, {"anyOf": _required("lines", "script")}]
    parts["Cue"]["required"] = ["do"]
    allow_short_forms(schema)
    _allow_short_calls(parts)
    _steps(parts)
    for part in parts.values():
        if "when" in part.get("properties", {}):
            part["properties"]["when"]["anyOf"].append(_COMPARISON)
    for name in ("Happened", "When"):
        parts[name]["oneOf"] = _required(*parts[name]["properties"])
    schema.update(IGNORED)
    return json.dumps(without_nulls({"$schema": SCHEMA_DIALECT, **schema}), indent=2, ensure_ascii=False) + "\n"


def allow_short_forms(schema: JsonSchemaValue) -> None:
    """Let the short form of each mapping of the scene language, or nothing, stand wherever the mapping may."""
    for model in _models(SceneModel):
        if model.__name__ in schema["$defs"] and (model.FORM.short or model.FORM.without) and not model.FORM.several:
            _allow_short(model, schema)


def _models(base: type[SceneModel]) -> Iterator[type[SceneModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _required(*keys: str) -> list[JsonSchemaValue]:
    """Require one of several keys."""
    return [{"required": [key]} for key in keys]


def _top(properties: JsonSchemaValue) -> None:
    players = properties["players"]
    players["additionalProperties"] = {"anyOf": [players["additionalProperties"], {"type": "null"}]}
    players["minProperties"] = 1
    properties["lines"]["minItems"] = 1
    values = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    properties["matrix"]["additionalProperties"] = values
    for named in ("players", "tools", "vars", "matrix"):
        properties[named].update(IGNORED)


def _allow_short(model: type[SceneModel], schema: JsonSchemaValue) -> None:
    """Let the short form of a mapping, or nothing, stand wherever the mapping may."""
    parts = schema["$defs"]
    ref = {"$ref": f"#/$defs/{model.__name__}"}
    short = [_short_of(model, parts)] if model.FORM.short else []
    nothing: JsonSchemaValue = {"type": ["string", "null"], "enum": [model.FORM.without, None]}
    none = [] if model.FORM.empty else [nothing if model.FORM.without else {"type": "null"}]
    none += [{"const": model.FORM.anything}] if model.FORM.anything else []
    forms = [*short, *none, ref]
    for described in [each for part in (schema, *parts.values()) for each in part.get("properties", {}).values()]:
        if described.get("$ref") == ref["$ref"]:
            del described["$ref"]
            described["anyOf"] = forms


def _short_of(model: type[SceneModel], parts: JsonSchemaValue) -> JsonSchemaValue:
    described = parts[model.__name__]["properties"][model.FORM.short]
    return {key: value for key, value in described.items() if key not in ("description", "default")}


def _allow_short_calls(parts: JsonSchemaValue) -> None:
    """Let a call be the name of a tool, and a list of one be that call."""
    calls, call = parts["Expect"]["properties"]["calls"], _short_of(CallWanted, parts)
    items = {"anyOf": [call, calls.pop("items")]}
    calls["anyOf"] = [call, {"type": calls.pop("type"), "minItems": 1, "items": items}]
    parts["CallWanted"]["required"] = ["tool"]


def _steps(parts: JsonSchemaValue) -> None:
    """Describe the steps as they are written: each begins with a word of its own."""
    parts["Line"]["propertyNames"] = {"not": {"enum": sorted(RESERVED - set(Line.options()))}}
    for word, (description, form) in _ITEMS.items():
        item = {"type": "object", "description": description, "examples": [_GIVEN], "additionalProperties": form}
        parts["ItemStep"]["properties"][word] = item
    parts["SoundStep"]["properties"] |= {"sfx": _SOUND_FILE, "bed": _SOUND_FILE}
    for word, keys in {"ItemStep": tuple(_ITEMS), "SoundStep": ("sfx", "bed")}.items():
        parts[word]["anyOf"] = _required(*keys)
        parts[word]["required"] = []
    for word in ("Pause", "Chapter", "Together"):
        parts[word]["required"] = [word.lower()]
    parts["Together"]["properties"]["together"]["minItems"] = 2


def without_nulls(node: object) -> object:
    """Leave out defaults of null, at any depth."""
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if key != "default" or value is not None}
    return [*map(without_nulls, node)] if isinstance(node, list) else node
