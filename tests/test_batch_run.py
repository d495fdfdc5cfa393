"""`tau-stage batch`: what is done is neither performed nor paid again, and nothing else is touched."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked, BatchRuns, tree, write_batch
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit

__all__ = ["no_key", "serve"]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def batch(serve: Serve, asked: Asked, capsys: pytest.CaptureFixture[str]) -> BatchRuns:
    return BatchRuns(serve(Understudy(asked)), capsys)


def test_a_second_run_does_nothing_costs_nothing_and_opens_no_file(batch: BatchRuns, asked: Asked) -> None:
    write_batch()
    planned = batch.plan()
    assert planned["total"]["performed"] == 6
    assert [job["state"] for job in planned["jobs"]] == ["new", "new"]
    told = batch.run("--jobs", "2")
    assert told["total"]["states"] == {"done": 2}
    assert [job["lines"] for job in told["jobs"]] == [3, 3]
    assert sum(asked.take().values()) == 6
    before = tree(Path("out"))
    assert batch.plan()["total"]["performed"] == 0
    assert batch.run()["total"] == told["total"]
    assert asked.take() == {}
    assert tree(Path("out")) == before


def test_only_what_has_changed_is_performed(batch: BatchRuns, asked: Asked) -> None:
    write_batch()
    batch.run()
    asked.take()
    before = tree(Path("out"))
    edit(Path("scenes/hat.yaml"), "Here is your hat.", "There is your hat.")
    hat, key = batch.plan()["jobs"]
    assert (hat["state"], hat["performed"], hat["changed"], hat["outdated"]) == ("changed", 1, 1, 1)
    assert (key["state"], key["performed"]) == ("fine", 0)
    batch.run()
    assert asked.take() == {"There is your hat.": 1}
    after = tree(Path("out"))
    assert {name: after[name] for name in before if name != "jobs/scenes/hat.json"} == {
        name: data for name, data in before.items() if name != "jobs/scenes/hat.json"
    }


def test_a_budget_ends_between_lines_and_a_higher_one_goes_on(batch: BatchRuns, asked: Asked) -> None:
    write_batch("scenes: [scenes/*.yaml]\nlimits: {budget: $0.0028}\n", "hat", "key", "cup", "pen")
    told = batch.run(code=4)
    assert Decimal(told["total"]["dollars"]) <= Decimal("0.0028")
    spoken = asked.take()
    assert 0 < sum(spoken.values()) < 12
    assert max(spoken.values()) == 1
    states = told["total"]["states"]
    assert states["stopped"] + states.get("waiting", 0) + states.get("done", 0) == 4
    told = batch.run("--budget", "$1")
    assert told["total"]["states"] == {"done": 4}
    spoken += asked.take()
    assert set(spoken.values()) == {1}
    assert len(spoken) == 12


def test_what_fails_is_tried_again_and_left_after_that_until_it_is_asked_for(
    serve: Serve, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    write_batch("scenes: [scenes/*.yaml]\nretry: {times: 1}\n", "hat")
    broken = Understudy(asked, faults=[fault.FailResponses(2, "model_broken", "No.")])
    batch = BatchRuns(serve(broken), capsys)
    (told,) = batch.run(code=3)["jobs"]
    assert told["state"] == "failed"
    assert "No." in told["problem"]
    assert asked.take() == {}
    assert batch.plan()["total"]["performed"] == 0
    batch.run(code=3)
    assert asked.take() == {}
    assert batch.plan("--retry", "failed")["total"]["performed"] == 3
    assert batch.run("--retry", "failed")["total"]["states"] == {"done": 1}
    assert sum(asked.take().values()) == 3
