"""``tau-stage schema``: the scene language, a take, or a batch, as a JSON schema."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tau_stage import batch, scene, take
from tau_stage.cli.printing import say_json


def schema(
    of: Annotated[
        Literal["scene", "take", "batch"], typer.Argument(help="The kind of file that the schema describes.")
    ] = "scene",
    write: Annotated[Path | None, typer.Option(help="Write the schema to this file instead of printing it.")] = None,
) -> None:
    """Print the JSON schema of scenes, takes or batches.

    If you specify the schema in the first line of a scene, as in scenes/umbrella.yaml, your editor completes and
    describes the keys.
    """
    if of == "scene":
        text = scene.scene_schema()
    elif of == "batch":
        text = batch.batch_schema()
    else:
        import json

        text = json.dumps(take.take_schema(), indent=2, ensure_ascii=False) + "\n"
    if write is None:
        say_json(text, end="")
        return

    take.write_whole({write: text}, "choose another file")
