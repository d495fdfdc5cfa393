"""``tau-stage run``: perform scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tau_stage import runs, scene, take
from tau_stage.cli import options as shared
from tau_stage.cli.printing import warn
from tau_stage.errors import UsageError

Record = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Record the traffic between players and providers to a cassette in DIR."),
]
Replay = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Perform from the cassettes in DIR, without a provider.")
]

Resume = Annotated[bool, typer.Option("--resume", help="Resume scenes that were stopped, and skip finished scenes.")]


def run(
    scenes: shared.Scenes,
    out: Annotated[Path, typer.Option(help="Folder for the takes.")] = Path("takes"),
    jobs: Annotated[int, typer.Option(min=1, help="Number of scenes to perform concurrently.")] = 1,
    endpoint: shared.Elsewhere = None,
    live: shared.Live = False,
    budget: Annotated[str | None, typer.Option(help="Maximum cost of each scene, for example '$0.50'.")] = None,
    quiet: shared.Quiet = False,
    as_json: shared.AsJson = False,
    var: shared.Var = None,
    only: shared.Only = None,
    allow_tools: shared.AllowTools = False,
    stand_in: shared.StandIn = False,
    aloud: shared.Aloud = None,
    stream: shared.StreamTo = None,
    record: Record = None,
    replay: Replay = None,
    resume: Resume = False,
    changed: shared.Changed = False,
    through: shared.Through = False,
    max_variants: shared.MaxVariants = scene.MOST_VARIANTS,
    gate: shared.GateAddress = None,
    booth: Annotated[bool, typer.Option("--booth", help="Show the performance in the booth.")] = False,
) -> None:
    """Perform scenes and write a take of each.

    A take is a folder with lines, stems, take.json, cost.json and a journal. The path of the take is printed last.
    """
    from tau_stage.cli.performing import perform_jobs
    from tau_stage.cli.resume_command import finish_take
    from tau_stage.cli.scene_files import load_plans

    plans = load_plans(scenes, variables=var, only=only, most=max_variants)
    options = runs.RunOptions(
        endpoint=endpoint,
        live=live,
        allow_tools=allow_tools,
        stand_in=stand_in or replay is not None,
        record=record,
        replay=replay,
        aloud=aloud,
        debug=booth or None,
    )
    runs.check_options(plans[:1], options, at_once=jobs, resume=resume, changed=changed, through=through)
    finished, wanted = list[take.TakeFolder](), [*map(runs.Job, plans)]
    if changed:
        finished, wanted = _changed(out, plans, endpoint, through=through)
    elif resume:
        finished, wanted = runs.find_takes(out, plans, endpoint=endpoint, live=live)
    if any((options.stand_in, len(wanted) > 1, jobs > 1)):
        options = replace(options, aloud=bool(aloud))
    runs.check_options([job.plan for job in wanted], options, at_once=jobs)
    before = [finish_take(folder, quiet=quiet, as_json=as_json) for folder in finished]
    if not wanted:
        raise typer.Exit(max(before))
    if booth:
        _open_booth(options)
    perform = partial(perform_jobs, out=out, budget=shared.dollars(budget), at_once=jobs, before=before, gate=gate)
    perform(wanted, options, quiet=quiet, as_json=as_json, stream=stream)


def _open_booth(options: runs.RunOptions) -> None:
    """Open the booth's page for what is performed; refuse what it could not show."""
    from tau_stage.cli.booth_command import ensure_booth, show_page

    if options.replay:
        hint = "replay the take in the booth afterwards: tau-stage booth --attach TAKE"
        raise UsageError("the booth cannot show --replay, because a replay does not run in real time", hint)
    show_page(ensure_booth())


def _changed(
    out: Path, plans: Sequence[scene.Plan], endpoint: str | None, *, through: bool
) -> tuple[list[take.TakeFolder], list[runs.Job]]:
    """Return the takes that stand, and what is performed of the other scenes; tell of those that stand."""
    standing, jobs = runs.changed_jobs(out, plans, endpoint=endpoint, through=through)
    for each in standing:
        warn(*each.told(), sep="\n")
    return [each.takes[0].folder for each in standing], jobs
