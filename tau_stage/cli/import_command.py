"""``tau-stage import``: scene files of a table of lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tau_stage.cli.options import ColumnsOption, TableFile, TableFormat
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError
from tau_stage.text import counted


def import_table(
    source: TableFile,
    cast: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="A cast file with the players. Create one with tau-stage cast.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the scene files.")] = Path("scenes"),
    column: ColumnsOption = None,
    table_format: TableFormat = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write a scene file for each scene, snippet or sheet in a table of lines.

    Ids stay unchanged. Words are plain text: characters that look like markup are escaped. Each scene gets a copy of
    the players who speak in it.
    """
    from tau_stage import scene, tables
    from tau_stage.cli.scene_files import named_values
    from tau_stage.take import guarded

    players = scene.load_cast(str(cast))
    table = tables.read_table(
        source, named_values(column, "--column", "words=Text"), table_format, players=tuple(players.players)
    )
    entries = scene.cast_entries(str(cast))
    made = {
        out / f"{Path(each.path).stem}.yaml": tables.scene_text(each, entries, table, out)
        for each in tables.scenes_of_table(table, players)
    }
    there = [path for path in made if path.exists()]
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UsageError(f"{there[0]}{more} would be overwritten", "choose another folder with --out, or add --force")
    for path, text in made.items():
        with guarded(path, "choose a folder that you can write to"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")
    say(f"{counted(len(table.lines), 'line')} in {counted(len(made), 'scene')}")
