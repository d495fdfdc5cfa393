"""``tau-stage fmt``: a scene in the other notation."""

from typing import Annotated, Literal

import typer

from tau_stage import scene
from tau_stage.cli.options import Scenes
from tau_stage.cli.printing import say


def fmt(
    scenes: Scenes,
    notation: Annotated[
        Literal["lines", "script"],
        typer.Option("--as", help="Notation: lines (a YAML list) or script (text, as in a play).", show_default=False),
    ],
    check: Annotated[bool, typer.Option("--check", help="Write nothing. Exit with 1 if a file would change.")] = False,
) -> None:
    """Write the lines of scene files as a list or as a script. Comments and all other keys stay unchanged."""
    from tau_stage.cli.scene_files import changes, rewrite

    write = scene.as_script if notation == "script" else scene.as_lines
    changed = changes(scenes, lambda document, loaded: write(document, tuple(loaded.players)))
    for path, old, new in changed:
        if old == new:
            say(f"unchanged {path}")
        elif check:
            say(f"would change {path} to {notation}")
        else:
            rewrite(path, new)
            say(f"changed {path} to {notation}")
    if check and any(old != new for _, old, new in changed):
        raise typer.Exit(1)
