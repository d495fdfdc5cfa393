"""The `openai` package's own realtime client against the understudy, over a real socket."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from tau_stage.understudy.server import Understudy, open_understudy
from tests.tones import Tones, tone


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: the package is asyncio."""
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[AsyncOpenAI]:
    async with open_understudy(Understudy(Tones(), key="sk-right")) as url:
        yield AsyncOpenAI(
            api_key="sk-right", base_url=f"{url.replace('ws', 'http', 1)}/v1", websocket_base_url=f"{url}/v1"
        )


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
        heard = base64.b64encode(tone("ash", "Is anybody there?").data).decode()
        contents: list[Any] = [
            {"type": "input_audio", "audio": heard},
            {"type": "input_text", "text": 'Say: "Good evening, everybody."'},
        ]
        for content in contents:
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [content]})
        await connection.response.create()
        while events[-1].type != "response.done":
            events.append(await connection.recv())
    sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    assert sound == tone("cedar", "Good evening, everybody.").data
    done = events[-1]
    assert done.type == "response.done"
    assert done.response.status == "completed"
    assert done.response.usage is not None
    assert done.response.usage.input_token_details is not None
    assert done.response.usage.input_token_details.audio_tokens == 4
    assert {event.type for event in events} >= {"session.created", "session.updated", "conversation.item.done"}


async def test_an_error_is_an_event_that_names_our_event(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.recv()
        await connection.conversation.item.delete(item_id="gone", event_id="evt_mine")
        event = await connection.recv()
    assert event.type == "error"
    assert (event.error.code, event.error.event_id) == ("item_delete_invalid_item_id", "evt_mine")
