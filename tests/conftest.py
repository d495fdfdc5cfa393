"""Fixtures for every test: async tests run on a virtual clock unless they ask for a real loop."""

import os

import pytest
from hypothesis import settings
from trio.testing import MockClock

settings.register_profile("here", deadline=None)  # a busy machine is no failure
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
os.environ.pop("CI", None)  # tests are strict where they say so


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, MockClock]]:
    """Trio on a clock of its own that jumps whenever everybody waits: an hour of stage time in milliseconds."""
    return ("trio", {"clock": MockClock(autojump_threshold=0)})
