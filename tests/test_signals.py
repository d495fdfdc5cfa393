"""What is changed wakes whoever waits for it, and nobody later."""

import anyio
from anyio.lowlevel import checkpoint

from tau_stage.signals import Signal


async def test_all_who_wait_are_woken() -> None:
    signal, woken = Signal(), []

    async def wait(name: str) -> None:
        await signal.wait()
        woken.append(name)

    async with anyio.create_task_group() as group:
        for name in ("one", "two"):
            group.start_soon(wait, name)
            await anyio.wait_all_tasks_blocked()
        signal.notify()
    assert sorted(woken) == ["one", "two"]


async def test_a_change_before_the_waiting_is_not_kept() -> None:
    signal = Signal()
    signal.notify()
    with anyio.move_on_after(0.01) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_until_looks_first_and_after_every_change() -> None:
    signal, count = Signal(), 0

    async def change() -> None:
        nonlocal count
        for count in (1, 2):  # noqa: B007
            signal.notify()
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(change)
        await signal.until(lambda: count == 2)
    await signal.until(lambda: True)
    assert count == 2


def test_it_can_be_made_and_told_where_no_loop_runs() -> None:
    Signal().notify()
