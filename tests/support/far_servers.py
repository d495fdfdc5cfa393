"""Servers that are far away: every frame takes its time, and all sockets share one uplink; exact on any clock."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf

import anyio

from tau_stage.errors import SessionClosed
from tau_stage.signals import Signal
from tau_stage.transport import Transport

PACKET = 16_000
"""Bytes that one socket sends until it is the next one's turn."""


class Uplink:
    """A line that sockets share, packet by packet in turn; their buffers take everything at once.

    Args:
        rtt_s: Seconds to the server and back.
        bytes_per_s: Of all sockets together.
    """

    def __init__(self, rtt_s: float, bytes_per_s: float = inf) -> None:
        self.one_way_s = rtt_s / 2
        self._bytes_per_s = bytes_per_s
        self._waiting: deque[_Sending] = deque()
        self._changed = Signal()

    def put(self, frame: bytes, arrivals: _Arrivals) -> None:
        """Take a frame; a socket's own frames are in order."""
        of_it = next((sending for sending in self._waiting if sending.arrivals is arrivals), None)
        if of_it is None:
            of_it = _Sending(arrivals)
            self._waiting.append(of_it)
        of_it.frames.append(frame)
        self._changed.notify()

    async def run(self) -> None:
        """Send what is put in."""
        while True:
            await self._changed.until(lambda: bool(self._waiting))
            sending = self._waiting.popleft()
            left = len(sending.frames[0]) - sending.sent
            packet = min(PACKET, left)
            await anyio.sleep(packet / self._bytes_per_s)
            sending.sent += packet
            if packet == left:
                sending.arrivals.put(sending.frames.popleft(), anyio.current_time() + self.one_way_s)
                sending.sent = 0
            if sending.frames:
                self._waiting.append(sending)


@dataclass(eq=False)
class _Sending:
    arrivals: _Arrivals
    frames: deque[bytes] = field(default_factory=deque)
    sent: int = 0


class _Arrivals:
    """Frames, or the end, that arrive at their time."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, bytes | SessionClosed]] = deque()
        self._changed = Signal()

    def put(self, what: bytes | SessionClosed, at: float) -> None:
        self._due.append((at, what))
        self._changed.notify()

    async def get(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        await self._changed.until(lambda: bool(self._due))
        at, what = self._due[0]
        await anyio.sleep_until(at)
        if isinstance(what, SessionClosed):
            raise what.about()
        self._due.popleft()
        return what


@dataclass(frozen=True)
class Passed:
    """A frame that left a player's socket, or came in."""

    at: float
    player: str
    way: str
    kind: str


def _kind_of(frame: bytes) -> str:
    return frame.partition(b'"type":"')[2].partition(b'"')[0].decode()


class _FarTransport:
    def __init__(self, inner: Transport, uplink: Uplink, player: str, log: list[Passed]) -> None:
        self._inner = inner
        self._uplink = uplink
        self._player = player
        self._log = log
        self._there = _Arrivals()
        self._back = _Arrivals()

    async def send(self, frame: bytes) -> None:
        self._log.append(Passed(anyio.current_time(), self._player, "out", _kind_of(frame)))
        self._uplink.put(frame, self._there)
        await anyio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        frame = await self._back.get()
        self._log.append(Passed(anyio.current_time(), self._player, "in", _kind_of(frame)))
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)

    def drop(self) -> None:
        self._inner.drop()

    async def carry_there(self) -> None:
        while True:
            await self._inner.send(await self._there.get())

    async def carry_back(self) -> None:
        while True:
            try:
                frame = await self._inner.receive()
            except SessionClosed as closed:
                self._back.put(closed, anyio.current_time())
                return
            self._back.put(frame, anyio.current_time() + self._uplink.one_way_s)


@asynccontextmanager
async def far_away(inner: Transport, uplink: Uplink, player: str, log: list[Passed]) -> AsyncIterator[Transport]:
    """A transport to a server that is far away; what passes is noted in ``log``."""
    far = _FarTransport(inner, uplink, player, log)
    async with anyio.create_task_group() as group:
        group.start_soon(far.carry_there)
        group.start_soon(far.carry_back)
        yield far
        group.cancel_scope.cancel()
