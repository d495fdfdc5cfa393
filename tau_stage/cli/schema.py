"""``tau-stage schema``: the scene language as a JSON schema, for editors."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    write: Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Print the JSON schema of scenes, for editors.

    Name it in a scene's first line, as scenes/umbrella.yaml does: the editor then completes, describes and checks.
    """
    from tau_stage.scene.schema import scene_schema

    if write is None:
        print(scene_schema(), end="")
    else:
        write.write_text(scene_schema(), encoding="utf-8")
