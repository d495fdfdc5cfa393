"""What may happen in a performance: what cues wait for (``on:``), and what a step may depend on (``when:``)."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from tau_stage.scene.fields import Name, Regex, Seconds
from tau_stage.scene.part import IGNORED, Part, Untitled


class Call(Part):
    """A player calls a tool."""

    player: Name | None = Field(None, description="Who calls. Default: anybody.")
    tool: Name | None = Field(None, description="Which tool. Default: any.")


class Said(Part):
    """Somebody says something."""

    player: Name | None = Field(None, description="Who says it. Default: anybody.")
    words: Regex = Field("", description="What is said: words, or a regular expression; case does not matter.")


class Silence(Part):
    """Nobody says anything for a while, where players or people may speak when they like."""

    for_s: Seconds = Field(5.0, alias="for", description="How long, like 8s. Default: 5s.")


class Failed(Part):
    """Something fails: a line cannot be had, a tool fails, a player is lost. The scene goes on."""

    player: Name | None = Field(None, description="Whose it is. Default: anybody's.")


class Not(Part):
    """Something has not happened."""

    condition: Call | Said | Failed


Event = Call | Said | Silence | Failed
Condition = Call | Said | Failed | Not

EVENTS: dict[str, type[Call | Said | Silence | Failed]] = {
    "call": Call,
    "said": Said,
    "silence": Silence,
    "error": Failed,
}
"""The words of ``on:`` and ``when:``."""

SHORT: dict[str, str] = {"call": "tool", "said": "words", "silence": "for", "error": "player"}
"""What the value means where it is a text and no mapping: ``said: umbrella``."""

EXAMPLES: dict[str, str] = {"call": "lights_on", "said": "umbrella", "silence": "8s", "error": "clerk"}
"""Values as hints show them."""


def _schemas(*words: str) -> dict[str, Any]:
    """Return the schemas of some events: the word, and a mapping or its short form; only what is said must be named."""
    schemas: dict[str, Any] = {}
    for word in words:
        short = ["string", "number"] if word == "said" else ["string", "number", "null"]
        whole = EVENTS[word].model_json_schema(schema_generator=Untitled)
        schemas[word] = {"description": whole["description"], "anyOf": [{"type": short}, whole]}
    return schemas


def _one(properties: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with one of some keys."""
    return {
        **IGNORED,
        "type": "object",
        "properties": properties,
        "oneOf": [{"required": [word]} for word in properties],
        "additionalProperties": False,
    }


EVENT_SCHEMA: dict[str, Any] = _schemas(*EVENTS)
_HAPPENED = _schemas("call", "said", "error")

WHEN_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "Compares texts, like '${mood} == happy' or '${mood} != sad'."},
        {"type": "boolean"},
        _one({**_HAPPENED, "not": {**_one(_HAPPENED), "description": "What has not happened."}}),
    ]
}
When = Annotated[Condition | Literal[True, False] | None, WithJsonSchema(WHEN_SCHEMA)]
"""When a step is performed: after something has happened, or where a comparison of variables holds."""
