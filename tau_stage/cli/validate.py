"""``tau-stage validate``: is this scene fit to be performed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tau_stage.scene.plan import Plan


def validate(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help="Scene files.", show_default=False)],
) -> None:
    """Check scene files: every error, with a way out."""
    from tau_stage.cli.loading import load_plans

    load_plans(scenes, loaded=_praise)


def _praise(plan: Plan) -> None:
    players, lines = _counted(len(plan.players), "player"), _counted(len(plan.lines), "line")
    print(f"ok {plan.path}: {plan.title}, {players}, {lines}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
