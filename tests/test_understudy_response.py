"""One response, interrupted at every step: what was opened is closed, and what was not sent is not billed."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import anyio
import pybase64
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.client_events import ResponseConfig, ResponseCreate
from tau_stage.protocol.server_events import ResponseDone
from tau_stage.understudy.actor import SpeechRequest, SpokenLine, UnsupportedScript
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.response import MessageStream
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import new_session
from tests.support.memory_server import MODEL, bare_client
from tests.support.openai_types import check_server_event
from tests.support.tone_voice import Tones

LONG = f'Perform this line: "{"word " * 60}"'
CLOSES = {
    "response.output_item.done": "response.output_item.added",
    "conversation.item.done": "conversation.item.added",
    "response.content_part.done": "response.content_part.added",
    "response.output_audio.done": "response.content_part.added",
    "response.output_audio_transcript.done": "response.content_part.added",
    "response.output_text.done": "response.content_part.added",
}
"""What must have been opened before a thing is closed."""


def begun(**wanted: Any) -> tuple[Dialogue, MessageStream]:
    dialogue = Dialogue(1, new_session("sess_1", MODEL, 0))
    run = dialogue.take(ResponseCreate(response=ResponseConfig(**wanted)).encode()).begin
    assert run is not None
    sound = None if wanted.get("output_modalities") == ("text",) else Pcm.silence(5 * 4800)
    return dialogue, MessageStream(dialogue, run, "Five words are said here", sound)


@pytest.mark.parametrize("steps", range(13))
@pytest.mark.parametrize("wanted", [{}, {"conversation": "none"}, {"output_modalities": ("text",)}])
def test_wherever_it_is_cancelled_only_what_was_opened_is_closed(steps: int, wanted: dict[str, Any]) -> None:
    dialogue, delivery = begun(**wanted)
    sent = list(islice(delivery.sounding(), steps))
    delivery.run.stopped = "client_cancelled"
    sent += delivery.ending()
    for event in sent:
        check_server_event(event.model_copy(update={"event_id": "event_1"}).encode())
    told = [json.loads(event.encode())["type"] for event in sent]
    assert all(CLOSES[kind] in told for kind in told if kind in CLOSES)
    assert {kind for kind in CLOSES.values() if kind in told} <= {CLOSES[kind] for kind in told if kind in CLOSES}
    assert told[-2:] == ["response.done", "rate_limits.updated"]  # the first of a session tells what is left
    assert not dialogue.running


@pytest.mark.parametrize("steps", range(13))
def test_what_was_sent_is_what_is_kept_and_billed(steps: int) -> None:
    dialogue, delivery = begun()
    sent: list[Any] = list(islice(delivery.sounding(), steps))
    delivery.run.stopped = "client_cancelled"
    done = next(event for event in delivery.ending() if isinstance(event, ResponseDone))
    sound = b"".join(pybase64.b64decode(event.delta) for event in sent if event.type == "response.output_audio.delta")
    words = "".join(event.delta for event in sent if event.type == "response.output_audio_transcript.delta")
    assert done.response.usage is not None
    assert done.response.usage["output_token_details"]["audio_tokens"] == len(sound) // 2 // 1200
    kept = dialogue.items.get(delivery.run.item_id)
    if kept:
        assert kept.sound is not None
        assert (kept.sound.data, kept.words) == (sound, words)
        assert kept.item.status == "incomplete"


async def test_a_response_cancelled_in_the_middle_says_no_more_than_it_said() -> None:
    async with bare_client() as client:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": LONG}]}
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")
        await client.send("response.create")
        events = await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        events += await client.until("response.done")
        said = "".join(event["delta"] for event in events if event["type"].endswith("transcript.delta"))
        done = next(event for event in events if event["type"] == "response.done")["response"]
        assert done["status"] == "cancelled"
        assert done["output"][0]["content"][0]["transcript"] == said
        assert 0 < len(said) < len(LONG) / 2
        sound = b"".join(pybase64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
        kept = await client.ask("conversation.item.retrieve", item_id=done["output"][0]["id"])
        assert pybase64.b64decode(kept["item"]["content"][0]["audio"]) == sound
        assert (await client.refused("response.cancel"))["code"] == "response_cancel_not_active"


async def test_an_item_deleted_while_it_is_spoken_stays_deleted() -> None:
    async with bare_client() as client:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": LONG}]}
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")
        await client.send("response.create")
        item_id = (await client.until("response.output_audio.delta"))[-1]["item_id"]
        await client.send("conversation.item.delete", item_id=item_id)
        events = await client.until("response.done")
        assert "conversation.item.done" not in {event["type"] for event in events}
        error = await client.refused("conversation.item.retrieve", item_id=item_id)
        assert error["code"] == "item_retrieve_invalid_item_id"


async def test_a_custom_voice_is_told_by_its_id_and_may_be_repeated() -> None:
    voice = {"output": {"voice": {"id": "voice_1"}}}
    async with bare_client(Understudy(Tones())) as client:
        await client.ask("session.update", session={"type": "realtime", "audio": voice})
        for _ in range(2):
            await client.send("response.create", response={"audio": voice})
            done = (await client.until("response.done"))[-1]["response"]
            assert done["audio"]["output"]["voice"] == "voice_1"


async def test_words_beside_a_sound_are_read() -> None:
    content = [
        {"type": "input_audio", "audio": Pcm.silence(2400).base64.decode()},
        {"type": "input_text", "text": 'Say: "Good evening."'},
    ]
    async with bare_client() as client:
        item = {"type": "message", "role": "user", "content": content}
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")
        await client.send("response.create")
        done = (await client.until("response.done"))[-1]["response"]
    assert done["output"][0]["content"][0]["transcript"] == "Good evening."


async def test_tools_are_billed_as_they_were_when_the_response_began() -> None:
    tool = {"type": "function", "name": "light", "description": "d" * 400}
    async with bare_client() as client:
        await client.send("response.create", response={"tools": [tool], "conversation": "none"})
        with_tools = (await client.until("response.done"))[-1]["response"]["usage"]
        await client.send("response.create", response={"conversation": "none"})
        without = (await client.until("response.done"))[-1]["response"]["usage"]
    assert with_tools["input_tokens"] > 100
    assert without["input_tokens"] == 0


class Speechless:
    """Has no voice for anything."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        raise UnsupportedScript(request.user, "Japanese")


async def test_a_line_without_a_voice_fails_and_says_why_and_the_session_goes_on() -> None:
    async with bare_client(Understudy(Speechless())) as client:
        for _ in range(2):
            content = [{"type": "input_text", "text": "こんにちは"}]
            await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await client.send("response.create")
            done = (await client.until("response.done"))[-1]["response"]
            assert (done["status"], done["output"]) == ("failed", [])
            assert done["status_details"]["error"]["message"] == (
                "the understudy has no voice for this text: こんにちは (Japanese)"
            )


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
async def test_sound_goes_out_at_the_pace_that_was_asked_for(pace: float) -> None:
    async with bare_client(Understudy(Tones(), pace=pace)) as client:
        await client.send("response.create", response={"instructions": LONG})
        began, heard_s = anyio.current_time(), 0.0
        while (event := json.loads(await client.transport.receive()))["type"] != "response.done":
            if event["type"] == "response.output_audio.delta":
                assert abs(anyio.current_time() - began - heard_s / pace) < 0.01
                heard_s += len(pybase64.b64decode(event["delta"])) / 48_000
    assert heard_s > 5
    assert abs(anyio.current_time() - began - heard_s / pace) < 0.01


async def test_a_cancelled_response_ends_at_once_whatever_its_pace() -> None:
    async with bare_client(Understudy(Tones(), pace=0.01)) as client:
        await client.send("response.create", response={"instructions": LONG})
        await client.until("response.output_audio.delta")
        asked = anyio.current_time()
        await client.send("response.cancel")
        assert (await client.until("response.done"))[-1]["response"]["status"] == "cancelled"
        assert anyio.current_time() - asked < 0.01


async def test_written_answers_do_not_wait_for_a_pace() -> None:
    async with bare_client(Understudy(Tones(), pace=0.01)) as client:
        began = anyio.current_time()
        await client.send("response.create", response={"instructions": LONG, "output_modalities": ["text"]})
        await client.until("response.done")
        assert anyio.current_time() - began < 0.01


class Crowded:
    """Has no room on its disk."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        raise OSError(28, "No space left on device", request.voice)


async def test_a_full_disk_fails_the_response_and_not_the_session() -> None:
    async with bare_client(Understudy(Crowded())) as client:
        for _ in range(2):
            await client.send("response.create")
            done = (await client.until("response.done"))[-1]["response"]
            assert done["status_details"]["error"]["message"].endswith("cannot store audio: no space left on device")
