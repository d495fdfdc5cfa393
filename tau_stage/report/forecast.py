"""A forecast as data, for ``tau-stage plan --json``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tau_stage.cost import TOKENS, UNITS, Cost
from tau_stage.cost.forecast import Estimate, Forecast, LineForecast, PlayerForecast, Savings


def as_data(told: Forecast) -> dict[str, Any]:
    """Make the forecast data for ``json.dumps``: dollars are texts, as in ``cost.json``, null where not known."""
    return {
        "version": 1,
        "estimate": True,
        "currency": "USD",
        "title": told.title,
        "path": told.path,
        "openings": [{"player": opening.player, "at_s": opening.at_s} for opening in told.openings],
        "lines": [_line_data(line) for line in told.lines],
        "players": {player.name: _player_data(player) for player in told.players},
        "seconds": _three(told.seconds.each(_rounded)),
        "total": _three(told.cost.each(_cost_data)),
        "savings": _savings_data(told.savings),
        "warnings": list(told.warnings),
    }


def _three(figure: Estimate[Any]) -> dict[str, Any]:
    return {"low": figure.low, "likely": figure.likely, "high": figure.high}


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _exact(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _line_data(line: LineForecast) -> dict[str, Any]:
    return {
        "number": line.number,
        "id": line.id,
        "player": line.player,
        "words": line.words,
        "at_s": _rounded(line.at_s),
        "seconds": _three(line.seconds.each(_rounded)),
        "hearers": list(line.hearers),
    }


def _player_data(player: PlayerForecast) -> dict[str, Any]:
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


def _cost_data(cost: Cost) -> dict[str, Any]:
    amounts = {"spoken": cost.spoken, "listened": cost.listened, "cached": cost.cached, "total": cost.total}
    kinds = {kind: count for kind in TOKENS if (count := getattr(cost.tokens, kind))}
    timed = {kind: count for kind in UNITS if (count := getattr(cost.tokens, kind))}
    return {**{name: _exact(amount) for name, amount in amounts.items()}, "tokens": kinds, **timed}


def _savings_data(savings: Savings) -> dict[str, str | None]:
    return {"hears_as_text": _exact(savings.as_text), "hears_nobody": _exact(savings.hearing_nobody)}
