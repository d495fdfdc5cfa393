"""Tables for terminals of any width: words are wrapped, figures stay whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tau_stage.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

Row = Sequence[str]

WORDS = 12
"""So many columns words may always have, or as many as they need."""
GAP = 2
"""Columns between two others: the padding and the divider."""


def plain_lines(columns: Row, rows: Sequence[Row], left: Collection[int] = frozenset({0})) -> Iterator[str]:
    r"""Yield a table without colours, for pipes and logs: words to the left, figures to the right.

    >>> print(*plain_lines(("who", "s"), [("ann", "1.0"), ("木村", "12.0")]), sep="\n")
    who      s
    ann    1.0
    木村  12.0
    """
    table = [columns, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in table) for place in range(len(columns))]
    for row in table:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(row, blanks, strict=True)
        yield "  ".join(cell + gap if at in left else gap + cell for at, (cell, gap) in enumerate(cells)).rstrip()


@dataclass(frozen=True, slots=True)
class Figures:
    """A table whose figures are never cut. Where it is too wide, its columns go on in a second table below.

    Attributes:
        columns: Their names.
        rows: As long as ``columns`` each; the first cell says what a row is about.
        left: Places of the columns that hold words.
        has_total: Whether the last row sums up the others.
        widths: How wide columns may be, from the first; those that are not named, as wide as they need.
    """

    columns: Row
    rows: Sequence[Row]
    left: Collection[int] = frozenset({0})
    has_total: bool = False
    widths: Sequence[int] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the tables that fit, one below the other."""
        for places in self._parted(options.max_width):
            yield self._drawn(places)

    def _parted(self, width: int) -> Iterator[list[int]]:
        """Yield places of columns, table by table; each begins with the first column."""
        needed = [self._needed(place) for place in range(len(self.columns))]
        places = [0]
        for place in range(1, len(self.columns)):
            if len(places) > 1 and sum(needed[at] + GAP for at in (*places, place)) > width:
                yield places
                places = [0]
            places.append(place)
        yield places

    def _needed(self, place: int) -> int:
        most = max(cell_len(one_line(row[place])) for row in (self.columns, *self.rows))
        return min(most, WORDS) if place in self.left else most

    def _drawn(self, places: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for place in places:
            is_words = place in self.left
            table.add_column(
                Text(self.columns[place]),
                justify="left" if is_words else "right",
                no_wrap=not is_words,
                overflow="fold",
                max_width=self.widths[place] if is_words and place < len(self.widths) else None,
            )
        for number, row in enumerate(self.rows, 1):
            is_total = self.has_total and number == len(self.rows)
            if is_total:
                table.add_section()
            table.add_row(*(Text(one_line(row[place]), style="bold" if is_total else "") for place in places))
        return table
