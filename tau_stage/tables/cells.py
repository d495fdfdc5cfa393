"""From rows of cells to lines: which column holds what, and which line each row is.

The header is the first row in which all columns are found that a table needs: by the names that the user gives, or by
those in ``headers.toml``. Rows before it are titles. Rows below it without an id and without words are no lines.

What a program writes into texts that is its own syntax is taken off, so that only what is spoken is left. Places for
values (``{0}``, ``[name]``, ``[select ...]``) stay as they stand: nobody knows here what they will be.

Sources: docs.yarnspinner.dev, markup; renpy.org/doc/html/text.html, text tags; Ren'Py's ``translation.quote_unicode``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import did_you_mean, listed, unfit_id
from tau_stage.tables.line_table import FIELDS, Column, Place, Sheet, TableLine
from tau_stage.text import composed, folded

MOST_BEFORE = 20  # rows, of those that hold anything, among which the header is looked for
NONE = "none"  # in a user's ``columns``: there is no such column

_HEADERS = tomllib.loads(Path(__file__).with_name("headers.toml").read_text("utf-8"))
_PARTS: Mapping[str, Sequence[str]] = {part: names.split() for part, names in _HEADERS["parts"].items()}
PROGRAMS: Mapping[str, Mapping[str, str]] = {name: about["columns"] for name, about in _HEADERS["formats"].items()}
"""Formats of programs that are tables of cells, and the columns of each."""
_KNOWN: Mapping[str, frozenset[str]] = {
    name: frozenset(about["known"].split()) for name, about in _HEADERS["formats"].items()
}
_ABOUT = {"id": "the line ids", "player": "the speakers", "words": "the words"}
_SIGNS = re.compile(r"[\W_]+")
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BadCell(NamedTuple):
    """A cell whose text cannot be known: why, and what to do."""

    problem: str
    hint: str


class CellRow(NamedTuple):
    """A row: its number in a spreadsheet, its line in the file, and its cells."""

    number: int
    line: int
    cells: Sequence[str | BadCell]

    @property
    def texts(self) -> list[str]:
        """The cells, without those whose text cannot be known."""
        return [cell.strip() if isinstance(cell, str) else "" for cell in self.cells]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a table before it is read.

    Attributes:
        columns: Headers by part, as the user gives them; ``none``: there is no such column.
        program: Whose table it is: one of ``PROGRAMS``, ``plain``, or empty where its header says it.
        translates: Whether it translates another table, which knows who speaks.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    program: str = ""
    translates: bool = False

    def __post_init__(self) -> None:
        for part in self.columns:
            if part not in FIELDS:
                hint = did_you_mean(part, FIELDS, f"known fields: {listed(FIELDS)}")
                raise UsageError(f"columns: '{part}' is not a field of a line", hint)

    def needs(self, program: str) -> list[str]:
        """Return the parts that must have a column."""
        needed = ["words"] if self.translates or program == "yarn" else ["player", "words"]
        return [part for part in ("id", *needed) if self.columns.get(part) != NONE]


@dataclass(frozen=True, slots=True)
class Header:
    """A row that is a header, or the likeliest to be one: whose table it begins, and what is wrong with it."""

    program: str
    row: CellRow
    columns: Mapping[str, Column]
    problems: Sequence[tuple[str, str]]
    translates: bool = False  # whether the table is a translation, where some words may be left to do

    @property
    def likelihood(self) -> tuple[int, int]:
        """How likely it is a header: how many columns it names, and how many cells it has."""
        return len(self.columns), sum(map(bool, self.row.texts))


def find_header(rows: Iterator[CellRow], wanted: Wanted) -> Header | None:
    """Read rows up to the header; if none is sound, return the likeliest row; None: no row holds anything."""
    likeliest: Header | None = None
    for row in islice((row for row in rows if any(row.texts)), MOST_BEFORE):
        header = _header(row, wanted)
        if not header.problems:
            return header
        if likeliest is None or header.likelihood > likeliest.likelihood:
            likeliest = header
    return likeliest


def _header(row: CellRow, wanted: Wanted) -> Header:
    named = _named(row.texts)
    plain = [name for name, _ in named]
    program = wanted.program or next((name for name, known in _KNOWN.items() if known <= {*plain}), "plain")
    problems: list[tuple[str, str]] = []
    columns: dict[str, Column] = {}
    for part in dict.fromkeys((*FIELDS, *PROGRAMS.get(program, ()))):
        if part in wanted.columns:
            found = None if wanted.columns[part] == NONE else _given(wanted.columns[part], named, problems)
        else:
            taken = {column.number for column in columns.values()}
            free = [each for each in named if each[1].number not in taken]
            found = _found(_usual_names(part, program), free, problems)
        if found:
            columns[part] = found
    problems += [
        _missing(part, [column.header for _, column in named])
        for part in wanted.needs(program)
        if part not in columns and part not in wanted.columns
    ]
    return Header(program, row, columns, problems, wanted.translates)


def _usual_names(part: str, program: str) -> Sequence[str]:
    """Return what a part's column is called in tables of a program; in others, all that it may be called."""
    if program not in PROGRAMS:
        return _PARTS[part]
    return [PROGRAMS[program][part]] if part in PROGRAMS[program] else []


def _named(texts: Sequence[str]) -> list[tuple[str, Column]]:
    """Return each column that is called anything, with its name as names are compared."""
    named = ((_SIGNS.sub("", folded(text)), Column(number, composed(text))) for number, text in enumerate(texts, 1))
    return [(name, column) for name, column in named if column.header]


def _given(header: str, named: Sequence[tuple[str, Column]], problems: list[tuple[str, str]]) -> Column | None:
    """Find the column that a user names."""
    wanted = composed(header.strip())
    found = [column for _, column in named if column.header == wanted]
    found = found or [column for _, column in named if folded(column.header) == folded(wanted)]
    if not found:
        headers = [column.header for _, column in named]
        problems.append((f"unknown column '{header}'", did_you_mean(header, headers, f"columns: {listed(headers)}")))
    return _only(found, problems)


def _found(known: Sequence[str], named: Sequence[tuple[str, Column]], problems: list[tuple[str, str]]) -> Column | None:
    """Find the column with the likeliest name."""
    name = next((name for name in known if any(name == each for each, _ in named)), "")
    return _only([column for each, column in named if each == name], problems)


def _only(found: Sequence[Column], problems: list[tuple[str, str]]) -> Column | None:
    if len(found) > 1:
        letters = " and ".join(column.letter for column in found[:2])
        problems.append((f"columns {letters} are both called '{found[0].header}'", "rename one of them"))
    return found[0] if found else None


def _missing(part: str, headers: Sequence[str]) -> tuple[str, str]:
    hint = (
        f"specify one: columns: {{{part}: HEADER}}, or --column {part}=HEADER; columns in the table: {listed(headers)}"
    )
    if part == "id":
        hint += "; for a table without ids, write none for HEADER"
    return f"no column contains {_ABOUT[part]}", hint


def header_errors(header: Header | None, sheet: Sheet) -> list[SceneError]:
    """Return what is wrong with a sheet's header, at its cells."""
    if header is None:
        return [SceneError(sheet.path, 1, 1, "the table is empty", "add a header row and lines below it")]
    return [SceneError(sheet.path, header.row.line, 1, *problem) for problem in header.problems]


class RowReader:
    """Reads the rows of one sheet below its header; what is wrong is noted."""

    def __init__(self, file: str, sheet: str, header: Header, errors: list[SceneError]) -> None:
        self.sheet = Sheet(file, sheet, header.row.number, header.columns, tuple(header.row.texts))
        self.header = header
        self.language = ""  # as the first line of the table says it
        self.errors = errors
        self._headers = header.row.texts

    def lines(self, rows: Iterable[CellRow], group: str) -> Iterator[TableLine]:
        """Yield the lines that are sound; ``group`` is the scene of those whose cells name none."""
        for row in rows:
            if line := self._line(row, group):
                yield line

    def _line(self, row: CellRow, group: str) -> TableLine | None:
        place = Place(self.sheet, row.number, row.line)
        parts = {part: self._cell(row, column) for part, column in self.header.columns.items()}
        if not parts.get("id") and (not parts["words"] or self.header.program == "renpy"):
            return None  # of Ren'Py's texts, those of menus and screens have no id: nobody speaks them
        before = len(self.errors)
        texts = {part: self._text(cell, part, place) for part, cell in parts.items()}
        raw = texts["words"]
        if len(self.errors) == before:
            self._check(row, texts, place)
        if len(self.errors) > before or not texts["words"]:
            return None
        self.language = self.language or texts.get("language", "")
        return TableLine(
            **{part: texts.get(part, "") for part in ("id", "player", "words", "direction", "lock", "note")},
            scene=texts.get("scene") or group,
            place=place,
            raw="" if raw == texts["words"] else raw,
        )

    def _cell(self, row: CellRow, column: Column) -> str | BadCell:
        cell = row.cells[column.number - 1] if column.number <= len(row.cells) else ""
        return cell.strip() if isinstance(cell, str) else cell

    def _text(self, cell: str | BadCell, part: str, place: Place) -> str:
        if isinstance(cell, BadCell):
            self.errors.append(place.error(part, *cell))
            return ""
        text = cell.replace("\r\n", "\n").replace("\r", "\n")
        if bad := _UNSPEAKABLE.search(text):
            problem = f"the cell contains U+{ord(bad[0]):04X}, a control character"
            self.errors.append(place.error(part, problem, "remove it from the cell"))
        return text

    def _wrong_shape(self, row: CellRow) -> tuple[str, str] | None:
        """Tell why a row cannot be one of the table's, and what to do."""
        width = len(self._headers)
        if row.texts[:width] == self._headers:
            return "this row repeats the header", "delete the row"
        if not any(row.texts[width:]):
            return None
        beyond = max(number for number, text in enumerate(row.texts, 1) if text)
        hint = "put text that contains the delimiter in quotes, or give the column a header"
        return f"the row has {beyond} cells, but the header has {width}", hint

    def _check(self, row: CellRow, texts: dict[str, str], place: Place) -> None:
        """Put the texts of a row into their form, and note what is wrong with them."""
        if wrong := self._wrong_shape(row):
            self.errors.append(place.error("words", *wrong))
            return
        texts |= own_syntax_off(self.header.program, texts)
        for part in ("id", "words"):
            if not texts.get(part) and part in self.header.columns and not (part == "words" and self.header.translates):
                self.errors.append(place.error(part, *_EMPTY[part]))
        if texts.get("id") and (wrong := unfit_id(texts["id"])):
            self.errors.append(place.error("id", *wrong))


_EMPTY = {
    "id": ("the line has no id", "give the line a unique id"),
    "words": ("the line has no words", "add words, or delete the row"),
}


_YARN_TAG = re.compile(r"(?<!\\)\[(?:/[\w.]*|(?!(?:select|plural|ordinal)\b)[^\W\d][^\[\]]*)\]")
_YARN_SPEAKER = re.compile(r'(?<!\\)\[character name=(?:"(?P<quoted>[^"\]]*)"|(?P<bare>[^\]\s/]+))\s*/?\]')
_YARN_HEAD = re.compile(r"(?P<name>(?:\\.|[^:\\])*):\s*", re.DOTALL)
_YARN_ESCAPED = re.compile(r"\\([\\\[\]:{}<>/#])")

_RENPY_UNSEEN = re.compile(r"(?<!\{)\{(rt|alt)\}[^{}]*\{/\1\}")
_RENPY_TAG = re.compile(r"\{\{|(?P<paragraph>\{(?:p|fast|nw|w)(?:=[^{}]*)?\}\s*)|\{[^{}]*\}")
_RENPY_DOUBLED = re.compile(r"\[\[|%%")
_RENPY_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_SIGNS = {"n": "\n", "t": "\t", "a": "", "b": "", "f": "", "r": "", "v": ""}


def own_syntax_off(program: str, texts: Mapping[str, str]) -> dict[str, str]:
    r"""Return the parts of a line that look otherwise without what is the program's own.

    >>> own_syntax_off("yarn", {"id": "line:0a1", "words": "Ann: [wave]Hi[/wave] \\[sic\\]"})
    {'id': '0a1', 'player': 'Ann', 'words': 'Hi [sic]'}
    >>> own_syntax_off("renpy", {"id": "start_a1", "player": '"Eileen"', "words": r"{i}No{/i}, \"[[sic]\"."})
    {'player': 'Eileen', 'words': 'No, "[sic]".'}
    """
    return _PROGRAMS[program](texts) if program in _PROGRAMS else {}


# Yarn Spinner takes what stands before the first colon for the name of the character, unless the text is marked with a
# name: ``[character name="Ann"/]``. A backslash takes from a sign what it means.


def _yarn(texts: Mapping[str, str]) -> dict[str, str]:
    words, player = texts["words"], texts.get("player", "")
    if marked := _YARN_SPEAKER.search(words):
        player = player or marked["quoted"] or marked["bare"] or ""
    elif not player and (head := _YARN_HEAD.match(_YARN_TAG.sub("", words))):
        player = _YARN_ESCAPED.sub(r"\1", head["name"]).strip()
        words = _YARN_TAG.sub("", words)[head.end() :]
    words = _YARN_ESCAPED.sub(r"\1", _YARN_TAG.sub("", words))
    return {"id": texts.get("id", "").removeprefix("line:"), "player": player, "words": words.strip()}


# Ren'Py quotes tabs and the like with backslashes. Text that is only seen (ruby) or only read out by a screen reader
# (``alt``) is not what an actor says. Tags that wait part what is said.


def _renpy(texts: Mapping[str, str]) -> dict[str, str]:
    words = _RENPY_ESCAPED.sub(lambda sign: _ESCAPED_SIGNS.get(sign[1], sign[1]), texts["words"])
    words = _RENPY_TAG.sub(_renpy_tag, _RENPY_UNSEEN.sub("", words))
    words = _RENPY_DOUBLED.sub(lambda sign: sign[0][0], words)
    return {"player": texts.get("player", "").strip("\"'"), "words": words.strip()}


def _renpy_tag(tag: re.Match[str]) -> str:
    if tag[0] == "{{":
        return "{"
    return " " if tag["paragraph"] else ""


def _unreal(texts: Mapping[str, str]) -> dict[str, str]:
    return {"id": re.sub(r"\.wav$", "", texts.get("id", ""), flags=re.IGNORECASE)}


def _dink(texts: Mapping[str, str]) -> dict[str, str]:
    """Name the scene after its block, too: a snippet's id is unique within that."""
    return {"scene": " ".join(filter(None, (texts.get("block"), texts.get("scene"))))}


_PROGRAMS: Mapping[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
    "yarn": _yarn,
    "renpy": _renpy,
    "unreal": _unreal,
    "dink": _dink,
}
