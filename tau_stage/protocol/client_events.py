"""What a client sends: one class per wire event, and what a session and a response are asked to be.

One shape serves both sides: a client sends what it sets (``exclude_unset``), a strict server refuses what is not here
(OpenAI API reference, "Realtime client events" and "Realtime session", GA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from tau_stage.protocol.items import AssistantMessage, ClientItem, JsonObject, Strict


class PcmFormat(Strict):
    """Signed 16-bit little-endian mono; 24 kHz is the only rate OpenAI takes."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class PcmuFormat(Strict):
    """G.711 u-law, 8 kHz."""

    type: Literal["audio/pcmu"] = "audio/pcmu"


class PcmaFormat(Strict):
    """G.711 A-law, 8 kHz."""

    type: Literal["audio/pcma"] = "audio/pcma"


AudioFormat = Annotated[PcmFormat | PcmuFormat | PcmaFormat, Field(discriminator="type")]


class ServerVad(Strict):
    """Turns end after silence."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0)] | None = None
    idle_timeout_ms: Annotated[int, Field(ge=0)] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(Strict):
    """Turns end when the sentence seems finished."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class NoiseReduction(Strict):
    """Clean-up of the input."""

    type: Literal["near_field", "far_field"]
    strength: float | None = None


class Transcription(Strict):
    """Speech recognition of the input; billed apart."""

    model: str | None = None
    language: str | None = None
    languages: tuple[str, ...] | None = None
    prompt: str | None = None
    keywords: tuple[str, ...] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class AudioInput(Strict):
    """How the player hears."""

    format: AudioFormat | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class CustomVoice(Strict):
    """A voice made for one organisation."""

    id: str


class ResponseAudioOutput(Strict):
    """How one response sounds; a response has no speed of its own."""

    format: AudioFormat | None = None
    voice: str | CustomVoice | None = None


class AudioOutput(ResponseAudioOutput):
    """How the player sounds."""

    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class Audio(Strict):
    """Both directions of sound."""

    input: AudioInput | None = None
    output: AudioOutput | None = None


class FunctionTool(Strict):
    """A function the model may call."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: JsonObject | None = None


class McpTool(Strict):
    """A remote tool server; its fields are passed through."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["mcp"] = "mcp"
    server_label: str


Tool = Annotated[FunctionTool | McpTool, Field(discriminator="type")]


class FunctionChoice(Strict):
    """One function that must be called."""

    type: Literal["function"] = "function"
    name: str


class McpChoice(Strict):
    """One remote server whose tools, or one of them, must be called."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    name: str | None = None


ToolChoice = Annotated[FunctionChoice | McpChoice, Field(discriminator="type")]


class Reasoning(Strict):
    """How long the model thinks; models 2 and later."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class TokenLimits(Strict):
    """How long a conversation may become before it is cut."""

    post_instructions: Annotated[int, Field(ge=0)] | None = None


class RetentionRatio(Strict):
    """How much of a conversation is kept when it becomes too long."""

    type: Literal["retention_ratio"] = "retention_ratio"
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: TokenLimits | None = None


class Tracing(Strict):
    """Where the traces of a session go."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: JsonObject | None = None


Modalities = Annotated[tuple[Literal["audio", "text"], ...], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class SessionConfig(Strict):
    """What ``session.update`` carries. Only the fields that are set are sent, and only those change."""

    type: Literal["realtime"]
    model: str | None = None
    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: Audio | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: MaxTokens | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
    tracing: Literal["auto"] | Tracing | None = None
    include: tuple[Literal["item.input_audio_transcription.logprobs"], ...] | None = None


def _few_and_short(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        raise ValueError("metadata may have at most 16 pairs, with keys of up to 64 and values of up to 512 characters")
    return metadata


Metadata = Annotated[dict[str, str], AfterValidator(_few_and_short)]


class ItemReference(Strict):
    """An item of the conversation, used again as input of an out-of-band response."""

    type: Literal["item_reference"] = "item_reference"
    id: str


class ResponseAudio(Strict):
    """The sound of one response."""

    output: ResponseAudioOutput | None = None


class ResponseConfig(Strict):
    """What ``response.create`` carries; what is not set comes from the session.

    A ``pre_generated_assistant_message`` is spoken as it stands, by servers that can (Voice Live, azure-ai-voicelive
    1.3.1; dialects write it as others want it); the API of OpenAI has no such field.
    """

    conversation: Literal["auto", "none"] | None = None
    input: tuple[ClientItem | ItemReference, ...] | None = None
    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: ResponseAudio | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    pre_generated_assistant_message: AssistantMessage | None = None


class ClientMessage(Strict):
    """What all client events share: an id of ours, so that an error can name what it refuses."""

    event_id: str | None = None

    def encode(self) -> bytes:
        """Write the event as one text frame; fields nobody set are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)


class SessionUpdate(ClientMessage):
    """Changes the session; answered by ``session.updated`` or an error."""

    type: Literal["session.update"] = "session.update"
    session: SessionConfig


class InputAudioBufferAppend(ClientMessage):
    """Adds sound to the input buffer; not answered."""

    type: Literal["input_audio_buffer.append"] = "input_audio_buffer.append"
    audio: str


class InputAudioBufferCommit(ClientMessage):
    """Makes a user item of the input buffer."""

    type: Literal["input_audio_buffer.commit"] = "input_audio_buffer.commit"


class InputAudioBufferClear(ClientMessage):
    """Empties the input buffer."""

    type: Literal["input_audio_buffer.clear"] = "input_audio_buffer.clear"


class ConversationItemCreate(ClientMessage):
    """Puts an item into the conversation; answered by ``added`` and ``done``."""

    type: Literal["conversation.item.create"] = "conversation.item.create"
    previous_item_id: str | None = None
    item: ClientItem


class ConversationItemRetrieve(ClientMessage):
    """Asks for an item with its audio."""

    type: Literal["conversation.item.retrieve"] = "conversation.item.retrieve"
    item_id: str


class ConversationItemTruncate(ClientMessage):
    """Cuts a player's sound where the listener stopped listening."""

    type: Literal["conversation.item.truncate"] = "conversation.item.truncate"
    item_id: str
    content_index: Annotated[int, Field(ge=0)]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ConversationItemDelete(ClientMessage):
    """Takes an item out of the conversation."""

    type: Literal["conversation.item.delete"] = "conversation.item.delete"
    item_id: str


class ResponseCreate(ClientMessage):
    """Asks the model to speak."""

    type: Literal["response.create"] = "response.create"
    response: ResponseConfig | None = None


class ResponseCancel(ClientMessage):
    """Stops the model speaking."""

    type: Literal["response.cancel"] = "response.cancel"
    response_id: str | None = None


ClientEvent = Annotated[
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel,
    Field(discriminator="type"),
]

CLIENT_EVENTS: TypeAdapter[ClientEvent] = TypeAdapter(ClientEvent)  # validates a parsed client event, strictly


def with_ids(event: ClientEvent, id_of: Callable[[str], str]) -> ClientEvent:
    """Name items as the server does, where it has given them ids of its own."""
    match event:
        case ConversationItemRetrieve() | ConversationItemTruncate() | ConversationItemDelete():
            return event.model_copy(update={"item_id": id_of(event.item_id)})
        case ConversationItemCreate(previous_item_id=str(before)):
            return event.model_copy(update={"previous_item_id": id_of(before)})
        case ResponseCreate(response=ResponseConfig(input=tuple(items)) as response):
            named = tuple(
                item.model_copy(update={"id": id_of(item.id)}) if isinstance(item, ItemReference) else item
                for item in items
            )
            return event.model_copy(update={"response": response.model_copy(update={"input": named})})
        case _:
            return event


AUDIO_WISHES = {
    "voice": ("output", "voice"),
    "speed": ("output", "speed"),
    "output_format": ("output", "format"),
    "input_format": ("input", "format"),
    "turn_detection": ("input", "turn_detection"),
    "transcription": ("input", "transcription"),
    "noise_reduction": ("input", "noise_reduction"),
}
"""Short names of what stands deep in a session."""


def session_config(**wishes: object) -> SessionConfig:
    """Make a session of what is wished for; what is not named is left to the server, None turns a thing off.

    Wishes are fields of ``SessionConfig``, and ``voice``, ``speed``, ``turn_detection`` (a name or its fields),
    ``transcription`` (a model, its fields, or ``off``), ``noise_reduction``, ``input_format``, ``output_format``.
    Another field or value is a ``ValidationError``.

    >>> told = session_config(voice="ash", turn_detection="server_vad").model_dump(exclude_unset=True)
    >>> told["audio"]["input"]["turn_detection"]
    {'type': 'server_vad'}
    """
    named = {"turn_detection": "type", "transcription": "model", "noise_reduction": "type"}
    audio: dict[str, JsonObject] = {}
    for wish, (side, key) in AUDIO_WISHES.items():
        if wish in wishes:
            value = wishes.pop(wish)
            value = None if (wish, value) == ("transcription", "off") else value
            audio.setdefault(side, {})[key] = (
                {named[wish]: value} if isinstance(value, str) and wish in named else value
            )
    return SessionConfig.model_validate({"type": "realtime", **wishes} | ({"audio": audio} if audio else {}))


def conducted(
    *,
    voice: str = "",
    instructions: str = "",
    speed: float | None = None,
    output: Literal["audio", "text"] = "audio",
    max_output_tokens: int | None = None,
    heard_rate: int = 24_000,
    **further: object,
) -> SessionConfig:
    """Make a session whose turns are asked for one by one: turn detection is off. Without a voice, the server chooses.

    Where a server hears at a rate of its own, formats are not asked for: it knows.

    >>> conducted(voice="ash").model_dump(exclude_unset=True)["audio"]["output"]["voice"]
    'ash'
    """
    form = {"type": "audio/pcm", "rate": 24000}
    forms = {"input_format": form, "output_format": form} if heard_rate == form["rate"] else {}
    given = {"voice": voice or None, "speed": speed, "max_output_tokens": max_output_tokens}
    return session_config(
        instructions=instructions,
        output_modalities=(output,),
        turn_detection=None,
        **forms,
        **further,
        **{wish: value for wish, value in given.items() if value is not None},
    )
