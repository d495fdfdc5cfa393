"""``cost.json``: what a take cost, per player, per line, per kind of token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tau_stage.cost import KINDS, UNITS, Cost, PriceList, prices
from tau_stage.take.beginning import beginning
from tau_stage.take.fold import Bill, bills
from tau_stage.take.records import ModelNamed, Record, TakeBegan, TakeResumed, Transcribed

SPENT = "An estimate: the provider's usage times a price list. The provider's invoice counts."
NOT_SPENT = (
    "An estimate, and nothing was spent: the understudy played. These are what the scene's models would have charged."
)


def cost_json(journal: Sequence[Record]) -> str:
    """Return the costs of a take as JSON; a price that is not known is null, never zero."""
    began = beginning(journal)
    billed = bills(journal)
    listed = [prices(model, provider) for model, provider in _tariffs(journal)]
    told = {
        "version": 1,
        "estimate": True,
        "spent": began.spent,
        "note": SPENT if began.spent else NOT_SPENT,
        "currency": "USD",
        "prices_per_million_tokens": {
            known.model: {kind: str(dollars) for kind, dollars in known.per_million.items()} for known in listed
        },
        "prices_by_time": {known.model: _by_time(known) for known in listed if known.per_minute is not None},
        "total": _told(billed),
        "players": {role.name: _told(bill for bill in billed if bill.player == role.name) for role in began.roles},
        "lines": {
            line: _told(bill for bill in billed if bill.line == line) for line in dict.fromkeys(b.line for b in billed)
        },
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _tariffs(journal: Sequence[Record]) -> Iterable[tuple[str, str]]:
    """Return models and price lists: those that were asked for, that answered, and that wrote down what people said."""
    lists: dict[str, str] = {}
    found: dict[tuple[str, str], None] = {}
    for fact in journal:
        if isinstance(fact, TakeBegan | TakeResumed):
            lists |= {role.name: role.prices for role in fact.roles}
            found |= {(role.model, role.prices): None for role in fact.roles}
        elif isinstance(fact, ModelNamed | Transcribed):
            found[fact.model, lists[fact.player]] = None
    return found


def _by_time(listed: PriceList) -> dict[str, str | None]:
    return {
        "minute": str(listed.per_minute),
        "text_message": None if listed.per_message is None else str(listed.per_message),
    }


def _told(billed: Iterable[Bill]) -> dict[str, Any]:
    cost = sum((bill.cost for bill in billed), Cost())
    sums = {"spoken": cost.spoken, "listened": cost.listened, "cached": cost.cached, "total": cost.total}
    return {
        **{name: None if dollars is None else str(dollars) for name, dollars in sums.items()},
        "known": str(cost.known),
        "estimated": cost.estimated,
        "untold_responses": cost.tokens.untold,
        "kinds": {
            kind: {
                UNITS.get(kind, "tokens"): count,
                "dollars": None if kind in cost.unpriced else str(cost.by_kind[kind]),
            }
            for kind in KINDS
            if (count := getattr(cost.tokens, kind))
        },
    }
