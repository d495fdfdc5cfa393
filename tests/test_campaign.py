"""A little of the campaign: scenes on bad days, and a run that is killed."""

import pytest

from tests.campaign import judged


@pytest.mark.slow
def test_twenty_bad_days_lose_nothing() -> None:
    """Slow: twenty scenes, each performed until it is complete."""
    assert {seed: problems for seed in range(1, 21) if (problems := judged(seed))} == {}
