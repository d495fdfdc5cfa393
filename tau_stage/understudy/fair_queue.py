"""Turns at something that one task at a time may use: a short piece of work does not wait for the end of a long one."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio


class FairQueue:
    """Gives turns one by one.

    Of all that wait, whoever had the fewest turns goes first; among those, what is shortest; then who came first.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, int, anyio.Event]] = []
        self._numbers = count()
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, had: int, length: int = 0) -> AsyncIterator[None]:
        """Wait for a turn, and take it while the block runs.

        Args:
            had: Turns that this work had before.
            length: Of the work, in any unit.
        """
        if self._is_taken:
            await self._wait(had, length)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, had: int, length: int) -> None:
        mine = (had, length, next(self._numbers), anyio.Event())
        heapq.heappush(self._waiting, mine)
        try:
            await mine[-1].wait()
        except BaseException:
            if mine[-1].is_set():
                self._pass_on()
            else:
                self._waiting.remove(mine)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[-1].set()
        else:
            self._is_taken = False
