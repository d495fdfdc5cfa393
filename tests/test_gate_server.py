"""A gate for many processes: leases end with their connection, and nothing is let through twice."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import AnyByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tau_stage.errors import BudgetExceeded, ConnectFailed, UsageError, unwrapped
from tau_stage.gate import Gate, GateLimits, open_gate, open_gate_server
from tau_stage.gate.gate_server import MOST_LEASES, MOST_STRANGERS, RETURN_S
from tau_stage.gate.messages import MOST_WAITING, SILENT_S, Ask, Hello, Message, Spent, StatusWanted, as_line
from tau_stage.protocol import RateLimit
from tests.support.memory_gate import TOKEN, GateWorld


@asynccontextmanager
async def world(limits: GateLimits | None = None, state: Path | None = None) -> AsyncIterator[GateWorld]:
    """A world with a server."""
    with unwrapped():
        async with anyio.create_task_group() as group:
            made = GateWorld(group, limits or GateLimits(), state)
            made.start()
            await anyio.lowlevel.checkpoint()
            try:
                yield made
            finally:
                made.close()
                group.cancel_scope.cancel()


class Raw:
    """A client that sends what it likes."""

    def __init__(self, stream: AnyByteStream) -> None:
        self.stream = stream
        self._reading = BufferedByteReceiveStream(stream)

    async def send(self, *messages: Message) -> None:
        await self.stream.send(b"".join(map(as_line, messages)))

    async def read(self, kind: str = "") -> dict[str, object]:
        """The next line, of a kind."""
        while True:
            told: dict[str, object] = json.loads(await self._reading.receive_until(b"\n", 10**6))
            if kind in ("", told["type"]):
                return told

    async def is_closed(self) -> bool:
        """Read to the end."""
        try:
            while True:
                await self.read()
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            return True


async def greeted(place: GateWorld, client: str = "raw", *held: Ask, buffer: int = 100) -> Raw:
    raw = Raw(await place.connect(buffer))
    await raw.send(Hello(token=TOKEN, client=client, held=held))
    return raw


class Openings:
    """Openings of several workers, and how many were under way at once."""

    def __init__(self, takes_s: float) -> None:
        self.now = self.most = self.whole = 0
        self._takes_s = takes_s

    async def __call__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await anyio.sleep(self._takes_s)
            self.whole += 1
        finally:
            self.now -= 1


async def test_workers_open_one_after_another_in_the_pace_of_all() -> None:
    openings, start = Openings(0.5), anyio.current_time()
    async with world(GateLimits(start_rate=60)) as place:

        async def work() -> None:
            async with place.worker() as gate:
                for _ in range(3):
                    await gate.open(openings, account="a", gap_s=0.0)

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(work)
    assert (openings.most, openings.whole) == (1, 12)
    assert anyio.current_time() - start == pytest.approx(11.5, abs=0.1)


async def test_what_a_killed_worker_holds_is_free_at_once() -> None:
    async with world(GateLimits(sessions=2, budget=Decimal(1))) as place, place.worker() as other:
        raw = await greeted(place, "killed")
        await raw.send(
            Ask(id=1, kind="sessions", count=2),
            Ask(id=2, kind="dollars", dollars=Decimal("0.9")),
            Ask(id=3, kind="opening", account="a"),
            Spent(id=2, dollars=Decimal("0.2")),
            StatusWanted(),
        )
        status = await raw.read("status")
        assert status["held"] == {"sessions": 2, "opening": 1, "tokens": 0, "dollars": 1}
        before = anyio.current_time()
        await raw.stream.aclose()
        async with other.sessions(2), other.reservation(Decimal("0.8")):
            await other.open(anyio.lowlevel.checkpoint, account="a", gap_s=0.0)
        assert anyio.current_time() == before


async def test_a_gate_that_is_killed_again_and_again_lets_nothing_through_twice(tmp_path: Path) -> None:
    openings, most = Openings(0.7), 0
    async with world(GateLimits(sessions=4), tmp_path / "gate.json") as place:

        async def work() -> None:
            nonlocal most
            async with place.worker() as gate:
                for _ in range(5):
                    async with gate.sessions(2):
                        most = max(most, (await gate.status()).held["sessions"])
                        await gate.open(openings, account="a", gap_s=0.0)
                        await anyio.sleep(4)

        async def kill() -> None:
            while True:
                await anyio.sleep(10)
                place.kill()
                await anyio.sleep(1.5)
                place.start(RETURN_S)

        async with anyio.create_task_group() as killing:
            killing.start_soon(kill)
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(work)
            killing.cancel_scope.cancel()
    assert (openings.most, openings.whole) == (1, 25)
    assert most == 4


async def test_what_was_spent_outlives_the_gate(tmp_path: Path) -> None:
    state = tmp_path / "gate.json"
    async with world(GateLimits(budget=Decimal(1)), state) as place:
        async with place.worker() as gate, gate.reservation(Decimal("0.5")) as done:
            done.spend(Decimal("0.4"))
        async with place.worker() as gate, gate.reservation(Decimal("0.5")) as under_way:
            under_way.spend(Decimal("0.1"))
            await anyio.sleep(1)
            place.kill()
            under_way.spend(Decimal("0.2"))  # nobody hears it
            place.start(RETURN_S)
            await anyio.sleep(5)
            status = await gate.status()
            assert (status.spent, status.reserved) == (Decimal("0.6"), Decimal("0.3"))
            await under_way.require(Decimal("0.6"), "ann-1")
            with pytest.raises(BudgetExceeded, match="before line ann-2"):
                await under_way.require(Decimal("0.61"), "ann-2")
        await anyio.sleep(1)
        place.kill()
        place.start()
        async with place.worker() as gate:
            assert (await gate.status()).spent == Decimal("0.6")


async def test_what_one_worker_learns_of_a_provider_counts_for_all() -> None:
    start = anyio.current_time()
    async with world() as place, place.worker() as one, place.worker() as other:
        await other.tokens("a", 1000)
        one.learn("a", [RateLimit(name="tokens", limit=600, remaining=0, reset_seconds=60)])
        await one.tokens("a", 0)
        await other.tokens("a", 100)
        assert anyio.current_time() - start == pytest.approx(10)
        one.pause("a", 30)
        await one.status()
        await other.tokens("a", 0)
        assert 40 <= anyio.current_time() - start <= 47.5
        other.used("a", 100)
        await other.tokens("a", 600)
        assert anyio.current_time() - start == pytest.approx(80)


async def test_a_flooding_client_is_stopped_and_keeps_nobody_waiting() -> None:
    start = anyio.current_time()
    async with world(GateLimits(tokens=60)) as place, place.worker() as honest:
        raw = await greeted(place)
        await raw.send(*(Ask(id=number, kind="tokens", account="a", count=10) for number in range(MOST_LEASES)))
        await honest.tokens("a", 10)
        await honest.tokens("a", 10)
        assert anyio.current_time() - start <= 30  # they take turns
        await raw.send(*(Ask(id=-number, kind="tokens", account="a") for number in range(10)))
        assert (await raw.read("problem"))["problem"] == f"a client can wait for at most {MOST_LEASES} leases"
        assert await raw.is_closed()
        status = await honest.status()
        assert (status.clients, status.waiting["tokens"]) == (1, 0)


async def test_who_asks_for_a_lease_twice_goes_and_the_gate_stays() -> None:
    twice = Ask(id=1, kind="sessions")
    async with world(GateLimits(sessions=1)) as place, place.worker() as honest:
        async with honest.sessions(1):
            raw = await greeted(place)
            await raw.send(twice, twice)
            assert (await raw.read("problem"))["problem"] == "lease 1 was requested twice"
            assert await raw.is_closed()
        await greeted(place, "liar", *[twice] * 3)
        assert (await honest.status()).held["sessions"] == 1


async def test_a_client_that_comes_back_many_times_at_once_is_one() -> None:
    async with world() as place, place.worker() as honest:
        for raw in [await greeted(place, "hasty") for _ in range(5)]:
            await raw.read("welcome")
        assert (await honest.status()).clients == 2


async def test_many_who_say_nothing_keep_nobody_out() -> None:
    async with world(GateLimits(sessions=1)) as place:
        start = anyio.current_time()
        silent = []
        for _ in range(MOST_STRANGERS + 5):
            silent.append(Raw(await place.connect()))
            await anyio.sleep(0.001)
        async with place.worker() as honest, honest.sessions(1):
            assert anyio.current_time() - start < 1
        for raw in silent[:5]:
            assert await raw.is_closed()
        assert anyio.current_time() - start < 1


async def test_a_client_that_reads_nothing_is_let_go() -> None:
    async with world() as place, place.worker() as honest:
        raw = await greeted(place, buffer=1)
        for _ in range(MOST_WAITING // 100 + 2):
            await raw.send(*[StatusWanted()] * 100)
        await anyio.sleep(2 * SILENT_S)
        assert (await honest.status()).clients == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"type":"ask","id":1,"kind":"sessions"}\n',
        b"\xff\n",
        b"[]\n",
        b"x" * 2**20,
    ],
)
async def test_whoever_says_no_hello_goes(line: bytes) -> None:
    async with world() as place:
        raw = Raw(await place.connect())
        if line:
            await raw.stream.send(line)
        told = await raw.read("problem")
        assert told["problem"] == "no hello received"
        assert await raw.is_closed()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b'{"type":"ask","id":1,"kind":"bribe"}\n',
        b'{"type":"ask","id":1,"kind":"sessions","count":-1}\n',
        b'{"type":"spent","id":1,"dollars":"-3"}\n',
        b'{"type":"backoff","account":"a","wait_s":1e999}\n',
        b'{"type":"backoff","account":"a","wait_s":NaN}\n',
        as_line(Hello(token=TOKEN, client="raw")),
    ],
)
async def test_a_line_that_means_nothing_ends_the_connection(line: bytes) -> None:
    async with world() as place:
        raw = await greeted(place)
        await raw.stream.send(line)
        assert (await raw.read("problem"))["problem"] == "the gate received an invalid message"
        assert await raw.is_closed()


async def test_a_half_open_connection_holds_nothing_for_long() -> None:
    async with world(GateLimits(sessions=1)) as place, place.worker() as honest:
        raw = await greeted(place, "gone", Ask(id=1, kind="sessions"))
        await raw.read("welcome")
        start = anyio.current_time()  # from now on, nothing comes from it, and it does not close
        async with honest.sessions(1):
            assert anyio.current_time() - start <= SILENT_S + 1


async def test_a_client_that_comes_back_takes_the_place_of_its_former_connection() -> None:
    async with world(GateLimits(sessions=1)) as place:
        first = await greeted(place, "worker", Ask(id=1, kind="sessions"))
        await first.read("welcome")
        again = await greeted(place, "worker", Ask(id=1, kind="sessions"))
        await again.read("welcome")
        await again.send(StatusWanted())
        status = await again.read("status")
        assert (status["clients"], status["held"]["sessions"]) == (1, 1)  # type: ignore[index]
        assert await first.is_closed()


async def test_a_gate_that_stays_away_fails_who_waits_for_it() -> None:
    async with world(GateLimits(sessions=1)) as place, place.worker(patience_s=20) as gate:
        place.kill()
        start = anyio.current_time()
        with pytest.raises(ConnectFailed, match="the gate at memory is unavailable: connection refused"):
            async with gate.sessions(1):
                pytest.fail("it was granted")
        assert anyio.current_time() - start == pytest.approx(20)
        place.start()
        await anyio.sleep(3)
        async with gate.sessions(1):
            pass


async def test_who_comes_while_a_gate_is_away_waits_for_it_where_it_was_seen_before() -> None:
    async with world(GateLimits(sessions=1)) as place, anyio.create_task_group() as group:
        place.kill()

        async def come_back() -> None:
            await anyio.sleep(40)
            place.start()

        group.start_soon(come_back)
        with pytest.raises(UsageError, match="cannot connect: connection refused"):
            async with place.worker():
                pytest.fail("it is there")
        async with place.worker(first_patience_s=60.0) as gate, gate.sessions(1):
            assert anyio.current_time() > 40


async def test_a_status_that_was_asked_of_a_gate_that_was_killed_is_told_by_the_next() -> None:
    async with world(GateLimits(sessions=1)) as place, place.worker() as gate:
        place.kill()
        start = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(gate.status)
            await anyio.sleep(2)
            place.start()
        assert anyio.current_time() - start < 5


async def test_who_waits_is_not_failed_by_a_gate_that_is_there_and_busy() -> None:
    async with (
        world(GateLimits(sessions=1)) as place,
        place.worker(patience_s=20) as one,
        place.worker(patience_s=20) as other,
        anyio.create_task_group() as group,
    ):

        async def hold() -> None:
            async with one.sessions(1):
                await anyio.sleep(300)

        start = anyio.current_time()
        group.start_soon(hold)
        await anyio.sleep(1)
        async with other.sessions(1):
            assert anyio.current_time() - start == 300


async def test_an_opening_that_is_refused_keeps_its_place_across_a_restart() -> None:
    tried = list[float]()
    async with world() as place, place.worker() as gate:

        async def opening() -> str:
            tried.append(anyio.current_time())
            if len(tried) == 1:
                raise ConnectFailed(reason="slow down", status=429, retry_after_s=10.0)
            return "open"

        async def restart() -> None:
            await anyio.sleep(2)
            place.kill()
            place.start(RETURN_S)

        async with anyio.create_task_group() as group:
            group.start_soon(restart)
            assert await gate.open(opening, account="a", gap_s=0.0) == "open"
    assert len(tried) == 2


REAL = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@REAL
async def test_over_sockets() -> None:
    openings = Openings(0.0)
    async with open_gate_server(GateLimits(sessions=3), TOKEN, return_s=0.0) as address:

        async def work(gate: Gate) -> None:
            async with gate.sessions(3):
                await gate.open(openings, account="a", gap_s=0.0)

        async with open_gate(address, TOKEN) as one, open_gate(address, TOKEN) as other:
            async with anyio.create_task_group() as group:
                for gate in (one, other, one):
                    group.start_soon(work, gate)
            await one.status()
            status = await other.status()
    assert (openings.most, openings.whole, status.openings, status.clients) == (1, 3, 3, 2)
    assert set(status.held.values()) == {0}


@REAL
async def test_over_sockets_a_connection_that_breaks_frees_what_it_held() -> None:
    async with (
        open_gate_server(GateLimits(sessions=1), TOKEN, return_s=0.0) as address,
        open_gate(address, TOKEN) as other,
    ):
        host, port = address.split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            raw = Raw(stream)
            await raw.send(Hello(token=TOKEN, client="gone", held=(Ask(id=1, kind="sessions"),)))
            await raw.read("welcome")
            assert (await other.status()).held["sessions"] == 1
        async with other.sessions(1):
            pass


@REAL
@pytest.mark.parametrize(
    ("opening", "problem"),
    [
        (partial(open_gate, "127.0.0.1:1", TOKEN, patience_s=0.01), "cannot connect: "),
        (partial(open_gate, "nowhere", TOKEN), "'nowhere' is not a valid gate address"),
        (partial(open_gate, "127.0.0.1:99999", TOKEN), "is not a valid gate address"),
        (partial(open_gate, "127.0.0.1:1", ""), "requires a token"),
        (partial(open_gate_server, GateLimits(), TOKEN, host="192.0.2.1"), "is not a loopback address"),
        (partial(open_gate_server, GateLimits(), ""), "a gate requires a token"),
        (
            partial(open_gate_server, GateLimits(), TOKEN, host="192.0.2.1", allow_remote=True),
            "cannot listen on 192.0.2.1",
        ),
    ],
)
async def test_what_cannot_be_opened_is_told(opening: partial[object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        async with opening():  # type: ignore[attr-defined]
            pytest.fail("it was opened")


@REAL
async def test_a_wrong_token_is_told_at_once() -> None:
    async with open_gate_server(GateLimits(), TOKEN) as address:
        with pytest.raises(UsageError, match="wrong token"):
            async with open_gate(address, "guess"):
                pytest.fail("it was opened")


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"a": -1}', '{"a": "NaN"}'])
async def test_a_state_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not a gate state file"):
        async with world(GateLimits(), file):
            pytest.fail("it was opened")
