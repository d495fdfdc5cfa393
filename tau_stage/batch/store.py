"""Where a batch leaves everything: a folder, or an object store. Documents are whole, and can be made if absent.

Takes of an object store are performed in a folder of this machine, and pushed as they grow.
"""

from __future__ import annotations

import errno
import inspect
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tau_stage.errors import TakeError, UsageError, os_reason
from tau_stage.take import JOURNAL, draft_beside, guarded, write_whole

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
    return open_object_store(home)


REMEDY = "check the address, the network and your credentials, then run the batch again"
LAST = (JOURNAL, "take.json")  # files that say what others hold: they are pushed after those

_FOREIGN = ("botocore.exceptions:BotoCoreError", "aiohttp:ClientError", "azure.core.exceptions:AzureError")
"""Errors of clients that are none of the system's; they are loaded with their client."""


class ObjectStore:
    """An object store, by its address; what it answers is asked for anew each time.

    Attributes:
        home: A folder of this machine, in which takes are performed; it is removed with the store.
    """

    def __init__(self, address: str, files: Any, root: str) -> None:
        self._address, self._files, self._root = address.rstrip("/"), files, root.rstrip("/")
        self.home = Path(tempfile.mkdtemp(prefix="tau-stage-batch-"))
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        self._known: dict[str, tuple[int, int]] = {}

    def read(self, name: str) -> bytes | None:
        """Read a document; None where there is none."""
        with self._guarded(name):
            try:
                data: bytes = self._files.cat_file(self._place(name))
            except FileNotFoundError:
                return None
            return data

    def read_all(self, folder: str) -> dict[str, bytes]:
        """Read all documents below a folder, by name; those that go meanwhile are left out."""
        names = self.names(folder)
        if not names:
            return {}
        with self._guarded(folder):
            found = self._files.cat([self._place(name) for name in names], on_error="return")
        if not isinstance(found, dict):  # of one document, some file systems return it alone
            found = {self._place(names[0]): found}
        with self._guarded(folder):
            for problem in found.values():
                if isinstance(problem, BaseException) and not isinstance(problem, FileNotFoundError):
                    raise problem
        return {self._name(place): data for place, data in found.items() if isinstance(data, bytes)}

    def names(self, folder: str) -> list[str]:
        """List the documents below a folder."""
        with self._guarded(folder):
            self._files.invalidate_cache()
            try:
                return sorted(map(self._name, self._files.find(self._place(folder))))
            except FileNotFoundError:
                return []

    def create(self, name: str, data: bytes) -> bool:
        """Write a document if there is none: the store itself sees to it that one writer does."""
        with self._guarded(name):
            try:
                self._files.pipe_file(self._place(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" in str(error) or "ConditionalRequestConflict" in str(error):
                    return False
                raise
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write a whole document."""
        with self._guarded(name):
            self._files.pipe_file(self._place(name), data)

    def delete(self, name: str) -> None:
        """Remove a document, if it is there."""
        with self._guarded(name):
            try:
                self._files.rm_file(self._place(name))
            except FileNotFoundError:
                return

    def pull(self, folder: str) -> None:
        """Bring what is in a folder to ``home``, in place of what is there: others may have gone on with it."""
        names = self._fetch(folder, lambda _name: True)
        for take in {(self.home / name).parent for name in names if name.endswith(f"/{JOURNAL}")}:
            for place in ("lines", "stems"):
                (take / place).mkdir(exist_ok=True)

    def pull_journals(self, folder: str) -> None:
        """Bring the journals in a folder to ``home``; of its other files only that they are there: they are empty."""
        self._fetch(folder, lambda name: PurePosixPath(name).name == JOURNAL)

    def _fetch(self, folder: str, is_wanted: Callable[[str], bool]) -> list[str]:
        """Make the files of a folder in ``home``, with what they hold where that is wanted; return their names."""
        self.forget(folder)
        names = self.names(folder)
        with self._guarded(folder):
            for name in names:
                path = self.home / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if is_wanted(name):
                    self._files.get_file(self._place(name), str(path))
                else:
                    path.touch()
                self._known[name] = _state(path)  # so that none is pushed as it is here
        return names

    def push(self, folder: str) -> None:
        """Bring what is new in a folder of ``home`` to the store.

        What tells of other files comes last, and as it was before they were looked for: it tells of none that is not
        there.
        """
        last = [(path, _state(path), path.read_bytes()) for path in self._whole(folder) if path.name in LAST]
        for path in self._whole(folder):
            if path.name not in LAST:
                try:
                    self._put(path, _state(path), None)
                except FileNotFoundError:
                    if path.exists():
                        raise
        for path, state, data in sorted(last, key=lambda each: LAST.index(each[0].name)):
            self._put(path, state, data)

    def forget(self, folder: str) -> None:
        """Remove a folder from ``home``: a batch may be larger than this machine's disk."""
        shutil.rmtree(self.home / folder, ignore_errors=True)
        for name in [*self._known]:
            if name.startswith(f"{folder}/"):
                self._known.pop(name, None)

    def _whole(self, folder: str) -> list[Path]:
        return [path for path in sorted((self.home / folder).rglob("*")) if _is_whole(path)]

    def _put(self, path: Path, state: tuple[int, int], data: bytes | None) -> None:
        """Put a file into the store, or what it held, if that is not there."""
        name = path.relative_to(self.home).as_posix()
        if self._known.get(name) == state:
            return
        with self._guarded(name):
            if data is None:
                self._files.put_file(str(path), self._place(name))
            else:
                self._files.pipe_file(self._place(name), data)
        self._known[name] = state

    def address(self, name: str) -> str:
        """Say where a document is, for people."""
        return f"{self._address}/{name}"

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _name(self, place: str) -> str:
        return PurePosixPath("/" + place.lstrip("/")).relative_to("/" + self._root.lstrip("/")).as_posix()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Turn what a store's client raises into a ``TakeError``: each has errors of its own."""
        try:
            yield
        except _errors() as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise TakeError(self.address(name), f"the store does not work as expected: {reason}", REMEDY) from error


def _errors() -> tuple[type[BaseException], ...]:
    """Return what clients of object stores raise."""
    named = (each.split(":") for each in _FOREIGN)
    return (OSError, *(getattr(sys.modules[module], name) for module, name in named if module in sys.modules))


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _is_whole(path: Path) -> bool:
    """Tell whether a file is one of a take that is whole, or one that grows and is readable at every moment."""
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".") and ".part" not in path.suffixes


def open_object_store(address: str) -> ObjectStore:
    """Open an object store by its address.

    Raises:
        UsageError: Nothing here knows it, it cannot be reached, or two writers could both make one document in it.
    """
    try:
        import fsspec
    except ModuleNotFoundError:
        raise UsageError(f"the store {address} requires fsspec", "pip install 'tau-stage[store]'") from None
    try:
        files, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot open the store {address}: {error}", "install the missing package") from None
    if not _makes_if_absent(files):
        problem = f"the store {address} does not support conditional writes"
        raise UsageError(problem, "use a folder, s3://, gs:// or abfs://")
    store = ObjectStore(address, files, root)
    store.names("claims")
    return store


def _makes_if_absent(files: Any) -> bool:
    """Tell whether a file system sees to it itself that one writer makes a document."""
    kind = type(files)
    own = next((each for each in kind.__mro__ if {"_pipe_file", "pipe_file"} & vars(each).keys()), kind)
    method: Any = vars(own).get("_pipe_file") or vars(own).get("pipe_file")
    return (
        not own.__module__.startswith(("fsspec.spec", "fsspec.asyn")) and "mode" in inspect.signature(method).parameters
    )
