"""Sessions that others recorded at live providers, played to a session of ours.

They lie in ``TAU_STAGE_RECORDINGS``, by default beside the checkout in ``shared/recordings``; where the folder is
missing, the tests that read it say so and are skipped.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed
from tau_stage.protocol.dialects import Dialect
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.protocol.responses import Response
from tau_stage.session import Session, Tool
from tau_stage.transport import MemoryTransport

FOLDER = Path(
    os.environ.get("TAU_STAGE_RECORDINGS", Path(__file__).parent.parent.parent.parent / "shared" / "recordings")
)
PROVIDERS = {"azure_voice_live": "azure-voice-live", "xai": "xai", "azure": "azure", "openai": "openai"}


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded session.

    Attributes:
        name: Of its file.
        sent: What the client sent, in order.
        received: What the server sent, in order.
    """

    name: str
    sent: list[dict[str, Any]]
    received: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Recording:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [row if "event" in row else {"dir": "received", "event": row} for row in rows]
        events = {way: [row["event"] for row in rows if row["dir"] == way] for way in ("sent", "received")}
        return cls(path.stem, events["sent"], events["received"])

    @property
    def provider(self) -> str:
        return next(place for part, place in PROVIDERS.items() if part in self.name)

    @property
    def dialect(self) -> Dialect:
        return ENDPOINTS[self.provider].dialect

    @property
    def is_whole(self) -> bool:
        """Whether it begins with the opening of a session."""
        return bool(self.received[0]["type"] == "session.created")

    def ends(self) -> list[dict[str, Any]]:
        """The events that ended its responses."""
        return [event for event in self.received if event["type"] == "response.done"]

    def tools(self) -> list[Tool]:
        """Its tools, each giving what the recorded client gave."""
        outputs = [
            event["item"]["output"]
            for event in self.sent
            if event["type"] == "conversation.item.create" and event["item"]["type"] == "function_call_output"
        ]

        def give(**_arguments: object) -> str:
            return str(outputs.pop(0))

        return [
            Tool(tool["name"], tool.get("description", ""), tool["parameters"], give)
            for tool in self.wanted.get("tools") or ()
        ]

    @property
    def wanted(self) -> dict[str, Any]:
        """The session that the recorded client asked for."""
        return dict(next((event["session"] for event in self.sent if event["type"] == "session.update"), {}))


def recordings() -> list[Recording]:
    """All recordings of servers that speak the Realtime protocol; none where the folder is missing."""
    paths = sorted(path for path in FOLDER.glob("*.jsonl") if not path.name.startswith("google"))
    return [Recording.read(path) for path in paths]


class Player:
    """A server that sends what was recorded, each answer when it has been asked for.

    Args:
        recording: What to play.
        transport: The server's end.
    """

    def __init__(self, recording: Recording, transport: MemoryTransport) -> None:
        self._recording = recording
        self._transport = transport
        self._asked: Counter[str] = Counter()
        self._news = anyio.Event()

    async def serve(self) -> None:
        """Play it to its end, then stay until the client goes."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            answered: Counter[str] = Counter()
            total = Counter(event["type"] for event in self._recording.sent)
            made = {item["id"] for end in self._recording.ends() for item in end["response"]["output"]}
            for event in self._recording.received:
                if asked := _asked_by(event, made):
                    answered[asked] += total[asked] if asked == "input_audio_buffer.append" else 1
                    while self._asked[asked] < min(answered[asked], total[asked]):
                        self._news = anyio.Event()
                        await self._news.wait()
                await self._transport.send(json.dumps(event).encode())

    async def _listen(self) -> None:
        while True:
            try:
                event = json.loads(await self._transport.receive())
            except SessionClosed:
                return
            self._asked[event["type"]] += 1
            self._news.set()


def _asked_by(event: dict[str, Any], made: set[str]) -> str | None:
    """The type of the client's event that an event answers, where it answers one.

    Args:
        event: Of the server.
        made: Ids of the items that the model made.
    """
    match event:
        case {"type": "session.updated"}:
            return "session.update"
        case {"type": "response.created"}:
            return "response.create"
        case {"type": "input_audio_buffer.speech_started"}:
            return "input_audio_buffer.append"
        case {"type": "conversation.item.added" | "conversation.item.created", "item": {"id": item_id}}:
            return None if item_id in made else "conversation.item.create"
        case _:
            return None


async def converse(session: Session, recording: Recording) -> list[Response]:
    """Say and ask what the recorded client said and asked, and give the responses that came of it."""
    responses: list[Response] = []
    async with session.responses() as watch:
        after_output = False
        for event in recording.sent:
            match event:
                case {"type": "conversation.item.create", "item": {"type": "message"} as item}:
                    after_output = False
                    words = "".join(part.get("text", "") for part in item["content"])
                    say = {"user": session.user, "system": session.system, "assistant": session.assistant}
                    await say[item["role"]](words)
                case {"type": "conversation.item.create", "item": {"type": "function_call_output"}}:
                    after_output = True  # the session gives it by itself, and asks for the response after it
                case {"type": "response.create"} if not after_output:
                    await session.response()
                case {"type": "input_audio_buffer.append"}:
                    await session.append_input_audio_buffer(Pcm.silence(2400))  # the recorded sound is cut
                case _:
                    pass
        while len(responses) < len(recording.ends()):
            response = await anext(watch)
            assert isinstance(response, Response)
            responses.append(response)
    return responses
