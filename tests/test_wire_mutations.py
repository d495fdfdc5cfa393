"""A field of an event that is not as it should be, and events in disorder, cost neither session nor sound nor usage."""

import pytest

from tests.wire_mutations import Run, converse, judge, judge_disorder, perform


@pytest.mark.slow
@pytest.mark.parametrize("run", [converse, perform])
async def test_no_spoilt_field_costs_a_session_sound_or_usage(run: Run) -> None:
    """Slow: some forty conversations; ``python -m tests.wire_mutations`` holds them all."""
    found, cases = await judge(run, every=83)
    assert found["runs"] > 28
    assert cases == []


@pytest.mark.slow
@pytest.mark.parametrize("run", [converse, perform])
async def test_no_disorder_costs_a_session_sound_words_or_usage(run: Run) -> None:
    """Slow: some thirty conversations; ``python -m tests.wire_mutations`` holds them all."""
    found, cases = await judge_disorder(run, every=3)
    assert found["runs"] > 25
    assert cases == []
