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
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tau_stage.audio import Pcm
from tau_stage.booth.hub import Hub, PageQueue, as_object, read_message
from tau_stage.booth.past_takes import TakeEditor
from tau_stage.environment import is_running, log_event
from tau_stage.errors import UsageError, lone, unwrapped
from tau_stage.protocol import JsonObject
from tau_stage.publisher import booth_file, last_booth

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

REFUSALS: Mapping[object, str] = {
    1002: "protocol error",
    1007: "invalid text",
    TOO_LARGE: "message too large",
}
LONGEST_NUMBER = 16
"""Digits of a number in a path."""

NOTHING = "file not found\n"

THEME = files("tau_stage.report") / "templates" / "theme.css"
"""The look that the page has in common with ``report.html``."""

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
        hosts: What ``Host`` may say.
        token: The first part of each path.
        is_remote: Whether other machines are let in: then ``Host`` may be an address, too, which is nobody's name.
    """

    app: ASGIApp
    hosts: frozenset[str]
    token: str
    is_remote: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open one socket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        problem = self._problem(scope)
        if not problem and scope["type"] == "http" and scope["path"] == f"/{self.token}":
            await RedirectResponse(f"/{self.token}/", headers=HEADERS)(scope, receive, send)
            return
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
        if host not in self.hosts and not (self.is_remote and _is_address(host)):
            return "wrong host name"
        if origin is None and scope["type"] == "websocket":
            return "the Origin header is missing"
        if origin is not None and origin != f"http://{host}":
            return "the page has a different origin"
        if not compare_digest(scope["path"].strip("/").partition("/")[0].encode(), self.token.encode()):
            return "wrong token in the address: use the address that tau-stage booth printed"
        return ""


def _is_address(host: str) -> bool:
    """Tell whether a ``Host`` is an address in digits."""
    try:
        return bool(ip_address(urlsplit(f"//{host}").hostname or ""))
    except ValueError:
        return False


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "nobody"


@dataclass(frozen=True, slots=True)
class Booth:
    """A booth's hub behind its routes."""

    hub: Hub  # what it knows
    editor: TakeEditor  # performs lines again, and picks takes

    def app(self) -> Starlette:
        """Make the routes."""
        routes = [
            Route("/", self.page),
            Route("/page/{name}", self.asset),
            Route("/sound/{source}/{item}", self.sound),
            Route("/take/{source}/{path:path}", self.take_file),
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
        sound = self.hub.sound_of(_number(request.path_params["source"]), request.path_params["item"])
        if sound is None:
            return PlainTextResponse("this audio is no longer available\n", 404, HEADERS)
        return Response(_wav(sound), headers=HEADERS, media_type="audio/wav")

    async def take_file(self, request: Request) -> Response:
        """Serve a file of a take whose source has named its folder."""
        source = self.hub.sources.get(_number(request.path_params["source"]))
        try:
            file = source and _file_within(str(source.hello["folder"]), request.path_params["path"])
            if file and file.stat().st_size <= LARGEST_WHOLE:
                # a line may get its tags just now: its length is of what is read
                kind = mimetypes.guess_type(file.name)[0]
                return Response(await anyio.Path(file).read_bytes(), headers=HEADERS, media_type=kind)
        except (OSError, KeyError):
            file = None
        return FileResponse(file, headers=HEADERS) if file else PlainTextResponse(NOTHING, 404, HEADERS)

    async def publish(self, websocket: WebSocket) -> None:
        """Take in what one source says, and send it what pages ask for."""
        await websocket.accept()
        wishes, waiting = anyio.create_memory_object_stream[JsonObject](MOST_WISHES)
        why, source = "ended", None

        def send(wish: JsonObject) -> None:
            try:
                wishes.send_nowait(wish)
            except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise ValueError("the recipient does not respond") from None

        async def pass_on() -> None:
            async for wish in waiting:
                await websocket.send_text(json.dumps(wish, ensure_ascii=False))

        try:
            async with wishes, waiting, anyio.create_task_group() as group:
                hello = read_message(await websocket.receive_text())
                source = self.hub.join(as_object(hello.get("hello")), send)
                group.start_soon(pass_on)
                while True:
                    self.hub.take_in(source, await websocket.receive_text())
        except* (WebSocketDisconnect, RuntimeError) as gone:
            why = "ended" if _code(gone) in (1000, 1001) else "its connection was lost"
            _log_refusal("source", _code(gone))
        except* (ValueError, TypeError, KeyError) as failure:
            why = "it sent an invalid message"
            log_event("booth", logging.WARNING, f"a source was closed: {lone(failure)!r}")
            with suppress(RuntimeError):
                await websocket.close(NOT_UNDERSTOOD, why)
        finally:
            if source:
                self.hub.leave(source, why)

    async def watch(self, websocket: WebSocket) -> None:
        """Show one page what happens, and take what it asks for."""
        await websocket.accept()
        query = websocket.query_params
        page = self.hub.open_page(query.get("epoch", ""), _number(query.get("seen", "0")))
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

    def _take_message(self, page: PageQueue, text: str, sound: bytes | None) -> None:
        about: object = None
        try:
            if sound is not None:
                self.hub.hear(int.from_bytes(sound[:4], "little"), sound[4:])
            else:
                wish = _read_wish(text)
                about = wish.get("id") if isinstance(wish.get("id"), int | str) else None
                self._take_wish(page, wish)
        except (ValueError, UsageError) as error:
            self.hub.answer(page, about, str(error))

    async def _listen(self, websocket: WebSocket, page: PageQueue) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                _log_refusal("page", message.get("code"))
                return
            text, sound = message.get("text"), message.get("bytes")
            if max(len(text or ""), len(sound or b"")) > LARGEST_WISH:
                _log_refusal("page", TOO_LARGE)
                await websocket.close(TOO_LARGE, "the message from the page is too large")
                return
            self._take_message(page, text or "", sound)

    def _take_wish(self, page: PageQueue, wish: JsonObject) -> None:
        to = wish.get("to")
        match wish.get("do"):
            case "listen":
                wanted = wish.get("sources")
                page.listens = frozenset(filter(_is_number, wanted)) if isinstance(wanted, list) else None
            case "retake" | "pick" as what:
                source = self.hub.sources.get(to) if isinstance(to, int) else None
                self.editor.order(source, what, wish, lambda problem: self.hub.answer(page, wish.get("id"), problem))
            case _:
                self.hub.ask(page, wish)


def _number(text: str) -> int:
    """Read a number of a path or a query; 0 where it is none."""
    return int(text) if text.isdecimal() and len(text) < LONGEST_NUMBER else 0


def _is_number(thing: object) -> bool:
    return isinstance(thing, int)


def _file_within(folder: str, path: str) -> Path | None:
    """Return a file that lies within a folder, and does not only seem to; None where there is none.

    Raises:
        OSError: It cannot be looked at.
    """
    try:
        file = (Path(folder) / path).resolve()
        return file if file.is_relative_to(Path(folder).resolve()) and file.is_file() else None
    except (ValueError, RuntimeError):  # no path of a file, or links in a circle
        return None


def _read_wish(text: str) -> JsonObject:
    """Read what a page asks for; what is no message is logged.

    Raises:
        ValueError: It is none.
    """
    try:
        return read_message(text)
    except ValueError as error:
        log_event("booth", logging.WARNING, f"a page sent an invalid message: {str(error)[:200]!r}")
        raise


def _log_refusal(whose: str, code: object) -> None:
    """Log why a socket was closed, if the other end did what it must not."""
    if problem := REFUSALS.get(code):
        log_event("booth", logging.WARNING, f"the socket of a {whose} was closed: {problem}")


def _code(gone: BaseExceptionGroup[WebSocketDisconnect | RuntimeError]) -> int:
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
    file = THEME if name == THEME.name else files("tau_stage.booth") / "page" / name
    kind = TYPES.get(Path(name).suffix)
    if kind is None or "/" in name or "\0" in name or not file.is_file():
        return PlainTextResponse(NOTHING, 404, HEADERS)
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
        hint = "remove --port to use a free port"
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}", hint) from None
    return own


def _settings(door: Doorkeeper) -> uvicorn.Config:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # what matters is logged here
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
        hint = "add --allow-remote if anyone with the address may listen to, monitor and join all sessions"
        raise UsageError(f"{host} is not a loopback address", hint)
    hub = hub or Hub()
    editor = TakeEditor(hub)
    token = token or secrets.token_urlsafe(24)
    own = _listening(host, port, prefer)
    number = own.getsockname()[1]
    names = {"127.0.0.1", "localhost", "[::1]"} | ({host, socket.gethostname()} if allow_remote else set())
    door = Doorkeeper(Booth(hub, editor).app(), frozenset(f"{name}:{number}" for name in names), token, allow_remote)
    server = _Server(_settings(door))
    ended = anyio.Event()

    async def serve() -> None:
        await server.serve([own])
        ended.set()

    with unwrapped():
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            url = f"http://{_shown_host(host)}:{number}/{token}/"
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
    """Say where the user's booth is while the block runs, in a file that only the user can read.

    A booth that was there before, and still is, is the user's again in the end.
    """
    file = booth_file(variables)
    if file is None:
        yield
        return
    before = last_booth(variables)
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_address(file, url, os.getpid())
    try:
        yield
    finally:
        told = last_booth(variables)
        if told and told.pid == os.getpid():
            is_another = before and before.pid != os.getpid() and is_running(before.pid)
            _write_address(file, *((before.url, before.pid) if before and is_another else (url, 0)))


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


def _shown_host(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
