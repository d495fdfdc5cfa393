"""Which answer belongs to which request."""

import pytest

from tau_stage.protocol.client_events import (
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCancel,
    ResponseCreate,
    SessionConfig,
    SessionUpdate,
)
from tau_stage.protocol.items import FunctionCallOutput, InputText, Item, UserMessage
from tau_stage.protocol.requests import ANSWERS, EVENT_KEY, Request, Requests, may_break_response, request_of
from tau_stage.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemCreated,
    ConversationItemDeleted,
    ConversationItemRetrieved,
    ConversationItemTruncated,
    ErrorEvent,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    RateLimitsUpdated,
    ResponseCreated,
    ServerError,
    ServerEvent,
    SessionUpdated,
    UnusableEvent,
    WireResponse,
)


def created(metadata: dict[str, str] | None = None) -> ResponseCreated:
    return ResponseCreated(response=WireResponse(id="resp_1", status="in_progress", metadata=metadata))


def refused(event_id: str | None) -> ErrorEvent:
    return ErrorEvent(error=ServerError(code="invalid_value", event_id=event_id))


ITEM = Item(id="item_1", type="message")


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (
            SessionUpdate(event_id="e", session=SessionConfig(type="realtime")),
            SessionUpdated(session={}),
        ),
        (
            ConversationItemCreate(event_id="e", item=UserMessage(id="item_1", content=(InputText(text="hello"),))),
            ConversationItemAdded(item=ITEM),
        ),
        (
            ConversationItemRetrieve(event_id="e", item_id="item_1"),
            ConversationItemRetrieved(item=ITEM),
        ),
        (
            ConversationItemTruncate(event_id="e", item_id="item_1", content_index=0, audio_end_ms=5),
            ConversationItemTruncated(item_id="item_1"),
        ),
        (
            ConversationItemDelete(event_id="e", item_id="item_1"),
            ConversationItemDeleted(item_id="item_1"),
        ),
        (InputAudioBufferCommit(event_id="e"), InputAudioBufferCommitted(item_id="item_9")),
        (InputAudioBufferClear(event_id="e"), InputAudioBufferCleared()),
        (ResponseCreate(event_id="e"), created()),
    ],
)
def test_every_request_knows_its_answer_and_its_refusal(event: ClientEvent, answer: ServerEvent) -> None:
    request = request_of(event)
    assert request is not None
    for reply in (answer, refused("e")):
        open_requests = Requests()
        open_requests.add(request)
        assert open_requests.answered_by(RateLimitsUpdated()) is None
        found = open_requests.answered_by(reply)
        assert found is not None
        assert found is request
        assert not len(open_requests)


@pytest.mark.parametrize(
    "event",
    [InputAudioBufferAppend(event_id="e", audio="AAAA"), ResponseCancel(event_id="e")],
)
def test_what_the_protocol_never_answers_is_no_request(event: ClientEvent) -> None:
    assert request_of(event) is None


def test_an_event_without_an_id_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="without an event_id"):
        request_of(InputAudioBufferClear())


def test_an_item_answers_only_the_request_that_named_it() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "conversation.item.added", "item_2"))
    assert open_requests.answered_by(ConversationItemAdded(item=ITEM)) is None


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        ({"code": "invalid_value", "message": "Audio content of 24ms is already shorter than 25ms"}, "truncate"),
        ({"code": "unsupported_content_type", "message": "Only model output audio can be truncated"}, "truncate"),
        ({"code": "item_delete_invalid_item_id"}, "delete"),
        ({"code": "item_retrieve_invalid_item_id"}, "retrieve"),
        ({"code": "input_audio_buffer_commit_empty"}, "commit"),
        ({"message": "the buffer could not be handled", "param": "input_audio_buffer.clear"}, "clear"),
        ({"code": "unknown_parameter", "param": "session.temperature"}, "update"),
        ({"code": "cannot_update_voice"}, "update"),
        ({"code": "missing_required_parameter", "param": "item.content[0].text"}, "item"),
        ({"code": "conversation_already_has_active_response"}, "response"),
        ({"code": "tokens", "message": "Rate limit reached"}, "response"),
        ({"code": "inference_failed", "message": "backend error", "event_id": "of the server"}, "update"),
        ({"code": "response_cancel_not_active", "message": "no active response"}, None),
        ({"code": "inference_failed", "event_id": "tau_evt_9"}, None),
        ({"code": "item_not_found"}, "item"),
    ],
)
def test_an_error_without_an_id_is_about_the_oldest_request_that_it_can_be_about(
    error: dict[str, str], refused: str | None
) -> None:
    open_requests = Requests()
    for name, answer in (
        ("update", "session.updated"),
        ("item", "conversation.item.added"),
        ("truncate", "conversation.item.truncated"),
        ("delete", "conversation.item.deleted"),
        ("retrieve", "conversation.item.retrieved"),
        ("commit", "input_audio_buffer.committed"),
        ("clear", "input_audio_buffer.cleared"),
        ("response", "response.created"),
        ("response 2", "response.created"),
    ):
        open_requests.add(Request(name, answer))
    event = ErrorEvent.model_validate({"error": error})
    assert open_requests.answered_by(event) is None
    found = open_requests.refused_by(event.error)
    assert (found and found.event_id) == refused
    assert found is None or open_requests.get(found.event_id) is found


def test_an_error_about_something_that_nobody_asked_for_refuses_nothing() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "session.updated"))
    assert open_requests.refused_by(ServerError(code="item_truncate_invalid_item_id")) is None


def test_an_item_that_a_commit_makes_answers_no_request_for_another() -> None:
    asked = (
        InputAudioBufferCommit(event_id="hear"),
        ConversationItemCreate(event_id="say", item=UserMessage(id="line_1", content=(InputText(text="Go."),))),
    )
    requests = Requests()
    for event in asked:
        requests.add(request_of(event) or Request("", ""))
    heard, said = (ConversationItemAdded(item=Item(id=name, type="message", role="user")) for name in ("it_1", "it_2"))
    assert requests.answered_by(heard, is_new_item=True) is None
    assert requests.answered_by(InputAudioBufferCommitted(item_id="it_1")) == request_of(asked[0])
    assert requests.answered_by(said, is_new_item=True) == request_of(asked[1])


def test_an_item_under_an_id_of_the_servers_own_answers_the_oldest_request_of_its_shape() -> None:
    open_requests = Requests()
    for name, event in (
        (
            "evt_1",
            ConversationItemCreate(event_id="evt_1", item=FunctionCallOutput(call_id="c", output="x")),
        ),
        (
            "evt_2",
            ConversationItemCreate(event_id="evt_2", item=UserMessage(content=(InputText(text="hello"),))),
        ),
    ):
        request = request_of(event)
        assert request is not None
        assert request.event_id == name
        open_requests.add(request)
    theirs = ConversationItemCreated(item=Item(id="theirs", role="user"))
    assert open_requests.answered_by(theirs) is None
    found = open_requests.answered_by(theirs, is_new_item=True)
    assert found is not None
    assert found.event_id == "evt_2"
    foreign = ConversationItemCreated(item=Item(id="model's", role="assistant"))
    assert open_requests.answered_by(foreign, is_new_item=True) is None
    output = ConversationItemCreated(item=Item(id="out", type="function_call_output", role="tool"))
    assert open_requests.answered_by(output, is_new_item=True) is not None


def test_responses_are_told_apart_by_metadata_whatever_their_order() -> None:
    open_requests = Requests()
    open_requests.add(Request("evt_1", "response.created"))
    open_requests.add(Request("evt_2", "response.created"))
    found = open_requests.answered_by(created({EVENT_KEY: "evt_2"}))
    assert found is not None
    assert found.event_id == "evt_2"


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
    assert found.event_id == "evt_1"


def test_a_forgotten_request_is_not_answered() -> None:
    open_requests = Requests()
    request = Request("evt_1", "session.updated")
    open_requests.add(request)
    open_requests.forget(request)
    open_requests.forget(request)
    assert open_requests.answered_by(SessionUpdated(session={})) is None


def test_only_an_error_that_may_be_about_a_response_may_break_one() -> None:
    assert may_break_response(ServerError(code="inference_failed", message="backend error"))
    assert may_break_response(ServerError(code="rate_limit_exceeded"))
    assert not may_break_response(ServerError(code="input_audio_buffer_commit_empty"))


def made(event_id: str, item_id: str) -> Request:
    item = UserMessage(id=item_id, content=(InputText(text="hello"),))
    request = request_of(ConversationItemCreate(event_id=event_id, item=item))
    assert request
    return request


def test_a_request_that_is_taken_as_done_is_answered_late_by_id_or_by_order() -> None:
    asked = Requests()
    requests = [made(f"evt_{number}", f"item_{number}") for number in range(3)]
    for request in requests:
        asked.add(request)
    assert asked.that_can_be_assumed() == tuple(requests)
    for request in requests[:2]:
        asked.take_as_done(request)
    assert len(asked) == 1
    late = asked.answered_by(ConversationItemAdded(item=Item(id="item_1", type="message")))
    assert late
    assert late == requests[1]
    other = ConversationItemAdded(item=Item(id="theirs", type="message", role="user"))
    late = asked.answered_by(other, is_new_item=True)
    assert late
    assert late == requests[0]


def test_an_error_is_about_what_is_open_before_what_was_taken_as_done() -> None:
    asked = Requests()
    done, still_open = made("evt_0", "item_0"), made("evt_1", "item_1")
    asked.add(done)
    asked.take_as_done(done)
    about = ServerError(code="item_not_found")
    assert asked.refused_by(about) == done
    asked.add(still_open)
    assert asked.refused_by(about) == still_open
    assert asked.refused_by(ServerError(message="Oh.")) == still_open
    late = asked.answered_by(refused("evt_0"))
    assert late
    assert late == done
    assert asked.answered_by(refused("evt_0")) is None


@pytest.mark.parametrize("kind", ANSWERS.values())
def test_an_event_that_cannot_be_used_answers_nothing(kind: str) -> None:
    asked = Requests()
    asked.add(Request("evt_1", kind, "item_1"))
    assert asked.answered_by(UnusableEvent(type=kind, problem="it has no item")) is None
