"""Takes that are over: a page replays them, performs their lines again, picks, and is told what others have picked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from tau_stage.booth.hub import Feed, Hub
from tau_stage.errors import TakeError, UsageError
from tau_stage.protocol import JsonObject
from tau_stage.signals import Signal
from tau_stage.take import Costs, TakeFolder, is_locked, read_journal, read_take

MOST_ORDERS = 16
LONGEST_PROBLEM = 2_000
LOOK_AGAIN_S = 1.0
"""Seconds between two looks at the journals of takes that are over."""


def attach(hub: Hub, path: Path) -> Feed:
    """Let pages replay a take.

    Args:
        hub: Of the booth.
        path: The take's folder, or a link to it.

    Raises:
        TakeError: There is none, or it is broken.
    """
    folder, take = read_take(path)
    mix = folder.mix
    hello: JsonObject = {
        "kind": "take",
        "name": take.scene.slug,
        "title": take.scene.title,
        "players": [
            {"name": each.name, "voice": each.voice, "model": each.model, "human": each.human} for each in take.players
        ],
        "lines": [
            {
                "id": line.id,
                "player": line.player,
                "words": line.asked,
                "direction": line.direction,
                "dollars": _known(line.cost),
            }
            for line in take.lines
        ],
        "dollars": _known(take.cost),
        "folder": str(folder.path.absolute()),
        "mix": mix.name if mix else None,
        "seconds": take.samples / take.rate,
        "ended": take.ended,
        "can": ["retake", "pick"],
    }
    source = hub.join(hello, None)
    source.gone = "ended"
    hub.catch_up(source, ((record.at_s, record.model_dump(mode="json")) for record in read_journal(folder.journal)))
    return source


def _known(cost: Costs) -> str:
    """Write what is known of a cost, in dollars."""
    return str(cost.known if cost.total is None else cost.total)


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """One command of ``tau-stage`` about a take, and who learns what came of it: a problem, or nothing."""

    source: Feed
    words: tuple[str, ...]
    answer: Callable[[str], None]


class TakeEditor:
    """Runs the commands that a page asks for, one after another; what they perform is shown in the booth.

    What is written into the journal of a take that is over, by them or by whoever else, is shown, too.

    Args:
        hub: Of the booth.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: deque[Order] = deque()
        self._changed = Signal()
        self._sizes: dict[int, int] = {}

    def order(self, source: Feed | None, what: str, wish: JsonObject, answer: Callable[[str], None]) -> None:
        """Order a ``retake`` of a line, or a ``pick`` of one of its takes; it is done when the performance is over.

        Raises:
            UsageError: It is no take, there is no such line, or too many actions are running.
        """
        folder, line = source and source.hello.get("folder"), wish.get("line")
        if source is None or not isinstance(folder, str):
            raise UsageError("this is not a take", "choose a performance, or a take")
        if not isinstance(line, str) or line not in [each.get("id") for each in source.hello.get("lines", ())]:
            raise UsageError(f"unknown line {line!r}")
        words = [what, "--", folder, line]
        if what == "pick":
            take = wish.get("take")
            if not isinstance(take, int):
                raise UsageError("a take must have a number")
            words.append(str(take))
        if len(self._waiting) == MOST_ORDERS:
            raise UsageError("too many actions are running", "wait until one finishes")
        self._waiting.append(Order(source, tuple(words), answer))
        self._changed.notify()

    async def _look_at_all(self) -> None:
        for source in list(self._hub.sources.values()):
            if source.send is None and "folder" in source.hello:
                await self._look(source)

    async def run(self, url: str) -> None:
        """Run what is ordered, until it is cancelled.

        Args:
            url: Of the booth that shows what is performed.
        """
        shown = {**os.environ, "TAU_DEBUG": "true", "TAU_DEBUG_SERVER_URL": url}
        while True:
            with anyio.move_on_after(LOOK_AGAIN_S):
                await self._changed.until(lambda: self._next() is not None)
            if order := self._next():
                self._waiting.remove(order)
            problem = await self._run(order, shown) if order else ""
            await self._look_at_all()
            if order:
                order.answer(problem)

    def _next(self) -> Order | None:
        """Find the first order for a take that is over, and that nobody writes into."""

        def is_free(source: Feed) -> bool:
            return source.send is None and not is_locked(Path(str(source.hello["folder"])))

        return next((order for order in self._waiting if is_free(order.source)), None)

    async def _run(self, order: Order, environment: Mapping[str, str]) -> str:
        command = [sys.executable, "-m", "tau_stage", *order.words]
        done = await anyio.run_process(command, check=False, env=environment, stdin=subprocess.DEVNULL)
        said = done.stderr.decode(errors="replace").strip() or f"it exited with code {done.returncode}"
        return said[-LONGEST_PROBLEM:] if done.returncode else ""

    async def _look(self, source: Feed) -> None:
        """Look whether the journal of a take that is over has become longer; tell what is new in it."""
        journal = TakeFolder(Path(str(source.hello["folder"]))).journal
        try:
            size = (await anyio.Path(journal).stat()).st_size
            if size == self._sizes.get(source.id):
                return
            records = await anyio.to_thread.run_sync(read_journal, journal)
        except (OSError, ValueError, TakeError):  # it is not there, or not whole, now
            return
        self._sizes[source.id] = size
        self._hub.catch_up(source, ((None, record.model_dump(mode="json")) for record in records))
