"""Other servers' spellings are turned at the edge: nothing is lost on the way there, and GA is what comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tau_stage.protocol.dialects import (
    AZURE_TIMES,
    BETA,
    DIALECTS,
    GA,
    OLD_NAMES,
    QWEN,
    SPEACHES,
    SPEAKS_BETA,
    STEPFUN,
    VOICE_LIVE,
    XAI,
    Dialect,
    flat_session,
    nested_session,
    parts_renamed,
)

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
    "modalities": ["text", "audio"],
    "max_response_output_tokens": 500,
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": None,
    "turn_detection": {"type": "server_vad"},
    "voice": "ash",
    "speed": 1.5,
}


SPOKEN: dict[str, Any] = {"role": "assistant", "content": [{"type": "audio", "transcript": "Hi"}]}
TOOL = {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object"}}
CHAT_TOOL = {"type": "function", "function": {key: value for key, value in TOOL.items() if key != "type"}}


def outward(dialect: Dialect, **event: Any) -> dict[str, Any]:
    told = json.loads(dialect.to_server(json.dumps(event).encode()))
    assert isinstance(told, dict)
    return told


def inward(dialect: Dialect, **event: Any) -> dict[str, Any]:
    return dialect.read(event)


def test_a_session_is_flat_for_the_beta_and_comes_back_as_it_was() -> None:
    assert flat_session(SESSION) == FLAT
    assert nested_session(FLAT) == {key: value for key, value in SESSION.items() if key != "truncation"}
    assert nested_session({"modalities": ["text"]}) == {"type": "realtime", "output_modalities": ["text"]}
    assert flat_session({"output_modalities": ["text"], "audio": {"input": {"format": None}}}) == {
        "modalities": ["text"]
    }
    assert flat_session({"audio": None}) == {}


def test_ga_is_left_as_it_is() -> None:
    frame = b'{"type" :  "x"}'
    assert GA.to_server(frame) is frame
    for event in ({"type": "response.output_audio.delta", "delta": "AAAA"}, {"type": None}, {"session": SESSION}):
        assert GA.read(event) is event


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_reads_old_and_new_names(dialect: Dialect) -> None:
    noted: list[str] = []
    for new, old in OLD_NAMES.items():
        for name in (new, old):
            assert dialect.read({"type": name, "delta": "x"}, noted.append) == {"type": new, "delta": "x"}
    assert set(noted) == ({SPEAKS_BETA} if dialect is GA else set())
    told = dialect.read({"type": "response.done", "response": {"output": [SPOKEN]}})
    assert told["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hi"}]
    assert (
        dialect.read({"type": "conversation.item.added", "item": SPOKEN})["item"]["content"][0]["type"]
        == "output_audio"
    )
    assert dialect.read({"type": "session.created", "session": FLAT})["session"]["audio"]["output"]["voice"] == "ash"


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
    output = [SPOKEN | {"content": [*SPOKEN["content"], "odd"]}, "odd"]
    done = inward(BETA, type="response.done", response={"output": output})
    assert done["response"]["output"][0]["content"][0]["type"] == "output_audio"
    assert done["response"]["output"][1] == "odd"


def test_parts_of_others_keep_their_names() -> None:
    item = {"role": "user", "content": [{"type": "text"}]}
    assert parts_renamed({"item": item, "response": {}}, {"text": "output_text"}) == {"item": item, "response": {}}


def test_a_part_flat_session_is_read_as_ga_and_what_is_told_twice_counts_once() -> None:
    told = {
        "id": "s1",
        "modalities": ["audio"],
        "turn_detection": {"type": None},
        "input_audio_transcription": {"model": "grok-transcribe"},
        "input_audio_format": "not specified",
        "max_response_output_tokens": "inf",
        "temperature": -1.0,
        "voice": {"name": "ara", "type": "any"},
        "tools": [CHAT_TOOL, TOOL, "odd"],
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}, "output": None},
    }
    assert nested_session(told) == {
        "type": "realtime",
        "id": "s1",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "tools": [TOOL, TOOL, "odd"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 16000},
                "turn_detection": None,
                "transcription": {"model": "grok-transcribe"},
            },
            "output": {"voice": "ara"},
        },
    }
    assert nested_session({"voice": {"id": "voice_1"}})["audio"]["output"]["voice"] == {"id": "voice_1"}
    assert nested_session({"modalities": "audio", "tools": None}) == {"type": "realtime", "tools": None}


def test_xai_has_voice_and_turns_at_the_top_and_the_rest_nested() -> None:
    told = outward(XAI, type="session.update", session=SESSION)["session"]
    assert (told["voice"], told["turn_detection"]) == ("ash", {"type": "server_vad"})
    assert told["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "speed": 1.5}
    assert told["max_response_output_tokens"] == 500
    assert not {"type", "output_modalities", "max_output_tokens", "modalities"} & told.keys()
    heard = {"audio": {"input": {"transcription": {"model": "m", "language": "ja", "keywords": ["x"]}}, "output": None}}
    assert outward(XAI, type="session.update", session=heard)["session"]["audio"] == {
        "input": {"transcription": {"model": "m", "language_hint": "ja", "keyterms": ["x"]}}
    }
    silent = {"audio": {"input": {"turn_detection": None}}, "output_modalities": ["text"]}
    assert outward(XAI, type="session.update", session=silent)["session"] == {
        "turn_detection": None,
        "modalities": ["text"],
    }
    assert outward(XAI, type="response.cancel") == {"type": "response.cancel"}
    for ours, theirs in ((["audio"], ["text", "audio"]), (["text"], ["text"])):
        asked = {"output_modalities": ours, "metadata": {"k": "v"}}
        told = outward(XAI, type="response.create", response=asked)["response"]
        assert told == {"modalities": theirs, "metadata": {"k": "v"}}
    asked = {"metadata": {"k": "v"}}
    assert outward(XAI, type="response.create", response=asked)["response"] == asked


def test_xais_cumulative_transcript_is_the_whole_so_far() -> None:
    kind = "conversation.item.input_audio_transcription"
    told = inward(XAI, type=f"{kind}.updated", item_id="i", transcript="whole so far")
    assert told == {"type": f"{kind}.completed", "item_id": "i", "transcript": "whole so far", "status": "in_progress"}


@pytest.mark.parametrize("dialect", [STEPFUN, QWEN], ids=lambda dialect: dialect.name)
def test_some_are_told_tools_as_in_the_chat_api(dialect: Dialect) -> None:
    mcp = {"type": "mcp", "server_label": "x"}
    session = {"tools": [TOOL, mcp], "audio": {"input": {"turn_detection": None}, "output": {"voice": "a"}}}
    told = outward(dialect, type="session.update", session=session)["session"]
    assert told["tools"] == [CHAT_TOOL, mcp]
    assert ("turn_detection" in told) is (dialect is QWEN)
    assert outward(dialect, type="response.create", response={"tools": [TOOL]})["response"] == {"tools": [CHAT_TOOL]}


def test_speaches_is_not_told_what_it_refuses() -> None:
    choice = {"type": "function", "name": "look"}
    told = outward(SPEACHES, type="session.update", session=SESSION | {"tools": [TOOL], "tool_choice": choice})[
        "session"
    ]
    assert told == {
        "instructions": "Softly.",
        "modalities": ["text", "audio"],
        "max_response_output_tokens": 500,
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"type": "server_vad"},
        "voice": "ash",
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    }
    sound = {"type": "input_audio", "audio": "AAAA"}
    for given, made in ((sound, sound | {"transcript": None}), (sound | {"transcript": "Hi"},) * 2):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}, given]}
        told = outward(SPEACHES, type="conversation.item.create", item=item)["item"]
        assert told["content"] == [{"type": "input_text", "text": "x"}, made]
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    assert outward(SPEACHES, type="conversation.item.create", item=output)["item"] == output


@pytest.mark.parametrize(
    ("voice", "told"),
    [
        ("alloy", "alloy"),
        ("en-US-AvaNeural", {"type": "azure-standard", "name": "en-US-AvaNeural"}),
        ("en-US-Ava:DragonHDLatestNeural", {"type": "azure-standard", "name": "en-US-Ava:DragonHDLatestNeural"}),
    ],
)
def test_azures_own_voices_are_told_as_objects_and_come_back_as_names(voice: str, told: object) -> None:
    session = {"audio": {"output": {"voice": voice}}}
    flat = outward(VOICE_LIVE, type="session.update", session=session)["session"]
    assert flat == {"voice": told, **(AZURE_TIMES if isinstance(told, dict) else {})}
    assert inward(VOICE_LIVE, type="session.updated", session=flat)["session"]["audio"]["output"]["voice"] == voice


def test_a_tool_is_chosen_in_any_spelling() -> None:
    chosen = {"type": "function", "name": "look"}
    for told in (chosen, {"type": "function", "function": "look"}, {"type": "function", "function": {"name": "look"}}):
        assert nested_session({"tool_choice": told})["tool_choice"] == chosen
    assert nested_session({"tool_choice": "auto"})["tool_choice"] == "auto"


def test_a_text_that_is_spoken_as_it_stands_is_written_as_each_server_wants_it() -> None:
    """At Voice Live it is part of the response, at xAI an item that is a turn by itself."""
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    asked = {"event_id": "e", "response": {"metadata": {"line": "x"}, "pre_generated_assistant_message": said}}
    assert outward(XAI, type="response.create", **asked) == {
        "event_id": "e",
        "type": "conversation.item.create",
        "item": {"type": "force_message", "role": "assistant", "content": said["content"]},
    }
    assert outward(VOICE_LIVE, type="response.create", **asked)["response"] == {
        "metadata": {"line": "x"},
        "pre_generated_assistant_message": said | {"content": [{"type": "text", "text": "Hello."}]},
    }
    assert outward(XAI, type="response.create", event_id="e") == {"type": "response.create", "event_id": "e"}
