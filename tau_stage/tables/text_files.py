"""Tables that are text, in UTF-8 or UTF-16: cells (RFC 4180), translations of gettext (PO), Dink's structure (JSON).

Sources: the manual of GNU gettext, "The Format of PO Files"; github.com/wildwinter/dink.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from itertools import count
from pathlib import Path, PurePath
from shlex import quote
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, SceneError, UsageError, is_lfs_pointer, os_reason
from tau_stage.scene import did_you_mean, unfit_id
from tau_stage.tables.cells import CellRow, Header, RowReader, Wanted, find_header, header_errors
from tau_stage.tables.line_table import Column, LineTable, Place, Sheet, TableLine, TextForm, lock_of

if TYPE_CHECKING:
    import polib

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
            raise SceneError(path, 1, 1, f"the table {fact}", "choose a file")
        if status.st_size > LARGEST_BYTES:
            size = f"{status.st_size / 1e6:,.0f} MB"
            problem = f"the table is {size}, but the limit is {LARGEST_BYTES / 1e6:,.0f} MB"
            raise SceneError(path, 1, 1, problem, "split it into several files")
        data = file.read_bytes()
    except FileNotFoundError:
        beside = [each.name for each in sorted(file.parent.glob("*.*"))]
        hint = did_you_mean(file.name, beside, f"tau-stage looks for {file.absolute().as_posix()}")
        raise SceneError(path, 1, 1, "the table does not exist", hint) from None
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise SceneError(
            path, 1, 1, f"the table cannot be read: {reason}", "check the permissions of the file"
        ) from None
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
        problem = "a table must be text, but it contains U+0000"
        raise SceneError(
            path, line, column, problem, "save the file as text (CSV UTF-8), or use the spreadsheet itself"
        )
    newline = _NEWLINE.search(text)
    return text, TextForm(encoding, newline=newline[0] if newline else "\n")


def _undecodable(path: str, data: bytes, error: UnicodeDecodeError) -> SceneError:
    if error.encoding != "utf-8":
        return SceneError(path, 1, 1, f"this is not valid UTF-16 text: {error.reason}", "save it as UTF-8")
    before = data[: error.start]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
    other = str(PurePath(path).with_stem(f"{PurePath(path).stem}-utf8"))
    hint = (
        f"save it as 'CSV UTF-8'; if it has a Windows encoding: iconv -f cp1252 -t utf-8 {quote(path)} > {quote(other)}"
    )
    return SceneError(path, line, column, f"byte 0x{data[error.start]:02x} is not valid UTF-8", hint)


def read_csv(path: str, wanted: Wanted, errors: list[SceneError]) -> LineTable:
    """Read a table of text; what is wrong with it is noted."""
    text, form = read_text(path)
    if given := _SEPARATOR.match(text):
        delimiters, skipped = given[1], 1
    else:
        delimiters, skipped = _DELIMITERS.get(PurePath(path).suffix.lower(), ",;\t"), 0
    delimiter = _delimiter(text, delimiters, skipped, wanted)
    form = replace(form, delimiter=delimiter)
    header = find_header(_rows(path, text, delimiter, skipped), wanted)
    if header is None or header.problems:
        errors += header_errors(header, Sheet(path))
        return LineTable(path, form=form)
    quotes = NoQuotes if header.program == "renpy" else StrictQuotes
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
        header = find_header(_rows("", text, delimiter, skipped), wanted)
        if header is None or not header.problems:
            return delimiter
        found[delimiter] = header.likelihood
    return max(found, key=lambda delimiter: found[delimiter])


class StrictQuotes(csv.excel):
    """Refuses what no quotes can explain."""

    strict = True


class NoQuotes(csv.excel):
    """Takes a quote for a sign like any other: for programs that write none."""

    quoting = csv.QUOTE_NONE


def _rows(path: str, text: str, delimiter: str, skipped: int, quotes: type[csv.excel] = csv.excel) -> Iterator[CellRow]:
    """Yield rows of cells; the first ones are skipped, and not counted."""
    reader = csv.reader(StringIO(text, newline=""), quotes, delimiter=delimiter)
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
        return SceneError(path, line, column, problem, "split it into several lines")
    closed = re.compile(r'"(?:[^"]|"")*"').match(text, at)
    problem = "there is text after this cell's closing quote" if closed else "this quote is never closed"
    hint = 'put the whole cell in quotes, and double each quote in it: "He said ""no""."'
    return SceneError(path, line, column, f"{where}: {problem}", hint)


_SYNTAX = re.compile(r"\(line (\d+)\)(?:: (.*))?")


def read_po(path: str, base: LineTable | None, errors: list[SceneError]) -> LineTable:
    """Read a translation of gettext: those lines that are translated; what is wrong with it is noted.

    The context of a message (``msgctxt``) is the line's id. What is not translated, obsolete, or only guessed
    (``fuzzy``) is left out, as gettext leaves it out; so are messages without a context, and plurals.
    """
    text, form = read_text(path)
    entries, sheet = _parsed_po(path, text), Sheet(path)
    wanted = {line.id for line in base.lines} if base else None
    lines = []
    for entry in entries:
        name = (entry.msgctxt or "").removeprefix("line:")
        if not name or not _is_translated(entry) or (wanted is not None and name not in wanted):
            continue
        place = Place(sheet, entry.linenum or 1, entry.linenum or 1)
        if wrong := unfit_id(name):
            errors.append(place.error("id", *wrong))
            continue
        lock = "" if entry.msgid == entry.msgctxt else lock_of(entry.msgid)  # some have the id there again
        words, scene = entry.msgstr.strip(), PurePath(path).stem
        lines.append(TableLine(name, "", words, "", scene, place, lock=lock, note=entry.comment))
    if entries and not any(entry.msgctxt for entry in entries):
        problem = "no message has a context (msgctxt), which is used as the line id"
        errors.append(SceneError(path, 1, 1, problem, "export the translations with contexts, or use a table"))
    return LineTable(path, str(entries.metadata.get("Language", "")), "po", tuple(lines), (sheet,), form)


def _parsed_po(path: str, text: str) -> polib.POFile:
    try:
        import polib
    except ImportError:
        raise UsageError(
            "reading PO files requires polib, which is not installed", "pip install 'tau-stage[tables]'"
        ) from None
    try:
        return polib.pofile(text + "\n")
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        found = _SYNTAX.search(str(error))
        line, problem = (int(found[1]), found[2]) if found else (1, "")
        raise SceneError(
            path, line, 1, f"this is not a valid PO file: {problem or 'a syntax error'}", "fix it"
        ) from None


def _is_translated(entry: polib.POEntry) -> bool:
    return not (entry.obsolete or entry.fuzzy or entry.msgid_plural) and bool(entry.msgstr.strip())


def read_dink_structure(path: str, errors: list[SceneError]) -> LineTable:
    """Read Dink's structure file; what is wrong is noted. A line is what has the ids of a line and a character."""
    text, form = read_text(path)
    sheet = Sheet(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SceneError(
            path, error.lineno, error.colno, f"this is not valid JSON: {error.msg}", "export it again"
        ) from None
    except RecursionError:
        raise SceneError(path, 1, 1, "this JSON is nested too deeply for a table", "export it again") from None
    places = [text.count("\n", 0, found.start()) + 1 for found in re.finditer(r'"LineID"\s*:', text)]
    lines = [*_beats(data, "", sheet, iter(places), errors)]
    if not lines and not errors:
        problem = "the file has no lines: no entry has a LineID and a CharacterID"
        errors.append(SceneError(path, 1, 1, problem, "use the file that ends with -dink-structure.json"))
    return LineTable(path, "", "dink", tuple(lines), (sheet,), form)


_GROUPS = ("SceneID", "BlockID", "SnippetID")


def _beats(
    node: object, group: str, sheet: Sheet, places: Iterator[int], errors: list[SceneError]
) -> Iterator[TableLine]:
    """Yield the lines of a part of the structure, in order; ``group`` is what it is a part of."""
    if isinstance(node, list):
        for each in node:
            yield from _beats(each, group, sheet, places, errors)
    if not isinstance(node, dict):
        return
    for key in filter(node.__contains__, _GROUPS):
        group = " ".join(filter(None, (group, str(node[key]))))
    if "LineID" in node:
        line = next(places, 1)
        if "CharacterID" in node:
            yield from _beat(node, group, Place(sheet, line, line), errors)
    for each in node.values():
        yield from _beats(each, group, sheet, places, errors)


def _beat(beat: Mapping[str, object], group: str, place: Place, errors: list[SceneError]) -> Iterator[TableLine]:
    facts = {key: beat.get(key) or "" for key in ("LineID", "CharacterID", "Text", "Direction")}
    odd = [key for key, fact in facts.items() if not isinstance(fact, str)]
    name, player, words, direction = (str(fact).strip() for fact in facts.values())
    if odd:
        errors.append(place.error("words", f"{odd[0]} is not text", "export the file again"))
    elif not words:
        errors.append(place.error("words", "the line has no words", "add its words"))
    elif wrong := unfit_id(name):
        errors.append(place.error("id", *wrong))
    else:
        scene = group or PurePath(place.sheet.file).stem
        comments = beat.get("Comments")
        note = "\n".join(map(str, comments)) if isinstance(comments, list) else ""
        yield TableLine(name, player, words, direction, scene, place, note=note)
