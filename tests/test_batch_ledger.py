"""The ledger of a batch: one worker has a job, and another takes it over when that one is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tau_stage.batch.ledger import Claim, JobResult, Ledger, machine, rehearsed, spent
from tau_stage.batch.store import Store, open_store
from tau_stage.batch.summary import status_of
from tau_stage.environment import is_running
from tau_stage.errors import TakeError, UsageError
from tests.support.object_stores import served_bucket

JOB = "de/scenes/hat"


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2027, 1, 1, tzinfo=UTC)

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield open_store(str(tmp_path / "out") if request.param == "folder" else f"memory://{tmp_path.name}/out")
    MemoryFileSystem.store.clear()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ann(store: Store, time: Time) -> Ledger:
    return Ledger(store, "ann", now=lambda: time.now)


@pytest.fixture
def bob(store: Store, time: Time) -> Ledger:
    """On another machine."""
    return Ledger(store, "bob", now=lambda: time.now, host="elsewhere")


def claimed(ledger: Ledger, job: str = JOB) -> Claim:
    claim = ledger.claim(job)
    assert claim is not None
    return claim


def test_one_worker_has_a_job_until_it_gives_it_up(ann: Ledger, bob: Ledger) -> None:
    claim = claimed(ann)
    assert bob.claim(JOB) is None
    assert ann.claim(JOB) is None
    assert bob.claims() == {JOB: claim}
    assert claimed(bob, "de/scenes/key").owner == "bob"
    ann.release(claim)
    assert claimed(bob).owner == "bob"


def test_a_claim_that_is_renewed_holds_and_tells_how_far_it_has_come(ann: Ledger, bob: Ledger, time: Time) -> None:
    claim = claimed(ann)
    for lines in range(5):
        time.pass_by(40)
        assert ann.renew(claim, lines=lines, dollars=Decimal("0.25"))
        assert bob.claim(JOB) is None
    assert (bob.claims()[JOB].lines, bob.claims()[JOB].dollars) == (4, Decimal("0.25"))


def test_a_claim_that_is_not_renewed_is_taken_over_by_one_and_its_owner_learns_of_it(
    ann: Ledger, bob: Ledger, store: Store, time: Time
) -> None:
    claim = claimed(ann)
    ann.renew(claim, dollars=Decimal(2))
    assert bob.claim(JOB) is None
    time.pass_by(61)
    second = claimed(bob)
    assert (second.number, second.dollars) == (2, Decimal(2))
    assert Ledger(store, "cid", now=lambda: time.now, host="third").claim(JOB) is None
    assert ann.renew(claim) is None
    assert bob.renew(second)
    ann.release(claim)
    assert bob.claims()[JOB].owner == "bob"


@pytest.mark.parametrize("ahead_s", [-90, 90, 86_400])
def test_a_clock_that_is_wrong_loses_no_job_and_keeps_none(bob: Ledger, store: Store, time: Time, ahead_s: int) -> None:
    wrong = Ledger(store, "ann", now=lambda: time.now + timedelta(seconds=ahead_s))
    claim = claimed(wrong)
    for _ in range(10):
        assert bob.claim(JOB) is None
        time.pass_by(20)
        assert wrong.renew(claim)
    assert bob.claim(JOB) is None
    time.pass_by(61)
    assert claimed(bob).owner == "bob"


def test_of_containers_with_one_name_each_is_a_machine() -> None:
    assert machine().startswith(socket.gethostname())
    assert str(Path("/proc/self/ns/pid").readlink()) in machine()


def test_an_owner_that_renews_too_late_does_not_come_back(ann: Ledger, bob: Ledger, store: Store, time: Time) -> None:
    claim = claimed(ann)
    time.pass_by(121)
    second = claimed(bob)
    store.write(claim.document, claim.model_dump_json().encode())  # it was about to be renewed
    assert ann.renew(claim) is None
    assert bob.renew(second)


def test_an_owner_that_comes_back_after_others_touches_no_claim_of_theirs(
    ann: Ledger, bob: Ledger, store: Store, time: Time
) -> None:
    late = claimed(ann)
    time.pass_by(121)
    bob.release(claimed(bob))
    cid = Ledger(store, "cid", now=lambda: time.now, host="third")
    assert claimed(cid).number == late.number
    assert ann.renew(late) is None
    ann.release(late)
    assert cid.claims()[JOB].owner == "cid"


def test_a_job_of_a_process_that_is_gone_is_taken_over_at_once_on_its_machine(store: Store, ann: Ledger) -> None:
    claimed(ann)
    assert Ledger(store, "bob").claim(JOB) is None
    assert claimed(Ledger(store, "bob", is_gone=lambda pid: pid == os.getpid())).owner == "bob"


def test_a_claim_that_was_cut_while_it_was_written_holds_nothing(ann: Ledger, store: Store) -> None:
    store.write(f"claims/{JOB}.1.json", b"")
    assert ann.is_over(ann.claims()[JOB])
    assert claimed(ann).number == 2
    assert [*ann.claims()] == [JOB]


@pytest.mark.parametrize("name", ["notes.txt", "hat.1 (copy).json", "README"])
def test_a_file_among_claims_that_is_none_holds_nothing(ann: Ledger, bob: Ledger, store: Store, name: str) -> None:
    store.write(f"claims/de/scenes/{name}", b"mine")
    assert claimed(ann).number == 1
    assert bob.claim(JOB) is None


def test_a_worker_that_dies_before_it_gives_up_what_is_done_leaves_it_done(ann: Ledger, bob: Ledger) -> None:
    claimed(ann)
    ann.write(JobResult(job=JOB, state="done", ended="complete", owner="ann"))
    assert [each.state for each in status_of([JOB], bob)] == ["done"]
    ann.write(JobResult(job=JOB, state="stopped", ended="interrupted", owner="ann"))
    assert [each.state for each in status_of([JOB], bob)] == ["running"]


def test_what_came_of_a_job_is_read_back(ann: Ledger, store: Store) -> None:
    assert ann.result(JOB) is None
    assert ann.results() == {}
    told = JobResult(job=JOB, state="done", ended="complete", paid={"takes/a": Decimal("0.5"), "takes/b": Decimal(1)})
    ann.write(told)
    assert ann.result(JOB) == told
    assert ann.results() == {JOB: told}
    assert spent(ann.results(), {JOB: claimed(ann)}) == Decimal("1.5")
    ann.write(told.model_copy(update={"rehearsed": ("takes/a",)}))
    assert (spent(ann.results(), {}), rehearsed(ann.results(), {})) == (Decimal(1), Decimal("0.5"))
    under_way = {JOB: Claim(job=JOB, number=1, owner="", host="", pid=0, until=ann.now(), dollars=3, unspent=1)}
    assert (spent(ann.results(), under_way), rehearsed(ann.results(), under_way)) == (Decimal(2), Decimal(1))
    store.write(f"jobs/{JOB}.json", b"{")
    with pytest.raises(TakeError, match="is not valid JSON"):
        ann.result(JOB)


def test_a_process_is_there_or_not() -> None:
    assert is_running(os.getpid())
    assert not is_running(2**22 + 1)


def test_a_store_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot open the store ftq://x"):
        open_store("ftq://x")
    with pytest.raises(UsageError, match="does not support conditional writes"):
        open_store("data://x")


def test_a_store_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot create the store"):
        open_store(str(tmp_path / "file" / "out"))


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow: a server begins."""
    with served_bucket(monkeypatch) as address:
        missing = open_store(address.replace("//", "//no-"))
        with pytest.raises(TakeError, match=r"the store does not work as expected: .*bucket does not exist"):
            Ledger(missing).claim(JOB)
