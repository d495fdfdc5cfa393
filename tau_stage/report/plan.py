"""A forecast as tables: in which order sessions open, what is spoken, what it is likely to cost, what would save."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tau_stage.cost import TOKENS, Cost
from tau_stage.cost.forecast import Estimate, Forecast, LineForecast, PlayerForecast, Savings
from tau_stage.report.tables import Figures, plain_lines
from tau_stage.report.terminal import UNKNOWN, dollars
from tau_stage.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One table.

    Attributes:
        title: What it shows.
        columns: Their names.
        rows: As long as ``columns`` each.
        left: Places of the columns that hold words.
        has_total: Whether the last row sums up the others.
    """

    title: str
    columns: Row
    rows: tuple[Row, ...]
    left: frozenset[int]
    has_total: bool = False


def sections(told: Forecast) -> Iterator[Section]:
    """Yield the tables of a forecast, in the order they are read.

    Args:
        told: From ``forecast``.
    """
    openings = tuple((opening.player, f"{opening.at_s:.1f} s") for opening in told.openings)
    yield Section("sessions open, at the earliest", ("player", "from"), openings, frozenset({0}))
    spoken = ("line", "id", "player", "at", "seconds", "heard by")
    yield Section("lines", spoken, tuple(map(_line, told.lines)), frozenset({1, 2, 5}))
    columns = ("player", "lines", "seconds", "tokens", "context / window")
    yield Section("players", columns, (*map(_player, told.players), _total(told)), frozenset({0}), has_total=True)
    sums = ("player", "spoke", "listened", "cached", "total", "low..high")
    paid = tuple((player.name, *_money(player.cost)) for player in told.players if player.model)
    yield Section("dollars", sums, (*paid, ("estimate", *_money(told.cost))), frozenset({0}), has_total=True)
    saved = [(player.name, player.savings) for player in told.players if player.model]
    rows = tuple((name, *_saved(savings)) for name, savings in [*saved, ("estimate", told.savings)])
    yield Section("what would be saved", ("player", "hears_as: text", "hears: nobody"), rows, frozenset({0}), True)


def _line(line: LineForecast) -> Row:
    hearers = ", ".join(line.hearers) or "nobody"
    return (str(line.number), line.id, line.player, f"{line.at_s:.1f}", f"{line.seconds.likely:.1f}", hearers)


def _player(player: PlayerForecast) -> Row:
    spoken = (str(player.lines), f"{player.seconds.likely:.1f}")
    if not player.model:
        return (f"{player.name} (human)", *spoken, "-", "-")
    window = f"{player.window.tokens:,}" if player.window else UNKNOWN
    return (player.name, *spoken, f"{tokens(player.cost.likely):,}", f"{player.context.likely:,} / {window}")


def _total(told: Forecast) -> Row:
    spoken = sum(player.seconds.likely for player in told.players)
    return ("estimate", str(len(told.lines)), f"{spoken:.1f}", f"{tokens(told.cost.likely):,}", "")


def _money(cost: Estimate[Cost]) -> Row:
    likely = cost.likely
    amounts = (likely.spoken, likely.listened, likely.cached, likely.total)
    span = f"{dollars(cost.low.total)}..{dollars(cost.high.total)}"
    return (*map(dollars, amounts), UNKNOWN if likely.total is None else span)


def _saved(savings: Savings) -> Row:
    return (dollars(savings.as_text), dollars(savings.hearing_nobody))


def tokens(cost: Cost) -> int:
    """Return all tokens, fresh, cached and spoken."""
    return sum(getattr(cost.tokens, kind) for kind in TOKENS)


def head(told: Forecast) -> str:
    """Write the first line: what it is, and how long it takes."""
    low, likely, high = told.seconds.low, told.seconds.likely, told.seconds.high
    return f"{told.title} ({told.path}): about {likely:.0f} s ({low:.0f}..{high:.0f}), an estimate"


def notes(told: Forecast) -> Iterator[str]:
    """Yield what stands under the tables: warnings, and what the figures leave out."""
    for warning in told.warnings:
        yield f"warning: {warning}"
    if told.cost.likely.total is None:
        yield "price unknown: a model is not in the price list, and what it costs is not in the total"
    yield ("The dollars are an estimate, without calls of tools. low..high: brisk and cached, to slow and uncached.")


def plain(told: Forecast) -> str:
    """Draw the tables without colours, for pipes and logs.

    Args:
        told: From ``forecast``.
    """
    text = [one_line(head(told))]
    for section in sections(told):
        text += ["", section.title, *plain_lines(section.columns, section.rows, section.left)]
    return "\n".join([*text, "", *map(one_line, notes(told))])


def tables(told: Forecast) -> RenderableType:
    """Draw the tables for a terminal that shows colours.

    Args:
        told: From ``forecast``.
    """
    from rich.console import Group
    from rich.text import Text

    drawn: list[RenderableType] = [Text(one_line(head(told)), style="bold")]
    for section in sections(told):
        grid = Figures(section.columns, section.rows, section.left, section.has_total)
        drawn += [Text(f"\n{section.title}", style="bold"), grid]
    drawn += [Text(printable(note), style="yellow" if note.startswith("warning") else "dim") for note in notes(told)]
    return Group(*drawn)
