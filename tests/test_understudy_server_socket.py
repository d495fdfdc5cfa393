"""The understudy over a real socket: what a memory pair cannot show."""

from __future__ import annotations

import json

import anyio
import pytest

from tau_stage.errors import ConnectFailed, SessionClosed
from tau_stage.transport import dial
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.memory_server import MODEL, Client
from tests.support.tone_voice import Tones

WHERE = f"/v1/realtime?model={MODEL}"
LONG = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": f'Perform this line: "{"word " * 300}"'}],
}


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: websockets is asyncio."""
    return "asyncio"


async def test_a_client_that_reads_nothing_keeps_nobody_waiting() -> None:
    async with open_understudy(Understudy(Tones())) as url, dial(url + WHERE) as deaf, dial(url + WHERE) as other:
        await deaf.send(json.dumps({"type": "conversation.item.create", "item": LONG}).encode())
        await deaf.send(b'{"type": "response.create"}')
        client = Client(other)
        await client.next()
        await client.send("response.create")
        assert (await client.until("response.done"))[-1]["response"]["status"] == "completed"
        deaf.drop()


async def test_a_house_that_was_told_to_stall_closes_all_the_same() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("stall", "item")], keeps_visits=True)
    with anyio.fail_after(50):
        async with open_understudy(house) as url, dial(url + WHERE) as transport:
            client = Client(transport)
            await client.next()
            await client.send("conversation.item.create", item=LONG)  # the last thing it reads
            await client.send("input_audio_buffer.clear")
    assert house.visits[0].closed_at is not None


async def test_a_house_closes_before_a_late_session_has_come() -> None:
    with anyio.fail_after(50):
        house = Understudy(Tones(), faults=[fault.SlowOpening(seconds=600)])
        async with open_understudy(house) as url, dial(url + WHERE):
            pass


async def test_a_busy_door_says_when_to_come_back_and_then_opens() -> None:
    house = Understudy(Tones(), faults=[fault.BusyDoor(times=2, retry_after_s=3)])
    async with open_understudy(house) as url:
        for _ in range(2):
            with pytest.raises(ConnectFailed) as caught:
                async with dial(url + WHERE):
                    pass
            assert (caught.value.status, caught.value.retry_after_s) == (429, 3)
        async with dial(url + WHERE) as transport:
            assert (await Client(transport).next())["type"] == "session.created"


async def test_a_wrong_key_is_told_inside_then_closed() -> None:
    wrong = {"Authorization": "Bearer wrong"}
    async with open_understudy(Understudy(Tones(), key="right")) as url, dial(url + WHERE, wrong) as transport:
        assert (await Client(transport).next())["error"]["code"] == "invalid_api_key"
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
    assert (caught.value.code, caught.value.reason) == (3000, "invalid_request_error.invalid_api_key")
