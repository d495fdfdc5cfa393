"""Addresses: one that cannot be dialled is told with what is wrong, before anything is dialled."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import UsageError
from tau_stage.protocol.addresses import check_address, origin
from tau_stage.protocol.endpoints import ENDPOINTS, endpoint
from tau_stage.session import create_session

WRONG = {
    "ws://host:99999": "its port is not a number from 1 to 65535",
    "ws://host:abc/v1": "its port is not a number from 1 to 65535",
    "ws://host:0": "its port is not a number from 1 to 65535",
    "ws://[::1": "its host is not a valid host name",
    "ws://a..b": "its host is not a valid host name",
    "ws://" + "x" * 70: "its host is not a valid host name",
    "ws://host/\udc80": "its host is not a valid host name",
    "ws://": "it has no host",
    "ws://:8000/v1": "it has no host",
    "ws://host /": "it contains a space or a control character",
    "ws://host/\r\nX: y": "it contains a space or a control character",
    "ws://user@host": "it has a user name but no password",
    "ws://host/#part": r"it contains a fragment \(#\)",
    "http://host/v1": "it does not start with ws:// or wss://.*\n  hint: did you mean ws://host/v1?",
    "https://host/v1": "it does not start with ws:// or wss://.*\n  hint: did you mean wss://host/v1?",
    "ftp://host": "it does not start with ws:// or wss://",
}


@pytest.mark.parametrize(("url", "problem"), WRONG.items())
async def test_an_address_that_cannot_be_dialled_is_refused_with_what_is_wrong(url: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check_address(url)
    with pytest.raises(UsageError, match=problem):
        async with create_session(endpoint=url):
            pass


@pytest.mark.parametrize("url", ["ws://[::1]:80/v1", "wss://münchen.example/süß?q=ä", "ws://u:p@host", "WS://HOST"])
def test_what_can_be_dialled_stays_as_it_is(url: str) -> None:
    assert check_address(url) == url


@pytest.mark.parametrize(
    "url", ["ftp://host?api_key=sk-HUSH-123456", "ws://u:sk-HUSH-123456@host:abc", "ws://u:sk-HUSH-123456@[::1"]
)
def test_a_key_in_a_wrong_address_is_not_told(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_address(url)
    assert "HUSH" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    for url in (text, f"ws://{text}", f"wss://host:{text}", f"wss://host/{text}"):
        try:
            assert check_address(url) == url
        except UsageError:
            continue


def test_whoever_differs_in_scheme_host_or_port_is_somebody_else() -> None:
    there = origin(urlsplit("wss://api.example/v1/realtime"))
    assert origin(urlsplit("wss://API.example:443/v2")) == there
    assert all(origin(urlsplit(url)) != there for url in ("ws://api.example", "wss://a.example", "wss://api.example:8"))


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("ws://h/v1?model=own", "ws://h/v1?model=own"),
        ("ws://h/v1?a=b%20c&model=own&a=2", "ws://h/v1?a=b%20c&model=own&a=2"),
        ("ws://h/v1?model=", "ws://h/v1?model=m%20x"),
        ("ws://h/v1?a=1&a=2", "ws://h/v1?a=1&a=2&model=m%20x"),
        ("ws://h/{model}/{x}?a={y}", "ws://h/m%20x/{x}?a={y}"),
        ("ws://h", "ws://h/v1/realtime?model=m%20x"),
    ],
)
def test_a_model_that_the_address_names_stands(url: str, dialled: str) -> None:
    assert endpoint(url).address("m x") == dialled


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        ("https://me.example/", "me.example"),
        ("me.example/", "me.example"),
        ("me.example:8443/path", "me.example:8443"),
    ],
)
def test_ones_own_host_is_given_with_or_without_scheme_and_path(resource: str, host: str) -> None:
    assert ENDPOINTS["azure"].address("m", resource) == f"wss://{host}/openai/v1/realtime?model=m"


def test_ones_own_host_that_is_none_is_told_with_its_variable() -> None:
    with pytest.raises(UsageError, match=r"AZURE_OPENAI_ENDPOINT: cannot connect to wss://me\.example:x/.* its port"):
        ENDPOINTS["azure"].address("m", "https://me.example:x")
