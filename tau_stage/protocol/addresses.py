"""Addresses of WebSockets: whether one can be dialled, and what is wrong where it cannot."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from tau_stage.errors import UsageError
from tau_stage.text import shown

SCHEMES = ("ws", "wss")
DEFAULT_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}

UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


def sound_address(url: str, source: str = "") -> str:
    """Check that an address can be dialled, and return it as it was given.

    Args:
        url: As it was given.
        source: The variable that holds it, if it comes from one.

    Raises:
        UsageError: It cannot be dialled; what it holds of a key is not told.

    >>> sound_address("ws://localhost:8000/v1/realtime")
    'ws://localhost:8000/v1/realtime'
    """
    if problem := _problem(url):
        hint = "write it like wss://host/v1/realtime"
        if url.lower().startswith(("http://", "https://")):
            hint = f"did you mean {shown('ws' + url[4:])}?"
        raise UsageError(f"{f'{source}: ' if source else ''}{_clean(shown(url))} cannot be dialled: {problem}", hint)
    return url


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Return scheme, host and port: whoever differs in one of them is somebody else.

    >>> origin(urlsplit("wss://API.example/v1")) == origin(urlsplit("wss://api.example:443"))
    True
    """
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _problem(url: str) -> str:
    """Say what is wrong with an address; empty where nothing is."""
    if UNPRINTABLE.search(url):
        return "it holds a blank or a special character"
    try:
        url.encode()
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
    except ValueError:
        return "its host is no host name"
    if parts.scheme not in SCHEMES:
        return "it is no WebSocket, whose address begins with ws:// or wss://"
    if not host:
        return "it has no host"
    if not _has_sound_port(parts):
        return "its port is no number from 1 to 65535"
    if parts.username and parts.password is None:
        return "it has a user and no password"
    return "it has a fragment (#)" if parts.fragment else ""


def _has_sound_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("?", text.encode(errors="replace").decode())
