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
        "properties": {"type": {"const": "object", "description": "object: then it is a whole JSON schema."}},
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

    FORM = Form("'call'", "write it like 'call: lights_on'", short="tool", anything="any")

    player: Name | None = option("Who calls. Default: anybody.")
    tool: Name | None = option("Which tool. Default: any.")


class SpeechEvent(SceneModel):
    """Somebody says something."""

    FORM = Form(
        "'said'",
        "write it like 'said: umbrella', or {player: name, words: umbrella}",
        short="words",
        anything="any",
        empty="what is said?",
    )

    player: Name | None = option("Who says it. Default: anybody.")
    words: Regex = option("What is said: words, or a regular expression; case does not matter.", "")

    @model_validator(mode="after")
    def heard(self) -> "SpeechEvent":
        """Refuse to wait for nothing."""
        if not self.words:
            raise wrong(self.FORM.empty, self.FORM.hint)
        return self


class SilenceEvent(SceneModel):
    """Nobody says anything for a while, where players or people may speak when they like."""

    FORM = Form("'silence'", "write it like 'silence: 8s'", short="for", anything="any")

    for_s: Seconds = option("How long, like 8s. Default: 5s.", 5.0, alias="for")


class FailureEvent(SceneModel):
    """Something fails: a line cannot be had, a tool fails, a player is lost. The scene goes on."""

    FORM = Form("'error'", "write it like 'error: clerk'", short="player", anything="any")

    player: Name | None = option("Whose it is. Default: anybody's.")


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
    """One thing that has happened."""

    FORM = Form("'not'", "write it like {not: {said: umbrella}}", empty="'not' wants something that may happen")

    call: CallEvent | None = option("A player has called a tool.")
    said: SpeechEvent | None = option("Somebody has said something.")
    error: FailureEvent | None = option("Something has failed.")

    @model_validator(mode="before")
    @classmethod
    def hold_one(cls, values: object) -> object:
        """Refuse more than one, and none."""
        given = [key for key, event in values.items() if event is not None] if isinstance(values, dict) else [""]
        if len(given) != 1:
            problem = f"{cls.FORM.owner} holds one condition"
            raise wrong(problem, "remove the others", inside=tuple(given[1:2]), key=True)
        return values

    @property
    def event(self) -> CallEvent | SpeechEvent | FailureEvent:
        """What it is."""
        return next(event for event in (self.call, self.said, self.error) if event is not None)


class When(Happened):
    """One thing that has happened, or has not."""

    FORM = Form(
        "'when'",
        "write it like {said: umbrella}, {call: lights_on}, or '${mood} == happy'",
        empty="'when' holds nothing",
        texts=True,
    )

    not_: Happened | None = option("What has not happened.", alias="not")

    @property
    def condition(self) -> Condition:
        """What the plan waits for."""
        return Not(condition=self.not_.event) if self.not_ else self.event


class Step(LocatedModel):
    """What all steps share."""

    when: Annotated[When | bool | None, BeforeValidator(fields.compared)] = option(
        "Performed only if this has happened or holds; else left out."
    )


class CutIn(SceneModel):
    """How a line cuts into another player's."""

    FORM = Form("cut_in", "write it like {on: clerk, after: 900ms}", short="on")

    on: Name | None = option(
        "Whose line is cut: the player who speaks just before, or that line's id. Default: who speaks before."
    )
    after: Seconds = option("How much of it is heard before this line begins, like 900ms. Default: 1s.", 1.0)
    overlap: Seconds = option("How long both are heard, until the other stops. Default: 200ms.", 0.2)


class Line(Step):
    """One line: the speaker is the key, the words are the value, everything else is optional."""

    FORM = Form("the line")

    model_config = ConfigDict(
        json_schema_extra={
            **fields.IGNORED,
            "minProperties": 1,
            "additionalProperties": {
                **fields.SCALAR,
                "description": "The speaker's name, and the words: (how to say it) what to say [a moment] *stressed*.",
            },
        }
    )

    speaker: SkipJsonSchema[str] = Field(exclude=True, description="Who speaks: the key.")
    text: SkipJsonSchema[str] = Field(exclude=True, description="What to say: the value, without its direction.")
    improvise: Text | None = option("Instead of words: what to answer to, in character; may be empty.")
    direction: Text | None = option("How to say the whole line; never spoken.")
    id: Id | None = option("A name for this line, used in files. Default: player and ordinal.")
    to: Hearing | None = option("Who hears this line: everyone, nobody, or names. Default: everyone.")
    pause: Seconds | None = option("Silence after this line, like 800ms. Default: the scene's.")
    cut_in: CutIn | None = option("Starts over the line before, which is cut: {on: clerk, after: 1s}.")
    words: Words | None = option(
        "exact: a take with other words than the line's is followed by another, up to takes. Default: the player's."
    )
    takes: Takes | None = option(
        "How often the line is performed; one of them is picked. Default: 1; of exact words, 3 at most."
    )
    pick: Pick | None = option(
        "Which take is the line: closest (to the words), first, shortest, or ask. Others are kept. Default: closest."
    )
    timeout: Seconds | None = option("How long the line may take; then it is cut off, and we go on.")
    conversation: Conversation | None = option(
        "none: the player looks back at what was said, but will not remember this line. Default: the player's."
    )
    output: Output | None = option("What this line is answered with. Default: the player's.")
    tools: Names | None = option("Tools for this line. Default: the player's.")
    tool_choice: ToolChoice | None = option(
        "auto, none, required, or a tool's name. Default: none for words, auto for improvise."
    )
    reasoning: Effort | None = option("How long the model thinks about this line. Default: the player's.")
    commentary: Commentary | None = option(
        "Whether what the model says about its work is part of this line. Default: the player's."
    )
    max_output_tokens: Tokens | None = option("Cap of output tokens for this line. Default: the player's.")
    expect: Expect | None = option("What it is to be like: words, length, loudness, cost...")
    metadata: Metadata | None = option("Kept with the response at the provider: names and texts.")


class ItemStep(Step):
    """An item is put into players' conversations; they say nothing."""

    FORM = Form("an item")

    role: SkipJsonSchema[Literal["system", "user", "assistant"]] = Field(exclude=True)
    words: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Words by player.")
    wav: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Sound files by player.")


class Pause(Step):
    """Silence on the timeline."""

    FORM = Form("the pause")

    pause: Seconds = option("Silence before the next step, or at the end, added to the pause of the line before.", 1.0)


class Chapter(Step):
    """A chapter begins here: it is a mark in what is made of the take, and sounds not."""

    FORM = Form("the chapter")

    chapter: Tag = Field(description="Its title.")


class SoundStep(Step):
    """A sound effect, or a bed that lies under everything until it ends; each on a stem of its own."""

    FORM = Form("a sound")

    kind: SkipJsonSchema[Literal["sfx", "bed"]] = Field(exclude=True)
    file: SkipJsonSchema[str] = Field(exclude=True, description="The sound file, relative to the scene.")
    gain: Gain = option("How much louder or softer, like -18 dB. Default: 0 dB.", 0.0)
    heard: fields.Boolean = option("Whether the players hear it too. Default: false.", False)
    until: Text | None = option("A bed's end: 'end', or the id of the line it ends with. Default: end.")
    pause: Seconds | None = option("Silence after an effect. Default: the scene's.")


class Together(Step):
    """Lines and effects that begin at once."""

    FORM = Form("together")

    together: tuple[Line | SoundStep, ...] = option("Lines of different players, and effects.", ())
    pause: Seconds | None = option("Silence after the last of them ends. Default: the scene's.")


class DetectionOptions(SceneModel):
    """How turns are found."""

    FORM = Form(
        "turn_detection",
        "write server_vad, semantic_vad, or {type: server_vad, silence: 800ms}",
        short="type",
        empty="turn_detection is a name or a mapping",
    )

    type: TurnDetection = option(
        "server_vad: by silence; semantic_vad: by what is said. Default: server_vad.", "server_vad"
    )
    silence: Seconds | None = option("How long a silence ends a turn, like 800ms. Default: the model's own.")
    padding: Seconds | None = option(
        "How much is kept of what was heard before a turn, like 300ms. Default: the model's own."
    )
    idle: Seconds | None = option("After how long a silence the model speaks unasked, like 6s.")
    threshold: Threshold | None = option(
        "How loud a voice must be, from 0 to 1; 0.5 is usual. Default: the model's own."
    )
    eagerness: Eagerness | None = option("How soon a turn is taken for ended. Default: auto.")

    @model_validator(mode="after")
    def fit(self) -> "DetectionOptions":
        """Refuse an option of the other type."""
        is_semantic = self.type == "semantic_vad"
        known = [key for key in self.options() if key == "type" or (key == "eagerness") == is_semantic]
        for key in sorted(self.model_fields_set.difference(known)):
            raise wrong(f"{self.type} has no '{key}'", f"it has: {listed(known)}", inside=(key,), key=True)
        return self

    def for_api(self) -> fields.Detection:
        """Return the API's fields, and their values."""
        given = self.model_dump(exclude_none=True, include={"type", "threshold", "eagerness"})
        lengths = {"silence_duration_ms": self.silence, "prefix_padding_ms": self.padding, "idle_timeout_ms": self.idle}
        return (*given.items(), *((name, round(each * 1000)) for name, each in lengths.items() if each is not None))


class TranscriptionOptions(SceneModel):
    """How a person's words are written down."""

    FORM = Form("transcription", fields.TRANSCRIPTION_HINT, short="model", empty="this transcription says nothing")

    model: Transcriber | None = option(
        f"Who writes it down; on Azure, your deployment's name; off: nobody. Default: {DEFAULT_TRANSCRIPTION}."
    )
    language: Language | None = option("What is spoken, like en or de. Default: found out by the model.")
    prompt: Prompt | None = option("Names and words that are likely to be said.")

    def for_api(self, default: str | None) -> fields.Transcription | None:
        """Return the API's fields, and their values: of a model, where none is named; None leaves all to the server."""
        if self.model == "off":
            return fields.OFF
        facts = {"model": self.model or default, "language": self.language, "prompt": self.prompt}
        return tuple((name, fact) for name, fact in facts.items() if fact) or None


class FreePlay(SceneModel):
    """Free play: players answer what they hear, until turns, for, words or a budget end it."""

    FORM = Form("'improvise'", "write it like '- improvise: {turns: 6}'", short="about")

    players: Names = option("Who plays. Default: all players with a model.", ())
    about: Text | None = option("What it is about; whispered to each of them.")
    order: Order = option("round, called (whoever is addressed answers), or a list of names.", "round")
    turns: Count | None = option("Ends after so many turns.")
    for_s: Span | None = option("Ends when so much was spoken, like 45s.", alias="for")
    words: Count | None = option("Ends when so many words were spoken.")
    budget: Dollars | None = option("Ends when it has cost so much, like $0.05.")
    until: Regex | None = option("Ends when this is said: words, or a regular expression.")
    to: Hearing | None = option("Who hears it. Default: everyone.")


class Improvise(Step):
    """Free play: players answer what they hear."""

    FORM = Form("'improvise'")

    improvise: FreePlay = Field(description="Who plays, and what ends it.")
    pause: Seconds | None = option("Silence after each turn. Default: the scene's.")


class Listening(SceneModel):
    """An open microphone: a person speaks, and the player answers."""

    FORM = Form("'listen'", "write it like '- listen: {turns: 6}'", short="player")

    player: Name | None = option("Who listens and answers. Default: the only player with a model.")
    from_: Name | None = option("Whose voice it is. Default: the only human player.", alias="from")
    for_s: Span | None = option("Ends after so long, like 2m.", alias="for")
    turns: Count | None = option("Ends after so many answers.")
    until: Regex | None = option("Ends when this is said by either: words, or a regular expression.")
    key: Text | None = option("Ends when this key is pressed, like q.")
    to: Hearing | None = option("Who else hears it. Default: everyone.")
    transcription: TranscriptionOptions | None = option(
        "Who writes down what the person says: a model, or off. Default: the player's."
    )


class Listen(Step):
    """Open microphone: a person speaks, turn detection drives the turns, and the player answers."""

    FORM = Form("'listen'")

    listen: Listening = Field(description="Who listens to whom, and what ends it.")
    pause: Seconds | None = option("Silence after it. Default: the scene's.")


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
    """What may stand on a player, or once for all players at the top of the scene."""

    direction: Text | None = option("How to act, told to the model before the first line.")
    persona: Text | None = option("Who the player is, told to the model before the first line.")
    accent: Text | None = option("The accent spoken in: 'Speak in <accent>.'")
    language: Language | None = option(
        "The language spoken, like de or pt-BR: 'Speak German.' Default: that of the batch, else the model's own."
    )
    voice: Voice | None = option("The model's voice. Default: marin.")
    model: Model | None = option("The realtime model. Default: gpt-realtime-2.1-mini.")
    endpoint: Endpoint | None = option(
        "Where the model lives: a provider's name or a ws(s):// address. Default: whoever runs the scene chooses."
    )
    speed: Speed | None = option("Rate of speech; 1 is the voice's own. Default: 1.")
    reasoning: Effort | None = option("How long the model thinks. Default: the model's own.")
    output: Output | None = option("What the model answers with. Default: audio.")
    commentary: Commentary | None = option(
        "What a model says about its work: drop keeps it out of its lines. Default: drop."
    )
    conversation: Conversation | None = option(
        "none: it remembers none of its lines, so that each costs the same. Default: auto."
    )
    words: Words | None = option(
        "exact: a line is asked for again where other words are said; free: it is not. Default: free."
    )
    pronounce: Pronunciation = Field(
        default_factory=dict, description="How words are sent that a model says wrongly, like {CIA: C. I. A.}."
    )
    max_output_tokens: Tokens | None = option("Cap of output tokens for one line. Default: the model's own.")
    tool_choice: ToolChoice | None = option("auto, none, required, or a tool's name. Default: the model's own, auto.")
    turn_detection: DetectionOptions | None = option(
        "How turns are found where a microphone is open. Default: server_vad."
    )
    transcription: TranscriptionOptions | None = option(
        "Who writes down what a person says at an open microphone: a model, or off. Default: gpt-transcribe."
    )
    hears_as: HearsAs | None = option("Hears the others as audio, or as text. Default: audio.")
    hearing: HearingWay | None = option(
        "Whether a line's sound is sent when it is over, in one item, or streamed while it is spoken. "
        "Default: create_audio."
    )
    label_speakers: fields.Boolean | None = option("Whether it is told who speaks. Default: false.")
    pace: Pace | None = option(
        "realtime: a sound file is fed, and the scene goes on, as fast as it is heard. Default: fast."
    )


EXACT_TAKES = 3  # how often a line with exact words is asked for at most, where it does not say

_SETUP = "write it like '- system: You have never seen the sea.'"


class SetupItem(SceneModel):
    """An item of a conversation before the first line: a role, and its words."""

    FORM = Form("an item of setup", _SETUP, several="setup is a list of items", empty="an item of setup needs words")

    system: Text | None = option("The words of the system.")
    user: Text | None = option("The words of the user.")
    assistant: Text | None = option("The words of the assistant.")

    @model_validator(mode="after")
    def one(self) -> "SetupItem":
        """Refuse more than one role, and one without words."""
        if len(self.model_fields_set) != 1:
            raise wrong("an item of setup has one role and its words", _SETUP)
        if not self.words:
            raise wrong("an item of setup needs words", _SETUP, inside=(self.role,))
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
    """One role of the scene; everything left out comes from the top of the scene."""

    FORM = Form("player '<name>'", "write it like '<name>: {voice: ash}'")

    hears: Hearing = option("Whose lines this player hears: everyone, nobody, or names.", "everyone")
    tools: Names | None = option("Which of the scene's tools it may call. Default: all; none for none.")
    human: Human | None = option("A person plays: mic, tty (typing), or a sound file.")
    pan: Pan | None = option("Where it stands in a stereo mix, from -1, left, to 1, right. Default: 0, the middle.")
    stand_in: SoundFile | None = option(
        "A folder with recorded takes of a person's lines, played where nobody is there."
    )
    setup: tuple[SetupItem, ...] = option(
        "What is in its conversation before the first line: items like {system: text}.", (), exclude=True
    )

    def listens_to(self, speaker: str) -> bool:
        """Tell whether this player hears a speaker's lines, as far as this player decides it."""
        return self.hears == "everyone" or (self.hears != "nobody" and speaker in self.hears)


class ToolDefinition(LocatedModel):
    """Something a model may call."""

    FORM = Form("tool '<name>'", "write it like '<name>: {description: ..., returns: {ok: true}}'")

    description: Text = option("When to call it: the model reads this.", "")
    run: PythonFunction | None = option("A Python function: module:function. Needs --allow-tools.")
    command: Command | None = option("A program and its arguments; what it prints is the result. Needs --allow-tools.")
    env: Names = option("Variables of the environment that 'run' or 'command' may see though they look like keys.", ())
    timeout: Seconds = option("How long it may take. Default: 10s.", 10.0)
    parameters: Parameters | None = option(
        "Its arguments: {city: string, days: integer}, or a whole JSON schema. Default: those of 'run'.", exclude=True
    )
    returns: Typed = option("What it always answers: any text, list or mapping.", exclude=True)

    @property
    def is_code(self) -> bool:
        """Whether calling it runs something of the author's."""
        return self.run is not None or self.command is not None


class Cue(LocatedModel):
    """Steps that are performed when something happens."""

    FORM = Form("the cue", "write it like '- said: umbrella' with a 'do:' under it")

    call: CallEvent | None = option("When a player calls a tool.")
    said: SpeechEvent | None = option("When somebody says something.")
    silence: SilenceEvent | None = option("When nobody says anything for a while.")
    error: FailureEvent | None = option("When something fails.")
    do: tuple[AnyStep, ...] = option("What is done then: steps, in order.", ())
    times: Count | None = option("How often at most. Default: as often as it happens.")

    @property
    def event(self) -> Event:
        """What it waits for."""
        return next(event for event in (self.call, self.said, self.silence, self.error) if event is not None)


class Limits(SceneModel):
    """What the scene may not exceed."""

    FORM = Form("limits", "write it like limits: {budget: $0.50}")

    budget: Dollars | None = option("What a performance may cost, like $0.50. Default: no limit.")
    start_rate: PerMinute | None = option("How fast sessions open, like 6/min. Default: as each endpoint wants it.")
    cues: Count = option("How often cues may start in all. Default: 100.", 100)
    opening: Timeout | None = option("How long a session may take to open. Default: 10s.")
    silence: Timeout | None = option("How long a model may give no sign while it is to answer. Default: 60s.")
    hearing: Timeout | None = option("How long a player may take to confirm what it hears or is told. Default: 30s.")
    closing: Timeout | None = option("How long a session may take to close. Default: 2s.")
    on_lost_player: OnLostPlayer = option(
        "When a player's connection is cut or stalls: reopen it and tell it what was said, "
        "continue without it, or stop. Default: reopen.",
        "reopen",
    )


class Scene(Cascade):
    """A scene: players and their lines.

    >>> from tau_stage import load_scene
    >>> load_scene("scenes/hello.yaml").players["host"].voice
    'marin'
    """

    FORM = Form("the scene")

    title: fields.Title = option("The scene's title. Default: the file's name.", "", alias="scene")
    pause: Seconds | None = option("Silence after every line, like 800ms. Default: 350ms.")
    prompt_template: Template = option("How a line is put to the model; {words}, {direction}.", fields.DEFAULT_TEMPLATE)
    vars: Mapping[str, Text] = Field(default_factory=dict, description="Texts by name; ${name} stands for them.")
    matrix: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Variables with several values each: every combination is a variant."
    )
    include: Names = option("Files that hold players, tools or defaults; what stands here wins.", ())
    players: Mapping[str, Player] = Field(description="Every player's name, and who that is.")
    tools: Mapping[str, ToolDefinition] = Field(default_factory=dict, description="What models may call, by name.")
    on: tuple[Cue, ...] = option("What is done when something happens.", ())
    lines: tuple[AnyStep, ...] = Field(description="What happens, in order.")
    script: Text | None = option("Instead of lines: 'NAME: words' a line, or a file: .fountain or .txt.")
    limits: Limits = Field(
        default_factory=Limits,
        description="What a performance may cost, and how fast it may start. Default: as its keys say.",
    )
    deliver: Deliver = Field(
        default_factory=Deliver,
        description="What is made of the take: a mix, its loudness, names. Default: as its keys say.",
    )
    expect: Expect | None = option("What the performance as a whole is to be like.")
    path: SkipJsonSchema[str] = option("The file, as the user named it.", "", exclude=True)
    sha256: SkipJsonSchema[str] = option("Hash of the file's bytes.", "", exclude=True)
    given: SkipJsonSchema[Mapping[str, str]] = Field(
        default_factory=dict, exclude=True, description="Variables that were given from outside."
    )
    overlays: SkipJsonSchema[tuple[str, ...]] = option(
        "Files that were laid over the scene from outside, as they were named.", (), exclude=True
    )
    batch_language: SkipJsonSchema[str] = option("The language of a batch that it is in.", "", exclude=True)
    variant: SkipJsonSchema[str] = option("Which variant of a matrix it is.", "", exclude=True)
    locations: SkipJsonSchema[Locations] = Field(
        default_factory=dict, exclude=True, description="Where its parts stand in the file."
    )
    warnings: SkipJsonSchema[tuple[SceneWarning, ...]] = option(
        "What may not be what its author meant.", (), exclude=True
    )

    @property
    def step_lists(self) -> tuple[tuple[AnyStep, ...], ...]:
        """The scene's own steps, and those of each cue."""
        return (self.lines, *(cue.do for cue in self.on))

    def said(self, player: Player, option: str, default: Any = None) -> Any:
        """Return what a player says of an option, else what the scene says of it, else a default."""
        return next(filter(_is_said, (getattr(player, option), getattr(self, option))), default)

    def is_exact(self, line: Line) -> bool:
        """Tell whether what is said must be the line's words."""
        speaker = self.players[line.speaker]
        words = line.words or self.said(speaker, "words")
        return words == "exact" and line.improvise is None and not speaker.human

    def takes_of(self, line: Line) -> int:
        """Return how often a line is performed; an exact one, at most."""
        return line.takes or (EXACT_TAKES if self.is_exact(line) else 1)

    def tools_of(self, *callers: Line | Player) -> tuple[str, ...]:
        """Return the names of the tools that may be called, as the first of the callers says that says it."""
        return next((caller.tools for caller in callers if caller.tools is not None), tuple(self.tools))


def _is_said(value: object) -> bool:
    return value not in (None, "")
