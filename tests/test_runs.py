"""``perform_scene`` and what goes with it: from a program, with nothing but public names.

Slow, all of it: sockets, and everything that a take leaves.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import tau_stage
from tau_stage import (
    CassetteDiffers,
    RunOptions,
    SceneError,
    Understudy,
    UsageError,
    open_understudy,
    perform_scene,
    resume_take,
    retake_lines,
)
from tau_stage.runs import DeliveredTake, Job, PerformedTake, RunObserver, run_jobs
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import Event
from tau_stage.take.records import LineBegan
from tests.support.tone_voice import Tones

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SCENE = """scene: The lamp
players: {ann: {voice: ash}, bob: {voice: coral}}
lines:
- ann: Good evening.
- bob: The lamp is out.
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(SCENE)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def put(text: str) -> None:
    Path("lamp.yaml").write_text(text, "utf-8")


def takes() -> list[Path]:
    return sorted(Path("takes").glob("lamp/2*"))


@asynccontextmanager
async def understudy(**options: Any) -> AsyncIterator[RunOptions]:
    async with open_understudy(Understudy(Tones())) as url:
        yield RunOptions(endpoint=url, **options)


async def test_a_scene_is_performed_and_leaves_what_run_leaves() -> None:
    events: list[object] = []
    async with understudy() as options:
        take = await perform_scene("lamp.yaml", out="out", on_event=events.append, options=options)
    assert (take.ended, take.problem, take.exit_code) == ("complete", "", 0)
    assert [(line.player, line.said) for line in take.lines] == [("ann", "Good evening."), ("bob", "The lamp is out.")]
    assert take.cost.total is not None
    assert take.folder.path.parent == Path("out/lamp")
    assert take.folder.mix
    assert {path.name for path in take.folder.path.iterdir()} >= {
        "mix.wav",
        "report.html",
        "take.json",
        "subtitles.srt",
    }
    assert "lamp" in take.folder.report.read_text("utf-8")
    assert {"line_spoken", "player_opened"} <= {getattr(event, "type", "") for event in events}


async def test_expectations_are_judged_and_are_no_exceptions() -> None:
    put(SCENE + "  expect: {says: on}\n")
    async with understudy() as options:
        take = await perform_scene("lamp.yaml", options=options)
    assert (take.exit_code, take.judged) == (1, "1 expectation, 1 failed")
    assert take.problems == ("failed: lamp.yaml:6:12: bob-1: said “The lamp is out.”, expected “on”",)
    assert take.folder.checks.exists()


async def test_a_scene_or_a_plan_will_do_too() -> None:
    plan = tau_stage.make_plan(tau_stage.load_scene("lamp.yaml"))
    async with understudy() as options:
        assert (await perform_scene(plan, options=options)).ended == "complete"
        assert (await perform_scene(tau_stage.load_scene("lamp.yaml"), options=options)).ended == "complete"


@pytest.mark.parametrize("budget", ["2", "$none", -1])
async def test_a_budget_is_a_sum_of_money(budget: str | int) -> None:
    with pytest.raises(UsageError, match=r"^budget: .*\n  hint: for example: \$0\.50|^budget: .*currency"):
        await perform_scene("lamp.yaml", budget=budget)
    assert takes() == []


async def test_a_spent_budget_ends_the_take_which_goes_on_with_another() -> None:
    async with understudy() as options:
        take = await perform_scene("lamp.yaml", budget="$0.000001", options=options)
        assert (take.ended, take.exit_code) == ("budget", 4)
        again = await resume_take(take.folder.path, budget=2, options=options)
    assert (again.ended, again.folder.path) == ("complete", take.folder.path)


async def test_of_a_finished_take_resume_delivers_what_is_missing() -> None:
    async with understudy() as options:
        take = await perform_scene("lamp.yaml", options=options)
    take.folder.report.unlink()
    again = await resume_take(str(take.folder.path))
    assert again.lines == take.lines
    assert take.folder.report.exists()


async def test_one_line_is_performed_again_into_a_take_beside() -> None:
    async with understudy() as options:
        take = await perform_scene("lamp.yaml", options=options)
        again = await retake_lines(take.folder.path, "bob-1", direction="loudly", options=options)
        with pytest.raises(UsageError, match="no line in the take has failed"):
            await retake_lines(take.folder.path, options=options)
    assert again.folder.path != take.folder.path
    assert [line.former for line in again.lines] == [True, False]
    assert again.lines[1].direction == "loudly"


async def test_errors_of_the_scene_and_of_options_come_before_anything_is_made() -> None:
    with pytest.raises(SceneError, match="none\\.yaml"):
        await perform_scene("none.yaml")
    with pytest.raises(UsageError, match="uses no provider"):
        await perform_scene("lamp.yaml", options=RunOptions(replay=Path("tapes"), live=True))
    assert takes() == []


async def test_what_an_observer_raises_ends_the_performance_and_leaves_the_take() -> None:
    def stop(_event: object) -> None:
        raise ZeroDivisionError

    async with understudy() as options:
        with pytest.raises(ZeroDivisionError):
            await perform_scene("lamp.yaml", on_event=stop, options=options)
    (folder,) = takes()
    assert tau_stage.read_take(folder)[1].ended == "interrupted"


async def test_a_cancelled_performance_leaves_its_take() -> None:
    async with understudy() as options:
        with anyio.CancelScope() as scope:
            await perform_scene("lamp.yaml", on_event=lambda _event: scope.cancel(), options=options)
    (folder,) = takes()
    assert tau_stage.read_take(folder)[1].ended == "interrupted"


async def test_a_performance_is_recorded_and_replayed_beside_the_programs_own_loop() -> None:
    """Slow: a recording takes real time, and each runs a loop in a thread of its own."""
    async with understudy(record=Path("tapes")) as options:
        recorded = await perform_scene("lamp.yaml", options=options)
    replay = RunOptions(replay=Path("tapes"))
    events: list[object] = []
    replayed = await perform_scene("lamp.yaml", on_event=events.append, options=replay)
    assert [line.sha256 for line in replayed.lines] == [line.sha256 for line in recorded.lines]
    assert events
    put(SCENE.replace("out", "on"))
    with pytest.raises(CassetteDiffers):
        await perform_scene("lamp.yaml", options=replay)


async def test_a_take_is_delivered_while_the_next_scene_is_performed(tmp_path: Path) -> None:
    """A scene that is over waits for no other: the second one's last line waits here for the first one's page."""
    plans = [make_plan(parse_scene(SCENE, str(tmp_path / name))) for name in ("one.yaml", "two.yaml")]
    is_delivered = threading.Event()
    pages: list[bool] = []

    def deliver(performed: PerformedTake, _note: object) -> DeliveredTake:
        delivered = performed.deliver(lambda _what: None)
        is_delivered.set()
        return delivered

    class Waiting(RunObserver):
        def show(self, plan: Plan, event: Event) -> None:
            if plan is plans[1] and isinstance(event, LineBegan) and event.line == "bob-1":
                pages.append(is_delivered.wait(timeout=30))

    async with understudy() as options:
        jobs = [Job(plan) for plan in plans]
        takes = await run_jobs(jobs, options, out=Path("takes"), observer=Waiting(), deliver=deliver)
    assert pages == [True]
    assert [take.folder.report.exists() for take in takes] == [True, True]
