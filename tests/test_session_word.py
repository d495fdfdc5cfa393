"""What a session promises its caller: whole answers, any length of sound, what is sent is seen, and plain sentences."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tau_stage.audio.formats import Format
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import UsageError
from tau_stage.protocol import AudioChunk, ResponseEnded, TextChunk
from tau_stage.protocol.client_events import ConversationItemCreate
from tau_stage.session import Session, Tool, create_session
from tau_stage.session.arguments import LONGEST_APPEND, split_audio
from tests.support.memory_server import in_session
from tests.test_session import LINE, Script, scripted, speak


async def say(script: Script, number: int, *items: dict[str, Any], **end: Any) -> None:
    """Answer a request with a response of whole items, as a server that sends few events."""
    while (await script.hear())["type"] != "response.create":
        pass
    response_id = f"resp_{number}"
    await script.tell("response.created", response={"id": response_id, "status": "in_progress"})
    for item in items:
        await script.tell("response.output_item.added", response_id=response_id, item=item | {"content": []})
        for part in item.get("content", ()):
            place = {"response_id": response_id, "item_id": item["id"], "content_index": 0}
            await script.tell("response.output_text.delta", delta=part["text"], **place)
        await script.tell("response.output_item.done", response_id=response_id, item=item)
    await script.tell("response.done", response={"id": response_id, "status": "completed", "output": items, **end})


def message(item_id: str, words: str, **more: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": words}]
    return {"id": item_id, "type": "message", "role": "assistant", "content": content, **more}


CALL = {"id": "call_item", "type": "function_call", "name": "lights", "call_id": "call_1", "arguments": "{}"}


async def confirm_output(script: Script) -> None:
    made = await script.hear()
    await script.tell("conversation.item.added", item=made["item"])


async def test_a_stream_runs_tools_and_has_one_end_for_each_response() -> None:
    async def lights() -> str:
        return "on"

    async def serve(script: Script) -> None:
        await script.hear()
        await script.tell("session.updated", session={})
        await say(script, 1, CALL)
        await confirm_output(script)
        await say(script, 2, message("item_2", "They are on."))

    async with scripted() as (session, script), anyio.create_task_group() as group:
        group.start_soon(serve, script)
        await session.update(tools=[lights])
        changes = [change async for change in session.stream_response()]
        assert [change.response_id for change in changes if isinstance(change, ResponseEnded)] == ["resp_1", "resp_2"]
        assert [change.words for change in changes if isinstance(change, TextChunk)] == ["They are on."]
        assert isinstance(changes[-1], ResponseEnded)
        assert all(isinstance(change, AudioChunk | TextChunk | ResponseEnded) for change in changes)


@pytest.mark.parametrize(("options", "words"), [({}, "Fog."), ({"commentary": "keep"}, "I look. Fog.")])
async def test_commentary_is_part_of_an_answer_where_it_is_asked_for(options: dict[str, Any], words: str) -> None:
    async def serve(script: Script) -> None:
        items = (message("item_1", "I look. ", phase="commentary"), message("item_2", "Fog.", phase="final_answer"))
        await say(script, 1, *items)
        await say(script, 2, *items)

    async with scripted() as (session, script), anyio.create_task_group() as group:
        group.start_soon(serve, script)
        changes = [change async for change in session.stream_response(**options)]
        assert "".join(change.words for change in changes if isinstance(change, TextChunk)) == words
        assert (await session.response(**options)).text == words


async def test_a_response_that_fails_for_what_may_pass_is_asked_for_as_often_as_is_said() -> None:
    async def serve(script: Script) -> None:
        error = {"type": "failed", "error": {"code": "server_error", "message": "Try again in 2s."}}
        await say(script, 1, status="failed", status_details=error)
        await say(script, 2, message("item_2", "Here."))

    async with scripted() as (session, script), anyio.create_task_group() as group:
        group.start_soon(serve, script)
        response = await session.response(max_tries=3)
        assert (response.text, response.attempts) == ("Here.", 2)


async def test_a_response_knows_its_times() -> None:
    async with in_session() as session:
        response = await speak(session)
        assert response.attempts == 1
        assert response.first_text_s is not None
        assert response.compute_s is not None
        assert 0 <= response.first_text_s <= response.compute_s


def test_sound_is_split_between_samples_and_each_part_fits() -> None:
    audio = Pcm.silence(LONGEST_APPEND // 4 * 3 // 2 + 10)
    for form in (Format("audio/pcm", RATE), Format("audio/pcm", 16_000), Format("audio/pcmu", 8_000)):
        parts = list(split_audio(audio, form, LONGEST_APPEND // 64))
        assert Pcm.join(parts) == audio
        assert all(len(form.encode(part)) * 4 / 3 <= LONGEST_APPEND // 64 + 4 for part in parts)


@pytest.mark.slow
async def test_sound_of_any_length_is_sent_in_parts() -> None:
    """Slow: 8 minutes of sound."""
    audio = Pcm.silence(8 * 60 * RATE)
    async with in_session(judged=False) as session, session.sent_events() as sent:
        await session.append_input_audio_buffer(audio)
        await session.create_audio(audio)
        kinds = [(await anext(sent)).type for _ in range(4)]  # type: ignore[union-attr]
        assert kinds == ["input_audio_buffer.append"] * 2 + ["conversation.item.create"] * 2
        heard = [entry.audio for entry in session.conversation.items.values() if entry.audio]
        assert sum(len(part) for part in heard) == len(audio)


async def test_what_is_sent_can_be_watched() -> None:
    async with in_session() as session, session.sent_events() as sent:
        await session.user(LINE)
        event = await anext(sent)
        assert isinstance(event, ConversationItemCreate)


async def test_one_can_wait_until_a_listener_has_heard_all() -> None:
    async with in_session() as session:
        await session.playback_finished()
        await session.user(LINE)
        await session.speak()
        began = anyio.current_time()
        await session.wait_for("response.created")
        await session.playback_finished()
        playing = session.state.playback
        assert playing is not None
        assert anyio.current_time() - began >= playing.samples / RATE - 0.001
        assert session.status == "idle"


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"temperature": 0.8}, "does not support 'temperature'"),
        ({"modalities": ["text", "audio"]}, "use output_modalities"),
        ({"max_response_output_tokens": 100}, "use max_output_tokens"),
        ({"input_audio_transcription": {"model": "whisper-1"}}, "use transcription"),
        ({"turn_detection": {"type": "none"}}, "write turn_detection=None"),
        ({"turn_detection": "none"}, "write turn_detection=None"),
        ({"colour": "red"}, "create_session has no option 'colour'"),
        ({"speed": 9}, "audio.output.speed cannot be 9: input should be less"),
        ({"tools": ["lights"]}, "'lights' is not a tool"),
        ({"tools": [{"type": "mcp"}]}, "is not a tool"),
        ({"tools": [{"type": "function", "name": "lights on"}]}, "is not a valid tool name"),
        ({"commentary": "some"}, "commentary cannot be 'some'"),
    ],
)
async def test_what_cannot_be_asked_for_gets_a_sentence(wish: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        async with create_session(endpoint="ws://127.0.0.1:9/v1/realtime", **wish):
            pass


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"temperature": 1}, "not support 'temperature'"),
        ({"voice": "ash"}, "write audio="),
        ({"x": 1}, "response has no option 'x'"),
    ],
)
async def test_a_response_says_so_too(option: dict[str, Any], sentence: str) -> None:
    async with in_session() as session:
        with pytest.raises(UsageError, match=sentence):
            await session.response(**option)


def test_a_dict_is_a_tool_that_is_answered_by_hand() -> None:
    told = {"type": "function", "name": "lights", "description": "On or off.", "parameters": {"type": "object"}}
    for shape in (told, {"type": "function", "function": told}):
        tool = Tool.of(shape)
        assert (tool.name, tool.description, tool.parameters, tool.run) == (
            "lights", "On or off.", {"type": "object"}, None,
        )  # fmt: skip


async def test_a_path_is_no_sound() -> None:
    async with in_session() as session:
        with pytest.raises(ValueError, match=r"'x\.wav' is not base64-encoded .* pass a file as a Path"):
            await session.create_audio("x.wav")


async def test_a_session_is_entered_once_and_not_awaited() -> None:
    with pytest.raises(UsageError, match="write: async with create_session"):
        await create_session()
    opening = create_session(endpoint="nowhere")
    for sentence in ("unknown endpoint", "entered twice"):
        with pytest.raises(UsageError, match=sentence):
            async with opening as session:
                assert isinstance(session, Session)
