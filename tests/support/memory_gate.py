"""A gate's server and its clients in one process, without a network: it can be killed and started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import AnyByteStream, TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from anyio.streams.stapled import StapledObjectStream

from tau_stage.gate import GateLimits
from tau_stage.gate.gate_server import GateServer
from tau_stage.gate.remote_gate import RemoteGate

TOKEN = "open sesame"


class GateWorld:
    """Where a gate's server runs, or does not."""

    def __init__(self, group: TaskGroup, limits: GateLimits, state: Path | None = None) -> None:
        self._group = group
        self._limits = limits
        self._state = state
        self._scopes: list[anyio.CancelScope] = []
        self._streams: list[MemoryObjectSendStream[bytes] | MemoryObjectReceiveStream[bytes]] = []
        self.server: GateServer | None = None

    def start(self, return_s: float = 0.0) -> None:
        """Start a server that knows nothing but its state."""
        self.server = GateServer(self._limits, TOKEN, state=self._state, return_s=return_s)

    def kill(self) -> None:
        """Kill the server: all connections break."""
        self.server = None
        for scope in self._scopes:
            scope.cancel()
        self._scopes.clear()

    async def _serve(self, work: Callable[[], Awaitable[None]]) -> None:
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            await work()

    async def connect(self, buffer: int = 100) -> AnyByteStream:
        """Connect to the server, if there is one."""
        if self.server is None:
            raise ConnectionRefusedError(111, "Connection refused")
        there, theirs = anyio.create_memory_object_stream[bytes](buffer)
        back, ours = anyio.create_memory_object_stream[bytes](buffer)
        self._streams += [there, theirs, back, ours]
        self._group.start_soon(self._serve, partial(self.server.serve, StapledObjectStream(back, theirs)))
        return StapledObjectStream(there, ours)

    def close(self) -> None:
        """Close all connections."""
        for stream in self._streams:
            stream.close()

    @asynccontextmanager
    async def worker(self, patience_s: float = 60.0, first_patience_s: float = 30.0) -> AsyncIterator[RemoteGate]:
        """A client, as ``open_gate`` makes it; the end of the block is its death."""
        made = partial(RemoteGate, self.connect, TOKEN, address="memory")
        gate = made(patience_s=patience_s, first_patience_s=first_patience_s)
        async with gate.running():
            yield gate
