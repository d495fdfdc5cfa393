"""Drafts: files on their way to become whole. What killed processes have left is cleared by the next writer there."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, SUFFIX = ".tau-stage-", ".part"


@contextmanager
def draft_beside(final: Path) -> Iterator[tuple[int, Path]]:
    """Open a new file beside another, locked while this process holds it; remove what is left of it in the end.

    Args:
        final: Whose place it is to take, in a folder that is there.

    Yields:
        Its descriptor, open for writing, and its path.

    Raises:
        OSError: It cannot be made.
    """
    file, path = _created(final.parent)
    try:
        yield file, path
    finally:
        try:
            if _is_there(file, path):
                with suppress(OSError):
                    path.unlink()
        finally:
            os.close(file)


def forget_draft(draft: Path) -> None:
    """Remove a draft, if it is still there; where that fails, it is written over by the next of its name."""
    with suppress(OSError):
        draft.unlink(missing_ok=True)


def clear_drafts(folder: Path) -> None:
    """Remove the drafts of processes that are gone; where a disk knows no locks, all stay."""
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # it became whole, or is somebody else's
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_there(file, path):
                    path.unlink()
            finally:
                os.close(file)


def is_held(draft: Path) -> bool:
    """Tell whether a process holds a draft, or nobody can tell."""
    try:
        file = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _created(folder: Path) -> tuple[int, Path]:
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a disk without locks, on which nobody clears
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_there(file, path):  # else it was cleared before it was locked
            return file, path
        os.close(file)


def _is_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except OSError:
        return False
