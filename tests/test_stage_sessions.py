"""The gate opens sessions one at a time and knows what may pass and what never will."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tau_stage.errors import ConnectFailed, UsageError
from tau_stage.gate import LocalGate
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.session.retrying import RULES, Rule
from tau_stage.stage.performance import perform
from tau_stage.stage.sessions import Stage, provider_for
from tau_stage.take.folder import TakeFolder
from tests.support.in_memory_stage import plan_of
from tests.support.scripted_providers import ScriptedProvider


class Door:
    """An opening that is refused a few times, and remembers when it was tried."""

    def __init__(self, *refusals: ConnectFailed, takes_s: float = 0.0) -> None:
        self.refusals = list(refusals)
        self.takes_s = takes_s
        self.tried_at: list[float] = []
        self.span = (0.0, 0.0)

    async def __call__(self) -> str:
        self.tried_at.append(anyio.current_time())
        await anyio.sleep(self.takes_s)
        if self.refusals:
            raise self.refusals.pop(0)
        self.span = (self.tried_at[-1], anyio.current_time())
        return "open"


def busy(retry_after_s: float | None = None, status: int = 429) -> ConnectFailed:
    return ConnectFailed(reason="slow down", status=status, retry_after_s=retry_after_s)


@pytest.mark.parametrize(("takes_s", "starts_at"), [(3, [0, 10, 20, 30]), (12, [0, 12, 24, 36])])
async def test_openings_never_overlap_and_begin_in_their_pace(takes_s: float, starts_at: list[float]) -> None:
    gate, doors = LocalGate(), [Door(takes_s=takes_s) for _ in range(4)]
    async with anyio.create_task_group() as group:
        for door in doors:
            group.start_soon(partial(gate.open, door, account="a", gap_s=10))
    spans = sorted(door.span for door in doors)
    assert [round(start - spans[0][0], 6) for start, _ in spans] == starts_at
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


async def test_the_servers_own_wish_to_wait_is_kept_with_a_little_jitter() -> None:
    door, waits = Door(busy(8.0), busy(8.0)), list[float]()
    await LocalGate(dice=random.Random(1)).open(
        door, account="a", gap_s=0, refused=lambda _error, wait_s: waits.append(wait_s)
    )
    assert len(door.tried_at) == 3
    assert all(8 <= wait_s <= 10 for wait_s in waits)
    assert waits[0] != waits[1]


async def test_without_a_wish_the_wait_doubles_up_to_a_limit() -> None:
    door, waits = Door(*[busy() for _ in range(5)]), list[float]()
    gate = LocalGate(rules={**RULES, "busy": Rule(6, first_wait_s=1, longest_wait_s=4)}, dice=random.Random(1))
    await gate.open(door, account="a", gap_s=0, refused=lambda _error, wait_s: waits.append(wait_s))
    assert [int(wait_s / 1.25 + 0.999) for wait_s in waits] == [1, 2, 4, 4, 4]


async def test_patience_ends() -> None:
    door = Door(*[busy() for _ in range(9)])
    with pytest.raises(ConnectFailed):
        await LocalGate(rules={**RULES, "busy": Rule(3)}).open(door, account="a", gap_s=0)
    assert len(door.tried_at) == 3


@pytest.mark.parametrize(
    "error",
    [
        ConnectFailed(reason="spent", code="insufficient_quota", close_code=1013),
        ConnectFailed(reason="bad key", code="invalid_api_key", close_code=3000),
        ConnectFailed(reason="forbidden", status=403),
    ],
)
async def test_what_never_passes_is_tried_once(error: ConnectFailed) -> None:
    door = Door(error)
    with pytest.raises(ConnectFailed):
        await LocalGate().open(door, account="a", gap_s=0)
    assert len(door.tried_at) == 1


async def test_who_failed_does_not_keep_the_others_out() -> None:
    gate = LocalGate()
    with pytest.raises(ConnectFailed):
        await gate.open(Door(busy(status=403)), account="a", gap_s=0)
    assert await gate.open(Door(), account="a", gap_s=0) == "open"


def test_a_voice_that_the_chosen_endpoint_does_not_have_is_refused_before_anything_opens() -> None:
    [player] = plan_of("players: {ann: {voice: rex}}\nlines: [ann: Hello.]").players
    assert provider_for(player, {"XAI_API_KEY": "k"}, wished="xai").endpoint.name == "xai"
    assert provider_for(player, {}).endpoint.name == "understudy"
    with pytest.raises(UsageError, match="player ann: openai has no voice 'rex'") as error:
        provider_for(player, {"OPENAI_API_KEY": "k"})
    assert error.value.hint == "write 'endpoint: xai' in the scene, or use --endpoint xai"


@pytest.mark.parametrize(("place", "voices"), [("xai", ["ara", "ash"]), ("azure", ["marin", "ash"])])
async def test_a_voice_that_nobody_named_is_the_default_of_whoever_plays(
    place: str, voices: list[str], tmp_path: Path
) -> None:
    provider = ScriptedProvider("inworld")
    provider.place = replace(ENDPOINTS[place], dialect=provider.place.dialect, opening=provider.place.opening)
    stage = Stage(lambda _player: provider.connected(), lambda _player: provider.place)
    plan = plan_of("players: {ann: , bob: {voice: ash}}\nlines: [ann: Hello., bob: Hello.]")
    take = await perform(plan, stage, TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1"))
    asked = [provider.sent("session.update", number)[0]["session"] for number in (0, 1)]
    assert [session["audio"]["output"]["voice"] for session in asked] == voices
    assert [player.voice for player in take.players] == voices
