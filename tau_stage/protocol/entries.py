"""What a conversation is made of, as a client keeps it: entries whole, and what is still growing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pybase64

from tau_stage.audio.formats import Decoder, Format
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol.dialects import unnoted
from tau_stage.protocol.items import Item
from tau_stage.protocol.sounds import SOUND_FILES, samples_of


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
        id: Its id.
        type: ``message``, ``function_call``, ``function_call_output``, or what the server calls it.
        role: Of a message.
        status: ``in_progress``, ``completed`` or ``incomplete``.
        text: Written words.
        transcript: Spoken words.
        audio: Its sound, where it is known and kept.
        call: The tool call it is.
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
        return cls(
            id=item.id,
            type=item.type,
            role=item.role,
            status=item.status,
            text="".join(part.text or "" for part in parts),
            transcript="".join(part.transcript or "" for part in parts),
            call=call_of(item),
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


def call_of(item: Item) -> ToolCall | None:
    """Return the tool call that an item is, if it is one."""
    if item.type != "function_call":
        return None
    return ToolCall(item.call_id or "", item.name or "", item.arguments or "")


def _decoded_loosely(delta: str) -> bytes:
    """Decode base64 as others write it: URL-safe, unpadded, in lines (RFC 4648, sections 3 and 5), as a data URL.

    Raises:
        ProtocolError: It is not base64 at all.
    """
    if delta.startswith("data:"):
        delta = delta.partition(",")[2]
    plain = "".join(delta.split()).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise ProtocolError("theirs", f"an audio delta of {len(delta)} characters is not base64") from error


COMMENTARY = "commentary"
"""The phase of an item in which a model speaks about its work: no part of its answer."""


@dataclass(slots=True)
class Words:
    """The words of one content part, while they come in and as their end tells them.

    Attributes:
        pieces: What deltas brought, in order.
        whole: What the part's end told; empty until then.
    """

    pieces: list[str] = field(default_factory=list)
    whole: str = ""

    def __str__(self) -> str:
        return self.whole or "".join(self.pieces)

    def end(self, whole: str) -> str:
        """Take in the words as the part's end tells them, and say what of them is news.

        A server may tell the end of a part more than once: of each sentence, or of all so far.

        >>> words = Words()
        >>> words.end("One."), words.end("Two."), words.end("One. Two. Three."), str(words)
        ('One.', ' Two.', ' Three.', 'One. Two. Three.')
        """
        before = str(self)
        if not self.whole:
            self.whole = whole
            return "" if before else whole
        if whole.startswith(self.whole):
            news = whole[len(self.whole) :]
        elif whole in self.whole or whole in "".join(self.pieces):
            news, self.whole = "", max(self.whole, "".join(self.pieces), key=len)
        else:
            news = whole if self.whole[-1].isspace() or whole[0].isspace() else f" {whole}"
        self.whole += news
        return news


@dataclass(slots=True)
class Growing:
    """An item of a response that is still coming in. Sound is kept in pieces, so that it grows in linear time.

    Attributes:
        decoder: How its sound travels.
        sounds: Its sound so far.
        spoken: The words spoken so far, by content part.
        written: The words written so far, by content part.
        entry: The item as the server last told it whole.
        call: The tool call that it is, as far as it is known.
        arguments: The arguments of the call, as deltas brought them.
        phase: ``commentary`` or ``final_answer``, where the server tells it.
        awaits_sound: Whether sound has begun and its end was not told.
        head: The beginning of a sound file, until its samples begin.
        is_over: Whether the server told that all of it has come.
    """

    decoder: Decoder
    sounds: list[Pcm] = field(default_factory=list)
    spoken: dict[int, Words] = field(default_factory=dict)
    written: dict[int, Words] = field(default_factory=dict)
    entry: Entry | None = None
    call: ToolCall | None = None
    arguments: list[str] = field(default_factory=list)
    phase: str | None = None
    awaits_sound: bool = False
    head: bytes = b""
    is_over: bool = False

    @classmethod
    def in_format(cls, form: Format) -> Growing:
        """Begin with nothing."""
        return cls(form.decoder())

    @property
    def is_commentary(self) -> bool:
        """Whether it is no part of the answer."""
        return (self.phase or "").casefold() == COMMENTARY

    @property
    def lacks_sound(self) -> bool:
        """Whether words are spoken, and no sound has come."""
        return bool(self.transcript) and not self.sounds

    @property
    def transcript(self) -> str:
        """The words spoken, as completely as they were told."""
        return "".join(map(str, self.spoken.values())) or (self.entry.transcript if self.entry else "")

    @property
    def text(self) -> str:
        """The words written, as completely as they were told."""
        return "".join(map(str, self.written.values())) or (self.entry.text if self.entry else "")

    def grow(self, delta: str, note: Callable[[str], None] = unnoted) -> Pcm:
        """Add one delta, decoded on its own, and give back the whole samples it completes.

        Args:
            delta: Base64.
            note: Told of a sound file where samples should be.

        Raises:
            ProtocolError: The delta is not base64, or no sound that can be read.
        """
        try:
            data = pybase64.b64decode(delta, validate=True)
        except ValueError:
            data = _decoded_loosely(delta)
        self.awaits_sound = True
        if self.head or data[:4] in SOUND_FILES:
            data = self._samples_of(self.head + data, note)
        sound = self.decoder.feed(data)
        if sound:
            self.sounds.append(sound)
        return sound

    def _samples_of(self, data: bytes, note: Callable[[str], None]) -> bytes:
        """Return the samples of a WAV file whose beginning came; none, until they begin."""
        form = self.decoder.form
        found = samples_of(data, form)
        self.head = data if found is None else b""
        if found is None:
            return b""
        note("a WAV header; taken off" if found.rate == form.rate else f"a WAV file of {found.rate} Hz; read as such")
        if found.rate != form.rate:
            self.decoder = replace(form, rate=found.rate).decoder()
        return found.data

    def finish(self) -> Pcm:
        """Give all of its sound."""
        self.sounds.append(self.decoder.finish())
        return Pcm.join(self.sounds)

    def learn_call(self, call: ToolCall) -> None:
        """Note what is known of the tool call that it is; what is empty says nothing."""
        known = self.call or ToolCall("", "", "")
        self.call = ToolCall(call.call_id or known.call_id, call.name or known.name, call.arguments or known.arguments)

    def tool_call(self, item_id: str) -> ToolCall | None:
        """Return the tool call that it is; where the server gives the call no id, the item's stands for it."""
        if self.call is None:
            return None
        arguments = self.call.arguments or "".join(self.arguments)
        return ToolCall(self.call.call_id or item_id, self.call.name, arguments)

    def may_be(self, item: Item) -> bool:
        """Tell whether an item that the server names otherwise can be this one."""
        return (self.call is not None) == (item.type == "function_call")

    def learn(self, item: Item) -> None:
        """Note what the server tells of the item as a whole."""
        self.phase = item.phase or self.phase
        self.entry = Entry.of(item)
        if self.entry.call:
            self.learn_call(self.entry.call)
