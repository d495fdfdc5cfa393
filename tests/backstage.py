"""An understudy and its clients in one process, without a network: fast, and on any clock. Every event is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tau_stage.errors import ConnectFailed
from tau_stage.protocol.config import SessionConfig, conducted
from tau_stage.session import Deadlines, Session, open_session
from tau_stage.transport import Handshake, MemoryTransport, Transport
from tau_stage.understudy.server import Understudy
from tests.openai_types import check_client_event, check_server_event
from tests.tones import Tones

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
    if refusal := understudy.admit(asked):
        wait = refusal.headers.get("Retry-After")
        raise ConnectFailed(
            reason=refusal.body.strip(), status=refusal.status, retry_after_s=float(wait) if wait else None
        )
    ours, theirs = MemoryTransport.pair()
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
