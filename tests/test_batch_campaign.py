"""A small campaign of batches, whose workers are killed; ``python -m tests.batch_campaign`` is a large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.understudy.server import Understudy
from tests.batch_campaign import BatchCampaign, crowding, write_scenes
from tests.campaign import served
from tests.support.batches import Asked


@pytest.mark.slow
def test_what_killed_workers_had_finished_is_not_performed_again(tmp_path: Path) -> None:
    """Slow: processes are started, and killed."""
    asked = Asked()
    write_scenes(tmp_path, 4)
    with served(Understudy(asked, pace=2.0)) as (url, _):
        campaign = BatchCampaign(tmp_path, url, ("--workers", "2"), every_s=4.0, most=2)
        campaign.run()
        assert [*campaign.problems(asked.words)] == []
    assert campaign.figures["killed"] <= 2


@pytest.mark.slow
def test_a_gate_that_is_killed_lets_nothing_through_twice(tmp_path: Path) -> None:
    """Slow: processes are started, and killed."""
    asked = Asked()
    understudy = Understudy(asked, pace=2.0, keeps_visits=True)
    write_scenes(tmp_path, 4)
    with served(understudy) as (url, _):
        campaign = BatchCampaign(tmp_path, url, ("--workers", "2"), every_s=8.0, most=0, gate_every_s=8.0)
        campaign.run()
        assert [*campaign.problems(asked.words)] == []
        assert [*crowding(understudy.visits, campaign.figures)] == []
