"""Which answer belongs to which request."""

import pytest

from tau_stage.protocol import bodies
from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told
from tau_stage.protocol.config import SessionConfig
from tau_stage.protocol.items import InputText, Item, UserMessage
from tau_stage.protocol.requests import EVENT_KEY, Request, Requests, request_of


def created(metadata: dict[str, str] | None = None) -> told.ResponseCreated:
    return told.ResponseCreated(response=bodies.WireResponse(id="resp_1", status="in_progress", metadata=metadata))


def refused(event_id: str | None) -> told.ErrorEvent:
    return told.ErrorEvent(error=bodies.ServerError(code="invalid_value", event_id=event_id))


ITEM = Item(id="item_1", type="message")


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (ask.SessionUpdate(event_id="e", session=SessionConfig(type="realtime")), told.SessionUpdated(session={})),
        (
            ask.ConversationItemCreate(event_id="e", item=UserMessage(id="item_1", content=(InputText(text="hello"),))),
            told.ConversationItemAdded(item=ITEM),
        ),
        (ask.ConversationItemRetrieve(event_id="e", item_id="item_1"), told.ConversationItemRetrieved(item=ITEM)),
        (
            ask.ConversationItemTruncate(event_id="e", item_id="item_1", content_index=0, audio_end_ms=5),
            told.ConversationItemTruncated(item_id="item_1"),
        ),
        (
            ask.ConversationItemDelete(event_id="e", item_id="item_1"),
            told.ConversationItemDeleted(item_id="item_1"),
        ),
        (ask.InputAudioBufferCommit(event_id="e"), told.InputAudioBufferCommitted(item_id="item_9")),
        (ask.InputAudioBufferClear(event_id="e"), told.InputAudioBufferCleared()),
        (ask.ResponseCreate(event_id="e"), created()),
    ],
)
def test_every_request_knows_its_answer_and_its_refusal(event: ask.ClientEvent, answer: told.ServerEvent) -> None:
    request = request_of(event)
    assert request is not None
    for reply in (answer, refused("e")):
        open_requests = Requests()
        open_requests.add(request)
        assert open_requests.answered_by(told.RateLimitsUpdated()) is None
        found = open_requests.answered_by(reply)
        assert found is not None
        assert found.request is request
        assert not len(open_requests)


@pytest.mark.parametrize(
    "event", [ask.InputAudioBufferAppend(event_id="e", audio="AAAA"), ask.ResponseCancel(event_id="e")]
)
def test_what_the_protocol_never_answers_is_no_request(event: ask.ClientEvent) -> None:
    assert request_of(event) is None


def test_an_event_without_an_id_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="without an event_id"):
        request_of(ask.InputAudioBufferClear())


def test_an_item_answers_only_the_request_that_named_it() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "conversation.item.added", "item_2"))
    assert open_requests.answered_by(told.ConversationItemAdded(item=ITEM)) is None


def test_an_error_without_an_id_answers_nothing() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "session.updated"))
    assert open_requests.answered_by(refused(None)) is None


def test_responses_are_told_apart_by_metadata_whatever_their_order() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "response.created"))
    open_requests.add(Request("evt_2", "response.created"))
    found = open_requests.answered_by(created({EVENT_KEY: "evt_2"}))
    assert found is not None
    assert found.request.event_id == "evt_2"


def test_a_response_nobody_asked_for_answers_nobody() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "response.created"))
    assert open_requests.answered_by(created({EVENT_KEY: "other"})) is None


def test_a_server_that_echoes_no_metadata_answers_in_order() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "response.created"))
    open_requests.add(Request("evt_2", "response.created"))
    found = open_requests.answered_by(created())
    assert found is not None
    assert found.request.event_id == "evt_1"


def test_a_forgotten_request_is_not_answered() -> None:
    open_requests = Requests()
    request = Request("evt_1", "session.updated")
    open_requests.add(request)
    open_requests.forget(request)
    open_requests.forget(request)
    assert open_requests.answered_by(told.SessionUpdated(session={})) is None
