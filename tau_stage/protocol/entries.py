"""The items of a conversation as a client keeps them, and what the input buffer holds that is no item yet.

A server may tell an item more than once, name it otherwise than we did, and tell its transcript before the item itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pybase64

from tau_stage.audio import RATE, Format, Pcm
from tau_stage.protocol import server_events
from tau_stage.protocol.items import Item
from tau_stage.protocol.server_events import ServerEvent

KEPT_S = 5.0  # sound kept while nobody speaks: more than any prefix that turn detection reaches back for


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run; ``arguments`` is its JSON, as the model wrote it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a conversation.

    Attributes:
        type: ``message``, ``function_call``, ``function_call_output``, or what the server calls it.
        status: ``in_progress``, ``completed`` or ``incomplete``.
        text: Written words.
        transcript: Spoken words.
        audio: Its sound, where it is known and kept.
        output: The tool's output it is.
        answers: Id of the call that output answers.
        heard_ms: Where in the input it was heard, in milliseconds: begin and end.
    """

    id: str
    type: str
    role: str | None = None
    status: str | None = None
    text: str = ""
    transcript: str = ""
    audio: Pcm | None = None
    call: ToolCall | None = None
    output: str | None = None
    answers: str | None = None
    heard_ms: tuple[int, int | None] | None = None

    @classmethod
    def of(cls, item: Item) -> Entry:
        """Return an item as the wire tells it.

        >>> Entry.of(Item(id="i", type="function_call", name="light", call_id="c", arguments="{}")).call
        ToolCall(call_id='c', name='light', arguments='{}')
        """
        parts = item.content or ()
        is_call = item.type == "function_call"
        return cls(
            id=item.id,
            type=item.type,
            role=item.role,
            status=item.status,
            text="".join(part.text or "" for part in parts),
            transcript="".join(part.transcript or "" for part in parts),
            call=ToolCall(item.call_id or "", item.name or "", item.arguments or "") if is_call else None,
            output=item.output,
            answers=item.call_id if item.output is not None else None,
        )

    @classmethod
    def with_sound(cls, item: Item, form: Format) -> Entry:
        """Return an item as ``retrieved`` tells it: with its sound, in the format it travels in."""
        data = b"".join(pybase64.b64decode(part.audio) for part in item.content or () if part.audio)
        return replace(cls.of(item), audio=form.decode(data) or None)

    def after(self, later: Entry) -> Entry:
        """Update this entry with what the server has told since; what it leaves out is kept."""
        return replace(
            later,
            text=later.text or self.text,
            transcript=later.transcript or self.transcript,
            audio=later.audio or self.audio,
            heard_ms=later.heard_ms or self.heard_ms,
        )

    def cut(self, audio_end_ms: int | None) -> Entry:
        """Truncate the entry: its sound ends there, and the server has dropped the transcript."""
        audio = self.audio
        if audio is not None and audio_end_ms is not None:
            audio = audio[: audio_end_ms * audio.rate // 1000]
        return replace(self, audio=audio, transcript="")


@dataclass(slots=True)
class InputBuffer:
    """Sound appended and not yet made an item. Its memory does not grow while turn detection hears nothing.

    It ``begins`` so many samples after the session began.
    """

    begins: int = 0
    _sounds: list[Pcm] = field(default_factory=list)
    _samples: int = 0
    _spoken: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Seconds that it holds."""
        return self._samples / RATE

    def append(self, audio: Pcm) -> None:
        """Add sound that was sent."""
        self._sounds.append(audio)
        self._samples += len(audio)

    def forget_silence(self) -> None:
        """Let go of what lies further back than any prefix; for sessions whose turns are detected."""
        too_much = self._samples - round(KEPT_S * RATE)
        while not self._spoken and self._sounds and len(self._sounds[0]) <= too_much:
            first = self._sounds.pop(0)
            self.begins += len(first)
            self._samples -= len(first)
            too_much -= len(first)

    def started(self, item_id: str, start_ms: int) -> None:
        """Note that speech began."""
        self._spoken[item_id] = (start_ms, None)

    def stopped(self, item_id: str, end_ms: int) -> None:
        """Note that speech ended."""
        start_ms, _ = self._spoken.get(item_id, (0, None))
        self._spoken[item_id] = (start_ms, end_ms)

    def heard_ms(self, item_id: str) -> tuple[int, int | None] | None:
        """Tell where an item was heard, if turn detection told."""
        return self._spoken.get(item_id)

    def committed(self, item_id: str) -> Pcm | None:
        """Take the sound of the item that was made of the buffer; what follows its end stays."""
        whole = Pcm.join(self._sounds)
        start_ms, end_ms = self._spoken.pop(item_id, (0, None))
        start, end = max(0, self._place(start_ms)), len(whole) if end_ms is None else max(0, self._place(end_ms))
        keep = whole[end:]
        self.begins += len(whole) - len(keep)
        self._sounds, self._samples = [keep] if keep else [], len(keep)
        return whole[start:end] or None

    def _place(self, ms: int) -> int:
        """Return where in the buffer a moment of the input is, in samples."""
        return ms * RATE // 1000 - self.begins

    def clear(self) -> None:
        """Clear the buffer."""
        self.begins += self._samples
        self._sounds, self._samples = [], 0
        self._spoken.clear()


class Entries:
    """The items of a conversation by id, in its order, and the input that is no item yet."""

    def __init__(self, *, keeps_audio: bool) -> None:
        self.by_id: dict[str, Entry] = {}
        self.input = InputBuffer()
        self._keeps_audio = keeps_audio
        self._early_transcripts: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._text_messages = 0

    def apply(self, event: ServerEvent) -> None:
        """Take in an event; one that is about no item changes nothing."""
        match event:
            case server_events.PlacedItemEvent():
                self._place(Entry.of(event.item), event.previous_item_id)
            case server_events.ConversationItemTruncated():
                self._change(event.item_id, lambda entry: entry.cut(event.audio_end_ms))
            case server_events.ConversationItemDeleted():
                self.by_id.pop(event.item_id, None)
            case server_events.InputAudioBufferCommitted():
                self._commit(event.item_id)
            case server_events.InputAudioBufferCleared():
                self.input.clear()
            case server_events.SpeechStarted():
                self.input.started(event.item_id, event.audio_start_ms)
            case server_events.SpeechStopped():
                self.input.stopped(event.item_id, event.audio_end_ms)
            case server_events.TranscriptionCompleted():
                if event.item_id not in self.by_id:
                    self._early_transcripts[event.item_id] = event.transcript
                self._change(event.item_id, lambda entry: replace(entry, transcript=event.transcript))

    def keep_audio(self, item_id: str, audio: Pcm) -> None:
        """Keep the sound of an item."""
        if self._keeps_audio:
            self._change(item_id, lambda entry: replace(entry, audio=audio))

    def rename(self, ours: str, theirs: str) -> None:
        """Follow a server that gives an item of ours an id of its own."""
        self._renamed[ours] = theirs
        if ours not in self.by_id:
            return
        news = self.by_id.pop(theirs, None)
        entry = self.by_id[ours]
        renamed = replace(entry.after(news) if news else entry, id=theirs)
        self.by_id = {
            key if key != ours else theirs: kept if key != ours else renamed for key, kept in self.by_id.items()
        }

    def id_of(self, item_id: str) -> str:
        """Return the server's id of an item that we made, or that an earlier server named."""
        while item_id in self._renamed:
            item_id = self._renamed[item_id]
        return item_id

    def take_text_messages(self) -> int:
        """Return how many written messages came since this was last called."""
        count, self._text_messages = self._text_messages, 0
        return count

    def _change(self, item_id: str, how: Callable[[Entry], Entry]) -> None:
        if item_id in self.by_id:
            self.by_id[item_id] = how(self.by_id[item_id])

    def _place(self, entry: Entry, previous_item_id: str | None) -> None:
        if not entry.id:
            return
        if early := self._early_transcripts.pop(entry.id, None):
            entry = replace(entry, transcript=early)
        if entry.id in self.by_id:
            self.by_id[entry.id] = self.by_id[entry.id].after(entry)
            return
        if entry.role in ("user", "system") and entry.text:
            self._text_messages += 1
        behind = self._taken_behind(previous_item_id) if previous_item_id in self.by_id else {}
        self.by_id |= {entry.id: entry, **behind}

    def _taken_behind(self, item_id: str | None) -> dict[str, Entry]:
        behind: list[tuple[str, Entry]] = []
        while next(reversed(self.by_id)) != item_id:
            behind.append(self.by_id.popitem())
        return dict(reversed(behind))

    def _commit(self, item_id: str) -> None:
        heard_ms = self.input.heard_ms(item_id)
        audio = self.input.committed(item_id)
        kept = audio if self._keeps_audio else None
        self._place(Entry(item_id, "message", "user", "completed", audio=kept, heard_ms=heard_ms), None)
