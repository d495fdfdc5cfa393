"""The budget foresees what a line costs, learns from what lines have cost, and holds back what does not fit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tau_stage.cost import price
from tau_stage.errors import BudgetExceeded
from tau_stage.protocol.usage import Usage
from tau_stage.stage.budget import Budget
from tau_stage.take import records as record

MODEL = "gpt-realtime-2.1"
TARIFFS = {"ann": (MODEL, "openai"), "bob": (MODEL, "openai"), "own": ("my-own", "openai")}
LINE = Usage(text_in=20, cached_audio_in=40, text_out=20, audio_out=80)
PLAIN = price(LINE, MODEL).total or Decimal(0)
HALF = Usage(text_in=10, cached_audio_in=20, text_out=10, audio_out=40)
UNTOLD = Usage(untold=1)
SOUND = Usage(text_in=20, cached_audio_in=40, audio_out=100)
COST = price(SOUND, MODEL).total or Decimal(0)
"""Of a line, as if all of it were sound."""


def budget(lines: float | None) -> Budget:
    """With room for so many lines as they are foreseen."""
    foreseen = dict.fromkeys(("a1", "a2", "a3", "b1", "b2"), LINE)
    return Budget(None if lines is None else COST * Decimal(str(lines)), TARIFFS, foreseen)


def cost(held: Budget, fact: record.Record) -> Decimal:
    """Count a record; what that has cost."""
    before = held.spent
    held.apply(fact)
    return held.spent - before


def again(line: str, player: str, usage: Usage, reason: str = "rate limit") -> record.LineAgain:
    """An attempt that was paid, and teaches nothing."""
    return record.LineAgain(line=line, player=player, problem="no", wait_s=1, reason=reason, usage=usage)


def whole(line: str, player: str, usage: Usage, **more: Any) -> record.LineSpoken:
    """A line that is over."""
    facts: dict[str, Any] = {
        "asked": "",
        "direction": "",
        "said": "",
        "status": "completed",
        "file": None,
        "sha256": "",
        "samples": 0,
    }
    facts |= {"number": 1, "rate": 24_000, "offset_samples": 0, "hearers": (), "response": "", **more}
    return record.LineSpoken.model_validate({"line": line, "player": player, "usage": usage, **facts})


def test_before_anything_was_measured_a_line_costs_what_was_foreseen() -> None:
    assert budget(1).expected("a1", "ann") == COST
    budget(1).reserve(("a1", "ann"))
    with pytest.raises(BudgetExceeded, match=r"before line a1: \$0\.0000 of .* likely to cost \$"):
        budget(0.99).reserve(("a1", "ann"))


def test_what_lines_have_cost_corrects_what_the_next_ones_will() -> None:
    held = budget(9)
    held.apply(whole("a1", "ann", LINE + LINE))
    assert held.expected("a2", "ann") == COST * 2
    assert held.expected("b1", "bob") == COST * 2  # nothing of bob's was measured
    held.apply(whole("b1", "bob", HALF))
    assert held.expected("b2", "bob") == COST / 2
    assert held.expected("a2", "ann") == COST * 2


def test_a_line_that_nobody_has_foreseen_costs_what_its_players_last_one_did() -> None:
    held = budget(9)
    assert held.expected("x", "ann") == 0
    held.apply(whole("b1", "bob", SOUND + SOUND + SOUND))
    assert held.expected("x", "ann") == COST * 3
    held.apply(whole("y", "ann", SOUND))
    assert held.expected("x", "ann") == COST


def test_what_is_kept_for_one_line_is_not_there_for_another() -> None:
    held = budget(1.5)
    held.reserve(("a1", "ann"))
    held.reserve(("a1", "ann"))
    with pytest.raises(BudgetExceeded):
        held.reserve(("b1", "bob"))
    held.release("a1")
    held.reserve(("b1", "bob"))
    with pytest.raises(BudgetExceeded):
        budget(1.5).reserve(("a1", "ann"), ("b1", "bob"))
    with pytest.raises(BudgetExceeded):
        held.check("a2", "ann")


def test_what_was_never_told_is_paid_as_foreseen() -> None:
    held = budget(2.5)
    held.reserve(("a1", "ann"))
    assert cost(held, again("a1", "ann", UNTOLD, "dropped")) == COST
    assert held.affords("a1", "ann")
    assert not held.affords("a1", "ann", besides=LINE)
    assert held.affords("a1", "ann", besides=LINE, like=Usage(text_out=1))


def test_a_response_may_have_what_is_left_and_no_more() -> None:
    held = budget(2)
    most = held.most_tokens("a1", "ann", "audio")
    assert most is not None
    assert 200 <= most <= 210  # a line has a hundred
    held.reserve(("b1", "bob"))
    least = held.most_tokens("a1", "ann", "audio")
    assert least is not None
    assert 99 <= least <= 101
    assert budget(None).most_tokens("a1", "ann", "audio") is None
    assert budget(10_000).most_tokens("a1", "ann", "audio") is None
    spoken, written = budget(1).most_tokens("x", "ann", "audio"), budget(1).most_tokens("x", "ann", "text")
    assert spoken is not None
    assert written is not None
    assert spoken < written


def test_a_budget_that_is_nearly_used_is_told_once() -> None:
    held = budget(1)
    assert not held.near_limit
    held.apply(again("a1", "ann", LINE))
    assert held.near_limit
    assert not held.near_limit
    assert not budget(None).near_limit


def test_a_price_that_nobody_knows_costs_nothing_and_is_told_where_there_is_a_budget() -> None:
    assert list(budget(1).unpriced) == ["the price of model my-own is unknown, so the budget does not limit own"]
    assert list(budget(None).unpriced) == []
    assert cost(budget(1), again("x", "own", LINE)) == 0
    assert budget(1).most_tokens("x", "own", "audio") is None


def test_a_cost_that_is_not_known_counts_as_foreseen() -> None:
    held = budget(12)
    assert held.goes_by_forecast(again("a1", "ann", UNTOLD))
    assert not held.goes_by_forecast(again("a1", "bob", LINE))
    assert not held.goes_by_forecast(again("a1", "own", LINE))  # nothing can be foreseen either
    assert not held.goes_by_forecast(again("a1", "eve", UNTOLD))  # she is no model
    assert not held.goes_by_forecast(record.Transcribed(line="a1", player="ann", model="x", usage=UNTOLD))
    assert not budget(None).goes_by_forecast(again("a1", "ann", UNTOLD))
    assert cost(held, again("a1", "ann", UNTOLD)) == PLAIN
    assert cost(held, again("x", "ann", UNTOLD)) == 0  # nobody has foreseen it, and nothing was ever paid
    held.apply(whole("a1", "ann", LINE + LINE))
    assert cost(held, again("x", "ann", UNTOLD)) == PLAIN * 2
    assert cost(held, again("a2", "ann", UNTOLD)) == PLAIN * 2  # corrected by what lines have cost
    assert held.affords("a3", "ann", besides=UNTOLD)
    assert not budget(1).affords("a3", "ann", besides=UNTOLD + UNTOLD)


def test_guesses_do_not_grow_by_themselves() -> None:
    held = budget(9)
    for line in ("a1", "a2", "a3"):
        assert cost(held, whole(line, "ann", UNTOLD)) == PLAIN


def test_what_is_known_of_a_cost_counts_at_least() -> None:
    held = budget(9)
    assert cost(held, again("a1", "ann", LINE + LINE + LINE + UNTOLD)) == PLAIN * 3
    words = record.Transcribed(line="a1", player="ann", model=MODEL, usage=LINE + UNTOLD)
    assert cost(held, words) == PLAIN


def test_a_line_costs_all_its_tool_turns_and_the_take_that_was_picked() -> None:
    held = budget(9)
    held.apply(record.ToolTurn(line="a1", player="ann", response="r", usage=LINE))
    held.apply(again("a1", "ann", UNTOLD).model_copy(update={"interrupted": True}))
    held.apply(record.ToolTurn(line="a1", player="ann", response="r", usage=LINE))
    for take in (1, 2):
        facts = whole("a1", "ann", LINE, take=take).model_dump(
            include={*record.TakeFacts.model_fields, "line", "player"}
        )
        assert cost(held, record.TakeKept(**facts)) == PLAIN
    assert cost(held, whole("a1", "ann", Usage(), take=2)) == 0
    assert held.expected("a2", "ann") == COST * 2
    assert cost(held, whole("a2", "ann", Usage(), former=True)) == 0
    assert held.expected("a2", "ann") == COST * 2  # it was not performed


def test_another_model_answers_and_its_price_counts() -> None:
    held = budget(9)
    held.apply(record.ModelNamed(player="ann", asked=MODEL, model="gpt-realtime-2.1-mini"))
    mini = price(LINE, "gpt-realtime-2.1-mini").total
    assert cost(held, again("a1", "ann", LINE)) == mini
    assert held.expected("a1", "ann") < COST
    held.apply(record.ModelNamed(player="bob", asked=MODEL, model="nobody-knows-it"))
    assert held.goes_by_forecast(again("b1", "bob", LINE))
    assert cost(held, again("b1", "bob", LINE)) == PLAIN  # by the forecast, for the model that was asked for


def test_a_budget_holds_a_model_that_is_billed_by_time() -> None:
    line = Usage(text_out=20, audio_out=80, seconds=60.0, text_messages=1)
    held = Budget(Decimal("0.2"), {"eve": ("grok-voice-latest", "x-ai")}, {"e1": line, "e2": line, "e3": line})
    assert list(held.unpriced) == []
    assert held.expected("e1", "eve") == Decimal("0.084")
    held.reserve(("e1", "eve"), ("e2", "eve"))
    assert cost(held, again("e1", "eve", line)) == Decimal("0.084")
    with pytest.raises(BudgetExceeded):
        held.reserve(("e3", "eve"))
