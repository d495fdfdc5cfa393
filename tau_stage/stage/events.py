"""Write what happens to the journal first, then show it to an observer."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from tau_stage.environment import log_event
from tau_stage.take import DISK_THREAD, DURABLE, Journal, Record, records


@dataclass(frozen=True, slots=True)
class AudioProgress:
    """A piece of a player's audio: its loudness (RMS), and the length of the line so far; for watchers only."""

    player: str
    line: str
    dbfs: float
    seconds: float


@dataclass(frozen=True, slots=True)
class OpeningQueued:
    """A player waits for its turn to open a session; only for observers."""

    player: str


@dataclass(frozen=True, slots=True)
class OpeningBegan:
    """A player's session is being opened or reopened; only for observers."""

    player: str


@dataclass(frozen=True, slots=True)
class HearingBegan:
    """A line is being sent to a player; for watchers only."""

    player: str
    line: str


@dataclass(frozen=True, slots=True)
class WordsProgress:
    """Words of a line arrive, a few at a time, spoken or written by a model or a person; for watchers only."""

    player: str
    line: str
    words: str
    spoken: bool


@dataclass(frozen=True, slots=True)
class PersonPrompted:
    """A person is asked to speak or to type; for watchers only.

    Attributes:
        words: The words to say; empty if the person may say anything.
        in_s: Seconds until the microphone opens.
        typed: Whether the person types the words.
    """

    player: str
    line: str
    words: str
    direction: str = ""
    in_s: int = 0
    typed: bool = False


@dataclass(frozen=True, slots=True)
class PlayerState:
    """The state of a player at an open microphone: idle, listening, thinking, or speaking; for watchers only."""

    player: str
    state: str


@dataclass(frozen=True, slots=True)
class ResumeSummary:
    """A stopped take is resumed: the seconds spoken, by line and player, and the cost so far; for watchers only."""

    seconds: tuple[tuple[str, str, float], ...]
    dollars: Decimal


Event = (
    Record
    | ResumeSummary
    | OpeningQueued
    | OpeningBegan
    | AudioProgress
    | HearingBegan
    | WordsProgress
    | PersonPrompted
    | PlayerState
)
EventStream = MemoryObjectSendStream[Event]
"""A bounded, one-way stream to an observer; events that do not fit are dropped, so it never blocks."""


MOST_WAITING = 32  # files that may wait for a slow disk; then the performance does


class DiskThread:
    """Waits for the disk in a thread of its own: for files of sound, then for the journal that tells of them.

    Nothing is waited for any more once something has failed.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._files: deque[Callable[[], None]] = deque()
        self._thread = ThreadPoolExecutor(1, DISK_THREAD)
        self._last: Future[None] | None = None

    def add(self, sync: Callable[[], None]) -> None:
        """Add a file: it is on the disk before the journal is once more."""
        self._files.append(sync)

    def start(self) -> None:
        """Bring files and journal to the disk, behind what is on its way; a ``TakeError`` tells of a failure before."""
        self.check()
        if len(self._files) > MOST_WAITING:
            self.wait()
        self._last = self._thread.submit(self._sync, self._last)

    def _sync(self, before: Future[None] | None) -> None:
        if before:
            before.result()
        while self._files:
            self._files.popleft()()
        self._journal.sync()

    def check(self) -> None:
        """Look whether something has failed; a ``TakeError`` says that it has."""
        if self._last and self._last.done():
            self._last.result()

    def wait(self) -> None:
        """Wait until all is on the disk; a ``TakeError`` says that it cannot be."""
        if self._last:
            self._last.result()

    def forget(self) -> None:
        """Go on as if nothing had failed."""
        self._last = None

    def close(self) -> None:
        """Let the thread end when all is done."""
        self._thread.shutdown()


class EventLog:
    """Writes down what happens, on the clock of the performance, and shows it to an observer.

    Where the disk must be waited for, a thread does so, and the performance goes on; an error of the disk is raised by
    each ``append`` after it.

    Args:
        journal: The truth.
        watch: An observer, if there is one.

    Attributes:
        disk: Waits for the disk; a line's file is on it before the line is.
    """

    def __init__(self, journal: Journal, watch: EventStream | None = None) -> None:
        self.journal = journal
        self.disk = DiskThread(journal)
        self.watch = watch
        before = journal.records
        self._began = anyio.current_time() - (before[-1].at_s if before else 0.0)
        self._warned = {fact.text for fact in before if isinstance(fact, records.Warned)}

    @property
    def records(self) -> list[Record]:
        """All that was written down."""
        return self.journal.records

    @property
    def now_s(self) -> float:
        """Seconds since the performance began."""
        return round(anyio.current_time() - self._began, 6)

    def append(self, record: Record) -> None:
        """Write a record down; a ``TakeError`` says that the disk is full or gone."""
        record = record.model_copy(update={"at_s": self.now_s})
        self.disk.check()
        self.journal.write(record)
        if isinstance(record, DURABLE):
            self.disk.start()
        _log(record)
        self.publish(record)

    def close(self) -> None:
        """Wait until all is on the disk, and close the journal; a ``TakeError`` says that it cannot be."""
        try:
            self.disk.wait()
        finally:
            self.disk.close()
            self.journal.close()

    def warn_once(self, text: str, player: str = "", line: str = "") -> None:
        """Write down a warning, unless the take says so already."""
        if text not in self._warned:
            self._warned.add(text)
            self.append(records.Warned(player=player, line=line, text=text))

    def publish(self, news: Event) -> None:
        """Show something to the observer only."""
        if self.watch is None:
            return
        try:
            self.watch.send_nowait(news)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


def _log(record: Record) -> None:
    """Log a record: who, which line, and what went wrong."""
    told = record.__dict__
    problem = str(told.get("problem") or told.get("text") or "")
    level = logging.WARNING if problem else logging.INFO
    if not logging.getLogger("tau_stage.stage").isEnabledFor(level):
        return
    about = [f"{name} {value}" for name in ("player", "line", "hearer", "tool", "step") if (value := told.get(name))]
    sentence = ", ".join([record.type.replace("_", " "), *about]) + (f": {problem}" if problem else "")
    log_event("stage", level, sentence)
