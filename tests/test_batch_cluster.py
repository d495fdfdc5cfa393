"""Batches on a Dask cluster: a task for each job, and nothing that was finished is performed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.understudy.server import Understudy
from tests.batch_campaign import BatchCampaign, cluster, write_scenes
from tests.campaign import served
from tests.support.batches import Asked
from tests.test_cli_validate import run


@pytest.mark.slow
def test_a_local_cluster_whose_workers_are_killed_performs_nothing_twice(tmp_path: Path) -> None:
    """Slow: processes are started, and killed."""
    asked = Asked()
    write_scenes(tmp_path, 4)
    with served(Understudy(asked, pace=2.0)) as (url, _):
        campaign = BatchCampaign(tmp_path, url, ("--cluster", "local", "--workers", "2"), every_s=1.0, most=2)
        campaign.begun = lambda: len(asked.words)
        campaign.run()
        assert [*campaign.problems(asked.words)] == []
    assert campaign.figures["killed"] >= 1


@pytest.mark.slow
def test_the_cluster_of_a_scheduler_performs_a_batch_once(tmp_path: Path) -> None:
    """Slow: a scheduler and a worker are started."""
    asked = Asked()
    write_scenes(tmp_path, 3)
    with served(Understudy(asked)) as (url, _), cluster(tmp_path, 1, 2) as (address, _):
        for _ in range(2):
            campaign = BatchCampaign(tmp_path, url, ("--cluster", address), every_s=60.0, most=0)
            campaign.run()
            assert [*campaign.problems(asked.words)] == []
    assert set(asked.words.values()) == {1}


def test_what_is_no_cluster_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    assert run("batch", "run", "batch.yaml", "--cluster", "10.0.0.5") == 2
    assert "--cluster: invalid address '10.0.0.5'\n  hint: use 'local', or a scheduler" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_worker_of_a_cluster_cannot_do_is_told_as_elsewhere(tmp_path: Path) -> None:
    """Slow: a cluster is started."""
    write_scenes(tmp_path, 1)
    campaign = BatchCampaign(tmp_path, "understudy", ("--cluster", "local", "--workers", "1", "--live"), 60.0, most=0)
    campaign.run()
    assert campaign.figures["exit code"] == 2
    told = "--live needs a provider, but only the understudy is available\n  hint: set OPENAI_API_KEY"
    assert told in (tmp_path / "log.txt").read_text()
