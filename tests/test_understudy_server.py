"""The understudy answers as the Realtime API does; the `openai` package's types judge every event it sends."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ConnectFailed, SessionClosed, UsageError
from tau_stage.transport import QUEUED_FRAMES, Handshake
from tau_stage.understudy import faults as fault
from tau_stage.understudy.admission import reject_reason
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.response import MessageStream
from tau_stage.understudy.server import Understudy, open_understudy
from tau_stage.understudy.settings import new_session
from tests.support.memory_server import MODEL, Client, bare_client, connected
from tests.support.openai_types import check_server_event
from tests.support.tone_voice import Tones, tone

LINE = 'Perform this line: "Is anybody there? I have brought the umbrella back."'
SECOND = Pcm.silence(24_000).base64.decode()


def message(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def sound(audio: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}], **fields}


async def say(client: Client, text: str = LINE, **response: Any) -> list[dict[str, Any]]:
    """Put words into the conversation and let the understudy speak."""
    await client.send("conversation.item.create", item=message(text))
    await client.until("conversation.item.done")
    await client.send("response.create", response=response)
    return await client.until("response.done")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, runs of deltas folded into one of each."""
    names = [event["type"].removeprefix("response.") for event in events]
    return list(dict.fromkeys(names))


async def test_a_connection_begins_with_the_session_as_openai_makes_it() -> None:
    async with connected() as transport:
        created = json.loads(await transport.receive())
    session = created["session"]
    assert session["model"] == MODEL
    assert session["audio"]["output"]["voice"] == "marin"
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["expires_at"] > 0


async def test_a_spoken_response_has_the_events_of_the_api_in_their_order() -> None:
    async with bare_client() as client:
        events = await say(client, metadata={"line": "7"})
    assert kinds(events) == [
        "created",
        "output_item.added",
        "conversation.item.added",
        "content_part.added",
        "output_audio_transcript.delta",
        "output_audio.delta",
        "output_audio.done",
        "output_audio_transcript.done",
        "content_part.done",
        "conversation.item.done",
        "output_item.done",
        "done",
    ]
    done = next(event for event in events if event["type"] == "response.done")["response"]
    assert done["metadata"] == {"line": "7"}
    assert done["output"][0]["content"][0]["transcript"] == "Is anybody there? I have brought the umbrella back."
    data = b"".join(pybase64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
    assert data == tone("marin", "Is anybody there? I have brought the umbrella back.").data
    assert len({event["event_id"] for event in events}) == len(events)


async def test_a_written_response_has_text_and_no_sound() -> None:
    async with bare_client() as client:
        events = await say(client, output_modalities=["text"])
    assert "output_text.delta" in kinds(events)
    assert not any("audio" in kind for kind in kinds(events))


async def test_an_out_of_band_response_leaves_the_conversation_alone() -> None:
    async with bare_client() as client:
        created = await client.ask("conversation.item.create", item=message(LINE, id="item_1"))
        assert created["type"] == "conversation.item.added"
        await client.until("conversation.item.done")
        await client.send(
            "response.create",
            response={"conversation": "none", "input": [{"type": "item_reference", "id": "item_1"}]},
        )
        events = await client.until("response.done")
        assert not any("conversation.item" in kind for kind in kinds(events))
        assert events[0]["response"]["conversation_id"] is None
        error = await client.refused(
            "response.create", response={"conversation": "none", "input": [{"type": "item_reference", "id": "gone"}]}
        )
        assert (error["code"], error["param"]) == ("item_not_found", "response.input[0].id")


async def test_without_a_line_it_answers_the_same_every_time() -> None:
    async def answer(text: str) -> str:
        async with bare_client() as client:
            return str((await say(client, text))[-1]["response"]["output"][0]["content"][0]["transcript"])

    first = await answer("Where does the wind come from?")
    assert first == await answer("Where does the wind come from?")
    assert len(first.split()) > 2


async def test_usage_follows_the_published_rules_and_the_cached_beginning_is_told() -> None:
    async with bare_client() as client:
        await client.send(
            "session.update", session={"type": "realtime", "instructions": "Speak in Scots now. " * 12}
        )  # 240 bytes: 60 tokens
        await client.until("session.updated")
        await client.send("conversation.item.create", item=sound(SECOND * 6))  # six seconds: 60 tokens
        await client.until("conversation.item.done")
        first = (await say(client, 'Say: "Twelve bytes"'))[-1]["response"]["usage"]  # 19 bytes: 5 tokens
        await client.send("conversation.item.create", item=message("abcd"))  # 1 token
        await client.until("conversation.item.done")
        second = (await say(client, "efgh"))[-1]["response"]["usage"]  # 1 token
    spoken = tone("marin", "Twelve bytes").duration_s  # 0.24 s: 5 tokens
    assert first["input_token_details"] == {
        "text_tokens": 65,
        "audio_tokens": 60,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    }
    assert round(spoken * 20 + 0.49) == 5
    thought = first["output_token_details"]["reasoning_tokens"]
    assert 15 <= thought <= 30
    assert first["output_token_details"] == {"text_tokens": 3 + thought, "audio_tokens": 5, "reasoning_tokens": thought}
    assert first["total_tokens"] == 65 + 60 + 3 + thought + 5
    assert second["input_token_details"]["audio_tokens"] == 65
    assert second["input_token_details"]["text_tokens"] == 67
    assert second["input_token_details"]["cached_tokens_details"] == {
        "text_tokens": 64,  # of the 65 that the first has read
        "audio_tokens": 64,  # of the 60 that it has read and the 5 that it said
        "image_tokens": 0,
    }


async def test_a_changed_instruction_empties_the_cache() -> None:
    async with bare_client() as client:
        long = "Speak in Scots now. " * 13
        cached = []
        for instructions in (long, long, f"{long} Or in Welsh."):
            await client.send("session.update", session={"type": "realtime", "instructions": instructions})
            usage = (await say(client))[-1]["response"]["usage"]
            cached.append(usage["input_token_details"]["cached_tokens_details"]["text_tokens"])
    assert cached == [0, 64, 0]


@pytest.mark.parametrize(
    ("kind", "fields", "code", "param"),
    [
        ("session.dance", {}, "invalid_value", "type"),
        ("session.update", {}, "missing_required_parameter", "session"),
        ("session.update", {"session": {}}, "missing_required_parameter", "session.type"),
        (
            "session.update",
            {"session": {"type": "realtime", "temperature": 0.8}},
            "unknown_parameter",
            "session.temperature",
        ),
        (
            "session.update",
            {"session": {"type": "realtime", "audio": {"output": {"speed": "fast"}}}},
            "invalid_type",
            "session.audio.output.speed",
        ),
        (
            "session.update",
            {"session": {"type": "realtime", "audio": {"output": {"speed": 9}}}},
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            "session.update",
            {
                "session": {
                    "type": "realtime",
                    "audio": {"input": {"turn_detection": {"type": "server_vad", "zest": 1}}},
                }
            },
            "unknown_parameter",
            "session.audio.input.turn_detection.zest",
        ),
        (
            "session.update",
            {"session": {"type": "realtime", "model": "gpt-realtime"}},
            "invalid_value",
            "session.model",
        ),
        ("conversation.item.create", {"item": message("a", id="x" * 39)}, "string_above_max_length", "item.id"),
        (
            "conversation.item.create",
            {"item": {"role": "user", "content": []}},
            "missing_required_parameter",
            "item.type",
        ),
        (
            "conversation.item.create",
            {"item": {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": "AAAA"}]}},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        ("conversation.item.create", {"item": sound("A")}, "invalid_value", "item.content[0].audio"),
        (
            "conversation.item.create",
            {"item": message("a"), "previous_item_id": "gone"},
            "item_not_found",
            "previous_item_id",
        ),
        ("conversation.item.retrieve", {"item_id": "gone"}, "item_retrieve_invalid_item_id", "item_id"),
        ("conversation.item.delete", {"item_id": "gone"}, "item_delete_invalid_item_id", "item_id"),
        (
            "conversation.item.truncate",
            {"item_id": "gone", "content_index": 0, "audio_end_ms": 1},
            "item_truncate_invalid_item_id",
            "item_id",
        ),
        ("response.cancel", {}, "response_cancel_not_active", None),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty", None),
        ("input_audio_buffer.append", {"audio": "!"}, "invalid_value", "audio"),
        ("response.create", {"response": {"metadata": {"k": "v" * 600}}}, "invalid_value", "response.metadata"),
        ("response.create", {"response": {"temperature": 1}}, "unknown_parameter", "response.temperature"),
        (
            "response.create",
            {"response": {"output_modalities": ["audio", "text"]}},
            "invalid_value",
            "response.output_modalities",
        ),
    ],
)
async def test_whatever_is_wrong_is_named_and_the_session_goes_on(
    kind: str, fields: dict[str, Any], code: str, param: str | None
) -> None:
    async with bare_client() as client:
        error = await client.refused(kind, **fields)
        assert (error["code"], error["param"]) == (code, param)
        assert (await say(client))[-1]["type"] == "response.done"


async def test_frames_that_are_no_events_are_answered_too() -> None:
    async with bare_client() as client:
        for frame, code in ((b"{", "invalid_json"), (b"[]", "invalid_event")):
            await client.transport.send(frame)
            assert (await client.next())["error"]["code"] == code


async def test_an_update_is_refused_whole_when_the_voice_is_fixed() -> None:
    voice = {"audio": {"output": {"voice": "ash"}}}
    async with bare_client() as client:
        await say(client)
        error = await client.refused("session.update", session={"type": "realtime", "instructions": "x", **voice})
        assert error["code"] == "cannot_update_voice"
        kept = (await client.ask("session.update", session={"type": "realtime"}))["session"]
        assert kept["instructions"] == ""
        assert (await client.refused("response.create", response=voice))["code"] == "cannot_update_voice"


async def test_null_clears_and_what_is_absent_stays() -> None:
    async with bare_client() as client:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        audio = (await client.ask("session.update", session=session))["session"]["audio"]
        assert audio["input"]["turn_detection"] is None
        assert audio["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        audio = (await client.ask("session.update", session=session))["session"]["audio"]
        assert audio["input"]["turn_detection"]["eagerness"] == "auto"


async def test_items_stand_where_they_were_put() -> None:
    async with bare_client() as client:
        for item_id, previous in (("b", None), ("d", ""), ("a", "root"), ("c", "b")):
            await client.send("conversation.item.create", item=message("x", id=item_id), previous_item_id=previous)
            added, done = await client.until("conversation.item.done")
            assert added["previous_item_id"] == done["previous_item_id"]
        assert added["previous_item_id"] == "b"
        error = await client.refused("conversation.item.create", item=message("x", id="a"))
        assert error["code"] == "invalid_value"
        assert (await client.ask("conversation.item.delete", item_id="b"))["item_id"] == "b"
        assert (await client.refused("conversation.item.delete", item_id="b"))["code"].startswith("item_delete")


async def test_every_kind_of_item_is_taken() -> None:
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "softly"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I said that"}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
        },
        {"type": "function_call", "name": "light", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
    ]
    async with bare_client() as client:
        for item in items:
            await client.send("conversation.item.create", item=item)
            _, done = await client.until("conversation.item.done")
            assert done["item"]["type"] == item["type"]


async def test_what_was_heard_is_retrieved_with_its_sound() -> None:
    async with bare_client() as client:
        await client.send("conversation.item.create", item=sound(SECOND, id="item_1"))
        _, done = await client.until("conversation.item.done")
        assert "audio" not in done["item"]["content"][0]
        retrieved = await client.ask("conversation.item.retrieve", item_id="item_1")
        assert retrieved["item"]["content"][0]["audio"] == SECOND


async def test_a_truncated_item_keeps_the_sound_that_was_heard_and_no_transcript() -> None:
    async with bare_client() as client:
        item_id = (await say(client))[-1]["response"]["output"][0]["id"]
        cut = await client.ask("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
        assert cut["type"] == "conversation.item.truncated"
        part = (await client.ask("conversation.item.retrieve", item_id=item_id))["item"]["content"][0]
        assert part["transcript"] is None
        assert len(pybase64.b64decode(part["audio"])) == 4800
        error = await client.refused("conversation.item.truncate", item_id=item_id, content_index=1, audio_end_ms=50)
        assert (error["code"], error["param"]) == ("invalid_value", "content_index")
        late = {"item_id": item_id, "content_index": 0, "audio_end_ms": 900}
        error = (await client.ask("conversation.item.truncate", event_id="evt_mine", **late))["error"]
        assert error["message"] == "Audio content of 100ms is already shorter than 900ms"
        assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", None, None)
        await client.send("conversation.item.create", item=message("x", id="text"))
        await client.until("conversation.item.done")
        error = await client.refused("conversation.item.truncate", item_id="text", content_index=0, audio_end_ms=1)
        assert error["code"] == "unsupported_content_type"


async def test_the_input_buffer_becomes_an_item_or_is_cleared() -> None:
    async with bare_client() as client:
        await client.send("input_audio_buffer.append", audio=SECOND)
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
        assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        await client.send("input_audio_buffer.append", audio=SECOND)
        await client.send("input_audio_buffer.commit")
        events = await client.until("conversation.item.done")
        assert [event["type"] for event in events] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]


class Slow(Tones):
    """Takes a second to think."""

    async def speak(self, cue: Any) -> Any:
        await anyio.sleep(1)
        return await super().speak(cue)


async def test_one_response_at_a_time_but_others_beside_it() -> None:
    async with bare_client(Understudy(Slow())) as client:
        created = await client.ask("response.create")
        error = await client.refused("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert created["response"]["id"] in error["message"]
        assert (await client.ask("response.create", response={"conversation": "none"}))["type"] == "response.created"


async def test_a_response_cancelled_before_its_first_word_ends_without_one() -> None:
    async with bare_client(Understudy(Slow())) as client:
        await client.send("response.create")
        await client.until("response.created")
        await client.send("response.cancel")
        events = await client.until("response.done")
        done = events[-1]["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert kinds(events) == ["done"]
        assert done["output"] == []
        assert done["usage"]["output_tokens"] == 0
        assert (await client.refused("response.cancel", response_id="gone"))["code"] == "response_cancel_not_active"


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_a_response_that_is_too_long_is_cut_and_says_so(modality: str) -> None:
    async with bare_client() as client:
        events = await say(client, max_output_tokens=18 if modality == "audio" else 4, output_modalities=[modality])
    done = events[-1]["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["usage"]["output_tokens"] <= 18


@pytest.mark.parametrize(
    ("handshake", "key", "code", "close"),
    [
        (Handshake(query={"model": MODEL}), "right", "invalid_api_key", 3000),
        (
            Handshake(query={"model": MODEL}, headers={"authorization": "Bearer wrong"}),
            "right",
            "invalid_api_key",
            3000,
        ),
        (Handshake(), None, "missing_model", 4000),
        (Handshake(query={"model": "gpt-9"}), None, "invalid_model", 4000),
        (
            Handshake(query={"model": MODEL}, headers={"openai-beta": "realtime=v1"}),
            None,
            "beta_api_shape_disabled",
            4000,
        ),
    ],
)
async def test_who_cannot_stay_is_told_why_and_the_connection_closes(
    handshake: Handshake, key: str | None, code: str, close: int
) -> None:
    async with connected(Understudy(Tones(), key=key, refuses_beta=True), handshake) as transport:
        assert json.loads(await transport.receive())["error"]["code"] == code
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
    assert (caught.value.code, caught.value.reason) == (close, f"invalid_request_error.{code}")


@pytest.mark.parametrize(
    "brought",
    [
        {"headers": {"authorization": "Bearer right"}},
        {"headers": {"api-key": "right"}},
        {"subprotocols": ("realtime", "openai-insecure-api-key.right")},
    ],
)
def test_a_key_may_come_in_three_ways(brought: dict[str, Any]) -> None:
    assert reject_reason(Handshake(query={"model": "gpt-realtime-2025-08-28"}, **brought), "right") is None


async def test_a_place_that_is_not_there_is_404() -> None:
    with pytest.raises(ConnectFailed, match="HTTP 404"):
        async with connected(handshake=Handshake(path="/v1/chat")):
            pass


async def test_quota_and_busy_doors_can_be_ordered() -> None:
    spent = fault.RefuseInBand("insufficient_quota", 1013, type="insufficient_quota")
    async with connected(Understudy(Tones(), faults=[spent])) as transport:
        assert json.loads(await transport.receive())["error"]["code"] == "insufficient_quota"
        with pytest.raises(SessionClosed, match=r"insufficient_quota\.insufficient_quota"):
            await transport.receive()
    busy = Understudy(Tones(), faults=[fault.BusyDoor(times=1, retry_after_s=None)])
    with pytest.raises(ConnectFailed, match="HTTP 429"):
        async with connected(busy):
            pass
    async with connected(busy):
        assert len(busy.refused) == 1


async def test_a_response_can_fail_on_order() -> None:
    async with bare_client(Understudy(Tones(), faults=[fault.FailResponses()])) as client:
        await client.send("response.create")
        events = await client.until("response.done")
        assert kinds(events) == ["created", "done"]
        assert events[1]["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert events[1]["response"]["usage"]["total_tokens"] == 0


async def test_a_client_that_goes_while_it_is_told_of_a_failure_is_no_failure_of_the_house() -> None:
    house = Understudy(Tones(), faults=[fault.FailResponses()], keeps_visits=True)
    async with connected(house, judged=False) as transport:
        for _ in range(QUEUED_FRAMES - 2):
            await transport.inner.send(b'{"type": "input_audio_buffer.clear"}')
        await transport.inner.send(b'{"type": "response.create"}')
        await anyio.wait_all_tasks_blocked()  # the queue is full: response.done waits for a reader
        transport.drop()
        await anyio.wait_all_tasks_blocked()
        assert house.visits[0].closed_at is not None


async def test_fields_and_events_nobody_knows_can_be_ordered() -> None:
    async with connected(Understudy(Tones(), faults=[fault.Oddity.FIELDS]), judged=False) as transport:
        assert json.loads(await transport.receive())["type"] == "response.aside.delta"
        assert json.loads(await transport.receive())["aside"]


async def test_odd_deltas_can_be_ordered() -> None:
    async with bare_client(Understudy(Tones(), faults=[fault.Oddity.DELTAS])) as client:
        events = await say(client)
    lengths = [len(pybase64.b64decode(e["delta"])) for e in events if e["type"] == "response.output_audio.delta"]
    assert lengths[0] % 2 == 1


async def test_a_drop_in_a_response_can_be_ordered() -> None:
    async with bare_client(Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=1)])) as client:
        with pytest.raises(SessionClosed) as caught:
            await say(client)
    assert caught.value.code == 1006


async def test_only_loopback_is_served() -> None:
    with pytest.raises(UsageError, match="loopback address"):
        async with open_understudy(Understudy(Tones()), host="0.0.0.0"):  # noqa: S104 - it is refused
            pass


def dialogue() -> Dialogue:
    return Dialogue(1, new_session("sess_1", MODEL, 0))


KINDS = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
]
SESSION_FIELDS = [
    "audio",
    "instructions",
    "max_output_tokens",
    "output_modalities",
    "reasoning",
    "tool_choice",
    "tools",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "session": json_values
        | st.fixed_dictionaries({"type": st.just("realtime")}, optional=dict.fromkeys(SESSION_FIELDS, json_values)),
        "item": json_values
        | st.fixed_dictionaries({"type": st.just("message"), "role": st.just("user"), "content": json_values}),
        "response": json_values,
        "event_id": json_values,
        "previous_item_id": json_values,
        "item_id": json_values,
        "audio": json_values | st.sampled_from(["AAAA", SECOND]),
    },
)


@pytest.mark.slow
@given(st.lists(events, max_size=4))
def test_any_event_gets_a_proper_answer(sent: list[dict[str, Any]]) -> None:
    """Slow: a hundred conversations, and each answer is judged against 46 types."""
    session = dialogue()
    for event in sent:
        reply = session.take(json.dumps(event).encode())
        for answer in reply.events:
            check_server_event(answer.model_copy(update={"event_id": "event_1"}).encode())
        assert reply.events or reply.cancel or event["type"] == "input_audio_buffer.append"
        if reply.begin:
            delivery = MessageStream(session, reply.begin, "All well.", Pcm.silence(9000))
            for answer in (*delivery.sounding(), *delivery.ending()):
                check_server_event(answer.model_copy(update={"event_id": "event_1"}).encode())


@given(st.binary(max_size=60))
def test_any_bytes_get_an_error(frame: bytes) -> None:
    (answer,) = dialogue().take(frame).events
    check_server_event(answer.model_copy(update={"event_id": "event_1"}).encode())
    assert answer.type == "error"
