"""Openings as servers have them: what is waited for, what is done without, what is said of it. On a virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tau_stage.errors import ConnectFailed, ModelRefused, SessionClosed, SessionError, Timeout, unwrapped
from tau_stage.protocol.client_events import conducted
from tau_stage.protocol.endpoints import UNKNOWN_OPENING, USUAL_OPENING, Opening
from tau_stage.session import Deadlines, Session, open_session
from tau_stage.transport import MemoryTransport

SHORT = Deadlines(opening_s=3, request_s=3, response_s=3, closing_s=1)
CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}
CONVERSATION = {"type": "conversation.created", "conversation": {"id": "conv_1"}}
ERROR = {"type": "error", "error": {"code": "bad_key", "message": "That is no key."}}

Told = dict[str, Any]


@asynccontextmanager
async def opened(
    *greeting: Told | float, answer: tuple[Told, ...] = (UPDATED,), opening: Opening = USUAL_OPENING, closes: int = 0
) -> AsyncIterator[Session]:
    """A session with a server that says these things, with these pauses, and answers ``session.update`` so."""
    ours, server = MemoryTransport.pair()

    async def say(event: Told) -> None:
        await server.send(json.dumps({"event_id": "event_1", **event}).encode())

    async def serve() -> None:
        for step in greeting:
            await (say(step) if isinstance(step, dict) else anyio.sleep(step))
        if closes:
            await server.aclose(closes, "go away")
            return
        try:
            asked = json.loads(await server.receive())
        except SessionClosed:
            return
        assert asked["type"] == "session.update"
        for event in answer:
            await say(event)

    wanted = conducted(voice="ash")
    with unwrapped():
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            async with open_session(ours, wanted, name="clerk", deadlines=SHORT, opening=opening) as session:
                yield session
            group.cancel_scope.cancel()


async def opens(*greeting: Told | float, **how: Any) -> tuple[list[str], float]:
    """What it warns of, and how long it took."""
    began = anyio.current_time()
    async with opened(*greeting, **how) as session:
        return session.warnings, anyio.current_time() - began


async def fails(*greeting: Told | float, **how: Any) -> SessionError:
    with pytest.raises(SessionError) as caught:
        await opens(*greeting, **how)
    return caught.value


@pytest.mark.parametrize("opening", [USUAL_OPENING, Opening("conversation.created"), UNKNOWN_OPENING])
@pytest.mark.parametrize("greeting", [(CREATED,), (CONVERSATION,), ({"type": "ping"}, CONVERSATION, CREATED)])
async def test_either_greeting_will_do_at_once(opening: Opening, greeting: tuple[Told, ...]) -> None:
    assert await opens(*greeting, opening=opening) == ([], 0)


async def test_a_server_that_does_not_greet_is_asked_all_the_same_where_its_way_is_not_known() -> None:
    assert await opens(opening=UNKNOWN_OPENING) == ([], 1)
    error = await fails({"type": "ping"}, opening=USUAL_OPENING)
    assert str(error) == "player clerk: no session.created within 3 s; the server sent ping"


async def test_a_session_that_is_not_confirmed_goes_on_with_a_warning_where_the_way_is_not_known() -> None:
    warned = (
        "no session.updated within 3 s; the server sent session.created; "
        "voice, instructions and turn detection may differ from the request"
    )
    assert await opens(CREATED, answer=(), opening=UNKNOWN_OPENING) == ([warned], 3)
    error = await fails(CREATED, answer=())
    assert isinstance(error, Timeout)
    assert str(error) == "player clerk: no session.updated within 3 s; the server sent session.created"
    assert "no session.created and no session.updated within 3 s; the server sent nothing" in str(
        await fails(answer=(), opening=UNKNOWN_OPENING)
    )


async def test_a_session_that_is_never_confirmed_there_is_waited_for_a_moment_only() -> None:
    assert await opens(CREATED, answer=(), opening=Opening(confirms=False)) == ([], 1)
    assert await opens(CREATED, opening=Opening(confirms=False)) == ([], 0)
    refusal = {"type": "error", "error": {"code": "no_voice", "message": "No such voice.", "event_id": "tau_evt_1"}}
    for opening in (Opening(confirms=False), USUAL_OPENING, UNKNOWN_OPENING):
        error = await fails(CREATED, answer=(refusal,), opening=opening)
        assert isinstance(error, ModelRefused)
        assert str(error) == "player clerk: the model refused (no_voice): No such voice."


@pytest.mark.parametrize("opening", [USUAL_OPENING, UNKNOWN_OPENING])
async def test_an_error_instead_of_a_greeting_is_the_refusal_with_the_servers_words(opening: Opening) -> None:
    for closes in (0, 4000):
        began = anyio.current_time()
        error = await fails(ERROR, closes=closes, opening=opening)
        assert isinstance(error, ConnectFailed)
        assert (error.reason, error.code, error.close_code) == ("That is no key.", "bad_key", closes or None)
        assert anyio.current_time() - began <= 0.5
    assert await opens(ERROR, 0.25, CREATED, opening=opening) == ([], 0.25)
    closed = await fails(closes=1013, opening=opening)
    assert isinstance(closed, ConnectFailed)
    assert (closed.reason, closed.close_code) == ("go away", 1013)


async def test_an_error_that_nothing_follows_is_in_the_sentence() -> None:
    elsewhere = {"type": "error", "error": {"code": "busy", "message": "Not yet.", "event_id": "tau_evt_99"}}
    error = await fails(CREATED, answer=(elsewhere,))
    assert str(error).endswith('no session.updated within 3 s; the server sent session.created and error ("Not yet.")')
    assert isinstance(await fails(CREATED, answer=(elsewhere,), opening=UNKNOWN_OPENING), Timeout)


async def test_a_sentence_does_not_become_endless() -> None:
    strange = [{"type": f"{number}" * 999} for number in range(9)]
    assert len(str(await fails(*strange))) < 500
    assert str(await fails(*strange)).endswith(" and 4 more")
