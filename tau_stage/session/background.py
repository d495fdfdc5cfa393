"""What a session does in the background: work that an event leads to, and tools that run in threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.abc import TaskGroup

from tau_stage.errors import ModelRefused, SessionError, Timeout

T = TypeVar("T")


class BackgroundTasks:
    """Work that nobody waits for: tools called in a detected turn, cuts after a barge-in.

    It is done by a task of its own, one piece at a time, and never in the reader's way.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], Awaitable[object]]] = []
        self._start: Callable[[], object] | None = None

    def open(self, group: TaskGroup, warn: Callable[[str], None]) -> None:
        """Do from now on what is to be done; ``warn`` is told of what fails and ends nothing else."""
        self._start = partial(group.start_soon, self._run, warn)
        if self._waiting:
            group.start_soon(self._run, warn)

    def add(self, work: Callable[[], Awaitable[object]]) -> None:
        """Add something to be done."""
        self._waiting.append(work)
        if self._start and len(self._waiting) == 1:
            self._start()

    async def _run(self, warn: Callable[[str], None]) -> None:
        while self._waiting:
            try:
                await self._waiting[0]()
            except (ModelRefused, Timeout) as error:
                warn(error.what_happened())
            except SessionError:  # nothing more can be done
                self._waiting.clear()
                return
            self._waiting.pop(0)


async def run_in_thread(call: Callable[[], T]) -> T:
    """Run a function in a thread of its own. Where it is cancelled, the thread is left alone and ends with the process.

    anyio's own workers are waited for when the interpreter ends; one that sleeps would hold the process. What the
    function raises is raised: as it is an ``Exception`` or ``SystemExit``, else as a ``RuntimeError`` that tells it.
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
