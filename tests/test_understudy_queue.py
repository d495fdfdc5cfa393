"""Turns at the voice: fair to short work, and never lost."""

from __future__ import annotations

import anyio
import pytest

from tau_stage.understudy.voices import FairQueue


async def work(queue: FairQueue, name: str, turns: int, done: list[str]) -> None:
    for turn in range(turns):
        async with queue.turn(turn, turns):
            await anyio.sleep(1)
        done.append(name)


async def test_whoever_had_the_fewest_turns_goes_first() -> None:
    queue, done = FairQueue(), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(work, queue, "a", 4, done)
        await anyio.sleep(0.5)
        group.start_soon(work, queue, "b", 4, done)
        await anyio.sleep(3)
        group.start_soon(work, queue, "short", 1, done)
    assert done == ["a", "b", "a", "b", "short", "a", "b", "a", "b"]


async def test_of_two_that_are_new_the_shorter_goes_first() -> None:
    queue, done = FairQueue(), list[str]()
    async with anyio.create_task_group() as group:
        for name, turns in (("first", 2), ("long", 3), ("short", 1)):
            group.start_soon(work, queue, name, turns, done)
            await anyio.sleep(0.1)
    assert done[:3] == ["first", "short", "long"]


@pytest.mark.parametrize("leaves_after_s", [0.5, 1.0, 1.5])
async def test_who_leaves_passes_its_turn_on(leaves_after_s: float) -> None:
    queue, done = FairQueue(), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(work, queue, "a", 2, done)

        async def impatient() -> None:
            with anyio.move_on_after(leaves_after_s):
                await work(queue, "left", 9, [])

        group.start_soon(impatient)
        group.start_soon(work, queue, "b", 2, done)
    assert sorted(done) == ["a", "a", "b", "b"]
    with anyio.fail_after(2):
        await work(queue, "later", 1, done)


async def test_work_that_fails_frees_its_turn() -> None:
    queue = FairQueue()
    with pytest.raises(ZeroDivisionError):
        async with queue.turn(0):
            raise ZeroDivisionError
    async with queue.turn(0):
        pass
