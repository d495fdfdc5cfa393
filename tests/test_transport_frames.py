"""What arrives is the same messages however the network parts it; what goes to many is made once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import anyio
import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConcurrencyError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tau_stage.errors import SessionClosed
from tau_stage.transport import LARGE, QUEUED_FRAMES, WebSocketTransport, _StayingConnection
from tests.support.counted_calls import counted_calls


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: websockets is asyncio."""
    return "asyncio"


class Network(asyncio.Transport):
    """A socket of which a test says what arrives."""

    def __init__(self, connection: _StayingConnection) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reads = True
        self.ended = False
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.ended

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            self._connection.connection_lost(None)

    close = abort


async def connected() -> tuple[_StayingConnection, Network, ServerProtocol, bytes]:
    """A client that waits for the answer to its upgrade; and that answer."""
    client = _StayingConnection(ClientProtocol(parse_uri("ws://x/"), max_size=2**20), ping_interval=None)
    network = Network(client)
    client.connection_made(network)
    upgrade = asyncio.ensure_future(client.handshake())
    await asyncio.sleep(0)
    upgrade.add_done_callback(lambda done: done.exception())
    server = ServerProtocol()
    server.receive_data(b"".join(network.written))
    (asked,) = server.events_received()
    assert isinstance(asked, Request)
    server.send_response(server.accept(asked))
    return client, network, server, b"".join(server.data_to_send())


def conversation(dice: random.Random, server: ServerProtocol) -> list[bytes]:
    """Let a server send messages of all sizes, whole and in parts, text and bytes, with pings between; return them."""
    messages = []
    for _ in range(dice.randrange(30)):
        message = bytes(dice.choices(b"abc {}", k=dice.choice([0, 1, 90, 125, 126, 400, 70_000])))
        messages.append(message)
        match dice.randrange(5):
            case 0:
                middle = dice.randrange(len(message) + 1)
                server.send_text(message[:middle], fin=False)
                if dice.randrange(2):
                    server.send_ping(b"between")
                server.send_continuation(message[middle:], fin=True)
            case 1:
                server.send_binary(message)
            case _:
                server.send_text(message)
        if not dice.randrange(6):
            server.send_ping(b"now")
    return messages


def parted(data: bytes, dice: random.Random) -> Sequence[bytes]:
    """Part bytes as a network may: in large pieces, in small ones, or one by one."""
    pieces: list[bytes] = []
    largest = dice.choice([1, 3, 50, 5_000, 300_000])
    while data and (largest > 3 or len(pieces) < 3_000):
        at = dice.randint(1, largest)
        pieces.append(data[:at])
        data = data[at:]
    return [*pieces, data] if data else pieces


@pytest.mark.parametrize("seed", range(40))
async def test_messages_arrive_as_they_were_sent_however_they_are_parted(seed: int) -> None:
    dice = random.Random(seed)
    client, network, server, upgrade = await connected()
    sent = conversation(dice, server)
    server.send_close(4001, "that is all")
    for piece in parted(upgrade + b"".join(server.data_to_send()), dice):
        client.data_received(piece)
    network.abort()
    transport = WebSocketTransport(client)
    assert [await transport.receive() for _ in sent] == sent
    with pytest.raises(SessionClosed) as closed:
        await transport.receive()
    assert (closed.value.code, closed.value.reason) == (4001, "that is all")


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (b"\x01\x01a\x81\x01b", 1002),  # a message within another one's parts
        (b"\x81\x81maska", 1002),  # a server that masks
        (b"\xc1\x01a", 1002),  # compressed, though nobody has agreed to that
        (b"\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", 1009),  # larger than is taken
        (b"\x01\x7e\xff\xff" + bytes(65_535) + 16 * (b"\x00\x7e\xff\xff" + bytes(65_535)), 1009),  # in parts
    ],
)
async def test_what_no_server_may_send_ends_the_connection(spoiled: bytes, code: int) -> None:
    for at in (None, 5, 1) if len(spoiled) < 99 else (None, 50_000):
        client, network, server, upgrade = await connected()
        server.send_text(b"before")
        data = upgrade + b"".join(server.data_to_send()) + spoiled + b"\x81\x05after"
        for piece in [data] if at is None else [data[i : i + at] for i in range(0, len(data), at)]:
            client.data_received(piece)
        assert any(each[0] == 0x88 for each in network.written[1:])
        network.abort()
        transport = WebSocketTransport(client)
        assert await transport.receive() == b"before"
        with pytest.raises(SessionClosed) as closed:
            await transport.receive()
        assert closed.value.code == code


async def test_whole_messages_are_taken_without_a_frame_of_websockets_and_a_full_queue_stops_reading() -> None:
    client, network, server, upgrade = await connected()
    client.data_received(upgrade)
    for number in range(QUEUED_FRAMES + 1):
        server.send_text(b"a delta" * 100 * number)
    arrived = b"".join(server.data_to_send())
    with counted_calls("Python") as calls:
        client.data_received(arrived)
    assert calls["parse"] == calls["receive_data"] == 0
    assert not network.reads
    transport = WebSocketTransport(client)
    with counted_calls("Python") as calls:
        received = [await transport.receive() for _ in range(QUEUED_FRAMES + 1)]
    assert [len(each) for each in received] == [700 * number for number in range(QUEUED_FRAMES + 1)]
    assert calls["messages"] == 1
    assert network.reads
    network.abort()


async def test_one_task_reads_and_may_be_cancelled_without_a_loss() -> None:
    client, network, _server, upgrade = await connected()
    client.data_received(upgrade)
    transport = WebSocketTransport(client)
    with anyio.move_on_after(0):
        await transport.receive()
    async with anyio.create_task_group() as group:
        group.start_soon(transport.receive)
        await anyio.lowlevel.checkpoint()
        with pytest.raises(ConcurrencyError):
            await transport.receive()
        group.cancel_scope.cancel()
    client.data_received(Frame(Opcode.TEXT, b"there").serialize(mask=False))
    assert await transport.receive() == b"there"
    network.abort()


async def test_a_large_message_is_masked_once_for_all_who_are_sent_it_and_read_by_each() -> None:
    message, other = b'{"audio":"' + b"A" * LARGE + b'"}', b'{"audio":"' + b"B" * LARGE + b'"}'
    hearers = [await connected() for _ in range(7)]
    with counted_calls("Python") as calls:
        for client, network, _server, upgrade in hearers:
            client.data_received(upgrade)
            network.written.clear()
            transport = WebSocketTransport(client)
            await transport.send(message)
            await transport.send(b"small")
    assert calls["serialize"] == 1 + len(hearers)
    masks = set()
    for client, network, server, _ in hearers:
        await WebSocketTransport(client).send(other)
        server.receive_data(b"".join(network.written))
        assert server.events_received() == [Frame(Opcode.TEXT, each) for each in (message, b"small", other)]
        masks.add((network.written[0][10:14], network.written[2][10:14]))
    ((first, second),) = masks
    assert first != second


async def test_a_large_message_is_not_sent_on_a_connection_that_is_over() -> None:
    client, network, server, upgrade = await connected()
    server.send_close(4002, "enough")
    client.data_received(upgrade + b"".join(server.data_to_send()))
    network.written.clear()
    network.abort()
    with pytest.raises(SessionClosed) as closed:
        await WebSocketTransport(client).send(bytes(LARGE))
    assert (closed.value.code, network.written) == (4002, [])
