"""One end of a connection to a gate: a line of JSON each way. Both ends show that they are there."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
from anyio.abc import AnyByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tau_stage.errors import UsageError, unwrapped
from tau_stage.gate.messages import Message, Ping, as_line
from tau_stage.signals import Signal

PING_S = 5.0
SILENT_S = 15.0
"""Seconds between two signs of life, and without one, after which the other end is taken for gone."""

LONGEST_LINE = 1024 * 1024
MOST_WAITING = 4000  # lines for an end that does not read
LAST_MOMENT_S = 1.0
GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead, OSError)


class GateConnection:
    """Reads lines, and writes those that are posted."""

    def __init__(self, stream: AnyByteStream) -> None:
        self._stream = stream
        self._reading = BufferedByteReceiveStream(stream)
        self._waiting: deque[bytes] = deque()
        self._changed = Signal()

    def post(self, message: Message) -> None:
        """Send a message; nobody waits for it."""
        self._waiting.append(as_line(message))
        self._changed.notify()

    async def line(self, silent_s: float = SILENT_S) -> bytes | None:
        """Read a line; None where the other end closes, is gone, is silent for too long, or its line has no end."""
        with anyio.move_on_after(silent_s):
            try:
                line = await self._reading.receive_until(b"\n", LONGEST_LINE)
            except (*GONE, anyio.DelimiterNotFound):
                return None
            await anyio.lowlevel.checkpoint()  # who sends many at once must not keep the others waiting
            return line
        return None

    async def finish(self, message: Message) -> None:
        """Send a last message, if the other end reads it soon."""
        self.post(message)
        with anyio.move_on_after(LAST_MOMENT_S):
            await self._changed.until(lambda: not self._waiting)

    async def write(self, scope: anyio.CancelScope) -> None:
        """Write what is posted; the end of the connection cancels ``scope``."""
        try:
            while len(self._waiting) <= MOST_WAITING:
                with anyio.move_on_after(PING_S):
                    await self._changed.until(lambda: bool(self._waiting))
                lines = [*self._waiting]
                with anyio.move_on_after(SILENT_S) as patience:
                    await self._stream.send(b"".join(lines) or as_line(Ping()))
                if patience.cancelled_caught:
                    break
                for _ in lines:
                    self._waiting.popleft()
                self._changed.notify()
        except GONE:
            pass
        scope.cancel()


@asynccontextmanager
async def connection_over(stream: AnyByteStream) -> AsyncIterator[GateConnection]:
    """Use a stream for a connection while the block runs; the block is cancelled when the other end is gone."""
    with unwrapped():
        async with stream, anyio.create_task_group() as group:
            connection = GateConnection(stream)
            group.start_soon(connection.write, group.cancel_scope)
            yield connection
            group.cancel_scope.cancel()


def parse_address(address: str) -> tuple[str, int]:
    """Read where a gate is.

    Raises:
        UsageError: It is no address.

    >>> parse_address("127.0.0.1:8770"), parse_address("[::1]:8770")
    (('127.0.0.1', 8770), ('::1', 8770))
    """
    host, colon, port = address.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and colon and port.isascii() and port.isdecimal() and 0 < int(port) <= 65535) or "/" in host:
        raise UsageError(f"{address!r} is no address of a gate", "write host and port, like 127.0.0.1:8770")
    return host, int(port)
