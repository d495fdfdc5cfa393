"""A take as a table for the terminal: who spoke, what it cost to speak and to listen, how fast they were."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

from tau_stage.report.tables import Figures, plain_lines
from tau_stage.take.take_model import Costs, Take
from tau_stage.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = ("player", "lines", "seconds", "spoke", "listened", "cached", "total", "latency")
AMOUNTS = ("spoken", "listened", "cached", "total")
UNKNOWN = "unknown"


def rows(take: Take) -> Iterator[tuple[str, ...]]:
    """Yield one row per player, then the totals."""
    for player in take.players:
        own = [line for line in take.lines if line.player == player.name]
        firsts = (line.first_words_s if line.first_audio_s is None else line.first_audio_s for line in own)
        waits = [first for first in firsts if first is not None]
        cost = player.cost
        yield (
            player.name + (f" ({player.status})" if player.status != "played" else ""),
            str(player.lines),
            f"{player.seconds:.1f}",
            *(money(cost, kind) for kind in AMOUNTS),
            f"{1000 * median(waits):.0f} ms" if waits else "-",
        )
    cost = take.cost
    yield (
        "estimate",
        str(len(take.lines)),
        f"{sum(player.seconds for player in take.players):.1f}",
        *(money(cost, kind) for kind in AMOUNTS),
        "",
    )


def dollars(amount: Decimal | None) -> str:
    """Write an amount, or that it is not known; never a zero for the unknown.

    >>> dollars(Decimal("0.00563422")), dollars(None)
    ('$0.0056', 'unknown')
    """
    return UNKNOWN if amount is None else f"${amount:.4f}"


def money(cost: Costs, kind: str = "total") -> str:
    """Write an amount of a cost; a ``~`` marks one that is built on usage told in part, or in sums only.

    >>> money(Costs(spoken=None, listened=None, cached=None, total=Decimal("0.1"), estimated=True))
    '~$0.1000'
    """
    amount = getattr(cost, kind)
    return f"~{dollars(amount)}" if cost.estimated and amount else dollars(amount)


def notes(take: Take) -> Iterator[str]:
    """Yield what stands under the table: warnings, what stopped it, and whose money it was."""
    for warning in take.warnings:
        yield f"warning: {warning}"
    if take.cost.estimated:
        yield f"estimated: {_estimated(take)}: the server told usage in part or in sums only; the dearest counts"
    if take.cost.total is None:
        yield (
            f"cost unknown: {_unknown(take)}: no price in the list, or usage that was not told; "
            f"it is at least {dollars(take.cost.known)}"
        )
    if not take.spent:
        models = ", ".join(dict.fromkeys(player.model for player in take.players if not player.human))
        yield f"Nothing was spent: the understudy played. The dollars are an estimate of what {models} would charge."
    if take.ended != "incomplete":
        yield from (
            f"line {line.id}, player {line.player}, failed: {line.problem}" for line in take.lines if line.problem
        )
    if take.problem:
        yield f"{take.ended}: {take.problem}"


def _unknown(take: Take) -> str:
    return ", ".join(player.name for player in take.players if player.cost.total is None)


def _estimated(take: Take) -> str:
    return ", ".join(player.name for player in take.players if player.cost.estimated)


def plain(take: Take) -> str:
    """Draw the table without colours, for pipes and logs.

    Args:
        take: From ``perform``.
    """
    return "\n".join(
        [one_line(take.scene.title), *plain_lines(COLUMNS, tuple(rows(take))), *map(one_line, notes(take))]
    )


def table(take: Take) -> RenderableType:
    """Draw the table for a terminal that shows colours."""
    from rich.console import Group
    from rich.text import Text

    grid = Figures(COLUMNS, tuple(rows(take)), has_total=True)
    title = Text(one_line(take.scene.title), style="bold")
    styles = {"warning": "yellow", "incomplete": "red", "failed": "red", "budget": "red"}
    told = (Text(printable(note), style=styles.get(note.split(":")[0], "dim")) for note in notes(take))
    return Group(title, grid, *told)
