"""Which tests pytest-xdist gives to one worker together."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keep a file's tests together where each worker would build its fixtures again, or where all are quick.

    Other files are shared out by function, so that no worker is left with a row of slow ones. What has most tests is
    given first.
    """

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        self.top: Path = config.rootpath
        self._together = cache(self._is_together)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if self._together(file) else nodeid.partition("[")[0]

    def _is_together(self, file: str) -> bool:
        code = (self.top / file).read_text()
        return 'scope="module"' in code or "mark.slow" not in code
