"""A second, independent realtime server: written only from the `openai` package's types, and from nothing of ours.

It knows just enough for one conversation: sessions, items, spoken and written responses. What it says is an echo.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai.types import realtime as api
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

BEEP = b"".join(int(8000 * ((n // 30) % 2 * 2 - 1)).to_bytes(2, "little", signed=True) for n in range(7200))


class Talk:
    """One conversation."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.ids = itertools.count(1)
        self.session: dict[str, Any] = {"type": "realtime", "id": "sess_second", "model": "gpt-realtime"}
        self.items: dict[str, dict[str, Any]] = {}

    async def tell(self, model: Any, **fields: Any) -> None:
        event = model.model_validate({"event_id": f"event_{next(self.ids)}", **fields})
        await self.socket.send(json.dumps({**event.to_dict(), **fields}))

    async def serve(self) -> None:
        await self.tell(api.SessionCreatedEvent, type="session.created", session=self.session)
        async for frame in self.socket:
            event = json.loads(frame)
            answer = getattr(self, "on_" + event["type"].replace(".", "_"), self.on_anything_else)
            await answer(event)

    async def on_anything_else(self, event: dict[str, Any]) -> None:
        error = {"type": "invalid_request_error", "message": "Unknown.", "event_id": event.get("event_id")}
        await self.tell(api.RealtimeErrorEvent, type="error", error={"code": "invalid_value", "param": None, **error})

    async def on_session_update(self, event: dict[str, Any]) -> None:
        self.session |= event["session"]
        await self.tell(api.SessionUpdatedEvent, type="session.updated", session=self.session)

    async def on_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = {"object": "realtime.item", "status": "completed", **event["item"]}
        self.items[item["id"]] = item
        shown = {**item, "content": [{k: v for k, v in part.items() if k != "audio"} for part in item["content"]]}
        await self.tell(api.ConversationItemAdded, type="conversation.item.added", item=shown)
        await self.tell(api.ConversationItemDone, type="conversation.item.done", item=shown)

    async def on_conversation_item_delete(self, event: dict[str, Any]) -> None:
        if self.items.pop(event["item_id"], None) is None:
            await self.on_anything_else(event)
            return
        await self.tell(api.ConversationItemDeletedEvent, type="conversation.item.deleted", item_id=event["item_id"])

    async def on_response_create(self, event: dict[str, Any]) -> None:
        wanted = event.get("response", {})
        place = {"response_id": "resp_1", "item_id": f"item_{next(self.ids)}", "output_index": 0, "content_index": 0}
        response = {"object": "realtime.response", "id": f"resp_{next(self.ids)}", "metadata": wanted.get("metadata")}
        place["response_id"] = response["id"]
        texts = [part["text"] for item in self.items.values() for part in item["content"] if part.get("text")]
        said = f"You said: {texts[-1]}" if texts else "Nothing yet."
        await self.tell(
            api.ResponseCreatedEvent,
            type="response.created",
            response={**response, "status": "in_progress", "output": []},
        )
        if wanted.get("output_modalities") == ["text"]:
            await self.tell(api.ResponseTextDeltaEvent, type="response.output_text.delta", delta=said, **place)
            part = {"type": "output_text", "text": said}
        else:
            kind = "response.output_audio_transcript.delta"
            await self.tell(api.ResponseAudioTranscriptDeltaEvent, type=kind, delta=said, **place)
            for at in range(0, len(BEEP), 4001):
                delta = base64.b64encode(BEEP[at : at + 4001]).decode()
                await self.tell(api.ResponseAudioDeltaEvent, type="response.output_audio.delta", delta=delta, **place)
            part = {"type": "output_audio", "transcript": said}
        item = {
            "id": place["item_id"],
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        usage = {
            "total_tokens": 30,
            "input_tokens": 10,
            "output_tokens": 20,
            "input_token_details": {"text_tokens": 10, "audio_tokens": 0, "cached_tokens": 4},
            "output_token_details": {"text_tokens": 5, "audio_tokens": 15},
        }
        done = {**response, "status": "completed", "output": [item], "usage": usage}
        await self.tell(api.ResponseDoneEvent, type="response.done", response=done)


@asynccontextmanager
async def second_server() -> AsyncIterator[str]:
    """Serve it on a free port while the block runs."""

    async def talk(socket: ServerConnection) -> None:
        try:
            await Talk(socket).serve()
        except ConnectionClosed:
            return

    async with serve(talk, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
