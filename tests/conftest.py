"""Fixtures for every test: async tests run on a virtual clock unless they ask for a real loop."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.doctest import DoctestModule

from tau_stage.__main__ import YOUNG_OBJECTS

if TYPE_CHECKING:
    from trio.testing import MockClock

os.environ.pop("CI", None)  # tests are strict where they say so

if sys.dont_write_bytecode:
    # as in many containers: each process of the suite, and there are hundreds, would compile every module again
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")  # the tree stays clean
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    del os.environ["PYTHONDONTWRITEBYTECODE"]

MEMORY, ROOM_BYTES = Path("/dev/shm"), 2 * 10**9  # noqa: S108 - of whoever runs the tests, below a folder of pytest's
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
    # what the product writes it syncs to the disk, which takes a third of the time of some tests and shows nothing
    memory = os.statvfs(MEMORY)
    if memory.f_bavail * memory.f_frsize >= ROOM_BYTES and not memory.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each core has a worker: more threads wait for one another, and busily

gc.set_threshold(YOUNG_OBJECTS)  # as the program has it

if "PYTEST_XDIST_WORKER" not in os.environ:  # the understudy says a line once in a run of the tests, whoever asks
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="tau-stage-tests-")

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:  # as nohup and background jobs have it; processes would inherit it
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--branches", action="store_true", help="fail where no test takes a branch of the pure rooms")


def pytest_configure(config: pytest.Config) -> None:
    set_up_properties()
    if config.getoption("--branches"):
        from tests.support.branches import count_branches  # here: no other run loads coverage

        count_branches(config)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.add_cleanup(lambda: shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True))


def set_up_properties() -> None:
    """Let tests of properties use the same examples each time, or, as the command line may say, search for others."""
    from hypothesis import HealthCheck, settings  # here: where compiled modules are kept has been said

    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
    settings.register_profile("same", patient, derandomize=True, max_examples=60)
    settings.register_profile("search", patient, print_blob=True, max_examples=400)
    settings.load_profile("same")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, nor later in what was: it stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for examples in files that have some: in others, each function would be looked through for none."""
    found = yield
    has_examples = ">>>" in file_path.read_text(encoding="utf-8", errors="replace")
    return [each for each in found if has_examples or not isinstance(each, DoctestModule)]


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start one process more than there are cores: some tests wait for a browser, a socket or a child."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share out tests as ``tests.support.scheduling`` says, unless the command line says how."""
    from tests.support.scheduling import Scheduling

    return Scheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, "MockClock"]]:
    """Trio on a clock of its own that jumps whenever everybody waits: an hour of stage time in milliseconds."""
    from trio.testing import MockClock

    return ("trio", {"clock": MockClock(autojump_threshold=0)})
