"""What a server sends that is no event: its words are found and shown, as a report of an error where they sound so."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

from tau_stage.text import one_line

Event = dict[str, Any]

MOST_SHOWN = 160
"""Characters of a server's words that a message shows."""

ERRORS = ("error", "errors", "error_message", "errorMessage", "error_msg", "last_error", "failure_reason", "detail")
"""Fields that only an error has."""

FEWEST_IDS = 3
"""How many ids of events a server has given before it may be taken to give each once."""

MOST_IDS = 256
"""How many of them are remembered."""

WORDS = ("details", "description", "reason", "text", "msg", "title", "status_message", *ERRORS)
"""Where servers put the words of an error that has no message."""

SOUNDS_LIKE_AN_ERROR = re.compile(
    r"error|fail|exception|denied|unauthori[sz]ed|forbidden|invalid|exceed|quota|limit|unavailable|bad gateway"
    r"|time.?out|not (found|allowed|authenti|authori)|missing|unsupported|unknown|refused|rejected|expired|traceback"
    r"|<!doctype|<html",
    re.IGNORECASE,
)

_BETWEEN_LINES = re.compile(rb"(?<=\})\r?\n(?=\{)")
_HALF_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escape of half a surrogate pair whose other half does not stand beside it."""


def parsed(frame: bytes | str) -> Any:
    """Parse JSON; half of a surrogate pair, where a server cuts words, becomes U+FFFD.

    A byte order mark, or the ``data:`` of server-sent events, may stand before it.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return from_json(frame)
    except ValueError:
        data = (
            (frame.encode() if isinstance(frame, str) else frame).removeprefix(b"\xef\xbb\xbf").removeprefix(b"data:")
        )
        return from_json(_HALF_PAIR.sub(rb"\\ufffd", data))


def parts_of(frame: bytes) -> list[bytes]:
    r"""Return the events of one frame: some servers send several, in lines or in a list.

    >>> parts_of(b'{"type":"a"}\n{"type":"b"}'), parts_of(b'[{"type":"a"},{"type":"b"}]')
    ([b'{"type":"a"}', b'{"type":"b"}'], [b'{"type":"a"}', b'{"type":"b"}'])
    """
    if b"}\n{" in frame or b"}\r\n{" in frame:
        return _BETWEEN_LINES.split(frame)
    if frame[:1] == b"[":
        try:
            events = from_json(frame)
        except ValueError:
            return [frame]
        if events and all(isinstance(event, dict) and event.get("type") for event in events):
            return [to_json(event) for event in events]
    return [frame]


def words_of(frame: bytes | str) -> str:
    r"""Return the words of a frame that is no JSON; empty where its bytes are no text.

    >>> words_of(b"<h1>502 Bad Gateway</h1>"), words_of(b"RIFF\x00\xff")
    ('<h1>502 Bad Gateway</h1>', '')
    """
    try:
        text = frame.decode() if isinstance(frame, bytes) else frame
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def words_in(value: object) -> str:
    """Return what is said by a text, or by the texts in a list or an object.

    >>> words_in([{"msg": "too long", "loc": ["body"]}, "too loud"])
    'too long; body; too loud'
    """
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return "; ".join(words for each in inner if (words := words_in(each)))
    return value if isinstance(value, str) else ""


def shown(words: object) -> str:
    r"""Return a server's words as a message shows them: safe, on one line, and not too long.

    >>> shown({"status": "ok\x1b"}), shown("No. " * 99)[-12:]
    ('{"status":"ok\\u001b"}', 'No. No. N...')
    """
    text = words if isinstance(words, str) else to_json(words).decode()
    text = one_line(text[: MOST_SHOWN * 4])
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def reported_error(value: object) -> Event | None:
    """Return the error event that something stands for which is none; None where it reports no error.

    >>> reported_error({"message": "Internal server error", "requestId": "7"})
    {'message': 'Internal server error', 'requestId': '7', 'type': 'error'}
    >>> reported_error("connected"), reported_error("ERROR: no such model")
    (None, {'type': 'error', 'error': {'message': 'ERROR: no such model'}})
    """
    words = words_in(value)
    if isinstance(value, dict):
        is_one = any(value.get(key) for key in ERRORS) or SOUNDS_LIKE_AN_ERROR.search(words)
        return value | {"type": "error"} if is_one and "delta" not in value else None
    return {"type": "error", "error": {"message": shown(words)}} if SOUNDS_LIKE_AN_ERROR.search(words) else None


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
        content = hash(frame)
        if event_id in self._seen:
            self._are_unique = self._seen[event_id] == content
            return self._are_unique and len(self._seen) >= FEWEST_IDS
        self._seen[event_id] = content
        if len(self._seen) > MOST_IDS:
            del self._seen[next(iter(self._seen))]
        return False
