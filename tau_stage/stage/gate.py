"""The gate: sessions open one after another, so that an ensemble stays under the provider's rate limits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio

from tau_stage.errors import ConnectFailed, SessionError
from tau_stage.session.retrying import RULES, Rule, Tally, Trouble, opening_trouble

Opened = TypeVar("Opened")


class Gate:
    """Lets one opening through at a time. Share one gate among all scenes of a process.

    Args:
        rules: What is tried again.
        dice: For the jitter of waits.
    """

    def __init__(self, rules: Mapping[Trouble, Rule] = RULES, dice: random.Random | None = None) -> None:
        self._rules = rules
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not secrecy
        self._turn = anyio.Lock()
        self._last_opening = float("-inf")

    async def through(
        self,
        opening: Callable[[], Awaitable[Opened]],
        *,
        gap_s: float,
        refused: Callable[[SessionError, float], None] = lambda _error, _wait_s: None,
    ) -> Opened:
        """Open one session when it is its turn; refusals that may pass are waited out, in the turn.

        Args:
            opening: Tried until it succeeds, fails for good, or patience ends.
            gap_s: Pause after the opening before.
            refused: Told of each refusal that is waited out, and for how long.

        Raises:
            SessionError: It will not open.
        """
        async with self._turn:
            await anyio.sleep_until(self._last_opening + gap_s)
            try:
                return await self._insist(opening, refused)
            finally:
                self._last_opening = anyio.current_time()

    async def _insist(
        self, opening: Callable[[], Awaitable[Opened]], refused: Callable[[SessionError, float], None]
    ) -> Opened:
        tally = Tally(self._rules)
        while True:
            try:
                return await opening()
            except SessionError as error:
                wished_s = error.retry_after_s if isinstance(error, ConnectFailed) else None
                trouble = opening_trouble(error)
                wait_s = tally.wait_s(trouble, wished_s) if trouble else None
                if wait_s is None:
                    raise
                wait_s *= 1 + self._dice.random() / 4  # so that clients part
                refused(error, wait_s)
            await anyio.sleep(wait_s)
