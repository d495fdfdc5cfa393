"""Keys never leave: what a server, an address or an error tells of them is struck out before anybody sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pydantic_core import from_json, to_json

from tau_stage.errors import UsageError

STRUCK = "[key]"
"""What stands in a key's place."""

SHORTEST = 8
"""Characters of the shortest key; what is shorter would be struck out of words that mean something else."""

BEARERS = ("authorization", "api-key")
"""Headers that hold a key, in lower case."""

_SECRET = re.compile(r"key|token|secret|password|passwd|credential|signature|^sig$|^auth", re.IGNORECASE)


_SIGN = re.compile(r"\\+u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})|\\*(.)", re.DOTALL)
_UNFINISHED = re.compile(r"(?:\\+(?:u[0-9a-fA-F]{0,3})?|%[0-9a-fA-F]?)$")
_WIDEST = 8
"""Characters of one character of a key, as it may be escaped."""

_ENDS = (".done", ".completed", ".failed")
_WORDS = ("transcript", "text", "arguments", "transcription")
Event = dict[str, Any]


class Secrets:
    r"""The keys of one connection, in every spelling a server may send them back in.

    Args:
        values: Plain.

    >>> Secrets(["sk-0123456789"]).strike("no such key: sk-\u0030123456789")
    'no such key: [key]'
    """

    def __init__(self, values: Iterable[str]) -> None:
        self.values = sorted({value for value in values if len(value) >= SHORTEST}, key=len, reverse=True)
        spellings = "|".join(map(_spellings, self.values)) or "(?!)"
        self._texts = re.compile(spellings)
        self._bytes = re.compile(spellings.encode("utf-8", "replace"))
        self._plain = [value.encode("utf-8", "replace") for value in self.values]

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], others: Iterable[str] = ()) -> Secrets:
        """The keys that travel with an upgrade: in its headers, in its address, and others on its way."""
        borne = [value.rpartition(" ")[2] for name, value in headers.items() if name.lower() in BEARERS]
        return cls([*borne, *_borne_by(url), *others])

    def strike(self, text: str) -> str:
        """A text without them."""
        return self._texts.sub(STRUCK, text)

    def strike_bytes(self, frame: bytes) -> bytes:
        """A frame without them; one that has none comes back as it is."""
        if b"\\" in frame or b"%" in frame:
            return self._bytes.sub(STRUCK.encode(), frame)
        for secret in self._plain:  # sound, above all: base64 has no escapes, and there is much of it
            frame = frame.replace(secret, STRUCK.encode()) if secret in frame else frame
        return frame

    def begun(self, text: str) -> int:
        """Where at the end of a text a key may have begun; the text's length where none has."""
        begin = max(0, len(text) - _WIDEST * len(self.values[0]) - _WIDEST) if self.values else len(text)
        end = text[begin:]
        unfinished = _UNFINISHED.search(end)
        signs = list(_SIGN.finditer(end, 0, unfinished.start() if unfinished else len(end)))
        plain = "".join(_plain(sign) for sign in signs)
        for at, sign in enumerate(signs):
            if any(value.startswith(plain[at:]) for value in self.values):
                return begin + sign.start()
        return begin + unfinished.start() if unfinished else len(text)


class Striker:
    """Strikes keys out of the frames of one connection, also where one comes in several deltas.

    Of a delta, what may be the beginning of a key waits for the next delta, or for the end of what it is a part of.

    Args:
        secrets: Of the connection.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held: dict[tuple[str, ...], Event] = {}

    def strike(self, frame: bytes) -> list[bytes]:
        """The frames to hand on: the one that came, behind what was held back for it."""
        frame = self._secrets.strike_bytes(frame)
        may_be_words = b'"delta"' in frame and b"audio.delta" not in frame
        if not self._secrets.values or not (may_be_words or self._held):
            return [frame]
        try:
            event = from_json(frame)
        except ValueError:
            return [frame]
        if not isinstance(event, dict):
            return [frame]
        kind, delta = str(event.get("type")), event.get("delta")
        if kind.endswith(".delta") and isinstance(delta, str) and any(word in kind for word in _WORDS):
            return [self._delta(kind, event, delta, frame)]
        return [*(self._ended(event) if kind.endswith(_ENDS) else ()), frame]

    def _delta(self, kind: str, event: Event, delta: str, frame: bytes) -> bytes:
        names = ("response_id", "item_id", "call_id", "output_index", "content_index")
        part = (kind, *(str(event.get(name)) for name in names))
        before = self._held.pop(part, None)
        text = self._secrets.strike((before["delta"] if before else "") + delta)
        at = self._secrets.begun(text)
        if at < len(text):
            self._held[part] = event | {"delta": text[at:]}
        return frame if text == delta and at == len(text) else to_json(event | {"delta": text[:at]})

    def _ended(self, event: Event) -> Iterator[bytes]:
        """What was held back of whatever an event ends, as deltas."""
        for part, held in [*self._held.items()]:
            owners = [event.get("item_id"), event.get("response_id")]
            owners += [event[name].get("id") for name in ("item", "response") if isinstance(event.get(name), dict)]
            if any(owner and owner in (held.get("item_id"), held.get("response_id")) for owner in owners):
                del self._held[part]
                yield to_json(held)


def _spellings(value: str) -> str:
    """A pattern of a key with any of its characters escaped, by JSON once or more, or for an address."""
    return _spelling(value[0], r"(?:(?<!\\)\\+)?", r"(?<!\\)\\+") + "".join(
        _spelling(sign, r"\\*", r"\\+") for sign in value[1:]
    )


def _spelling(sign: str, slashes: str, some: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(f"{some}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    quoted = "".join(f"%{byte:02x}" for byte in sign.encode("utf-8", "surrogatepass"))
    return f"(?:{slashes}{re.escape(sign)}|(?i:{escaped}|{quoted}))"


def _plain(sign: re.Match[str]) -> str:
    code = sign[1] or sign[2]
    return chr(int(code, 16)) if code else str(sign[3])


def shown(url: str) -> str:
    """An address as it may be shown and kept: without its user, and without what its keys are.

    >>> shown("wss://me:pass@host/v1/realtime?tenant=x&api_key=0123")
    'wss://host/v1/realtime?tenant=x&api_key=[key]'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # no address; who reads on says so
        scheme, mark, rest = url.partition("://")
        place, *_ = re.split(r"[?#]", rest if mark else scheme)
        return (scheme + mark if mark else "") + place.rpartition("@")[2]
    told = [(name, STRUCK if _SECRET.search(name) else value) for name, value in _query(parts.query)]
    changed = any(value == STRUCK for _, value in told)
    query = urlencode(told, safe="[]") if changed else parts.query
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def sound_key(key: str, name: str) -> str:
    """A key as it can travel in a header, without blanks around it.

    Args:
        key: As it was given.
        name: Where it comes from.

    Raises:
        UsageError: It holds what no key does; its value is not told.
    """
    key = key.strip()
    if not key:
        raise UsageError(f"{name} is no key: it is empty", "copy the key once more")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{name} is no key: it holds a blank or a special character", "copy the key once more")
    return key


def _borne_by(url: str) -> list[str]:
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    borne = [value for name, value in _query(parts.query) if _SECRET.search(name)]
    return [*borne, *(unquote(part) for part in (user, password))]


def _query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)
