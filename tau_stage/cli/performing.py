"""Performing from the command line: what is shown of it, what is printed, and the exit code."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NoReturn, TextIO

import anyio
import typer

from tau_stage import gate as gates
from tau_stage import report as reports
from tau_stage import runs
from tau_stage import stage as stages
from tau_stage.cli.printing import is_plain, say, say_json, say_path, show_report, warn
from tau_stage.cli.progress import EventStream, ProgressView, open_progress, open_stream
from tau_stage.cli.stopping import stoppable
from tau_stage.devices import typed_line
from tau_stage.environment import environment, keep_freed_memory, spared_by_collector
from tau_stage.errors import TakeError, format_if
from tau_stage.protocol import ignore
from tau_stage.scene import LinePlan, Plan
from tau_stage.stage import TakeOption, pick_take
from tau_stage.text import one_line

STREAM_LOST = 2
MOST_PROBLEMS = 20


def perform_jobs(
    jobs: Sequence[runs.Job],
    options: runs.RunOptions,
    *,
    out: Path,
    budget: Decimal | None = None,
    at_once: int = 1,
    quiet: bool,
    as_json: bool,
    stream: str | None = None,
    before: Sequence[int] = (),
    gate: str | None = None,
) -> NoReturn:
    """Perform scenes, print what came of them, and leave with the exit code."""
    keep_freed_memory()
    plans = [job.plan for job in jobs]
    aside = stream == "-" and sys.stdout.isatty()

    async def perform(view: ProgressView) -> list[runs.DeliveredTake]:
        ask = ask_which if sys.stdin is not None and sys.stdin.isatty() else None
        run = partial(runs.run_jobs, jobs, options, out=out, budget=budget, at_once=at_once, deliver=deliver_performed)
        async with _stage_at(gate, plans, options) if gate and not options.replay else nullcontext() as stage:
            return await run(observer=view, ask=ask, stopping=stoppable(), on=stage)

    with (
        spared_by_collector(),
        open_progress(plans, quiet=quiet or as_json, aside=aside) as shown,
        open_stream(stream, shown) as view,
    ):
        delivered = anyio.run(perform, view, backend_options=options.clock)
    codes = [*before, *(each.exit_code for each in delivered)]
    if len(delivered) < len(plans):  # somebody has stopped them
        codes.append(runs.EXIT_CODES["interrupted"])
    if isinstance(view, EventStream) and view.lost:
        codes.append(STREAM_LOST)
    for each in delivered:
        print_take(each, quiet=quiet, as_json=as_json, to=sys.stderr if stream == "-" else sys.stdout)
    raise typer.Exit(max(codes))


@asynccontextmanager
async def _stage_at(address: str, plans: list[Plan], options: runs.RunOptions) -> AsyncIterator[stages.Stage]:
    """Open a stage that asks the gate at an address."""
    async with (
        gates.open_gate(address, environment().get(gates.TOKEN, "")) as gate,
        stages.open_stage(plans, environment(), wished=options.endpoint, live=options.live, gate=gate) as stage,
    ):
        yield stage


def deliver_performed(performed: runs.PerformedTake, note: reports.Note = ignore) -> runs.DeliveredTake:
    """Deliver a take; what cannot be made is one of its problems, and the next take goes on."""
    try:
        return performed.deliver(note)
    except TakeError as error:
        code = max(runs.EXIT_CODES[performed.take.ended], runs.TAKE_SPOILED)
        return runs.DeliveredTake(performed.take, performed.folder, problems=(str(error),), exit_code=code)


async def ask_which(line: LinePlan, options: Sequence[TakeOption]) -> int:
    """Show the takes of a line and let somebody choose; nothing typed is the closest."""
    best = pick_take(line.words, options, "closest")
    warn(f"{line.id}, requested words: {one_line(line.words)}")
    for number, option in enumerate(options, 1):
        warn(f"  {number}: {one_line(option.said)} ({option.seconds:.1f} s)")
    while True:
        warn(f"choose a take, 1 to {len(options)} [{best + 1}]: ", end="")
        typed = await typed_line(None)
        if not (typed or "").strip():
            return best
        if typed and typed.strip().isdigit() and 1 <= int(typed) <= len(options):
            return int(typed) - 1


def print_take(delivered: runs.DeliveredTake, *, quiet: bool, as_json: bool, to: TextIO | None = None) -> None:
    """Print what came of a performance, and the command that makes a whole take of one that is not."""
    warn_of(delivered.problems)
    _print_take(delivered, to or sys.stdout, quiet=quiet, as_json=as_json)
    take, folder = delivered.take, shlex.quote(str(delivered.folder.path))
    if take.ended == "incomplete" and any(line.problem for line in take.lines):
        warn(f"to perform the failed lines again: tau-stage retake {folder}")
    if take.ended in runs.STOPPED:
        more = format_if(" --budget '$...'", take.ended == "budget")
        warn(f"to resume: tau-stage resume {folder}{more}")


def warn_of(problems: Sequence[str]) -> None:
    """Print what is not as expected, the first of it."""
    for problem in problems[:MOST_PROBLEMS]:
        warn(problem)
    if len(problems) > MOST_PROBLEMS:
        warn(f"... and {len(problems) - MOST_PROBLEMS} more")


def _print_take(delivered: runs.DeliveredTake, to: TextIO, *, quiet: bool, as_json: bool) -> None:
    take, folder = delivered.take, delivered.folder
    if as_json:
        say_json(f'{{"path": {json.dumps(str(folder.path))}, "take": {take.model_dump_json()}}}', to=to)
        return
    if quiet:
        if take.problem:
            warn(f"{take.scene.path}: {take.problem}")
    else:
        say("" if is_plain(to) else "\n", end="", to=to)
        show_report(reports.tabulate_take(take), to)
    if not quiet:
        if folder.report.exists():
            say_path(folder.report, before="page: ", to=to)
        made = [*delivered.made, *filter(None, [delivered.judged])]
        say(*made, sep="\n", end="\n" if made else "", to=to)
    say(folder.path, to=to)
