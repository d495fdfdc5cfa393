"""The gate: sessions open one after another, so that an ensemble stays under the provider's rate limits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from tau_stage.errors import ConnectFailed

Opened = TypeVar("Opened")

RETRIED = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses that may pass; a spent quota (close 1013), a bad key and an unknown model never do."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long the gate tries.

    Attributes:
        attempts: Openings tried per player.
        first_wait_s: Wait after the first refusal; it doubles each time.
        longest_wait_s: Longest wait between two attempts.
    """

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


class Gate:
    """Lets one opening through at a time. Share one gate among all scenes of a process."""

    def __init__(self, patience: Patience | None = None, dice: random.Random | None = None) -> None:
        self._patience = patience or Patience()
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not secrecy
        self._turn = anyio.Lock()
        self._last_opening = float("-inf")

    async def through(
        self,
        opening: Callable[[], Awaitable[Opened]],
        *,
        gap_s: float,
        refused: Callable[[ConnectFailed, float], None] = lambda _error, _wait_s: None,
    ) -> Opened:
        """Open one session when it is its turn; refusals that may pass are waited out, in the turn.

        Args:
            opening: Tried until it succeeds, fails for good, or patience ends.
            gap_s: Pause after the opening before.
            refused: Told of each refusal that is waited out, and for how long.

        Raises:
            ConnectFailed: It will not open.
        """
        async with self._turn:
            await anyio.sleep_until(self._last_opening + gap_s)
            try:
                return await self._insist(opening, refused)
            finally:
                self._last_opening = anyio.current_time()

    async def _insist(
        self, opening: Callable[[], Awaitable[Opened]], refused: Callable[[ConnectFailed, float], None]
    ) -> Opened:
        for attempt in range(1, self._patience.attempts):
            try:
                return await opening()
            except ConnectFailed as error:
                if error.status not in RETRIED:
                    raise
                wait_s = self._wait(attempt, error.retry_after_s)
                refused(error, wait_s)
                await anyio.sleep(wait_s)
        return await opening()

    def _wait(self, attempt: int, retry_after_s: float | None) -> float:
        """The server's own wish if it has one, else doubling; up to a quarter more, so that clients part."""
        doubled = min(self._patience.first_wait_s * 2 ** (attempt - 1), self._patience.longest_wait_s)
        return max(retry_after_s or 0.0, doubled if retry_after_s is None else 0.0) * (1 + self._dice.random() / 4)
