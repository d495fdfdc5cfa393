"""One connection's conversation, from the server's side: client events in, server events out. It never awaits.

A frame is a valid client event, or the whole of it is refused with an error in the words of the API. The dialogue opens
the session, keeps the items, and decides which response may begin; ``response.py`` says how one goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from tau_stage.audio import Decoder, Pcm
from tau_stage.cost import text_tokens
from tau_stage.protocol import (
    CLIENT_EVENTS,
    MAX_ID,
    VERBATIM,
    ClientEvent,
    ClientItem,
    ContentPart,
    ConversationItemCreate,
    InputBuffer,
    InputText,
    Item,
    ItemReference,
    JsonObject,
    ResponseConfig,
    ServerError,
    SystemMessage,
    client_events,
    json_path,
    server_events,
)
from tau_stage.understudy.billing import Read, transcription_usage
from tau_stage.understudy.listening import TimedOut, TurnDetector, TurnEnded, TurnStarted
from tau_stage.understudy.settings import (
    CURRENT,
    Profile,
    ResponseRun,
    Settings,
    forbidden_null,
    format_of,
    merge_settings,
    update_session,
    voice_name,
)
from tau_stage.understudy.sound_store import BlobRef, KnownSpeech
from tau_stage.understudy.stored_items import InvalidAudio, ItemStore, StoredItem, decode_base64, read_item

EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "tuple_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
"""What was wanted, by pydantic's kind of error, in the words of the API."""

GOT = {str: "a string", int: "an integer", float: "a decimal", bool: "a boolean", list: "an array", dict: "an object"}


def parse(frame: bytes) -> ClientEvent | ServerError:
    """Parse a client's frame as an event, or return what the API would answer.

    >>> parse(b'{"type": "input_audio_buffer.clear", "event_id": "evt_1"}').type
    'input_audio_buffer.clear'
    >>> error = parse(b'{"type": "response.create", "event_id": "evt_2", "response": {"temperature": 1}}')
    >>> error.code, error.param, error.event_id
    ('unknown_parameter', 'response.temperature', 'evt_2')
    """
    try:
        event = CLIENT_EVENTS.validate_json(frame, strict=True)
    except ValidationError as error:
        found = _worst(error)
    else:
        return _too_long(event) or event
    if found["type"] == "json_invalid":
        return ServerError(code="invalid_json", message="We could not parse the JSON body of your event.")
    told = from_json(frame)
    if not isinstance(told, dict):
        return ServerError(code="invalid_event", message="An event must be a JSON object.")
    event_id = told.get("event_id")
    known_id = event_id if isinstance(event_id, str) else None
    return _answer(found, told).model_copy(update={"event_id": known_id})


def _too_long(event: ClientEvent) -> ServerError | None:
    """Refuse an item whose ids are longer than the API takes."""
    item = event.item if isinstance(event, ConversationItemCreate) else None
    for name in ("id", "call_id"):
        if len(getattr(item, name, None) or "") > MAX_ID:
            message = f"Invalid 'item.{name}': string too long. Expected a string with maximum length {MAX_ID}."
            code = "string_above_max_length"
            return ServerError(code=code, message=message, param=f"item.{name}", event_id=event.event_id)
    return None


def _worst(error: ValidationError) -> ErrorDetails:
    """Choose the error that tells most: a missing field, else a wrong value, else a field that should not be there."""
    rank = {"missing": 0, "extra_forbidden": 2}
    return min(error.errors(include_url=False, include_context=True), key=lambda found: rank.get(found["type"], 1))


def _answer(error: ErrorDetails, told: JsonObject) -> ServerError:
    param = _param(error, told)
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        param = f"{param}.{context['discriminator']}".replace("'", "").lstrip(".")
    code, message = "invalid_value", f"Invalid value for '{param}': {error['msg']}."
    if kind == "union_tag_invalid":
        message = f"Invalid value: '{context['tag']}'. Supported values are: {context['expected_tags']}."
    elif kind in {"missing", "union_tag_not_found"}:
        code, message = "missing_required_parameter", f"Missing required parameter: '{param}'."
    elif kind == "extra_forbidden":
        code, message = "unknown_parameter", f"Unknown parameter: '{param}'."
    elif kind in EXPECTED:
        got = GOT.get(type(error["input"]), "null")
        code, message = "invalid_type", f"Invalid type for '{param}': expected {EXPECTED[kind]}, but got {got} instead."
    return ServerError(code=code, message=message, param=param)


def _param(error: ErrorDetails, told: Any) -> str:
    """Write the field's path as the API does; the names of union members in pydantic's path are not part of it."""
    path, _ = json_path(told, error["loc"])
    steps = (*path, error["loc"][-1]) if error["type"] == "missing" else path
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


SHORTEST_COMMIT_MS = 100
NOBODY_SPOKE = SystemMessage(
    content=(
        InputText(
            text="Nobody has spoken for a while. Listen to what was recorded: if the user was speaking, answer. "
            "If not, come back to what the user said last, or ask whether somebody is there."
        ),
    )
)
"""What the model is told when the idle time is over."""

LONGEST_APPEND = 15 * 1024 * 1024  # of one append, in characters of base64


class EventRefused(Exception):
    """The event is answered with an error."""

    def __init__(self, code: str, message: str, param: str | None = None, *, names_event: bool = True) -> None:
        super().__init__(message)
        self.names_event = names_event
        self.error = ServerError(code=code, message=message, param=param)


def error_event(error: ServerError) -> server_events.ErrorEvent:
    """Make an error an event, with every field there."""
    return server_events.ErrorEvent(error=ServerError(**error.model_dump()))


@dataclass(frozen=True, slots=True)
class Reply:
    """What an event led to: what to send, and perhaps a response to perform or to stop."""

    events: tuple[server_events.ServerEvent, ...] = ()
    begin: ResponseRun | None = None
    cancel: ResponseRun | None = None
    why: str = "client_cancelled"


@dataclass(slots=True)
class Dialogue:
    """The state of one session.

    Attributes:
        number: Which connection of the server this is; makes its ids.
        session: The effective session.
        items: By id, in the order of the conversation.
        read_before: What the last response of the conversation read; its unchanged beginning is cached.
        responses: How many have ended.
        has_spoken: Whether sound was made: from then on the voice is fixed.
        is_deployment: Whether a deployment was dialled: which model it has is its own business.
        input: What was appended and is no item yet.
        turn_detector: Turn detection, while it is on and something was heard.
    """

    number: int
    session: Settings
    profile: Profile = CURRENT
    items: dict[str, StoredItem] = field(default_factory=dict)
    running: dict[str, ResponseRun] = field(default_factory=dict)
    read_before: tuple[Read, ...] = ()
    responses: int = 0
    has_spoken: bool = False
    known_speech: KnownSpeech = field(default_factory=KnownSpeech)
    store: ItemStore = field(default_factory=ItemStore)
    is_deployment: bool = False
    input: InputBuffer = field(default_factory=InputBuffer)
    turn_detector: TurnDetector | None = None
    _decoder: Decoder | None = None
    _speech: str = ""
    _count: int = 0

    def fresh(self, kind: str) -> str:
        """Make a new id: unique on this server, and the same in every run."""
        self._count += 1
        return f"{kind}_{self.number:04d}{self._count:08d}"

    def take(self, frame: bytes) -> Reply:
        """Answer one frame; whatever is wrong with it, the session goes on."""
        event = parse(frame)
        if isinstance(event, ServerError):
            return Reply((error_event(event),))
        try:
            return ANSWERS[event.type](self, event)
        except EventRefused as refused:
            error = refused.error.model_copy(update={"event_id": event.event_id if refused.names_event else None})
        except InvalidAudio as bad:
            message = f"Invalid '{bad}'. Expected base64-encoded audio bytes, but got invalid data."
            error = ServerError(code="invalid_value", message=message, param=str(bad), event_id=event.event_id)
        return Reply((error_event(error),))

    def _retrieve(self, event: client_events.ConversationItemRetrieve) -> Reply:
        kept = self._known(event.item_id, "retrieve")
        form = format_of(self.session, "output" if kept.kind == "assistant" else "input")
        return Reply((server_events.ConversationItemRetrieved(item=kept.with_sound(form)),))

    def _delete(self, event: client_events.ConversationItemDelete) -> Reply:
        self._known(event.item_id, "delete")
        del self.items[event.item_id]
        return Reply((server_events.ConversationItemDeleted(item_id=event.item_id),))

    def _clear(self, _event: client_events.InputAudioBufferClear) -> Reply:
        self.input.clear()
        return Reply((server_events.InputAudioBufferCleared(),))

    def _known(self, item_id: str, verb: str) -> StoredItem:
        if item_id not in self.items:
            message = f"Error {verb[:-1]}ing item: the item with id '{item_id}' does not exist."
            raise EventRefused(f"item_{verb}_invalid_item_id", message, "item_id")
        return self.items[item_id]

    def _update(self, event: client_events.SessionUpdate) -> Reply:
        if null := forbidden_null(event.session.model_dump(exclude_unset=True)):
            message = f"Invalid type for '{null}': expected a value, but got null instead."
            raise EventRefused("invalid_type", message, null)
        wanted = update_session(self.session, event.session, self.profile)
        if self.is_deployment:
            wanted["model"] = self.session["model"]
        if wanted["model"] != self.session["model"]:
            raise EventRefused("invalid_value", "The session's model cannot be changed.", "session.model")
        if self.has_spoken and wanted["audio"]["output"]["voice"] != self.session["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise EventRefused("cannot_update_voice", message, "session.audio.output.voice")
        if wanted["audio"]["input"]["format"] != self.session["audio"]["input"]["format"]:
            self._decoder = None
        self.session = wanted
        return Reply((server_events.SessionUpdated(session=self.session),))

    def _create(self, event: client_events.ConversationItemCreate) -> Reply:
        item_id = event.item.id or self.fresh("item")
        if item_id in self.items:
            raise EventRefused("invalid_value", f"An item with id '{item_id}' already exists.", "item.id")
        item, audio = read_item(item_id, event.item, format_of(self.session, "input"))
        return Reply((*self.place(item, audio, event.previous_item_id), self.item_done(item)))

    def place(
        self, item: Item, audio: Pcm | None = None, previous: str | None = None
    ) -> list[server_events.ServerEvent]:
        """Put an item into the conversation, and tell of it; refuse it where the item before it is not there."""
        last = next(reversed(self.items), None)
        if previous in {None, "", last}:
            self.keep(item, audio)
        elif previous == "root" or previous in self.items:
            before = list(self.items.items())
            at = 0 if previous == "root" else list(self.items).index(str(previous)) + 1
            self.items = dict(before[:at])
            self.keep(item, audio)
            self.items |= dict(before[at:])
        else:
            message = f"Error creating item: the previous item with id '{previous}' does not exist."
            raise EventRefused("item_not_found", message, "previous_item_id")
        return [server_events.ConversationItemAdded(previous_item_id=self.before(item.id), item=item)]

    def keep(self, item: Item, audio: Pcm | BlobRef | None = None) -> None:
        """Keep an item, in its old place if it is known."""
        kept = self.store.keep(StoredItem.of(item, audio))
        self.items[kept.id] = kept

    def item_done(self, item: Item) -> server_events.ServerEvent:
        """Tell that an item of the client's is whole."""
        return server_events.ConversationItemDone(previous_item_id=self.before(item.id), item=item)

    def finished(self, item: Item, audio: Pcm | BlobRef | None = None) -> Iterator[server_events.ServerEvent]:
        """Keep an item of the model's, and tell that it is whole, unless it has been deleted meanwhile.

        OpenAI leaves out the item before it where that is the first.
        """
        if item.id in self.items:
            self.keep(item, audio)
            before = self.before(item.id)
            previous = before if before and self.before(before) else None
            yield server_events.ConversationItemDone(previous_item_id=previous, item=item)

    def before(self, item_id: str) -> str | None:
        """Find the id of the item before another."""
        backwards = iter(reversed(self.items))
        if any(key == item_id for key in backwards):
            return next(backwards, None)
        return None

    def _truncate(self, event: client_events.ConversationItemTruncate) -> Reply:
        kept = self._known(event.item_id, "truncate")
        if kept.audio is None or kept.kind != "assistant":
            message = "Only model output audio messages can be truncated."
            raise EventRefused("unsupported_content_type", message, "item_id")
        if event.content_index >= len(kept.item.content or ()):
            message = f"The item has no content at index {event.content_index}."
            raise EventRefused("invalid_value", message, "content_index")
        length_ms = len(kept.audio) * 1000 // kept.audio.rate
        if event.audio_end_ms > length_ms:
            message = f"Audio content of {length_ms}ms is already shorter than {event.audio_end_ms}ms"
            raise EventRefused("invalid_value", message, names_event=False)
        self.items[kept.id] = kept.truncated(event.audio_end_ms * kept.audio.rate // 1000)
        told = event.model_dump(include={"item_id", "content_index", "audio_end_ms"})
        return Reply((server_events.ConversationItemTruncated(**told),))

    def _append(self, event: client_events.InputAudioBufferAppend) -> Reply:
        base64 = event.audio
        if len(base64) > LONGEST_APPEND:
            message = f"Invalid 'audio': string too long. Expected a string with maximum length {LONGEST_APPEND}."
            raise EventRefused("string_above_max_length", message, "audio")
        if self._decoder is None:
            self._decoder = format_of(self.session, "input").decoder()
        audio = self._decoder.feed(decode_base64(base64, "audio"))
        self.input.append(audio)
        detection = self.session["audio"]["input"]["turn_detection"]
        if not detection:
            self.turn_detector = None
            return Reply()
        if self.turn_detector is None or self.turn_detector.settings != detection:
            heard_ms = self.turn_detector.heard_ms if self.turn_detector else 0
            self.turn_detector = TurnDetector(detection, heard_ms=heard_ms)
        reply = Reply(why="turn_detected")
        for news in self.turn_detector.feed(audio):
            reply = self._turn(news, detection, reply)
        self.input.forget_silence()
        return reply

    def _turn(self, news: TurnStarted | TurnEnded | TimedOut, detection: Settings, so_far: Reply) -> Reply:
        """Add what turn detection makes of the input to a reply."""
        events = list(so_far.events)
        transcribed: list[server_events.ServerEvent] = []
        match news:
            case TurnStarted(at_ms):
                self._speech = self.fresh("item")
                self.input.started(self._speech, at_ms)
                started = server_events.SpeechStarted(item_id=self._speech, audio_start_ms=at_ms)
                cancel = self.active if detection["interrupt_response"] else so_far.cancel
                return replace(so_far, events=(*events, started), cancel=cancel)
            case TurnEnded(_, at_ms):
                self.input.stopped(self._speech, at_ms)
                events.append(server_events.SpeechStopped(item_id=self._speech, audio_end_ms=at_ms))
                events += self._committed(self._speech)
                transcribed = self._transcribed(self._speech)
            case TimedOut(from_ms, at_ms):
                item_id = self.fresh("item")
                self.input.started(item_id, from_ms)
                self.input.stopped(item_id, at_ms)
                span = {"audio_start_ms": from_ms, "audio_end_ms": at_ms}
                events.append(server_events.TimeoutTriggered(item_id=item_id, **span))
                reminder, _ = read_item(self.fresh("item"), NOBODY_SPOKE)
                events += [*self.place(reminder), self.item_done(reminder), *self._committed(item_id)]
                transcribed = self._transcribed(item_id, is_silent=True)
        begun = Reply(begin=so_far.begin)
        if detection["create_response"] and not self.active:
            begun = self._begin(ResponseConfig(), detected=True)
        return replace(so_far, events=(*events, *begun.events, *transcribed), begin=begun.begin)

    @property
    def active(self) -> ResponseRun | None:
        """The response of the conversation that is under way, if one is."""
        return next((run for run in self.running.values() if run.conversational and not run.stopped), None)

    def _commit(self, _event: client_events.InputAudioBufferCommit) -> Reply:
        length_ms = self.input.duration_s * 1000
        if length_ms < SHORTEST_COMMIT_MS:
            message = (
                f"Error committing input audio buffer: buffer too small. Expected at least {SHORTEST_COMMIT_MS}ms of "
                f"audio, but buffer only has {length_ms:.2f}ms of audio."
            )
            raise EventRefused("input_audio_buffer_commit_empty", message)
        item_id = self.fresh("item")
        return Reply((*self._committed(item_id), *self._transcribed(item_id)))

    def _committed(self, item_id: str) -> list[server_events.ServerEvent]:
        """Make the input buffer an item."""
        audio = self.input.committed(item_id) or Pcm()
        part = ContentPart(type="input_audio", transcript=None)
        item = Item(id=item_id, type="message", status="completed", role="user", content=(part,))
        added = self.place(item, audio)
        committed = server_events.InputAudioBufferCommitted(previous_item_id=self.before(item_id), item_id=item_id)
        return [committed, *added, self.item_done(item)]

    def _transcribed(self, item_id: str, *, is_silent: bool = False) -> list[server_events.ServerEvent]:
        """Send the words of an item that was heard, if they are wanted."""
        wanted = self.session["audio"]["input"]["transcription"]
        if not wanted:
            return []
        audio = self.items[item_id].sound or Pcm()
        words = "" if is_silent else self.known_speech.words(audio)
        pieces = re.findall(r"\s*\S+", words)
        spent = transcription_usage(audio, words, wanted.get("model") or "")
        return [
            *(server_events.TranscriptionDelta(item_id=item_id, content_index=0, delta=piece) for piece in pieces),
            server_events.TranscriptionCompleted(item_id=item_id, content_index=0, transcript=words, usage=spent),
        ]

    def _respond(self, event: client_events.ResponseCreate) -> Reply:
        return self._begin(event.response or ResponseConfig())

    def _begin(self, wanted: ResponseConfig, *, detected: bool = False) -> Reply:
        """Begin a response; one that a detected turn asks for waits for the end of the one it interrupted."""
        self._check_spoken(wanted)
        conversational = wanted.conversation != "none"
        active = next((run for run in self.running.values() if run.conversational), None)
        if conversational and active and not detected:
            message = (
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise EventRefused("conversation_already_has_active_response", message)
        own = wanted.model_dump(
            mode="json", exclude_unset=True, exclude_none=True, exclude={"input", "metadata", "conversation", VERBATIM}
        )
        run = ResponseRun(
            id=self.fresh("resp"),
            item_id=self.fresh("item"),
            wanted=wanted,
            settings=merge_settings(self.session, own),
            conversational=conversational,
            read=tuple(self.items.values() if wanted.input is None else self._input(wanted.input)),
        )
        if self.has_spoken and not run.verbatim and run.voice != voice_name(self.session["audio"]["output"]["voice"]):
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise EventRefused("cannot_update_voice", message, "response.audio.output.voice")
        self.running[run.id] = run
        created = server_events.ResponseCreated(response=run.as_event("in_progress"))
        return Reply((created,), begin=run)

    def _check_spoken(self, wanted: ResponseConfig) -> None:
        """Refuse a text to be spoken as it stands where this model speaks none, and one that is empty."""
        said, param = wanted.pre_generated_assistant_message, f"response.{VERBATIM}"
        if said and not self.profile.verbatim:
            raise EventRefused("unknown_parameter", f"Unknown parameter: '{param}'.", param)
        if said and not any(part.text.strip() for part in said.content):
            raise EventRefused("invalid_value", f"Invalid '{param}': it has no text to speak.", param)

    def _input(self, wanted: Iterable[ClientItem | ItemReference]) -> Iterable[StoredItem]:
        for number, item in enumerate(wanted):
            if isinstance(item, ItemReference):
                if item.id not in self.items:
                    message = f"Item with id '{item.id}' not found."
                    raise EventRefused("item_not_found", message, f"response.input[{number}].id")
                yield self.items[item.id]
            else:
                place = f"response.input[{number}]"
                yield StoredItem.of(*read_item(self.fresh("item"), item, format_of(self.session, "input"), place))

    def context(self, run: ResponseRun) -> tuple[Read, ...]:
        """List what a response reads: instructions and tools, then the items; nothing, where it speaks a text."""
        if run.verbatim:
            return ()
        instructions, tools = run.settings["instructions"], str(run.settings["tools"] or "")
        first = Read(f"instructions/{instructions}{tools}", text=text_tokens(instructions) + text_tokens(tools))
        return (first, *(kept.cost for kept in run.read))

    def _cancel(self, event: client_events.ResponseCancel) -> Reply:
        run = self.running.get(event.response_id) if event.response_id else self.active
        if run is None:
            raise EventRefused("response_cancel_not_active", "Cancellation failed: no active response found.")
        return Reply(cancel=run)


ANSWERS: dict[str, Callable[[Dialogue, Any], Reply]] = {
    "session.update": Dialogue._update,
    "conversation.item.create": Dialogue._create,
    "conversation.item.retrieve": Dialogue._retrieve,
    "conversation.item.delete": Dialogue._delete,
    "conversation.item.truncate": Dialogue._truncate,
    "input_audio_buffer.append": Dialogue._append,
    "input_audio_buffer.clear": Dialogue._clear,
    "input_audio_buffer.commit": Dialogue._commit,
    "response.create": Dialogue._respond,
    "response.cancel": Dialogue._cancel,
}
"""How each event of a client is answered."""
