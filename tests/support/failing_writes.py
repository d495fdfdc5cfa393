"""A process that is killed at a write: from then on nothing reaches the disk, whatever is still tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHANGES = ("write", "pwrite", "replace", "rename", "link", "symlink", "unlink", "rmdir", "mkdir", "ftruncate", "fsync")
"""What changes a disk, or brings it there."""


class Killed(BaseException):
    """The process is gone."""


class Disk:
    """Counts what changes it, and dies.

    Args:
        dies: Told the number of each change, from 1, its name and its arguments, before it is made.

    Attributes:
        changes: How many there were.
    """

    def __init__(self, dies: Callable[[int, str, tuple[Any, ...]], bool]) -> None:
        self.changes = 0
        self._dies = dies
        self._is_dead = False

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """A change is about to be made.

        Raises:
            Killed: It is not.
        """
        self.changes += 1
        self._is_dead = self._is_dead or self._dies(self.changes, name, arguments)
        if self._is_dead:
            raise Killed


@contextmanager
def watched(disk: Disk) -> Iterator[None]:
    """Let a disk see all changes that this process makes, and refuse them."""

    def told(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:
            disk.before(name, arguments)
            return real(*arguments, **named)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, told(name, getattr(os, name)))
        yield
