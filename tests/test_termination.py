"""A signal ends what runs in a loop where it waits; then it means what it meant before."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import anyio
import pytest

from tau_stage.cli.stopping import interruptible, stoppable
from tau_stage.clock import VIRTUAL
from tau_stage.processes import run_until_signal

CLOCKS: list[dict[str, Any]] = [{}, VIRTUAL]


@pytest.mark.parametrize("clock", CLOCKS, ids=["real", "virtual"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_runs_is_cancelled_and_comes_to_its_end(number: signal.Signals, clock: dict[str, Any]) -> None:
    done = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            done.append("goes on to where it waits")
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                done.append("cleans up")

    with interruptible():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            run_until_signal(work, clock=clock)
        assert signal.getsignal(number) is before
    assert done == ["goes on to where it waits", "cleans up"]


def test_a_handler_that_raises_nothing_ends_it_too() -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            run_until_signal(_end_itself, clock={})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


async def _end_itself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await anyio.sleep_forever()


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)

    async def work() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.lowlevel.checkpoint()
        return "done"

    try:
        assert run_until_signal(work, clock={}) == "done"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_result_comes_out_and_an_error_in_a_group() -> None:
    async def work(what: str) -> str:
        if what == "wrong":
            raise ValueError(what)
        return what

    assert run_until_signal(work, "right", clock=VIRTUAL) == "right"
    with pytest.raises(ExceptionGroup) as told:
        run_until_signal(work, "wrong", clock=VIRTUAL)
    assert told.group_contains(ValueError, match="wrong")


def test_a_thread_that_hears_no_signals_runs_it_too() -> None:
    results = []

    async def work() -> str:
        return "done"

    thread = threading.Thread(target=lambda: results.append(run_until_signal(work, clock={})))
    thread.start()
    thread.join()
    assert results == ["done"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_a_performance_signals_mean_what_they_meant_before(number: signal.Signals) -> None:
    async def perform() -> None:
        async with stoppable():
            await anyio.lowlevel.checkpoint()

    with interruptible():
        anyio.run(perform)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
