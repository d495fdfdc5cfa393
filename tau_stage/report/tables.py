"""What a verb tells, as tables: in colours and as wide as the terminal is, or as plain text. Rich draws both.

A renderable asks ``console.no_color``: it is set for plain text alone, as a terminal whose user wants no colours is
given plain text, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from statistics import median
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tau_stage.text import one_line

if TYPE_CHECKING:
    from tau_stage.take import Costs, Playing, Take

Row = Sequence[str]

UNKNOWN = "unknown"
WORDS = 12  # so many columns words may always have, or as many as they need
GAP = 2  # columns between two others: the padding and the divider
UNLIMITED = 1_000_000  # columns of plain text that is not wrapped

_NOTES = {"warning": "yellow", "incomplete": "red", "failed": "red", "budget": "red"}


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose figures are never cut. Where it is too wide, its columns go on in a second table below.

    Attributes:
        rows: The first cell says what a row is about.
        left: Places of the columns that hold words.
        has_total: Whether the last row sums up the others.
        widths: How wide columns may be, from the first; those that are not named, as wide as they need.
    """

    columns: Row
    rows: Sequence[Row]
    left: Collection[int] = frozenset({0})
    has_total: bool = False
    widths: Sequence[int] = ()
    title: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the tables that fit, one below the other; plain text has one."""
        if self.title:
            yield Text(f"\n{self.title}", style="bold")
        parts = [[*range(len(self.columns))]] if console.no_color else self._split(options.max_width)
        for places in parts:
            yield self._draw(places, is_plain=console.no_color)

    def _split(self, width: int) -> Iterator[list[int]]:
        """Yield places of columns, table by table; each begins with the first column."""
        needed = [*map(self._needed, range(len(self.columns)))]
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

    def _draw(self, places: Sequence[int], *, is_plain: bool) -> Table:
        padding = (0, GAP if is_plain else 1, 0, 0)
        table = Table(box=None if is_plain else box.SIMPLE_HEAD, padding=padding, pad_edge=False)
        for place in places:
            self._add_column(table, place)
        total = len(self.rows) if self.has_total else 0
        for number, row in enumerate(self.rows, 1):
            cells = ("\n".join(map(one_line, row[place].split("\n"))) for place in places)
            style = "bold" if number == total else ""
            table.add_row(*(Text(cell, style) for cell in cells), end_section=number == total - 1)
        return table

    def _add_column(self, table: Table, place: int) -> None:
        if place in self.left:
            width = self.widths[place] if place < len(self.widths) else None
            table.add_column(Text(self.columns[place]), overflow="fold", max_width=width)
        else:
            table.add_column(Text(self.columns[place]), justify="right", no_wrap=True)


@dataclass(frozen=True, slots=True)
class TextReport:
    """Tables, with a heading and notes around them; plain text has ``plain_width`` columns."""

    heading: Sequence[str]
    tables: Sequence[TextTable]
    notes: Sequence[RenderableType] = ()
    plain_width: int = UNLIMITED

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """Draw all of it, from the top."""
        yield from (Text(one_line(line), style="bold") for line in self.heading)
        yield from self.tables
        if self.notes and console.no_color and any(table.title for table in self.tables):
            yield ""
        yield from self.notes


def plain_text(report: TextReport) -> str:
    """Draw a report without colours, for pipes and logs; no line ends with blanks."""
    width = report.plain_width
    out = Console(file=StringIO(), width=width, no_color=True, color_system=None, force_terminal=False)
    with out.capture() as drawn:
        out.print(report)
    return "\n".join(line.rstrip() for line in drawn.get().rstrip("\n").split("\n"))


def note(text: str) -> Text:
    """Write a note; its first word tells its colour."""
    return Text(one_line(text), style=_NOTES.get(text.split(":", maxsplit=1)[0], "dim"))


def figure(value: float | Decimal | None, form: str, missing: str = "-") -> str:
    """Write a figure in a form of ``str.format``, or that it is not known.

    >>> figure(3.26, "{:.1f} s"), figure(None, "{:.1f} s")
    ('3.3 s', '-')
    """
    return missing if value is None else form.format(value)


def dollars(amount: Decimal | None) -> str:
    """Write an amount, or that it is not known; never a zero for the unknown.

    >>> dollars(Decimal("0.00563422")), dollars(None)
    ('$0.0056', 'unknown')
    """
    return figure(amount, "${:.4f}", UNKNOWN)


def money(cost: Costs, kind: str = "total") -> str:
    """Write an amount of a cost; a ``~`` marks one that is built on usage told in part, or in sums only.

    >>> from tau_stage.take import Costs
    >>> money(Costs(spoken=None, listened=None, cached=None, total=Decimal("0.1"), estimated=True))
    '~$0.1000'
    """
    amount: Decimal | None = getattr(cost, kind)
    return f"~{dollars(amount)}" if cost.estimated and amount else dollars(amount)


def median_ms(seconds: Iterable[float | None]) -> float | None:
    """Return the median of those figures that are known, in milliseconds."""
    known = [each for each in seconds if each is not None]
    return 1000 * median(known) if known else None


TAKE_COLUMNS = ("player", "lines", "seconds", "spoke", "listened", "cached", "total", "latency")


def tabulate_take(take: Take) -> TextReport:
    """Tell what came of a take: a row per player, the totals, and what else there is to know."""
    seconds = f"{sum(player.seconds for player in take.players):.1f}"
    total = ("estimate", str(len(take.lines)), seconds, *_amounts(take.cost), "")
    rows = (*(_row(take, player) for player in take.players), total)
    table = TextTable(TAKE_COLUMNS, rows, has_total=True)
    return TextReport((take.scene.title,), (table,), tuple(map(note, _notes(take))))


def _row(take: Take, player: Playing) -> tuple[str, ...]:
    own = [line for line in take.lines if line.player == player.name]
    wait = median_ms(line.first_words_s if line.first_audio_s is None else line.first_audio_s for line in own)
    name = player.name + (f" ({player.status})" if player.status != "played" else "")
    return (name, str(player.lines), f"{player.seconds:.1f}", *_amounts(player.cost), figure(wait, "{:.0f} ms"))


def _amounts(cost: Costs) -> Iterator[str]:
    return (money(cost, kind) for kind in ("spoken", "listened", "cached", "total"))


def _names(take: Take, applies: Callable[[Costs], bool]) -> str:
    return ", ".join(player.name for player in take.players if applies(player.cost))


def _cost_notes(take: Take) -> Iterator[str]:
    """Say how far the cost is known, and whose money it was."""
    if take.cost.estimated:
        names = _names(take, lambda cost: cost.estimated)
        yield f"estimated: {names}: usage was reported only partly or only as totals; the highest price is used"
    if take.cost.total is None:
        why = f"a price or a reported usage is missing; the cost is at least {dollars(take.cost.known)}"
        yield f"cost unknown: {_names(take, lambda cost: cost.total is None)}: {why}"
    if not take.spent:
        models = ", ".join(dict.fromkeys(player.model for player in take.players if not player.human))
        yield f"Nothing was spent, because the understudy performed. The amounts estimate what {models} would cost."


def _notes(take: Take) -> Iterator[str]:
    """Yield warnings, what stopped it, and whose money it was."""
    if reused := sum(line.former for line in take.lines):
        yield f"performed: {len(take.lines) - reused} of {len(take.lines)} lines; the others were reused"
    for warning in take.warnings:
        yield f"warning: {warning}"
    yield from _cost_notes(take)
    if take.ended != "incomplete":
        failed = (line for line in take.lines if line.problem)
        yield from (f"line {line.id}, player {line.player}, failed: {line.problem}" for line in failed)
    if take.problem:
        yield f"{take.ended}: {take.problem}"
