"""However a server calls a response's end, and wherever it puts the reason: status and words are found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tau_stage.protocol.conversation import Conversation
from tau_stage.protocol.decoding import ENDS, MOST_IDS, Repeats, decode, split_frame
from tau_stage.protocol.responses import PartialText, Response
from tau_stage.protocol.server_events import ErrorEvent, ResponseDone, UnknownEvent, UnusableEvent

USAGE = {"total_tokens": 30, "input_tokens": 10, "output_tokens": 20, "output_token_details": {"audio_tokens": 20}}


def ended(**fields: Any) -> Response:
    """The response that one event ends, with what settles it."""
    conversation = Conversation()
    conversation.apply(decode(json.dumps({"type": "response.created", "response": {"id": "r"}})))
    change = conversation.apply(decode(json.dumps({"type": "response.done", **fields}))) or conversation.settle()
    assert change is not None
    response = getattr(change, "response", None)
    assert isinstance(response, Response)
    assert conversation.active == ()
    return response


@pytest.mark.parametrize(("kind", "status"), ENDS.items())
def test_an_end_under_another_name_is_the_responses_with_its_status_and_usage(kind: str, status: str) -> None:
    response = ended(type=kind, response={"id": "r", "usage": USAGE})
    assert (response.status, response.usage.audio_out) == (status, 20)


@pytest.mark.parametrize("kind", ["Response.Done", "RESPONSE.DONE", "response_done", "response.Done", "ResponseDone"])
def test_an_end_is_known_however_it_is_spelt(kind: str) -> None:
    noted: list[str] = []
    event = decode(json.dumps({"type": kind, "response": {"id": "r", "status": "completed"}}), note=noted.append)
    assert isinstance(event, ResponseDone)
    assert noted == [f"{kind} is treated as response.done"]


@pytest.mark.parametrize("status", ["failed", "Failed", "FAILURE", "error"])
@pytest.mark.parametrize(
    "fields",
    [
        {"response": {"status_details": {"error": {"message": "No GPU is free."}}}},
        {"response": {"status_details": {"error": "No GPU is free."}}},
        {"response": {"status_details": {"type": "failed", "reason": "No GPU is free."}}},
        {"response": {"status_details": {"message": "No GPU is free."}}},
        {"response": {"status_details": "No GPU is free."}},
        {"response": {"status_details": ["No GPU is free."]}},
        {"response": {"error": {"detail": "No GPU is free."}}},
        {"response": {"error": "No GPU is free."}},
        {"response": {"message": "No GPU is free."}},
        {"response": {"status_details": {"error": None}, "last_error": {"msg": "No GPU is free."}}},
        {"response": {}, "error": {"message": "No GPU is free."}},
        {"response": {}, "error": "No GPU is free."},
        {"response": {}, "message": "No GPU is free."},
        {"response": {}, "reason": "No GPU is free."},
    ],
)
def test_the_words_of_a_failure_are_found_wherever_they_stand(status: str, fields: dict[str, Any]) -> None:
    response = ended(**fields | {"response": {"id": "r", "status": status} | fields["response"]})
    assert (response.status, response.message) == ("failed", "No GPU is free.")


@pytest.mark.parametrize(
    ("details", "reason", "message"),
    [
        ({"type": "failed", "error": {"code": "server_error", "message": "Oh."}}, "server_error", "Oh."),
        ({"type": "failed", "reason": "server_error"}, "server_error", "server_error"),
        ("server_error", "server_error", "server_error"),
        ({"error": {"code": 500}, "reason": "It broke."}, "500", "It broke."),
        ({"error": {"message": 500}}, "500", "500"),
        (None, None, ""),
    ],
)
def test_a_code_is_a_reason_and_a_sentence_is_a_message(details: Any, reason: str | None, message: str) -> None:
    response = ended(response={"id": "r", "status": "failed", "status_details": details})
    assert (response.reason, response.message) == (reason, message)


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"status": "incomplete", "status_details": {"reason": "content_filter"}}, "incomplete", "content_filter"),
        ({"status": "incomplete", "status_details": "max_output_tokens"}, "incomplete", "max_output_tokens"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "incomplete", "content_filter"),
        ({"status": "incomplete", "incomplete_details": 7}, "incomplete", None),
        ({"status": "canceled", "status_details": "turn_detected"}, "cancelled", "turn_detected"),
        ({"status": "completed", "status_details": "unimplemented"}, "completed", None),
        ({"status": "odd"}, "completed", None),
        ({"error": {"code": "busy", "message": "No."}}, "failed", "busy"),
        ({"status": 7, "status_details": {"error": {"code": "busy"}}}, "failed", "busy"),
    ],
)
def test_an_end_says_how_and_why(fields: dict[str, Any], status: str, reason: str | None) -> None:
    response = ended(response={"id": "r"} | fields)
    assert (response.status, response.reason) == (status, reason)


def test_a_response_that_is_no_object_is_told_and_ends_the_youngest() -> None:
    noted: list[str] = []
    event = decode('{"type": "response.done", "response": "over"}', note=noted.append)
    assert isinstance(event, ResponseDone)
    assert noted == ["response.done: response is a string; treated as absent"]
    assert ended(response="over").status == "completed"


def test_what_comes_after_an_end_under_another_name_still_counts() -> None:
    conversation = Conversation()

    def hear(kind: str, **fields: Any) -> Any:
        return conversation.apply(decode(json.dumps({"type": kind, **fields})))

    for number in range(2):
        hear("response.created", response={"id": f"r{number}"})
        assert hear("response.error", response_id=f"r{number}", message="No GPU is free.") is None
        change = hear("response.done", response={"id": f"r{number}", "status": "failed", "usage": USAGE})
        assert (change.response.message, change.response.usage.audio_out) == ("No GPU is free.", 20)
    hear("response.created", response={"id": "r3"})
    hear("response.completed", response={"id": "r3"})
    hear("response.output_audio.delta", response_id="r3", item_id="i", delta="AAABAA==")
    assert hear("response.output_audio.done", response_id="r3", item_id="i") is None
    change = conversation.settle()
    assert change is not None
    assert (change.response.status, len(change.response.audio)) == ("completed", 2)
    hear("response.created", response={"id": "r4"})
    assert hear("response.completed", response={"id": "r4"}).response.status == "completed"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"detail": "Not authenticated"}', "Not authenticated"),
        ('{"message": "Internal server error", "requestId": "7"}', "Internal server error"),
        ('{"type": "session.error", "message": "No session."}', "No session."),
        ('{"type": "server_error", "error": {"message": "Oh."}}', "Oh."),
        ('{"type": "conversation.item.create.failed", "reason": "Too long."}', "Too long."),
        ('{"type": "response.status", "error": "It broke."}', "It broke."),
        ('{"type": "error", "detail": "Nothing here."}', "Nothing here."),
        ('{"type": "ERROR", "message": "Loud."}', "Loud."),
        ('{"event": "error", "message": "As an event."}', "As an event."),
        ('"Internal error"', "Internal error"),
        ('["error", {"text": "in a list"}]', "error; in a list"),
        ("ERROR: no such model", "ERROR: no such model"),
        ("<html><body>502 Bad\n Gateway\x1b</body></html>", "<html><body>502 Bad Gateway␛</body></html>"),
    ],
)
def test_an_error_in_any_shape_is_an_error_with_the_servers_words(frame: str, message: str) -> None:
    event = decode(frame)
    assert isinstance(event, ErrorEvent)
    assert event.error.message == message


@pytest.mark.parametrize(
    ("frame", "kind", "words"),
    [
        (b"connected", UnusableEvent, "connected"),
        (b"7", UnusableEvent, "7"),
        (b'["a", 1]', UnusableEvent, '["a",1]'),
        (b'"Welcome."', UnusableEvent, "Welcome."),
        (b'{"status": "ok"}', UnusableEvent, '{"status":"ok"}'),
        (b"RIFF\x00\x00", UnusableEvent, ""),
        (b"x" * 9999, UnusableEvent, "x" * 157 + "..."),
        (b'{"type": "response.mcp_call.failed", "item_id": "i"}', UnknownEvent, None),
        (b'{"type": "session.resumed", "error": null}', UnknownEvent, None),
    ],
)
def test_what_is_no_error_is_none_and_its_words_are_shown(frame: bytes, kind: type, words: str | None) -> None:
    event = decode(frame)
    assert isinstance(event, kind)
    assert getattr(event, "words", None) == words


def test_many_frames_that_are_no_events_are_few_warnings() -> None:
    conversation = Conversation()
    for number in range(9):
        conversation.apply(decode(f"tick {number}"))
        conversation.apply(decode(bytes([number, 0xFF])))
    assert dict(conversation.odd) == {
        'a frame is not valid JSON ("tick 0"); ignored': 1,
        'a frame is not valid JSON ("tick 1"); ignored': 1,
        'a frame is not valid JSON ("tick 2"); ignored': 1,
        "a frame is not valid JSON; ignored": 6,
        "a binary frame is not text; ignored": 9,
    }


def heard(conversation: Conversation, *events: dict[str, Any]) -> list[Any]:
    return [conversation.apply(decode(json.dumps(event))) for event in events]


CREATED = {"type": "response.created", "response": {"id": "r"}}
CALL = {"id": "call", "type": "function_call", "name": "light", "call_id": "c", "arguments": "{}"}
SPOKEN = {"id": "item", "type": "message", "role": "assistant"}
SOUND = {"type": "response.output_audio.delta", "response_id": "r", "item_id": "item", "delta": "AAABAA=="}
SOUND_DONE = {"type": "response.output_audio.done", "response_id": "r", "item_id": "item"}


def test_a_response_of_which_all_has_come_may_be_presumed_to_have_ended() -> None:
    conversation = Conversation()
    heard(conversation, CREATED)
    assert not conversation.is_over
    heard(conversation, {"type": "response.output_item.added", "response_id": "r", "item": SPOKEN}, SOUND)
    assert not conversation.is_over
    heard(conversation, SOUND_DONE)
    assert conversation.is_over
    heard(conversation, {"type": "response.function_call_arguments.delta", "response_id": "r", "item_id": "call"})
    assert not conversation.is_over
    heard(conversation, {"type": "response.function_call_arguments.done", "response_id": "r", "item_id": "call"})
    assert conversation.is_over
    conversation.presume_end()
    change = conversation.settle()
    assert change is not None
    response = change.response
    assert (response.status, len(response.audio), len(response.calls), response.usage.untold) == ("completed", 2, 1, 1)
    assert "no response.done arrived; the response is assumed to have ended" in conversation.odd
    for _ in range(2):
        assert heard(conversation, {"type": "response.done", "response": {"id": "r", "usage": USAGE}}) == [None]
        assert (conversation.usage.audio_out, conversation.usage.untold) == (20, 1)


def test_items_of_other_ids_at_the_end_are_those_that_came() -> None:
    conversation = Conversation()
    item = SPOKEN | {"content": [{"type": "output_audio", "transcript": "Hello."}]}
    heard(conversation, CREATED, {"type": "conversation.item.added", "item": SPOKEN})
    heard(conversation, *({"type": "response.output_item.done", "response_id": "r", "item": i} for i in (item, CALL)))
    heard(conversation, SOUND)
    output = [CALL | {"id": "call_x"}, item | {"id": "item_x"}, item | {"id": "more"}]
    ended = {"type": "response.done", "response": {"id": "r", "status": "completed", "output": output}}
    assert heard(conversation, SOUND_DONE, ended)[-1].response.item_ids == ("call_x", "item", "more")


def test_a_response_that_is_told_to_begin_after_its_end_does_not_begin_again() -> None:
    conversation = Conversation()
    heard(conversation, SOUND, SOUND_DONE, {"type": "response.done", "response": {"id": "r", "status": "completed"}})
    assert heard(conversation, CREATED) == [None]
    assert conversation.active == ()
    assert heard(conversation, CREATED) != [None]


def test_words_that_come_by_the_sentence_are_whole() -> None:
    conversation = Conversation()
    kind = "response.output_audio_transcript.done"
    parts = ({"type": kind, "response_id": "r", "item_id": "item", "transcript": one} for one in ("One.", "", "Two."))
    changes = heard(conversation, CREATED, *parts, {"type": "response.done", "response": {"id": "r"}})
    assert conversation.settle() or changes[-1]
    assert [getattr(change, "words", None) for change in changes[1:4]] == ["One.", None, " Two."]


@pytest.mark.parametrize(
    ("pieces", "ends", "words"),
    [
        (["One. ", "Two."], ["One. ", "Two."], "One. Two."),
        (["One. "], ["One. ", "Two."], "One. Two."),
        (["One  two."], ["One two."], "One two."),
        ([], ["One.", "One. Two."], "One. Two."),
        ([], ["One.", " Two."], "One. Two."),
        ([], ["One.", "One."], "One."),
        ([], ["One two.", "two."], "One two."),
    ],
)
def test_the_ends_of_one_part_make_its_words(pieces: list[str], ends: list[str], words: str) -> None:
    part = PartialText(pieces=pieces)
    for end in ends:
        part.end(end)
    assert str(part) == words


def test_only_so_many_ids_of_events_are_remembered() -> None:
    repeats = Repeats()
    assert not any(repeats.knows(b"%d" % number, str(number)) for number in range(MOST_IDS + 1))
    assert repeats.knows(b"1", "1")
    assert not repeats.knows(b"0", "0")
    assert not repeats.knows(b"7", "")


@pytest.mark.parametrize("frame", [b"[", b"[]", b"[1]", b'[{"type": ""}]', b'{"a": [{}, {}]}'])
def test_what_is_no_list_of_events_is_one_frame(frame: bytes) -> None:
    assert split_frame(frame) == [frame]


@pytest.mark.parametrize(("kinds", "untold", "spoken"), [(["created", "done"], 0, 20), (["created"], 1, 0), ([], 0, 0)])
def test_a_response_whose_connection_is_gone_counts_what_it_was_told_to_have_used(
    kinds: list[str], untold: int, spoken: int
) -> None:
    conversation = Conversation()
    response = {"id": "r", "status": "completed", "usage": USAGE}
    place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    for kind in kinds:
        conversation.apply(decode(json.dumps({"type": f"response.{kind}", "response": response})))
        if kind == "created":
            part = {"type": "response.content_part.added", "part": {"type": "audio"}, **place}
            conversation.apply(decode(json.dumps(part)))
            sound = {"type": "response.output_audio.delta", "delta": "AAAA", **place}
            conversation.apply(decode(json.dumps(sound)))
    assert conversation.is_ending == ("done" in kinds)
    conversation.lose_responses()
    assert (conversation.active, conversation.is_ending) == ((), False)
    assert (conversation.usage.untold, conversation.usage.audio_out) == (untold, spoken)
