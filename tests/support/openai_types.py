"""The `openai` package's own types as a judge of every event, in both directions."""

import functools
import json
import re
from typing import Literal, get_args

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


Side = Literal["server", "client"]

FREE = re.compile(rb'("(?!connector_)(?:\w*id|delta|audio)":\s*")[ !#-\[\]-~]+"|(?<!"rate")(:\s*)\d+(?=\s*[,}])')
"""Ids, pieces of text or sound, and whole numbers: to the package's types, each is as good as another."""


@functools.cache
def _kinds(side: Side) -> dict[str, type[BaseModel]]:
    """The package's class for each type of event; its union would try them one after another."""
    from openai.types import realtime  # here: many tests import this module, and no event is judged in their children

    union, *_ = get_args(realtime.RealtimeServerEvent if side == "server" else realtime.RealtimeClientEvent)
    return {name: kind for kind in get_args(union) for name in get_args(kind.model_fields["type"].annotation)}


def check_server_event(frame: bytes) -> None:
    """A server's event is what the package expects, and nothing more."""
    _check_server_event(_plain(frame))


def check_client_event(frame: bytes) -> None:
    """A client's event is what the package would send, and nothing more; it knows references only elsewhere."""
    _check_client_event(_plain(frame))


def _plain(frame: bytes) -> bytes:
    """A frame with the same id, piece and number everywhere: what differs in them only is judged once."""
    return FREE.sub(lambda found: found[1] + b'."' if found[1] else found[2] + b"1", frame)


@functools.lru_cache(4096)
def _check_server_event(frame: bytes) -> None:
    told = json.loads(frame)
    event = _kinds("server")[told["type"]].model_validate(told)
    assert set(_extras(event)) <= ON_THE_WIRE_ONLY


@functools.lru_cache(4096)
def _check_client_event(frame: bytes) -> None:
    told = json.loads(frame)
    response = told.get("response") or {}
    if response.get("input"):
        response["input"] = [item for item in response["input"] if item["type"] != "item_reference"]
    event = _kinds("client")[told["type"]].model_validate(told)
    assert not list(_extras(event))


def _extras(model: BaseModel, place: str = "") -> list[str]:
    found = [f"{place}{name}" for name in model.model_extra or {}]
    for name, value in model:
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                found += _extras(inner, f"{place}{name}.")
    return found
