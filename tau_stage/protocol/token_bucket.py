"""A rate limit that refills steadily, as providers count tokens and requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tau_stage.protocol.server_events import RateLimit

MINUTE_S = 60.0
PRECISE_S = 1.0  # seconds to a reset from which on they tell the pace; fewer are rounded too much


@dataclass(slots=True)
class TokenBucket:
    """What is left of a rate limit, by a clock that whoever asks reads.

    Attributes:
        limit: The most it holds.
        left: What it held at ``at``; below zero where more was used than there was.
        at: Seconds.
        per_s: What comes back in a second.
        most: The limit a minute that a user has set; a provider's own limit counts where it is lower.

    >>> bucket = TokenBucket.per_minute(60, now=0.0)
    >>> bucket.take(60, now=0.0)
    >>> bucket.wait_s(3, now=1.0), bucket.wait_s(1000, now=1.0)
    (2.0, 59.0)
    """

    limit: float
    left: float
    at: float
    per_s: float
    most: float = math.inf

    @classmethod
    def per_minute(cls, limit: float, now: float) -> TokenBucket:
        """Make a full one, of a limit that a user has set."""
        return cls(limit, limit, now, limit / MINUTE_S, most=limit)

    @classmethod
    def unknown(cls, now: float) -> TokenBucket:
        """Make one without a limit, until a provider tells of one."""
        return cls(math.inf, math.inf, now, math.inf)

    def level(self, now: float) -> float:
        """Tell how much there is."""
        return self.limit if self.limit == math.inf else min(self.limit, self.left + (now - self.at) * self.per_s)

    def wait_s(self, amount: float, now: float) -> float:
        """Return seconds until so much can be taken; of what is more than it holds, until it is full."""
        if self.limit == math.inf:
            return 0.0
        return max(0.0, (min(amount, self.limit) - self.level(now)) / self.per_s)

    def take(self, amount: float, now: float) -> None:
        """Take so much; a negative amount is given back."""
        self.left, self.at = self.level(now) - amount, now

    def correct(self, told: RateLimit, now: float) -> None:
        """Take over what a provider tells. What was taken since is not in it: the lower level counts."""
        if not 0 < told.limit < math.inf:
            return
        used = told.limit - told.remaining
        is_precise = used > 0 and told.reset_seconds >= PRECISE_S
        per_s = used / told.reset_seconds if is_precise else told.limit / MINUTE_S
        level = min(self.level(now), float(max(told.remaining, 0)))
        self.limit, self.per_s = min(told.limit, self.most), min(per_s, self.most / MINUTE_S)
        self.left, self.at = level, now
