"""What a take costs where servers tell their usage in their own way, and answer with models of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tau_stage.cost import price
from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.endpoints import ENDPOINTS, Endpoint
from tau_stage.protocol.usage import Usage
from tau_stage.report.tables import plain_text, tabulate_take
from tau_stage.session import open_session
from tau_stage.stage.budget import Budget
from tau_stage.stage.performance import perform
from tau_stage.stage.sessions import Stage
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.journal import read_journal
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import plan_of
from tests.support.scripted_providers import ScriptedProvider

MODEL, MINI = "gpt-realtime-2.1", "gpt-realtime-2.1-mini"
SCENE = f"""
model: {MODEL}
players: {{ann: {{voice: marin}}, bob: {{voice: cedar}}}}
lines:
  - ann: Hello there, my friend.
  - bob: Hello there, my friend.
  - ann: Hello there, my friend.
"""
SUMS = {"total_tokens": 100_253, "input_tokens": 50_132, "output_tokens": 50_121}
GA = {
    **SUMS,
    "input_token_details": {"text_tokens": 50_000, "audio_tokens": 132, "cached_tokens": None},
    "output_token_details": {"text_tokens": 100, "audio_tokens": 50_021},
}
XAI = {**GA, "output_audio_seconds": 3.4, "billable_audio_seconds": 6}


def provider_that_tells(usage: object, model: str = MODEL, place: str = "openai") -> ScriptedProvider:
    """A server that speaks GA, with another usage and another model."""
    provider = ScriptedProvider("inworld")
    provider.place = replace(ENDPOINTS[place], dialect=provider.place.dialect, opening=provider.place.opening)
    provider.script["session.update"] = [{"type": "session.updated", "session": {"with": "$session", "model": model}}]
    for event in provider.script["speak"]:
        if event.get("type") == "response.done":
            event["response"]["usage"] = usage
    return provider


async def performed(provider: ScriptedProvider, tmp_path: Path, scene: str = SCENE) -> tuple[Take, TakeFolder]:
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
    stage = Stage(lambda _player: provider.connected(), lambda _player: provider.place)
    return await perform(plan_of(scene), stage, folder), folder


def costs(folder: TakeFolder) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder.path / "cost.json").read_text(encoding="utf-8"))
    return told


async def test_sums_are_counted_at_the_dearest_and_marked_everywhere(tmp_path: Path) -> None:
    take, folder = await performed(provider_that_tells(SUMS), tmp_path)
    each = price(Usage(audio_in=50_132, audio_out=50_121), MODEL).total or Decimal(0)
    assert [line.cost.total for line in take.lines] == [each] * 3
    assert take.cost.total == each * 3
    assert all(cost.estimated for cost in (take.cost, take.lines[0].cost, take.players[1].cost))
    assert (costs(folder)["total"]["estimated"], costs(folder)["lines"]["bob-1"]["estimated"]) == (True, True)
    assert "estimated: ann, bob: " in plain_text(tabulate_take(take))


async def test_a_budget_stops_on_what_is_estimated(tmp_path: Path) -> None:
    take, _ = await performed(provider_that_tells(SUMS), tmp_path, SCENE + "limits: {budget: $5}\n")
    assert (take.ended, len(take.lines)) == ("budget", 1)


async def test_nulls_cost_no_line(tmp_path: Path) -> None:
    take, _ = await performed(provider_that_tells(GA), tmp_path)
    assert (take.ended, [line.attempts for line in take.lines]) == ("complete", [1, 1, 1])
    assert take.usage == Usage(text_in=150_000, audio_in=396, text_out=300, audio_out=150_063)
    assert not take.cost.estimated


@pytest.mark.parametrize("usage", [None, {}, [], "none", 7, {"total_tokens": 0, "input_tokens": 0}])
async def test_what_is_heard_and_not_told_of_is_unknown_and_the_budget_goes_by_the_forecast(
    usage: object, tmp_path: Path
) -> None:
    take, folder = await performed(provider_that_tells(usage), tmp_path, SCENE + "limits: {budget: $5}\n")
    assert (take.ended, take.cost.total, take.usage.untold) == ("complete", None, 3)
    assert (costs(folder)["total"]["total"], costs(folder)["total"]["untold_responses"]) == (None, 3)
    text = "its actual cost is unknown; the budget uses the forecast instead"
    assert [warning for warning in take.warnings if text in warning] == [f"player ann: {text}", f"player bob: {text}"]
    assert "cost unknown: ann, bob: " in plain_text(tabulate_take(take))


async def test_a_budget_holds_what_is_only_forecast(tmp_path: Path) -> None:
    take, _ = await performed(provider_that_tells(None), tmp_path, SCENE + "limits: {budget: $0.007}\n")
    assert take.ended == "budget"
    assert 0 < len(take.lines) < 3


async def test_another_model_is_told_of_and_its_price_counts(tmp_path: Path) -> None:
    take, folder = await performed(provider_that_tells(GA, model=MINI), tmp_path)
    used = Usage(text_in=50_000, audio_in=132, text_out=100, audio_out=50_021)
    assert [line.cost.total for line in take.lines] == [price(used, MINI).total] * 3
    assert [(player.model, player.answered_by) for player in take.players] == [(MODEL, MINI)] * 2
    said = (
        f"requested {MODEL}, but the server reports that it uses {MINI}; costs are calculated with the price of {MINI}"
    )
    assert [warning for warning in take.warnings if said in warning] == [f"player ann: {said}", f"player bob: {said}"]
    assert set(costs(folder)["prices_per_million_tokens"]) == {MODEL, MINI}
    assert fold(read_journal(folder.journal)).cost == take.cost


async def test_a_take_that_goes_on_prices_the_model_that_answered(tmp_path: Path) -> None:
    take, folder = await performed(provider_that_tells(GA, model=MINI), tmp_path)
    purse = Budget(Decimal(9), dict.fromkeys(("ann", "bob"), (MODEL, "openai")), {})
    purse.restore(read_journal(folder.journal))
    assert purse.spent == take.cost.total


async def test_a_date_makes_no_other_model(tmp_path: Path) -> None:
    take, _ = await performed(provider_that_tells(GA, model=f"{MODEL}-2026-05-01"), tmp_path)
    assert [player.answered_by for player in take.players] == ["", ""]
    assert not [warning for warning in take.warnings if "was asked for" in warning]


async def test_a_provider_that_is_paid_for_time(tmp_path: Path) -> None:
    scene = SCENE.replace(MODEL, "grok-voice-latest")
    take, folder = await performed(provider_that_tells(XAI, model="grok-voice-latest", place="xai"), tmp_path, scene)
    assert take.usage.seconds == 18.0
    messages = take.usage.text_messages
    assert messages == 3  # one for each line that is asked for; what the others say is heard as sound
    assert take.cost.total == 18 * Decimal("0.08") / 60 + messages * Decimal("0.004")
    told = costs(folder)
    assert told["prices_by_time"] == {"grok-voice-latest": {"minute": "0.08", "text_message": "0.004"}}
    assert told["total"]["kinds"]["seconds"] == {"seconds": 18.0, "dollars": "0.024"}


async def test_a_session_tells_what_is_estimated_unknown_or_answered_by_another_model() -> None:
    async def usage_at(usage: object, model: str = MODEL) -> tuple[Decimal | None, bool, list[str]]:
        provider = provider_that_tells(usage, model)
        place: Endpoint = provider.place
        async with provider.connected() as transport:
            wanted: dict[str, Any] = {"model": MODEL, "dialect": place.dialect, "opening": place.opening}
            async with open_session(transport, session_config(), **wanted) as session:
                await session.user("Hello there, my friend.")
                await session.response()
                return session.usage.total, session.usage.estimated, session.warnings

    total, estimated, _ = await usage_at(SUMS)
    assert (total, estimated) == (price(Usage(audio_in=50_132, audio_out=50_121), MODEL).total, True)
    assert (await usage_at(None))[:2] == (None, False)
    total, _, warnings = await usage_at(GA, MINI)
    assert total == price(Usage(text_in=50_000, audio_in=132, text_out=100, audio_out=50_021), MINI).total
    assert any(MINI in warning for warning in warnings)
