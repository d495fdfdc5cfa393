"""A small campaign: scenes on bad days, and runs that are killed; ``python -m tests.campaign`` runs a large one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tau_stage.understudy.server import Understudy
from tests.campaign import Kills, judged, served
from tests.support.tone_voice import Tones

FEW, MANY = range(1, 4), (*range(4, 21), 27, 390, 452)


@pytest.mark.parametrize("seed", FEW)
def test_nothing_is_lost_on_a_bad_day(seed: int) -> None:
    assert judged(seed, Counter()) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_nothing_is_lost_on_many_bad_days(seed: int) -> None:
    """Slow: each is a scene with faults, performed up to six times."""
    assert judged(seed, Counter()) == []


@pytest.mark.soak
@pytest.mark.slow
def test_what_was_finished_when_it_was_killed_is_there_and_is_not_paid_again(tmp_path: Path) -> None:
    """Slow: kills processes."""
    done: Counter[str] = Counter()
    with served(Understudy(Tones(), keeps_visits=True)) as (url, understudy):
        kills = Kills(tmp_path, url, understudy)
        assert [problem for seed in (1, 2) for problem in kills.kill(seed, done)] == []
    assert done["runs killed"]
