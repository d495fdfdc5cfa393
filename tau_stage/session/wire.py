"""The session's end of the socket: requests out, answers in, one reader. What events mean is the session's business."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from math import inf
from typing import Literal, Protocol

import anyio

from tau_stage import protocol
from tau_stage.errors import ConnectFailed, ModelRefused, SessionClosed, SessionError, Timeout
from tau_stage.session.state import SessionState
from tau_stage.session.waiting import Deadlines, Receipt, ResponseStream, refusal, told
from tau_stage.signals import Signal
from tau_stage.transport import Transport

GREETINGS = frozenset({"session.created", "conversation.created"})
"""Events by which a server shows that it is ready: any of them will do."""

ASK_AFTER_S = 2.0  # seconds after which a server that may not greet at all is asked for the session

REFUSAL_S = 0.5  # seconds that are left to a server between an error and the close that follows it

UNCONFIRMED_S = 1.0  # seconds that a server has to refuse a session which it need not confirm

REPEATED = "received twice; counted once"  # what is told of an event that comes again

SHOWN_TYPES = 5  # how many types of events a message names

SHOWN_CHARACTERS = 60  # how much of a type of event it shows; a server may call its events anything

SETTLE_S = 0.5
"""Seconds until an error that names no request is taken for the answer of one that is open, unless another comes,
and until a response whose end has come, or for which such an error stands, ends without the sound it had announced."""

END = "response.done"  # what answers a response: its end

UNANSWERED_S = 2.0
"""Seconds until a server that has never answered a kind of request is asked for a sign of life."""

SLOWEST_UPLINK = 200_000  # bytes that get to the server in a second, at the least


class EventSink(Protocol):
    """Whoever is told what comes in: the session."""

    conversation: protocol.Conversation
    state: SessionState
    answers: dict[str, bool]
    """Whether the server answers a kind of request, by the type of the answer, where that is known."""

    def take_in(self, event: protocol.ServerEvent) -> protocol.ResponseChange | None:
        """Take in an event and say what changed for whoever listens to a response."""

    def take_sound(self, data: bytes, decoded: Callable[[], protocol.ServerEvent]) -> protocol.ResponseChange | None:
        """Take in another delta of the sound that came last, without its event: ``decoded`` makes that."""

    def take_end(self, change: protocol.ResponseEnded) -> None:
        """Take in the end of a response that no event told."""

    def assume(self, event: protocol.ServerEvent, oddity: str) -> None:
        """Take in an answer that the server owes, and tell that it does."""

    def take_close(self, wire: Wire) -> None:
        """Take in that nothing more comes through a socket."""

    def fresh(self, kind: Literal["evt", "item"]) -> str:
        """Make an id for an event or an item of ours."""

    def warn(self, problem: str) -> None:
        """Note what whoever reads the take should know."""


class Wire:
    """One open connection.

    Attributes:
        closed: Why it is closed, once it is.
        over: Set when it is.
        pieces: How the ids of events begin that append sound, and the error of a server that has refused one: nothing
            but an error answers them.
        send_lock: Held by whoever sends events that nothing may come between.
    """

    def __init__(
        self,
        transport: Transport,
        sink: EventSink,
        *,
        name: str,
        deadlines: Deadlines,
        dialect: protocol.Dialect = protocol.GA,
    ) -> None:
        self.transport = transport
        self.closed: SessionClosed | None = None
        self.over = anyio.Event()
        self._reading = anyio.CancelScope()
        self.send_lock = anyio.Lock()  # not the fast kind: what ended before is written down before more is sent
        self._sink = sink
        self._conversation = sink.conversation
        self._name = name
        self._deadlines = deadlines
        self._dialect = dialect
        self._requests = protocol.Requests()
        self._receipts: dict[str, Receipt] = {}
        self._streams: dict[str, ResponseStream] = {}
        self._unclaimed: dict[str, list[protocol.ResponseChange]] = {}
        self._suspected: dict[str, tuple[protocol.ErrorEvent, float]] = {}
        self._probes: dict[str, Sequence[protocol.Request]] = {}
        self.pieces: dict[str, ModelRefused | None] = {}
        self._numbers = count(1)
        self._ends_at = inf
        self._repeats = protocol.Repeats()
        self._sound_frames = protocol.SoundFrames()
        self._noted = 0
        self._heard = 0
        self._remark = ""
        self._greeting = Greeting()
        self._is_closing = False

    # ---- out

    async def send(self, event: protocol.ClientEvent) -> Receipt:
        """Send an event without waiting for its answer; the socket keeps the order. It gets an id where it has none."""
        event = protocol.with_ids(event, self._conversation.entries.id_of)
        event = event if event.event_id else event.model_copy(update={"event_id": self._sink.fresh("evt")})
        request = protocol.request_of(event)
        if request is None:
            await self.write(event.encode())
            return Receipt(protocol.Request(event.event_id or "", ""))
        return await self.send_frame(event.encode(), request)

    async def send_frame(self, frame: bytes, request: protocol.Request) -> Receipt:
        """Send a frame that was built elsewhere, once for many sessions."""
        receipt = Receipt(request, len(frame))
        self._requests.add(request)
        self._receipts[request.event_id] = receipt
        await self.write(frame)
        return receipt

    async def speak(self, event: protocol.ResponseCreate) -> ResponseStream:
        """Ask for a response and follow it."""
        before = self._requests.that_can_be_assumed()
        stream = self._streams[event.event_id or ""] = ResponseStream(self._deadlines.response_s, before)
        await self.send(event)
        return stream

    async def write(self, frame: bytes) -> None:
        """Send a frame; a ``SessionClosed`` or a ``Timeout`` says that the server does not read."""
        if self.closed:
            raise self.closed.about()
        limit = self._deadlines.request_s
        with anyio.move_on_after(limit):
            await self.transport.send(self._dialect.to_server(frame))
            if (sent := self._sink.state.sent).has_subscribers:
                sent.publish(protocol.CLIENT_EVENTS.validate_json(frame))
            return
        raise Timeout(what="data accepted by the server", waited_s=limit, player=self._name)

    async def answer(self, receipt: Receipt) -> protocol.ServerEvent:
        """Wait for a request's answer, until the deadline of requests.

        A server that has never answered a request of this kind is asked for a sign of life meanwhile; what it does not
        answer is then taken as done. A ``SessionError`` says that refused, closed or not answered in time.
        """
        request, limit, heard = receipt.request, self._deadlines.request_s, self._heard
        with anyio.CancelScope(deadline=anyio.current_time() + limit):
            if request.assumed and not self._sink.answers.get(request.answer):
                with anyio.move_on_after(min(UNANSWERED_S + receipt.size / SLOWEST_UPLINK, limit / 2)):
                    return await self._outcome(receipt)
                await self._probe()
            return await self._outcome(receipt)
        is_known_to_answer = any(map(self._sink.answers.get, (request.answer, "session.updated")))
        is_alive, suspected = self._heard > heard, self._suspected.pop(request.event_id, None)
        if request.assumed and is_alive and not (suspected or is_known_to_answer):
            self._take_as_done(request)
            return await self._outcome(receipt)
        self._forget(receipt)
        if suspected:
            raise refusal(suspected[0].error).about(player=self._name)
        instead = self._remark if is_alive else ""
        raise Timeout(what=request.answer, waited_s=limit, instead=instead, player=self._name)

    async def _outcome(self, receipt: Receipt) -> protocol.ServerEvent:
        if self._sink.answers.get(receipt.request.answer) is False:
            self._take_as_done(receipt.request)
        try:
            return await receipt.answer()
        except SessionError as error:
            raise error.about(player=self._name) from None

    async def _probe(self) -> None:
        """Ask for what the server is known to answer: the socket keeps the order, so all that is older is then done."""
        if not self._sink.answers.get("session.updated"):
            return
        event = protocol.SessionUpdate(
            event_id=f"tau_probe_{next(self._numbers)}", session=protocol.SessionConfig(type="realtime")
        )
        self._probes[event.event_id or ""] = self._requests.that_can_be_assumed()
        await self.send(event)

    def _take_as_done(self, *requests: protocol.Request) -> None:
        """Go on as if requests had been answered, where the server has answered a later one; refusals then warn."""
        for request in requests:
            receipt = self._receipts.get(request.event_id)
            if receipt and request.assumed and request.event_id not in self._suspected:
                del self._receipts[request.event_id]
                self._requests.take_as_done(request)
                self._sink.answers.setdefault(request.answer, False)
                self._sink.assume(
                    request.assumed, f"no {request.answer} arrived; the request is assumed to have succeeded"
                )
                receipt.settle(request.assumed)

    def _forget(self, receipt: Receipt) -> None:
        """Wait for an answer no longer: what comes answers others."""
        self._requests.forget(receipt.request)
        self._receipts.pop(receipt.request.event_id, None)

    async def begin(
        self, update: protocol.SessionUpdate, opening: protocol.Opening, warn: Callable[[str], None]
    ) -> protocol.ServerEvent | None:
        """Wait until the server has greeted, and ask for the session that is wanted.

        Returns:
            The answer; None where the server need not confirm the session, or did not: then ``warn`` is told.

        Raises:
            ConnectFailed: The server refused in-band.
            ModelRefused: It refused the session that is wanted.
            Timeout: It did not greet, or did not answer.
        """
        limit = self._deadlines.opening_s
        try:
            with anyio.fail_after(limit):
                await self._greeting.wait(opening, limit)
                receipt = await self.send(update)
                with anyio.move_on_after(limit if opening.confirms else UNCONFIRMED_S):
                    return await receipt.answer()
                self._forget(receipt)
        except TimeoutError:
            missed = self._greeting.missed(opening, limit, self._name)
            if opening.is_known or not self._greeting.has_come or self._greeting.has_failed:
                raise missed from None
            self._forget(receipt)
            warn(f"{missed.what_happened()}; voice, instructions and turn detection may differ from the request")
        except ModelRefused as refused:
            raise refused.about(player=self._name) from None
        except (Refused, SessionClosed) as refused:
            raise self._refused(refused if isinstance(refused, SessionClosed) else self.closed) from None
        return None

    def _refused(self, closed: SessionClosed | None) -> ConnectFailed:
        """Tell why the session did not open: the server's own words, and the close code where a close followed."""
        reason = closed.reason if closed else ""
        error = self._greeting.error or protocol.ServerError(message=reason)
        return ConnectFailed(
            reason=error.message or reason,
            code=error.code,
            close_code=closed.code if closed else None,
            player=self._name,
        )

    # ---- in

    async def listen(self) -> None:
        """Read the server's events until the connection closes; its one reader.

        Theory of operation. Every frame becomes one event; nothing that a server sends ends the session. An event is
        first taken in by the conversation, then answers the request it belongs to. What changes in a response goes to
        whoever asked for it, by the response's id; changes that come before a request has claimed that id wait until
        one does, by ``response.created`` or, where none comes, by the response's end. What an event leaves open is
        settled a moment later: an error that names no request is then the answer of the request it can be about, and a
        response that is ending has ended.
        """
        with self._reading:
            try:
                while True:
                    is_settled = self._ends_at == inf and not self._suspected
                    frame = await (self.transport.receive() if is_settled else self._frame_in_time())
                    if frame is None:
                        self._settle_what_is_open()
                    elif not (is_settled and self._read_sound(frame)):
                        self._read_frame(frame)
            except SessionClosed as closed:
                self.end(closed.about(player=self._name))

    async def _frame_in_time(self) -> bytes | None:
        """Wait for the next frame; None where the moment has come to settle what is open."""
        with anyio.CancelScope(deadline=min([self._ends_at, *(due for _, due in self._suspected.values())])):
            return await self.transport.receive()
        return None

    def _settle_what_is_open(self) -> None:
        now = anyio.current_time()
        if self._ends_at <= now:
            if not self._conversation.is_ending:
                self._sink.answers.setdefault(END, False)
                self._conversation.presume_end()
            while ended := self._conversation.settle():
                self._sink.take_end(ended)
                self._deliver(ended)
            self._ends_at = inf
        for event_id in [key for key, (_, due) in self._suspected.items() if due <= now]:
            event, _ = self._suspected.pop(event_id)
            if request := self._requests.get(event_id):
                self._requests.forget(request)
                self._settle(request, event, None)

    def _read_frame(self, frame: bytes) -> None:
        parts = protocol.split_frame(frame)
        if len(parts) > 1:
            self._note("several events arrived in one frame; processed one by one")
        for part in parts:
            noted = self._noted
            event = protocol.decode(part, self._dialect, self._note)
            if isinstance(event, protocol.AudioDelta) and noted == self._noted:
                self._sound_frames.learn(part)
            if self._repeats.knows(part, event.event_id):
                self._note(f"{event.type}: {REPEATED}")
            else:
                self._read(event)

    def _read_sound(self, frame: bytes) -> bool:
        """Read a frame without its event, if it is more of the sound that came last, and nobody watches events."""
        if not self._conversation.is_sounding or self._sink.state.events.has_subscribers:
            return False
        if (read := self._sound_frames.read(frame)) is None:
            return False
        event_id, data = read
        if self._repeats.knows(frame, event_id):
            self._note(f"{protocol.SOUND}: {REPEATED}")
            return True
        self._heard += 1
        if change := self._sink.take_sound(data, partial(protocol.decode, frame, self._dialect)):
            self._deliver(change)
        return True

    def _note(self, oddity: str) -> None:
        self._noted += 1
        self._conversation.odd[oddity] += 1

    def _note_unusable(self, event: protocol.UnusableEvent) -> None:
        if event.words:
            self._remark = f'the server sent a frame that is not an event: "{event.words}"'
        for stream in self._streams.values():  # whoever waits in vain is told what came instead
            stream.instead = self._remark

    def _read(self, event: protocol.ServerEvent) -> None:
        if isinstance(event, protocol.SessionUpdated) and (older := self._probed()) is not None:
            self._take_as_done(*older)
            return
        self._heard += 1
        is_new_item = isinstance(event, protocol.PlacedItemEvent) and not self._conversation.knows(event.item.id)
        self._greeting.notice(event)
        if isinstance(event, protocol.ResponseDone):
            self._sink.answers[END] = True
        change = self._sink.take_in(event)
        if request := self._requests.answered_by(event, is_new_item=is_new_item):
            self._suspected.pop(request.event_id, None)
            self._settle(request, event, change)
        elif isinstance(event, protocol.ErrorEvent) and not self._refuses_piece(event.error):
            self._suspect(event)
        if isinstance(event, protocol.UnusableEvent):
            self._note_unusable(event)
        if change:
            self._deliver(change)
        self._await_end(is_news=change is not None or isinstance(event, protocol.ResponseDone | protocol.ErrorEvent))

    def _await_end(self, *, is_news: bool) -> None:
        """Set the moment at which a response ends of which nothing more comes."""
        conversation, wait_s = self._conversation, inf
        if conversation.is_ending:
            wait_s = SETTLE_S
        elif conversation.is_over:
            owes_ends = self._sink.answers.get(END) is False
            wait_s = UNANSWERED_S if owes_ends else self._deadlines.response_s / 2
        if wait_s == inf:
            self._ends_at = inf
        elif is_news or self._ends_at == inf:
            self._ends_at = anyio.current_time() + wait_s

    def _probed(self) -> Sequence[protocol.Request] | None:
        """Return what a probe is about that ``session.updated`` answers; None where it answers somebody's request."""
        request = self._requests.oldest("session.updated")
        if request is None or request.event_id not in self._probes:
            return None
        self._requests.forget(request)
        self._receipts.pop(request.event_id, None)
        return self._probes.pop(request.event_id)

    def _take_refusal(self, request: protocol.Request, event: protocol.ErrorEvent, *, is_awaited: bool) -> None:
        if stream := self._streams.pop(request.event_id, None):
            stream.fail(refusal(event.error).about(player=self._name))
        elif not is_awaited:
            self._sink.warn(f"the server rejected a request that was assumed to have succeeded {told(event.error)}")

    def _settle(
        self, request: protocol.Request, event: protocol.ServerEvent, change: protocol.ResponseChange | None
    ) -> None:
        if (
            isinstance(event, protocol.PlacedItemEvent)
            and request.item_id
            and event.item.id not in {"", request.item_id}
        ):
            self._conversation.entries.rename(request.item_id, event.item.id)
        receipt = self._receipts.pop(request.event_id, None)
        if receipt:
            receipt.settle(event)
        if (older := self._probes.pop(request.event_id, None)) is not None:
            self._take_as_done(*older)
            return
        if isinstance(event, protocol.ErrorEvent):
            self._take_refusal(request, event, is_awaited=receipt is not None)
            return
        self._sink.answers[request.answer] = True
        if isinstance(change, protocol.ResponseBegan):
            self._claim(request, change.response_id, change.formerly)

    def _claim(self, request: protocol.Request, response_id: str, formerly: str = "") -> None:
        """Give a response to whoever asked for it, with what has come of it so far."""
        early = [*self._unclaimed.pop(formerly, ()), *self._unclaimed.pop(response_id, ())]
        if stream := self._streams.pop(request.event_id, None):
            self._streams[response_id] = stream
            for change in early:
                stream.add(replace(change, response_id=response_id))

    def _claim_at_end(self, ended: protocol.ResponseEnded) -> None:
        """Give a response that nobody has claimed to the request that it can be of."""
        request = self._requests.asks_for_response(ended.response.metadata)
        if request and request.event_id in self._streams:
            self._requests.forget(request)
            self._claim(request, ended.response_id)

    def _deliver(self, change: protocol.ResponseChange) -> None:
        response_id = change.response_id
        if isinstance(change, protocol.ResponseEnded) and response_id not in self._streams:
            self._claim_at_end(change)
        if stream := self._streams.get(response_id):
            stream.add(change)
        elif self._requests.asks_for_response(None):
            self._unclaimed.setdefault(response_id, []).append(change)
        if isinstance(change, protocol.ResponseEnded):
            self._streams.pop(response_id, None)
            self._unclaimed.pop(response_id, None)
            self._take_as_done(*(stream.before if stream else ()))

    def _suspect(self, event: protocol.ErrorEvent) -> None:
        """Find what an error can be about that names no request: a request, a response, or nothing."""
        request = self._requests.refused_by(event.error)
        if request and not self._requests.get(request.event_id):
            self._requests.forget(request)
            self._settle(request, event, None)
        elif request:
            self._suspected.setdefault(request.event_id, (event, anyio.current_time() + SETTLE_S))
        elif self._greeting.has_come and protocol.may_break_response(event.error):
            self._conversation.blame(event.error)
            self._sink.warn(f"the server reported an error {told(event.error)}")

    def _refuses_piece(self, error: protocol.ServerError) -> bool:
        """Tell whether an error is about sound that was appended: it names an event of it, or can be about no other."""
        name = (error.event_id or "").rpartition("_")[0]
        if not (error.event_id or len(self._requests) or self._streams):
            name = next(reversed(self.pieces), "")
        if name not in self.pieces:
            return False
        self.pieces[name] = self.pieces[name] or refusal(error)
        return True

    def follows(self, response_id: str) -> bool:
        """Tell whether somebody asked for a response and is following it."""
        return response_id in self._streams

    def end(self, why: SessionClosed) -> None:
        """Tell everyone who waits that nothing more goes out or comes in."""
        self.closed = self.closed or why
        self.over.set()
        self._reading.cancel()
        self._sink.take_close(self)
        self._greeting.end(why)
        for receipt in self._receipts.values():
            receipt.settle(why)
        for stream in self._streams.values():
            stream.fail(why)
        self._receipts.clear()
        self._streams.clear()

    async def close(self) -> None:
        """Close in order, once and within the deadline; closing twice is harmless."""
        if self._is_closing:
            return
        self._is_closing = True
        self.end(SessionClosed(code=1000, reason="closed by tau-stage", player=self._name))
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._deadlines.closing_s):
            await self.transport.aclose()


class Refused(Exception):
    """The server answered the connection itself with an error."""


class Greeting:
    """What a server has said since the connection opened; the last ``error`` is what it gave as a reason."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self.error: protocol.ServerError | None = None
        self._changed = Signal()
        self._closed: SessionClosed | None = None

    def notice(self, event: protocol.ServerEvent) -> None:
        """Take in an event."""
        said = f' ("{event.words}")' if isinstance(event, protocol.UnusableEvent) and event.words else ""
        shown = event.type[:SHOWN_CHARACTERS] or f"a frame that is not an event{said}"
        if isinstance(event, protocol.ErrorEvent):
            self.error = event.error
            shown += f' ("{event.error.message}")' if event.error.message else ""
        self._types[event.type or shown] = shown
        self._changed.notify()

    def end(self, why: SessionClosed) -> None:
        """Note that nothing more will come."""
        self._closed = self._closed or why
        self._changed.notify()

    @property
    def has_come(self) -> bool:
        """Whether the server has greeted."""
        return not GREETINGS.isdisjoint(self._types)

    @property
    def has_failed(self) -> bool:
        """Whether the server has reported an error."""
        return self.error is not None

    async def wait(self, opening: protocol.Opening, limit_s: float) -> None:
        """Wait until the server has greeted, or may be asked all the same; raise ``Refused`` where it sent an error."""
        patience = float("inf") if opening.is_known else min(ASK_AFTER_S, limit_s / 3)
        with anyio.move_on_after(patience):
            await self._until(lambda: self.has_come or self.has_failed)
        if self.has_failed and not self.has_come:
            with anyio.move_on_after(REFUSAL_S):
                await self._until(lambda: self.has_come)
            if not self.has_come:
                raise Refused

    async def _until(self, is_so: Callable[[], bool]) -> None:
        await self._changed.until(lambda: is_so() or self._closed is not None)
        if self._closed and not is_so():
            raise self._closed.about()

    def missed(self, opening: protocol.Opening, waited_s: float, player: str) -> Timeout:
        """Say what did not come in time, and what came instead."""
        awaited: list[str] = [] if self.has_come else [opening.greeting]
        if self.has_come or not opening.is_known:
            awaited.append("session.updated")
        return Timeout(what=" and no ".join(awaited), waited_s=waited_s, instead=self.summary(), player=player)

    def summary(self) -> str:
        """Return what the server has sent, as a sentence.

        >>> Greeting().summary()
        'the server sent nothing'
        """
        names = list(self._types.values())
        if len(names) > SHOWN_TYPES:
            names = [*names[:SHOWN_TYPES], f"{len(names) - SHOWN_TYPES} more"]
        last = names.pop() if names else "nothing"
        return f"the server sent {', '.join(names)} and {last}" if names else f"the server sent {last}"
