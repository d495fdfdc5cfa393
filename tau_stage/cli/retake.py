"""``tau-stage retake``: one line of a take again, or those that have failed."""

from __future__ import annotations

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
    from tau_stage.take.model import Take


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
    from tau_stage.scene.planning import make_plan
    from tau_stage.scene.redirect import redirected
    from tau_stage.stage.retake import retaken
    from tau_stage.take.reading import read_take

    folder, former = read_take(take)
    scene = _scene(former, anyway=anyway)
    changes = {"direction": direction} if direction is not None else {}
    lines = [line] if line else [performed.id for performed in former.lines if performed.problem]
    if not lines:
        raise UsageError(f"{take}: no line of the take has failed", "name the line that is to be performed again")
    try:
        if changes or takes > 1:
            for each in lines:
                scene = redirected(scene, each, takes=takes, **changes)
        plan = _as_asked(folder, make_plan(scene), lines, through=through)
        kept = retaken(plan, folder, former, *lines, through=through)
    except KeyError:
        known = ", ".join(performed.id for performed in former.lines[:12])
        raise UsageError(
            f"{take}: the take has no line '{', '.join(lines)}' that can be retaken so", f"it has {known}"
        ) from None
    wish = Wish(
        out=out or folder.path.resolve().parent.parent,
        endpoint=endpoint,
        live=live,
        allow_tools=allow_tools or read_settings().allow_tools,
        former=kept,
    )
    perform_plans([plan], wish, quiet=quiet, as_json=as_json)


def _as_asked(folder: TakeFolder, plan: Plan, lines: list[str], *, through: bool) -> Plan:
    """The plan with nothing to perform but what was asked for; how else the scene has changed is told."""
    from tau_stage.stage.retake import drift, without
    from tau_stage.take.journal import read_beginning

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
