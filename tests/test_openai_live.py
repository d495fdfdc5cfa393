"""The `openai` package's own realtime client in a live conversation: tools, detected turns, telephone sound."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from tau_stage.audio.formats import Format
from tau_stage.audio.pcm import Pcm
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones, tone


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: the package is asyncio."""
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[AsyncOpenAI]:
    async with open_understudy(Understudy(Tones())) as url:
        yield AsyncOpenAI(api_key="k", base_url=f"{url.replace('ws', 'http', 1)}/v1", websocket_base_url=f"{url}/v1")


Said = list[Any]


async def hear(connection: Any, kind: str) -> Said:
    """Every event up to and including the first of a kind."""
    events = [await connection.recv()]
    while events[-1].type != kind:
        events.append(await connection.recv())
        assert events[-1].type != "error", events[-1]
    return events


async def tell(connection: Any, text: str) -> None:
    content: Any = [{"type": "input_text", "text": text}]
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})


async def test_it_writes_speaks_beside_the_conversation_retrieves_and_truncates(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await tell(connection, 'Say: "Good evening."')
        await connection.response.create(response={"output_modalities": ["text"]})
        events = await hear(connection, "response.done")
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Good evening."
        beside: Any = {"conversation": "none", "input": [], "metadata": {"topic": "x"}}
        await connection.response.create(response=beside)
        done = (await hear(connection, "response.done"))[-1].response
        assert (done.conversation_id, done.metadata) == (None, {"topic": "x"})
        await tell(connection, 'Say: "Good night, everybody."')
        await connection.response.create()
        item_id = (await hear(connection, "response.done"))[-1].response.output[0].id
        await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=100)
        await hear(connection, "conversation.item.truncated")
        await connection.conversation.item.retrieve(item_id=item_id)
        item = (await hear(connection, "conversation.item.retrieved"))[-1].item
        assert len(base64.b64decode(item.content[0].audio)) == 4800


async def test_it_cancels(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await tell(connection, 'Say: "' + "A long speech indeed. " * 40 + '"')
        await connection.response.create()
        await hear(connection, "response.created")
        await connection.response.cancel()
        done = (await hear(connection, "response.done"))[-1].response
        assert done.status in {"cancelled", "completed"}


async def test_it_has_tools_called_and_their_outputs_spoken(client: AsyncOpenAI) -> None:
    light: Any = {"type": "function", "name": "lights_on", "parameters": {"type": "object", "properties": {}}}
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.session.update(session={"type": "realtime", "tools": [light]})
        await tell(connection, "Lights on, please.")
        await connection.response.create()
        (call,) = (await hear(connection, "response.done"))[-1].response.output
        assert (call.type, call.name, call.arguments) == ("function_call", "lights_on", "{}")
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": '{"light": "bright"}'}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        spoken = (await hear(connection, "response.done"))[-1].response.output[0]
        assert spoken.content[0].transcript == "Light: bright."


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
async def test_it_is_heard_by_turn_detection_in_every_format(kind: Any, client: AsyncOpenAI) -> None:
    form = Format(kind, 24_000 if kind == "audio/pcm" else 8_000)
    detection: Any = {"type": "server_vad", "silence_duration_ms": 200}
    heard: Any = {"format": form.told, "turn_detection": detection, "transcription": {"model": "whisper-1"}}
    speech = Pcm.join([Pcm.silence(12_000), tone("ash", "Is anybody there?"), Pcm.silence(24_000)])
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        output: Any = {"format": form.told}
        await connection.session.update(session={"type": "realtime", "audio": {"input": heard, "output": output}})
        await hear(connection, "session.updated")
        data = form.encode(speech)
        chunk = len(data) // 40
        for at in range(0, len(data), chunk):
            await connection.input_audio_buffer.append(audio=base64.b64encode(data[at : at + chunk]).decode())
        events = await hear(connection, "response.done")
    kinds = [event.type for event in events]
    assert kinds[0] == "input_audio_buffer.speech_started"
    assert "conversation.item.input_audio_transcription.completed" in kinds
    sound = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    assert form.decode(sound).duration_s > 0.1
