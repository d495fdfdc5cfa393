"""The conversation as a client sees it: a plain object fed with server events. The only place its state moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tau_stage.audio.formats import PCM16, Format
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.entries import Entry, Growing, ToolCall, call_of
from tau_stage.protocol.input import InputBuffer
from tau_stage.protocol.usage import InputDetails, Usage

Status = Literal["completed", "cancelled", "incomplete", "failed"]
STATUSES: tuple[Status, ...] = ("completed", "cancelled", "incomplete", "failed")


@dataclass(frozen=True, slots=True)
class Response:
    """One finished response.

    Attributes:
        id: The server's id.
        status: How it ended.
        reason: Why, where it did not complete: a reason (``max_output_tokens``, ``client_cancelled``) or an error code.
        message: The server's own words on a failure.
        transcript: The words spoken.
        text: The words written.
        audio: The sound, whole.
        calls: Tools the model wants run.
        item_ids: The items it added to the conversation.
        usage: Tokens; all zero where the server told none.
        metadata: As given with the request.
        first_audio_s: Seconds from the request to the first sound; None where there was none or nobody asked.
    """

    id: str
    status: Status
    reason: str | None = None
    message: str = ""
    transcript: str = ""
    text: str = ""
    audio: Pcm = field(default_factory=Pcm)
    calls: tuple[ToolCall, ...] = ()
    item_ids: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    metadata: Mapping[str, str] = field(default_factory=dict)
    first_audio_s: float | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """A response began."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Sounded:
    """A response grew by some sound: whole samples only."""

    response_id: str
    item_id: str
    audio: Pcm


@dataclass(frozen=True, slots=True)
class Worded:
    """A response grew by some words: of what is spoken, or of written text."""

    response_id: str
    item_id: str
    words: str
    spoken: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A response ended."""

    response_id: str
    response: Response


Change = Began | Sounded | Worded | Ended


class Conversation:
    """Items, responses and usage of one session, as the server told them.

    Args:
        form: How the server's sound travels.
        keeps_audio: Whether items keep their sound; without, memory does not grow with what is said.

    Attributes:
        items: By id, in the order of the conversation.
        input: What was appended and is no item yet.
        usage: Sum over all responses, each counted once.
        transcription: Sum over all transcripts of the input, each counted once.
        transcribed_s: Seconds of input whose transcription is billed by time.
        unknown: How often each event type came that this version does not know.
    """

    def __init__(self, form: Format = PCM16, *, keeps_audio: bool = True) -> None:
        self.form = form
        self.items: dict[str, Entry] = {}
        self.input = InputBuffer()
        self.usage = Usage()
        self.transcription = Usage()
        self.transcribed_s = 0.0
        self.unknown: Counter[str] = Counter()
        self._keeps_audio = keeps_audio
        self._growing: dict[str, dict[str, Growing]] = {}
        self._finished: set[str] = set()
        self._early: dict[str, str] = {}
        self._transcribed: set[tuple[str, int]] = set()

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the responses that are still coming in."""
        return tuple(self._growing)

    def remember(self, item_id: str, audio: Pcm) -> None:
        """Keep the sound of an item that we made."""
        if self._keeps_audio and item_id in self.items:
            self.items[item_id] = replace(self.items[item_id], audio=audio)

    def apply(self, event: told.ServerEvent) -> Change | None:
        """Take in one event and say what changed for a listener, if anything.

        Raises:
            ProtocolError: The event cannot be what a server means.
        """
        if not isinstance(event, told.UnknownEvent) and getattr(event, "response_id", None) in self._finished:
            return None
        match event:
            case told.AudioDelta():
                audio = self._part(event.response_id, event.item_id).grow(event.delta)
                return Sounded(event.response_id, event.item_id, audio) if audio else None
            case told.TranscriptDelta():
                self._part(event.response_id, event.item_id).spoken.append(event.delta)
                return Worded(event.response_id, event.item_id, event.delta, spoken=True)
            case told.TextDelta():
                self._part(event.response_id, event.item_id).written.append(event.delta)
                return Worded(event.response_id, event.item_id, event.delta, spoken=False)
            case told.ResponseCreated():
                self._growing.setdefault(event.response.id, {})
                return Began(event.response.id)
            case told.ResponseDone():
                return self._end(event.response)
            case _:
                self._note(event)
        return None

    def _note(self, event: told.ServerEvent) -> None:
        match event:
            case told.UnknownEvent():
                self.unknown[event.type] += 1
            case told.ConversationItemAdded() | told.ConversationItemDone() | told.ConversationItemCreated():
                self._place(Entry.of(event.item), event.previous_item_id)
            case told.ConversationItemTruncated():
                self._change(event.item_id, lambda entry: entry.cut(event.audio_end_ms))
            case told.ConversationItemDeleted():
                self.items.pop(event.item_id, None)
            case told.InputAudioBufferCommitted():
                self._commit(event.item_id)
            case told.InputAudioBufferCleared():
                self.input.clear()
            case told.SpeechStarted():
                self.input.started(event.item_id, event.audio_start_ms)
            case told.SpeechStopped():
                self.input.stopped(event.item_id, event.audio_end_ms)
            case told.TranscriptionCompleted():
                self._transcript(event)
            case _:
                pass

    def _part(self, response_id: str, item_id: str) -> Growing:
        parts = self._growing.setdefault(response_id, {})
        if item_id not in parts:
            parts[item_id] = Growing.in_format(self.form)
        return parts[item_id]

    def _change(self, item_id: str, how: Callable[[Entry], Entry]) -> None:
        if item_id in self.items:
            self.items[item_id] = how(self.items[item_id])

    def _place(self, entry: Entry, previous_item_id: str | None) -> None:
        if early := self._early.pop(entry.id, None):
            entry = replace(entry, transcript=early)
        if entry.id in self.items:
            self.items[entry.id] = self.items[entry.id].after(entry)
        elif previous_item_id not in self.items or previous_item_id == next(reversed(self.items)):
            self.items[entry.id] = entry
        else:
            before = list(self.items.items())
            at = next(number for number, (key, _) in enumerate(before, 1) if key == previous_item_id)
            self.items = dict([*before[:at], (entry.id, entry), *before[at:]])

    def _commit(self, item_id: str) -> None:
        heard_ms = self.input.heard_ms(item_id)
        audio = self.input.committed(item_id)
        kept = audio if self._keeps_audio else None
        self._place(Entry(item_id, "message", "user", "completed", audio=kept, heard_ms=heard_ms), None)

    def _transcript(self, event: told.TranscriptionCompleted) -> None:
        if event.item_id in self.items:
            self._change(event.item_id, lambda entry: replace(entry, transcript=event.transcript))
        else:
            self._early[event.item_id] = event.transcript
        key = (event.item_id, event.content_index)
        if event.usage is None or key in self._transcribed:
            return
        self._transcribed.add(key)
        self.transcribed_s += event.usage.seconds
        self.transcription += usage_of(event)

    def _end(self, response: bodies.WireResponse) -> Ended | None:
        if response.id in self._finished:
            return None
        self._finished.add(response.id)
        parts = self._growing.pop(response.id, {})
        sounds = {item_id: part.finish() for item_id, part in parts.items()}
        for item_id, audio in sounds.items():
            if audio:
                self.remember(item_id, audio)
        usage = Usage.from_wire(response.usage) if response.usage else Usage()
        self.usage += usage
        details = response.status_details
        error = details.error if details else None
        spoken = "".join(word for part in parts.values() for word in part.spoken)
        written = "".join(word for part in parts.values() for word in part.written)
        calls = (call_of(item) for item in response.output)
        return Ended(
            response.id,
            Response(
                id=response.id,
                status=_status(response.status),
                reason=(error.code or error.type) if error else details.reason if details else None,
                message=error.message if error else "",
                transcript=spoken or "".join(Entry.of(item).transcript for item in response.output),
                text=written or "".join(Entry.of(item).text for item in response.output),
                audio=Pcm.join(sounds.values()),
                calls=tuple(call for call in calls if call),
                item_ids=tuple(item.id for item in response.output),
                usage=usage,
                metadata=response.metadata or {},
            ),
        )


def usage_of(event: told.TranscriptionCompleted) -> Usage:
    """The tokens of one transcript, or the seconds where it is billed by time."""
    if event.usage is None:
        return Usage()
    if event.usage.type == "duration":
        return Usage(seconds=event.usage.seconds)
    read = event.usage.input_token_details or InputDetails(text_tokens=event.usage.input_tokens)
    return Usage(text_in=read.text_tokens, audio_in=read.audio_tokens, text_out=event.usage.output_tokens)


def _status(told_status: str) -> Status:
    for known in STATUSES:
        if told_status == known:
            return known
    raise ProtocolError("theirs", f"a response ended with the unknown status {told_status!r}")
