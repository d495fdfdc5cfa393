"""``tau-stage validate``: is this scene fit to be performed?"""

from dataclasses import replace
from typing import Annotated

import typer

from tau_stage.errors import SceneError


def validate(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help="Scene files.", show_default=False)],
) -> None:
    """Check scene files: every error, with a way out."""
    from tau_stage.scene.load import load_scene
    from tau_stage.scene.plan import make_plan

    errors: list[SceneError] = []
    for path in scenes:
        try:
            plan = make_plan(load_scene(path))
        except SceneError as error:
            errors += [error, *error.also]
        else:
            players, lines = _counted(len(plan.players), "player"), _counted(len(plan.lines), "line")
            print(f"ok {path}: {plan.title}, {players}, {lines}")
    if errors:
        raise replace(errors[0], also=tuple(errors[1:]))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
