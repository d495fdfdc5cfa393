"""``tau-stage validate``: is this scene fit to be performed?"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tau_stage import batch, cost, report, scene
from tau_stage.cli.options import MaxVariants, Only, Scenes, Var
from tau_stage.cli.printing import say, say_commands, say_json, warn
from tau_stage.errors import SceneError, format_if
from tau_stage.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


SHORT_STEPS = 50  # A scene with fewer steps, all of them written down, cannot fill a model's window


def validate(
    scenes: Scenes,
    form: Annotated[
        Literal["text", "json", "github"],
        typer.Option("--format", help="Output format: text, JSON, or GitHub annotations."),
    ] = "text",
    var: Var = None,
    only: Only = None,
    max_variants: MaxVariants = scene.MOST_VARIANTS,
) -> None:
    """Check scene files and batch files, and explain how to fix each error."""
    if form == "text":
        from tau_stage.cli.scene_files import each_scene

        each_scene(scenes, lambda path: _praised(path, var, only, max_variants))
        return

    found = _found(scenes, var, only, max_variants)
    if form == "json":
        say_json(report.as_json(found))
    elif found:
        say_commands(report.as_github(found))
    raise typer.Exit(2 if any(finding.severity == "error" for finding in found) else 0)


def _praised(path: str, variables: Sequence[str] | None, only: Sequence[str] | None, most: int) -> None:
    from tau_stage.cli.scene_files import load_plans

    if not batch.is_batch(path):
        for plan in load_plans([path], variables=variables, only=only, most=most):
            _praise(plan)
        return
    found = batch.load_batch(path)
    plans, notes = _plans_of(found, only)
    jobs, lines = counted(len(plans), "job"), counted(sum(len(plan.lines) for plan in plans), "line")
    say(f"ok {path}: {found.title}, {jobs}, {lines}")
    _warn_of(plans, notes)


def _plans_of(found: batch.Batch, only: Sequence[str] | None) -> tuple[list[scene.Plan], list[tuple[str, str]]]:
    """Load the plans of all scenes of a batch file, and what may be wrong with its tables: the sheet, and what."""
    tables = batch.read_tables(found)
    jobs = batch.choose_jobs(batch.load_jobs(found, tables=tables), only or ())
    return [job.plan for job in jobs], batch.unread_columns(found, tables)


def _found(
    scenes: Sequence[str], variables: Sequence[str] | None, only: Sequence[str] | None, most: int
) -> list[report.Annotation]:
    """Find everything that is wrong, or may be, in the order of the files."""
    from tau_stage.cli.scene_files import load_plans

    found: list[report.Annotation] = []
    for path in scenes:
        notes: Sequence[tuple[str, str]] = ()
        try:
            if batch.is_batch(path):
                plans, notes = _plans_of(batch.load_batch(path), only)
            else:
                plans = load_plans([path], variables=variables, only=only, most=most)
        except SceneError as error:
            found += map(report.Annotation.of, (error, *error.also))
            continue
        for remark in _remarks(plans):
            spot = remark.location
            found.append(report.Annotation(spot.path, spot.line, spot.column, "warning", str(remark)))
        found += [report.Annotation(place, 1, 1, "warning", text) for place, text in (*notes, *_scene_warnings(plans))]
    return found


def _remarks(plans: Sequence[scene.Plan]) -> Iterable[scene.SceneWarning]:
    """Return what may be wrong at places of scene files, each once."""
    return dict.fromkeys(remark for plan in plans for remark in plan.warnings)


def _scene_warnings(plans: Sequence[scene.Plan]) -> Iterable[tuple[str, str]]:
    """Return what may be wrong with scenes as wholes, each once: the file, and what."""
    return dict.fromkeys((plan.path, text) for plan in plans for text in _warnings(plan))


def _praise(plan: scene.Plan) -> None:
    players, lines = counted(len(plan.players), "player"), counted(len(plan.lines), "line")
    variant = format_if(" ({})", plan.variant)
    say(f"ok {plan.path}: {plan.title}{variant}, {players}, {lines}")
    _warn_of([plan])


def _warn_of(plans: Sequence[scene.Plan], notes: Sequence[tuple[str, str]] = ()) -> None:
    for remark in _remarks(plans):
        warn(f"warning: {remark.location.path}:{remark.location.line}:{remark.location.column}: {remark}")
    for path, warning in (*notes, *_scene_warnings(plans)):
        warn(f"warning: {path}: {warning}")


def _warnings(plan: scene.Plan) -> tuple[str, ...]:
    """Warn the scene's author of models that end, and of windows, where the scene is long enough for it."""
    told = (*_unknown_voices(plan), *scene.sound_warnings(plan))
    today = datetime.now(UTC).date()
    if not _may_be_long(plan):
        return (*told, *cost.retirement_warnings(plan, today))

    return (*told, *cost.forecast(plan, today).warnings)


def _unknown_voices(plan: scene.Plan) -> Iterator[str]:

    for player in plan.models:
        if warning := scene.voice_warning(player.voice, player.endpoint):
            yield f"player {player.name}: {warning}"


def _may_be_long(plan: scene.Plan) -> bool:

    steps = [*chain.from_iterable(plan.step_lists)]
    return len(steps) >= SHORT_STEPS or any(isinstance(step, scene.ImprovisePlan | scene.ListenPlan) for step in steps)
