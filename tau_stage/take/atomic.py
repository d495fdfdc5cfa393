"""Files that are whole or not there: written under another name, brought to the disk, then renamed.

A draft is locked while its process lives. What a killed process has left is removed by the next writer in its folder.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from tau_stage.errors import TakeError, os_reason
from tau_stage.text import printable_json

PREFIX, SUFFIX = ".tau-stage-", ".part"
FULL_DISK = "free some disk space, then resume with tau-stage resume; lines spoken so far are kept"
REMEDIES = {
    errno.ENOENT: "its folder was deleted or renamed during the performance: run the scene again",
    errno.EMFILE: "too many open files: raise the limit with ulimit -n 1024, then resume with tau-stage resume",
    errno.EFBIG: "file size limit reached: check ulimit -f, or split the scene; lines spoken so far are kept",
    errno.EROFS: "make it writable, then resume with tau-stage resume; lines spoken so far are kept",
}
"""What to do where a disk fails while a scene is performed, and it is not full."""

NO_FOLDER_SYNC = (errno.EINVAL, errno.EPERM, errno.EACCES, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that can bring files to the disk, but not folders."""

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that knows no locks."""

SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags for files of our own: no link is followed, where a system can tell, and no program inherits them."""


@contextmanager
def guarded(path: Path, hint: str) -> Iterator[None]:
    """Turn a failing disk into a ``TakeError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise disk_failure(error, path, hint) from error


def disk_failure(error: OSError, path: Path, hint: str) -> TakeError:
    """Say what a failing disk has done to a file, and what to do about it."""
    if hint == FULL_DISK and error.errno is not None:
        hint = REMEDIES.get(error.errno, hint)
    named = error.filename2 or error.filename or str(path)
    return TakeError(str(path) if Path(named).name.startswith(PREFIX) else named, os_reason(error), hint)


def sync_later(path: Path, hint: str) -> Callable[[], None]:
    """Open a file, and return what brings it and its name to the disk: it may have another name by then.

    Raises:
        TakeError: It is gone; or its disk, where that is found out later.
    """
    with guarded(path, hint):
        file = os.open(path, os.O_RDWR | SAFE)

    def sync() -> None:
        with guarded(path, hint):
            try:
                os.fsync(file)
            finally:
                os.close(file)
            sync_folder(path.parent)

    return sync


def sync_folder(path: Path) -> None:
    """Bring the names of a folder's files to the disk, where its file system can do that for a folder.

    Raises:
        OSError: The folder is gone, or its disk.
    """
    if os.name == "nt":  # a folder cannot be opened there
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


# ---- whole files


def write_whole(texts: Mapping[Path, str | bytes], hint: str) -> None:
    """Write whole files; where one has no room, none is changed.

    Texts of JSON are written with escapes for what is not meant to be seen; bytes are written as they are.

    Raises:
        TakeError: They cannot be written.
    """
    with ExitStack() as opened:
        for folder in {final.parent for final in texts}:
            clear_drafts(folder)
        drafts = {}
        for final, text in texts.items():
            with guarded(final, hint):
                if final.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final))
                number, drafts[final] = opened.enter_context(draft_beside(final))
                with open(number, "wb", closefd=False) as file:
                    file.write(text if isinstance(text, bytes) else _encoded(final, text))
                    file.flush()
                    os.fsync(number)
        for final, draft in drafts.items():
            with guarded(final, hint):
                draft.replace(final)
                sync_folder(final.parent)


def copy_whole(file: Path, final: Path, hint: str) -> None:
    """Copy a file, whole or not at all."""
    with guarded(final, hint), draft_beside(final) as (number, draft):
        with file.open("rb") as source, open(number, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy)
        draft.replace(final)
        sync_folder(final.parent)


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Yield the path of a draft that becomes a file when the block ends well; else it is removed.

    It has one name, so that the next attempt writes over what a killed process has left. Only the holder of a take's
    lock may make it.
    """
    draft = final.with_name(f".{final.name}{SUFFIX}")
    try:
        yield draft
        draft.replace(final)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _encoded(final: Path, text: str) -> bytes:
    text = printable_json(text) if final.suffix == ".json" else text
    return text.encode("utf-8", errors="backslashreplace")


# ---- drafts that are locked


@contextmanager
def draft_beside(final: Path) -> Iterator[tuple[int, Path]]:
    """Open a new file beside another, locked while this process holds it; remove what is left of it in the end.

    Yield its descriptor, open for writing, and its path; the folder must be there.

    Raises:
        OSError: It cannot be made.
    """
    file, path = _created(final.parent)
    try:
        yield file, path
    finally:
        try:
            if is_named(file, path):
                with suppress(OSError):
                    path.unlink()
        finally:
            os.close(file)


def clear_drafts(folder: Path) -> None:
    """Remove the drafts of processes that are gone; where a disk knows no locks, all stay."""
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # it became whole, or is somebody else's
            file = os.open(path, os.O_RDWR | SAFE)
            try:
                if lock_descriptor(file, blocking=False) and is_named(file, path):
                    path.unlink()
            finally:
                os.close(file)


def is_held(path: Path, flags: int = os.O_RDWR, *, unknown: bool = True) -> bool:
    """Tell whether a process holds a draft or a lock; what is so where nobody can tell, is given."""
    try:
        file = os.open(path, flags | SAFE)
    except FileNotFoundError:
        return False
    except OSError:
        return unknown
    try:
        return not lock_descriptor(file, blocking=False)
    except OSError:
        return unknown
    finally:
        os.close(file)


def is_named(file: int, path: Path) -> bool:
    """Tell whether an open file is the one that has a name now."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except OSError:
        return False


def _created(folder: Path) -> tuple[int, Path]:
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFE, 0o666)
        with suppress(OSError):  # a disk without locks, on which nobody clears
            lock_descriptor(file)
        if is_named(file, path):  # else it was cleared before it was locked
            return file, path
        os.close(file)
