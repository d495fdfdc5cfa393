"""The `openai` package's own types as a judge of every event, in both directions."""

import functools
import json
from typing import Any, get_args

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel

ON_THE_WIRE_ONLY = {
    "session.id",
    "session.object",
    "session.expires_at",
    "item.phase",
    "response.output.phase",
    "response.usage.output_token_details.reasoning_tokens",
    "obfuscation",
}
"""Fields that OpenAI sends and its types do not list."""


@functools.cache
def _kinds(side: Any) -> dict[str, type[BaseModel]]:
    """The package's class for each type of event; its union would try them one after another."""
    union, *_ = get_args(side)
    return {name: kind for kind in get_args(union) for name in get_args(kind.model_fields["type"].annotation)}


def check_server_event(frame: bytes) -> None:
    """A server's event is what the package expects, and nothing more."""
    told = json.loads(frame)
    event = _kinds(RealtimeServerEvent)[told["type"]].model_validate(told)
    assert set(_extras(event)) <= ON_THE_WIRE_ONLY


def check_client_event(frame: bytes) -> None:
    """A client's event is what the package would send, and nothing more; it knows references only elsewhere."""
    told = json.loads(frame)
    response = told.get("response") or {}
    if response.get("input"):
        response["input"] = [item for item in response["input"] if item["type"] != "item_reference"]
    event = _kinds(RealtimeClientEvent)[told["type"]].model_validate(told)
    assert not list(_extras(event))


def _extras(model: BaseModel, place: str = "") -> list[str]:
    found = [f"{place}{name}" for name in model.model_extra or {}]
    for name, value in model:
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                found += _extras(inner, f"{place}{name}.")
    return found
