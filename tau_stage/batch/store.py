"""Where a batch leaves everything: a folder, or an object store. Documents are whole, and can be made if absent."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from tau_stage.errors import UsageError, os_reason
from tau_stage.take import draft_beside, guarded, write_whole

FOLDER_REMEDY = "choose another store, or make it writable"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


class Store(Protocol):
    """What a ledger needs of a store, and what a worker needs to perform. Names have ``/`` between their parts."""

    home: Path  # A folder of this machine, in which takes are performed

    def read(self, name: str) -> bytes | None:
        """Read a document; None where there is none."""

    def read_all(self, folder: str) -> Mapping[str, bytes]:
        """Read all documents below a folder, by name."""

    def names(self, folder: str) -> list[str]:
        """List the documents below a folder; where a name begins with it, too."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a document if there is none; tell whether it was written."""

    def write(self, name: str, data: bytes) -> None:
        """Write a whole document."""

    def delete(self, name: str) -> None:
        """Remove a document, if it is there."""

    def pull(self, folder: str) -> None:
        """Bring what is in a folder to ``home``."""

    def pull_journals(self, folder: str) -> None:
        """Bring the journals in a folder to ``home``, and of its other files at least their names."""

    def push(self, folder: str) -> None:
        """Bring what is new in a folder of ``home`` to the store; its journal last."""

    def forget(self, folder: str) -> None:
        """Remove a folder from ``home``, if it lies elsewhere, too."""

    def address(self, name: str) -> str:
        """Say where a document is, for people."""


class FolderStore:
    """A folder of this machine, or of one that several share: takes are performed where they are left."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def read(self, name: str) -> bytes | None:
        """Read a document; None where there is none."""
        with guarded(self.home / name, FOLDER_REMEDY):
            try:
                return (self.home / name).read_bytes()
            except FileNotFoundError:
                return None

    def read_all(self, folder: str) -> dict[str, bytes]:
        """Read all documents below a folder, by name."""
        found = {name: self.read(name) for name in self.names(folder)}
        return {name: data for name, data in found.items() if data is not None}

    def names(self, folder: str) -> list[str]:
        """List the documents below a folder."""
        return sorted(path.relative_to(self.home).as_posix() for path in _files(self.home / folder))

    def create(self, name: str, data: bytes) -> bool:
        """Write a document if there is none: it has its name only when it is whole, where a disk knows links."""
        path = self.home / name
        with guarded(path, FOLDER_REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_beside(path) as (number, draft):
                os.write(number, data)
                try:
                    path.hardlink_to(draft)
                except FileExistsError:
                    return False
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    return _create_alone(path, data)
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write a whole document."""
        path = self.home / name
        with guarded(path, FOLDER_REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole({path: data}, FOLDER_REMEDY)

    def delete(self, name: str) -> None:
        """Remove a document, if it is there."""
        with guarded(self.home / name, FOLDER_REMEDY):
            (self.home / name).unlink(missing_ok=True)

    def pull(self, folder: str) -> None:
        """Leave everything where it is: it is here."""

    def pull_journals(self, folder: str) -> None:
        """Leave everything where it is: it is here."""

    def push(self, folder: str) -> None:
        """Leave everything where it is: it is there."""

    def forget(self, folder: str) -> None:
        """Leave everything where it is: it is nowhere else."""

    def address(self, name: str) -> str:
        """Say where a document is, for people."""
        return str(self.home / name)


def _create_alone(path: Path, data: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path


def open_store(home: str) -> Store:
    """Open a store by its address; a folder is made.

    Raises:
        UsageError: It cannot be opened.
    """
    if "://" not in home:
        path = Path(home)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot create the store {home}: {os_reason(error)}", FOLDER_REMEDY) from None
        return FolderStore(path)
    try:
        from tau_stage.batch.object_store import open_object_store
    except ModuleNotFoundError:
        raise UsageError(f"the store {home} requires fsspec", "pip install 'tau-stage[store]'") from None
    return open_object_store(home)
