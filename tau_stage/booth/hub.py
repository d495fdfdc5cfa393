"""What a booth knows: who publishes, what happened of late, which pages look on, and how far each has kept up.

Theory of operation
===================

A *source* is a session, a performance, or a take that is over. Sources say what happens; the hub numbers each event,
keeps the newest of all sources, and puts it into the queue of each page. A page that does not read loses what its queue
cannot hold, and is told how much; nobody waits for it. A page that comes back names the last event it has seen, and
gets what is kept of the rest. Of each source, the newest that matter to whoever comes late are kept for longer: items,
answers and costs of a session, records of a performance. A source says how much happened before it found this hub.

Sound is taken out of an event, decoded once, sent to pages in binary, and kept for a while, item by item, so that a
line can be heard again.
"""

from __future__ import annotations

import json
import logging
import secrets
import struct
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import anyio
import pybase64
from pydantic_core import from_json

from tau_stage.audio import PCM16, RATE, Decoder, Format, Pcm
from tau_stage.environment import log_event
from tau_stage.protocol import JsonObject
from tau_stage.signals import Signal

KEPT_EVENTS = 10_000
KEPT_GONE = {"session": 200, "stage": 100}
"""Sources that are gone and can still be seen; takes that were attached all stay."""

KEPT_ITEMS = 1000
"""Items of one source whose sound may still go on."""

KEPT_FOR_LONGER = {"session": 200, "stage": 20_000, "take": 20_000}
"""Events of one source that matter to a page which comes late."""

PASSING = frozenset(
    {
        "input_audio_buffer.append",
        "rate_limits.updated",
        "hearing_began",
        "words_progress",
        "audio_progress",
        "player_state",
        "person_prompted",
    }
)
"""What tells nothing later, but for deltas."""

KEPT_SOUND = 128 * 1024 * 1024
"""Bytes of sound that can be heard again; the oldest items go first."""

LONGEST_NAME = 200
LONGEST_CLOCK_S = 1e12  # what shows more is no clock
LEAST_RATE, MOST_RATE = 4_000, 192_000
LONGEST_TEXT = 20_000
"""Characters of one text within an event; the rest is counted."""

MOST_QUEUED = 24 * 1024 * 1024
"""Bytes that may wait for one page."""

MOST_AT_ONCE = 512 * 1024
"""Bytes that a page is sent at once, so that it reads them without a pause that is seen."""

SOUND_HEADER = struct.Struct("<IIII")
"""Before each piece of sound: its source, the number of its item, its first sample, and how many samples it has."""

DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})


@dataclass(slots=True)
class Feed:
    """Whoever publishes.

    Attributes:
        id: The hub's own number.
        kind: ``session``, ``stage`` or ``take``.
        name: No other source has it.
        hello: What it says of itself.
        send: Sends it what a page asks for; None where it is gone.
        gone: Why it is gone.
        dropped: Messages that it could not publish in time.
        missed: Messages that it could not publish, as it found no hub.
        lasting: Events that a page which comes late is told, with their numbers.
        told: How often it has told each record of its journal, by hash.
        offset_s: Seconds from its clock to the hub's; None where nothing has told it.
    """

    id: int
    kind: str
    name: str
    hello: JsonObject
    send: Callable[[JsonObject], None] | None
    gone: str = ""
    dropped: int = 0
    missed: int = 0
    told: Counter[int] = field(default_factory=Counter)
    lasting: deque[tuple[int, str]] = field(default_factory=deque)
    items: dict[str, ItemSound] = field(default_factory=dict)
    form: Format = PCM16
    offset_s: float | None = None

    @property
    def described(self) -> JsonObject:
        """What a page is told of it."""
        about = {"id": self.id, "kind": self.kind, "name": self.name, "connected": self.send is not None}
        counts = {"dropped": self.dropped, "missed": self.missed}
        return {**self.hello, **about, "gone": self.gone, "offset_s": self.offset_s, **counts}

    def compare_clocks(self, at_s: object, now_s: float) -> None:
        """Learn the difference of clocks from what it says now: the smallest is the nearest to the true one."""
        if self.kind != "take" and isinstance(at_s, int | float) and abs(at_s) < LONGEST_CLOCK_S:
            offset_s = now_s - at_s
            self.offset_s = offset_s if self.offset_s is None else min(self.offset_s, offset_s)


@dataclass(slots=True)
class ItemSound:
    """The sound of one item of a conversation: its number, and how much of it has come."""

    number: int
    decoder: Decoder
    samples: int = 0


class PageQueue:
    """What waits for one page: texts and sounds, in order.

    Attributes:
        listens: The sources whose sound it wants; None: all.
    """

    def __init__(self) -> None:
        self._waiting: deque[str | bytes] = deque()
        self._size = 0
        self._missed = [0, 0]
        self._is_greeted = False
        self._changed = Signal()
        self.listens: frozenset[int] | None = None

    def add(self, message: str | bytes) -> None:
        """Put a message into the queue; one that finds it full is counted."""
        if self._size + len(message) > MOST_QUEUED:
            self._missed[isinstance(message, bytes)] += 1
            return
        self._waiting.append(message)
        self._size += len(message)
        if len(self._waiting) == 1:
            self._changed.notify()

    def _taken(self) -> tuple[list[bytes], list[str]]:
        """Take pieces of sound and texts off the queue, as many as may be sent at once."""
        pieces: list[bytes] = []
        texts: list[str] = []
        size = 0
        while self._waiting and size < MOST_AT_ONCE:
            message = self._waiting.popleft()
            size += len(message)
            if isinstance(message, str):
                texts.append(message)
            else:
                pieces.append(message)
        self._size -= size
        return pieces, texts

    async def next(self) -> list[str | bytes]:
        """Wait for what is next: pieces of sound in one message, then texts in one array of JSON, each in its order."""
        await self._changed.until(lambda: bool(self._waiting))
        if not self._is_greeted:  # no sound is heard before it is known whose it is
            self._is_greeted = True
            greeting = self._waiting.popleft()
            self._size -= len(greeting)
            return [_array([greeting]) if isinstance(greeting, str) else greeting]
        pieces, texts = self._taken()
        messages: list[str | bytes] = [b"".join(pieces)] if pieces else []
        messages += [_array(texts)] if texts else []
        if any(self._missed):
            events, sounds = self._missed
            messages.append(_text([{"type": "missed", "events": events, "sounds": sounds}]))
            self._missed = [0, 0]
        return messages


class Hub:
    """Everything that a booth knows; it neither reads nor writes files or sockets.

    Args:
        epoch: As the attribute; a fresh one, if none is given.
        kept_sound: As ``KEPT_SOUND``.
        clock: Tells the seconds; pages compare their own clock with it.

    Attributes:
        epoch: Tells one life of a booth from another: numbers of events begin anew.
    """

    def __init__(
        self, epoch: str = "", kept_sound: int = KEPT_SOUND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.epoch = epoch or secrets.token_hex(4)
        self.sources: dict[int, Feed] = {}
        self.pages: set[PageQueue] = set()
        self._ids = count(1)
        self._numbers = count(1)
        self._events: deque[tuple[int, str]] = deque(maxlen=KEPT_EVENTS)
        self._newest = 0
        self._sounds: OrderedDict[tuple[int, str], bytearray] = OrderedDict()
        self._kept_sound = kept_sound
        self._clock = clock
        self._kept = 0
        self._answers: dict[int, tuple[PageQueue, object, Feed]] = {}
        self._wishes = count(1)

    # ---- sources

    def join(self, hello: JsonObject, send: Callable[[JsonObject], None] | None) -> Feed:
        """Take in a source that has said who it is; a source that comes back is the one that it was.

        Raises:
            ValueError: It does not say who it is, or not as it must.
            TypeError: As before.
        """
        kind, name = hello.get("kind"), hello.get("name")
        if kind not in ("session", "stage", "take") or not isinstance(name, str):
            raise ValueError("a hello requires a kind and a name")
        _check_take(hello)
        _text(hello)  # it can be told
        missed, before = int(hello.pop("missed", 0)), map(as_object, hello.pop("before", ()))
        records = [(message.get("at"), as_object(message.get("record"))) for message in before]
        source = next((one for one in self.sources.values() if one.send is None and _same(one.hello, hello)), None)
        if source is None:
            lasting = deque[tuple[int, str]](maxlen=KEPT_FOR_LONGER[kind])
            source = Feed(next(self._ids), kind, self._free(name[:LONGEST_NAME]), hello, send, lasting=lasting)
            self.sources[source.id] = source
            self._forget_gone()
        source.hello, source.send, source.gone, source.form = hello, send, "", _form(hello.get("output_format"))
        source.missed += missed
        source.offset_s = None  # it may be another process
        source.compare_clocks(hello.get("at"), self._clock())
        self.show({"type": "source", "source": source.described})
        self.catch_up(source, records)
        return source

    def _forget_gone(self) -> None:
        """Forget those that have gone before all others, where there are many."""
        for kind, most in KEPT_GONE.items():
            gone = [source.id for source in self.sources.values() if source.send is None and source.kind == kind]
            for number in gone[:-most]:
                del self.sources[number]
                self.show({"type": "forgotten", "source": number})

    def _free(self, name: str) -> str:
        taken = {source.name for source in self.sources.values()}
        return next(each for number in count(1) if (each := name if number == 1 else f"{name} {number}") not in taken)

    def leave(self, source: Feed, why: str) -> None:
        """Note that a source has gone; what it did stays."""
        source.send, source.gone = None, why
        for number, (page, wish, asked) in list(self._answers.items()):
            if asked is source:
                del self._answers[number]
                self.answer(page, wish, "the recipient is disconnected")
        self.show({"type": "source", "source": source.described})

    def take_in(self, source: Feed, frame: str) -> None:
        """Take in what a source says: a message a line. What cannot be read is shown as text."""
        for line in filter(None, frame.split("\n")):
            try:
                self._take_line(source, line)
            except (ValueError, TypeError) as error:
                log_event("booth", logging.WARNING, f"cannot read a message from {source.name!r}: {str(error)[:200]!r}")
                self._keep(source, None, {"event": {"type": "unreadable", "text": _shortened(line)}})

    def _take_line(self, source: Feed, line: str) -> None:
        message = read_message(line)
        source.compare_clocks(message.get("at"), self._clock())
        if "event" in message:
            self._event(source, message)
        elif "record" in message:
            self.keep_record(source, message.get("at"), as_object(message["record"]))
        elif "answer" in message:
            self._answer(message)
        elif "dropped" in message:
            source.dropped += int(message["dropped"])
            self.show({"type": "source", "source": source.described})

    def keep_record(self, source: Feed, at_s: object, record: JsonObject) -> None:
        """Keep something of a performance, and show it."""
        if "at_s" in record:
            source.told[_hash(record)] += 1
        self._keep(source, record.get("type"), {"at": at_s, "record": _shortened(record)})

    def catch_up(self, source: Feed, records: Iterable[tuple[object, JsonObject]]) -> None:
        """Keep, and show, what a source has not told yet of all that has happened in a performance."""
        told = source.told.copy()
        for at_s, record in records:
            key = _hash(record)
            if told[key]:
                told[key] -= 1
            else:
                self.keep_record(source, at_s, record)

    def _event(self, source: Feed, message: JsonObject) -> None:
        event = as_object(message["event"])
        told: JsonObject = {"at": message.get("at"), "from": message.get("from")}
        if event.get("type") in DELTAS and isinstance(event.get("delta"), str):
            told |= self._sound(source, str(event.get("item_id", "")), event["delta"])
            event = {**event, "delta": f"<{len(event['delta'])}>"}
        self._keep(source, event.get("type"), {**told, "event": _shortened(event)})

    def _sound(self, source: Feed, item_id: str, encoded: str) -> JsonObject:
        """Show a piece of sound to the pages that listen, and keep it."""
        item = source.items.get(item_id)
        if item is None:
            item = source.items[item_id] = ItemSound(next(self._ids), source.form.decoder())
            if len(source.items) > KEPT_ITEMS:
                del source.items[next(iter(source.items))]
        sound = item.decoder.feed(pybase64.b64decode(encoded))
        packed = SOUND_HEADER.pack(source.id, item.number, item.samples, len(sound)) + sound.data
        for page in self.pages:
            if page.listens is None or source.id in page.listens:
                page.add(packed)
        first, item.samples = item.samples, item.samples + len(sound)
        self._remember((source.id, item_id), sound)
        return {"item": item.number, "first": first, "samples": len(sound), "level": _level(sound)}

    def _remember(self, key: tuple[int, str], sound: Pcm) -> None:
        self._sounds.setdefault(key, bytearray()).extend(sound.data)
        self._kept += len(sound.data)
        while self._kept > self._kept_sound:
            _, oldest = self._sounds.popitem(last=False)
            self._kept -= len(oldest)

    def sound_of(self, source_id: int, item_id: str) -> Pcm | None:
        """Return the sound of an item; None where it is not kept."""
        kept = self._sounds.get((source_id, item_id))
        return None if kept is None else Pcm(bytes(kept), RATE)

    def _keep(self, source: Feed, kind: object, told: JsonObject) -> None:
        self._newest = next(self._numbers)
        text = _text({"type": "event", "n": self._newest, "source": source.id, **told})
        self._events.append((self._newest, text))
        if str(kind) not in PASSING and not str(kind).endswith(".delta"):
            source.lasting.append((self._newest, text))
        for page in self.pages:
            page.add(text)

    async def idle(self, for_s: float) -> None:
        """Wait until nobody has published or looked on for so many seconds."""
        since = anyio.current_time()
        while anyio.current_time() < since + for_s:
            await anyio.sleep(min(1.0, for_s))
            if self.pages or any(source.send for source in self.sources.values()):
                since = anyio.current_time()

    # ---- pages

    def open_page(self, epoch: str = "", seen: int = 0) -> PageQueue:
        """Let a page look on: first who is there, then what it has not seen, as far as that is kept.

        Args:
            epoch: Of the booth that it saw before.
            seen: The last event that it saw.
        """
        page = PageQueue()
        after = seen if epoch == self.epoch else 0
        oldest = self._events[0][0] if self._events else self._newest + 1
        lasting = (event for source in self.sources.values() for event in source.lasting)
        older = sorted(event for event in lasting if after < event[0] < oldest)
        welcome = {
            "type": "welcome",
            "epoch": self.epoch,
            "now_s": self._clock(),
            "sources": [source.described for source in self.sources.values()],
            "lost": max(0, oldest - 1 - after) - len(older),
        }
        page.add(_text(welcome))
        for number, text in (*older, *self._events):
            if number > after:
                page.add(text)
        self.pages.add(page)
        return page

    def close_page(self, page: PageQueue) -> None:
        """Forget a page."""
        self.pages.discard(page)
        self._answers = {number: asked for number, asked in self._answers.items() if asked[0] is not page}

    def show(self, message: JsonObject) -> None:
        """Show something to all pages."""
        text = _text(message)
        for page in self.pages:
            page.add(text)

    def ask(self, page: PageQueue, wish: JsonObject) -> None:
        """Send what a page asks for to the source that it names, and to no other.

        Raises:
            ValueError: There is no such source, or it is gone.
        """
        source = self.sources.get(wish["to"]) if isinstance(wish.get("to"), int) else None
        if source is None or source.send is None:
            raise ValueError("the recipient is disconnected" if source else "it has no recipient")
        number = next(self._wishes)
        self._answers[number] = (page, wish.get("id"), source)
        source.send({**wish, "id": number})

    def _answer(self, message: JsonObject) -> None:
        if asked := self._answers.pop(message["answer"], None):
            self.answer(*asked[:2], str(message.get("problem", "")))

    def answer(self, page: PageQueue, wish: object, problem: str) -> None:
        """Tell a page what came of what it asked for; a problem is empty where all went well."""
        page.add(_text({"type": "answer", "id": wish, "problem": problem}))

    def hear(self, source_id: int, sound: bytes) -> None:
        """Send sound of a page's microphone to one source.

        Args:
            source_id: Whom it is for.
            sound: 16-bit samples at 24 kHz.

        Raises:
            ValueError: There is no such source, it is gone, or these are no samples.
        """
        source = self.sources.get(source_id)
        if not sound or len(sound) % 2:
            raise ValueError("incomplete sample received" if sound else "no audio received")
        if source is None or source.send is None:
            raise ValueError("the audio has no recipient")
        source.send({"do": "hear", "audio": pybase64.b64encode(sound).decode("ascii")})


def read_message(text: str) -> JsonObject:
    """Read an object of JSON.

    Raises:
        ValueError: It is none.
    """
    return as_object(from_json(text, allow_inf_nan=False))


def as_object(thing: object) -> JsonObject:
    """Return an object of JSON.

    Raises:
        ValueError: It is none.
    """
    if isinstance(thing, dict):
        return thing
    raise ValueError("a message must be an object")


def _same(former: JsonObject, hello: JsonObject) -> bool:
    """Tell whether a source is one that was there before."""
    return former.get("key") is not None and former["key"] == hello.get("key")


def _hash(record: JsonObject) -> int:
    """Tell records of a journal apart; several may be alike."""
    return hash(json.dumps(record, sort_keys=True))


def _check_take(hello: JsonObject) -> None:
    """Refuse a take whose folder is no place, or whose lines are none."""
    folder = hello.get("folder", "/")
    if not isinstance(folder, str) or "\0" in folder or not Path(folder).is_absolute():
        raise ValueError("a folder must be an absolute path")
    for line in hello.get("lines", ()):
        as_object(line)


def _form(told: object) -> Format:
    """Read how a session's sound travels; usual sound where it is not told."""
    if isinstance(told, Mapping) and told.get("type") in ("audio/pcm", "audio/pcmu", "audio/pcma"):
        rate = int(told.get("rate") or (RATE if told["type"] == "audio/pcm" else 8_000))
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise ValueError(f"audio must have {LEAST_RATE} to {MOST_RATE} samples per second")
        return Format(told["type"], rate)
    return PCM16


def _level(sound: Pcm) -> float:
    """Measure how high a piece of sound reaches, full scale at 1."""
    return round(float(abs(sound.array.astype("int32")).max()) / 32768, 3) if sound else 0.0


def _shortened(thing: object) -> object:
    """Return a thing of JSON whose long texts are cut, and whose sound is its size."""
    if isinstance(thing, str):
        more = len(thing) - LONGEST_TEXT
        return thing if more <= 0 else f"{thing[:LONGEST_TEXT]} ... and {more} more characters"
    if isinstance(thing, dict):
        return {key: _sized(value) if key == "audio" else _shortened(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [_shortened(each) for each in thing]
    return thing


def _sized(sound: object) -> object:
    """Return the size of sound in text, as a publisher tells it; anything else as it is."""
    is_sound = isinstance(sound, str) and not sound.startswith("<")
    return f"<{len(str(sound))}>" if is_sound else _shortened(sound)


def _array(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


def _text(message: JsonObject | Iterable[JsonObject]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
