"""Many sessions at once in one process: opened, one turn each, closed. Nothing is left behind; each has few tasks."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from contextlib import AsyncExitStack

import anyio
import pytest

from tau_stage.session import create_session
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones
from tests.test_session import speak


@pytest.fixture
def anyio_backend() -> str:
    """The real loop and real sockets."""
    return "asyncio"


async def test_a_session_has_one_task_beside_that_of_its_socket() -> None:
    """It reads; what is done in the background has a task while it is done, what may be opened again has one more."""

    def tasks() -> Counter[str]:
        names = (str(task.name) for task in anyio.get_running_tasks())
        return Counter(name.rpartition(".")[2] for name in names if "tau_stage.session" in name)

    async with open_understudy(Understudy(Tones())) as url, AsyncExitStack() as opened:
        for recovers in (False, False, True):
            await opened.enter_async_context(create_session(endpoint=url, voice="ash", recover=recovers))
        assert tasks() == {"_socket": 3, "_keep_open": 1}
        own = [task for task in asyncio.all_tasks() if "keepalive" in repr(task.get_coro())]
        assert len(own) == 3  # of the sockets: they send pings


@pytest.mark.slow
async def test_two_hundred_sessions_leave_nothing_behind() -> None:
    """Slow: four hundred sockets. A few sessions come before: what they leave is loaded and made once."""
    async with open_understudy(Understudy(Tones())) as url:

        async def one() -> None:
            async with create_session(endpoint=url, voice="ash") as session:
                assert (await speak(session)).status == "completed"

        async def at_once(number: int) -> tuple[int, int]:
            async with anyio.create_task_group() as group:
                for _ in range(number):
                    group.start_soon(one)
            await asyncio.sleep(0)
            gc.collect()
            return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

        tasks, files = await at_once(10)
        tasks_later, files_later = await at_once(200)
    assert tasks_later <= tasks
    assert files_later <= files
