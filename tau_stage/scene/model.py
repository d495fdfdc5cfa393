"""The scene language on one page, as pydantic models with the words an editor shows for each option.

It is one file because whoever learns the language reads it from its top to its end.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema

from tau_stage.scene import fields, units
from tau_stage.scene.delivery_options import Deliver, Tag
from tau_stage.scene.expect import Expect
from tau_stage.scene.fields import Form, Hearing, LocatedModel, Name, Regex, SceneModel, SoundFile, Text, option
from tau_stage.scene.names import CUSTOM_PREFIX, DEFAULT_TRANSCRIPTION, OPENAI_VOICES, VOICES, listed
from tau_stage.scene.source import Locations, SceneWarning
from tau_stage.scene.units import FromText, text_like, wrong


def _whole(most: int) -> JsonSchemaValue:
    return units.number_from(1, most, "integer")


Seconds = Annotated[float, FromText(units.duration, text_like(units.DURATION, "800ms", "1.5s", "2m"))]
Span = Annotated[float, FromText(units.span, text_like(units.DURATION, "45s", "2m"))]
Timeout = Annotated[float, FromText(units.timeout, text_like(units.DURATION, "15s", "1m"))]
Dollars = Annotated[Decimal, FromText(units.money, text_like(r"^\$\d+(\.\d+)?$", "$0.50"))]
PerMinute = Annotated[float, FromText(units.rate, text_like(r"^\d+(\.\d+)?/(s|min|h)$", "6/min"))]
Speed = Annotated[float, FromText(units.speed, units.number_from(*units.SPEEDS))]
Pan = Annotated[float, FromText(units.pan, units.number_from(*units.PANS))]
Tokens = Annotated[int, FromText(units.tokens, _whole(units.MOST_TOKENS))]
Gain = Annotated[float, FromText(units.gain, text_like(r"^[+-]?\d+(\.\d+)? ?dB$", "-18 dB"))]
Count = Annotated[int, FromText(units.count, _whole(units.MOST))]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(fields.names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Metadata = Annotated[
    Mapping[str, str],
    BeforeValidator(fields.metadata),
    WithJsonSchema({"type": "object", "additionalProperties": fields.SCALAR, "maxProperties": 14}),
]
Human = Annotated[str, FromText(fields.human, {"type": "string", "examples": [*fields.LIVE]})]
ToolChoice = Annotated[str, WithJsonSchema({"type": "string", "examples": ["auto", "none", "required"]})]
Order = Annotated[Literal["round", "called"] | tuple[str, ...], BeforeValidator(fields.order)]
Threshold = Annotated[float, FromText(fields.threshold, units.number_from(0, 1))]
Eagerness = Literal["auto", "low", "medium", "high"]
TurnDetection = Literal["server_vad", "semantic_vad"]
Transcriber = Annotated[
    str, FromText(fields.transcriber, {"anyOf": [text_like(r"^\S+$", "gpt-transcribe", "off"), {"const": False}]})
]
Language = Annotated[str, FromText(fields.language, text_like(f"^{fields.LANGUAGE}$"))]
Prompt = Annotated[str, FromText(fields.some_text, {"type": "string"})]
_PARAMETERS: JsonSchemaValue = {
    "type": "object",
    "if": {
        "properties": {
            "type": {"const": "object", "description": "With 'object', the parameters are a complete JSON schema."}
        },
        "required": ["type"],
    },
    "else": {
        **fields.IGNORED,
        "additionalProperties": {
            "anyOf": [{"type": "string", "enum": list(fields.ARGUMENT_TYPES)}, {"type": "object"}]
        },
    },
}
Parameters = Annotated[Mapping[str, Any], BeforeValidator(fields.parameters), WithJsonSchema(_PARAMETERS)]
Typed = Annotated[Any, BeforeValidator(fields.typed), WithJsonSchema({})]
PythonFunction = Annotated[Text, AfterValidator(fields.python_function)]
Command = Annotated[tuple[str, ...], BeforeValidator(fields.command)]
Words = Annotated[Literal["exact", "free"], BeforeValidator(fields.wording)]
Pronunciation = Annotated[
    Mapping[str, str],
    BeforeValidator(fields.pronunciation),
    WithJsonSchema({"type": "object", "additionalProperties": fields.SCALAR, "maxProperties": fields.MOST_PRONOUNCED}),
]
Takes = Annotated[int, FromText(units.takes, _whole(units.MOST_TAKES))]
Pick = Literal["closest", "first", "shortest", "ask"]
Output = Literal["audio", "text"]
HearsAs = Literal["audio", "text"]
HearingWay = Literal["create_audio", "stream"]
Commentary = Literal["drop", "keep"]
Pace = Literal["fast", "realtime"]
OnLostPlayer = Literal["reopen", "continue", "stop"]
Conversation = Literal["none", "auto"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Voice = Annotated[
    str,
    WithJsonSchema(
        {"anyOf": [{"type": "string", "enum": list(OPENAI_VOICES)}, {"type": "string", "pattern": f"^{CUSTOM_PREFIX}"}]}
    ),
]
Endpoint = Annotated[
    str,
    FromText(
        fields.endpoint, {"anyOf": [{"type": "string", "enum": list(VOICES)}, text_like(r"^([a-z-]+\+)?wss?://")]}
    ),
]
Model = Annotated[str, FromText(fields.model_name, {"type": "string"})]
Template = Annotated[str, FromText(fields.template, text_like(r"\{words\}"))]
Id = Annotated[str, FromText(fields.line_id, {"type": ["string", "number"], "pattern": f"^{fields.ID}$"})]


class CallEvent(SceneModel):
    """A player calls a tool."""

    FORM = Form("'call'", "for example: 'call: lights_on'", short="tool", anything="any")

    player: Name | None = option("The player who calls the tool. Default: any player.")
    tool: Name | None = option("The tool that is called. Default: any tool.")


class SpeechEvent(SceneModel):
    """Someone says something."""

    FORM = Form(
        "'said'",
        "for example: 'said: umbrella', or {player: name, words: umbrella}",
        short="words",
        anything="any",
        empty="'said' has no words",
    )

    player: Name | None = option("Who says it. Default: anyone.")
    words: Regex = option("The words to listen for, or a regular expression. Case is ignored.", "")

    @model_validator(mode="after")
    def heard(self) -> "SpeechEvent":
        """Refuse to wait for nothing."""
        if not self.words:
            raise wrong(self.FORM.empty, self.FORM.hint)
        return self


class SilenceEvent(SceneModel):
    """Nobody speaks for some time on an open microphone."""

    FORM = Form("'silence'", "for example: 'silence: 8s'", short="for", anything="any")

    for_s: Seconds = option("How long the silence lasts, for example 8s. Default: 5s.", 5.0, alias="for")


class FailureEvent(SceneModel):
    """Something fails: a line, a tool, or a player's connection. The scene continues."""

    FORM = Form("'error'", "for example: 'error: clerk'", short="player", anything="any")

    player: Name | None = option("The player whose line, tool call or connection fails. Default: any player.")


class Not(SceneModel):
    """Something has not happened."""

    condition: CallEvent | SpeechEvent | FailureEvent


Event = CallEvent | SpeechEvent | SilenceEvent | FailureEvent
Condition = CallEvent | SpeechEvent | FailureEvent | Not

EVENTS: dict[str, type[CallEvent | SpeechEvent | SilenceEvent | FailureEvent]] = {
    "call": CallEvent,
    "said": SpeechEvent,
    "silence": SilenceEvent,
    "error": FailureEvent,
}
"""The words of ``on:`` and ``when:``."""


class Happened(SceneModel):
    """Something that has happened."""

    FORM = Form("'not'", "for example: {not: {said: umbrella}}", empty="'not' is empty")

    call: CallEvent | None = option("A player has called a tool.")
    said: SpeechEvent | None = option("Someone has said something.")
    error: FailureEvent | None = option("Something has failed.")

    @model_validator(mode="before")
    @classmethod
    def hold_one(cls, values: object) -> object:
        """Refuse more than one, and none."""
        given = [key for key, event in values.items() if event is not None] if isinstance(values, dict) else [""]
        if len(given) != 1:
            problem = f"{cls.FORM.owner} accepts only one condition"
            raise wrong(problem, "keep only one", inside=tuple(given[1:2]), key=True)
        return values

    @property
    def event(self) -> CallEvent | SpeechEvent | FailureEvent:
        """What it is."""
        return next(event for event in (self.call, self.said, self.error) if event is not None)


class When(Happened):
    """Something that has happened, or has not happened."""

    FORM = Form(
        "'when'",
        "for example: {said: umbrella}, {call: lights_on}, or '${mood} == happy'",
        empty="'when' is empty",
        texts=True,
    )

    not_: Happened | None = option("The event that has not happened.", alias="not")

    @property
    def condition(self) -> Condition:
        """What the plan waits for."""
        return Not(condition=self.not_.event) if self.not_ else self.event


class Step(LocatedModel):
    """What all steps share."""

    when: Annotated[When | bool | None, BeforeValidator(fields.compared)] = option(
        "A condition. The step is skipped if the condition is not met."
    )


class CutIn(SceneModel):
    """How a line interrupts another player's line."""

    FORM = Form("'cut_in'", "for example: {on: clerk, after: 900ms}", short="on")

    on: Name | None = option("The line to interrupt: its id, or the player who speaks it. Default: the previous line.")
    after: Seconds = option(
        "How much of the interrupted line is heard before this line starts, for example 900ms. Default: 1s.", 1.0
    )
    overlap: Seconds = option("How long both lines are heard before the interrupted line stops. Default: 200ms.", 0.2)


class Line(Step):
    """One line. The speaker is the key and the words are the value. All other keys are optional."""

    FORM = Form("the line")

    model_config = ConfigDict(
        json_schema_extra={
            **fields.IGNORED,
            "minProperties": 1,
            "additionalProperties": {
                **fields.SCALAR,
                "description": "The speaker's name and the words, for example: (softly) Hello! [laughs] I *knew* it.",
            },
        }
    )

    speaker: SkipJsonSchema[str] = Field(exclude=True, description="Who speaks: the key.")
    text: SkipJsonSchema[str] = Field(exclude=True, description="What to say: the value, without its direction.")
    improvise: Text | None = option("An instruction for an improvised answer, used instead of words. May be empty.")
    direction: Text | None = option("How to say the whole line. The direction is never spoken.")
    id: Id | None = option("An id for this line, used in file names. Default: the player's name and a number.")
    to: Hearing | None = option("Who hears this line: everyone, nobody, or names. Default: everyone.")
    pause: Seconds | None = option("Silence after this line, for example 800ms. Default: the scene's setting.")
    cut_in: CutIn | None = option(
        "Starts during the previous line and cuts it off, for example {on: clerk, after: 1s}."
    )
    words: Words | None = option(
        "With 'exact', a line with different words is requested again, up to the number of 'takes'. "
        "Default: the player's setting."
    )
    takes: Takes | None = option(
        "How many takes to record. One of them is picked. Default: 1, or up to 3 for exact words."
    )
    pick: Pick | None = option(
        "Which take to use: closest (to the words), first, shortest, or ask. The other "
        "takes are kept. Default: closest."
    )
    timeout: Seconds | None = option("How long the line may take. After that, it is cut off and the scene continues.")
    conversation: Conversation | None = option(
        "With 'none', the player knows the conversation so far but does not remember this line. "
        "Default: the player's setting."
    )
    output: Output | None = option(
        "Whether the model produces audio or text for this line. Default: the player's setting."
    )
    tools: Names | None = option("Tools that the player may call in this line. Default: the player's setting.")
    tool_choice: ToolChoice | None = option(
        "auto, none, required, or a tool's name. Default: none for written words, auto for improvised lines."
    )
    reasoning: Effort | None = option("How much the model reasons about this line. Default: the player's setting.")
    commentary: Commentary | None = option(
        "Whether the model's remarks about its own work are part of this line. Default: the player's setting."
    )
    max_output_tokens: Tokens | None = option(
        "The maximum number of output tokens for this line. Default: the player's setting."
    )
    expect: Expect | None = option("What to check in the recorded line: words, length, loudness, cost and so on.")
    metadata: Metadata | None = option("Names and values that the provider stores with the response.")


class ItemStep(Step):
    """Adds an item to players' conversations. The players do not respond."""

    FORM = Form("an item")

    role: SkipJsonSchema[Literal["system", "user", "assistant"]] = Field(exclude=True)
    words: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Words by player.")
    wav: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Sound files by player.")


class Pause(Step):
    """Silence on the timeline."""

    FORM = Form("the pause")

    pause: Seconds = option(
        "Silence before the next step or at the end of the scene, in addition to the pause after the previous line.",
        1.0,
    )


class Chapter(Step):
    """Marks the start of a chapter in the delivered files. It adds no audio."""

    FORM = Form("the chapter")

    chapter: Tag = Field(description="The title of the chapter.")


class SoundStep(Step):
    """A sound effect, or a bed that plays under everything until it ends. Each has a separate stem."""

    FORM = Form("a sound step")

    kind: SkipJsonSchema[Literal["sfx", "bed"]] = Field(exclude=True)
    file: SkipJsonSchema[str] = Field(exclude=True, description="The sound file, relative to the scene.")
    gain: Gain = option("Gain, for example -18 dB. Default: 0 dB.", 0.0)
    heard: fields.Boolean = option("Whether players hear the sound. Default: false.", False)
    until: Text | None = option("When a bed ends: with a line (its id), or with the scene ('end'). Default: end.")
    pause: Seconds | None = option("Silence after a sound effect. Default: the scene's setting.")


class Together(Step):
    """Lines and sound effects that start at the same time."""

    FORM = Form("'together'")

    together: tuple[Line | SoundStep, ...] = option("Lines by different players, and sound effects.", ())
    pause: Seconds | None = option("Silence after the last line or effect ends. Default: the scene's setting.")


class DetectionOptions(SceneModel):
    """How turns are detected."""

    FORM = Form(
        "'turn_detection'",
        "write server_vad, semantic_vad, or {type: server_vad, silence: 800ms}",
        short="type",
        empty="'turn_detection' is empty",
    )

    type: TurnDetection = option(
        "server_vad detects turns by silence, semantic_vad by meaning. Default: server_vad.", "server_vad"
    )
    silence: Seconds | None = option("How much silence ends a turn, for example 800ms. Default: the model's default.")
    padding: Seconds | None = option(
        "How much audio before the start of a turn is kept, for example 300ms. Default: the model's default."
    )
    idle: Seconds | None = option("How long the silence lasts before the model speaks unprompted, for example 6s.")
    threshold: Threshold | None = option(
        "How loud a voice must be to be detected, from 0 to 1. A typical value is 0.5. Default: the model's default."
    )
    eagerness: Eagerness | None = option("How soon a turn is considered finished. Default: auto.")

    @model_validator(mode="after")
    def fit(self) -> "DetectionOptions":
        """Refuse an option of the other type."""
        is_semantic = self.type == "semantic_vad"
        known = [key for key in self.options() if key == "type" or (key == "eagerness") == is_semantic]
        for key in sorted(self.model_fields_set.difference(known)):
            raise wrong(
                f"{self.type} does not support '{key}'", f"known keys: {listed(known)}", inside=(key,), key=True
            )
        return self

    def for_api(self) -> fields.Detection:
        """Return the API's fields, and their values."""
        given = self.model_dump(exclude_none=True, include={"type", "threshold", "eagerness"})
        lengths = {"silence_duration_ms": self.silence, "prefix_padding_ms": self.padding, "idle_timeout_ms": self.idle}
        return (*given.items(), *((name, round(each * 1000)) for name, each in lengths.items() if each is not None))


class TranscriptionOptions(SceneModel):
    """How a person's speech is transcribed."""

    FORM = Form("'transcription'", fields.TRANSCRIPTION_HINT, short="model", empty="'transcription' is empty")

    model: Transcriber | None = option(
        f"The transcription model (on Azure, your deployment's name), or off. Default: {DEFAULT_TRANSCRIPTION}."
    )
    language: Language | None = option("The spoken language, for example en or de. Default: detected by the model.")
    prompt: Prompt | None = option("Names and words that are likely to be said.")

    def for_api(self, default: str | None) -> fields.Transcription | None:
        """Return the API's fields, and their values: of a model, where none is named; None leaves all to the server."""
        if self.model == "off":
            return fields.OFF
        facts = {"model": self.model or default, "language": self.language, "prompt": self.prompt}
        return tuple((name, fact) for name, fact in facts.items() if fact) or None


class Improvisation(SceneModel):
    """Improvisation: players respond to what they hear until 'turns', 'for', 'words', 'budget' or 'until' ends it."""

    FORM = Form("'improvise'", "for example: '- improvise: {turns: 6}'", short="about")

    players: Names = option("The players who take part. Default: all players with a model.", ())
    about: Text | None = option(
        "The topic of the improvisation. It is sent to each player as an instruction and is not spoken."
    )
    order: Order = option(
        "Speaking order: round, called (the player who is addressed answers), or a list of names.", "round"
    )
    turns: Count | None = option("Ends after this many turns.")
    for_s: Span | None = option("Ends after this much speech, for example 45s.", alias="for")
    words: Count | None = option("Ends after this many spoken words.")
    budget: Dollars | None = option("Ends when the cost reaches this amount, for example $0.05.")
    until: Regex | None = option("Ends when this is said: words or a regular expression.")
    to: Hearing | None = option("Who hears the improvisation. Default: everyone.")


class Improvise(Step):
    """Improvisation: players respond to what they hear."""

    FORM = Form("'improvise'")

    improvise: Improvisation = Field(description="Who takes part, and what ends the improvisation.")
    pause: Seconds | None = option("Silence after each turn. Default: the scene's setting.")


class Listening(SceneModel):
    """An open microphone: a person speaks, and the player answers."""

    FORM = Form("'listen'", "for example: '- listen: {turns: 6}'", short="player")

    player: Name | None = option("Who listens and answers. Default: the only player with a model.")
    from_: Name | None = option("The person who speaks. Default: the only human player.", alias="from")
    for_s: Span | None = option("Ends after this time, for example 2m.", alias="for")
    turns: Count | None = option("Ends after this many answers.")
    until: Regex | None = option("Ends when the person or the player says this: words or a regular expression.")
    key: Text | None = option("Ends when this key is pressed, for example q.")
    to: Hearing | None = option("Who else hears the conversation. Default: everyone.")
    transcription: TranscriptionOptions | None = option(
        "The model that transcribes what the person says, or off. Default: the player's setting."
    )


class Listen(Step):
    """Open microphone: a person speaks, the end of each turn is detected, and the player answers."""

    FORM = Form("'listen'")

    listen: Listening = Field(description="Who listens to whom, and what ends the step.")
    pause: Seconds | None = option("Silence after the step. Default: the scene's setting.")


AnyStep = Line | ItemStep | Pause | Chapter | SoundStep | Together | Improvise | Listen


def parts_of(steps: Iterable[AnyStep]) -> Iterator[AnyStep]:
    """Yield steps in order, those of groups in place of the group."""
    for step in steps:
        yield from step.together if isinstance(step, Together) else (step,)


ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "prompt": "system",
    "user": "user",
    "assistant": "assistant",
}
"""The words of the steps that put an item into a conversation, and the item's role."""

WORDS = (*ROLES, "sfx", "bed", "together", "improvise", "listen", "pause", "chapter")
"""The words that start a step which is no player's line; the first that is there decides."""

STEP_WORDS = frozenset((*WORDS, *SoundStep.options()))  # words of such a step
LINE_OPTIONS = frozenset((*Line.options(), "hears")).difference(("improvise",))  # words that stand beside a speaker
RESERVED = LINE_OPTIONS | STEP_WORDS | {"everyone", "nobody"}  # words that cannot be players' names


class Cascade(SceneModel):
    """Options that you can set on a player, or once for all players at the top of the scene."""

    direction: Text | None = option("How to act. The model gets this before the first line.")
    persona: Text | None = option("Who the player is. The model gets this before the first line.")
    accent: Text | None = option("The accent to speak with, sent as 'Speak in <accent>.'")
    language: Language | None = option(
        "The language to speak, for example de or pt-BR. Default: the batch's language, or the model's default."
    )
    voice: Voice | None = option("The model's voice. Default: marin.")
    model: Model | None = option("The realtime model. Default: gpt-realtime-2.1-mini.")
    endpoint: Endpoint | None = option(
        "Where the model runs: a provider's name or a ws(s):// address. Default: chosen at run time."
    )
    speed: Speed | None = option("Rate of speech; 1 is the voice's normal speed. Default: 1.")
    reasoning: Effort | None = option("How much the model reasons. Default: the model's default.")
    output: Output | None = option("Whether the model answers with audio or text. Default: audio.")
    commentary: Commentary | None = option(
        "What happens to a model's remarks about its own work. 'drop' removes them from its lines. Default: drop."
    )
    conversation: Conversation | None = option(
        "With 'none', the player remembers none of its lines, so each line costs the same. Default: auto."
    )
    words: Words | None = option(
        "With 'exact', a line with different words is requested again. With 'free', it is kept. Default: free."
    )
    pronounce: Pronunciation = Field(
        default_factory=dict,
        description="Replacements for words that a model mispronounces, for example {CIA: C. I. A.}.",
    )
    max_output_tokens: Tokens | None = option(
        "The maximum number of output tokens for one line. Default: the model's default."
    )
    tool_choice: ToolChoice | None = option(
        "auto, none, required, or a tool's name. Default: the model's default (auto)."
    )
    turn_detection: DetectionOptions | None = option(
        "How turns are detected on an open microphone. Default: server_vad."
    )
    transcription: TranscriptionOptions | None = option(
        "The model that transcribes a person on an open microphone, or off. Default: gpt-transcribe."
    )
    hears_as: HearsAs | None = option("Whether the player hears other players as audio or as text. Default: audio.")
    hearing: HearingWay | None = option(
        "With 'create_audio', a line's audio is sent in one item after the line. With 'stream', it is sent while the "
        "line is spoken. "
        "Default: create_audio."
    )
    label_speakers: fields.Boolean | None = option("Whether the player is told who is speaking. Default: false.")
    pace: Pace | None = option("With 'realtime', the scene and its audio files run at playback speed. Default: fast.")


EXACT_TAKES = 3  # how often a line with exact words is asked for at most, where it does not say

_SETUP = "for example: '- system: You have never seen the sea.'"


class SetupItem(SceneModel):
    """An item added to a conversation before the first line: a role and its words."""

    FORM = Form("a setup item", _SETUP, several="'setup' must be a list of items", empty="a setup item needs words")

    system: Text | None = option("A system message.")
    user: Text | None = option("A user message.")
    assistant: Text | None = option("An assistant message.")

    @model_validator(mode="after")
    def one(self) -> "SetupItem":
        """Refuse more than one role, and one without words."""
        if len(self.model_fields_set) != 1:
            raise wrong("a setup item must have exactly one role", _SETUP)
        if not self.words:
            raise wrong("a setup item needs words", _SETUP, inside=(self.role,))
        return self

    @property
    def role(self) -> str:
        """Who says it."""
        return next(iter(self.model_fields_set))

    @property
    def words(self) -> str:
        """What is said."""
        return getattr(self, self.role) or ""


class Player(Cascade):
    """One role in the scene. Options that you omit are taken from the top level of the scene."""

    FORM = Form("player '<name>'", "for example: '<name>: {voice: ash}'")

    hears: Hearing = option("Whose lines this player hears: everyone, nobody, or names.", "everyone")
    tools: Names | None = option("The tools that the player may call, or none. Default: all.")
    human: Human | None = option("How a person plays this role: mic, tty (typing), booth, or an audio file.")
    pan: Pan | None = option("The position in a stereo mix, from -1 (left) to 1 (right). Default: 0 (center).")
    stand_in: SoundFile | None = option("A folder of recordings of a person's lines, played when the person is absent.")
    setup: tuple[SetupItem, ...] = option(
        "Items in the conversation before the first line, for example {system: text}.", (), exclude=True
    )

    def listens_to(self, speaker: str) -> bool:
        """Tell whether this player hears a speaker's lines, as far as this player decides it."""
        return self.hears == "everyone" or (self.hears != "nobody" and speaker in self.hears)


class ToolDefinition(LocatedModel):
    """A tool that models can call."""

    FORM = Form("tool '<name>'", "for example: '<name>: {description: ..., returns: {ok: true}}'")

    description: Text = option("When to call the tool. The model reads this.", "")
    run: PythonFunction | None = option("A Python function, written as module:function. Requires --allow-tools.")
    command: Command | None = option("A program and its arguments. Its output is the result. Requires --allow-tools.")
    env: Names = option("Environment variables to pass to 'run' or 'command' even if they look like secrets.", ())
    timeout: Seconds = option("How long the tool may run. Default: 10s.", 10.0)
    parameters: Parameters | None = option(
        "The tool's arguments: {city: string, days: integer}, or a complete JSON schema. "
        "Default: the arguments of 'run'.",
        exclude=True,
    )
    returns: Typed = option("A fixed result: any string, list or mapping.", exclude=True)

    @property
    def is_code(self) -> bool:
        """Whether a call runs the author's code."""
        return self.run is not None or self.command is not None


class Cue(LocatedModel):
    """Steps that are performed when something happens."""

    FORM = Form("the cue", "for example: '- said: umbrella' with a 'do:' under it")

    call: CallEvent | None = option("Starts when a player calls a tool.")
    said: SpeechEvent | None = option("Starts when someone says something.")
    silence: SilenceEvent | None = option("Starts when nobody speaks for some time on an open microphone.")
    error: FailureEvent | None = option("Starts when something fails.")
    do: tuple[AnyStep, ...] = option("The steps to perform, in order.", ())
    times: Count | None = option("How many times the cue may start. Default: no limit.")

    @property
    def event(self) -> Event:
        """What it waits for."""
        return next(event for event in (self.call, self.said, self.silence, self.error) if event is not None)


class Limits(SceneModel):
    """Limits for a performance of the scene."""

    FORM = Form("'limits'", "for example: limits: {budget: $0.50}")

    budget: Dollars | None = option("The maximum cost of a performance, for example $0.50. Default: no limit.")
    start_rate: PerMinute | None = option(
        "The rate at which sessions open, for example 6/min. Default: set by the endpoint."
    )
    cues: Count = option("How many times cues may start in total. Default: 100.", 100)
    opening: Timeout | None = option("How long a session may take to open. Default: 10s.")
    silence: Timeout | None = option(
        "How long to wait for data from a model while a response is pending. Default: 60s."
    )
    hearing: Timeout | None = option(
        "How long a session may take to confirm an item that was sent to it. Default: 30s."
    )
    closing: Timeout | None = option("How long a session may take to close. Default: 2s.")
    on_lost_player: OnLostPlayer = option(
        "What to do when a player's connection is lost or stalls: reopen it with the conversation so far, "
        "continue without the player, or stop. Default: reopen.",
        "reopen",
    )


class Scene(Cascade):
    """A scene: players and their lines.

    >>> from tau_stage import load_scene
    >>> load_scene("scenes/hello.yaml").players["host"].voice
    'marin'
    """

    FORM = Form("the scene")

    title: fields.Title = option("The scene's title. Default: the file name.", "", alias="scene")
    pause: Seconds | None = option("Silence after every line, for example 800ms. Default: 350ms.")
    prompt_template: Template = option(
        "The prompt template for a line. It must contain {words} and may contain {direction}.", fields.DEFAULT_TEMPLATE
    )
    vars: Mapping[str, Text] = Field(
        default_factory=dict, description="Variables by name. Write ${name} to insert a value."
    )
    matrix: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Variables, each with several values. Every combination is a variant of the scene.",
    )
    include: Names = option("Files with players, tools or defaults. Values in this file take precedence.", ())
    players: Mapping[str, Player] = Field(description="The players, by name.")
    tools: Mapping[str, ToolDefinition] = Field(
        default_factory=dict, description="The tools that models may call, by name."
    )
    on: tuple[Cue, ...] = option("Steps to perform when something happens.", ())
    lines: tuple[AnyStep, ...] = Field(description="The steps of the scene, in order.")
    script: Text | None = option(
        "A script instead of lines: text with 'NAME: words' on each line, or a .fountain or .txt file."
    )
    limits: Limits = Field(
        default_factory=Limits,
        description="Limits for cost, session starts and waiting times. Default: the defaults of its keys.",
    )
    deliver: Deliver = Field(
        default_factory=Deliver,
        description="Files to create from the take, for example the mix and exported lines. "
        "Default: the defaults of its keys.",
    )
    expect: Expect | None = option("What to check in the performance as a whole.")
    path: SkipJsonSchema[str] = option("The file, as the user named it.", "", exclude=True)
    sha256: SkipJsonSchema[str] = option("Hash of the file's bytes.", "", exclude=True)
    given: SkipJsonSchema[Mapping[str, str]] = Field(
        default_factory=dict, exclude=True, description="Variables that were set when the scene was loaded."
    )
    overlays: SkipJsonSchema[tuple[str, ...]] = option(
        "Files that were merged into the scene, as the user named them.", (), exclude=True
    )
    batch_language: SkipJsonSchema[str] = option(
        "The batch language of the scene, or an empty string.", "", exclude=True
    )
    variant: SkipJsonSchema[str] = option("The matrix variant of the scene, or an empty string.", "", exclude=True)
    locations: SkipJsonSchema[Locations] = Field(
        default_factory=dict, exclude=True, description="The location of each part in the file."
    )
    warnings: SkipJsonSchema[tuple[SceneWarning, ...]] = option("Warnings about likely mistakes.", (), exclude=True)

    @property
    def step_lists(self) -> tuple[tuple[AnyStep, ...], ...]:
        """The steps of the scene, and the steps of each cue."""
        return (self.lines, *(cue.do for cue in self.on))

    def said(self, player: Player, option: str, default: Any = None) -> Any:
        """Return a player's value for an option; if unset, the scene's value or the default."""
        return next(filter(_is_said, (getattr(player, option), getattr(self, option))), default)

    def is_exact(self, line: Line) -> bool:
        """Return whether the line's words must be said exactly."""
        speaker = self.players[line.speaker]
        words = line.words or self.said(speaker, "words")
        return words == "exact" and line.improvise is None and not speaker.human

    def takes_of(self, line: Line) -> int:
        """Return how many takes a line has; for a line with exact words, the maximum."""
        return line.takes or (EXACT_TAKES if self.is_exact(line) else 1)

    def tools_of(self, *callers: Line | Player) -> tuple[str, ...]:
        """Return the names of the tools that may be called: those set by the first caller that sets any."""
        return next((caller.tools for caller in callers if caller.tools is not None), tuple(self.tools))


def _is_said(value: object) -> bool:
    return value not in (None, "")
