"""Scene files into plans, for every verb that takes some: all errors of all files at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene
from tau_stage.scene.plan import Plan, make_plan


def load_plans(paths: Sequence[str], loaded: Callable[[Plan], None] = lambda _plan: None) -> list[Plan]:
    """The plans of scene files.

    Args:
        paths: As the user named them.
        loaded: Told of each plan, before the next file is read.

    Raises:
        SceneError: At least one cannot be performed; the errors of all are in it.
    """
    plans: list[Plan] = []
    errors: list[SceneError] = []
    for path in paths:
        try:
            plan = make_plan(load_scene(path))
        except SceneError as error:
            errors += [error, *error.also]
        else:
            loaded(plan)
            plans.append(plan)
    if errors:
        raise replace(errors[0], also=tuple(errors[1:]))
    return plans
