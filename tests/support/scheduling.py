"""Which tests pytest-xdist gives to one worker together, and in which order."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

MARKED = re.compile(r"^@pytest\.mark\.slow\n(?:(?!(?:async )?def ).*\n)*(?:async )?def (\w+)", re.MULTILINE)
MARKED_FILE = re.compile(r"^pytestmark = .*(?:\n    .*)*\bmark\.slow\b", re.MULTILINE)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keep a file's tests together where each worker would build its fixtures again, or where all are quick.

    Other files are shared out by function, so that no worker is left with a row of slow ones. What is slow is given
    first, then what has most tests: in the end there is little for one worker while others wait.
    """

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        self.top: Path = config.rootpath
        self._code = cache(self._read)
        self._is_slow = cache(self._has_slow_tests)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if is_together(self._code(file)) else nodeid.partition("[")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        slow = next((scope for scope in self.workqueue if self._is_slow(scope)), None)
        if slow is not None:
            self.workqueue.move_to_end(slow, last=False)
        super()._assign_work_unit(node)

    def _has_slow_tests(self, scope: str) -> bool:
        file, _, function = scope.partition("::")
        return is_slow(self._code(file), function)

    def _read(self, file: str) -> str:
        return (self.top / file).read_text(encoding="utf-8")


def is_together(code: str) -> bool:
    """Say whether the tests of a file stay together."""
    return 'scope="module"' in code or "mark.slow" not in code


def is_slow(code: str, function: str = "") -> bool:
    """Say whether a function of a file, or any of the file, is marked as slow.

    >>> code = "@pytest.mark.slow\\n@other(\\n)\\nasync def test_a(): ...\\n\\ndef test_b(): ...\\n"
    >>> is_slow(code), is_slow(code, "test_a"), is_slow(code, "test_b")
    (True, True, False)
    >>> is_slow("pytestmark = [\\n    pytest.mark.slow,\\n]\\ndef test_a(): ...\\n", "test_a")
    True
    """
    return bool(MARKED_FILE.search(code)) or any(not function or name == function for name in MARKED.findall(code))
