"""``tau-stage cast``: who speaks in a table of lines, as a cast file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tau_stage.cli.options import ColumnsOption, TableFile, TableFormat
from tau_stage.cli.printing import say
from tau_stage.text import counted


def cast(
    source: TableFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The cast file to write.")] = Path("cast.yaml"),
    column: ColumnsOption = None,
    table_format: TableFormat = None,
) -> None:
    """Write a cast file with all speakers in a table. Each entry has the number of lines and a voice.

    Voices are assigned in order. You can change them. If the file exists, only missing speakers are added.
    """
    from tau_stage import scene, tables
    from tau_stage.cli.scene_files import named_values, rewrite
    from tau_stage.take import guarded

    columns = named_values(column, "--column", "words=Text")
    if not out.exists():
        table = tables.read_table(source, columns, table_format)
        text = tables.cast_text(table)
        with guarded(out, "choose a folder that you can write to"):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")
        say(f"wrote {out}: {counted(len(tables.speakers_in(table)), 'player')}")
        return
    known = scene.load_cast(str(out))
    table = tables.read_table(source, columns, table_format, players=tuple(known.players))
    document = scene.read_yaml(scene.read_source(str(out)))
    text, added = tables.complete_cast(document, known, table)
    if added:
        rewrite(str(out), text)
    say(
        f"added {counted(added, 'player')} to {out}" if added else f"unchanged {out}: it already contains every speaker"
    )
