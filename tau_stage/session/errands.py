"""What a session does that nobody asked for: tools called in a detected turn, cuts after a barge-in. One at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from tau_stage.errors import ModelRefused, SessionError

Errand = Callable[[], Awaitable[object]]


class Errands:
    """Work that an event leads to, done by the session's own task and never in the reader's way."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()
        self._news = anyio.Event()

    def add(self, errand: Errand) -> None:
        """Something is to be done."""
        self._waiting.append(errand)
        self._news.set()

    async def run(self, warnings: list[str]) -> None:
        """Do what is to be done, until the session closes.

        Args:
            warnings: Told of what the server refused.
        """
        while True:
            while self._waiting:
                try:
                    await self._waiting.popleft()()
                except ModelRefused as error:
                    warnings.append(str(error))
                except SessionError:
                    return
            self._news = anyio.Event()
            await self._news.wait()
