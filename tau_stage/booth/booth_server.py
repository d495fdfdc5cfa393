"""The booth as a server of this machine: its page, and the sockets of pages and of those who publish.

Theory of operation
===================

Everything lies below a token that nobody can guess: ``http://127.0.0.1:PORT/TOKEN/``. Each request must name this
server as its ``Host``, so that a name which somebody lets point here opens nothing. Each socket must name it as its
``Origin``, so that a page from elsewhere cannot open one. The page may load nothing from elsewhere, and holds no script
of its own.

A source that publishes sends its hello first. A page opens one socket: messages in JSON, sound in binary, both ways.
"""

from __future__ import annotations

import io
import json
import logging
import mimetypes
import os
import secrets
import socket
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hmac import compare_digest
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import uvicorn
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tau_stage.audio import Pcm
from tau_stage.booth.hub import Hub, PageQueue, as_object
from tau_stage.booth.past_takes import TakeEditor
from tau_stage.environment import log_event
from tau_stage.errors import UsageError, lone, unwrapped
from tau_stage.protocol import JsonObject
from tau_stage.publisher import booth_file, is_running, last_booth

LOOPBACK = ("127.0.0.1", "::1", "localhost")
LARGEST_MESSAGE = 32 * 1024 * 1024
"""Bytes of a message of a source, as of an event of a provider."""

LARGEST_WISH = 1024 * 1024
"""Bytes of a message of a page: two seconds of sound are less than a tenth of it."""

LARGEST_WHOLE = 8 * 1024 * 1024
"""Bytes of a file that is read at once."""

CLOSING_S = 2.0
"""Seconds that open sockets have when a booth ends."""

MOST_WISHES = 256
"""Wishes of pages that may wait for one source."""

NOT_UNDERSTOOD, NOT_ALLOWED, TOO_LARGE = 1003, 1008, 1009
"""Close codes (RFC 6455, section 7.4.1)."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Lets in what comes for this server, by its token.

    Attributes:
        app: What is behind it.
        hosts: What ``Host`` may say; None where the booth is open to other machines.
        token: The first part of each path.
    """

    app: ASGIApp
    hosts: frozenset[str]
    token: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open one socket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        problem = self._problem(scope)
        if not problem:
            scope = {**scope, "path": "/" + scope["path"].partition(self.token)[2].lstrip("/")}
            await self.app(scope, receive, send)
            return
        log_event("booth", logging.WARNING, f"refused {scope['type']} from {_peer(scope)}: {problem}")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": NOT_ALLOWED, "reason": problem})
        else:
            await PlainTextResponse(f"{problem}\n", 403, HEADERS)(scope, receive, send)

    def _problem(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return "this server has another name"
        if origin is None and scope["type"] == "websocket":
            return "a socket names its origin"
        if origin is not None and origin not in {f"http://{name}" for name in self.hosts}:
            return "this page is from elsewhere"
        if not compare_digest(scope["path"].strip("/").partition("/")[0].encode(), self.token.encode()):
            return "the address has another token: use the one that tau-stage booth printed"
        return ""


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "nobody"


@dataclass(frozen=True, slots=True)
class Booth:
    """A booth's hub behind its routes.

    Attributes:
        hub: What it knows.
        editor: Performs lines again, and picks takes.
    """

    hub: Hub
    editor: TakeEditor

    def app(self) -> Starlette:
        """Make the routes."""
        routes = [
            Route("/", self.page),
            Route("/page/{name}", self.asset),
            Route("/sound/{source:int}/{item}", self.sound),
            Route("/take/{source:int}/{path:path}", self.take_file),
            WebSocketRoute("/publish", self.publish),
            WebSocketRoute("/watch", self.watch),
        ]
        return Starlette(routes=routes)

    async def page(self, _request: Request) -> Response:
        """Serve the page."""
        return _asset("index.html")

    async def asset(self, request: Request) -> Response:
        """Serve a script, a style or a picture of the page."""
        return _asset(request.path_params["name"])

    async def sound(self, request: Request) -> Response:
        """Serve the sound of an item that was published, as WAV."""
        sound = self.hub.sound_of(request.path_params["source"], request.path_params["item"])
        if sound is None:
            return PlainTextResponse("this sound is not kept any more\n", 404, HEADERS)
        return Response(_wav(sound), headers=HEADERS, media_type="audio/wav")

    async def take_file(self, request: Request) -> Response:
        """Serve a file of a take whose source has named its folder."""
        source = self.hub.sources.get(request.path_params["source"])
        folder = Path(str(source.hello.get("folder", ""))) if source else Path()
        if not folder.is_absolute():
            return PlainTextResponse("there is no such take\n", 404, HEADERS)
        file = (folder / request.path_params["path"]).resolve()
        if not file.is_relative_to(folder.resolve()) or not file.is_file():
            return PlainTextResponse("there is no such file\n", 404, HEADERS)
        if file.stat().st_size <= LARGEST_WHOLE:  # a line may get its tags just now: its length is of what is read
            kind = mimetypes.guess_type(file.name)[0]
            return Response(await anyio.Path(file).read_bytes(), headers=HEADERS, media_type=kind)
        return FileResponse(file, headers=HEADERS)

    async def publish(self, websocket: WebSocket) -> None:
        """Take in what one source says, and send it what pages ask for."""
        await websocket.accept()
        wishes, waiting = anyio.create_memory_object_stream[JsonObject](MOST_WISHES)
        why, source = "it is over", None

        def send(wish: JsonObject) -> None:
            try:
                wishes.send_nowait(wish)
            except anyio.WouldBlock:
                raise ValueError("whoever it is for does not listen") from None

        async def pass_on() -> None:
            async for wish in waiting:
                await websocket.send_text(json.dumps(wish, ensure_ascii=False))

        try:
            async with wishes, waiting, anyio.create_task_group() as group:
                hello = as_object(from_json(await websocket.receive_text()))
                source = self.hub.join(as_object(hello.get("hello")), send)
                group.start_soon(pass_on)
                while True:
                    self.hub.take_in(source, await websocket.receive_text())
        except* WebSocketDisconnect as gone:
            why = "it is over" if _code(gone) in (1000, 1001) else "its connection was lost"
        except* (ValueError, TypeError, KeyError) as failure:
            why = "it sent what is no message"
            log_event("booth", logging.WARNING, f"a source is closed: {lone(failure)!r}")
            with suppress(RuntimeError):
                await websocket.close(NOT_UNDERSTOOD, why)
        finally:
            if source:
                self.hub.leave(source, why)

    async def watch(self, websocket: WebSocket) -> None:
        """Show one page what happens, and take what it asks for."""
        await websocket.accept()
        query = websocket.query_params
        seen = query.get("seen", "0")
        page = self.hub.open_page(query.get("epoch", ""), int(seen) if seen.isdecimal() else 0)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._show, websocket, page)
                await self._listen(websocket, page)
                group.cancel_scope.cancel()
        except* (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self.hub.close_page(page)

    async def _show(self, websocket: WebSocket, page: PageQueue) -> None:
        while True:
            for message in await page.next():
                if isinstance(message, str):
                    await websocket.send_text(message)
                else:
                    await websocket.send_bytes(message)
            await anyio.sleep(0.01)  # what comes together travels together

    async def _listen(self, websocket: WebSocket, page: PageQueue) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, sound = message.get("text"), message.get("bytes")
            if max(len(text or ""), len(sound or b"")) > LARGEST_WISH:
                await websocket.close(TOO_LARGE, "a page sends less at once")
                return
            about: object = None
            try:
                if sound is not None:
                    self.hub.hear(int.from_bytes(sound[:4], "little"), sound[4:])
                else:
                    wish = as_object(json.loads(text or ""))
                    about = wish.get("id")
                    self._take_wish(page, wish)
            except (ValueError, RecursionError, UsageError) as error:
                self.hub.answer(page, about, str(error))

    def _take_wish(self, page: PageQueue, wish: JsonObject) -> None:
        to = wish.get("to")
        match wish.get("do"):
            case "listen":
                wanted = wish.get("sources")
                page.listens = None if wanted is None else frozenset(each for each in wanted if isinstance(each, int))
            case "retake" | "pick" as what:
                source = self.hub.sources.get(to) if isinstance(to, int) else None
                self.editor.order(source, what, wish, lambda problem: self.hub.answer(page, wish.get("id"), problem))
            case _:
                self.hub.ask(page, wish)


def _code(gone: BaseExceptionGroup[WebSocketDisconnect]) -> int:
    failure = lone(gone)
    return failure.code if isinstance(failure, WebSocketDisconnect) else 0


def _wav(sound: Pcm) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(sound.data)
    return made.getvalue()


def _asset(name: str) -> Response:
    file = files("tau_stage.booth") / "page" / name
    kind = TYPES.get(Path(name).suffix)
    if kind is None or "/" in name or not file.is_file():
        return PlainTextResponse("there is no such file\n", 404, HEADERS)
    return Response(file.read_bytes(), headers=HEADERS, media_type=kind)


# ---- its life


class _Server(uvicorn.Server):
    """A server that leaves signals to the program it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listening(host: str, port: int, prefer: int = 0) -> socket.socket:
    """Bind a port; where any will do, the one that is preferred, if it is free.

    Raises:
        UsageError: It is taken, or the address is none of this machine.
    """
    if prefer and not port:
        with suppress(UsageError):
            return _listening(host, prefer)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        own = socket.socket(family, socket.SOCK_STREAM)
        try:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind((host, port))
            own.listen()  # who comes before the server has started waits
        except OSError:
            own.close()
            raise
    except OSError as error:
        hint = "leave --port away: a free one is taken"
        raise UsageError(f"{host}:{port} cannot be used: {error.strerror or error}", hint) from None
    return own


def _settings(door: Doorkeeper) -> uvicorn.Config:
    return uvicorn.Config(
        door,
        log_config=None,
        lifespan="off",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )


@asynccontextmanager
async def open_booth(
    hub: Hub | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    prefer: int = 0,
    token: str = "",
    allow_remote: bool = False,
) -> AsyncIterator[str]:
    """Serve a booth while the block runs; return the address of its page.

    Args:
        hub: What it knows; a fresh one, if none is given.
        host: A loopback address.
        port: 0 takes a free one.
        prefer: The one that is taken then, if it is free.
        token: Of the address; a fresh one, if none is given.
        allow_remote: Whether other machines may reach it, by an address that is not loopback.

    Raises:
        UsageError: The address is not loopback, or taken.
    """
    if host not in LOOPBACK and not allow_remote:
        hint = "add --allow-remote, if whoever has the address may hear and read all sessions, and speak in them"
        raise UsageError(f"{host} lets other machines in", hint)
    hub = hub or Hub()
    editor = TakeEditor(hub)
    token = token or secrets.token_urlsafe(24)
    own = _listening(host, port, prefer)
    number = own.getsockname()[1]
    names = {"127.0.0.1", "localhost", "[::1]"} | ({host, socket.gethostname()} if allow_remote else set())
    door = Doorkeeper(Booth(hub, editor).app(), frozenset(f"{name}:{number}" for name in names), token)
    server = _Server(_settings(door))
    ended = anyio.Event()

    async def serve() -> None:
        await server.serve([own])
        ended.set()

    with unwrapped():
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            shown = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{number}/{token}/"
            group.start_soon(editor.run, url)
            try:
                yield url
            finally:
                server.should_exit = True
                with anyio.move_on_after(CLOSING_S, shield=True):
                    await ended.wait()
                group.cancel_scope.cancel()


@asynccontextmanager
async def announced(url: str, variables: Mapping[str, str]) -> AsyncIterator[None]:
    """Say where the user's booth is while the block runs, in a file that only the user can read."""
    file = booth_file(variables)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_address(file, url, os.getpid())
    try:
        yield
    finally:
        told = last_booth(variables)
        if told and told.pid == os.getpid():
            _write_address(file, url, 0)


def _write_address(file: Path, url: str, pid: int) -> None:
    draft = file.with_suffix(f".{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"url": url, "pid": pid}), "utf-8")
    draft.replace(file)


def former_address(variables: Mapping[str, str]) -> tuple[int, str]:
    """Return port and token of this user's last booth, so that open pages find the next one; 0 and "" if there is none.

    A booth that still runs keeps its own.
    """
    last = last_booth(variables)
    if last is None or is_running(last.pid):
        return 0, ""
    parts = urlsplit(last.url)
    return parts.port or 0, parts.path.strip("/")
