"""``tau-stage schema``: the scene language, or a take, as a JSON schema."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tau_stage.cli.printing import say_json


def schema(
    of: Annotated[Literal["scene", "take"], typer.Argument(help="What is described.")] = "scene",
    write: Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Print the JSON schema of scenes or takes.

    Name that of scenes in a scene's first line, as scenes/umbrella.yaml does: the editor then completes and
    describes what you write.
    """
    if of == "scene":
        from tau_stage.scene import scene_schema

        text = scene_schema()
    else:
        import json

        from tau_stage.take import take_schema

        text = json.dumps(take_schema(), indent=2, ensure_ascii=False) + "\n"
    if write is None:
        say_json(text, end="")
        return
    from tau_stage.take import write_whole

    write_whole({write: text}, "choose another file")
