"""Who knocks at the understudy: browsers, pages of other origins, port scans, and clients of Azure and of the beta."""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ConnectFailed
from tau_stage.transport import Handshake, dial
from tau_stage.understudy.admission import reject_origin, reject_reason
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.browser import CHROMIUM, open_browser
from tests.support.memory_server import MODEL, Client, bare_client
from tests.support.tone_voice import Tones
from tests.test_cli_validate import run

WHERE = f"/v1/realtime?model={MODEL}"
HELLO = ssl.create_default_context()


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: websockets is asyncio."""
    return "asyncio"


@asynccontextmanager
async def knocking(url: str) -> AsyncIterator[anyio.abc.ByteStream]:
    host, _, port = url.removeprefix("ws://").rpartition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        yield stream


async def answer_to(url: str, *pieces: bytes) -> bytes:
    """All that the server says to some bytes until it closes."""
    said = b""
    async with knocking(url) as stream:
        with anyio.fail_after(50):
            for piece in pieces:
                await stream.send(piece)
            try:
                while True:
                    said += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return said


def hello_of_tls() -> bytes:
    """The first bytes of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = HELLO.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def get(path: str, **headers: str) -> bytes:
    told = {"Host": "127.0.0.1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return f"GET {path} HTTP/1.1\r\n{''.join(f'{n}: {v}' + chr(13) + chr(10) for n, v in told.items())}\r\n".encode()


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((get("/"),), 404),
        ((get(WHERE),), 426),
        ((get("//[/"),), 400),
        ((get(WHERE, Upgrade="websocket"),), 426),
        ((get(WHERE, Upgrade="websocket", Connection="Upgrade"),), 400),
        ((b"GE", b"T / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"), 404),
        ((b"POST /v1/realtime HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",), 405),
        ((b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",), 405),
        ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), 400),
        ((hello_of_tls(),), 400),
        ((bytes(range(256)),), 400),
        ((b"G\r\n\r\n",), 400),
        ((get("/", Host="evil.example.com"),), 403),
    ],
)
async def test_what_is_no_client_gets_an_answer_of_one_sentence_and_nothing_is_logged(
    pieces: tuple[bytes, ...], status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_understudy(Understudy(Tones())) as url:
        said = await answer_to(url, *pieces)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (body.count(b"\n") >= 1) != pieces[0].startswith(b"HEAD")
    assert caplog.records == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("piece", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET nothing\r\n\r\n"])
async def test_who_knocks_and_goes_leaves_no_trace(piece: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with open_understudy(Understudy(Tones())) as url:
        async with knocking(url) as stream:
            if piece:
                await stream.send(piece)
        async with dial(url + WHERE) as transport:
            assert (await Client(transport).next())["type"] == "session.created"
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


# ---- pages of other origins


@pytest.mark.parametrize(
    ("headers", "origins", "is_let_in"),
    [
        ({}, (), True),
        ({"host": "127.0.0.1:8765"}, (), True),
        ({"host": "localhost:8765", "origin": "http://localhost:3000"}, (), True),
        ({"host": "[::1]:8765", "origin": "http://[::1]:3000"}, (), True),
        ({"host": "127.0.0.1", "origin": "https://app.localhost"}, (), True),
        ({"host": "127.8.0.1", "origin": "http://127.0.0.1"}, (), True),
        ({"host": "127.0.0.1", "origin": "https://example.com"}, (), False),
        ({"host": "127.0.0.1", "origin": "http://127.0.0.1.example.com"}, (), False),
        ({"host": "127.0.0.1", "origin": "http://localhost.example.com"}, (), False),
        ({"host": "127.0.0.1", "origin": "http://127.0.0.1@example.com"}, (), False),
        ({"host": "127.0.0.1", "origin": "http://10.0.0.1"}, (), False),
        ({"host": "127.0.0.1", "origin": "null"}, (), False),
        ({"host": "127.0.0.1", "origin": ""}, (), False),
        ({"host": "127.0.0.1", "origin": "http://["}, (), False),
        ({"host": "127.0.0.1", "origin": "chrome-extension://abc"}, (), False),
        ({"host": "127.0.0.1", "origin": "https://example.com"}, ("https://example.com",), True),
        ({"host": "127.0.0.1", "origin": "https://Example.com"}, ("https://example.com",), True),
        ({"host": "127.0.0.1", "origin": "http://example.com"}, ("https://example.com",), False),
        ({"host": "127.0.0.1", "origin": "null"}, ("null",), True),
        ({"host": "127.0.0.1", "origin": "https://example.com"}, ("*",), True),
        ({"host": "rebound.example.com:8765"}, (), False),
        ({"host": "rebound.example.com", "origin": "http://rebound.example.com"}, ("*",), False),
        ({"host": "192.168.1.7:8765"}, (), False),
        ({"host": "localhost.example.com"}, (), False),
        ({"host": ""}, (), False),
    ],
)
def test_pages_of_this_machine_come_in_and_others_when_they_are_named(
    headers: dict[str, str], origins: tuple[str, ...], is_let_in: bool
) -> None:
    refusal = reject_origin(Handshake(headers=headers), origins)
    assert (refusal is None) == is_let_in
    assert refusal is None or (refusal.status, refusal.body.count("\n")) == (403, 1)


async def test_a_foreign_origin_is_refused_at_the_upgrade_and_told_how_to_come_in() -> None:
    foreign = {"Origin": "https://example.com"}
    async with open_understudy(Understudy(Tones())) as url:
        with pytest.raises(ConnectFailed, match=r"--allow-origin https://example\.com") as caught:
            async with dial(url + WHERE, foreign):
                pass
    assert caught.value.status == 403
    house = Understudy(Tones(), origins={"https://example.com"})
    async with open_understudy(house) as url, dial(url + WHERE, foreign) as transport:
        assert (await Client(transport).next())["type"] == "session.created"


def test_an_origin_that_is_none_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("understudy", "--allow-origin", "example.com") == 2
    assert "'example.com' is not a valid origin hint: write scheme, host and port" in " ".join(
        capsys.readouterr().err.split()
    )


PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<p>A page</p>"
TALK = """new Promise(done => {
    const socket = new WebSocket(%s, ['realtime']);
    socket.onmessage = event => done(JSON.parse(event.data).type);
    socket.onerror = () => done('refused');
})"""


@asynccontextmanager
async def page_server() -> AsyncIterator[int]:
    """Serves one page under any name; yields its port."""

    async def hand_out(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # browsers dial ahead, and hang up
                await stream.receive()
                await stream.send(PAGE)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - of a socket
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, hand_out)
            yield port
            group.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome is on the path")
async def test_in_a_browser_only_pages_of_this_machine_talk_to_the_understudy() -> None:
    """Slow: a browser starts."""

    def visit(port: int, urls: dict[str, str]) -> dict[str, str]:
        rules = "--host-resolver-rules=MAP evil.example.com 127.0.0.1"
        found = {}
        with open_browser(rules) as browser:
            for page in ("localhost", "evil.example.com"):
                browser.visit(f"http://{page}:{port}/")
                for name, url in urls.items():
                    found[f"{page} to {name}"] = str(browser.run(TALK % json.dumps(url)))
        return found

    named = {"http://evil.example.com"}
    async with (
        open_understudy(Understudy(Tones())) as url,
        page_server() as port,
        open_understudy(Understudy(Tones(), origins={f"{name}:{port}" for name in named})) as open_url,
    ):
        rebound = url.replace("127.0.0.1", "evil.example.com")
        urls = {"plain": url + WHERE, "rebound": rebound + WHERE, "told": open_url + WHERE}
        found = await anyio.to_thread.run_sync(visit, port, urls)
    assert found == {
        "localhost to plain": "session.created",
        "localhost to rebound": "refused",
        "localhost to told": "session.created",
        "evil.example.com to plain": "refused",
        "evil.example.com to rebound": "refused",
        "evil.example.com to told": "session.created",
    }


# ---- Azure


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/openai/realtime", {"api-version": "2024-10-01-preview", "deployment": "my voice 1"}),
        ("/openai/v1/realtime", {"model": "any-name-at-all"}),
        ("/openai/v1/realtime", {"deployment": "prod"}),
        ("/voice-live/realtime", {"api-version": "2026-04-10", "model": "phi4-mm-realtime"}),
    ],
)
async def test_a_model_on_an_azure_path_is_the_deployments_business(path: str, query: dict[str, str]) -> None:
    async with bare_client(handshake=Handshake(path, query), judged=False) as client:
        session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
        updated = await client.ask("session.update", session=session)
    assert updated["type"] == "session.updated"
    assert (updated["session"]["model"], updated["session"]["instructions"]) == ([*query.values()][-1], "Be brief.")


async def test_elsewhere_the_model_stays() -> None:
    async with bare_client() as client:
        error = await client.refused("session.update", session={"type": "realtime", "model": "gpt-realtime"})
    assert error["param"] == "session.model"


@pytest.mark.parametrize(
    "asked",
    [
        Handshake("/openai/realtime", {"deployment": "d", "api-key": "right"}),
        Handshake("/v1/realtime", {"model": MODEL}, {"authorization": "Bearer right"}),
        Handshake("/openai/v1/realtime", {"model": "d"}, {"api-key": "right"}),
        Handshake("/v1/realtime", {"model": MODEL}, subprotocols=("realtime", "openai-insecure-api-key.right")),
    ],
)
def test_a_key_comes_in_four_ways(asked: Handshake) -> None:
    assert reject_reason(asked, "right") is None
    no = reject_reason(asked, "another")
    assert no is not None
    assert no.error.code == "invalid_api_key"


# ---- the beta

BETA = Handshake(query={"model": MODEL}, headers={"openai-beta": "realtime=v1"})


async def temperature(client: Client, **update: Any) -> float:
    updated = await client.ask("session.update", session=update)
    assert updated["type"] == "session.updated"
    return float(updated["session"]["temperature"])


async def test_a_beta_session_has_a_temperature_and_keeps_it() -> None:
    async with bare_client(handshake=BETA, judged=False) as client:
        assert await temperature(client, voice="ash") == 0.8
        assert await temperature(client, temperature=0.7) == 0.7
        assert await temperature(client, instructions="Hello.") == 0.7
        error = await client.refused("session.update", session={"temperature": 1.0, "nonsense": 1})
        assert error["param"] == "session.nonsense"
        assert await temperature(client, instructions="Hello.") == 0.7
        await client.send("response.create", response={"temperature": 1.1, "modalities": ["text"]})
        events = await client.until("response.done")
        assert [event["response"]["temperature"] for event in (events[0], events[-1])] == [1.1, 1.1]
        await client.send("response.create")
        done = (await client.until("response.done"))[-1]["response"]
    assert (done["temperature"], done["voice"], done["output_audio_format"]) == (0.7, "ash", "pcm16")


@pytest.mark.parametrize(
    ("heat", "code"),
    [
        (0.5, "decimal_below_min_value"),
        (1.3, "decimal_above_max_value"),
        ("hot", "invalid_type"),
        (True, "invalid_type"),
    ],
)
@pytest.mark.parametrize("part", ["session", "response"])
async def test_a_temperature_that_no_model_takes_is_refused(heat: Any, code: str, part: str) -> None:
    kind = {"session": "session.update", "response": "response.create"}[part]
    async with bare_client(handshake=BETA, judged=False) as client:
        error = await client.refused(kind, **{part: {"temperature": heat}})
    assert (error["code"], error["param"]) == (code, f"{part}.temperature")


async def test_turn_detection_of_the_type_none_is_off() -> None:
    async with bare_client(handshake=BETA, judged=False) as client:
        updated = await client.ask("session.update", session={"turn_detection": {"type": "none"}})
        assert updated["session"]["turn_detection"] is None
        tool = {"type": "function", "name": "lights_on"}
        choice = {"type": "function", "function": "lights_on"}
        updated = await client.ask("session.update", session={"tools": [tool], "tool_choice": choice})
    assert updated["session"]["tool_choice"] == {"type": "function", "name": "lights_on"}


async def test_old_clients_find_the_fields_that_they_need_and_no_type_that_they_do_not_know() -> None:
    """As Microsoft's rt-client reads them: a key may be null, and must be there; an unknown type ends its session."""
    asked = Handshake("/openai/realtime", {"api-version": "2024-10-01-preview", "deployment": "my-own-name"})
    async with bare_client(handshake=asked, judged=False) as client:
        session = {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": {"type": "none"}}
        updated = await client.ask("session.update", session=session)
        audio = Pcm.silence(24_000).base64.decode()
        await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.commit")
        events = await client.until("conversation.item.input_audio_transcription.completed")
        await client.send("response.create")
        events += await client.until("response.done")
    assert {*OLD_SESSION} <= {*updated["session"]}
    assert {event["type"] for event in events} <= OLD_TYPES
    created = [event for event in events if event["type"] == "conversation.item.created"]
    assert all("previous_item_id" in event for event in created)
    assert created[0]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    responses = [event["response"] for event in events if event["type"] in {"response.created", "response.done"}]
    assert all({"id", "status", "status_details", "output", "usage"} <= {*response} for response in responses)


OLD_SESSION = re.findall(
    r"\w+",
    """id model modalities instructions voice input_audio_format output_audio_format input_audio_transcription
    turn_detection tools tool_choice temperature max_response_output_tokens""",
)
OLD_TYPES = {
    "conversation.item.created",
    "conversation.item.input_audio_transcription.completed",
    "input_audio_buffer.committed",
    *(f"response.{name}" for name in ("created", "done", "output_item.added", "output_item.done")),
    *(f"response.{part}.{step}" for part in ("audio", "audio_transcript") for step in ("delta", "done")),
    *(f"response.content_part.{step}" for step in ("added", "done")),
}
