"""Waiting for leases: the clients of one ``GateBook``, on the clock of the loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

import anyio

from tau_stage.gate import messages
from tau_stage.gate.book import GateBook, Lease


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
