"""Watching a session: every event to whoever asks, bounded; a slow reader is told how many it missed."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from tau_stage.errors import SessionError, Timeout
from tau_stage.protocol import server_events as told
from tau_stage.signals import Signal

T = TypeVar("T")

RECENT = 256
"""Events a late ``wait_for`` can still find."""

WAITING = 256
"""Things that may wait for one watcher."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A watcher was too slow for this many things."""

    count: int


class Watch(Generic[T]):
    """One watcher's view: iterate it."""

    def __init__(self, limit: int = WAITING) -> None:
        self._waiting: deque[T] = deque()
        self._limit = limit
        self._missed = 0
        self._over = False
        self._changed = Signal()

    def show(self, thing: T) -> None:
        """Show something; what finds the watcher too slow is counted."""
        if len(self._waiting) < self._limit:
            self._waiting.append(thing)
        else:
            self._missed += 1
        self._changed.notify()

    def end(self) -> None:
        """Note that nothing more will come."""
        self._over = True
        self._changed.notify()

    def __aiter__(self) -> Watch[T]:
        return self

    async def __anext__(self) -> T | Missed:
        while not self._waiting and not self._missed:
            if self._over:
                raise StopAsyncIteration
            await self._changed.wait()
        if self._waiting:
            return self._waiting.popleft()
        missed, self._missed = self._missed, 0
        return Missed(missed)


class Gallery(Generic[T]):
    """All watchers of one kind of thing."""

    def __init__(self) -> None:
        self._watches: list[Watch[T]] = []
        self._over = False

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Watch[T]]:
        """Watch for as long as the block runs; what happens from now on is seen."""
        watch: Watch[T] = Watch()
        self._watches.append(watch)
        if self._over:
            watch.end()
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    @property
    def is_watched(self) -> bool:
        """Whether there is a watcher."""
        return bool(self._watches)

    def show(self, thing: T) -> None:
        """Show everyone something."""
        for watch in self._watches:
            watch.show(thing)

    def end(self) -> None:
        """Note that nothing more will come."""
        self._over = True
        for watch in self._watches:
            watch.end()


class Lookout:
    """Waits for an event of a kind, also for one that came just before it was asked."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, told.ServerEvent]] = deque(maxlen=RECENT)
        self._count = 0
        self._seen: dict[str, int] = {}
        self._changed = Signal()
        self._closed: SessionError | None = None

    def show(self, event: told.ServerEvent) -> None:
        """Show an event to all who watch."""
        self._count += 1
        self._recent.append((self._count, event))
        self._changed.notify()

    def end(self, why: SessionError) -> None:
        """Note that no event will come any more."""
        self._closed = why
        self._changed.notify()

    async def wait_for(
        self, kind: str, timeout_s: float, which: Callable[[told.ServerEvent], bool] = lambda _event: True
    ) -> told.ServerEvent:
        """Wait for the next event of a kind that no earlier call has returned.

        Args:
            kind: The event's type.
            timeout_s: Seconds until it is given up.
            which: Further says which one.

        Raises:
            Timeout: It did not come.
            SessionError: The session closed first.
        """
        with anyio.move_on_after(timeout_s):
            while True:
                for number, event in self._recent:
                    if event.type == kind and number > self._seen.get(kind, 0) and which(event):
                        self._seen[kind] = number
                        return event
                if self._closed:
                    raise self._closed.about()
                await self._changed.wait()
        raise Timeout(what=kind, waited_s=timeout_s)
