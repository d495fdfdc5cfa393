"""The session's end of the socket: requests out, answers in, one reader. What events mean is the session's business."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from tau_stage.errors import ConnectFailed, ModelRefused, ProtocolError, SessionClosed, SessionError, Timeout
from tau_stage.protocol import bodies
from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told
from tau_stage.protocol.conversation import Change, Ended
from tau_stage.protocol.dialects import GA, Dialect
from tau_stage.protocol.endpoints import Opening
from tau_stage.protocol.requests import Request, Requests, request_of
from tau_stage.session.greeting import UNCONFIRMED_S, Greeting, Refused
from tau_stage.session.waiting import Deadlines, Receipt, Speaking, refusal
from tau_stage.transport import Transport

TakeIn = Callable[[told.ServerEvent], Change | None]
"""Takes in an event and says what changed for whoever listens to a response."""


class Wire:
    """One open connection.

    Args:
        transport: Open.
        take_in: Told of every event, in order.
        name: For messages.
        deadlines: How long to wait for what.
        dialect: How the server spells events.

    Attributes:
        transport: As given.
        closed: Why it is closed, once it is.
        over: Set when it is.
        floor: Held by whoever sends events that nothing may come between.
    """

    def __init__(
        self, transport: Transport, take_in: TakeIn, *, name: str, deadlines: Deadlines, dialect: Dialect = GA
    ) -> None:
        self.transport = transport
        self.closed: SessionClosed | None = None
        self.over = anyio.Event()
        self.floor = anyio.Lock()
        self._take_in = take_in
        self._name = name
        self._deadlines = deadlines
        self._dialect = dialect
        self._requests = Requests()
        self._receipts: dict[str, Receipt] = {}
        self._speaking: dict[str, Speaking] = {}
        self._sending = anyio.Lock()
        self._greeting = Greeting()
        self._last_error: bodies.ServerError | None = None

    # ---- out

    async def send(self, event: ask.ClientEvent) -> Receipt:
        """Send an event without waiting for its answer; the socket keeps the order."""
        request = request_of(event)
        if request is None:
            await self.write(event.encode())
            return Receipt(Request(event.event_id or "", ""))
        return await self.send_frame(event.encode(), request)

    async def send_frame(self, frame: bytes, request: Request) -> Receipt:
        """Send a frame that was built elsewhere, once for many sessions."""
        receipt = Receipt(request)
        self._requests.add(request)
        self._receipts[request.event_id] = receipt
        await self.write(frame)
        return receipt

    async def speak(self, event: ask.ResponseCreate) -> Speaking:
        """Ask for a response and follow it."""
        speaking = self._speaking[event.event_id or ""] = Speaking(self._deadlines.response_s)
        await self.send(event)
        return speaking

    async def write(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            SessionClosed: The connection is closed.
            Timeout: The server does not read.
        """
        if self.closed:
            raise self.closed.about()
        limit = self._deadlines.request_s
        with anyio.move_on_after(limit):
            async with self._sending:
                await self.transport.send(self._dialect.to_server(frame))
                return
        raise Timeout(what="reading by the server", waited_s=limit, player=self._name)

    async def answer(self, receipt: Receipt) -> told.ServerEvent:
        """Wait for a request's answer, until the deadline of requests.

        Raises:
            SessionError: Refused, closed or not answered in time.
        """
        limit = self._deadlines.request_s
        with anyio.move_on_after(limit):
            try:
                return await receipt.answer()
            except SessionError as error:
                raise error.about(player=self._name) from None
        self._requests.forget(receipt.request)
        self._receipts.pop(receipt.request.event_id, None)
        raise Timeout(what=receipt.request.answer, waited_s=limit, player=self._name)

    async def begin(
        self, update: ask.SessionUpdate, opening: Opening, warn: Callable[[str], None]
    ) -> told.ServerEvent | None:
        """Wait until the server has greeted, and ask for the session that is wanted.

        Args:
            update: The session that is wanted.
            opening: What the server sends when a session opens.
            warn: Told of what did not come, where the session goes on without it.

        Returns:
            The answer; None where the server need not confirm the session, or did not.

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
        except TimeoutError:
            missed = self._greeting.missed(opening, limit, self._name)
            if opening.is_known or not self._greeting.has_come or self._greeting.has_failed:
                raise missed from None
            warn(f"{missed.what_happened()}; voice, instructions and turn detection may be others than asked for")
        except Refused:
            raise self._refused(self.closed) from None
        except ModelRefused as refused:
            raise refused.about(player=self._name) from None
        except SessionClosed as closed:
            raise self._refused(closed) from None
        return None

    def _refused(self, closed: SessionClosed | None) -> ConnectFailed:
        """Why the session did not open: the server's own words, and the close code where a close followed."""
        reason = closed.reason if closed else ""
        error = self._last_error or bodies.ServerError(message=reason)
        return ConnectFailed(
            reason=error.message or reason,
            code=error.code,
            close_code=closed.code if closed else None,
            player=self._name,
        )

    # ---- in

    async def listen(self) -> None:
        """Read the server's events until the connection closes; its one reader."""
        try:
            while True:
                self._read(told.decode(self._dialect.from_server(await self.transport.receive())))
        except SessionClosed as closed:
            self.end(closed.about(player=self._name))
        except ProtocolError as broken:
            self.end(SessionClosed(code=1002, reason=str(broken), player=self._name))
            with anyio.move_on_after(self._deadlines.closing_s):
                await self.transport.aclose(1002, str(broken))

    def _read(self, event: told.ServerEvent) -> None:
        self._greeting.notice(event)
        if isinstance(event, told.ErrorEvent):
            self._last_error = event.error
        change = self._take_in(event)
        if answer := self._requests.answered_by(event):
            self._settle(answer.request, event)
        if change and (speaking := self._speaking.get(change.response_id)):
            speaking.tell(change)
            if isinstance(change, Ended):
                del self._speaking[change.response_id]

    def _settle(self, request: Request, event: told.ServerEvent) -> None:
        if receipt := self._receipts.pop(request.event_id, None):
            receipt.settle(event)
        if speaking := self._speaking.pop(request.event_id, None):
            if isinstance(event, told.ResponseCreated):
                self._speaking[event.response.id] = speaking
            elif isinstance(event, told.ErrorEvent):
                speaking.fail(refusal(event.error).about(player=self._name))

    def follows(self, response_id: str) -> bool:
        """Whether somebody asked for a response and is following it."""
        return response_id in self._speaking

    def end(self, why: SessionClosed) -> None:
        """Nothing more goes out or comes in: everyone who waits is told."""
        self.closed = self.closed or why
        self.over.set()
        self._greeting.end(why)
        for receipt in self._receipts.values():
            receipt.settle(why)
        for speaking in self._speaking.values():
            speaking.fail(why)
        self._receipts.clear()
        self._speaking.clear()

    async def close(self) -> None:
        """Close in order; closing twice is harmless."""
        self.end(SessionClosed(code=1000, reason="closed by us", player=self._name))
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._deadlines.closing_s):
            await self.transport.aclose()
