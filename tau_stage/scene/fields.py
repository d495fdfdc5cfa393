"""The kinds of values a scene's fields hold: how each is read from text, and how an editor is told of it."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from tau_stage.scene import units
from tau_stage.scene.units import wrong
from tau_stage.scene.voices import CUSTOM_PREFIX, OPENAI_VOICES, VOICES, is_url
from tau_stage.scene.words import did_you_mean, listed

DEFAULT_TEMPLATE = 'Perform this line, {direction}: "{words}"'

SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
"""What an editor's YAML may make of text without quotes: ``scene: 1984``, ``clerk: Yes``."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SECRET = re.compile(r"(api[-_]?key|token|secret|password)=", re.IGNORECASE)


def line_id(value: str) -> str:
    """An id that may stand in a file name.

    Raises:
        PydanticCustomError: It may not.
    """
    if not _ID.fullmatch(value) or value.endswith("."):
        hint = "write letters, digits, '-', '_' and '.', at most 64, a letter or digit first"
        raise wrong(f"'{value}' cannot be an id, as ids name files", hint)
    return value


def template(value: str) -> str:
    """A template with ``{words}`` and, if it likes, ``{direction}`` in it.

    Raises:
        PydanticCustomError: The words have no place in it, or something unknown has.
    """
    for name in re.findall(r"\{(\w*)\}", value):
        if name not in ("words", "direction"):
            hint = did_you_mean(name, ("words", "direction"), "it may hold {words} and {direction}")
            raise wrong(f"a prompt_template knows no {{{name}}}", hint)
    if "{words}" not in value:
        raise wrong("a prompt_template must hold {words}", f"the default is: {DEFAULT_TEMPLATE}")
    return value


def output(value: object) -> object:
    """``audio`` or ``text``.

    Raises:
        PydanticCustomError: It is neither.
    """
    if isinstance(value, str) and value not in ("audio", "text"):
        raise wrong(
            f"output is audio or text, not '{value}'", did_you_mean(value, ("audio", "text"), "audio is the default")
        )
    return value


def model_name(value: str) -> str:
    """The name of a model.

    Raises:
        PydanticCustomError: It is empty or holds a space.
    """
    if not re.fullmatch(r"\S{1,200}", value):
        raise wrong(f"'{value}' is no name of a model", "the default is gpt-realtime-2.1-mini")
    return value


def endpoint(value: str) -> str:
    """An endpoint's name, or the address of one's own.

    Raises:
        PydanticCustomError: It is unknown, not a WebSocket's, or carries a key.
    """
    if is_url(value):
        return _address(value)
    if value.startswith(("http://", "https://")):
        raise wrong("an endpoint is a WebSocket", f"did you mean {value.replace('http', 'ws', 1)}?")
    if value not in VOICES:
        hint = did_you_mean(value, VOICES, f"known: {listed(VOICES)}, or a ws:// or wss:// address")
        raise wrong(f"there is no endpoint '{value}'", hint)
    return value


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", value)
    except ValueError:
        sound = False
    if not sound:
        raise wrong("this endpoint is no address", "write it like wss://host/v1/realtime")
    if "@" in parts.netloc or _SECRET.search(parts.query):
        hint = "keys come from the environment: TAU_STAGE_API_KEY"
        raise wrong("an address in a scene carries no key", hint, secret=True)
    return value


def hearing(value: object) -> object:
    """``everyone``, ``nobody``, or names: one, or a list.

    Raises:
        PydanticCustomError: It is something else.
    """
    if isinstance(value, str):
        return value if value in ("everyone", "nobody") else (value,)
    if isinstance(value, dict):
        raise wrong("who hears is everyone, nobody, or names", "write it like [clerk, tourist]")
    if isinstance(value, list):
        for name in value:
            if not isinstance(name, str):
                raise wrong("a list of players holds names only", "write it like [clerk, tourist]")
            if name in ("everyone", "nobody"):
                raise wrong(f"'{name}' is no player", f"write {name} alone, without a list")
        return tuple(value)
    return value


Text = Annotated[str, AfterValidator(str.strip), WithJsonSchema(SCALAR)]
Title = Annotated[str, AfterValidator(lambda title: " ".join(title.split())), WithJsonSchema(SCALAR)]
Seconds = Annotated[
    float,
    BeforeValidator(units.duration),
    WithJsonSchema({"type": "string", "pattern": units.DURATION, "examples": ["800ms", "1.5s", "2m"]}),
]
Dollars = Annotated[
    Decimal,
    BeforeValidator(units.money),
    WithJsonSchema({"type": "string", "pattern": units.MONEY, "examples": ["$0.50"]}),
]
PerMinute = Annotated[
    float,
    BeforeValidator(units.rate),
    WithJsonSchema({"type": "string", "pattern": units.RATE, "examples": ["6/min"]}),
]
Speed = Annotated[
    float,
    BeforeValidator(units.speed),
    WithJsonSchema({"type": "number", "minimum": units.SPEEDS[0], "maximum": units.SPEEDS[1]}),
]
Tokens = Annotated[
    int,
    BeforeValidator(units.tokens),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": units.MOST_TOKENS}),
]
Output = Annotated[
    Literal["audio", "text"], BeforeValidator(output), WithJsonSchema({"type": "string", "enum": ["audio", "text"]})
]
Voice = Annotated[
    str,
    WithJsonSchema(
        {"anyOf": [{"type": "string", "enum": list(OPENAI_VOICES)}, {"type": "string", "pattern": f"^{CUSTOM_PREFIX}"}]}
    ),
]
Endpoint = Annotated[
    str,
    AfterValidator(endpoint),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(VOICES)}, {"type": "string", "pattern": "^wss?://"}]}),
]
Model = Annotated[str, AfterValidator(model_name), WithJsonSchema({"type": "string"})]
Template = Annotated[str, AfterValidator(template), WithJsonSchema({"type": "string", "pattern": r"\{words\}"})]
Id = Annotated[
    str,
    AfterValidator(line_id),
    WithJsonSchema({"type": ["string", "number"], "pattern": f"^{_ID.pattern}$"}),
]
Hearing = Annotated[
    Literal["everyone", "nobody"] | tuple[str, ...],
    BeforeValidator(hearing),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": ["everyone", "nobody"]},
                {"type": "string", "description": "The name of one player."},
                {"type": "array", "items": {"type": "string"}, "description": "Names of players."},
            ]
        }
    ),
]
