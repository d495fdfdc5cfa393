"""The conversation is a plain object fed with server events."""

import numpy as np
import pybase64
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic_core import to_json

from tau_stage.audio.formats import PCM16, ULAW
from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.conversation import Conversation, usage_of
from tau_stage.protocol.decoding import decode
from tau_stage.protocol.entries import Entry, ToolCall
from tau_stage.protocol.items import ContentPart, Item
from tau_stage.protocol.responses import (
    SOUND_FILES,
    AudioChunk,
    Commentary,
    Response,
    ResponseBegan,
    ResponseChange,
    ResponseEnded,
    TextChunk,
    Timings,
    VisemeTime,
    WordTime,
)
from tau_stage.protocol.server_events import (
    AudioDelta,
    AudioDone,
    AudioTimestampDelta,
    AudioTimestampDone,
    ContentPartAdded,
    ContentPartDone,
    ConversationItemAdded,
    ConversationItemCreated,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemTruncated,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    OutputItemAdded,
    OutputItemDone,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ServerError,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionCompleted,
    UnusableEvent,
    VisemeDelta,
    VisemeDone,
    WireResponse,
)
from tau_stage.protocol.usage import Usage


def begin(conversation: Conversation, response_id: str = "resp_1") -> ResponseChange | None:
    created = WireResponse(id=response_id, status="in_progress")
    return conversation.apply(ResponseCreated(response=created))


def done(response_id: str = "resp_1", status: str = "completed", **facts: object) -> ResponseDone:
    response = WireResponse.model_validate({"id": response_id, "status": status, **facts})
    return ResponseDone(response=response)


def sound(data: bytes, response_id: str = "resp_1") -> AudioDelta:
    delta = pybase64.b64encode(data).decode()
    return AudioDelta(response_id=response_id, item_id="item_1", delta=delta)


def end(conversation: Conversation, event: ResponseDone) -> Response:
    change = conversation.apply(event) or conversation.settle()
    assert isinstance(change, ResponseEnded)
    return change.response


def test_a_spoken_response_gathers_its_sound_and_its_words() -> None:
    conversation = Conversation()
    assert begin(conversation) == ResponseBegan("resp_1")
    assert conversation.active == ("resp_1",)
    sounded = conversation.apply(sound(b"\x01\x02\x03\x04"))
    assert isinstance(sounded, AudioChunk)
    assert len(sounded.audio) == 2
    worded = conversation.apply(TranscriptDelta(response_id="resp_1", item_id="item_1", delta="Hello"))
    assert worded == TextChunk("resp_1", "item_1", "Hello", spoken=True)
    response = end(conversation, done(metadata={"line": "7"}))
    assert (response.audio.data, response.transcript, response.metadata) == (
        b"\x01\x02\x03\x04",
        "Hello",
        {"line": "7"},
    )
    assert not conversation.active


@given(st.binary(max_size=200), st.lists(st.integers(1, 7), max_size=60))
def test_sound_survives_any_cutting_and_only_whole_samples_are_given(data: bytes, cuts: list[int]) -> None:
    assume(not any(kind in data for kind in SOUND_FILES))  # they are read, not taken for samples
    conversation = Conversation()
    given_out = b""
    at = 0
    for cut in [*cuts, len(data)]:
        change = conversation.apply(sound(data[at : at + cut]))
        at += cut
        if isinstance(change, AudioChunk):
            given_out += change.audio.data
    assert given_out == data[: len(data) // 2 * 2]
    assert end(conversation, done()).audio.data == given_out


def test_two_responses_at_once_do_not_mix() -> None:
    conversation = Conversation()
    begin(conversation, "a")
    begin(conversation, "b")
    conversation.apply(sound(b"\x01\x01", "a"))
    conversation.apply(sound(b"\x02\x02", "b"))
    conversation.apply(sound(b"\x03\x03", "a"))
    assert end(conversation, done("a")).audio.data == b"\x01\x01\x03\x03"
    assert end(conversation, done("b")).audio.data == b"\x02\x02"


def test_a_delta_that_is_not_base64_ends_its_response_as_failed_and_no_other() -> None:
    conversation = Conversation()
    begin(conversation, "r")
    begin(conversation, "s")
    conversation.apply(sound(b"\x01\x01", "r"))
    conversation.apply(sound(b"\x02\x02", "s"))
    conversation.apply(AudioDelta(response_id="r", item_id="i", delta="A!"))
    response = end(conversation, done("r", usage={"output_token_details": {"audio_tokens": 20}}))
    assert (response.status, response.reason) == ("failed", "unusable_event")
    assert "is not valid base64" in response.message
    assert (len(response.audio), response.usage.audio_out) == (1, 20)
    assert end(conversation, done("s")).status == "completed"


def test_written_text_is_not_a_transcript() -> None:
    conversation = Conversation()
    change = conversation.apply(TextDelta(response_id="resp_1", item_id="item_1", delta="Hi"))
    assert change == TextChunk("resp_1", "item_1", "Hi", spoken=False)
    response = end(conversation, done())
    assert (response.text, response.transcript) == ("Hi", "")


def test_words_that_came_in_no_delta_are_read_from_the_end() -> None:
    item = {"id": "i", "type": "message", "content": [{"type": "output_audio", "transcript": "Late"}]}
    text = {"id": "j", "type": "message", "content": [{"type": "output_text", "text": "Words"}]}
    response = end(Conversation(), done(output=[item, text, {"id": "k", "type": "message"}]))
    assert (response.transcript, response.text, response.item_ids) == ("Late", "Words", ("i", "j", "k"))


def test_every_tool_call_is_kept() -> None:
    calls = [
        {"id": f"i{n}", "type": "function_call", "call_id": f"c{n}", "name": "light", "arguments": "{}"}
        for n in range(2)
    ]
    assert [call.call_id for call in end(Conversation(), done(output=calls)).calls] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("status", "details", "reason", "message"),
    [
        (
            "failed",
            {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "wait"}},
            "rate_limit_exceeded",
            "wait",
        ),
        ("failed", {"type": "failed", "error": {"type": "server_error", "message": "oh"}}, "server_error", "oh"),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, "client_cancelled", ""),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "max_output_tokens", ""),
        ("completed", None, None, ""),
    ],
)
def test_how_a_response_ended_is_told(
    status: str, details: dict[str, object] | None, reason: str | None, message: str
) -> None:
    response = end(Conversation(), done(status=status, status_details=details))
    assert (response.status, response.reason, response.message) == (status, reason, message)


@pytest.mark.parametrize(
    ("status", "details", "taken"),
    [
        ("", None, "completed"),
        ("finished", None, "completed"),
        ("Cancelled", None, "cancelled"),
        ("", {"error": {"code": "server_error"}}, "failed"),
        ("odd", {"error": "no voice left"}, "failed"),
    ],
)
def test_a_status_that_says_nothing_known_is_read_from_what_else_is_told(
    status: str, details: dict[str, object] | None, taken: str
) -> None:
    response = end(Conversation(), done(status=status, status_details=details))
    assert response.status == taken
    assert response.message == ("no voice left" if status == "odd" else "")


def test_usage_counts_once_per_response_and_fresh_and_cached_are_apart() -> None:
    conversation = Conversation()
    usage = {
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 13,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    response = end(conversation, done(usage=usage))
    assert conversation.apply(done(usage=usage)) is None
    assert response.usage == conversation.usage
    assert conversation.usage == Usage(
        text_in=59, audio_in=9, cached_text_in=60, cached_audio_in=4, text_out=30, audio_out=91
    )


def test_a_cache_told_without_kinds_is_text_first() -> None:
    read = {"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 15}
    usage = Usage.from_wire({"input_token_details": read})
    assert (usage.cached_text_in, usage.cached_audio_in, usage.audio_in) == (10, 5, 15)


def test_deltas_that_come_after_the_end_change_nothing() -> None:
    conversation = Conversation()
    end(conversation, done())
    assert conversation.apply(sound(b"\x01\x02")) is None
    assert not conversation.active


def item(item_id: str) -> Item:
    return Item(id=item_id, type="message", content=(ContentPart(type="output_audio", transcript="words"),))


def test_items_stand_in_the_order_of_the_conversation() -> None:
    conversation = Conversation()
    conversation.apply(ConversationItemAdded(item=item("a")))
    conversation.apply(ConversationItemAdded(item=item("c"), previous_item_id="a"))
    conversation.apply(ConversationItemCreated(item=item("b"), previous_item_id="a"))
    conversation.apply(ConversationItemDone(item=item("c"), previous_item_id="b"))
    assert list(conversation.items) == ["a", "b", "c"]
    conversation.apply(ConversationItemDeleted(item_id="b"))
    conversation.apply(ConversationItemDeleted(item_id="unheard of"))
    assert list(conversation.items) == ["a", "c"]


def test_a_truncated_item_loses_its_transcript() -> None:
    conversation = Conversation()
    conversation.apply(ConversationItemAdded(item=item("a")))
    conversation.apply(ConversationItemTruncated(item_id="a", audio_end_ms=5))
    conversation.apply(ConversationItemTruncated(item_id="unheard of"))
    assert conversation.items["a"].transcript == ""


def test_events_that_are_not_known_are_counted_and_those_that_do_not_matter_pass() -> None:
    conversation = Conversation()
    conversation.apply(decode('{"type": "new.event"}'))
    conversation.apply(decode('{"type": "new.event"}'))
    conversation.apply(RateLimitsUpdated())
    assert conversation.unknown == {"new.event": 2}


def test_an_item_keeps_its_sound_and_a_truncated_one_what_was_heard_of_it() -> None:
    conversation = Conversation()
    conversation.apply(ConversationItemAdded(item=item("item_1")))
    conversation.apply(sound(bytes(4800)))
    end(conversation, done())
    assert conversation.items["item_1"].audio == Pcm(bytes(4800))
    conversation.apply(ConversationItemTruncated(item_id="item_1", audio_end_ms=50))
    assert conversation.items["item_1"].audio == Pcm(bytes(2400))
    conversation.apply(ConversationItemDone(item=item("item_1")))
    assert conversation.items["item_1"].audio == Pcm(bytes(2400))


def test_a_conversation_that_keeps_no_audio_does_not_grow_with_it() -> None:
    conversation = Conversation(keeps_audio=False)
    conversation.apply(ConversationItemAdded(item=item("item_1")))
    conversation.apply(sound(bytes(4800)))
    assert len(end(conversation, done()).audio) == 2400
    assert conversation.items["item_1"].audio is None
    conversation.entries.keep_audio("item_1", Pcm(bytes(2)))
    assert conversation.items["item_1"].audio is None


def heard(conversation: Conversation, ms: int) -> None:
    conversation.input.append(Pcm.from_array(np.full(ms * 24, ms % 100 + 1, dtype=np.int16)))


def test_what_was_said_into_a_detected_turn_is_cut_from_the_input() -> None:
    conversation = Conversation()
    for ms in (1000, 2000, 3000):
        heard(conversation, ms)
    conversation.apply(SpeechStarted(item_id="u", audio_start_ms=500))
    conversation.apply(SpeechStopped(item_id="u", audio_end_ms=2500))
    conversation.apply(InputAudioBufferCommitted(item_id="u"))
    entry = conversation.items["u"]
    assert entry.audio is not None
    assert (entry.audio.duration_s, entry.heard_ms) == (2.0, (500, 2500))
    conversation.apply(SpeechStarted(item_id="v", audio_start_ms=5500))
    conversation.apply(InputAudioBufferCommitted(item_id="v"))
    rest = conversation.items["v"].audio
    assert rest is not None
    assert rest.duration_s == 0.5
    conversation.apply(InputAudioBufferCommitted(item_id="w"))
    assert conversation.items["w"].audio is None


def test_a_manual_commit_takes_the_whole_buffer_and_a_cleared_one_is_gone() -> None:
    conversation = Conversation()
    heard(conversation, 1000)
    conversation.apply(InputAudioBufferCleared())
    heard(conversation, 200)
    conversation.apply(InputAudioBufferCommitted(item_id="u"))
    audio = conversation.items["u"].audio
    assert audio is not None
    assert audio.duration_s == 0.2
    assert conversation.input.begins == 1200 * 24


def test_silence_is_let_go_while_nobody_speaks() -> None:
    conversation = Conversation()
    for _ in range(60):
        heard(conversation, 1000)
        conversation.input.forget_silence()
    assert conversation.input.begins == 55_000 * 24
    conversation.apply(SpeechStarted(item_id="u", audio_start_ms=59_000))
    heard(conversation, 60_000)
    conversation.input.forget_silence()
    conversation.apply(SpeechStopped(item_id="u", audio_end_ms=61_000))
    conversation.apply(InputAudioBufferCommitted(item_id="u"))
    audio = conversation.items["u"].audio
    assert audio is not None
    assert audio.duration_s == 2.0
    conversation.apply(SpeechStopped(item_id="never started", audio_end_ms=1))


def transcribed(item_id: str, **usage: object) -> TranscriptionCompleted:
    facts = {"item_id": item_id, "transcript": "Hello.", "usage": usage or None}
    return TranscriptionCompleted.model_validate(facts)


def test_a_transcript_finds_its_item_even_if_it_comes_first_and_is_billed_once() -> None:
    conversation = Conversation()
    details = {"text_tokens": 1, "audio_tokens": 17}
    conversation.apply(transcribed("u", type="tokens", input_tokens=18, output_tokens=9, input_token_details=details))
    conversation.apply(transcribed("u", type="tokens", input_tokens=18, output_tokens=9, input_token_details=details))
    conversation.apply(InputAudioBufferCommitted(item_id="u"))
    assert conversation.items["u"].transcript == "Hello."
    conversation.apply(InputAudioBufferCommitted(item_id="v"))
    conversation.apply(transcribed("v", type="duration", seconds=2.5))
    conversation.apply(transcribed("v"))
    assert conversation.items["v"].transcript == "Hello."
    assert conversation.transcription == Usage(text_in=1, audio_in=17, text_out=9, seconds=2.5)


def test_telephone_sound_is_heard_at_the_stages_rate() -> None:
    conversation = Conversation(ULAW)
    conversation.apply(sound(bytes(8000)))
    assert abs(len(end(conversation, done()).audio) - 24_000) < 5


def test_a_retrieved_item_has_its_sound() -> None:
    part = ContentPart(type="input_audio", audio=pybase64.b64encode(bytes(480)).decode())
    entry = Entry.with_sound(Item(id="i", type="message", content=(part,)), PCM16)
    assert entry.audio == Pcm(bytes(480))
    assert Entry.with_sound(Item(id="i", type="message"), PCM16).audio is None


def test_the_input_buffer_knows_its_length() -> None:
    conversation = Conversation()
    heard(conversation, 500)
    assert conversation.input.duration_s == 0.5


def test_a_transcript_whose_usage_is_not_told_has_an_unknown_cost_unless_it_is_empty() -> None:
    event = TranscriptionCompleted(event_id="e", item_id="i", transcript="Hm.")
    assert usage_of(event) == Usage(untold=1)
    assert usage_of(TranscriptionCompleted(item_id="i", transcript="")) == Usage()


def test_usage_that_stands_beside_the_response_counts_with_the_messages_that_were_read() -> None:
    conversation = Conversation()
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
    for name in ("a", "b", "a"):
        conversation.apply(ConversationItemAdded(item=Item.model_validate({"id": name, **message})))
    beside = {"output_tokens": 42, "output_token_details": {"text_tokens": 3, "audio_tokens": 39},
              "input_tokens": 5, "input_token_details": {"text_tokens": 5}, "billable_audio_seconds": 1}  # fmt: skip
    begin(conversation)
    conversation.apply(sound(b"00"))
    event = done(usage={}).model_copy(update={"usage": beside})
    used = Usage(text_in=5, text_out=3, audio_out=39, seconds=1.0, text_messages=2)
    assert end(conversation, event).usage == used
    begin(conversation, "resp_2")
    again = end(conversation, done("resp_2", usage={}).model_copy(update={"usage": beside}))
    assert again.usage.text_messages == 0
    assert conversation.usage.text_messages == 2


ZERO = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    ("raw", "status", "is_heard", "untold"),
    [
        (None, "completed", True, 1),
        ({}, "cancelled", True, 1),
        (None, "failed", True, 1),
        (ZERO, "completed", True, 1),
        (ZERO, "failed", True, 0),  # the provider forgoes it
        (None, "failed", False, 0),
        (None, "cancelled", False, 0),
        (ZERO, "completed", False, 0),
    ],
)
def test_a_response_that_was_heard_is_never_free(raw: object, status: str, is_heard: bool, untold: int) -> None:
    conversation = Conversation()
    begin(conversation)
    if is_heard:
        conversation.apply(sound(b"00"))
    assert end(conversation, done(status=status, usage=raw)).usage == Usage(untold=untold)


def test_sums_of_what_is_only_written_are_text() -> None:
    conversation = Conversation()
    begin(conversation)
    conversation.apply(TextDelta(response_id="resp_1", item_id="item_1", delta="Hi."))
    used = end(conversation, done(usage={"output_tokens": 4, "input_tokens": 5})).usage
    assert (used.text_out, used.audio_out) == (4, 0)


def test_an_event_nobody_knows_may_hold_anything() -> None:
    event = decode(b'{"type":"something.new","response_id":{"a":[]},"event_id":"event_1"}')
    assert Conversation().apply(event) is None


TRANSCRIPT = TranscriptDelta(response_id="resp_1", item_id="item_1", delta="Hello")


def test_words_that_come_only_with_their_end_are_news_and_those_that_deltas_brought_are_not() -> None:
    conversation = Conversation()
    first = TranscriptDone(response_id="resp_1", item_id="item_1", transcript="Hello")
    assert conversation.apply(first) == TextChunk("resp_1", "item_1", "Hello", spoken=True)
    conversation.apply(TranscriptDelta(response_id="resp_1", item_id="item_1", content_index=1, delta=" the"))
    last = TranscriptDone(response_id="resp_1", item_id="item_1", content_index=1, transcript=" there")
    assert conversation.apply(last) is None
    assert conversation.apply(TextDone(response_id="resp_1", item_id="item_1")) is None
    assert end(conversation, done()).transcript == "Hello there"


def test_words_may_come_with_the_end_of_their_part_or_item() -> None:
    conversation = Conversation()
    begin(conversation)
    part = ContentPart(type="audio", transcript="Hello")
    conversation.apply(ContentPartDone(response_id="resp_1", item_id="a", part=part))
    text = ContentPart(type="text", text="Hi")
    conversation.apply(ContentPartDone(response_id="resp_1", item_id="b", part=text))
    conversation.apply(ContentPartDone(response_id="resp_1", item_id="b", part=text))
    conversation.apply(OutputItemDone(response_id="resp_1", item=item("c")))
    response = end(conversation, done())
    assert (response.transcript, response.text, response.item_ids) == ("Hellowords", "Hi", ("a", "b", "c"))


def test_a_tool_call_may_come_only_in_its_own_events() -> None:
    conversation = Conversation()
    begin(conversation)
    call = {"response_id": "resp_1", "item_id": "a"}
    conversation.apply(FunctionArgumentsDelta(**call, call_id="c1", delta='{"on":'))
    conversation.apply(FunctionArgumentsDelta(**call, delta="true}"))
    conversation.apply(FunctionArgumentsDone(**call, name="light"))
    whole = FunctionArgumentsDone(response_id="resp_1", item_id="b", name="door", arguments="{}")
    conversation.apply(whole)
    response = end(conversation, done())
    assert response.calls == (ToolCall("c1", "light", '{"on":true}'), ToolCall("b", "door", "{}"))
    assert conversation.apply(whole) is None


def test_commentary_is_kept_apart_from_the_answer_and_can_be_taken_with_it() -> None:
    conversation = Conversation()
    begin(conversation)
    aside = Item(id="aside", role="assistant", phase="commentary")
    conversation.apply(OutputItemAdded(response_id="resp_1", item=aside))
    delta = pybase64.b64encode(b"\x01\x01").decode()
    sounded = conversation.apply(AudioDelta(response_id="resp_1", item_id="aside", delta=delta))
    assert sounded == AudioChunk("resp_1", "aside", Pcm(b"\x01\x01"), commentary=True)
    worded = conversation.apply(TranscriptDelta(response_id="resp_1", item_id="aside", delta="Let me look. "))
    assert worded == TextChunk("resp_1", "aside", "Let me look. ", spoken=True, commentary=True)
    conversation.apply(OutputItemAdded(response_id="resp_1", item=Item(id="item_1")))
    answer = Item(id="item_1", phase="final_answer")
    conversation.apply(ConversationItemAdded(item=answer))
    conversation.apply(sound(b"\x02\x02"))
    conversation.apply(TRANSCRIPT)
    response = end(conversation, done())
    assert (response.transcript, response.audio.data) == ("Hello", b"\x02\x02")
    assert response.commentary == (Commentary("Let me look. ", audio=Pcm(b"\x01\x01")),)
    whole = response.with_commentary()
    assert (whole.transcript, whole.audio.data) == ("Let me look. Hello", b"\x01\x01\x02\x02")


def test_sound_may_come_before_its_response_begins_and_after_it_is_done() -> None:
    conversation = Conversation()
    conversation.apply(sound(b"\x01\x01"))
    begin(conversation)
    assert conversation.apply(done()) is None
    assert conversation.is_ending
    conversation.apply(sound(b"\x02\x02"))
    ended = conversation.apply(AudioDone(response_id="resp_1", item_id="item_1"))
    assert isinstance(ended, ResponseEnded)
    assert ended.response.audio.data == b"\x01\x01\x02\x02"
    assert conversation.settle() is None


def test_sound_that_nothing_announced_may_come_after_its_response_is_done() -> None:
    conversation = Conversation()
    for number, ends in ((1, False), (2, True)):
        response_id, item_id = f"resp_{number}", f"item_{number}"
        ids = {"response_id": response_id, "item_id": item_id}
        begin(conversation, response_id)
        conversation.apply(TranscriptDone(**ids, transcript="Hello."))
        conversation.apply(OutputItemDone(response_id=response_id, item=item(item_id)))
        assert conversation.apply(done(response_id)) is None
        conversation.apply(AudioDelta(**ids, delta="AQE="))
        ended = conversation.apply(AudioDone(**ids)) if ends else conversation.settle()
        assert isinstance(ended, ResponseEnded)
        assert ended.response.audio.data == b"\x01\x01"


def test_a_response_whose_words_stay_without_sound_is_waited_for_once() -> None:
    conversation = Conversation()
    for number in (1, 2):
        ids = {"response_id": f"resp_{number}", "item_id": f"item_{number}"}
        begin(conversation, ids["response_id"])
        conversation.apply(TranscriptDone(**ids, transcript="Hello."))
        ended = conversation.apply(done(ids["response_id"]))
        assert isinstance(ended or conversation.settle(), ResponseEnded)
        assert (ended is None) is (number == 1)


def test_a_server_that_never_tells_the_end_of_sound_is_waited_for_once() -> None:
    conversation = Conversation()
    begin(conversation)
    audio = ContentPart(type="audio")
    conversation.apply(ContentPartAdded(response_id="resp_1", item_id="item_1", part=audio))
    assert conversation.apply(done()) is None
    assert isinstance(conversation.settle(), ResponseEnded)
    conversation.apply(sound(b"\x01\x01", "resp_2"))
    assert isinstance(conversation.apply(done("resp_2")), ResponseEnded)


def test_the_end_of_an_item_ends_its_sound() -> None:
    conversation = Conversation()
    conversation.apply(sound(b"\x01\x01"))
    conversation.apply(done())
    ended = conversation.apply(OutputItemDone(response_id="resp_1", item=item("item_1")))
    assert isinstance(ended, ResponseEnded)
    assert conversation.apply(OutputItemDone(response_id="resp_1", item=item("item_1"))) is None
    assert conversation.apply(AudioDone(response_id="resp_1", item_id="item_1")) is None
    assert conversation.apply(TranscriptDone(response_id="resp_1", item_id="item_1")) is None


def test_an_error_that_nothing_explains_ends_the_response_under_way_unless_it_goes_on() -> None:
    conversation = Conversation()
    error = ServerError(code="inference_failed", message="out of memory")
    conversation.blame(error)
    assert not conversation.is_ending
    begin(conversation)
    conversation.blame(error)
    conversation.blame(error)
    assert conversation.is_ending
    conversation.apply(sound(b"\x01\x01"))
    assert not conversation.is_ending
    conversation.blame(error)
    conversation.apply(OutputItemAdded(response_id="resp_1", item=item("item_1")))
    assert not conversation.is_ending
    conversation.blame(error)
    ended = conversation.settle()
    assert ended is not None
    assert (ended.response.status, ended.response.reason, ended.response.message, len(ended.response.audio)) == (
        "failed",
        "inference_failed",
        "out of memory",
        1,
    )


def test_events_without_ids_belong_to_the_response_under_way() -> None:
    conversation = Conversation()
    began = conversation.apply(ResponseCreated())
    assert began == ResponseBegan("unnamed_1")
    conversation.apply(AudioDelta(delta="AAAA"))
    conversation.apply(OutputItemDone(item=Item()))
    conversation.apply(TranscriptDelta(delta="Hello"))
    ended = conversation.apply(ResponseDone())
    assert isinstance(ended, ResponseEnded)
    assert (ended.response.transcript, ended.response_id) == ("Hello", "unnamed_1")
    assert ended.response.item_ids == ()
    lone = conversation.apply(TextDelta(delta="Hi"))
    assert lone == TextChunk("unnamed_2", "", "Hi", spoken=False)


def test_an_event_with_a_foreign_id_belongs_to_the_response_of_its_item_or_the_one_that_has_just_begun() -> None:
    conversation = Conversation()
    begin(conversation)
    conversation.apply(OutputItemAdded(response_id="other", item=Item(id="item_1")))
    conversation.apply(AudioDelta(response_id="third", item_id="item_1", delta="AAAA"))
    conversation.apply(AudioDelta(response_id="other", item_id="stray", delta="AAAA"))
    assert conversation.active == ("resp_1",)
    ended = conversation.apply(done("fourth")) or conversation.settle()
    assert ended is not None
    assert isinstance(ended, ResponseEnded)
    assert (ended.response_id, len(ended.response.audio)) == ("resp_1", 3)


def test_what_is_unusable_is_noted_and_only_lost_sound_breaks_a_response() -> None:
    conversation = Conversation()
    lost = UnusableEvent(type="response.output_audio.delta", problem="delta is null", breaks_response=True)
    conversation.apply(lost)
    begin(conversation)
    conversation.apply(UnusableEvent(type="", problem="a frame of 3 bytes is not JSON"))
    conversation.apply(lost)
    conversation.apply(UnusableEvent(type="", problem="a frame of 9 bytes is not JSON", breaks_response=True))
    response = end(conversation, done(status_details={"error": {"message": "busy"}}))
    assert (response.status, response.message) == (
        "failed",
        "the server sent unusable data: response.output_audio.delta: delta is null (busy)",
    )
    assert list(conversation.odd) == [
        "response.output_audio.delta: delta is null; ignored",
        "a frame of 3 bytes is not JSON; ignored",
        "response.output_audio.delta: delta is null; its response is incomplete",
        "a frame of 9 bytes is not JSON; its response is incomplete",
    ]


def test_a_failure_that_made_nothing_and_tells_no_usage_costs_nothing() -> None:
    conversation = Conversation()
    assert end(conversation, done(status="failed")).usage == Usage()
    conversation.apply(sound(b"\x01\x01", "resp_2"))
    assert end(conversation, done("resp_2", status="failed")).usage.untold == 1


def test_usage_can_be_taken_apart_again() -> None:
    assert Usage(text_in=3, audio_out=2) - Usage(text_in=1) == Usage(text_in=2, audio_out=2)


def test_why_a_response_failed_may_stand_beside_its_details() -> None:
    conversation = Conversation()
    begin(conversation)
    error = ServerError(code="503", message="out of memory")
    response = end(conversation, done(status="failed", error=error))
    assert (response.status, response.reason, response.message) == ("failed", "503", "out of memory")


def test_a_phase_may_be_spelt_otherwise() -> None:
    conversation = Conversation()
    comment = item("item_1").model_copy(update={"phase": "Commentary"})
    conversation.apply(OutputItemAdded(response_id="resp_1", item=comment))
    conversation.apply(TranscriptDone(response_id="resp_1", item_id="item_1", transcript="Let me look."))
    response = end(conversation, done())
    assert (response.transcript, response.commentary[0].transcript) == ("", "Let me look.")


def test_the_phase_of_an_item_may_come_with_the_conversation() -> None:
    conversation = Conversation()
    begin(conversation)
    conversation.apply(sound(b"\x01\x01"))
    conversation.apply(ConversationItemAdded(item=Item(id="item_1", phase="commentary")))
    conversation.apply(ConversationItemAdded(item=Item(id="elsewhere", phase="commentary")))
    assert len(end(conversation, done()).commentary) == 1


def test_an_item_that_the_server_names_anew_is_followed() -> None:
    conversation = Conversation()
    conversation.apply(ConversationItemAdded(item=item("ours")))
    conversation.apply(ConversationItemAdded(item=item("last")))
    assert conversation.knows("ours")
    conversation.entries.rename("ours", "theirs")
    conversation.entries.rename("theirs", "theirs_2")
    conversation.entries.rename("never seen", "x")
    assert list(conversation.items) == ["theirs_2", "last"]
    assert conversation.items["theirs_2"].id == "theirs_2"
    assert [conversation.entries.id_of(name) for name in ("ours", "last", "never seen")] == ["theirs_2", "last", "x"]
    conversation.apply(ConversationItemAdded(item=item("theirs_3")))
    conversation.entries.rename("theirs_2", "theirs_3")
    assert list(conversation.items) == ["theirs_3", "last"]
    begin(conversation)
    conversation.apply(sound(b"\x01\x01"))
    assert conversation.knows("item_1")
    assert not conversation.knows("item_2")


def test_an_item_without_an_id_cannot_be_placed_and_a_cut_without_a_place_keeps_the_sound() -> None:
    conversation = Conversation()
    conversation.apply(ConversationItemAdded(item=Item()))
    assert not conversation.items
    conversation.apply(ConversationItemAdded(item=item("item_1")))
    conversation.entries.keep_audio("item_1", Pcm(bytes(4)))
    conversation.apply(ConversationItemTruncated(item_id="item_1"))
    assert (conversation.items["item_1"].audio, conversation.items["item_1"].transcript) == (Pcm(bytes(4)), "")


def test_a_transcript_in_progress_is_not_billed_and_nonsense_is_no_usage() -> None:
    conversation = Conversation()
    tokens = {"type": "tokens", "input_tokens": 18}
    early = TranscriptionCompleted(item_id="u", transcript="Hel", status="in_progress", usage=tokens)
    conversation.apply(early)
    assert conversation.transcription == Usage()
    conversation.apply(TranscriptionCompleted(item_id="u", transcript="Hello", usage=tokens))
    conversation.apply(TranscriptionCompleted(transcript="lost", usage="much"))
    assert (conversation.transcription.audio_in, conversation.transcription.untold) == (18, 1)
    assert conversation.transcription.seconds is None


def test_a_server_may_use_one_id_for_all_its_responses() -> None:
    conversation = Conversation()
    for _ in range(2):
        assert begin(conversation) == ResponseBegan("resp_1")
        conversation.apply(sound(b"\x01\x01"))
        response = end(conversation, done(usage={"output_token_details": {"audio_tokens": 20}}))
        assert len(response.audio) == 1
        assert conversation.apply(done()) is None
    assert conversation.usage.audio_out == 40


@pytest.mark.parametrize("delta", ["-_8=", "-_8", "+_\n8"])
def test_base64_is_read_as_other_libraries_write_it(delta: str) -> None:
    conversation = Conversation()
    conversation.apply(AudioDelta(response_id="resp_1", item_id="item_1", delta=delta))
    assert end(conversation, done()).audio.data == b"\xfb\xff"


def test_a_text_for_the_details_of_a_failure_is_its_message() -> None:
    frame = '{"type": "response.done", "response": {"id": "r", "status": "failed", "status_details": "GPU on fire"}}'
    event = decode(frame)
    assert isinstance(event, ResponseDone)
    assert end(Conversation(), event).message == "GPU on fire"


def test_the_end_of_a_response_lists_what_came_of_it_under_the_same_ids() -> None:
    conversation = Conversation()
    begin(conversation)
    conversation.apply(TextDelta(response_id="resp_1", item_id="item_1", delta="Hello."))
    conversation.apply(ConversationItemAdded(item=Item(id="item_1", role="assistant")))
    listed = {"id": "item_1", "type": "message", "role": "assistant"}
    assert end(conversation, done(output=[listed])).item_ids == ("item_1",)


def timed(text: str, at: float, length: float, item_id: str = "") -> AudioTimestampDelta:
    place = {"response_id": "resp_1", "item_id": item_id}
    return AudioTimestampDelta(**place, text=text, audio_offset_ms=at, audio_duration_ms=length)


def test_words_and_visemes_are_timed_in_samples_of_the_answer() -> None:
    conversation = Conversation()
    begin(conversation)
    conversation.apply(sound(bytes(9600)))
    for event in (timed("Good", 0, 50), timed("day", 50.5, 40), VisemeDelta(viseme_id=21, audio_offset_ms=10)):
        assert conversation.apply(event) is None
    assert conversation.apply(AudioTimestampDone()) is None
    conversation.apply(VisemeDone())
    timings = end(conversation, done()).timings
    assert timings.words == (WordTime("Good", 0, 1200), WordTime("day", 1212, 2172))
    assert timings.visemes == (VisemeTime(21, 240),)
    assert timings.until(2000) == Timings((WordTime("Good", 0, 1200), WordTime("day", 1212, 2000)), timings.visemes)


@pytest.mark.parametrize("counts_from_the_response", [True, False])
def test_times_of_a_second_item_are_those_of_its_own_sound(counts_from_the_response: bool) -> None:
    conversation = Conversation()
    begin(conversation)
    for number, phase in enumerate(("commentary", "final_answer"), 1):
        made = Item(id=f"i{number}", type="message", role="assistant", phase=phase)
        conversation.apply(OutputItemAdded(response_id="resp_1", item=made))
        data = pybase64.b64encode(bytes(4800)).decode()
        conversation.apply(AudioDelta(response_id="resp_1", item_id=f"i{number}", delta=data))
        before = 100 * (number - 1) if counts_from_the_response else 0
        conversation.apply(timed(f"word{number}", before + 10, 20, f"i{number}"))
        conversation.apply(OutputItemDone(response_id="resp_1", item=made))
    response = end(conversation, done())
    assert response.timings.words == (WordTime("word2", 240, 720),)
    kept = response.with_commentary().timings.words
    assert kept == (WordTime("word1", 240, 720), WordTime("word2", 2640, 3120))


def test_times_that_are_none_are_left_out_and_noted() -> None:
    notes: list[str] = []
    for told in (None, -1, 1e99, "soon"):
        event = {"type": "response.audio_timestamp.delta", "text": "a", "audio_offset_ms": told}
        assert isinstance(decode(to_json(event), note=notes.append), UnusableEvent)
    assert len(notes) == 4
