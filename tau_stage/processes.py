"""Processes: how signals end them, and how they are forked from one that has loaded what they need.

A signal is received in an event loop where a task waits, not raised wherever the process happens to be: an exception
that a handler raises inside a loop may strike while a program starts that nobody owns yet, or in a destructor, which
swallows it. A fork begins at once, and shares the memory of the process that it is forked from.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
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


LONGEST_FOLDER = 70  # bytes of the folder of temporary files in which a socket's path, of 104 at most, has its place

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Lets numpy have no threads: a process that has some is not forked safely, and each of ours has a core at most."""


def process_context(modules: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return what starts processes: forks of one that has loaded ``modules``, where there can be one.

    That one is started now, if none runs yet. Signals that end a process do not reach it; a fork gives them way again
    when it calls ``take_over``.
    """
    if os.name != "posix" or len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*modules])
    with _signals_blocked(), _environment_with(ONE_THREAD):
        forkserver.ensure_running()
    return context


def take_over(environment: Mapping[str, str]) -> None:
    """Take over the environment of the process that has started this one, and let signals reach it."""
    os.environ.clear()
    os.environ.update(environment)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATING)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals that end a process, also in what is started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment_with(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in more if name in before})
