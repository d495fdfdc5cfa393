"""Servers that behave as providers do, each by a script of data: ``tests/support/providers/NAME.yaml``.

A script says what is sent when a connection opens and what answers each client event. ``$name`` in it stands for a
value of the moment (an id, the words, a piece of sound); ``{each: $sounds, tell: {...}}`` is told once for each, with
``$it``; ``{with: $item, ...}`` is an object with further fields. What answers an event that the script does not know is
its ``otherwise``. Ids are made up; nothing in the scripts is copied from a recording.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import yaml

from tau_stage.errors import SessionClosed
from tau_stage.protocol.endpoints import ENDPOINTS, Endpoint
from tau_stage.transport import MemoryTransport, Transport
from tests.support.tone_voice import tone

SCRIPTS = Path(__file__).parent / "providers"
NAMES = tuple(sorted(path.stem for path in SCRIPTS.glob("*.yaml")))

Told = dict[str, Any]


class ScriptedProvider:
    """A provider's server, as its script has it.

    Attributes:
        name: The script's.
        script: As it was read.
        place: The endpoint that it plays.
        heard: Every event of every connection, in order.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.script: dict[str, Any] = yaml.safe_load((SCRIPTS / f"{name}.yaml").read_text(encoding="utf-8"))
        self.place: Endpoint = ENDPOINTS[self.script["endpoint"]]
        self.heard: list[list[Told]] = []

    def sent(self, kind: str, connection: int = 0) -> list[Told]:
        """What a client has sent of one type of event."""
        return [event for event in self.heard[connection] if event["type"] == kind]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Transport]:
        """A connection in memory."""
        ours, theirs = MemoryTransport.pair()
        async with anyio.create_task_group() as group:
            group.start_soon(self.listen, theirs)
            try:
                yield ours
            finally:
                ours.drop()
                group.cancel_scope.cancel()

    async def listen(self, transport: Transport) -> None:
        """Serve one connection."""
        heard: list[Told] = []
        self.heard.append(heard)
        talk = Conversation(self.script, len(self.heard))
        try:
            for event in talk.opening():
                await transport.send(json.dumps(event).encode())
            while True:
                heard.append(json.loads(await transport.receive()))
                for event in talk.answers(heard[-1]):
                    await transport.send(json.dumps(event).encode())
        except SessionClosed:
            return


class Conversation:
    """One connection's state, and what is told of it.

    Args:
        script: The provider's.
        number: Of the connection.
    """

    def __init__(self, script: dict[str, Any], number: int) -> None:
        self._script = script
        self._ids = (f"{number:04x}{n:04x}" for n in count(1))
        self._session: Told = {}
        self._items: list[Told] = []
        self._asked: Counter[str] = Counter()

    def opening(self) -> Iterator[Told]:
        """What is told before anything is asked."""
        yield from self._told(self._script["opens"], {"session_id": self._fresh("sess")})

    def answers(self, asked: Told) -> Iterator[Told]:
        """What answers a client's event."""
        kind = asked["type"]
        self._asked[kind] += 1
        moment: dict[str, Any] = {"asked_item_id": asked.get("item_id"), "audio_end_ms": asked.get("audio_end_ms")}
        match kind:
            case "session.update":
                self._session |= asked["session"]
                moment |= {"session": self._session}
            case "conversation.item.create" if asked["item"]["type"] == "force_message":
                kind, more = self._response({}, asked["item"])
                moment |= more
            case "conversation.item.create":
                moment |= self._placed(asked)
            case "response.create":
                wanted = asked.get("response") or {}
                kind, more = self._response(wanted, wanted.get("pre_generated_assistant_message"))
                moment |= more
            case "input_audio_buffer.commit":
                heard = {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
                moment |= self._placed({"item": heard})
        yield from self._told(self._script.get(kind, self._script["otherwise"]), moment)

    # ---- what the values of a moment are

    def _placed(self, asked: Told) -> dict[str, Any]:
        item = asked["item"]
        keeps = self._script["keeps_ids"] and "id" in item
        made = item | {"id": item["id"] if keeps else self._fresh("item"), "status": "completed"}
        if "content" in item:
            made["content"] = [
                {key: value for key, value in part.items() if key != "audio"} for part in item["content"]
            ]
        previous = self._items[-1]["id"] if self._items else None
        self._items.append(made)
        return {"item": made, "item_id": made["id"], "previous": previous}

    def _response(self, asked: Told, spoken: Told | None) -> tuple[str, dict[str, Any]]:
        """Whether a tool is called or something is said, and what there is to tell of it; ``spoken`` as it stands."""
        metadata = asked.get("metadata") if self._script["echoes_metadata"] else None
        place = {"response_id": self._fresh("resp"), "item_id": self._fresh("item"), "output_index": 0}
        moment = {**place, "place": place, "part": {**place, "content_index": 0}, "metadata": metadata}
        moment |= {"previous": self._items[-1]["id"] if self._items else None}
        answered = any(item["type"] == "function_call_output" for item in self._items)
        if self._session.get("tools") and asked.get("tool_choice") != "none" and not (answered or spoken):
            tool = self._session["tools"][0]
            moment |= {"call_id": self._fresh("call"), "tool": tool.get("function", tool)["name"], "arguments": "{}"}
            return "call", moment
        words = spoken["content"][0]["text"] if spoken else self._line()
        sound = tone(str(self._script["voices"]), words).data
        third = len(sound) // 3
        pieces = (sound[:third], sound[third : 2 * third], sound[2 * third :])
        moment |= {"words": words, "wordy": re.findall(r"\S+\s*", words)}
        moment |= {"sounds": [base64.b64encode(piece).decode() for piece in pieces]}
        self._items.append({"id": moment["item_id"], "type": "message"})
        return "speak", moment

    def _line(self) -> str:
        """The line that was asked for last."""
        texts = [part.get("text", "") for item in self._items for part in item.get("content", ())]
        asked = [found[1] for text in texts if (found := re.search(r'Perform this line[^"]*: "(.*)"', text))]
        said = texts and "Perform this line" in texts[-1]
        return asked[-1] if said else "It is foggy, they say."

    def _fresh(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"

    # ---- the script's own language

    def _told(self, steps: list[Told], moment: dict[str, Any]) -> Iterator[Told]:
        for step in steps:
            if "each" not in step:
                yield {"event_id": self._fresh("event"), **_filled(step, moment)}
                continue
            for it in moment[step["each"].removeprefix("$")]:
                yield {"event_id": self._fresh("event"), **_filled(step["tell"], moment | {"it": it})}


def _filled(template: Any, moment: dict[str, Any]) -> Any:
    """A template with the values of the moment."""
    match template:
        case str() if template.startswith("$"):
            return moment[template.removeprefix("$")]
        case dict():
            told = {key: _filled(value, moment) for key, value in template.items()}
            return told.pop("with", {}) | told
        case list():
            return [_filled(value, moment) for value in template]
        case _:
            return template
