"""Write what happens to the journal first, then show it to an observer."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from tau_stage.environment import log_event
from tau_stage.take import Journal, Record, records


@dataclass(frozen=True, slots=True)
class AudioProgress:
    """A player is being heard; only watchers learn of it.

    Attributes:
        player: Who.
        line: The line's id.
        dbfs: Level of this piece of sound, RMS.
        seconds: Length of the line so far.
    """

    player: str
    line: str
    dbfs: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HearingBegan:
    """A player is being sent a line; only watchers learn of it."""

    player: str
    line: str


@dataclass(frozen=True, slots=True)
class WordsProgress:
    """Words arrive while they are said, or as a person's words are written down; only watchers learn of it.

    Attributes:
        player: Whose words.
        line: The line's id.
        words: A few more of them.
        spoken: Whether they are spoken; else they are written.
    """

    player: str
    line: str
    words: str
    spoken: bool


@dataclass(frozen=True, slots=True)
class PersonPrompted:
    """A person is to speak or to type; only watchers learn of it.

    Attributes:
        player: Whose turn it is.
        line: The line's id.
        words: What to say; empty: whatever comes to mind.
        direction: How to say it.
        in_s: Seconds until the microphone opens.
        typed: Whether the words are typed.
    """

    player: str
    line: str
    words: str
    direction: str = ""
    in_s: int = 0
    typed: bool = False


@dataclass(frozen=True, slots=True)
class PlayerState:
    """What a player does at an open microphone: idle, listening, thinking, or speaking until it is heard."""

    player: str
    state: str


@dataclass(frozen=True, slots=True)
class ResumeSummary:
    """A take goes on that was stopped; only watchers learn of it.

    Attributes:
        seconds: Spoken so far, by line and player.
        dollars: Spent so far.
    """

    seconds: tuple[tuple[str, str, float], ...]
    dollars: Decimal


Event = Record | ResumeSummary | AudioProgress | HearingBegan | WordsProgress | PersonPrompted | PlayerState
EventStream = MemoryObjectSendStream[Event]
"""A bounded, one-way stream to an observer; news that finds it full is lost, and never in the way."""


_SAME: dict[type[Record], tuple[str, ...]] = {
    records.PlayerOpened: ("player", "session"),
    records.ItemGiven: ("player", "role", "words"),
    records.StepSkipped: ("source_line",),
    records.CueStarted: ("cue",),
    records.LineBegan: ("line",),
    records.LineSpoken: ("line",),
    records.LineLost: ("line",),
    records.ListenBegan: ("step",),
    records.ListenEnded: ("step",),
    records.SoundPlayed: ("sound",),
    records.BedEnded: ("sound",),
    records.Warned: ("text",),
}
"""Facts that a resumed performance comes by once more, and what makes them the same."""


class EventLog:
    """Writes down what happens, on the clock of the performance; a fact that the journal tells already, only once.

    Args:
        journal: The truth.
        watch: An observer, if there is one.

    Attributes:
        is_muted: Whether the observer is told of nothing.
    """

    def __init__(self, journal: Journal, watch: EventStream | None = None) -> None:
        self.journal = journal
        self.is_muted = False
        self._watch = watch
        before = journal.records
        self._began = anyio.current_time() - (before[-1].at_s if before else 0.0)
        self._told: Counter[tuple[str, ...]] = Counter()
        self._heard: dict[tuple[str, str], str] = {}
        self._warned = {fact.text for fact in before if isinstance(fact, records.Warned)}
        for fact in before:
            self._remember(fact)

    @property
    def now_s(self) -> float:
        """Seconds since the performance began."""
        return round(anyio.current_time() - self._began, 6)

    def append(self, record: Record) -> None:
        """Write a record down.

        Raises:
            TakeError: The disk is full or gone.
        """
        record = record.model_copy(update={"at_s": self.now_s})
        if self._told[_key(record)]:
            self._told[_key(record)] -= 1
        elif not self._is_heard(record):
            self._void(record)
            self.journal.append(record)
            log_event("stage", *_logged(record))
        self.publish(record)

    def warn_once(self, text: str, player: str = "") -> None:
        """Write down a warning, unless the take says so already."""
        if text not in self._warned:
            self._warned.add(text)
            self.append(records.Warned(player=player, text=text))

    def _is_heard(self, fact: Record) -> bool:
        """Remember what a player has heard of a line last; tell whether it had heard the same before."""
        if not isinstance(fact, records.LineHeard):
            return False
        before = self._heard.get((fact.line, fact.hearer))
        self._heard[fact.line, fact.hearer] = fact.sha256
        return before == fact.sha256

    def _remember(self, fact: Record) -> None:
        self._void(fact)
        self._is_heard(fact)
        if type(fact) in _SAME:
            self._told[_key(fact)] += 1

    def _void(self, fact: Record) -> None:
        """Forget what has to be told again."""
        if isinstance(fact, records.LineDropped):
            for kind in ("line_began", "line_spoken", "sound_played"):
                self._told.pop((kind, fact.line), None)
        elif isinstance(fact, records.LineAgain) and fact.interrupted:
            self._told.pop(("line_began", fact.line), None)

    def publish(self, news: Event) -> None:
        """Show something to the observer only."""
        if self._watch is None or self.is_muted:
            return
        try:
            self._watch.send_nowait(news)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


def _logged(record: Record) -> tuple[int, str]:
    """Return the level and the sentence of a record in the log: who, which line, and what went wrong."""
    problem = str(getattr(record, "problem", "") or getattr(record, "text", ""))
    about = [f"{name} {value}" for name in ("player", "line", "hearer", "tool") if (value := getattr(record, name, ""))]
    sentence = ", ".join([record.type.replace("_", " "), *about]) + (f": {problem}" if problem else "")
    return logging.WARNING if problem else logging.INFO, sentence


def _key(fact: Record) -> tuple[str, ...]:
    """Return what makes a fact the same as another; nothing is the same as a fact of the other kinds."""
    return (fact.type, *(str(getattr(fact, name)) for name in _SAME.get(type(fact), ())))
