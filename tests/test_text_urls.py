"""Addresses are shown and kept without their keys."""

import pytest

from tau_stage.text import bears_key, keys_of, redact_url

KEY = "HUSH-0123456789"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"wss://host/v1?api-key={KEY}", "wss://host/v1?api-key=[key]"),
        (f"wss://host/v1?key={KEY}&model=m", "wss://host/v1?key=[key]&model=m"),
        (f"wss://host/v1?token={KEY}", "wss://host/v1?token=[key]"),
        (f"wss://host/v1?KEY={KEY}", "wss://host/v1?KEY=[key]"),
        (f"wss://host/v1?%6bey={KEY}", "wss://host/v1?key=[key]"),
        (f"wss://host/v1?sig={KEY}", "wss://host/v1?sig=[key]"),
        (f"wss://host/v1?pwd={KEY}", "wss://host/v1?pwd=[key]"),
        (f"wss://host/v1#access_token={KEY}", "wss://host/v1#[key]"),
        (f"wss://me:{KEY}@host/v1", "wss://host/v1"),
        (f"wss://{KEY}@host/v1", "wss://host/v1"),
        (f"wss://me:{KEY}@[::1/v1", "wss://[::1/v1"),
        (f"wss://[::1/v1?key={KEY}", "wss://[::1/v1"),
    ],
)
def test_an_address_with_a_key_is_shown_without_it(url: str, told: str) -> None:
    assert redact_url(url) == told
    assert bears_key(url)
    assert KEY in keys_of(url)


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:8000/v1/realtime?tenant=a%20b&x=", "wss://host?", "WSS://host", "ws://[::1", "host", ""]
)
def test_an_address_without_a_key_is_told_as_what_it_is(url: str) -> None:
    assert not bears_key(url)
    assert keys_of(url) == []
    assert redact_url(url).lower().rstrip("?") == url.lower().rstrip("?")
