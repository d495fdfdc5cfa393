"""Sockets: text frames in order, between a session and a server. The only module that knows websockets.

Everything above speaks to a ``Transport``; a memory pair stands for a socket where no network is wanted.
It is one file because all that knows the inside of websockets changes with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import anyio
import anyio.lowlevel
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.typing import Subprotocol

from tau_stage.environment import environment, known_keys
from tau_stage.errors import ConnectFailed, SessionClosed, Timeout, UsageError, format_if
from tau_stage.protocol import NO_SECRETS, UNPRINTABLE, Proxy, Secrets, Striker, check_address, origin, proxy_for
from tau_stage.signals import Signal
from tau_stage.text import redact_url

ABNORMAL = 1006  # close code of a connection that ended without a close frame (RFC 6455, section 7.4.1)

PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 2.0
LONGEST_ANSWER = 65_536  # bytes of what a proxy says before it connects

LONGEST_RETRY_AFTER_S = 86_400.0
QUEUED_FRAMES = 16

LARGEST_EVENT = 32 * 1024 * 1024
"""Bytes of an event, either way; the largest a client may send has 15 MiB of sound in base64."""

LARGE = 65_536  # bytes of a message from which on it is masked once for all who are sent it

WHOLE_TEXT = 0x81  # the first byte of a message of text in one frame

TOO_LARGE = 1009
REASONS = {
    ABNORMAL: "the connection was lost",
    TOO_LARGE: f"received an event larger than {LARGEST_EVENT // 1024**2} MiB",
}
WEBSOCKETS_ONLY = (
    "This server supports only WebSocket. Connect with a Realtime client to ws://, not to http:// or wss://."
)


def require_asyncio() -> None:
    """Refuse to open sockets, with a ``UsageError``, where another loop than asyncio's runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        hint = "run the program with anyio.run(main) or asyncio.run(main())"
        raise UsageError("tau-stage opens its sockets with asyncio, but this program runs on trio", hint) from None


SERVER_LOG = logging.getLogger("tau_stage.server")
SERVER_LOG.setLevel(logging.WARNING)  # what is below shows frames and headers, and so keys
SERVER_LOG.addFilter(lambda record: record.msg != "opening handshake failed")
"""Of servers; who knocks and is no client is answered, which is nobody's error."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
"""How OpenSSL says, in one version or another, that what answers is no TLS."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Transport(Protocol):
    """One open connection: whole text frames, in order, both ways."""

    async def send(self, frame: bytes) -> None:
        """Send one frame; waits while the peer does not read.

        Raises:
            SessionClosed: The connection is closed.
        """

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            SessionClosed: The connection is closed and everything before that was read.
        """

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close in order; closing twice is harmless."""

    def drop(self) -> None:
        """Cut the connection without a word, as a failing network does."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asked for when it connected; names of headers are in lower case."""

    path: str = "/v1/realtime"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's answer to a handshake that it does not take: plain HTTP."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


ConnectionHandler = Callable[[Transport, Handshake], Awaitable[None]]
"""Serves one connection until it is closed."""

AdmissionCheck = Callable[[Handshake], Awaitable[Refusal | None]]
"""Refuses a handshake, or lets it in with None."""


async def admit_all(_handshake: Handshake) -> Refusal | None:
    """Let everybody in."""
    return None


class _Connection(Connection):
    """A connection whose messages are taken all at once; while too many wait, none is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._messages: list[bytes] = []
        self._parts = bytearray()
        self._is_parted = False
        self._reader: asyncio.Future[None] | None = None
        super().connection_made(transport)

    def process_event(self, event: Event) -> None:
        """Take data off what websockets has parsed."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._parts += event.data
        self._is_parted = not event.fin
        if event.fin:
            self._messages.append(bytes(self._parts))
            self._parts.clear()

    def data_received(self, data: bytes) -> None:
        """Wake whoever reads when all that has come is parsed."""
        super().data_received(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._wake()

    async def messages(self) -> list[bytes]:
        """Wait for messages and return all that have come.

        Raises:
            ConnectionClosed: No more will come.
            ConcurrencyError: Somebody else waits.
        """
        if self._reader:
            raise ConcurrencyError("two tasks read from one connection")
        while not self._messages:
            if self.connection_lost_waiter.done():
                raise self.protocol.close_exc
            self._reader = self.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        taken, self._messages = self._messages, []
        self.transport.resume_reading()
        return taken

    async def send_text(self, frame: bytes) -> None:
        """Send a message of text; wait while the peer does not read."""
        await self.send(frame, text=True)

    def _wake(self) -> None:
        if len(self._messages) > QUEUED_FRAMES:
            self.transport.pause_reading()
        if self._reader and not self._reader.done():
            self._reader.set_result(None)


class WebSocketTransport:
    """An open websocket as a ``Transport``; secrets are struck out of all that comes in."""

    def __init__(
        self, connection: _Connection, secrets: Secrets = NO_SECRETS, closing_s: float = CLOSE_TIMEOUT_S
    ) -> None:
        self._connection = connection
        self._secrets = secrets
        self._closing_s = closing_s
        self._striker = Striker(secrets)
        self._waiting: deque[bytes] = deque()

    async def send(self, frame: bytes) -> None:
        """Send one text frame."""
        try:
            await self._connection.send_text(frame)
        except (WebSocketException, OSError, EOFError) as error:
            raise self._ended(error) from None

    async def receive(self) -> bytes:
        """Return the next frame, undecoded."""
        while not self._waiting:
            try:
                frames = await self._connection.messages()
            except (WebSocketException, OSError, EOFError) as error:
                raise self._ended(error) from None
            for frame in frames:
                self._waiting.extend(self._striker.strike(frame))
        if len(self._waiting) % QUEUED_FRAMES == 0:
            await asyncio.sleep(0)  # what the frames before have led to comes first: many are sound, and arrive at once
        return self._waiting.popleft()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close with a close frame, whose reason is cut to the 123 bytes that fit (RFC 6455, section 5.5)."""
        told = reason.encode(errors="replace")[:123].decode(errors="ignore")
        try:
            with suppress(WebSocketException, OSError, RuntimeError), anyio.move_on_after(self._closing_s):
                await self._connection.close(code, told)
        finally:
            self.drop()

    def drop(self) -> None:
        """Cut the TCP connection."""
        self._connection.transport.abort()

    def _ended(self, error: Exception) -> Exception:
        """Tell whatever ends a connection as its end; two readers are ours to mend."""
        if isinstance(error, ConcurrencyError):
            return error
        if not isinstance(error, ConnectionClosed):
            return SessionClosed(code=ABNORMAL, reason=self._secrets.strike(str(error)) or REASONS[ABNORMAL])
        if error.rcvd is None:
            code = error.sent.code if error.sent and not error.rcvd_then_sent else ABNORMAL
            return SessionClosed(code=code, reason=REASONS.get(code, ""))
        return SessionClosed(code=error.rcvd.code, reason=self._secrets.strike(error.rcvd.reason))


class _Moved(InvalidHandshake):
    """The server names another address; it is no ``InvalidStatus``, so that no version of websockets goes there."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _StayingConnection(_Connection, ClientConnection):
    """A connection that follows no redirect: the key goes to the host that the user named, and to no other.

    websockets follows redirects to other hosts by itself, before 16.1 with all headers, and since without some.

    A message of text that arrives in one piece, as most do, is taken as it is: websockets' own parser takes several
    times as long. Whatever else arrives it is given, byte for byte: the handshake, other frames, parts of frames.

    Attributes:
        _rest: The beginning of a frame's header that has come.
        _theirs: How many bytes are to come of a frame that websockets reads.
    """

    _rest = b""
    _theirs = 0

    async def handshake(self, *args: Any, **options: Any) -> None:
        """Perform the opening handshake."""
        try:
            await super().handshake(*args, **options)
        except InvalidStatus as error:
            if 300 <= error.response.status_code < 400:
                raise _Moved(error.response) from None
            raise

    def data_received(self, data: bytes) -> None:
        """Take whole messages of text off what arrives."""
        at = 0
        while at < len(data) and self.protocol.state is State.CONNECTING:
            begin, at = at, data.find(b"\n", at) + 1 or len(data)
            super().data_received(data[begin:at])
        data, at, self._rest = self._rest + data[at:], 0, b""
        may_take = self._may_take
        while at < len(data):
            if self._theirs:
                begin, at = at, min(at + self._theirs, len(data))
                self._theirs -= at - begin
                super().data_received(data[begin:at])
                may_take = self._may_take
            elif (found := _frame_at(data, at)) is None:
                self._rest = data[at:]
                break
            elif may_take and data[at] == WHOLE_TEXT and data[at + 1] < 128 and found[1] <= len(data):
                self._messages.append(data[found[0] : found[1]])
                at = found[1]
            else:
                self._theirs = found[1] - at
        self._wake()

    async def send_text(self, frame: bytes) -> None:
        """Send a message of text; a large one that goes to many is masked once."""
        if is_open := self.protocol.state is State.OPEN:
            masked = _masked(frame) if len(frame) >= LARGE else Frame(Opcode.TEXT, frame).serialize(mask=True)
            self.transport.write(memoryview(masked))
        if self.paused or not is_open:
            async with self.send_context():  # waits, and raises what the connection has ended with
                pass

    @property
    def _may_take(self) -> bool:
        """Whether a message may come in a frame of its own."""
        return not self._is_parted and self.protocol.state is State.OPEN


_last_masked: deque[tuple[bytes, bytes]] = deque(maxlen=2)


def _masked(frame: bytes) -> bytes:
    """Make a masked frame of a large message: one for all who are sent the same bytes, with one random mask.

    A mask keeps what a client sends from looking like another protocol to what stands between (RFC 6455, section 10.3).
    It must not be known before it is sent, and the next message has another one. Whoever has seen this one can tell
    nothing but further copies of the same message, and what is so large is sound in base64.
    """
    for known, masked in tuple(_last_masked):
        if known is frame:
            return masked
    masked = Frame(Opcode.TEXT, frame).serialize(mask=True)
    _last_masked.append((frame, masked))
    return masked


def _frame_at(data: bytes, at: int) -> tuple[int, int] | None:
    r"""Return where the payload of a frame begins and ends; None where its header is not there (RFC 6455, section 5.2).

    >>> _frame_at(b"\x81\x02ab", 0), _frame_at(b"\x81\x7e\x01", 0), _frame_at(b"\x81\x7e\x01\x00", 0)
    ((2, 4), None, (4, 260))
    """
    if len(data) < at + 2:
        return None
    length, begin = data[at + 1] & 127, at + 2
    if length > 125:
        begin += 2 if length == 126 else 8
        length = int.from_bytes(data[at + 2 : begin])
    begin += 4 if data[at + 1] & 128 else 0
    return (begin, begin + length) if begin <= len(data) else None


@asynccontextmanager
async def dial(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    open_timeout_s: float = 10.0,
    closing_s: float = CLOSE_TIMEOUT_S,
) -> AsyncIterator[Transport]:
    """Open a websocket at ``ws://`` or ``wss://``, and close it in the end, which may take ``closing_s``.

    The headers are sent with the upgrade; they hold the key, which is struck out of errors and of all that comes in.

    Raises:
        UsageError: The address cannot be dialled, or the proxy of the environment cannot be used.
        ConnectFailed: The server refused the upgrade, has moved, or cannot be reached.
        Timeout: The upgrade took too long.
    """
    require_asyncio()
    proxy = proxy_for(check_address(url), environment())
    secrets = Secrets.of(url, headers or {}, known_keys())
    connection = await _upgraded(url, headers, proxy, secrets, open_timeout_s, closing_s)
    transport = WebSocketTransport(cast("_Connection", connection), secrets, closing_s)
    try:
        yield transport
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


async def _upgraded(
    url: str,
    headers: Mapping[str, str] | None,
    proxy: Proxy | None,
    secrets: Secrets,
    open_timeout_s: float,
    closing_s: float,
) -> ClientConnection:
    place = redact_url(url.partition("?")[0])
    try:
        with anyio.fail_after(open_timeout_s):
            way: dict[str, Any] = {"proxy": proxy.plain_url if proxy else None}
            if proxy and proxy.url.lower().startswith("http://"):
                way = {"sock": await _tunnel(url, proxy)}
            return await connect(
                url,
                additional_headers=headers,
                compression=None,
                max_size=LARGEST_EVENT,
                open_timeout=None,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                close_timeout=closing_s,
                create_connection=_StayingConnection,
                **way,
            )
    except InvalidStatus as error:
        raise _refused(place, error.response, secrets) from None
    except _Moved as moved:
        raise _moved(url, place, moved.response, secrets) from None
    except TimeoutError:
        what = "answer to the websocket upgrade" + format_if(" through {}", proxy)
        raise Timeout(what=what, waited_s=open_timeout_s, endpoint=place) from None
    except (WebSocketException, OSError, EOFError, ValueError, RuntimeError) as error:
        raise ConnectFailed(reason=secrets.strike(_why(error, url, proxy)), endpoint=place) from None


class _ProxyRefused(OSError):
    """What a proxy said instead of yes."""


def _connect_request(server: str, user: str | None, password: str | None) -> bytes:
    request = f"CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n"
    if user is not None:
        login = f"{unquote(user)}:{unquote(password or '')}".encode()
        request += f"Proxy-Authorization: Basic {b64encode(login).decode()}\r\n"
    return f"{request}\r\n".encode()


async def _tunnel(url: str, proxy: Proxy) -> socket.socket:
    """Return a socket that leads through an HTTP proxy to the server; an ``OSError`` tells that there is none.

    websockets can do so too, but leaves an exception in the event loop where the proxy hangs up.
    """
    there, parts = urlsplit(proxy.url), urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    server = f"{_bracketed(host)}:{origin(parts)[2]}"
    reader, writer = await asyncio.open_connection(there.hostname, there.port or 80, limit=LONGEST_ANSWER)
    try:
        writer.write(_connect_request(server, there.username, there.password))
        status = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if not status:
            raise _ProxyRefused("it does not respond like a proxy")
        if not status[1].startswith(b"2"):
            raise _ProxyRefused(f"HTTP {status[1].decode()}")
        own: socket.socket = writer.get_extra_info("socket").dup()
        return own
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise _ProxyRefused("it does not answer") from None
    finally:
        writer.transport.abort()


def _bracketed(host: str) -> str:
    """Write a host as in an address: an IPv6 address has brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _why(error: Exception, url: str, proxy: Proxy | None) -> str:
    """Tell why there is no connection, in one sentence, with what to do and the proxy that may be to blame."""
    if isinstance(error, InvalidProxyStatus) and proxy:
        said = f"{proxy} refused: HTTP {error.response.status_code}"
    elif isinstance(error, _ProxyRefused):
        said = f"{proxy} refused: {error}"
    else:
        said = _plainly(error, url) + format_if(", through {}", proxy)
    return said + format_if("; if the host needs no proxy, add it to no_proxy", proxy)


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}; "
            "if you trust it, set SSL_CERT_FILE to a file with its authority's certificate"
        )
    if error.reason in _NO_TLS:
        return "the server does not use TLS; write ws:// if that is intended"
    return f"TLS failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}"


def _plainly(error: Exception, url: str) -> str:
    """Return what an exception of a library says of a connection that could not be opened."""
    match error:
        case ssl.SSLError():
            return _tls_problem(error)
        case InvalidMessage():
            hint = "; write wss:// if it uses TLS" if urlsplit(url).scheme == "ws" else ""
            return f"the server did not send an HTTP response{hint}"
        case ProxyError() if str(error.__cause__ or ""):
            return f"{error}: {error.__cause__}"
        case ConnectionError() if not error.strerror:
            return REASONS[ABNORMAL]
        case _:
            return str(error) or type(error).__name__


def _refused(place: str, response: Response, secrets: Secrets) -> ConnectFailed:
    said = secrets.strike(bytes(response.body or b"").decode(errors="replace"))
    return ConnectFailed(
        reason=" ".join(said.split())[:300] or secrets.strike(response.reason_phrase),
        status=response.status_code,
        retry_after_s=_retry_after_s(response.headers),
        endpoint=place,
    )


def _moved(url: str, place: str, response: Response, secrets: Secrets) -> ConnectFailed:
    told = ", but did not send its new address"
    if there := next(iter(response.headers.get_all("Location")), ""):
        with suppress(ValueError):  # it is no address, and shown as it is
            there = urljoin(url, there)
        there = UNPRINTABLE.sub("", secrets.strike(redact_url(there)))[:300]
        told = f" to {re.sub('^http', 'ws', there, flags=re.IGNORECASE)}; use that endpoint if you trust it"
    return ConnectFailed(reason=f"the server has moved{told}", status=response.status_code, endpoint=place)


def _retry_after_s(headers: Headers) -> float | None:
    """Read the wait a server asks for: in milliseconds (Azure), in seconds, or until a date; None for nonsense."""
    for name, unit_s in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        for value in headers.get_all(name):
            if (wait_s := _seconds_of(value.strip(), headers)) is not None:
                return min(wait_s * unit_s, LONGEST_RETRY_AFTER_S)
    return None


def _seconds_of(value: str, headers: Headers) -> float | None:
    if _NUMBER.fullmatch(value):
        return float(value)
    then, now = _date(value), _date(next(iter(headers.get_all("Date")), ""))
    wait_s = (then or 0.0) - (time.time() if now is None else now)
    return wait_s if wait_s > 0 else None


def _date(value: str) -> float | None:
    """Parse an HTTP date, in seconds since 1970."""
    try:
        return parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


@asynccontextmanager
async def serve(
    handle: ConnectionHandler, admit: AdmissionCheck = admit_all, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve websockets while the block runs, and yield the server's URL; what is still open then is cut short.

    ``handle`` is called for each connection, which closes when it returns; ``admit`` is asked about each handshake.
    Port 0 takes a free one; an ``OSError`` tells that a port is taken.
    """
    require_asyncio()
    visits: set[anyio.CancelScope] = set()

    async def converse(connection: ServerConnection) -> None:
        assert connection.request is not None  # noqa: S101 - websockets sets it before it calls
        transport = WebSocketTransport(cast("_Connection", connection))
        with anyio.CancelScope() as visit:
            visits.add(visit)
            try:
                await handle(transport, handshake_of(connection.request))
            except SessionClosed:
                return
            finally:
                visits.discard(visit)

    async with websockets_serve(
        converse,
        host,
        port,
        process_request=_answering(admit),
        select_subprotocol=_realtime,
        compression=None,
        max_size=LARGEST_EVENT,
        ping_interval=None,
        close_timeout=CLOSE_TIMEOUT_S,
        server_header="tau-stage",
        create_connection=_HttpAware,
        logger=SERVER_LOG,
    ) as server:
        bound = next(iter(server.sockets)).getsockname()[1]
        try:
            yield f"ws://{_bracketed(host)}:{bound}"
        finally:
            for visit in visits:
                visit.cancel()
            server.close()
            with anyio.CancelScope(shield=True):  # a handler may still be in a thread, and nobody waits for it after us
                await server.wait_closed()


def _answering(admit: AdmissionCheck) -> Callable[[ServerConnection, Request], Awaitable[Response | None]]:
    """Make a server's answer to requests: an upgrade, or plain HTTP where there is none."""

    async def answer(connection: ServerConnection, request: Request) -> Response | None:
        try:
            asked = handshake_of(request)
        except ValueError as error:
            return connection.respond(400, f"{redact_url(request.path)} is not a valid path: {error}.\n")
        refusal = await admit(asked)
        if refusal is None and "websocket" in ",".join(request.headers.get_all("Upgrade")).lower():
            return None
        refusal = refusal or Refusal(426, f"{WEBSOCKETS_ONLY}\n", {"Upgrade": "websocket"})
        response = connection.respond(refusal.status, refusal.body)
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    return answer


class _HttpAware(_Connection, ServerConnection):
    """Answers what is no GET request at all, like a POST, the hello of TLS or a port scan, which websockets drops."""

    _is_answered = False
    _so_far = 0

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes; later ones are none of our business."""
        expected = b"GET "[self._so_far :]
        if self.request is None and not self._is_answered and data[: len(expected)] != expected[: len(data)]:
            self._is_answered = True
            self.transport.write(_not_understood(data))
            self.transport.close()
        elif not self._is_answered:
            self._so_far += len(data)
            super().data_received(data)


def _not_understood(data: bytes) -> bytes:
    """Make a plain answer of one sentence."""
    is_http = re.match(rb"[A-Z]+ \S+ HTTP/1", data)
    status = "405 Method Not Allowed\r\nAllow: GET" if is_http else "400 Bad Request"
    body = f"{WEBSOCKETS_ONLY}\n"
    length = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return f"HTTP/1.1 {status}\r\n{length}\r\n{'' if data.startswith(b'HEAD ') else body}".encode()


def handshake_of(request: Request) -> Handshake:
    """Return what the client asked for."""
    parts = urlsplit(request.path)
    offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
    return Handshake(
        path=parts.path,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in request.headers.raw_items()},
        subprotocols=tuple(filter(None, map(str.strip, offered))),
    )


def _realtime(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None


class MemoryTransport:
    """One end of a connection inside this process, on any event loop and on a virtual clock."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, frame: bytes) -> None:
        """Send one frame; waits while the peer has 16 unread."""
        await self._outgoing.put(frame)

    async def receive(self) -> bytes:
        """Return the next frame."""
        return await self._incoming.get()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends; what was sent before can still be read."""
        self._shut(SessionClosed(code=code, reason=reason))
        await anyio.lowlevel.checkpoint()

    def drop(self) -> None:
        """Cut the connection."""
        self._shut(SessionClosed(code=ABNORMAL, reason=REASONS[ABNORMAL]))

    def _shut(self, closed: SessionClosed) -> None:
        self._outgoing.shut(closed)
        self._incoming.shut(closed)

    @classmethod
    def pair(cls) -> tuple[MemoryTransport, MemoryTransport]:
        """Make two ends of one connection."""
        there, back = _Pipe(), _Pipe()
        return cls(there, back), cls(back, there)


class _Pipe:
    """Frames one way, at most ``QUEUED_FRAMES`` of them unread."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._closed: SessionClosed | None = None
        self._changed = Signal()

    async def put(self, frame: bytes) -> None:
        if self._closed:
            raise self._closed.about()
        self._frames.append(frame)  # at once, as a socket does: who sends first is read first
        self._changed.notify()
        await anyio.lowlevel.checkpoint()
        await self._changed.until(lambda: len(self._frames) <= QUEUED_FRAMES or self._closed is not None)
        if self._closed and len(self._frames) > QUEUED_FRAMES:
            raise self._closed.about()

    async def get(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        await self._changed.until(lambda: bool(self._frames or self._closed))
        if self._closed and not self._frames:
            raise self._closed.about()
        self._changed.notify()
        return self._frames.popleft()

    def shut(self, closed: SessionClosed) -> None:
        self._closed = self._closed or closed
        self._changed.notify()
