"""Which kind of table a file is, and its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import automatic_id, did_you_mean, listed, slug
from tau_stage.tables.cells import PROGRAMS, Wanted
from tau_stage.tables.line_table import NARRATOR, LineTable, TableLine, raise_all

PLAIN = "plain"
FORMATS = (PLAIN, *PROGRAMS, "po", "transcript", "srt", "vtt")
"""Kinds of tables: ``plain`` is any table with a header of its own."""

_BY_ENDING: Mapping[str, str] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "cells"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), "workbook"),
    **dict.fromkeys((".txt", ".md"), "transcript"),
    ".po": "po",
    ".srt": "srt",
    ".vtt": "vtt",
    ".json": "structure",
}
"""How a file is read, by its name's ending."""

_NO_COLUMNS: Mapping[str, str] = {}


def read_table(
    path: str,
    columns: Mapping[str, str] = _NO_COLUMNS,
    format: str | None = None,  # noqa: A002 - what a batch file calls it
    language: str = "",
    *,
    base: LineTable | None = None,
    players: Sequence[str] = (),
) -> LineTable:
    """Read a table of lines; which kind of table it is, its name's ending tells, or its header.

    Args:
        path: The file.
        columns: Headers by what they hold: ``id``, ``player``, ``words``, ``direction``, ``scene``, ``lock``, ``note``.
            Those that are not given are found by their usual names. ``none``: there is no such column; ids are then
            made of the player and a number, as in scenes.
        format: Which kind of table it is, one of ``FORMATS``; None finds it out.
        language: The code of its language; without it, the one that the file names.
        base: The table that it translates: who speaks, the scene, and the direction where it has none, are taken from
            there by ids. Lines of the base that it does not translate are left out, and its own others are apart.
        players: Who is known to speak in a transcript: then their names may be marked otherwise than by a colon.

    Raises:
        SceneError: The file cannot be read, or a line of it is wrong; further errors are in its ``also``.
        UsageError: There is no such format or column, or a library that it needs is not installed.
    """
    errors: list[SceneError] = []
    table = _read(path, Wanted(columns, _known(format), base is not None), base, players, errors)
    table = replace(_with_ids(_with_ids_of(base, table)), language=language or table.language)
    errors += _twins(table.lines)
    if not errors and not table.lines and base is None:
        errors.append(SceneError(path, 1, 1, "the table has no lines", "add lines below the header"))
    raise_all(errors)
    return translated(base, table) if base else table


def _read(
    path: str, wanted: Wanted, base: LineTable | None, players: Sequence[str], errors: list[SceneError]
) -> LineTable:
    """Read a table in the way that its format, or its name, asks for."""
    way = _BY_ENDING.get(PurePath(path).suffix.lower(), "")
    if wanted.program and way not in ("workbook", "structure"):
        way = "cells" if wanted.program in (PLAIN, *PROGRAMS) else wanted.program
    if way == "cells":
        from tau_stage.tables.text_files import read_csv

        return read_csv(path, wanted, errors)
    if way == "workbook":
        from tau_stage.tables.spreadsheets import read_spreadsheet

        return read_spreadsheet(path, wanted, errors)
    if way in ("po", "structure"):
        from tau_stage.tables.text_files import read_dink_structure, read_po

        return read_po(path, base, errors) if way == "po" else read_dink_structure(path, errors)
    if way in ("transcript", "srt", "vtt"):
        from tau_stage.tables.transcripts import read_transcript_file

        return read_transcript_file(path, way, players, errors)
    raise UsageError(
        f"{path} is not a table of lines",
        f"known file name endings: {listed(_BY_ENDING)}; for other files, specify a format",
    )


def _known(format_: str | None) -> str:
    if format_ is not None and format_ not in FORMATS:
        hint = did_you_mean(format_, FORMATS, f"formats: {listed(FORMATS)}")
        raise UsageError(f"unknown table format '{format_}'", hint)
    return format_ or ""


def _with_ids_of(base: LineTable | None, table: LineTable) -> LineTable:
    """Give lines without ids those that a base has made for the same rows of the same sheet."""
    if base is None or all(line.id for line in table.lines):
        return table
    known = {(line.place.sheet.path, line.place.row): line.id for line in base.lines}
    if not any(line.place.sheet.file == table.path for line in base.lines):
        return table
    named = [
        line if line.id else replace(line, id=known.get((line.place.sheet.path, line.place.row), ""))
        for line in table.lines
    ]
    raise_all([line.place.error("words", *_NO_BASE) for line in named if not line.id])
    return replace(table, lines=tuple(named))


_NO_BASE = ("this row has a translation, but no source words", "add the source words, or clear this cell")


def _with_ids(table: LineTable) -> LineTable:
    """Make ids for lines of a source that has none: player and ordinal, behind the scene where there are several."""
    if all(line.id for line in table.lines):
        return table
    several = len({line.scene for line in table.lines}) > 1
    counted: dict[str, int] = {}
    lines = []
    for line in table.lines:
        speaker = slug(line.player or NARRATOR)
        head = f"{slug(line.scene)[:30]}-{speaker[:20]}" if several else speaker[:50]
        if not line.id:
            counted[head] = counted.get(head, 0) + 1
            line = replace(line, id=automatic_id(head, counted[head]))  # noqa: PLW2901
        lines.append(line)
    return replace(table, lines=tuple(lines))


def _twins(lines: Sequence[TableLine]) -> list[SceneError]:
    """Return an error for each line whose id another line has, also where capitals do not count."""
    seen: dict[str, TableLine] = {}
    errors = []
    for line in lines:
        other = seen.setdefault(line.id.casefold(), line)
        if other is not line:
            where = other.place.cell("id").partition(" ")[0] or f"line {other.place.line}"
            if other.place.sheet is not line.place.sheet:
                where = f"{other.place.sheet.name}!{where}"
            same = "" if other.id == line.id else f" as '{other.id}' (case is ignored)"
            errors.append(
                line.place.error("id", f"the id '{line.id}' is already used in {where}{same}", "choose another id")
            )
    return errors


def translated(base: LineTable, table: LineTable) -> LineTable:
    """Return the lines of a base table that another translates, in the order of the base, in that one's words."""
    known = {line.id: line for line in table.lines}
    lines = tuple(
        replace(other, player=line.player, scene=line.scene, direction=other.direction or line.direction)
        for line in base.lines
        if (other := known.get(line.id))
    )
    own = {line.id for line in base.lines}
    return replace(table, lines=lines, others=tuple(line for line in table.lines if line.id not in own))
