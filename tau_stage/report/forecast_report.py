"""A forecast as tables and as data: in which order sessions open, what is spoken, what it may cost, what would save."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeVar

from tau_stage.cost import UNITS, Cost, Estimate, Forecast, LineForecast, PlayerForecast, Savings
from tau_stage.protocol import TOKENS
from tau_stage.report.tables import UNKNOWN, TextReport, TextTable, dollars, note

AMOUNTS = ("spoken", "listened", "cached", "total")
FIGURES = "The dollars are an estimate, without calls of tools. low..high: brisk and cached, to slow and uncached."
T = TypeVar("T")
Row = tuple[str, ...]


# ---- as tables


def tabulate_forecast(forecast: Forecast) -> TextReport:
    """Tell what a scene is likely to take."""
    low, likely, high = forecast.seconds.low, forecast.seconds.likely, forecast.seconds.high
    heading = f"{forecast.title} ({forecast.path}): about {likely:.0f} s ({low:.0f}..{high:.0f}), an estimate"
    notes = [f"warning: {warning}" for warning in forecast.warnings]
    if forecast.cost.likely.total is None:
        notes.append("price unknown: a model is not in the price list, and what it costs is not in the total")
    return TextReport((heading,), tuple(_tables(forecast)), tuple(map(note, (*notes, FIGURES))))


def _tables(forecast: Forecast) -> Iterator[TextTable]:
    openings = [(opening.player, f"{opening.at_s:.1f} s") for opening in forecast.openings]
    yield TextTable(("player", "from"), openings, title="sessions open, at the earliest")
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
    saved = [(name, dollars(each.as_text), dollars(each.hearing_nobody)) for name, each in savings]
    columns = ("player", "hears_as: text", "hears: nobody")
    yield TextTable(columns, saved, has_total=True, title="what would be saved")


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


# ---- as data


def forecast_data(forecast: Forecast) -> dict[str, object]:
    """Make the forecast data for ``json.dumps``: dollars are texts, as in ``cost.json``, null where not known."""
    return {
        "version": 1,
        "estimate": True,
        "currency": "USD",
        "title": forecast.title,
        "path": forecast.path,
        "openings": [{"player": opening.player, "at_s": opening.at_s} for opening in forecast.openings],
        "lines": [_line_data(line) for line in forecast.lines],
        "players": {player.name: _player_data(player) for player in forecast.players},
        "seconds": _three(forecast.seconds.each(_rounded)),
        "total": _three(forecast.cost.each(_cost_data)),
        "savings": _savings_data(forecast.savings),
        "warnings": list(forecast.warnings),
    }


def _three(figure: Estimate[T]) -> dict[str, T]:
    return {"low": figure.low, "likely": figure.likely, "high": figure.high}


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _exact(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _line_data(line: LineForecast) -> dict[str, object]:
    return {
        "number": line.number,
        "id": line.id,
        "player": line.player,
        "words": line.words,
        "at_s": _rounded(line.at_s),
        "seconds": _three(line.seconds.each(_rounded)),
        "hearers": list(line.hearers),
    }


def _player_data(player: PlayerForecast) -> dict[str, object]:
    window = player.window
    return {
        "model": player.model or None,
        "lines": player.lines,
        "seconds": _three(player.seconds.each(_rounded)),
        "cost": _three(player.cost.each(_cost_data)),
        "context": _three(player.context),
        "window": {"tokens": window.tokens, "most_in": window.most_in} if window else None,
        "savings": _savings_data(player.savings),
    }


def _cost_data(cost: Cost) -> dict[str, object]:
    counted = {kind: count for kind in TOKENS if (count := getattr(cost.tokens, kind))}
    timed = {kind: count for kind in UNITS if (count := getattr(cost.tokens, kind))}
    return {**{kind: _exact(getattr(cost, kind)) for kind in AMOUNTS}, "tokens": counted, **timed}


def _savings_data(savings: Savings) -> dict[str, str | None]:
    return {"hears_as_text": _exact(savings.as_text), "hears_nobody": _exact(savings.hearing_nobody)}
