"""The `openai` package's own realtime client against the understudy, over a real socket.

Every frame, in both directions, is judged by the package's types when a test ends.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from tau_stage.transport import Handshake, Transport, serve
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.server import Understudy
from tests.support.openai_types import check_client_event, check_server_event
from tests.support.tone_voice import Tones, tone

HEARD = base64.b64encode(tone("ash", "Is anybody there?").data).decode()


class Thoughtful(Tones):
    """Speaks at once, unless a test holds it back."""

    def __init__(self) -> None:
        self.may_speak = anyio.Event()
        self.may_speak.set()

    def hold(self) -> None:
        self.may_speak = anyio.Event()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        await self.may_speak.wait()
        return await super().speak(request)


class Overheard:
    """The server's end of a connection, with every frame that passes."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.asked: list[bytes] = []
        self.told: list[bytes] = []

    async def send(self, frame: bytes) -> None:
        self.told.append(frame)
        await self.inner.send(frame)

    async def receive(self) -> bytes:
        self.asked.append(await self.inner.receive())
        return self.asked[-1]

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.inner.aclose(code, reason)

    def drop(self) -> None:
        self.inner.drop()


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: the package is asyncio."""
    return "asyncio"


@pytest.fixture
def actor() -> Thoughtful:
    return Thoughtful()


@pytest.fixture
async def client(actor: Thoughtful) -> AsyncIterator[AsyncOpenAI]:
    house = Understudy(actor, key="sk-right")
    overheard: list[Overheard] = []

    async def listen(transport: Transport, handshake: Handshake) -> None:
        overheard.append(Overheard(transport))
        await house.listen(overheard[-1], handshake)

    async with serve(listen, house.admit) as url:
        yield AsyncOpenAI(
            api_key="sk-right", base_url=f"{url.replace('ws', 'http', 1)}/v1", websocket_base_url=f"{url}/v1"
        )
    for visit in overheard:
        assert visit.asked
        for frame in visit.asked:
            check_client_event(frame)
        for frame in visit.told:
            check_server_event(frame)


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[RealtimeServerEvent]:
    """Every event up to and including the first of a kind."""
    events = [await connection.recv()]
    while events[-1].type != kind:
        events.append(await connection.recv())
    return events


async def test_it_opens_a_session_creates_items_and_gets_a_spoken_response_and_its_usage(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        events = [await connection.recv()]
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Be brief.",
                "audio": {"input": {"turn_detection": None}, "output": {"voice": "cedar"}},
            }
        )
        contents: list[Any] = [
            {"type": "input_audio", "audio": HEARD},
            {"type": "input_text", "text": 'Say: "Good evening, everybody."'},
        ]
        for content in contents:
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [content]})
        await connection.response.create()
        events += await until(connection, "response.done")
    sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    assert sound == tone("cedar", "Good evening, everybody.").data
    done = events[-1]
    assert done.type == "response.done"
    assert done.response.status == "completed"
    assert done.response.usage is not None
    assert done.response.usage.input_token_details is not None
    assert done.response.usage.input_token_details.audio_tokens == 4
    assert {event.type for event in events} >= {"session.created", "session.updated", "conversation.item.done"}


async def test_it_retrieves_what_was_heard(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.conversation.item.create(
            item={
                "id": "item_heard",
                "type": "message",
                "role": "user",
                "content": [{"type": "input_audio", "audio": HEARD}],
            }
        )
        await connection.conversation.item.retrieve(item_id="item_heard")
        event = (await until(connection, "conversation.item.retrieved"))[-1]
    assert event.type == "conversation.item.retrieved"
    assert event.item.type == "message"
    assert event.item.role == "user"
    assert event.item.content[0].audio == HEARD


async def test_it_cancels_a_response(client: AsyncOpenAI, actor: Thoughtful) -> None:
    actor.hold()
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.response.create()
        await until(connection, "response.created")
        await connection.response.cancel()
        await connection.input_audio_buffer.clear()
        await until(connection, "input_audio_buffer.cleared")  # the cancellation was read before
        actor.may_speak.set()
        done = (await until(connection, "response.done"))[-1]
    assert done.type == "response.done"
    assert done.response.status == "cancelled"
    assert done.response.status_details is not None
    assert done.response.status_details.reason == "client_cancelled"


async def test_it_asks_something_beside_the_conversation(client: AsyncOpenAI, actor: Thoughtful) -> None:
    actor.hold()
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.response.create()
        await connection.response.create(
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "judge"},
                "input": [
                    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 'Say: "Nobody."'}]}
                ],
            }
        )
        await connection.input_audio_buffer.clear()
        await until(connection, "input_audio_buffer.cleared")
        actor.may_speak.set()
        both = await until(connection, "response.done") + await until(connection, "response.done")
    done = {event.response.conversation_id: event.response for event in both if event.type == "response.done"}
    assert done.keys() == {"conv_1", None}
    assert done[None].metadata == {"topic": "judge"}


async def test_an_error_is_an_event_that_names_our_event(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.recv()
        await connection.conversation.item.delete(item_id="gone", event_id="evt_mine")
        event = await connection.recv()
    assert event.type == "error"
    assert (event.error.code, event.error.event_id) == ("item_delete_invalid_item_id", "evt_mine")
