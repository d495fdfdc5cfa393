"""A long evening: twelve players for an hour on a virtual clock, or for minutes in real time over sockets.

``python -m tests.soak --minutes 10`` and ``python -m tests.soak --minutes 55 --haste 60`` print what the process holds
from a fifth of the scene to its end: memory, tasks and descriptors. They must not grow. With ``--virtual`` the
understudy is in the same process, and what it holds of twelve conversations counts, too.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import anyio
import sniffio
import trio
from anyio.streams.memory import MemoryObjectSendStream
from trio.testing import MockClock

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import Event
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.sessions import open_stage
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Take
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.in_memory_stage import Playhouse
from tests.support.tone_voice import SECONDS_PER_CHARACTER, Tones

PLAYERS = 12
PAUSE_S = 0.35
WORDS = (
    "This is line number {} of a very long evening, and nobody is tired of it; go on, please, for the night is young."
)


class Hall:
    """A loudspeaker in an empty hall: sound takes as long as it takes, and nobody hears it.

    Args:
        haste: How many times faster everything sounds.
    """

    def __init__(self, haste: float = 1.0) -> None:
        self._haste = haste
        self._over_at = 0.0

    def play(self, audio: Pcm) -> None:
        """Let it sound after all that waits."""
        self._over_at = max(self._over_at, anyio.current_time()) + len(audio) / RATE / self._haste

    def flush(self) -> int:
        """Throw away what waits."""
        lost, self._over_at = self.waiting_s, 0.0
        return round(lost * RATE * self._haste)

    @property
    def waiting_s(self) -> float:
        """Seconds still to be heard."""
        return max(0.0, self._over_at - anyio.current_time())


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds.

    Attributes:
        line: When, by the number of a line.
        mb: Memory.
        tasks: That run.
        threads: That run.
        files: Open descriptors.
    """

    line: int
    mb: float
    tasks: int
    threads: int
    files: int


def long_scene(minutes: float) -> Plan:
    """As many lines as fill the time."""
    a_line = len(WORDS) * SECONDS_PER_CHARACTER + PAUSE_S
    count = round(minutes * 60 / a_line)
    players = "".join(f"  p{n}: {{voice: ash}}\n" for n in range(PLAYERS))
    said = "".join(f"  - p{n % PLAYERS}: (softly) {WORDS.format(n)}\n" for n in range(count))
    return make_plan(parse_scene(f"players:\n{players}limits: {{start_rate: 100/s}}\nlines:\n{said}"))


async def evening(plan: Plan, url: str, out: Path, haste: float) -> list[Held]:
    """Perform it at its pace, over sockets; what was held early and late."""
    async with open_stage([plan], {}, wished=url) as stage:

        async def performing(watch: MemoryObjectSendStream[Event]) -> Take:
            return await perform(plan, stage, TakeFolder(out), PerformanceOptions(loudspeaker=Hall(haste), watch=watch))

        return await watched(plan, performing)


async def quick_evening(plan: Plan, out: Path) -> list[Held]:
    """The same in memory, with the understudy in this process."""
    return await watched(plan, partial(Playhouse(out, keeps=False).perform, plan, loudspeaker=Hall()))


async def watched(plan: Plan, performing: Callable[..., Awaitable[Take]]) -> list[Held]:
    """Perform, and look now and then at what is held."""
    send, receive = anyio.create_memory_object_stream[Event](100_000)
    looks = {round(len(plan.steps) * share) for share in (0.2, 0.4, 0.6, 0.8, 0.98)}
    held: list[Held] = []

    async def look() -> None:
        async with receive:
            numbers = (news.number async for news in receive if isinstance(news, record.LineSpoken))
            held.extend([now_held(number) async for number in numbers if number in looks])

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        async with send:
            take = await performing(watch=send)
    if (take.ended, len(take.lines)) != ("complete", len(plan.steps)):
        raise SystemExit(f"the evening ended {take.ended}: {take.problem} {take.warnings}")
    if any(line.duration_s == 0 or len(line.hearers) < PLAYERS - 1 for line in take.lines):
        raise SystemExit("not everybody heard everything")
    sys.stdout.write("".join(f"{warning}\n" for warning in take.warnings))
    return held


def now_held(line: int) -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(list(Path("/proc/self/fd").iterdir()))
    mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Held(line, round(mb, 1), tasks_alive(), threading.active_count(), files)


def tasks_alive() -> int:
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


@contextmanager
def a_house() -> Iterator[str]:
    """An understudy in a process of its own."""
    with subprocess.Popen([sys.executable, "-m", "tests.soak", "--serve"], stdout=subprocess.PIPE, text=True) as house:
        assert house.stdout
        try:
            yield house.stdout.readline().strip()
        finally:
            house.kill()


async def serve() -> None:
    """Be that understudy."""
    async with open_understudy(Understudy(Tones())) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def main() -> None:
    """Spend the evening, and tell."""
    reader = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    reader.add_argument("--minutes", type=float, default=10)
    reader.add_argument("--haste", type=float, default=1, help="how many times faster than real time")
    reader.add_argument("--virtual", action="store_true", help="on a virtual clock, in no time")
    reader.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    wish = reader.parse_args()
    if wish.serve:
        anyio.run(serve)
        return
    plan = long_scene(wish.minutes)
    if wish.virtual:
        with tempfile.TemporaryDirectory() as out:
            tell(trio.run(quick_evening, plan, Path(out), clock=MockClock(autojump_threshold=0)))
        return
    with a_house() as url, tempfile.TemporaryDirectory() as out:
        (Path(out) / "lines").mkdir()
        (Path(out) / "stems").mkdir()
        tell(anyio.run(evening, plan, url, Path(out), wish.haste))


def tell(evening: list[Held]) -> None:
    """A line of JSON for each look."""
    sys.stdout.write("".join(f"{json.dumps(asdict(held))}\n" for held in evening))


if __name__ == "__main__":
    main()
