"""A forecast as tables and as data: in which order sessions open, what is spoken, what it may cost, what would save."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tau_stage.cost import UNITS, Cost, Estimate, Forecast, LineForecast, PlayerForecast
from tau_stage.protocol import TOKENS
from tau_stage.report.tables import UNKNOWN, TextReport, TextTable, dollars, note

if TYPE_CHECKING:
    from tau_stage.scene import Plan
    from tau_stage.take import SceneChanges

AMOUNTS = ("spoken", "listened", "cached", "total")
FIGURES = (
    "All amounts are estimates and exclude tool calls. "
    "low..high ranges from fast, cached speech to slow, uncached speech."
)
Row = tuple[str, ...]


# ---- as tables


def tabulate_forecast(forecast: Forecast) -> TextReport:
    """Tell what a scene is likely to take."""
    low, likely, high = forecast.seconds.low, forecast.seconds.likely, forecast.seconds.high
    heading = f"{forecast.title} ({forecast.path}): about {likely:.0f} s ({low:.0f}..{high:.0f}), an estimate"
    notes = [f"warning: {warning}" for warning in forecast.warnings]
    if forecast.unpriced:
        notes.append(f"price unknown: {', '.join(forecast.unpriced)}; the total is unknown")
    if streaming := [player.name for player in forecast.players if player.hearing == "stream"]:
        notes.append(f"these players hear lines while they are spoken, at the same cost: {', '.join(streaming)}")
    return TextReport((heading,), tuple(_tables(forecast)), tuple(map(note, (*notes, FIGURES))))


def _tables(forecast: Forecast) -> Iterator[TextTable]:
    openings = [(opening.player, f"{opening.at_s:.1f} s") for opening in forecast.openings]
    yield TextTable(("player", "from"), openings, title="earliest session starts")
    columns: Row = ("line", "id", "player", "at", "seconds", "heard by")
    yield TextTable(columns, [*map(_line_row, forecast.lines)], {1, 2, 5}, title="lines")
    spoken = f"{sum(player.seconds.likely for player in forecast.players):.1f}"
    total = ("estimate", str(len(forecast.lines)), spoken, f"{_tokens(forecast.cost.likely):,}", "")
    columns = ("player", "lines", "seconds", "tokens", "context / window")
    players = [*map(_player_row, forecast.players), total]
    yield TextTable(columns, players, has_total=True, title="players")
    models = [player for player in forecast.players if player.model]
    costs = [(player.name, player.cost) for player in models] + [("estimate", forecast.cost)]
    columns = ("player", "spoke", "listened", "cached", "total", "low..high")
    yield TextTable(columns, [(name, *_cost_cells(cost)) for name, cost in costs], has_total=True, title="dollars")
    savings = [(player.name, player.savings) for player in models] + [("estimate", forecast.savings)]
    saved = [(name, dollars(each.hears_as_text), dollars(each.hears_nobody)) for name, each in savings]
    columns = ("player", "hears_as: text", "hears: nobody")
    yield TextTable(columns, saved, has_total=True, title="possible savings")


def _line_row(line: LineForecast) -> Row:
    hearers = ", ".join(line.hearers) or "nobody"
    return (str(line.number), line.id, line.player, f"{line.at_s:.1f}", f"{line.seconds.likely:.1f}", hearers)


def _player_row(player: PlayerForecast) -> Row:
    spoken = (str(player.lines), f"{player.seconds.likely:.1f}")
    if not player.model:
        return (f"{player.name} (human)", *spoken, "-", "-")
    window = f"{player.window.tokens:,}" if player.window else UNKNOWN
    return (player.name, *spoken, f"{_tokens(player.cost.likely):,}", f"{player.context.likely:,} / {window}")


def _cost_cells(cost: Estimate[Cost]) -> Row:
    amounts = (dollars(getattr(cost.likely, kind)) for kind in AMOUNTS)
    span = f"{dollars(cost.low.total)}..{dollars(cost.high.total)}"
    return (*amounts, UNKNOWN if cost.likely.total is None else span)


def _tokens(cost: Cost) -> int:
    """Count all tokens, fresh, cached and spoken."""
    return sum(getattr(cost.tokens, kind) for kind in TOKENS)


def _change_rows(plan: Plan, changes: SceneChanges) -> list[Row]:
    """Return a row for each line, in the order of the scene; those that it has no more are last."""
    order = {line.id: number for number, line in enumerate(plan.all_lines)}
    players = {line.id: line.player for line in plan.all_lines}
    found = [(line, state) for state, lines in _states(changes).items() for line in lines]
    found.sort(key=lambda pair: (pair[1] == "removed", order.get(pair[0], len(order))))
    fates = dict.fromkeys(changes.performed, "performed")
    return [
        (line, players.get(line, "-"), state, "omitted" if state == "removed" else fates.get(line, "reused"))
        for line, state in found
    ]


def tabulate_changes(plan: Plan, changes: SceneChanges, cost: Cost, newest: str) -> TextReport:
    """Tell what of a scene has changed since its newest take, and what performing that is likely to cost.

    ``cost`` is that of what would be performed; ``newest`` is the folder of the take, empty where there is none.
    """
    name = f"{plan.title} ({plan.path})" + (f", {plan.variant}" if plan.variant else "")
    heading = f"{name}: compared with {newest}" if newest else f"{name}: no take yet"
    rows = _change_rows(plan, changes)
    columns: Row = ("line", "player", "status", "action")
    anew = len(changes.performed)
    costs = f"{anew} of {len(rows) - len(changes.removed)} lines would be performed, for about {dollars(cost.total)}"
    notes = (*changes.reasons, f"{costs}, an estimate.")
    return TextReport((heading,), (TextTable(columns, rows, {0, 1, 2, 3}),), tuple(map(note, notes)))


def _states(changes: SceneChanges) -> dict[str, tuple[str, ...]]:
    names = {"new": "new", "changed": "changed", "outdated": "outdated", "unchanged": "same", "removed": "removed"}
    return {state: getattr(changes, name) for state, name in names.items()}


# ---- as data


def changes_data(plan: Plan, changes: SceneChanges, cost: Cost, newest: str) -> dict[str, object]:
    """Make data of what ``tabulate_changes`` tells, for ``json.dumps``."""
    lines = {name.replace("unchanged", "same"): [*lines] for name, lines in _states(changes).items()}
    about = {"scene": plan.path, "variant": plan.variant, "take": newest or None}
    found = {**lines, "performed": [*changes.performed], "reasons": [*changes.reasons]}
    return {"version": 1, "estimate": True, "currency": "USD", **about, **found, "total": _data(cost)}


def forecast_data(forecast: Forecast) -> dict[str, object]:
    """Make the forecast data for ``json.dumps``: dollars are texts, as in ``cost.json``, null where not known."""
    facts = _data(forecast)
    facts["players"] = {each.pop("name"): each | {"model": each["model"] or None} for each in facts["players"]}
    named = {"total" if name == "cost" else name: fact for name, fact in facts.items()}
    return {"version": 1, "estimate": True, "currency": "USD", **named}


def _data(value: object) -> Any:
    """Make a part of a forecast data: seconds with three digits, costs by kind, other parts by their own names."""
    match value:
        case Cost():
            used = {kind: count for kind in (*TOKENS, *UNITS) if (count := getattr(value.tokens, kind))}
            timed = {kind: used.pop(kind) for kind in UNITS if kind in used}
            return {**{kind: _data(getattr(value, kind)) for kind in AMOUNTS}, "tokens": used, **timed}
        case tuple():
            return [*map(_data, value)]
        case float():
            return round(value, 3)
        case Decimal():
            return str(value)
    names = getattr(value, "__dataclass_fields__", ())
    return {name: _data(getattr(value, name)) for name in names} if names else value
