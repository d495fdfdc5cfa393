"""Other servers' spellings are turned at the edge: nothing is lost on the way there, and GA is what comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tau_stage.protocol.dialects import BETA, GA, XAI, Dialect, flat_session, nested_session, parts_renamed

SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": "Softly.",
    "output_modalities": ["audio"],
    "max_output_tokens": 500,
    "truncation": "auto",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "whisper-1"},
            "noise_reduction": None,
            "turn_detection": {"type": "server_vad"},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "ash", "speed": 1.5},
    },
}
FLAT: dict[str, Any] = {
    "instructions": "Softly.",
    "modalities": ["audio", "text"],
    "max_response_output_tokens": 500,
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": None,
    "turn_detection": {"type": "server_vad"},
    "voice": "ash",
    "speed": 1.5,
}


def outward(dialect: Dialect, **event: Any) -> dict[str, Any]:
    told = json.loads(dialect.to_server(json.dumps(event).encode()))
    assert isinstance(told, dict)
    return told


def inward(dialect: Dialect, **event: Any) -> dict[str, Any]:
    told = json.loads(dialect.from_server(json.dumps(event).encode()))
    assert isinstance(told, dict)
    return told


def test_a_session_is_flat_for_the_beta_and_comes_back_as_it_was() -> None:
    assert flat_session(SESSION) == FLAT
    assert nested_session(FLAT) == {key: value for key, value in SESSION.items() if key != "truncation"}
    assert nested_session({"modalities": ["text"]}) == {"type": "realtime", "output_modalities": ["text"]}
    assert flat_session({"output_modalities": ["text"], "audio": {"input": {"format": None}}}) == {
        "modalities": ["text"]
    }
    assert flat_session({"audio": None}) == {}


def test_ga_is_left_as_it_is_to_the_byte() -> None:
    frame = b'{"type" :  "x"}'
    assert GA.to_server(frame) is frame
    assert GA.from_server(frame) is frame


@pytest.mark.parametrize("frame", [b"{", b"[1]"])
def test_what_is_no_event_is_left_to_the_decoder(frame: bytes) -> None:
    assert BETA.from_server(frame) == frame


def test_a_beta_server_is_told_in_its_own_words() -> None:
    assert outward(BETA, type="session.update", session=SESSION)["session"] == FLAT
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    told = outward(BETA, type="conversation.item.create", item=message)
    assert told["item"]["content"][0]["type"] == "text"
    wanted = {"conversation": "none", "metadata": {"k": "v"}, "max_output_tokens": 5, "output_modalities": ["text"]}
    told = outward(BETA, type="response.create", response=wanted | {"input": [message]})
    assert told["response"] == {
        "conversation": "none",
        "metadata": {"k": "v"},
        "max_output_tokens": 5,
        "modalities": ["text"],
        "input": [{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert outward(BETA, type="response.cancel") == {"type": "response.cancel"}
    assert outward(BETA, type="response.create", response={})["response"] == {}


def test_a_beta_servers_words_come_in_as_ga() -> None:
    assert inward(BETA, type="response.audio.delta", delta="AAAA")["type"] == "response.output_audio.delta"
    assert inward(BETA, type="session.created", session=FLAT)["session"]["audio"]["output"]["voice"] == "ash"
    nested = inward(BETA, type="session.created", session=SESSION)["session"]
    assert nested == SESSION
    output = [{"role": "assistant", "content": [{"type": "audio", "transcript": "Hi"}, "odd"]}, "odd"]
    done = inward(BETA, type="response.done", response={"output": output})
    assert done["response"]["output"][0]["content"][0]["type"] == "output_audio"
    assert done["response"]["output"][1] == "odd"


def test_parts_of_others_keep_their_names() -> None:
    item = {"role": "user", "content": [{"type": "text"}]}
    assert parts_renamed({"item": item, "response": {}}, {"text": "output_text"}) == {"item": item, "response": {}}


def test_xai_has_voice_and_turns_at_the_top_and_formats_nested() -> None:
    told = outward(XAI, type="session.update", session=SESSION)["session"]
    assert (told["voice"], told["speed"], told["turn_detection"]) == ("ash", 1.5, {"type": "server_vad"})
    assert told["audio"]["output"] == {"format": {"type": "audio/pcmu"}}
    assert "type" not in told
    assert outward(XAI, type="session.update", session={"instructions": "x"})["session"] == {"instructions": "x"}
    assert outward(XAI, type="response.cancel") == {"type": "response.cancel"}
    back = inward(XAI, type="session.updated", session=told)["session"]
    assert back["audio"]["output"]["voice"] == "ash"
    assert "voice" not in back
    assert inward(XAI, type="session.created", session={"id": "x"})["session"] == {"type": "realtime", "id": "x"}
    transcript = inward(XAI, type="conversation.item.input_audio_transcription.updated", transcript="whole so far")
    assert transcript["type"] == "conversation.item.input_audio_transcription.delta"
    assert transcript["delta"] == ""
