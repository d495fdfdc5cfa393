"""Proxies of the environment: which one a connection goes through, and what is wrong with one that cannot be used."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from tau_stage.errors import UsageError
from tau_stage.protocol.addresses import DEFAULT_PORTS, UNPRINTABLE

VARIABLES = {
    "wss": ("wss_proxy", "socks_proxy", "https_proxy", "all_proxy"),
    "ws": ("ws_proxy", "socks_proxy", "https_proxy", "http_proxy", "all_proxy"),
}
"""Where a proxy is looked for, by the scheme of the address; the first that is set counts, in lower or upper case.
RFC 6455, section 4.1, has a WebSocket prefer a SOCKS proxy to one for https, and that to one for http."""

SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")

_PLAIN_HOST = re.compile(r"[\w.-]+(:\d+)?/?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_ESCAPED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_NEEDS_NO_ESCAPE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names.

    Attributes:
        variable: The variable that names it.
        url: Its address, with its password; it shows in no ``repr``.
    """

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
        return f"the proxy {self.address} of {self.variable}"


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that a connection goes through; None where it goes directly, as it does to this machine.

    Args:
        url: An address that can be dialled.
        environment: Names proxies, and in ``no_proxy`` the hosts that are reached without.

    Raises:
        UsageError: The proxy that it would be cannot be used; its password is not told.

    >>> str(proxy_for("wss://api.example/v1", {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}))
    'the proxy http://proxy.example:3128 of HTTPS_PROXY'
    """
    parts = urlsplit(url)
    exempt = _variable("no_proxy", environment)
    if _is_loopback(parts.hostname or "") or (exempt and _is_listed(parts, environment[exempt])):
        return None
    for name in VARIABLES[parts.scheme]:
        if variable := _variable(name, environment):
            address = environment[variable].strip()
            if name == "socks_proxy":
                address = re.sub(r"^http://", "socks5h://", address)
            return _sound(Proxy(variable, address))
    return None


def proxy_secrets(environment: Mapping[str, str]) -> set[str]:
    """Return what the proxies of an environment hold of passwords, in every form they are sent or told in."""
    found: set[str] = set()
    for name in {name for names in VARIABLES.values() for name in names}:
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


def _is_loopback(host: str) -> bool:
    return host == "localhost" or _in_network(host, "127.0.0.0/8") or _in_network(host, "::1/128")


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


def _sound(proxy: Proxy) -> Proxy:
    if problem := _problem(proxy.url):
        raise UsageError(f"{proxy.variable} names no proxy that can be used: {problem[0]}", problem[1])
    return proxy


def _problem(url: str) -> tuple[str, str] | None:
    """Say what is wrong with a proxy's address, and what to do; nothing of its password is told."""
    usual = "write it like http://user:password@host:3128, with special characters of the password as %40"
    scheme, mark, rest = url.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme.lower()):
        host = url.rpartition("@")[2]
        known = host if _PLAIN_HOST.fullmatch(host) else "host:3128"
        return "it has no scheme", f"write http://{known}"
    if (scheme := scheme.lower()) not in SCHEMES:
        return f"{scheme}:// is no kind of proxy", f"use {', '.join(f'{one}://' for one in SCHEMES)}"
    if not _is_address(f"{scheme}://{rest}"):
        return "it cannot be read as an address", usual
    if "@" in rest and ":" not in rest.rpartition("@")[0]:
        return "it has a user and no password", usual
    if scheme.startswith("socks") and find_spec("python_socks") is None:
        return "SOCKS wants the package python-socks, which is not installed", "pip install 'python-socks[asyncio]'"
    return None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        unquote(parts.netloc, errors="strict")
        host = parts.hostname or ""
        alone = parts.path in ("", "/") and not parts.query and not parts.fragment and not UNPRINTABLE.search(url)
        return alone and bool(host.encode("idna")) and parts.port != 0
    except ValueError:
        return False
