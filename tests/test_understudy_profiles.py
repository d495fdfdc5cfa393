"""The understudy as a model: what its events hold, row by row of the profiles."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.cost.durations import is_reasoning_model
from tau_stage.errors import UsageError
from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.session import open_session
from tau_stage.transport import Handshake
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import MODELS, PROFILES, profile_named
from tests.support.memory_server import Client, bare_client, connected
from tests.support.tone_voice import Tones, tone
from tests.test_cli_validate import run

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
QUESTION = {"type": "input_text", "text": "What is the weather in London?"}
SAY = {"type": "input_text", "text": 'Say: "Hello there, everybody."'}


def house(name: str) -> Understudy:
    return Understudy(Tones(), profile=profile_named(name))


def message(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [part]}


async def asked(client: Client, part: dict[str, Any], **session: Any) -> list[dict[str, Any]]:
    """Everything that one question is answered with."""
    await client.send("session.update", session={"type": "realtime", **session})
    await client.until("session.updated")
    await client.send("conversation.item.create", item=message(part))
    await client.send("response.create")
    return await client.until("response.done")


def named_kinds(events: list[dict[str, Any]]) -> list[str]:
    """The order of events, by their type and the phase or type of their item; runs of deltas are one."""
    kinds: list[str] = []
    for event in events:
        item = event.get("item") or {}
        kind = " ".join(filter(None, (event["type"], item.get("phase") or item.get("type"))))
        if kinds[-1:] != [kind]:
            kinds.append(kind)
    return kinds


@pytest.mark.parametrize("model", MODELS)
def test_what_thinks_at_the_understudy_thinks_in_the_forecast(model: str) -> None:
    assert MODELS[model].reasons == is_reasoning_model(model)
    assert MODELS[model].model == model


@pytest.mark.parametrize(
    ("model", "voice", "silence_ms"),
    [("gpt-realtime", "alloy", 200), ("gpt-realtime-2.1", "marin", 500), ("gpt-realtime-2.1-mini", "marin", 500)],
)
@pytest.mark.parametrize("by_name", [True, False])
async def test_defaults_are_the_models(model: str, voice: str, silence_ms: int, by_name: bool) -> None:
    server = house(model) if by_name else Understudy(Tones())
    asked_for = "gpt-realtime-mini" if by_name else model
    async with connected(server, Handshake(query={"model": asked_for})) as transport:
        session = json.loads(await transport.receive())["session"]
        client = Client(transport.inner)
        heard = {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "gpt-realtime-whisper"}}
        updated = await client.ask("session.update", session={"type": "realtime", "audio": {"input": heard}})
    assert session["model"] == model
    assert session["audio"]["output"]["voice"] == voice
    told = updated["session"]["audio"]["input"]
    assert session["audio"]["input"]["turn_detection"] == told["turn_detection"]
    assert told["turn_detection"]["silence_duration_ms"] == silence_ms
    assert told["transcription"] == {"model": "gpt-realtime-whisper", "language": None, "prompt": None}


async def test_a_current_model_comments_before_it_calls_and_the_call_begins_before_the_comment_ends() -> None:
    async with bare_client(house("gpt-realtime-2.1")) as client:
        events = await asked(client, QUESTION, tools=[WEATHER], output_modalities=["text"])
    assert named_kinds(events[2:]) == [
        "response.created",
        "response.output_item.added commentary",
        "conversation.item.added commentary",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_item.added function_call",
        "conversation.item.added function_call",
        "response.function_call_arguments.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done commentary",
        "response.output_item.done commentary",
        "response.function_call_arguments.done",
        "conversation.item.done function_call",
        "response.output_item.done function_call",
        "response.done",
    ]
    done = events[-1]["response"]
    assert [item.get("phase") for item in done["output"]] == ["commentary", None]
    assert [event["output_index"] for event in events if event["type"].endswith("output_item.added")] == [0, 1]
    assert json.loads(done["output"][1]["arguments"]) == {"city": "London"}


@pytest.mark.parametrize("server", [house("gpt-realtime"), Understudy(Tones())])
async def test_without_a_word_before_where_it_does_not_comment(server: Understudy) -> None:
    async with bare_client(server, Handshake(query={"model": "gpt-realtime"})) as client:
        output = (await asked(client, QUESTION, tools=[WEATHER]))[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call"]


async def test_a_comment_that_is_interrupted_calls_nothing() -> None:
    async with bare_client(house("gpt-realtime-2.1")) as client:
        await client.send("session.update", session={"type": "realtime", "tools": [WEATHER]})
        await client.send("conversation.item.create", item=message(QUESTION))
        await client.send("response.create")
        await client.until("response.output_item.added")
        await client.send("response.cancel")
        done = (await client.until("response.done"))[-1]["response"]
    assert (done["status"], [item["type"] for item in done["output"]]) == ("cancelled", ["message"])


async def test_items_have_the_fields_of_the_recordings() -> None:
    async with bare_client(house("gpt-realtime-2.1")) as client:
        events = await asked(client, SAY)
        call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
        await client.ask("conversation.item.create", item=call)
        await client.next()
        output = {"type": "function_call_output", "call_id": "c1", "output": "x"}
        told = (await client.ask("conversation.item.create", item=output))["item"]
    assert set(told) == {"id", "type", "call_id", "output"}
    user = next(event["item"] for event in events if event["type"] == "conversation.item.added")
    assert set(user) == {"id", "type", "status", "role", "content"}
    assert events[-1]["response"]["output"][0]["phase"] == "final_answer"
    deltas = [event for event in events if event["type"].endswith("transcript.delta")]
    assert all((len(event["delta"]) + len(event["obfuscation"])) % 16 == 0 for event in deltas)
    assert not any("obfuscation" in event for event in events if event["type"].endswith("audio.delta"))


async def test_the_item_before_is_left_out_where_it_is_the_first() -> None:
    async with bare_client(house("gpt-realtime-2.1")) as client:
        first, second = await asked(client, SAY), await asked(client, SAY)
    done = [
        next(e for e in events if e["type"] == "conversation.item.done" and e["item"]["role"] == "assistant")
        for events in (first, second)
    ]
    assert done[0]["previous_item_id"] is None
    assert done[1]["previous_item_id"] == next(e["item"]["id"] for e in second if "item" in e)


@pytest.mark.parametrize(("model", "told"), [("gpt-realtime-2.1", 2), ("gpt-realtime", 0)])
async def test_limits_are_told_at_times(model: str, told: int) -> None:
    async with connected(house(model)) as transport:
        for _ in range(3):
            await transport.inner.send(b'{"type": "response.create"}')
            while json.loads(await transport.receive())["type"] != "response.done":
                pass
        await anyio.wait_all_tasks_blocked()
        kinds = [json.loads(frame)["type"] for frame in transport.received]
        with anyio.move_on_after(1):
            kinds.append(json.loads(await transport.receive())["type"])
    assert kinds.count("rate_limits.updated") == told


async def test_azure_tells_each_part_twice_and_no_limits() -> None:
    azure = Handshake(path="/openai/v1/realtime", query={"model": "my-deployment"})
    async with connected(Understudy(Tones()), azure, judged=False) as transport:
        await transport.inner.send(b'{"type": "response.create"}')
        events = []
        with anyio.move_on_after(5):
            while True:
                events.append(json.loads(await transport.receive()))
    parts = [event for event in events if "part" in event]
    assert len(parts) == 2
    assert all(event["part"] == event["content"] for event in parts)
    assert events[-1]["type"] == "response.done"


def test_a_model_that_nobody_has_recorded_is_refused_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("understudy", "--as", "gpt-9") == 2
    said = capsys.readouterr().err
    assert "unknown understudy profile 'gpt-9'" in said
    assert all(name in said for name in PROFILES)
    with pytest.raises(UsageError):
        profile_named("gpt-9")


# ---- xAI


async def grok(client: Client, part: dict[str, Any], **session: Any) -> list[dict[str, Any]]:
    await client.send("session.update", session=session)
    await client.until("session.updated")
    await client.send("conversation.item.create", item=message(part))
    await client.send("response.create")
    return await client.until("response.done")


async def test_xai_has_shapes_of_its_own() -> None:
    async with bare_client(house("xai"), Handshake(query={"model": "grok-voice-latest"}), judged=False) as client:
        events = await grok(client, SAY, instructions="Be brief.", voice="eve")
    kinds = named_kinds(events)
    assert "conversation.item.done message" not in kinds
    assert kinds.index("response.output_audio.delta") < kinds.index("response.output_audio_transcript.delta")
    assert kinds[-5:] == [
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_audio.done",
        "response.output_item.done message",
        "response.done",
    ]
    done = events[-1]
    assert (done["response"]["usage"], done["response"]["status_details"]) == ({}, "unimplemented")
    assert done["response"]["output"][0]["content"] == [{"type": "audio", "transcript": "Hello there, everybody."}]
    seconds = tone("eve", "Hello there, everybody.").duration_s
    assert done["usage"]["output_token_details"]["audio_tokens"] == round(50 * seconds)
    assert done["usage"]["output_audio_seconds"] == pytest.approx(seconds)
    assert "part" not in next(event for event in events if event["type"] == "response.content_part.done")
    assert all(len(event["event_id"]) == 36 for event in events)


async def test_xai_opens_with_a_conversation_and_a_ping_and_echoes_what_was_asked() -> None:
    async with bare_client(
        house("xai"), Handshake(query={"model": "grok-voice-think-fast-1.0"}), judged=False
    ) as client:
        detection = {"type": "server_vad"}
        await client.send("session.update", session={"turn_detection": detection, "tools": [WEATHER]})
        conversation, ping, updated = await client.until("session.updated")
    assert (conversation["type"], ping["type"]) == ("conversation.created", "ping")
    session = updated["session"]
    assert session["model"] == "grok-voice-think-fast-1.0"
    assert session["turn_detection"] == detection
    assert session["tools"][0]["function"]["name"] == "get_weather"
    assert "voice" not in session


async def test_xai_turns_are_told_in_its_way_and_its_ids_are_understood() -> None:
    voice = tone("ash", "Good evening to you all, and well met.")
    server = house("xai")
    server.known_speech.teach(voice, "Good evening to you all.")
    async with bare_client(server, Handshake(query={"model": "grok-voice-latest"}), judged=False) as client:
        audio = {"input": {"transcription": {"model": "grok-transcribe"}}}
        await client.send("session.update", session={"turn_detection": {"type": "server_vad"}, "audio": audio})
        await client.until("session.updated")
        for piece in (Pcm.silence(12_000), voice, Pcm.silence(24_000)):
            await client.send("input_audio_buffer.append", audio=piece.base64.decode())
        events = await client.until("response.done")
        cut = await client.ask(
            "conversation.item.truncate",
            item_id=events[-1]["response"]["output"][0]["id"],
            content_index=0,
            audio_end_ms=100,
        )
    kinds = [event["type"].removeprefix("conversation.item.input_audio_transcription.") for event in events]
    assert kinds[:4] == [
        "input_audio_buffer.speech_started",
        "conversation.item.added",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    assert kinds[4:10] == ["updated", "completed", "updated", "completed", "completed", "response.created"]
    assert [event.get("status") for event in events[4:9]] == [None, "in_progress", None, "in_progress", "completed"]
    assert kinds.count("conversation.item.added") == 2
    assert events[-1]["usage"]["input_token_details"]["audio_tokens"] > 0
    assert cut["type"] == "conversation.item.truncated"
    assert cut["item_id"] == events[-1]["response"]["output"][0]["id"]


async def test_our_session_speaks_with_xai() -> None:
    place = ENDPOINTS["xai"]
    server = house("xai")
    async with connected(server, Handshake(query={"model": "grok-voice-latest"}), judged=False) as transport:
        wanted = session_config(voice="eve", instructions="Be brief.", turn_detection=None)
        options = {"dialect": place.dialect, "opening": place.opening}
        async with open_session(transport.inner, wanted, name="clerk", **options) as session:
            await session.user('Say: "Hello there."')
            response = await session.response()
    assert (response.status, response.transcript) == ("completed", "Hello there.")
    assert response.audio == tone("eve", "Hello there.")
    assert response.usage.audio_out > 0


# ---- a text that is spoken as it stands


async def test_xai_speaks_an_item_as_it_stands_and_reads_nothing_for_it() -> None:
    forced = {"type": "force_message", "voice": "eve", "content": [{"type": "output_text", "text": "So *it* is."}, 7]}
    async with bare_client(house("xai"), Handshake(query={"model": "grok-voice-latest"}), judged=False) as client:
        await grok(client, SAY)
        await client.send("conversation.item.create", item=forced)
        events = await client.until("response.done")
        await client.send("conversation.item.create", item=forced | {"content": None})
        refused = (await client.until("error"))[-1]
    done = events[-1]
    begins = ["response.created", "response.output_item.added", "conversation.item.added"]
    assert [event["type"] for event in events][:3] == begins
    assert done["response"]["output"][0]["content"] == [{"type": "audio", "transcript": "So it is."}]
    assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"] > 0) == (0, True)
    assert refused["error"]["param"] == "response.pre_generated_assistant_message"


async def test_voice_live_speaks_a_message_as_it_stands() -> None:
    place = ENDPOINTS["azure-voice-live"]
    server = house("azure-voice-live")
    said = {"content": [{"type": "output_text", "text": "Say nothing."}]}
    async with connected(server, Handshake(query={"model": "my-gpt"}), judged=False) as transport:
        wanted = session_config(voice="alloy", turn_detection=None)
        async with open_session(transport.inner, wanted, name="clerk", dialect=place.dialect) as session:
            await session.system("Say nothing.")
            response = await session.response(pre_generated_assistant_message=said)
            silence = await session.response()
    assert (response.transcript, response.audio) == ("Say nothing.", tone("alloy", "Say nothing."))
    assert (response.usage.text_in, response.usage.audio_in) == (0, 0)
    assert silence.usage.text_in > 0
    assert session.answered_by == ""


async def test_a_model_of_openais_knows_no_such_message() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    async with bare_client(house("gpt-realtime"), judged=False) as client:
        error = await client.refused("response.create", response={"pre_generated_assistant_message": said})
    place = "response.pre_generated_assistant_message"
    assert (error["code"], error["param"]) == ("unknown_parameter", place)
