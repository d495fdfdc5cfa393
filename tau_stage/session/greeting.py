"""What a server says when a connection opens: whether it greets, and what came instead."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from tau_stage.errors import SessionClosed, Timeout
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.endpoints import Opening
from tau_stage.signals import Signal

GREETINGS = frozenset({"session.created", "conversation.created"})
"""Events by which a server shows that it is ready: any of them will do."""

ASK_AFTER_S = 2.0
"""Seconds after which a server that may not greet at all is asked for the session."""

REFUSAL_S = 0.5
"""Seconds that are left to a server between an error and the close that follows it."""

UNCONFIRMED_S = 1.0
"""Seconds that a server has to refuse a session which it need not confirm."""

SHOWN_TYPES = 5
"""How many types of events a message names."""

SHOWN_CHARACTERS = 60
"""How much of a type of event it shows; a server may call its events anything."""


class Refused(Exception):
    """The server answered the connection itself with an error."""


class Greeting:
    """What a server has said since the connection opened."""

    def __init__(self) -> None:
        self._types: dict[str, None] = {}
        self._error: bodies.ServerError | None = None
        self._changed = Signal()
        self._closed: SessionClosed | None = None

    def notice(self, event: told.ServerEvent) -> None:
        """Take in an event."""
        said = f' ("{event.words}")' if isinstance(event, told.UnusableEvent) and event.words else ""
        self._types.setdefault(event.type or f"what is no event{said}")
        if isinstance(event, told.ErrorEvent):
            self._error = event.error
        self._changed.notify()

    def end(self, why: SessionClosed) -> None:
        """Note that nothing more will come."""
        self._closed = self._closed or why
        self._changed.notify()

    @property
    def has_come(self) -> bool:
        """Whether the server has greeted."""
        return not GREETINGS.isdisjoint(self._types)

    @property
    def has_failed(self) -> bool:
        """Whether the server has reported an error."""
        return self._error is not None

    async def wait(self, opening: Opening, limit_s: float) -> None:
        """Wait until the server has greeted, or where it is not known to greet, until it may be asked all the same.

        Raises:
            Refused: It sent an error instead.
            SessionClosed: It closed the connection.
        """
        patience = float("inf") if opening.is_known else min(ASK_AFTER_S, limit_s / 3)
        with anyio.move_on_after(patience):
            await self._until(lambda: self.has_come or self.has_failed)
        if self.has_failed and not self.has_come:
            with anyio.move_on_after(REFUSAL_S):
                await self._until(lambda: self.has_come)
            if not self.has_come:
                raise Refused

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if self._closed:
                raise self._closed.about()
            await self._changed.wait()

    def missed(self, opening: Opening, waited_s: float, player: str) -> Timeout:
        """Say what did not come in time, and what came instead."""
        awaited: list[str] = [] if self.has_come else [opening.greeting]
        if self.has_come or not opening.is_known:
            awaited.append("session.updated")
        return Timeout(what=" and no ".join(awaited), waited_s=waited_s, instead=self.told(), player=player)

    def told(self) -> str:
        """Return what the server has sent, as a sentence.

        >>> Greeting().told()
        'the server sent nothing'
        """
        names = [
            f'{name} ("{self._error.message}")' if name == "error" and self._error and self._error.message else name
            for name in (kind if " " in kind else kind[:SHOWN_CHARACTERS] for kind in self._types)
        ]
        if len(names) > SHOWN_TYPES:
            names = [*names[:SHOWN_TYPES], f"{len(names) - SHOWN_TYPES} more"]
        last = names.pop() if names else "nothing"
        return f"the server sent {', '.join(names)} and {last}" if names else f"the server sent {last}"
