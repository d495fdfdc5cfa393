"""``tau-stage init``: a new project with a scene, whose test passes at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tau_stage import scene
from tau_stage import take as takes
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError

TEMPLATE = Path(__file__).parent / "template"
NAMED = {
    "gitignore": ".gitignore",
    "gitattributes": ".gitattributes",
    "github.yml": ".github/workflows/scenes.yml",
    "vscode.json": ".vscode/settings.json",
}
"""Files whose own names would mean something where the template lies."""

SCHEMA = "scene.schema.json"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.", show_default=False)],
) -> None:
    """Make a project: a scene with its cassette and snapshot, settings for the editor, a workflow for GitHub Actions.

    In it, tau-stage test passes at once, without a key. A file that is there already is never changed.
    """
    names = {path.relative_to(TEMPLATE).as_posix(): path for path in sorted(filter(Path.is_file, TEMPLATE.rglob("*")))}
    files = {folder / NAMED.get(name, name): path.read_bytes() for name, path in names.items()}
    files[folder / SCHEMA] = scene.scene_schema().encode()
    there = [*filter(os.path.lexists, files)]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UsageError(f"{there[0]}{more} would be overwritten", "choose a new folder: tau-stage init DIR")
    for path, data in files.items():
        with takes.guarded(path, "choose a folder that can be written to"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
    say(f"made {folder}: {len(files)} files")
    say(f"next: {'' if folder == Path() else f'cd {folder} && '}tau-stage test")
