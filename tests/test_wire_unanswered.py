"""What a server does not answer is taken as done, once it has shown that it is there: with a warning, and soon."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ModelRefused, Timeout
from tests.support.tampering_server import SAID, Tampering, performed, said, talking, without
from tests.support.tone_voice import tone
from tests.test_session import scripted

ACKNOWLEDGED = ("conversation.item.added", "conversation.item.done", "conversation.item.created")
LINE = 'Perform this line: "Hello there."'
OWED = "no {} arrived; the request is assumed to have succeeded"
SOON_S = 3.0


async def test_items_that_are_never_acknowledged_cost_no_line_and_no_player(tmp_path: Path) -> None:
    take = await performed(Tampering(without(*ACKNOWLEDGED)), tmp_path)
    assert (take.ended, said(take)) == ("complete", SAID)
    assert take.warnings == (f"understudy: {OWED.format('conversation.item.added')}",)
    assert all(player.opening_attempts == 1 and player.status == "played" for player in take.players)
    assert all(line.attempts == 1 for line in take.lines)
    assert all(hearing.heard_at_s is not None for line in take.lines for hearing in line.hearers)


async def test_who_only_listens_is_not_lost_where_items_are_never_acknowledged(tmp_path: Path) -> None:
    scene = """
players: {ann: {voice: ash, setup: [user: Be brief.]}, bob: {voice: sage}, cid: {voice: coral}}
lines: [ann: One., ann: Two., bob: Three., {user: {cid: Now you.}}, cid: Four.]
"""
    take = await performed(Tampering(without(*ACKNOWLEDGED)), tmp_path, scene)
    assert (take.ended, said(take)) == ("complete", ["One.", "Two.", "Three.", "Four."])
    assert len(take.warnings) == 1


async def test_a_session_goes_on_where_items_are_never_acknowledged() -> None:
    async with talking(Tampering(without(*ACKNOWLEDGED))) as session:
        began = anyio.current_time()
        item = await session.user("Good evening.")
        assert 1 < anyio.current_time() - began < SOON_S
        began = anyio.current_time()
        heard = await session.create_audio(tone("ash", "Hello."), "Hello.")
        await session.user(LINE)
        assert anyio.current_time() - began < 0.1
        assert (await session.response()).transcript == "Hello there."
        told = session.conversation.items
        assert (told[item.id].text, told[heard.id].transcript, told[heard.id].role) == (
            "Good evening.",
            "Hello.",
            "user",
        )
        assert session.warnings == [OWED.format("conversation.item.added")]
        assert session.is_open


async def test_what_is_open_when_a_later_response_ends_is_taken_as_done() -> None:
    async with talking(Tampering(without(*ACKNOWLEDGED))) as session, anyio.create_task_group() as group:
        began = anyio.current_time()
        group.start_soon(session.user, LINE)
        await anyio.wait_all_tasks_blocked()
        assert (await session.response()).transcript == "Hello there."
        await anyio.wait_all_tasks_blocked()
        assert anyio.current_time() - began < 1
    assert session.warnings == [OWED.format("conversation.item.added")]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("truncate", "conversation.item.truncated"),
        ("delete", "conversation.item.deleted"),
        ("clear", "input_audio_buffer.cleared"),
        ("commit", "input_audio_buffer.committed"),
    ],
)
async def test_a_request_of_a_kind_that_is_never_answered_is_taken_as_done_soon(asked: str, answer: str) -> None:
    ignored = f"{answer.rpartition('.')[0]}.{asked}"
    async with talking(Tampering(ignores={ignored})) as session:
        await session.user(LINE)
        response = await session.response()
        requests = {
            "truncate": lambda: session.truncate(response.item_ids[0], 50),
            "delete": lambda: session.delete_conversation_item(response.item_ids[0]),
            "clear": session.clear_input_audio_buffer,
            "commit": session.commit_input_audio_buffer,
        }
        for wait_s in (SOON_S, 0.1):
            began = anyio.current_time()
            await requests[asked]()
            assert anyio.current_time() - began < wait_s
        assert session.warnings == [OWED.format(answer)]
        assert (await session.response()).status == "completed"


async def test_a_server_that_answers_nothing_at_all_is_still_a_timeout() -> None:
    async with scripted() as (session, script):
        with pytest.raises(Timeout, match=r"no conversation\.item\.added within 3 s"):
            await session.user("Hello.")
        assert [(await script.hear())["type"] for _ in range(2)] == ["conversation.item.create", "session.update"]


async def test_an_answer_that_comes_late_names_the_item_and_a_late_refusal_is_a_warning() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def serve() -> None:
            first = (await script.hear())["item"]
            assert (await script.hear())["session"] == {"type": "realtime"}
            await script.tell("session.updated", session={})
            second = (await script.hear())["event_id"]
            await anyio.sleep(0.1)  # by then it is taken as done
            await script.tell("conversation.item.created", item=first | {"id": "theirs"})
            await script.tell("error", error={"event_id": second, "code": "bad_item", "message": "No such thing."})
            await script.tell("error", error={"code": "item_delete_invalid_item_id", "message": "Nor this."})

        group.start_soon(serve)
        one = await session.user("One.")
        await session.user("Two.")
        await anyio.sleep(1)
        assert session.conversation.entries.id_of(one.id) == "theirs"
        assert session.id == "sess_1"
        refused = "the server rejected a request that was assumed to have succeeded (bad_item): No such thing."
        assert refused in session.warnings


async def test_a_late_refusal_that_names_no_request_is_told() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def serve() -> None:
            await script.hear()
            await script.hear()
            await script.tell("error", error={"code": "unknown_parameter", "param": "session.type", "message": "No."})
            await anyio.sleep(1)
            await script.tell("error", error={"code": "item_delete_invalid_item_id", "message": "Not there."})

        group.start_soon(serve)
        await session.delete_conversation_item("item_1")
        await anyio.sleep(2)
        assert session.warnings[-1].endswith("(item_delete_invalid_item_id): Not there.")


async def test_a_refusal_that_comes_before_the_sign_of_life_still_counts() -> None:
    async with scripted() as (session, script), anyio.create_task_group() as group:

        async def serve() -> None:
            for _ in range(2):
                await script.hear()
            await script.tell("error", error={"code": "bad_item", "message": "The item is too long."})
            await script.tell("session.updated", session={})

        group.start_soon(serve)
        with pytest.raises(ModelRefused, match="The item is too long"):
            await session.user("One.")


async def test_a_server_that_confirms_no_session_shows_by_any_event_that_it_is_there() -> None:
    async with scripted() as (session, script):
        session.answers.clear()

        async def serve() -> None:
            await script.hear()
            await script.tell("ping")

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            assert (await session.user("One.")).id
        assert session.warnings == [OWED.format("conversation.item.added")]


async def test_sound_that_was_appended_is_gone_when_its_clearing_is_taken_as_done() -> None:
    async with talking(Tampering(ignores={"input_audio_buffer.clear"})) as session:
        await session.append_input_audio_buffer(Pcm.silence(24_000))
        await session.clear_input_audio_buffer()
        assert session.warnings == [OWED.format("input_audio_buffer.cleared")]
