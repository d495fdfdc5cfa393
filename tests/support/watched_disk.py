"""A disk that tells who waits for it and for what, in order, and that can be slow or broken."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Access:
    """A write to a file, or a wait until it is on the disk.

    Attributes:
        name: ``write`` or ``fsync``.
        path: The file's.
        is_on_loop: Whether the thread of the event loop does it.
        data: What is written.
    """

    name: str
    path: Path
    is_on_loop: bool
    data: bytes = b""


def ignore(_access: Access) -> None:
    """Let everything pass."""


@contextmanager
def watched_disk(before: Callable[[Access], None] = ignore) -> Iterator[list[Access]]:
    """Yield what this process writes and waits for; ``before`` is told of each first, and may wait or raise."""
    told: list[Access] = []
    loop = threading.get_ident()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def access(file: int, *rest: Any) -> Any:
            path = Path(f"/dev/fd/{file}").resolve()
            made = Access(name, path, threading.get_ident() == loop, bytes(rest[0])[:2000] if rest else b"")
            before(made)
            told.append(made)
            return real(file, *rest)

        return access

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "fsync"):
            patch.setattr(os, name, watched(name, getattr(os, name)))
        yield told
