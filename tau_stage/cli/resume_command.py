"""``tau-stage resume``: a take that was stopped goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from tau_stage import runs
from tau_stage import take as takes
from tau_stage.cli import options as shared
from tau_stage.cli.printing import say, warn
from tau_stage.errors import StageError, TakeError


def resume(
    take: shared.TakePath,
    anyway: shared.Anyway = False,
    budget: Annotated[
        str | None, typer.Option(help="Maximum cost of the whole take, for example '$2'. Default: the previous budget.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Endpoint to use: a name or a URL. Default: the previous endpoint.")
    ] = None,
    live: shared.Live = False,
    quiet: shared.Quiet = False,
    as_json: shared.AsJson = False,
    allow_tools: shared.AllowTools = False,
    stand_in: shared.StandIn = False,
    aloud: shared.Aloud = None,
    stream: shared.StreamTo = None,
) -> None:
    """Resume a take that was stopped, in the same folder.

    Finished lines are not performed or billed again. A line that was cut off is performed again.
    """
    from tau_stage.cli.performing import perform_jobs

    folder, journal = runs.open_take(take)
    if takes.fold(journal).ended in takes.OVER:
        raise typer.Exit(finish_take(folder, anyway=anyway, quiet=quiet, as_json=as_json))
    options = runs.RunOptions(
        endpoint=endpoint,
        live=live,
        allow_tools=allow_tools,
        stand_in=stand_in,
        aloud=False if aloud is None and stand_in else aloud,
    )
    perform_jobs(
        [runs.resume_job(folder, journal, anyway=anyway)],
        options,
        out=folder.path.parent,
        budget=shared.dollars(budget),
        quiet=quiet,
        as_json=as_json,
        stream=stream,
    )


def finish_take(folder: takes.TakeFolder, *, anyway: bool = False, quiet: bool, as_json: bool) -> int:
    """Print a take whose scene came to its end, and make and judge what is missing; return the exit code of its run."""
    delivered = deliver_take(folder, anyway=anyway, quiet=quiet, as_json=as_json)
    return runs.TAKE_SPOILED if delivered is None else delivered.exit_code


def deliver_take(folder: takes.TakeFolder, *, anyway: bool, quiet: bool, as_json: bool) -> runs.DeliveredTake | None:
    """Print a take as it is, made and judged; return it, or None where something cannot be made, which is told."""
    from tau_stage.cli.performing import print_take
    from tau_stage.cli.progress import open_status

    try:
        with open_status(quiet=quiet or as_json) as note:
            delivered = runs.finish(folder, anyway=anyway, note=note)
        if not (quiet or as_json):
            say(f"the take is {delivered.ended}")
        if not anyway:
            runs.resume_job(folder, takes.read_journal(folder.journal), anyway=False)
    except TakeError as error:
        warn(error)
        return None
    except StageError as error:
        problem = str(error).partition("\n")[0]
        warn(f"{problem}; the take is unchanged: perform the scene again with tau-stage run")
    print_take(delivered, quiet=quiet, as_json=as_json)
    return delivered
