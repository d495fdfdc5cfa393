"""The understudy as a server: who is let in, what was ordered to go wrong, and what it has seen."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
from pydantic_core import from_json, to_json

from tau_stage.audio import Pcm
from tau_stage.errors import SessionClosed, UsageError
from tau_stage.protocol import JsonObject, ServerError, StatusDetails, ignore, server_events, with_part, without
from tau_stage.transport import Handshake, Refusal, Transport, serve
from tau_stage.understudy.actor import Actor, SpeechRequest, UnsupportedScript
from tau_stage.understudy.admission import AZURE_PATHS, PATHS, ProviderLimits, asked_model, reject_origin, reject_reason
from tau_stage.understudy.client_dialects import ClientCodec, codec_for
from tau_stage.understudy.delivery import requested_line, reworded, wants_silence
from tau_stage.understudy.dialogue import Dialogue, Reply, error_event
from tau_stage.understudy.faults import (
    BreakOff,
    BusyDoor,
    EmptyResponses,
    FailResponses,
    Fault,
    Oddity,
    Passing,
    RefuseInBand,
    RewordLines,
    SlowHandshake,
    SlowOpening,
    Strike,
    What,
    Where,
    parse_fault,
)
from tau_stage.understudy.listening import asked_with, comment_request, request_for, take_named, wanted_calls
from tau_stage.understudy.response import MessageStream, call_tools, end_response, stay_silent
from tau_stage.understudy.settings import CURRENT, Profile, ResponseRun, new_session, profile_of
from tau_stage.understudy.sound_store import KnownSpeech
from tau_stage.understudy.stored_items import ItemStore

SESSION_S = 3600
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

F = TypeVar("F", bound=Fault)
P = TypeVar("P", bound=Passing)


def _neural_voices() -> Actor:
    from tau_stage.understudy.voices import Ensemble

    return Ensemble()


@dataclass(slots=True)
class Understudy:
    """A local server that stands in for a realtime model.

    Attributes:
        actor: Generates the speech; by default, the built-in voices.
        key: The key that clients must send; None accepts any key or none.
        faults: Faults to inject, as for ``tau-stage understudy --fault``, such as ``drop@in_response``.
        keeps_visits: Whether it stores all events that it receives; for tests, because the memory use grows.
        clock: The Unix time, for the expiry of sessions.
        expires_s: The lifetime of a session in seconds.
        refuses_beta: Whether it refuses clients of the beta API, as OpenAI does.
        pace: Seconds of audio that it sends per second; None sends as fast as possible.
        limits: The rate limits for all clients together.
        log: Called with each request and its outcome.
        origins: Origins of web pages from other machines that may connect.
        profile: The model that it imitates, whatever the client requests; None imitates the requested model, but
            adds no commentary before tool calls.
        known_speech: Recent speech, for transcripts.
        items: The store of the items of all sessions.
        visits: The events that it received, by connection.
        refused: The times of connections that were refused at the upgrade.

    Raises:
        UsageError: A fault is unknown.

    >>> Understudy(pace=1.0, key="open sesame", faults=["drop@in_response"]).profile is None
    True
    """

    actor: Actor = field(default_factory=_neural_voices)
    key: str | None = None
    faults: Sequence[Fault | str] = ()
    keeps_visits: bool = False
    clock: Callable[[], float] = time.time
    expires_s: float = SESSION_S
    refuses_beta: bool = False
    pace: float | None = None
    limits: ProviderLimits = field(default_factory=ProviderLimits)
    log: Callable[[JsonObject], object] = ignore
    origins: Collection[str] = ()
    profile: Profile | None = None
    known_speech: KnownSpeech = field(default_factory=KnownSpeech)
    items: ItemStore = field(default_factory=ItemStore)
    visits: list[Visit] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _opened: int = 0
    _open: int = 0
    _used: Counter[Strike | Passing] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.faults = [parse_fault(fault) if isinstance(fault, str) else fault for fault in self.faults]

    async def admit(self, handshake: Handshake) -> Refusal | None:
        """Refuse at the upgrade, or let in.

        :meta private:
        """
        if refusal := reject_origin(handshake, self.origins):
            return refusal
        if late := self.ordered_fault(SlowHandshake):
            await anyio.sleep(late.seconds)
        if handshake.path not in PATHS:
            return Refusal(404, f"Not found: {handshake.path}. The Realtime API is at /v1/realtime.\n")
        refusal = self._busy() or self.limits.refuse_opening(self._open, anyio.current_time())
        if refusal:
            self.note("refused", status=refusal.status, **refusal.headers)
        return refusal

    def _busy(self) -> Refusal | None:
        """Refuse an opening, where that was ordered."""
        order = self.ordered_fault(BusyDoor)
        if order is None or len(self.refused) >= order.times:
            return None
        self.refused.append(anyio.current_time())
        wait = {} if order.retry_after_s is None else {"Retry-After": f"{order.retry_after_s:g}"}
        return Refusal(429, "Too many requests; slow down.\n", wait)

    def note(self, what: str, **facts: object) -> None:
        """Write into the log what has happened.

        :meta private:
        """
        self.log({"at": round(self.clock(), 6), "what": what, **facts})

    def _played(self, asked: str) -> tuple[str, Profile]:
        """Return the model that is played for who asks for one, and how it behaves."""
        profile = self.profile or (profile_of(asked) or CURRENT).quiet
        return asked if self.profile is None or profile.is_meant_by(asked) else profile.model, profile

    async def listen(self, transport: Transport, handshake: Handshake) -> None:
        """Serve one connection until it ends.

        :meta private:
        """
        self._opened += 1
        visit = Visit(self._opened, handshake, anyio.current_time())
        if self.keeps_visits:
            self.visits.append(visit)
        rejection = self.ordered_fault(RefuseInBand) or reject_reason(
            handshake, self.key, refuses_beta=self.refuses_beta, any_model=self.profile is not None
        )
        model, profile = self._played(asked_model(handshake))
        session = new_session(f"sess_{visit.number:04d}", model, int(self.clock() + self.expires_s), profile)
        dialogue = Dialogue(visit.number, session, profile, known_speech=self.known_speech, store=self.items)
        dialogue.is_deployment = handshake.path in AZURE_PATHS
        connection = Connection(self, transport, visit, dialogue, codec_for(handshake, profile, self.clock))
        self._open += 1
        self.note("opening", session=visit.number, model=model, open=self._open)
        try:
            await (connection.refuse(rejection) if rejection else connection.serve())
        except SessionClosed:
            return
        finally:
            visit.closed_at = anyio.current_time()
            self._open -= 1
            self.note("closed", session=visit.number, open=self._open)

    def ordered_fault(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that was ordered, if one was.

        :meta private:
        """
        return next((order for order in self.faults if isinstance(order, kind)), None)

    def next_strike(self, where: Where | None, visit: int) -> What | None:
        """Use up and return what goes wrong here and now, if anything was ordered.

        :meta private:
        """
        strikes = (order for order in self.faults if isinstance(order, Strike))
        here = (order for order in strikes if order.where == where and order.visit in {None, visit})
        return next((order.what for order in here if self._use(order)), None)

    def use_fault(self, kind: type[P]) -> P | None:
        """Use up and return the fault of a kind that the response falls under which begins now, if one is left.

        :meta private:
        """
        order = self.ordered_fault(kind)
        return order if order and self._use(order) else None

    def _use(self, order: Strike | Passing) -> bool:
        self._used[order] += 1
        return self._used[order] <= order.times


@asynccontextmanager
async def open_understudy(
    understudy: Understudy | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Run an understudy server while the block runs.

    Args:
        understudy: The server; by default, one with the built-in voices.
        host: A loopback address.
        port: The port; 0 selects a free one.

    Yields:
        The URL of the server, ``ws://host:port``.

    Raises:
        UsageError: The host is not loopback, or the port is taken.

    >>> import anyio
    >>> from tau_stage import create_session
    >>> async def talk() -> str:
    ...     async with open_understudy() as url, create_session(endpoint=url, output_modalities=("text",)) as session:
    ...         await session.user("Where does the wind come from?")
    ...         return (await session.response()).status
    >>> anyio.run(talk)
    'completed'
    """
    if host not in LOOPBACK:
        raise UsageError(f"the understudy only listens on a loopback address, not on {host}", "use 127.0.0.1")
    understudy = understudy or Understudy()
    async with AsyncExitStack() as served:
        served.callback(getattr(understudy.actor, "close", lambda: None))
        try:
            url = await served.enter_async_context(serve(understudy.listen, understudy.admit, host=host, port=port))
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from None
        yield url


EXPIRED = "Your session hit the maximum duration of 60 minutes."
TYPE = re.compile(rb'"type":\s*"([^"]+)"')


@dataclass(slots=True)
class Visit:
    """One connection, as the server saw it.

    Attributes:
        number: In the order of opening, from 1.
        opened_at: On the server's clock, in seconds.
        ready_at: When the session was as the client wanted it.
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


class Connection:
    """One connection of a server."""

    def __init__(
        self, server: Understudy, transport: Transport, visit: Visit, dialogue: Dialogue, codec: ClientCodec
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
        self._last_tokens = 0

    async def refuse(self, rejection: RefuseInBand) -> None:
        """Send the error, then close."""
        await self._tell(rejection.error)
        await self._transport.aclose(rejection.close_code, rejection.reason)

    async def serve(self) -> None:
        """Answer events until the client goes or its time is up."""
        if late := self._server.ordered_fault(SlowOpening):
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
        elif not await self._strike(_place(decoded), decoded):
            reply = self._dialogue.take(decoded)
            if self._server.keeps_visits:
                self._note_visit(decoded, reply)
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
        self._visit.received.append(_type_of(frame).decode(errors="replace"))
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
        if order := self._server.use_fault(FailResponses):
            await self._fail(run, ServerError(code=order.code, message=order.message))
            return
        limits, model = self._server.limits, str(self._dialogue.session["model"])
        if error := limits.refuse_response(model, self._last_tokens, anyio.current_time()):
            await self._fail(run, error)
            return
        request = request_for(run, self._server.known_speech)
        self._note_request(run, request)
        if wants_silence(request) or self._server.use_fault(EmptyResponses):
            await self._send(stay_silent(self._dialogue, run))
        elif asked := wanted_calls(run, request):
            await self._call(run, request, asked)
        else:
            await self._speak(run, request)

    def _note_request(self, run: ResponseRun, request: SpeechRequest) -> None:
        metadata = run.wanted.metadata or {}
        line = requested_line(request)
        asked = {"line": metadata.get("line", ""), "words": line.words if line else request.user}
        self._server.note("response", session=self._visit.number, response=run.id, **asked)

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
        broken = self._server.use_fault(BreakOff)
        asked = asked_with(run, request)
        take = take_named(run) or (self._takes + 1 if asked == self._asked else 1)
        request, self._is_damaged = replace(request, take=take), False
        if (line := requested_line(request)) and not run.verbatim and self._server.use_fault(RewordLines):
            request = replace(request, whisper=f'{line.how}: "{reworded(line.words)}"')
        try:
            delivery = await self._sound(run, request, "final_answer", broken.reason if broken else None)
        except (UnsupportedScript, OSError) as problem:
            await self._fail(run, _unspeakable(problem))
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
        """Send a message up to its last delta, or until the response is stopped."""
        spoken = await self._server.actor.speak(request)
        if spoken.audio:
            self._server.known_speech.add(spoken.audio, spoken.words)
        odd = Oddity.DELTAS in self._server.faults
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

    async def _strike(self, where: Where | None, frame: bytes = b"") -> bool:
        """Let go wrong what was ordered to. Return whether the event is swallowed by it."""
        what = self._server.next_strike(where, self._visit.number)
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
                code = "server_error"
                await self._tell(ServerError(type=code, code=code, message="No.", event_id=event_id))
        return what == "refuse" or (what == "silence" and where != "append")  # which nothing answers anyway

    async def _tell(self, error: ServerError) -> None:
        await self._send([error_event(error)])

    async def _send(self, events: Iterable[server_events.ServerEvent]) -> None:
        times = 2 if Oddity.REPEATS in self._server.faults else 1
        async with self._sending:
            for event in events:
                told = self._counted(event).model_copy(update={"event_id": self._dialogue.fresh("event")})
                for frame in self._frames(told):
                    for _ in range(times):
                        await self._transport.send(frame)

    def _counted(self, event: server_events.ServerEvent) -> server_events.ServerEvent:
        """Count what a response has used, and tell what is left of the limits."""
        now = anyio.current_time()
        match event:
            case server_events.ResponseDone(response=response):
                if self._server.keeps_visits:
                    self._visit.bill[response.id] = response.usage
                usage = response.usage if isinstance(response.usage, dict) else {}
                self._last_tokens = usage.get("total_tokens") or self._last_tokens
                self._server.limits.spend(usage, now)
                ended = {"status": response.status, "tokens": usage.get("total_tokens", 0)}
                self._server.note("done", session=self._visit.number, response=response.id, **ended)
            case server_events.RateLimitsUpdated():
                told = self._server.limits.told(event.rate_limits, now)
                return event.model_copy(update={"rate_limits": told})
        return event

    def _frames(self, event: server_events.ServerEvent) -> Iterable[bytes]:
        for frame in self._codec.encode(event):
            if Oddity.NO_IDS in self._server.faults:
                told = without(from_json(frame), "event_id")
                yield to_json(with_part(told, "response", lambda response: response | {"metadata": None}))
            elif Oddity.FIELDS in self._server.faults:
                yield b'{"type":"response.aside.delta","event_id":"event_x","delta":"x"}'
                yield frame[:-1] + b',"aside":"aXq9"}'
            else:
                yield frame


PLACES: dict[bytes, Where] = {
    b"session.update": "update",
    b"conversation.item.create": "item",
    b"input_audio_buffer.commit": "hearing",
    b"input_audio_buffer.append": "append",
    b"response.create": "response",
}
"""Where in a conversation an event strikes."""


def _type_of(frame: bytes) -> bytes:
    found = TYPE.search(frame)
    return found[1] if found else b""


def _place(frame: bytes) -> Where | None:
    place = PLACES.get(_type_of(frame))
    return "hearing" if place == "item" and b'"input_audio"' in frame else place


def _unspeakable(problem: UnsupportedScript | OSError) -> ServerError:
    """Tell why a line has no sound."""
    if isinstance(problem, UnsupportedScript):
        return ServerError(code="unsupported_script", message=str(problem))
    reason = (problem.strerror or str(problem)).lower()
    return ServerError(code="no_space_left", message=f"the understudy cannot store audio: {reason}")
