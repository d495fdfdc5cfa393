"""Time the tests that two versions share, in each version: ``python -m tests.suite_time BEFORE [AFTER]``.

BEFORE is an older checkout (``git worktree add /tmp/before REF``), AFTER another one, or this one. Each has an
environment in ``.venv`` with its own ``[test]`` and ``pytest-xdist``. A test is shared if both versions have a test
function, or method, of that name; files may differ, and so may the number of its examples. Both run
``pytest -n auto``, one after the other, limited to those tests: first BEFORE, then AFTER.

The rest is named too: how many functions only one version has. It is not timed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
SHARED = "TAU_STAGE_TESTS_SHARED"
"""The environment variable with the file that lists the shared names."""


def function_of(test: str) -> str:
    """Return the name of the function of a test.

    >>> function_of("tests/test_a.py::TestA::test_b[c::d]"), function_of("tau_stage/text/urls.py::tau_stage.text.urls")
    ('test_b', 'tau_stage.text.urls')
    """
    return test.partition("[")[0].rpartition("::")[2]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the shared tests, where this file is loaded as a plugin."""
    shared = set(json.loads(Path(os.environ[SHARED]).read_text(encoding="utf-8")))
    others = [item for item in items if function_of(item.nodeid) not in shared]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if function_of(item.nodeid) in shared]


def _pytest(tree: Path, *words: str, plugins: Path) -> subprocess.CompletedProcess[str]:
    command = [str(tree / ".venv" / "bin" / "python"), "-m", "pytest", "-q", *words]
    environment = {**os.environ, "PYTHONPATH": str(plugins)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def collect(tree: Path) -> list[str]:
    """List the tests of a version.

    Raises:
        SystemExit: It has none, or they cannot be collected.
    """
    done = _pytest(tree, "--collect-only", "-n", "0", plugins=tree)
    tests = [line for line in done.stdout.splitlines() if "::" in line and not line.startswith(("ERROR", "FAILED"))]
    if done.returncode or not tests:
        sys.exit(f"{tree}: the tests cannot be collected\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return tests


def time_tests(tree: Path, plugins: Path) -> float:
    """Run the shared tests of a version, print their summary, and return the seconds it took."""
    began = time.monotonic()
    done = _pytest(tree, "-n", "auto", "-p", "shared_tests", plugins=plugins)
    took = time.monotonic() - began
    _tell(f"{tree}: {done.stdout.splitlines()[-1].strip('= ')}, exit code {done.returncode}")
    return took


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Compare two versions."""
    if not words:
        sys.exit(__doc__)
    before, after = Path(words[0]).resolve(), Path(words[1]).resolve() if len(words) > 1 else TOP
    names = {tree: {function_of(test) for test in collect(tree)} for tree in (before, after)}
    shared = names[before] & names[after]
    only_before, only_after = len(names[before] - shared), len(names[after] - shared)
    _tell(f"{len(shared)} test functions are shared; {only_before} are only before, {only_after} only after")
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder)
        shutil.copy(__file__, plugins / "shared_tests.py")
        os.environ[SHARED] = str(plugins / "shared.json")
        Path(os.environ[SHARED]).write_text(json.dumps(sorted(shared)), encoding="utf-8")
        took = [time_tests(tree, plugins) for tree in (before, after)]
    _tell(f"before: {took[0]:.1f} s; after: {took[1]:.1f} s; {took[1] / took[0]:.2f} of the time")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
