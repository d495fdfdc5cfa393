"""The understudy rehearses a provider's limits: it refuses as providers do, and logs what was asked."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import ConnectFailed, UsageError
from tau_stage.gate import GateLimits, LocalGate
from tau_stage.protocol import server_events
from tau_stage.session.retrying import wished_wait_s
from tau_stage.understudy import ProviderLimits
from tau_stage.understudy.server import Understudy
from tests.support.memory_server import connected, in_session
from tests.support.tone_voice import Tones


def understudy(limits: ProviderLimits, log: list[dict[str, Any]] | None = None, **options: Any) -> Understudy:
    return Understudy(Tones(), limits=limits, log=log.append if log is not None else print, **options)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("30/min", (30, None, None)),
        ("30/min, 40", (30, 40, None)),
        ("1/s,40,200000/min", (60, 40, 200_000)),
        (",40", (None, 40, None)),
        (",,90/h", (None, None, 1.5)),
        ("0.5/min,040", (0.5, 40, None)),
    ],
)
def test_limits_are_read(text: str, limits: tuple[float | None, int | None, float | None]) -> None:
    found = ProviderLimits.parse(text)
    assert (found.openings, found.sessions, found.tokens) == limits


@pytest.mark.parametrize(
    "text", ["", ",", "30", "30/min,0", "0/min", "40,30/min", "30/min,40,5", "1/min,2,3/min,4", "-1/min", "\u00b2/min"]
)
def test_what_are_no_limits_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="invalid value"):
        ProviderLimits.parse(text)


@given(st.text("0123456789/,.minhs ", max_size=20))
def test_whatever_is_written_is_limits_or_told(text: str) -> None:
    try:
        found = ProviderLimits.parse(text)
    except UsageError:
        return
    assert any((found.openings, found.sessions, found.tokens))
    assert all(limit is None or limit > 0 for limit in (found.openings, found.sessions, found.tokens))


async def test_more_openings_in_a_minute_are_refused_and_told_when_to_come_back() -> None:
    log = list[dict[str, Any]]()
    server = understudy(ProviderLimits(openings=2), log)
    for _ in range(2):
        async with connected(server):
            pass
    with pytest.raises(
        ConnectFailed, match=r"the limit is 2 new sessions per minute\. Please retry after 30 seconds"
    ) as refused:
        async with connected(server):
            pass
    assert (refused.value.status, refused.value.retry_after_s) == (429, 30)
    await anyio.sleep(30)
    async with connected(server):
        pass
    assert [fact["what"] for fact in log if fact["what"] != "closed"] == ["opening", "opening", "refused", "opening"]


async def test_more_sessions_at_once_are_refused() -> None:
    server = understudy(ProviderLimits(sessions=1))
    async with connected(server):
        await anyio.sleep(0.1)
        with pytest.raises(ConnectFailed, match="the maximum number of open sessions is 1") as refused:
            async with connected(server):
                pass
        assert (refused.value.status, refused.value.retry_after_s) == (429, None)
    async with connected(server):
        pass


async def test_a_gate_of_the_same_pace_is_never_refused() -> None:
    log = list[dict[str, Any]]()
    server = understudy(ProviderLimits(openings=30, sessions=3), log)
    gate = LocalGate(GateLimits(start_rate=30, sessions=3))

    async def perform() -> None:
        async with gate.sessions(1):

            async def opening() -> None:
                async with connected(server):
                    await anyio.sleep(0.5)

            await gate.open(opening, account="a", gap_s=0.0)

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(perform)
    assert [fact for fact in log if fact["what"] == "refused"] == []
    assert anyio.current_time() - start == pytest.approx(198.5)


async def test_a_response_for_which_no_tokens_are_left_fails_and_says_when_it_may_be_asked_again() -> None:
    server = understudy(ProviderLimits(tokens=600))
    async with in_session(server) as session:
        first = await session.response(instructions='Perform this line: "Hello there, whoever you are."')
        assert first.status == "completed"
        while (response := await session.response()).status == "completed":
            pass
        assert response.reason == "rate_limit_exceeded"
        assert "on tokens per min (TPM): Limit 600, Used" in response.message
        wait_s = wished_wait_s(response.message)
        assert wait_s
        await anyio.sleep(wait_s + 0.01)
        assert (await session.response()).status == "completed"


async def test_what_is_left_is_told_of_all_sessions_together() -> None:
    server = understudy(ProviderLimits(tokens=60_000))
    told = list[int]()
    for _ in range(2):
        async with in_session(server) as session, session.events() as events:
            await session.response()
            async for event in events:
                if isinstance(event, server_events.RateLimitsUpdated):
                    (limit,) = event.rate_limits
                    assert (limit.name, limit.limit) == ("tokens", 60_000)
                    told.append(limit.remaining)
                    break
    assert told[1] < told[0] < 60_000


async def test_the_log_tells_what_was_asked_and_what_came_of_it() -> None:
    log = list[dict[str, Any]]()
    async with in_session(understudy(ProviderLimits(), log, clock=lambda: 5.0)) as session:
        await session.user('Perform this line: "Hello there."')
        await session.response(metadata={"line": "ann-1"})
    session_facts = [{key: fact[key] for key in fact if key not in ("at", "response", "tokens")} for fact in log]
    assert session_facts == [
        {"what": "opening", "session": 1, "model": "gpt-realtime-2.1-mini", "open": 1},
        {"what": "response", "session": 1, "line": "ann-1", "words": "Hello there."},
        {"what": "done", "session": 1, "status": "completed"},
        {"what": "closed", "session": 1, "open": 0},
    ]
    assert log[1]["response"] == log[2]["response"]
    assert log[2]["tokens"] > 0
