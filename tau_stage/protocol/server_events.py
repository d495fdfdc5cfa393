"""Events a server sends: one class per wire event (OpenAI API reference, "Realtime server events", GA).

What tau-stage never looks into (MCP, WebRTC and telephone events) decodes to ``UnknownEvent``, as does anything new.
A field without a default is needed; ``decode`` takes any other as absent where it is not what it should be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, cast, get_args

from pydantic import ConfigDict, Field, ValidationError, model_validator

from tau_stage.protocol.bodies import RateLimit, ServerError, WireResponse
from tau_stage.protocol.dialects import GA, NEW_NAMES, Dialect, unnoted
from tau_stage.protocol.endings import ENDS, ended
from tau_stage.protocol.frames import WORDS, parsed, reported_error, shown, words_of
from tau_stage.protocol.items import ContentPart, Item, Lenient
from tau_stage.protocol.oddities import Oddity, kind_of, remove


class ServerMessage(Lenient):
    """What all server events share."""

    event_id: str = ""

    def encode(self) -> bytes:
        """Write the event as one text frame: what was set, and every discriminator."""
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)

    def model_post_init(self, _context: object, /) -> None:
        """Count the event's type as set, so that ``encode`` sends it."""
        self.__pydantic_fields_set__.add("type")


class UnknownEvent(ServerMessage):
    """An event this version does not know; kept whole."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str


class UnusableEvent(ServerMessage):
    """An event that lacks what it is for.

    Attributes:
        type: Empty where the frame is no event at all.
        problem: What it lacks, as a sentence.
        response_id: The response it is about, where it says so.
        item_id: The item it is about, where it says so.
        breaks_response: Whether a response cannot be whole without it.
        words: What it says, safe to show; empty where it says nothing.
    """

    type: str
    problem: str
    words: str = ""
    response_id: str = ""
    item_id: str = ""
    breaks_response: bool = False


class ErrorEvent(ServerMessage):
    """A request was refused, or the connection is about to close."""

    type: Literal["error"] = "error"
    error: ServerError = Field(default_factory=ServerError)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, event: Any) -> Any:
        """Take what stands beside an error, or in its place, as a part of it."""
        if not isinstance(event, dict) or isinstance(event.get("error"), ServerError):
            return event
        inner = event.get("error")
        body = inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str | list) else {}
        beside = {key: event[key] for key in ("code", "param") if isinstance(event.get(key), str | int)}
        beside |= {key: event[key] for key in ("message", *WORDS) if event.get(key) and key != "error"}
        return event | {"error": beside | {key: value for key, value in body.items() if value is not None}}


class SessionCreated(ServerMessage):
    """The first event of a connection: the session as the server made it."""

    type: Literal["session.created"] = "session.created"
    session: dict[str, Any] = Field(default_factory=dict)


class SessionUpdated(ServerMessage):
    """The effective session after an update."""

    type: Literal["session.updated"] = "session.updated"
    session: dict[str, Any] = Field(default_factory=dict)


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
    item_id: str = ""
    content_index: int = 0
    audio_end_ms: int | None = None


class ConversationItemDeleted(ServerMessage):
    """An item left the conversation."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str = ""


class InputAudioBufferCommitted(ServerMessage):
    """The input buffer became an item."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    previous_item_id: str | None = None
    item_id: str = ""


class InputAudioBufferCleared(ServerMessage):
    """The input buffer is empty."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class SpeechStarted(ServerMessage):
    """Turn detection heard speech begin, ``audio_start_ms`` into the input."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    item_id: str = ""
    audio_start_ms: int = 0


class SpeechStopped(ServerMessage):
    """Turn detection heard speech end, ``audio_end_ms`` into the input."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    item_id: str = ""
    audio_end_ms: int = 0


class TimeoutTriggered(ServerMessage):
    """Nobody spoke for as long as ``idle_timeout_ms``; the model is asked to say something."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    item_id: str = ""
    audio_start_ms: int = 0
    audio_end_ms: int = 0


class TranscriptionDelta(ServerMessage):
    """A piece of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = (
        "conversation.item.input_audio_transcription.delta"
    )
    item_id: str = ""
    content_index: int = 0
    delta: str = ""


class TranscriptionCompleted(ServerMessage):
    """All of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str = ""
    content_index: int = 0
    transcript: str = ""
    status: str | None = None
    usage: Any = None


class TranscriptionFailed(ServerMessage):
    """What the user said could not be made out."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str = ""
    content_index: int = 0
    error: ServerError = Field(default_factory=ServerError)


class ResponseCreated(ServerMessage):
    """The model begins."""

    type: Literal["response.created"] = "response.created"
    response: WireResponse = Field(default_factory=WireResponse)


class ResponseDone(ServerMessage):
    """The model has ended, well or not.

    Attributes:
        usage: Where a server tells the usage beside the response (xAI).
        spelt: What the server calls this event, where it calls it otherwise.
    """

    type: Literal["response.done"] = "response.done"
    response: WireResponse = Field(default_factory=WireResponse)
    response_id: str = ""
    usage: Any = None
    spelt: str = ""

    @property
    def tells_usage(self) -> bool:
        """Whether the server tells what the response has used."""
        return bool(self.response.usage or self.usage)


class OutputItemAdded(ServerMessage):
    """The response gained an item."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    response_id: str = ""
    output_index: int = 0
    item: Item


class OutputItemDone(ServerMessage):
    """An item of the response is whole."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    response_id: str = ""
    output_index: int = 0
    item: Item


class PartMessage(ServerMessage):
    """What all events about one content part share."""

    response_id: str = ""
    item_id: str = ""
    output_index: int = 0
    content_index: int = 0


class ContentPartAdded(PartMessage):
    """An item gained a part."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: ContentPart = Field(default_factory=ContentPart)


class ContentPartDone(PartMessage):
    """A part is whole."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: ContentPart = Field(default_factory=ContentPart)


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
    delta: str = ""


class TranscriptDone(PartMessage):
    """All the words spoken."""

    type: Literal["response.output_audio_transcript.done"] = "response.output_audio_transcript.done"
    transcript: str = ""


class TextDelta(PartMessage):
    """A piece of written text."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str = ""


class TextDone(PartMessage):
    """All the text written."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str = ""


class FunctionArguments(ServerMessage):
    """What all events about a tool call's arguments share."""

    response_id: str = ""
    item_id: str = ""
    output_index: int = 0
    call_id: str = ""


class FunctionArgumentsDelta(FunctionArguments):
    """A piece of a tool call's arguments."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    delta: str = ""


class FunctionArgumentsDone(FunctionArguments):
    """A tool call is whole."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    name: str = ""
    arguments: str = ""


PartEvent = (
    AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | TextDelta
    | TextDone
    | ContentPartAdded
    | ContentPartDone
)
"""Whatever tells of one content part."""

FunctionArgumentsEvent = FunctionArgumentsDelta | FunctionArgumentsDone
"""Whatever tells of a tool call's arguments."""


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
ServerEvent = KnownEvent | UnknownEvent | UnusableEvent

_TYPES: dict[str, type[ServerMessage]] = {kind.model_fields["type"].default: kind for kind in get_args(KnownEvent)}


def _letters(name: object) -> str:
    """Return a type by its letters alone: servers write them in other cases, and with other signs between words."""
    return re.sub(r"[^a-z]", "", name.casefold()) if isinstance(name, str) else ""


_SPELLINGS = {_letters(name): name for name in (*_TYPES, *NEW_NAMES, *ENDS)}
_FAILURE = re.compile(r"(^|[._-])(error|failed|failure|exception)$", re.IGNORECASE)


def decode(frame: bytes | str, dialect: Dialect = GA, note: Callable[[str], None] = unnoted) -> ServerEvent:
    """Read one text frame of a server, and take what comes.

    Only what has no default in an event's class must be whole. Anything else that is not what it should be is taken
    as absent and noted.

    Args:
        frame: One text frame.
        dialect: How the server spells events.
        note: Called once for each field that is taken as absent, with a sentence.

    Returns:
        The event; an ``UnknownEvent`` where its type is unknown, an ``UnusableEvent`` where it lacks what it is for,
        or where the frame is no event at all.

    >>> decode(b'{"type":"input_audio_buffer.cleared","event_id":"event_1","obfuscation":"x"}')
    InputAudioBufferCleared(event_id='event_1', type='input_audio_buffer.cleared')
    >>> decode('{"type":"something.new","event_id":"event_2"}').type
    'something.new'
    >>> decode('{"type":"response.done","response":{"id":"r","status_details":"unimplemented"}}', note=print).type
    response.done: response.status_details is a text; taken as absent
    'response.done'
    """
    try:
        event = parsed(frame)
    except ValueError:
        return _no_json(frame, note)
    if isinstance(event, dict) and not event.get("type") and _letters(event.get("event")) in _SPELLINGS:
        event = event | {"type": event["event"]}
    if isinstance(event, dict) and isinstance(event.get("type"), str) and event["type"]:
        event = dialect.read(_named(event, note), note)
    elif error := reported_error(event):
        note(f"an error came as {kind_of(event)} without a type; taken as one")
        event = error
    else:
        holds_data = isinstance(event, dict) and "delta" in event
        return UnusableEvent(
            type="", problem="a frame is not an event with a type", words=shown(event), breaks_response=holds_data
        )
    kind = _TYPES.get(event["type"])
    if kind is None:
        return UnknownEvent.model_validate({**event, "event_id": str(event.get("event_id", ""))})
    if kind is ResponseDone:
        event = ended(event, event.get("spelt", ""))
    elif kind is AudioDelta and event.get("delta") is None:
        others = (name for name in ("audio", "data") if isinstance(event.get(name), str))
        name = next(others, "")
        taken = f"{name} is taken as it" if name else "taken as no sound"
        note(f"{event['type']}: delta {'is null' if 'delta' in event else 'is missing'}; {taken}")
        event = event | {"delta": event.get(name, "")}
    try:
        return cast("KnownEvent", kind.model_validate(event))
    except ValidationError as error:
        return _repaired(kind, event, error, note)


def _no_json(frame: bytes | str, note: Callable[[str], None]) -> ServerEvent:
    """Return a frame that is no JSON: an error, where its words say so."""
    words = words_of(frame)
    if frame.lstrip()[:1] in (b"{", "{"):
        return UnusableEvent(type="", problem="a frame is not JSON", words=shown(words), breaks_response=True)
    if error := reported_error(words):
        note("an error came as a text; taken as one")
        return ErrorEvent.model_validate(error)
    problem = "a frame is not JSON" if words else "a frame of bytes that are no text"
    return UnusableEvent(type="", problem=problem, words=shown(words))


def _named(event: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    """Return an event under the name that the protocol has for it, where it has one."""
    told = event["type"]
    if told not in _TYPES and told not in NEW_NAMES:
        known = _SPELLINGS.get(_letters(told), told)
        if known in ENDS:
            note(f"{shown(told)} is read as response.done")
            return event | {"type": "response.done", "spelt": known}
        if known != told:
            note(f"{shown(told)} is read as {known}")
            return event | {"type": known}
        has_words = any(event.get(key) for key in ("message", *WORDS))
        if event.get("error") or (has_words and _FAILURE.search(told)):
            note(f"{shown(told)} is read as error")
            return {"code": told} | event | {"type": "error"}
    return event


def _repaired(
    kind: type[ServerMessage], event: dict[str, Any], error: ValidationError, note: Callable[[str], None]
) -> ServerEvent:
    """Take out of an event what is not as it should be, until it is whole without it."""
    first: Oddity | None = None
    while True:
        odd = [Oddity.of(event, found["loc"], is_missing=found["type"] == "missing") for found in error.errors()]
        first = first or odd[0]
        if not all(oddity.path for oddity in odd):
            return _unusable(event, first)
        for oddity in odd:
            note(f"{event['type']}: {oddity}; taken as absent")
        remove(event, [oddity.path for oddity in odd])
        try:
            return cast("KnownEvent", kind.model_validate(event))
        except ValidationError as further:
            error = further


def _unusable(event: dict[str, Any], oddity: Oddity) -> UnusableEvent:
    response_id, item_id = event.get("response_id"), event.get("item_id")
    return UnusableEvent(
        type=event["type"],
        event_id=str(event.get("event_id", "")),
        problem=str(oddity),
        response_id=response_id if isinstance(response_id, str) else "",
        item_id=item_id if isinstance(item_id, str) else "",
        breaks_response=event["type"] == AudioDelta.model_fields["type"].default,
    )
