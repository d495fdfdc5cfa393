"""Every endpoint that deviates plays a scene to its end, on a server that behaves as reported. On a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.errors import ModelRefused
from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.dialects import AZURE_TIMES, SPEAKS_BETA
from tau_stage.protocol.responses import Response, VisemeTime, WordTime
from tau_stage.session import Session, Tool, open_session
from tau_stage.stage.performance import perform
from tau_stage.stage.sessions import Stage, open_stage
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Take
from tau_stage.transport import Handshake, Transport, serve
from tests.support.in_memory_stage import plan_of
from tests.support.scripted_providers import NAMES, ScriptedProvider
from tests.support.tone_voice import tone

TELLS_USAGE = {"xai", "stepfun", "azure-voice-live", "inworld"}


def look() -> str:
    """Somebody asks how the weather is."""
    return "foggy"


def scene_for(provider: ScriptedProvider) -> str:
    first, second, third = provider.script["voices"]
    return f"""
model: "{provider.script["model"]}"
endpoint: {provider.script["endpoint"]}
persona: You speak softly.
players: {{ann: {{voice: "{first}"}}, bob: {{voice: "{second}", tools: none}}, cy: {{voice: "{third}", tools: none}}}}
tools: {{look: {{description: Somebody asks how the weather is., returns: foggy}}}}
lines:
  - ann: Hello there, my friend.
  - bob: Good day to both of you.
  - cy: And how is the weather?
  - ann:
    improvise:
  - cy: So I thought.
"""


async def performed(provider: ScriptedProvider, tmp_path: Path, head: str = "") -> tuple[Take, TakeFolder]:
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
    stage = Stage(lambda _player: provider.connected(), lambda _player: provider.place)
    return await perform(plan_of(head + scene_for(provider)), stage, folder), folder


@pytest.mark.parametrize("name", NAMES)
async def test_a_scene_of_three_runs_to_its_end(name: str, tmp_path: Path) -> None:
    provider = ScriptedProvider(name)
    take, folder = await performed(provider, tmp_path)
    assert (take.ended, take.problem) == ("complete", "")
    assert [line.said for line in take.lines] == [
        "Hello there, my friend.", "Good day to both of you.", "And how is the weather?",
        "It is foggy, they say.", "So I thought.",
    ]  # fmt: skip
    voices = str(provider.script["voices"])
    assert [line.samples for line in take.lines] == [len(tone(voices, line.said)) for line in take.lines]
    assert [line.attempts for line in take.lines] == [1] * 5
    assert [(call.tool, call.output) for call in take.lines[3].calls] == [("look", "foggy")]
    assert [len(line.hearers) for line in take.lines] == [2] * 5
    assert [(folder.stems / f"{player}.wav").exists() for player in ("ann", "bob", "cy")] == [True] * 3
    assert (take.usage.audio_out > 0) is (name in TELLS_USAGE)
    assert (take.cost.total is not None) is (name == "xai")
    assert [warning for warning in take.warnings if "instead of" in warning] == []
    assert any(SPEAKS_BETA in warning for warning in take.warnings) is (name == "vllm-before-rename")


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_is_asked_for_its_session_in_its_own_form_and_told_what_is_heard(
    name: str, tmp_path: Path
) -> None:
    provider = ScriptedProvider(name)
    await performed(provider, tmp_path)
    for number, voice in enumerate(provider.script["voices"]):
        (update,) = provider.sent("session.update", number)
        asked = dict(update["session"])
        tools = asked.pop("tools", None)
        assert bool(tools) is (number == 0)
        assert asked.pop("instructions")
        assert asked.pop("tool_choice", None) is None
        spoken_as = asked.pop("voice", None) or asked["audio"]["output"].pop("voice")
        assert spoken_as in (voice, {"type": "azure-standard", "name": voice})
        assert asked == provider.script["asks"] | (AZURE_TIMES if isinstance(spoken_as, dict) else {})
        heard = [
            part
            for event in provider.sent("conversation.item.create", number)
            for part in event["item"].get("content", ())
            if part["type"] == "input_audio"
        ]
        assert len(heard) == 3 if number != 1 else 4
        assert all(part["transcript"] for part in heard)


PLACED = {"previous_item_id": "$previous", "item": {"with": "$item", "object": "realtime.item"}}
BUFFER: dict[str, list[dict[str, Any]]] = {
    "input_audio_buffer.append": [],
    "input_audio_buffer.clear": [{"type": "input_audio_buffer.cleared"}],
    "input_audio_buffer.commit": [
        {"type": "input_audio_buffer.committed", "previous_item_id": "$previous", "item_id": "$item_id"},
        {"type": "conversation.item.created", **PLACED},
    ],
}
"""How a server answers that has an input buffer; a script may have another way."""


@pytest.mark.parametrize("has_buffer", [True, False], ids=["has a buffer", "has none"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_scene_is_heard_by_stream_where_that_can_be(name: str, has_buffer: bool, tmp_path: Path) -> None:
    provider = ScriptedProvider(name)
    provider.script = (BUFFER if has_buffer else {}) | provider.script
    take, _ = await performed(provider, tmp_path, "hearing: stream\n")
    assert (take.ended, take.problem) == ("complete", "")
    assert take.lines[-2].said == "It is foggy, they say."
    assert [line.attempts for line in take.lines] == [1] * 5
    assert {hearing.heard_at_s is not None for line in take.lines for hearing in line.hearers} == {True}
    told = [warning for warning in take.warnings if "cannot use 'hearing: stream'" in warning]
    ways = [hearing.by for line in take.lines for hearing in line.hearers]
    can = has_buffer and name != "localai"  # which would answer
    assert ways == ["stream" if can else "create_audio"] * 10
    assert len(told) == (0 if can else 3)
    says = [event for event in provider.sent("conversation.item.create") if "Perform" in str(event)]
    assert len(says) == 1


@asynccontextmanager
async def in_session(provider: ScriptedProvider, **wishes: Any) -> AsyncIterator[Session]:
    place = provider.place
    wanted = session_config(voice=provider.script["voices"][0], turn_detection=None, **place.named("m"), **wishes)
    async with (
        provider.connected() as transport,
        open_session(
            transport, wanted, dialect=place.dialect, opening=place.opening, prices=place.price_provider,
            tools=[Tool.of(look)],
        ) as session,
    ):  # fmt: skip
        yield session


async def test_items_under_ids_of_the_servers_are_deleted_and_truncated_by_them() -> None:
    provider = ScriptedProvider("stepfun")
    async with in_session(provider) as session:
        item = await session.user("Hello.")
        assert item.id.startswith("item_")
        await session.delete_conversation_item(item.id)
        assert provider.sent("conversation.item.delete")[0]["item_id"] == item.id
        heard = await session.create_audio(tone("a", "Hm."), "Hm.")
        assert session.conversation.items[heard.id].audio == tone("a", "Hm.")
        response = await session.response()
        await session.truncate(response.item_ids[0], 100)


async def test_an_error_that_is_a_text_reaches_whoever_asked_at_once() -> None:
    async with in_session(ScriptedProvider("vllm")) as session:
        began = anyio.current_time()
        with pytest.raises(ModelRefused, match=r"refused \(bad_event\): This event is not supported"):
            await session.retrieve("item_1")
        assert anyio.current_time() - began <= 1
        assert isinstance(await session.response(), Response)


async def test_a_transcript_that_comes_whole_each_time_is_the_last_one() -> None:
    async with in_session(ScriptedProvider("xai")) as session:
        await session.append_input_audio_buffer(tone("a", "Hello, my name is"))
        item_id = await session.commit_input_audio_buffer()
        await session.user("And now?")
        assert session.conversation.items[item_id].transcript == "Hello, my name is"


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", NAMES)
async def test_an_address_says_what_its_server_is_like(name: str, tmp_path: Path) -> None:
    """Slow: over real sockets."""
    provider = ScriptedProvider(name)

    async def listen(transport: Transport, _handshake: Handshake) -> None:
        await provider.listen(transport)

    async with serve(listen) as url:
        there = f"{provider.script['endpoint']}+{url}/v1/realtime"
        scene = scene_for(provider).replace(f"endpoint: {provider.script['endpoint']}", f"endpoint: {there}")
        plan = plan_of(f"{scene}\nlimits: {{start_rate: 100/s}}")
        folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
        async with open_stage([plan], {}, live=True) as stage:
            take = await perform(plan, stage, folder)
    assert (take.ended, take.problem) == ("complete", "")
    assert [call.output for call in take.lines[3].calls] == ["foggy"]
    assert {player.endpoint for player in take.players} == {there}


async def test_azures_own_voices_are_asked_for_the_times_of_words_and_these_are_kept(tmp_path: Path) -> None:
    provider = ScriptedProvider("azure-voice-live")
    take, _ = await performed(provider, tmp_path)
    asked = [provider.sent("session.update", number)[0]["session"] for number in range(3)]
    assert [session.get("output_audio_timestamp_types") for session in asked] == [None, ["word"], ["word"]]
    assert [session.get("animation") for session in asked] == [
        None,
        {"outputs": ["viseme_id"]},
        {"outputs": ["viseme_id"]},
    ]
    line = take.lines[1]
    assert line.word_times == (WordTime(line.said, 0, 2400),)
    assert line.visemes == (VisemeTime(21, 960),)
