"""One connection's conversation, from the server's side: client events in, server events out. It never awaits.

It opens the session, keeps the items, and decides which response may begin; ``response.py`` says how one goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tau_stage.audio.formats import Decoder
from tau_stage.audio.pcm import Pcm
from tau_stage.protocol import bodies
from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told
from tau_stage.protocol.config import CustomVoice, ItemReference, ResponseConfig
from tau_stage.protocol.input import InputBuffer
from tau_stage.protocol.items import ClientItem, ContentPart, InputText, Item, SystemMessage
from tau_stage.understudy.billing import Read, text_tokens, transcription_usage
from tau_stage.understudy.library import Library
from tau_stage.understudy.memory import BadAudio, Remembered, raw, remember
from tau_stage.understudy.profiles import CURRENT, Profile
from tau_stage.understudy.run import Run
from tau_stage.understudy.settings import Settings, forbidden_null, format_of, updated, voice_name
from tau_stage.understudy.shelf import Shelf
from tau_stage.understudy.strict import parse
from tau_stage.understudy.vad import Ears, Started, Stopped, TimedOut

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

LONGEST_APPEND = 15 * 1024 * 1024
"""Of one append, in characters of base64."""


class Refused(Exception):
    """The event is answered with an error."""

    def __init__(self, code: str, message: str, param: str | None = None, *, names_event: bool = True) -> None:
        super().__init__(message)
        self.names_event = names_event
        self.error = bodies.ServerError(code=code, message=message, param=param)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an event led to: what to send, and perhaps a response to perform or to stop."""

    events: tuple[told.ServerMessage, ...] = ()
    begin: Run | None = None
    cancel: Run | None = None
    why: str = "client_cancelled"


@dataclass(slots=True)
class Dialogue:
    """The state of one session.

    Attributes:
        number: Which connection of the server this is; makes its ids.
        session: The effective session.
        profile: The model it behaves as.
        items: By id, in the order of the conversation.
        running: Responses under way, by id.
        read_before: What the last response of the conversation read; its unchanged beginning is cached.
        responses: How many have ended.
        has_spoken: Whether sound was made: from then on the voice is fixed.
        library: What was said lately in this house, for transcripts.
        shelf: Keeps the sounds of this house.
        is_deployment: Whether a deployment was dialled: which model it has is its own business.
        input: What was appended and is no item yet.
        ears: Turn detection, while it is on and something was heard.
    """

    number: int
    session: Settings
    profile: Profile = CURRENT
    items: dict[str, Remembered] = field(default_factory=dict)
    running: dict[str, Run] = field(default_factory=dict)
    read_before: tuple[Read, ...] = ()
    responses: int = 0
    has_spoken: bool = False
    library: Library = field(default_factory=Library)
    shelf: Shelf = field(default_factory=Shelf)
    is_deployment: bool = False
    input: InputBuffer = field(default_factory=InputBuffer)
    ears: Ears | None = None
    _decoder: Decoder | None = None
    _speech: str = ""
    _count: int = 0

    def fresh(self, kind: str) -> str:
        """A new id: unique on this server, and the same in every run."""
        self._count += 1
        return f"{kind}_{self.number:04d}{self._count:08d}"

    def opening(self) -> told.ServerMessage:
        """The first event of a connection."""
        return told.SessionCreated(event_id=self.fresh("event"), session=self.session)

    def take(self, frame: bytes) -> Reply:
        """Answer one frame; whatever is wrong with it, the session goes on."""
        event = parse(frame)
        if isinstance(event, bodies.ServerError):
            return Reply((self.error(event),))
        try:
            return self._answer(event)
        except Refused as refused:
            event_id = event.event_id if refused.names_event else None
            return Reply((self.error(refused.error.model_copy(update={"event_id": event_id})),))
        except BadAudio as bad:
            message = f"Invalid '{bad}'. Expected base64-encoded audio bytes, but got invalid data."
            error = bodies.ServerError(code="invalid_value", message=message, param=str(bad), event_id=event.event_id)
            return Reply((self.error(error),))

    def error(self, error: bodies.ServerError) -> told.ErrorEvent:
        """An error as an event, with every field there."""
        return told.ErrorEvent(
            event_id=self.fresh("event"),
            error=bodies.ServerError(
                type=error.type, code=error.code, message=error.message, param=error.param, event_id=error.event_id
            ),
        )

    def _answer(self, event: ask.ClientEvent) -> Reply:
        match event:
            case ask.SessionUpdate():
                return self._update(event)
            case ask.ConversationItemCreate():
                return self._create(event)
            case ask.ConversationItemRetrieve():
                kept = self._known(event.item_id, "retrieve")
                form = format_of(self.session, "output" if kept.item.role == "assistant" else "input")
                return self._say(
                    told.ConversationItemRetrieved(event_id=self.fresh("event"), item=kept.with_sound(form))
                )
            case ask.ConversationItemDelete():
                self._known(event.item_id, "delete")
                del self.items[event.item_id]
                return self._say(told.ConversationItemDeleted(event_id=self.fresh("event"), item_id=event.item_id))
            case ask.ConversationItemTruncate():
                return self._truncate(event)
            case ask.InputAudioBufferAppend():
                return self._append(event.audio)
            case ask.InputAudioBufferClear():
                self.input.clear()
                return self._say(told.InputAudioBufferCleared(event_id=self.fresh("event")))
            case ask.InputAudioBufferCommit():
                return self._commit()
            case ask.ResponseCreate():
                return self._begin(event.response or ResponseConfig())
            case ask.ResponseCancel():
                return self._cancel(event.response_id)

    def _say(self, *events: told.ServerMessage) -> Reply:
        return Reply(events)

    def _known(self, item_id: str, verb: str) -> Remembered:
        if item_id not in self.items:
            message = f"Error {verb[:-1]}ing item: the item with id '{item_id}' does not exist."
            raise Refused(f"item_{verb}_invalid_item_id", message, "item_id")
        return self.items[item_id]

    def _update(self, event: ask.SessionUpdate) -> Reply:
        if null := forbidden_null(event.session.model_dump(exclude_unset=True)):
            raise Refused("invalid_type", f"Invalid type for '{null}': expected a value, but got null instead.", null)
        wanted = updated(self.session, event.session, self.profile)
        if self.is_deployment:
            wanted["model"] = self.session["model"]
        if wanted["model"] != self.session["model"]:
            raise Refused("invalid_value", "The session's model cannot be changed.", "session.model")
        if self.has_spoken and wanted["audio"]["output"]["voice"] != self.session["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, "session.audio.output.voice")
        if wanted["audio"]["input"]["format"] != self.session["audio"]["input"]["format"]:
            self._decoder = None
        self.session = wanted
        return self._say(told.SessionUpdated(event_id=self.fresh("event"), session=self.session))

    def _create(self, event: ask.ConversationItemCreate) -> Reply:
        item_id = event.item.id or self.fresh("item")
        if item_id in self.items:
            raise Refused("invalid_value", f"An item with id '{item_id}' already exists.", "item.id")
        kept = remember(item_id, event.item, format_of(self.session, "input"))
        return self._say(*self.place(kept, event.previous_item_id), self.item_done(kept.item))

    def place(self, kept: Remembered, previous: str | None = None) -> list[told.ServerMessage]:
        """Put an item into the conversation, and tell of it.

        Raises:
            Refused: The item before it is not there.
        """
        last = next(reversed(self.items), None)
        if previous in {None, "", last}:
            self.keep(kept)
        elif previous == "root" or previous in self.items:
            before = list(self.items.items())
            at = 0 if previous == "root" else list(self.items).index(str(previous)) + 1
            self.items = dict(before[:at])
            self.keep(kept)
            self.items |= dict(before[at:])
        else:
            message = f"Error creating item: the previous item with id '{previous}' does not exist."
            raise Refused("item_not_found", message, "previous_item_id")
        return [
            told.ConversationItemAdded(
                event_id=self.fresh("event"), previous_item_id=self.before(kept.item.id), item=kept.item
            )
        ]

    def keep(self, kept: Remembered) -> None:
        """Keep an item, in its old place if it is known; its sound goes to the shelf."""
        if isinstance(kept.audio, Pcm):
            kept = replace(kept, audio=self.shelf.put(kept.audio))
        self.items[kept.item.id] = kept

    def item_done(self, item: Item) -> told.ServerMessage:
        """An item of the client's is whole."""
        return told.ConversationItemDone(event_id=self.fresh("event"), previous_item_id=self.before(item.id), item=item)

    def output_done(self, item: Item) -> told.ServerMessage:
        """An item of the model's is whole. OpenAI leaves out the item before it, where that is the very first."""
        before = self.before(item.id)
        previous = before if before and self.before(before) else None
        return told.ConversationItemDone(event_id=self.fresh("event"), previous_item_id=previous, item=item)

    def before(self, item_id: str) -> str | None:
        """The id of the item before another."""
        backwards = iter(reversed(self.items))
        if any(key == item_id for key in backwards):
            return next(backwards, None)
        return None

    def _truncate(self, event: ask.ConversationItemTruncate) -> Reply:
        kept = self._known(event.item_id, "truncate")
        if kept.audio is None or kept.item.role != "assistant":
            raise Refused("unsupported_content_type", "Only model output audio messages can be truncated.", "item_id")
        if event.content_index >= len(kept.item.content or ()):
            message = f"The item has no content at index {event.content_index}."
            raise Refused("invalid_value", message, "content_index")
        length_ms = len(kept.audio) * 1000 // kept.audio.rate
        if event.audio_end_ms > length_ms:
            message = f"Audio content of {length_ms}ms is already shorter than {event.audio_end_ms}ms"
            raise Refused("invalid_value", message, names_event=False)
        self.keep(kept.cut(event.audio_end_ms * kept.audio.rate // 1000))
        return self._say(
            told.ConversationItemTruncated(
                event_id=self.fresh("event"),
                item_id=event.item_id,
                content_index=event.content_index,
                audio_end_ms=event.audio_end_ms,
            )
        )

    def _append(self, base64: str) -> Reply:
        if len(base64) > LONGEST_APPEND:
            message = f"Invalid 'audio': string too long. Expected a string with maximum length {LONGEST_APPEND}."
            raise Refused("string_above_max_length", message, "audio")
        if self._decoder is None:
            self._decoder = format_of(self.session, "input").decoder()
        audio = self._decoder.feed(raw(base64, "audio"))
        self.input.append(audio)
        detection = self.session["audio"]["input"]["turn_detection"]
        if not detection:
            self.ears = None
            return Reply()
        if self.ears is None or self.ears.settings != detection:
            self.ears = Ears(detection, heard_ms=self.ears.heard_ms if self.ears else 0)
        reply = Reply()
        for news in self.ears.hear(audio):
            reply = self._turn(news, detection, reply)
        self.input.forget_silence()
        return reply

    def _turn(self, news: Started | Stopped | TimedOut, detection: Settings, so_far: Reply) -> Reply:
        """What turn detection makes of the input, added to a reply."""
        events, begin, cancel = list(so_far.events), so_far.begin, so_far.cancel
        transcribed: list[told.ServerMessage] = []
        match news:
            case Started(at_ms):
                self._speech = self.fresh("item")
                self.input.started(self._speech, at_ms)
                events.append(
                    told.SpeechStarted(event_id=self.fresh("event"), item_id=self._speech, audio_start_ms=at_ms)
                )
                if detection["interrupt_response"]:
                    cancel = self.active
            case Stopped(_, at_ms):
                self.input.stopped(self._speech, at_ms)
                events.append(
                    told.SpeechStopped(event_id=self.fresh("event"), item_id=self._speech, audio_end_ms=at_ms)
                )
                events += self._committed(self._speech)
                transcribed = self._transcribed(self._speech)
            case TimedOut(from_ms, at_ms):
                item_id = self.fresh("item")
                self.input.started(item_id, from_ms)
                self.input.stopped(item_id, at_ms)
                events.append(
                    told.TimeoutTriggered(
                        event_id=self.fresh("event"), item_id=item_id, audio_start_ms=from_ms, audio_end_ms=at_ms
                    )
                )
                reminder = remember(self.fresh("item"), NOBODY_SPOKE)
                events += [*self.place(reminder), self.item_done(reminder.item), *self._committed(item_id)]
                transcribed = self._transcribed(item_id, is_silent=True)
        if not isinstance(news, Started) and detection["create_response"] and not self.active:
            started = self._begin(ResponseConfig(), detected=True)
            events, begin = events + list(started.events), started.begin
        return Reply((*events, *transcribed), begin, cancel, "turn_detected")

    @property
    def active(self) -> Run | None:
        """The response of the conversation that is under way, if one is."""
        return next((run for run in self.running.values() if run.conversational and not run.stopped), None)

    def _commit(self) -> Reply:
        length_ms = self.input.duration_s * 1000
        if length_ms < SHORTEST_COMMIT_MS:
            message = (
                f"Error committing input audio buffer: buffer too small. Expected at least {SHORTEST_COMMIT_MS}ms of "
                f"audio, but buffer only has {length_ms:.2f}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        item_id = self.fresh("item")
        return self._say(*self._committed(item_id), *self._transcribed(item_id))

    def _committed(self, item_id: str) -> list[told.ServerMessage]:
        """The input buffer becomes an item."""
        audio = self.input.committed(item_id) or Pcm()
        part = ContentPart(type="input_audio", transcript=None)
        item = Item(id=item_id, type="message", status="completed", role="user", content=(part,))
        added = self.place(Remembered(item, audio))
        committed = told.InputAudioBufferCommitted(
            event_id=self.fresh("event"), previous_item_id=self.before(item_id), item_id=item_id
        )
        return [committed, *added, self.item_done(item)]

    def _transcribed(self, item_id: str, *, is_silent: bool = False) -> list[told.ServerMessage]:
        """The words of an item that was heard, if they are wanted."""
        wanted = self.session["audio"]["input"]["transcription"]
        if not wanted:
            return []
        audio = self.items[item_id].sound or Pcm()
        words = "" if is_silent else self.library.words(audio)
        place = {"item_id": item_id, "content_index": 0}
        deltas = (
            told.TranscriptionDelta.model_validate(place | {"event_id": self.fresh("event"), "delta": piece})
            for piece in re.findall(r"\s*\S+", words)
        )
        spent = transcription_usage(audio, words, wanted.get("model") or "")
        completed = place | {"event_id": self.fresh("event"), "transcript": words, "usage": spent}
        return [*deltas, told.TranscriptionCompleted.model_validate(completed)]

    def _begin(self, wanted: ResponseConfig, *, detected: bool = False) -> Reply:
        """Begin a response; one that a detected turn asks for waits for the end of the one it interrupted."""
        conversational = wanted.conversation != "none"
        active = next((run for run in self.running.values() if run.conversational), None)
        if conversational and active and not detected:
            message = (
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        own = voice_name(self.session["audio"]["output"]["voice"])
        asked = wanted.audio and wanted.audio.output and wanted.audio.output.voice
        voice = asked.id if isinstance(asked, CustomVoice) else asked or own
        if self.has_spoken and voice != own:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, "response.audio.output.voice")
        run = Run(
            id=self.fresh("resp"),
            item_id=self.fresh("item"),
            wanted=wanted,
            session=self.session,
            voice=voice,
            conversational=conversational,
            read=tuple(self._input(wanted.input)) if wanted.input is not None else tuple(self.items.values()),
        )
        self.running[run.id] = run
        created = told.ResponseCreated(event_id=self.fresh("event"), response=run.told("in_progress"))
        return Reply((created,), begin=run)

    def _input(self, wanted: Iterable[ClientItem | ItemReference]) -> Iterable[Remembered]:
        for number, item in enumerate(wanted):
            if isinstance(item, ItemReference):
                if item.id not in self.items:
                    message = f"Item with id '{item.id}' not found."
                    raise Refused("item_not_found", message, f"response.input[{number}].id")
                yield self.items[item.id]
            else:
                place = f"response.input[{number}]"
                yield remember(self.fresh("item"), item, format_of(self.session, "input"), place)

    def context(self, run: Run) -> tuple[Read, ...]:
        """What a response reads: instructions and tools first, then the items."""
        instructions = run.instructions
        tools = str(run.tools or "")
        first = Read(f"instructions/{instructions}{tools}", text=text_tokens(instructions) + text_tokens(tools))
        return (first, *(kept.cost for kept in run.read))

    def _cancel(self, response_id: str | None) -> Reply:
        run = self.running.get(response_id) if response_id else self.active
        if run is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found.")
        return Reply(cancel=run)
