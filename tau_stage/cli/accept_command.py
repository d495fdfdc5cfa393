"""``tau-stage accept``: a take becomes what its scene is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tau_stage import checks
from tau_stage import take as takes
from tau_stage.cli.options import TakePath
from tau_stage.cli.printing import say
from tau_stage.errors import TakeError
from tau_stage.text import counted


def accept(
    take: TakePath,
    lines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LINE]...", help="Ids of the lines to accept. Other lines stay unchanged.", show_default=False
        ),
    ] = None,
) -> None:
    """Save a take's words and measurements as the scene's snapshot.

    Later takes are compared with the snapshot. Its file is snapshots/SCENE.json, or snapshots/SCENE.VARIANT.json for a
    variant. Keep the file under version control.
    """
    folder, performed = takes.read_take(take)
    scene = performed.scene
    if not Path(scene.path).is_file():
        problem = f"was performed from {scene.path}, which does not exist here"
        raise TakeError(str(folder.path), problem, "run the command in the folder that the take was performed from")
    path = checks.snapshot_path(scene.path, scene.variant)
    old = checks.read_snapshot(path)
    new = checks.accept_snapshot(checks.snapshot_of(folder, performed), old, tuple(lines or ()))
    changed = checks.write_snapshot(path, new)
    differing = checks.changed_lines(old, new)
    count = f"{len(differing)} of {counted(len(new.lines), 'line')}"
    say(f"accepted {path}: {count} changed" if changed else f"unchanged {path}")
