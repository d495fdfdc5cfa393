"""Events a server sends: one class per wire event (OpenAI API reference, "Realtime server events", GA).

What tau-stage never looks into (MCP, WebRTC and telephone events) decodes to ``UnknownEvent``, as does anything new.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from tau_stage.errors import ProtocolError
from tau_stage.protocol.bodies import RateLimit, ServerError, WireResponse
from tau_stage.protocol.items import ContentPart, Item, Lenient
from tau_stage.protocol.usage import WireTranscriptionUsage


class ServerMessage(Lenient):
    """What all server events share."""

    event_id: str = ""

    def encode(self) -> bytes:
        """The event as one text frame: what was set, and every discriminator."""
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)

    def model_post_init(self, _context: object, /) -> None:
        """Count the event's type as set, so that ``encode`` sends it."""
        self.__pydantic_fields_set__.add("type")


class UnknownEvent(ServerMessage):
    """An event this version does not know; kept whole."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str


class ErrorEvent(ServerMessage):
    """A request was refused, or the connection is about to close."""

    type: Literal["error"] = "error"
    error: ServerError


class SessionCreated(ServerMessage):
    """The first event of a connection: the session as the server made it."""

    type: Literal["session.created"] = "session.created"
    session: dict[str, Any]


class SessionUpdated(ServerMessage):
    """The effective session after an update."""

    type: Literal["session.updated"] = "session.updated"
    session: dict[str, Any]


class ConversationItemAdded(ServerMessage):
    """An item joined the conversation; a model's own item is still empty."""

    type: Literal["conversation.item.added"] = "conversation.item.added"
    previous_item_id: str | None = None
    item: Item


class ConversationItemDone(ServerMessage):
    """An item is whole, without its audio bytes."""

    type: Literal["conversation.item.done"] = "conversation.item.done"
    previous_item_id: str | None = None
    item: Item


class ConversationItemCreated(ServerMessage):
    """The beta's ``added`` and ``done`` in one; some servers still send it."""

    type: Literal["conversation.item.created"] = "conversation.item.created"
    previous_item_id: str | None = None
    item: Item


ItemTold = ConversationItemAdded | ConversationItemDone | ConversationItemCreated
"""What answers an item's creation: servers differ in which they send first."""


class ConversationItemRetrieved(ServerMessage):
    """An item with its audio."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: Item


class ConversationItemTruncated(ServerMessage):
    """Audio after ``audio_end_ms`` and the transcript are gone."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: int = 0
    audio_end_ms: int = 0


class ConversationItemDeleted(ServerMessage):
    """An item left the conversation."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


class InputAudioBufferCommitted(ServerMessage):
    """The input buffer became an item."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    previous_item_id: str | None = None
    item_id: str


class InputAudioBufferCleared(ServerMessage):
    """The input buffer is empty."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class SpeechStarted(ServerMessage):
    """Turn detection heard speech begin, ``audio_start_ms`` into the input."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    item_id: str
    audio_start_ms: int = 0


class SpeechStopped(ServerMessage):
    """Turn detection heard speech end, ``audio_end_ms`` into the input."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    item_id: str
    audio_end_ms: int = 0


class TimeoutTriggered(ServerMessage):
    """Nobody spoke for as long as ``idle_timeout_ms``; the model is asked to say something."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    item_id: str
    audio_start_ms: int = 0
    audio_end_ms: int = 0


class TranscriptionDelta(ServerMessage):
    """A piece of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = (
        "conversation.item.input_audio_transcription.delta"
    )
    item_id: str
    content_index: int = 0
    delta: str = ""


class TranscriptionCompleted(ServerMessage):
    """All of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str
    content_index: int = 0
    transcript: str
    usage: WireTranscriptionUsage | None = None


class TranscriptionFailed(ServerMessage):
    """What the user said could not be made out."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str
    content_index: int = 0
    error: ServerError


class ResponseCreated(ServerMessage):
    """The model begins."""

    type: Literal["response.created"] = "response.created"
    response: WireResponse


class ResponseDone(ServerMessage):
    """The model has ended, well or not."""

    type: Literal["response.done"] = "response.done"
    response: WireResponse


class OutputItemAdded(ServerMessage):
    """The response gained an item."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    response_id: str
    output_index: int = 0
    item: Item


class OutputItemDone(ServerMessage):
    """An item of the response is whole."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    response_id: str
    output_index: int = 0
    item: Item


class PartMessage(ServerMessage):
    """What all events about one content part share."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class ContentPartAdded(PartMessage):
    """An item gained a part."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: ContentPart


class ContentPartDone(PartMessage):
    """A part is whole."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: ContentPart


class AudioDelta(PartMessage):
    """A piece of sound: base64, padded on its own, perhaps of half samples."""

    type: Literal["response.output_audio.delta"] = "response.output_audio.delta"
    delta: str


class AudioDone(PartMessage):
    """The part's sound is whole."""

    type: Literal["response.output_audio.done"] = "response.output_audio.done"


class TranscriptDelta(PartMessage):
    """A piece of the words spoken."""

    type: Literal["response.output_audio_transcript.delta"] = "response.output_audio_transcript.delta"
    delta: str


class TranscriptDone(PartMessage):
    """All the words spoken."""

    type: Literal["response.output_audio_transcript.done"] = "response.output_audio_transcript.done"
    transcript: str = ""


class TextDelta(PartMessage):
    """A piece of written text."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str


class TextDone(PartMessage):
    """All the text written."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str = ""


class FunctionArgumentsDelta(ServerMessage):
    """A piece of a tool call's arguments."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    response_id: str
    item_id: str
    output_index: int = 0
    call_id: str
    delta: str


class FunctionArgumentsDone(ServerMessage):
    """A tool call is whole."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    response_id: str
    item_id: str
    output_index: int = 0
    call_id: str
    name: str = ""
    arguments: str


class RateLimitsUpdated(ServerMessage):
    """What is left of the limits."""

    type: Literal["rate_limits.updated"] = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...] = ()


KnownEvent = (
    ErrorEvent
    | SessionCreated
    | SessionUpdated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemCreated
    | ConversationItemRetrieved
    | ConversationItemTruncated
    | ConversationItemDeleted
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | SpeechStarted
    | SpeechStopped
    | TimeoutTriggered
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | TextDelta
    | TextDone
    | FunctionArgumentsDelta
    | FunctionArgumentsDone
    | RateLimitsUpdated
)
ServerEvent = KnownEvent | UnknownEvent

_KNOWN: TypeAdapter[KnownEvent] = TypeAdapter(Annotated[KnownEvent, Field(discriminator="type")])


def decode(frame: bytes | str) -> ServerEvent:
    """The event in one text frame; one of a type we do not know is an ``UnknownEvent``, never an error.

    Raises:
        ProtocolError: The frame is no JSON object, or a known event lacks what it must have.

    >>> decode(b'{"type":"input_audio_buffer.cleared","event_id":"event_1","obfuscation":"x"}')
    InputAudioBufferCleared(event_id='event_1', type='input_audio_buffer.cleared')
    >>> decode('{"type":"something.new","event_id":"event_2"}').type
    'something.new'
    """
    try:
        told = from_json(frame)
    except ValueError as error:
        raise ProtocolError("theirs", f"a frame of {len(frame)} bytes is not JSON ({error})") from error
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise ProtocolError("theirs", f"a frame of {len(frame)} bytes is not an event with a type")
    try:
        return _KNOWN.validate_python(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            return UnknownEvent.model_validate({**told, "event_id": str(told.get("event_id", ""))})
        where = ".".join(str(step) for step in first["loc"][1:])
        raise ProtocolError("theirs", f"{told['type']}: {where}: {first['msg']}") from error
