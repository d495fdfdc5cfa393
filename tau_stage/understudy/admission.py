"""Admission: who is let in, who is refused at the upgrade, and who is refused in the open connection."""

from __future__ import annotations

import re
from collections.abc import Collection

from tau_stage.errors import UsageError
from tau_stage.protocol import is_loopback
from tau_stage.transport import Handshake, Refusal
from tau_stage.understudy.client_dialects import wants_beta
from tau_stage.understudy.faults import RefuseInBand
from tau_stage.understudy.profiles import profile_of

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
        return Refusal(403, f"The understudy is called by a name of this machine, like 127.0.0.1, not {said}.\n")
    if origin is None or ANY_ORIGIN in origins or origin.lower() in origins or is_loopback(origin):
        return None
    said = _shown(origin)
    return Refusal(403, f"The understudy takes no page of {said}; start it with --allow-origin {said} to let it in.\n")


def parse_origin(origin: str) -> str:
    """Check an origin that may come in, and write it as a browser does; one that is none is a ``UsageError``.

    >>> parse_origin("https://Example.com/"), parse_origin("null")
    ('https://example.com', 'null')
    """
    told = origin.lower().removesuffix("/")
    if told in {ANY_ORIGIN, "null"} or ORIGIN.fullmatch(told):
        return told
    raise UsageError(f"{origin!r} is no origin", "write scheme, name and port as in https://example.com:8443")


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
