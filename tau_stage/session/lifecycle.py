"""How a session stays alive: it may come back after a drop, and moves to a new socket before its time is up.

Theory of operation
===================

A session is *opening*, then *open*, then *closed*; it may become open again, over another socket.

Opening a socket is one task, ``_socket``: connect, read, wait for the greeting, ask for the session that is wanted,
tell the server what was said before, and only then let the session speak through it (``Session.swap``). Until then the
session speaks through the old socket, if there is one. A socket that fails before that has never been the session's.
The task lasts as long as its socket, and ``over`` is set when it ends, whatever ended it.

``live`` waits for one of three things:

- The session's end was asked for, or its socket ended and it does not reconnect: it is closed.
- Its socket ended: it is opened again, a few times, with growing waits. If none opens, it is closed.
- Its socket is old: once no response is under way, another is opened beside it. If none opens, the old one serves on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

import anyio
import pybase64
from anyio.abc import TaskGroup, TaskStatus

from tau_stage.environment import log_event
from tau_stage.errors import SessionClosed, SessionError, unwrapped
from tau_stage.protocol import (
    AssistantMessage,
    ClientItem,
    ConversationItemCreate,
    Entry,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    OutputText,
    SessionConfig,
    SystemMessage,
    UserMessage,
)
from tau_stage.session.retrying import RULES
from tau_stage.session.session import Session
from tau_stage.session.wire import Wire
from tau_stage.text import with_clause
from tau_stage.transport import ABNORMAL, Transport

Connect = Callable[[], AbstractAsyncContextManager[Transport]]


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """What a session does to live on.

    Attributes:
        recover: Whether it comes back after a drop.
        attempts: How often it tries, in a row.
        first_wait_s: Wait before the second attempt; it doubles.
        renew_after_s: Age at which it moves to a new socket, between two turns.
    """

    recover: bool = False
    attempts: int = RULES["lost"].attempts
    first_wait_s: float = RULES["lost"].first_wait_s
    renew_after_s: float = float("inf")


class Lifecycle:
    """One session over as many sockets as it needs, one at a time; each is asked for the session that is wanted."""

    def __init__(self, session: Session, connect: Connect, wanted: SessionConfig, policy: ReconnectPolicy) -> None:
        self._session = session
        self._connect = connect
        self._wanted = wanted
        self._policy = policy

    async def live(self, *, task_status: TaskStatus[None]) -> None:
        """Open the session, and keep it open until it is closed by us or for good.

        Raises:
            SessionError: It did not open in the first place.
        """
        async with anyio.create_task_group() as group:
            over: anyio.Event = await group.start(self._socket)
            task_status.started()
            while True:
                with anyio.move_on_after(self._policy.renew_after_s):
                    await over.wait()
                if self._session.is_closing or (over.is_set() and not self._policy.recover):
                    break
                again = await (self._reconnect(group) if over.is_set() else self._renew(group, over))
                if again is None:
                    break
                over = again
            self._session.over()

    async def _socket(self, *, task_status: TaskStatus[anyio.Event]) -> None:
        """Serve one socket, from its opening to its end."""
        over = anyio.Event()
        try:
            with unwrapped():
                async with self._connect() as transport, anyio.create_task_group() as group:
                    wire = self._session.new_wire(transport)
                    group.start_soon(wire.listen)
                    await self._restore(wire)
                    log_event("session", logging.INFO, f"{self._session.name}: the session is open")
                    task_status.started(over)
                    await wire.over.wait()
                    group.cancel_scope.cancel()
        finally:
            over.set()

    async def _restore(self, wire: Wire) -> None:
        """Make a new socket's server what the old one's was, then speak through it."""
        async with AsyncExitStack() as failing:
            failing.push_async_callback(wire.close)
            await self._session.begin(self._wanted, wire)
            for entry in list(self._session.conversation.items.values()):
                if item := self._item(entry):
                    await wire.answer(await wire.send(ConversationItemCreate(item=item)))
            failing.pop_all()
        if former := self._session.swap(wire):
            await former.close()

    def _item(self, entry: Entry) -> ClientItem | None:
        """Make an entry for a new conversation: a user's sound as sound, what the model said as its words."""
        if entry.role != "user" or entry.audio is None:
            return _in_words(entry)
        sound = pybase64.b64encode(self._session.heard_as.encode(entry.audio)).decode("ascii")
        return UserMessage(id=entry.id, content=(InputAudio(audio=sound, transcript=entry.transcript),))

    async def _reconnect(self, group: TaskGroup) -> anyio.Event | None:
        why = self._session.wire.closed or SessionClosed(code=ABNORMAL)
        for attempt in range(self._policy.attempts):
            try:
                over: anyio.Event = await group.start(self._socket)
            except SessionError as error:
                log_event(
                    "session", logging.WARNING, f"{self._session.name}: it did not open again: {error.what_happened()}"
                )
                await anyio.sleep(self._policy.first_wait_s * 2**attempt)
            else:
                self._session.warn(
                    with_clause(why.what_happened(), "it was opened again and told what was said before")
                )
                return over
            if self._session.is_closing:
                break
        return None

    async def _renew(self, group: TaskGroup, old: anyio.Event) -> anyio.Event:
        """Move to a new socket when no response is under way; where none can be had, stay on the old one."""
        try:
            while self._session.conversation.active:
                await self._session.wait_for("response.done", self._session.deadlines.response_s)
            over: anyio.Event = await group.start(self._socket)
        except SessionError as error:
            self._session.warn(f"the session could not be renewed: {error.what_happened()}")
            return old
        self._session.warn("the session was renewed before its time was up")
        return over


def _in_words(entry: Entry) -> ClientItem | None:
    words = entry.text or entry.transcript
    if entry.call:
        call = entry.call
        return FunctionCall(id=entry.id, name=call.name, arguments=call.arguments, call_id=call.call_id)
    if entry.output is not None:
        return FunctionCallOutput(id=entry.id, call_id=entry.answers or "", output=entry.output)
    if not words:
        return None
    match entry.role:
        case "system":
            return SystemMessage(id=entry.id, content=(InputText(text=words),))
        case "assistant":
            return AssistantMessage(id=entry.id, content=(OutputText(text=words),))
        case _:
            return UserMessage(id=entry.id, content=(InputText(text=words),))
