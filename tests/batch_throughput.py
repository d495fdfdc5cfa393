"""Show how scenes a minute grow with sessions, up to what a gate allows: ``python -m tests.batch_throughput``.

Workers ask one gate over connections, and perform on one understudy, which speaks in real time and refuses what is
beyond the same limits. All of it runs in this process on a virtual clock: an hour takes seconds, and the figures are
the same on every machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import anyio
from trio.testing import MockClock

from tau_stage.errors import unwrapped
from tau_stage.gate import Gate, GateLimits, LocalGate
from tau_stage.protocol import JsonObject
from tau_stage.scene.plan import PlayerPlan
from tau_stage.stage import Stage, perform
from tau_stage.take import TakeFolder
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy import ProviderLimits
from tau_stage.understudy.faults import SlowOpening
from tau_stage.understudy.server import Understudy
from tests.support.in_memory_stage import plan_of
from tests.support.memory_gate import GateWorld
from tests.support.memory_server import connected
from tests.support.tone_voice import Tones

PLAYERS = 2
SCENE = """
players: {ann: {voice: ash}, ben: {voice: sage}}
lines:
  - ann: Where does the wind come from, and where does it go when nobody is looking after it any more?
  - ben: From the sea in the morning, and from the hills at night; in between it stays where it is.
  - ann: Then we shall wait for the night, and go home over the hills with the wind in our backs.
"""
OPENING_S = 0.25  # what an opening takes at the provider
TOLERANCE = 0.05
ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Throughput:
    """Scenes per minute under a limit.

    Attributes:
        allowed: As many as sessions and openings allow: the narrower of both.
        refused: Openings that the provider has refused.
    """

    sessions: int
    start_rate: float
    scenes: int
    measured: float
    allowed: float
    refused: int

    @property
    def share(self) -> float:
        """What of the allowed is reached."""
        return self.measured / self.allowed


class Batch:
    """Performs one scene again and again, and notes when each performance is over."""

    def __init__(self, out: Path, limits: GateLimits) -> None:
        self._out = out
        self._plan = plan_of(SCENE)
        self._understudy = Understudy(
            Tones(),
            faults=[SlowOpening(OPENING_S)],
            pace=1.0,
            limits=ProviderLimits(limits.start_rate, limits.sessions),
            log=self._count,
        )
        self._numbers = count(1)
        self.refused = 0
        self.ended_at: list[float] = []

    def _count(self, fact: JsonObject) -> None:
        self.refused += fact["what"] == "refused"

    def _connect(self, player: PlayerPlan) -> AbstractAsyncContextManager[Transport]:
        return connected(self._understudy, Handshake(query={"model": player.model}), judged=False)

    async def perform(self, gate: Gate) -> None:
        """Perform the scene once."""
        folder = TakeFolder.create(self._out, "scene", datetime(2026, 11, 21, tzinfo=UTC), str(next(self._numbers)))
        take = await perform(self._plan, Stage(self._connect, gate=gate), folder)
        assert take.ended == "complete", take.problem
        self.ended_at.append(anyio.current_time())

    async def work(self, place: GateWorld, scenes: int, at_once: int) -> None:
        """Perform scenes as one worker of the gate."""
        left = [*range(scenes)]

        async def go_through(gate: Gate) -> None:
            while left:
                left.pop()
                await self.perform(gate)

        async with place.worker() as gate, anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(go_through, gate)


async def measure(sessions: int, start_rate: float, workers: int, out: Path) -> Throughput:
    """Perform six times as many scenes as the sessions allow at once; the first of them do not count."""
    limits = GateLimits(start_rate=start_rate, sessions=sessions)
    alone, batch = Batch(out / "alone", limits), Batch(out / "batch", limits)
    began = anyio.current_time()
    await alone.perform(LocalGate(limits))
    alone_s = alone.ended_at[0] - began
    at_once = sessions // PLAYERS
    scenes = ROUNDS * at_once
    with unwrapped():
        async with anyio.create_task_group() as group:
            place = GateWorld(group, limits)
            place.start()
            async with anyio.create_task_group() as working:
                for number in range(workers):
                    share = len(range(number, scenes, workers))
                    working.start_soon(batch.work, place, share, at_once // workers + 1)
            place.close()
            group.cancel_scope.cancel()
    ended = sorted(batch.ended_at)
    minutes = (ended[-1] - ended[at_once - 1]) / 60
    allowed = min(start_rate / PLAYERS, 60 * at_once / alone_s)
    return Throughput(sessions, start_rate, scenes, (scenes - at_once) / minutes, allowed, batch.refused)


def run(sessions: int, start_rate: float, workers: int) -> Throughput:
    """Measure on a clock that jumps."""
    with tempfile.TemporaryDirectory(prefix="tau-stage-throughput-") as folder:
        clock = {"clock": MockClock(autojump_threshold=0)}
        work = partial(measure, sessions, start_rate, workers, Path(folder))
        return anyio.run(work, backend="trio", backend_options=clock)


def main(typed: Sequence[str] | None = None) -> int:
    """Print a row for each number of sessions; what is not within the tolerance fails."""
    words = argparse.ArgumentParser(prog="python -m tests.batch_throughput", description=__doc__.partition(":")[0])
    words.add_argument("sessions", nargs="*", type=int, default=[2, 4, 8, 16, 32], help="sessions that may be open")
    words.add_argument("--start-rate", type=float, default=60.0, help="openings in a minute (60)")
    words.add_argument("--workers", type=int, default=4, help="processes that ask the gate (4)")
    given = words.parse_args(typed)
    head = ("sessions", "openings/min", "scenes", "scenes/min", "allowed", "reached", "refused")
    sys.stdout.write(f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n")
    narrow = []
    for sessions in given.sessions:
        found = run(sessions, given.start_rate, given.workers)
        told = f"{found.scenes} | {found.measured:.2f} | {found.allowed:.2f} | {found.share:.1%} | {found.refused}"
        sys.stdout.write(f"| {sessions} | {found.start_rate:g} | {told} |\n")
        sys.stdout.flush()
        narrow += [found] if abs(1 - found.share) > TOLERANCE or found.refused else []
    return 1 if narrow else 0


if __name__ == "__main__":
    sys.exit(main())
