"""Scene files into plans, for every verb that takes some: all errors of all files at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import Plan, load_variants, make_plan


def load_plans(
    paths: Sequence[str],
    loaded: Callable[[Plan], None] = lambda _plan: None,
    *,
    variables: Sequence[str] = (),
    only: Sequence[str] = (),
) -> list[Plan]:
    """Load the plans of scene files: of one with a matrix, all its variants.

    Args:
        paths: As the user named them.
        loaded: Told of each plan, before the next file is read.
        variables: As ``name=value``.
        only: The names of the variants that are wanted; none is all.

    Raises:
        SceneError: At least one cannot be performed; the errors of all are in it.
        UsageError: A variable has no name.
    """
    given = named_values(variables)
    plans: list[Plan] = []
    errors: list[SceneError] = []
    for path in paths:
        try:
            made = [make_plan(scene) for scene in load_variants(path, given, only)]
        except SceneError as error:
            errors += [error, *error.also]
        else:
            for plan in made:
                loaded(plan)
            plans += made
    if errors:
        raise replace(errors[0], also=tuple(errors[1:]))
    return plans


def named_values(variables: Sequence[str]) -> dict[str, str]:
    """Read variables as the command line gives them.

    Raises:
        UsageError: One has no name.
    """
    given: dict[str, str] = {}
    for text in variables:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--var wants a name and a value, not '{text}'", "write it like --var city=Oslo")
        given[name] = value
    return given
