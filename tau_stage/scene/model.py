"""The scene language as pydantic models: what a scene file may hold, with the words an editor shows for it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from tau_stage.scene.conditions import EVENT_SCHEMA, Event
from tau_stage.scene.deliver import Deliver
from tau_stage.scene.expect import Expect
from tau_stage.scene.fields import (
    DEFAULT_TEMPLATE,
    Comments,
    Count,
    Dollars,
    Effort,
    Endpoint,
    Hearing,
    HearsAs,
    Human,
    Model,
    Names,
    OnLostPlayer,
    Output,
    Pace,
    Pan,
    Patience,
    PerMinute,
    Seconds,
    SoundFile,
    Speed,
    Template,
    Text,
    Title,
    Tokens,
    ToolChoice,
    Transcription,
    Truth,
    TurnDetection,
    Voice,
)
from tau_stage.scene.part import Part, Placed
from tau_stage.scene.spot import Remark, Spots
from tau_stage.scene.steps import AnyStep


class Cascade(Part):
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
    reasoning: Effort | None = Field(None, description="How long the model thinks. Default: the model's own.")
    output: Output | None = Field(None, description="What the model answers with. Default: audio.")
    commentary: Comments | None = Field(
        None, description="What a model says about its work: drop keeps it out of its lines. Default: drop."
    )
    max_output_tokens: Tokens | None = Field(None, description="Cap of output tokens for one line.")
    tool_choice: ToolChoice | None = Field(None, description="auto, none, required, or a tool's name.")
    turn_detection: TurnDetection | None = Field(
        None, description="How turns are found where a microphone is open. Default: server_vad."
    )
    transcription: Transcription | None = Field(
        None,
        description="Who writes down what a person says at an open microphone: a model, or off. "
        "Default: gpt-transcribe.",
    )
    hears_as: HearsAs | None = Field(None, description="Hears the others as audio, or as text. Default: audio.")
    label_speakers: Truth | None = Field(None, description="Whether it is told who speaks. Default: false.")
    pace: Pace | None = Field(
        None,
        description="realtime: a sound file is fed, and the scene goes on, as fast as it is heard. Default: fast.",
    )


class Player(Cascade):
    """One role of the scene; everything left out comes from the top of the scene."""

    hears: Hearing = Field("everyone", description="Whose lines this player hears: everyone, nobody, or names.")
    tools: Names | None = Field(
        None, description="Which of the scene's tools it may call. Default: all; none for none."
    )
    setup: SkipJsonSchema[tuple[tuple[str, str], ...]] = Field((), exclude=True)
    human: Human | None = Field(None, description="A person plays: mic, tty (typing), or a sound file.")
    pan: Pan | None = Field(
        None, description="Where it stands in a stereo mix, from -1, left, to 1, right. Default: 0, the middle."
    )
    stand_in: SoundFile | None = Field(
        None, description="A folder with recorded takes of a person's lines, played where nobody is there."
    )

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return (*super().options(), "setup")

    def listens_to(self, speaker: str) -> bool:
        """Tell whether this player hears a speaker's lines, as far as this player decides it."""
        return self.hears == "everyone" or (self.hears != "nobody" and speaker in self.hears)


class ToolDefinition(Placed):
    """Something a model may call."""

    description: Text = Field("", description="When to call it: the model reads this.")
    parameters: SkipJsonSchema[Mapping[str, Any] | None] = Field(None, exclude=True)
    returns: SkipJsonSchema[Any] = Field(None, exclude=True)
    has_result: SkipJsonSchema[bool] = Field(False, exclude=True)
    run: Text | None = Field(None, description="A Python function: module:function. Needs --allow-tools.")
    command: tuple[str, ...] | None = Field(
        None, description="A program and its arguments; what it prints is the result. Needs --allow-tools."
    )
    env: Names = Field(
        (),
        description="Variables of the environment that 'run' or 'command' may see though they look like keys.",
    )
    timeout: Seconds = Field(10.0, description="How long it may take. Default: 10s.")

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return (*super().options(), "parameters", "returns")

    @property
    def is_code(self) -> bool:
        """Whether calling it runs something of the author's."""
        return self.run is not None or self.command is not None


class Cue(Placed):
    """Steps that are performed when something happens."""

    event: SkipJsonSchema[Event] = Field(exclude=True)
    do: tuple[AnyStep, ...] = Field((), description="What is done then: steps, in order.")
    times: Count | None = Field(None, description="How often at most. Default: as often as it happens.")

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return (*super().options(), *EVENT_SCHEMA)


class Limits(Part):
    """What the scene may not exceed."""

    budget: Dollars | None = Field(None, description="What a performance may cost, like $0.50. Default: no limit.")
    start_rate: PerMinute | None = Field(None, description="How fast sessions open, like 6/min.")
    cues: Count = Field(100, description="How often cues may start in all. Default: 100.")
    opening: Patience | None = Field(None, description="How long a session may take to open. Default: 10s.")
    silence: Patience | None = Field(
        None, description="How long a model may give no sign while it is to answer. Default: 60s."
    )
    hearing: Patience | None = Field(
        None, description="How long a player may take to confirm what it hears or is told. Default: 30s."
    )
    closing: Patience | None = Field(None, description="How long a session may take to close. Default: 2s.")
    on_lost_player: OnLostPlayer = Field(
        "reopen",
        description="When a player's connection is cut or stalls: reopen it and tell it what was said, "
        "continue without it, or stop. Default: reopen.",
    )


class Scene(Cascade):
    """A scene: players and their lines."""

    title: Title = Field("", alias="scene", description="The scene's title. Default: the file's name.")
    pause: Seconds | None = Field(None, description="Silence after every line, like 800ms. Default: 350ms.")
    prompt_template: Template = Field(
        DEFAULT_TEMPLATE, description="How a line is put to the model; {words}, {direction}."
    )
    vars: Mapping[str, Text] = Field(default_factory=dict, description="Texts by name; ${name} stands for them.")
    matrix: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Variables with several values each: every combination is a variant."
    )
    include: Names = Field((), description="Files that hold players, tools or defaults; what stands here wins.")
    players: Mapping[str, Player] = Field(description="Every player's name, and who that is.")
    tools: Mapping[str, ToolDefinition] = Field(default_factory=dict, description="What models may call, by name.")
    on: tuple[Cue, ...] = Field((), description="What is done when something happens.")
    lines: tuple[AnyStep, ...] = Field(description="What happens, in order.")
    script: Text | None = Field(
        None, description="Instead of lines: 'NAME: words' a line, or a file: .fountain or .txt."
    )
    limits: Limits = Field(
        default_factory=Limits, description="What a performance may cost, and how fast it may start."
    )
    deliver: Deliver = Field(
        default_factory=Deliver, description="What is made of the take: a mix, its loudness, names."
    )
    expect: Expect | None = Field(None, description="What the performance as a whole is to be like.")
    path: SkipJsonSchema[str] = Field("", exclude=True, description="The file, as the user named it.")
    sha256: SkipJsonSchema[str] = Field("", exclude=True, description="Hash of the file's bytes.")
    given: SkipJsonSchema[Mapping[str, str]] = Field(
        default_factory=dict, exclude=True, description="Variables that were given from outside."
    )
    variant: SkipJsonSchema[str] = Field("", exclude=True, description="Which variant of a matrix it is.")
    spots: SkipJsonSchema[Spots] = Field(
        default_factory=dict, exclude=True, description="Where its parts stand in the file."
    )
    remarks: SkipJsonSchema[tuple[Remark, ...]] = Field(
        (), exclude=True, description="What may not be what its author meant."
    )
