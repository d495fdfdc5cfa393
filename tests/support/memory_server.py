"""An understudy and its clients in one process, without a network: fast, and on any clock. Every event is judged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tau_stage.errors import ConnectFailed, unwrapped
from tau_stage.protocol.client_events import SessionConfig, conducted
from tau_stage.session import Deadlines, Session, open_session
from tau_stage.transport import Handshake, MemoryTransport, Transport
from tau_stage.understudy.server import Understudy
from tests.support.openai_types import check_client_event, check_server_event
from tests.support.tone_voice import Tones

MODEL = "gpt-realtime-2.1-mini"


class Judged:
    """A transport that lets the `openai` package judge every frame that passes."""

    def __init__(self, inner: Transport, *, judges_server: bool = True) -> None:
        self.inner = inner
        self.judges_server = judges_server
        self.sent: list[bytes] = []
        self.received: list[bytes] = []

    async def send(self, frame: bytes) -> None:
        check_client_event(frame)
        self.sent.append(frame)
        await self.inner.send(frame)

    async def receive(self) -> bytes:
        frame = await self.inner.receive()
        if self.judges_server:
            check_server_event(frame)
        self.received.append(frame)
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.inner.aclose(code, reason)

    def drop(self) -> None:
        self.inner.drop()


@asynccontextmanager
async def connected(
    understudy: Understudy | None = None, handshake: Handshake | None = None, *, judged: bool = True
) -> AsyncIterator[Judged]:
    """A connection to an understudy, in memory.

    Raises:
        ConnectFailed: It refused at the upgrade.
    """
    understudy = understudy or Understudy(Tones(), keeps_visits=True)
    asked = handshake or Handshake(query={"model": MODEL})
    if refusal := await understudy.admit(asked):
        wait = refusal.headers.get("Retry-After")
        raise ConnectFailed(
            reason=refusal.body.strip(), status=refusal.status, retry_after_s=float(wait) if wait else None
        )
    ours, theirs = MemoryTransport.pair()
    with unwrapped():
        async with anyio.create_task_group() as group:
            group.start_soon(understudy.listen, theirs, asked)
            try:
                yield Judged(ours, judges_server=judged)
            finally:
                ours.drop()
                group.cancel_scope.cancel()


@asynccontextmanager
async def in_session(
    understudy: Understudy | None = None,
    wanted: SessionConfig | None = None,
    *,
    deadlines: Deadlines | None = None,
    judged: bool = True,
) -> AsyncIterator[Session]:
    """An open session with an understudy, in memory."""
    async with (
        connected(understudy, judged=judged) as transport,
        open_session(transport, wanted or conducted(voice="ash"), name="clerk", deadlines=deadlines) as session,
    ):
        yield session


class Client:
    """A bare client: plain dictionaries in and out, for what our own session would never send."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def send(self, kind: str, **fields: Any) -> None:
        await self.transport.send(json.dumps({"type": kind, **fields}).encode())

    async def next(self) -> dict[str, Any]:
        """The next event but the limits: they come after some responses, and nobody may wait for them."""
        with anyio.fail_after(50):
            event = json.loads(await self.transport.receive())
            while event["type"] == "rate_limits.updated":
                event = json.loads(await self.transport.receive())
        assert isinstance(event, dict)
        return event

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Every event up to and including the first of a kind."""
        events = [await self.next()]
        while events[-1]["type"] != kind:
            events.append(await self.next())
        return events

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event after sending one."""
        await self.send(kind, **fields)
        return await self.next()

    async def refused(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The error that an event is answered with."""
        event = await self.ask(kind, event_id="evt_mine", **fields)
        assert event["type"] == "error", event
        assert event["error"]["event_id"] == "evt_mine"
        error = event["error"]
        assert isinstance(error, dict)
        return error


@asynccontextmanager
async def bare_client(
    understudy: Understudy | None = None, handshake: Handshake | None = None, *, judged: bool = True
) -> AsyncIterator[Client]:
    """A bare client that has read ``session.created``; what the server says is judged."""
    async with connected(understudy, handshake, judged=judged) as transport:
        client = Client(Receiving(transport) if judged else transport.inner)
        created = await client.next()
        assert created["type"] == "session.created", created
        yield client


class Receiving(Judged):
    """Judges only the server: the client may send anything."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(judged.inner)

    async def send(self, frame: bytes) -> None:
        await self.inner.send(frame)
