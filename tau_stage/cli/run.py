"""``tau-stage run``: perform scenes."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tau_stage.cli.screen import Screen
    from tau_stage.scene.plan import Plan
    from tau_stage.stage.opening import Stage
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.model import Take

EXITS = {"complete": 0, "failed": 3, "budget": 4, "interrupted": 130}
WATCHED_NEWS = 4096


def run(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help="Scene files.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the takes go.")] = Path("takes"),
    jobs: Annotated[int, typer.Option(min=1, help="Scenes performed at once.")] = 1,
    endpoint: Annotated[str | None, typer.Option(help="Play here, whatever the scene says: a name or a URL.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Never fall back to the understudy.")] = False,
    budget: Annotated[str | None, typer.Option(help="What each scene may cost, like '$0.50'.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the takes' paths only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each take as one line of JSON.")] = False,
) -> None:
    """Perform scenes; each leaves a take.

    A take is a folder with lines, stems, take.json, cost.json and a journal; its path is printed last.
    """
    import anyio

    from tau_stage.cli.loading import load_plans
    from tau_stage.cli.screen import open_screen

    plans = load_plans(scenes)
    dollars = _dollars(budget)
    with open_screen(plans, quiet=quiet or as_json) as screen:
        performed = anyio.run(_perform_all, plans, out, jobs, endpoint, live, dollars, screen)
    for folder, take in performed:
        _print(folder, take, quiet=quiet, as_json=as_json)
    raise typer.Exit(max(EXITS[take.ended] for _, take in performed))


def _dollars(budget: str | None) -> Decimal | None:
    from pydantic_core import PydanticCustomError

    from tau_stage.errors import UsageError
    from tau_stage.scene.units import money

    try:
        return None if budget is None else Decimal(str(money(budget)))
    except PydanticCustomError as error:
        problem, hint = (error.context or {}).get("problem", str(error)), (error.context or {}).get("hint", "")
        raise UsageError(f"--budget: {problem}", str(hint)) from None


async def _perform_all(
    plans: Sequence[Plan],
    out: Path,
    jobs: int,
    endpoint: str | None,
    live: bool,
    budget: Decimal | None,
    screen: Screen,
) -> list[tuple[TakeFolder, Take]]:
    import anyio

    from tau_stage.protocol.endpoints import UNDERSTUDY
    from tau_stage.stage.opening import open_stage

    performed: dict[int, tuple[TakeFolder, Take]] = {}
    places = anyio.CapacityLimiter(jobs)

    async def perform_one(number: int, plan: Plan, stage: Stage) -> None:
        async with places:
            performed[number] = await _perform(plan, stage, out, budget, screen)

    async with open_stage(list(plans), os.environ, wished=endpoint, live=live) as stage:
        if endpoint is None and any(stage.provider_of(p).name == UNDERSTUDY for plan in plans for p in plan.players):
            print("No key is set: the understudy plays, and nothing is spent.", file=sys.stderr)
        async with anyio.create_task_group() as group:
            for number, plan in enumerate(plans):
                group.start_soon(perform_one, number, plan, stage)
    return [performed[number] for number in sorted(performed)]


async def _perform(
    plan: Plan, stage: Stage, out: Path, budget: Decimal | None, screen: Screen
) -> tuple[TakeFolder, Take]:
    import anyio

    from tau_stage.stage.notes import News
    from tau_stage.stage.perform import perform
    from tau_stage.take.folder import TakeFolder

    started = datetime.now(UTC)
    folder = TakeFolder.create(out, plan.slug, started, secrets.token_hex(3))
    news, watch = anyio.create_memory_object_stream[News](WATCHED_NEWS)

    async def show() -> None:
        async with watch:
            async for item in watch:
                screen.show(plan, item)

    async with anyio.create_task_group() as group:
        group.start_soon(show)
        async with news:
            take = await perform(plan, stage, folder, started=started, budget=budget, watch=news)
    return folder, take


def _print(folder: TakeFolder, take: Take, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print(f'{{"path": {_json(str(folder.path))}, "take": {take.model_dump_json()}}}')
        return
    if quiet:
        if take.problem:
            print(f"{take.scene.path}: {take.problem}", file=sys.stderr)
    elif sys.stdout.isatty():
        from rich.console import Console

        from tau_stage.report.terminal import table

        Console().print(table(take))
    else:
        from tau_stage.report.terminal import plain

        print(plain(take))
    print(folder.path)


def _json(text: str) -> str:
    import json

    return json.dumps(text)
