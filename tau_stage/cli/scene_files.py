"""Scene files on the command line: into plans, all errors of all files at once; and rewritten in place.

Only sound ones are rewritten, only where something changes, and never halfway.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import Document, Plan, Scene, load_scene, load_variants, make_plan, read_source, read_yaml

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
        plans = [*map(make_plan, load_variants(path, given, only or ()))]
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


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Change = tuple[str, str, str]
"""What a file is called, what it holds, and what it is to hold."""


def changes(paths: Sequence[str], change: Callable[[Document, Scene], str]) -> list[Change]:
    """Return what scene files are to hold, as ``change`` makes it of their documents; nothing is written yet.

    Raises:
        SceneError: At least one is no sound scene; the errors of all are in it.
    """

    def rewritten(path: str) -> Change:
        scene = load_scene(path)
        document = read_yaml(read_source(path))
        return path, document.source.text, change(document, scene)

    return each_scene(paths, rewritten)


def rewrite(path: str, text: str) -> None:
    """Replace a scene file's text: beside it first, then renamed; its mode stays, and so does a byte order mark.

    Raises:
        TakeError: It cannot be written; then it is as it was.
    """
    from tau_stage.take import clear_drafts, draft_beside, guarded

    file = Path(path).resolve()
    with guarded(file, "make room, or make it a file that you may write"):
        mark = _BYTE_ORDER_MARK if file.read_bytes().startswith(_BYTE_ORDER_MARK) else b""
        clear_drafts(file.parent)
        with draft_beside(file) as (number, draft):
            with open(number, "wb", closefd=False) as text_file:
                text_file.write(mark + text.encode("utf-8"))
            shutil.copymode(file, draft)
            draft.replace(file)
