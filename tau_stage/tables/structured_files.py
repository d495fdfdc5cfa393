"""Tables that are no cells: translations of gettext (PO), and the structure that Dink writes of an Ink story (JSON).

Sources: the manual of GNU gettext, "The Format of PO Files"; github.com/wildwinter/dink.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import unfit_id
from tau_stage.tables.line_table import LineTable, Place, Sheet, TableLine, lock_of
from tau_stage.tables.text_files import read_text

_SYNTAX = re.compile(r"\(line (\d+)\)(?:: (.*))?")


def read_po(path: str, base: LineTable | None, errors: list[SceneError]) -> LineTable:
    """Read a translation of gettext: those lines that are translated; what is wrong with it is noted.

    The context of a message (``msgctxt``) is the line's id. What is not translated, obsolete, or only guessed
    (``fuzzy``) is left out, as gettext leaves it out; so are messages without a context, and plurals.
    """
    try:
        import polib
    except ImportError:
        raise UsageError(
            "PO files are read by polib, which is not installed", "pip install 'tau-stage[tables]'"
        ) from None
    text, form = read_text(path)
    sheet = Sheet(path)
    try:
        entries = polib.pofile(text + "\n")
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        found = _SYNTAX.search(str(error))
        line, problem = (int(found[1]), found[2]) if found else (1, "")
        raise SceneError(path, line, 1, f"this is no PO file: {problem or 'a syntax error'}", "mend it") from None
    wanted = {line.id for line in base.lines} if base else None
    lines = []
    for entry in entries:
        name = (entry.msgctxt or "").removeprefix("line:")
        left_out = entry.obsolete or entry.fuzzy or entry.msgid_plural or not entry.msgstr.strip()
        if not name or left_out or (wanted is not None and name not in wanted):
            continue
        place = Place(sheet, entry.linenum or 1, entry.linenum or 1)
        if wrong := unfit_id(name):
            errors.append(place.error("id", *wrong))
            continue
        lock = "" if entry.msgid == entry.msgctxt else lock_of(entry.msgid)  # some have the id there again
        words, scene = entry.msgstr.strip(), PurePath(path).stem
        lines.append(TableLine(name, "", words, "", scene, place, lock=lock, note=entry.comment))
    if entries and not any(entry.msgctxt for entry in entries):
        problem = "no message has a context (msgctxt), which is the id of a line"
        errors.append(SceneError(path, 1, 1, problem, "write the translations with contexts, or name a table"))
    return LineTable(path, str(entries.metadata.get("Language", "")), "po", tuple(lines), (sheet,), form)


def read_dink_structure(path: str, errors: list[SceneError]) -> LineTable:
    """Read Dink's structure file; what is wrong is noted. A line is what has the ids of a line and a character."""
    text, form = read_text(path)
    sheet = Sheet(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise SceneError(path, error.lineno, error.colno, f"this is no JSON: {error.msg}", "export it again") from None
    except RecursionError:
        raise SceneError(path, 1, 1, "this JSON is nested too deep to be a table", "export it again") from None
    places = [text.count("\n", 0, found.start()) + 1 for found in re.finditer(r'"LineID"\s*:', text)]
    lines = [*_beats(data, "", sheet, iter(places), errors)]
    if not lines and not errors:
        problem = "the file holds no lines: nothing in it has a LineID and a CharacterID"
        errors.append(SceneError(path, 1, 1, problem, "name the file that ends with -dink-structure.json"))
    return LineTable(path, "", "dink", tuple(lines), (sheet,), form)


_GROUPS = ("SceneID", "BlockID", "SnippetID")


def _beats(node: Any, group: str, sheet: Sheet, places: Iterator[int], errors: list[SceneError]) -> Iterator[TableLine]:
    """Yield the lines of a part of the structure, in order; ``group`` is what it is a part of."""
    if isinstance(node, list):
        for each in node:
            yield from _beats(each, group, sheet, places, errors)
    if not isinstance(node, dict):
        return
    for key in filter(node.__contains__, _GROUPS):
        group = " ".join(filter(None, (group, str(node[key]))))
    if "LineID" in node:
        line = next(places, 1)
        if "CharacterID" in node:
            yield from _beat(node, group, Place(sheet, line, line), errors)
    for each in node.values():
        yield from _beats(each, group, sheet, places, errors)


def _beat(beat: dict[str, Any], group: str, place: Place, errors: list[SceneError]) -> Iterator[TableLine]:
    facts = {key: beat.get(key) or "" for key in ("LineID", "CharacterID", "Text", "Direction")}
    odd = [key for key, fact in facts.items() if not isinstance(fact, str)]
    name, player, words, direction = (str(fact).strip() for fact in facts.values())
    if odd:
        errors.append(place.error("words", f"{odd[0]} is no text", "export the file again"))
    elif not words:
        errors.append(place.error("words", "the line has no words", "write them"))
    elif wrong := unfit_id(name):
        errors.append(place.error("id", *wrong))
    else:
        scene = group or PurePath(place.sheet.file).stem
        comments = beat.get("Comments")
        note = "\n".join(map(str, comments)) if isinstance(comments, list) else ""
        yield TableLine(name, player, words, direction, scene, place, note=note)
