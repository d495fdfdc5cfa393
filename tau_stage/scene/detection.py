"""How turns are found where a microphone is open: what an author may write of it, and what the API calls it."""

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError

from tau_stage.scene import units
from tau_stage.scene.units import one_of, wrong
from tau_stage.scene.words import did_you_mean, listed


def turn_detection(value: object) -> object:
    """Read a way to find turns: its name, or a mapping with ``type`` and what else it knows.

    Raises:
        PydanticCustomError: There is no such way, or it knows no such thing.
    """
    hint = "write server_vad, semantic_vad, or {type: server_vad, silence: 800ms}"
    given = {"type": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        raise wrong("turn_detection is a name or a mapping", hint)
    kind = given.get("type", "server_vad")
    if not isinstance(kind, str) or kind not in DETECTIONS:
        what = f"there is no turn_detection '{kind}'" if isinstance(kind, str) else "'type' is a name"
        near = did_you_mean(kind, DETECTIONS, hint) if isinstance(kind, str) else hint
        raise wrong(what, near, inside="type" if isinstance(value, dict) else "")
    found: dict[str, str | int | float] = {"type": kind}
    known = DETECTIONS[kind]
    for key, text in given.items():
        if key not in known and not key.startswith("x-"):
            raise wrong(
                f"{kind} has no '{key}'", did_you_mean(key, known, f"it has: {listed(known)}"), inside=key, key=True
            )
        if key != "type" and key in known:
            name, read = known[key]
            found[name] = _inside(key, read, text)
    return tuple(found.items())


def _inside(key: str, read: Callable[[object], str | int | float], value: object) -> str | int | float:
    """Return what stands under a key; an error points there."""
    if not isinstance(value, str):
        raise wrong(f"'{key}' is one value, not a list or a mapping", "write the value alone", inside=key)
    try:
        return read(value)
    except PydanticCustomError as error:
        told = error.context or {}
        raise wrong(told["problem"], told["hint"], inside=key) from None


def _milliseconds(value: object) -> int:
    return round(float(str(units.duration(value))) * 1000)


def _threshold(value: object) -> float:
    if not re.fullmatch(r"0(\.\d{1,9})?|1(\.0)?", str(value), re.ASCII):
        raise wrong(f"a threshold is from 0 to 1, not '{value}'", "0.5 is usual; a higher one needs a louder voice")
    return float(str(value))


def _eagerness(value: object) -> str:
    return str(one_of("eagerness", "auto", "low", "medium", "high")(value))


DETECTIONS: dict[str, dict[str, tuple[str, Callable[[object], str | int | float]]]] = {
    "server_vad": {
        "type": ("type", str),
        "silence": ("silence_duration_ms", _milliseconds),
        "padding": ("prefix_padding_ms", _milliseconds),
        "idle": ("idle_timeout_ms", _milliseconds),
        "threshold": ("threshold", _threshold),
    },
    "semantic_vad": {"type": ("type", str), "eagerness": ("eagerness", _eagerness)},
}
"""Ways to find turns: what each knows, by the author's word: the API's word, and how it is read."""

_LASTS: dict[str, Any] = {"type": "string", "pattern": units.DURATION}
DETECTION_SCHEMA: dict[str, Any] = {
    "type": {
        "type": "string",
        "enum": list(DETECTIONS),
        "description": "server_vad: by silence; semantic_vad: by what is said. Default: server_vad.",
    },
    "silence": {**_LASTS, "description": "How long a silence ends a turn, like 800ms."},
    "padding": {**_LASTS, "description": "How much is kept of what was heard just before a turn, like 300ms."},
    "idle": {**_LASTS, "description": "After how long a silence the model speaks unasked, like 6s."},
    "threshold": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "How loud a voice must be, from 0 to 1; 0.5 is usual.",
    },
    "eagerness": {
        "type": "string",
        "enum": ["auto", "low", "medium", "high"],
        "description": "How soon a turn is taken for ended.",
    },
}
"""What an editor is told of each key."""
