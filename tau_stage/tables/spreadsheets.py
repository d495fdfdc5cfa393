"""Spreadsheets (.xlsx): the cells of each sheet, as a spreadsheet shows them.

A workbook is read row by row. Hidden rows are read too, as filters hide them; hidden sheets are not. A cell that is
merged downwards holds the same in all its rows. What a formula comes to is what the spreadsheet has kept of it.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from io import BytesIO
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import iterparse
from zipfile import BadZipFile, ZipFile

from tau_stage.errors import SceneError, UsageError
from tau_stage.tables.cells import BadCell, CellRow, RowReader, Wanted, find_header, header_errors
from tau_stage.tables.line_table import LineTable, Sheet
from tau_stage.tables.text_files import read_bytes

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell

MOST_UNPACKED = 512 * 1024**2  # bytes that all parts of a workbook have: of 16,000 lines they are a hundredth of it
MOST_ROWS = 1_048_576  # that a sheet may have
_PROLOG = 4096  # bytes of a part among which a DTD would begin
MOST_CELLS = 50_000_000  # of a sheet, those that nothing stands in included

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # how files of the old Office begin, and those with a password
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_BROKEN = (
    *(ArithmeticError, AttributeError, BadZipFile, EOFError, LookupError, NotImplementedError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, zlib.error),
)
"""What openpyxl raises, and what it stands on, where a workbook is damaged; errors of XML are syntax errors."""

_SAVE = "save it as 'Excel Workbook (.xlsx)'"
_AS_TEXT = "format the column as text, and enter the value again"


def require_openpyxl() -> None:
    """Load what reads spreadsheets.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import openpyxl  # noqa: F401
    except ImportError:
        hint = "pip install 'tau-stage[tables]'"
        raise UsageError("reading spreadsheets requires openpyxl, which is not installed", hint) from None


def read_spreadsheet(path: str, wanted: Wanted, errors: list[SceneError]) -> LineTable:
    """Read the sheets of a workbook that are shown; what is wrong with them is noted.

    A sheet without two of the columns that are looked for is no table of lines; where all are such, it is an error.
    """
    require_openpyxl()
    data = _checked(path, read_bytes(path))
    table, strange = LineTable(path), list[SceneError]()
    with _told_as_damaged(path), _opened(data) as (workbook, archive):
        visible = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
        for worksheet in visible:
            rows = _Rows(path, worksheet, archive)
            header = find_header(iter(rows), wanted)
            if header is None or header.problems:
                is_other = header is None or len(header.columns) < 2
                (strange if is_other else errors).extend(header_errors(header, Sheet(path, worksheet.title)))
                continue
            reader = RowReader(path, worksheet.title, header, errors)
            group = worksheet.title if len(visible) > 1 else PurePath(path).stem
            lines = tuple(reader.lines((row for row in rows if row.number > header.row.number), group))
            sheets = (*table.sheets, reader.sheet)
            table = LineTable(path, table.language or reader.language, header.program, table.lines + lines, sheets)
    if not table.sheets and not errors:
        errors += strange or [SceneError(path, 1, 1, "the workbook has no visible sheet", "make a sheet visible")]
    return table


def _checked(path: str, data: bytes) -> bytes:
    """Return the bytes of a workbook, if they are one that is not larger than it may be."""
    wrong = _wrong_kind(data)
    if wrong is None:
        with _told_as_damaged(path), ZipFile(BytesIO(data)) as archive:
            wrong = _wrong_parts(archive)
    if wrong:
        raise SceneError(path, 1, 1, *wrong)
    return data


def _wrong_kind(data: bytes) -> tuple[str, str] | None:
    """Tell what a file is that is no archive, and what to do."""
    if data.startswith(b"PK"):
        return None
    if not data.startswith(_COMPOUND):
        return "this is not a spreadsheet workbook", _SAVE
    if _ENCRYPTED in data:
        return "the workbook is password-protected", "save a copy without a password"
    return "the workbook is in the old Excel format (.xls)", _SAVE


def _wrong_parts(archive: ZipFile) -> tuple[str, str] | None:
    """Tell what is wrong with the parts of a workbook, before any is read, and what to do."""
    parts = {part.filename: part.file_size for part in archive.infolist()}
    unpacked = sum(parts.values())
    if unpacked > MOST_UNPACKED:
        unpacks = f"{unpacked / 1e6:,.0f} MB, but the limit is {MOST_UNPACKED / 1e6:,.0f} MB"
        return f"the workbook unpacks to {unpacks}", "split it into several files, or save it as CSV"
    if "[Content_Types].xml" not in parts or "xl/workbook.bin" in parts:
        return "the workbook is not in the .xlsx format", _SAVE
    if any(b"<!DOCTYPE" in archive.open(name).read(_PROLOG) for name in parts):
        return "the workbook contains a DTD, which is not allowed", _SAVE
    return None


@contextmanager
def _told_as_damaged(path: str) -> Iterator[None]:
    """Tell that a workbook is damaged, whatever finds it out."""
    try:
        yield
    except _BROKEN as error:
        problem = f"the workbook is damaged: {type(error).__name__}: {str(error)[:200] or 'no details'}"
        raise SceneError(path, 1, 1, problem, f"open it in a spreadsheet program, and {_SAVE}") from None


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[Workbook, ZipFile]]:
    """Open a workbook, for its cells and for its parts, without what openpyxl warns of: parts that hold no cells."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            workbook = load_workbook(BytesIO(data), read_only=True, data_only=True)
        except InvalidFileException as error:
            raise ValueError(str(error)) from None
        with ZipFile(BytesIO(data)) as archive:
            yield workbook, archive


class _Rows:
    """The rows of one sheet, each time from its first one."""

    def __init__(self, path: str, worksheet: Any, archive: ZipFile) -> None:
        self.path = path
        self.worksheet = worksheet
        worksheet.reset_dimensions()  # they are what the file says, and not always true
        with archive.open(worksheet._worksheet_path) as part:
            self.merged, self.uncomputed = _survey(part)

    def __iter__(self) -> Iterator[CellRow]:
        spread: dict[int, tuple[int, str | BadCell]] = {}  # by column: the last row of a merged cell, and what it holds
        seen = 0
        for number, cells in enumerate(self.worksheet.iter_rows(), 1):
            seen += len(cells)
            if number > MOST_ROWS or seen > MOST_CELLS:
                problem = f"the sheet '{self.worksheet.title}' has too many rows or cells"
                raise SceneError(self.path, number, 1, problem, "delete the empty rows and columns at the end")
            if not cells and not spread:
                continue
            texts = [self.text(number, column, cell) for column, cell in enumerate(cells, 1)]
            self._spread(number, texts, spread)
            if any(texts):
                yield CellRow(number, number, texts)

    def _spread(self, number: int, texts: list[str | BadCell], spread: dict[int, tuple[int, str | BadCell]]) -> None:
        """Let merged cells hold in a row what they hold in their first one."""
        for column, text in enumerate(texts, 1):
            if last := self.merged.get((number, column)):
                spread[column] = (last, text)
        for column, (last, text) in [*spread.items()]:
            texts += [""] * (column - len(texts))
            texts[column - 1] = text
            if number >= last:
                del spread[column]

    def text(self, number: int, column: int, cell: ReadOnlyCell | EmptyCell) -> str | BadCell:
        """Return what a cell shows."""
        if (number, column) in self.uncomputed:
            hint = "open and save the file in a spreadsheet program, or replace the formula with text"
            return BadCell("the cell contains a formula whose result was never saved", hint)
        value = cell.value
        if isinstance(value, str):
            is_error = cell.data_type == "e"
            return (
                BadCell(f"the result of the formula is {value}", "fix the formula")
                if is_error
                else value.replace("_x000D_", "")
            )
        return "" if value is None else shown(value, cell.number_format)


def _survey(part: IO[bytes]) -> tuple[dict[tuple[int, int], int], set[tuple[int, int]]]:
    """Find in a sheet the first cells of those that are merged, with their last rows, and formulas without a result."""
    merged: dict[tuple[int, int], int] = {}
    uncomputed: set[tuple[int, int]] = set()
    for _, element in iterparse(part):  # noqa: S314 - expat bounds entities, and parts with a DTD are refused
        name = element.tag.rpartition("}")[2]
        if name == "mergeCell":
            first, _, last = element.get("ref", "").partition(":")
            if (begin := _coordinate(first)) and (end := _coordinate(last)) and end[0] > begin[0]:
                merged[begin] = end[0]
        elif name == "c":
            texts = {child.tag.rpartition("}")[2]: child.text for child in element}
            is_kept = texts.get("v") or "is" in texts or element.get("t") == "str"
            if "f" in texts and not is_kept and (place := _coordinate(element.get("r", ""))):
                uncomputed.add(place)
            element.clear()
        elif name == "row":
            element.clear()
    return merged, uncomputed


def _coordinate(name: str) -> tuple[int, int] | None:
    """Return row and column of a cell's name, like ``AB12``."""
    found = re.fullmatch(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})", name)
    if not found:
        return None
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column


_LITERAL = r'(?:"[^"]*"|\\.|[-_/ :+])*'
_NUMBER = re.compile(
    rf"(?P<head>{_LITERAL})(?P<group>#,##)?(?P<zeros>0+)(?P<part>\.0+)?(?P<percent>%)?(?P<tail>{_LITERAL})"
)
_MOST_DIGITS = 15  # of a number, that a spreadsheet keeps


def shown(value: object, form: str) -> str | BadCell:
    """Write a number, a date or a truth value as its cell shows it.

    >>> shown(7, "000"), shown(0.5, "0%"), shown(1.0, "General"), shown(True, "General")
    ('007', '50%', '1', 'TRUE')
    >>> shown(datetime(2026, 1, 2), "yyyy-mm-dd"), shown(1234, '"line-"0')
    ('2026-01-02', 'line-1234')
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, form)
    if isinstance(value, datetime | date | time):
        return _moment(value, form)
    return BadCell(f"the cell contains a duration ({value}), not text", _AS_TEXT)


def _number(value: float, form: str) -> str | BadCell:
    if form in ("General", "@"):
        return _general_number(value)
    found = _NUMBER.fullmatch(form)
    if not found or value < 0:
        return BadCell(f"the cell's number format is not supported: {value:g} ('{form}')", _AS_TEXT)
    digits = len(found["part"] or ".") - 1
    whole = len(found["zeros"]) + (digits + 1 if digits else 0)
    number = value * 100 if found["percent"] else value
    text = f"{number:{',' if found['group'] else f'0{whole}'}.{digits}f}"
    return f"{_plain(found['head'])}{text}{found['percent'] or ''}{_plain(found['tail'])}"


def _general_number(value: float) -> str | BadCell:
    text = str(int(value)) if float(value).is_integer() else f"{value:.10g}"
    if len(text.strip("-")) > _MOST_DIGITS or "e" in text or "n" in text:
        return BadCell(f"the number {value:g} has more digits than a spreadsheet keeps", _AS_TEXT)
    return text


def _plain(literal: str) -> str:
    return re.sub(r'"([^"]*)"|\\(.)', lambda sign: sign[1] or sign[2] or "", literal)


_DATE_PART = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<half>AM/PM)|(?P<part>(?P<letter>[ymdhs])(?P=letter)*)', re.IGNORECASE
)
_DATE_PARTS: Mapping[str, str] = {
    "yyyy": "%Y",
    "yy": "%y",
    "mmmm": "%B",
    "mmm": "%b",
    "mm": "%m",
    "dddd": "%A",
    "ddd": "%a",
    "dd": "%d",
    "hh": "%H",
    "ss": "%S",
}
_DATE_NUMBERS: Mapping[str, str] = {"m": "month", "d": "day", "h": "hour", "s": "second"}
_OF_THE_COUNTRY = ("mm-dd-yy", "m/d/yy h:mm")  # each spreadsheet shows these as its country writes dates


def _moment(value: datetime | date | time, form: str) -> str | BadCell:
    """Write a date or a time in the form of its cell."""
    made = f"the spreadsheet program has converted this cell to a date: {value}"
    rest = _DATE_PART.sub("", form)
    if form in _OF_THE_COUNTRY or re.search(r"[^-/.,: ]", rest):
        return BadCell(made, _AS_TEXT)
    hours = "%I" if "am/pm" in form.lower() else "%H"
    previous = ""

    def part(found: re.Match[str]) -> str:
        nonlocal previous
        if not found["part"]:
            literal = found["quoted"] or found["escaped"] or ""
            return value.strftime("%p") if found["half"] else literal
        name, before = found["part"].lower(), previous
        previous = name
        follows = form[found.end() :].lstrip(":").lower().startswith("s")
        if name in ("m", "mm") and (before.startswith("h") or follows):
            return f"{getattr(value, 'minute', 0):0{len(name)}d}"
        if name in _DATE_NUMBERS and not (name == "h" and hours == "%I"):
            return str(getattr(value, _DATE_NUMBERS[name], 0))
        return value.strftime(hours if name in ("h", "hh") else _DATE_PARTS.get(name, "%Y"))

    return _DATE_PART.sub(part, form)
