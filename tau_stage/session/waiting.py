"""Whoever waits for something of a session: for events, for answers to requests, for a response while it comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import anyio

from tau_stage.audio import Pcm
from tau_stage.errors import ModelRefused, SessionClosed, SessionError, Timeout
from tau_stage.protocol import (
    AudioChunk,
    AudioDelta,
    ErrorEvent,
    Request,
    Response,
    ResponseChange,
    ResponseEnded,
    ServerError,
    ServerEvent,
    TextChunk,
)
from tau_stage.signals import Signal
from tau_stage.transport import ABNORMAL

T = TypeVar("T")

RECENT = 256  # events a late ``wait_for`` can still find; of those with sound, the last

WAITING = 256  # things that may wait for one watcher


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a session waits, in seconds; no wait is unlimited.

    Attributes:
        opening_s: For each of the connection, ``session.created`` and ``session.updated``.
        request_s: For the answer to a request.
        response_s: For the next event of a response in progress.
        closing_s: For the close handshake.

    >>> Deadlines(response_s=120).request_s
    30.0
    """

    opening_s: float = 10.0
    request_s: float = 30.0
    response_s: float = 60.0
    closing_s: float = 2.0


MILESTONES = {AudioChunk: "first_audio_s", TextChunk: "first_text_s", ResponseEnded: "compute_s"}
"""What of a response tells how long that took: the first change of each kind, commentary aside."""


class Receipt:
    """A request that is on its way, ``size`` bytes of it, and its answer when it comes."""

    def __init__(self, request: Request, size: int = 0) -> None:
        self.request = request
        self.size = size
        self._settled = anyio.Event()
        self._outcome: ServerEvent | SessionError = SessionClosed(code=ABNORMAL)

    def settle(self, outcome: ServerEvent | SessionError) -> None:
        """Give the answer, or the reason why there will be none; only the first counts."""
        if not self._settled.is_set():
            self._outcome = outcome
            self._settled.set()

    async def answer(self) -> ServerEvent:
        """Wait for the server's answer; a ``ModelRefused`` or a ``SessionClosed`` says why there is none."""
        await self._settled.wait()
        if isinstance(self._outcome, SessionError):
            raise self._outcome.about()
        if isinstance(self._outcome, ErrorEvent):
            raise refusal(self._outcome.error)
        return self._outcome


def refusal(error: ServerError) -> ModelRefused:
    """Turn a server's error into our exception."""
    return ModelRefused(
        code=error.code or error.type, message=error.message, param=error.param, event_id=error.event_id
    )


def told(error: ServerError) -> str:
    """Return a server's error as it stands behind a sentence of ours: its code, and its own words."""
    return f"({error.code or error.type}): {error.message}"


class ResponseStream:
    """A response that was asked for: its sound and words while they come, then the whole.

    Iterate for ``AudioChunk`` and ``TextChunk`` changes; ``finished`` gives the ``Response``. What came in its place is
    told by ``instead``; ``before`` was asked earlier, and was not answered yet.
    """

    def __init__(self, idle_s: float, before: Sequence[Request] = ()) -> None:
        self.before = before
        self.instead = ""
        self._idle_s = idle_s
        self._began_at = anyio.current_time()
        self._came_after_s: dict[str, float] = {}
        self._changes: deque[ResponseChange] = deque()
        self._changed = Signal()
        self._failure: SessionError | None = None
        self._response: Response | None = None

    def add(self, change: ResponseChange) -> None:
        """Take in what the reader found."""
        milestone = MILESTONES.get(type(change))
        if milestone and milestone not in self._came_after_s and not getattr(change, "commentary", False):
            self._came_after_s[milestone] = anyio.current_time() - self._began_at
        self._changes.append(change)
        self._changed.notify()

    def fail(self, why: SessionError) -> None:
        """Note that nothing more will come."""
        self._failure = why
        self._changed.notify()

    def __aiter__(self) -> ResponseStream:
        return self

    async def __anext__(self) -> ResponseChange:
        if self._response is not None:
            raise StopAsyncIteration
        change = await self._next()
        if isinstance(change, ResponseEnded):
            self._response = replace(change.response, **self._came_after_s)  # type: ignore[arg-type]
            raise StopAsyncIteration
        return change

    async def _next(self) -> ResponseChange:
        if self._changes:
            return self._changes.popleft()
        with anyio.move_on_after(self._idle_s):
            await self._changed.until(lambda: bool(self._changes or self._failure))
            if self._failure and not self._changes:
                raise self._failure.about()
            return self._changes.popleft()
        raise Timeout(what="response event", waited_s=self._idle_s, instead=self.instead)

    def with_waiting_sound(self, chunk: AudioChunk) -> Pcm:
        """Return a piece of sound with all of its kind that has come right behind it: one write instead of many."""
        pieces = [chunk.audio]
        while self._changes and isinstance(behind := self._changes[0], AudioChunk):
            if (behind.item_id, behind.commentary) != (chunk.item_id, chunk.commentary):
                break
            pieces.append(behind.audio)
            self._changes.popleft()
        return Pcm.join(pieces)

    async def finished(self) -> Response:
        """Wait for the whole response, however it ended: look at its ``status``.

        Raises:
            ModelRefused: The server refused to begin.
            SessionClosed: The session was closed first.
            Timeout: The server fell silent.
        """
        while self._response is None:
            async for _ in self:
                pass
        return self._response


@dataclass(frozen=True, slots=True)
class Missed:
    """A watcher was too slow for this many things."""

    count: int


class Subscription(Generic[T]):
    """One watcher's view: iterate it."""

    def __init__(self, limit: int = WAITING) -> None:
        self._waiting: deque[T] = deque()
        self._limit = limit
        self._missed = 0
        self._over = False
        self._changed = Signal()

    def publish(self, thing: T) -> None:
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

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T | Missed:
        await self._changed.until(lambda: bool(self._waiting or self._missed or self._over))
        if self._waiting:
            return self._waiting.popleft()
        if not self._missed:
            raise StopAsyncIteration
        missed, self._missed = self._missed, 0
        return Missed(missed)


class Broadcast(Generic[T]):
    """All watchers of one kind of thing."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription[T]] = []
        self._over = False

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription[T]]:
        """Watch for as long as the block runs; what happens from now on is seen."""
        subscription: Subscription[T] = Subscription()
        self._subscriptions.append(subscription)
        if self._over:
            subscription.end()
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    @property
    def has_subscribers(self) -> bool:
        """Whether there is a watcher."""
        return bool(self._subscriptions)

    def publish(self, thing: T) -> None:
        """Show everyone something."""
        for subscription in self._subscriptions:
            subscription.publish(thing)

    def end(self) -> None:
        """Note that nothing more will come."""
        self._over = True
        for subscription in self._subscriptions:
            subscription.end()


class EventWaiter:
    """Waits for an event of a kind, also for one that came just before it was asked."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, ServerEvent]] = deque(maxlen=RECENT)
        self._last_sound: Callable[[], ServerEvent] | None = None
        self._last_sound_at = 0
        self._count = 0
        self._seen: dict[str, int] = {}
        self._changed = Signal()
        self._closed: SessionError | None = None

    def publish(self, event: ServerEvent) -> None:
        """Show an event to all who watch."""
        if isinstance(event, AudioDelta):
            self.publish_sound(lambda: event)
            return
        self._count += 1
        self._recent.append((self._count, event))
        self._changed.notify()

    def publish_sound(self, decoded: Callable[[], ServerEvent]) -> None:
        """Show an event with sound, which is made where somebody looks at it."""
        self._count = self._last_sound_at = self._count + 1
        self._last_sound = decoded
        self._changed.notify()

    def _events(self) -> Iterator[tuple[int, ServerEvent]]:
        yield from self._recent
        if self._last_sound:
            yield self._last_sound_at, self._last_sound()

    def end(self, why: SessionError) -> None:
        """Note that no event will come any more."""
        self._closed = why
        self._changed.notify()

    async def wait_for(self, kind: str, timeout_s: float) -> ServerEvent:
        """Wait for the next event of a type that no call has returned; a ``SessionError`` says why it does not come."""
        with anyio.move_on_after(timeout_s):
            while True:
                for number, event in self._events():
                    if event.type == kind and number > self._seen.get(kind, 0):
                        self._seen[kind] = number
                        return event
                if self._closed:
                    raise self._closed.about()
                await self._changed.wait()
        raise Timeout(what=kind, waited_s=timeout_s)
