"""Short lines for what comes in many pieces: a delta that goes on where the one before has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass(slots=True)
class Shorthand:
    """Remembers, for each connection, the last piece of sound and the last piece of words.

    >>> full = {"type": "response.output_text.delta", "item_id": "item_1", "delta": "How "}
    >>> writer, reader = Shorthand(), Shorthand()
    >>> writer.short(1, full), writer.short(1, full | {"delta": "so?"})
    (None, {'words': 'so?'})
    >>> reader.learn(1, full)
    >>> reader.whole(1, {"words": "so?"})
    {'type': 'response.output_text.delta', 'item_id': 'item_1', 'delta': 'so?'}
    """

    _last: dict[tuple[int, str], Event] = field(default_factory=dict)

    def short(self, socket: int, event: Event) -> Event | None:
        """Return what stands for an event; None where it must be written in full."""
        kind = _kind(event)
        if not kind:
            return None
        before = self._last.get((socket, kind))
        self._last[socket, kind] = event
        delta = event["delta"]
        if before is None or before | {"delta": delta} != event or list(before) != list(event):
            return None
        if kind == "words":
            return {"words": delta}
        goes_on = before["delta"]["clip"] == delta["clip"] and before["delta"]["to"] == delta["from"]
        return {"sound": delta["to"]} if goes_on else None

    def learn(self, socket: int, event: Event) -> None:
        """Read an event that was written in full."""
        if kind := _kind(event):
            self._last[socket, kind] = event

    def whole(self, socket: int, told: Mapping[str, Any]) -> Event | None:
        """Return the event that a short line stands for; None where it stands for none.

        Raises:
            KeyError: Nothing came before it.
        """
        kind = next((kind for kind in ("sound", "words") if kind in told), None)
        if kind is None:
            return None
        before = self._last[socket, kind]
        delta = told[kind] if kind == "words" else before["delta"] | {"from": before["delta"]["to"], "to": told[kind]}
        event = self._last[socket, kind] = before | {"delta": delta}
        return event


def _kind(event: Mapping[str, Any]) -> str:
    delta = event.get("delta")
    if isinstance(delta, str):
        return "words"
    return "sound" if isinstance(delta, dict) and "to" in delta else ""
