"""Addresses as they may be shown and kept: what they hold of keys and passwords is struck out. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import parse_qsl, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

STRUCK = "[key]"  # what stands in a key's place

_SECRET = re.compile(
    r"key|token|secret|passw|passphrase|^pass$|^pwd$|credential|signature|^sig$|^auth|jwt|bearer", re.IGNORECASE
)
"""Names of what holds a key."""


def redact_url(url: str) -> str:
    """Redact an address for showing and keeping: without its user, and without what its keys are.

    >>> redact_url("wss://me:pass@host/v1/realtime?tenant=x&api_key=0123")
    'wss://host/v1/realtime?tenant=x&api_key=[key]'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # no address; who reads on says so
        place = _parted(url)[0].rpartition("@")[2]
        scheme, mark, _ = url.partition("://")
        return f"{scheme}{mark}{place}" if mark else place
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(_SECRET.search(name) or value == STRUCK for name, value in pairs):
        query = urlencode([(name, STRUCK if _SECRET.search(name) else value) for name, value in pairs], safe="[]")
    fragment = STRUCK if _SECRET.search(unquote(parts.fragment)) else parts.fragment
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query, fragment=fragment))


def bears_key(url: str) -> bool:
    """Tell whether an address holds a key, a user or a password.

    >>> bears_key("ws://host/v1?key=0123"), bears_key("ws://me@host"), bears_key("ws://host/v1?model=a%20b")
    (True, True, False)
    """
    return bool(keys_of(url))


def keys_of(url: str) -> list[str]:
    """List what an address holds of keys, in every form in which it is sent: as it stands, decoded, and as a header.

    >>> keys_of("wss://me:p%40ss@host/v1?api_key=a+b")
    ['a+b', 'a b', 'me', 'p%40ss', 'p@ss', 'me:p@ss', 'bWU6cEBzcw==']
    """
    place, *behind = _parted(url)
    fields = [field.partition("=") for told in behind for field in told.split("&")]
    found = [
        form for name, _, value in fields if _SECRET.search(unquote(name)) for form in (value, unquote_plus(value))
    ]
    user, mark, password = place.rpartition("@")[0].partition(":")
    found += [user, unquote(user), password, unquote(password)]
    if mark:
        whole = f"{unquote(user)}:{unquote(password)}"
        found += [whole, b64encode(whole.encode(errors="replace")).decode()]
    return list(dict.fromkeys(filter(None, found)))


def _parted(url: str) -> tuple[str, str, str]:
    """Split off host with user, query and fragment; also of what is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        rest, _, fragment = url.rpartition("://")[2].partition("#")
        place, _, query = rest.partition("?")
        return place, query, fragment
    return parts.netloc, parts.query, parts.fragment
