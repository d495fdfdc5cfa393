"""Closing: players close at the same time, and within the deadline that the scene or the stage sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tau_stage.errors import ConnectFailed
from tau_stage.scene.plan import PlayerPlan
from tau_stage.stage.events import Event
from tau_stage.take.folder import TakeFolder
from tau_stage.transport import Transport
from tests.support.in_memory_stage import Playhouse

NAMES = ("ann", "bob", "cid", "dot")
SCENE = f"""
players: {{{", ".join(f"{name}: {{voice: ash}}" for name in NAMES)}}}
lines: [ann: One., bob: Two.]
"""


class Stalled:
    """A connection that never finishes closing."""

    def __init__(self, inner: Transport) -> None:
        self.send = inner.send
        self.receive = inner.receive
        self.drop = inner.drop
        self.asked = 0

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        del code, reason
        self.asked += 1
        await anyio.sleep_forever()


class Stalling(Playhouse):
    """A house whose connections never finish closing."""

    refuses = ""

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        if player.name == self.refuses:
            raise ConnectFailed(reason="no", status=401)
        async with super()._connect(player) as socket:
            stalled = self.stalled[player.name] = Stalled(socket)
            yield stalled

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.stalled: dict[str, Stalled] = {}


@pytest.mark.parametrize(("limits", "seconds"), [("", 2.0), ("limits: {closing: 5s}\n", 5.0)])
async def test_players_that_stall_take_one_deadline_to_close(tmp_path: Path, limits: str, seconds: float) -> None:
    house = Stalling(tmp_path)
    began = anyio.current_time()
    assert (await house.perform(SCENE + limits)).ended == "complete"
    assert seconds <= anyio.current_time() - began < 2 * seconds
    assert [house.stalled[name].asked for name in NAMES] == [1, 1, 1, 1]


async def test_players_that_stall_close_together_where_another_will_not_open(tmp_path: Path) -> None:
    house = Stalling(tmp_path)
    house.refuses = "dot"
    began = anyio.current_time()
    assert (await house.perform(SCENE)).ended == "failed"
    assert anyio.current_time() - began < 4


async def test_players_that_stall_close_together_where_the_scene_is_stopped(tmp_path: Path) -> None:
    house = Stalling(tmp_path)
    began = anyio.current_time()
    with anyio.move_on_after(0.2):
        await house.perform(SCENE)
    assert anyio.current_time() - began < 4


@pytest.mark.parametrize("after", range(1, 9))
async def test_a_stop_while_sessions_open_ends_interrupted_at_whatever_moment(after: int, tmp_path: Path) -> None:
    house = Playhouse(tmp_path, judges=False)
    await stopped_after(house, 1)
    assert await stopped_after(house, after, again=house.folder) in ("interrupted", "complete")


async def stopped_after(house: Playhouse, count: int, again: TakeFolder | None = None) -> str:
    """How a take ends that somebody wants to stop when it has told so many news."""
    stop, (news, watch) = anyio.Event(), anyio.create_memory_object_stream[Event](1000)

    async def wait_and_stop() -> None:
        for _ in range(count):
            await watch.receive()
        stop.set()

    async with anyio.create_task_group() as group, news, watch:
        group.start_soon(wait_and_stop)
        scene = "players: {ann: {voice: ash}, bob: {voice: sage}}\nlines: [ann: Hm., bob: Hm.]"
        take = await house.perform(scene, stop=stop, watch=news, again=again)
        group.cancel_scope.cancel()
    return take.ended
