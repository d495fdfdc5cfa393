"""Waiting for leases: the clients of one ``GateBook``, on the clock of the loop."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import anyio

from tau_stage.gate import messages
from tau_stage.gate.book import GateBook, Lease
from tau_stage.signals import Signal


class LeaseQueue:
    """Grants leases to clients as the book says; ``book`` is looked at after each change.

    Attributes:
        changed: Called when dollars were spent.
    """

    def __init__(self, book: GateBook) -> None:
        self.book = book
        self.changed: Callable[[], object] = lambda: None
        self._news = Signal()

    def client(self, name: str) -> ClientLeases:
        """Return the leases of a client, none yet."""
        return ClientLeases(self, name)

    def status(self) -> messages.Status:
        """Tell what there is."""
        return self.book.status(anyio.current_time())

    def advance(self) -> None:
        """Grant what can be granted; who waits looks anew."""
        before = self.book.wakes_at
        if self.book.advance(anyio.current_time()) or self.book.wakes_at != before:
            self._news.notify()

    async def settled(self, lease: Lease) -> None:
        """Wait until a lease is granted or denied."""
        self.advance()
        while not lease.settled:
            with anyio.CancelScope(deadline=self.book.wakes_at):
                await self._news.wait()
            self.advance()


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
        for asked in held:
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
            case messages.Pause():
                book.pause(notice.account, notice.wait_s, now)
            case messages.Used():
                book.use(notice.account, notice.tokens, now)
            case messages.Learned():
                book.learn(notice.account, notice.limits, now)
            case messages.Release():
                self._remove(notice.id)
                return
            case messages.Refused() if lease := self._leases.get(notice.id):
                book.refuse(lease, notice.wait_s, now)
            case messages.Spent() if lease := self._leases.get(notice.id):
                book.spend(lease, notice.dollars)
                self._queue.changed()
        self._queue.advance()

    def _remove(self, number: int) -> None:
        if lease := self._leases.pop(number, None):
            self._queue.book.remove(lease)
            self._queue.advance()

    def end(self) -> None:
        """Give up all that the client waits for and holds: it is gone."""
        for number in list(self._leases):
            self._remove(number)
        self._queue.book.forget(self._name)
