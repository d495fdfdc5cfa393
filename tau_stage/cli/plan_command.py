"""``tau-stage plan``: what a scene is likely to take, before anything is spent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tau_stage import cost
from tau_stage import report as reports
from tau_stage import scene as scenes
from tau_stage.cli.options import Elsewhere, MaxVariants, OneScene, Only, Through, Var
from tau_stage.cli.printing import say, say_json, show_report
from tau_stage.environment import environment
from tau_stage.errors import UsageError


def plan(
    scene: OneScene,
    as_json: Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")] = False,
    var: Var = None,
    only: Only = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Show the changes since the newest take, and their cost.")
    ] = False,
    through: Through = False,
    out: Annotated[Path, typer.Option(help="With --changed: the takes folder.")] = Path("takes"),
    endpoint: Elsewhere = None,
    max_variants: MaxVariants = scenes.MOST_VARIANTS,
) -> None:
    """Estimate a scene's duration and cost, including session startup, listening and possible savings."""
    from tau_stage.cli.scene_files import load_plans

    if through and not changed:
        raise UsageError("--through requires --changed", "add --changed")
    for number, found in enumerate(load_plans([scene], variables=var, only=only, most=max_variants)):
        data, report = (
            _changes(found, out, endpoint, through=through) if changed else _forecast(_placed(found, endpoint))
        )
        if as_json:
            say_json(json.dumps(data, indent=2, ensure_ascii=False))
        else:
            say("\n" if number else "", end="")
            show_report(report)


def _placed(plan: scenes.Plan, endpoint: str | None) -> scenes.Plan:
    """Return the plan as it is played at an endpoint that is chosen outside the scene; else as it is."""
    if not (endpoint or environment().get("TAU_STAGE_ENDPOINT")):
        return plan

    from tau_stage import stage as stages

    return stages.plan_at(plan, stages.endpoint_chooser(endpoint))


def _forecast(plan: scenes.Plan) -> tuple[dict[str, object], reports.TextReport]:

    told = cost.forecast(plan, datetime.now(UTC).date())
    return reports.forecast_data(told), reports.tabulate_forecast(told)


def _changes(
    plan: scenes.Plan, out: Path, endpoint: str | None, *, through: bool
) -> tuple[dict[str, object], reports.TextReport]:

    from tau_stage import runs
    from tau_stage import take as takes

    found = runs.scene_changes_since(out, plan, endpoint=endpoint, through=through)
    if found is None:
        told = plan, takes.all_new(plan), cost.forecast(_placed(plan, endpoint)).cost.likely, ""
    else:
        expected = cost.expected_cost(_placed(plan, endpoint), found.changes.performed)
        told = plan, found.changes, expected, str(found.takes[0].folder.path)
    return reports.changes_data(*told), reports.tabulate_changes(*told)
