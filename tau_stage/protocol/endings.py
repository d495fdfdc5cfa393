"""How a response ended, whatever a server calls it and wherever it puts the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from tau_stage.protocol.bodies import WireResponse
from tau_stage.protocol.frames import ERRORS, WORDS, words_in

Event = dict[str, Any]

Status = Literal["completed", "cancelled", "incomplete", "failed"]
UNUSABLE = "unusable_event"
"""Reason of a response that failed because something of it could not be used."""

STATUSES: tuple[Status, ...] = ("completed", "cancelled", "incomplete", "failed")

ENDS: dict[str, Status] = {
    "response.completed": "completed",
    "response.complete": "completed",
    "response.finished": "completed",
    "response.ended": "completed",
    "response.end": "completed",
    "response.cancelled": "cancelled",
    "response.canceled": "cancelled",
    "response.interrupted": "cancelled",
    "response.aborted": "cancelled",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.error": "failed",
}
"""Other names of ``response.done``, and the status that each tells."""

OTHER_STATUSES: dict[str, Status] = {
    "complete": "completed",
    "done": "completed",
    "success": "completed",
    "canceled": "cancelled",
    "interrupted": "cancelled",
    "aborted": "cancelled",
    "failure": "failed",
    "error": "failed",
    "errored": "failed",
}
"""Other names of a status."""

BESIDE = ("message", "reason", "description", "status_message", *(key for key in ERRORS if key != "error"))
"""Where the words of a failure stand outside its error."""

_SENTENCE = re.compile(r"\s")


def status_of(told: object) -> Status | None:
    """Return a status as a server tells it; None where that is none.

    >>> status_of("Completed"), status_of("error"), status_of("odd"), status_of(None)
    ('completed', 'failed', None, None)
    """
    name = told.casefold() if isinstance(told, str) else ""
    return next((known for known in STATUSES if name == known), OTHER_STATUSES.get(name))


def ended(event: Event, spelt: str = "") -> Event:
    """Turn the end of a response into ``response.done``: its status, and the error it failed of under ``error``.

    Args:
        event: As it came.
        spelt: Its type, where the server calls it otherwise.

    >>> ended({"type": "response.failed", "message": "no GPU"}, "response.failed")["response"]
    {'status': 'failed', 'error': {'message': 'no GPU'}}
    """
    told = event.get("response")
    response: Event = dict(told) if isinstance(told, dict) else {}
    if spelt:
        event = event | {"type": "response.done", "spelt": spelt}
        response = {
            key: event[key] for key in ("status", "status_details", "output", "metadata") if key in event
        } | response
    status = ENDS.get(spelt) or status_of(response.get("status"))
    if status is None and any(_errors(response, event)):
        status = "failed"
    if status is None and not spelt:
        return event
    response["status"] = status
    if status == "failed" and (error := _error(response, event)):
        response["error"] = error
    elif status in ("incomplete", "cancelled"):
        response |= _reason(response)
    return event | {"response": response}


def _errors(response: Event, event: Event) -> list[Any]:
    """Tell where an error may stand, the likeliest first."""
    details = response.get("status_details")
    return [details.get("error") if isinstance(details, dict) else None, response.get("error"), event.get("error")]


def _error(response: Event, event: Event) -> Event:
    """Return all that is told of a failure."""
    details, error = response.get("status_details"), Event()
    for place in _errors(response, event):
        _add(error, place, ("message", *WORDS), is_error=True)
    _add(error, details if isinstance(details, str | list) else {}, ())
    for place in (details, response, event):
        _add(error, place if isinstance(place, dict) else {}, BESIDE)
    return error


def _add(error: Event, place: Any, keys: Sequence[str], *, is_error: bool = False) -> None:
    """Add to an error what one place tells of it, where nothing tells it so far."""
    said: Any = place
    if isinstance(place, dict):
        said = next((place[key] for key in keys if place.get(key)), "")
        names = ("code", "type", "param", "event_id") if is_error else ("code",)
        for key in names:
            if isinstance(place.get(key), str | int):
                error.setdefault(key, place[key])
    words = str(said) if isinstance(said, int) else words_in(said)
    if words:
        error.setdefault("message", words)
        if not _SENTENCE.search(words):
            error.setdefault("code", words)


def _reason(response: Event) -> Event:
    """Tell why a response was not completed, where the server tells it otherwise."""
    details, others = response.get("status_details"), response.get("incomplete_details")
    told = details.get("reason") if isinstance(details, dict) else details
    told = told or (others.get("reason") if isinstance(others, dict) else others)
    return {"status_details": {"reason": told}} if isinstance(told, str) else {}


def outcome(response: WireResponse, problem: str) -> tuple[Status, str | None, str]:
    """Tell how a response ended, why, and the server's words on it.

    Args:
        response: As the server told its end.
        problem: What of it could not be used.
    """
    details = response.status_details
    error = response.error or (details.error if details else None)
    reason = (error.code or error.type) if error else details.reason if details else None
    message = error.message if error else ""
    if problem:
        return (
            "failed",
            UNUSABLE,
            f"the server sent what cannot be used: {problem}" + (f" ({message})" if message else ""),
        )
    return status_in(response), reason, message


def status_in(response: WireResponse) -> Status:
    """Tell how a response ended; where its status says nothing that is known, it failed if an error is told."""
    has_error = response.error or (response.status_details and response.status_details.error)
    return status_of(response.status) or ("failed" if has_error else "completed")
