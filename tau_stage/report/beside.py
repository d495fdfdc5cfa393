"""A comparison for the terminal: totals, what else changed, each line, and the words that changed. 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap
from typing import TYPE_CHECKING

from tau_stage.report.compare import Comparison, Pair, Total
from tau_stage.report.differences import is_taken_over
from tau_stage.report.tables import Figures
from tau_stage.report.terminal import UNKNOWN, dollars
from tau_stage.report.wording import Piece
from tau_stage.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 100
MOST_SHOWN = 5
"""Lines that are named as worth a look; the others are in the table anyway."""

Row = tuple[str, ...]
MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}
STYLES = {"same": "", "gone": "red strike", "new": "green"}


@dataclass(frozen=True, slots=True)
class Grid:
    """One table.

    Attributes:
        title: What it shows.
        columns: Their names.
        rows: As long as ``columns`` each.
        widths: How wide each column may be; the last has what is left.
        left: Places of the columns that hold words.
    """

    title: str
    columns: Row
    rows: tuple[Row, ...]
    widths: tuple[int, ...]
    left: frozenset[int]


def grids(told: Comparison) -> Iterator[Grid]:
    """Yield the tables of a comparison, in the order they are read; none is empty."""
    totals = tuple((total.name, *figures(total)) for total in told.totals)
    yield Grid("in all", ("", "A", "B", "B - A"), totals, (30, 16, 16), frozenset({0}))
    if told.changes:
        changes = tuple((change.of, change.what, short(change.a), short(change.b)) for change in told.changes)
        yield Grid("changed", ("of", "what", "A", "B"), changes, (20, 12, 31), frozenset(range(4)))
    looks = tuple((pair.id, _told(pair)) for pair in told.worth_a_look[:MOST_SHOWN])
    if looks:
        yield Grid("worth a look first", ("line", "what differs"), looks, (26,), frozenset({0, 1}))
    columns = ("line", "seconds A", "seconds B", "dB", "first audio", "cost", "differs in")
    if told.pairs:
        rows = tuple(map(_line, told.pairs))
        yield Grid("lines", columns, rows, (26, 9, 9, 6, 11, 9), frozenset({0, 6}))


def figures(total: Total) -> tuple[str, str, str]:
    """Return a total of both takes, and the second less the first."""
    a, b = _figure(total.unit, total.a), _figure(total.unit, total.b)
    if total.a is None or total.b is None:
        return a, b, "-"
    change = Decimal(total.b) - Decimal(total.a)
    size = _figure(total.unit, abs(change))
    return a, b, size if size == _figure(total.unit, 0) else f"{'+' if change > 0 else '-'}{size}"


def _figure(unit: str, value: float | Decimal | None) -> str:
    if unit == "$":
        return dollars(None if value is None else Decimal(value))
    if value is None:
        return "-"
    return {"s": f"{value:.1f} s", "ms": f"{value:.0f} ms"}.get(unit, f"{value:.0f}")


def _line(pair: Pair) -> Row:
    a, b = pair.a, pair.b
    spoken = tuple(f"{line.duration_s:.1f}" if line else "-" for line in (a, b))
    loud, first, cost = "-", "-", "-"
    if pair.loudness_a is not None and pair.loudness_b is not None:
        loud = f"{pair.loudness_b - pair.loudness_a:+z.1f}"
    if a and b:
        if a.first_audio_s is not None and b.first_audio_s is not None:
            first = f"{1000 * (b.first_audio_s - a.first_audio_s):+z.0f} ms"
        paid = None if a.cost.total is None or b.cost.total is None else b.cost.total - a.cost.total
        if a.former or b.former:
            paid = Decimal(0)
        cost = UNKNOWN if paid is None else f"{paid:+z.4f}"
    differs = ", ".join(dict.fromkeys(difference.what for difference in pair.differences))
    if a is None or b is None:
        differs = _told(pair)
    return (pair.id, *spoken, loud, first, cost, differs or "-")


def _told(pair: Pair) -> str:
    return "; ".join(difference.told for difference in pair.differences)


def short(text: str) -> str:
    """Shorten a fact of a take; of a hash, leave enough to tell it from another.

    >>> short("0123456789abcdef" * 4), short("marin"), short("")
    ('0123456789ab', 'marin', '-')
    """
    is_hash = len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)
    return text[:12] if is_hash else text or "-"


def head(told: Comparison) -> tuple[str, ...]:
    """Say which takes they are, and how much differs."""
    named = (
        f"{name}: {take.scene.title}, {take.started}, {take.ended}" + (f": {take.problem}" if take.problem else "")
        for name, take in told.sides
    )
    count, lines = len(told.worth_a_look), len(told.pairs)
    summary = f"{count} of {lines} lines differ" if count else f"none of {lines} lines differs"
    over = sum(bool(pair.a and pair.b and is_taken_over(pair.a, pair.b)) for pair in told.pairs)
    summary += f"; {over} were taken over" if over else ""
    return (*map(one_line, named), summary, *map(one_line, _outdated(told)))


def _outdated(told: Comparison) -> Iterator[str]:
    """Tell which lines of either take had heard an older take of others."""
    for name, take in told.sides:
        for names in dict.fromkeys(line.outdated for line in take.lines if line.outdated):
            hearers = ", ".join(line.id for line in take.lines if line.outdated == names)
            yield f"{name}: heard an older take of {', '.join(names)}: {hearers}"


def wordings(told: Comparison) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Yield the words that changed, each after the name of its line; what is alike is left out."""
    for pair in told.pairs:
        for what, pieces in (("asked", pair.asked), ("said", pair.said)):
            if any(piece.kind != "same" for piece in pieces):
                yield f"{pair.id} {what}", pieces


def plain(told: Comparison) -> str:
    """Draw the comparison without colours, for pipes and logs.

    Args:
        told: From ``compare``.
    """
    text = [part for line in head(told) for part in wrap(line, WIDTH)]
    for grid in grids(told):
        text += ["", grid.title, *_drawn(grid)]
    words = list(wordings(told))
    if words:
        text += ["", "words: [-only in A-] {+only in B+}"]
    for name, pieces in words:
        marked = " ".join(piece.words.join(MARKS[piece.kind]) for piece in pieces)
        text += wrap(one_line(f"{name}: {marked}"), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(text)


def _drawn(grid: Grid) -> Iterator[str]:
    """Yield the lines of a table; a cell that is too long goes on below."""
    texts = [[one_line(cell) for cell in row] for row in (grid.columns, *grid.rows)]
    widths = [min(most, max(len(row[column]) for row in texts)) for column, most in enumerate(grid.widths)]
    widths.append(min(WIDTH - sum(widths) - 2 * len(widths), max(len(row[-1]) for row in texts)))
    cells = [[wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)] for row in texts]
    for row in cells:
        for number in range(max(map(len, row))):
            parts = [cell[number] if number < len(cell) else "" for cell in row]
            yield "  ".join(_aligned(parts, widths, grid.left)).rstrip()


def _aligned(parts: Sequence[str], widths: Sequence[int], left: frozenset[int]) -> Iterator[str]:
    for column, (part, width) in enumerate(zip(parts, widths, strict=True)):
        yield part.ljust(width) if column in left else part.rjust(width)


def tables(told: Comparison) -> RenderableType:
    """Draw the comparison for a terminal that shows colours.

    Args:
        told: From ``compare``.
    """
    from rich.console import Group
    from rich.text import Text

    drawn: list[RenderableType] = [Text(line, style="bold") for line in head(told)]
    for grid in grids(told):
        table = Figures(grid.columns, grid.rows, grid.left, widths=grid.widths)
        drawn += [Text(f"\n{grid.title}", style="bold"), table]
    for name, pieces in wordings(told):
        words = (part for piece in pieces for part in (" ", (one_line(piece.words), STYLES[piece.kind])))
        drawn.append(Text.assemble((f"{one_line(name)}:", "bold"), *words))
    return Group(*drawn)
