"""Strictness: a frame is a valid client event, or an error in the words of the API. The whole event is refused."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from tau_stage.protocol.bodies import ServerError
from tau_stage.protocol.client_events import CLIENT_EVENTS, ClientEvent, ConversationItemCreate
from tau_stage.protocol.items import MAX_ID

Step = str | int

EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "tuple_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
"""What was wanted, by pydantic's kind of error, in the words of the API."""

GOT = {str: "a string", int: "an integer", float: "a decimal", bool: "a boolean", list: "an array", dict: "an object"}


def parse(frame: bytes) -> ClientEvent | ServerError:
    """A client's frame as an event, or what the API would answer.

    >>> parse(b'{"type": "input_audio_buffer.clear", "event_id": "evt_1"}').type
    'input_audio_buffer.clear'
    >>> error = parse(b'{"type": "response.create", "event_id": "evt_2", "response": {"temperature": 1}}')
    >>> error.code, error.param, error.event_id
    ('unknown_parameter', 'response.temperature', 'evt_2')
    """
    try:
        event = CLIENT_EVENTS.validate_json(frame, strict=True)
    except ValidationError as error:
        found = _worst(error)
    else:
        return _too_long(event) or event
    if found["type"] == "json_invalid":
        return ServerError(code="invalid_json", message="We could not parse the JSON body of your event.")
    told = from_json(frame)
    if not isinstance(told, dict):
        return ServerError(code="invalid_event", message="An event must be a JSON object.")
    event_id = told.get("event_id")
    known_id = event_id if isinstance(event_id, str) else None
    return _answer(found, told).model_copy(update={"event_id": known_id})


def _too_long(event: ClientEvent) -> ServerError | None:
    """The refusal of an item whose ids are longer than the API takes."""
    if not isinstance(event, ConversationItemCreate):
        return None
    for field in ("id", "call_id"):
        if len(getattr(event.item, field, None) or "") > MAX_ID:
            message = f"Invalid 'item.{field}': string too long. Expected a string with maximum length {MAX_ID}."
            return ServerError(
                code="string_above_max_length", message=message, param=f"item.{field}", event_id=event.event_id
            )
    return None


def _worst(error: ValidationError) -> ErrorDetails:
    """A missing field tells more than the values around it, and those more than fields that should not be there."""
    rank = {"missing": 0, "extra_forbidden": 2}
    return min(error.errors(include_url=False, include_context=True), key=lambda found: rank.get(found["type"], 1))


def _answer(error: ErrorDetails, told: dict[str, Any]) -> ServerError:
    param = _param(error, told)
    kind = error["type"]
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        tag = error["ctx"]["discriminator"].strip("'")
        param = f"{param}.{tag}" if param else tag
    if kind == "union_tag_invalid":
        message = f"Invalid value: '{error['ctx']['tag']}'. Supported values are: {error['ctx']['expected_tags']}."
        return ServerError(code="invalid_value", message=message, param=param)
    if kind in {"missing", "union_tag_not_found"}:
        message = f"Missing required parameter: '{param}'."
        return ServerError(code="missing_required_parameter", message=message, param=param)
    if kind == "extra_forbidden":
        return ServerError(code="unknown_parameter", message=f"Unknown parameter: '{param}'.", param=param)
    if kind in EXPECTED:
        got = GOT.get(type(error["input"]), "null")
        message = f"Invalid type for '{param}': expected {EXPECTED[kind]}, but got {got} instead."
        return ServerError(code="invalid_type", message=message, param=param)
    return ServerError(code="invalid_value", message=f"Invalid value for '{param}': {error['msg']}.", param=param)


def _param(error: ErrorDetails, told: Any) -> str:
    """The field's path as the API writes it; the names of union members in pydantic's path are not part of it."""
    found: list[Step] = []
    at = told
    steps = error["loc"]
    for number, step in enumerate(steps, 1):
        is_last = number == len(steps)
        if isinstance(at, dict) and step in at:
            at = at[step]
        elif isinstance(at, list) and isinstance(step, int):
            at = at[int(step)]
        elif not (is_last and error["type"] == "missing"):
            continue
        found.append(step)
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found).lstrip(".")
