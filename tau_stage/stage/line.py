"""One line: the words go in, the sound comes out, and what may pass is tried again."""

from __future__ import annotations

import re
from collections.abc import Callable

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ModelRefused
from tau_stage.protocol.client_events import ConversationItemCreate
from tau_stage.protocol.conversation import Response, Sounded
from tau_stage.protocol.items import InputText, UserMessage
from tau_stage.scene.plan import LinePlan
from tau_stage.session import Session

ATTEMPTS = {"rate_limit_exceeded": 6, "server_error": 3}
"""How often a response that failed for a passing reason is asked for, in all."""

EMPTY_ATTEMPTS = 2
"""How often a line is asked for when the model answers with nothing."""

TRY_AGAIN = re.compile(r"try again in ([\d.]+)\s*(ms|s)\b", re.IGNORECASE)


async def say(
    session: Session,
    line: LinePlan,
    *,
    sounded: Callable[[Pcm], None],
    again: Callable[[Response, float], None],
) -> tuple[Response, int]:
    """Let a player say its line. The words and the request for a response leave together: one round trip.

    Args:
        session: The player's.
        line: From the plan.
        sounded: Told of the sound as it arrives.
        again: Told of a response that is asked for once more, and after how many seconds.

    Returns:
        The response, and how many attempts it took.

    Raises:
        SessionError: The line cannot be had.
    """
    words = UserMessage(id=f"line_{line.number}", content=(InputText(text=line.prompt),))
    asked = await session.wire.send(ConversationItemCreate(event_id=f"say_{line.number}", item=words))
    attempt = 1
    while True:
        response = await _attempt(session, line, sounded)
        if attempt == 1:
            await session.wire.answer(asked)
        wait_s = _wait(response, attempt)
        if wait_s is None:
            return response, attempt
        again(response, wait_s)
        await anyio.sleep(wait_s)
        attempt += 1


async def _attempt(session: Session, line: LinePlan, sounded: Callable[[Pcm], None]) -> Response:
    options = {} if line.max_output_tokens is None else {"max_output_tokens": line.max_output_tokens}
    speaking = await session.speak(metadata={"line": line.id}, **options)
    async for change in speaking:
        if isinstance(change, Sounded):
            sounded(change.audio)
    return await speaking.finished()


def _wait(response: Response, attempt: int) -> float | None:
    """Seconds until the line is asked for again; None where the response stands.

    Raises:
        ModelRefused: It failed, and for good.
    """
    if response.status == "failed":
        code = response.reason or "failed"
        if attempt >= ATTEMPTS.get(code, 1):
            raise ModelRefused(code=code, message=response.message or "the response failed without a word")
        return _asked_wait(response.message) or 0.5 * 2 ** (attempt - 1)
    silent = not (response.audio or response.text or response.calls)
    return 0.0 if silent and attempt < EMPTY_ATTEMPTS else None


def _asked_wait(message: str) -> float | None:
    """The wait a provider asks for in its sentence; on a socket there is no header for it."""
    found = TRY_AGAIN.search(message)
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found else None
