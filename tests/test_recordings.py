"""What live providers sent: every event decodes, every turn completes with its words, calls and usage."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.decoding import decode
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.protocol.server_events import UnknownEvent, UnusableEvent
from tau_stage.protocol.usage import Usage
from tau_stage.session import open_session
from tau_stage.transport import MemoryTransport
from tests.support.live_recordings import FOLDER, Player, Recording, converse, recordings

RECORDINGS = recordings()
pytestmark = pytest.mark.skipif(not RECORDINGS, reason=f"there are no recordings in {FOLDER}")

ODD = {
    "response.created: response.status_details is a string; treated as absent",
    "response.done: response.status_details is a string; treated as absent",
}
"""What is not as the protocol has it, in all of them."""

UNKNOWN = {"conversation.created", "ping"}
"""Types of events that we do not look into, in all of them."""


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_every_recorded_event_decodes(recording: Recording) -> None:
    odd: list[str] = []
    for event in recording.received:
        decoded = decode(json.dumps(event), recording.dialect, odd.append)
        assert not isinstance(decoded, UnusableEvent), event
        assert not isinstance(decoded, UnknownEvent) or decoded.type in UNKNOWN
    assert set(odd) <= ODD


@pytest.mark.parametrize(
    "recording", [each for each in RECORDINGS if each.is_whole], ids=lambda recording: recording.name
)
async def test_every_recorded_turn_completes_with_its_words_calls_and_usage(recording: Recording) -> None:
    ours, theirs = MemoryTransport.pair()
    tools = recording.tools()
    detection = _turn_detection(recording.wanted)
    wanted = session_config(turn_detection=detection, tools=tuple(tool.definition for tool in tools))
    options: dict[str, Any] = {
        "dialect": recording.dialect,
        "opening": ENDPOINTS[recording.provider].opening,
        "tools": tools,
    }
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(Player(recording, theirs).serve)
            async with open_session(ours, wanted, **options) as session:
                responses = await converse(session, recording)
                group.cancel_scope.cancel()
    for response, end in zip(responses, recording.ends(), strict=True):
        body = end["response"]
        assert response.status == "completed"
        whole = response.with_commentary()
        assert whole.transcript + whole.text == "".join(_words(item) for item in body["output"])
        assert [call.arguments for call in response.calls] == [
            item["arguments"] for item in body["output"] if item["type"] == "function_call"
        ]
        used = replace(response.usage, text_messages=0)  # counted from the items, where time is billed
        assert used == Usage.from_wire(body["usage"] or end.get("usage"))
        commentary = [item for item in body["output"] if item.get("phase") == "commentary"]
        assert len(response.commentary) == len(commentary)
    assert session.conversation.usage == sum((response.usage for response in responses), Usage())


def _turn_detection(update: dict[str, Any]) -> Any:
    return update.get("turn_detection") or (update.get("audio") or {}).get("input", {}).get("turn_detection")


def _words(item: dict[str, Any]) -> str:
    return "".join(part.get("transcript") or part.get("text") or "" for part in item.get("content") or ())
