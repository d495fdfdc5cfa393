"""``tau-stage pick``: another take of a line becomes the line."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from tau_stage import runs
from tau_stage import take as takes
from tau_stage.cli.options import Anyway, AsJson, Quiet, TakePath
from tau_stage.cli.printing import say
from tau_stage.errors import TakeError, UsageError


def pick(
    take: TakePath,
    line: Annotated[
        str, typer.Argument(metavar="LINE", help="The line's id, for example clerk-2.", show_default=False)
    ],
    number: Annotated[
        int, typer.Argument(metavar="N", min=1, help="Number of the take to choose.", show_default=False)
    ],
    anyway: Anyway = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Choose a different take of a line, and regenerate the take's files.

    Nothing is performed or paid for. Later lines are marked as outdated if their players heard the previous take. The
    previous take is kept, and you can choose it again. The exit code depends on the pick and the
    expectations, not on how the performance ended.
    """
    from tau_stage.cli.resume_command import deliver_take

    folder = takes.TakeFolder(takes.read_take(take)[0].path.resolve())
    chosen = _chosen(folder, line, number)
    if chosen.take == number:
        if not (quiet or as_json):
            say(f"take {number} of line {line} is already picked")
    else:
        with takes.locked(folder.path):
            _write_down(folder, chosen, number)
    delivered = deliver_take(folder, anyway=anyway, quiet=quiet, as_json=as_json)
    raise typer.Exit(runs.TAKE_SPOILED if delivered is None else delivered.delivery_code)


def _chosen(folder: takes.TakeFolder, name: str, number: int) -> takes.Performed:
    """Return the line as the journal tells it, if it has such a take: the rest may not have followed the last pick."""
    if not folder.journal.is_file():
        raise TakeError(
            str(folder.path), f"{folder.journal.name} is missing, so its takes are unknown", "perform the scene again"
        )
    told = takes.fold(takes.read_journal(folder.journal))
    line = next((each for each in told.lines if each.id == name), None)
    if line is None:
        known = ", ".join(each.id for each in told.lines if each.alternatives) or "none"
        raise UsageError(f"{folder.path}: no line {name!r}", f"lines with several takes: {known}")
    numbers = [other.take for other in line.takes if other.file]
    if number not in numbers:
        hint = f"record more takes: tau-stage retake {folder.path} {name} --takes 3"
        hint = f"its takes: {', '.join(map(str, numbers))}" if numbers else hint
        raise UsageError(f"{folder.path}: line {name} has no take {number} with audio", hint)
    return line


def _write_down(folder: takes.TakeFolder, line: takes.Performed, number: int) -> None:
    """Write the pick down, once all has followed the last one, and it is sure that all can follow it."""
    if not takes.delivery(takes.read_journal(folder.journal)):
        takes.follow_picks(folder)
    other = next(take for take in line.takes if take.take == number)
    takes.audio_of(folder, other)  # it must be there, as it was performed
    with closing(takes.Journal(folder.journal, goes_on=True)) as journal:
        records = journal.records
        takes.read_played(records)
        if line.file:
            takes.keep_take(folder, line.file, line.take)
        journal.append(takes.TakePicked(at_s=records[-1].at_s, line=line.id, take=number))
