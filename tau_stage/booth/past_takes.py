"""Takes that are over: a page replays them, performs their lines again, and picks among the takes of a line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from tau_stage.booth.hub import Feed, Hub
from tau_stage.errors import UsageError
from tau_stage.protocol import JsonObject
from tau_stage.signals import Signal
from tau_stage.take import read_journal, read_take

MOST_ORDERS = 16
LONGEST_PROBLEM = 2_000


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
            {"id": line.id, "player": line.player, "words": line.asked, "direction": line.direction}
            for line in take.lines
        ],
        "folder": str(folder.path.absolute()),
        "mix": mix.name if mix else None,
        "seconds": take.samples / take.rate,
        "ended": take.ended,
        "can": ["retake", "pick"],
    }
    source = hub.join(hello, None)
    source.gone = "it is over"
    for record in read_journal(folder.journal):
        hub.keep_record(source, record.at_s, record.model_dump(mode="json"))
    return source


@dataclass(frozen=True, slots=True)
class Order:
    """One command of ``tau-stage``, and who learns what came of it: a problem, or nothing."""

    words: tuple[str, ...]
    answer: Callable[[str], None]


class TakeEditor:
    """Runs the commands that a page asks for, one after another; what they perform is shown in the booth."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self._changed = Signal()

    def order(self, source: Feed | None, what: str, wish: JsonObject, answer: Callable[[str], None]) -> None:
        """Order a ``retake`` of a line, or a ``pick`` of one of its takes.

        Raises:
            UsageError: The take is not over, there is no such line, or too much is under way.
        """
        folder, line = source and source.hello.get("folder"), wish.get("line")
        if source is None or not isinstance(folder, str):
            raise UsageError("this is no take", "choose a performance, or a take")
        if source.send is not None:
            raise UsageError("the performance is under way", "stop it after this line first")
        if line not in {each["id"] for each in source.hello.get("lines", ())}:
            raise UsageError(f"there is no line {line!r} in it")
        words = [what, folder, str(line)]
        if what == "pick":
            take = wish.get("take")
            if not isinstance(take, int):
                raise UsageError("a take has a number")
            words.append(str(take))
        if len(self._waiting) == MOST_ORDERS:
            raise UsageError("too much is under way", "wait until it is done")
        self._waiting.append(Order(tuple(words), answer))
        self._changed.notify()

    async def run(self, url: str) -> None:
        """Run what is ordered, until it is cancelled.

        Args:
            url: Of the booth that shows what is performed.
        """
        shown = {**os.environ, "TAU_DEBUG": "true", "TAU_DEBUG_SERVER_URL": url}
        while True:
            await self._changed.until(lambda: bool(self._waiting))
            order = self._waiting.popleft()
            command = [sys.executable, "-m", "tau_stage", *order.words]
            done = await anyio.run_process(command, check=False, env=shown, stdin=subprocess.DEVNULL)
            said = done.stderr.decode(errors="replace").strip() or f"it left with {done.returncode}"
            order.answer(said[-LONGEST_PROBLEM:] if done.returncode else "")
