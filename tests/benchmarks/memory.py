"""Memory: of the stage and of the understudy as lines go by, and of ten long lines at once."""

from __future__ import annotations

import os
import statistics

from tau_stage import Understudy, open_understudy
from tests.benchmarks.bench import OURS, Bench, Measured
from tests.benchmarks.processes import answer_orders, memory_kb, most_memory_kb
from tests.benchmarks.scenes import perform_at, scene
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row
from tests.support.tone_voice import Tones

PLAYERS = 12
WORDS = "Line number {} of a very long night, and nobody is tired."


async def open_voices(is_tiny: bool) -> None:
    """Be the understudy, until the process is ended; with tones in place of its voices, if it is a tiny one."""
    async with open_understudy(Understudy(Tones()) if is_tiny else Understudy()) as url:
        await answer_orders(int(url.rpartition(":")[2].partition("/")[0]), [])


async def watch_memory(url: str, process: int, players: int, lines: int, early: int, folder: str) -> float:
    """Perform a scene; return how many kB a process grows with each line after the ``early`` ones.

    ``process`` is the one that is looked at; 0 is this one.
    """
    used: list[float] = []

    def note(way: str, kind: str) -> None:
        if (way, kind) == ("out", "response.create"):
            used.append(memory_kb(process or os.getpid()))

    text = scene(players, lines, words=WORDS)
    await perform_at(url, text, folder, note)
    return statistics.linear_regression(range(early, len(used)), used[early:]).slope


async def perform_at_once(players: int, words: int, folder: str) -> float:
    """Let all players say a long line at once, by the understudy in this process; return the most memory, in MB."""
    cast = "".join(f"  p{number}: {{voice: ash}}\n" for number in range(players))
    long = "and nobody in this house is tired of it " * (words // 9 + 1)
    said = "".join(f"    - p{number}: Number {number}, {long}.\n" for number in range(players))
    text = f"scene: Bench\nplayers:\n{cast}lines:\n- together:\n{said}"
    await perform_at("", text, folder)
    return most_memory_kb() / 1000


def memory(bench: Bench) -> Measured:
    """Measure all three, once."""
    players, folder = bench.size(PLAYERS, 2), str(bench.folder)

    def of_stage() -> float:
        lines, early = bench.size(400, 4), bench.size(100, 1)
        with bench.serving(open_sink, bench.size(3, 1), 100, 0) as server:
            return float(bench.call(watch_memory, server.url, 0, players, lines, early, folder))

    def of_understudy() -> float:
        lines, early = bench.size(250, 4), bench.size(100, 1)
        with bench.serving(open_voices, bench.is_tiny) as server:
            return float(bench.call(watch_memory, server.url, server.process, players, lines, early, folder))

    def work() -> dict[str, list[float]]:
        at_once = bench.call(perform_at_once, bench.size(10, 2), bench.size(360, 3), folder, core=None)
        return {"stage": [of_stage()], "understudy": [of_understudy()], "ten long lines at once": [at_once]}

    return bench.in_turn({OURS: work}, rounds=1)


ROWS = {
    "memory": Row(
        memory,
        {
            "stage": Figure("kB a line", at_most=1, limit=0),
            "understudy": Figure("kB a line", at_most=5, limit=0),
            "ten long lines at once": Figure("MB", at_most=300),
        },
    )
}
