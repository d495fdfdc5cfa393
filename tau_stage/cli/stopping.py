"""Stopping from outside: the first Ctrl-C lets the line under way come to its end, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tau_stage.cli.printing import warn

ENDING = "stopping after the line under way; once more stops at once"
AT_ONCE = "stopping at once"


@asynccontextmanager
async def stoppable() -> AsyncIterator[anyio.Event]:
    """An event that is set by the first Ctrl-C, or the first SIGTERM; with the second, what is inside is left.

    A third is Python's own again.
    """
    stop = anyio.Event()
    async with anyio.create_task_group() as watching:
        with anyio.CancelScope() as inside:
            if threading.current_thread() is threading.main_thread():
                watching.start_soon(_watch, stop, inside)
            yield stop
        watching.cancel_scope.cancel()


async def _watch(stop: anyio.Event, inside: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stop.is_set():
                break
            warn(ENDING)
            stop.set()
    warn(AT_ONCE)
    inside.cancel()
