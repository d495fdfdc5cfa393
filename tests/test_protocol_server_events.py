"""Server events: known ones are typed, new ones are kept, odd fields are taken as absent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.protocol.decoding import decode, remove
from tau_stage.protocol.dialects import DIALECTS, Dialect
from tau_stage.protocol.items import ContentPart, Item
from tau_stage.protocol.server_events import (
    EVENT_TYPES,
    ConversationItemCreated,
    ErrorEvent,
    ResponseDone,
    ServerError,
    TranscriptDelta,
    UnknownEvent,
    UnusableEvent,
)
from tests.support.spoiled_events import SAMPLES, mutations

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
types = st.sampled_from(
    ["error", "session.created", "response.done", "response.output_audio.delta", "conversation.item.added", "new.event"]
)


@pytest.mark.parametrize(
    ("frame", "problem", "breaks_response"),
    [
        (b"ping", "a frame is not valid JSON", False),
        (b'\xff\xfe"', "a binary frame is not text", False),
        (b' {"type": "resp', "a frame is not valid JSON", True),
        (b"[]", "received a frame that is not an event with a type", False),
        (b'{"type": 7}', "received a frame that is not an event with a type", False),
        (b'{"type": null, "delta": "AAAA"}', "received a frame that is not an event with a type", True),
        (b'{"type": "response.output_audio.delta", "delta": {"audio": "AAAA"}}', "delta is an object", True),
        (b'{"type": "conversation.item.added", "item": 7}', "item is a number", False),
        (b'{"type": "conversation.item.added"}', "the event has no item", False),
    ],
)
def test_a_frame_that_cannot_be_used_says_why(frame: bytes, problem: str, breaks_response: bool) -> None:
    event = decode(frame)
    assert isinstance(event, UnusableEvent)
    assert problem in event.problem
    assert event.breaks_response is breaks_response


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"error": "out of memory", "code": 500}, ServerError(code="500", message="out of memory")),
        ({"message": "no such model", "code": "x"}, ServerError(code="x", message="no such model")),
        ({"error": None, "message": "oh"}, ServerError(message="oh")),
        ({"error": {"message": None, "code": 7}, "message": "beside"}, ServerError(code="7", message="beside")),
        ({"error": [1], "message": {}}, ServerError()),
        ({}, ServerError()),
    ],
)
def test_an_error_is_read_in_whatever_shape_it_comes(fields: dict[str, object], error: ServerError) -> None:
    event = decode(json.dumps({"type": "error", **fields}))
    assert isinstance(event, ErrorEvent)
    assert event.error == error


def test_what_is_not_as_it_should_be_is_taken_as_absent_and_noted() -> None:
    notes: list[str] = []
    response = {
        "id": "r",
        "status": "completed",
        "status_details": "unimplemented",
        "usage": {},
        "metadata": {"a": 1, "b": []},
        "max_output_tokens": [],
        "output": [{"id": "i", "content": [{"type": "audio", "transcript": 7}, None, []]}, "odd"],
    }
    event = decode(json.dumps({"type": "response.done", "response": response}), note=notes.append)
    assert isinstance(event, ResponseDone)
    assert event.response.metadata == {"a": "1"}
    assert event.response.output == (Item(id="i", content=(ContentPart(type="audio", transcript="7"),)),)
    assert dict.fromkeys(notes) == dict.fromkeys(
        f"response.done: response.{odd}; treated as absent"
        for odd in (
            "status_details is a string",
            "output.content is null",
            "output.content is a list",
            "output is a string",
            "max_output_tokens is a list",
            "metadata.b is a list",
        )
    )


def test_a_list_and_what_stands_in_it_may_both_be_taken_out() -> None:
    event = {"output": [{"content": [1, 2]}, 3], "usage": 4}
    remove(event, [("output", 0), ("output", 0, "content", 1), ("output", 0)])
    assert event == {"output": [3], "usage": 4}


def test_an_event_of_a_new_type_is_kept_whole() -> None:
    event = decode('{"type": "response.video.delta", "event_id": null, "frame": 3}')
    assert isinstance(event, UnknownEvent)
    assert event.model_extra == {"frame": 3}


def test_an_item_from_a_sparse_server_is_taken() -> None:
    event = decode('{"type": "conversation.item.created", "item": {"id": "x", "type": "message"}}')
    assert isinstance(event, ConversationItemCreated)
    assert event.item.content is None


@given(types, st.dictionaries(st.text(max_size=12), json_values, max_size=5))
def test_any_json_object_gives_an_event(kind: str, fields: dict[str, object]) -> None:
    assert decode(json.dumps({**fields, "type": kind})).type == kind


@given(st.binary(max_size=200), st.sampled_from(list(DIALECTS.values())))
def test_any_bytes_give_an_event(frame: bytes, dialect: Dialect) -> None:
    assert isinstance(decode(frame, dialect), UnusableEvent)


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_an_event_of_a_known_type_survives_whatever_a_field_holds(kind: str) -> None:
    """Each field of each event, one after another, missing or of another type: only lost sound breaks a response."""
    event = {"type": kind, **SAMPLES[kind]}
    assert type(decode(json.dumps(event))) is EVENT_TYPES[kind]
    for changed in mutations(event):
        taken = decode(json.dumps(changed))
        assert taken.type == kind
        if isinstance(taken, UnusableEvent):
            assert not taken.breaks_response or not isinstance(changed.get("delta"), str)


def test_an_event_is_sent_with_its_type_and_what_was_set() -> None:
    frame = b'{"event_id":"event_1","type":"response.output_audio_transcript.delta","delta":"Hello"}'
    assert TranscriptDelta(event_id="event_1", delta="Hello").encode() == frame


@given(st.text(alphabet="abc", max_size=8), st.text(max_size=30))
def test_an_event_that_is_encoded_decodes_to_itself(response_id: str, delta: str) -> None:
    event = TranscriptDelta(event_id="event_1", response_id=response_id, item_id="i", delta=delta)
    assert decode(event.encode()) == event


@pytest.mark.parametrize(
    ("escaped", "words"),
    [(r"\ud83d", "\ufffd"), (r"\ude00!", "\ufffd!"), (r"\ud83d\ude00", "😀"), (r"\uD83Dx\ud83d\ude00", "\ufffdx😀")],
)
def test_half_a_character_costs_no_event(escaped: str, words: str) -> None:
    frame = '{"type": "response.output_audio_transcript.delta", "delta": "' + escaped + '"}'
    for given_as in (frame, frame.encode()):
        event = decode(given_as)
        assert isinstance(event, TranscriptDelta)
        assert event.delta == words


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "error", "error": {"error": {"message": "out of memory"}}}',
        '{"type": "error", "error": {"detail": "out of memory"}}',
        '{"type": "error", "error": {"message": {"text": "out of memory", "line": 3}}}',
        '{"type": "error", "error": [{"msg": "out of memory"}]}',
        '{"error": {"message": "out of memory"}}',
        '{"type": null, "error": "out of memory"}',
    ],
)
def test_the_words_of_an_error_are_found_wherever_they_stand(frame: str) -> None:
    event = decode(frame)
    assert isinstance(event, ErrorEvent)
    assert event.error.message == "out of memory"


def test_a_field_of_a_name_of_ours_is_as_good_as_any_other() -> None:
    event = decode('{"type": "response.done", "spelt": [], "response": {"status": "completed"}}')
    assert isinstance(event, ResponseDone)
    assert event.response.outcome == "completed"
