"""``tau-stage retake``: lines of a take again, or those that have failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tau_stage import runs
from tau_stage.cli.options import AllowTools, Anyway, AsJson, Elsewhere, Live, Quiet, TakePath


def retake(
    take: TakePath,
    lines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LINE]...",
            help="Line ids, for example clerk-2. Default: every line that failed.",
            show_default=False,
        ),
    ] = None,
    direction: Annotated[str | None, typer.Option(help="How to say the lines this time.")] = None,
    takes: Annotated[
        int, typer.Option(min=1, max=9, help="Number of takes for each line. The take closest to the script is picked.")
    ] = 1,
    through: Annotated[
        bool, typer.Option("--through", help="Also perform all lines after the first selected line again.")
    ] = False,
    anyway: Anyway = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the new take. Default: next to the old take.")] = None,
    endpoint: Elsewhere = None,
    live: Live = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    allow_tools: AllowTools = False,
) -> None:
    """Perform selected lines of a take again, or all failed lines, in the same context, and write a new take.

    All other lines are copied unchanged. Copied lines are marked if their player heard a line that has since been
    replaced.
    """
    from tau_stage.cli.performing import perform_jobs
    from tau_stage.take import Retake

    wanted = Retake(lines=tuple(lines or ()), direction=direction, takes=takes, through=through)
    job = runs.retake_job(take, wanted, anyway=anyway)
    options = runs.RunOptions(endpoint=endpoint, live=live, allow_tools=allow_tools)
    perform_jobs([job], options, out=out or runs.former_home(job), quiet=quiet, as_json=as_json)
