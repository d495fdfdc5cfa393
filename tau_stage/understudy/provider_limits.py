"""Limits of a provider, rehearsed: openings a minute, sessions at once, tokens a minute, of all clients together."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tau_stage.errors import UsageError
from tau_stage.protocol import JsonObject, RateLimit, ServerError, TokenBucket
from tau_stage.transport import Refusal

PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}
_RATE = r"(?:0*([1-9]\d*(?:\.\d+)?|0?\.\d*[1-9]\d*)/(s|min|h))?"
_LIMITS = re.compile(rf"{_RATE}(?:,(?:0*([1-9]\d*))?(?:,{_RATE})?)?", re.ASCII)


@dataclass(slots=True)
class ProviderLimits:
    """What all clients together may do; None is any.

    Attributes:
        openings: Openings in a minute.
        sessions: Sessions at once.
        tokens: Tokens in a minute.

    >>> ProviderLimits.parse("30/min,40")
    ProviderLimits(openings=30.0, sessions=40, tokens=None)
    """

    openings: float | None = None
    sessions: int | None = None
    tokens: float | None = None
    _opening_bucket: TokenBucket | None = field(default=None, repr=False)
    _token_bucket: TokenBucket | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> ProviderLimits:
        """Read limits of a command line: openings a minute, sessions, tokens a minute; what is left out has none.

        Raises:
            UsageError: They cannot be read.
        """
        found = _LIMITS.fullmatch(text.replace(" ", ""))
        if found is None or not any(found.groups()):
            hint = "write openings and sessions, and perhaps tokens, like 30/min,40 or 30/min,40,200000/min"
            raise UsageError(f"--limits: '{text}' cannot be read", hint)
        openings, per_opening, sessions, tokens, per_token = found.groups()
        return cls(
            float(openings) * PER_MINUTE[per_opening] if openings else None,
            int(sessions) if sessions else None,
            float(tokens) * PER_MINUTE[per_token] if tokens else None,
        )

    def refuse_opening(self, sessions: int, now: float) -> Refusal | None:
        """Refuse an opening at the upgrade, where ``sessions`` are open; None lets it in, and counts it."""
        if self.sessions is not None and sessions >= self.sessions:
            return Refusal(429, f"Too many requests: {self.sessions} sessions are open, which is the limit.\n")
        if self.openings is None:
            return None
        bucket = self._opening_bucket = self._opening_bucket or TokenBucket.per_minute(self.openings, now)
        if wait_s := bucket.wait_s(1, now):
            seconds = math.ceil(wait_s)
            problem = (
                f"Too many requests: the limit is {self.openings:g} a minute. Please retry after {seconds} seconds."
            )
            return Refusal(429, f"{problem}\n", {"Retry-After": str(seconds)})
        bucket.take(1, now)
        return None

    def refuse_response(self, model: str, wants: int, now: float) -> ServerError | None:
        """Refuse a response that is likely to use so many tokens, with the sentence of OpenAI; None lets it begin."""
        if self.tokens is None:
            return None
        bucket = self._tokens_left(now)
        wait_s = bucket.wait_s(max(1, wants), now)
        if not wait_s:
            return None
        used = f"Limit {self.tokens:.0f}, Used {self.tokens - bucket.level(now):.0f}, Requested {wants}"
        message = f"Rate limit reached for {model} on tokens per min (TPM): {used}. Please try again in {wait_s:.3f}s."
        return ServerError(code="rate_limit_exceeded", message=message)

    def spend(self, usage: JsonObject, now: float) -> None:
        """Count the tokens of a response."""
        if self.tokens is not None:
            self._tokens_left(now).take(usage.get("total_tokens") or 0, now)

    def told(self, usual: tuple[RateLimit, ...], now: float) -> tuple[RateLimit, ...]:
        """Tell what is left; where nothing is limited, as usual."""
        if self.tokens is None:
            return usual
        bucket = self._tokens_left(now)
        limit, level = round(bucket.limit), math.floor(bucket.level(now))
        reset_s = round((bucket.limit - level) / bucket.per_s, 3)
        return (RateLimit(name="tokens", limit=limit, remaining=level, reset_seconds=reset_s),)

    def _tokens_left(self, now: float) -> TokenBucket:
        if self._token_bucket is None:
            self._token_bucket = TokenBucket.per_minute(self.tokens or math.inf, now)
        return self._token_bucket
