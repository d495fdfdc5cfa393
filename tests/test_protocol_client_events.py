"""Client events: strict, and sent with no more than was set."""

import json

import pytest
from pydantic import ValidationError

from tau_stage.protocol.client_events import (
    CLIENT_EVENTS,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    ItemReference,
    ResponseCancel,
    ResponseConfig,
    ResponseCreate,
    SessionUpdate,
    conducted,
    with_ids,
)
from tau_stage.protocol.items import InputText, UserMessage
from tests.support.openai_types import check_client_event


def test_only_what_was_set_is_sent_and_every_discriminator() -> None:
    frame = ConversationItemCreate(event_id="e", item=UserMessage(content=(InputText(text="hello"),))).encode()
    check_client_event(frame)
    assert json.loads(frame) == {
        "event_id": "e",
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    }


def test_a_conducted_session_turns_detection_off_by_saying_null() -> None:
    session = conducted(voice="ash", instructions="Softly.", speed=1.25, max_output_tokens=100)
    frame = SessionUpdate(event_id="e", session=session).encode()
    check_client_event(frame)
    told = json.loads(frame)["session"]
    assert told["audio"]["input"]["turn_detection"] is None
    assert told["audio"]["output"]["speed"] == 1.25
    assert told["max_output_tokens"] == 100
    assert "tools" not in told


def test_metadata_within_its_limits_is_taken() -> None:
    told = {"type": "response.create", "response": {"metadata": {"k" * 64: "v" * 512}}}
    assert CLIENT_EVENTS.validate_python(told).type == "response.create"


@pytest.mark.parametrize("metadata", [{str(n): "v" for n in range(17)}, {"k" * 65: "v"}, {"k": "v" * 513}])
def test_metadata_is_few_and_short(metadata: dict[str, str]) -> None:
    told = {"type": "response.create", "response": {"metadata": metadata}}
    with pytest.raises(ValidationError, match="at most 16 pairs"):
        CLIENT_EVENTS.validate_python(told)


def test_events_name_items_as_the_server_does() -> None:
    message = UserMessage(id="ours", content=(InputText(text="Hello."),))
    given = (ItemReference(id="ours"), message)
    for event, named in (
        (ConversationItemDelete(item_id="ours"), ConversationItemDelete(item_id="OURS")),
        (ConversationItemRetrieve(item_id="ours"), ConversationItemRetrieve(item_id="OURS")),
        (
            ConversationItemTruncate(item_id="ours", content_index=0, audio_end_ms=5),
            ConversationItemTruncate(item_id="OURS", content_index=0, audio_end_ms=5),
        ),
        (
            ConversationItemCreate(previous_item_id="ours", item=message),
            ConversationItemCreate(previous_item_id="OURS", item=message),
        ),
        (
            ResponseCreate(response=ResponseConfig(input=given)),
            ResponseCreate(response=ResponseConfig(input=(ItemReference(id="OURS"), message))),
        ),
        (ResponseCreate(), ResponseCreate()),
        (ResponseCancel(), ResponseCancel()),
    ):
        assert with_ids(event, str.upper) == named
