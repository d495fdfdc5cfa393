"""Threads for what a tool's author wrote: nobody waits for one that does not come back, not even the process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a function in a thread of its own. Where it is cancelled, the thread is left alone and ends with the process.

    anyio's own workers are waited for when the interpreter ends; one that sleeps would hold the process.

    Args:
        call: Takes nothing.

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
