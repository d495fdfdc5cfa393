"""A take's files once more, from its journal: what was performed with an older version, or stopped half-way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tau_stage.errors import TakeError
from tau_stage.report.deliver import Note, deliver, unnoted
from tau_stage.take.fold import cost_json, delivery, fold
from tau_stage.take.folder import COSTS, MANIFEST, TakeFolder
from tau_stage.take.journal import read_beginning, read_journal
from tau_stage.take.lock import locked
from tau_stage.take.stems import follow_picks
from tau_stage.take.take_model import Take

NEWER = "install a newer tau-stage"
NO_TAKE = "name the folder of a take, like takes/umbrella/latest"
DAMAGED = "it is damaged, or a newer tau-stage wrote it; nothing was changed"
CLOSED = "make room there, or let it be written to; nothing was changed"
KNOWN = 1
"""Version of journals and of ``take.json``."""


def rebuild(folder: TakeFolder, *, embed: bool = False, note: Note = unnoted) -> tuple[Take, list[str]]:
    """Write ``take.json``, ``cost.json`` and all that is made of a take, from its journal and its sounds.

    Where something is missing or broken, nothing is written; the texts are written all, or none is.

    Args:
        folder: The take's.
        embed: Put the sounds into the page.
        note: Is told what is being made.

    Returns:
        The take, and what was made, a line for each.

    Raises:
        TakeError: There is no journal, it is broken or a newer version's, a sound is missing or broken, or the folder
            cannot be written.
    """
    if not folder.path.is_dir():
        raise TakeError(str(folder.path), "is no folder", NO_TAKE)
    if not folder.journal.is_file():
        raise TakeError(str(folder.journal), "is missing", NO_TAKE)
    with locked(folder.path):
        take, texts = rebuilt(folder)
        if not delivery(read_journal(folder.journal)):
            follow_picks(folder)
        wanted = read_beginning(folder.journal).deliver
        return take, deliver(folder, take, wanted, embed=embed, also=texts, hint=CLOSED, note=note)


def rebuilt(folder: TakeFolder) -> tuple[Take, dict[str, str]]:
    """Make a take from its journal, and the texts of its ``cost.json`` and ``take.json``; nothing is written.

    Raises:
        TakeError: There is no journal, or it is broken or a newer version's.
    """
    _refuse_newer(folder)
    try:
        journal = read_journal(folder.journal)
        take = fold(journal)
        cost = cost_json(journal)
    except TakeError as error:
        raise TakeError(str(folder.journal), error.problem, error.hint or DAMAGED) from None
    except (LookupError, ValueError, ArithmeticError) as error:
        problem = f"the journal contradicts itself ({type(error).__name__}: {error})"
        raise TakeError(str(folder.journal), problem) from error
    return take, {COSTS: cost, MANIFEST: take.model_dump_json(indent=2) + "\n"}


def _refuse_newer(folder: TakeFolder) -> None:
    """Refuse to overwrite what a newer version wrote with what this one understands of it."""
    for path, facts in ((folder.journal, _first(folder.journal)), (folder.manifest, _manifest(folder))):
        version = facts.get("version", KNOWN)
        if isinstance(version, int) and version > KNOWN:
            by = facts.get("tau_stage")
            problem = f"is of version {version}" + (f", by tau-stage {by}" if isinstance(by, str) else "")
            raise TakeError(str(path), f"{problem}; version {KNOWN} can be read", NEWER)


def _first(journal: Path) -> dict[str, Any]:
    try:
        with journal.open("rb") as file:
            return _facts(file.readline())
    except OSError as error:
        raise TakeError(str(journal), (error.strerror or str(error)).lower()) from error


def _manifest(folder: TakeFolder) -> dict[str, Any]:
    try:
        return _facts(folder.manifest.read_bytes())
    except OSError:  # it is about to be written
        return {}


def _facts(text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
