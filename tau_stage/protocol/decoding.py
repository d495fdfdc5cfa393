"""Reading what a server sends: any frame becomes one event, whatever the server makes of the protocol.

A frame is parsed, and named as the protocol has it: dialects differ, and some servers end a response or report an error
under names of their own. What is then not as the event's class has it is taken as absent and noted. An event that
lacks what it is for becomes an ``UnusableEvent``; nothing that a server sends raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import getitem
from typing import Any

from pybase64 import b64decode
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from tau_stage.protocol.dialects import GA, NEW_NAMES, Dialect, ignore
from tau_stage.protocol.items import JsonObject
from tau_stage.protocol.server_events import (
    ERROR_FIELDS,
    EVENT_TYPES,
    MESSAGE_FIELDS,
    STATUSES,
    AudioDelta,
    ErrorEvent,
    ResponseDone,
    ServerEvent,
    Status,
    UnknownEvent,
    UnusableEvent,
    status_of,
    text_in,
)
from tau_stage.text import one_line

Note = Callable[[str], None]  # is told of what is not as the protocol has it, with a sentence
Path = tuple[str | int, ...]  # keys and indexes that lead to a value in JSON
MOST_SHOWN = 160  # characters of a server's words that a message shows
FEWEST_IDS = 3  # how many ids of events a server has given before it may be taken to give each once
MOST_IDS = 256  # how many of them are remembered
LONG_FRAME, EACH = 1024, 16  # of a frame of so many bytes, which is sound, each 16th tells it from others

ENDS: dict[str, Status] = {f"response.{name}": status for name, status in STATUSES.items() if name != "done"}
"""Other names of ``response.done``, and the status that each tells."""

BESIDE_ERROR = ("message", "reason", "description", "status_message", *(key for key in ERROR_FIELDS if key != "error"))
"""Where the words of a failure stand outside its error."""

SOUNDS_LIKE_AN_ERROR = re.compile(
    r"error|fail|exception|denied|unauthori[sz]ed|forbidden|invalid|exceed|quota|limit|unavailable|bad gateway"
    r"|time.?out|not (found|allowed|authenti|authori)|missing|unsupported|unknown|refused|rejected|expired|traceback"
    r"|<!doctype|<html",
    re.IGNORECASE,
)

_ERROR_NAME = re.compile(r"(^|[._-])(error|failed|failure|exception)$", re.IGNORECASE)
_BETWEEN_LINES = re.compile(rb"(?<=\})\r?\n(?=\{)")
_HALF_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escape of half a surrogate pair whose other half does not stand beside it."""

_SOUND_FRAME = re.compile(rb'(.*?"event_id"\s*:\s*")[^"\\]*(".*"delta"\s*:\s*")[A-Za-z0-9+/=]*(".*)', re.DOTALL)
"""A frame of sound: what stands before its id, between that and its sound, and after it."""


JSON_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _letters(name: object) -> str:
    """Return a type by its letters alone: servers write them in other cases, and with other signs between words."""
    return re.sub(r"[^a-z]", "", name.casefold()) if isinstance(name, str) else ""


_SPELLINGS = {_letters(name): name for name in (*EVENT_TYPES, *NEW_NAMES, *ENDS)}


def decode(frame: bytes | str, dialect: Dialect = GA, note: Note = ignore) -> ServerEvent:
    """Read one text frame of a server, and take what comes.

    Only what has no default in an event's class must be whole. Anything else that is not what it should be is taken as
    absent, and ``note`` is told of each in a sentence.

    Returns:
        The event; an ``UnknownEvent`` where its type is unknown, an ``UnusableEvent`` where it lacks what it is for,
        or where the frame is no event at all.

    >>> decode(b'{"type":"input_audio_buffer.cleared","event_id":"event_1","obfuscation":"x"}')
    InputAudioBufferCleared(event_id='event_1', type='input_audio_buffer.cleared')
    >>> decode('{"type":"response.done","response":{"id":"r","status_details":"unimplemented"}}', note=print).type
    response.done: response.status_details is a string; treated as absent
    'response.done'
    """
    try:
        value = parse_json(frame)
    except ValueError:
        return _not_json(frame, note)
    event = _as_event(value, note)
    if event is None:
        holds_data = isinstance(value, dict) and "delta" in value
        problem = "received a frame that is not an event with a type"
        return UnusableEvent(type="", problem=problem, words=excerpt(value), breaks_response=holds_data)
    event = dialect.read(_named(event, note), note)
    kind = EVENT_TYPES.get(event["type"])
    if kind is None:
        return UnknownEvent.model_validate({**event, "event_id": str(event.get("event_id", ""))})
    if kind is ResponseDone:
        event = ended(event)
    elif kind is AudioDelta and event.get("delta") is None:
        event = _with_delta(event, note)
    return _validated(kind, event, note)


def parse_json(frame: bytes | str) -> object:
    """Parse JSON, or raise a ``ValueError``; half of a surrogate pair, where a server cuts words, becomes U+FFFD.

    A byte order mark, or the ``data:`` of server-sent events, may stand before it.
    """
    try:
        return from_json(frame)
    except ValueError:
        data = frame.encode() if isinstance(frame, str) else frame
        data = data.removeprefix(b"\xef\xbb\xbf").removeprefix(b"data:")
        return from_json(_HALF_PAIR.sub(rb"\\ufffd", data))


def split_frame(frame: bytes) -> list[bytes]:
    r"""Return the events of one frame: some servers send several, in lines or in a list.

    >>> split_frame(b'{"type":"a"}\n{"type":"b"}'), split_frame(b'[{"type":"a"},{"type":"b"}]')
    ([b'{"type":"a"}', b'{"type":"b"}'], [b'{"type":"a"}', b'{"type":"b"}'])
    """
    if b"\n" in frame and (b"}\n{" in frame or b"}\r\n{" in frame):  # most frames are sound, in one line
        return _BETWEEN_LINES.split(frame)
    if frame[:1] == b"[":
        try:
            events = from_json(frame)
        except ValueError:
            return [frame]
        if events and all(isinstance(event, dict) and event.get("type") for event in events):
            return [*map(to_json, events)]
    return [frame]


def _as_event(value: object, note: Note) -> JsonObject | None:
    """Return what was parsed as an event with a type; None where it is none, and reports no error."""
    if isinstance(value, dict):
        event: JsonObject = value
        if not event.get("type") and _letters(event.get("event")) in _SPELLINGS:
            event = event | {"type": event["event"]}
        if isinstance(event.get("type"), str) and event["type"]:
            return event
    error = _reported_error(value)
    if error is not None:
        note(f"an error arrived as {JSON_TYPES[type(value)]} without a type; treated as an error")
    return error


def _not_json(frame: bytes | str, note: Note) -> ServerEvent:
    """Return a frame that is no JSON: an error, where its words say so."""
    try:
        words = frame.decode() if isinstance(frame, bytes) else frame
    except UnicodeDecodeError:
        words = ""
    words = "" if "\0" in words else words
    if frame.lstrip()[:1] in (b"{", "{"):
        return UnusableEvent(type="", problem="a frame is not valid JSON", words=excerpt(words), breaks_response=True)
    if error := _reported_error(words):
        note("an error arrived as plain text; treated as an error")
        return ErrorEvent.model_validate(error)
    problem = "a frame is not valid JSON" if words else "a binary frame is not text"
    return UnusableEvent(type="", problem=problem, words=excerpt(words))


def excerpt(words: object) -> str:
    """Return a server's words as a message shows them: safe, on one line, and not too long."""
    text = words if isinstance(words, str) else to_json(words).decode()
    text = one_line(text[: MOST_SHOWN * 4])
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def _reported_error(value: object) -> JsonObject | None:
    """Return the error event that something stands for which is none; None where it reports no error."""
    words = text_in(value)
    if isinstance(value, dict):
        is_one = any(map(value.get, ERROR_FIELDS)) or SOUNDS_LIKE_AN_ERROR.search(words)
        return value | {"type": "error"} if is_one and "delta" not in value else None
    return {"type": "error", "error": {"message": excerpt(words)}} if SOUNDS_LIKE_AN_ERROR.search(words) else None


def _named(event: JsonObject, note: Note) -> JsonObject:
    """Return an event under the name that the protocol has for it, where it has one."""
    told = event["type"]
    if told in EVENT_TYPES or told in NEW_NAMES:
        return event
    known = _SPELLINGS.get(_letters(told), told)
    if known in ENDS:
        note(f"{excerpt(told)} is treated as response.done")
        return event | {"type": "response.done", "spelt": known}
    if known != told:
        note(f"{excerpt(told)} is treated as {known}")
        return event | {"type": known}
    has_words = any(map(event.get, ("message", *MESSAGE_FIELDS)))
    if event.get("error") or (has_words and _ERROR_NAME.search(told)):
        note(f"{excerpt(told)} is treated as error")
        return {"code": told} | event | {"type": "error"}
    return event


def _with_delta(event: JsonObject, note: Note) -> JsonObject:
    """Return a piece of sound whose sound stands elsewhere, or nowhere."""
    name = next((name for name in ("audio", "data") if isinstance(event.get(name), str)), "")
    taken = f"{name} is used instead" if name else "treated as empty"
    note(f"{event['type']}: delta {'is null' if 'delta' in event else 'is missing'}; {taken}")
    return event | {"delta": event.get(name, "")}


def _validated(kind: type[ServerEvent], event: JsonObject, note: Note) -> ServerEvent:
    """Make an event of JSON; what is not as it should be is taken out, until the event is whole without it."""
    problem = ""
    while True:
        try:
            return kind.model_validate(event)
        except ValidationError as error:
            odd = [odd_value(event, found["loc"], is_missing=found["type"] == "missing") for found in error.errors()]
        problem = problem or odd[0][1]
        if not all(path for path, _ in odd):
            return _unusable(event, problem)
        for _, oddity in odd:
            note(f"{event['type']}: {oddity}; treated as absent")
        remove(event, (path for path, _ in odd))


def _unusable(event: JsonObject, problem: str) -> UnusableEvent:
    ids = {name: value for name in ("response_id", "item_id") if isinstance(value := event.get(name), str)}
    return UnusableEvent(
        type=event["type"],
        event_id=str(event.get("event_id", "")),
        problem=problem,
        breaks_response=event["type"] == AudioDelta.model_fields["type"].default,
        **ids,
    )


# ---- the end of a response, whatever a server calls it and wherever it puts the reason


def ended(event: JsonObject) -> JsonObject:
    """Turn the end of a response into that of ``response.done``: its status, and the error it failed of."""
    spelt = str(event.get("spelt", ""))
    beside = ("status", "status_details", "output", "metadata") if spelt else ()
    response = {key: event[key] for key in beside if key in event} | _object(event.get("response"))
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


def _object(told: object) -> JsonObject:
    return told if isinstance(told, dict) else {}


def _errors(response: JsonObject, event: JsonObject) -> list[object]:
    """Tell where an error may stand, the likeliest first."""
    return [_object(response.get("status_details")).get("error"), response.get("error"), event.get("error")]


def _error(response: JsonObject, event: JsonObject) -> JsonObject:
    """Return all that is told of a failure."""
    details, error = response.get("status_details"), JsonObject()
    for place in _errors(response, event):
        _add(error, place, ("message", *MESSAGE_FIELDS), is_error=True)
    _add(error, details if isinstance(details, str | list) else {}, ())
    for place in (details, response, event):
        _add(error, _object(place), BESIDE_ERROR)
    return error


def _add(error: JsonObject, place: object, keys: Sequence[str], *, is_error: bool = False) -> None:
    """Add to an error what one place tells of it, where nothing tells it so far."""
    said: object = place
    if isinstance(place, dict):
        said = next((place[key] for key in keys if place.get(key)), "")
        names = ("code", "type", "param", "event_id") if is_error else ("code",)
        for key in names:
            if isinstance(place.get(key), str | int):
                error.setdefault(key, place[key])
    words = str(said) if isinstance(said, int) else text_in(said)
    if words:
        error.setdefault("message", words)
        if len(words.split()) == 1:
            error.setdefault("code", words)


def _reason(response: JsonObject) -> JsonObject:
    """Tell why a response was not completed, where the server tells it otherwise."""
    places = (response.get("status_details"), response.get("incomplete_details"))
    told = next(filter(None, (place.get("reason") if isinstance(place, dict) else place for place in places)), None)
    return {"status_details": {"reason": told}} if isinstance(told, str) else {}


# ---- what is not as it should be in JSON: named, and taken out


def odd_value(event: JsonObject, loc: Path, *, is_missing: bool) -> tuple[Path, str]:
    """Find where the value stands that an error of pydantic is about, and say what is odd of it.

    The place is empty where the whole cannot be used; of a missing value, it is its object's.
    """
    path, value = json_path(event, loc)
    place = ".".join(step for step in path if isinstance(step, str)) or "the event"
    return path, f"{place} has no {loc[-1]}" if is_missing else f"{place} is {JSON_TYPES[type(value)]}"


def json_path(value: Any, loc: Path) -> tuple[Path, Any]:
    """Return the steps of pydantic's way to an error that are steps in the JSON, and what is there.

    >>> json_path({"turns": {"type": "vad", "threshold": 7}}, ("turns", "vad", "threshold"))
    (('turns', 'threshold'), 7)
    """
    path: list[str | int] = []
    for step in loc:
        try:
            value = value[step]
        except (LookupError, TypeError):
            continue
        path.append(step)
    return tuple(path), value


def remove(event: JsonObject, paths: Iterable[Path]) -> None:
    """Take values out of JSON, in place."""
    for *way, last in sorted(set(paths), reverse=True):  # from behind, so that indexes hold
        place: Any = reduce(getitem, way, event)  # type: ignore[arg-type]
        del place[last]


class SoundFrames:
    r"""Reads a frame that differs from one of sound in its event's id and its sound alone, and does not parse it.

    >>> frames = SoundFrames()
    >>> frames.learn(b'{"type":"response.output_audio.delta","event_id":"e1","delta":"AAAA"}')
    >>> frames.read(b'{"type":"response.output_audio.delta","event_id":"e2","delta":"AQID"}')
    ('e2', b'\x01\x02\x03')
    >>> frames.read(b'{"type":"response.output_audio.delta","event_id":"e3","delta":"AQ-_"}')
    """

    def __init__(self) -> None:
        self._before = self._between = self._after = b""

    def learn(self, frame: bytes) -> None:
        """Learn what a frame of sound has in common with those that follow it."""
        if self._varied(frame) is None:
            found = _SOUND_FRAME.fullmatch(frame)
            is_plain = frame.count(b'"delta"') == frame.count(b'"event_id"') == 1
            self._before, self._between, self._after = found.groups() if found and is_plain else (b"", b"", b"")

    def read(self, frame: bytes) -> tuple[str, bytes] | None:
        """Return the event's id and the decoded sound; None where more differs, or one of them is odd."""
        if (found := self._varied(frame)) is None:
            return None
        try:
            return found[0].decode(), b64decode(found[1], validate=True)
        except ValueError:
            return None

    def _varied(self, frame: bytes) -> tuple[bytes, memoryview] | None:
        """Return what differs from frame to frame; None where anything else does."""
        id_at, sound_end = len(self._before), len(frame) - len(self._after)
        id_end = frame.find(b'"', id_at)
        sound_at = id_end + len(self._between)
        is_alike = frame.startswith(self._before) and frame.endswith(self._after)
        if not (id_at and is_alike and frame.startswith(self._between, id_end) and sound_at <= sound_end):
            return None
        event_id = frame[id_at:id_end]
        return None if b"\\" in event_id else (event_id, memoryview(frame)[sound_at:sound_end])


class Repeats:
    """Knows an event that a server sends twice by its id, where the server gives no two events the same.

    >>> repeats = Repeats()
    >>> [repeats.knows(*told) for told in ((b"1", "a"), (b"2", "b"), (b"3", "c"), (b"3", "c"), (b"1", "a"))]
    [False, False, False, True, True]
    >>> repeats.knows(b"4", "c"), repeats.knows(b"3", "c")
    (False, False)
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._are_unique = True

    def knows(self, frame: bytes, event_id: str) -> bool:
        """Tell whether an event came before."""
        if not (event_id and self._are_unique):
            return False
        content = hash(frame if len(frame) < LONG_FRAME else frame[::EACH])
        if event_id in self._seen:
            self._are_unique = self._seen[event_id] == content
            return self._are_unique and len(self._seen) >= FEWEST_IDS
        self._seen[event_id] = content
        if len(self._seen) > MOST_IDS:
            del self._seen[next(iter(self._seen))]
        return False
