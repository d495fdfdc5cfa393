"""Long scenes: a thousand lines of twelve players, and what they cost in memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import anyio
import pytest

from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import Event
from tau_stage.take import records as record
from tests.support.in_memory_stage import Playhouse

PLAYERS = 12
STATM = Path("/proc/self/statm")


def long_scene(lines: int) -> Plan:
    players = "".join(f"  p{n}: {{voice: ash}}\n" for n in range(PLAYERS))
    said = "".join(f"  - p{n % PLAYERS}: (softly) Line number {n} of a long night.\n" for n in range(lines))
    return make_plan(parse_scene(f"players:\n{players}lines:\n{said}"))


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc, which only Linux has")
@pytest.mark.timeout(180)
async def test_a_thousand_lines_are_performed_with_flat_memory(tmp_path: Path) -> None:
    """Slow: eleven thousand hearings. Were their sound kept, a line would take 400 kB; their words are."""
    house = Playhouse(tmp_path, keeps=False)
    plan = long_scene(1000)
    send, receive = anyio.create_memory_object_stream[Event](100_000)
    held: dict[int, int] = {}

    async def look() -> None:
        async with receive:
            async for news in receive:
                if isinstance(news, record.LineSpoken) and news.number in (200, 1000):
                    gc.collect()
                    held[news.number] = resident()

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        async with send:
            take = await house.perform(plan, watch=send)
    assert (take.ended, len(take.lines), take.warnings) == ("complete", 1000, ())
    per_line = (held[1000] - held[200]) / 800
    assert per_line < 120_000, f"{per_line:,.0f} bytes a line"
