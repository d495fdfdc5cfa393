"""Tables that are text: comma, semicolon or tab between cells (RFC 4180), in UTF-8 or UTF-16."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from itertools import count
from pathlib import Path, PurePath
from shlex import quote
from stat import S_ISDIR, S_ISREG
from typing import Any

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, SceneError, is_lfs_pointer, os_reason
from tau_stage.scene import did_you_mean
from tau_stage.tables.cells import CellRow, Header, RowReader, Wanted, find_header, header_errors
from tau_stage.tables.line_table import Column, LineTable, Sheet, TextForm

LARGEST_BYTES = 64 * 1024**2  # of a table: 16,000 lines have two or three million

_DELIMITERS = {".tsv": "\t,;", ".tab": "\t,;", ".txt": "\t,;"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_NEWLINE = re.compile(r"\r\n|\n|\r")


def read_bytes(path: str) -> bytes:
    """Read a whole file, if it is not too large to be a table.

    Raises:
        SceneError: There is no such file, or it cannot be read.
    """
    file = Path(path)
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):
            fact = "is a folder" if S_ISDIR(status.st_mode) else "is not a file"
            raise SceneError(path, 1, 1, f"the table {fact}", "name a file")
        if status.st_size > LARGEST_BYTES:
            size = f"{status.st_size / 1e6:,.0f} MB"
            problem = f"the table is {size} large, and one has at most {LARGEST_BYTES / 1e6:,.0f} MB"
            raise SceneError(path, 1, 1, problem, "part it into several")
        data = file.read_bytes()
    except FileNotFoundError:
        beside = [each.name for each in sorted(file.parent.glob("*.*"))]
        hint = did_you_mean(file.name, beside, f"it is looked for at {file.absolute().as_posix()}")
        raise SceneError(path, 1, 1, "the table does not exist", hint) from None
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise SceneError(path, 1, 1, f"the table cannot be read: {reason}", "name a file that you may read") from None
    if is_lfs_pointer(data):
        raise SceneError(path, 1, 1, f"the table {LFS_PROBLEM}", LFS_HINT)
    return data


def read_text(path: str) -> tuple[str, TextForm]:
    """Read a text file, and tell how it is written.

    Raises:
        SceneError: It cannot be read, or is no text.
    """
    data = read_bytes(path)
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and (len(data) > 1 and (data[0] == 0) != (data[1] == 0)):
        raise SceneError(path, 1, 1, "this is UTF-16 text without a byte order mark", "save it as UTF-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(path, data, error) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        column = text.index("\0") - text.rfind("\n", 0, text.index("\0"))
        problem = "a table is text, and U+0000 stands here"
        raise SceneError(
            path, line, column, problem, "save the file as text (CSV UTF-8), or name the spreadsheet itself"
        )
    newline = _NEWLINE.search(text)
    return text, TextForm(encoding, newline=newline[0] if newline else "\n")


def _undecodable(path: str, data: bytes, error: UnicodeDecodeError) -> SceneError:
    if error.encoding != "utf-8":
        return SceneError(path, 1, 1, f"this is no UTF-16 text: {error.reason}", "save it as UTF-8")
    before = data[: error.start]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
    other = str(PurePath(path).with_stem(f"{PurePath(path).stem}-utf8"))
    hint = f"save it as 'CSV UTF-8'; if Windows wrote it: iconv -f cp1252 -t utf-8 {quote(path)} > {quote(other)}"
    return SceneError(path, line, column, f"byte 0x{data[error.start]:02x} is not UTF-8 text", hint)


def read_csv(path: str, wanted: Wanted, errors: list[SceneError]) -> LineTable:
    """Read a table of text; what is wrong with it is noted."""
    text, form = read_text(path)
    if given := _SEPARATOR.match(text):
        delimiters, skipped = given[1], 1
    else:
        delimiters, skipped = _DELIMITERS.get(PurePath(path).suffix.lower(), ",;\t"), 0
    delimiter = _delimiter(text, delimiters, skipped, wanted)
    form = replace(form, delimiter=delimiter)
    header = find_header(_rows(path, text, delimiter, skipped, _LOOSE), wanted)
    if header is None or header.problems:
        errors += header_errors(header, Sheet(path))
        return LineTable(path, form=form)
    quotes = _BARE if header.program == "renpy" else _STRICT
    below = _below(header, _rows(path, text, delimiter, skipped, quotes), errors)
    reader = RowReader(path, "", header, errors)
    lines = tuple(reader.lines(below, PurePath(path).stem))
    return LineTable(path, reader.language, header.program, lines, (reader.sheet,), form)


def _below(header: Header, rows: Iterator[CellRow], errors: list[SceneError]) -> Iterator[CellRow]:
    """Yield the rows below a header, up to one that is no row of cells, which is noted."""
    try:
        yield from (row for row in rows if row.number > header.row.number)
    except SceneError as error:
        errors.append(error)


def _delimiter(text: str, delimiters: str, skipped: int, wanted: Wanted) -> str:
    """Choose the delimiter with which there is a header; else the one with which a row is likeliest to be one."""
    found: dict[str, tuple[int, int]] = {}
    for delimiter in delimiters:
        header = find_header(_rows("", text, delimiter, skipped, _LOOSE), wanted)
        if header is None or not header.problems:
            return delimiter
        found[delimiter] = header.likelihood
    return max(found, key=lambda delimiter: found[delimiter])


_STRICT: Mapping[str, Any] = {"strict": True}
_LOOSE: Mapping[str, Any] = {}  # for headers: what no quotes can explain is taken as it comes
_BARE: Mapping[str, Any] = {"quoting": csv.QUOTE_NONE}  # for programs that write no quotes


def _rows(path: str, text: str, delimiter: str, skipped: int, quotes: Mapping[str, Any]) -> Iterator[CellRow]:
    """Yield rows of cells; the first ones are skipped, and not counted."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, **quotes)
    for number in count(1 - skipped):
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise _no_row(path, text, line, number, delimiter) from None
        if number > 0:
            yield CellRow(number, line, cells)


def _no_row(path: str, text: str, line: int, number: int, delimiter: str) -> SceneError:
    """Tell which cell of a row is wrong: its quotes are, or it is too long."""
    start = 0
    for _ in range(line - 1):
        start = _NEWLINE.search(text, start).end()  # type: ignore[union-attr]  # the reader has counted them
    cell = re.compile(rf'"(?:[^"]|"")*"(?=[{re.escape(delimiter)}\r\n]|\Z)|(?!")[^{re.escape(delimiter)}\r\n]*')
    column, at = 1, start
    while (found := cell.match(text, at)) and len(found[0]) <= csv.field_size_limit():
        column, at = column + 1, found.end() + 1
    where = f"{Column(column, '').letter}{number}"
    line += len(_NEWLINE.findall(text, start, at))
    if found:
        problem = f"{where}: this cell has more than {csv.field_size_limit():,} characters"
        return SceneError(path, line, column, problem, "part it into several lines")
    closed = re.compile(r'"(?:[^"]|"")*"').match(text, at)
    problem = "more follows behind the quote that ends this cell" if closed else "this quote is never closed"
    hint = 'put the whole cell in quotes, and double each quote in it: "He said ""no""."'
    return SceneError(path, line, column, f"{where}: {problem}", hint)
