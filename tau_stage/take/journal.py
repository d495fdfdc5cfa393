"""The journal: everything that happened, one JSON object a line, appended before it counts.

What is guaranteed: after a killed process, everything up to the last whole record; after a power failure, everything up
to the last record that ends a line, for which the disk was waited for: while a scene is performed, by a thread. The
sound of a line is brought to the disk before. A record whose sound is not there is dropped when the take is resumed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Union, cast

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from tau_stage.audio import BINARY, read_at
from tau_stage.errors import TakeError, os_reason
from tau_stage.take.atomic import FULL_DISK, guarded, sync_folder
from tau_stage.take.folding import beginning, current_facts
from tau_stage.take.records import DURABLE, RECORDS, Record, TakeBegan
from tau_stage.text import printable_json, well_formed

JOURNAL = "journal.jsonl"
DISK_THREAD = "tau-stage-disk"  # how threads are called that wait for the disk, and for which no clock waits

_RECORD: TypeAdapter[Record] = TypeAdapter(
    cast("type[Record]", Annotated[Union[*RECORDS], Field(discriminator="type")])
)


class Journal:
    """Appends records to a file; those that end a line or the take are brought to the disk at once.

    Args:
        path: A new file, or where ``goes_on``, one that is there.
        goes_on: Whether records follow those of a take that was stopped; a torn last one is cut off first.

    Attributes:
        torn_bytes: How much was cut off.

    Raises:
        TakeError: The file cannot be written or read: then, and by each method.
    """

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        self.path = path
        self.torn_bytes = self._size = 0
        flags = os.O_RDWR | os.O_APPEND | BINARY | (0 if goes_on else os.O_CREAT | os.O_EXCL)
        with guarded(path, ""):
            self._file = os.open(path, flags, 0o644)
        with ExitStack() as failed:
            failed.callback(self.close)
            with guarded(path, ""):
                if goes_on:
                    self._size = sum(len(line) + 1 for line in _whole_lines(path))
                    self.torn_bytes = os.fstat(self._file).st_size - self._size
                    if self.torn_bytes:
                        os.ftruncate(self._file, self._size)
                        os.fsync(self._file)
                sync_folder(path.parent)
            failed.pop_all()

    def append(self, record: Record) -> None:
        """Write one record, and bring it to the disk if it ends a line or the take."""
        self.write(record)
        if isinstance(record, DURABLE):
            self.sync()

    def write(self, record: Record) -> None:
        """Write one record as one line, or none of it."""
        line = printable_json(_written(record)).encode() + b"\n"
        with self._appending():
            self._write(line)
        self._size += len(line)

    def sync(self) -> None:
        """Bring all records to the disk."""
        with self._appending():
            os.fsync(self._file)

    @contextmanager
    def _appending(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"cannot write another record: {os_reason(error)}"
            raise TakeError(str(self.path), problem, FULL_DISK) from error

    def _write(self, line: bytes) -> None:
        """Write all of a line, however few bytes of it a system takes at once, or none of it."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with suppress(OSError):  # else it is cut off when the take is resumed
                os.ftruncate(self._file, self._size)
            raise

    @property
    def records(self) -> list[Record]:
        """All of them, read back: they are not kept in memory, so that it does not grow with the scene."""
        return _read_all(self.path, read_at(self._file, self._size, 0).split(b"\n")[:-1])

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_journal(path: Path) -> list[Record]:
    """Read the records of a journal; drop a torn last line, as a killed process leaves it.

    Raises:
        TakeError: The file cannot be read, or a line that is not the last is broken.
    """
    return _read_all(path, _whole_lines(path))


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines up to a torn one: it has no end, or holds zeros where a disk has lost what it was given."""
    with guarded(path, ""):
        lines = path.read_bytes().split(b"\n")[:-1]
    torn = next((number for number, line in enumerate(lines) if b"\0" in line), len(lines))
    return lines[:torn]


def read_beginning(path: Path) -> TakeBegan:
    """Read what is performed, and how: the first record of a journal, with what changed when it was resumed.

    Raises:
        TakeError: The file cannot be read, or begins with something else.
    """
    lines = _whole_lines(path)
    first = _read(path, 1, lines[0]) if lines else None
    if not isinstance(first, TakeBegan):
        raise TakeError(str(path), "the journal is missing its first record", "the take was stopped before it began")
    resumed = [_read(path, number, line) for number, line in enumerate(lines, 1) if b'"take_resumed"' in line]
    return beginning([first, *resumed])


def _read_all(path: Path, lines: list[bytes]) -> list[Record]:
    return current_facts([_read(path, number, line) for number, line in enumerate(lines, 1) if line])


def _read(path: Path, number: int, line: bytes) -> Record:
    try:
        return _RECORD.validate_json(line)
    except ValidationError as error:
        raise TakeError(str(path), f"line {number}: invalid record: {error.errors()[0]['msg']}") from error


def _written(record: Record) -> str:
    """Write a record as JSON; file names that are not UTF-8 and the like are written as well as they can be."""
    try:
        return _RECORD.dump_json(record).decode()
    except PydanticSerializationError:
        return well_formed(json.dumps(_RECORD.dump_python(record), ensure_ascii=False, default=str))
