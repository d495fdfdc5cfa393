"""Stopping from outside: the first Ctrl-C lets the line under way come to its end, the second stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from tau_stage.cli.printing import silence, warn
from tau_stage.processes import HANGUP, TERMINATING, receive_signals

if TYPE_CHECKING:
    import anyio

ENDING = "stopping after the current line; press Ctrl-C again to stop immediately"
AT_ONCE = "stopping immediately"


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what is inside as Ctrl-C does: with its tools, its workers and its drafts.

    A signal that is ignored stays so, as under ``nohup``.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in filter(None, (signal.SIGTERM, HANGUP)):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    if number == HANGUP:
        _leave_terminal()
    raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Print nothing more on a terminal that has gone."""
    for stream in (sys.stdout, sys.stderr):
        if stream.isatty():
            silence(stream)


@asynccontextmanager
async def stoppable(*, quiet: bool = False) -> AsyncIterator[anyio.Event]:
    """Make an event that is set by the first Ctrl-C, or the first SIGTERM; with the second, leave what is inside.

    It is left at once with a SIGHUP, as nobody is there any more. A third signal is Python's own again.
    """
    import anyio

    stop = anyio.Event()
    async with anyio.create_task_group() as watching:
        with anyio.CancelScope() as inside:
            if threading.current_thread() is threading.main_thread():
                watching.start_soon(_watch, stop, inside, _say_nothing if quiet else warn)
            yield stop
        watching.cancel_scope.cancel()


def _say_nothing(_text: str) -> None:
    pass


async def _watch(stop: anyio.Event, inside: anyio.CancelScope, say: Callable[[str], None]) -> None:
    with receive_signals(*TERMINATING) as signals:
        async for number in signals:
            if number == HANGUP:
                _leave_terminal()
            if stop.is_set() or number == HANGUP:
                break
            say(ENDING)
            stop.set()
    stop.set()
    say(AT_ONCE)
    inside.cancel()
