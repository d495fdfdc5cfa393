"""Scene files on the command line: into plans, all errors of all files at once; and rewritten in place.

Only sound ones are rewritten, only where something changes, and never halfway.
"""

from __future__ import annotations

import shutil
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TypeVar

from tau_stage.batch import is_batch
from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import (
    MOST_VARIANTS,
    Document,
    Plan,
    Scene,
    load_scene,
    load_variants,
    make_plan,
    read_source,
    read_yaml,
)

Made = TypeVar("Made")


def each_scene(paths: Sequence[str], make: Callable[[str], Made]) -> list[Made]:
    """Make something of each scene file; the errors of all are in the one ``SceneError`` that is raised."""
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
    *,
    variables: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    most: int = MOST_VARIANTS,
) -> list[Plan]:
    """Load the plans of scene files, with variables as ``name=value``: of one with a matrix, all its variants.

    ``most`` is how many variants one of them may have.
    """
    given = named_values(variables)

    def load(path: str) -> list[Plan]:
        if is_batch(path):
            raise UsageError(f"{path} is a batch file", f"perform its scenes: tau-stage batch run {quote(path)}")
        return [*map(make_plan, load_variants(path, given, only or (), most=most))]

    return [*chain.from_iterable(each_scene(paths, load))]


def named_values(variables: Sequence[str] | None, option: str = "--var", like: str = "city=Oslo") -> dict[str, str]:
    """Read variables, or other names with values, as the command line gives them."""
    for text in variables or ():
        if text.find("=") < 1:
            raise UsageError(f"{option} expects a name and a value, not '{text}'", f"write: {option} {like}")
    return dict(text.split("=", 1) for text in variables or ())


Change = tuple[str, str, str]  # what a file is called, what it holds, and what it is to hold


def changes(paths: Sequence[str], change: Callable[[Document, Scene], str]) -> list[Change]:
    """Return what scene files are to hold, as ``change`` makes it of their documents; nothing is written yet."""

    def rewritten(path: str) -> Change:
        scene = load_scene(path)
        document = read_yaml(read_source(path))
        return path, document.source.text, change(document, scene)

    return each_scene(paths, rewritten)


def rewrite(path: str, text: str) -> None:
    """Replace a scene file's text: beside it first, then renamed; its mode stays, and so does a byte order mark."""
    from tau_stage.take import clear_drafts, draft_beside, guarded

    file = Path(path).resolve()
    with guarded(file, "free some disk space, or make the file writable"):
        has_mark = file.read_bytes().startswith(BOM_UTF8)
        clear_drafts(file.parent)
        with draft_beside(file) as (number, draft):
            with open(number, "wb", closefd=False) as text_file:
                text_file.write(text.encode("utf-8-sig" if has_mark else "utf-8"))
            shutil.copymode(file, draft)
            draft.replace(file)
