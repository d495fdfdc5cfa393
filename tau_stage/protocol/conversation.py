"""The conversation as a client sees it: a plain object fed with server events. The only place its state moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tau_stage.audio.formats import PCM16, Format
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.endings import Status, outcome, status_in
from tau_stage.protocol.entries import Entry, Growing, ToolCall, Words
from tau_stage.protocol.input import InputBuffer
from tau_stage.protocol.items import Item
from tau_stage.protocol.usage import Usage

MOST_WORDINGS = 3
"""How many of a server's sentences are told of one kind of frame that is no event."""

SOUNDING_PARTS = frozenset({"audio", "output_audio"})
"""Types of content parts that sound."""


@dataclass(frozen=True, slots=True)
class Commentary:
    """What a model says about its work, beside its answer (items whose ``phase`` is ``commentary``).

    Attributes:
        transcript: The words spoken.
        text: The words written.
        audio: The sound.
    """

    transcript: str = ""
    text: str = ""
    audio: Pcm = field(default_factory=Pcm)


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
        commentary: What the model said about its work, in order; billed with the answer and no part of it.
        first_text_s: Seconds from the request to the first words; None where there were none or nobody asked.
        compute_s: Seconds from the request to the end, of all attempts; None where nobody asked.
        attempts: How often it was asked for.
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

    def with_commentary(self) -> Response:
        """Take the commentary as the beginning of the answer.

        >>> said = Response("r", "completed", text="It is foggy.", commentary=(Commentary(text="I look. "),))
        >>> said.with_commentary().text
        'I look. It is foggy.'
        """
        return replace(
            self,
            transcript="".join(said.transcript for said in self.commentary) + self.transcript,
            text="".join(said.text for said in self.commentary) + self.text,
            audio=Pcm.join([*(said.audio for said in self.commentary), self.audio]),
            commentary=(),
        )


@dataclass(frozen=True, slots=True)
class Began:
    """A response began.

    Attributes:
        response_id: The server's id.
        formerly: What it was called in changes that came before its id was told; empty where none came.
    """

    response_id: str
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class Sounded:
    """A response grew by some sound: whole samples only.

    Attributes:
        response_id: Which response.
        item_id: Which item of it.
        audio: The sound.
        commentary: Whether it is commentary, no part of the answer.
    """

    response_id: str
    item_id: str
    audio: Pcm
    commentary: bool = False


@dataclass(frozen=True, slots=True)
class Worded:
    """A response grew by some words: of what is spoken, or of written text.

    Attributes:
        response_id: Which response.
        item_id: Which item of it.
        words: The words.
        spoken: Whether they are spoken.
        commentary: Whether they are commentary, no part of the answer.
    """

    response_id: str
    item_id: str
    words: str
    spoken: bool
    commentary: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A response ended."""

    response_id: str
    response: Response


Change = Began | Sounded | Worded | Ended


@dataclass(slots=True)
class _Incoming:
    """A response that is still coming in.

    Attributes:
        items: What it is made of, by item id.
        problem: What of it could not be used, once something could not: it is then not whole.
        has_begun: Whether the server told that it began.
    """

    items: dict[str, Growing] = field(default_factory=dict)
    problem: str = ""
    has_begun: bool = False

    @property
    def is_over(self) -> bool:
        """Whether all that was begun of it has come."""
        return bool(self.items) and all(growing.is_over for growing in self.items.values())


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a response ends when nothing more of it comes.

    Attributes:
        event: Its end as the server told it, or as it follows from an error.
        is_told: Whether the server told it; an error that names no response may be about something else.
        goes_on: Whether more of the response came after its end.
    """

    event: told.ResponseDone
    is_told: bool
    goes_on: bool = False

    @property
    def is_final(self) -> bool:
        """Whether no other end is to be expected."""
        return self.is_told and not self.event.spelt


class Conversation:
    """Items, responses and usage of one session, as the server told them.

    Theory of operation. A response is *incoming* from ``response.created``, or from the first event that is about it,
    until ``response.done``. An event that names no known response is about the one its item belongs to, else about the
    youngest that is incoming. Events of one response may come in any order: where ``response.done`` comes while sound
    is still announced, or lacks for words that are spoken, the response is *ending*, and ends with the end of its
    sound, or by ``settle`` when nothing more comes. An error that no request explains makes the youngest incoming
    response end the same way, unless more of it comes. What has ended is remembered by id, so that nothing counts
    twice.

    Args:
        form: How the server's sound travels.
        keeps_audio: Whether items keep their sound; without, memory does not grow with what is said.

    Attributes:
        items: By id, in the order of the conversation.
        input: What was appended and is no item yet.
        usage: Sum over all responses, each counted once.
        transcription: Sum over all transcripts of the input, each counted once.
        unknown: How often each event type came that this version does not know.
        odd: How often something came that is not as the protocol has it, by the sentence that says so.
    """

    def __init__(self, form: Format = PCM16, *, keeps_audio: bool = True) -> None:
        self.form = form
        self.items: dict[str, Entry] = {}
        self.input = InputBuffer()
        self.usage = Usage()
        self.transcription = Usage()
        self._text_messages = 0
        self.unknown: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self._keeps_audio = keeps_audio
        self._incoming: dict[str, _Incoming] = {}
        self._ending: dict[str, _Ending] = {}
        self._finished: set[str] = set()
        self._uncreated: set[str] = set()
        self._unpaid: set[str] = set()
        self._nameless: set[str] = set()
        self._early: dict[str, str] = {}
        self._transcribed: set[tuple[str, int]] = set()
        self._renamed: dict[str, str] = {}
        self._same: dict[str, str] = {}
        self._tells_ends_of_sound = True
        self._final: set[str] = set()
        self._said: dict[str, set[str]] = {}

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the responses that are still coming in."""
        return tuple(self._incoming)

    @property
    def is_ending(self) -> bool:
        """Whether a response ends unless more of it comes soon: call ``settle`` when nothing does."""
        return bool(self._ending)

    def remember(self, item_id: str, audio: Pcm) -> None:
        """Keep the sound of an item that we made."""
        if self._keeps_audio and item_id in self.items:
            self.items[item_id] = replace(self.items[item_id], audio=audio)

    def rename(self, ours: str, theirs: str) -> None:
        """Follow a server that gives an item of ours an id of its own."""
        self._renamed[ours] = theirs
        if ours in self.items:
            news = self.items.pop(theirs, None)
            self.items = {
                theirs if key == ours else key: replace(entry.after(news) if news else entry, id=theirs)
                if key == ours
                else entry
                for key, entry in self.items.items()
            }

    def id_of(self, item_id: str) -> str:
        """Return the server's id of an item that we made, or that an earlier server named."""
        while item_id in self._renamed:
            item_id = self._renamed[item_id]
        return item_id

    def knows(self, item_id: str) -> bool:
        """Tell whether an item is in the conversation, or is coming in."""
        return item_id in self.items or any(item_id in incoming.items for incoming in self._incoming.values())

    def apply(self, event: told.ServerEvent) -> Change | None:
        """Take in one event and say what changed for a listener, if anything."""
        match event:
            case told.AudioDelta() | told.TranscriptDelta() | told.TextDelta():
                return self._grow(event)
            case told.TranscriptDone() | told.TextDone():
                return self._complete(event)
            case told.AudioDone() | told.ContentPartAdded() | told.ContentPartDone():
                return self._sound_announced(event)
            case told.OutputItemAdded() | told.OutputItemDone():
                return self._learn(event)
            case told.FunctionArgumentsDelta() | told.FunctionArgumentsDone():
                self._call(event)
            case told.ResponseCreated():
                return self._begin(event.response.id)
            case told.ResponseDone():
                return self._done(event)
            case told.UnusableEvent():
                self._unusable(event)
            case _:
                self._note(event)
        return None

    @property
    def is_over(self) -> bool:
        """Whether all that was begun has come, and only the end of the response is still owed."""
        return bool(self._incoming) and all(incoming.is_over for incoming in self._incoming.values())

    def presume_end(self) -> None:
        """Let the responses end whose end is owed: call ``settle`` then."""
        for response_id in self._incoming:
            self.odd["no response.done came; the response is taken as ended"] += 1
            response = bodies.WireResponse(id=response_id, status="completed")
            self._ending.setdefault(response_id, _Ending(told.ResponseDone(response=response), is_told=False))

    def settle(self) -> Ended | None:
        """End a response of which nothing more comes; None where there is none. Call it until it gives None."""
        for response_id, ending in self._ending.items():
            if ending.is_final and not ending.goes_on:
                self._tells_ends_of_sound = False
            self._final.add(ending.event.spelt)
            return self._end(response_id, ending.event)
        return None

    def blame(self, error: bodies.ServerError) -> None:
        """Let the youngest incoming response end as failed, unless more of it comes: no request explains an error."""
        response_id = next(reversed(self._incoming), None)
        if response_id is not None and response_id not in self._ending:
            response = bodies.WireResponse(id=response_id, status="failed", error=error)
            self._ending[response_id] = _Ending(told.ResponseDone(response=response), is_told=False)

    # ---- a response while it comes in

    def _owner(self, response_id: str, *item_ids: str) -> str:
        """Return the response that an event is about: by its id, by its item, else by the order of events."""
        response_id = self._same.get(response_id, response_id)
        if response_id in self._incoming or response_id in self._finished:
            return response_id
        for owner, incoming in self._incoming.items():
            if any(item_id in incoming.items for item_id in item_ids if item_id):
                return owner
        youngest = next(reversed(self._incoming), None)
        if not response_id:
            return youngest or self._unnamed()
        if youngest is not None and not self._incoming[youngest].items:
            self._same[response_id] = youngest
            return youngest
        return response_id

    def _unnamed(self) -> str:
        name = f"unnamed_{len(self._finished) + 1}"
        self._nameless.add(name)
        return name

    def _part(self, event: told.PartEvent | told.FunctionArgumentsEvent) -> tuple[str, str, Growing] | None:
        """Return the item that an event is about; None where its response is over."""
        owner = self._owner(event.response_id, event.item_id)
        if owner in self._finished:
            self.odd[f"{event.type}: it came after the end of its response; left out"] += 1
            return None
        self._goes_on(owner)
        items = self._incoming.setdefault(owner, _Incoming()).items
        item_id = event.item_id
        if item_id not in items:
            announced = next((key for key in reversed(items) if items[key].entry), None)
            item_id = announced or item_id or next(reversed(items), "")
        if item_id not in items:
            items[item_id] = Growing.in_format(self.form)
        return owner, item_id, items[item_id]

    def _goes_on(self, response_id: str) -> None:
        """Take back the end of a response that an error was taken for; note what comes after one that was told."""
        ending = self._ending.get(response_id)
        if ending is not None and ending.is_told:
            self._ending[response_id] = replace(ending, goes_on=True)
        elif ending is not None:
            del self._ending[response_id]

    def _grow(self, event: told.AudioDelta | told.TranscriptDelta | told.TextDelta) -> Change | None:
        found = self._part(event)
        if found is None:
            return None
        owner, item_id, growing = found
        growing.is_over = False
        if isinstance(event, told.AudioDelta):
            try:
                audio = growing.grow(event.delta, partial(self._note_odd_sound, event.type))
            except ProtocolError as error:
                self._break(owner, f"{event.type}: {error.problem}")
                return None
            return Sounded(owner, item_id, audio, growing.is_commentary) if audio else None
        spoken = isinstance(event, told.TranscriptDelta)
        words = growing.spoken if spoken else growing.written
        words.setdefault(event.content_index, Words()).pieces.append(event.delta)
        return Worded(owner, item_id, event.delta, spoken, growing.is_commentary) if event.delta else None

    def _note_odd_sound(self, kind: str, oddity: str) -> None:
        self.odd[f"{kind}: {oddity}"] += 1

    def _complete(self, event: told.TranscriptDone | told.TextDone) -> Change | None:
        """Take the words of a part as its end tells them; they are news where no delta brought any."""
        found = self._part(event)
        if found is None:
            return None
        owner, item_id, growing = found
        spoken = isinstance(event, told.TranscriptDone)
        whole = event.transcript if isinstance(event, told.TranscriptDone) else event.text
        words = (growing.spoken if spoken else growing.written).setdefault(event.content_index, Words())
        news = words.end(whole) if whole else ""
        growing.is_over = growing.is_over or not spoken
        return Worded(owner, item_id, news, spoken, growing.is_commentary) if news else None

    def _sound_announced(self, event: told.AudioDone | told.ContentPartAdded | told.ContentPartDone) -> Change | None:
        found = self._part(event)
        if found is None:
            return None
        owner, _, growing = found
        if isinstance(event, told.ContentPartAdded):
            growing.awaits_sound = growing.awaits_sound or event.part.type in SOUNDING_PARTS
            return None
        if isinstance(event, told.ContentPartDone):
            for words, whole in ((growing.spoken, event.part.transcript), (growing.written, event.part.text)):
                if whole and not str(words.get(event.content_index, "")):
                    words[event.content_index] = Words(whole=whole)
        growing.awaits_sound = False
        growing.is_over = True
        return self._ended_with_sound(owner)

    def _learn(self, event: told.OutputItemAdded | told.OutputItemDone) -> Change | None:
        item_id = event.item.id
        owner = self._owner(event.response_id, item_id)
        if owner in self._finished:
            return None
        self._goes_on(owner)
        items = self._incoming.setdefault(owner, _Incoming()).items
        growing = items.setdefault(item_id or next(reversed(items), ""), Growing.in_format(self.form))
        growing.learn(event.item)
        growing.is_over = isinstance(event, told.OutputItemDone)
        if growing.is_over:
            growing.awaits_sound = False
        return self._ended_with_sound(owner)

    def _call(self, event: told.FunctionArgumentsDelta | told.FunctionArgumentsDone) -> None:
        found = self._part(event)
        if found is None:
            return
        _, _, growing = found
        growing.is_over = isinstance(event, told.FunctionArgumentsDone)
        if isinstance(event, told.FunctionArgumentsDone):
            growing.learn_call(ToolCall(event.call_id, event.name, event.arguments))
        else:
            growing.learn_call(ToolCall(event.call_id, "", ""))
            growing.arguments.append(event.delta)

    def _begin(self, response_id: str) -> Change | None:
        response_id = response_id or self._unnamed()
        if response_id in self._uncreated:
            self._uncreated.discard(response_id)
            self.odd["response.created: it came after the end of its response; left out"] += 1
            return None
        self._finished.discard(response_id)  # some servers use one id for all their responses
        nameless = [key for key in self._incoming if key in self._nameless]
        formerly = nameless[0] if nameless and response_id not in self._incoming else ""
        early = self._incoming.pop(formerly, None) or _Incoming()
        self._ending.pop(formerly, None)
        self._incoming.setdefault(response_id, early).has_begun = True
        return Began(response_id, formerly)

    def _break(self, response_id: str, problem: str) -> None:
        """Note that a response cannot be whole any more."""
        self.odd[f"{problem}; its response is not whole"] += 1
        incoming = self._incoming[response_id]
        incoming.problem = incoming.problem or problem

    def _unusable(self, event: told.UnusableEvent) -> None:
        problem = f"{event.type}: {event.problem}" if event.type else event.problem
        said = self._said.setdefault(problem, set())
        if event.words and len(said) < MOST_WORDINGS:
            said.add(event.words)
        if event.words in said:
            problem = f'{problem} ("{event.words}")'
        owner = self._owner(event.response_id, event.item_id)
        if event.breaks_response and owner in self._incoming:
            self._break(owner, problem)
        else:
            self.odd[f"{problem}; left out"] += 1

    # ---- the end of a response

    def _done(self, event: told.ResponseDone) -> Change | None:
        items = (item.id for item in event.response.output)
        response_id = self._owner(event.response.id or event.response_id, *items)
        if response_id in self._finished:
            self._pay_late(response_id, event)
            return None
        if response_id not in self._incoming and len(self._incoming) == 1:
            response_id = next(iter(self._incoming))
        event = self._explained(event, self._ending.get(response_id))
        if event.spelt and event.spelt not in self._final and not event.tells_usage:
            self._ending[response_id] = _Ending(event, is_told=True)
            return None
        if self._awaits_sound(response_id) and status_in(event.response) == "completed" and self._tells_ends_of_sound:
            self._ending[response_id] = _Ending(event, is_told=True)
            return None
        return self._end(response_id, event)

    def _pay_late(self, response_id: str, event: told.ResponseDone) -> None:
        """Count what a response has used that had to end before its usage was told."""
        if response_id in self._unpaid and event.tells_usage:
            self._unpaid.discard(response_id)
            self.usage += _used(event, (), has_calls=False, failed=False)

    def _explained(self, event: told.ResponseDone, before: _Ending | None) -> told.ResponseDone:
        """Return an end with the server's words on it, where they came before."""
        error = before.event.response.error if before else None
        has_words = event.response.error and event.response.error.message
        if error is None or has_words or status_in(event.response) != "failed":
            return event
        return event.model_copy(update={"response": event.response.model_copy(update={"error": error})})

    def _awaits_sound(self, response_id: str) -> bool:
        incoming = self._incoming.get(response_id)
        return incoming is not None and any(
            growing.awaits_sound or growing.lacks_sound for growing in incoming.items.values()
        )

    def _ended_with_sound(self, response_id: str) -> Change | None:
        ending = self._ending.get(response_id)
        if ending is None or not ending.is_final or self._awaits_sound(response_id):
            return None
        return self._end(response_id, ending.event)

    def _end(self, response_id: str, event: told.ResponseDone) -> Ended:
        self._finished.add(response_id)
        self._ending.pop(response_id, None)
        incoming = self._incoming.pop(response_id, None) or _Incoming()
        items = incoming.items
        ids = self._learn_all(items, event.response.output) or [item_id for item_id in items if item_id]
        if not incoming.has_begun:
            self._uncreated.add(response_id)
        said: list[Commentary] = []
        comments: list[Commentary] = []
        for item_id, growing in items.items():
            audio = growing.finish()
            if audio:
                self.remember(item_id, audio)
            (comments if growing.is_commentary else said).append(Commentary(growing.transcript, growing.text, audio))
        status, reason, message = outcome(event.response, incoming.problem)
        calls = tuple(call for item_id, growing in items.items() if (call := growing.tool_call(item_id)))
        usage = _used(event, [*said, *comments], has_calls=bool(calls), failed=status == "failed")
        if usage.seconds is not None:
            usage, self._text_messages = replace(usage, text_messages=self._text_messages), 0
        self.usage += usage
        if usage.untold:
            self._unpaid.add(response_id)
        return Ended(
            response_id,
            Response(
                id=response_id,
                status=status,
                reason=reason,
                message=message,
                transcript="".join(part.transcript for part in said),
                text="".join(part.text for part in said),
                audio=Pcm.join(part.audio for part in said),
                calls=calls,
                item_ids=tuple(ids),
                usage=usage,
                metadata=event.response.metadata or {},
                commentary=tuple(comments),
            ),
        )

    def _learn_all(self, items: dict[str, Growing], told_items: Sequence[Item]) -> list[str]:
        """Take in the items that the end of a response lists, perhaps under other ids, and give their ids.

        Args:
            items: What came of the response.
            told_items: As the end lists them.
        """
        others = [item_id for item_id in items if item_id not in {item.id for item in told_items}]
        ids: list[str] = []
        for item in told_items:
            item_id = item.id
            if item_id not in items:
                item_id = next((other for other in others if items[other].may_be(item)), item_id)
            if item_id in others:
                others.remove(item_id)
            items.setdefault(item_id, Growing.in_format(self.form)).learn(item)
            ids.append(item_id if item_id in self.items else item.id)
        return ids

    # ---- items and input

    def _note(self, event: told.ServerEvent) -> None:
        match event:
            case told.UnknownEvent():
                self.unknown[event.type] += 1
            case told.ConversationItemAdded() | told.ConversationItemDone() | told.ConversationItemCreated():
                self._place(event.item, event.previous_item_id)
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

    def _change(self, item_id: str, how: Callable[[Entry], Entry]) -> None:
        if item_id in self.items:
            self.items[item_id] = how(self.items[item_id])

    def _place(self, item: Item, previous_item_id: str | None) -> None:
        for incoming in self._incoming.values():
            if item.phase and item.id in incoming.items:
                incoming.items[item.id].phase = item.phase
        self._insert(Entry.of(item), previous_item_id)

    def _insert(self, entry: Entry, previous_item_id: str | None) -> None:
        if not entry.id:
            return
        if early := self._early.pop(entry.id, None):
            entry = replace(entry, transcript=early)
        if entry.id not in self.items and entry.role in ("user", "system") and entry.text:
            self._text_messages += 1
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
        self._insert(Entry(item_id, "message", "user", "completed", audio=kept, heard_ms=heard_ms), None)

    def _transcript(self, event: told.TranscriptionCompleted) -> None:
        """Take a transcript; one that is still in progress (xAI) is followed by others, and counts nothing."""
        if event.item_id in self.items:
            self._change(event.item_id, lambda entry: replace(entry, transcript=event.transcript))
        elif event.item_id:
            self._early[event.item_id] = event.transcript
        key = (event.item_id, event.content_index)
        if event.status == "in_progress" or key in self._transcribed:
            return
        self._transcribed.add(key)
        self.transcription += usage_of(event)


def usage_of(event: told.TranscriptionCompleted) -> Usage:
    """Return the tokens or seconds of one transcript; words whose usage the server did not tell cost an unknown sum."""
    usage = Usage.from_wire(event.usage, written=True)
    return usage if event.transcript or not usage.untold else Usage()


def _used(event: told.ResponseDone, made: Sequence[Commentary], *, has_calls: bool, failed: bool) -> Usage:
    """Return the usage of a response, from wherever the server tells it.

    What nobody has heard of, and whose usage was not told, has used nothing. What was heard and is told to have used
    nothing has an unknown cost, but where it failed: then the provider forgoes it.

    Args:
        event: The end of the response.
        made: What it said.
        has_calls: Whether it called tools.
        failed: Whether it failed.
    """
    sounds = any(part.audio for part in made)
    is_spoken = sounds or any(part.transcript for part in made)
    is_written = not is_spoken and (has_calls or any(part.text for part in made))
    usage = Usage.from_wire(event.response.usage, written=is_written)
    if usage.untold:
        usage = Usage.from_wire(event.usage, written=is_written)
    if not (is_spoken or is_written):
        return Usage() if usage.untold else usage
    return replace(usage, untold=1) if usage.is_nothing and not failed else usage
