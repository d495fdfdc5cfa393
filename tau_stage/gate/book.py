"""The gate's state: who waits, who holds what, and what may be granted now. It neither waits nor asks the time.

Who was granted something longest ago is the next, so that one client that wants much keeps nobody out. Who is next and
does not fit is waited for: what needs much is not overtaken for ever. A performance that has begun to open sessions
opens the rest first, as it holds the places of all of them.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import get_args

from tau_stage.gate.messages import AccountStatus, Ask, Denied, Kind, Status
from tau_stage.protocol import RateLimit, TokenBucket

ZERO = Decimal(0)
BEFORE = "before"  # a client that stands for what was spent before
KINDS: tuple[Kind, ...] = get_args(Kind)
PROVIDED: tuple[Kind, ...] = ("opening", "tokens")  # what a provider may want everybody to wait for
JITTER = 0.25  # how much longer than a provider wishes somebody may wait, so that not all come back at once
COUNTED = ("tokens", "requests")  # limits of providers that are kept, by the name that providers give them


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What all performances together may do; None is any.

    Attributes:
        budget: Dollars.
        start_rate: Openings in a minute.
        sessions: Sessions at once.
        tokens: Tokens in a minute, of each endpoint, key and model.
    """

    budget: Decimal | None = None
    start_rate: float | None = None
    sessions: int | None = None
    tokens: float | None = None

    @property
    def limited(self) -> tuple[Kind, ...]:
        """What has a limit that was set."""
        wanted: dict[Kind, object] = {"sessions": self.sessions, "tokens": self.tokens, "dollars": self.budget}
        return tuple(kind for kind, limit in wanted.items() if limit is not None)


@dataclass(slots=True, eq=False)
class Lease:
    """What a client waits for, or holds."""

    client: str  # who
    ask: Ask  # what was asked
    settled: bool = False  # whether it was granted, or denied for good
    denied: Denied | None = None  # why it was denied
    not_before: float = -math.inf  # when it may be granted at the earliest
    dollars: Decimal = ZERO  # what is reserved in all
    spent: Decimal = ZERO  # what of it was spent

    def __post_init__(self) -> None:
        self.dollars, self.spent = self.ask.dollars, self.ask.spent

    @property
    def reserved(self) -> Decimal:
        """Dollars that may still be spent."""
        return max(ZERO, self.dollars - self.spent)


_Queue = dict[str, dict[Lease, None]]  # those who wait for the same, by client, in the order of asking


class GateBook:
    """Who waits, and who holds what; ``spent`` is what each client has spent before.

    Attributes:
        wakes_at: When something may be granted that cannot be now, if nothing else happens.
    """

    def __init__(self, limits: GateLimits, *, spent: Mapping[str, Decimal] | None = None, dice: random.Random) -> None:
        self.limits = limits
        self.wakes_at = math.inf
        self._dice = dice
        self._waiting: dict[Kind, dict[str, _Queue]] = {kind: {} for kind in KINDS}
        self._held: dict[Kind, dict[Lease, None]] = {kind: {} for kind in KINDS}
        self._settled: dict[str, Decimal] = defaultdict(Decimal, spent or {})
        self._served: dict[tuple[Kind, str], int] = {}
        self._turns = 0
        self._openings = 0
        self._last_opening = -math.inf
        self._buckets: dict[str, dict[str, TokenBucket]] = {}
        self._paused: dict[str, float] = {}
        self._delayed: dict[str, float] = {}

    # ---- leases

    def add(self, lease: Lease, now: float) -> None:
        """Let somebody wait for a lease."""
        self._served.setdefault((lease.ask.kind, lease.client), self._turns)
        self._delay(lease, now)
        self._queue(lease).setdefault(lease.client, {})[lease] = None

    def _queue(self, lease: Lease) -> _Queue:
        """Return where a lease waits: with those of its kind and account."""
        return self._waiting[lease.ask.kind].setdefault(lease.ask.account, {})

    def _leave(self, lease: Lease) -> None:
        queue = self._queue(lease)
        own = queue.get(lease.client, {})
        own.pop(lease, None)
        if not own:
            queue.pop(lease.client, None)
        if not queue:
            del self._waiting[lease.ask.kind][lease.ask.account]

    def restore(self, lease: Lease) -> None:
        """Note a lease that a client holds from before: also beyond what is allowed."""
        lease.settled = True
        self._held[lease.ask.kind][lease] = None

    def remove(self, lease: Lease) -> None:
        """End a lease, or the wait for it; what it has spent stays spent."""
        self._leave(lease)
        if lease in self._held[lease.ask.kind]:
            del self._held[lease.ask.kind][lease]
            self._settled[lease.client] += lease.spent

    def restore_spent(self, client: str, spent: Decimal) -> None:
        """Take over what a client says that its performances have cost which are over; what was known counts, too."""
        running = sum((lease.spent for lease in self._held["dollars"] if lease.client == client), ZERO)
        self._settled[client] = max(spent, self._settled[client] - running)

    def forget(self, client: str) -> None:
        """Forget when a client that is gone was served."""
        for kind in KINDS:
            self._served.pop((kind, client), None)

    def refuse(self, lease: Lease, wait_s: float, now: float) -> None:
        """Let an opening wait that a provider has refused, and all others of its account."""
        if lease not in self._held["opening"]:
            return
        del self._held["opening"][lease]
        lease.settled = False
        self.pause(lease.ask.account, wait_s, now)
        lease.not_before = now + wait_s
        self._delayed[lease.ask.account] = max(self._delayed.get(lease.ask.account, -math.inf), lease.not_before)
        queue = self._queue(lease)
        queue[lease.client] = {lease: None, **queue.get(lease.client, {})}

    def spend(self, lease: Lease, dollars: Decimal) -> None:
        """Note what a performance has cost so far."""
        lease.spent = max(lease.spent, dollars)

    def enlarge(self, lease: Lease, dollars: Decimal) -> Denied | None:
        """Reserve more for a performance, in all, if there is room; else say why not."""
        if lease.dollars < dollars:
            if not self._covers(dollars - max(lease.dollars, lease.spent)):
                return self._over_budget(lease)
            lease.dollars = dollars
        return None

    # ---- what providers tell

    def pause(self, account: str, wait_s: float, now: float) -> None:
        """Let everybody of an account wait, each a little differently."""
        self._paused[account] = max(self._paused.get(account, -math.inf), now + wait_s)
        for kind in PROVIDED:
            for own in self._waiting[kind].get(account, {}).values():
                for lease in own:
                    self._delay(lease, now)

    def _delay(self, lease: Lease, now: float) -> None:
        account = lease.ask.account
        until = self._paused.get(account, -math.inf) if lease.ask.kind in PROVIDED else -math.inf
        if until > max(now, lease.not_before):
            lease.not_before = until + (until - now) * JITTER * self._dice.random()
            self._delayed[account] = max(self._delayed.get(account, -math.inf), lease.not_before)

    def learn(self, account: str, told: Iterable[RateLimit], now: float) -> None:
        """Note what a provider says of its limits."""
        for limit in told:
            if limit.name in COUNTED:
                self._bucket(account, limit.name, now).correct(limit, now)

    def use(self, account: str, tokens: int, now: float) -> None:
        """Note that more tokens were used than were asked for; a negative number: fewer."""
        self._bucket(account, "tokens", now).take(tokens, now)

    def _bucket(self, account: str, name: str, now: float) -> TokenBucket:
        buckets = self._buckets.setdefault(account, {})
        if name not in buckets:
            limit = self.limits.tokens if name == "tokens" else None
            buckets[name] = TokenBucket.unknown(now) if limit is None else TokenBucket.per_minute(limit, now)
        return buckets[name]

    # ---- what may be granted

    def advance(self, now: float) -> list[Lease]:
        """Grant what there is room for by now, and deny what there never is; return those leases."""
        self.wakes_at = math.inf
        return [*self._sessions(now), *self._opening(now), *self._tokens(now), *self._dollars(now)]

    def _next(self, kind: Kind, accounts: Iterable[str], now: float) -> Lease | None:
        """Return who is next of some accounts: of the client that was served longest ago, what was asked first."""
        ready = (
            lease
            for account in accounts
            for own in self._waiting[kind].get(account, {}).values()
            if (lease := self._first(own, account, now))
        )
        return min(ready, key=lambda lease: (not lease.ask.begun, self._served[kind, lease.client]), default=None)

    def _first(self, own: Iterable[Lease], account: str, now: float) -> Lease | None:
        """Return what a client has asked first that does not wait for a provider; when those end that do is noted."""
        if self._delayed.get(account, -math.inf) <= now:
            return next((lease for lease in own if lease.ask.begun), None) or next(iter(own), None)
        for lease in own:
            self._wake(lease.not_before if lease.not_before > now else math.inf)
        ready = [lease for lease in own if lease.not_before <= now]
        return min(ready, key=lambda lease: not lease.ask.begun, default=None)

    def _grant(self, lease: Lease, denied: Denied | None = None) -> Lease:
        kind = lease.ask.kind
        self._leave(lease)
        lease.settled, lease.denied = True, denied
        self._turns += 1
        self._served[kind, lease.client] = self._turns
        if denied is None and kind != "tokens":
            self._held[kind][lease] = None
        return lease

    def _sessions(self, now: float) -> Iterable[Lease]:
        most = self.limits.sessions
        while lease := self._next("sessions", self._waiting["sessions"], now):
            if most is not None and lease.ask.count > most:
                yield self._grant(lease, Denied(id=lease.ask.id, sessions=most))
            elif most is None or self._open_sessions + lease.ask.count <= most:
                yield self._grant(lease)
            else:
                return

    @property
    def _open_sessions(self) -> int:
        return sum(lease.ask.count for lease in self._held["sessions"])

    def _opening(self, now: float) -> Iterable[Lease]:
        """Let one through, where none is under way; who waits for a provider is overtaken."""
        if self._held["opening"]:
            return
        lease = self._next("opening", self._waiting["opening"], now)
        if lease is None:
            return
        own_gap_s = 60 / self.limits.start_rate if self.limits.start_rate else 0.0
        due = self._last_opening + max(lease.ask.gap_s, own_gap_s)
        if due > now:
            self._wake(due)
            return
        self._last_opening = now
        self._openings += 1
        yield self._grant(lease)

    def _tokens(self, now: float) -> Iterable[Lease]:
        for account in list(self._waiting["tokens"]):
            while lease := self._next("tokens", [account], now):
                wants = {"tokens": lease.ask.count, "requests": 1}
                waits = (self._bucket(account, name, now).wait_s(count, now) for name, count in wants.items())
                if (at := now + max(waits)) > now:
                    self._wake(at)
                    break
                for name, count in wants.items():
                    self._bucket(account, name, now).take(count, now)
                yield self._grant(lease)

    def _dollars(self, now: float) -> Iterable[Lease]:
        """Let performances begin as far as the budget has room; one that has none waits for those under way."""
        while lease := self._next("dollars", self._waiting["dollars"], now):
            if self._covers(lease.dollars):
                yield self._grant(lease)
            elif self._held["dollars"]:
                return
            else:
                yield self._grant(lease, self._over_budget(lease))

    def _covers(self, more: Decimal) -> bool:
        budget = self.limits.budget
        return budget is None or self.spent + self.reserved + more <= budget

    def _over_budget(self, lease: Lease) -> Denied:
        return Denied(id=lease.ask.id, budget=self.limits.budget or ZERO, spent=self.spent)

    def _wake(self, at: float) -> None:
        self.wakes_at = min(self.wakes_at, at)

    # ---- what there is

    @property
    def spent(self) -> Decimal:
        """Dollars that were spent."""
        return sum(self.spent_by.values(), ZERO)

    @property
    def spent_by(self) -> dict[str, Decimal]:
        """Dollars that each client has spent."""
        spent = {client: dollars for client, dollars in self._settled.items() if dollars}
        for lease in self._held["dollars"]:
            spent[lease.client] = spent.get(lease.client, ZERO) + lease.spent
        return spent

    @property
    def reserved(self) -> Decimal:
        """Dollars that performances under way may still cost."""
        return sum((lease.reserved for lease in self._held["dollars"]), ZERO)

    def status(self, now: float) -> Status:
        """Tell what there is."""
        known = sorted(self._buckets.keys() | self._paused.keys())
        return Status(
            waiting={kind: self._number_waiting(kind) for kind in KINDS},
            held={**{kind: len(self._held[kind]) for kind in KINDS}, "sessions": self._open_sessions},
            openings=self._openings,
            start_rate=self.limits.start_rate,
            sessions=self.limits.sessions,
            tokens=self.limits.tokens,
            budget=self.limits.budget,
            spent=self.spent,
            reserved=self.reserved,
            accounts=tuple(self._account_status(account, now) for account in known),
        )

    def _number_waiting(self, kind: Kind) -> int:
        return sum(len(own) for queue in self._waiting[kind].values() for own in queue.values())

    def _account_status(self, account: str, now: float) -> AccountStatus:
        buckets = self._buckets.get(account, {})
        levels = {name: bucket.level(now) for name, bucket in buckets.items() if bucket.limit < math.inf}
        return AccountStatus(
            account=account,
            tokens=levels.get("tokens"),
            requests=levels.get("requests"),
            paused_s=max(0.0, self._paused.get(account, now) - now),
        )
