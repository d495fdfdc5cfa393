"""Keys are struck out wherever they come back, in whatever spelling."""

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import UsageError
from tau_stage.protocol.endpoints import ENDPOINTS, endpoint
from tau_stage.protocol.secrets import Secrets, Striker, check_key

KEY = "sk-MARKER-0123456789"


def test_a_key_is_struck_out_in_every_spelling() -> None:
    secrets = Secrets(['sk-a/b"c+0123', KEY])
    told = 'plain sk-a/b"c+0123, json sk-a/b\\"c+0123, slashes sk-a\\/b\\"c+0123, address sk-a%2Fb%22c%2B0123'
    assert secrets.strike(told) == "plain [key], json [key], slashes [key], address [key]"
    assert secrets.strike_bytes(f'{{"message":"{KEY}"}}'.encode()) == b'{"message":"[key]"}'
    assert secrets.strike_bytes(frame := b"nothing") is frame
    assert Secrets(["schlüssel"]).strike("as an address has it: schl%C3%BCssel") == "as an address has it: [key]"
    assert Secrets(["sk-a😀bcdefg"]).strike("in two units sk-a\\ud83d\\ude00bcdefg") == "in two units [key]"


def escaped(sign: str) -> str:
    return f"\\u{ord(sign):04X}"


@pytest.mark.parametrize(
    "told",
    [
        KEY,
        "".join(map(escaped, KEY)),
        "sk-" + "".join(map(escaped, "MARKER")) + "-0123456789",
        "sk\\\\u002dMARKER-0123456789",
        "%73k%2dMARKER-0123456789",
        "\\u0073k-MARKER-012345678%39",
    ],
)
def test_a_key_is_struck_out_with_any_of_its_characters_escaped(told: str) -> None:
    assert Secrets([KEY]).strike(f"a {told} b") == "a [key] b"
    assert Secrets([KEY]).strike_bytes(f'{{"a": "{told}"}}'.encode()) == b'{"a": "[key]"}'


PART = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


def frame(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": f"response.{kind}", **PART, **fields}).encode()


def joined(frames: Sequence[bytes]) -> str:
    return "".join(json.loads(each).get("delta", "") for each in frames)


@pytest.mark.parametrize(
    "kind", ["output_audio_transcript.delta", "output_text.delta", "function_call_arguments.delta"]
)
@given(told=st.sampled_from([KEY, "".join(map(escaped, KEY)), KEY.replace("-", "%2d")]), data=st.data())
def test_a_key_is_struck_out_of_deltas_wherever_it_is_split(kind: str, told: str, data: st.DataObject) -> None:
    whole = f"Well, {told} is 100% s"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in itertools.pairwise([0, *cuts, len(whole)])]
    striker = Striker(Secrets([KEY, "another-key"]))
    sent = [each for piece in pieces for each in striker.strike(frame(kind, delta=piece))]
    sent += striker.strike(frame("done", response={"id": "resp_1"}))
    assert joined(sent) == "Well, [key] is 100% s"


def test_ordinary_deltas_and_other_frames_are_handed_on_as_they_came() -> None:
    striker = Striker(Secrets([KEY]))
    frames = [
        frame("output_text.delta", delta="Good evening. "),
        frame("output_audio.delta", delta="AAAA"),
        b'{"delta": ',
        b'["delta"]',
        b'{"type": "other.delta", "delta": 5}',
    ]
    assert [striker.strike(each) for each in frames] == [[each] for each in frames]
    assert Striker(Secrets([])).strike(frames[0]) == [frames[0]]


def test_what_was_held_back_comes_with_the_end_of_what_it_belongs_to() -> None:
    striker = Striker(Secrets([KEY]))
    (held,) = striker.strike(frame("output_text.delta", delta="Yes"))
    assert json.loads(held)["delta"] == "Ye"
    for other in (b'{"type": "rate_limits.updated"}', b'{"type": "response.done", "response": {"id": "resp_2"}}'):
        assert striker.strike(other) == [other]
    rest, end = striker.strike(done := frame("output_text.done", text="Yes"))
    assert (json.loads(rest)["delta"], end) == ("s", done)
    assert striker.strike(done) == [done]


def test_what_is_too_short_for_a_key_is_left() -> None:
    assert Secrets(["right", ""]).strike("all right") == "all right"


SIGNS = st.sampled_from('ab/+=-_"u0041 é😀')


def spelt(sign: str, how: int) -> str:
    """One character of a key as a server may write it."""
    units = sign.encode("utf-16-be").hex()
    in_json = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    in_an_address = "".join(f"%{byte:02X}" for byte in sign.encode())
    twice = in_json.replace("\\", "\\\\")
    behind_a_slash = f"\\{sign}" if sign in '/\\"' else in_json
    return (in_json, in_an_address, twice, behind_a_slash)[how]


@given(tail=st.text(SIGNS, min_size=8, max_size=20), hows=st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_key_of_any_characters_is_struck_out_in_any_mixture_of_spellings(tail: str, hows: list[int]) -> None:
    key = f"sk-{tail}"
    told = "".join(spelt(sign, how) for sign, how in zip(key, hows, strict=False))
    assert Secrets([key]).strike(f"a {told} b") == "a [key] b"
    assert Secrets([key]).strike(f"a {key} b") == "a [key] b"


@pytest.mark.parametrize("key", ["a\\bcdefgh", "ab%41cdefgh", "abcdefgh\\"])
def test_a_password_may_hold_what_escapes_are_made_of(key: str) -> None:
    for told in (key, json.dumps(key)[1:-1], quote(key), "".join(map(escaped, key))):
        assert Secrets([key]).strike(f"<{told}>").strip("<>\\") == "[key]"


@pytest.mark.parametrize("lead", ["", "B", "Be", "Bearer ", '{"authorization": "Bearer '])
@pytest.mark.parametrize("tail", ["", "=", "==", '"}'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_is_struck_out_of_what_is_written_in_base64(
    lead: str, tail: str, encode: Callable[[bytes], bytes]
) -> None:
    key = "sk-~~~???0123456789"
    told = encode(f"{lead}{key}{tail}".encode()).decode()
    before, after = Secrets([key]).strike(told).split("[key]")
    assert told.startswith(before)
    assert told.endswith(after)
    assert len(before + after) <= len(encode(f"{lead}{tail}".encode())) + 4


def test_the_keys_of_a_connection_are_those_that_travel_and_what_they_are_made_of() -> None:
    basic = base64.b64encode(b"inworld-id-01:inworld-secret-02").decode()
    struck = Secrets.of("wss://host", {"Authorization": f"Basic {basic}"}).strike
    assert struck(f"{basic}, inworld-secret-02, inworld-id-01:inworld-secret-02") == "[key], [key], [key]"
    by_url = Secrets.of("wss://mr-user-1:pass%40word1@host/v1?key=a+b%2B01234", {}).strike
    told = ["pass@word1", "pass%40word1", "mr-user-1:pass@word1", "a+b%2B01234", "a b+01234"]
    told.append(base64.b64encode(b"mr-user-1:pass@word1").decode())
    assert [by_url(each) for each in told] == ["[key]"] * len(told)
    not_basic = base64.b64encode(b"\x00\xff: no text at all").decode()
    assert Secrets.of("wss://host", {"Authorization": f"Basic {not_basic}"}).strike(not_basic) == "[key]"
    assert Secrets.of("wss://host", {}, ["proxy-password"]).strike("proxy-password") == "[key]"


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


def test_an_endpoint_is_named_without_its_key_and_dialled_with_it() -> None:
    place = endpoint(f"ws://host/v1?token={KEY}")
    assert place.name == "ws://host/v1?token=[key]"
    assert place.address("m") == f"ws://host/v1?token={KEY}&model=m"


@pytest.mark.parametrize("key", ["two words", "sk-…", "sk-\x00", "sk\tx"])
def test_what_cannot_travel_is_no_key_and_is_not_told(key: str) -> None:
    with pytest.raises(UsageError) as raised:
        ENDPOINTS["openai"].key_in({"OPENAI_API_KEY": key})
    assert str(raised.value).startswith(
        "OPENAI_API_KEY is not a valid key: it contains a space or an invalid character"
    )
    assert key not in str(raised.value)


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    assert check_key(f" {KEY}\n", "api_key") == KEY
    with pytest.raises(UsageError, match="api_key is not a valid key: it is empty"):
        check_key(" \n", "api_key")
    assert ENDPOINTS["openai"].key_in({}) is None
