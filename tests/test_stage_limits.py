"""The stage keeps a provider's limits: those it is told of, those it is refused for, and those of the gate."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tau_stage.audio import Pcm
from tau_stage.cost import expected_cost
from tau_stage.errors import UsageError
from tau_stage.gate import GateLimits, LocalGate
from tau_stage.take import records as record
from tau_stage.understudy import ProviderLimits, SpeechRequest, SpokenLine
from tau_stage.understudy import faults as fault
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.tone_voice import Tones

LINES = "\n".join(f"- {'ann' if number % 2 else 'ben'}: Here is line number {number}." for number in range(12))
SHORT = "players: {ann: {voice: ash}, ben: {voice: sage}}\nlines: [ann: Hello there., ben: Who is it?]"
SCENE = f"players: {{ann: {{voice: ash}}, ben: {{voice: sage}}}}\nlines:\n{LINES}\n"


@pytest.mark.slow
async def test_lines_wait_for_tokens_that_a_provider_tells_of(tmp_path: Path) -> None:
    """Slow: twelve lines are performed."""
    house = Playhouse(tmp_path)
    house.understudy.limits = ProviderLimits(tokens=900)
    start = anyio.current_time()
    take = await house.perform(SCENE)
    assert take.ended == "complete"
    refused = [fact for fact in house.facts(record.LineAgain) if fact.reason == "rate limit"]
    assert len(refused) <= 1  # of each session, the first two responses tell nothing
    used = sum(visit_usage["total_tokens"] for visit in house.understudy.visits for visit_usage in visit.bill.values())
    assert used > 900
    assert anyio.current_time() - start >= (used - 900) / 15 - 30


@pytest.mark.slow
async def test_a_gate_with_a_limit_of_tokens_lets_nothing_be_refused(tmp_path: Path) -> None:
    """Slow: twelve lines are performed."""
    house = Playhouse(tmp_path)
    house.understudy.limits = ProviderLimits(tokens=1200)
    take = await house.perform(SCENE, gate=LocalGate(GateLimits(tokens=1000)))
    assert take.ended == "complete"
    assert house.facts(record.LineAgain) == []


async def test_all_scenes_wait_when_one_is_refused_for_a_rate_limit(tmp_path: Path) -> None:
    message = "Rate limit reached. Please try again in 20s."
    one, other = (
        Playhouse(tmp_path / "one", [fault.FailResponses(message=message)]),
        Playhouse(tmp_path / "other", keeps=False),
    )
    gate, start = LocalGate(), anyio.current_time()
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    spoken = list[float]()

    async def perform_other() -> None:
        await anyio.sleep(5)
        await other.perform("players: {ann: {voice: ash}}\nlines: [ann: One.]", gate=gate)
        spoken.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        group.start_soon(perform_other)
        take = await one.perform("players: {ann: {voice: ash}}\nlines: [ann: One.]", gate=gate)
    assert take.lines[0].attempts == 2
    assert spoken[0] >= 20


async def test_a_scene_for_which_the_gates_budget_has_no_room_does_not_begin(tmp_path: Path) -> None:
    house, foreseen = Playhouse(tmp_path), expected_cost(plan_of(SHORT), ["ann-1", "ben-1"]).total
    assert foreseen
    gate = LocalGate(GateLimits(budget=foreseen * Decimal("1.2")))
    first, second = await house.perform(SHORT, gate=gate), await house.perform(SHORT, gate=gate)
    assert (first.ended, second.ended, len(second.lines)) == ("complete", "budget", 0)
    assert "stopped before the first line" in second.problem
    status = await gate.status()
    assert (status.spent, status.reserved) == (first.cost.total, Decimal(0))


class LongWinded(Tones):
    """Says everything slowly, so that it costs much more than was foreseen."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        spoken = await super().speak(request)
        assert isinstance(spoken.audio, Pcm)
        return SpokenLine(spoken.words, Pcm.join([spoken.audio] * 20))


@pytest.mark.slow
async def test_a_scene_that_turns_out_dear_ends_between_lines_where_the_gates_budget_is_spent(tmp_path: Path) -> None:
    """Slow: long lines are performed."""
    house = Playhouse(tmp_path)
    house.understudy.actor = LongWinded()
    lines = [f"{'ann' if number % 2 else 'ben'}-{number // 2 + 1}" for number in range(12)]
    foreseen = expected_cost(plan_of(SCENE), lines).total
    assert foreseen
    gate = LocalGate(GateLimits(budget=foreseen * 2))
    take = await house.perform(SCENE, gate=gate)
    assert take.ended == "budget"
    assert 0 < len(take.lines) < 12
    assert take.cost.total
    assert foreseen < (await gate.status()).spent == take.cost.total <= foreseen * 2
    goes_on = await house.perform(SCENE, gate=LocalGate(spent=take.cost.total), again=house.folder)
    assert goes_on.ended == "complete"


async def test_a_scene_with_more_players_than_sessions_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the scene needs 2 open sessions, but the limit is 1"):
        await Playhouse(tmp_path).perform(SCENE, gate=LocalGate(GateLimits(sessions=1)))
