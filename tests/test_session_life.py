"""A session lives on: it comes back after a drop, and moves to a new socket before its time is up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from tau_stage.errors import ConnectFailed, SessionClosed, Timeout, UsageError
from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.session import Deadlines, Session, create_session
from tau_stage.session.opening import ReconnectPolicy, _living, headers_for, place_of
from tau_stage.transport import Transport
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.memory_server import connected
from tests.support.tone_voice import Tones, tone
from tests.test_session import LINE, speak


@asynccontextmanager
async def living(house: Understudy, survival: ReconnectPolicy) -> AsyncIterator[Session]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Transport]:
        async with connected(house) as transport:
            yield transport

    wanted = session_config(voice="ash", instructions="Softly.", turn_detection=None)
    async with _living(connect, wanted, survival, name="clerk") as session:
        yield session


async def lookup(key: str) -> str:
    """Look it up."""
    return key


async def test_after_a_drop_it_is_opened_again_and_told_what_was_said() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=1)], keeps_visits=True)
    async with living(house, ReconnectPolicy(recover=True)) as session:
        await session.system("Whisper.")
        await session.user("A question.")
        await session.assistant("An answer.")
        await session.create_audio(tone("sage", "Heard."), "Heard.")
        await session.update(tools=[lookup])
        await session.user(LINE)
        with pytest.raises(SessionClosed):
            await session.response()
        await session.opened.wait()
        assert session.is_open
        response = await session.response()
        assert response.transcript == "Hello there."
        closed = "the session was closed (1006: the connection was lost)"
        assert session.warnings[0] == f"{closed}; the session was reconnected, and its conversation was restored"
        kept = [(entry.role, entry.text) for entry in session.conversation.items.values()][:3]
    assert kept == [("system", "Whisper."), ("user", "A question."), ("assistant", "An answer.")]
    assert list(house.visits[1].heard.values()) == [tone("sage", "Heard.")]


@pytest.mark.parametrize("recover", [True, False])
async def test_a_response_that_was_heard_and_dropped_has_an_unknown_cost(recover: bool) -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=1)])
    async with living(house, ReconnectPolicy(recover=recover)) as session:
        await session.user(LINE)
        with pytest.raises(SessionClosed):
            await session.response()
        assert session.usage.dollars is None
        assert session.usage.known == 0
        if recover:
            assert (await session.response()).status == "completed"
            assert session.usage.dollars is None
            assert session.usage.known > 0
            await session.playback_finished()
            assert session.status == "idle"


async def test_a_response_that_was_dropped_before_it_was_heard_costs_nothing() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "response", visit=1)])
    async with living(house, ReconnectPolicy()) as session:
        with pytest.raises(SessionClosed):
            await session.response()
        assert session.usage.dollars == 0


async def test_a_request_waits_while_the_session_is_opened_again() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)], keeps_visits=True)
    async with living(house, ReconnectPolicy(recover=True)) as session:
        house.faults = [*house.faults, fault.BusyDoor(times=2)]
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        await session.append_input_audio_buffer(tone("sage", "Hello."))
        await session.commit_input_audio_buffer()
        assert (await session.response()).status == "completed"
    assert (len(house.refused), len(house.visits)) == (2, 2)


async def test_a_request_waits_no_longer_than_its_deadline_nor_than_the_attempts() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)])
    async with living(house, ReconnectPolicy(recover=True)) as session:
        house.faults = [*house.faults, fault.BusyDoor(times=99)]
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        session.deadlines = replace(session.deadlines, request_s=0.1)
        with pytest.raises(Timeout, match=r"no new connection within 0\.1 s"):
            await session.user("Hello?")
        session.deadlines = replace(session.deadlines, request_s=60)
        with pytest.raises(SessionClosed):
            await session.user("Anybody?")
        assert len(house.refused) == 4


async def test_without_recovery_a_drop_is_the_end() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)])
    async with living(house, ReconnectPolicy()) as session:
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        assert not session.is_open
        with pytest.raises(SessionClosed):
            await session.wait_for("response.done")


async def test_a_provider_that_stays_away_is_given_up_after_some_attempts() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)])
    async with living(house, ReconnectPolicy(recover=True)) as session:
        house.faults = [*house.faults, fault.BusyDoor(times=99)]
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        began = anyio.current_time()
        with pytest.raises(SessionClosed):
            await session.wait_for("response.done", timeout_s=60)
        assert anyio.current_time() - began < 10
        assert len(house.refused) == 4


async def test_it_comes_back_when_the_provider_does() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)])
    async with living(house, ReconnectPolicy(recover=True)) as session:
        house.faults = [*house.faults, fault.BusyDoor(times=2)]
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        await session.opened.wait()
        assert (await speak(session)).status == "completed"


async def test_a_session_that_is_closed_while_it_waits_for_another_opening_stays_closed() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "item", visit=1)], keeps_visits=True)
    async with living(house, ReconnectPolicy(recover=True)) as session:
        house.faults = [*house.faults, fault.BusyDoor(times=1)]
        with pytest.raises(SessionClosed):
            await session.user("Hello.")
        await anyio.sleep(0.1)
        await session.close()
        await anyio.sleep(30)
        assert (len(house.refused), len(house.visits)) == (1, 1)


async def test_it_moves_to_a_new_socket_before_its_time_is_up_and_between_turns() -> None:
    house = Understudy(Tones(), expires_s=100, keeps_visits=True)
    async with living(house, ReconnectPolicy(renew_after_s=80)) as session:
        first = await speak(session)
        await anyio.sleep(95)
        assert session.is_open
        await anyio.sleep(20)
        second = await speak(session)
        assert second.status == "completed"
        assert "renewed" in session.warnings[0]
        assert session.id == "sess_0002"
        assert len(session.conversation.items) == 4
        assert session.usage.tokens == first.usage + second.usage
    assert len(house.visits) == 2


async def test_where_no_new_socket_can_be_had_it_stays_on_the_old_one() -> None:
    house = Understudy(Tones())
    async with living(house, ReconnectPolicy(renew_after_s=80)) as session:
        house.faults = [fault.BusyDoor(times=1)]
        await anyio.sleep(90)
        assert "could not be renewed" in session.warnings[0]
        assert (await speak(session)).status == "completed"
        await anyio.sleep(90)
        assert "was renewed" in session.warnings[1]
        assert (await speak(session)).status == "completed"


async def test_an_opening_that_fails_is_told_at_once_even_with_recovery() -> None:
    house = Understudy(Tones(), faults=[fault.BusyDoor(times=1)])
    with pytest.raises(ConnectFailed):
        async with living(house, ReconnectPolicy(recover=True)):
            pass


async def test_calls_and_outputs_are_told_again_too() -> None:
    house = Understudy(Tones())
    async with living(house, ReconnectPolicy(recover=True)) as session:
        await session.update(tools=[lookup])
        await session.user('Please lookup "the tide".')
        assert (await session.response()).transcript == "It says: the tide."
        session.raw.drop()
        await session.opened.wait()
        kinds = [entry.type for entry in session.conversation.items.values()]
        assert kinds == ["message", "function_call", "function_call_output", "message"]


# ---- keys and places


async def test_a_key_may_be_a_function_and_then_travels_as_a_bearer_token() -> None:
    async def token() -> str:
        return "entra"

    assert await headers_for(ENDPOINTS["azure"], token) == {"Authorization": "Bearer entra"}
    assert await headers_for(ENDPOINTS["azure"], lambda: "entra") == {"Authorization": "Bearer entra"}
    assert await headers_for(ENDPOINTS["azure"], "key") == {"api-key": "key"}


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="XAI_API_KEY is not set"):
        await headers_for(ENDPOINTS["xai"])
    with pytest.raises(UsageError, match="AZURE_OPENAI_ENDPOINT is not set"):
        async with create_session(endpoint="azure", api_key="k"):
            pass
    for name, dialect in (("opensesame", None), ("ws://x", "klingon")):
        with pytest.raises(UsageError, match="unknown endpoint or dialect"):
            place_of(name, dialect)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_understudy_has_a_name_too_and_speaks_any_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_understudy(Understudy(Tones())) as url:
        monkeypatch.setenv("TAU_STAGE_UNDERSTUDY", url)
        async with create_session(endpoint="understudy", voice="ash", tools=[lookup]) as session:
            assert (await speak(session)).audio == tone("ash", "Hello there.")
            assert [tool["name"] for tool in session.session["tools"]] == ["lookup"]
        async with create_session(endpoint=url, dialect="beta", voice="ash") as session:
            assert (await speak(session)).audio == tone("ash", "Hello there.")


async def test_a_key_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async def key() -> str:
        await anyio.sleep_forever()
        return ""

    with pytest.raises(Timeout, match="no API key for openai within 3 s"):
        async with create_session(api_key=key, deadlines=Deadlines(opening_s=3)):
            pass


async def test_a_response_that_does_not_end_keeps_a_session_where_it_is() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("stall", "in_response")], keeps_visits=True)
    async with living(house, ReconnectPolicy(renew_after_s=5)) as session:
        speaking = await session.speak(instructions="Hello.")
        await anyio.sleep(200)
        assert len(house.visits) == 1
        assert any("could not be renewed: no response.done within 60 s" in text for text in session.warnings)
        del speaking


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_has_no_key_or_no_understudy_is_told_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    start = "start it with `tau-stage understudy`, or open one in your program with open_understudy()"
    with pytest.raises(UsageError, match="OPENAI_API_KEY is not set") as wanting:
        await create_session().__aenter__()
    assert wanting.value.hint == f'set it, or pass api_key; endpoint="understudy" needs no key: {start}'
    async with open_understudy(Understudy(Tones())) as url:
        place = url.removeprefix("ws://").partition("/")[0]
    for resource, endpoint, hint in ((place, "understudy", start), ("", url, "")):
        with pytest.raises(ConnectFailed) as failed:
            await create_session(endpoint=endpoint, resource=resource).__aenter__()
        assert failed.value.hint == hint
        assert str(failed.value).endswith(f"hint: {start}") == bool(hint)
