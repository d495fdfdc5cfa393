"""Whoever publishes is not disturbed: by what is published, by what a page asks for, or by a booth that hangs."""

from __future__ import annotations

import json
import socket
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tau_stage import create_session
from tau_stage.booth.hub import Hub
from tau_stage.environment import is_running
from tau_stage.protocol import JsonObject
from tau_stage.publisher import CLOSING_S, LAST_MOMENT_S, Publisher
from tau_stage.runs.stage_publisher import published
from tau_stage.stage import PerformanceOptions, ResumeSummary
from tau_stage.take import TakeFolder
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.in_memory_stage import plan_of
from tests.support.tone_voice import Tones
from tests.test_booth import NOBODY, SCENE, a_booth, page_of, told, variables

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

__all__ = ["variables"]


async def nothing(_wish: JsonObject) -> None:
    pass


async def test_a_performance_that_is_resumed_is_published(variables: dict[str, str], tmp_path: Any) -> None:
    """What an observer is told of the time before has amounts of money."""
    hub, plan = Hub(), plan_of(SCENE)
    async with (
        a_booth(variables, hub) as url,
        page_of(url) as page,
        published(plan, NOBODY, TakeFolder(tmp_path), PerformanceOptions(), is_shown=True) as performance,
    ):
        await told(page, "source")
        performance.publish(ResumeSummary((("ann-1", "ann", 1.5),), Decimal("0.25")))
        event = await told(page, "event", "resume_summary")
        assert event["record"]["dollars"] == "0.25"


async def test_whatever_is_said_can_be_published(variables: dict[str, str]) -> None:
    """Half of a character is no character of UTF-8."""
    async with a_booth(variables) as url, page_of(url) as page:
        hello = {"kind": "session", "name": "\ud800ann"}
        async with Publisher(lambda: hello, nothing).running() as publisher:
            assert (await told(page, "source"))["source"]["name"] == "?ann"
            publisher.publish({"at": 1, "record": {"type": "warned", "text": "\udc00"}})
            assert (await told(page, "event", "warned"))["record"]["text"] == "?"


@pytest.mark.parametrize(
    "wish",
    [
        {"do": "hear"},
        {"do": "hear", "audio": 3},
        {"do": "hear", "audio": ""},
        {"do": "hear", "audio": "AAAA"},
        {"do": "hear", "audio": "ä"},
        {"do": ["say"]},
        {"do": {}},
        {},
    ],
)
async def test_a_page_that_asks_for_nonsense_hurts_no_session(variables: dict[str, str], wish: JsonObject) -> None:
    async with (
        a_booth(variables) as url,
        open_understudy(Understudy(Tones())) as server,
        create_session(endpoint=server, debug=True) as session,
        page_of(url) as page,
    ):
        await told(page, "welcome")
        await page.send(json.dumps({"id": 1, "to": 1, **wish}))
        assert (await told(page, "answer"))["problem"]
        assert session.is_open


@pytest.mark.slow
async def test_a_booth_that_hangs_holds_up_no_session_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that accepts and never reads; slow, as it waits for the moment that a booth has."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        monkeypatch.setenv("TAU_DEBUG_SERVER_URL", f"http://127.0.0.1:{hung.getsockname()[1]}/token/")
        with anyio.fail_after(2 * (LAST_MOMENT_S + CLOSING_S)):
            async with Publisher(lambda: {"kind": "session", "name": "ann"}, nothing).running() as publisher:
                publisher.publish({"record": {}})
                assert publisher.is_connected


async def test_a_number_that_is_no_process_runs_nowhere() -> None:
    assert not is_running(10**30)
