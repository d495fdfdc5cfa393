"""Scenes, and their performance by tau-stage's public names."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tau_stage import Plan, Stage, Take, TakeFolder, load_scene, make_plan, open_stage, perform
from tau_stage.scene import PlayerPlan
from tau_stage.transport import Transport


def scene(players: int, lines: int, *, words: str = "Line number {} of a long night.", keys: str = "") -> str:
    """Write a scene whose players speak in turn."""
    cast = "".join(f"  p{number}: {{voice: ash}}\n" for number in range(players))
    said = "".join(f"  - p{number % players}: (softly) {words.format(number)}\n" for number in range(lines))
    return f"scene: Bench\nlimits: {{start_rate: 1000/s}}\n{keys}players:\n{cast}lines:\n{said}"


def plan_of(text: str, folder: str) -> Plan:
    """Read a scene by way of a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=folder) as file:
        file.write(text)
        file.flush()
        return make_plan(load_scene(file.name))


def new_folder(folder: str) -> TakeFolder:
    """Make a folder of a take."""
    return TakeFolder.create(Path(tempfile.mkdtemp(dir=folder)), "bench", datetime.now(UTC), "0a1b2c")


Note = Callable[[str, str], None]
"""Is told which way an event goes, ``in`` or ``out``, and its type."""


@dataclass(frozen=True)
class Tap:
    """A transport that tells when events go and come."""

    inner: Transport
    note: Note

    async def send(self, frame: bytes) -> None:
        """Tell of a frame, then send it."""
        self.note("out", _type_of(frame))
        await self.inner.send(frame)

    async def receive(self) -> bytes:
        """Receive a frame, then tell of it."""
        frame = await self.inner.receive()
        self.note("in", _type_of(frame))
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        await self.inner.aclose(code, reason)

    def drop(self) -> None:
        """Drop it."""
        self.inner.drop()


def _type_of(frame: bytes) -> str:
    at = frame.find(b'"type":"') + 8
    return frame[at : frame.index(b'"', at)].decode()


def tapped(stage: Stage, note: Note) -> Stage:
    """Return a stage that tells when events of its players go and come."""

    @asynccontextmanager
    async def connect(player: PlayerPlan) -> AsyncIterator[Transport]:
        async with stage.connect(player) as transport:
            yield Tap(transport, note)

    return replace(stage, connect=connect)


async def perform_at(url: str, text: str, folder: str, note: Note | None = None) -> tuple[Take, TakeFolder]:
    """Perform a scene at an address; where there is none, at the understudy in this process.

    ``note`` is told when events go and come.

    Raises:
        RuntimeError: It has not come to its end.
    """
    plan, where = plan_of(text, folder), new_folder(folder)
    async with open_stage([plan], {}, wished=url or None) as stage:
        take = await perform(plan, tapped(stage, note) if note else stage, where)
    if take.ended != "complete":
        raise RuntimeError(take.problem)
    return take, where


async def perform_lines(url: str, players: int, lines: int, folder: str) -> None:
    """Let each player in turn say a line, and all others hear it."""
    await perform_at(url, scene(players, lines), folder)
