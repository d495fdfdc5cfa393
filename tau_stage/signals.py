"""Something has changed: how whoever waits for it learns of it."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Signal:
    """Wakes everyone who waits for a change. It keeps nothing: look first, then wait.

    ```python
    while not self._queue:
        await self._changed.wait()
    ```
    """

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake everyone who waits now."""
        if self._event:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next change."""
        self._event = self._event or anyio.Event()
        await self._event.wait()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; at once, where it is so already."""
        while not is_so():
            await self.wait()
