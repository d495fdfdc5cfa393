"""A spoken line from the socket to the disk: CPU of each delta of 100 ms."""

from __future__ import annotations

import time
from functools import partial

from tests.benchmarks import openai_peer, raw_tcp
from tests.benchmarks.bench import LIMIT, NODE, OPENAI, OURS, Bench, Measured
from tests.benchmarks.scenes import perform_at, scene
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row

SHORT_S = 0.1


async def perform_and_count(long: str, short: str, lines: int, seconds: float, folder: str) -> float:
    """Perform a monologue of long lines, and one of short ones; return the CPU of a delta that one has more, in µs."""
    await perform_at(short, scene(1, 1), folder)
    took = []
    for url in (short, long):
        began = time.process_time()
        await perform_at(url, scene(1, lines), folder)
        took.append(time.process_time() - began)
    return (took[1] - took[0]) / (lines * (seconds - SHORT_S) * 10) * 1e6


def receive(bench: Bench) -> Measured:
    """Let each contender receive as many deltas."""
    lines, seconds = bench.size(6, 1), bench.size(60, 1)

    def at_sink(work: str) -> dict[str, list[float]]:
        with bench.serving(open_sink, seconds, 100, 0) as long, bench.serving(open_sink, SHORT_S, 100, 0) as short:
            if work == OURS:
                cpu = bench.call(perform_and_count, long.url, short.url, lines, seconds, str(bench.folder))
            elif work == NODE:
                cpu = bench.node("receive", long.url, lines, seconds, bench.folder / "node.pcm")
            else:
                cpu = bench.call(openai_peer.receive, long.url, lines, seconds)
            return {"a delta": [cpu]}

    def limit() -> dict[str, list[float]]:
        with bench.serving(raw_tcp.open_answering) as server:
            return {"a delta": [bench.call(raw_tcp.receive, server.port, lines * seconds * 10)]}

    return bench.in_turn({LIMIT: limit} | {name: partial(at_sink, name) for name in (OPENAI, NODE, OURS)})


ROWS = {"receive": Row(receive, {"a delta": Figure("µs CPU", at_most=20)})}
