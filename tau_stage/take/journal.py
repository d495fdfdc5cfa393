"""The journal: everything that happened, one JSON object a line, appended before it counts."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tau_stage.errors import TakeError
from tau_stage.take.records import LineSpoken, Record, TakeBegan, TakeEnded

NAME = "journal.jsonl"
FULL_DISK = "make room and run the scene again; what was spoken before is kept"

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


class Journal:
    """Appends records to a file; those that end a line or the take are brought to the disk at once.

    Raises:
        TakeError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise TakeError(str(path), error.strerror or str(error)) from error

    def append(self, record: Record) -> None:
        """Write one record as one line.

        Raises:
            TakeError: The disk is full or gone.
        """
        try:
            os.write(self._file, _RECORD.dump_json(record) + b"\n")
            if isinstance(record, LineSpoken | TakeEnded):
                os.fsync(self._file)
        except OSError as error:
            raise TakeError(
                str(self.path), error.strerror or str(error), "make room and run the scene again"
            ) from error
        self.records.append(record)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_journal(path: Path) -> list[Record]:
    """The records of a journal; a torn last line, as a killed process leaves it, is dropped.

    Raises:
        TakeError: The file cannot be read, or a line that is not the last is broken.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TakeError(str(path), error.strerror or str(error)) from error
    return [_read(path, number, line) for number, line in enumerate(lines[:-1], 1) if line]


def read_beginning(path: Path) -> TakeBegan:
    """The first record of a journal: what was performed, and how.

    Raises:
        TakeError: The file cannot be read, or begins with something else.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
    except OSError as error:
        raise TakeError(str(path), error.strerror or str(error)) from error
    began = _read(path, 1, first) if first.endswith(b"\n") else None
    if isinstance(began, TakeBegan):
        return began
    raise TakeError(str(path), "the journal has no beginning", "the take was stopped before it began")


def _read(path: Path, number: int, line: bytes) -> Record:
    try:
        return _RECORD.validate_json(line)
    except ValidationError as error:
        raise TakeError(str(path), f"line {number}: a record is broken: {error.errors()[0]['msg']}") from error
