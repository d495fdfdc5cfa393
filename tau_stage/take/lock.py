"""Who writes into a take's folder: one process at a time, and nothing of it lies outside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import lock_descriptor

from tau_stage.audio import HEADER_BYTES
from tau_stage.errors import TakeError
from tau_stage.take.atomic import NO_LOCKS, SAFE, guarded, is_held, is_named
from tau_stage.take.journal import JOURNAL

LOCK = ".lock"
WRITABLE = "let it be written to, or copy the take"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a take's folder while something is written into it; whoever else wants it is told who has it.

    The operating system holds the lock, so that it ends with the process, however that ends. Where a file system knows
    no locks, nobody is kept out.

    Raises:
        TakeError: Another process, or another part of this one, holds it; a link in it leads out of it; or it cannot be
            written.
    """
    refuse_links(folder)
    with guarded(folder, WRITABLE):
        lock = _acquire(folder)
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # the folder may be gone
                (folder / LOCK).unlink()
        finally:
            os.close(lock)


def is_locked(folder: Path) -> bool:
    """Tell whether somebody writes into a take's folder now; where there are no locks, nobody does."""
    return is_held(folder / LOCK, os.O_RDONLY, unknown=False)


def clear_unbegun(home: Path, before: datetime) -> None:
    """Remove folders of takes that never began, as killed processes leave them; younger ones may be about to begin."""
    for path in home.glob("*T*Z-*"):
        with suppress(OSError):
            is_old = path.stat().st_mtime < before.timestamp()
            if is_old and path.is_dir() and not path.is_symlink() and not is_locked(path) and _is_unbegun(path):
                shutil.rmtree(path)


def _is_unbegun(folder: Path) -> bool:
    """Tell whether there is nothing in a folder but what a take begins with: no whole record, and no sound."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        is_stem = name.startswith("stems/") and path.suffix == ".wav" and path.stat().st_size <= HEADER_BYTES
        is_journal = path == folder / JOURNAL and b"\n" not in path.read_bytes()
        if not (name in ("lines", "stems", LOCK) or is_stem or is_journal):
            return False
    return True


def refuse_links(folder: Path) -> None:
    """Refuse to write through a link that leads out of a take."""
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


def _acquire(folder: Path) -> int:
    """Open and lock the lock's file: the one that has the name now, as the last holder has removed its own."""
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | SAFE, 0o644)
        with ExitStack() as opened:
            opened.callback(os.close, file)
            if not _is_free(file):
                raise TakeError(str(folder), f"is being written by {_holder(file)}", "wait for it, or end it")
            if is_named(file, path):
                os.ftruncate(file, 0)
                os.write(file, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode())
                opened.pop_all()
                return file


def _is_free(file: int) -> bool:
    """Lock a file; tell whether nobody else has, or nobody can."""
    try:
        return lock_descriptor(file, blocking=False)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True
        raise


def _holder(file: int) -> str:
    told = ""
    with suppress(OSError):  # Windows lets nobody read what is locked
        told = os.read(file, 200).decode("ascii", "replace")
    return "".join(filter(str.isprintable, told)) or "another process"
