"""Clocks of whole loops: one that waits for nothing but the world, and one that counts milliseconds."""

from __future__ import annotations

import sys

import anyio

from tau_stage.clock import STEADY, VIRTUAL
from tau_stage.session.tools import run_in_thread


def test_an_hour_passes_at_once_and_in_order() -> None:
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append((name, anyio.current_time()))

    async def play() -> float:
        async with anyio.create_task_group() as group:
            for name, seconds in (("late", 3600.0), ("early", 0.25), ("later", 3600.5)):
                group.start_soon(sleep, name, seconds)
        return anyio.current_time()

    assert anyio.run(play, backend_options=VIRTUAL) == 3600.5
    assert woken == [("early", 0.25), ("late", 3600.0), ("later", 3600.5)]


def test_time_does_not_jump_over_a_thread_or_a_program() -> None:
    async def play() -> tuple[int, int]:
        with anyio.fail_after(60):
            summed = await run_in_thread(lambda: sum(range(200_000)))
            process = await anyio.run_process([sys.executable, "-S", "-c", "raise SystemExit(3)"], check=False)
        return summed, process.returncode

    assert anyio.run(play, backend_options=VIRTUAL) == (19_999_900_000, 3)


def test_a_steady_clock_stands_still_while_callbacks_run() -> None:
    async def play() -> list[float]:
        times = [anyio.current_time()]
        assert sum(range(200_000)) == 19_999_900_000  # takes milliseconds
        times.append(anyio.current_time())
        await anyio.sleep(0.002)
        return [*times, anyio.current_time()]

    first, second, third = anyio.run(play, backend_options=STEADY)
    assert first == second < third
    assert all(abs(moment * 1000 - round(moment * 1000)) < 1e-6 for moment in (first, third))
