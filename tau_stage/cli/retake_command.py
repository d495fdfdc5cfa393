"""``tau-stage retake``: one line of a take again, or those that have failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.options import AllowTools, AsJson, Live, Quiet
from tau_stage.cli.printing import warn
from tau_stage.cli.settings import read_settings

if TYPE_CHECKING:
    from tau_stage.scene.model import Scene
    from tau_stage.scene.plan import Plan
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.records import Retake
    from tau_stage.take.reuse import Former
    from tau_stage.take.take_model import Take


def retake(
    take: Annotated[Path, typer.Argument(metavar="TAKE", help="A take's folder.", show_default=False)],
    line: Annotated[
        str | None,
        typer.Argument(
            metavar="[LINE]", help="The line's id, like clerk-2. Default: all that failed.", show_default=False
        ),
    ] = None,
    direction: Annotated[str | None, typer.Option(help="How to say it this time.")] = None,
    takes: Annotated[int, typer.Option(min=1, max=9, help="How often to say it; the closest is picked.")] = 1,
    through: Annotated[bool, typer.Option("--through", help="Perform the lines after it again, too.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Though the scene has changed since.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the new take goes. Default: beside the old one.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Play here, whatever the scene says: a name or a URL.")] = None,
    live: Live = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    allow_tools: AllowTools = False,
) -> None:
    """Perform one line of a take again, or all that have failed, in the same context, into a new take.

    All other lines are taken over as they are; those after it, which heard the old line, are marked.
    """
    from tau_stage.cli.performing import Wish, perform_plans
    from tau_stage.errors import UsageError
    from tau_stage.take.folder import TakeFolder, unlinked
    from tau_stage.take.reading import read_take
    from tau_stage.take.records import Retake

    folder, former = read_take(take)
    folder = TakeFolder(unlinked(folder.path))  # a link may lead elsewhere later
    lines = [line] if line else [performed.id for performed in former.lines if performed.problem]
    if not lines:
        raise UsageError(f"{take}: no line of the take has failed", "name the line that is to be performed again")
    asked = Retake(lines=tuple(lines), direction=direction, takes=takes, through=through)
    plan, kept = plan_retake(folder, former, asked, anyway=anyway, named=take)
    wish = Wish(
        out=out or folder.path.parent.parent,
        endpoint=endpoint,
        live=live,
        allow_tools=allow_tools or read_settings().allow_tools,
        former=kept,
    )
    perform_plans([plan], wish, quiet=quiet, as_json=as_json)


def plan_retake(
    folder: TakeFolder, former: Take, asked: Retake, *, anyway: bool, named: Path | None = None
) -> tuple[Plan, Former]:
    """Return the plan of a retake, and what it takes over.

    Args:
        folder: The former take's.
        former: The former take.
        asked: What is performed again, and how.
        anyway: Whether the scene may have changed since.
        named: What an error calls the former take.

    Raises:
        SceneError: The scene is wrong by now.
        UsageError: The scene has changed, or the take has no such line.
    """
    from tau_stage.errors import UsageError
    from tau_stage.scene.planner import make_plan, redirected
    from tau_stage.take.reuse import retaken

    scene = _scene(former, anyway=anyway)
    changes = {"direction": asked.direction} if asked.direction is not None else {}
    try:
        if changes or asked.takes > 1:
            for each in asked.lines:
                scene = redirected(scene, each, takes=asked.takes, **changes)
        plan = _as_asked(folder, make_plan(scene), asked.lines, through=asked.through)
        kept = retaken(plan, folder, former, *asked.lines, through=asked.through)
    except KeyError:
        known = ", ".join(performed.id for performed in former.lines[:12])
        lines = ", ".join(asked.lines)
        problem = f"{named or folder.path}: the take has no line '{lines}' that can be retaken so"
        raise UsageError(problem, f"it has {known}") from None
    return plan, replace(kept, wish=asked)


def _as_asked(folder: TakeFolder, plan: Plan, lines: Sequence[str], *, through: bool) -> Plan:
    """Return the plan with nothing to perform but what was asked for; how else the scene has changed is told."""
    from tau_stage.take.journal import read_beginning
    from tau_stage.take.reuse import drift, without

    before = read_beginning(folder.journal).resolved if folder.journal.is_file() else ""
    if not before or through:
        return plan
    found = drift(before, plan, lines)
    for told in found.told():
        warn(f"warning: {told}")
    return without(plan, found.new)


def _scene(former: Take, *, anyway: bool) -> Scene:
    from tau_stage.errors import UsageError
    from tau_stage.scene.load import load_variants

    staged = former.scene
    (scene,) = load_variants(staged.path, staged.given, [staged.variant] if staged.variant else ())
    if scene.sha256 != staged.sha256 and not anyway:
        hint = "perform the scene, or retake the line with --anyway"
        raise UsageError(f"{staged.path}: the scene has changed since the take was performed", hint)
    return scene
