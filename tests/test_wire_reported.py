"""What public bug reports say that servers send: each costs no line, no sound, no session, and no wait to a deadline.

Where one is known, the report stands beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.tampering_server import SAID, Event, Tamper, Tampering, on, performed, said, talking
from tests.support.tone_voice import tone

LINE = 'Perform this line: "Hello there, everybody."'
DELTA, END = "response.output_audio.delta", "response.done"
WORDS, WORDS_DONE = "response.output_audio_transcript.delta", "response.output_audio_transcript.done"
NUMBERS = count()


def each(change: Callable[[Event], Event]) -> Tamper:
    """Every event is changed."""
    return lambda event: [change(event)]


def lacking(*keys: str) -> Tamper:
    return each(lambda event: {key: value for key, value in event.items() if key not in keys})


def with_response(**fields: Any) -> Tamper:
    return on(END, lambda event: event | {"response": event["response"] | fields})


def by_sentence(event: Event) -> Iterable[Event]:
    """The words come as several ends, and never in pieces (huggingface/speech-to-speech#439)."""
    if event["type"] == WORDS:
        return []
    if event["type"] == END:
        return [event | {"response": event["response"] | {"output": []}}]
    if event["type"] != WORDS_DONE:
        kept = {"part": {"type": "audio"}} if "part" in event else {}
        item = {"item": event["item"] | {"content": []}} if event["type"] == "response.output_item.done" else {}
        return [event | kept | item]
    halves = event["transcript"].partition(" ")
    return [event | {"transcript": halves[0]}, event | {"transcript": halves[2]}]


def other_ids_at_the_end(event: Event) -> Event:
    """The items of ``response.done`` have other ids than before (smg-project/smg#160)."""
    items = [item | {"id": f"final_{item['id']}"} for item in event["response"]["output"]]
    return event | {"response": event["response"] | {"output": items}}


def recoded(change: Callable[[str], str]) -> Tamper:
    return on(DELTA, lambda event: event | {"delta": change(event["delta"])})


def odd_pieces(event: Event) -> Iterable[Event]:
    """Samples are cut in two between deltas."""
    if event["type"] != DELTA:
        return [event]
    data = base64.b64decode(event["delta"])
    third = len(data) // 3 | 1
    pieces = (data[:third], data[third : 2 * third], data[2 * third :])
    return [event | {"event_id": f"event_{next(NUMBERS)}", "delta": _coded(piece)} for piece in pieces]


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def noisy(*told: Event | bytes) -> Tamper:
    """Other events come before each event."""
    return lambda event: [*told, event]


BUSY = {"code": "conversation_already_has_active_response", "message": "Conversation already has an active response."}

REPORTED: dict[str, Tamper] = {
    "the end never comes": on(END),
    "words by the sentence": by_sentence,
    "other ids at the end": on(END, other_ids_at_the_end),
    "an id for each piece of the words, and no response's (BerriAI/litellm#29662)": on(
        WORDS, lambda event: event | {"item_id": f"item_{next(NUMBERS)}", "response_id": ""}
    ),
    "no previous item (livekit/agents#5320)": lacking("previous_item_id"),
    "previous item null": each(lambda event: event | {"previous_item_id": None}),
    "heartbeats (MetaGLM/glm-realtime-sdk)": noisy({"type": "heartbeat"}, {"type": "ping", "timestamp": 7}),
    "bytes and blanks between events": noisy(b"\xff\x00\xfe", b" ", b"\n"),
    "a transcription session (richiejp/VoxInput#22)": on(
        "session.created", {"type": "transcription_session.created", "session": {}}, lambda event: event
    ),
    "the session created twice, with other ids": on(
        "session.created", lambda event: event, lambda event: event | {"event_id": "event_other"}
    ),
    "the session updated unasked": on(
        "session.updated", lambda event: event, lambda event: event | {"event_id": "event_other"}
    ),
    "usage null": with_response(usage=None),
    "no items at the end": with_response(output=[]),
    "an end without its response's id": with_response(id=None),
    "a status of its own": with_response(status="SUCCESS"),
    "no response's id in anything": lacking("response_id"),
    "no item's id in anything": lacking("item_id"),
    "no index in anything": lacking("output_index", "content_index"),
    "no event ids": lacking("event_id"),
    "one event id for all": each(lambda event: event | {"event_id": "event_0"}),
    "every event twice": lambda event: [event, event],
    "every event in capitals": each(lambda event: event | {"type": event["type"].upper()}),
    "every event with underscores": each(lambda event: event | {"type": event["type"].replace(".", "_")}),
    "sound unpadded": recoded(lambda delta: delta.rstrip("=")),
    "sound in lines": recoded(lambda delta: "\n".join(delta[at : at + 76] for at in range(0, len(delta), 76))),
    "sound as data URLs": recoded(lambda delta: f"data:audio/pcm;base64,{delta}"),
    "sound under another key": on(
        DELTA, lambda event: {"audio": event["delta"], **{key: event[key] for key in event if key != "delta"}}
    ),
    "sound in odd pieces": odd_pieces,
    "an error that is about nothing (livekit/agents#6817)": on(
        DELTA, {"type": "error", "error": BUSY | {"event_id": None}}, lambda event: event
    ),
    "limits of null": on("rate_limits.updated", {"type": "rate_limits.updated", "rate_limits": None}),
    "speech that nobody asked to detect": on(
        "response.created", {"type": "input_audio_buffer.speech_stopped", "item_id": None}, lambda event: event
    ),
    "byte order marks": lambda event: [b"\xef\xbb\xbf" + json.dumps(event).encode()],
    "two events in a frame": lambda event: [json.dumps(event).encode() + b'\n{"type": "ping"}'],
    "lists of events": lambda event: [json.dumps([{"type": "ping"}, event]).encode()],
    "server-sent events": lambda event: [b"data: " + json.dumps(event).encode() + b"\n\n"],
    "an end under two names": on(END, {"type": "response.completed", "response": {}}, lambda event: event),
    "cut off, then ended": on(END, {"type": "response.cancelled"}, lambda event: event),
    "the beta's names": each(
        lambda event: event | {"type": event["type"].replace("output_audio", "audio").replace("output_text", "text")}
    ),
    "parts of null": each(lambda event: event | ({"part": None} if "part" in event else {})),
    "numbers as ids": each(lambda event: event | ({"output_index": "0", "content_index": "0"})),
    "items without content": on("response.output_item.done", lambda e: e | {"item": e["item"] | {"content": None}}),
}


@pytest.mark.parametrize("name", REPORTED)
async def test_what_servers_are_reported_to_send_costs_no_line(name: str, tmp_path: Path) -> None:
    began = anyio.current_time()
    take = await performed(Tampering(REPORTED[name]), tmp_path)
    assert (take.ended, said(take)) == ("complete", SAID)
    assert [line.samples for line in take.lines[::2]] == [len(tone("ash", words)) for words in SAID[::2]]
    assert all(player.opening_attempts == 1 and player.status == "played" for player in take.players)
    assert all(line.attempts == 1 for line in take.lines)
    assert anyio.current_time() - began < (40 if name == "the end never comes" else 12)


@pytest.mark.parametrize("name", REPORTED)
async def test_what_servers_are_reported_to_send_costs_no_session(name: str) -> None:
    async with talking(Tampering(REPORTED[name])) as session:
        for _ in range(2):
            await session.user(LINE)
            response = await session.response()
            assert (response.status, response.transcript) == ("completed", "Hello there, everybody.")
            assert response.audio == tone("ash", "Hello there, everybody.")
        await session.delete_conversation_item(response.item_ids[0])
        assert session.status in ("idle", "speaking")
        assert session.conversation.active == ()
        assert session.is_open
