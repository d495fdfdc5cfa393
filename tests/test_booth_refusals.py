"""Whom a booth refuses, and what it does with what cannot be read: it says so, logs it, and goes on."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tau_stage.booth.booth_server import open_booth
from tau_stage.booth.hub import Hub
from tau_stage.errors import UsageError
from tau_stage.publisher import Publisher
from tests.support.open_booths import booth_process
from tests.test_booth import delta, fetched, messages, noise, page_of, told

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

HELLO = {"kind": "session", "name": "ann"}
HUNDRED_MB = 100 * 1024 * 1024
EVIL = "http://evil.example"


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tau_stage.booth")
    return caplog


def place(url: str) -> tuple[str, int]:
    """The scheme and authority of a booth, and its port."""
    base = url.rsplit("/", 2)[0]
    return base, int(base.rpartition(":")[2])


# ---- at the door


@pytest.mark.parametrize("socket", ["watch", "publish"])
@pytest.mark.parametrize(
    ("address", "headers", "problem"),
    [
        ("http://127.0.0.1:{port}/{token}/", {}, "Origin header is missing"),
        ("http://127.0.0.1:{port}/{token}/", {"Origin": EVIL}, "different origin"),
        ("http://127.0.0.1:{port}/{token}/", {"Origin": "null"}, "different origin"),
        ("http://127.0.0.1:{port}/{token}/", {"Origin": "http://127.0.0.1:1"}, "different origin"),
        ("http://127.0.0.1:{port}/{token}/", {"Origin": "http://localhost:{port}"}, "different origin"),
        ("http://127.0.0.1:{port}/not-it/", {"Origin": "http://127.0.0.1:{port}"}, "wrong token"),
        ("http://127.0.0.1:{port}/", {"Origin": "http://127.0.0.1:{port}"}, "wrong token"),
        ("http://evil.example:{port}/{token}/", {"Origin": "http://evil.example:{port}"}, "wrong host name"),
        ("http://127.0.0.1.nip.io:{port}/{token}/", {"Origin": "http://127.0.0.1.nip.io:{port}"}, "wrong host name"),
        ("http://[::ffff:127.0.0.1]:{port}/{token}/", {"Origin": "http://127.0.0.1:{port}"}, "wrong host name"),
    ],
)
async def test_a_socket_that_may_not_be_opened_is_refused_and_logged(
    logged: pytest.LogCaptureFixture, socket: str, address: str, headers: dict[str, str], problem: str
) -> None:
    async with open_booth(token="the-token") as url:
        port = place(url)[1]
        given = {name: value.format(port=port) for name, value in headers.items()}
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(
                f"ws{address.format(port=port, token='the-token')[4:]}{socket}",
                host="127.0.0.1",
                port=port,
                additional_headers=given,
            ):
                pass
        assert problem in logged.text
        assert (await fetched(url))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "problem"),
    [
        ("the-token/", {"Host": "evil.example"}, "wrong host name"),
        ("the-token/", {"Host": "127.0.0.1"}, "wrong host name"),
        ("the-token/", {"Host": ""}, "wrong host name"),
        ("the-token/page/booth.js", {"Origin": EVIL}, "different origin"),
        ("The-Token/", {}, "wrong token"),
        ("the-token-and-more/", {}, "wrong token"),
        ("the-toke", {}, "wrong token"),
        ("page/booth.js", {}, "wrong token"),
        ("x/../the-token/", {}, "wrong token"),
        ("", {}, "wrong token"),
    ],
)
async def test_a_request_that_may_not_be_made_is_refused_and_logged(
    logged: pytest.LogCaptureFixture, path: str, headers: dict[str, str], problem: str
) -> None:
    async with open_booth(token="the-token") as url:
        status, body, _ = await fetched(f"{place(url)[0]}/{path}", **headers)
        assert status == 403
        assert problem in body.decode()
        assert problem in logged.text


async def test_the_address_may_lack_its_last_slash() -> None:
    async with open_booth() as url:
        assert (await fetched(url.rstrip("/")))[:2] == (await fetched(url))[:2]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.org"])  # noqa: S104
async def test_what_other_machines_reach_is_said_twice(host: str) -> None:
    with pytest.raises(UsageError, match="is not a loopback address"):
        async with open_booth(host=host):
            pass


async def test_a_booth_for_other_machines_knows_its_addresses_and_no_name() -> None:
    async with open_booth(host="0.0.0.0", allow_remote=True) as url:  # noqa: S104
        port = place(url)[1]
        own = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        for host, status in ((f"192.0.2.1:{port}", 200), ("[2001:db8::1]:80", 200), (f"evil.example:{port}", 403)):
            assert (await fetched(own, Host=host))[0] == status
        assert (await fetched(own, Host=f"192.0.2.1:{port}", Origin=f"http://evil.example:{port}"))[0] == 403


# ---- paths


@pytest.mark.parametrize(
    "path",
    [
        "take/1/%00", "take/1/" + 300 * "x", "take/1/loop", "take/1/", "take/1/.", "take/" + 5000 * "9" + "/x",
        "take/x/y", "sound/1/x", "sound/" + 5000 * "9" + "/x", "page/%00.js", "page/..%2Fhub.js", "page/nothing.js",
    ],
)  # fmt: skip
async def test_what_is_not_there_is_said(tmp_path: Path, path: str) -> None:
    hub = Hub()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    hub.join({"kind": "take", "name": "t", "folder": str(tmp_path)}, None)
    async with open_booth(hub) as url:
        assert (await fetched(url + path))[0] == 404


# ---- messages


@pytest.mark.slow
@pytest.mark.parametrize("socket", ["watch", "publish"])
async def test_a_hundred_megabytes_end_their_socket_and_nothing_else(
    logged: pytest.LogCaptureFixture, socket: str
) -> None:
    """Slow: they are sent, as far as they are taken."""
    async with open_booth() as url, page_of(url) as other:
        await told(other, "welcome")
        origin: Any = place(url)[0]
        for message in ("x" * HUNDRED_MB, ["x" * (HUNDRED_MB // 100)] * 100):
            async with connect(f"ws{url[4:]}{socket}", origin=origin, max_size=None) as sender:
                if socket == "publish":
                    await sender.send(json.dumps({"hello": HELLO}))
                with pytest.raises(ConnectionClosed):  # noqa: PT012 - either of them tells it
                    await sender.send(message)
                    while True:
                        await sender.recv()
                assert sender.close_code in (1009, 1006)  # it may be cut off before it can read why
        await other.send("no json")
        assert (await told(other, "answer"))["problem"]
        assert logged.text.count("message too large") == 2


NONSENSE: list[str | bytes] = [
    "", "no json", "[]", "3", "null", '"x"', "[" * 100_000, '{"a":' * 100_000, '{"id": 1, "do": "\\ud800"}', "{}",
    '{"id": NaN}', '{"id": 1e999}', '{"id": ' + "9" * 5000 + "}", '{"do": ["say"], "to": 7}', '{"do": "say"}',
    '{"do": "say", "to": "1"}', '{"do": "say", "to": 1e3}', '{"do": "retake", "to": 1, "line": ["a"]}',
    '{"do": "retake", "to": [1]}', '{"do": "pick", "to": 2, "line": "a-1", "take": "1"}', b"", b"\1", bytes(5),
    b"\xff" * 2000,
]  # fmt: skip


async def test_a_page_that_sends_nonsense_hurts_nobody(logged: pytest.LogCaptureFixture) -> None:
    hub, wishes = Hub(), list[object]()
    hub.join(dict(HELLO), wishes.append)
    hub.join({"kind": "take", "name": "t", "folder": "/nowhere", "lines": [{"id": "a-1"}]}, None)
    async with open_booth(hub) as url, page_of(url) as page:
        await told(page, "welcome")
        for nonsense in NONSENSE:
            await page.send(nonsense)
            assert (await told(page, "answer"))["problem"], nonsense
        await page.send('{"do": "listen", "sources": 3}')
        await page.send('{"do": "listen", "sources": [null, "x", {}]}')
        await page.send('{"id": 5, "do": "say", "to": 1, "text": "still here"}')
        async with page_of(url) as other:
            await told(other, "welcome")
    assert wishes == [{"id": 1, "do": "say", "to": 1, "text": "still here"}]
    assert logged.text.count("a page sent an invalid message") >= 10


@pytest.mark.parametrize("query", ["seen=x", "seen=-1", "seen=" + "9" * 5000, "seen=%D9%A3", "epoch=%00&seen=1e9"])
async def test_a_page_that_has_seen_nonsense_sees_all(query: str) -> None:
    hub = Hub()
    source = hub.join(dict(HELLO), None)
    hub.keep_record(source, 1.0, {"type": "x"})
    async with open_booth(hub) as url:
        origin: Any = place(url)[0]
        async with connect(f"ws{url[4:]}watch?{query}", origin=origin) as page:
            assert (await told(page, "event"))["record"] == {"type": "x"}


BAD_FACTS: list[dict[str, Any]] = [
    {"before": 3}, {"before": [3]}, {"missed": "x"}, {"missed": []}, {"at": 1e999}, {"lines": 3}, {"lines": "abc"},
    {"folder": 3}, {"folder": "take"}, {"folder": "/a\0b"}, {"folder": "--help"},
    {"output_format": {"type": "audio/pcm", "rate": -1}}, {"output_format": {"type": "audio/pcm", "rate": "x"}},
]  # fmt: skip
BAD_HELLOS: list[str | bytes] = [
    "", "no json", "[]", '{"hello": 3}', '{"hello": {"kind": "session"}}', "[" * 100_000, b"\0" * 100,
    *(json.dumps({"hello": {**HELLO, **wrong}}).replace("Infinity", "1e999") for wrong in BAD_FACTS),
]  # fmt: skip


@pytest.mark.parametrize("hello", BAD_HELLOS)
async def test_a_hello_that_cannot_be_read_is_refused_and_logged(
    logged: pytest.LogCaptureFixture, hello: str | bytes
) -> None:
    async with open_booth() as url:
        origin: Any = place(url)[0]
        async with connect(f"ws{url[4:]}publish", origin=origin) as source:
            await source.send(hello)
            with pytest.raises(ConnectionClosed, match="1003"):
                await source.recv()
        assert "a source was closed" in logged.text
        assert (await fetched(url))[0] == 200


UNREADABLE = [
    '{"event": {"type": "x", "at": 1e999}}',
    "no json", "[]", "3", '{"event": 3}', '{"event": NaN}', '{"record": []}', '{"dropped": "x"}',
    '{"event": {"type": "response.output_audio.delta", "item_id": "i", "delta": "A"}}', '{"at": 1, "event": {"cut',
]  # fmt: skip


@pytest.mark.parametrize("line", UNREADABLE)
async def test_a_message_that_cannot_be_read_is_shown_as_text(logged: pytest.LogCaptureFixture, line: str) -> None:
    hub = Hub()
    source = hub.join(dict(HELLO), None)
    page = hub.open_page()
    hub.take_in(source, f'{line}\n{{"record": {{"type": "after"}}}}')
    _, event, after = await messages(page)
    assert event["event"] == {"type": "unreadable", "text": line}
    assert after["record"] == {"type": "after"}
    assert "cannot read a message from 'ann'" in logged.text


async def test_a_line_ends_where_it_is_broken_and_nowhere_else() -> None:
    hub, words = Hub(), "one\u2028two\u0085three\x1cfour\u2029five"
    source = hub.join(dict(HELLO), None)
    page = hub.open_page()
    hub.take_in(source, json.dumps({"event": {"type": "x", "delta": words}}, ensure_ascii=False))
    assert (await messages(page))[1]["event"] == {"type": "x", "delta": words}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["event", "record", "answer", "dropped", "at", "from", "type", "delta", "item_id", "id", "do", "to", "line", "take"]
)
KNOWN = st.sampled_from(["response.output_audio.delta", "say", "hear", "retake", "pick", "listen", "AAAA", "a-1", 1])
OBJECTS = st.dictionaries(FIELDS, JSON | KNOWN | st.dictionaries(FIELDS, JSON | KNOWN, max_size=4), max_size=5)


@pytest.mark.slow
@given(lines=st.lists(OBJECTS.map(json.dumps) | st.text(max_size=20), max_size=4))
def test_whatever_a_source_says_pages_are_sent_json(anyio_backend: str, lines: list[str]) -> None:  # noqa: ARG001
    """Slow: messages of many kinds are tried."""
    hub = Hub()
    source = hub.join(dict(HELLO), None)
    page = hub.open_page()
    hub.take_in(source, "\n".join(lines))
    for message in page._waiting:
        if isinstance(message, str):
            json.loads(message, parse_constant=pytest.fail)
            message.encode()


async def test_a_wish_whose_source_goes_is_answered() -> None:
    hub = Hub()
    source = hub.join(dict(HELLO), lambda _wish: None)
    page = hub.open_page()
    hub.ask(page, {"id": 4, "to": source.id, "do": "say", "text": "Are you there?"})
    hub.leave(source, "its connection was lost")
    answers = [each for each in await messages(page) if each["type"] == "answer"]
    assert answers == [{"type": "answer", "id": 4, "problem": "the recipient is disconnected"}]


async def test_what_is_waited_for_is_forgotten_with_the_page() -> None:
    hub = Hub()
    source = hub.join(dict(HELLO), lambda _wish: None)
    page = hub.open_page()
    hub.ask(page, {"id": 4, "to": source.id, "do": "say", "text": "Are you there?"})
    hub.close_page(page)
    assert hub._answers == {}


async def test_a_publisher_is_not_hurt_by_what_a_booth_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def command(wish: dict[str, Any]) -> None:
        asked.append(wish)

    hub = Hub()
    async with open_booth(hub) as url:
        monkeypatch.setenv("TAU_DEBUG_SERVER_URL", url)
        async with Publisher(lambda: dict(HELLO), command).running() as publisher:
            with anyio.fail_after(5):
                while not hub.sources:  # noqa: ASYNC110 - the world has no event for it
                    await anyio.sleep(0.005)
            source = hub.sources[1]
            assert source.send
            source.send({"do": "say", "text": "x" * 1_000_000})
            source.send({"id": [1]})
            source.send({"id": 1, "do": "say"})
            publisher.pass_on("server", 1.0, b"\xff\xfe no json")
            publisher.pass_on("server", 1.0, delta(noise(10)).encode())
            with anyio.fail_after(5):
                while len(asked) < 3:  # noqa: ASYNC110 - the world has no event for it
                    await anyio.sleep(0.005)
            assert source.send is not None


@pytest.mark.slow
async def test_a_booth_in_the_terminal_prints_whom_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow: a process of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with booth_process(stderr=subprocess.PIPE) as (url, process):
        assert (await fetched(place(url)[0]))[0] == 403
        origin: Any = place(url)[0]
        async with connect(f"ws{url[4:]}publish", origin=origin) as source:
            source.transport.write(b"\x81\x82\0\0\0\0\xff\xfe")  # a text that is none
            with pytest.raises(ConnectionClosed, match="1007"):
                await source.recv()
        assert (await fetched(url))[0] == 200
        process.terminate()
        said = process.communicate()[1]
    assert "refused http from 127.0.0.1" in said
    assert "the socket of a source was closed: invalid text" in said
    assert "Traceback" not in said
