"""Fixtures for every test: async tests run on a virtual clock unless they ask for a real loop."""

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, MockClock]]:
    """Trio on a clock of its own that jumps whenever everybody waits: an hour of stage time in milliseconds."""
    return ("trio", {"clock": MockClock(autojump_threshold=0)})
