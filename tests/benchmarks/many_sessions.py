"""A thousand sessions in one process: time, memory and tasks of each."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from websockets.asyncio.client import connect

from tau_stage.protocol import conducted
from tau_stage.session import open_session
from tau_stage.transport import dial
from tests.benchmarks import openai_peer
from tests.benchmarks.bench import LIMIT, OPENAI, OURS, Bench, Measured
from tests.benchmarks.processes import memory_kb
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row


async def open_many(url: str, who: str, count: int) -> tuple[float, float, float]:
    """Open sessions one after another; return the milliseconds, kB and tasks of each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with {LIMIT: _websockets, OPENAI: openai_peer.opening, OURS: _ours}[who](url) as open_one:
        kept = [await open_one()]
        gc.freeze()  # what is there before is no session's
        memory, tasks, began = memory_kb(os.getpid()), len(asyncio.all_tasks()), time.perf_counter()
        kept += [await open_one() for _ in range(count)]
        took = time.perf_counter() - began
        gc.collect()
        gc.unfreeze()
        grown = memory_kb(os.getpid()) - memory, len(asyncio.all_tasks()) - tasks
    return 1e3 * took / count, grown[0] / count, grown[1] / count


Opening = Callable[[], Awaitable[object]]


@asynccontextmanager
async def _websockets(url: str) -> AsyncIterator[Opening]:
    wanted = {"type": "realtime", "instructions": openai_peer.INSTRUCTIONS}
    async with AsyncExitStack() as opened:

        async def open_one() -> object:
            connection = await opened.enter_async_context(connect(url, compression=None, max_size=None))
            await connection.recv()
            await connection.send(json.dumps({"type": "session.update", "session": wanted}))
            await connection.recv()
            return connection

        yield open_one


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Opening]:
    wanted = conducted(voice="marin", instructions=openai_peer.INSTRUCTIONS)
    async with AsyncExitStack() as opened:

        async def open_one() -> object:
            transport = await opened.enter_async_context(dial(url))
            return await opened.enter_async_context(open_session(transport, wanted))

        yield open_one


def sessions(bench: Bench) -> Measured:
    """Let the library alone, the openai package and tau-stage open as many."""

    def work(who: str) -> dict[str, list[float]]:
        with bench.serving(open_sink, 1, 100, 0) as server:
            found = bench.call(open_many, server.url, who, bench.size(1000, 3))
        return {figure: [value] for figure, value in zip(FIGURES, found, strict=True)}

    return bench.in_turn({who: partial(work, who) for who in (LIMIT, OPENAI, OURS)})


FIGURES = {
    "to open": Figure("ms", at_most=2.0),
    "memory": Figure("kB", at_most=25),
    "tasks": Figure("tasks", at_most=2),
}
ROWS = {"sessions": Row(sessions, FIGURES)}
