"""A comparison as data, for ``tau-stage compare --json``."""

from __future__ import annotations

import json
from typing import Any

from tau_stage.report.compare import Comparison, Pair
from tau_stage.report.wording import Piece
from tau_stage.take.take_model import Performed, Take


def as_json(told: Comparison) -> str:
    """Write the comparison as JSON: dollars are texts, as in ``cost.json``, and null is what is not known.

    Args:
        told: From ``compare``.
    """
    return json.dumps(as_data(told), indent=2, ensure_ascii=False)


def as_data(told: Comparison) -> dict[str, Any]:
    """Make the comparison data for ``json.dumps``."""
    return {
        "version": 1,
        "a": _take(told.a),
        "b": _take(told.b),
        "totals": {
            total.name: {"unit": total.unit, "a": _number(total.a), "b": _number(total.b)} for total in told.totals
        },
        "changes": [{"of": each.of, "what": each.what, "a": each.a, "b": each.b} for each in told.changes],
        "worth_a_look": [pair.id for pair in told.worth_a_look],
        "lines": [_pair(pair) for pair in told.pairs],
    }


def _take(take: Take) -> dict[str, Any]:
    return {"title": take.scene.title, "started": take.started, "ended": take.ended, "provider": take.provider}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.id,
        "player": pair.player,
        "weight": round(pair.weight, 3),
        "differences": [
            {"what": each.what, "told": each.told, "weight": round(each.weight, 3)} for each in pair.differences
        ],
        "asked": _pieces(pair.asked),
        "said": _pieces(pair.said),
        "a": _line(pair.a, pair.loudness_a),
        "b": _line(pair.b, pair.loudness_b),
    }


def _line(line: Performed | None, loudness: float | None) -> dict[str, Any] | None:
    if line is None:
        return None
    facts = {
        "number", "player", "direction", "asked", "said", "duration_s", "first_audio_s", "ended", "reason", "file",
        "former", "outdated",
    }  # fmt: skip
    return {
        **line.model_dump(mode="json", include=facts),
        "loudness_dbfs": None if loudness is None else round(loudness, 2),
        "cost": _number(line.cost.total),
        "cost_estimated": line.cost.estimated,
        "heard_by": [hearing.player for hearing in line.hearers if hearing.heard_at_s is not None],
    }


def _pieces(pieces: tuple[Piece, ...]) -> list[dict[str, str]]:
    return [{"kind": piece.kind, "words": piece.words} for piece in pieces]


def _number(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else str(value)
