"""The conversation as a client sees it: a plain object fed with server events. The only place its state moves.

Theory of operation
===================

A response goes through three states; ids decide which response an event is about.

``incoming``
    From ``response.created``, or from the first event that is about it, until its end. It grows item by item; each
    item is a ``PartialItem``.
``ending``
    Its end is known, and more may come. ``response.done`` came while sound was still announced, or lacked for words
    that are spoken. Or an error that no request explains stands for the end; then whatever comes of the response takes
    that back. Or the server spells the end otherwise and may send ``response.done`` yet, with the usage.
``finished``
    Over, and known by its id, so that nothing counts twice. What still comes of it is left out and noted; only usage
    that was owed is still counted.

An event that names no known response is about the one its item belongs to, else about the youngest that is incoming;
where none is, it begins a response without a name, which ``response.created`` may name later.
Events of one response may come in any order. An ending response ends with the end of its sound, or by ``settle``: the
caller keeps the clock, and calls it when nothing more has come for a moment. Where everything that was begun has come
and the server owes the end (``is_over``), the caller may presume it.

Items and input have no states of their own; ``Entries`` keeps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from tau_stage.audio import PCM16, Format, Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol.entries import Entries, Entry, InputBuffer, ToolCall
from tau_stage.protocol.items import Item
from tau_stage.protocol.responses import (
    AudioChunk,
    Commentary,
    PartialItem,
    Response,
    ResponseBegan,
    ResponseChange,
    ResponseEnded,
    TextChunk,
    timings_in_a_row,
)
from tau_stage.protocol.server_events import (
    AudioDelta,
    AudioDone,
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    OutputItemDone,
    OutputItemEvent,
    PlacedItemEvent,
    ResponseCreated,
    ResponseDone,
    ResponsePieceEvent,
    ServerError,
    ServerEvent,
    Status,
    TextDelta,
    TextDone,
    TimingEvent,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionCompleted,
    UnknownEvent,
    UnusableEvent,
    WireResponse,
)
from tau_stage.protocol.usage import Usage

UNUSABLE = "unusable_event"  # reason of a response that failed because something of it could not be used
MOST_WORDINGS = 3  # how many of a server's sentences are told of one kind of frame that is no event
PieceEnd = AudioDone | ContentPartDone | TextDone | FunctionArgumentsDone  # with these a piece of an item is whole
MayFollowEnd = TranscriptDone | ContentPartAdded | TimingEvent  # these leave a whole item whole
SOUND = AudioDelta.model_fields["type"].default  # the type of events with sound
SOUNDING_PARTS = frozenset({"audio", "output_audio"})  # types of content parts that sound


_is_over = attrgetter("is_over")


@dataclass(slots=True)
class _Incoming:
    """A response that is still coming in, by items; not whole where a ``problem`` is what could not be used."""

    form: Format
    items: dict[str, PartialItem] = field(default_factory=dict)
    announced: str = ""
    problem: str = ""
    has_begun: bool = False

    @property
    def is_over(self) -> bool:
        """Whether all that was begun of it has come."""
        return bool(self.items) and all(map(_is_over, self.items.values()))

    @property
    def youngest(self) -> str:
        """The id of the item that began last; empty where there is none, or where it has no id."""
        return next(reversed(self.items), "")

    def item(self, item_id: str) -> PartialItem:
        """Return an item; a new one where it is not known."""
        item = self.items.get(item_id)
        if item is None:
            item = self.items[item_id] = PartialItem(self.form.decoder())
        return item


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a response ends when nothing more of it comes, and whether more came after its end.

    An end that the server did not tell follows from an error that names no response, and may be about something else.
    """

    event: ResponseDone
    is_told: bool
    goes_on: bool = False

    @property
    def is_final(self) -> bool:
        """Whether no other end is to be expected."""
        return self.is_told and not self.event.spelt


class Conversation:
    """Items, responses and usage of one session, as the server told them.

    Args:
        form: How the server's sound travels.
        keeps_audio: Whether items keep their sound; without, memory does not grow with what is said.

    Attributes:
        entries: Its items, and what was appended and is no item yet.
        usage: Sum over all responses, each counted once.
        transcription: Sum over all transcripts of the input, each counted once.
        unknown: How often each event type came that this version does not know.
        odd: How often something came that is not as the protocol has it, by the sentence that says so.
    """

    def __init__(self, form: Format = PCM16, *, keeps_audio: bool = True) -> None:
        self.form = form
        self.entries = Entries(keeps_audio=keeps_audio)
        self.usage = Usage()
        self.transcription = Usage()
        self.unknown: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self._incoming: dict[str, _Incoming] = {}
        self._ending: dict[str, _Ending] = {}
        self._finished: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._nameless: set[str] = set()
        self._never_begun: set[str] = set()
        self._without_usage: set[str] = set()
        self._transcribed: set[tuple[str, int]] = set()
        self._tells_ends_of_sound = True
        self._final_spellings: set[str] = set()
        self._quoted: dict[str, set[str]] = {}
        self._sounding: tuple[str, str, PartialItem] | None = None

    @property
    def items(self) -> dict[str, Entry]:
        """Its items by id, in order: ``list(items.values())[-1]`` is the last."""
        return self.entries.by_id

    @property
    def input(self) -> InputBuffer:
        """What was appended and is no item yet."""
        return self.entries.input

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the responses that are still coming in."""
        return tuple(self._incoming)

    @property
    def is_ending(self) -> bool:
        """Whether a response ends unless more of it comes soon: call ``settle`` when nothing does."""
        return bool(self._ending)

    def knows(self, item_id: str) -> bool:
        """Tell whether an item is in the conversation, or is coming in."""
        return item_id in self.items or any(item_id in incoming.items for incoming in self._incoming.values())

    def apply(self, event: ServerEvent) -> ResponseChange | None:
        """Take in one event and say what changed for a listener, if anything."""
        if not isinstance(event, TranscriptDelta):
            self._sounding = None
        match event:
            case ResponsePieceEvent():
                return self._grow(event)
            case OutputItemEvent():
                return self._learn(event)
            case ResponseCreated():
                return self._begin(event.response.id)
            case ResponseDone():
                return self._done(event)
            case UnusableEvent():
                self._note_unusable(event)
            case UnknownEvent():
                self.unknown[event.type] += 1
            case _:
                self._note(event)
        return None

    @property
    def is_sounding(self) -> bool:
        """Whether sound came last, but for its words: ``add_sound`` takes in what follows."""
        return self._sounding is not None and not self._ending

    def add_sound(self, data: bytes) -> AudioChunk | None:
        """Take in another delta of the sound that came last, decoded, as ``apply`` takes in its event."""
        assert self._sounding  # noqa: S101 - the caller has looked
        return self._add_sound(*self._sounding, data)

    @property
    def is_over(self) -> bool:
        """Whether all that was begun has come, and only the end of the response is still owed."""
        return bool(self._incoming) and all(map(_is_over, self._incoming.values()))

    def presume_end(self) -> None:
        """Let the responses end whose end is owed: call ``settle`` then."""
        for response_id in self._incoming:
            self.odd["no response.done arrived; the response is assumed to have ended"] += 1
            response = WireResponse(id=response_id, status="completed")
            self._ending.setdefault(response_id, _Ending(ResponseDone(response=response), is_told=False))

    def settle(self) -> ResponseEnded | None:
        """End a response of which nothing more comes; None where there is none. Call it until it gives None."""
        for response_id, ending in self._ending.items():
            if ending.is_final and not ending.goes_on:
                self._tells_ends_of_sound = False
            self._final_spellings.add(ending.event.spelt)
            return self._end(response_id, ending.event)
        return None

    def blame(self, error: ServerError) -> None:
        """Let the youngest incoming response end as failed, unless more of it comes: no request explains an error."""
        response_id = next(reversed(self._incoming), None)
        if response_id is not None and response_id not in self._ending:
            response = WireResponse(id=response_id, status="failed", error=error)
            self._ending[response_id] = _Ending(ResponseDone(response=response), is_told=False)

    def lose_responses(self) -> None:
        """End the responses that are still coming in: their connection is gone. What was heard has an unknown cost."""
        for response_id in self.active:
            ending = self._ending.get(response_id)
            lost = ResponseDone(response=WireResponse(id=response_id, status="incomplete"))
            self._end(response_id, ending.event if ending and ending.is_told else lost)

    # ---- a response while it comes in

    def _owner(self, response_id: str, *item_ids: str) -> str:
        """Return the response that an event is about: by its id, by its item, else by the order of events."""
        response_id = self._aliases.get(response_id, response_id)
        if response_id in self._incoming or response_id in self._finished:
            return response_id
        known = set(filter(None, item_ids))
        for owner, incoming in self._incoming.items():
            if not known.isdisjoint(incoming.items):
                return owner
        youngest = next(reversed(self._incoming), "")
        if not response_id:
            return youngest or self._make_name()
        if youngest and not self._incoming[youngest].items:
            self._aliases[response_id] = youngest
            return youngest
        return response_id

    def _make_name(self) -> str:
        name = f"unnamed_{len(self._finished) + 1}"
        self._nameless.add(name)
        return name

    def _grow(self, event: ResponsePieceEvent) -> ResponseChange | None:
        """Take in an event about one item of a response that is not over."""
        owner = self._owner(event.response_id, event.item_id)
        if owner in self._finished:
            self.odd[f"{event.type}: arrived after the end of its response; ignored"] += 1
            return None
        item_id, item = self._item(self._growing(owner), event.item_id)
        item.is_over = isinstance(event, PieceEnd) or (item.is_over and isinstance(event, MayFollowEnd))
        match event:
            case AudioDelta():
                return self._add_sound(owner, item_id, item, event.delta)
            case TranscriptDelta() | TextDelta() | TranscriptDone() | TextDone():
                return self._add_words(owner, item_id, item, event)
            case TimingEvent():
                item.learn_time(event)
            case ContentPartAdded():
                item.awaits_sound = item.awaits_sound or event.part.type in SOUNDING_PARTS
            case FunctionArgumentsDone():
                item.learn_call(ToolCall(event.call_id, event.name, event.arguments))
            case FunctionArgumentsDelta():
                item.learn_call(ToolCall(event.call_id, "", ""))
                item.arguments.append(event.delta)
            case ContentPartDone():
                item.end_part(event.content_index, event.part)
                return self._end_with_sound(owner, item)
            case _:
                return self._end_with_sound(owner, item)
        return None

    def _item(self, incoming: _Incoming, item_id: str) -> tuple[str, PartialItem]:
        """Return an item of a response; one that is not known is the one announced last, else a new one."""
        if item_id not in incoming.items:
            item_id = incoming.announced or item_id or incoming.youngest
        return item_id, incoming.item(item_id)

    def _growing(self, response_id: str) -> _Incoming:
        """Return a response of which something comes: an error was then not its end, and an end that was told early."""
        ending = self._ending.pop(response_id, None)
        if ending is not None and ending.is_told:
            self._ending[response_id] = replace(ending, goes_on=True)
        incoming = self._incoming.get(response_id)
        if incoming is None:
            incoming = self._incoming[response_id] = _Incoming(self.form)
        return incoming

    def _add_sound(self, owner: str, item_id: str, item: PartialItem, delta: str | bytes) -> AudioChunk | None:
        try:
            audio, oddity = item.grow(delta)
        except ProtocolError as error:
            self._mark_broken(owner, f"{SOUND}: {error.problem}")
            return None
        if oddity:
            self.odd[f"{SOUND}: {oddity}"] += 1
        if not audio:
            return None
        self._sounding = owner, item_id, item
        return AudioChunk(owner, item_id, audio, item.is_commentary)

    def _add_words(
        self,
        owner: str,
        item_id: str,
        item: PartialItem,
        event: TranscriptDelta | TextDelta | TranscriptDone | TextDone,
    ) -> ResponseChange | None:
        """Take words as they come, and as the end of their part tells them: news then where no delta brought any."""
        if self._sounding and self._sounding[2] is not item:
            self._sounding = None
        spoken = isinstance(event, TranscriptDelta | TranscriptDone)
        words = item.words(event.content_index, spoken=spoken)
        if isinstance(event, TranscriptDelta | TextDelta):
            news = event.delta
            words.pieces.append(news)
        else:
            whole = event.transcript if isinstance(event, TranscriptDone) else event.text
            news = words.end(whole) if whole else ""
        return TextChunk(owner, item_id, news, spoken, item.is_commentary) if news else None

    def _learn(self, event: OutputItemEvent) -> ResponseChange | None:
        item_id = event.item.id
        owner = self._owner(event.response_id, item_id)
        if owner in self._finished:
            return None
        incoming = self._growing(owner)
        item_id = item_id or incoming.youngest
        item = incoming.item(item_id)
        if item.entry is None:
            incoming.announced = item_id
        item.learn(event.item)
        item.is_over = isinstance(event, OutputItemDone)
        return self._end_with_sound(owner, item) if item.is_over else None

    def _begin(self, response_id: str) -> ResponseChange | None:
        response_id = response_id or self._make_name()
        if response_id in self._never_begun:
            self._never_begun.discard(response_id)
            self.odd["response.created: arrived after the end of its response; ignored"] += 1
            return None
        self._finished.discard(response_id)  # some servers use one id for all their responses
        nameless = [key for key in self._incoming if key in self._nameless]
        formerly = nameless[0] if nameless and response_id not in self._incoming else ""
        early = self._incoming.pop(formerly, None) or _Incoming(self.form)
        self._ending.pop(formerly, None)
        self._incoming.setdefault(response_id, early).has_begun = True
        return ResponseBegan(response_id, formerly)

    def _mark_broken(self, response_id: str, problem: str) -> None:
        """Note that a response cannot be whole any more."""
        self.odd[f"{problem}; its response is incomplete"] += 1
        incoming = self._incoming[response_id]
        incoming.problem = incoming.problem or problem

    def _note_unusable(self, event: UnusableEvent) -> None:
        problem = f"{event.type}: {event.problem}" if event.type else event.problem
        said = self._quoted.setdefault(problem, set())
        if event.words and len(said) < MOST_WORDINGS:
            said.add(event.words)
        if event.words in said:
            problem = f'{problem} ("{event.words}")'
        owner = self._owner(event.response_id, event.item_id)
        if event.breaks_response and owner in self._incoming:
            self._mark_broken(owner, problem)
        else:
            self.odd[f"{problem}; ignored"] += 1

    # ---- the end of a response

    def _done(self, event: ResponseDone) -> ResponseChange | None:
        items = (item.id for item in event.response.output)
        response_id = self._owner(event.response.id or event.response_id, *items)
        if response_id in self._finished:
            self._add_late_usage(response_id, event)
            return None
        if response_id not in self._incoming and len(self._incoming) == 1:
            response_id = next(iter(self._incoming))
        event = self._with_earlier_error(event, self._ending.get(response_id))
        owes_done = event.spelt and event.spelt not in self._final_spellings and not event.tells_usage
        owes_sound = self._owes_sound(response_id) and event.response.outcome == "completed"
        if owes_done or (owes_sound and self._tells_ends_of_sound):
            self._ending[response_id] = _Ending(event, is_told=True)
            return None
        return self._end(response_id, event)

    def _add_late_usage(self, response_id: str, event: ResponseDone) -> None:
        """Count what a response has used that had to end before its usage was told."""
        if response_id in self._without_usage and event.tells_usage:
            self._without_usage.discard(response_id)
            self.usage += _used(event, (), has_calls=False, failed=False)

    def _with_earlier_error(self, event: ResponseDone, before: _Ending | None) -> ResponseDone:
        """Return an end with the server's words on it, where they came before."""
        error = before.event.response.error if before else None
        has_words = event.response.error and event.response.error.message
        if error is None or has_words or event.response.outcome != "failed":
            return event
        return event.model_copy(update={"response": event.response.model_copy(update={"error": error})})

    def _owes_sound(self, response_id: str) -> bool:
        incoming = self._incoming.get(response_id)
        return incoming is not None and any(item.owes_sound for item in incoming.items.values())

    def _end_with_sound(self, response_id: str, item: PartialItem) -> ResponseChange | None:
        """End a response whose end waited for the sound of this item, which has ended."""
        item.awaits_sound = False
        ending = self._ending.get(response_id)
        if ending is None or not ending.is_final or self._owes_sound(response_id):
            return None
        return self._end(response_id, ending.event)

    def _end(self, response_id: str, event: ResponseDone) -> ResponseEnded:
        self._sounding = None
        self._finished.add(response_id)
        self._ending.pop(response_id, None)
        incoming = self._incoming.pop(response_id, None) or _Incoming(self.form)
        if not incoming.has_begun:
            self._never_begun.add(response_id)
        ids = self._learn_output(incoming, event.response.output) or list(filter(None, incoming.items))
        said, comments = self._finish_items(incoming)
        status, reason, message = _outcome(event.response, incoming.problem)
        calls = tuple(call for item_id, item in incoming.items.items() if (call := item.tool_call(item_id)))
        usage = _used(event, [*said, *comments], has_calls=bool(calls), failed=status == "failed")
        response = Response(
            id=response_id,
            status=status,
            reason=reason,
            message=message,
            transcript="".join(part.transcript for part in said),
            text="".join(part.text for part in said),
            audio=Pcm.join(part.audio for part in said),
            calls=calls,
            item_ids=tuple(ids),
            usage=self._count(response_id, usage),
            metadata=event.response.metadata or {},
            commentary=tuple(comments),
            timings=timings_in_a_row(said),
        )
        return ResponseEnded(response_id, response)

    def _finish_items(self, incoming: _Incoming) -> tuple[list[Commentary], list[Commentary]]:
        """Take the words and the sound of all items: of the answer, and of the commentary."""
        said: list[Commentary] = []
        comments: list[Commentary] = []
        before = 0
        for item_id, item in incoming.items.items():
            told = item.finish(before)
            before += len(told.audio)
            if told.audio:
                self.entries.keep_audio(item_id, told.audio)
            (comments if item.is_commentary else said).append(told)
        return said, comments

    def _count(self, response_id: str, usage: Usage) -> Usage:
        """Count the usage of a response; where time is billed, with the text messages since the one before."""
        if usage.seconds is not None:
            usage = replace(usage, text_messages=self.entries.take_text_messages())
        self.usage += usage
        if usage.untold:
            self._without_usage.add(response_id)
        return usage

    def _learn_output(self, incoming: _Incoming, told: Sequence[Item]) -> list[str]:
        """Take in the items that the end of a response lists, perhaps under other ids, and give their ids."""
        others = dict.fromkeys(incoming.items)
        for item in told:
            others.pop(item.id, None)
        ids: list[str] = []
        for item in told:
            item_id = item.id
            if item_id not in incoming.items:
                item_id = next((other for other in others if incoming.items[other].may_be(item)), item_id)
                others.pop(item_id, None)
            incoming.item(item_id).learn(item)
            ids.append(item_id if item_id in self.items else item.id)
        return ids

    # ---- items and input

    def _note(self, event: ServerEvent) -> None:
        if isinstance(event, PlacedItemEvent) and event.item.phase:
            for incoming in self._incoming.values():
                if event.item.id in incoming.items:
                    incoming.items[event.item.id].phase = event.item.phase
        elif isinstance(event, TranscriptionCompleted):
            self._count_transcript(event)
        self.entries.apply(event)

    def _count_transcript(self, event: TranscriptionCompleted) -> None:
        """Count a transcript once; one that is still in progress (xAI) is followed by others, and counts nothing."""
        key = (event.item_id, event.content_index)
        if event.status != "in_progress" and key not in self._transcribed:
            self._transcribed.add(key)
            self.transcription += usage_of(event)


def _outcome(response: WireResponse, problem: str) -> tuple[Status, str | None, str]:
    """Tell how a response ended, why, and the server's words on it; ``problem`` is what of it could not be used."""
    details, error = response.status_details, response.failure
    reason = (error.code or error.type) if error else details.reason if details else None
    message = error.message if error else ""
    if problem:
        message = f"the server sent unusable data: {problem}" + (f" ({message})" if message else "")
        return "failed", UNUSABLE, message
    return response.outcome, reason, message


def usage_of(event: TranscriptionCompleted) -> Usage:
    """Return the tokens or seconds of one transcript; words whose usage the server did not tell cost an unknown sum."""
    usage = Usage.from_wire(event.usage, written=True)
    return usage if event.transcript or not usage.untold else Usage()


def _used(event: ResponseDone, made: Sequence[Commentary], *, has_calls: bool, failed: bool) -> Usage:
    """Return the usage of a response, from wherever the server tells it.

    What nobody has heard of, and whose usage was not told, has used nothing. What was heard and is told to have used
    nothing has an unknown cost, but where it failed: then the provider forgoes it.
    """
    is_spoken = any(part.audio or part.transcript for part in made)
    is_written = not is_spoken and (has_calls or any(part.text for part in made))
    usage = Usage.from_wire(event.response.usage, written=is_written)
    if usage.untold:
        usage = Usage.from_wire(event.usage, written=is_written)
    if not (is_spoken or is_written):
        return Usage() if usage.untold else usage
    return replace(usage, untold=1) if usage.is_nothing and not failed else usage
