"""The gate of another process, reached over a socket; it may go away and come back."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Self

import anyio
from anyio.abc import AnyByteStream
from pydantic import ValidationError

from tau_stage.environment import log_event
from tau_stage.errors import ConnectFailed, SessionError, UsageError, unwrapped
from tau_stage.gate import messages
from tau_stage.gate.gate import Gate
from tau_stage.gate.messages import LAST_MOMENT_S, GateConnection, connection_over, parse_address
from tau_stage.session import RULES, Rule, Trouble
from tau_stage.signals import Signal

TOKEN = "TAU_STAGE_GATE_TOKEN"  # noqa: S105 - the variable that holds it
PATIENCE_S = 300.0
"""Seconds that a gate may be away until those who wait for it give up."""

FIRST_PATIENCE_S = 30.0
"""Seconds that a gate may take to be there at the beginning."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 1.0
"""Seconds until a gate is looked for again: less than a new gate waits for its clients."""

CONNECTING_S = 5.0

Connecting = Callable[[], Awaitable[AnyByteStream]]


@dataclass(slots=True)
class _Waiting:
    asked: messages.Ask | messages.Enlarge
    is_over: anyio.Event = field(default_factory=anyio.Event)
    denied: messages.Denied | None = None


class RemoteGate(Gate):
    """Asks a gate over a connection, and again when that was lost. ``running`` keeps the connection.

    Args:
        connecting: Opens a stream to the gate.
        token: As the gate wants it.
        address: For messages.
        patience_s: As ``PATIENCE_S``.
        first_patience_s: As ``FIRST_PATIENCE_S``.
        rules: As of ``Gate``.
        dice: As of ``Gate``.
    """

    is_shared = True

    def __init__(
        self,
        connecting: Connecting,
        token: str,
        *,
        address: str = "",
        patience_s: float = PATIENCE_S,
        first_patience_s: float = FIRST_PATIENCE_S,
        rules: Mapping[Trouble, Rule] = RULES,
        dice: random.Random | None = None,
    ) -> None:
        super().__init__(rules, dice)
        self._connecting = connecting
        self._token = token
        self._address = address
        self._patience_s = patience_s
        self._first_patience_s = min(patience_s, first_patience_s)
        self._client = secrets.token_hex(8)
        self._waiting: dict[int, _Waiting] = {}
        self._held: dict[int, messages.Ask] = {}
        self._spent = Decimal(0)
        self._connection: GateConnection | None = None
        self._problem = self._refusal = ""
        self._lost_at = anyio.current_time()
        self._changed = Signal()
        self._status: messages.Status | None = None
        self._wanting_status = 0

    # ---- as a gate

    async def ask(self, asked: messages.Ask) -> messages.Denied | None:
        """Wait for a lease; what is denied says why. A ``SessionError`` says that the gate is away for too long."""
        return await self._answer(asked)

    async def enlarge(self, asked: messages.Enlarge) -> messages.Denied | None:
        """Ask for more dollars; what is denied says why."""
        return await self._answer(asked)

    async def _answer(self, asked: messages.Ask | messages.Enlarge) -> messages.Denied | None:
        waiting = self._waiting[asked.id] = _Waiting(asked)
        self._post(asked)
        try:
            while not waiting.is_over.is_set():
                with anyio.CancelScope(deadline=self._gives_up_at):
                    await waiting.is_over.wait()
                if not waiting.is_over.is_set() and self._gives_up_at <= anyio.current_time():
                    raise self._away()
        finally:
            del self._waiting[asked.id]
        return waiting.denied

    @property
    def _gives_up_at(self) -> float:
        """When who waits gives up, or looks again, as the connection may be lost meanwhile."""
        since = anyio.current_time() if self._connection else self._lost_at
        return since + self._patience_s

    def _away(self) -> SessionError:
        reason = self._problem or "no response"
        return ConnectFailed(reason=f"the gate at {self._address} is unavailable: {reason}")

    def tell(self, notice: messages.Notice) -> None:
        """Tell of something; what concerns a lease is remembered for the next connection, too."""
        match notice:
            case messages.Release() if held := self._held.pop(notice.id, None):
                self._spent += held.spent
            case messages.Requeue():
                self._held.pop(notice.id, None)
            case messages.Spent() if held := self._held.get(notice.id):
                self._held[notice.id] = held.model_copy(update={"spent": max(held.spent, notice.dollars)})
        self._post(notice)

    async def status(self) -> messages.Status:
        """Tell what the gate holds."""
        self._status = None
        self._wanting_status += 1
        self._post(messages.StatusWanted())
        with anyio.move_on_after(self._patience_s):
            await self._changed.until(lambda: self._status is not None)
        self._wanting_status -= 1
        if self._status is None:
            raise self._away()
        return self._status

    def _post(self, message: messages.Message) -> None:
        if self._connection:
            self._connection.post(message)

    # ---- the connection

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Keep a connection while the block runs; all that was told by its end reaches the gate, if it is there.

        Raises:
            UsageError: At the beginning, the gate refuses, or is not there.
        """
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(self._run)
                await self._until_connected()
                try:
                    yield self
                finally:
                    if self._connection:
                        with anyio.move_on_after(LAST_MOMENT_S, shield=True):
                            await self.status()
                    group.cancel_scope.cancel()

    async def _run(self) -> None:
        """Connect, and again whenever the connection was lost; for ever."""
        wait_s = FIRST_WAIT_S
        while True:
            if stream := await self._connected():
                async with connection_over(stream) as connection:
                    if await self._greet(connection):
                        wait_s = FIRST_WAIT_S
                        await self._listen(connection)
                self._lose()
            await anyio.sleep(wait_s * (1 + self._dice.random() / 4))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _until_connected(self) -> None:
        with anyio.move_on_after(self._first_patience_s):
            await self._changed.until(lambda: self._connection is not None or bool(self._refusal))
        if self._connection is None:
            problem = self._refusal or f"cannot connect: {self._problem or 'no response'}"
            hint = f"set {TOKEN} to the gate's token" if self._refusal else "start a gate with tau-stage gate"
            raise UsageError(f"the gate at {self._address}: {problem}", hint)

    async def _connected(self) -> AnyByteStream | None:
        with anyio.move_on_after(CONNECTING_S):
            try:
                return await self._connecting()
            except OSError as error:
                self._problem = (error.strerror or str(error)).lower()
        return None

    async def _greet(self, connection: GateConnection) -> bool:
        """Say who comes, and what it holds; whether it is welcome. Then what is waited for is asked again."""
        held = tuple(self._held.values())
        connection.post(messages.Hello(token=self._token, client=self._client, spent=self._spent, held=held))
        match await self._read(connection):
            case messages.Welcome() as welcome:
                self.limited, self._refusal = welcome.limited, ""
            case messages.Problem() as told:
                self._refusal = self._problem = told.problem
                self._changed.notify()
                return False
            case _:
                return False
        self._connection = connection
        for waiting in self._waiting.values():
            connection.post(waiting.asked)
        if self._wanting_status:
            connection.post(messages.StatusWanted())
        self._changed.notify()
        return True

    async def _listen(self, connection: GateConnection) -> None:
        while answer := await self._read(connection):
            match answer:
                case messages.Granted() | messages.Denied() if waiting := self._waiting.get(answer.id):
                    self._settle(waiting, answer)
                case messages.Status():
                    self._status = answer
                    self._changed.notify()
                case messages.Problem():
                    self._problem = answer.problem
                    log_event("gate", logging.WARNING, f"the gate at {self._address}: {answer.problem}")

    async def _read(self, connection: GateConnection) -> messages.Answer | None:
        line = await connection.line()
        try:
            return None if line is None else messages.ANSWERS.validate_json(line)
        except ValidationError:
            self._problem = "the server is not a gate"
            return None

    def _settle(self, waiting: _Waiting, answer: messages.Granted | messages.Denied) -> None:
        asked = waiting.asked
        if isinstance(answer, messages.Denied):
            waiting.denied = answer
        elif isinstance(asked, messages.Ask):
            if asked.kind != "tokens":
                self._held[asked.id] = asked
        elif held := self._held.get(asked.id):
            self._held[asked.id] = held.model_copy(update={"dollars": asked.dollars})
        waiting.is_over.set()

    def _lose(self) -> None:
        if self._connection:
            log_event("gate", logging.WARNING, f"the connection to the gate at {self._address} was lost")
            self._connection = None
            self._lost_at = anyio.current_time()


@asynccontextmanager
async def open_gate(
    address: str, token: str, *, patience_s: float = PATIENCE_S, first_patience_s: float = FIRST_PATIENCE_S
) -> AsyncIterator[RemoteGate]:
    """Ask the gate at an address, ``host:port``, while the block runs.

    Args:
        address: As ``tau-stage gate`` prints it.
        token: As the gate wants it.
        patience_s: As ``PATIENCE_S``.
        first_patience_s: As ``FIRST_PATIENCE_S``. Of a gate that was seen before, it is ``PATIENCE_S``, too.

    Raises:
        UsageError: It is no address, or the gate is not there, or refuses.
    """
    host, port = parse_address(address)
    if not token:
        raise UsageError(f"the gate at {address} requires a token", f"set {TOKEN} to the gate's token")
    connecting = partial(anyio.connect_tcp, host, port)
    gate = RemoteGate(connecting, token, address=address, patience_s=patience_s, first_patience_s=first_patience_s)
    async with gate.running():
        yield gate
