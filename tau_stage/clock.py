"""Clocks for a whole event loop: one that counts in milliseconds, and one that nobody waits for.

A room of its own because it alone knows asyncio beside ``transport``. What is recorded is timed by the first, so that a
replay on the second computes the same: both stand still while the loop's callbacks run. No dependency is needed for it:
a loop's time is what its selector says it is.

```python
anyio.run(perform, plan, stage, folder, backend_options=VIRTUAL)
```
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from tau_stage.take import DISK_THREAD

T = TypeVar("T")

SELF_PIPE = 1
"""What a loop's selector watches when the loop waits for nothing in the world: other threads wake it there."""

LOOK_AGAIN_S = 0.05


class Moments(selectors.DefaultSelector):
    """Waits as every selector does; what time it is changes only here, and in whole milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _milliseconds()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for the world, or for so many seconds."""
        ready = super().select(timeout)
        self.now = _milliseconds()
        return ready


class Jumps(selectors.DefaultSelector):
    """Jumps over time instead of waiting, unless something of the world is under way: a thread, a program."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._bystanders = set(threading.enumerate())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return whatever is ready. If nothing is, and nothing real can come, let it be later at once."""
        if timeout is None:
            return super().select()
        is_real = self._is_awaited()  # asked first: who ends now has rung before
        if (ready := super().select(0)) or timeout <= 0:
            return ready
        began = time.monotonic()
        ready = super().select(min(timeout, LOOK_AGAIN_S)) if is_real else []
        self.now += min(timeout, time.monotonic() - began) if is_real else timeout
        return ready

    def _is_awaited(self) -> bool:
        others = set(threading.enumerate()) - self._bystanders
        return len(self.get_map()) > SELF_PIPE or not all(each.name.startswith(DISK_THREAD) for each in others)


class ClockedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is its selector's."""

    def __init__(self, clock: Moments | Jumps) -> None:
        self._clock = clock
        super().__init__(clock)

    def time(self) -> float:
        """Return seconds on the loop's clock."""
        return self._clock.now


def _milliseconds() -> float:
    return math.floor(time.monotonic() * 1000) / 1000


BackendOptions = dict[str, Any]
"""What ``anyio.run`` takes as ``backend_options``."""

STEADY: BackendOptions = {"loop_factory": lambda: ClockedLoop(Moments())}
"""``backend_options`` of ``anyio.run``: real time, in milliseconds."""

VIRTUAL: BackendOptions = {"loop_factory": lambda: ClockedLoop(Jumps())}
"""``backend_options`` of ``anyio.run``: time that jumps whenever everybody waits."""


async def run_on_clock(work: Callable[[], Awaitable[T]], options: BackendOptions) -> T:
    """Run something in a loop and a thread of its own, by another clock; who is cancelled here cancels it there."""
    with start_blocking_portal("asyncio", options) as portal:
        return await asyncio.wrap_future(portal.start_task_soon(work))
