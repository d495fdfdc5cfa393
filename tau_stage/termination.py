"""Signals in an event loop: received where a task waits, not raised wherever the process happens to be.

An exception that a handler raises inside a loop may strike while a program starts that nobody owns yet, or in a
destructor, which swallows it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    import anyio

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""Tells that the terminal has gone; Windows knows none."""

TERMINATING = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANGUP)))  # signals that end a process

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


@contextmanager
def receive_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Receive signals in a loop, and give them back to their handlers of before.

    Those that the process ignores stay ignored, as under ``nohup``. Only the main thread may do this.
    """
    import anyio

    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        with (anyio.open_signal_receiver if hasattr(signal, "SIGHUP") else receive_by_handlers)(*heard) as signals:
            yield signals
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def receive_by_handlers(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Receive signals as Python's own handlers are called: on Windows, a loop can receive none."""
    import anyio

    send, receive = anyio.create_memory_object_stream[signal.Signals](len(signal.Signals))

    def note(number: int, _frame: FrameType | None) -> None:
        with suppress(anyio.WouldBlock):
            send.send_nowait(signal.Signals(number))

    with send, receive:
        for number in numbers:
            signal.signal(number, note)
        yield receive


def run_until_signal(
    function: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments, clock: dict[str, Any]
) -> Result:
    """Run an asynchronous function; a signal that ends the process cancels it, and is handled after that.

    ``clock`` is the ``backend_options`` of ``anyio.run``. What the function raises comes out in a group; that a signal
    has come whose handler raised nothing is a ``KeyboardInterrupt``.
    """
    import anyio

    told: list[signal.Signals] = []

    async def watch(signals: AsyncIterator[signal.Signals], inside: anyio.CancelScope) -> None:
        async for number in signals:
            told.append(number)
            inside.cancel()

    async def watched() -> list[Result]:
        results = []
        with receive_signals(*TERMINATING) if is_main else nullcontext() as signals:
            async with anyio.create_task_group() as watching:
                with anyio.CancelScope() as inside:
                    if signals is not None:
                        watching.start_soon(watch, signals, inside)
                    results.append(await function(*arguments))
                watching.cancel_scope.cancel()
        return results

    is_main = threading.current_thread() is threading.main_thread()
    results: list[Result] = []
    try:
        results = anyio.run(watched, backend_options=clock)
    finally:
        if told:
            signal.raise_signal(told[0])
            raise KeyboardInterrupt
    return results[0]
