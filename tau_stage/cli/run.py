"""``tau-stage run``: perform scenes."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tau_stage.cli.screen import Screen
    from tau_stage.scene.plan import Plan
    from tau_stage.stage.loudspeaker import Loudspeaker
    from tau_stage.stage.opening import Stage
    from tau_stage.stage.people import Person
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.model import Take

EXITS = {"complete": 0, "failed": 3, "budget": 4, "limit": 2, "interrupted": 130}
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
    var: Annotated[list[str] | None, typer.Option(help="A variable of the scene, like city=Oslo.")] = None,
    only: Annotated[str | None, typer.Option(help="One variant of the scene's matrix, by name.")] = None,
    allow_tools: Annotated[
        bool, typer.Option("--allow-tools", help="Let the scene's tools run the programs they name.")
    ] = False,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Play the recordings of people, though they may be there.")
    ] = False,
    aloud: Annotated[
        bool | None,
        typer.Option(
            "--aloud/--no-aloud",
            help="Play it on the loudspeaker, at its pace; by itself where somebody speaks into a microphone.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write words while they arrive, as JSON lines; - is standard output."),
    ] = None,
) -> None:
    """Perform scenes; each leaves a take.

    A take is a folder with lines, stems, take.json, cost.json and a journal; its path is printed last.
    """
    import anyio

    from tau_stage.cli.hearing import refuse_choir
    from tau_stage.cli.loading import load_plans
    from tau_stage.cli.screen import open_screen
    from tau_stage.cli.settings import read_settings
    from tau_stage.cli.stream import open_stream

    plans = load_plans(scenes, variables=var or (), only=only)
    refuse_choir(aloud=aloud, scenes=len(plans), jobs=jobs)
    wish = Wish(
        out=out,
        jobs=jobs,
        endpoint=endpoint,
        live=live,
        budget=_dollars(budget),
        allow_tools=allow_tools or read_settings().allow_tools,
        stand_in=stand_in,
        aloud=False if aloud is None and (stand_in or len(plans) > 1 or jobs > 1) else aloud,
    )
    with open_screen(plans, quiet=quiet or as_json) as shown, open_stream(stream, shown) as screen:
        performed = anyio.run(_perform_all, plans, wish, screen)
    for folder, take in performed:
        _print(folder, take, quiet=quiet, as_json=as_json, to=sys.stderr if stream == "-" else sys.stdout)
    raise typer.Exit(max(EXITS[take.ended] for _, take in performed))


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    out: Path
    jobs: int
    endpoint: str | None
    live: bool
    budget: Decimal | None
    allow_tools: bool
    stand_in: bool
    aloud: bool | None


def _dollars(budget: str | None) -> Decimal | None:
    from pydantic_core import PydanticCustomError

    from tau_stage.errors import UsageError
    from tau_stage.scene.units import money

    try:
        return None if budget is None else Decimal(str(money(budget)))
    except PydanticCustomError as error:
        problem, hint = (error.context or {}).get("problem", str(error)), (error.context or {}).get("hint", "")
        raise UsageError(f"--budget: {problem}", str(hint)) from None


async def _perform_all(plans: Sequence[Plan], wish: Wish, screen: Screen) -> list[tuple[TakeFolder, Take]]:
    import anyio

    from tau_stage.cli.hearing import open_ears
    from tau_stage.protocol.endpoints import UNDERSTUDY
    from tau_stage.stage.opening import open_stage
    from tau_stage.stage.people import people_of
    from tau_stage.stage.tooling import refuse_code

    for plan in plans:
        refuse_code(plan, allowed=wish.allow_tools)
    people = [people_of(plan, stand_in=wish.stand_in) for plan in plans]
    performed: dict[int, tuple[TakeFolder, Take]] = {}
    places = anyio.CapacityLimiter(wish.jobs)

    async def perform_one(number: int, plan: Plan, stage: Stage) -> None:
        async with places:
            performed[number] = await _perform(plan, people[number], stage, wish, screen, loudspeaker)

    async with (
        open_ears(people[0].values(), aloud=wish.aloud) as loudspeaker,
        open_stage(list(plans), os.environ, wished=wish.endpoint, live=wish.live) as stage,
    ):
        if wish.endpoint is None and any(
            stage.provider_of(p).name == UNDERSTUDY for plan in plans for p in plan.models
        ):
            print("No key is set: the understudy plays, and nothing is spent.", file=sys.stderr)
        async with anyio.create_task_group() as group:
            for number, plan in enumerate(plans):
                group.start_soon(perform_one, number, plan, stage)
    return [performed[number] for number in sorted(performed)]


async def _perform(
    plan: Plan,
    people: dict[str, Person],
    stage: Stage,
    wish: Wish,
    screen: Screen,
    loudspeaker: Loudspeaker | None,
) -> tuple[TakeFolder, Take]:
    import anyio

    from tau_stage.stage.notes import News
    from tau_stage.stage.perform import perform
    from tau_stage.take.folder import TakeFolder

    started = datetime.now(UTC)
    folder = TakeFolder.create(wish.out, plan.slug, started, secrets.token_hex(3))
    news, watch = anyio.create_memory_object_stream[News](WATCHED_NEWS)

    async def show() -> None:
        async with watch:
            async for item in watch:
                screen.show(plan, item)

    async with anyio.create_task_group() as group:
        group.start_soon(show)
        async with news:
            take = await perform(
                plan,
                stage,
                folder,
                started=started,
                budget=wish.budget,
                allow_tools=wish.allow_tools,
                people=people,
                watch=news,
                loudspeaker=loudspeaker,
            )
    return folder, take


def _print(folder: TakeFolder, take: Take, *, quiet: bool, as_json: bool, to: TextIO) -> None:
    if as_json:
        print(f'{{"path": {_json(str(folder.path))}, "take": {take.model_dump_json()}}}', file=to)
        return
    if quiet:
        if take.problem:
            print(f"{take.scene.path}: {take.problem}", file=sys.stderr)
    elif to.isatty():
        from rich.console import Console

        from tau_stage.report.terminal import table

        Console(file=to).print(table(take))
    else:
        from tau_stage.report.terminal import plain

        print(plain(take), file=to)
    print(folder.path, file=to)


def _json(text: str) -> str:
    import json

    return json.dumps(text)
