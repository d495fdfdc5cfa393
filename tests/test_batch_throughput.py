"""Scenes a minute grow with sessions, and come within 5 % of what the gate's limits allow; nothing is refused."""

import pytest

from tests.batch_throughput import TOLERANCE, run


@pytest.mark.slow
@pytest.mark.parametrize(("sessions", "allowed"), [(2, 9.0), (4, 18.0), (8, 30.0), (12, 30.0)])
def test_a_batch_performs_as_many_scenes_as_its_limits_allow(sessions: int, allowed: float) -> None:
    """Up to 36 scenes are performed; the time is virtual."""
    found = run(sessions, start_rate=60, workers=3)
    assert found.allowed == pytest.approx(allowed, abs=0.05)
    assert found.measured == pytest.approx(found.allowed, rel=TOLERANCE)
    assert found.refused == 0
