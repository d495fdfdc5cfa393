"""Keys never leave: what a server, an address or an error tells of them is struck out before anybody sees it."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from pydantic_core import to_json

from tau_stage.errors import UsageError
from tau_stage.protocol.items import JsonObject, parse_object
from tau_stage.text import STRUCK, keys_of

SHORTEST = 8  # characters of the shortest key; what is shorter would be struck out of words that mean something else
BEARERS = ("authorization", "api-key")  # headers that hold a key, in lower case
_HEX, _LEAD, _TAIL = "[0-9a-fA-F]", "[c-fC-F][0-9a-fA-F]", "%[89abAB][0-9a-fA-F]"
_ESCAPED = re.compile(
    rf"(?<!\\)\\++(?:u([dD][89abAB]{_HEX}{{2}})\\++u([dD]{_LEAD}{_HEX})|u({_HEX}{{4}}))"
    rf"|((?:%{_LEAD}(?:{_TAIL}){{1,3}})|%[0-7]{_HEX})|(?<!\\)\\++([^\\])",
    re.DOTALL,
)
"""One character: two halves of a pair, or one, as JSON escapes it; as an address does; or behind slashes.

A run of slashes is read from its beginning only, and once."""

_UNFINISHED = re.compile(
    rf"(?:\\+u[dD][89abAB]{_HEX}{{2}})?(?:\\+(?:u{_HEX}{{0,3}})?)?\Z|(?:%[89a-fA-F]{_HEX})*(?:%{_HEX}?)?\Z"
)
_WIDEST = 8  # characters of one character of a key, as it may be escaped
_ENDS = (".done", ".completed", ".failed")


class Secrets:
    r"""The keys of one connection, in every spelling a server may send them back in.

    >>> Secrets(["sk-0123456789"]).strike("no such key: sk-\u0030123456789")
    'no such key: [key]'
    """

    def __init__(self, values: Iterable[str]) -> None:
        plain = {value for value in values if len(value) >= SHORTEST}
        self.values = sorted(plain | {form for value in plain for form in _in_base64(value)}, key=len, reverse=True)
        read = {form.replace("\\", "") for value in self.values for form in (value, _unescaped(value))}
        self._plain = sorted(read - {""}, key=len, reverse=True)
        self._beginnings = frozenset(value[0] for value in self._plain)
        self._pattern = re.compile("|".join(map(re.escape, self._plain)) or "(?!)")
        self._bytes = [value.encode("utf-8", "replace") for value in self.values]

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], others: Iterable[str] = ()) -> Secrets:
        """Return the keys that travel with an upgrade: in its headers, in its address, and others on its way."""
        borne = [value.rpartition(" ")[2] for name, value in headers.items() if name.lower() in BEARERS]
        return cls([*borne, *(part for value in borne for part in _user_and_password(value)), *keys_of(url), *others])

    def strike(self, text: str) -> str:
        """Strike the keys out."""
        keys = [*self._pattern.finditer(_unescaped(text))]
        if not keys:
            return text
        origins = _Origins(text)
        found = [(origins.of(key.start()), origins.of(key.end())) for key in keys]
        begins, ends = [0, *(end for _, end in found)], [*(begin for begin, _ in found), len(text)]
        return STRUCK.join(text[begin:end] for begin, end in zip(begins, ends, strict=True))

    def strike_bytes(self, frame: bytes) -> bytes:
        """Strike the keys out of a frame; one that has none comes back as it is."""
        if self.values and (b"\\" in frame or b"%" in frame):
            text = frame.decode("utf-8", "surrogateescape")
            struck = self.strike(text)
            return frame if struck == text else struck.encode("utf-8", "surrogateescape")
        for secret in self._bytes:  # sound, above all: base64 has no escapes, and there is much of it
            frame = frame.replace(secret, STRUCK.encode()) if secret in frame else frame
        return frame

    def begun(self, text: str) -> int:
        """Tell where at the end of a text a key may have begun; the text's length where none has."""
        begin = max(0, len(text) - _WIDEST * len(self.values[0]) - _WIDEST) if self.values else len(text)
        end = text[begin:]
        done = min(found.start() for found in _UNFINISHED.finditer(end))
        plain = _unescaped(end[:done])
        for at, sign in enumerate(plain):
            if sign in self._beginnings and any(value.startswith(plain[at:]) for value in self._plain):
                return begin + _Origins(end[:done]).of(at)
        return begin + done


NO_SECRETS = Secrets(())  # of a connection in memory


def _unescaped(text: str) -> str:
    """Take the escapes of a text for what they spell."""
    return _ESCAPED.sub(_spelt, text) if "\\" in text or "%" in text else text


class _Origins:
    """Where the characters of a text without its escapes come from: its pieces, as they begin now and began before."""

    def __init__(self, text: str) -> None:
        self._places, self._origins, at = [0], [0], 0
        for found in _ESCAPED.finditer(text):
            place = self._places[-1] + found.start() - at
            self._places += (place, place + len(_spelt(found)))
            self._origins += (found.start(), at := found.end())

    def of(self, place: int) -> int:
        """Tell where a character comes from."""
        piece = bisect_right(self._places, place) - 1
        return self._origins[piece] + place - self._places[piece]


def _spelt(found: re.Match[str]) -> str:
    """Return the one character that an escape spells; slashes count for nothing, as they may be doubled."""
    high, low, code, quoted, sign = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if quoted and len(quoted) == 3:
        return chr(int(quoted[1:], 16)).strip("\\")
    if quoted:
        return unquote(quoted, errors="replace")[:1].strip("\\")
    return chr(int(code, 16)).strip("\\") if code else sign


class Striker:
    """Strikes keys out of the frames of one connection, also where one comes in several deltas.

    Of a delta, what may be the beginning of a key waits for the next delta, or for the end of what it is a part of.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held: dict[tuple[str, ...], JsonObject] = {}

    def strike(self, frame: bytes) -> list[bytes]:
        """Strike the keys out."""
        if not self._secrets.values:
            return [frame]
        frame = self._secrets.strike_bytes(frame)
        may_be_words = b'"delta"' in frame and b"audio.delta" not in frame
        if not (may_be_words or self._held):
            return [frame]
        event = parse_object(frame)
        if event is None:
            return [frame]
        kind, delta = str(event.get("type")), event.get("delta")
        if kind.endswith(".delta") and isinstance(delta, str):
            return [self._delta(kind, event, delta, frame)]
        return [*(self._ended(event) if kind.endswith(_ENDS) else ()), frame]

    def _delta(self, kind: str, event: JsonObject, delta: str, frame: bytes) -> bytes:
        names = ("response_id", "item_id", "call_id", "output_index", "content_index")
        part = (kind, *(str(event.get(name)) for name in names))
        before = self._held.pop(part, None)
        text = self._secrets.strike((before["delta"] if before else "") + delta)
        at = self._secrets.begun(text)
        if at < len(text):
            self._held[part] = event | {"delta": text[at:]}
        return frame if text == delta and at == len(text) else to_json(event | {"delta": text[:at]})

    def _ended(self, event: JsonObject) -> Iterator[bytes]:
        """Yield what was held back of whatever an event ends, as deltas."""
        for part, held in [*self._held.items()]:
            owners = [event.get("item_id"), event.get("response_id")]
            owners += [event[name].get("id") for name in ("item", "response") if isinstance(event.get(name), dict)]
            if any(owner and owner in (held.get("item_id"), held.get("response_id")) for owner in owners):
                del self._held[part]
                yield to_json(held)


def _in_base64(value: str) -> set[str]:
    """Return what a key looks like within something that is written in base64, wherever it begins there.

    The characters at its edges are shared with what stands beside it, and left out.
    """
    data = value.encode(errors="replace")
    found = set()
    for lead in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            whole = encode(bytes(lead) + data).decode()
            found.add(whole[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6])
    return found


def _user_and_password(value: str) -> tuple[str, ...]:
    """Return what a key of the kind ``Authorization: Basic`` holds; nothing where it is none."""
    try:
        text = b64decode(value, validate=True).decode("ascii")
    except ValueError:
        return ()
    return (text, *text.split(":", 1)) if text.isprintable() and ":" in text else ()


def check_key(key: str, name: str) -> str:
    """Return a key as it can travel in a header, without blanks around it.

    What no key holds is a ``UsageError``, which tells not its value, but ``name``, where it comes from.
    """
    key = key.strip()
    if not key:
        raise UsageError(f"{name} is not a valid key: it is empty", "copy the key again")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{name} is not a valid key: it contains a space or an invalid character", "copy the key again"
        )
    return key
