"""``cost.json``: what a take cost, per player, per line, per kind of token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tau_stage.cost import KINDS, UNITS, Cost, prices
from tau_stage.take.beginning import beginning
from tau_stage.take.fold import Bill, bills
from tau_stage.take.records import Record

SPENT = "An estimate: the provider's usage times a price list. The provider's invoice counts."
NOT_SPENT = (
    "An estimate, and nothing was spent: the understudy played. These are what the scene's models would have charged."
)


def cost_json(journal: Sequence[Record]) -> str:
    """The costs of a take as JSON; a price that is not known is null, never zero."""
    began = beginning(journal)
    billed = bills(journal)
    told = {
        "version": 1,
        "estimate": True,
        "spent": began.spent,
        "note": SPENT if began.spent else NOT_SPENT,
        "currency": "USD",
        "prices_per_million_tokens": {
            role.model: {kind: str(cost) for kind, cost in prices(role.model, role.prices).per_million.items()}
            for role in began.roles
        },
        "total": _told(billed),
        "players": {role.name: _told(bill for bill in billed if bill.player == role.name) for role in began.roles},
        "lines": {
            line: _told(bill for bill in billed if bill.line == line) for line in dict.fromkeys(b.line for b in billed)
        },
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _told(billed: Iterable[Bill]) -> dict[str, Any]:
    cost = sum((bill.cost for bill in billed), Cost())
    sums = {"spoken": cost.spoken, "listened": cost.listened, "cached": cost.cached, "total": cost.total}
    return {
        **{name: None if dollars is None else str(dollars) for name, dollars in sums.items()},
        "kinds": {
            kind: {
                UNITS.get(kind, "tokens"): amount,
                "dollars": None if kind in cost.unpriced else str(cost.by_kind[kind]),
            }
            for kind in KINDS
            if (amount := getattr(cost.tokens, kind))
        },
    }
