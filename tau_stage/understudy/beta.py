"""The beta dialect from the server's side: old clients are heard as GA, and answered in their own words."""

from __future__ import annotations

from typing import Any

from tau_stage.protocol.dialects import (
    NEW_PARTS,
    OLD_NAMES,
    OLD_PARTS,
    Event,
    flat_session,
    nested_session,
    parts_renamed,
)
from tau_stage.transport import Handshake

WITHOUT_TWIN = "conversation.item.done"
"""The beta tells an item once, when it is created."""


def is_asked_for(handshake: Handshake) -> bool:
    """Whether a client wants the beta: by header, by subprotocol, or by an API version."""
    return (
        handshake.headers.get("openai-beta", "").startswith("realtime")
        or any(name.startswith("openai-beta.realtime") for name in handshake.subprotocols)
        or "api-version" in handshake.query
    )


def heard(event: Event) -> Event:
    """A beta client's event as GA.

    >>> heard({"type": "response.create", "response": {"modalities": ["text"], "temperature": 0.8}})["response"]
    {'output_modalities': ['text']}
    """
    if isinstance(event.get("session"), dict):
        event = event | {"session": nested_session(event["session"])}
    if isinstance(event.get("response"), dict):
        event = event | {"response": _response(event["response"])}
    return parts_renamed(event, NEW_PARTS)


def _response(flat: Event) -> Event:
    nested: dict[str, Any] = nested_session(flat)
    del nested["type"]
    return nested


def told(event: Event) -> list[Event]:
    """A GA event as a beta client knows it; some are not told at all."""
    kind = event["type"]
    if kind == WITHOUT_TWIN:
        return []
    if kind == "conversation.item.added":
        event = event | {"type": "conversation.item.created"}
    event = event | {"type": OLD_NAMES.get(kind, event["type"])}
    if isinstance(event.get("session"), dict):
        kept = {key: event["session"][key] for key in ("id", "object", "model", "expires_at")}
        event = event | {"session": kept | flat_session(event["session"])}
    response = event.get("response")
    if isinstance(response, dict):
        flat = {key: value for key, value in response.items() if key not in {"output_modalities", "audio"}}
        event = event | {"response": flat | {"modalities": flat_session(response).get("modalities", [])}}
    return [parts_renamed(event, OLD_PARTS)]
