"""Responses, as a client keeps them: whole ones, the changes on the way, and items that are still coming in."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pybase64

from tau_stage.audio import RATE, Decoder, Format, Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol.entries import Entry, ToolCall
from tau_stage.protocol.items import ContentPart, Item
from tau_stage.protocol.server_events import AudioTimestampDelta, Status, TimingEvent, VisemeDelta
from tau_stage.protocol.usage import Usage

COMMENTARY = "commentary"  # the phase of an item in which a model speaks about its work: no part of its answer
SOUND_FILES = {b"RIFF": "WAV", b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3\x03": "MP3", b"ID3\x04": "MP3", b"FORM": "AIFF"}
"""How sound files begin, and what they are."""

LONGEST_HEADER = 4096  # bytes before the samples of a WAV file, at most
PCM, EXTENSIBLE = 1, 0xFFFE  # formats of plain samples (Microsoft, "Multiple channel audio data and WAVE files")


@dataclass(frozen=True, slots=True)
class WordTime:
    """The time of a word as reported by the provider: its first sample, and the first sample after it."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class VisemeTime:
    """The first sample of a mouth shape as reported by the provider, and its Microsoft viseme ID, from 0 to 21."""

    viseme: int
    start: int


@dataclass(frozen=True, slots=True)
class Timings:
    """What a provider tells of the times of words and shapes of a mouth in some sound, in samples at 24 kHz."""

    words: tuple[WordTime, ...] = ()
    visemes: tuple[VisemeTime, ...] = ()

    def __add__(self, other: Timings) -> Timings:
        """Put those of the same sound together."""
        return Timings(self.words + other.words, self.visemes + other.visemes)

    def shifted(self, by: int) -> Timings:
        """Return them in a sound that began so many samples before.

        >>> Timings((WordTime("Yes", 0, 9),)).shifted(100).words
        (WordTime(text='Yes', start=100, end=109),)
        """
        words = tuple(WordTime(word.text, word.start + by, word.end + by) for word in self.words)
        return Timings(words, tuple(VisemeTime(shape.viseme, shape.start + by) for shape in self.visemes))

    def until(self, end: int) -> Timings:
        """Return those of a sound that was cut off.

        >>> Timings((WordTime("Yes", 0, 9), WordTime("sir", 9, 20))).until(15).words[-1]
        WordTime(text='sir', start=9, end=15)
        >>> len(Timings((WordTime("Yes", 0, 9), WordTime("sir", 9, 20))).until(9).words)
        1
        """
        words = (WordTime(word.text, word.start, min(word.end, end)) for word in self.words if word.start < end)
        return Timings(tuple(words), tuple(shape for shape in self.visemes if shape.start < end))

    @property
    def start(self) -> int:
        """The first sample that they tell of; 0 where there are none."""
        starts = [word.start for word in self.words] + [shape.start for shape in self.visemes]
        return min(starts, default=0)


@dataclass(frozen=True, slots=True)
class Commentary:
    """What a model says about its work, beside its answer (items whose ``phase`` is ``commentary``)."""

    transcript: str = ""
    text: str = ""
    audio: Pcm = field(default_factory=Pcm)
    timings: Timings = Timings()


def timings_in_a_row(parts: Iterable[Commentary | Response]) -> Timings:
    """Return the times of parts whose sounds follow one another.

    >>> part = Commentary(audio=Pcm.silence(10), timings=Timings((WordTime("Yes", 0, 9),)))
    >>> [word.start for word in timings_in_a_row([part, part]).words]
    [0, 10]
    """
    found, at = Timings(), 0
    for part in parts:
        found += part.timings.shifted(at)
        at += len(part.audio)
    return found


@dataclass(frozen=True, slots=True)
class Response:
    """One finished response.

    Attributes:
        id: The server's id.
        status: How the response ended.
        reason: Why it did not complete: a reason (``max_output_tokens``, ``client_cancelled``) or an error code.
        message: The server's message on a failure.
        transcript: The spoken words.
        text: The written words.
        audio: The complete audio.
        calls: The tool calls that the model requests.
        item_ids: The items that it added to the conversation.
        usage: The tokens; all zero if the server reported none.
        metadata: The metadata of the request.
        first_audio_s: Seconds from the request to the first audio; None without audio or without a request.
        commentary: Comments by the model on its own work, in order; billed with the answer but not part of it.
        first_text_s: Seconds from the request to the first words; None without words or without a request.
        compute_s: Seconds from the request to the end, summed over all attempts; None without a request.
        attempts: How many times it was requested.
        timings: When its words are heard, if the server reported it.

    >>> Response("resp_1", "incomplete", reason="max_output_tokens").reason
    'max_output_tokens'
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
    commentary: tuple[Commentary, ...] = ()
    first_text_s: float | None = None
    compute_s: float | None = None
    attempts: int = 1
    timings: Timings = Timings()

    def with_commentary(self) -> Response:
        """Return a copy in which the commentary is the beginning of the answer.

        >>> said = Response("r", "completed", text="It is foggy.", commentary=(Commentary(text="I look. "),))
        >>> said.with_commentary().text
        'I look. It is foggy.'
        """
        return replace(
            self,
            transcript="".join(said.transcript for said in self.commentary) + self.transcript,
            text="".join(said.text for said in self.commentary) + self.text,
            audio=Pcm.join([*(said.audio for said in self.commentary), self.audio]),
            timings=timings_in_a_row([*self.commentary, self]),
            commentary=(),
        )


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """A response began; ``formerly`` is what changes called it that came before its id was told, if any did."""

    response_id: str
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The next audio of a response, in whole samples; ``commentary`` is not part of the answer.

    >>> AudioChunk("resp_1", "item_1", Pcm(bytes(4800))).audio.duration_s
    0.1
    """

    response_id: str
    item_id: str
    audio: Pcm
    commentary: bool = False


@dataclass(frozen=True, slots=True)
class TextChunk:
    """The next words of a response, spoken or written; ``commentary`` is not part of the answer.

    >>> TextChunk("resp_1", "item_1", "Good evening", spoken=True).words
    'Good evening'
    """

    response_id: str
    item_id: str
    words: str
    spoken: bool
    commentary: bool = False


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A response has ended.

    >>> ResponseEnded("resp_1", Response("resp_1", "completed", transcript="Hello.")).response.transcript
    'Hello.'
    """

    response_id: str
    response: Response


ResponseChange = ResponseBegan | AudioChunk | TextChunk | ResponseEnded


@dataclass(slots=True)
class PartialText:
    """The words of one content part, as deltas brought them, and ``whole`` as their end tells them."""

    pieces: list[str] = field(default_factory=list)
    whole: str = ""

    def __str__(self) -> str:
        return self.whole or "".join(self.pieces)

    def end(self, whole: str) -> str:
        """Take in the words as the part's end tells them, and say what of them is news.

        A server may tell the end of a part more than once: of each sentence, or of all so far.

        >>> words = PartialText()
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
class PartialItem:
    """An item of a response that is still coming in. Sound is kept in pieces, so that it grows in linear time.

    Attributes:
        spoken: The words spoken so far, by content part; ``written`` those written.
        entry: The item as the server last told it whole.
        call: The tool call that it is, as far as it is known; ``arguments`` are those that deltas brought.
        awaits_sound: Whether sound has begun and its end was not told.
        head: The beginning of a sound file, until its samples begin.
    """

    decoder: Decoder
    sounds: list[Pcm] = field(default_factory=list)
    spoken: dict[int, PartialText] = field(default_factory=dict)
    written: dict[int, PartialText] = field(default_factory=dict)
    entry: Entry | None = None
    call: ToolCall | None = None
    arguments: list[str] = field(default_factory=list)
    phase: str | None = None
    awaits_sound: bool = False
    head: bytes = b""
    is_over: bool = False
    timings: Timings = Timings()

    @property
    def is_commentary(self) -> bool:
        """Whether it is no part of the answer."""
        return self.phase is not None and self.phase.casefold() == COMMENTARY

    @property
    def owes_sound(self) -> bool:
        """Whether sound was announced and not ended, or words are spoken and no sound has come."""
        return self.awaits_sound or (bool(self.transcript) and not self.sounds)

    @property
    def transcript(self) -> str:
        """The words spoken, as completely as they were told."""
        return "".join(map(str, self.spoken.values())) or (self.entry.transcript if self.entry else "")

    @property
    def text(self) -> str:
        """The words written, as completely as they were told."""
        return "".join(map(str, self.written.values())) or (self.entry.text if self.entry else "")

    def grow(self, delta: str | bytes) -> tuple[Pcm, str]:
        """Add one delta, in base64 or decoded; give back the whole samples it completes, and what is odd of it."""
        data = delta if isinstance(delta, bytes) else _decoded(delta)
        self.awaits_sound, oddity = True, ""
        if self.head or data[:4] in SOUND_FILES:
            data, oddity = self._samples_of(self.head + data)
        sound = self.decoder.feed(data)
        if sound:
            self.sounds.append(sound)
        return sound, oddity

    def _samples_of(self, data: bytes) -> tuple[bytes, str]:
        """Return the samples of a WAV file whose beginning came, and what is odd of it; none, until they begin."""
        form = self.decoder.form
        found = samples_of(data, form)
        self.head = b"" if found else data
        if found is None:
            return b"", ""
        rate, samples = found
        if rate == form.rate:
            return samples, "has a WAV header, which was removed"
        self.decoder = replace(form, rate=rate).decoder()
        return samples, f"contains a WAV file at {rate} Hz; read at that rate"

    def words(self, content_index: int, *, spoken: bool) -> PartialText:
        """Return the words of one part, to add to."""
        return (self.spoken if spoken else self.written).setdefault(content_index, PartialText())

    def end_part(self, content_index: int, part: ContentPart) -> None:
        """Take the words of a part from its end, where nothing has told them yet."""
        for words, whole in ((self.spoken, part.transcript), (self.written, part.text)):
            if whole and not str(words.get(content_index, "")):
                words[content_index] = PartialText(whole=whole)

    def learn_time(self, event: TimingEvent) -> None:
        """Note when something of its sound is heard."""
        match event:
            case AudioTimestampDelta():
                start, end = (_sample(event.audio_offset_ms + more) for more in (0.0, event.audio_duration_ms))
                self.timings += Timings((WordTime(event.text, start, end),))
            case VisemeDelta():
                self.timings += Timings((), (VisemeTime(event.viseme_id, _sample(event.audio_offset_ms)),))

    def finish(self, before: int = 0) -> Commentary:
        """Give all of its words and sound; ``before`` are the samples of the response that came before it.

        Times count from the beginning of the response. Where a server counts from that of the item, they begin sooner.
        """
        self.sounds.append(self.decoder.finish())
        timings = self.timings.shifted(-before) if self.timings.start >= before else self.timings
        return Commentary(self.transcript, self.text, Pcm.join(self.sounds), timings)

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


def _sample(ms: float) -> int:
    return round(ms * RATE / 1000)


def _decoded(delta: str) -> bytes:
    """Decode base64, also as others write it: URL-safe, unpadded, in lines (RFC 4648, 3 and 5), as a data URL."""
    with suppress(ValueError):
        return pybase64.b64decode(delta, validate=True)
    if delta.startswith("data:"):
        delta = delta.partition(",")[2]
    plain = "".join(delta.split()).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise ProtocolError("theirs", f"an audio delta of {len(delta)} characters is not valid base64") from error


def samples_of(data: bytes, form: Format) -> tuple[int, bytes] | None:
    """Return the rate and the samples of a WAV file, as far as it came; None where they have not begun yet.

    Another kind of file, or of samples than mono, 16 bit, is a ``ProtocolError``.
    """
    if data[:4] != b"RIFF":
        raise ProtocolError(
            "theirs", f"an audio delta contains a file ({SOUND_FILES[data[:4]]}) instead of raw samples"
        )
    at, rate = 12, form.rate
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"data":
            return rate, data[at : at + size]
        if name == b"fmt " and at + 16 <= len(data):
            code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at)
            if form.kind != "audio/pcm" or code not in (PCM, EXTENSIBLE) or (channels, bits) != (1, 16) or not rate:
                told = f"WAV, format {code}, {channels} channels, {bits} bit, {rate} Hz"
                raise ProtocolError("theirs", f"an audio delta contains a file ({told}) instead of raw samples")
        at += size + size % 2
    if len(data) > LONGEST_HEADER:
        raise ProtocolError("theirs", "an audio delta contains a file (WAV) without samples")
    return None
