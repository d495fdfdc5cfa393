"""Whatever goes wrong, wherever it strikes, ends in a typed error or a finished result within its deadline.

Every fault at every place, on a virtual clock; the twelve most telling ones once more over a real socket.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from tau_stage.errors import SessionError, StageError
from tau_stage.protocol.client_events import conducted
from tau_stage.protocol.responses import Response
from tau_stage.session import Deadlines, Session, create_session, open_session
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.memory_server import connected
from tests.support.tone_voice import Tones, tone

PATIENT = Deadlines(opening_s=2, request_s=3, response_s=4, closing_s=1)
LONGEST_S = 20.0

WHATS = typing.get_args(fault.What)
WHERES = typing.get_args(fault.Where)
STRIKES = [fault.Strike(what, where) for what, where in itertools.product(WHATS, WHERES)]
OTHERS: list[fault.Fault] = [
    fault.BusyDoor(times=9, retry_after_s=None),
    fault.BusyDoor(times=9, retry_after_s=1),
    fault.RefuseInBand("insufficient_quota", 1013, type="insufficient_quota"),
    fault.RefuseInBand("invalid_api_key", 3000),
    fault.RefuseInBand("session_expired", 1001),
    fault.FailResponses(times=9),
    fault.FailResponses(times=1, code="server_error", message=""),
    fault.FailResponses(times=9, code="insufficient_quota", message="No credit."),
    fault.BreakOff(),
    fault.EmptyResponses(),
    fault.RewordLines(),
    fault.SlowOpening(1),
    fault.SlowOpening(60),
    fault.Oddity.DELTAS,
    fault.Oddity.FIELDS,
    fault.Oddity.REPEATS,
    fault.Oddity.NO_IDS,
]
TELLING = [
    fault.SlowHandshake(1),
    fault.Strike("drop", "opening"),
    fault.Strike("close", "update"),
    fault.Strike("malformed", "item"),
    fault.Strike("refuse", "item"),
    fault.Strike("silence", "hearing"),
    fault.Strike("stall", "hearing"),
    fault.Strike("drop", "in_response"),
    fault.Strike("stall", "response"),
    fault.Strike("stray", "response"),
    fault.BusyDoor(times=9),
    fault.RefuseInBand("insufficient_quota", 1013),
    fault.FailResponses(times=9),
]


async def converse(opened: AbstractAsyncContextManager[Session]) -> list[Response]:
    """A short conversation: words, a response, sound, sound in the input buffer, another response."""
    async with opened as session:
        await session.user('Say: "Hello there, everybody."')
        responses = [await session.response()]
        await session.create_audio(tone("ash", "Hello."))
        await session.append_input_audio_buffer(tone("ash", "How are you?"))
        await session.commit_input_audio_buffer()
        responses.append(await session.response())
        return responses


async def outcome(opened: AbstractAsyncContextManager[Session]) -> str:
    """How a conversation ended: the error's name, or the statuses of its responses."""
    try:
        responses = await converse(opened)
    except StageError as error:
        return type(error).__name__ if str(error) else "an error without words"
    return " ".join(response.status for response in responses)


def in_memory(order: fault.Fault) -> AbstractAsyncContextManager[Session]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Session]:
        async with (
            connected(Understudy(Tones(), faults=[order]), judged=False) as transport,
            open_session(transport.inner, conducted(voice="ash"), name="clerk", deadlines=PATIENT) as session,
        ):
            yield session

    return opened()


def expected(order: fault.Fault) -> set[str]:
    """Outcomes that a fault may have."""
    match order:
        case (
            fault.Strike(what="stray")
            | fault.RewordLines()
            | fault.Oddity.DELTAS
            | fault.Oddity.FIELDS
            | fault.Oddity.REPEATS
            | fault.Oddity.NO_IDS
        ):
            return {"completed completed"}
        case fault.SlowOpening(seconds):
            return {"completed completed"} if seconds < PATIENT.opening_s else {"Timeout"}
        case fault.BreakOff():
            return {"incomplete completed"}
        case fault.EmptyResponses():
            return {"completed completed"}
        case fault.FailResponses(times):
            return {"failed failed"} if times > 1 else {"failed completed"}
        case fault.BusyDoor() | fault.RefuseInBand():
            return {"ConnectFailed"}
        case fault.SlowHandshake():
            return {"Timeout"}
        case fault.Strike(what="malformed", where="in_response"):
            return {"failed completed"}
        case fault.Strike(what="malformed"):
            return {"completed completed"}
        case fault.Strike(what="drop" | "close", where="opening" | "update"):
            return {"ConnectFailed"}
        case fault.Strike(what="drop" | "close"):
            return {"SessionClosed"}
        case fault.Strike(what="refuse" | "silence", where="opening" | "in_response" | "after_response"):
            return {"completed completed"}
        case fault.Strike(what="refuse"):
            return {"ModelRefused"}
        case fault.Strike(what="silence", where="item"):  # the server is there: what it owes is taken as done
            return {"Timeout", "completed completed"}
        case fault.Strike(what="silence", where="append"):  # no server answers it
            return {"completed completed"}
        case fault.Strike(what="stall", where="in_response" | "after_response"):
            return {"Timeout", "completed completed"}
        case _:
            return {"Timeout"}


@pytest.mark.parametrize("order", [*STRIKES, *OTHERS], ids=str)
async def test_every_fault_ends_in_time_and_by_name(order: fault.Fault) -> None:
    began = anyio.current_time()
    assert await outcome(in_memory(order)) in expected(order)
    assert anyio.current_time() - began < LONGEST_S


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len(STRIKES) + len(OTHERS) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("order", TELLING, ids=str)
async def test_the_most_telling_ones_over_a_real_socket(order: fault.Fault) -> None:
    """Slow: some wait for a real deadline, long enough for a busy machine."""
    quick = Deadlines(opening_s=0.6, request_s=2, response_s=2, closing_s=0.1)
    with anyio.fail_after(50):
        async with open_understudy(Understudy(Tones(), faults=[order])) as url:
            opened = create_session(endpoint=url, voice="ash", deadlines=quick)
            assert await outcome(opened) in expected(order)


async def test_closing_ends_in_time_whatever_the_server_does() -> None:
    for what in WHATS:
        order = fault.Strike(what, "after_response")
        began = anyio.current_time()
        try:
            async with in_memory(order) as session:
                await session.user('Say: "Hello."')
                await session.response()
        except SessionError:
            pass
        assert anyio.current_time() - began < LONGEST_S
