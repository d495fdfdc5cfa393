"""Examples of what the functions within the protocol do."""

from __future__ import annotations

import struct

from tau_stage.audio.formats import Format
from tau_stage.protocol.client_events import InputAudioBufferClear
from tau_stage.protocol.decoding import ended, excerpt, odd_value, remove
from tau_stage.protocol.items import with_part, without
from tau_stage.protocol.responses import samples_of
from tau_stage.protocol.server_events import status_of, text_in


def test_client_message_encode() -> None:
    assert InputAudioBufferClear(event_id="evt_1").encode() == b'{"event_id":"evt_1","type":"input_audio_buffer.clear"}'


def test_excerpt() -> None:
    assert (excerpt({"status": "ok\x1b"}), excerpt("No. " * 99)[-12:]) == ('{"status":"ok\\u001b"}', "No. No. N...")


def test_ended() -> None:
    assert ended({"type": "response.done", "spelt": "response.failed", "message": "no GPU"})["response"] == {
        "status": "failed",
        "error": {"message": "no GPU"},
    }


def test_odd_value() -> None:
    assert odd_value({"response": {"usage": "none"}}, ("response", "usage"), is_missing=False) == (
        ("response", "usage"),
        "response.usage is a string",
    )
    assert odd_value({"response": {"output": [{}]}}, ("response", "output", 0, "id"), is_missing=True) == (
        ("response", "output", 0),
        "response.output has no id",
    )


def test_remove() -> None:
    event = {"output": [1, 2, 3], "usage": 4}
    remove(event, [("output", 0), ("output", 1), ("usage",)])
    assert event == {"output": [3]}


def test_samples_of() -> None:
    head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 24_000, 48_000, 2, 16)
    assert samples_of(head + b"data\xff\xff\xff\xff" + bytes(4), Format()) == (24000, b"\x00\x00\x00\x00")


def test_status_of() -> None:
    assert (status_of("Completed"), status_of("error"), status_of("odd"), status_of(None)) == (
        "completed",
        "failed",
        None,
        None,
    )


def test_text_in() -> None:
    assert text_in([{"msg": "too long", "loc": ["body"]}, "too loud"]) == "too long; body; too loud"


def test_without() -> None:
    assert without({"id": "i", "phase": None}, "phase") == {"id": "i"}


def test_with_part() -> None:
    item = with_part({"item": {"id": "i"}}, "item", lambda item: item | {"role": "user"})["item"]
    assert item == {"id": "i", "role": "user"}
