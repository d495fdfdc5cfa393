"""The gate: openings one after another, sessions at once, tokens a minute, dollars; who waits, and who is next."""

import math
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.errors import BudgetExceeded, ConnectFailed, UsageError
from tau_stage.gate import LocalGate
from tau_stage.gate.book import GateBook, GateLimits, Lease
from tau_stage.gate.gate import ClientLeases, LeaseQueue
from tau_stage.gate.messages import Ask, Enlarge, Learned, Release, Spent
from tau_stage.protocol import RateLimit

Opening = Callable[[], Awaitable[float]]


def opening(takes_s: float = 0.0, *refusals: float) -> Opening:
    """An opening that tells when it began; it is refused first, with so many seconds to wait each time."""
    left = list(refusals)

    async def run() -> float:
        began = anyio.current_time()
        await anyio.sleep(takes_s)
        if left:
            raise ConnectFailed(reason="slow down", status=429, retry_after_s=left.pop(0))
        return began

    return run


async def opened(gate: LocalGate, *wanted: tuple[Opening, str]) -> list[float]:
    """When each opening began that went well, from now, in the order of the openings."""
    start, began = anyio.current_time(), dict[int, float]()

    async def one(number: int, run: Opening, account: str) -> None:
        began[number] = await gate.open(run, account=account, gap_s=0.0) - start

    async with anyio.create_task_group() as group:
        for number, (run, account) in enumerate(wanted):
            group.start_soon(one, number, run, account)
            await anyio.lowlevel.checkpoint()
    return [began[number] for number in range(len(wanted))]


async def test_openings_keep_the_start_rate() -> None:
    began = await opened(LocalGate(GateLimits(start_rate=30)), *[(opening(0.5), "a")] * 5)
    assert sorted(began) == [0, 2, 4, 6, 8]


async def test_who_is_refused_is_waited_for_by_all_of_the_account_and_by_nobody_else() -> None:
    gate = LocalGate(dice=random.Random(1))
    refused, second, other = await opened(gate, (opening(0, 10.0), "a"), (opening(), "a"), (opening(), "b"))
    assert other == 0
    assert 10 <= refused <= 12.5
    assert second >= 10
    assert second != refused


async def test_a_refusal_counts_for_responses_of_the_account_too() -> None:
    gate = LocalGate(dice=random.Random(1))
    await gate.tokens("a", 10)
    gate.pause("a", 20.0)
    start = anyio.current_time()
    woken = list[float]()

    async def wait() -> None:
        await gate.tokens("a", 10)
        woken.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(wait)
    assert all(20 <= at <= 25 for at in woken)
    assert len(set(woken)) == 8  # not all at the same moment
    await gate.tokens("a", 10)
    assert anyio.current_time() - start == max(woken)


async def test_a_scene_that_has_begun_to_open_goes_before_others() -> None:
    gate, order = LocalGate(GateLimits(start_rate=60)), list[str]()

    async def perform(scene: str) -> None:
        for number in range(3):

            async def opening() -> None:
                order.append(scene)

            await gate.open(opening, account="a", gap_s=0.0, begun=number > 0)

    async with anyio.create_task_group() as group:
        for scene in "abc":
            group.start_soon(perform, scene)
            await anyio.lowlevel.checkpoint()
    assert "".join(order) == "aaabbbccc"


async def test_all_sessions_of_a_scene_begin_together_or_wait() -> None:
    gate, order = LocalGate(GateLimits(sessions=5)), list[tuple[str, float]]()
    start = anyio.current_time()

    async def perform(name: str, sessions: int) -> None:
        async with gate.sessions(sessions):
            order.append((name, anyio.current_time() - start))
            await anyio.sleep(10)

    async with anyio.create_task_group() as group:
        for name, sessions in (("first", 3), ("large", 5), ("small", 1)):
            group.start_soon(perform, name, sessions)
            await anyio.lowlevel.checkpoint()
    assert order == [("first", 0), ("large", 10), ("small", 20)]  # the small one would fit, and overtakes nobody


async def test_more_sessions_than_there_are_at_all_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="needs 6 open sessions, but the limit is 5"):
        async with LocalGate(GateLimits(sessions=5)).sessions(6):
            pass


async def test_tokens_are_waited_for_and_settled() -> None:
    gate, start = LocalGate(GateLimits(tokens=600)), anyio.current_time()
    await gate.tokens("a", 600)
    gate.used("a", -300)  # only half was used
    await gate.tokens("a", 300)
    assert anyio.current_time() == start
    await gate.tokens("b", 600)  # another account has its own
    assert anyio.current_time() == start
    await gate.tokens("a", 100)
    assert anyio.current_time() - start == pytest.approx(10)


async def test_what_a_provider_tells_of_its_limits_is_kept() -> None:
    gate, start = LocalGate(), anyio.current_time()
    await gate.tokens("a", 10**6)
    gate.learn("a", [RateLimit(name="tokens", limit=6000, remaining=50, reset_seconds=59.5)])
    await gate.tokens("a", 50)
    await gate.tokens("a", 100)
    assert anyio.current_time() - start == pytest.approx(1)
    gate.learn("a", [RateLimit(name="requests", limit=60, remaining=0, reset_seconds=60)])
    await gate.tokens("a", 0)
    assert anyio.current_time() - start == pytest.approx(2)


async def test_a_scene_reserves_what_it_is_likely_to_cost_and_settles_what_it_did() -> None:
    gate, order = LocalGate(GateLimits(budget=Decimal(1)), spent=Decimal("0.2")), list[str]()

    async def perform(name: str, foreseen: str, cost: str) -> None:
        try:
            async with gate.reservation(Decimal(foreseen)) as reservation:
                order.append(name)
                await anyio.sleep(1)
                reservation.spend(Decimal(cost))
        except BudgetExceeded as error:
            order.append(f"{name}: {error}")

    async with anyio.create_task_group() as group:
        for name, foreseen, cost in (("a", "0.6", "0.3"), ("b", "0.4", "0.1"), ("c", "0.5", "0")):
            group.start_soon(perform, name, foreseen, cost)
            await anyio.lowlevel.checkpoint()
    assert order[:2] == ["a", "b"]  # b waits until a has turned out cheaper
    assert "stopped before the first line: $0.6000 of the budget of $1.0000 is used" in order[2]
    assert (await gate.status()).spent == Decimal("0.6")


async def test_a_scene_that_costs_more_than_foreseen_reserves_more_while_there_is_room() -> None:
    gate = LocalGate(GateLimits(budget=Decimal(1)))
    async with gate.reservation(Decimal("0.3")) as first, gate.reservation(Decimal("0.4")) as second:
        await first.require(Decimal("0.6"), "ann-1")
        with pytest.raises(BudgetExceeded, match="before line ann-2"):
            await first.require(Decimal("0.61"), "ann-2")
        second.spend(Decimal("0.1"))
        with pytest.raises(BudgetExceeded):
            await first.require(Decimal("0.61"), "ann-2")
    status = await gate.status()
    assert (status.spent, status.reserved) == (Decimal("0.1"), Decimal(0))


async def test_what_a_take_had_cost_before_it_was_stopped_is_not_counted_again() -> None:
    gate = LocalGate(GateLimits(budget=Decimal(1)), spent=Decimal("0.5"))
    async with gate.reservation(Decimal("0.3"), before=Decimal("0.5")) as rest:
        rest.spend(Decimal("0.5"))
        await rest.require(Decimal("0.8"), "ann-3")
        rest.spend(Decimal("0.75"))
    assert (await gate.status()).spent == Decimal("0.75")


async def test_who_is_cancelled_while_waiting_keeps_nobody_out() -> None:
    gate = LocalGate(GateLimits(sessions=1))
    async with gate.sessions(1):
        with anyio.move_on_after(5):
            async with gate.sessions(1):
                pytest.fail("it was taken")
    async with gate.sessions(1):
        assert (await gate.status()).held["sessions"] == 1
    assert (await gate.status()).held["sessions"] == 0


async def test_who_gives_up_waiting_waits_no_longer() -> None:
    gate, asked = LocalGate(GateLimits(sessions=1)), Ask(id=-1, kind="sessions")
    with anyio.fail_after(1):
        async with gate.sessions(1), anyio.create_task_group() as group:
            group.start_soon(gate.ask, asked)
            await anyio.sleep(0.5)
            gate.tell(Release(id=asked.id))


async def test_a_client_that_wants_much_keeps_nobody_out() -> None:
    queue = LeaseQueue(GateBook(GateLimits(start_rate=60), dice=random.Random(1)))
    greedy, modest, served = queue.client("greedy"), queue.client("modest"), list[str]()

    async def open_one(client: ClientLeases, name: str, number: int) -> None:
        await client.ask(Ask(id=number, kind="opening", account="a"))
        served.append(name)
        client.tell(Release(id=number))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(open_one, greedy, "greedy", number)
        await anyio.sleep(2.5)  # three are through
        for number in range(3):
            group.start_soon(open_one, modest, "modest", number)
        await anyio.sleep(6.1)
        group.cancel_scope.cancel()
    assert served[:3] == ["greedy"] * 3
    assert sorted(served[3:9]) == ["greedy"] * 3 + ["modest"] * 3  # they alternate


async def test_a_client_that_is_gone_holds_nothing_but_what_it_has_spent() -> None:
    queue = LeaseQueue(GateBook(GateLimits(sessions=3, budget=Decimal(1)), dice=random.Random(1)))
    client = queue.client("worker")
    await client.ask(Ask(id=1, kind="sessions", count=3))
    await client.ask(Ask(id=2, kind="opening", account="a"))
    await client.ask(Ask(id=3, kind="dollars", dollars=Decimal("0.8")))
    client.tell(Spent(id=3, dollars=Decimal("0.3")))
    client.end()
    status = queue.status()
    assert set(status.held.values()) == {0}
    assert (status.spent, status.reserved) == (Decimal("0.3"), Decimal(0))


async def test_a_client_that_comes_back_to_a_new_gate_holds_what_it_held() -> None:
    former = LeaseQueue(GateBook(GateLimits(sessions=3, budget=Decimal(1)), dice=random.Random(1)))
    before = former.client("worker")
    held = (
        Ask(id=1, kind="sessions", count=3),
        Ask(id=2, kind="opening", account="a"),
        Ask(id=3, kind="dollars", dollars=Decimal("0.8"), spent=Decimal("0.3")),
    )
    for each in held[:2]:
        await before.ask(each)
    before.restore(Decimal("0.1"), held[2:])
    known = former.book.spent_by
    assert known == {"worker": Decimal("0.4")}
    after = LeaseQueue(GateBook(GateLimits(sessions=3, budget=Decimal(1)), spent=known, dice=random.Random(1)))
    again = after.client("worker")
    again.restore(Decimal("0.1"), held)
    status = after.status()
    assert status.held == {"sessions": 3, "opening": 1, "tokens": 0, "dollars": 1}
    assert (status.spent, status.reserved) == (Decimal("0.4"), Decimal("0.5"))
    assert again.enlarge(Enlarge(id=3, dollars=Decimal("1.1"))) is not None
    again.tell(Learned(account="a", limits=()))
    again.end()
    assert after.book.spent_by == {"worker": Decimal("0.4")}


wishes = st.tuples(
    st.sampled_from(["sessions", "opening", "tokens", "dollars"]),
    st.sampled_from(["ann", "ben"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.5, 7.0]),
)


@settings(max_examples=40)
@given(st.lists(st.one_of(wishes, st.integers(0, 30), st.floats(0, 20)), max_size=60))
def test_whatever_happens_the_limits_hold_and_everybody_is_served(events: list[object]) -> None:
    limits = GateLimits(budget=Decimal(4), start_rate=30, sessions=5, tokens=60)
    book, now, leases, starts = GateBook(limits, dice=random.Random(1)), 0.0, list[Lease](), list[float]()

    def advance() -> None:
        for lease in book.advance(now):
            starts.extend([now] if lease.ask.kind == "opening" else [])
        status = book.status(now)
        assert status.held["sessions"] <= 5
        assert status.held["opening"] <= 1
        assert status.spent + status.reserved <= 4
        assert math.isinf(book.wakes_at) or book.wakes_at > now

    for number, event in enumerate(events):
        match event:
            case (str(kind), str(client), str(account), int(count), float(wait_s)):
                if kind == "opening" and count == 5:
                    for lease in leases:
                        book.refuse(lease, wait_s, now)
                told = {"id": number, "kind": kind, "account": account, "count": count, "dollars": count}
                asked = Ask.model_validate(told)
                leases.append(lease := Lease(client, asked))
                book.add(lease, now)
            case int(place) if leases:
                book.remove(leases.pop(place % len(leases)))
            case float(pause):
                now += pause
        advance()
    for _ in range(1000):  # everybody gives back what it was granted, and the rest is served
        if not (waiting := [lease for lease in leases if not lease.settled]):
            break
        for lease in [lease for lease in leases if lease.settled]:
            book.remove(lease)
            leases.remove(lease)
        if math.isfinite(book.wakes_at):
            now = max(now, book.wakes_at)
        advance()
    else:
        pytest.fail(f"{len(waiting)} wait for ever")
    assert all(later - earlier >= 2 for earlier, later in pairwise(starts))


async def test_many_that_wait_are_let_through_in_the_pace() -> None:
    gate = LocalGate(GateLimits(start_rate=6000))
    began = await opened(gate, *[(opening(), "a")] * 200)
    assert sorted(began) == pytest.approx([number / 100 for number in range(200)])
