"""What a live conversation needs: input while it is made, interruption, tools, watching. On a virtual clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.errors import ModelRefused, SessionClosed, Timeout
from tau_stage.protocol.client_events import ItemReference
from tau_stage.protocol.entries import ToolCall
from tau_stage.protocol.responses import AudioChunk, Response, ResponseEnded
from tau_stage.protocol.server_events import ResponseDone
from tau_stage.session import Session, Tool
from tau_stage.session.waiting import Missed, Subscription
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.server import Understudy
from tests.support.memory_server import in_session
from tests.support.tone_voice import Tones, tone
from tests.test_session import LINE, scripted, speak

LONG = 'Perform this line: "A line that goes on and on, so that there is time enough to interrupt it somewhere."'


async def test_sound_comes_as_samples_bytes_base64_or_a_file(tmp_path: Path) -> None:
    audio = tone("ash", "Hello there.")
    with WavWriter(tmp_path / "a.wav") as file:
        file.append(audio)
    house = Understudy(Tones(), keeps_visits=True)
    async with in_session(house) as session:
        for sound in (audio, audio.data, audio.base64.decode(), tmp_path / "a.wav"):
            item = await session.create_audio(sound)
            assert session.conversation.items[item.id].audio == audio
    assert set(house.visits[0].heard.values()) == {audio}


async def test_push_to_talk() -> None:
    async with in_session() as session:
        await session.append_input_audio_buffer(Pcm.silence(24_000))
        await session.append_input_audio_buffer(Pcm())
        await session.clear_input_audio_buffer()
        with pytest.raises(ModelRefused, match="buffer too small"):
            await session.commit_input_audio_buffer()
        spoken = tone("ash", "Is anybody there?")
        await session.append_input_audio_buffer(spoken[:3000])
        await session.append_input_audio_buffer(spoken[3000:])
        item_id = await session.commit_input_audio_buffer()
        assert session.conversation.items[item_id].audio == spoken
        assert session.turn_detection is None
        assert (await session.response()).status == "completed"


async def test_items_are_retrieved_truncated_and_deleted() -> None:
    async with in_session() as session:
        response = await speak(session)
        (item_id,) = response.item_ids
        assert (await session.retrieve(item_id)).audio == response.audio
        await session.truncate(item_id, 100)
        entry = session.conversation.items[item_id]
        assert (entry.audio, entry.transcript) == (response.audio[:2400], "")
        assert (await session.retrieve(item_id)).audio == response.audio[:2400]
        await session.delete_conversation_item(item_id)
        assert item_id not in session.conversation.items
        with pytest.raises(ModelRefused, match="item_delete_invalid_item_id"):
            await session.delete_conversation_item(item_id)


async def test_the_session_is_changed_while_it_is_open() -> None:
    async with in_session() as session:
        made = await session.update(
            instructions="Be brief.", turn_detection={"type": "server_vad", "silence_duration_ms": 800}, voice="sage"
        )
        assert made["instructions"] == "Be brief."
        assert made["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 800
        assert session.turn_detection == "server_vad"
        await session.append_input_audio_buffer(Pcm.silence(240))
        await session.update(turn_detection=None)
        assert session.turn_detection is None
        assert (await speak(session)).audio == tone("sage", "Hello there.")


async def test_a_response_may_stand_beside_the_conversation_and_read_what_it_is_given() -> None:
    async with in_session() as session:
        asked = await session.user(LINE)
        await session.user('Say: "Something else."')
        before = list(session.conversation.items)
        response = await session.response(
            conversation="none",
            input=[ItemReference(id=asked.id)],
            metadata={"topic": "x"},
            max_output_tokens=50,
            output_modalities=("text",),
        )
        assert (response.text, response.metadata["topic"]) == ("Hello there.", "x")
        assert list(session.conversation.items) == before


async def test_a_response_is_streamed_to_its_end() -> None:
    async with in_session() as session:
        await session.user(LINE)
        changes = [change async for change in session.stream_response()]
    assert isinstance(changes[-1], ResponseEnded)
    assert Pcm.join([c.audio for c in changes if isinstance(c, AudioChunk)]) == changes[-1].response.audio


def status(session: Session) -> str:
    """What the model does now; a plain string, as it changes between two looks."""
    return session.status


class Slow(Tones):
    """Thinks for a second."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        await anyio.sleep(1)
        return await super().speak(request)


async def test_a_response_is_cancelled_and_what_it_came_to_is_given() -> None:
    async with in_session(Understudy(Slow())) as session:
        assert await session.cancel_response() is None
        assert await session.cancel_response("gone") is None
        speaking = await session.speak()
        await anyio.sleep(0.1)
        assert status(session) == "thinking"
        cancelled = await session.cancel_response()
        assert cancelled is not None
        assert (cancelled.status, cancelled.reason) == ("cancelled", "client_cancelled")
        assert (await speaking.finished()).id == cancelled.id
        assert status(session) == "idle"


async def test_a_cancellation_that_is_ignored_is_a_timeout_and_one_that_finds_a_closed_session_says_so() -> None:
    async with scripted() as (session, script):
        await script.tell("response.created", response={"id": "resp_1", "status": "in_progress"})
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Timeout, match=r"player clerk: no response\.done for the cancelled response within 3 s"):
            await session.cancel_response()
        async with anyio.create_task_group() as group:
            group.start_soon(script.server.aclose)
            with pytest.raises(SessionClosed):
                await session.cancel_response("resp_1")


async def test_a_cut_that_is_not_answered_is_a_warning() -> None:
    async with scripted() as (session, script):
        await script.tell("response.created", response={"id": "resp_1", "status": "in_progress"})
        place = {"response_id": "resp_1", "item_id": "item_1"}
        await script.tell("response.output_audio.delta", delta=Pcm.silence(48_000).base64.decode(), **place)
        await script.tell("response.done", response={"id": "resp_1", "status": "completed"})
        await anyio.wait_all_tasks_blocked()
        for heard in (24_000, 0):
            await session.interrupt(heard)
    assert session.warnings == [
        "could not truncate the unheard audio: no conversation.item.truncated within 3 s",
        "could not truncate the unheard audio: no conversation.item.deleted within 3 s",
    ]


async def test_what_names_no_response_and_comes_before_one_began_belongs_to_it() -> None:
    async with scripted() as (session, script):
        audio = Pcm.silence(2400).base64.decode()
        speaking = await session.speak()
        await script.hear()
        await script.tell("response.output_audio.delta", delta=audio)
        await script.tell("response.created", response={"id": "resp_1", "status": "in_progress"})
        await script.tell("response.output_audio.delta", response_id="resp_1", delta=audio)
        await script.tell("response.output_audio.done", response_id="resp_1")
        await script.tell("response.done", response={"id": "resp_1", "status": "completed"})
        changes = [change async for change in speaking]
        assert [change.response_id for change in changes] == ["resp_1"] * len(changes)
        assert sum(len(change.audio) for change in changes if isinstance(change, AudioChunk)) == 4800
        assert len((await speaking.finished()).audio) == 4800
        assert session.conversation.active == ()


async def test_who_interrupts_says_how_much_was_heard_and_the_rest_is_cut() -> None:
    async with in_session() as session:
        await session.user(LONG)
        response = await session.response()
        (item_id,) = response.item_ids
        assert status(session) == "speaking"
        await session.interrupt(samples_heard=10_000)
        assert status(session) == "idle"
        assert len((await session.retrieve(item_id)).audio or Pcm()) == 416 * 24


async def test_an_interruption_goes_by_the_clock_if_nobody_says_how_much_was_heard() -> None:
    async with in_session() as session:
        await session.user(LONG)
        (item_id,) = (await session.response()).item_ids
        await anyio.sleep(0.5)
        await session.interrupt()
        audio = (await session.retrieve(item_id)).audio
        assert audio is not None
        assert abs(audio.duration_s - 0.5) < 0.01


async def test_what_nobody_heard_is_deleted_as_nothing_can_be_cut_to_nothing() -> None:
    async with in_session() as session:
        await session.user(LONG)
        (item_id,) = (await session.response()).item_ids
        await session.interrupt(samples_heard=0)
        assert item_id not in session.conversation.items


async def test_what_was_heard_to_the_end_is_left_alone() -> None:
    async with in_session() as session:
        assert await session.interrupt() is None
        response = await speak(session)
        await anyio.sleep(10)
        assert status(session) == "idle"
        assert await session.interrupt() is None
        assert session.conversation.items[response.item_ids[0]].audio == response.audio


async def test_a_barge_in_cuts_what_was_not_heard_yet() -> None:
    async with scripted() as (session, script):
        response = {"id": "resp_1", "status": "in_progress"}
        place = {"response_id": "resp_1", "item_id": "item_1"}
        await script.tell("response.created", response=response)
        await script.tell("response.output_audio.delta", delta=Pcm.silence(48_000).base64.decode(), **place)
        await anyio.sleep(0.75)
        assert status(session) == "speaking"
        await script.tell("input_audio_buffer.speech_started", item_id="u", audio_start_ms=10)
        cut = await script.hear()
        assert (cut["type"], cut["item_id"]) == ("conversation.item.truncate", "item_1")
        assert 700 < cut["audio_end_ms"] <= 750
        assert status(session) == "listening"
        error = {"type": "invalid_request_error", "message": "no", "event_id": cut["event_id"]}
        await script.tell("error", error=error)
        await script.tell("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=20)
        await anyio.wait_all_tasks_blocked()
        assert "could not truncate" in session.warnings[0]
        assert status(session) == "thinking"


async def test_every_event_and_every_response_can_be_watched() -> None:
    async with in_session() as session:
        async with session.events() as events, session.responses() as responses:
            response = await speak(session)
            await session.close()
            seen = [event.type async for event in events if not isinstance(event, Missed)]
            finished = [found async for found in responses]
        async with session.events() as late:
            assert [event async for event in late] == []
    assert seen[0] == "conversation.item.added"
    assert "response.done" in seen
    assert [found.id for found in finished if isinstance(found, Response)] == [response.id]


async def test_a_slow_watcher_is_told_how_many_it_missed() -> None:
    watch: Subscription[int] = Subscription(limit=2)
    for number in range(5):
        watch.publish(number)
    watch.end()
    assert [thing async for thing in watch] == [0, 1, Missed(3)]


async def test_an_event_that_came_just_before_is_found() -> None:
    async with in_session() as session:
        await speak(session)
        done = await session.wait_for("response.done")
        assert isinstance(done, ResponseDone)
        with pytest.raises(Timeout, match=r"player clerk: no response\.done within 1 s"):
            await session.wait_for("response.done", timeout_s=1)
        async with anyio.create_task_group() as group:
            group.start_soon(speak, session)
            assert await session.wait_for("response.done") != done
        async with anyio.create_task_group() as group:
            group.start_soon(session.close)
            with pytest.raises(SessionClosed):
                await session.wait_for("response.done")


# ---- tools


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def fetch(key: str) -> dict[str, str]:
    """Look something up."""
    await anyio.sleep(1)
    return {"key": key}


async def hang() -> None:
    await anyio.sleep_forever()


async def crash() -> None:
    raise RuntimeError("out of paper")


def test_a_function_is_a_tool_with_the_schema_of_its_signature() -> None:
    tool = Tool.of(add)
    assert (tool.name, tool.description) == ("add", "Add two numbers.")
    assert tool.parameters == {
        "type": "object",
        "properties": {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer", "default": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert Tool.of(tool) is tool
    assert Tool("manual").definition.parameters == {"type": "object", "properties": {}}


async def half() -> str:
    return "a\ud800b"


async def half_inside() -> dict[str, str]:
    return {"name": "\udcff"}


@pytest.mark.parametrize(
    ("tool", "arguments", "output"),
    [
        (Tool.of(fetch), '{"key": "x"}', '{"key":"x"}'),
        (Tool("half", run=half), "{}", "a\ufffdb"),
        (Tool("half", run=half_inside), "{}", '{"name": "\ufffd"}'),
        (Tool("hang", run=hang, timeout_s=2), "", '{"error":"the tool took longer than 2 s"}'),
        (Tool.of(crash), "{}", '{"error":"RuntimeError: out of paper"}'),
        (Tool.of(fetch), "{}", '{"error":"key: Missing required argument"}'),
        (Tool.of(fetch), "[]", '{"error":"TypeError: the arguments are not an object"}'),
        (Tool.of(fetch), "{", '{"error":"ValueError: EOF while parsing an object at line 1 column 1"}'),
    ],
)
async def test_whatever_a_tool_does_is_an_output(tool: Tool, arguments: str, output: str) -> None:
    assert await tool.call(arguments) == output


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_function_that_does_not_await_runs_in_a_thread() -> None:
    assert await Tool.of(add).call('{"a": "2"}') == "3"


class Model:
    """A scripted model that calls tools, then speaks."""

    def __init__(self, script: Any, calls: list[ToolCall]) -> None:
        self.script = script
        self.calls = calls
        self.heard: list[dict[str, Any]] = []

    async def answer(self, metadata: dict[str, str] | None, output: list[dict[str, Any]], number: int) -> None:
        response = {"id": f"resp_{number}", "status": "in_progress", "metadata": metadata}
        await self.script.tell("response.created", response=response)
        await self.script.tell("response.done", response=response | {"status": "completed", "output": output})

    async def play(self, *, asked: bool = True) -> None:
        metadata = (await self.script.hear())["response"]["metadata"] if asked else None
        output = [
            {"id": f"i{n}", "type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments}
            for n, c in enumerate(self.calls)
        ]
        await self.answer(metadata, output, 1)
        while (event := await self.script.hear())["type"] != "response.create":
            self.heard.append(event["item"])
            await self.script.tell("conversation.item.added", item={"id": event["item"]["id"], "type": "x"})
        message = {"id": "m", "type": "message", "content": [{"type": "output_text", "text": "Done."}]}
        await self.answer(event["response"]["metadata"], [message], 2)


CALLS = [ToolCall("c1", "fetch", '{"key": "a"}'), ToolCall("c2", "fetch", '{"key": "b"}'), ToolCall("c3", "gone", "")]


def equip(session: Session, *tools: Tool) -> None:
    session._tools.update({tool.name: tool for tool in tools})


async def test_calls_run_side_by_side_and_one_response_follows_all_outputs() -> None:
    async with scripted() as (session, script):
        equip(session, Tool.of(fetch))
        model = Model(script, CALLS)
        async with anyio.create_task_group() as group:
            group.start_soon(model.play)
            began = anyio.current_time()
            response = await session.response()
        assert response.text == "Done."
        assert anyio.current_time() - began == 1
    assert [(item["call_id"], json.loads(item["output"])) for item in model.heard] == [
        ("c1", {"key": "a"}),
        ("c2", {"key": "b"}),
        ("c3", {"error": "unknown tool 'gone'; the tools are: fetch"}),
    ]


async def test_calls_of_a_turn_that_nobody_asked_for_are_answered_too() -> None:
    async with scripted() as (session, script):
        equip(session, Tool.of(fetch))
        async with session.responses() as responses:
            await Model(script, CALLS[:1]).play(asked=False)
            await anyio.wait_all_tasks_blocked()
            await session.close()
            assert [r.text async for r in responses if isinstance(r, Response)] == ["", "Done."]


async def test_a_tool_without_a_function_is_answered_by_hand() -> None:
    async with scripted() as (session, script):
        equip(session, Tool("fetch"))
        model = Model(script, CALLS[:1])
        async with anyio.create_task_group() as group:
            group.start_soon(model.play)
            (call,) = (await session.response()).calls
            await session.tool_output(call.call_id, "by hand")
            assert (await session.response()).text == "Done."
    assert model.heard[0]["output"] == "by hand"


async def test_tools_are_told_to_the_model_and_can_be_changed() -> None:
    async with in_session() as session:
        made = await session.update(tools=[add, fetch], tool_choice="none")
        assert [tool["name"] for tool in made["tools"]] == ["add", "fetch"]
        assert made["tools"][0]["description"] == "Add two numbers."
        assert (await session.update(tools=[]))["tools"] == []
