"""Frames go through whole and in order, and an end is always told: over a real socket and in memory."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from tau_stage.errors import ConnectFailed, SessionClosed, Timeout
from tau_stage.transport import AdmissionCheck, Handshake, MemoryTransport, Refusal, Transport, dial, serve


async def echo(transport: Transport, _handshake: Handshake) -> None:
    while (frame := await transport.receive()) not in {b"close", b"drop"}:
        await transport.send(frame)
    if frame == b"drop":
        transport.drop()
    else:
        await transport.aclose(4000, "invalid_request_error.invalid_model " + "x" * 200)


@asynccontextmanager
async def by_socket() -> AsyncIterator[Transport]:
    async with serve(echo) as url, dial(url) as transport:
        yield transport


@asynccontextmanager
async def in_memory() -> AsyncIterator[Transport]:
    ours, theirs = MemoryTransport.pair()

    async def listen() -> None:
        try:
            await echo(theirs, Handshake())
        except SessionClosed:
            return

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        yield ours
        await ours.aclose()


Connected = Callable[[], AbstractAsyncContextManager[Transport]]
both = pytest.mark.parametrize("connected", [by_socket, in_memory])


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: websockets is asyncio."""
    return "asyncio"


async def test_a_server_that_is_cancelled_ends_after_its_handlers() -> None:
    begun, may_end, ended = anyio.Event(), threading.Event(), []

    async def work(_transport: Transport, _handshake: Handshake) -> None:
        begun.set()
        try:
            await anyio.to_thread.run_sync(may_end.wait)
        finally:
            ended.append("handler")

    async def let_end_after_the_cancellation() -> None:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        may_end.set()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with serve(work) as url, dial(url):
                await begun.wait()
                group.start_soon(let_end_after_the_cancellation)
                scope.cancel()
        ended.append("server")
    assert ended == ["handler", "server"]


@both
async def test_frames_come_back_whole_and_in_order(connected: Connected) -> None:
    frames = [b"a" * 3_000_000, "süß".encode(), b"{}"]
    async with connected() as transport:
        for frame in frames:
            await transport.send(frame)
            assert await transport.receive() == frame


@both
async def test_a_close_tells_its_code_and_its_reason(connected: Connected) -> None:
    async with connected() as transport:
        await transport.send(b"close")
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
        assert caught.value.code == 4000
        assert caught.value.reason.startswith("invalid_request_error.invalid_model")
        with pytest.raises(SessionClosed):
            await transport.send(b"too late")


@both
async def test_a_lost_connection_is_told_as_abnormal(connected: Connected) -> None:
    async with connected() as transport:
        await transport.send(b"drop")
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
        assert caught.value.code == 1006


@both
async def test_a_transport_that_we_closed_stays_closed(connected: Connected) -> None:
    async with connected() as transport:
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
        assert caught.value.code == 1000


def noting(seen: list[Handshake]) -> AdmissionCheck:
    async def admit(handshake: Handshake) -> Refusal | None:
        seen.append(handshake)
        return None

    return admit


def refusing(refusal: Refusal) -> AdmissionCheck:
    async def admit(_handshake: Handshake) -> Refusal | None:
        return refusal

    return admit


async def test_the_server_is_told_what_the_client_asked_for() -> None:
    seen: list[Handshake] = []

    async with (
        serve(echo, noting(seen)) as url,
        dial(f"{url}/v1/realtime?model=gpt-realtime&x=", {"Authorization": "Bearer k"}),
    ):
        pass
    (handshake,) = seen
    assert (handshake.path, handshake.query) == ("/v1/realtime", {"model": "gpt-realtime", "x": ""})
    assert handshake.headers["authorization"] == "Bearer k"


async def test_a_refused_upgrade_tells_status_wait_and_words_but_never_the_query() -> None:
    refusal = Refusal(429, "slow\ndown", {"Retry-After": "1.5"})
    async with serve(echo, refusing(refusal)) as url:
        with pytest.raises(ConnectFailed) as caught:
            async with dial(f"{url}/v1/realtime?api-key=secret"):
                pass
    error = caught.value
    assert (error.status, error.retry_after_s, error.reason) == (429, 1.5, "slow down")
    assert error.endpoint.endswith("/v1/realtime")


async def test_a_wish_to_retry_that_is_no_number_is_ignored() -> None:
    refusal = Refusal(503, "", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    async with serve(echo, refusing(refusal)) as url:
        with pytest.raises(ConnectFailed) as caught:
            async with dial(url):
                pass
    assert (caught.value.retry_after_s, caught.value.reason) == (None, "Service Unavailable")


async def test_nobody_there_is_a_failed_connection() -> None:
    async with serve(echo) as url:
        pass
    with pytest.raises(ConnectFailed):
        async with dial(url):
            pass


async def test_a_server_that_never_answers_the_upgrade_times_out() -> None:
    async def mute(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, mute)
        with pytest.raises(Timeout, match=r"0\.05 s"):
            async with dial(f"ws://127.0.0.1:{port}", open_timeout_s=0.05):
                pass
        group.cancel_scope.cancel()
    await listener.aclose()


async def test_the_realtime_subprotocol_is_taken_when_it_is_offered() -> None:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    seen: list[Handshake] = []
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.ek_1")]
    async with (
        serve(echo, noting(seen)) as url,
        connect(url, subprotocols=offered) as socket,
    ):
        assert socket.subprotocol == "realtime"
    assert seen[0].subprotocols == ("realtime", "openai-insecure-api-key.ek_1")
