"""Keys never leave: what a server, an address or an error tells of them is struck out before anybody sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from tau_stage.errors import UsageError

STRUCK = "[key]"
"""What stands in a key's place."""

SHORTEST = 8
"""Characters of the shortest key; what is shorter would be struck out of words that mean something else."""

BEARERS = ("authorization", "api-key")
"""Headers that hold a key, in lower case."""

_SECRET = re.compile(r"key|token|secret|password|passwd|credential|signature|^sig$|^auth", re.IGNORECASE)


class Secrets:
    """The keys of one connection, in every spelling a server may send them back in.

    Args:
        values: Plain.

    >>> Secrets(["sk-0123456789"]).strike("no such key: sk-0123456789")
    'no such key: [key]'
    """

    def __init__(self, values: Iterable[str]) -> None:
        spellings: set[str] = set()
        for value in values:
            if len(value) >= SHORTEST:
                escaped = json.dumps(value)[1:-1]
                spellings |= {value, escaped, escaped.replace("/", "\\/"), quote(value, safe="")}
        self._texts = sorted(spellings, key=len, reverse=True)
        self._bytes = [text.encode("utf-8", "replace") for text in self._texts]

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], others: Iterable[str] = ()) -> Secrets:
        """The keys that travel with an upgrade: in its headers, in its address, and others on its way."""
        borne = [value.rpartition(" ")[2] for name, value in headers.items() if name.lower() in BEARERS]
        return cls([*borne, *_borne_by(url), *others])

    def strike(self, text: str) -> str:
        """A text without them."""
        for secret in self._texts:
            text = text.replace(secret, STRUCK)
        return text

    def strike_bytes(self, frame: bytes) -> bytes:
        """A frame without them; one that has none comes back as it is."""
        for secret in self._bytes:
            if secret in frame:
                frame = frame.replace(secret, STRUCK.encode())
        return frame


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
