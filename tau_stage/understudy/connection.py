"""One connection of the understudy: one task group, reading on while a response goes out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import anyio
from pydantic_core import from_json, to_json

from tau_stage.audio import Pcm
from tau_stage.errors import SessionClosed
from tau_stage.protocol import JsonObject, ServerError, StatusDetails, server_events
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy import faults
from tau_stage.understudy.actor import Actor, SpeechRequest, UnsupportedScript
from tau_stage.understudy.admission import Rejection
from tau_stage.understudy.client_dialects import ClientCodec
from tau_stage.understudy.dialogue import Dialogue, Reply, error_event
from tau_stage.understudy.line_request import wants_silence
from tau_stage.understudy.listening import asked_with, comment_request, request_for, take_named, wanted_calls
from tau_stage.understudy.response import MessageStream, call_tools, end_response, stay_silent
from tau_stage.understudy.run import ResponseRun
from tau_stage.understudy.sound_store import KnownSpeech

F = TypeVar("F", bound=faults.Fault)
P = TypeVar("P", bound=faults.Passing)

EXPIRED = "Your session hit the maximum duration of 60 minutes."
TYPE = re.compile(rb'"type":\s*"([^"]+)"')


@dataclass(slots=True)
class Visit:
    """One connection, as the server saw it.

    Attributes:
        number: In the order of opening, from 1.
        handshake: What the client asked for.
        opened_at: On the server's clock, in seconds.
        ready_at: When the session was as the client wanted it.
        closed_at: When it ended.
        heard: Sounds the client put into the conversation, by item id, in order.
        bill: Usage of each response, by its id.
        received: Types of the events that were read, in order.
    """

    number: int
    handshake: Handshake
    opened_at: float
    ready_at: float | None = None
    closed_at: float | None = None
    heard: dict[str, Pcm] = field(default_factory=dict)
    bill: dict[str, JsonObject] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)


class Server(Protocol):
    """What a connection needs of its server."""

    actor: Actor
    keeps_visits: bool
    expires_s: float
    pace: float | None
    known_speech: KnownSpeech

    def ordered_fault(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that was ordered."""

    def next_strike(self, where: faults.Where, visit: int) -> faults.What | None:
        """Use up and return what goes wrong here and now."""

    def use_fault(self, kind: type[P]) -> P | None:
        """Use up and return the fault of a kind that the response falls under which begins now."""


class Connection:
    """One connection of a server."""

    def __init__(
        self, server: Server, transport: Transport, visit: Visit, dialogue: Dialogue, codec: ClientCodec
    ) -> None:
        self._server = server
        self._transport = transport
        self._visit = visit
        self._dialogue = dialogue
        self._codec = codec
        self._sending = anyio.Lock()
        self._asked: tuple[str, str] | None = None
        self._takes = 0
        self._is_damaged = False

    async def refuse(self, rejection: Rejection) -> None:
        """Send the error, then close."""
        await self._tell(rejection.error)
        await self._transport.aclose(rejection.close_code, rejection.reason)

    async def serve(self) -> None:
        """Answer events until the client goes or its time is up."""
        if late := self._server.ordered_fault(faults.SlowOpening):
            await anyio.sleep(late.seconds)
        await self._strike("opening")
        await self._send([server_events.SessionCreated(session=self._dialogue.session)])
        async with anyio.create_task_group() as performing:
            performing.start_soon(self._expire)
            try:
                while True:
                    await self._answer(await self._transport.receive(), performing)
            except SessionClosed:
                performing.cancel_scope.cancel()

    async def _expire(self) -> None:
        await anyio.sleep(self._server.expires_s)
        try:
            await self._tell(ServerError(code="session_expired", message=EXPIRED))
            await self._transport.aclose(1001, EXPIRED)
        except SessionClosed:
            return

    async def _answer(self, frame: bytes, performing: anyio.abc.TaskGroup) -> None:
        decoded = self._codec.decode(frame)
        if isinstance(decoded, ServerError):
            await self._tell(decoded)
            return
        frame = decoded
        if await self._strike(_place(frame), frame):
            return
        reply = self._dialogue.take(frame)
        if self._server.keeps_visits:
            self._note_visit(frame, reply)
        await self._carry_out(reply, performing)

    async def _carry_out(self, reply: Reply, performing: anyio.abc.TaskGroup) -> None:
        if reply.cancel:
            reply.cancel.stop(reply.why)
        await self._send(reply.events)
        if reply.events and isinstance(reply.events[0], server_events.SessionUpdated) and self._visit.ready_at is None:
            self._visit.ready_at = anyio.current_time()
        if reply.begin:
            performing.start_soon(self._perform, reply.begin)

    def _note_visit(self, frame: bytes, reply: Reply) -> None:
        kind = TYPE.search(frame)
        self._visit.received.append(kind[1].decode(errors="replace") if kind else "")
        for event in reply.events:
            kept = self._dialogue.items.get(event.item.id) if isinstance(event, server_events.PlacedItemEvent) else None
            if kept and kept.audio is not None and kept.kind == "user":
                self._visit.heard[kept.id] = kept.sound or Pcm()

    async def _perform(self, run: ResponseRun) -> None:
        interrupted = [other for other in self._dialogue.running.values() if other.stopped and other is not run]
        try:
            for other in interrupted:
                await other.over.wait()
            await self._respond(run)
        except SessionClosed:
            return
        finally:
            run.over.set()

    async def _respond(self, run: ResponseRun) -> None:
        if order := self._server.use_fault(faults.FailResponses):
            await self._fail(run, ServerError(code=order.code, message=order.message))
            return
        request = request_for(run, self._server.known_speech)
        if wants_silence(request) or self._server.use_fault(faults.EmptyResponses):
            await self._send(stay_silent(self._dialogue, run))
        elif asked := wanted_calls(run, request):
            await self._call(run, request, asked)
        else:
            await self._speak(run, request)

    async def _fail(self, run: ResponseRun, error: ServerError) -> None:
        error = error.model_copy(update={"type": "invalid_request_error"})
        await self._send(end_response(self._dialogue, run, StatusDetails(type="failed", error=error)))

    async def _call(self, run: ResponseRun, request: SpeechRequest, asked: list[tuple[str, str]]) -> None:
        comment = None
        if self._dialogue.profile.comments:
            comment = await self._sound(run, comment_request(request), "commentary")
        if comment and run.stopped:
            await self._send(comment.ending())
        else:
            await self._send(call_tools(self._dialogue, run, asked, comment))

    async def _speak(self, run: ResponseRun, request: SpeechRequest) -> None:
        broken = self._server.use_fault(faults.BreakOff)
        asked = asked_with(run, request)
        take = take_named(run) or (self._takes + 1 if asked == self._asked else 1)
        request, self._is_damaged = replace(request, take=take), False
        try:
            delivery = await self._sound(run, request, "final_answer", broken.reason if broken else None)
        except UnsupportedScript as problem:
            await self._fail(run, ServerError(code="unsupported_script", message=str(problem)))
            return
        except OSError as problem:
            message = f"the understudy cannot keep a sound: {(problem.strerror or str(problem)).lower()}"
            await self._fail(run, ServerError(code="no_space_left", message=message))
            return
        await self._send(delivery.ending())
        if delivery.sent and not (broken or self._is_damaged):  # else it is asked for once more, and is no take
            self._asked, self._takes = asked, take
        if self._dialogue.turn_detector:
            self._dialogue.turn_detector.idle_from_now()
        await self._strike("after_response")

    async def _sound(
        self, run: ResponseRun, request: SpeechRequest, phase: str, broken_off: str | None = None
    ) -> MessageStream:
        """Send a message up to its last delta, or until the response is stopped.

        Raises:
            UnsupportedScript: There is none for its words.
        """
        spoken = await self._server.actor.speak(request)
        if spoken.audio:
            self._server.known_speech.add(spoken.audio, spoken.words)
        odd = self._server.ordered_fault(faults.OddDeltas) is not None
        delivery = MessageStream(self._dialogue, run, spoken.words, spoken.audio, phase, odd, broken_off)
        sounding, began = delivery.sounding(), anyio.current_time()
        while not run.stopped and (event := next(sounding, None)):
            await self._send([event])
            if isinstance(event, server_events.AudioDelta):
                await self._strike("in_response")
                await self._keep_pace(run, began, delivery.sent_s)
        return delivery

    async def _keep_pace(self, run: ResponseRun, began: float, sent_s: float) -> None:
        """Wait until so much sound is due, unless the response must end early."""
        if self._server.pace:
            with anyio.move_on_at(began + sent_s / self._server.pace):
                await run.halted.wait()

    async def _strike(self, where: faults.Where | None, frame: bytes = b"") -> bool:
        """Let go wrong what was ordered to. Return whether the event is swallowed by it."""
        what = self._server.next_strike(where, self._visit.number) if where else None
        match what:
            case "drop":
                self._transport.drop()
                raise SessionClosed(code=1006)
            case "close":
                await self._tell(ServerError(type="server_error", message="Sorry."))
                await self._transport.aclose(1011, "server_error")
                raise SessionClosed(code=1011)
            case "stall":
                await anyio.sleep_forever()
            case "malformed":
                self._is_damaged = True
                await self._transport.send(b'{"type": "response.')
            case "stray":
                await self._tell(ServerError(type="server_error", message="Hiccup."))
            case "refuse":
                named = re.search(rb'"event_id":\s*"([^"]+)"', frame)
                event_id = named[1].decode() if named else None
                await self._tell(
                    ServerError(type="server_error", code="server_error", message="No.", event_id=event_id)
                )
        return what == "refuse" or (what == "silence" and where != "append")  # which nothing answers anyway

    async def _tell(self, error: ServerError) -> None:
        await self._send([error_event(error)])

    async def _send(self, events: Iterable[server_events.ServerEvent]) -> None:
        twice = self._server.ordered_fault(faults.RepeatedEvents) is not None
        async with self._sending:
            for event in events:
                if self._server.keeps_visits and isinstance(event, server_events.ResponseDone):
                    self._visit.bill[event.response.id] = event.response.usage
                for frame in self._frames(event.model_copy(update={"event_id": self._dialogue.fresh("event")})):
                    for _ in range(1 + twice):
                        await self._transport.send(frame)

    def _frames(self, event: server_events.ServerEvent) -> Iterable[bytes]:
        for frame in self._codec.encode(event):
            if self._server.ordered_fault(faults.MissingIds):
                told_of = from_json(frame)
                del told_of["event_id"]
                if "response" in told_of:
                    told_of["response"] |= {"metadata": None}
                yield to_json(told_of)
            elif self._server.ordered_fault(faults.Obfuscation):
                yield b'{"type":"response.aside.delta","event_id":"event_x","delta":"x"}'
                yield frame[:-1] + b',"aside":"aXq9"}'
            else:
                yield frame


def _place(frame: bytes) -> faults.Where | None:
    """Tell where in a conversation an event strikes."""
    kind = TYPE.search(frame)
    match kind[1] if kind else b"":
        case b"session.update":
            return "update"
        case b"conversation.item.create":
            return "hearing" if b'"input_audio"' in frame else "item"
        case b"input_audio_buffer.commit":
            return "hearing"
        case b"input_audio_buffer.append":
            return "append"
        case b"response.create":
            return "response"
        case _:
            return None
