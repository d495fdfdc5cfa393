"""Whether a session says what it said when it was recorded; and if not, what differs, in the scene's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Path = tuple[str | int, ...]

COUNTED = re.compile(r"tau_(evt|item)_\d+")
"""Ids that only count what a session has sent."""

NUMBERED = re.compile(r"(?:say|hear|line|heard)_(.+?)(?:_\d+)?")
"""Ids that hold a line's number, or an effect's name."""

FIELDS = {
    "instructions": "instructions",
    "voice": "voice",
    "speed": "speed",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "max_output_tokens": "max_output_tokens",
    "max_response_output_tokens": "max_output_tokens",
    "output_modalities": "output",
    "modalities": "output",
    "reasoning": "reasoning",
    "turn_detection": "turn_detection",
    "metadata": "metadata",
    "audio_end_ms": "the milliseconds heard",
    "output": "the tool's output",
    "model": "model",
}
SHOWN = 60


class Missing:
    """Stands where a field is missing."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class SentAudio:
    """Sound that is about to be sent."""

    data: bytes

    def __repr__(self) -> str:
        return f"{len(self.data)} bytes of sound"


IsSameAudio = Callable[[Mapping[str, Any], bytes], bool]
"""Whether a cassette's reference means these bytes."""


@dataclass(frozen=True, slots=True)
class EventDifference:
    """The first place where two events part.

    Attributes:
        path: Keys and places, from the event inwards.
        recorded: What the cassette has there.
        now: What is sent there.
    """

    path: Path
    recorded: Any
    now: Any

    @property
    def field(self) -> str:
        """The place in the scene's words.

        >>> EventDifference(("session", "audio", "output", "voice"), "ash", "sage").field
        'voice'
        >>> EventDifference(("item", "content", 0, "text"), "One.", "Two.").field
        'words'
        """
        if self.path[-1:] in (("text",), ("transcript",)):
            return "words"
        if isinstance(self.now, SentAudio) or (self.path[-1:] == ("audio",) and "session" not in self.path):
            return "sounds"
        named = next((FIELDS[step] for step in reversed(self.path) if isinstance(step, str) and step in FIELDS), None)
        return named or ".".join(map(str, self.path))

    def shown(self) -> tuple[str, str]:
        """Return both sides, cut to where they part.

        >>> EventDifference(("text",), "Good morning.", "Good evening.").shown()
        ("'Good morning.'", "'Good evening.'")
        """
        if isinstance(self.recorded, str) and isinstance(self.now, str):
            pairs = enumerate(zip(self.recorded, self.now, strict=False))
            parts = next((at for at, (a, b) in pairs if a != b), min(len(self.recorded), len(self.now)))
            start = max(0, parts - SHOWN // 2) if max(len(self.recorded), len(self.now)) > SHOWN else 0
            return _cut(self.recorded, start), _cut(self.now, start)
        return _brief(self.recorded), _brief(self.now)


def _cut(text: str, start: int) -> str:
    shown = text[start : start + SHOWN]
    return repr(("..." if start else "") + shown + ("..." if start + SHOWN < len(text) else ""))


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "clip" in value:
        return f"clip {str(value['clip'])[:12]}"
    text = repr(value)
    return text if len(text) <= 2 * SHOWN else text[: 2 * SHOWN] + "..."


def first_difference(recorded: Any, now: Any, is_same_audio: IsSameAudio, path: Path = ()) -> EventDifference | None:
    """Tell where an event is not as it was recorded; what only counts does not matter.

    Args:
        recorded: From the cassette.
        now: About to be sent, with ``Sound`` in it.
        is_same_audio: Judges sounds.
        path: Where this is.
    """
    if isinstance(now, SentAudio):
        same = isinstance(recorded, dict) and "clip" in recorded and is_same_audio(recorded, now.data)
        return None if same else EventDifference(path, recorded, now)
    if isinstance(recorded, dict) and isinstance(now, dict):
        keys = [*recorded, *(key for key in now if key not in recorded)]
        pairs = ((key, recorded.get(key, MISSING), now.get(key, MISSING)) for key in sorted(keys, key=_rank))
        return _first(pairs, is_same_audio, path)
    if isinstance(recorded, list) and isinstance(now, list):
        longest = range(max(len(recorded), len(now)))
        return _first(((at, _at(recorded, at), _at(now, at)) for at in longest), is_same_audio, path)
    if isinstance(recorded, str) and isinstance(now, str) and recorded != now:
        counted = COUNTED.fullmatch(recorded), COUNTED.fullmatch(now)
        if counted[0] and counted[1] and counted[0][1] == counted[1][1]:
            return None
    return None if recorded == now else EventDifference(path, recorded, now)


def _first(
    pairs: Iterator[tuple[str | int, Any, Any]], is_same_audio: IsSameAudio, path: Path
) -> EventDifference | None:
    found = (first_difference(old, new, is_same_audio, (*path, key)) for key, old, new in pairs)
    return next((difference for difference in found if difference), None)


def _at(values: Sequence[Any], at: int) -> Any:
    return values[at] if at < len(values) else MISSING


def _rank(key: str) -> int:
    """Return what matters is compared before our own ids."""
    return {"type": 0, "event_id": 3, "metadata": 2, "id": 2}.get(key, 1)


def changed_ids(recorded: Any, now: Any) -> Iterator[tuple[str, str]]:
    """Yield ids that count, where they are not as they were: a server's answers must name the new ones."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in recorded.keys() & now.keys():
            yield from changed_ids(recorded[key], now[key])
    elif isinstance(recorded, str) and isinstance(now, str) and recorded != now and COUNTED.fullmatch(now):
        yield recorded, now


def replace_ids(value: Any, names: Mapping[str, str]) -> Any:
    """Return a server's event with other ids."""
    if isinstance(value, dict):
        return {key: replace_ids(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [replace_ids(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def is_counterpart(recorded: Event, now: Event) -> bool:
    """Tell whether two events are about the same thing: the same kind, for the same line."""
    ids = [str(event.get("event_id") or "") for event in (recorded, now)]
    named = ids[0] == ids[1] or bool(COUNTED.fullmatch(ids[0]) and COUNTED.fullmatch(ids[1]))
    return recorded.get("type") == now.get("type") and named and _about(recorded) == _about(now)


def line_of(event: Event, lines: Mapping[str, str]) -> str:
    """Return id of the line, or name of the effect, that an event is about; empty where it is about none that is known.

    Args:
        event: A client's.
        lines: Ids by number.
    """
    about = _about(event)
    return lines.get(about, "" if about.isdigit() else about)


def _about(event: Event) -> str:
    if found := NUMBERED.fullmatch(str(event.get("event_id") or "")):
        return found[1]
    response = event.get("response")
    metadata = response.get("metadata") if isinstance(response, dict) else None
    return str(metadata.get("line") or "") if isinstance(metadata, dict) else ""


def describe_event(event: Event | None, lines: Mapping[str, str]) -> str:
    """Return a client's event in the scene's words."""
    if event is None:
        return "nothing more"
    line = line_of(event, lines)
    match event.get("type"):
        case "session.update":
            return "a change of the session"
        case "response.create":
            return f"a request to speak {line}".rstrip()
        case "conversation.item.create" if str(event.get("event_id")).startswith("hear_"):
            return f"{line or 'a line'} to hear"
        case "conversation.item.create":
            return f"the words of line {line}" if line else _words(event)
        case "input_audio_buffer.append":
            return "sound from the microphone"
        case "conversation.item.truncate":
            return "that it was cut short"
        case kind:
            return str(kind)


def _words(event: Event) -> str:
    item = event.get("item") or {}
    words = [part["text"] for part in item.get("content") or () if "text" in part]
    return _cut(" ".join(words) or str(item.get("type")), 0)
