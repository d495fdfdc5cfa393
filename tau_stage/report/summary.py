"""A take as a table: who spoke, what it cost to speak and to listen, how fast they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from tau_stage.report.tables import TextReport, TextTable, dollars, money, note
from tau_stage.take import Costs, Playing, Take

COLUMNS = ("player", "lines", "seconds", "spoke", "listened", "cached", "total", "latency")


def tabulate_take(take: Take) -> TextReport:
    """Tell what came of a take: a row per player, the totals, and what else there is to know."""
    seconds = f"{sum(player.seconds for player in take.players):.1f}"
    total = ("estimate", str(len(take.lines)), seconds, *_amounts(take.cost), "")
    rows = (*(_row(take, player) for player in take.players), total)
    table = TextTable(COLUMNS, rows, has_total=True)
    return TextReport((take.scene.title,), (table,), tuple(map(note, _notes(take))))


def _row(take: Take, player: Playing) -> tuple[str, ...]:
    own = [line for line in take.lines if line.player == player.name]
    firsts = (line.first_words_s if line.first_audio_s is None else line.first_audio_s for line in own)
    waits = [first for first in firsts if first is not None]
    latency = f"{1000 * median(waits):.0f} ms" if waits else "-"
    name = player.name + (f" ({player.status})" if player.status != "played" else "")
    return (name, str(player.lines), f"{player.seconds:.1f}", *_amounts(player.cost), latency)


def _amounts(cost: Costs) -> Iterator[str]:
    return (money(cost, kind) for kind in ("spoken", "listened", "cached", "total"))


def _names(take: Take, applies: Callable[[Costs], bool]) -> str:
    return ", ".join(player.name for player in take.players if applies(player.cost))


def _notes(take: Take) -> Iterator[str]:
    """Yield warnings, what stopped it, and whose money it was."""
    for warning in take.warnings:
        yield f"warning: {warning}"
    if take.cost.estimated:
        names = _names(take, lambda cost: cost.estimated)
        yield f"estimated: {names}: the server told usage in part or in sums only; the dearest counts"
    if take.cost.total is None:
        why = f"no price in the list, or usage that was not told; it is at least {dollars(take.cost.known)}"
        yield f"cost unknown: {_names(take, lambda cost: cost.total is None)}: {why}"
    if not take.spent:
        models = ", ".join(dict.fromkeys(player.model for player in take.players if not player.human))
        yield f"Nothing was spent: the understudy played. The dollars are an estimate of what {models} would charge."
    if take.ended != "incomplete":
        failed = (line for line in take.lines if line.problem)
        yield from (f"line {line.id}, player {line.player}, failed: {line.problem}" for line in failed)
    if take.problem:
        yield f"{take.ended}: {take.problem}"
