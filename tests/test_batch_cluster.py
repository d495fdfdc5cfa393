"""Batches on a Dask cluster: a task for each job, and nothing that was finished is performed again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tau_stage.understudy.server import Understudy
from tests.batch_campaign import BatchCampaign, write_scenes
from tests.campaign import served
from tests.support.batches import Asked
from tests.test_cli_validate import run


@pytest.mark.slow
def test_a_local_cluster_whose_workers_are_killed_performs_nothing_twice(tmp_path: Path) -> None:
    """Slow: processes are started, and killed."""
    asked = Asked()
    write_scenes(tmp_path, 4)
    with served(Understudy(asked, pace=2.0)) as (url, _):
        campaign = BatchCampaign(tmp_path, url, ("--cluster", "local", "--workers", "2"), every_s=6.0, most=2)
        campaign.run()
        assert [*campaign.problems(asked.words)] == []
    assert campaign.figures["killed"] >= 1


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler of Dask and a worker, as a cluster has them, in processes of their own."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    serving = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    working = [*dask, "worker", "--scheduler-file", file, "--nthreads", "2", "--no-dashboard"]
    quiet = subprocess.DEVNULL
    processes = [
        subprocess.Popen([str(word) for word in command], cwd=folder, env=left, stdout=quiet, stderr=quiet)
        for command in (serving, working)
    ]
    try:
        while not (file.exists() and file.read_text().rstrip().endswith("}")):  # it is there before it is written
            assert processes[0].poll() is None
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


@pytest.mark.slow
def test_the_cluster_of_a_scheduler_performs_a_batch_once(tmp_path: Path) -> None:
    """Slow: a scheduler and a worker are started."""
    asked = Asked()
    write_scenes(tmp_path, 3)
    with served(Understudy(asked)) as (url, _), scheduler(tmp_path) as address:
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
    assert "--cluster: '10.0.0.5' is no cluster\n  hint: write local, or a scheduler" in capsys.readouterr().err
