"""The prompt book: what happens is written to the journal first, then shown to whoever watches."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from tau_stage.take.journal import Journal
from tau_stage.take.records import Record


@dataclass(frozen=True, slots=True)
class Sounding:
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
class Listening:
    """A player is being sent a line; only watchers learn of it."""

    player: str
    line: str


@dataclass(frozen=True, slots=True)
class Wording:
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
class Prompting:
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
class State:
    """What a player does at an open microphone: idle, listening, thinking, or speaking until it is heard."""

    player: str
    state: str


News = Record | Sounding | Listening | Wording | Prompting | State
Watch = MemoryObjectSendStream[News]
"""A bounded, one-way stream to an onlooker; news that finds it full is lost, and never in the way."""


class PromptBook:
    """Writes down what happens, on the clock of the performance.

    Args:
        journal: The truth.
        watch: An onlooker, if there is one.
    """

    def __init__(self, journal: Journal, watch: Watch | None = None) -> None:
        self.journal = journal
        self._watch = watch
        self._curtain_up = anyio.current_time()

    @property
    def now_s(self) -> float:
        """Seconds since curtain up."""
        return round(anyio.current_time() - self._curtain_up, 6)

    def write(self, record: Record) -> None:
        """Write a record down.

        Raises:
            TakeError: The disk is full or gone.
        """
        record = record.model_copy(update={"at_s": self.now_s})
        self.journal.append(record)
        self.show(record)

    def show(self, news: News) -> None:
        """Show something to the onlooker only."""
        if self._watch is None:
            return
        try:
            self._watch.send_nowait(news)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
