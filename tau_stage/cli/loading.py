"""Scene files into plans, for every verb that takes some: all errors of all files at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import Plan, load_variants, make_plan

Made = TypeVar("Made")


def each_scene(paths: Sequence[str], make: Callable[[str], Made]) -> list[Made]:
    """Make something of each scene file.

    Raises:
        SceneError: At least one is not sound; the errors of all are in it.
    """
    made: list[Made] = []
    errors: list[SceneError] = []
    for path in paths:
        try:
            made.append(make(path))
        except SceneError as error:
            errors += [error, *error.also]
    if errors:
        raise replace(errors[0], also=tuple(errors[1:]))
    return made


def load_plans(
    paths: Sequence[str],
    loaded: Callable[[Plan], None] = lambda _plan: None,
    *,
    variables: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> list[Plan]:
    """Load the plans of scene files, with variables as ``name=value``: of one with a matrix, all its variants.

    ``loaded`` is told of each plan, before the next file is read.

    Raises:
        SceneError: At least one cannot be performed; the errors of all are in it.
        UsageError: A variable has no name.
    """
    given = named_values(variables)

    def load(path: str) -> list[Plan]:
        plans = [make_plan(scene) for scene in load_variants(path, given, only or ())]
        for plan in plans:
            loaded(plan)
        return plans

    return [plan for plans in each_scene(paths, load) for plan in plans]


def named_values(variables: Sequence[str] | None) -> dict[str, str]:
    """Read variables as the command line gives them.

    Raises:
        UsageError: One has no name.
    """
    given: dict[str, str] = {}
    for text in variables or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--var wants a name and a value, not '{text}'", "write it like --var city=Oslo")
        given[name] = value
    return given
