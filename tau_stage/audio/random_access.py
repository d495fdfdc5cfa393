"""Bytes at places of files, on every system: Windows knows neither ``pread`` nor ``pwrite``, and changes line ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

BINARY = getattr(os, "O_BINARY", 0)  # opens a file whose bytes come as they are


def read_at(file: int, size: int, at: int) -> bytes:
    """Read bytes at a place of a file, by its descriptor; fewer where it ends before."""
    if hasattr(os, "pread"):
        return os.pread(file, size, at)
    with _place_kept(file, at):
        return os.read(file, size)


def write_at(file: int, data: bytes | memoryview, at: int) -> None:
    """Write all of some bytes at a place of a file, by its descriptor, however few of them a system takes at once."""
    rest = memoryview(data)
    while rest:
        done = _write_some(file, rest, at)
        rest, at = rest[done:], at + done


def _write_some(file: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, at)
    with _place_kept(file, at):
        return os.write(file, data)


@contextmanager
def _place_kept(file: int, at: int) -> Iterator[None]:
    """Go to a place of a file, and back to where it was: whoever appends goes on there."""
    before = os.lseek(file, 0, os.SEEK_CUR)
    os.lseek(file, at, os.SEEK_SET)
    try:
        yield
    finally:
        os.lseek(file, before, os.SEEK_SET)
