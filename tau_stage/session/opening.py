"""Opening a session, over a transport that is there or by an endpoint's name, and keeping it open.

It may come back after a drop, and moves to a new socket before its time is up.

Theory of operation
===================

A session is *opening*, then *open*, then *closed*; it may become open again, over another socket.

Opening a socket is one task, ``_socket``: connect, read, wait for the greeting, ask for the session that is wanted,
tell the server what was said before, and only then let the session speak through it (``Session.swap``). Until then the
session speaks through the old socket, if there is one. A socket that fails before that has never been the session's.
The task lasts as long as its socket, and ``over`` is set when it ends, whatever ended it.

``live`` waits for one of three things:

- The session's end was asked for, or its socket ended and it does not reconnect: it is closed.
- Its socket ended: it is opened again, a few times, with growing waits. If none opens, it is closed.
- Its socket is old: once no response is under way, another is opened beside it. If none opens, the old one serves on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial, wraps
from inspect import isawaitable
from math import inf
from types import TracebackType
from typing import Any, NoReturn, ParamSpec

import anyio
import pybase64
from anyio.abc import TaskGroup, TaskStatus
from pydantic import SecretStr

from tau_stage import protocol
from tau_stage.audio import PCM16, RATE, Format
from tau_stage.environment import environment, log_event
from tau_stage.errors import ConnectFailed, SessionClosed, SessionError, Timeout, UsageError, unwrapped
from tau_stage.protocol import client_events, endpoints, items
from tau_stage.publisher import is_debugging
from tau_stage.scene import default_transcription, default_voice, misspelt, voice_warning, voices_of
from tau_stage.session.arguments import asked_session
from tau_stage.session.debugging import SessionPublisher
from tau_stage.session.retrying import Tally
from tau_stage.session.session import Comments, Session
from tau_stage.session.tools import Tool, ToolLike
from tau_stage.session.waiting import Deadlines
from tau_stage.session.wire import Wire
from tau_stage.text import with_clause
from tau_stage.transport import ABNORMAL, Transport, dial

P = ParamSpec("P")

DEFAULT_MODEL = "gpt-realtime-2.1-mini"

START_UNDERSTUDY = "start it with `tau-stage understudy`, or open one in your program with open_understudy()"

Key = str | SecretStr | Callable[[], str | Awaitable[str]] | None


@asynccontextmanager
async def open_session(
    transport: Transport, wanted: client_events.SessionConfig, *, name: str = "session", **options: Any
) -> AsyncIterator[Session]:
    """Open a session over a transport that is already open, for as long as the block runs.

    Args:
        transport: Not closed here but for the session's own closing.
        wanted: The session to ask for.
        name: A name for messages.
        **options: As ``Session`` takes them: ``deadlines``, ``dialect``, ``opening``, ``tools``, ``prices`` and so on;
            ``debug``, whether a booth shows it, and what else is ``shown`` of it.

    Raises:
        ConnectFailed: The server refused in-band.
        SessionError: The server did not answer correctly.
    """
    async with _living(lambda: nullcontext(transport), wanted, ReconnectPolicy(), name=name, **options) as session:
        yield session


@asynccontextmanager
async def _living(
    connect: Connect,
    wanted: client_events.SessionConfig,
    policy: ReconnectPolicy,
    *,
    debug: bool | None = False,
    shown: protocol.JsonObject | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    forms = {"heard_as": format_of(wanted, "input"), "spoken_as": format_of(wanted, "output")}
    session = Session(**(forms | options))
    publisher = SessionPublisher(session, shown or {}) if is_debugging(debug) else None
    if publisher:
        connect = partial(publisher.connected, connect)
    with unwrapped():
        async with publisher.running() if publisher else nullcontext(), anyio.create_task_group() as group:
            try:
                if publisher:
                    group.start_soon(publisher.publish_costs)
                await Lifecycle(session, connect, wanted, policy, group).open()
                session.background.open(group, session.warn)
                yield session
            finally:
                await session.close()
                group.cancel_scope.cancel()


class SessionContext(AbstractAsyncContextManager[Session]):
    """A session that is opened when the block is entered: once."""

    def __init__(self, opening: AbstractAsyncContextManager[Session]) -> None:
        self._opening = opening
        self._was_entered = False

    async def __aenter__(self) -> Session:
        if self._was_entered:
            raise UsageError("the session was entered twice", "call create_session() again for another conversation")
        self._was_entered = True
        return await self._opening.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._opening.__aexit__(kind, failure, trace)

    def __await__(self) -> NoReturn:
        raise UsageError("a session cannot be awaited", "write: async with create_session(...) as session:")


def _entered_once(opener: Callable[P, AbstractAsyncContextManager[Session]]) -> Callable[P, SessionContext]:
    @wraps(opener)
    def opened(*args: P.args, **options: P.kwargs) -> SessionContext:
        return SessionContext(opener(*args, **options))

    return opened


@_entered_once
@asynccontextmanager
async def create_session(
    *,
    endpoint: str = "openai",
    model: str = DEFAULT_MODEL,
    dialect: str | None = None,
    api_key: Key = None,
    resource: str = "",
    name: str = "session",
    deadlines: Deadlines | None = None,
    tools: Sequence[ToolLike] = (),
    commentary: Comments = "drop",
    recover: bool = False,
    renew_after_s: float | None = None,
    debug: bool | None = None,
    debug_voice_in: bool = True,
    **options: object,
) -> AsyncIterator[Session]:
    """Open a conversation with a realtime model, and close it at the end of the block.

    Args:
        endpoint: The name of an endpoint, or a ``ws://`` or ``wss://`` URL.
        model: The name of the model; on Azure, of the deployment.
        dialect: The event format of a server given by URL: ``ga``, ``beta``, or an endpoint with its own (``xai``).
        api_key: The key, or a function that returns one for each connection (for Entra ID; it is then sent as a
            bearer token); by default, the environment variable of the endpoint is read.
        resource: The host of your own resource; by default, its environment variable is read.
        name: A name for messages.
        deadlines: How long to wait for each kind of answer.
        tools: Functions that the model may call; a dict in the API's format is a tool that you answer manually.
        commentary: Whether comments by the model on its own work are part of its answers: ``drop`` or ``keep``.
        recover: Whether to reconnect after a drop and restore the conversation.
        renew_after_s: The age at which its socket is replaced; with ``recover``, by default a minute before the limit.
        debug: Whether the booth shows the session; None follows ``TAU_DEBUG``.
        debug_voice_in: Whether the session accepts audio from the booth's microphone.
        **options: Settings of the session: ``voice`` (by default ``marin``, at xAI ``ara``), ``instructions``,
            ``turn_detection``, ``transcription`` (a model, its fields, or ``off``), ``input_format``, and so on.

    Raises:
        UsageError: An endpoint, a voice or an option is unknown, or a required key or resource is missing.
        ConnectFailed: The server cannot be reached, or refused the connection.
        SessionError: The server did not answer correctly.

    >>> import anyio
    >>> from tau_stage import Response, create_session, open_understudy
    >>> async def talk() -> Response:
    ...     async with open_understudy() as url, create_session(endpoint=url, output_modalities=("text",)) as session:
    ...         return await session.response()
    >>> anyio.run(talk).status
    'completed'
    """
    place, waits = place_of(endpoint, dialect), deadlines or Deadlines()
    url, equipment = place.address(model, _host_of(place, resource)), [*map(Tool.of, tools)]
    options, doubt = _wishes_at(place, options, equipment)
    wanted = asked_session(**{"turn_detection": None, **place.named(model), **options})
    policy = ReconnectPolicy.at(place, recover=recover, renew_after_s=renew_after_s)
    own = _customs(place, name=name, model=model, deadlines=waits, commentary=commentary, tools=equipment)
    own |= {"debug": debug, "shown": {"model": model, "listens": debug_voice_in}}
    async with _living(partial(_dialled, place, url, api_key, waits), wanted, policy, **own) as session:
        session.warnings.extend(filter(None, [doubt]))
        yield session


@asynccontextmanager
async def _dialled(place: endpoints.Endpoint, url: str, key: Key, waits: Deadlines) -> AsyncIterator[Transport]:
    """Open a socket; the key is asked for each time."""
    limit_s = waits.opening_s
    try:
        with anyio.fail_after(limit_s):
            headers = await headers_for(place, key)
    except TimeoutError:
        raise Timeout(what=f"API key for {place.name}", waited_s=limit_s) from None
    async with AsyncExitStack() as closing:
        try:
            dialled = dial(url, headers, open_timeout_s=limit_s, closing_s=waits.closing_s)
            transport = await closing.enter_async_context(dialled)
        except ConnectFailed as error:
            if place.name == protocol.UNDERSTUDY and error.status is None:
                raise replace(error, hint=START_UNDERSTUDY) from None
            raise
        yield transport


def _host_of(place: endpoints.Endpoint, resource: str) -> str:
    """Return the user's own host at an endpoint; empty where there is none, or the endpoint has a usual one."""
    host = resource or environment().get(place.resource_env, "")
    if not (host or place.resource) and "{resource}" in place.url:
        raise UsageError(f"{place.name} needs the host of your own resource, but {place.resource_env} is not set")
    return host


def _wishes_at(
    place: endpoints.Endpoint, wishes: Mapping[str, object], tools: Sequence[Tool]
) -> tuple[dict[str, object], str]:
    """Complete wishes by an endpoint's voice and transcriber, or refuse a misspelt voice; return a doubt, too."""
    voice = wishes.get("voice")
    voice = default_voice(place.name) if voice is None else voice
    asked = {**wishes, **({"tools": tuple(tool.definition for tool in tools)} if tools else {}), "voice": voice}
    if not voice:
        del asked["voice"]
    name = voice if isinstance(voice, str) else ""
    _refuse_misspelt(name, place)
    wanted = asked.get("transcription")
    if isinstance(wanted, Mapping) and "model" not in wanted and (model := default_transcription(place.name)):
        asked["transcription"] = {"model": model, **wanted}
    return asked, name and voice_warning(name, place.name)


def _customs(place: endpoints.Endpoint, **options: object) -> dict[str, Any]:
    """Return a session's options, with what it has to know of its endpoint."""
    heard = {"heard_as": Format("audio/pcm", place.heard_rate)} if place.heard_rate != RATE else {}
    own = {"dialect": place.dialect, "opening": place.opening, "speaks_verbatim": place.speaks_verbatim}
    return {"prices": place.price_provider, **own, **heard, **options}


def place_of(name: str, dialect: str | None = None) -> endpoints.Endpoint:
    """Return the endpoint of that name; a ``UsageError`` says that there is none, or no such dialect."""
    try:
        return endpoints.endpoint(name, dialect)
    except KeyError as error:
        known = ", ".join(endpoints.ENDPOINTS)
        raise UsageError(f"unknown endpoint or dialect {error.args[0]!r}", f"use {known}, or a ws:// URL") from None


async def headers_for(place: endpoints.Endpoint, key: Key = None) -> dict[str, str]:
    """Return what the upgrade carries, with the key given or in the environment; a ``UsageError`` tells of none."""
    if callable(key):
        token = key()
        bearer = protocol.check_key(_plain(await token if isawaitable(token) else token), "the result of api_key")
        return place.extra_headers | {"Authorization": f"Bearer {bearer}"}
    secret = _plain(key)
    found = protocol.check_key(secret, "api_key") if secret else place.key_in(environment())
    if found is None and place.wants_key:
        hint = f'set it, or pass api_key; endpoint="{protocol.UNDERSTUDY}" needs no key: {START_UNDERSTUDY}'
        raise UsageError(f"{place.name} needs a key, but {place.key_env[0]} is not set", hint)
    return place.headers(found)


def _plain(key: object) -> str:
    """Return a key as text; none is empty."""
    if isinstance(key, SecretStr):
        return key.get_secret_value()
    if key is None or isinstance(key, str):
        return key or ""
    raise UsageError(
        f"expected a key as a string, got {type(key).__name__}", "pass api_key as a str, a SecretStr, or a function"
    )


def format_of(wanted: client_events.SessionConfig, side: str) -> Format:
    """Tell how sound is to travel, as a session is asked for; 24 kHz PCM where it is not said."""
    form = getattr(getattr(wanted.audio, side, None), "format", None)
    return PCM16 if form is None else Format(form.type, getattr(form, "rate", 8_000))


Connect = Callable[[], AbstractAsyncContextManager[Transport]]


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """Whether a session comes back after a drop, and the age at which it moves to a new socket, between two turns."""

    recover: bool = False
    renew_after_s: float = inf

    @classmethod
    def at(cls, place: endpoints.Endpoint, *, recover: bool, renew_after_s: float | None) -> ReconnectPolicy:
        """Complete what is wished: who comes back moves a minute before the endpoint's cap."""
        usual_age = place.cap_s - 60 if recover else inf
        return cls(recover, usual_age if renew_after_s is None else renew_after_s)

    @property
    def lasts(self) -> bool:
        """Whether the session may get another socket."""
        return self.recover or self.renew_after_s < inf


class Lifecycle:
    """One session over as many sockets as it needs, one at a time; each is asked for the session that is wanted.

    A socket has one task, its reader; only a session that may get another socket has one more.
    """

    def __init__(
        self,
        session: Session,
        connect: Connect,
        wanted: protocol.SessionConfig,
        policy: ReconnectPolicy,
        group: TaskGroup,
    ) -> None:
        self._session = session
        self._connect = connect
        self._wanted = wanted
        self._policy = policy
        self._group = group

    async def open(self) -> None:
        """Open the session and keep it open until it is closed for good; a ``SessionError`` says it did not open."""
        over = await self._open()
        self._session.reopens = self._policy.recover
        if self._policy.lasts:
            self._group.start_soon(self._keep_open, over)

    async def _keep_open(self, over: anyio.Event) -> None:
        while True:
            with anyio.move_on_after(self._policy.renew_after_s):
                await over.wait()
            if self._session.is_closing or (over.is_set() and not self._policy.recover):
                break
            again = await (self._reconnect() if over.is_set() else self._renew(over))
            if again is None:
                break
            over = again
        self._session.over()

    async def _open(self) -> anyio.Event:
        """Open a socket, and make its server what the old one's was. Return what is set when it is closed."""
        opened: tuple[Wire, anyio.Event] = await self._group.start(self._socket)
        wire, over = opened
        await self._restore(wire)
        log_event("session", logging.INFO, f"{self._session.name}: the session is open")
        return over

    async def _socket(self, *, task_status: TaskStatus[tuple[Wire, anyio.Event]]) -> None:
        """Read from one socket, from its opening to its end."""
        over = anyio.Event()
        try:
            async with self._connect() as transport:
                wire = self._session.new_wire(transport)
                task_status.started((wire, over))
                await wire.listen()
        finally:
            over.set()
            if not self._policy.lasts:
                self._session.over()

    async def _restore(self, wire: Wire) -> None:
        """Make a new socket's server what the old one's was, then speak through it."""
        async with AsyncExitStack() as failing:
            failing.push_async_callback(wire.close)
            await self._session.begin(self._wanted, wire)
            for entry in list(self._session.conversation.items.values()):
                if item := self._item(entry):
                    await wire.answer(await wire.send(protocol.ConversationItemCreate(item=item)))
            failing.pop_all()
        if former := self._session.swap(wire):
            await former.close()

    def _item(self, entry: protocol.Entry) -> protocol.ClientItem | None:
        """Make an entry for a new conversation: a user's sound as sound, what the model said as its words."""
        if entry.role != "user" or entry.audio is None:
            return _in_words(entry)
        sound = pybase64.b64encode(self._session.heard_as.encode(entry.audio)).decode("ascii")
        return items.UserMessage(id=entry.id, content=(items.InputAudio(audio=sound, transcript=entry.transcript),))

    async def _reconnect(self) -> anyio.Event | None:
        session, tally = self._session, Tally()
        why = session.wire.closed or SessionClosed(code=ABNORMAL)
        wait_s: float | None = 0.0
        while wait_s is not None:
            await anyio.sleep(wait_s)
            if session.is_closing:
                break
            try:
                over = await self._open()
            except SessionError as error:
                failure = f"{session.name}: reconnecting failed: {error.what_happened()}"
                log_event("session", logging.WARNING, failure)
                wait_s = tally.wait_s("lost")
            else:
                session.warn(
                    with_clause(why.what_happened(), "the session was reconnected, and its conversation was restored")
                )
                return over
        return None

    async def _renew(self, old: anyio.Event) -> anyio.Event:
        """Move to a new socket when no response is under way; where none can be had, stay on the old one."""
        try:
            while self._session.conversation.active:
                await self._session.wait_for("response.done", self._session.deadlines.response_s)
            over = await self._open()
        except SessionError as error:
            self._session.warn(f"the session could not be renewed: {error.what_happened()}")
            return old
        self._session.warn("the session was renewed before it expired")
        return over


def _in_words(entry: protocol.Entry) -> protocol.ClientItem | None:
    words = entry.text or entry.transcript
    if entry.call:
        call = entry.call
        return items.FunctionCall(id=entry.id, name=call.name, arguments=call.arguments, call_id=call.call_id)
    if entry.output is not None:
        return items.FunctionCallOutput(id=entry.id, call_id=entry.answers or "", output=entry.output)
    if not words:
        return None
    match entry.role:
        case "system":
            return items.SystemMessage(id=entry.id, content=(items.InputText(text=words),))
        case "assistant":
            return items.AssistantMessage(id=entry.id, content=(items.OutputText(text=words),))
        case _:
            return items.UserMessage(id=entry.id, content=(items.InputText(text=words),))


def _refuse_misspelt(voice: str, place: endpoints.Endpoint) -> None:
    if meant := voice and misspelt(voice, place.name):
        known = ", ".join(voices_of(place.name) or ())
        raise UsageError(f"unknown voice '{voice}' at {place.name}", f"did you mean '{meant}'? voices: {known}")
