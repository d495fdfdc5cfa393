"""The limit: the bytes of a performance over plain TCP, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.processes import LoggedEvent, now, serve

ROOM = 262_144
LINE, CLIP = 1, 2
DELTA_BYTES = 190
"""Of a delta of sound beside its sound."""

CLIP_BYTES = 150


def base64_bytes(seconds: float) -> int:
    """Return how much a sound is in base64."""
    return round(seconds * 64_000)


class Counting(asyncio.BufferedProtocol):
    """Reads into a buffer of its own: what arrives is counted, and not kept."""

    def __init__(self) -> None:
        self._buffer = bytearray(ROOM)
        self._left = 0

    def connection_made(self, transport: object) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._out = transport

    def get_buffer(self, _hint: int) -> bytearray:
        return self._buffer


class Answering(Counting):
    """Sends as many bytes as it is asked for; acknowledges as many as it is told will come."""

    count = 0

    def __init__(self, log: list[LoggedEvent]) -> None:
        super().__init__()
        Answering.count += 1
        self._number, self._log = Answering.count, log
        self._head = b""
        self._size = 0
        self._began = 0.0

    def buffer_updated(self, count: int) -> None:
        at = 0
        while at < count:
            if self._left:
                taken = min(self._left, count - at)
                self._left -= taken
                if not self._left:
                    self._note("in", "conversation.item.create", self._size)
                    self._out.write(b"ack!")
            else:
                taken = min(5 - len(self._head), count - at)
                self._head += self._buffer[at : at + taken]
                if len(self._head) == 5:
                    self._begin(self._head[0], int.from_bytes(self._head[1:]))
                    self._head = b""
            at += taken

    def _begin(self, kind: int, size: int) -> None:
        self._began = now()
        if kind == CLIP:
            self._left = self._size = size
            return
        self._note("in", "response.create", 5)
        self._began = now()
        self._note("out", "response.output_audio.delta", size)
        self._out.write(bytes(size))
        self._note("out", "response.done", 0)

    def _note(self, way: str, kind: str, size: int) -> None:
        self._log.append(LoggedEvent(now(), self._number, way, kind, size, self._began))


async def open_answering() -> None:
    """Serve until the process is ended."""
    log: list[LoggedEvent] = []
    await serve(lambda: Answering(log), log)


class Asking(Counting):
    """Asks for bytes, and waits until they are there."""

    def buffer_updated(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._all_there.set_result(None)

    async def ask(self, kind: int, size: int, payload: bytes, answer: int) -> None:
        """Send a request; wait for so many bytes of an answer."""
        self._left = answer
        self._all_there = asyncio.get_running_loop().create_future()
        self._out.write(bytes([kind]) + size.to_bytes(4) + payload)
        await self._all_there


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Asking]]:
    """Open so many connections."""
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(Asking, "127.0.0.1", port) for _ in range(count)]
    try:
        yield [asking for _, asking in opened]
    finally:
        for transport, _ in opened:
            transport.abort()


async def perform(port: int, players: int, lines: int, seconds: float, delta_ms: float) -> None:
    """Let each player in turn receive a line, and send it to all others."""
    line = round(seconds * 1000 / delta_ms) * DELTA_BYTES + base64_bytes(seconds)
    clip = bytes(base64_bytes(seconds) + CLIP_BYTES)
    async with connected(port, players) as connections:
        for number in range(lines):
            speaker = connections[number % players]
            await speaker.ask(LINE, line, b"", line)
            others = (one for one in connections if one is not speaker)
            await asyncio.gather(*(one.ask(CLIP, len(clip), clip, 4) for one in others))


async def receive(port: int, deltas: int) -> float:
    """Receive deltas of 100 ms; return the CPU of one, in microseconds."""
    size = deltas * (base64_bytes(0.1) + DELTA_BYTES)
    async with connected(port, 1) as (connection,):
        await connection.ask(LINE, size, b"", size)
        began = time.process_time()
        await connection.ask(LINE, size, b"", size)
        return (time.process_time() - began) / deltas * 1e6
