"""The understudy as a server: one task group per connection, reading on while a response goes out."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed, UsageError
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.bodies import ServerError
from tau_stage.protocol.usage import WireUsage
from tau_stage.transport import Handshake, Refusal, Transport, serve
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import Actor, Cue
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.door import PATHS, No, objection
from tau_stage.understudy.response import Delivery, closing
from tau_stage.understudy.run import Run
from tau_stage.understudy.settings import new_session

SESSION_S = 3600
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


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
    bill: dict[str, WireUsage] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Understudy:
    """A server that stands in for a realtime model.

    Attributes:
        actor: Speaks.
        key: The key clients must bring; None takes any, or none.
        faults: What goes wrong, on order.
        keeps_visits: Whether it remembers what it was sent; for tests, as it grows.
        clock: Unix time, for the sessions' expiry.
        visits: What it was sent, by connection.
        refused: Openings refused at the upgrade, by time.
    """

    actor: Actor
    key: str | None = None
    faults: Sequence[fault.Fault] = ()
    keeps_visits: bool = False
    clock: Callable[[], float] = time.time
    visits: list[Visit] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _opened: int = 0
    _failed: int = 0

    def admit(self, handshake: Handshake) -> Refusal | None:
        """Refuse at the upgrade, or let in."""
        if handshake.path not in PATHS:
            return Refusal(404, f"There is nothing at {handshake.path}; the realtime API is at /v1/realtime.\n")
        for order in self.faults:
            if isinstance(order, fault.BusyDoor) and len(self.refused) < order.times:
                self.refused.append(anyio.current_time())
                wait = {} if order.retry_after_s is None else {"Retry-After": f"{order.retry_after_s:g}"}
                return Refusal(429, "Too many requests; slow down.\n", wait)
        return None

    async def listen(self, transport: Transport, handshake: Handshake) -> None:
        """Serve one connection until it ends."""
        self._opened += 1
        visit = Visit(self._opened, handshake, anyio.current_time())
        if self.keeps_visits:
            self.visits.append(visit)
        no = self._ordered_refusal() or objection(handshake, self.key)
        session = new_session(
            f"sess_{visit.number:04d}", handshake.query.get("model", ""), int(self.clock()) + SESSION_S
        )
        connection = Connection(self, transport, visit, Dialogue(visit.number, session))
        try:
            await (connection.refuse(no) if no else connection.serve())
        except SessionClosed:
            return
        finally:
            visit.closed_at = anyio.current_time()

    def ordered(self, kind: type[fault.Fault]) -> fault.Fault | None:
        """The fault of a kind that was ordered, if one was."""
        return next((order for order in self.faults if isinstance(order, kind)), None)

    def fails_now(self) -> fault.FailResponses | None:
        """The order to fail the response that begins now, if there is one left."""
        order = self.ordered(fault.FailResponses)
        if not isinstance(order, fault.FailResponses) or self._failed >= order.times:
            return None
        self._failed += 1
        return order

    def _ordered_refusal(self) -> No | None:
        order = self.ordered(fault.RefuseInBand)
        if not isinstance(order, fault.RefuseInBand):
            return None
        message = order.message or f"Refused: {order.code}."
        return No(ServerError(type=order.type, code=order.code, message=message, param=None), order.close_code)


class Connection:
    """One connection of a server."""

    def __init__(self, house: Understudy, transport: Transport, visit: Visit, dialogue: Dialogue) -> None:
        self._house = house
        self._transport = transport
        self._visit = visit
        self._dialogue = dialogue
        self._sending = anyio.Lock()
        self._deltas = 0

    async def refuse(self, no: No) -> None:
        """Tell the error, then close."""
        await self._send([self._dialogue.error(no.error)])
        await self._transport.aclose(no.close_code, no.reason)

    async def serve(self) -> None:
        """Answer events until the client goes."""
        await self._send([self._dialogue.opening()])
        async with anyio.create_task_group() as performing:
            try:
                while True:
                    await self._answer(await self._transport.receive(), performing)
                    if self._must_stall():
                        await anyio.sleep_forever()
            except SessionClosed:
                performing.cancel_scope.cancel()

    async def _answer(self, frame: bytes, performing: anyio.abc.TaskGroup) -> None:
        known = set(self._dialogue.items)
        reply = self._dialogue.take(frame)
        if self._house.keeps_visits:
            self._remember(frame, known)
        await self._send(reply.events)
        if reply.events and isinstance(reply.events[0], told.SessionUpdated) and self._visit.ready_at is None:
            self._visit.ready_at = anyio.current_time()
        if reply.cancel:
            reply.cancel.stopped = "client_cancelled"
        if reply.begin:
            performing.start_soon(self._perform, reply.begin)

    def _remember(self, frame: bytes, known: set[str]) -> None:
        kind = re.search(rb'"type":\s*"([^"]+)"', frame)
        self._visit.received.append(kind[1].decode(errors="replace") if kind else "")
        for item_id, kept in self._dialogue.items.items():
            if item_id not in known and kept.audio is not None and kept.item.role == "user":
                self._visit.heard[item_id] = kept.audio

    def _must_stall(self) -> bool:
        order = self._house.ordered(fault.StopReading)
        return (
            isinstance(order, fault.StopReading)
            and order.visit == self._visit.number
            and len(self._dialogue.items) >= order.after_items
        )

    async def _perform(self, run: Run) -> None:
        if order := self._house.fails_now():
            error = ServerError(type="invalid_request_error", code=order.code, message=order.message)
            await self._send(closing(self._dialogue, run, bodies.StatusDetails(type="failed", error=error)))
            return
        spoken = await self._house.actor.speak(self._cue(run))
        odd = self._house.ordered(fault.OddDeltas) is not None
        delivery = Delivery(self._dialogue, run, spoken.words, spoken.audio, odd)
        try:
            for event in delivery.sounding():
                if run.stopped:
                    break
                await self._send([event])
                self._drop_if_ordered(event)
            await self._send(delivery.ending())
        except SessionClosed:
            return

    def _cue(self, run: Run) -> Cue:
        said = [kept for kept in run.read if kept.item.role == "user"]
        last = said[-1] if said else None
        return Cue(
            instructions=run.instructions,
            system=tuple(kept.words for kept in run.read if kept.item.role == "system"),
            user=last.words if last and last.audio is None else "",
            heard=sum(kept.audio is not None for kept in said),
            voice=run.voice,
            speed=float(run.session["audio"]["output"]["speed"]),
            aloud=run.modalities == ("audio",),
        )

    def _drop_if_ordered(self, event: told.ServerMessage) -> None:
        order = self._house.ordered(fault.DropInResponse)
        if isinstance(event, told.AudioDelta) and isinstance(order, fault.DropInResponse):
            self._deltas += 1
            if order.visit == self._visit.number and self._deltas > order.after_deltas:
                self._transport.drop()

    async def _send(self, events: Iterable[told.ServerMessage]) -> None:
        obfuscated = self._house.ordered(fault.Obfuscation) is not None
        async with self._sending:
            for event in events:
                frame = event.encode()
                if isinstance(event, told.ResponseDone) and event.response.usage:
                    self._visit.bill[event.response.id] = event.response.usage
                if obfuscated:
                    frame = frame[:-1] + b',"obfuscation":"aXq9"}'
                    await self._transport.send(b'{"type":"response.aside.delta","event_id":"event_x","delta":"x"}')
                await self._transport.send(frame)


@asynccontextmanager
async def open_understudy(
    understudy: Understudy | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve an understudy while the block runs.

    Args:
        understudy: The server; one with the real voices, if it is not given.
        host: A loopback address.
        port: 0 takes a free one.

    Yields:
        Its URL, ``ws://host:port``.

    Raises:
        UsageError: The host is not loopback, or the port is taken.
    """
    if host not in LOOPBACK:
        raise UsageError(f"the understudy listens on loopback only, not on {host}", "use 127.0.0.1")
    if understudy is None:
        from tau_stage.understudy.ensemble import Ensemble

        understudy = Understudy(Ensemble())
    try:
        async with serve(understudy.listen, understudy.admit, host=host, port=port) as url:
            yield url
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from None
