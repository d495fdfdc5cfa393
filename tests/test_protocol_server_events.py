"""Server events: known ones are typed, new ones are kept, broken ones name their fault."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import ProtocolError
from tau_stage.protocol import server_events as told

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
types = st.sampled_from(
    ["error", "session.created", "response.done", "response.output_audio.delta", "conversation.item.added", "new.event"]
)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"not json", "is not JSON"),
        (b"[]", "not an event with a type"),
        (b'{"type": 7}', "not an event with a type"),
        (b'{"type": "response.output_audio.delta", "response_id": "r"}', "item_id: Field required"),
        (b'{"type": "error"}', "error: Field required"),
    ],
)
def test_a_broken_frame_is_the_servers_fault_and_says_what_is_missing(frame: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem) as caught:
        told.decode(frame)
    assert caught.value.side == "theirs"


def test_an_event_of_a_new_type_is_kept_whole() -> None:
    event = told.decode('{"type": "response.video.delta", "event_id": null, "frame": 3}')
    assert isinstance(event, told.UnknownEvent)
    assert event.model_extra == {"frame": 3}


def test_an_item_from_a_sparse_server_is_taken() -> None:
    event = told.decode('{"type": "conversation.item.created", "item": {"id": "x", "type": "message"}}')
    assert isinstance(event, told.ConversationItemCreated)
    assert event.item.content is None


@given(types, st.dictionaries(st.text(max_size=12), json_values, max_size=5))
def test_any_json_object_gives_an_event_or_a_protocol_error(kind: str, fields: dict[str, object]) -> None:
    try:
        event = told.decode(json.dumps({**fields, "type": kind}))
    except ProtocolError:
        return
    assert event.type == kind


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        told.decode(frame)


@given(st.text(alphabet="abc", max_size=8), st.text(max_size=30))
def test_an_event_that_is_encoded_decodes_to_itself(response_id: str, delta: str) -> None:
    event = told.TranscriptDelta(event_id="event_1", response_id=response_id, item_id="i", delta=delta)
    assert told.decode(event.encode()) == event
