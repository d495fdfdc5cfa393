"""Keys are struck out wherever they come back, in whatever spelling."""

import pytest

from tau_stage.errors import UsageError
from tau_stage.protocol.endpoints import ENDPOINTS, endpoint
from tau_stage.protocol.secrets import Secrets, shown, sound_key

KEY = "sk-MARKER-0123456789"


def test_a_key_is_struck_out_in_every_spelling() -> None:
    secrets = Secrets(['sk-a/b"c+0123', KEY])
    told = 'plain sk-a/b"c+0123, json sk-a/b\\"c+0123, slashes sk-a\\/b\\"c+0123, address sk-a%2Fb%22c%2B0123'
    assert secrets.strike(told) == "plain [key], json [key], slashes [key], address [key]"
    assert secrets.strike_bytes(f'{{"message":"{KEY}"}}'.encode()) == b'{"message":"[key]"}'
    assert secrets.strike_bytes(frame := b"nothing") is frame


def test_what_is_too_short_for_a_key_is_left() -> None:
    assert Secrets(["right", ""]).strike("all right") == "all right"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("wss://host/v1", {"Authorization": f"Bearer {KEY}"}),
        ("wss://host/v1", {"api-key": KEY}),
        (f"wss://host/v1?tenant=x&api_key={KEY}", {}),
        (f"wss://host/v1?sig={KEY}", {}),
        (f"wss://me:{KEY}@host/v1", {}),
    ],
)
def test_keys_travel_in_headers_and_addresses(url: str, headers: dict[str, str]) -> None:
    assert Secrets.of(url, headers).strike(f"no: {KEY}") == "no: [key]"
    assert KEY not in shown(url)
    assert shown(url).startswith("wss://host/v1")


def test_an_address_without_a_key_is_shown_as_it_is() -> None:
    assert shown(url := "ws://127.0.0.1:8000/v1/realtime?tenant=a%20b&x=") == url


def test_an_endpoint_is_named_without_its_key_and_dialled_with_it() -> None:
    place = endpoint(f"ws://host/v1?token={KEY}")
    assert place.name == "ws://host/v1?token=[key]"
    assert place.address("m") == f"ws://host/v1?token={KEY}&model=m"


@pytest.mark.parametrize("key", ["two words", "sk-…", "sk-\x00", "sk\tx"])
def test_what_cannot_travel_is_no_key_and_is_not_told(key: str) -> None:
    with pytest.raises(UsageError) as raised:
        ENDPOINTS["openai"].key_in({"OPENAI_API_KEY": key})
    assert str(raised.value).startswith("OPENAI_API_KEY is no key: it holds a blank or a special character")
    assert key not in str(raised.value)


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    assert sound_key(f" {KEY}\n", "api_key") == KEY
    with pytest.raises(UsageError, match="api_key is no key: it is empty"):
        sound_key(" \n", "api_key")
    assert ENDPOINTS["openai"].key_in({}) is None
