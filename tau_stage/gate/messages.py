"""What is asked of a gate, and what it answers: the same inside a process and over a socket, a line of JSON each.

Both ends of a connection show that they are there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Literal

import anyio
import anyio.lowlevel
from anyio.abc import AnyByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tau_stage.errors import UsageError, unwrapped
from tau_stage.protocol import RateLimit
from tau_stage.signals import Signal

Kind = Literal["sessions", "opening", "tokens", "dollars"]
Account = Annotated[str, Field(max_length=500)]
"""Whose limits count: endpoint, model and a fingerprint of the key."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[Decimal, Field(ge=0, le=10**9, allow_inf_nan=False)]


class Message(BaseModel):
    """A line."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ask(Message):
    """Ask for a lease."""

    type: Literal["ask"] = "ask"
    id: int  # the client's own; it names the lease from now on
    kind: Kind  # what is wanted
    count: Annotated[int, Field(ge=0, le=10**9)] = 1  # sessions, or tokens
    dollars: Dollars = Decimal(0)  # what a performance is likely to cost
    spent: Dollars = Decimal(0)  # what it has cost so far: of a lease that is told of again
    account: Account = ""  # of an opening, and of tokens
    gap_s: Seconds = 0.0  # seconds since the beginning of the opening before
    begun: bool = False  # whether the performance has opened sessions already, which wait for this one: it goes first


class Release(Message):
    """Give a lease up, or stop to wait for one."""

    type: Literal["release"] = "release"
    id: int


class Requeue(Message):
    """A provider has refused an opening: it is tried again in so many seconds, in the same place of the queue."""

    type: Literal["requeue"] = "requeue"
    id: int
    wait_s: Seconds


class Backoff(Message):
    """A provider wants everybody of an account to wait: HTTP 429, or a response that failed for a rate limit."""

    type: Literal["backoff"] = "backoff"
    account: Account
    wait_s: Seconds


class Used(Message):
    """A response has used more tokens than were asked for, or fewer."""

    type: Literal["used"] = "used"
    account: Account
    tokens: Annotated[int, Field(ge=-(10**9), le=10**9)]


class Learned(Message):
    """A provider has told what is left of its limits."""

    type: Literal["learned"] = "learned"
    account: Account
    limits: Annotated[tuple[RateLimit, ...], Field(max_length=10)]


class Spent(Message):
    """A performance has cost so much by now, and is likely to cost so much in all."""

    type: Literal["spent"] = "spent"
    id: int
    dollars: Dollars


class Enlarge(Message):
    """Ask at once for more dollars than were reserved, in all; it is granted or refused, and never waits."""

    type: Literal["enlarge"] = "enlarge"
    id: int
    dollars: Dollars


class Hello(Message):
    """Begin a connection, with all that the client holds from before.

    Attributes:
        token: As the gate knows it.
        client: The client's own name for itself, the same in each connection.
        spent: What its performances have cost that are over.
        held: The leases it holds.
    """

    type: Literal["hello"] = "hello"
    token: str
    client: Annotated[str, Field(min_length=1, max_length=100)]
    spent: Dollars = Decimal(0)
    held: tuple[Ask, ...] = ()


class StatusWanted(Message):
    """Ask what the gate holds."""

    type: Literal["status?"] = "status?"


class Ping(Message):
    """Show that one is there."""

    type: Literal["ping"] = "ping"


class Welcome(Message):
    """Answer a hello; what is ``limited`` is asked for, beside openings and sessions."""

    type: Literal["welcome"] = "welcome"
    limited: tuple[Kind, ...] = ()


class Granted(Message):
    """Grant a lease."""

    type: Literal["granted"] = "granted"
    id: int


class Denied(Message):
    """Deny a lease for good: there are fewer sessions at all, or the budget has no room."""

    type: Literal["denied"] = "denied"
    id: int
    sessions: int = 0
    budget: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)


class AccountStatus(Message):
    """How an account stands: what is left of its limits, and seconds until its pause is over."""

    account: str
    tokens: float | None
    requests: float | None
    paused_s: float


class Status(Message):
    """What a gate holds.

    Attributes:
        clients: Connections that are open.
        waiting: Requests for leases, by kind.
        held: Leases, by kind; of sessions, how many sessions.
        openings: How many openings were let through so far.
        budget: Dollars in all; None is any.
        spent: Dollars that were spent.
        reserved: Dollars that performances under way may still cost.
        accounts: Those of which limits or pauses are known.
    """

    type: Literal["status"] = "status"
    clients: int = 0
    waiting: dict[Kind, int]
    held: dict[Kind, int]
    openings: int
    start_rate: float | None
    sessions: int | None
    tokens: float | None
    budget: Decimal | None
    spent: Decimal
    reserved: Decimal
    accounts: tuple[AccountStatus, ...] = ()


class Problem(Message):
    """Say why the connection is closed."""

    type: Literal["problem"] = "problem"
    problem: str


Notice = Release | Requeue | Backoff | Used | Learned | Spent
Request = Ask | Enlarge | Notice | Hello | StatusWanted | Ping
Answer = Welcome | Granted | Denied | Status | Problem | Ping

REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")])


def as_line(message: Message) -> bytes:
    r"""Write a message as a line.

    >>> as_line(Granted(id=7))
    b'{"type":"granted","id":7}\n'
    """
    return message.model_dump_json().encode() + b"\n"


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
        raise UsageError(
            f"{address!r} is not a valid gate address", "write a host and a port, for example 127.0.0.1:8770"
        )
    return host, int(port)
