"""``tau-stage init``: a new project with a scene, a tested scene, or a batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from tau_stage import batch, scene
from tau_stage import take as takes
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError

TEMPLATES = Path(__file__).parent / "templates"
SHARED = "shared"
"""What every project has; a project's own files of the same names win."""

NAMED = {
    "gitignore": ".gitignore",
    "gitattributes": ".gitattributes",
    "github.yml": ".github/workflows/scenes.yml",
    "jetbrains.xml": ".idea/jsonSchemas.xml",
    "vscode.json": ".vscode/settings.json",
    "vscode-extensions.json": ".vscode/extensions.json",
}
"""Files whose own names would mean something where the templates lie."""

NEXT = {
    "scene": "tau-stage run scenes/welcome.yaml",
    "test": "tau-stage test",
    "batch": "tau-stage batch run batch.yaml",
}
"""The first command in a new project, by its kind."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.", show_default=False)],
    kind: Annotated[
        Literal["scene", "test", "batch"],
        typer.Option(help="A single scene, a scene with a test, or a batch of scenes in variants."),
    ] = "test",
) -> None:
    """Create a project with scenes, a README with next steps, and editor settings.

    With --kind test, the project includes a recorded scene and a GitHub Actions workflow. The test passes without a
    key. Existing files are never changed.
    """
    files = {folder / NAMED.get(name, name): data for name, data in _files(kind).items()}
    there = [*filter(os.path.lexists, files)]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UsageError(f"{there[0]}{more} would be overwritten", "choose a new folder: tau-stage init DIR")
    for path, data in files.items():
        with takes.guarded(path, "choose a folder that you can write to"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
    say(f"created {folder}: {len(files)} files")
    say(f"next: {'' if folder == Path() else f'cd {folder} && '}{NEXT[kind]}")


def _files(kind: str) -> dict[str, bytes]:
    """Return the files of a project of a kind, by their names in the template."""
    files: dict[str, bytes] = {}
    for home in (TEMPLATES / SHARED, TEMPLATES / kind):
        paths = sorted(filter(Path.is_file, home.rglob("*")))
        files |= {path.relative_to(home).as_posix(): path.read_bytes() for path in paths}
    files["scene.schema.json"] = scene.scene_schema().encode()
    if kind == "batch":
        files["batch.schema.json"] = batch.batch_schema().encode()
    return files
