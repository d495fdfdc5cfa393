"""What is in the way of the event loop: stalls, and flushes of the disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import anyio

from tests.benchmarks.bench import OURS, Bench, Measured
from tests.benchmarks.scenes import perform_at, scene
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row

WORDS = "Line number {} of a very long night, and nobody in this house is tired of it; go on, please."
TICK_S = 0.001


async def watch_the_loop(url: str, players: int, lines: int, folder: str) -> tuple[float, float]:
    """Perform a scene, at the understudy if there is no address, and wake each millisecond beside it.

    Returns:
        How late it woke, in ms: all but one time of a thousand, and at most.
    """
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await anyio.sleep(TICK_S)
            late.append(1e3 * (time.perf_counter() - began - TICK_S))

    text = scene(players, lines, words=WORDS)
    await perform_at(url, scene(players, 2, words=WORDS), folder)
    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await perform_at(url, text, folder)
        group.cancel_scope.cancel()
    late.sort()
    return late[int(0.999 * len(late))], late[-1]


def stalls(bench: Bench) -> Measured:
    """Measure it in front of a server, and with the understudy in the same process."""
    players, folder = bench.size(16, 2), str(bench.folder)

    def at_sink() -> dict[str, list[float]]:
        with bench.serving(open_sink, bench.size(4, 1), 100, bench.size(10, 0)) as server:
            found = bench.call(watch_the_loop, server.url, players, bench.size(32, 2), folder)
        return {"p99.9": [found[0]], "longest": [found[1]]}

    def with_understudy() -> dict[str, list[float]]:
        found = bench.call(watch_the_loop, "", players, bench.size(32, 2), folder, core=None)
        return {"p99.9, understudy": [found[0]], "longest, understudy": [found[1]]}

    return bench.in_turn({OURS: lambda: at_sink() | with_understudy()})


async def count_flushes(url: str, lines: int, folder: str) -> tuple[float, float]:
    """Perform a short scene and a long one, and count the flushes of a line: in all, and on the thread of the loop."""
    counts = []
    for each in (2, 2 + lines):
        calls: list[int] = []
        with (
            patch.object(os, "fsync", _noting(os.fsync, calls)),
            patch.object(os, "fdatasync", _noting(os.fdatasync, calls)),
        ):
            await perform_at(url, scene(3, each), folder)
        counts.append((len(calls), calls.count(threading.get_ident())))
    return (counts[1][0] - counts[0][0]) / lines, (counts[1][1] - counts[0][1]) / lines


def _noting(flush: Callable[[Any], None], calls: list[int]) -> Callable[[Any], None]:
    def noted(file: Any) -> None:
        calls.append(threading.get_ident())
        flush(file)

    return noted


def flushes(bench: Bench) -> Measured:
    """Count them: there is no need for rounds."""

    def count() -> dict[str, list[float]]:
        with bench.serving(open_sink, 1, 100, 0) as server:
            found = bench.call(count_flushes, server.url, bench.size(20, 2), str(bench.folder))
        return {"a line": [found[0]], "a line, on the loop": [found[1]]}

    return bench.in_turn({OURS: count}, rounds=1)


ROWS = {
    "stalls": Row(
        stalls,
        {
            "p99.9": Figure("ms", at_most=3),
            "longest": Figure("ms", at_most=15),
            "p99.9, understudy": Figure("ms", at_most=10),
            "longest, understudy": Figure("ms", at_most=30),
        },
    ),
    "flushes": Row(
        flushes, {"a line": Figure("flushes", limit=1), "a line, on the loop": Figure("flushes", at_most=0, limit=0)}
    ),
}
