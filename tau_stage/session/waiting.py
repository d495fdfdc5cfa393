"""What a session waits for: answers to requests, and responses while they come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from tau_stage.errors import ModelRefused, SessionClosed, SessionError, Timeout
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.conversation import Change, Ended, Response, Sounded, Worded
from tau_stage.protocol.requests import Request
from tau_stage.signals import Signal
from tau_stage.transport import ABNORMAL


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a session waits, in seconds; nothing waits for ever.

    Attributes:
        opening_s: For the connection, ``session.created`` and ``session.updated``, each.
        request_s: For the answer to a request.
        response_s: For the next sign of a response that is under way.
        closing_s: For the close handshake.
    """

    opening_s: float = 10.0
    request_s: float = 30.0
    response_s: float = 60.0
    closing_s: float = 2.0


class Receipt:
    """A request that is on its way, and its answer when it comes.

    Args:
        request: What was asked.
        size: Bytes of it.
    """

    def __init__(self, request: Request, size: int = 0) -> None:
        self.request = request
        self.size = size
        self._settled = anyio.Event()
        self._outcome: told.ServerEvent | SessionError = SessionClosed(code=ABNORMAL)

    def settle(self, outcome: told.ServerEvent | SessionError) -> None:
        """Give the answer, or the reason why there will be none; only the first counts."""
        if self._settled.is_set():
            return
        self._outcome = outcome
        self._settled.set()

    async def answer(self) -> told.ServerEvent:
        """Wait for the server's answer.

        Raises:
            ModelRefused: The server answered with an error.
            SessionClosed: The session closed first.
        """
        await self._settled.wait()
        if isinstance(self._outcome, SessionError):
            raise self._outcome.about()
        if isinstance(self._outcome, told.ErrorEvent):
            raise refusal(self._outcome.error)
        return self._outcome


def refusal(error: bodies.ServerError) -> ModelRefused:
    """Turn a server's error into our exception."""
    return ModelRefused(
        code=error.code or error.type, message=error.message, param=error.param, event_id=error.event_id
    )


class Speaking:
    """A response that was asked for: its sound and words while they come, then the whole.

    Iterate for ``Sounded`` and ``Worded`` changes; ``finished`` gives the ``Response``.

    Args:
        idle_s: How long the server may be silent.
        before: What was asked before it, and was not answered yet.

    Attributes:
        before: As given.
        instead: What came in its place, as a sentence; empty where there is nothing to say.
    """

    def __init__(self, idle_s: float, before: Sequence[Request] = ()) -> None:
        self.before = before
        self.instead = ""
        self._idle_s = idle_s
        self._began_at = anyio.current_time()
        self._first_audio_s: float | None = None
        self._first_text_s: float | None = None
        self._compute_s: float | None = None
        self._changes: deque[Change] = deque()
        self._changed = Signal()
        self._failure: SessionError | None = None
        self._response: Response | None = None

    def tell(self, change: Change) -> None:
        """Take in what the reader found."""
        elapsed_s = anyio.current_time() - self._began_at
        if isinstance(change, Sounded) and not change.commentary and self._first_audio_s is None:
            self._first_audio_s = elapsed_s
        elif isinstance(change, Worded) and not change.commentary and self._first_text_s is None:
            self._first_text_s = elapsed_s
        elif isinstance(change, Ended):
            self._compute_s = elapsed_s
        self._changes.append(change)
        self._changed.notify()

    def fail(self, why: SessionError) -> None:
        """Note that nothing more will come."""
        self._failure = why
        self._changed.notify()

    def __aiter__(self) -> Speaking:
        return self

    async def __anext__(self) -> Change:
        if self._response is not None:
            raise StopAsyncIteration
        change = await self._next()
        if isinstance(change, Ended):
            self._response = replace(
                change.response,
                first_audio_s=self._first_audio_s,
                first_text_s=self._first_text_s,
                compute_s=self._compute_s,
            )
            raise StopAsyncIteration
        return change

    async def _next(self) -> Change:
        with anyio.move_on_after(self._idle_s):
            while not self._changes:
                if self._failure:
                    raise self._failure.about()
                await self._changed.wait()
            return self._changes.popleft()
        raise Timeout(what="sign of the response", waited_s=self._idle_s, instead=self.instead)

    async def finished(self) -> Response:
        """Wait for the whole response, however it ended: look at its ``status``.

        Raises:
            ModelRefused: The server refused to begin.
            SessionClosed: The session closed first.
            Timeout: The server fell silent.
        """
        while self._response is None:
            async for _ in self:
                pass
        return self._response
