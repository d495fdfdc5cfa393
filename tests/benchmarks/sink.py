"""A Realtime server that is never the limit: it answers at once, and looks at no sound.

It reads frames as they arrive and keeps the first bytes of a long one alone, for its type; so it needs no library, and
starts in no time. Every response is noise at the level of speech. What arrives and leaves is logged with its time.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import re
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.benchmarks.processes import LoggedEvent, now, serve

KEPT = 700
"""Bytes of a long event that are looked at."""

LONG = 16_384
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
TYPE = re.compile(rb'"type"\s*:\s*"([^"]+)"')
ITEM = re.compile(rb'"item"\s*:\s*\{[^{}\[]*?"id"\s*:\s*"([^"]+)"')
HIGH_WATER = 262_144
USAGE = {
    "total_tokens": 130,
    "input_tokens": 120,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 100, "audio_tokens": 20, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 0},
}
ANSWERS = {
    "conversation.item.delete": "conversation.item.deleted",
    "conversation.item.truncate": "conversation.item.truncated",
    "input_audio_buffer.clear": "input_audio_buffer.cleared",
}


@dataclass
class Settings:
    """How it speaks.

    Attributes:
        seconds: Of sound a response.
        delta_ms: Of sound a delta.
        speed: How many times real time it speaks; 0 is all at once.
    """

    seconds: float = 4.0
    delta_ms: float = 100.0
    speed: float = 0.0
    log: list[LoggedEvent] = field(default_factory=list)

    def deltas(self) -> list[bytes]:
        """The sound of a response in base64, by deltas."""
        size, rest = int(48 * self.delta_ms) // 2 * 2, int(self.seconds * 24_000) * 2
        dice = random.Random(1)
        noise = struct.pack("<24000h", *(int(dice.gauss(0, 2300)) for _ in range(24_000))) * (2 + size // 48_000)
        pieces = []
        while rest > 0:
            at = 2 * dice.randrange(24_000)
            pieces.append(base64.b64encode(noise[at : at + min(size, rest)]))
            rest -= size
        return pieces


class FrameReader(asyncio.BufferedProtocol):
    """Reads the frames of one client; of long ones it keeps the beginning."""

    def __init__(self) -> None:
        self._buffer = bytearray(HIGH_WATER)
        self._handshake = bytearray()
        self._is_open = False
        self._header = bytearray()
        self._kept = bytearray()
        self._left = self._size = 0
        self._began = 0.0
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: Any) -> None:
        self._out = transport
        transport.set_write_buffer_limits(HIGH_WATER)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._may_write.set()

    def get_buffer(self, _hint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        arrived = memoryview(self._buffer)[:count]
        if not self._is_open:
            self._handshake += arrived
            if b"\r\n\r\n" not in self._handshake:
                return
            self._shake_hands()
            return
        while arrived:
            arrived = arrived[self._take_some(arrived) :]

    def opened(self, query: str) -> None:
        """Greet a client."""

    def arrived(self, head: bytes, size: int, began: float) -> None:
        """Answer an event of which the head is known."""

    def write(self, payload: bytes, kind: int = TEXT) -> None:
        """Write a frame."""
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 128 + kind, size)
        elif size < 65_536:
            head = struct.pack(">BBH", 128 + kind, 126, size)
        else:
            head = struct.pack(">BBQ", 128 + kind, 127, size)
        self._out.write(head + payload)

    def _shake_hands(self) -> None:
        key = re.search(rb"(?i)sec-websocket-key:\s*(\S+)", bytes(self._handshake))
        assert key, "this is no WebSocket client"
        accepted = base64.b64encode(hashlib.sha1(key[1] + GUID, usedforsecurity=False).digest())
        self._out.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )
        self._is_open = True
        self.opened(self._handshake.split()[1].decode().partition("?")[2])

    def _take_some(self, arrived: memoryview) -> int:
        """Read on in a frame; say how much of what arrived it took."""
        if not self._left:
            return self._read_header(arrived)
        taken = min(self._left, len(arrived))
        if (room := (self._size if self._size <= LONG else KEPT) - len(self._kept)) > 0:
            self._kept += arrived[: min(room, taken)]
        self._left -= taken
        if not self._left:
            self._end_frame()
        return taken

    def _read_header(self, arrived: memoryview) -> int:
        if not self._header:
            self._began = now()
        wanted = self._header_size if len(self._header) >= 2 else 2
        taken = min(wanted - len(self._header), len(arrived))
        self._header += arrived[:taken]
        if len(self._header) == wanted > 2:
            length = self._header[1] & 127
            self._size = self._left = length if length < 126 else int.from_bytes(self._header[2:-4])
            if not self._left:
                self._end_frame()
        return taken

    @property
    def _header_size(self) -> int:
        length = self._header[1] & 127
        return 6 + (0 if length < 126 else 2 if length == 126 else 8)

    def _end_frame(self) -> None:
        kind, mask, count = self._header[0] & 15, bytes(self._header[-4:]), len(self._kept)
        whole = (mask * (count // 4 + 1))[:count]
        head = (int.from_bytes(self._kept) ^ int.from_bytes(whole)).to_bytes(count)
        self._header.clear()
        self._kept.clear()
        if kind == CLOSE:
            self.write(head, CLOSE)
            self._out.close()
        elif kind == PING:
            self.write(head, PONG)
        elif kind == TEXT:
            self.arrived(head, self._size, self._began)


class Client(FrameReader):
    """One session."""

    count = 0

    def __init__(self, settings: Settings, sound: list[bytes]) -> None:
        super().__init__()
        Client.count += 1
        self._number = Client.count
        self._settings, self._sound = settings, sound
        self._ids = 0
        self._last: str | None = None
        self._session: dict[str, Any] = {"type": "realtime", "id": f"sess_{self._number}"}
        self._tasks = set[asyncio.Task[None]]()

    def opened(self, query: str) -> None:
        self._session["model"] = dict(parse_qsl(query)).get("model", "sink")
        self._send("session.created", session=self._session)

    def arrived(self, head: bytes, size: int, began: float) -> None:
        found = TYPE.search(head)
        kind = found[1].decode() if found else ""
        self._settings.log.append(LoggedEvent(now(), self._number, "in", kind, size, began))
        match kind:
            case "conversation.item.create":
                named = ITEM.search(head)
                self._add_item(named[1].decode() if named else self._fresh("item"), "user")
            case "input_audio_buffer.commit":
                item = self._fresh("item")
                self._send("input_audio_buffer.committed", previous_item_id=self._last, item_id=item)
                self._add_item(item, "user")
            case "session.update":
                self._session |= json.loads(head)["session"]
                self._send("session.updated", session=self._session)
            case "response.create":
                task = asyncio.get_running_loop().create_task(self._respond(json.loads(head).get("response") or {}))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case "conversation.item.delete" | "conversation.item.truncate" | "input_audio_buffer.clear":
                asked = json.loads(head)
                self._send(ANSWERS[kind], **{name: asked[name] for name in asked.keys() - {"type", "event_id"}})

    def _fresh(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._number}_{self._ids}"

    def _send(self, kind: str, **fields: object) -> None:
        event = {"type": kind, "event_id": self._fresh("event")} | fields
        self._write_event(kind, json.dumps(event, separators=(",", ":")).encode())

    def _write_event(self, kind: str, event: bytes) -> None:
        at = now()
        self._settings.log.append(LoggedEvent(at, self._number, "out", kind, len(event), at))
        self.write(event)

    def _add_item(self, item: str, role: str, status: str = "completed") -> None:
        before, self._last = self._last, item
        content = {"id": item, "object": "realtime.item", "type": "message", "role": role, "status": status}
        self._send("conversation.item.added", previous_item_id=before, item=content | {"content": []})
        if role == "user":
            self._send("conversation.item.done", previous_item_id=before, item=content | {"content": []})

    async def _respond(self, asked: dict[str, Any]) -> None:
        named, item = self._fresh("resp"), self._fresh("msg")
        response: dict[str, Any] = {"object": "realtime.response", "id": named, "status": "in_progress", "output": []}
        response |= {
            "metadata": asked.get("metadata"),
            "conversation_id": "conv",
            "status_details": None,
            "usage": None,
        }
        message = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant"}
        begun = message | {"status": "in_progress", "content": []}
        self._send("response.created", response=response)
        self._send("response.output_item.added", response_id=named, output_index=0, item=begun)
        self._add_item(item, "assistant", "in_progress")
        place = {"response_id": named, "item_id": item, "output_index": 0, "content_index": 0}
        self._send("response.content_part.added", **place, part={"type": "audio", "transcript": ""})
        await self._speak(place)
        words = "la la la."
        self._send("response.output_audio_transcript.delta", **place, delta=words)
        self._send("response.output_audio.done", **place)
        self._send("response.output_audio_transcript.done", **place, transcript=words)
        said = message | {"status": "completed", "content": [{"type": "output_audio", "transcript": words}]}
        self._send("response.output_item.done", response_id=named, output_index=0, item=said)
        self._send("conversation.item.done", previous_item_id=None, item=said)
        self._send("response.done", response=response | {"status": "completed", "output": [said], "usage": USAGE})

    async def _speak(self, place: dict[str, Any]) -> None:
        kind, speed = "response.output_audio.delta", self._settings.speed
        front = json.dumps({"type": kind, "event_id": "event_1", **place}, separators=(",", ":")).encode()[:-1]
        began = now()
        for number, piece in enumerate(self._sound):
            await self._may_write.wait()
            if speed and (wait := began + number * self._settings.delta_ms / 1000 / speed - now()) > 0:
                await asyncio.sleep(wait)
            elif number % 16 == 15:
                await asyncio.sleep(0)
            self._write_event(kind, front + b',"delta":"' + piece + b'"}')


async def open_sink(seconds: float, delta_ms: float, speed: float) -> None:
    """Serve until the process is ended."""
    settings = Settings(seconds, delta_ms, speed)
    sound = settings.deltas()
    await serve(lambda: Client(settings, sound), settings.log)
