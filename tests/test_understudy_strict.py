"""What a client sends is taken exactly, or refused whole in the words of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tau_stage.protocol.server_events import ServerError
from tau_stage.understudy.dialogue import parse


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def refusal(event: dict[str, Any]) -> ServerError:
    error = parse(json.dumps(event).encode())
    assert isinstance(error, ServerError), error
    return error


@pytest.mark.parametrize(
    ("event", "param", "message"),
    [
        (
            session(max_output_tokens="5"),
            "session.max_output_tokens",
            "Invalid type for 'session.max_output_tokens': expected an integer, but got a string instead.",
        ),
        (
            session(audio={"output": {"speed": "1.2"}}),
            "session.audio.output.speed",
            "Invalid type for 'session.audio.output.speed': expected a decimal, but got a string instead.",
        ),
        (
            session(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": "yes"}}}),
            "session.audio.input.turn_detection.create_response",
            (
                "Invalid type for 'session.audio.input.turn_detection.create_response': "
                "expected a boolean, but got a string instead."
            ),
        ),
        (
            session(tools={}),
            "session.tools",
            "Invalid type for 'session.tools': expected an array, but got an object instead.",
        ),
        (
            {"type": "session.update", "session": None},
            "session",
            "Invalid type for 'session': expected an object, but got null instead.",
        ),
        (
            {"type": "conversation.item.retrieve", "item_id": 7},
            "item_id",
            "Invalid type for 'item_id': expected a string, but got an integer instead.",
        ),
    ],
)
def test_a_value_of_another_type_is_not_converted(event: dict[str, Any], param: str, message: str) -> None:
    error = refusal(event)
    assert (error.code, error.param, error.message) == ("invalid_type", param, message)


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "missing_required_parameter", "type"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        (item(type="message", content=[]), "missing_required_parameter", "item.role"),
        (item(type="message", role="developer", content=[]), "invalid_value", "item.role"),
        (item(type="mcp_call"), "invalid_value", "item.type"),
        (
            item(type="message", role="user", content=[{"type": "text", "text": "x"}]),
            "invalid_value",
            "item.content[0].type",
        ),
        (
            item(type="message", role="user", content=[{"text": "x"}]),
            "missing_required_parameter",
            "item.content[0].type",
        ),
        (session(tool_choice={"type": "function"}), "missing_required_parameter", "session.tool_choice.name"),
        (session(truncation="sometimes"), "invalid_value", "session.truncation"),
        (session(tracing=["x"]), "invalid_value", "session.tracing"),
        (session(include=["everything"]), "invalid_value", "session.include[0]"),
        (
            session(audio={"input": {"transcription": {"delay": "long"}}}),
            "invalid_value",
            "session.audio.input.transcription.delay",
        ),
    ],
)
def test_the_error_points_at_the_very_field(event: dict[str, Any], code: str, param: str) -> None:
    error = refusal(event)
    assert (error.code, error.param) == (code, param)


def test_what_may_stand_there_instead_is_told() -> None:
    error = refusal(item(type="message", role="user", content=[{"type": "text", "text": "x"}]))
    assert error.message == "Invalid value: 'text'. Supported values are: 'input_text', 'input_audio', 'input_image'."


@pytest.mark.parametrize(
    "fields",
    [
        {
            "truncation": {
                "type": "retention_ratio",
                "retention_ratio": 0.8,
                "token_limits": {"post_instructions": 8000},
            }
        },
        {"truncation": "disabled"},
        {"tracing": {"workflow_name": "stage", "metadata": {"scene": "umbrella"}}},
        {"tracing": "auto"},
        {"include": ["item.input_audio_transcription.logprobs"]},
        {"tool_choice": {"type": "function", "name": "light"}},
        {"tool_choice": {"type": "mcp", "server_label": "props"}},
        {"audio": {"output": {"speed": 1, "voice": {"id": "voice_1"}}}},
    ],
)
def test_every_shape_of_a_field_is_taken(fields: dict[str, Any]) -> None:
    assert not isinstance(parse(json.dumps(session(**fields)).encode()), ServerError)


def test_an_error_echoes_the_clients_id_where_it_is_a_text() -> None:
    assert refusal({"type": "dance", "event_id": "evt_1"}).event_id == "evt_1"
    assert refusal({"type": "dance", "event_id": 1}).event_id is None
