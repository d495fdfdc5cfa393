"""What servers send: an event of each known type, whole, and every way to spoil one field of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

OTHERS: list[Any] = [None, "odd", 7, 1.5, True, [], ["odd"], {}, {"odd": 1}]
"""What may stand where something else should."""

MISSING = object()
"""What stands for a field that is not there."""

_ITEM = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "phase": "final_answer",
    "content": [{"type": "output_audio", "transcript": "Hello."}],
}
_CALL = {
    "id": "item_2",
    "object": "realtime.item",
    "type": "function_call",
    "status": "completed",
    "name": "light",
    "call_id": "call_1",
    "arguments": "{}",
}
_USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
_RESPONSE = {
    "object": "realtime.response",
    "id": "resp_1",
    "status": "completed",
    "status_details": {"type": "completed", "reason": None, "error": None},
    "output": [_ITEM, _CALL],
    "conversation_id": "conv_1",
    "output_modalities": ["audio"],
    "max_output_tokens": "inf",
    "audio": {"output": {"voice": "marin"}},
    "usage": _USAGE,
    "metadata": {"key": "value"},
}
_PART = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
_ARGUMENTS = {"response_id": "resp_1", "item_id": "item_2", "output_index": 1, "call_id": "call_1"}
_ERROR = {"type": "invalid_request_error", "code": "c", "message": "No.", "param": "p", "event_id": "evt_1"}
_SESSION = {"id": "sess_1", "model": "gpt-realtime-2.1", "audio": {"output": {"voice": "marin"}}}
_INPUT = "conversation.item.input_audio_transcription"

SAMPLES: dict[str, dict[str, Any]] = {
    "error": {"error": _ERROR},
    "session.created": {"session": _SESSION},
    "session.updated": {"session": _SESSION},
    "conversation.item.added": {"previous_item_id": None, "item": _ITEM},
    "conversation.item.done": {"previous_item_id": None, "item": _ITEM},
    "conversation.item.created": {"previous_item_id": None, "item": _ITEM},
    "conversation.item.retrieved": {"item": _ITEM},
    "conversation.item.truncated": {"item_id": "item_1", "content_index": 0, "audio_end_ms": 10},
    "conversation.item.deleted": {"item_id": "item_1"},
    "input_audio_buffer.committed": {"previous_item_id": None, "item_id": "item_3"},
    "input_audio_buffer.cleared": {},
    "input_audio_buffer.speech_started": {"item_id": "item_3", "audio_start_ms": 100},
    "input_audio_buffer.speech_stopped": {"item_id": "item_3", "audio_end_ms": 200},
    "input_audio_buffer.timeout_triggered": {"item_id": "item_3", "audio_start_ms": 100, "audio_end_ms": 200},
    f"{_INPUT}.delta": {"item_id": "item_3", "content_index": 0, "delta": "Hel"},
    f"{_INPUT}.completed": {"item_id": "item_3", "content_index": 0, "transcript": "Hello.", "usage": _USAGE},
    f"{_INPUT}.failed": {"item_id": "item_3", "content_index": 0, "error": _ERROR},
    "response.created": {"response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    "response.done": {"response": _RESPONSE},
    "response.output_item.added": {"response_id": "resp_1", "output_index": 0, "item": _ITEM},
    "response.output_item.done": {"response_id": "resp_1", "output_index": 0, "item": _ITEM},
    "response.content_part.added": {**_PART, "part": {"type": "audio", "transcript": ""}},
    "response.content_part.done": {**_PART, "part": {"type": "audio", "transcript": "Hello."}},
    "response.output_audio.delta": {**_PART, "delta": "AAABAAIA"},
    "response.output_audio.done": _PART,
    "response.output_audio_transcript.delta": {**_PART, "delta": "Hello."},
    "response.output_audio_transcript.done": {**_PART, "transcript": "Hello."},
    "response.output_text.delta": {**_PART, "delta": "Hello."},
    "response.output_text.done": {**_PART, "text": "Hello."},
    "response.function_call_arguments.delta": {**_ARGUMENTS, "delta": "{}"},
    "response.function_call_arguments.done": {**_ARGUMENTS, "name": "light", "arguments": "{}"},
    "rate_limits.updated": {"rate_limits": [{"name": "tokens", "limit": 9, "remaining": 8, "reset_seconds": 0.1}]},
}
"""An event of each known type, without ``type`` and ``event_id``."""


Change = tuple[tuple[str | int, ...], Any]
"""Where something changes, and what stands there then; ``MISSING`` is nothing."""


def changes(event: dict[str, Any]) -> Iterator[Change]:
    """Every way to spoil one field, at any depth: missing, or something else; ``type`` of the event itself stays."""
    for path in _paths(event):
        if path != ("type",):
            yield from ((path, value) for value in [MISSING, *OTHERS])


def spoilt(event: dict[str, Any], change: Change) -> dict[str, Any]:
    """An event with one field changed; as it was, where it has no such field."""
    path, value = change
    changed = copy.deepcopy(event)
    at: Any = changed
    try:
        for step in path[:-1]:
            at = at[step]
        at[path[-1]]
    except (KeyError, IndexError, TypeError):
        return changed
    if value is MISSING:
        del at[path[-1]]
    else:
        at[path[-1]] = copy.deepcopy(value)
    return changed


def mutations(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An event spoilt in every way."""
    return (spoilt(event, change) for change in changes(event))


def _paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    steps: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    for key, inner in steps:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(inner))
