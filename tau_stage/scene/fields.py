"""The kinds of values a scene's fields hold: how each is read from text, and how an editor is told of it."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeGuard, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema
from pydantic_core import PydanticCustomError, from_json

from tau_stage.scene import units
from tau_stage.scene.names import KINDS, VOICES, did_you_mean, is_url, kind_of, listed
from tau_stage.scene.source import Quoted
from tau_stage.scene.units import FromText, facts_of, matching, wrong
from tau_stage.text import LONGEST_PATTERN, attributes_of, bears_key, composed, docstring, pattern_problem

IGNORED: JsonSchemaValue = {
    "patternProperties": {"^x-": {"description": "Ignored by tau-stage. You can use it for your own data."}}
}


Detection = tuple[tuple[str, str | int | float], ...]
Transcription = tuple[tuple[str, str], ...]  # the API's fields, and their values

OFF: Transcription = ()  # A transcription of nothing

TRANSCRIPTION_HINT = "write a model name, 'off', or {model: gpt-transcribe, language: en, prompt: Names and places}"

LANGUAGE = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"
_SWITCHES = {"true", "yes", "on", "false", "no", "none", "null", "~"}


def transcriber(value: str) -> str:
    """Read the name of a model that transcribes, or ``off``."""
    if value.casefold() == "off":
        return "off"
    if value.casefold() in _SWITCHES or not re.fullmatch(r"\S{1,200}", value):
        raise wrong(f"'{value}' is not a valid name of a transcription model", TRANSCRIPTION_HINT)
    return value


def some_text(value: str) -> str:
    """Read a prompt that says something."""
    if not value.strip():
        raise wrong("this prompt is empty", "write names and words that are likely to be said, or remove the key")
    return value.strip()


DEFAULT_TEMPLATE = 'Perform this line, {direction}: "{words}"'

SCALAR: JsonSchemaValue = {"type": ["string", "number", "boolean", "null"]}
"""What an editor's YAML may make of text without quotes: ``scene: 1984``, ``clerk: Yes``."""

MOST_METADATA = 13  # the API takes 16 pairs; two are the stage's own
ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

language = matching(LANGUAGE, "'{}' is not a valid language code", "for example: en, de or pt-BR (ISO 639-1)")
line_id = matching(
    rf"{ID}(?<!\.)",
    "'{}' is not a valid id, because ids are used in file names",
    "use letters, digits, '-', '_' and '.', at most 64, starting with a letter or digit",
)
model_name = matching(r"\S{1,200}", "'{}' is not a valid model name", "the default is gpt-realtime-2.1-mini")
python_function = matching(r"[\w.]+:\w+", "'{}' is not a valid function name", "for example: package.module:function")
threshold = matching(
    r"0(\.[0-9]{1,9})?|1(\.0)?",
    "a threshold must be from 0 to 1, not '{}'",
    "a typical value is 0.5; higher values need a louder voice",
)


def template(value: str) -> str:
    """Read a template with ``{words}`` and, if it likes, ``{direction}`` in it."""
    for name in re.findall(r"\{(\w*)\}", value):
        if name not in ("words", "direction"):
            hint = did_you_mean(name, ("words", "direction"), "it may contain {words} and {direction}")
            raise wrong(f"a prompt_template does not support {{{name}}}", hint)
    if "{words}" not in value:
        raise wrong("a prompt_template must contain {words}", f"the default is: {DEFAULT_TEMPLATE}")
    return value


def endpoint(value: str) -> str:
    """Read an endpoint's name, or the address of one's own."""
    if is_url(value):
        return _address(value)
    if value.lower().startswith(("http://", "https://")):
        raise wrong("an endpoint address must use ws:// or wss://", f"did you mean ws{value[4:]}?")
    if re.fullmatch(r"[\w.-]+:\d+(/\S*)?", value, re.ASCII):
        path = "" if "/" in value else "/v1/realtime"
        raise wrong("an address must start with ws:// or wss://", f"did you mean ws://{value}{path}?")
    if value not in VOICES:
        hint = did_you_mean(value, VOICES, f"known endpoints: {listed(VOICES)}; or write a ws:// or wss:// address")
        raise wrong(f"unknown endpoint '{value}'", hint)
    return value


def _address(value: str) -> str:
    """Return an address, behind what its server is like."""
    kind = kind_of(value)
    if kind not in ("", *KINDS):
        raise wrong(f"unknown kind of server '{kind}'", did_you_mean(kind, KINDS, f"known kinds: {listed(KINDS)}"))
    try:
        parts = urlsplit(value)
        sound = all((parts.scheme, parts.hostname, parts.port != 0, not re.search(r"\s", value)))
    except ValueError:
        sound = False
    if not sound:
        raise wrong("this endpoint is not a valid address", "for example: wss://host/v1/realtime")
    if bears_key(value):
        hint = "set the key in the environment variable TAU_STAGE_API_KEY"
        raise wrong("an address in a scene must not contain a key", hint, secret=True)
    return value


def are_texts(value: object) -> TypeGuard[Sequence[str]]:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def hearing(value: object) -> object:
    """Read ``everyone``, ``nobody``, or names: one, or a list."""
    if isinstance(value, str):
        return value if value in ("everyone", "nobody") else (composed(value),)
    if isinstance(value, dict):
        raise wrong("expected 'everyone', 'nobody', or player names", "for example: [clerk, tourist]")
    if isinstance(value, list):
        if not are_texts(value):
            raise wrong("a list of players may contain only names", "for example: [clerk, tourist]")
        for name in {"everyone", "nobody"}.intersection(value):
            raise wrong(f"'{name}' cannot be in a list of players", f"write '{name}' on its own, without brackets")
        return tuple(map(composed, value))
    return value


def regex(value: str) -> str:
    """Read a regular expression, looked for in what is said, whatever its case."""
    if len(value) > LONGEST_PATTERN:
        problem = (
            f"a regular expression may have at most {LONGEST_PATTERN:,} characters, but this one has {len(value):,}"
        )
        raise wrong(problem, "search for a shorter part of it")
    if problem := pattern_problem(value):
        hint = "write plain words, or a regular expression in the syntax of Python's re module"
        raise wrong(f"'{value}' is not a valid regular expression: {problem}", hint)
    if not value:
        raise wrong("an empty pattern matches everything", "write the words to listen for")
    return value


def names(value: object) -> object:
    """Read names: one, or a list of them."""
    if isinstance(value, str):
        return () if value in ("none", "") else (composed(value),)
    if not are_texts(value):
        raise wrong("expected a name or a list of names", "for example: [first, second], or none")
    return tuple(map(composed, value))


LIVE = ("mic", "tty", "booth")
"""How a person plays who is there: at a microphone, at a keyboard, or in the booth's page."""


def human(value: str) -> str:
    """Read how a person plays: one of ``LIVE``, or a sound file."""
    value = value.strip()
    if value not in LIVE and "." not in value:
        hint = did_you_mean(value, LIVE, "write 'mic', 'tty', 'booth', or an audio file, for example guest.wav")
        raise wrong(f"'human' must be 'mic', 'tty', 'booth', or an audio file, not '{value}'", hint)
    return value


def order(value: object) -> object:
    """``round``, ``called``, or names in their order."""
    hint = "write 'round', 'called', or a list of names"
    if value in ("round", "called"):
        return value
    if isinstance(value, str):
        meant = did_you_mean(value, ("round", "called"), hint)
        raise wrong(f"'order' must be 'round', 'called', or a list of names, not '{value}'", meant)
    if value == []:
        raise wrong("'order' needs names", hint)
    return names(value)


def metadata(value: object) -> object:
    """Read a few short texts by name."""
    if not isinstance(value, dict) or not are_texts([*value.values()]):
        raise wrong("'metadata' must be a mapping of names to strings", "for example: {shot: 12a}")
    if len(value) > MOST_METADATA or any(len(name) > 64 or len(text) > 512 for name, text in value.items()):
        hint = "these are the limits of the Realtime API"
        raise wrong(
            f"'metadata' may have at most {MOST_METADATA} names of up to 64 characters, with values of up to 512", hint
        )
    return value


MOST_PRONOUNCED = 1000  # words of which each is looked for in every line
_PRONOUNCE = 'for example: pronounce: {CIA: C. I. A., Nguyen: "Win"}'


def pronunciation(value: object) -> object:
    """Read words and how they are sent, in the order written."""
    entries = entries_of(value, "'pronounce'", _PRONOUNCE)
    if len(entries) > MOST_PRONOUNCED:
        problem = f"'pronounce' has {len(entries):,} words, but the limit is {MOST_PRONOUNCED:,}"
        raise wrong(problem, "keep only the words that a model mispronounces")
    for word, sound in entries.items():
        if not isinstance(sound, str):
            raise wrong(f"the pronunciation of '{word}' must be a string", _PRONOUNCE, inside=(word,))
        for text, key in ((word, True), (sound, False)):
            if not any(map(str.isalnum, text)):
                raise wrong(f"'{text}' is not a word", _PRONOUNCE, inside=(word,), key=key)
    return {word: " ".join(sound.split()) for word, sound in entries.items()}


def wording(value: object) -> object:
    """Read how near to its text a line is said: ``exact`` or ``free``."""
    if isinstance(value, str) and value not in ("exact", "free"):
        hint = did_you_mean(value, ("exact", "free"), "write the spoken words after the speaker: '- name: words'")
        raise wrong(f"'words' must be 'exact' or 'free', not '{value}'", hint)
    return value


_DATA = re.compile(r"true|false|null|-?(0|[1-9]\d{0,15})(\.\d{1,16})?([eE][+-]?\d{1,2})?", re.ASCII)
"""What JSON has beside texts: of numbers, those that every program can hold; a longer one stays the text it is."""

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off", "")


def typed(value: Any) -> Any:
    """Type data for a program: what reads as a number, ``true``, ``false`` or ``null`` is one, unless it is quoted."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [*map(typed, value)]
    if not isinstance(value, str):
        return value
    is_data = not isinstance(value, Quoted) and _DATA.fullmatch(value)
    return from_json(value) if is_data else str(value)


def entries_of(value: object, what: str, hint: str) -> dict[str, Any]:
    """Return the entries of a mapping without ``x-*``; nothing has none."""
    if value == "":
        return {}
    if not isinstance(value, Mapping):
        raise wrong(f"{what} must be a mapping of 'key: value'", hint)
    return {key: inner for key, inner in value.items() if not key.startswith("x-")}


def compared(value: object) -> object:
    """Decide a comparison of texts: ``happy == happy``, ``happy != sad``, ``yes``."""
    if not isinstance(value, str):
        return value
    if sign := re.search("==|!=", value):
        is_same = value[: sign.start()].strip() == value[sign.end() :].strip()
        return is_same == (sign[0] == "==")
    if value.strip().lower() not in (*_TRUE, *_FALSE):
        raise wrong(f"'{value}' is not a comparison, 'true' or 'false'", "for example: '${mood} == happy'")
    return value.strip().lower() in _TRUE


def command(value: object) -> object:
    """Read a program and its arguments."""
    if are_texts(value) and value and all(value):
        return tuple(value)
    raise wrong("a command must be a list of words, because no shell is used", "for example: [./lights, on]")


def parameters(value: object) -> object:
    """Read a JSON schema; a short form names each argument and its type."""
    hint = "for example: {city: string, days: integer}, or a complete JSON schema"
    entries = entries_of(value, "'parameters'", hint)
    if entries.get("type") == "object":
        return typed(entries)
    properties: dict[str, object] = {}
    errors: list[PydanticCustomError] = []
    for name, kind in entries.items():
        schema = typed(kind) if isinstance(kind, dict) else {"type": kind}
        what = schema.get("type")
        if what not in ARGUMENT_TYPES:
            problem = f"'{what}' is not a valid argument type" if isinstance(what, str) else f"'{name}' needs a type"
            errors.append(wrong(problem, did_you_mean(str(what), ARGUMENT_TYPES, hint), inside=(name,)))
        properties[name] = schema
    if errors:
        raise wrong(**{**facts_of(errors[0]), "also": errors[1:]})
    return {"type": "object", "properties": properties, "required": list(properties)}


Text = Annotated[str, FromText(str.strip, SCALAR)]
Title = Annotated[str, FromText(lambda title: " ".join(title.split()), SCALAR)]
Boolean = Annotated[bool, FromText(units.boolean, {"type": "boolean"})]
Regex = Annotated[str, FromText(regex, {"type": ["string", "number"], "format": "regex"})]
Name = Annotated[str, FromText(lambda name: composed(name.strip()), {"type": ["string", "number"]})]
SoundFile = Annotated[str, FromText(str.strip, {"type": "string"})]
ARGUMENT_TYPES = ("string", "number", "integer", "boolean", "array", "object")
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


@cache
def _examples() -> dict[str, list[Any]]:
    return tomllib.loads(Path(__file__).with_name("examples.toml").read_text("utf-8"))


def shows_values(described: Mapping[str, Any]) -> bool:
    """Tell whether the schema of a key shows what may be written: values, bounds, examples, or another mapping.

    >>> shows_values({"enum": ["fast", "realtime"]}), shows_values({"type": "array", "items": {"type": "string"}})
    (True, False)
    """
    if {"examples", "enum", "const", "minimum", "$ref"} & described.keys() or described.get("type") == "boolean":
        return True
    inner = [*described.get("anyOf", ()), described.get("items"), described.get("additionalProperties")]
    return any(shows_values(each) for each in inner if isinstance(each, dict))


class DocumentedSchema(GenerateJsonSchema):
    """With what classes say of themselves, also where Python has not kept it."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Make the schema of a model, with its docstring up to its example as description."""
        made = super().model_schema(_documented(schema))
        return {**made, "description": made.get("description", "").partition("\n\n>>>")[0]}

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        """Make the schema of a dataclass, with the first paragraph of its docstring, and its attributes."""
        made = super().dataclass_schema(_documented(schema))
        told = schema["cls"].__doc__
        for name, described in attributes_of(told).items():
            made["properties"][name]["description"] = described.replace("``", "'")
        return {"additionalProperties": False, **made, "description": told.partition("\n\n")[0]}


def _documented(schema: Any) -> Any:
    described = schema["cls"]
    described.__doc__ = docstring(described)
    return schema


class EditorSchema(DocumentedSchema):
    """Without the titles that only repeat the keys, and the nulls nobody writes; with examples, and every default."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Make the schema of a model whose keys say what holds without them, and show how they are written."""
        made = super().model_schema(schema)
        for key, described in made.get("properties", {}).items():
            says_default = described.get("default") is not None or "Default:" in described.get("description", "")
            if key not in made.get("required", ()) and not says_default:
                described["description"] = f"{described.get('description', '')} Default: none."
            if not shows_values(described) and (examples := _examples().get(key)):
                described["examples"] = examples
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Give no field a title."""
        return False

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        """Leave null out of the schema."""
        return self.generate_inner(schema["schema"])


Default = TypeVar("Default")


def option(
    description: str,
    default: Default = None,  # type: ignore[assignment]  # of an option that need not be given
    *,
    alias: str | None = None,
    exclude: bool | None = None,
    shown: str | None = None,
) -> Default:
    """Make a field of the scene language that has a default: an editor shows its description, and it as ``shown``."""
    extra: JsonSchemaValue | None = {"default": shown} if shown else None
    made: Default = Field(default, description=description, alias=alias, exclude=exclude, json_schema_extra=extra)
    return made


@dataclass(frozen=True, slots=True)
class Form:
    """How a mapping of a scene file is written."""

    owner: str  # what errors call it; "<name>" stands for the key it has
    hint: str = ""  # how to write it
    short: str = ""  # the option that is meant by a text in the mapping's place
    kinds: tuple[type, ...] = (str,)  # what may be that option in its place
    without: str | None = None  # the word that stands for none of it
    anything: str | None = None  # the word that stands for it without options
    texts: bool = False  # whether its field reads a text itself
    empty: str = ""  # what is wrong where nothing stands in it; empty: nothing is
    several: str = ""  # what is wrong where it is neither a list of them nor a short form; empty: it is no list
    strays: Mapping[str, str] = field(default_factory=dict)  # options that belong elsewhere, and where


class SceneModel(BaseModel):
    """One mapping of a scene file. Fields that YAML cannot set are left out of its JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=IGNORED)
    FORM: ClassVar[Form] = Form("")

    @classmethod
    @cache
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        fields = cls.model_fields.items()
        return tuple(field.alias or name for name, field in fields if SkipJsonSchema not in map(type, field.metadata))

    @classmethod
    @cache
    def parts(cls) -> "Mapping[str, type[SceneModel]]":
        """Return the options that are mappings themselves, or lists of such, by key."""
        found = {field.alias or name: _models_in(field.annotation) for name, field in cls.model_fields.items()}
        return {key: models.pop() for key, models in found.items() if len(models) == 1}


def _models_in(annotation: object) -> set[type[SceneModel]]:
    if isinstance(annotation, type) and issubclass(annotation, SceneModel):
        return {annotation}
    return {model for inner in get_args(annotation) for model in _models_in(inner)}


class LocatedModel(SceneModel):
    """A part that knows where it stands."""

    note: Text | None = option("A note for readers of the scene. It is never spoken.")
    path: SkipJsonSchema[tuple[str | int, ...]] = option("Its location in the scene.", (), exclude=True)
    source_line: SkipJsonSchema[int] = option("Line in the scene file, from 1.", 0, exclude=True)
