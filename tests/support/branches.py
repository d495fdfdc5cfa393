"""Whether each branch of the pure rooms is taken by their own tests: ``pytest --branches``.

Branches are counted while the suite runs. The tests of other files run without a tracer, at full speed, and so do
tests of properties: each branch has an example.

Source: https://coverage.readthedocs.io/en/latest/branch.html
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator
from fnmatch import fnmatch
from importlib import import_module
from io import StringIO
from pathlib import Path
from pkgutil import walk_packages
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from coverage import Coverage

TOP = Path(__file__).parent.parent.parent
PURE = {
    "tau_stage.scene": ["tests/test_scene_*.py", "tau_stage/scene/*"],
    "tau_stage.protocol": ["tests/test_protocol_*.py", "tau_stage/protocol/*"],
    "tau_stage.text": ["tests/test_text_*.py", "tau_stage/text/*"],
    "tau_stage.cost": ["tests/test_cost*.py", "tau_stage/cost/*"],
    **{
        f"tau_stage.checks.{name}": ["tests/test_checks*.py", f"tau_stage/checks/{name}.py"]
        for name in ("checking", "expectations", "metrics", "snapshot_diff", "verdict", "voice_print")
    },
    "tau_stage.stage.schedule": ["tests/test_stage_schedule.py"],
    "tau_stage.session.retrying": ["tests/test_session_retrying.py"],
}
"""The packages and modules that are pure, and the files whose tests must take all their branches."""

TESTS = tuple(pattern for patterns in PURE.values() for pattern in patterns)


class BranchCounter:
    """A plugin of pytest: count the branches that tests of the pure rooms take in this process.

    Args:
        folder: Where the processes of one run leave what they have counted.
    """

    def __init__(self, folder: Path) -> None:
        self._coverage = _coverage(folder, data_suffix=True)
        self._coverage.start()
        import_pure_modules()
        self._coverage.stop()  # a tracer makes the collection of tests take twice as long
        self._counted_last = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)  # Hypothesis marks its tests so
        counts = is_of_a_pure_room(item.path) and not is_property
        if counts and not self._counted_last:
            forget_what_is_cached()
        self._counted_last = counts
        if counts:
            self._coverage.start()
        try:
            return (yield)
        finally:
            if counts:
                self._coverage.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()


def import_pure_modules() -> None:
    """Import the pure rooms: what is executed by an import is counted too."""
    for name in PURE:
        module = import_module(name)
        for found in walk_packages(getattr(module, "__path__", ()), f"{name}."):
            import_module(found.name)


def forget_what_is_cached() -> None:
    """Let pure rooms compute anew what tests that do not count have made them cache."""
    modules = [vars(module) for name, module in sys.modules.items() if name.startswith(tuple(PURE))]
    classes = [vars(owner) for names in modules for owner in names.values() if isinstance(owner, type)]
    for names in (*modules, *classes):
        for value in list(names.values()):
            function = getattr(value, "__func__", value)
            if isinstance(function, functools._lru_cache_wrapper):
                function.cache_clear()


class BranchReport:
    """A plugin of pytest, of the process that sums up: fail the run where a branch of a pure room was not taken.

    Args:
        folder: Where the processes of this run leave what they have counted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table = ""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist where to leave its counts."""
        node.workerinput["branches"] = str(self.folder)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        total, table = _coverage(self.folder), StringIO()
        total.combine()
        percent = total.report(file=table, show_missing=True, skip_covered=True)
        rmtree(self.folder)
        if percent < 100:
            self._table = table.getvalue()
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        title = (
            "branches of the pure rooms that no test of theirs takes"
            if self._table
            else "every branch of the pure rooms is taken"
        )
        terminalreporter.section(title)
        terminalreporter.write(self._table)


def count_branches(config: pytest.Config) -> None:
    """Let a run of pytest count the branches of the pure rooms, in each of its processes."""
    given = getattr(config, "workerinput", {}).get("branches")
    folder = Path(given or mkdtemp(prefix="branches-"))
    if given or not config.getoption("numprocesses", 0):  # with pytest-xdist, its workers run the tests
        config.pluginmanager.register(BranchCounter(folder))
    if given is None:
        config.pluginmanager.register(BranchReport(folder))


def _coverage(folder: Path, *, data_suffix: bool = False) -> Coverage:
    counter = Coverage(
        data_file=str(folder / "branches"),
        data_suffix=data_suffix,
        branch=True,
        source_pkgs=list(PURE),
        config_file=str(TOP / "pyproject.toml"),
    )
    counter.set_option("run:disable_warnings", ["module-not-imported"])  # a process may be given other tests only
    return counter


def is_of_a_pure_room(path: Path) -> bool:
    """Say whether a file's tests count for the branches of a pure room.

    >>> is_of_a_pure_room(TOP / "tests" / "test_text_comparing.py"), is_of_a_pure_room(TOP / "tests" / "test_scenes.py")
    (True, False)
    """
    return path.is_relative_to(TOP) and any(fnmatch(path.relative_to(TOP).as_posix(), pattern) for pattern in TESTS)
