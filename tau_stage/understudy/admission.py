"""Admission: who is let in, who is refused at the upgrade, and who is refused in the open connection.

Limits of a provider can be rehearsed: openings a minute, sessions at once, tokens a minute, of all clients together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from tau_stage.errors import UsageError
from tau_stage.protocol import JsonObject, RateLimit, ServerError, TokenBucket, is_loopback
from tau_stage.transport import Handshake, Refusal
from tau_stage.understudy.client_dialects import wants_beta
from tau_stage.understudy.faults import RefuseInBand
from tau_stage.understudy.settings import profile_of

AZURE_PATHS = frozenset({"/openai/v1/realtime", "/openai/realtime", "/voice-live/realtime"})
PATHS = AZURE_PATHS | {"/v1/realtime"}
KEY_PROTOCOL = "openai-insecure-api-key."


ANY_ORIGIN = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")


def reject_reason(
    handshake: Handshake, key: str | None, *, refuses_beta: bool = False, any_model: bool = False
) -> RefuseInBand | None:
    """Say why a client that got through the upgrade cannot stay; None where it can. No ``key`` takes any, or none."""
    if key is not None and _key_of(handshake) != key:
        return RefuseInBand("invalid_api_key", 3000, message="Incorrect API key provided.")
    if refuses_beta and wants_beta(handshake):
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return RefuseInBand("beta_api_shape_disabled", 4000, message=message)
    model = asked_model(handshake)
    if not model:
        return RefuseInBand("missing_model", 4000, message="You must provide a model parameter.", param="model")
    if any_model or handshake.path in AZURE_PATHS or profile_of(model):  # a deployment has any name
        return None
    message = f"Model '{model}' is not supported in realtime mode."
    return RefuseInBand("invalid_model", 4000, message=message, param="model")


def asked_model(handshake: Handshake) -> str:
    """Return the model or the deployment that a client asks for; empty where it names none."""
    return handshake.query.get("model") or handshake.query.get("deployment", "")


def reject_origin(handshake: Handshake, origins: Collection[str] = ()) -> Refusal | None:
    """Refuse a web page that is not of this machine; None where there is nothing to refuse.

    A browser says which page asks (``Origin``), and which name was dialled (``Host``): a name of somebody else's that
    leads here is a trick to get past the first. ``origins`` are pages of other machines that may come in; ``*`` is all.
    """
    host, origin = handshake.headers.get("host"), handshake.headers.get("origin")
    if host is not None and not is_loopback(host):
        said = _shown(host)
        return Refusal(
            403, f"The understudy only accepts requests to a local host name such as 127.0.0.1, not {said}.\n"
        )
    if origin is None or ANY_ORIGIN in origins or origin.lower() in origins or is_loopback(origin):
        return None
    said = _shown(origin)
    return Refusal(
        403,
        f"The understudy does not accept requests from web pages at {said}; "
        f"to allow them, start it with --allow-origin {said}.\n",
    )


def parse_origin(origin: str) -> str:
    """Check an origin that may come in, and write it as a browser does; one that is none is a ``UsageError``.

    >>> parse_origin("https://Example.com/"), parse_origin("null")
    ('https://example.com', 'null')
    """
    told = origin.lower().removesuffix("/")
    if told in {ANY_ORIGIN, "null"} or ORIGIN.fullmatch(told):
        return told
    raise UsageError(f"{origin!r} is not a valid origin", "write scheme, host and port, as in https://example.com:8443")


def _shown(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)[:200]


def _key_of(handshake: Handshake) -> str | None:
    offered = next((name for name in handshake.subprotocols if name.startswith(KEY_PROTOCOL)), "")
    bearer = handshake.headers.get("authorization", "")
    return (
        bearer.removeprefix("Bearer ")
        or handshake.headers.get("api-key")
        or offered.removeprefix(KEY_PROTOCOL)
        or handshake.query.get("api-key")
        or None
    )


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
            hint = "specify new sessions per minute, open sessions and optionally tokens per minute"
            hint += ", for example 30/min,40 or 30/min,40,200000/min"
            raise UsageError(f"--limits: invalid value '{text}'", hint)
        openings, per_opening, sessions, tokens, per_token = found.groups()
        return cls(
            float(openings) * PER_MINUTE[per_opening] if openings else None,
            int(sessions) if sessions else None,
            float(tokens) * PER_MINUTE[per_token] if tokens else None,
        )

    def refuse_opening(self, sessions: int, now: float) -> Refusal | None:
        """Refuse an opening at the upgrade, where ``sessions`` are open; None lets it in, and counts it."""
        if self.sessions is not None and sessions >= self.sessions:
            return Refusal(429, f"Too many requests: the maximum number of open sessions is {self.sessions}.\n")
        if self.openings is None:
            return None
        bucket = self._opening_bucket = self._opening_bucket or TokenBucket.per_minute(self.openings, now)
        if wait_s := bucket.wait_s(1, now):
            seconds = math.ceil(wait_s)
            problem = f"Too many requests: the limit is {self.openings:g} new sessions per minute."
            return Refusal(429, f"{problem} Please retry after {seconds} seconds.\n", {"Retry-After": str(seconds)})
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
