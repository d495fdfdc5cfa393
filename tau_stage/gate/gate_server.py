"""The gate as a server: one for all processes and machines of a batch.

Theory of operation
===================

A client sends a hello first: the token, its name, and what it holds from before. A lease ends with its connection, so
that what a killed worker held is free when its sockets close. A worker that loses the gate keeps what it holds, and
tells it to the gate that comes next: for a moment after its start, a gate grants nothing, until those are back.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from hmac import compare_digest
from pathlib import Path
from random import Random

import anyio
from anyio.abc import AnyByteStream, SocketStream, TaskGroup
from anyio.streams.stapled import MultiListener
from pydantic import TypeAdapter, ValidationError

from tau_stage.environment import log_event
from tau_stage.errors import UsageError
from tau_stage.gate import messages
from tau_stage.gate.book import BEFORE, GateBook, GateLimits
from tau_stage.gate.gate import ClientLeases, LeaseQueue
from tau_stage.gate.messages import GateConnection, connection_over
from tau_stage.protocol import is_loopback
from tau_stage.take import write_whole

HELLO_S = 5.0
"""Seconds that a client has to say who it is."""

RETURN_S = 3.0
"""Seconds after the start in which clients of a former gate come back, before anything is granted."""

MOST_LEASES = 1000
"""Leases that one client may wait for and hold."""

MOST_STRANGERS = 100
"""Connections whose hello is awaited; one more, and the oldest of them goes."""

SPENT: TypeAdapter[dict[str, Decimal]] = TypeAdapter(dict[str, messages.Dollars])


@dataclass(slots=True)
class _Visit:
    scope: anyio.CancelScope
    ended: anyio.Event = field(default_factory=anyio.Event)


class GateServer:
    """Serves the leases of one queue.

    Args:
        limits: What all clients together may do.
        token: What clients must bring.
        state: A file that keeps what was spent; None: a new gate begins with nothing.
        spent: Dollars that were spent before, beside those in the file.
        return_s: As ``RETURN_S``.

    Raises:
        UsageError: The file is none of a gate.
    """

    def __init__(
        self,
        limits: GateLimits,
        token: str,
        *,
        state: Path | None = None,
        spent: Decimal = Decimal(0),
        return_s: float = RETURN_S,
    ) -> None:
        book = GateBook(limits, spent={BEFORE: spent, **_read_spent(state)}, dice=Random())  # noqa: S311 - jitter, not secrecy
        self.queue = LeaseQueue(book, opens_at=anyio.current_time() + return_s)
        self.queue.changed = self._keep_spent
        self._token = token
        self._state = state
        self._visits: dict[str, _Visit] = {}
        self._strangers: dict[anyio.CancelScope, None] = {}

    def _keep_spent(self) -> None:
        """Write down what was spent before anything else is granted: another gate begins with it."""
        if self._state is not None:
            spent = SPENT.dump_json(self.queue.book.spent_by, indent=2)
            write_whole({self._state: spent}, "choose another file with --state")

    async def serve(self, stream: AnyByteStream) -> None:
        """Serve one connection until it ends."""
        async with connection_over(stream) as connection:
            hello = await self._meet(connection)
            if hello is None:
                return
            while former := self._visits.get(hello.client):  # it has lost that connection, and we have not noticed
                former.scope.cancel()
                await former.ended.wait()
            leases = self.queue.client(hello.client)
            with anyio.CancelScope() as scope:
                visit = self._visits[hello.client] = _Visit(scope)
                try:
                    leases.restore(hello.spent, hello.held)
                    connection.post(messages.Welcome(limited=self.queue.book.limits.limited))
                    async with anyio.create_task_group() as group:
                        await self._listen(connection, leases, group)
                        group.cancel_scope.cancel()
                finally:
                    leases.end()
                    del self._visits[hello.client]
                    visit.ended.set()

    async def _meet(self, connection: GateConnection) -> messages.Hello | None:
        """Wait for a hello as long as there are not too many who say none: they must not use up our sockets."""
        with anyio.CancelScope() as scope:
            self._strangers[scope] = None
            if len(self._strangers) > MOST_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.cancel()
            try:
                return await self._hello(connection)
            finally:
                self._strangers.pop(scope, None)
        return None

    async def _hello(self, connection: GateConnection) -> messages.Hello | None:
        """Return who a client is; None where it must go."""
        line = await connection.line(HELLO_S)
        hello = None if line is None else _parse(line)
        if isinstance(hello, messages.Hello) and compare_digest(hello.token.encode(), self._token.encode()):
            return hello
        problem = "wrong token" if isinstance(hello, messages.Hello) else "no hello received"
        log_event("gate", logging.WARNING, f"refused a client: {problem}")
        await connection.finish(messages.Problem(problem=problem))
        return None

    async def _listen(self, connection: GateConnection, leases: ClientLeases, group: TaskGroup) -> None:
        waiting = set[int]()
        while (line := await connection.line()) is not None:
            match _parse(line):
                case messages.Ask(id=number) if number in waiting:
                    await connection.finish(messages.Problem(problem=f"lease {number} was requested twice"))
                    return
                case messages.Ask() as asked if len(leases) < MOST_LEASES:
                    waiting.add(asked.id)
                    group.start_soon(self._grant, connection, leases, asked, waiting)
                case messages.Ask():
                    problem = f"a client can wait for at most {MOST_LEASES} leases"
                    await connection.finish(messages.Problem(problem=problem))
                    return
                case messages.Enlarge() as asked:
                    connection.post(leases.enlarge(asked) or messages.Granted(id=asked.id))
                case messages.StatusWanted():
                    connection.post(self.queue.status().model_copy(update={"clients": len(self._visits)}))
                case messages.Ping():
                    pass
                case messages.Hello() | None:
                    await connection.finish(messages.Problem(problem="the gate received an invalid message"))
                    return
                case notice:
                    leases.tell(notice)

    async def _grant(
        self, connection: GateConnection, leases: ClientLeases, asked: messages.Ask, waiting: set[int]
    ) -> None:
        denied = await leases.ask(asked)
        waiting.discard(asked.id)
        connection.post(denied or messages.Granted(id=asked.id))


def _parse(line: bytes) -> messages.Request | None:
    try:
        return messages.REQUESTS.validate_json(line)
    except ValidationError:
        return None


def _read_spent(state: Path | None) -> Mapping[str, Decimal]:
    try:
        return SPENT.validate_json(state.read_bytes()) if state else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = (
            (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "is not a gate state file"
        )
        raise UsageError(f"{state}: {reason}", "choose another file with --state") from None


@asynccontextmanager
async def open_gate_server(
    limits: GateLimits,
    token: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    state: Path | None = None,
    spent: Decimal = Decimal(0),
    return_s: float = RETURN_S,
) -> AsyncIterator[str]:
    """Serve a gate while the block runs, and yield its address, ``host:port``.

    Args:
        limits: What all clients together may do.
        token: What clients must bring.
        host: A loopback address, unless others are allowed.
        port: 0 takes a free one.
        allow_remote: Whether other machines may reach it.
        state: A file that keeps what was spent.
        spent: Dollars that were spent before, beside those in the file.
        return_s: As ``RETURN_S``.

    Raises:
        UsageError: The host is not loopback, the port is taken, the token is empty, or the file is none of a gate.
    """
    if not token:
        raise UsageError("a gate requires a token", "set TAU_STAGE_GATE_TOKEN")
    if not (allow_remote or is_loopback(f"[{host}]" if ":" in host else host)):
        raise UsageError(f"{host} is not a loopback address", "add --allow-remote, or use 127.0.0.1")
    server = GateServer(limits, token, state=state, spent=spent, return_s=return_s)
    listener = await _listener(host, port)
    bound = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - nothing of Django
    async with listener, anyio.create_task_group() as group:
        group.start_soon(partial(listener.serve, server.serve, group))
        yield f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        group.cancel_scope.cancel()


async def _listener(host: str, port: int) -> MultiListener[SocketStream]:
    try:
        return await anyio.create_tcp_listener(local_host=host, local_port=port)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
        raise UsageError(problem, "choose another --port, or use an address of this machine for --host") from None
