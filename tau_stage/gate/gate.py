"""The gate as a performance sees it, the one inside this process, and how clients of a ``GateBook`` wait for leases."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import TypeVar

import anyio

from tau_stage.errors import BudgetExceeded, ConnectFailed, SessionError, UsageError
from tau_stage.gate import messages
from tau_stage.gate.book import BEFORE, GateBook, GateLimits, Lease
from tau_stage.protocol import RateLimit
from tau_stage.session import RULES, Rule, Tally, Trouble, opening_trouble


class LeaseQueue:
    """Grants leases to clients as the book says, which is looked at after each change.

    Args:
        book: Who waits, and who holds what.
        opens_at: When the first is granted, on the clock of the loop.

    Attributes:
        changed: Called when dollars were spent.
    """

    def __init__(self, book: GateBook, opens_at: float = -math.inf) -> None:
        self.book = book
        self._opens_at = opens_at
        self.changed: Callable[[], object] = lambda: None
        self._woken: dict[Lease, anyio.Event] = {}

    def client(self, name: str) -> ClientLeases:
        """Return the leases of a client, none yet."""
        return ClientLeases(self, name)

    def status(self) -> messages.Status:
        """Tell what there is."""
        return self.book.status(anyio.current_time())

    def advance(self) -> None:
        """Let the book grant what it can, and wake whom it concerns."""
        before, now = self.book.wakes_at, anyio.current_time()
        if now < self._opens_at:
            self.book.wakes_at = self._opens_at
        else:
            for lease in self.book.advance(now):
                self.wake(lease)
        if self.book.wakes_at < before:
            self._wake_timekeeper()

    async def settled(self, lease: Lease) -> None:
        """Wait until a lease is granted or denied. Whoever has waited longest looks at the clock for all."""
        self.advance()
        if lease.settled:
            return
        self._woken[lease] = anyio.Event()
        try:
            while not lease.settled:
                keeps_time = lease is next(iter(self._woken))
                with anyio.CancelScope(deadline=self.book.wakes_at if keeps_time else math.inf):
                    await self._woken[lease].wait()
                self._woken[lease] = anyio.Event()
                if keeps_time and anyio.current_time() >= self.book.wakes_at:
                    self.advance()
        finally:
            del self._woken[lease]
            self._wake_timekeeper()

    def wake(self, lease: Lease) -> None:
        """Let whoever waits for a lease look at it."""
        if woken := self._woken.get(lease):
            woken.set()

    def _wake_timekeeper(self) -> None:
        if self._woken:
            self.wake(next(iter(self._woken)))


class ClientLeases:
    """The leases of one client, by the ids that it has given them."""

    def __init__(self, queue: LeaseQueue, name: str) -> None:
        self._queue = queue
        self._name = name
        self._leases: dict[int, Lease] = {}

    def __len__(self) -> int:
        """Return how many it waits for, or holds."""
        return len(self._leases)

    async def ask(self, asked: messages.Ask) -> messages.Denied | None:
        """Wait for a lease; what is denied says why. One that was refused by a provider waits in its place."""
        lease = self._leases.get(asked.id)
        if lease is None:
            lease = self._leases[asked.id] = Lease(self._name, asked)
            self._queue.book.add(lease, anyio.current_time())
        try:
            await self._queue.settled(lease)
        finally:
            if not lease.settled or lease.denied or asked.kind == "tokens":
                self._remove(asked.id)
        return lease.denied

    def restore(self, spent: Decimal, held: tuple[messages.Ask, ...]) -> None:
        """Take over what a client says that it holds from before."""
        for asked in {asked.id: asked for asked in held}.values():
            lease = self._leases[asked.id] = Lease(self._name, asked)
            self._queue.book.restore(lease)
        self._queue.book.restore_spent(self._name, spent)
        self._queue.changed()

    def enlarge(self, asked: messages.Enlarge) -> messages.Denied | None:
        """Ask for more dollars; what is denied says why."""
        lease = self._leases.get(asked.id)
        return self._queue.book.enlarge(lease, asked.dollars) if lease else None

    def tell(self, notice: messages.Notice) -> None:
        """Take in a notice; one about a lease that is over says nothing."""
        book, now = self._queue.book, anyio.current_time()
        match notice:
            case messages.Backoff():
                book.pause(notice.account, notice.wait_s, now)
            case messages.Used():
                book.use(notice.account, notice.tokens, now)
            case messages.Learned():
                book.learn(notice.account, notice.limits, now)
            case messages.Release():
                self._remove(notice.id)
                return
            case messages.Requeue() if lease := self._leases.get(notice.id):
                book.refuse(lease, notice.wait_s, now)
            case messages.Spent() if lease := self._leases.get(notice.id):
                book.spend(lease, notice.dollars)
                self._queue.changed()
        self._queue.advance()

    def _remove(self, number: int) -> None:
        if lease := self._leases.pop(number, None):
            self._queue.book.remove(lease)
            lease.settled = True
            self._queue.wake(lease)
            self._queue.advance()

    def end(self) -> None:
        """Give up all that the client waits for and holds: it is gone."""
        for number in list(self._leases):
            self._remove(number)
        self._queue.book.forget(self._name)


Opened = TypeVar("Opened")

ALONE = "own"  # the one client of a gate inside a process


class Gate(ABC):
    """Holds what performances share. All of them ask one gate.

    Args:
        rules: What is tried again when a session does not open.
        dice: For jitter.

    Attributes:
        limited: What has a limit that was set: ``sessions``, ``tokens``, ``dollars``.
    """

    limited: Sequence[messages.Kind] = ()
    is_shared = False  # whether other processes ask it, too

    def __init__(self, rules: Mapping[Trouble, Rule] = RULES, dice: random.Random | None = None) -> None:
        self._rules = rules
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not secrecy
        self._ids = count(1)
        self._told: set[str] = set()

    # ---- what a gate does

    @abstractmethod
    async def ask(self, asked: messages.Ask) -> messages.Denied | None:
        """Wait for a lease; what is denied says why."""

    @abstractmethod
    async def enlarge(self, asked: messages.Enlarge) -> messages.Denied | None:
        """Ask for more dollars; what is denied says why."""

    @abstractmethod
    def tell(self, notice: messages.Notice) -> None:
        """Tell of something; nothing is answered."""

    @abstractmethod
    async def status(self) -> messages.Status:
        """Tell what the gate holds."""

    # ---- what performances do with it

    @asynccontextmanager
    async def sessions(self, number: int) -> AsyncIterator[None]:
        """Hold the places of all sessions of a performance, as long as the block runs.

        Raises:
            UsageError: There are fewer at all.
        """
        async with self._lease(messages.Ask(id=next(self._ids), kind="sessions", count=number)) as denied:
            if denied:
                problem = f"the scene needs {number} open sessions, but the limit is {denied.sessions}"
                raise UsageError(problem, "raise limits.sessions, or use fewer players in the scene")
            yield

    async def open(
        self,
        opening: Callable[[], Awaitable[Opened]],
        *,
        account: str,
        gap_s: float,
        begun: bool = False,
        refused: Callable[[SessionError, float], None] = lambda _error, _wait_s: None,
    ) -> Opened:
        """Open one session when it is its turn, ``gap_s`` after the beginning of the one before at the earliest.

        What may pass is waited out, and tried again; all others of the account wait as long. A performance that has
        ``begun`` to open sessions goes first.

        Raises:
            SessionError: It will not open.
        """
        asked = messages.Ask(id=next(self._ids), kind="opening", account=account, gap_s=gap_s, begun=begun)
        tally = Tally(self._rules)
        async with self._lease(asked):
            while True:
                try:
                    return await opening()
                except SessionError as error:
                    wished_s = error.retry_after_s if isinstance(error, ConnectFailed) else None
                    wait_s = tally.wait_s(opening_trouble(error), wished_s)
                    if wait_s is None:
                        raise
                    wait_s *= 1 + self._dice.random() / 4  # so that clients part
                    refused(error, wait_s)
                self.tell(messages.Requeue(id=asked.id, wait_s=wait_s))
                await self.ask(asked)

    async def tokens(self, account: str, number: int) -> None:
        """Wait until so many tokens may be used."""
        if self._counts(account):
            await self.ask(messages.Ask(id=next(self._ids), kind="tokens", account=account, count=number))

    def used(self, account: str, more: int) -> None:
        """Tell of tokens that were used and not asked for; a negative number were not used."""
        if more and self._counts(account):
            self.tell(messages.Used(account=account, tokens=more))

    def _counts(self, account: str) -> bool:
        return self.is_shared or "tokens" in self.limited or account in self._told

    def learn(self, account: str, limits: Sequence[RateLimit]) -> None:
        """Tell what a provider says of its limits."""
        self._told.add(account)
        self.tell(messages.Learned(account=account, limits=tuple(limits[:10])))

    def pause(self, account: str, wait_s: float) -> None:
        """Let everybody of an account wait, as a provider wants."""
        self._told.add(account)
        self.tell(messages.Backoff(account=account, wait_s=wait_s))

    @asynccontextmanager
    async def reservation(self, dollars: Decimal, before: Decimal = Decimal(0)) -> AsyncIterator[Reservation]:
        """Reserve what a performance is likely to cost, as long as the block runs.

        ``before`` is what it had cost when it was stopped: that was counted then, and is no part of it.

        Raises:
            BudgetExceeded: The budget has no room for it.
        """
        asked = messages.Ask(id=next(self._ids), kind="dollars", dollars=dollars)
        async with self._lease(asked) as denied:
            if denied:
                raise BudgetExceeded(denied.budget, denied.spent, "", dollars)
            yield Reservation(self, asked.id, before, dollars)

    @asynccontextmanager
    async def _lease(self, asked: messages.Ask) -> AsyncIterator[messages.Denied | None]:
        try:
            yield await self.ask(asked)
        finally:
            self.tell(messages.Release(id=asked.id))


@dataclass(slots=True)
class Reservation:
    """Dollars that were reserved for one performance, beside those that it has cost ``before``."""

    _gate: Gate
    _id: int
    before: Decimal
    dollars: Decimal
    spent: Decimal = Decimal(0)
    _asking: anyio.Lock = field(default_factory=anyio.Lock)

    def spend(self, dollars: Decimal) -> None:
        """Tell what the performance has cost by now."""
        if dollars - self.before > self.spent:
            self.spent = dollars - self.before
            self._gate.tell(messages.Spent(id=self._id, dollars=self.spent))

    async def require(self, dollars: Decimal, line: str) -> None:
        """See to it that so much is reserved for the performance by now, before a line.

        Raises:
            BudgetExceeded: The budget has no room for it.
        """
        wanted = dollars - self.before
        if wanted <= self.dollars:
            return
        async with self._asking:
            if denied := await self._gate.enlarge(messages.Enlarge(id=self._id, dollars=wanted)):
                raise BudgetExceeded(denied.budget, denied.spent, line, wanted - self.spent)
            self.dollars = max(self.dollars, wanted)


class LocalGate(Gate):
    """The gate inside a process: of a run without an address, and of the server for each of its clients.

    Args:
        limits: What all together may do.
        spent: Dollars that were spent before.
        rules: As of ``Gate``.
        dice: As of ``Gate``.

    >>> import anyio
    >>> async def open_two() -> list[str]:
    ...     async def opening() -> str:
    ...         return "open"
    ...     gate = LocalGate(GateLimits(sessions=2))
    ...     async with gate.sessions(2):
    ...         return [await gate.open(opening, account="understudy", gap_s=0.0) for _ in range(2)]
    >>> anyio.run(open_two)
    ['open', 'open']
    """

    def __init__(
        self,
        limits: GateLimits | None = None,
        *,
        spent: Decimal = Decimal(0),
        rules: Mapping[Trouble, Rule] = RULES,
        dice: random.Random | None = None,
    ) -> None:
        super().__init__(rules, dice)
        limits = limits or GateLimits()
        self.limited = limits.limited
        self.queue = LeaseQueue(GateBook(limits, spent={BEFORE: spent}, dice=self._dice))
        self._own = self.queue.client(ALONE)

    async def ask(self, asked: messages.Ask) -> messages.Denied | None:
        """Wait for a lease; what is denied says why."""
        return await self._own.ask(asked)

    async def enlarge(self, asked: messages.Enlarge) -> messages.Denied | None:
        """Ask for more dollars; what is denied says why."""
        return self._own.enlarge(asked)

    def tell(self, notice: messages.Notice) -> None:
        """Tell of something; nothing is answered."""
        self._own.tell(notice)

    async def status(self) -> messages.Status:
        """Tell what the gate holds."""
        return self.queue.status()
