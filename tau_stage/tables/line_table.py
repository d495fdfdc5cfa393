"""A table of lines as data: each line with its id, who says it, what is said, and where each of these stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from tau_stage.errors import SceneError
from tau_stage.scene import Location

FIELDS = ("id", "player", "words", "direction", "scene", "lock", "note")
"""What a line has. In a table with cells each of them has a column, or none."""

NARRATOR = "narrator"  # the player of a cast who speaks lines that name nobody


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its number, from 1, and what its header says."""

    number: int
    header: str

    @property
    def letter(self) -> str:
        """What spreadsheets call it.

        >>> Column(3, "Text").letter, Column(28, "Notes").letter
        ('C', 'AB')
        """
        letters, rest = "", self.number
        while rest:
            rest, last = divmod(rest - 1, 26)
            letters = chr(ord("A") + last) + letters
        return letters


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where the parts of lines stand in one sheet. A text file is one sheet without a name.

    Attributes:
        file: The file, as the user named it.
        name: The name of the sheet; empty where the file has no sheets.
        header_row: The row of the headers, from 1; 0 where there are none.
        columns: The column of each field that has one.
        headers: What all columns are called, in order.
    """

    file: str
    name: str = ""
    header_row: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)
    headers: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """What errors call it: the file, and the sheet if there are several."""
        return f"{self.file}:{self.name}" if self.name else self.file


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of a table stands.

    Attributes:
        sheet: The sheet, with the columns of the line's parts.
        row: Its row, from 1, as a spreadsheet counts: a cell of several lines is in one row.
        line: Its line in the file, from 1, as an editor counts; in a file that is no text the row.
        column: Where its words begin in a file without columns, from 1.
    """

    sheet: Sheet
    row: int
    line: int
    column: int = 1

    def location(self, part: str = "words") -> Location:
        """Tell where a part of the line stands: file, line, and the number of its column."""
        column = self.sheet.columns.get(part)
        return Location(self.sheet.path, self.line, column.number if column else self.column)

    def cell(self, part: str) -> str:
        """Return what a spreadsheet calls the cell of a part, with its header; empty where there is none."""
        column = self.sheet.columns.get(part)
        return f"{column.letter}{self.row} ({column.header})" if column else ""

    def error(self, part: str, problem: str, hint: str = "") -> SceneError:
        """Make an error about a part of the line.

        >>> place = Place(Sheet("a.csv", columns={"words": Column(3, "Text")}), 7, 9)
        >>> print(place.error("words", "the line has no words"))
        a.csv:9:3: C7 (Text): the line has no words
        """
        where = self.location(part)
        cell = self.cell(part)
        return SceneError(where.path, where.line, where.column, f"{cell}: {problem}" if cell else problem, hint)


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line of a table. All texts are plain: nothing in them is markup.

    Attributes:
        id: As the source has it, and sound as a line's id; without the ``line:`` that ids of Yarn begin with.
        player: The name as the source spells it; empty in a translation that names nobody.
        words: What is said.
        direction: How it is said, or empty.
        scene: What the line belongs to: a snippet, node, sheet, chapter or file.
        place: Where it stands.
        lock: The lock of the text that a translation was made of, where the source has one.
        note: What the source says for its readers.
        raw: What the source has for its words, where these are without the source's own syntax; else empty.
    """

    id: str
    player: str
    words: str
    direction: str
    scene: str
    place: Place
    lock: str = ""
    note: str = ""
    raw: str = ""

    @property
    def own_locks(self) -> set[str]:
        """The locks that a translation of this text may have: of its words, and of what the source has for them."""
        return {lock_of(self.words), lock_of(self.raw or self.words)}


def lock_of(text: str) -> str:
    """Return the lock of a text, by which its translations know it: as Yarn has it, 8 digits of its SHA-256.

    >>> lock_of("Ann: Hi.")
    'dfa47435'
    """
    return sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a table is written that is a text file, so that it can be written back."""

    encoding: str = "utf-8"  # a codec of Python's, "utf-8-sig" with a byte order mark
    delimiter: str = ","
    newline: str = "\n"


@dataclass(frozen=True, slots=True)
class LineTable:
    """A table of lines.

    Attributes:
        path: The file, as the user specified it.
        language: The code of its language, or empty.
        format: Which kind of table it is: one of ``FORMATS``.
        lines: All lines, in order; no two have one id, whatever its capitals.
        sheets: The sheets that have lines, in order.
        form: How it is written, if it is a text file.
        others: Lines of a translation whose ids its base does not have.
    """

    path: str
    language: str = ""
    format: str = "plain"
    lines: tuple[TableLine, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    form: TextForm | None = None
    others: tuple[TableLine, ...] = ()


def raise_all(errors: Sequence[SceneError]) -> None:
    """Raise the first of the errors of a table, in the order of sheets and rows, with all others in its ``also``."""
    if errors:
        sheets = list(dict.fromkeys(error.path for error in errors))
        first, *others = sorted(errors, key=lambda each: (sheets.index(each.path), each.line, each.column))
        raise replace(first, also=tuple(others))
