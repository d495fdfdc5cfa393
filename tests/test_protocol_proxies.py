"""Proxies: which one the environment names for an address, and what is wrong with one that cannot be used."""

from __future__ import annotations

import base64
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import UsageError
from tau_stage.protocol.addresses import PROXY_SCHEMES, Proxy, proxy_for, proxy_secrets

OUTSIDE = "wss://api.example/v1/realtime"
HOUSE = "ws://192.168.77.5:8000/v1/realtime"
PROXY = "http://proxy.example:3128"
PASSWORD = "HUSH-HUSH-0123"


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        (OUTSIDE, {}, None),
        (OUTSIDE, {"https_proxy": PROXY}, "https_proxy"),
        (OUTSIDE, {"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        (OUTSIDE, {"HTTPS_PROXY": "http://other", "https_proxy": PROXY}, "https_proxy"),
        (OUTSIDE, {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        (OUTSIDE, {"all_proxy": PROXY}, "all_proxy"),
        (OUTSIDE, {"ALL_PROXY": "http://other", "https_proxy": PROXY}, "https_proxy"),
        (OUTSIDE, {"http_proxy": PROXY}, None),
        (OUTSIDE, {"wss_proxy": PROXY, "https_proxy": "http://other"}, "wss_proxy"),
        (HOUSE, {"http_proxy": PROXY}, "http_proxy"),
        (HOUSE, {"https_proxy": PROXY, "http_proxy": "http://other"}, "https_proxy"),
        (HOUSE, {"all_proxy": f" {PROXY} "}, "all_proxy"),
        ("ws://127.0.0.1:8000", {"all_proxy": "nonsense"}, None),
        ("ws://127.8.8.8:8000", {"all_proxy": "nonsense"}, None),
        ("ws://[::1]:8000", {"all_proxy": "nonsense"}, None),
        ("wss://localhost", {"all_proxy": "nonsense"}, None),
        ("wss://models.localhost", {"all_proxy": "nonsense"}, None),
    ],
)
def test_the_first_variable_that_is_set_counts(url: str, environment: dict[str, str], variable: str | None) -> None:
    found = proxy_for(url, environment)
    assert (found.variable if found else None) == variable
    assert found is None or found.url == PROXY


@pytest.mark.parametrize(
    ("url", "listed", "exempt"),
    [
        (OUTSIDE, "*", True),
        (OUTSIDE, "other.example, API.example", True),
        (OUTSIDE, ".example", True),
        (OUTSIDE, "*.example", True),
        (OUTSIDE, "example other", True),
        (OUTSIDE, "xample", False),
        (OUTSIDE, "api.example:443", True),
        (OUTSIDE, "api.example:80", False),
        (OUTSIDE, ", ,", False),
        (HOUSE, "192.168.77.5", True),
        (HOUSE, "192.168.77.5:8000", True),
        (HOUSE, "192.168.0.0/16", True),
        (HOUSE, "192.168.0.0/24", False),
        (HOUSE, "not/a/network", False),
        ("ws://[fd00::5]:8000", "[fd00::5]:8000", True),
        ("ws://[fd00::5]:8000", "fd00::/8", True),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_hosts_of_no_proxy_are_reached_without(url: str, listed: str, exempt: bool, name: str) -> None:
    assert (proxy_for(url, {"all_proxy": PROXY, name: listed}) is None) is exempt


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("proxy.example:3128", "it has no scheme\n  hint: write http://proxy.example:3128"),
        (f"me:{PASSWORD}@proxy.example:3128", "it has no scheme\n  hint: write http://proxy.example:3128"),
        (f"me:{PASSWORD}://x@proxy", "it has no scheme\n  hint: write http://proxy"),
        (f"{PASSWORD}#?", "it has no scheme\n  hint: write http://host:3128"),
        (f"ftp://me:{PASSWORD}@127.0.0.1:1", "ftp:// proxies are not supported\n  hint: use http://"),
        ("socks://127.0.0.1:1", "socks:// proxies are not supported"),
        ("http://[::1", "it is not a valid address"),
        ("http://", "it is not a valid address"),
        (f"http://me:{PASSWORD}/#@host:3128", "it is not a valid address"),
        (f"http://me:#{PASSWORD}@host:3128", "it is not a valid address"),
        (f"http://me:%ff{PASSWORD}@host:3128", "it is not a valid address"),
        ("http://host:99999", "it is not a valid address"),
        ("http://ho st:1", "it is not a valid address"),
        ("http://host/path", "it is not a valid address"),
        ("http://me@host", "it has a user name but no password"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable(value: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        proxy_for(OUTSIDE, {"HTTPS_PROXY": value})
    assert f"HTTPS_PROXY is not a valid proxy: {problem}" in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.skipif(find_spec("python_socks") is not None, reason="python-socks is installed")
@pytest.mark.parametrize("name", ["https_proxy", "socks_proxy"])
def test_a_socks_proxy_wants_its_package(name: str) -> None:
    value = "socks5h://127.0.0.1:1" if name == "https_proxy" else "http://127.0.0.1:1"
    with pytest.raises(UsageError, match=f"{name} is not .* python-socks, but it is not installed"):
        proxy_for(OUTSIDE, {name: value})


@given(st.text(), st.sampled_from(["", *(f"{scheme}://" for scheme in PROXY_SCHEMES), "http://me:"]))
def test_any_value_is_a_proxy_or_is_refused(text: str, before: str) -> None:
    try:
        proxy_for(OUTSIDE, {"https_proxy": before + text})
    except UsageError:
        return


def test_a_password_is_shown_nowhere_and_sent_as_it_is() -> None:
    proxy = Proxy("https_proxy", f"http://me:{PASSWORD}%40%2F@proxy.example:3128/")
    assert PASSWORD not in f"{proxy} {proxy!r} {proxy.address}"
    assert str(proxy) == "the proxy http://proxy.example:3128 from https_proxy"
    assert proxy.plain_url == f"http://me:{PASSWORD}@%2F@proxy.example:3128/"


def test_the_secrets_of_proxies_are_known_in_every_form() -> None:
    environment = {
        "HTTPS_PROXY": f"http://me:{PASSWORD}%40@proxy",
        "all_proxy": "me:other-word@proxy",
        "http_proxy": PROXY,
    }
    basic = base64.b64encode(f"me:{PASSWORD}@".encode()).decode()
    assert {f"{PASSWORD}%40", f"{PASSWORD}@", basic, "other-word"} <= proxy_secrets(environment)
    assert proxy_secrets({"http_proxy": PROXY}) == set()
