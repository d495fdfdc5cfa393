"""An understudy whose events reach the client otherwise than it sends them: servers as public reports have them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tau_stage.protocol.client_events import conducted
from tau_stage.session import Deadlines, Session, open_session
from tau_stage.take.take_model import Take
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy.server import Understudy
from tests.support.in_memory_stage import Playhouse
from tests.support.memory_server import connected
from tests.support.tone_voice import Tones

Event = dict[str, Any]
Tamper = Callable[[Event], Iterable[Event | bytes]]
"""What goes out in the place of one event: other events, or frames as they are."""

QUICK = Deadlines(opening_s=2, request_s=6, response_s=20, closing_s=1)

DUO = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Hello there, everybody.
  - bob: Good evening.
  - ann: And good night.
"""
SAID = ["Hello there, everybody.", "Good evening.", "And good night."]


class Tampering(Understudy):
    """A server whose events are tampered with.

    Args:
        tamper: Changes what it sends.
        ignores: Types of events that do not reach it.
        pace: How many seconds of sound it sends in a second; None is as fast as it can.
    """

    def __init__(
        self,
        tamper: Tamper = lambda event: [event],
        ignores: Collection[str] = (),
        pace: float | None = None,
    ) -> None:
        super().__init__(Tones(), keeps_visits=True, pace=pace)
        self._tamper = tamper
        self._ignores = ignores

    async def listen(self, transport: Transport, handshake: Handshake) -> None:
        await super().listen(_Tampered(transport, self._tamper, self._ignores), handshake)


class _Tampered:
    """The server's end of a connection."""

    def __init__(self, inner: Transport, tamper: Tamper, ignores: Collection[str]) -> None:
        self._inner = inner
        self._tamper = tamper
        self._ignores = ignores

    async def send(self, frame: bytes) -> None:
        for event in self._tamper(json.loads(frame)):
            await self._inner.send(event if isinstance(event, bytes) else json.dumps(event).encode())

    async def receive(self) -> bytes:
        while json.loads(frame := await self._inner.receive())["type"] in self._ignores:
            pass
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)

    def drop(self) -> None:
        self._inner.drop()


def without(*kinds: str) -> Tamper:
    """Events of some types never come."""
    return lambda event: [] if event["type"] in kinds else [event]


def on(kind: str, *instead: Event | bytes | Callable[[Event], Event | bytes]) -> Tamper:
    """Something else comes in the place of each event of a type."""

    def tamper(event: Event) -> Iterable[Event | bytes]:
        if event["type"] != kind:
            return [event]
        return [one(event) if callable(one) else one for one in instead]

    return tamper


@asynccontextmanager
async def talking(server: Understudy) -> AsyncIterator[Session]:
    """A session with it."""
    async with (
        connected(server, judged=False) as socket,
        open_session(socket.inner, conducted(voice="ash"), name="clerk", deadlines=QUICK) as session,
    ):
        yield session


async def performed(server: Understudy, tmp_path: Path, scene: str = DUO) -> Take:
    """A scene that it performs."""
    house = Playhouse(tmp_path, judges=False)
    house.understudy = server
    return await house.perform(scene, deadlines=QUICK)


def said(take: Take) -> list[str]:
    """What was said, in order."""
    return [line.said for line in take.lines]
