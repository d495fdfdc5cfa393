"""One open conversation with one realtime model: requests out, answers in, one reader."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Literal

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ConnectFailed, ProtocolError, SessionClosed, SessionError, Timeout
from tau_stage.protocol import bodies, config
from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told
from tau_stage.protocol.conversation import Conversation, Ended, Response
from tau_stage.protocol.items import (
    AssistantMessage,
    ClientItem,
    InputAudio,
    InputText,
    Item,
    OutputText,
    SystemMessage,
    UserMessage,
)
from tau_stage.protocol.requests import EVENT_KEY, Request, Requests, request_of
from tau_stage.protocol.usage import Usage
from tau_stage.session.waiting import Deadlines, Receipt, Speaking, refusal
from tau_stage.transport import Transport


class Session:
    """One open conversation. Made by ``create_session`` or ``open_session``; read by one task.

    Attributes:
        name: For messages; in a scene, the player's name.
        conversation: What the server has told so far.
        session: The server's effective session.
        warnings: What the server understood otherwise than asked.
    """

    def __init__(self, transport: Transport, *, name: str = "session", deadlines: Deadlines | None = None) -> None:
        self.name = name
        self.conversation = Conversation()
        self.session: Mapping[str, Any] = {}
        self.warnings: list[str] = []
        self._transport = transport
        self._deadlines = deadlines or Deadlines()
        self._requests = Requests()
        self._receipts: dict[str, Receipt] = {}
        self._speaking: dict[str, Speaking] = {}
        self._numbers = count(1)
        self._sending = anyio.Lock()
        self._created = Receipt(Request("", "session.created"))
        self._last_error: bodies.ServerError | None = None
        self._closed: SessionError | None = None

    @property
    def id(self) -> str:
        """The server's id of this session; empty where it gave none."""
        return str(self.session.get("id", ""))

    @property
    def usage(self) -> Usage:
        """Tokens of all responses so far, each counted once."""
        return self.conversation.usage

    @property
    def is_open(self) -> bool:
        """Whether requests can still be made."""
        return self._closed is None

    # ---- the conversation

    async def system(self, text: str) -> Item:
        """Whisper to the model: a system message.

        Raises:
            ValueError: The text is empty.
            SessionError: Refused, closed or not answered in time.
        """
        return await self._create(SystemMessage(id=self._fresh("item"), content=(_words(text),)))

    async def user(self, text: str) -> Item:
        """Say something to the model: a user message of words."""
        return await self._create(UserMessage(id=self._fresh("item"), content=(_words(text),)))

    async def assistant(self, text: str) -> Item:
        """Make the model believe that it said something."""
        words = OutputText(text=_words(text).text)
        return await self._create(AssistantMessage(id=self._fresh("item"), content=(words,)))

    async def create_audio(self, audio: Pcm, transcript: str | None = None) -> Item:
        """Let the model hear something: a user message of sound.

        Args:
            audio: Not empty, at the session's input rate.
            transcript: Kept with the item; the model does not read it.
        """
        if not audio:
            raise ValueError("there is no audio to hear")
        heard = InputAudio(audio=audio.base64.decode("ascii"), **({"transcript": transcript} if transcript else {}))
        return await self._create(UserMessage(id=self._fresh("item"), content=(heard,)))

    async def _create(self, item: ClientItem) -> Item:
        event = ask.ConversationItemCreate(event_id=self._fresh("evt"), item=item)
        answer = await self.request(event)
        if isinstance(answer, told.ConversationItemAdded | told.ConversationItemDone | told.ConversationItemCreated):
            return answer.item
        raise ProtocolError("theirs", f"an item was answered with {answer.type}")

    async def response(self, **options: Any) -> Response:
        """Let the model speak and wait until it has.

        Args:
            **options: Fields of ``ResponseConfig`` (OpenAI API reference, ``response.create``).

        Raises:
            SessionError: Refused, closed, or silent for too long.
        """
        return await (await self.speak(**options)).finished()

    async def speak(self, **options: Any) -> Speaking:
        """Let the model speak and follow it while it does; options as for ``response``."""
        event_id = self._fresh("evt")
        metadata = {**options.pop("metadata", {}), EVENT_KEY: event_id}
        wanted = config.ResponseConfig(**options, metadata=metadata)
        speaking = self._speaking[event_id] = Speaking(self._deadlines.response_s)
        await self.send(ask.ResponseCreate(event_id=event_id, response=wanted))
        return speaking

    # ---- requests

    async def request(self, event: ask.ClientEvent) -> told.ServerEvent:
        """Send an event and wait for its answer.

        Raises:
            SessionError: Refused, closed or not answered in time.
        """
        return await self.answer(await self.send(event))

    async def send(self, event: ask.ClientEvent) -> Receipt:
        """Send an event without waiting for its answer; the socket keeps the order."""
        request = request_of(event)
        if request is None:
            await self._write(event.encode())
            return Receipt(Request(event.event_id or "", ""))
        return await self.send_frame(event.encode(), request)

    async def send_frame(self, frame: bytes, request: Request) -> Receipt:
        """Send a frame that was built elsewhere, once for many sessions."""
        receipt = Receipt(request)
        self._requests.add(request)
        self._receipts[request.event_id] = receipt
        await self._write(frame)
        return receipt

    async def answer(self, receipt: Receipt) -> told.ServerEvent:
        """Wait for a request's answer, until the deadline of requests."""
        with anyio.move_on_after(self._deadlines.request_s):
            try:
                return await receipt.answer()
            except SessionError as error:
                raise error.about(player=self.name) from None
        self._requests.forget(receipt.request)
        self._receipts.pop(receipt.request.event_id, None)
        raise Timeout(what=receipt.request.answer, waited_s=self._deadlines.request_s, player=self.name)

    async def _write(self, frame: bytes) -> None:
        if self._closed:
            raise self._closed.about()
        with anyio.move_on_after(self._deadlines.request_s):
            async with self._sending:
                await self._transport.send(frame)
                return
        raise Timeout(what="reading by the server", waited_s=self._deadlines.request_s, player=self.name)

    def _fresh(self, kind: Literal["evt", "item"]) -> str:
        return f"tau_{kind}_{next(self._numbers)}"

    # ---- opening, listening, closing

    async def begin(self, wanted: config.SessionConfig) -> None:
        """Wait for ``session.created``, ask for the session that is wanted, and compare what the server made of it.

        Raises:
            ConnectFailed: The server refused in-band.
            SessionError: Anything else that can happen to a request.
        """
        limit = self._deadlines.opening_s
        try:
            with anyio.fail_after(limit):
                await self._created.answer()
                answer = await self.request(ask.SessionUpdate(event_id=self._fresh("evt"), session=wanted))
        except TimeoutError:
            raise Timeout(what="session.created and session.updated", waited_s=limit, player=self.name) from None
        except SessionClosed as closed:
            raise self._refused(closed) from None
        if isinstance(answer, told.SessionUpdated):
            asked = wanted.model_dump(mode="json", exclude_unset=True)
            self.warnings += _differences(asked, answer.session)

    def _refused(self, closed: SessionClosed) -> ConnectFailed:
        error = self._last_error or bodies.ServerError(code=None, message=closed.reason)
        code, said = error.code, error.message or closed.reason
        return ConnectFailed(reason=said, code=code, close_code=closed.code, player=self.name)

    async def listen(self) -> None:
        """Read the server's events until the session closes; the session's one reader."""
        try:
            while True:
                self._take_in(told.decode(await self._transport.receive()))
        except SessionClosed as closed:
            self._end(closed.about(player=self.name))
        except ProtocolError as broken:
            self._end(SessionClosed(code=1002, reason=str(broken), player=self.name))
            await self._transport.aclose(1002, str(broken))

    def _take_in(self, event: told.ServerEvent) -> None:
        match event:
            case told.SessionCreated() | told.SessionUpdated():
                self.session = event.session
                self._created.settle(event)
            case told.ErrorEvent():
                self._last_error = event.error
        change = self.conversation.apply(event)
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
                speaking.fail(refusal(event.error))

    def _end(self, why: SessionClosed) -> None:
        self._closed = self._closed or why
        self._created.settle(why)
        for receipt in self._receipts.values():
            receipt.settle(why)
        for speaking in self._speaking.values():
            speaking.fail(why)
        self._receipts.clear()
        self._speaking.clear()

    async def close(self) -> None:
        """Close in order; closing twice is harmless."""
        self._end(SessionClosed(code=1000, reason="closed by us", player=self.name))
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._deadlines.closing_s):
            await self._transport.aclose()


def _words(text: str) -> InputText:
    if not text.strip():
        raise ValueError("there are no words to say")
    return InputText(text=text)


def _differences(asked: Mapping[str, Any], made: Mapping[str, Any], place: str = "session") -> list[str]:
    found = []
    for key, wanted in asked.items():
        got = made.get(key)
        if isinstance(wanted, dict) and isinstance(got, dict):
            found += _differences(wanted, got, f"{place}.{key}")
        elif key in made and got != wanted:
            found.append(f"the server made {place}.{key} {got!r}, asked was {wanted!r}")
    return found
