"""Who writes into a take's folder: one process at a time, and nothing of it lies outside."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tau_stage.audio.wav import HEADER_BYTES
from tau_stage.errors import TakeError
from tau_stage.take.folder import guarded
from tau_stage.take.journal import NAME as JOURNAL

NAME = ".lock"
WRITABLE = "let it be written to, or copy the take"
UNLOCKABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that knows no locks."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a take's folder while something is written into it; whoever else wants it is told who has it.

    The operating system holds the lock (``flock``), so that it ends with the process, however that ends. Where a file
    system knows no locks, nobody is kept out.

    Args:
        folder: Must exist.

    Raises:
        TakeError: Another process, or another part of this one, holds it; a link in it leads out of it; or it cannot be
            written.
    """
    refuse_links(folder)
    with guarded(folder, WRITABLE):
        lock = _locked(folder)
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # the folder may be gone
                (folder / NAME).unlink()
        finally:
            os.close(lock)


def is_claimed(folder: Path) -> bool:
    """Tell whether somebody writes into a take's folder now."""
    try:
        lock = os.open(folder / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # nobody does
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(lock)
    return False


def clear_unbegun(home: Path, before: datetime) -> None:
    """Remove folders of takes that never began, as killed processes leave them: nothing was performed in them.

    Args:
        home: Where the takes of a scene are.
        before: What is younger may be about to begin.
    """
    for path in home.glob("*T*Z-*"):
        with suppress(OSError):
            is_old = path.stat().st_mtime < before.timestamp()
            if is_old and path.is_dir() and not path.is_symlink() and not is_claimed(path) and _is_unbegun(path):
                shutil.rmtree(path)


def _is_unbegun(folder: Path) -> bool:
    """Tell whether there is nothing in a folder but what a take begins with: no whole record, and no sound."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        is_stem = name.startswith("stems/") and path.suffix == ".wav" and path.stat().st_size <= HEADER_BYTES
        is_journal = path == folder / JOURNAL and b"\n" not in path.read_bytes()
        if not (name in ("lines", "stems", NAME) or is_stem or is_journal):
            return False
    return True


def refuse_links(folder: Path) -> None:
    """Refuse to write through a link that leads out of a take.

    Raises:
        TakeError: There is one, or the folder cannot be read.
    """
    home = folder.resolve()
    with guarded(folder, "look at its permissions"):
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        for path in (*folder.iterdir(), *(file for place in inner for file in place.iterdir())):
            if path.is_symlink() and not _leads_inside(path, home):
                raise TakeError(str(path), "is a link out of the take's folder", "put the file itself there")


def _leads_inside(link: Path, home: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # a loop of links leads nowhere
        return True


def _locked(folder: Path) -> int:
    """Open and lock the lock's file: the one that has the name now, as the last holder has removed its own."""
    path = folder / NAME
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(file, path):
                os.ftruncate(file, 0)
                os.pwrite(file, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
                return file
        except BlockingIOError:
            told = os.pread(file, 200, 0).decode("ascii", "replace")
            holder = "".join(filter(str.isprintable, told)) or "another process"
            os.close(file)
            raise TakeError(str(folder), f"is being written by {holder}", "wait for it, or end it") from None
        except OSError as error:
            if error.errno in UNLOCKABLE:
                return file
            os.close(file)
            raise
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False
