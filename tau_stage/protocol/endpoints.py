"""Where realtime models live: each endpoint is a table in ``endpoints.toml``.

Keys never enter here, only the names of their variables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import uuid4

from tau_stage.protocol.addresses import check_address
from tau_stage.protocol.dialects import BETA, DIALECTS, GA, Dialect
from tau_stage.protocol.secrets import check_key
from tau_stage.text import redact_url

Auth = Literal["bearer", "basic", "api-key", "none"]

KEY_HEADERS = {"bearer": ("Authorization", "Bearer "), "basic": ("Authorization", "Basic "), "api-key": ("api-key", "")}
"""The header that carries a key, and what stands before the key in it."""

BETA_HEADER = {"OpenAI-Beta": "realtime=v1"}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a server sends when a session opens: first the ``greeting``; ``session.updated`` where it ``confirms``.

    It ``is_known`` for sure, or, at an address of the user's own, only likely.
    """

    greeting: Literal["session.created", "conversation.created"] = "session.created"
    confirms: bool = True
    is_known: bool = True


USUAL_OPENING = Opening()
UNKNOWN_OPENING = Opening(is_known=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that speaks the Realtime protocol.

    Attributes:
        name: As a scene names it; a URL stands for itself, without what it holds of a key.
        url: Template of its URL: ``{model}``, ``{resource}``, the user's own host, and ``{session}``, an id of our own.
        key_env: Environment variables that may hold the key, the first that is set counts.
        wants_key: Whether it can do nothing without one.
        resource_env: Environment variable with the host of the user's own resource.
        resource: The host where that is not set; empty where there is none to guess.
        heard_rate: Samples per second it hears at; what we say is resampled to it.
        answers_commits: Whether it answers by itself what is committed from the input buffer.
        speaks_verbatim: Whether it can speak a text as it stands, with no model in between.
        cap_s: Seconds a session lasts.
        opening_gap_s: Seconds between two openings, so that it refuses none; a scene may order others.
        names_model_in_session: Whether the model is named in ``session.update``, not in the URL.
        extra_headers: Sent with every upgrade.
        price_provider: Whose price list applies (``genai-prices``).
        source: Where these facts come from.
    """

    name: str
    url: str
    dialect: Dialect = GA
    auth: Auth = "bearer"
    key_env: tuple[str, ...] = ()
    wants_key: bool = True
    resource_env: str = ""
    resource: str = ""
    heard_rate: int = 24_000
    answers_commits: bool = False
    speaks_verbatim: bool = False
    cap_s: float = 3600.0
    opening_gap_s: float = 0.2
    opening: Opening = USUAL_OPENING
    names_model_in_session: bool = False
    extra_headers: dict[str, str] = field(default_factory=dict, hash=False)
    price_provider: str = "openai"
    source: str = ""

    def address(self, model: str, resource: str = "") -> str:
        """Return the URL to dial for a model; a model that the URL names itself stands. Or raise a ``UsageError``.

        >>> ENDPOINTS["openai"].address("gpt-realtime-2.1")
        'wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1'
        >>> endpoint("ws://127.0.0.1:8000/v1/realtime?tenant=x").address("gpt-realtime-2.1")
        'ws://127.0.0.1:8000/v1/realtime?tenant=x&model=gpt-realtime-2.1'
        """
        named = quote(model, safe="", errors="replace")
        if "{model}" in self.url or self.names_model_in_session:
            host = resource.rpartition("://")[2].partition("/")[0] or self.resource
            url = self.url.replace("{model}", named).replace("{resource}", host).replace("{session}", uuid4().hex)
            return check_address(url, self.resource_env if resource else "")
        parts = urlsplit(check_address(self.url))
        query = parse_qsl(parts.query, keep_blank_values=True)
        if not dict(query).get("model"):
            others = urlencode([pair for pair in query if pair[0] != "model"])
            parts = parts._replace(query=f"{others}{'&' if others else ''}model={named}")
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") or "/v1/realtime"))

    def named(self, model: str) -> dict[str, str]:
        """Return the model as a wish for the session, where it is not named in the URL.

        >>> ENDPOINTS["inworld"].named("openai/gpt-4.1-mini"), ENDPOINTS["openai"].named("gpt-realtime-2.1")
        ({'model': 'openai/gpt-4.1-mini'}, {})
        """
        return {"model": model} if self.names_model_in_session else {}

    def key_in(self, environment: Mapping[str, str]) -> str | None:
        """Return its key, where there is one; what cannot be a key is a ``UsageError``."""
        name = self.key_name(environment)
        return check_key(environment[name], name) if name else None

    def key_name(self, environment: Mapping[str, str]) -> str | None:
        """Return the variable that holds its key; None where none does."""
        return next(filter(environment.get, self.key_env), None)

    def headers(self, key: str | None) -> dict[str, str]:
        """Return what the upgrade carries.

        >>> ENDPOINTS["inworld"].headers("secret")
        {'Authorization': 'Basic secret'}
        """
        if not key or self.auth == "none":
            return dict(self.extra_headers)
        header, scheme = KEY_HEADERS[self.auth]
        return self.extra_headers | {header: scheme + key}


UNDERSTUDY = "understudy"


def _read(name: str, facts: dict[str, Any]) -> Endpoint:
    """Make an endpoint of its table in ``endpoints.toml``."""
    made = {"dialect": DIALECTS[facts.get("dialect", GA.name)], "opening": Opening(**facts.get("opening", {}))}
    return Endpoint(name, **facts | made | {"key_env": tuple(facts.get("key_env", ()))})


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
ENDPOINTS = {name: _read(name, facts) for name, facts in _TABLES.items()}  # every endpoint a scene can name


def endpoint(name: str, dialect: str | None = None) -> Endpoint:
    """Return the endpoint of that name, or one made for a ``ws://`` or ``wss://`` URL.

    A URL may say before a plus sign what its server is like: an endpoint, or a dialect; ``dialect`` names one, too.
    A name that nobody knows is a ``KeyError``, what cannot be dialled a ``UsageError``.

    >>> endpoint("qwen+ws://127.0.0.1:8000/v1/realtime").heard_rate, endpoint("beta+ws://127.0.0.1:8000").dialect.name
    (16000, 'beta')
    """
    if "://" not in name:
        return ENDPOINTS[name]
    kind, mark, url = name.partition("+")
    if not mark or "://" in kind:
        kind, url = "ga", name
    check_address(url)
    like = ENDPOINTS.get(kind) or Endpoint(kind, url, DIALECTS[kind], opening=UNKNOWN_OPENING)
    spelt = DIALECTS[dialect] if dialect else like.dialect
    return replace(
        like,
        name=redact_url(name),
        url=url,
        dialect=spelt,
        speaks_verbatim=like.speaks_verbatim and spelt is like.dialect,
        key_env=("TAU_STAGE_API_KEY",),
        wants_key=False,
        resource_env="",
        resource="",
        opening=replace(like.opening, is_known=False),
        extra_headers=BETA_HEADER if spelt is BETA else like.extra_headers,
        source="the user's URL",
    )
