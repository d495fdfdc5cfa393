"""Answers are found as the protocol promises them: by event id, by item or response id, else by order."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ModelRefused, Timeout
from tau_stage.protocol.responses import Response
from tests.test_session import Script, scripted

DELTA = Pcm.silence(2400).base64.decode()
PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
SOON_S = 1.0


async def error(script: Script, **facts: Any) -> None:
    await script.tell("error", error={"type": "invalid_request_error", "event_id": None, **facts})


async def test_a_refusal_that_names_no_request_reaches_the_one_it_is_about_at_once() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def truncate() -> None:
            began = anyio.current_time()
            with pytest.raises(ModelRefused, match="already shorter than 2535ms"):
                await session.truncate("item_1", 2535)
            assert anyio.current_time() - began < SOON_S

        async def say() -> None:
            assert (await session.user("Hello.")).id == "theirs"

        group.start_soon(truncate)
        assert (await script.hear())["type"] == "conversation.item.truncate"
        group.start_soon(say)
        item = (await script.hear())["item"]
        await error(script, code="invalid_value", message="Audio content of 2450ms is already shorter than 2535ms")
        await anyio.sleep(0.1)
        await script.tell("conversation.item.created", item=item | {"id": "theirs"})


async def test_an_answer_that_comes_after_such_an_error_still_counts() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:
        group.start_soon(session.delete_conversation_item, "item_1")
        await script.hear()
        await error(script, code="server_error", message="Hiccup.")
        await anyio.sleep(0.2)
        await script.tell("conversation.item.deleted", item_id="item_1")


async def test_an_error_that_names_another_request_is_no_answer() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def delete() -> None:
            with pytest.raises(Timeout, match=r"no conversation\.item\.deleted within 3 s"):
                await session.delete_conversation_item("item_1")

        group.start_soon(delete)
        await script.hear()
        await error(script, code="server_error", event_id="tau_evt_999")


async def test_a_response_that_ends_in_an_error_only_has_failed_with_the_servers_words() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def speak() -> None:
            began = anyio.current_time()
            response = await session.response()
            assert anyio.current_time() - began < SOON_S
            assert (response.status, response.reason) == ("failed", "inference_failed")
            assert response.message == "backend error: model not loaded"
            assert session.status == "idle"

        group.start_soon(speak)
        asked = await script.hear()
        await script.tell("response.created", response={"id": "resp_1", "metadata": asked["response"]["metadata"]})
        await error(script, code="inference_failed", message="backend error: model not loaded")


async def answer(script: Script, order: list[str], *, metadata: bool = True) -> None:
    """Answer one request for a response, its events in some order; the sound is in three deltas."""
    asked = await script.hear()
    given = {"metadata": asked["response"]["metadata"]} if metadata else {}
    item = {"id": "item_1", "type": "message", "role": "assistant"}
    events: dict[str, tuple[str, dict[str, Any]]] = {
        "created": ("response.created", {"response": {"id": "resp_1", "status": "in_progress", **given}}),
        "item": ("response.output_item.added", {"response_id": "resp_1", "item": item}),
        "sound": ("response.output_audio.delta", {**PLACE, "delta": DELTA}),
        "words": ("response.output_audio_transcript.done", {**PLACE, "transcript": "Hello."}),
        "silence": ("response.output_audio.done", PLACE),
        "done": ("response.done", {"response": {"id": "resp_1", "status": "completed", "output": [item], **given}}),
    }
    for name in order:
        kind, fields = events[name]
        await script.tell(kind, **fields)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize(
    "order",
    [
        ["created", "item", "sound", "sound", "sound", "words", "silence", "done"],
        ["sound", "created", "item", "sound", "sound", "words", "silence", "done"],
        ["created", "item", "sound", "words", "done", "sound", "sound", "silence"],
        ["item", "sound", "sound", "sound", "words", "silence", "done"],
        ["created", "sound", "sound", "sound", "words", "done"],
    ],
    ids=" ".join,
)
async def test_sound_belongs_to_its_response_whenever_it_comes(order: list[str], metadata: bool) -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:
        responses: list[Response] = []

        async def speak() -> None:
            responses.append(await session.response())

        group.start_soon(speak)
        await answer(script, order, metadata=metadata)
        await anyio.sleep(SOON_S)
        (response,) = responses
        assert (response.status, response.transcript, len(response.audio)) == ("completed", "Hello.", 3 * 2400)


async def test_an_item_under_an_id_of_the_servers_own_is_followed_everywhere() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:
        group.start_soon(session.user, "Hello.")
        asked = await script.hear()
        ours, item = asked["item"]["id"], asked["item"] | {"id": "3f0c9a4e-longer-than-any-id-of-ours"}
        await script.tell("conversation.item.created", item=item)
        await anyio.sleep(0.01)
        group.start_soon(session.truncate, ours, 100)
        assert (await script.hear())["item_id"] == item["id"]
        await script.tell("conversation.item.truncated", item_id=item["id"], audio_end_ms=100)
        group.start_soon(session.delete_conversation_item, ours)
        assert (await script.hear())["item_id"] == item["id"]
        await script.tell("conversation.item.deleted", item_id=item["id"])
        await anyio.sleep(0.01)
        assert session.conversation.items == {}
