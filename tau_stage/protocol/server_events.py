"""Events a server sends: one class per wire event (OpenAI API reference, "Realtime server events", GA).

What tau-stage never looks into (MCP, WebRTC and telephone events) is an ``UnknownEvent``, as is anything new.
A field without a default is needed; ``decoding.decode`` takes any other as absent where it is not what it should be.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tau_stage.protocol.items import ContentPart, Item, JsonObject, Lenient

ERROR_FIELDS = (
    "error", "errors", "error_message", "errorMessage", "error_msg", "last_error", "failure_reason", "detail",
)  # fmt: skip
"""Fields that only an error has."""

MESSAGE_FIELDS = ("details", "description", "reason", "text", "msg", "title", "status_message", *ERROR_FIELDS)
"""Where servers put the words of an error that has no message."""

Milliseconds = Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)]
Status = Literal["completed", "cancelled", "incomplete", "failed"]
ENDINGS: dict[Status, str] = {
    "completed": "completed complete done success finished ended end",
    "cancelled": "cancelled canceled interrupted aborted",
    "incomplete": "incomplete",
    "failed": "failed failure error errored",
}
STATUSES = {name: status for status, names in ENDINGS.items() for name in names.split()}
"""How a response can end, by every name that servers have for it."""


def status_of(told: object) -> Status | None:
    """Return a status as a server tells it; None where that is none."""
    return STATUSES.get(told.casefold()) if isinstance(told, str) else None


def text_in(value: object) -> str:
    """Return what is said by a text, or by the texts in a list or an object."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return "; ".join(words for each in inner if (words := text_in(each)))
    return value if isinstance(value, str) else ""


class ServerError(Lenient):
    """The body of an error; ``event_id`` is that of the client event that was refused, if the server knows it."""

    type: str = "invalid_request_error"
    code: str | None = None
    message: str = ""
    param: str | None = None
    event_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, error: object) -> object:
        """Find the words of an error that has no message, in whatever it is made of."""
        if not isinstance(error, str | list | dict) or not error:
            return error
        facts = error if isinstance(error, dict) else {"message": error}
        inner = facts.get("error")
        if isinstance(inner, dict) and not facts.get("message"):
            facts = facts | inner
        if isinstance(facts.get("message"), str | int):
            return facts
        said = next((facts[key] for key in ("message", *MESSAGE_FIELDS) if facts.get(key)), "")
        words = text_in(said)
        return facts | {"message": words} if words else facts


class StatusDetails(Lenient):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    error: ServerError | None = None


class WireResponse(Lenient):
    """A response as the server tells it; audio bytes are never in it.

    Attributes:
        id: Empty where the server tells none: the response is then known by the order of events.
        status: Empty where the server tells none: how the response ended is then known by what it holds.
        usage: As the server tells it, in whatever shape: ``Usage.from_wire`` reads it.
        error: Why it failed, from wherever the server tells it.
    """

    object: Literal["realtime.response"] = "realtime.response"
    id: str = ""
    status: str = ""
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    conversation_id: str | None = None
    output_modalities: tuple[str, ...] = ()
    max_output_tokens: int | str | None = None
    audio: JsonObject | None = None
    usage: Any = None
    model: str = ""
    error: ServerError | None = None
    metadata: dict[str, str] | None = None

    @property
    def failure(self) -> ServerError | None:
        """The error that it ended with."""
        return self.error or (self.status_details.error if self.status_details else None)

    @property
    def outcome(self) -> Status:
        """How it ended; where its status says nothing that is known, it failed if an error is told."""
        return status_of(self.status) or ("failed" if self.failure else "completed")


class RateLimit(Lenient):
    """What is left of one limit."""

    name: str = ""
    limit: int = 0
    remaining: int = 0
    reset_seconds: float = 0.0


EVENT_TYPES: dict[str, type[ServerEvent]] = {}  # every event that this version knows, by its type


class ServerEvent(Lenient):
    """What all server events share."""

    event_id: str = ""
    type: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: object) -> None:
        """List the events that have a type of their own."""
        if isinstance(name := cls.model_fields["type"].default, str):
            EVENT_TYPES[name] = cls

    def encode(self) -> bytes:
        """Write the event as one text frame: what was set, and every discriminator."""
        self.__pydantic_fields_set__.add("type")
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)


class UnknownEvent(ServerEvent):
    """An event this version does not know; kept whole."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str


class UnusableEvent(ServerEvent):
    """An event that lacks what it is for; ``type`` is empty where the frame is no event at all.

    The ``words`` that it says are safe to show. It ``breaks_response`` where that cannot be whole without it.
    """

    type: str
    problem: str
    words: str = ""
    response_id: str = ""
    item_id: str = ""
    breaks_response: bool = False


class ErrorEvent(ServerEvent):
    """A request was refused, or the connection is about to close."""

    type: str = "error"
    error: ServerError = Field(default_factory=ServerError)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, event: object) -> object:
        """Take what stands beside an error, or in its place, as a part of it."""
        if not isinstance(event, dict) or isinstance(event.get("error"), ServerError):
            return event
        inner = event.get("error")
        body = inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str | list) else {}
        beside = {key: event[key] for key in ("code", "param") if isinstance(event.get(key), str | int)}
        beside |= {key: event[key] for key in ("message", *MESSAGE_FIELDS) if event.get(key) and key != "error"}
        return event | {"error": beside | {key: value for key, value in body.items() if value is not None}}


class SessionCreated(ServerEvent):
    """The first event of a connection: the session as the server made it."""

    type: str = "session.created"
    session: JsonObject = Field(default_factory=dict)


class SessionUpdated(ServerEvent):
    """The effective session after an update."""

    type: str = "session.updated"
    session: JsonObject = Field(default_factory=dict)


class PlacedItemEvent(ServerEvent):
    """An item is in the conversation: what answers its creation. Servers differ in which of these they send first."""

    previous_item_id: str | None = None
    item: Item


class ConversationItemAdded(PlacedItemEvent):
    """An item joined the conversation; a model's own item is still empty."""

    type: str = "conversation.item.added"


class ConversationItemDone(PlacedItemEvent):
    """An item is whole, without its audio bytes."""

    type: str = "conversation.item.done"


class ConversationItemCreated(PlacedItemEvent):
    """The beta's ``added`` and ``done`` in one; some servers still send it."""

    type: str = "conversation.item.created"


class ConversationItemRetrieved(ServerEvent):
    """An item with its audio."""

    type: str = "conversation.item.retrieved"
    item: Item


class ConversationItemTruncated(ServerEvent):
    """Audio after ``audio_end_ms`` and the transcript are gone."""

    type: str = "conversation.item.truncated"
    item_id: str = ""
    content_index: int = 0
    audio_end_ms: int | None = None


class ConversationItemDeleted(ServerEvent):
    """An item left the conversation."""

    type: str = "conversation.item.deleted"
    item_id: str = ""


class InputAudioBufferCommitted(ServerEvent):
    """The input buffer became an item."""

    type: str = "input_audio_buffer.committed"
    previous_item_id: str | None = None
    item_id: str = ""


class InputAudioBufferCleared(ServerEvent):
    """The input buffer is empty."""

    type: str = "input_audio_buffer.cleared"


class SpeechStarted(ServerEvent):
    """Turn detection heard speech begin, ``audio_start_ms`` into the input."""

    type: str = "input_audio_buffer.speech_started"
    item_id: str = ""
    audio_start_ms: int = 0


class SpeechStopped(ServerEvent):
    """Turn detection heard speech end, ``audio_end_ms`` into the input."""

    type: str = "input_audio_buffer.speech_stopped"
    item_id: str = ""
    audio_end_ms: int = 0


class TimeoutTriggered(ServerEvent):
    """Nobody spoke for as long as ``idle_timeout_ms``; the model is asked to say something."""

    type: str = "input_audio_buffer.timeout_triggered"
    item_id: str = ""
    audio_start_ms: int = 0
    audio_end_ms: int = 0


class TranscriptionDelta(ServerEvent):
    """A piece of what the user said."""

    type: str = "conversation.item.input_audio_transcription.delta"
    item_id: str = ""
    content_index: int = 0
    delta: str = ""


class TranscriptionCompleted(ServerEvent):
    """All of what the user said."""

    type: str = "conversation.item.input_audio_transcription.completed"
    item_id: str = ""
    content_index: int = 0
    transcript: str = ""
    status: str | None = None
    usage: object = None


class TranscriptionFailed(ServerEvent):
    """What the user said could not be made out."""

    type: str = "conversation.item.input_audio_transcription.failed"
    item_id: str = ""
    content_index: int = 0
    error: ServerError = Field(default_factory=ServerError)


class ResponseCreated(ServerEvent):
    """The model begins."""

    type: str = "response.created"
    response: WireResponse = Field(default_factory=WireResponse)


class ResponseDone(ServerEvent):
    """The model has ended, well or not; xAI tells ``usage`` here. ``spelt`` is what a server calls this event."""

    type: str = "response.done"
    response: WireResponse = Field(default_factory=WireResponse)
    response_id: str = ""
    usage: object = None
    spelt: str = ""

    @property
    def tells_usage(self) -> bool:
        """Whether the server tells what the response has used."""
        return bool(self.response.usage or self.usage)


class OutputItemEvent(ServerEvent):
    """What events about one item of a response share."""

    response_id: str = ""
    output_index: int = 0
    item: Item


class OutputItemAdded(OutputItemEvent):
    """The response gained an item."""

    type: str = "response.output_item.added"


class OutputItemDone(OutputItemEvent):
    """An item of the response is whole."""

    type: str = "response.output_item.done"


class ResponsePieceEvent(ServerEvent):
    """What events about a piece of an item share."""

    response_id: str = ""
    item_id: str = ""
    output_index: int = 0


class PartEvent(ResponsePieceEvent):
    """What all events about one content part share."""

    content_index: int = 0


class ContentPartEvent(PartEvent):
    """What events about a part as a whole share."""

    part: ContentPart = Field(default_factory=ContentPart)


class ContentPartAdded(ContentPartEvent):
    """An item gained a part."""

    type: str = "response.content_part.added"


class ContentPartDone(ContentPartEvent):
    """A part is whole."""

    type: str = "response.content_part.done"


class AudioDelta(PartEvent):
    """A piece of sound: base64, padded on its own, perhaps of half samples."""

    type: str = "response.output_audio.delta"
    delta: str


class AudioDone(PartEvent):
    """The part's sound is whole."""

    type: str = "response.output_audio.done"


class TranscriptDelta(PartEvent):
    """A piece of the words spoken."""

    type: str = "response.output_audio_transcript.delta"
    delta: str = ""


class TranscriptDone(PartEvent):
    """All the words spoken."""

    type: str = "response.output_audio_transcript.done"
    transcript: str = ""


class TimingEvent(PartEvent):
    """What events that tell when something of a part's sound is heard share (Azure Voice Live).

    Source: azure-ai-voicelive 1.3.1, models ``ServerEventResponseAudioTimestampDelta`` and those beside it.
    """


class AudioTimestampDelta(TimingEvent):
    """A word is heard, so many milliseconds into the response's sound."""

    type: str = "response.audio_timestamp.delta"
    text: str
    audio_offset_ms: Milliseconds
    audio_duration_ms: Milliseconds = 0.0


class AudioTimestampDone(TimingEvent):
    """All words of the part were timed."""

    type: str = "response.audio_timestamp.done"


class VisemeDelta(TimingEvent):
    """A mouth takes a shape, so many milliseconds into the response's sound."""

    type: str = "response.animation_viseme.delta"
    viseme_id: int
    audio_offset_ms: Milliseconds


class VisemeDone(TimingEvent):
    """All shapes of a mouth were told."""

    type: str = "response.animation_viseme.done"


class TextDelta(PartEvent):
    """A piece of written text."""

    type: str = "response.output_text.delta"
    delta: str = ""


class TextDone(PartEvent):
    """All the text written."""

    type: str = "response.output_text.done"
    text: str = ""


class FunctionArgumentsEvent(ResponsePieceEvent):
    """What all events about a tool call's arguments share."""

    call_id: str = ""


class FunctionArgumentsDelta(FunctionArgumentsEvent):
    """A piece of a tool call's arguments."""

    type: str = "response.function_call_arguments.delta"
    delta: str = ""


class FunctionArgumentsDone(FunctionArgumentsEvent):
    """A tool call is whole."""

    type: str = "response.function_call_arguments.done"
    name: str = ""
    arguments: str = ""


class RateLimitsUpdated(ServerEvent):
    """What is left of the limits."""

    type: str = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...] = ()
