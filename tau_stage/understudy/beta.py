"""The beta dialect from the server's side: old clients are heard as GA, and answered in their own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tau_stage.protocol.bodies import ServerError
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

UNTOLD = {"conversation.item.done", "conversation.item.input_audio_transcription.delta"}
"""The beta tells an item once, when it is created, and a transcript when it is whole."""

COLDEST, HOTTEST = 0.6, 1.2
"""Temperatures that the beta takes; GA has none."""


def is_asked_for(handshake: Handshake) -> bool:
    """Whether a client wants the beta: by header, by subprotocol, or by an API version."""
    return (
        handshake.headers.get("openai-beta", "").startswith("realtime")
        or any(name.startswith("openai-beta.realtime") for name in handshake.subprotocols)
        or "api-version" in handshake.query
    )


@dataclass(slots=True)
class BetaDialect:
    """One old client's connection: what the beta has and GA has not is kept here.

    Attributes:
        temperature: Of the session.
    """

    temperature: float = 0.8
    _asked: float | None = None
    _responses: dict[str, float] = field(default_factory=dict)

    def objection(self, event: Event) -> ServerError | None:
        """What is wrong with a temperature, if one is told and something is.

        >>> BetaDialect().objection({"type": "session.update", "session": {"temperature": 7}}).code
        'decimal_above_max_value'
        """
        for part in ("session", "response"):
            told = event.get(part)
            heat = told.get("temperature") if isinstance(told, dict) else None
            if heat is not None and (problem := _problem(f"{part}.temperature", heat)):
                event_id = event.get("event_id")
                return problem.model_copy(update={"event_id": event_id if isinstance(event_id, str) else None})
        return None

    def heard(self, event: Event) -> Event:
        """A client's event as GA.

        >>> event = {"type": "response.create", "response": {"modalities": ["text"], "temperature": 0.8}}
        >>> BetaDialect().heard(event)["response"]
        {'output_modalities': ['text']}
        """
        self._asked = None
        for part in ("session", "response"):
            if isinstance(told := event.get(part), dict):
                self._asked = told.get("temperature")
                nested: dict[str, Any] = nested_session(_without_none(told))
                if part == "response":
                    del nested["type"]
                event = event | {part: nested}
        return parts_renamed(event, NEW_PARTS)

    def told(self, event: Event) -> list[Event]:
        """A GA event as an old client knows it; some are not told at all."""
        kind = event["type"]
        if kind in UNTOLD:
            return []
        if kind == "conversation.item.added":
            event = event | {"type": "conversation.item.created"}
        if kind == "session.updated" and self._asked is not None:
            self.temperature, self._asked = self._asked, None
        event = event | {"type": OLD_NAMES.get(kind, event["type"])}
        if isinstance(event.get("item"), dict):
            event = event | {"item": _named(event["item"])}
        if isinstance(event.get("session"), dict):
            kept = {key: event["session"][key] for key in ("id", "object", "model", "expires_at")}
            heat = {"temperature": self.temperature}
            event = event | {"session": kept | flat_session(event["session"]) | heat}
        if isinstance(event.get("response"), dict):
            event = event | {"response": self._response(kind, event["response"])}
        return [parts_renamed(event, OLD_PARTS)]

    def _response(self, kind: str, response: Event) -> Event:
        if kind == "response.created":
            self._responses[response["id"]] = self.temperature if self._asked is None else self._asked
            self._asked = None
        heat = self._responses.get(response["id"], self.temperature)
        if kind == "response.done":
            self._responses.pop(response["id"], None)
        response = response | {"output": [_named(item) for item in response["output"]]}
        flat = {key: value for key, value in response.items() if key not in {"output_modalities", "audio"}}
        beside = flat_session(response)
        named = {key: beside[key] for key in ("voice", "output_audio_format") if key in beside}
        return flat | named | {"modalities": beside.get("modalities", []), "temperature": heat}


def _named(item: Event) -> Event:
    """An item as the beta tells it: as an object with a name, and with no phase."""
    return {"id": item["id"], "object": "realtime.item"} | {key: item[key] for key in item if key != "phase"}


def _without_none(flat: Event) -> Event:
    """The beta's other spellings: turn detection of the type none, and a tool that is chosen as a function."""
    turns, choice = flat.get("turn_detection"), flat.get("tool_choice")
    if isinstance(turns, dict) and turns.get("type") == "none":
        flat = flat | {"turn_detection": None}
    if isinstance(choice, dict) and isinstance(choice.get("function"), str) and "name" not in choice:
        flat = flat | {"tool_choice": {"type": "function", "name": choice["function"]}}
    return flat


def _problem(param: str, heat: Any) -> ServerError | None:
    if isinstance(heat, bool) or not isinstance(heat, int | float):
        message = f"Invalid type for '{param}': expected a decimal, but got {type(heat).__name__} instead."
        return ServerError(code="invalid_type", message=message, param=param)
    if heat < COLDEST:
        message = (
            f"Invalid '{param}': decimal below minimum value. Expected a value >= {COLDEST}, but got {heat} instead."
        )
        return ServerError(code="decimal_below_min_value", message=message, param=param)
    if heat > HOTTEST:
        message = (
            f"Invalid '{param}': decimal above maximum value. Expected a value <= {HOTTEST}, but got {heat} instead."
        )
        return ServerError(code="decimal_above_max_value", message=message, param=param)
    return None
