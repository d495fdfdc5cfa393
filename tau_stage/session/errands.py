"""What a session does that nobody asked for: tools called in a detected turn, cuts after a barge-in. One at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from tau_stage.errors import ModelRefused, SessionError, Timeout
from tau_stage.signals import Signal

Errand = Callable[[], Awaitable[object]]


class Errands:
    """Work that an event leads to, done by the session's own task and never in the reader's way."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()
        self._changed = Signal()

    def add(self, errand: Errand) -> None:
        """Add something to be done."""
        self._waiting.append(errand)
        self._changed.notify()

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
            await self._changed.wait()
