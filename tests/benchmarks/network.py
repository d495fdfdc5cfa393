"""A network on this machine: a slow uplink that all connections share, and round trips that take time.

There is no loss, no slow start and no TLS.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from tests.benchmarks.processes import answer_orders

PIECE = 8192
SHALLOW = 32_768


class Uplink:
    """Sends the pieces of all connections one after another."""

    def __init__(self, bytes_s: float) -> None:
        self._bytes_s = bytes_s
        self._free_at = 0.0

    def sent_at(self, size: int, now: float) -> float:
        """Return when a piece will be sent."""
        if not self._bytes_s:
            return now
        self._free_at = max(self._free_at, now) + size / self._bytes_s
        return self._free_at

    @property
    def piece(self) -> int:
        """How much is read at once."""
        return PIECE if self._bytes_s else 1 << 18


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uplink: Uplink, delay_s: float) -> None:
    """Carry bytes one way; whoever sends too fast is held back."""
    loop = asyncio.get_running_loop()
    flying: deque[tuple[float, bytes]] = deque()
    changed = asyncio.Event()

    async def land() -> None:
        while True:
            while flying:
                at, data = flying[0]
                if (wait := at - loop.time()) > 0:
                    await asyncio.sleep(wait)
                flying.popleft()
                if not data:
                    writer.close()
                    return
                writer.write(data)
            changed.clear()
            await changed.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(land())
        data = b"-"
        while data:
            try:
                data = await reader.read(uplink.piece)
            except OSError:
                data = b""
            sent = uplink.sent_at(len(data), loop.time())
            if (wait := sent - loop.time()) > 0:
                await asyncio.sleep(wait)
            flying.append((sent + delay_s, data))
            changed.set()


async def open_network(to: int, up_mbit: float, rtt_s: float, shallow: bool) -> None:
    """Forward to a port until the process is ended.

    Args:
        to: The server's port.
        up_mbit: What all connections may send together; 0 is no limit.
        rtt_s: Of a round trip.
        shallow: Whether sockets buffer little, as on a real line, and not megabytes, as loopback does.
    """
    up, down = Uplink(up_mbit * 125_000), Uplink(0)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        for one in (writer, far_writer):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(reader, far_writer, up, rtt_s / 2))
            group.create_task(carry(far_reader, writer, down, rtt_s / 2))

    listener = socket.socket()
    if shallow:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHALLOW)
    listener.bind(("127.0.0.1", 0))
    await asyncio.start_server(connect, sock=listener, limit=16_384, backlog=1024)
    await answer_orders(listener.getsockname()[1], [])
