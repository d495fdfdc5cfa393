"""The stage door: who is let in, who is refused at the upgrade, and who is told no once inside."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tau_stage.errors import UsageError
from tau_stage.protocol.bodies import ServerError
from tau_stage.transport import Handshake, Refusal
from tau_stage.understudy.beta import is_asked_for
from tau_stage.understudy.profiles import profile_of

AZURE_PATHS = frozenset({"/openai/v1/realtime", "/openai/realtime", "/voice-live/realtime"})
PATHS = AZURE_PATHS | {"/v1/realtime"}
KEY_PROTOCOL = "openai-insecure-api-key."


ANY_ORIGIN = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")


@dataclass(frozen=True, slots=True)
class No:
    """A refusal inside an open connection: an error, then a close whose reason is ``<type>.<code>``."""

    error: ServerError
    close_code: int

    @property
    def reason(self) -> str:
        """The close frame's reason."""
        return f"{self.error.type}.{self.error.code}"


def objection(
    handshake: Handshake, key: str | None, *, refuses_beta: bool = False, any_model: bool = False
) -> No | None:
    """Why a client that got through the upgrade cannot stay, if it cannot.

    Args:
        handshake: What it asked for.
        key: The key it must bring; None takes any, or none.
        refuses_beta: Whether clients of the beta must go.
        any_model: Whether the model's name does not matter.
    """
    if key is not None and _brought(handshake) != key:
        return _no("invalid_api_key", 3000, "Incorrect API key provided.")
    if refuses_beta and is_asked_for(handshake):
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return _no("beta_api_shape_disabled", 4000, message)
    model = handshake.query.get("model") or handshake.query.get("deployment")
    if not model:
        return _no("missing_model", 4000, "You must provide a model parameter.", "model")
    if handshake.path in AZURE_PATHS:
        return None  # a deployment has any name
    if not any_model and profile_of(model) is None:
        return _no("invalid_model", 4000, f"Model '{model}' is not supported in realtime mode.", "model")
    return None


def intrusion(handshake: Handshake, origins: Collection[str] = ()) -> Refusal | None:
    """Why a request may not come in at all: a web page that is not of this machine wants to talk, if one does.

    A browser says which page asks (``Origin``), and which name was dialled (``Host``): a name of somebody else's that
    leads here is a trick to get past the first.

    Args:
        handshake: What was asked for.
        origins: Pages of other machines that may come in, as a browser tells them; ``*`` is all.

    >>> intrusion(Handshake(headers={"origin": "https://example.com"})).status
    403
    >>> intrusion(Handshake(headers={"origin": "http://localhost:3000", "host": "127.0.0.1:8765"})) is None
    True
    """
    host, origin = handshake.headers.get("host"), handshake.headers.get("origin")
    if host is not None and not is_loopback(host):
        said = _said(host)
        return Refusal(403, f"The understudy is called by a name of this machine, like 127.0.0.1, not {said}.\n")
    if origin is None or ANY_ORIGIN in origins or origin.lower() in origins or is_loopback(origin):
        return None
    said = _said(origin)
    return Refusal(403, f"The understudy takes no page of {said}; start it with --allow-origin {said} to let it in.\n")


def allowed(origin: str) -> str:
    """An origin that may come in, as a browser writes it.

    Raises:
        UsageError: It is none.

    >>> allowed("https://Example.com/"), allowed("null")
    ('https://example.com', 'null')
    """
    told = origin.lower().removesuffix("/")
    if told in {ANY_ORIGIN, "null"} or ORIGIN.fullmatch(told):
        return told
    raise UsageError(f"{origin!r} is no origin", "write scheme, name and port as in https://example.com:8443")


def is_loopback(place: str) -> bool:
    """Whether an origin, or a name with or without a port, is this machine's own.

    >>> [is_loopback(place) for place in ("[::1]:8765", "http://localhost", "127.0.0.1.example.com", "null")]
    [True, True, False, False]
    """
    try:
        name = urlsplit(place if "://" in place else f"//{place}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _said(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)[:200]


def _no(code: str, close_code: int, message: str, param: str | None = None) -> No:
    return No(ServerError(type="invalid_request_error", code=code, message=message, param=param), close_code)


def _brought(handshake: Handshake) -> str | None:
    offered = next((name for name in handshake.subprotocols if name.startswith(KEY_PROTOCOL)), "")
    bearer = handshake.headers.get("authorization", "")
    return (
        bearer.removeprefix("Bearer ")
        or handshake.headers.get("api-key")
        or offered.removeprefix(KEY_PROTOCOL)
        or handshake.query.get("api-key")
        or None
    )
