"""Performing from the command line: what ``run`` and ``retake`` share, from the stage to what is printed."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import anyio
import typer

from tau_stage.cli.asking import asking
from tau_stage.cli.delivering import delivered
from tau_stage.cli.hearing import open_ears
from tau_stage.cli.printing import is_plain, say, say_json, say_path, show, warn
from tau_stage.cli.progress import EventStream, ProgressView, open_progress, open_stream
from tau_stage.cli.stopping import stoppable
from tau_stage.cli.taping import clock_of, taped
from tau_stage.cost.retirements import retirement_warnings
from tau_stage.environment import environment
from tau_stage.errors import CassetteError
from tau_stage.protocol.endpoints import UNDERSTUDY
from tau_stage.scene.plan import Plan
from tau_stage.stage.events import News
from tau_stage.stage.people import people_of, refuse_crowd
from tau_stage.stage.perform import perform
from tau_stage.stage.scene_tools import find_tools, refuse_code
from tau_stage.stage.sessions import Stage, make_room, open_stage
from tau_stage.take.folder import TakeFolder
from tau_stage.take.lock import clear_unbegun
from tau_stage.take.reading import read_take
from tau_stage.take.reuse import NOTHING, Former
from tau_stage.take.take_model import Take

if TYPE_CHECKING:
    from tau_stage.devices.loudspeaker import Loudspeaker

EXITS = {"complete": 0, "incomplete": 3, "failed": 3, "budget": 4, "limit": 2, "interrupted": 130}
WATCHED_NEWS = 4096
ABOUT_TO_BEGIN = timedelta(minutes=10)
"""How long a folder may be there before its take begins."""
NAMED_LINES = 5
"""Lines that one warning names."""
STREAM_LOST = CASSETTE_LOST = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for.

    ``resumed`` tells which of the plans go on with a take, by their place, and where it lies.
    """

    out: Path
    jobs: int = 1
    endpoint: str | None = None
    live: bool = False
    budget: Decimal | None = None
    allow_tools: bool = False
    stand_in: bool = False
    aloud: bool | None = False
    former: Former = NOTHING
    record: Path | None = None
    replay: Path | None = None
    resumed: Mapping[int, TakeFolder] = field(default_factory=dict)


def perform_plans(
    plans: Sequence[Plan],
    wish: Wish,
    *,
    quiet: bool,
    as_json: bool,
    stream: str | None = None,
    before: Sequence[int] = (),
) -> NoReturn:
    """Perform plans, print what came of them, and leave with the exit code.

    Args:
        plans: What is performed.
        wish: And how.
        quiet: Whether little is printed.
        as_json: Whether takes are printed as JSON.
        stream: Where the news go, if anywhere.
        before: Exit codes of what is done already.

    Raises:
        Exit: Always.
    """
    aside = stream == "-" and sys.stdout.isatty()
    with open_progress(plans, quiet=quiet or as_json, aside=aside) as shown, open_stream(stream, shown) as screen:
        clock = clock_of(wish.record, wish.replay)
        performed, lost, is_stopped = anyio.run(_perform_all, plans, wish, screen, backend_options=clock)
        made = [delivered(plan, folder, take, partial(screen.making, plan)) for plan, folder, take in performed]
    codes = [*before] + [EXITS[take.ended] for _, _, take in performed]
    if lost:
        codes.append(CASSETTE_LOST)
    if is_stopped and len(performed) < len(plans):
        codes.append(EXITS["interrupted"])
    if isinstance(screen, EventStream) and screen.lost:
        codes.append(STREAM_LOST)
    for (_, folder, take), (files, code) in zip(performed, made, strict=True):
        codes.append(code)
        tell(folder, take, files, quiet=quiet, as_json=as_json, to=sys.stderr if stream == "-" else sys.stdout)
        tell_how_to_go_on(folder, take)
    raise typer.Exit(max(codes))


def tell_how_to_go_on(folder: TakeFolder, take: Take) -> None:
    """Name the command that makes a whole take of one that is not."""
    if any(line.problem for line in take.lines) and take.ended == "incomplete":
        warn(f"perform what failed again: tau-stage retake {shlex.quote(str(folder.path))}")
    if take.ended in ("interrupted", "budget", "failed"):
        more = " --budget '$...'" if take.ended == "budget" else ""
        warn(f"go on with: tau-stage resume {shlex.quote(str(folder.path))}{more}")


Performed = tuple[Plan, TakeFolder, Take]


async def _perform_all(
    plans: Sequence[Plan], wish: Wish, screen: ProgressView
) -> tuple[list[Performed], list[CassetteError], bool]:
    """Perform plans: what came of those that began, cassettes that were lost, and whether somebody has stopped them."""
    for plan in plans:
        refuse_code(plan, allowed=wish.allow_tools)
        find_tools(plan)
    people = [people_of(plan, stand_in=wish.stand_in) for plan in plans]
    refuse_crowd(plans, people, jobs=wish.jobs)
    make_room(plans, wish.jobs)
    begun: dict[int, TakeFolder] = {}
    lost: list[CassetteError] = []
    places = anyio.CapacityLimiter(wish.jobs)

    async def perform_one(number: int, plan: Plan, stage: Stage | None) -> None:
        async with places:
            if stop.is_set():
                return
            started = datetime.now(UTC)
            go_on = partial(perform, again=number in wish.resumed, stop=stop, people=people[number], started=started)
            with taped(plan, stage, record=wish.record, replay=wish.replay) as tape:
                begun[number] = wish.resumed.get(number) or _fresh_folder(wish.out, plan.slug, started)
                take = await _perform(go_on, plan, tape.stage, begun[number], wish, screen, loudspeaker)
                try:
                    tape.finish(take)
                except CassetteError as error:  # the take is there, and is delivered
                    warn(error)
                    lost.append(error)

    async with (
        stoppable() as stop,
        open_ears(people[0].values(), aloud=wish.aloud) as loudspeaker,
        _stage_for(plans, wish) as stage,
    ):
        if stage:
            _tell_of_providers(plans, wish, stage)
        async with anyio.create_task_group() as group:
            for number, plan in enumerate(plans):
                group.start_soon(perform_one, number, plan, stage)
    done = [
        (plans[number], *read_take(folder.path)) for number, folder in sorted(begun.items()) if folder.journal.exists()
    ]
    return done, lost, stop.is_set()


def _fresh_folder(out: Path, slug: str, started: datetime) -> TakeFolder:
    clear_unbegun(out / slug, started - ABOUT_TO_BEGIN)
    return TakeFolder.create(out, slug, started, secrets.token_hex(3))


def _tell_of_providers(plans: Sequence[Plan], wish: Wish, stage: Stage) -> None:
    """Say who plays where nobody was named, and which models end."""
    if wish.endpoint is None and any(stage.provider_of(p).name == UNDERSTUDY for plan in plans for p in plan.models):
        warn("No key is set: the understudy plays, and nothing is spent.")
    for plan in plans:
        if told := _unspoken(plan, stage):
            warn(f"warning: {plan.path}: {told}")
        for warning in retirement_warnings(plan, datetime.now(UTC).date(), stage.provider_of):
            warn(f"warning: {plan.path}: {warning}")


def _unspoken(plan: Plan, stage: Stage) -> str | None:
    """Return what of a scene the understudy has no voice for, where it plays."""
    from tau_stage.understudy.voices import unsupported_script

    played = {player.name for player in plan.models if stage.provider_of(player).name == UNDERSTUDY}
    lines = {
        line.id: script for line in plan.lines if line.player in played and (script := unsupported_script(line.words))
    }
    if not lines:
        return None
    shown = [*lines][:NAMED_LINES]
    more = f" and {len(lines) - len(shown)} more" if len(lines) > len(shown) else ""
    scripts = ", ".join(dict.fromkeys(lines.values()))
    return f"the understudy has no voice for {scripts}: {', '.join(shown)}{more} will fail; a provider can say them"


def _stage_for(plans: Sequence[Plan], wish: Wish) -> AbstractAsyncContextManager[Stage | None]:
    """Open the stage of all scenes; none where each has its own cassette."""
    if wish.replay:
        return nullcontext()
    return open_stage(list(plans), environment(), wished=wish.endpoint, live=wish.live)


async def _perform(
    go_on: Callable[..., Awaitable[Take]],
    plan: Plan,
    stage: Stage,
    folder: TakeFolder,
    wish: Wish,
    screen: ProgressView,
    loudspeaker: Loudspeaker | None,
) -> Take:
    """Perform one plan, with a screen that is told of it."""
    news, watch = anyio.create_memory_object_stream[News](WATCHED_NEWS)

    async def show() -> None:
        async with watch:
            async for item in watch:
                screen.show(plan, item)

    async with anyio.create_task_group() as group:
        group.start_soon(show)
        async with news:
            take = await go_on(
                plan,
                stage,
                folder,
                budget=wish.budget,
                allow_tools=wish.allow_tools,
                watch=news,
                loudspeaker=loudspeaker,
                former=wish.former,
                ask=asking if sys.stdin is not None and sys.stdin.isatty() else None,
            )
    return take


def tell(
    folder: TakeFolder,
    take: Take,
    made: Sequence[str] = (),
    *,
    quiet: bool,
    as_json: bool,
    to: TextIO | None = None,
) -> None:
    """Print what came of a performance."""
    to = to or sys.stdout
    if as_json:
        say_json(f'{{"path": {json.dumps(str(folder.path))}, "take": {take.model_dump_json()}}}', to=to)
        return
    if quiet:
        if take.problem:
            warn(f"{take.scene.path}: {take.problem}")
    else:
        from tau_stage.report.summary import tabulate_take

        say("" if is_plain(to) else "\n", end="", to=to)
        show(tabulate_take(take), to)
    if not quiet:
        if folder.report.exists():
            say_path(folder.report, before="page: ", to=to)
        say(*made, sep="\n", end="\n" if made else "", to=to)
    say(folder.path, to=to)
