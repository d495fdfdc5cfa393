"""Whether a session says what it said when it was recorded; and if not, what differs, in the scene's words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tau_stage.cassette.clips import Event, map_strings
from tau_stage.errors import format_if

COUNTED = re.compile(r"tau_(evt|item)_\d+")  # ids that only count what a session has sent

NUMBERED = re.compile(r"(?:say|hear|line|heard)_(.+?)(?:_\d+)?")
"""Ids that hold a line's number, or an effect's name."""

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
FIELDS: Mapping[str, str] = WORDS["fields"]
KINDS: Mapping[str, str] = WORDS["kinds"]

SHOWN = 60
MISSING = object()  # stands where a field is missing

RANKS = {"type": 0, "event_id": 3, "metadata": 2, "id": 2}  # what matters is compared before our own ids

Place = tuple[str | int, ...]
IsSameAudio = Callable[[Event, bytes], bool]  # whether a cassette's reference means these bytes


@dataclass(frozen=True, slots=True)
class SentAudio:
    """Sound that is about to be sent."""

    data: bytes

    def __repr__(self) -> str:
        return f"{len(self.data)} bytes of audio"


@dataclass(frozen=True, slots=True)
class EventDifference:
    """The first place where two events differ: keys and places, from the event inwards."""

    path: Place
    recorded: object
    now: object

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
        named = (FIELDS[step] for step in reversed(self.path) if isinstance(step, str) and step in FIELDS)
        return next(named, ".".join(map(str, self.path)))

    def shown(self) -> tuple[str, str]:
        """Return both sides, cut to where they differ.

        >>> EventDifference(("text",), "Good morning.", "Good evening.").shown()
        ("'Good morning.'", "'Good evening.'")
        """
        if not (isinstance(self.recorded, str) and isinstance(self.now, str)):
            return _brief(self.recorded), _brief(self.now)
        longest = max(len(self.recorded), len(self.now))
        pairs = enumerate(zip_longest(self.recorded, self.now))
        at = next((at for at, (old, new) in pairs if old != new), longest)
        start = max(0, at - SHOWN // 2) if longest > SHOWN else 0
        return _cut(self.recorded, start), _cut(self.now, start)


def _cut(text: str, start: int = 0) -> str:
    shown = text[start : start + SHOWN]
    return repr(format_if("...", start) + shown + format_if("...", start + SHOWN < len(text)))


def _brief(value: object) -> str:
    if isinstance(value, dict) and "clip" in value:
        return f"clip {str(value['clip'])[:12]}"
    text = "nothing" if value is MISSING else repr(value)
    return text if len(text) <= 2 * SHOWN else text[: 2 * SHOWN] + "..."


def first_difference(
    recorded: object, now: object, is_same_audio: IsSameAudio, path: Place = ()
) -> EventDifference | None:
    """Tell where an event that is about to be sent is not as it was recorded; what only counts does not matter."""
    if isinstance(now, SentAudio):
        same = isinstance(recorded, dict) and "clip" in recorded and is_same_audio(recorded, now.data)
        return None if same else EventDifference(path, recorded, now)
    if (pairs := _pairs(recorded, now)) is not None:
        found = (first_difference(old, new, is_same_audio, (*path, key)) for key, old, new in pairs)
        return next(filter(None, found), None)
    return None if recorded == now or _counts_alike(recorded, now) else EventDifference(path, recorded, now)


def _pairs(recorded: object, now: object) -> Iterator[tuple[str | int, object, object]] | None:
    """Pair what two containers hold, by key or place; None where they are not both of one kind."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        keys = sorted({**recorded, **now}, key=lambda key: RANKS.get(key, 1))
        return ((key, recorded.get(key, MISSING), now.get(key, MISSING)) for key in keys)
    if isinstance(recorded, list) and isinstance(now, list):
        return ((at, *pair) for at, pair in enumerate(zip_longest(recorded, now, fillvalue=MISSING)))
    return None


def _counts_alike(recorded: object, now: object) -> bool:
    old, new = (COUNTED.fullmatch(each) if isinstance(each, str) else None for each in (recorded, now))
    return bool(old and new and old[1] == new[1])


def changed_ids(recorded: object, now: object) -> Iterator[tuple[str, str]]:
    """Yield ids that count, where they are not as they were: a server's answers must name the new ones."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in recorded.keys() & now.keys():
            yield from changed_ids(recorded[key], now[key])
    elif isinstance(recorded, str) and isinstance(now, str) and recorded != now and COUNTED.fullmatch(now):
        yield recorded, now


def replace_ids(event: Event, names: Mapping[str, str]) -> Event:
    """Return a server's event with other ids."""
    replaced: Event = map_strings(event, lambda text, _keys: names.get(text, text))
    return replaced


def is_counterpart(recorded: Event, now: Event) -> bool:
    """Tell whether two events are about the same thing: the same kind, for the same line."""
    old, new = (str(event.get("event_id") or "") for event in (recorded, now))
    is_named_alike = old == new or all(map(COUNTED.fullmatch, (old, new)))
    return is_named_alike and recorded.get("type") == now.get("type") and _about(recorded) == _about(now)


def line_of(event: Event, lines: Mapping[str, str]) -> str:
    """Return the line's id, or the effect's name, that a client's event is about; empty where none is known."""
    about = _about(event)
    return lines.get(about, "" if about.isdigit() else about)


def _about(event: Event) -> str:
    if found := NUMBERED.fullmatch(str(event.get("event_id") or "")):
        return found[1]
    try:
        return str(event["response"]["metadata"]["line"] or "")
    except (KeyError, TypeError, IndexError):
        return ""


def describe_event(event: Event | None, lines: Mapping[str, str]) -> str:
    """Return a client's event in the scene's words."""
    if event is None:
        return "no further events"
    line, kind = line_of(event, lines), str(event.get("type"))
    if kind == "response.create":
        return f"a request to speak {line or 'a line'}"
    if kind != "conversation.item.create":
        return KINDS.get(kind, kind)
    if str(event.get("event_id")).startswith("hear_"):
        return f"the audio of {line or 'a line'}"
    return f"the words of line {line}" if line else _words(event)


def _words(event: Event) -> str:
    item = event.get("item") or {}
    words = [part["text"] for part in item.get("content") or () if "text" in part]
    return _cut(" ".join(words) or str(item.get("type")))
