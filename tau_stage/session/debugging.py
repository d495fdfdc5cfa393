"""A session as a booth sees it: its events both ways, and what a page may do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from tau_stage.errors import UsageError
from tau_stage.protocol import TOKENS, Entry, JsonObject, client_events
from tau_stage.publisher import Publisher, sound_of
from tau_stage.session.session import Session
from tau_stage.transport import Transport


class PublishedTransport:
    """One connection of a session whose frames are published, both ways."""

    def __init__(self, inner: Transport, publisher: Publisher) -> None:
        self._inner = inner
        self._publisher = publisher
        self.drop = inner.drop
        self.aclose = inner.aclose

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        self._publisher.pass_on("client", anyio.current_time(), frame)
        await self._inner.send(frame)

    async def receive(self) -> bytes:
        """Return the next frame."""
        frame = await self._inner.receive()
        self._publisher.pass_on("server", anyio.current_time(), frame)
        return frame


LAST_ITEMS = 50
"""Items of a conversation that a booth which comes later is told."""


class SessionPublisher(Publisher):
    """Publishes a session: each event as it travels, and who it is.

    A booth that has missed something is told the last items of the conversation, what the model does, and the cost.

    Args:
        session: The session.
        about: What else a page is told of it: its ``model``; ``player`` and ``run``, its performance; ``listens``:
            whether what is said into the page's microphone reaches it.
    """

    def __init__(self, session: Session, about: JsonObject) -> None:
        super().__init__(self._hello, self._do)
        self._session = session
        self._about = {"listens": True, **about}

    def _hello(self) -> JsonObject:
        session = self._session
        spoken = session.conversation.form
        about = {
            "kind": "session",
            "name": session.name,
            "session_id": session.id,
            "session": session.session,
            "output_format": {"type": spoken.kind, "rate": spoken.rate},
            "at": anyio.current_time(),
        }
        if self.missed:
            items = [_told(entry) for entry in [*session.conversation.items.values()][-LAST_ITEMS:]]
            so_far = {"type": "so_far", "status": session.status, "items": items}
            about["before"] = [self._record(so_far), self._record(self._cost())]
        return {**about, **self._about, **({"model": session.answered_by} if session.answered_by else {})}

    @asynccontextmanager
    async def connected(
        self, connect: Callable[[], AbstractAsyncContextManager[Transport]]
    ) -> AsyncIterator[Transport]:
        """Open a socket of the session, whose events are published."""
        async with connect() as transport:
            yield PublishedTransport(transport, self)

    async def publish_costs(self) -> None:
        """Publish what the session has cost whenever a response has ended, as long as it is open."""
        async with self._session.responses() as ended:
            async for _ in ended:
                self.publish(self._record(self._cost()))

    def _record(self, told: JsonObject) -> JsonObject:
        return {"at": anyio.current_time(), "record": told}

    def _cost(self) -> JsonObject:
        cost = self._session.usage
        parts = {"dollars": cost.total, "spoken": cost.spoken, "listened": cost.listened, "cached": cost.cached}
        told = {name: None if part is None else str(part) for name, part in parts.items()}
        return {"type": "cost", **told, "usage": {kind: getattr(cost.tokens, kind) for kind in TOKENS}}

    async def _do(self, wish: JsonObject) -> None:
        """Do what a page asks for.

        Raises:
            UsageError: There is no such thing, or this session does not accept audio from the booth.
            SessionError: The server refused, or the session is closed.
        """
        session, what = self._session, wish.get("do")
        if what in ("hear", "commit", "clear") and not self._about["listens"]:
            raise UsageError(
                "this session does not accept audio from the booth", "pass debug_voice_in=True to create_session"
            )
        match what:
            case "say":
                await session.user(str(wish.get("text", "")))
                await self._respond()
            case "hear":
                await session.append_input_audio_buffer(sound_of(wish))
            case "commit":
                await session.commit_input_audio_buffer()
                if session.turn_detection is None:
                    await self._respond()
            case "clear":
                await session.clear_input_audio_buffer()
            case "respond":
                await self._respond()
            case "interrupt":
                samples = wish.get("samples")
                await session.interrupt(max(0, samples) if isinstance(samples, int) else None)
            case _:
                raise UsageError(f"unknown action {what!r}")

    async def _respond(self) -> None:
        """Let the model speak as in a detected turn: nobody follows the response, and its tools are called."""
        event = client_events.ResponseCreate(event_id=self._session.fresh("evt"))
        await self._session.wire.write(event.encode())


def _told(entry: Entry) -> JsonObject:
    """Describe an item as the wire does, without its sound."""
    content = [{"type": "text", "text": entry.text}] if entry.text else []
    if entry.transcript or not content:
        content.append({"type": "audio", "transcript": entry.transcript})
    facts = {"id": entry.id, "type": entry.type, "role": entry.role, "status": entry.status}
    return facts | ({"content": content} if entry.type == "message" else {"name": entry.call and entry.call.name})
