"""Publish what sessions and stages do to a booth: a debug server with a page, on this machine.

Theory of operation
===================

A ``Publisher`` is a queue and one task. Whoever publishes puts a message into the queue and goes on: a queue that is
full loses the message and counts it. The task looks for a booth, connects, says who publishes, sends what waits, and
hands on what the page asks for. Where there is no booth, it looks again after a while, and the queue is empty: what
happens while nobody watches is counted, and not kept. Whoever says hello tells the count, and what is to be known of
the time before. A booth that is slow, dies or comes back changes nothing for a publisher.

A message is one line of JSON; a frame holds as many as are waiting. Frames of a provider are passed on as they are, so
that publishing costs no parsing. Sound that a player is sent is left out, for a page needs only its size: it has the
speaker's own.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import anyio
import pybase64
from anyio.abc import TaskGroup

from tau_stage.audio import Pcm
from tau_stage.environment import cache_folder, environment, is_running, log_event
from tau_stage.errors import SessionError, UsageError, unwrapped
from tau_stage.protocol import JsonObject
from tau_stage.signals import Signal
from tau_stage.transport import Transport, dial

MOST_WAITING = 16 * 1024 * 1024
"""Bytes that may wait for a booth which does not read."""

FRAME = 256 * 1024
"""Bytes of messages that are sent in one frame, unless one alone has more."""

LOOK_AGAIN_S = 1.0
"""Seconds until a booth is looked for again."""

LAST_MOMENT_S = 1.0
"""Seconds that a booth has to take what waits when there is no more."""

CLOSING_S = 0.2
"""Seconds that a booth has to answer a close: one that hangs holds up no session that ends."""

Command = Callable[[JsonObject], Awaitable[object]]
"""Does what a page asks for; an error of ours is the page's answer."""

_SOUND = b'"audio":"'
_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True)
class BoothAddress:
    """Where a booth is."""

    url: str  # of its page, with its token: ``http://127.0.0.1:PORT/TOKEN/``
    pid: int = 0  # its process; 0 where that is not known

    @property
    def publishing(self) -> str:
        """Where it is told what happens."""
        return f"ws{self.url.removeprefix('http')}publish"

    @property
    def origin(self) -> str:
        """What its sockets want as ``Origin``."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def is_debugging(wished: bool | None, variables: Mapping[str, str] | None = None) -> bool:
    """Tell whether a session is to be published: as the program says, or ``TAU_DEBUG``.

    >>> is_debugging(None, {"TAU_DEBUG": "true"}), is_debugging(False, {"TAU_DEBUG": "1"}), is_debugging(None, {})
    (True, False, False)
    """
    variables = environment() if variables is None else variables
    return variables.get("TAU_DEBUG", "").strip().lower() in _TRUE if wished is None else wished


def booth_file(variables: Mapping[str, str]) -> Path | None:
    """Tell in which file the user's booth says where it is; None where there is no place for one."""
    folder = cache_folder(variables)
    return folder / "booth.json" if folder else None


def find_booth(variables: Mapping[str, str] | None = None) -> BoothAddress | None:
    """Find the booth that ``TAU_DEBUG_SERVER_URL`` names, or that of this user; None where there is none.

    Raises:
        UsageError: The variable names no page of a booth.
    """
    variables = environment() if variables is None else variables
    if named := variables.get("TAU_DEBUG_SERVER_URL", "").strip():
        if not _is_page(named):
            hint = "set it to the address that tau-stage booth printed, for example http://127.0.0.1:30020/TOKEN/"
            raise UsageError("TAU_DEBUG_SERVER_URL is not the address of a booth", hint)
        return BoothAddress(named.rstrip("/") + "/")
    booth = last_booth(variables)
    return booth if booth and is_running(booth.pid) else None


def last_booth(variables: Mapping[str, str]) -> BoothAddress | None:
    """Find where this user's booth is, or was when it ended; None where there was none."""
    file = booth_file(variables)
    try:
        told = json.loads(file.read_text("utf-8")) if file else {}
        return BoothAddress(told["url"], int(told["pid"])) if _is_page(told["url"]) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_page(url: str) -> bool:
    """Tell whether a text may be the address of a booth's page."""
    try:
        parts = urlsplit(url)
        is_open = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_open and bool(parts.path.strip("/"))


def without_sound(frame: bytes) -> bytes:
    """Return a client's event with the size of its sound in place of the sound.

    >>> without_sound(b'{"type":"input_audio_buffer.append","audio":"AAAAAAAA"}')
    b'{"type":"input_audio_buffer.append","audio":"<8>"}'
    """
    parts, at = [], 0
    while (found := frame.find(_SOUND, at)) >= 0:
        start = found + len(_SOUND)
        end = frame.find(b'"', start)
        if end < 0:
            break
        parts += [frame[at:start], b"<%d>" % (end - start)]
        at = end
    return b"".join([*parts, frame[at:]])


def _as_text(frame: bytes) -> bytes:
    """Return a frame in UTF-8, whatever a server has sent."""
    return frame if frame.isascii() else frame.decode(errors="replace").encode()


def _encoded(message: JsonObject) -> bytes:
    """Encode a message, whatever is in it: amounts and paths as text, halves of characters as ``?``."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace")


class Publisher:
    """Publishes one session, or one performance.

    Args:
        hello: Says who publishes, and by ``before`` what has happened so far; called for each connection.
        command: Does what a page asks for.

    Attributes:
        key: Tells it from all others.
        is_connected: Whether a booth is there, or is expected to be.
        missed: Messages that no booth was there for, since the last one was.
    """

    def __init__(self, hello: Callable[[], JsonObject], command: Command) -> None:
        self._hello = hello
        self._command = command
        self.key = secrets.token_hex(8)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self.missed = 0
        self._changed = Signal()
        self.is_connected = False
        self._is_over = False

    def publish(self, message: JsonObject) -> None:
        """Publish a message, if somebody listens and keeps up."""
        if self.is_connected:
            self._add(_encoded(message))
        else:
            self.missed += 1

    def pass_on(self, sender: str, at_s: float, frame: bytes) -> None:
        """Publish an event as it travels.

        Args:
            sender: ``server`` or ``client``.
            at_s: On the clock of the loop.
            frame: The event in JSON.
        """
        if self.is_connected:
            event = frame if sender == "server" else without_sound(frame)
            self._add(b'{"at":%.6f,"from":"%s","event":%s}' % (at_s, sender.encode(), event.replace(b"\n", b" ")))
        else:
            self.missed += 1

    def _forget(self) -> int:
        """Empty the queue; return how many messages it held."""
        count = len(self._waiting)
        self._waiting.clear()
        self._size = 0
        return count

    def _add(self, line: bytes) -> None:
        if self._size + len(line) > MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(line)
        self._size += len(line)
        if len(self._waiting) == 1:
            self._changed.notify()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Publish while the block runs, to whatever booth there is; what waits at its end has a moment to be sent."""
        ended = anyio.Event()

        async def run() -> None:
            await self._run()
            ended.set()

        self.is_connected = find_booth() is not None  # what comes before it has answered waits
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                try:
                    yield self
                finally:
                    self._is_over = True
                    self._changed.notify()
                    with anyio.move_on_after(LAST_MOMENT_S, shield=True):
                        await ended.wait()
                    group.cancel_scope.cancel()

    async def _run(self) -> None:
        problem = ""
        while not self._is_over:
            try:
                booth = find_booth()
                if booth:
                    await self._serve(booth)
                problem = ""
            except (SessionError, UsageError) as error:
                if problem != (problem := str(error)):
                    log_event("booth", logging.INFO, f"cannot connect to the booth: {problem}")
            finally:
                self.is_connected = False
                self.missed += self._forget()
            with anyio.move_on_after(LOOK_AGAIN_S):
                await self._changed.until(lambda: self._is_over)

    async def _serve(self, booth: BoothAddress) -> None:
        with unwrapped():
            async with (
                dial(booth.publishing, {"Origin": booth.origin}, closing_s=CLOSING_S) as transport,
                anyio.create_task_group() as group,
            ):
                about = self._hello()
                if "before" in about:  # it says what waits
                    self._forget()
                hello = {"hello": {"key": self.key, "pid": os.getpid(), "missed": self.missed, **about}}
                self.missed, self.is_connected = 0, True
                await transport.send(_encoded(hello))
                group.start_soon(self._listen, transport, group)
                await self._send(transport)
                group.cancel_scope.cancel()

    async def _send(self, transport: Transport) -> None:
        while True:
            await self._changed.until(lambda: bool(self._waiting) or self._is_over)
            if not self._waiting:
                return
            lines = [self._waiting.popleft()]
            size = len(lines[0])
            while self._waiting and size + len(self._waiting[0]) <= FRAME:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            self._size -= size
            if self._lost:
                lines.append(b'{"dropped":%d}' % self._lost)
                self._lost = 0
            await transport.send(_as_text(b"\n".join(lines)))

    async def _listen(self, transport: Transport, group: TaskGroup) -> None:
        """Do one thing after another that a page asks for."""
        while True:
            try:
                wish = json.loads(await transport.receive())
            except ValueError:
                continue
            except SessionError:
                group.cancel_scope.cancel()
                return
            if isinstance(wish, dict):
                self.publish({"answer": wish.get("id"), **await self._done(wish)})

    async def _done(self, wish: JsonObject) -> JsonObject:
        try:
            await self._command(wish)
        except (SessionError, UsageError, ValueError) as error:
            return {"problem": str(error)}
        return {}


def sound_of(wish: JsonObject) -> Pcm:
    """Return the sound that a page sends.

    Raises:
        ValueError: There is none, or no whole samples.
    """
    audio = wish.get("audio")
    if not isinstance(audio, str) or not audio:
        raise ValueError("no audio received")
    return Pcm(pybase64.b64decode(audio, validate=True))
