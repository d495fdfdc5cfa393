"""``tau-stage tag``: every line gets its id in the file."""

from __future__ import annotations

from tau_stage import scene
from tau_stage.cli.options import Scenes
from tau_stage.cli.printing import say
from tau_stage.text import counted


def tag(
    scenes: Scenes,
) -> None:
    """Write each line's id into scene files, so that a line keeps its id when you add or remove other lines."""
    from tau_stage.cli.scene_files import changes, rewrite

    ids: list[int] = []

    def change(document: scene.Document, loaded: scene.Scene) -> str:
        text, number = _tagged(document, loaded)
        ids.append(number)
        return text

    for (path, _, text), number in zip(changes(scenes, change), ids, strict=True):
        if number:
            rewrite(path, text)
        say(f"tagged {path}: {counted(number, 'id')}" if number else f"unchanged {path}")


def _tagged(document: scene.Document, loaded: scene.Scene) -> tuple[str, int]:
    """Write the ids into a scene's text. Return it, and how many are new."""
    if "script" in document.data:
        place = document.place(("script",), key=True)
        hint = "convert it to lines first: tau-stage fmt --as lines"
        raise document.source.error(place, "lines in a script cannot have ids", hint)
    lines = [(line.path, made) for made, line in scene.written_lines(loaded) if line.id is None]
    return scene.add_ids(document, lines), len(lines)
