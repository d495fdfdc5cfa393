"""Cutting a model short: cancel what it says, and tell it how much of it was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from tau_stage.audio.pcm import RATE
from tau_stage.errors import ModelRefused, SessionClosed, Timeout
from tau_stage.protocol.client_events import ResponseCancel
from tau_stage.protocol.conversation import Response
from tau_stage.session.playback import Playback
from tau_stage.transport import ABNORMAL

if TYPE_CHECKING:
    from tau_stage.session.session import Session

TOO_LATE = "response_cancel_not_active"


async def cancel(session: Session, response_id: str | None = None) -> Response | None:
    """Stop a response, by default the one under way, and wait for its end; None if there is none any more.

    Raises:
        Timeout: It does not end.
        SessionClosed: The session closed first.
    """
    target = response_id or next(iter(session.conversation.active), None)
    if target not in session.conversation.active:
        return None
    limit = session.deadlines.request_s
    async with session.responses() as watch:
        await session.wire.send(ResponseCancel(event_id=session.fresh("evt"), response_id=target))
        with anyio.move_on_after(limit):
            async for response in watch:
                if isinstance(response, Response) and response.id == target:
                    return response
            raise (session.wire.closed or SessionClosed(code=ABNORMAL)).about(player=session.name)
    raise Timeout(what="end of the cancelled response", waited_s=limit, player=session.name)


async def interrupt(session: Session, playing: Playback | None, samples_heard: int | None) -> Response | None:
    """Cancel, then truncate to what was heard; words may have run ahead of the sound, though all of it was heard."""
    if playing and samples_heard is None:
        samples_heard = playing.heard_samples(anyio.current_time())
    response = await cancel(session)
    if not playing or samples_heard is None:
        return response
    broken_off = response is not None and response.status == "cancelled" and playing.item_id in response.item_ids
    if samples_heard < playing.samples or (broken_off and samples_heard == playing.samples):
        playing.stopped_at = samples_heard
        await cut(session, playing)
    return response


async def cut(session: Session, playing: Playback) -> None:
    """Truncate an item to where it was stopped; one that was not heard at all is deleted: 0 ms is refused."""
    end_ms = (playing.stopped_at or 0) * 1000 // RATE
    try:
        if end_ms:
            await session.truncate(playing.item_id, end_ms)
        else:
            await session.delete_conversation_item(playing.item_id)
    except (ModelRefused, Timeout) as error:
        session.warn(f"what was not heard could not be cut: {error.what_happened()}")
