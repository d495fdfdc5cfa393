"""Functions in processes of their own. A server tells its port, and on demand what it has logged."""

from __future__ import annotations

import asyncio
import cProfile
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class LoggedEvent(NamedTuple):
    """What has arrived at a server, or left it.

    Attributes:
        at: When it was complete, by a clock that all processes of a machine share.
        connection: Its number.
        way: ``in`` or ``out``.
        kind: The event's type.
        size: Its bytes.
        began: When its first byte was there.
    """

    at: float
    connection: int
    way: str
    kind: str
    size: int
    began: float


def now() -> float:
    """Return the time of a clock that all processes of a machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


async def serve(
    protocol: Callable[[], asyncio.BaseProtocol], log: list[LoggedEvent], listening: tuple[str, int] = ("127.0.0.1", 0)
) -> None:
    """Accept connections, and answer ``log`` and ``memory`` on the standard streams, until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, *listening, backlog=2048)
    await answer_orders(server.sockets[0].getsockname()[1], log)


async def answer_orders(port: int, log: list[LoggedEvent]) -> None:
    """Tell the port; then answer orders of the process that started this one."""
    tell(port)
    async for order in orders():
        if order == "log":
            tell(log)
            log.clear()
        else:
            tell(memory_kb(os.getpid()))


async def orders() -> AsyncIterator[str]:
    """Give the orders of the process that started this one, until it ends."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while order := (await lines.readline()).strip():
        yield order.decode()


def memory_kb(process: int) -> float:
    """Return the memory that a process has in use."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000


def most_memory_kb() -> float:
    """Return the most memory that this process had in use."""
    return float(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def tell(answer: object) -> None:
    """Answer the process that started this one."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def call(function: Callable[..., Any], arguments: Sequence[object]) -> Any:
    """Call a function with its arguments; one that is async runs to its end."""
    if inspect.iscoroutinefunction(function):
        return asyncio.run(function(*arguments))
    return function(*arguments)


def main(core: str, named: str, arguments: str, profile: str = "") -> None:
    """Be the process of a server, or of a contender.

    ``core`` is empty where it may use all of them, ``profile`` where none is written.
    """
    if core and hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {int(core)})
    module, _, name = named.partition(":")
    function = getattr(importlib.import_module(module), name)
    if profile:
        profiler = cProfile.Profile(time.thread_time)
        answer = profiler.runcall(call, function, json.loads(arguments))
        profiler.dump_stats(profile)
    else:
        answer = call(function, json.loads(arguments))
    tell(answer)
    os._exit(0)  # connections that nobody needs are left as they are


if __name__ == "__main__":
    main(*sys.argv[1:])
