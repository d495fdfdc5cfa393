"""The program in processes of its own, and what of them is alive."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.forked import ForkedPython

POLL_S = 0.02

BYTECODE = {name: value for name, value in os.environ.items() if name == "PYTHONPYCACHEPREFIX"}
"""Where compiled modules are, for environments that hold nothing else: each process would compile them again."""


@contextmanager
def begun(*arguments: str, cwd: Path, stdout: int | None = None, stderr: int | None = None) -> Iterator[ForkedPython]:
    """The program in a process of its own, without keys."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment = left | {"PYTHONUNBUFFERED": "1"}
    command = "-m", "tau_stage", *arguments
    with ForkedPython(*command, cwd=cwd, env=environment, stdout=stdout, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def started(*arguments: str, cwd: Path, closing: str = "") -> Iterator[subprocess.Popen[str]]:
    """The same in an interpreter that has begun with it, under a shell that closes streams first."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", sys.executable, "-m", "tau_stage", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=cwd, env=left, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; the limit of the test ends one that never holds."""
    while not holds():
        select.select([], [], [], POLL_S)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def number_in(file: Path) -> int:
    until(lambda: file.is_file() and file.read_text().endswith("\n"))
    return int(file.read_text())


def parent(pid: int) -> int:
    """The process that has started a living one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> set[int]:
    """Living processes that a process has started, and those that they have."""
    found, size, parents = {pid}, 0, _parents()
    while len(found) > size:
        size = len(found)
        found |= {each for each, its_parent in parents.items() if its_parent in found}
    return {each for each in found - {pid} if is_alive(each)}


def children(pid: int) -> list[int]:
    """Living processes that a process has started itself."""
    return [each for each, its_parent in _parents().items() if its_parent == pid and is_alive(each)]


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(entry.name)] = parent(int(entry.name))
    return parents
