"""``tau-stage validate``: is this scene fit to be performed?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tau_stage.cli.options import Only, Scenes, Var
from tau_stage.cli.printing import say, say_commands, say_json, warn
from tau_stage.errors import SceneError
from tau_stage.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tau_stage.report import Annotation
    from tau_stage.scene import Plan

SHORT_STEPS = 50
"""A scene with fewer steps, all of them written down, cannot fill a model's window."""


def validate(
    scenes: Scenes,
    form: Annotated[
        Literal["text", "json", "github"],
        typer.Option("--format", help="For people, programs, or GitHub's annotations."),
    ] = "text",
    var: Var = None,
    only: Only = None,
) -> None:
    """Check scene files: every error, with a way out."""
    if form == "text":
        from tau_stage.cli.scene_files import load_plans

        load_plans(scenes, loaded=_praise, variables=var, only=only)
        return
    from tau_stage.report import as_github, as_json

    found = _found(scenes, var, only)
    if form == "json":
        say_json(as_json(found))
    elif found:
        say_commands(as_github(found))
    raise typer.Exit(2 if any(finding.severity == "error" for finding in found) else 0)


def _found(scenes: Sequence[str], variables: Sequence[str] | None, only: Sequence[str] | None) -> list[Annotation]:
    """Find everything that is wrong, or may be, in the order of the files."""
    from tau_stage.cli.scene_files import load_plans
    from tau_stage.report import Annotation

    found: list[Annotation] = []
    for scene in scenes:
        try:
            plans = load_plans([scene], variables=variables, only=only)
        except SceneError as error:
            found += map(Annotation.of, (error, *error.also))
            continue
        for remark in dict.fromkeys(remark for plan in plans for remark in plan.warnings):
            spot = remark.location
            found.append(Annotation(spot.path, spot.line, spot.column, "warning", str(remark)))
        found += [Annotation(scene, 1, 1, "warning", text) for plan in plans for text in _warnings(plan)]
    return found


def _praise(plan: Plan) -> None:
    players, lines = counted(len(plan.players), "player"), counted(len(plan.lines), "line")
    variant = f" ({plan.variant})" if plan.variant else ""
    say(f"ok {plan.path}: {plan.title}{variant}, {players}, {lines}")
    for remark in plan.warnings:
        warn(f"warning: {remark.location.path}:{remark.location.line}:{remark.location.column}: {remark}")
    for warning in _warnings(plan):
        warn(f"warning: {plan.path}: {warning}")


def _warnings(plan: Plan) -> tuple[str, ...]:
    """Warn the scene's author of models that end, and of windows, where the scene is long enough for it."""
    from tau_stage.cost import retirement_warnings
    from tau_stage.scene import sound_warnings

    told = (*_unknown_voices(plan), *sound_warnings(plan))
    today = datetime.now(UTC).date()
    if not _may_be_long(plan):
        return (*told, *retirement_warnings(plan, today))
    from tau_stage.cost import forecast

    return (*told, *forecast(plan, today).warnings)


def _unknown_voices(plan: Plan) -> Iterator[str]:
    from tau_stage.scene import voice_warning

    for player in plan.models:
        if warning := voice_warning(player.voice, player.endpoint):
            yield f"player {player.name}: {warning}"


def _may_be_long(plan: Plan) -> bool:
    from tau_stage.scene import ImprovisePlan, ListenPlan

    steps = [step for strand in plan.step_lists for step in strand]
    return len(steps) >= SHORT_STEPS or any(isinstance(step, ImprovisePlan | ListenPlan) for step in steps)
