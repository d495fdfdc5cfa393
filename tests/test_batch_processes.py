"""Workers in processes of their own: heard, forked again when they are killed, ended when there is nothing left."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from tau_stage.batch.worker_processes import MOST_DEATHS, WorkerProcesses
from tau_stage.errors import UsageError, unwrapped
from tests.support import busy_workers


class Heard:
    """What workers have said, and whether that is all that there is to do."""

    def __init__(self, wanted: int = 99) -> None:
        self.lines: list[bytes] = []
        self.warnings: list[str] = []
        self._wanted = wanted

    def hear(self, line: bytes) -> bool:
        self.lines.append(line)
        return True

    def is_done(self) -> bool:
        return len(self.lines) >= self._wanted


def work(what: Callable[[], int], heard: Heard, number: int = 1, stop: anyio.Event | None = None) -> list[int]:
    """Let so many processes do something; their exit codes."""

    async def run() -> list[int]:
        processes = WorkerProcesses(
            what,
            ["tests.support.preloaded"],
            {**os.environ, "HELLO": "there"},
            heard.hear,
            heard.is_done,
            heard.warnings.append,
        )
        await processes.run(number, stop or anyio.Event())
        return processes.codes

    with unwrapped():
        return anyio.run(run)


def test_a_worker_is_heard_and_its_exit_code_is_kept() -> None:
    heard = Heard()
    assert work(partial(busy_workers.fail, "Hello"), heard) == [3]
    assert heard.lines == [b"Hello there"]


def test_a_worker_that_is_killed_is_forked_again(tmp_path: Path) -> None:
    heard = Heard()
    assert work(partial(busy_workers.die_once, tmp_path / "marker"), heard) == [0]
    assert heard.lines == [b"done"]
    assert heard.warnings == ["a worker process was killed by signal 9; its jobs will be resumed (killed so far: 1)"]


@pytest.mark.slow
def test_a_worker_is_forked_again_though_who_has_forked_it_was_killed_too(tmp_path: Path) -> None:
    """Slow: what is forked is loaded again."""
    heard = Heard()
    assert work(partial(busy_workers.kill_forker_once, tmp_path / "marker"), heard) == [0]
    assert heard.lines == [b"done"]


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again_are_given_up() -> None:
    """Slow: it is forked eleven times."""
    with pytest.raises(UsageError, match=f"{MOST_DEATHS + 1} workers in a row were killed, .* signal 9"):
        work(busy_workers.die, Heard())


def test_all_workers_end_as_soon_as_there_is_nothing_left_to_do() -> None:
    """Each would wait for ever; that they were ended is no code of theirs."""
    heard = Heard(wanted=2)
    assert work(busy_workers.wait, heard, 2) == []
    assert heard.lines == [b"ready", b"ready"]
