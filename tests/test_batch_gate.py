"""A batch at a gate that somebody else has started: which limits hold is never a matter of luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.batch.batch_file import load_batch
from tau_stage.batch.cluster import ClusterTask
from tau_stage.batch.jobs import load_jobs
from tau_stage.batch.worker import WorkerOptions
from tau_stage.gate.book import GateLimits
from tau_stage.gate.gate_server import open_gate_server
from tau_stage.runs.run_scenes import RunOptions
from tests.support.batches import write_batch
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["no_key"]

TOKEN = "open sesame"
Started = Callable[[GateLimits], str]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Start a gate; its address."""
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", TOKEN)
    with start_blocking_portal("asyncio") as portal, ExitStack() as opened:

        def start(limits: GateLimits) -> str:
            gate = open_gate_server(limits, TOKEN, return_s=0.0)
            return opened.enter_context(portal.wrap_async_context_manager(gate))

        yield start


@pytest.mark.parametrize("engine", [(), ("--workers", "2")])
@pytest.mark.parametrize(
    ("budget", "given", "told"),
    [
        (None, (), "has no budget, but the budget of the batch is $1"),
        ("5", ("--budget", "$2"), "has a budget of $5, but the budget of the batch is $2"),
    ],
)
def test_a_batch_with_a_budget_is_not_performed_at_a_gate_that_does_not_hold_it(
    started: Started,
    capsys: pytest.CaptureFixture[str],
    budget: str | None,
    given: tuple[str, ...],
    told: str,
    engine: tuple[str, ...],
) -> None:
    write_batch("scenes: [scenes/*.yaml]\nlimits: {budget: $1}\n", "hat")
    address = started(GateLimits(budget=Decimal(budget) if budget else None))
    assert run("batch", "run", "batch.yaml", "--gate", address, *given, *engine) == 2
    err = capsys.readouterr().err
    assert f"the gate at {address} {told}" in err
    assert "start the gate with --budget" in err


@pytest.mark.slow
def test_limits_that_nobody_holds_are_told(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: a scene is tried three times."""
    write_batch("scenes: [scenes/*.yaml]\nlimits: {start_rate: 30/min, sessions: 4}\n", "hat")
    address = started(GateLimits(sessions=1))
    assert run("batch", "run", "batch.yaml", "--gate", address) == 2  # the scene needs two
    assert f"the gate at {address} has no limit for start_rate: restart it with --start-rate" in capsys.readouterr().err


def test_shards_without_a_gate_are_told_that_they_share_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch("scenes: [scenes/*.yaml]\nlimits: {start_rate: 30/min}\n", "hat")
    assert run("batch", "run", "batch.yaml", "--shard", "2/2") == 0
    assert "without --gate, each shard applies the batch's limits and budget separately" in capsys.readouterr().err
    write_batch("scenes: [scenes/*.yaml]\n", "hat")
    assert run("batch", "run", "batch.yaml", "--shard", "2/2") == 0
    assert "without --gate" not in capsys.readouterr().err


def test_the_token_of_a_gate_is_in_no_log_of_a_cluster() -> None:
    write_batch("scenes: [scenes/*.yaml]\n", "hat")
    batch = load_batch("batch.yaml")
    task = ClusterTask(batch, load_jobs(batch)[0], WorkerOptions(run=RunOptions()), "127.0.0.1:1", TOKEN, "stop")
    assert TOKEN not in repr(task)
