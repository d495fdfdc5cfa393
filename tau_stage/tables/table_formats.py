"""Which kind of table a file is, and its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import automatic_id, did_you_mean, listed, slug
from tau_stage.tables.cells import PROGRAMS, Wanted
from tau_stage.tables.line_table import LineTable, TableLine, raise_all

PLAIN = "plain"
FORMATS = (PLAIN, *PROGRAMS)
"""Kinds of tables: ``plain`` is any table with a header of its own."""

_NO_COLUMNS: Mapping[str, str] = {}
_CELLS = (".csv", ".tsv", ".tab")


def read_table(
    path: str,
    columns: Mapping[str, str] = _NO_COLUMNS,
    format: str | None = None,  # noqa: A002 - what a batch file calls it
    language: str = "",
    *,
    base: LineTable | None = None,
) -> LineTable:
    """Read a table of lines; which kind of table it is, its name's ending tells, or its header.

    Args:
        path: The file.
        columns: Headers by what they hold: ``id``, ``player``, ``words``, ``direction``, ``scene``, ``lock``, ``note``.
            Those that are not given are found by their usual names. ``none``: there is no such column; ids are then
            made of the player and a number, as in scenes.
        format: Which kind of table it is, one of ``FORMATS``; None finds it out.
        language: The code of its language.
        base: The table that it translates: who speaks, the scene, and the direction where it has none, are taken from
            there by ids. Lines of the base that it does not translate are left out, and so are its own others.

    Raises:
        SceneError: The file cannot be read, or a line of it is wrong; further errors are in its ``also``.
        UsageError: There is no such format or column, or a library that it needs is not installed.
    """
    wanted = Wanted(columns, _known(format), base is not None)
    suffix = PurePath(path).suffix.lower()
    errors: list[SceneError] = []
    if suffix in _CELLS:
        from tau_stage.tables.text_files import read_csv

        program, lines, sheet, text = read_csv(path, wanted, errors)
        table = LineTable(path, language, program, tuple(lines), (sheet,), text)
    else:
        raise UsageError(f"{path} is no table of lines", f"tables end with {listed(_CELLS)}")
    table = _with_ids(table)
    errors += _twins(table.lines)
    raise_all(errors)
    return translated(base, table) if base else table


def _known(format_: str | None) -> str:
    if format_ is not None and format_ not in FORMATS:
        hint = did_you_mean(format_, FORMATS, f"formats: {listed(FORMATS)}")
        raise UsageError(f"there is no format '{format_}' of tables", hint)
    return format_ or ""


def _with_ids(table: LineTable) -> LineTable:
    """Make ids for lines of a source that has none: player and ordinal, behind the scene where there are several."""
    if all(line.id for line in table.lines):
        return table
    several = len({line.scene for line in table.lines}) > 1
    counted: dict[str, int] = {}
    lines = []
    for line in table.lines:
        head = f"{slug(line.scene)[:40]}-{line.player[:20]}" if several else line.player
        counted[head] = counted.get(head, 0) + 1
        lines.append(replace(line, id=automatic_id(head, counted[head])))
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
            same = "" if other.id == line.id else f", where capitals do not count: '{other.id}'"
            errors.append(line.place.error("id", f"the id '{line.id}' is taken by {where}{same}", "choose another"))
    return errors


def translated(base: LineTable, table: LineTable) -> LineTable:
    """Return the lines of a base table that another translates, in the order of the base, in that one's words."""
    known = {line.id: line for line in table.lines}
    lines = tuple(
        replace(other, player=line.player, scene=line.scene, direction=other.direction or line.direction)
        for line in base.lines
        if (other := known.get(line.id))
    )
    return replace(table, lines=lines)
