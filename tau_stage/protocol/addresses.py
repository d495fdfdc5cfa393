"""Addresses of WebSockets, and of the proxies on the way: which can be used, and what is wrong where one cannot."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from tau_stage.errors import UsageError
from tau_stage.text import redact_url

SCHEMES = ("ws", "wss")
DEFAULT_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}

UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")

PROXY_VARIABLES = {
    "wss": ("wss_proxy", "socks_proxy", "https_proxy", "all_proxy"),
    "ws": ("ws_proxy", "socks_proxy", "https_proxy", "http_proxy", "all_proxy"),
}
"""Where a proxy is looked for, by the scheme of the address; the first that is set counts, in lower or upper case.
RFC 6455, section 4.1, has a WebSocket prefer a SOCKS proxy to one for https, and that to one for http."""

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")

_PLAIN_HOST = re.compile(r"[\w.-]+(:\d+)?/?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_ESCAPED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_NEEDS_NO_ESCAPE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@")


def check_address(url: str, source: str = "") -> str:
    """Check that an address can be dialled, and return it; ``source`` is the variable that holds it, if one does.

    One that cannot is a ``UsageError``, which tells nothing of a key.
    """
    if problem := _problem(url):
        hint = "use an address such as wss://host/v1/realtime"
        if url.lower().startswith(("http://", "https://")):
            hint = f"did you mean {redact_url('ws' + url[4:])}?"
        address = UNPRINTABLE.sub("?", redact_url(url).encode(errors="replace").decode())
        raise UsageError(f"{f'{source}: ' if source else ''}cannot connect to {address}: {problem}", hint)
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
        return "it contains a space or a control character"
    try:
        parts = _split(url)
    except ValueError:
        return "its host is not a valid host name"
    checks = (
        (parts.scheme not in SCHEMES, "it does not start with ws:// or wss://"),
        (not parts.hostname, "it has no host"),
        (not _has_sound_port(parts), "its port is not a number from 1 to 65535"),
        (parts.username and parts.password is None, "it has a user name but no password"),
        (parts.fragment, "it contains a fragment (#)"),
    )
    return next((problem for is_so, problem in checks if is_so), "")


def _split(url: str) -> SplitResult:
    """Split an address; one whose host cannot be looked up is a ``ValueError``."""
    url.encode()
    parts = urlsplit(url)
    (parts.hostname or "").encode("idna")
    return parts


def _has_sound_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that a variable of the environment names; its address may hold a password, and shows in no ``repr``."""

    variable: str
    url: str = field(repr=False)

    @property
    def address(self) -> str:
        """Its address without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def plain_url(self) -> str:
        """Its address with no more escapes than it needs: websockets before 17 takes them for what they spell."""
        return _ESCAPED.sub(
            lambda found: one if (one := chr(int(found[1], 16))) in _NEEDS_NO_ESCAPE else found[0], self.url
        )

    def __str__(self) -> str:
        return f"the proxy {self.address} from {self.variable}"


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that a connection goes through; None where it goes directly, as it does to this machine.

    The environment names proxies, and in ``no_proxy`` the hosts that are reached without. A proxy that cannot be used
    is a ``UsageError``, which does not tell its password.

    >>> str(proxy_for("wss://api.example/v1", {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}))
    'the proxy http://proxy.example:3128 from HTTPS_PROXY'
    """
    parts = urlsplit(url)
    exempt = _variable("no_proxy", environment)
    if is_loopback(url) or (exempt and _is_listed(parts, environment[exempt])):
        return None
    for name in PROXY_VARIABLES[parts.scheme]:
        if variable := _variable(name, environment):
            address = environment[variable].strip()
            if name == "socks_proxy":
                address = re.sub(r"^http://", "socks5h://", address)
            if problem := _proxy_problem(address):
                raise UsageError(f"{variable} is not a valid proxy: {problem[0]}", problem[1])
            return Proxy(variable, address)
    return None


def proxy_secrets(environment: Mapping[str, str]) -> set[str]:
    """Return what the proxies of an environment hold of passwords, in every form they are sent or told in."""
    found: set[str] = set()
    for name in {name for names in PROXY_VARIABLES.values() for name in names}:
        for variable in (name, name.upper()):
            user, mark, _ = environment.get(variable, "").rpartition("://")[2].rpartition("@")
            if mark and ":" in user:
                plain = unquote(user)
                spellings = {text.partition(":")[2] for text in (user, plain)}
                found |= {user, plain, b64encode(plain.encode(errors="replace")).decode(), *spellings}
    return found


def _variable(name: str, environment: Mapping[str, str]) -> str:
    """Return the variable that counts, in lower or upper case; empty where none does."""
    variable = name if name in environment else name.upper()
    return variable if environment.get(variable, "").strip() else ""


def is_loopback(place: str) -> bool:
    """Tell whether an address, an origin, or a name with or without a port, is this machine's own.

    >>> [is_loopback(place) for place in ("[::1]:8765", "http://localhost", "127.0.0.1.example.com", "null")]
    [True, True, False, False]
    """
    try:
        name = urlsplit(place if "://" in place else f"//{place}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_listed(parts: SplitResult, listed: str) -> bool:
    """Tell whether a host is in a list of names, of domains, of hosts with ports, or of networks."""
    host = (parts.hostname or "").lower()
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    for entry in re.split(r"[\s,]+", listed.lower()):
        name = entry.lstrip("*.").replace("[", "").replace("]", "")
        names = {name, name.removesuffix(f":{port}")} - {""}
        if entry == "*" or any(host == one or host.endswith(f".{one}") for one in names) or _in_network(host, name):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _proxy_problem(url: str) -> tuple[str, str] | None:
    """Say what is wrong with a proxy's address, and what to do; nothing of its password is told."""
    example = "http://user:password@host:3128"
    usual = f"use an address such as {example}, and percent-encode special characters in the password (@ is %40)"
    scheme, mark, rest = url.partition("://")
    scheme, host = scheme.lower(), url.rpartition("@")[2]
    kinds, known = ", ".join(f"{one}://" for one in PROXY_SCHEMES), host if _PLAIN_HOST.fullmatch(host) else "host:3128"
    needs_package = scheme.startswith("socks") and find_spec("python_socks") is None
    package, install = "the package python-socks, but it is not installed", "pip install 'python-socks[asyncio]'"
    checks = (
        (not (mark and _SCHEME.fullmatch(scheme)), "it has no scheme", f"write http://{known}"),
        (scheme not in PROXY_SCHEMES, f"{scheme}:// proxies are not supported", f"use {kinds}"),
        (not _is_address(f"{scheme}://{rest}"), "it is not a valid address", usual),
        ("@" in rest and ":" not in rest.rpartition("@")[0], "it has a user name but no password", usual),
        (needs_package, f"SOCKS proxies require {package}", install),
    )
    return next(((problem, hint) for is_so, problem, hint in checks if is_so), None)


def _is_address(url: str) -> bool:
    """Tell whether there is a host, and a port if any, and nothing behind it."""
    try:
        parts = _split(url)
        unquote(parts.netloc, errors="strict")
    except ValueError:
        return False
    is_alone = parts.path in ("", "/") and not (parts.query or parts.fragment or UNPRINTABLE.search(url))
    return is_alone and bool(parts.hostname) and _has_sound_port(parts)
