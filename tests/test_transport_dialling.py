"""Dialling: redirects, proxies, and sockets that die, against servers that are scripted byte for byte."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from tau_stage.errors import ConnectFailed, SessionClosed, SessionError, Timeout, UsageError
from tau_stage.protocol.addresses import PROXY_VARIABLES
from tau_stage.session import create_session
from tau_stage.transport import CLOSE_TIMEOUT_S, Handshake, Transport, dial, serve

KEY = "sk-MARKER-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}
KEYS = {**BEARER, "api-key": KEY}
PASSWORD = "HUSH-HUSH-0123"

Script = Callable[[SocketStream, bytes], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: websockets is asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"no_proxy", *(name for names in PROXY_VARIABLES.values() for name in names)}:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def listening(script: Script, heard: list[bytes] | None = None) -> AsyncIterator[int]:
    """A server on this machine that reads one request and does as its script says; it notes what it was sent."""

    async def one(stream: SocketStream) -> None:
        async with stream:
            request = b""
            try:
                while b"\r\n\r\n" not in request:
                    request += await stream.receive()
                if heard is not None:
                    heard.append(request)
                await script(stream, request)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, one)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
        group.cancel_scope.cancel()


def answering(*lines: str) -> Script:
    async def answer(stream: SocketStream, _request: bytes) -> None:
        await stream.send("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())

    return answer


async def upgrade(stream: ByteStream, request: bytes) -> None:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = hashlib.sha1(key.partition(b": ")[2] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    await stream.send(head + base64.b64encode(accept) + b"\r\n\r\n")


async def echo(transport: Transport, _handshake: Handshake) -> None:
    while True:
        await transport.send(await transport.receive())


async def failed(url: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        async with dial(url, KEYS):
            pass
    assert KEY not in str(caught.value)
    return caught.value


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["ws://localhost:{port}/v1?a=1", "//127.0.0.1:{port}/v1", "http://127.0.0.1:{port}"])
async def test_a_redirect_is_not_followed_and_the_new_address_is_told(status: int, where: str) -> None:
    heard: list[bytes] = []
    async with listening(upgrade, heard) as other:
        there = where.format(port=other)
        async with listening(answering(f"HTTP/1.1 {status} Moved", f"Location: {there}")) as port:
            error = await failed(f"ws://127.0.0.1:{port}/v1/realtime")
            with pytest.raises(ConnectFailed):
                async with create_session(endpoint=f"ws://127.0.0.1:{port}", api_key=KEY):
                    pass
    told = there.replace("http://", "ws://") if "://" in there else f"ws:{there}"
    assert f"the server has moved to {told}; use that endpoint if you trust it" in str(error)
    assert error.status == status
    assert heard == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("Location: /v2",), "the server has moved to ws://127.0.0.1:{port}/v2;"),
        (("Location: https://api.example/v1",), "the server has moved to wss://api.example/v1;"),
        (("Location: ws://[::1",), "the server has moved to ws://[::1;"),
        (("Location: ws://a", "Location: ws://b"), "the server has moved to ws://a;"),
        (("Location: ws://u:p@a/?api_key=" + KEY,), "the server has moved to ws://a/?api_key=[key];"),
        ((f"Location: ws://a/{KEY}",), "the server has moved to ws://a/[key];"),
        ((), "the server has moved, but did not send its new address"),
    ],
)
async def test_whatever_a_redirect_says_is_told_plainly(lines: tuple[str, ...], told: str) -> None:
    async with listening(answering("HTTP/1.1 307 Moved", *lines)) as port:
        assert told.format(port=port) in str(await failed(f"ws://127.0.0.1:{port}/v1"))


# ---- waits


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (("Retry-After: 7",), 7.0),
        (("Retry-After: 1.5",), 1.5),
        (("Retry-After: 0",), 0.0),
        (("Retry-After-Ms: 250", "Retry-After: 1"), 0.25),
        (("Date: Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After: Wed, 21 Oct 2026 07:28:30 GMT"), 30.0),
        (("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",), 86_400.0),
        (("Retry-After: 999999999",), 86_400.0),
        (("Retry-After: 3", "Retry-After: 5"), 3.0),
        (("Retry-After: soon", "Retry-After: 5"), 5.0),
        *(
            ((f"Retry-After: {nonsense}",), None)
            for nonsense in (
                "-5",
                "1e3",
                "nan",
                "inf",
                "1_0",
                "9" * 400,
                "",
                "Wed, 99 Oct 2026",
                "Wed, 21 Oct 2015 07:28:00 GMT",
            )
        ),
    ],
)
async def test_a_wish_to_retry_is_understood_bounded_or_ignored(lines: tuple[str, ...], seconds: float | None) -> None:
    async with listening(answering("HTTP/1.1 429 Too Many Requests", *lines)) as port:
        assert (await failed(f"ws://127.0.0.1:{port}/v1")).retry_after_s == seconds


# ---- proxies


async def pass_on(stream: SocketStream, request: bytes) -> None:
    """A proxy that connects as it is asked to."""
    host, _, port = request.split()[1].decode().rpartition(":")
    async with await anyio.connect_tcp("127.0.0.1" if host == "server.test" else host, int(port)) as there:
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        async with anyio.create_task_group() as group:
            group.start_soon(_pump, stream, there)
            await _pump(there, stream)
            group.cancel_scope.cancel()


async def _pump(source: SocketStream, sink: SocketStream) -> None:
    try:
        async for chunk in source:
            await sink.send(chunk)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_is_gone_through(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    async with listening(pass_on, heard) as port, serve(echo) as url:
        monkeypatch.setenv(name, f"http://me:{PASSWORD}%40@127.0.0.1:{port}/")
        async with dial(url.replace("127.0.0.1", "server.test"), KEYS) as transport:
            await transport.send(b"hello")
            assert await transport.receive() == b"hello"
    (request,) = heard
    basic = base64.b64encode(f"me:{PASSWORD}@".encode())
    assert request.startswith(b"CONNECT server.test:")
    assert b"Proxy-Authorization: Basic " + basic in request
    assert KEY.encode() not in request


@pytest.mark.skipif(find_spec("python_socks") is None, reason="python-socks is not installed")
@pytest.mark.parametrize("is_right", [True, False])
async def test_a_socks_proxy_is_gone_through(is_right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 1928 and RFC 1929 have it: the proxy is told the name of the host, and finds its address itself."""
    heard: list[bytes] = []

    async def speak_socks(stream: SocketStream) -> None:
        async with stream:
            heard.append(await stream.receive())
            await stream.send(b"\x05\x02")
            heard.append(await stream.receive())
            await stream.send(b"\x01\x00" if is_right else b"\x01\x01")
            if not is_right:
                return
            heard.append(await stream.receive())
            async with await anyio.connect_tcp("127.0.0.1", struct.unpack(">H", heard[-1][-2:])[0]) as there:
                await stream.send(b"\x05\x00\x00\x01" + bytes(6))
                async with anyio.create_task_group() as group:
                    group.start_soon(_pump, stream, there)
                    await _pump(there, stream)
                    group.cancel_scope.cancel()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group, serve(echo) as url:
        group.start_soon(listener.serve, speak_socks)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
        monkeypatch.setenv("ALL_PROXY", f"socks5h://me:{PASSWORD}%40@127.0.0.1:{port}")
        there = url.replace("127.0.0.1", "server.test")
        if is_right:
            async with dial(there, KEYS) as transport:
                await transport.send(b"hello")
                assert await transport.receive() == b"hello"
            assert b"\x03\x0bserver.test" in heard[-1]
        else:
            error = str(await failed(there))
            assert f"authentication failure, through the proxy socks5h://127.0.0.1:{port} from ALL_PROXY" in error
            assert PASSWORD not in error
        group.cancel_scope.cancel()
    assert f"{PASSWORD}@".encode() in heard[1]


async def test_a_proxy_that_refuses_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(answering("HTTP/1.1 403 Forbidden")) as port:
        monkeypatch.setenv("https_proxy", f"http://me:{PASSWORD}@127.0.0.1:{port}")
        error = str(await failed("ws://192.168.77.5:8000/v1/realtime"))
    assert f"the proxy http://127.0.0.1:{port} from https_proxy refused: HTTP 403" in error
    assert "if the host needs no proxy, add it to no_proxy" in error
    assert PASSWORD not in error


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nnonsense\r\n\r\n", b""])
async def test_whatever_a_proxy_does_it_is_named(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def say(stream: SocketStream, _request: bytes) -> None:
        if answer:
            await stream.send(answer)

    async with listening(say) as port:
        monkeypatch.setenv("ALL_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{port}")
        error = str(await failed("ws://192.168.77.5:8000/v1/realtime"))
    assert f"the proxy http://127.0.0.1:{port} from ALL_PROXY" in error
    assert PASSWORD not in error


async def test_a_proxy_that_says_nothing_is_named_by_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_stream: SocketStream, _request: bytes) -> None:
        await anyio.sleep_forever()

    async with listening(wait) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(Timeout, match=r"upgrade through the proxy http://127\.0\.0\.1:.* from https_proxy within"):
            async with dial("wss://api.example/v1", open_timeout_s=0.05):
                pass


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(upgrade) as port:
        pass
    monkeypatch.setenv("wss_proxy", f"http://127.0.0.1:{port}")
    assert f"through the proxy http://127.0.0.1:{port} from wss_proxy" in str(await failed("wss://api.example/v1"))


@pytest.mark.parametrize(
    "value", ["proxy.example:3128", "ftp://127.0.0.1:1", "http://[::1", f"http://me:#{PASSWORD}@h"]
)
async def test_a_session_tells_what_is_wrong_with_a_proxy(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UsageError, match="HTTPS_PROXY is not a valid proxy") as caught:
        async with create_session(endpoint="openai", api_key=KEY):
            pass
    assert PASSWORD not in str(caught.value)


# ---- deaths

RESET = struct.pack("ii", 1, 0)


async def read_to_the_end(transport: Transport) -> None:
    while True:
        await transport.receive()


async def write_to_the_end(transport: Transport) -> None:
    while True:
        await transport.send(b"x" * 100_000)


async def reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio, not Django
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    await stream.aclose()


DEATHS = {
    "nothing": b"",
    "half a frame": b"\x81\x7e\x10\x00{",
    "a compressed frame": b"\xc1\x05hello",
    "a masked frame": b"\x81\x85\x00\x00\x00\x00hello",
    "an unknown opcode": b"\x83\x00",
    "a continuation of nothing": b"\x80\x01x",
    "a long ping": b"\x89\x7e\x00\x80" + b"x" * 128,
    "a close with a code that is none": b"\x88\x02\x03\xed",
    "a close with a broken reason": b"\x88\x04\x03\xe8\xff\xff",
    "a close of one byte": b"\x88\x01x",
    "a frame that is too large": b"\x81\x7f" + struct.pack(">Q", 2**40),
    "plain text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_socket_closes_without_an_exception_whatever_it_died_of(death: str, by_reset: bool) -> None:
    async def die(stream: SocketStream, request: bytes) -> None:
        await upgrade(stream, request)
        await stream.send(DEATHS[death] or b"\x81\x02{}")
        if by_reset:
            await reset(stream)

    async with (
        listening(die) as port,
        dial(f"ws://127.0.0.1:{port}/v1", closing_s=0.05) as transport,
    ):
        with pytest.raises(SessionClosed):
            await read_to_the_end(transport)
        with pytest.raises(SessionClosed):
            await write_to_the_end(transport)
        transport.drop()
        await transport.aclose(1002, "\udc80 what the server said")
        await transport.aclose(1006)


# ---- TLS

Certificate = tuple[Path, Path]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost that nobody has signed, and its key."""
    if which("openssl") is None:
        pytest.skip("openssl is not on the path")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*new, "-out", paths[0], "-keyout", paths[1], *named], check=True, capture_output=True)
    return paths


@asynccontextmanager
async def listening_by_tls(certificate: Certificate, last: bytes | None, *, by_reset: bool) -> AsyncIterator[int]:
    """A server that upgrades, and dies without a word of TLS; as its last it sends some bytes over the bare socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def talk(bare: SocketStream) -> None:
        try:
            stream = await TLSStream.wrap(bare, server_side=True, ssl_context=context, standard_compatible=False)
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive()
            await upgrade(stream, request)
            await stream.send(b"\x81\x02{}")
            if last is not None:
                await bare.send(last)
            await (reset(bare) if by_reset else bare.aclose())
        except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
            return
        finally:
            await anyio.aclose_forcefully(bare)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, talk)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    "last",
    [
        None,
        b"\x17\x03\x03\x00\x20" + b"x" * 32,
        b"\x17\x03\x03\x40\x00xx",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"HTTP/1.1 502\r\n",
    ],
    ids=["nothing", "a broken record", "half a record", "an alert", "plain text"],
)
@pytest.mark.parametrize("by_reset", [False, True])
async def test_whatever_a_connection_by_tls_dies_of_is_its_end(
    certificate: Certificate, last: bytes | None, by_reset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with (
        listening_by_tls(certificate, last, by_reset=by_reset) as port,
        dial(f"wss://localhost:{port}/v1", closing_s=0.05) as transport,
    ):
        with pytest.raises(SessionClosed):
            await read_to_the_end(transport)
        with pytest.raises(SessionClosed):
            await write_to_the_end(transport)


async def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do(certificate: Certificate) -> None:
    async with listening_by_tls(certificate, None, by_reset=False) as port:
        error = await failed(f"wss://localhost:{port}/v1")
        assert "the server's certificate is not trusted: self" in error.reason
        assert "set SSL_CERT_FILE to a file with its authority's certificate" in error.reason


async def test_a_certificate_of_somebody_else_is_not_trusted(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with listening_by_tls(certificate, None, by_reset=False) as port:
        error = await failed(f"wss://127.0.0.1:{port}/v1")
    assert "the server's certificate is not trusted: IP address mismatch" in error.reason


async def test_a_server_without_tls_and_one_with_it_are_told_apart(certificate: Certificate) -> None:
    async with serve(echo) as url:
        port = url.rpartition(":")[2]
        assert (
            await failed(f"wss://localhost:{port}/v1")
        ).reason == "the server does not use TLS; write ws:// if that is intended"
    async with listening_by_tls(certificate, None, by_reset=False) as port_of_tls:
        error = await failed(f"ws://localhost:{port_of_tls}/v1")
    assert error.reason == "the server did not send an HTTP response; write wss:// if it uses TLS"


@pytest.mark.parametrize(("scheme", "told"), [("ws", "the server did not send an HTTP response"), ("wss", "")])
async def test_a_server_that_hangs_up_at_once_is_told_plainly(scheme: str, told: str) -> None:
    async def hang_up(stream: SocketStream) -> None:
        await stream.receive()
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, hang_up)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
        error = await failed(f"{scheme}://localhost:{port}/v1")
        group.cancel_scope.cancel()
    assert error.reason.startswith(told)
    assert "Error" not in error.reason


@pytest.mark.parametrize(
    "frame", [b"\x81\x02\xff\xfe", b"\x82\x02\xff\xfe", b"\x82\x02{}", b"\x81\x03\xed\xb2\x80", b"\x81\x00"]
)
async def test_frames_that_are_no_text_end_a_session_by_a_typed_error(frame: bytes) -> None:
    async def say(stream: SocketStream, request: bytes) -> None:
        await upgrade(stream, request)
        await stream.send(frame)

    async with listening(say) as port:
        with pytest.raises(SessionError):
            async with create_session(endpoint=f"ws://127.0.0.1:{port}/v1"):
                pass


async def test_a_server_that_never_closes_is_cut_after_the_deadline_that_was_set() -> None:
    async def stall(stream: SocketStream, request: bytes) -> None:
        await upgrade(stream, request)
        await anyio.sleep_forever()

    async with listening(stall) as port:
        began = anyio.current_time()
        with anyio.fail_after(CLOSE_TIMEOUT_S):
            async with dial(f"ws://127.0.0.1:{port}/v1", closing_s=0.05):
                pass
        assert anyio.current_time() - began >= 0.05
