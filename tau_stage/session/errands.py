"""What a session does that nobody asked for: tools called in a detected turn, cuts after a barge-in. One at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from tau_stage.errors import ModelRefused, SessionError, Timeout

Errand = Callable[[], Awaitable[object]]


class Errands:
    """Work that an event leads to, done by the session's own task and never in the reader's way."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()
        self._news = anyio.Event()

    def add(self, errand: Errand) -> None:
        """Add something to be done."""
        self._waiting.append(errand)
        self._news.set()

    async def run(self, warn: Callable[[str], None]) -> None:
        """Do what is to be done until the session closes; what fails is told of and ends nothing else.

        Args:
            warn: Told of what the server refused, or did not answer in time.
        """
        while True:
            while self._waiting:
                try:
                    await self._waiting.popleft()()
                except (ModelRefused, Timeout) as error:
                    warn(str(error))
                except SessionError:
                    return
            self._news = anyio.Event()
            await self._news.wait()
