"""Write facts about lines into the table that they are from: all other cells stay as they are.

In a file of text, each cell that is not written keeps its very characters, quotes included. In a workbook, cells keep
their styles and formulas; what a formula came to is computed anew when a spreadsheet opens it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING
from zipfile import ZipFile

from tau_stage.errors import UsageError
from tau_stage.tables.line_table import LineTable
from tau_stage.tables.spreadsheets import require_openpyxl
from tau_stage.tables.text_files import NoQuotes, read_bytes, read_text

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

Fact = str | float
Facts = Mapping[str, Fact]  # by the header of the column

WRITABLE = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm")

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What texts begin with that spreadsheets may take for formulas: full-width signs, too."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_END = re.compile(r"[\r\n]*\Z")
_SEPARATOR = re.compile(r'"?sep=.', re.IGNORECASE)


def no_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: behind an apostrophe, where it would.

    >>> no_formula("=1+1"), no_formula("one")
    ("'=1+1", 'one')
    """
    return f"'{text}" if text.startswith(FORMULAS) else text


NOTHING_KEPT: Mapping[str, Container[str]] = {}


def with_facts(
    table: LineTable,
    facts: Mapping[str, Facts],
    headers: Sequence[str],
    kept: Mapping[str, Container[str]] = NOTHING_KEPT,
) -> bytes:
    """Return a table's file with facts about its lines in columns of their own.

    Args:
        table: As it was read from its file, which has not changed since.
        facts: By the ids of lines. Lines without any, and columns that a line has no fact for, stay as they are.
        headers: Of the columns; those that are not there yet are added on the right, in this order.
        kept: By the header of a column: texts of cells that stay.

    Raises:
        SceneError: The file cannot be read.
        UsageError: The file is of a kind that cannot be written.
    """
    suffix = PurePath(table.path).suffix.lower()
    if suffix not in WRITABLE:
        raise UsageError(f"{table.path}: cannot write to this kind of file", f"use one of {', '.join(WRITABLE)}")
    if suffix in (".xlsx", ".xlsm"):
        return _workbook(table, facts, headers, kept)
    return _text(table, facts, headers, kept)


def _text(
    table: LineTable, facts: Mapping[str, Facts], headers: Sequence[str], kept: Mapping[str, Container[str]]
) -> bytes:
    text, form = read_text(table.path)
    delimiter = table.form.delimiter if table.form else ","
    writer = _RowWriter(delimiter, kept, has_quotes=table.format != "renpy")
    (sheet,) = table.sheets
    named = {line.place.line: line.id for line in table.lines}
    places = _places(sheet.headers, headers)
    skipped = 1 if _SEPARATOR.match(text) else 0
    rows: list[str] = []
    for number, (line, row) in enumerate(writer.rows(text), 1 - skipped):
        if number == sheet.header_row:
            new: Facts = {header: header for header in headers if header not in sheet.headers}
            rows.append(writer.written(row, new, places))
        else:
            rows.append(writer.written(row, facts.get(named.get(line, ""), {}), places))
    data = "".join(rows)
    is_big = form.encoding == "utf-16" and read_bytes(table.path).startswith(b"\xfe\xff")
    return b"\xfe\xff" + data.encode("utf-16-be") if is_big else data.encode(form.encoding)


def _places(there: Sequence[str], headers: Sequence[str]) -> dict[str, int]:
    """Return the place of each column, from 0: where it is, else on the right of all others."""
    known = {header: number for number, header in reversed([*enumerate(there)])}
    new = [header for header in headers if header not in known]
    return known | {header: len(there) + number for number, header in enumerate(new)}


@dataclass(frozen=True, slots=True)
class _RowWriter:
    """Writes cells into rows of text, and leaves all others as they are."""

    delimiter: str
    kept: Mapping[str, Container[str]]
    has_quotes: bool

    def rows(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield each row with its end, and the line that it begins at, from 1."""
        lines = _LINE.findall(text)
        reader = csv.reader(iter(lines), csv.excel if self.has_quotes else NoQuotes, delimiter=self.delimiter)
        before = 0
        for _ in reader:
            yield before + 1, "".join(lines[before : reader.line_num])
            before = reader.line_num

    def written(self, row: str, facts: Facts, places: Mapping[str, int]) -> str:
        """Return a row with facts in it."""
        if not facts:
            return row
        end = _END.search(row)
        ending = end[0] if end else ""
        cells = self._cells(row[: len(row) - len(ending)])
        always = self.has_quotes and all(cell.startswith('"') for cell in cells if cell)
        for header, fact in facts.items():
            place = places[header]
            cells += [""] * (place + 1 - len(cells))
            if cells[place].strip(' "') not in self.kept.get(header, ()):
                cells[place] = self._cell(fact, always=always)
        return self.delimiter.join(cells) + ending

    def _cells(self, row: str) -> list[str]:
        """Part a row into its cells, with their quotes."""
        if not self.has_quotes:
            return row.split(self.delimiter)
        cell = re.compile(rf'"(?:[^"]|"")*"[^{re.escape(self.delimiter)}]*|[^{re.escape(self.delimiter)}]*')
        cells, at = [], 0
        while True:
            found = cell.match(row, at)
            assert found is not None  # noqa: S101 - an empty cell fits
            cells.append(found[0])
            at = found.end() + 1
            if at > len(row):
                return cells

    def _cell(self, fact: Fact, *, always: bool) -> str:
        text = no_formula(fact) if isinstance(fact, str) else str(fact)
        if not self.has_quotes:
            return re.sub(rf"[\r\n{re.escape(self.delimiter)}]+", " ", text)
        needs = always or text != text.strip() or any(sign in text for sign in (self.delimiter, '"', "\r", "\n"))
        return '"{}"'.format(text.replace('"', '""')) if needs else text


def _workbook(
    table: LineTable, facts: Mapping[str, Facts], headers: Sequence[str], kept: Mapping[str, Container[str]]
) -> bytes:
    require_openpyxl()
    from openpyxl import load_workbook

    workbook = load_workbook(BytesIO(read_bytes(table.path)), keep_vba=table.path.lower().endswith(".xlsm"))
    for sheet in table.sheets:
        worksheet = workbook[sheet.name]
        places = _places(sheet.headers, headers)
        for header in headers:
            if header not in sheet.headers:
                _put(worksheet, sheet.header_row, places[header], header)
        for line in table.lines:
            if line.place.sheet == sheet:
                for header, fact in facts.get(line.id, {}).items():
                    _put(worksheet, line.place.row, places[header], fact, kept.get(header, ()))
    out = BytesIO()
    workbook.save(out)
    return out.getvalue()


def _put(worksheet: Worksheet, row: int, place: int, fact: Fact, kept: Container[str] = ()) -> None:
    cell = worksheet.cell(row, place + 1)
    if cell.value in kept:
        return
    cell.value = None if fact == "" else fact
    if cell.value is not None and isinstance(fact, str):
        cell.data_type = "s"  # else a text that begins with = would be a formula


def is_same_file(one: bytes, other: bytes) -> bool:
    """Tell whether two files hold the same: of workbooks, all but the time at which they were written."""
    if one == other or not (one.startswith(b"PK") and other.startswith(b"PK")):
        return one == other
    return _parts(one) == _parts(other)


def _parts(data: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "docProps/core.xml"}
