"""Stopping in order: what need not come to its end is left at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tau_stage.errors import Stopped, unwrapped


@asynccontextmanager
async def unless(stop: anyio.Event) -> AsyncIterator[None]:
    """Cancel the enclosed block as soon as a graceful stop is requested.

    Raises:
        Stopped: It was left.
    """
    done = False
    with unwrapped():
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await stop.wait()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            yield
            done = True
            group.cancel_scope.cancel()
    if not done:
        raise Stopped
