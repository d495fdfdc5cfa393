"""What a session does in the background: work that an event leads to, and tools that run in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from tau_stage.errors import ModelRefused, SessionError, Timeout
from tau_stage.signals import Signal

T = TypeVar("T")


class BackgroundTasks:
    """Work that nobody waits for: tools called in a detected turn, cuts after a barge-in.

    It is done by the session's own task, one piece at a time, and never in the reader's way.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], Awaitable[object]]] = deque()
        self._changed = Signal()

    def add(self, work: Callable[[], Awaitable[object]]) -> None:
        """Add something to be done."""
        self._waiting.append(work)
        self._changed.notify()

    async def run(self, warn: Callable[[str], None]) -> None:
        """Do what is to be done until the session closes; ``warn`` is told of what fails and ends nothing else."""
        while True:
            while self._waiting:
                try:
                    await self._waiting.popleft()()
                except (ModelRefused, Timeout) as error:
                    warn(error.what_happened())
                except SessionError:
                    return
            await self._changed.wait()


async def run_in_thread(call: Callable[[], T]) -> T:
    """Run a function in a thread of its own. Where it is cancelled, the thread is left alone and ends with the process.

    anyio's own workers are waited for when the interpreter ends; one that sleeps would hold the process.

    Raises:
        Exception: As the function does.
        SystemExit: It does, too; whatever else is no exception, a RuntimeError tells.
    """
    done, token = anyio.Event(), anyio.lowlevel.current_token()
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            failures.append(error)
        with suppress(RuntimeError):  # nobody waits any more: the loop has ended
            anyio.from_thread.run_sync(done.set, token=token)

    Thread(target=work, name="tau-stage tool", daemon=True).start()
    await done.wait()
    if not failures:
        return results[0]
    failure = failures[0]
    raise failure if isinstance(failure, Exception | SystemExit) else RuntimeError(repr(failure))
