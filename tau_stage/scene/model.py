"""The scene language as pydantic models: what a scene file may hold, with the words an editor shows for it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from tau_stage.scene.fields import (
    DEFAULT_TEMPLATE,
    SCALAR,
    Dollars,
    Endpoint,
    Hearing,
    Id,
    Model,
    Output,
    PerMinute,
    Seconds,
    Speed,
    Template,
    Text,
    Title,
    Tokens,
    Voice,
)

_IGNORED: dict[str, Any] = {"patternProperties": {"^x-": {"description": "Ignored: yours to use."}}}


class _Part(BaseModel):
    """One mapping of a scene file. Fields that YAML cannot set are excluded from the language."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=_IGNORED)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The keys an author may write."""
        return tuple(field.alias or name for name, field in cls.model_fields.items() if not field.exclude)


class Cascade(_Part):
    """What may stand on a player, or once for all players at the top of the scene."""

    direction: Text | None = Field(None, description="How to act, told to the model before the first line.")
    persona: Text | None = Field(None, description="Who the player is, told to the model before the first line.")
    accent: Text | None = Field(None, description="The accent spoken in: 'Speak in <accent>.'")
    voice: Voice | None = Field(None, description="The model's voice. Default: marin.")
    model: Model | None = Field(None, description="The realtime model. Default: gpt-realtime-2.1-mini.")
    endpoint: Endpoint | None = Field(
        None, description="Where the model lives: a provider's name or a ws(s):// address."
    )
    speed: Speed | None = Field(None, description="Rate of speech; 1 is the voice's own.")
    output: Output | None = Field(None, description="What the model answers with. Default: audio.")
    max_output_tokens: Tokens | None = Field(None, description="Cap of output tokens for one line.")


class Player(Cascade):
    """One role of the scene; everything left out comes from the top of the scene."""

    hears: Hearing = Field("everyone", description="Whose lines this player hears: everyone, nobody, or names.")

    def listens_to(self, speaker: str) -> bool:
        """Whether this player hears a speaker's lines, as far as this player decides it."""
        return self.hears == "everyone" or (self.hears != "nobody" and speaker in self.hears)


class Line(_Part):
    """One line: the speaker is the key, the words are the value, everything else is optional."""

    model_config = ConfigDict(
        json_schema_extra={
            **_IGNORED,
            "minProperties": 1,
            "additionalProperties": {
                **SCALAR,
                "description": "The speaker's name, and the words: (how to say it) what to say [a moment] *stressed*.",
            },
        }
    )

    speaker: SkipJsonSchema[str] = Field(exclude=True, description="Who speaks: the key.")
    words: SkipJsonSchema[str] = Field(exclude=True, description="What to say: the value, without its direction.")
    source_line: SkipJsonSchema[int] = Field(0, exclude=True, description="Line in the scene file, from 1.")
    direction: Text | None = Field(None, description="How to say the whole line; never spoken.")
    id: Id | None = Field(None, description="A name for this line, used in files. Default: player and ordinal.")
    to: Hearing | None = Field(None, description="Who hears this line: everyone, nobody, or names.")
    pause: Seconds | None = Field(None, description="Silence after this line, like 800ms. Default: the scene's.")
    max_output_tokens: Tokens | None = Field(None, description="Cap of output tokens for this line.")
    note: Text | None = Field(None, description="For whoever reads the scene; nobody hears it.")


class Prompt(_Part):
    """The prompter whispers to players: they know it from now on, and say nothing."""

    prompt: Mapping[str, Text] = Field(description="Each player's name, and what is whispered to that player.")
    note: Text | None = Field(None, description="For whoever reads the scene; nobody hears it.")
    source_line: SkipJsonSchema[int] = Field(0, exclude=True, description="Line in the scene file, from 1.")


class Limits(_Part):
    """What the scene may not exceed."""

    budget: Dollars | None = Field(None, description="What a performance may cost, like $0.50. Default: no limit.")
    start_rate: PerMinute | None = Field(None, description="How fast sessions open, like 6/min.")


def _players_may_be_bare(schema: dict[str, Any]) -> None:
    players = schema["properties"]["players"]
    players["additionalProperties"] = {"anyOf": [players["additionalProperties"], {"type": "null"}]}
    players["minProperties"] = 1
    schema["properties"]["lines"]["minItems"] = 1
    schema.update(_IGNORED)


class Scene(Cascade):
    """A scene: players and their lines."""

    model_config = ConfigDict(json_schema_extra=_players_may_be_bare)

    title: Title = Field("", alias="scene", description="The scene's title. Default: the file's name.")
    pause: Seconds | None = Field(None, description="Silence after every line, like 800ms. Default: 350ms.")
    prompt_template: Template = Field(
        DEFAULT_TEMPLATE, description="How a line is put to the model; {words}, {direction}."
    )
    players: Mapping[str, Player] = Field(description="Every player's name, and who that is.")
    lines: tuple[Line | Prompt, ...] = Field(description="What happens, in order.")
    limits: Limits = Field(
        default_factory=Limits, description="What a performance may cost, and how fast it may start."
    )
    path: SkipJsonSchema[str] = Field("", exclude=True, description="The file, as the user named it.")
    sha256: SkipJsonSchema[str] = Field("", exclude=True, description="Hash of the file's bytes.")
