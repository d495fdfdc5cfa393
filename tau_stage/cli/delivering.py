"""Delivering takes and holding them against what is expected; the journal tells when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from tau_stage.cli.checking import NOTHING_EXPECTED, Checked, checked, tell_problems
from tau_stage.cli.printing import warn
from tau_stage.errors import StageError, TakeError
from tau_stage.report.deliver import Note, unnoted
from tau_stage.scene.plan import Plan
from tau_stage.take import records as record
from tau_stage.take.folder import CHECKS, COSTS, MANIFEST, REPORT, TakeFolder
from tau_stage.take.take_model import Take

TAKE_SPOILED = 2


def delivered(plan: Plan, folder: TakeFolder, take: Take, note: Note = unnoted) -> tuple[list[str], int]:
    """Make what a scene asks for of its take, and hold it against what is expected: what was made, and an exit code.

    What cannot be made is told, and the next take goes on; what is being made is noted, and an empty text at the end.
    """
    from tau_stage.take.lock import locked

    try:
        with locked(folder.path):
            note("holding it against what is expected")
            found = checked(plan, folder, take)
            made = _made(folder, take, found, note)
            _write_down(folder, found, made)
            note("")
            return [*made, *filter(None, [found.summary])], found.code
    except TakeError as error:
        warn(error)
        return [], TAKE_SPOILED


def finish(folder: TakeFolder, *, anyway: bool, note: Note = unnoted) -> tuple[Take, list[str], int]:
    """Bring a take whose scene came to its end to its own: what was not made is made, what was not judged is judged.

    Nothing is done twice, and nothing is performed.

    Args:
        folder: The take's.
        anyway: Whether it is held against its scene though that has changed since.
        note: Is told what is being made.

    Returns:
        The take, what was made, a line for each, and the exit code of what was expected.

    Raises:
        TakeError: The take is broken, or something cannot be written.
    """
    from tau_stage.report.deliver import rebuilt
    from tau_stage.take.fold import delivery
    from tau_stage.take.folder import is_latest, make_latest
    from tau_stage.take.journal import read_journal
    from tau_stage.take.lock import locked
    from tau_stage.take.stems import follow_picks

    with locked(folder.path):
        journal = read_journal(folder.journal)
        take, texts = rebuilt(folder)
        done = delivery(journal)
        if not done:
            follow_picks(folder)
        if done and all((folder.path / name).exists() for name in _files(folder, take, done)):
            tell_problems(done.problems)
            return take, [*done.made, *filter(None, [done.judged])], done.code
        folder.write_all(texts)
        if take.ended == "complete" and not is_latest(folder):
            make_latest(folder)
        found = _judged(folder, journal, take, anyway=anyway)
        made = _made(folder, take, found or NOTHING_EXPECTED, note)
        if found is None:
            return take, made, TAKE_SPOILED
        if not done:
            _write_down(folder, found, made)
        return take, [*made, *filter(None, [found.summary])], found.code


def _files(folder: TakeFolder, take: Take, done: record.TakeDelivered) -> Iterator[str]:
    """Yield files that a take has when it is delivered, those at least that are whole only if all others are."""
    from tau_stage.take.export import heard
    from tau_stage.take.journal import read_beginning

    yield from (MANIFEST, COSTS, REPORT)
    if done.judged:
        yield CHECKS
    if heard(take) and (mix := read_beginning(folder.journal).deliver.mix):
        yield mix.file


def _judged(folder: TakeFolder, journal: Sequence[record.Record], take: Take, *, anyway: bool) -> Checked | None:
    """Judge what is expected; None where the scene is no longer there to say what that is."""
    from tau_stage.cli.resume_command import plan_of

    try:
        return checked(plan_of(folder, journal, anyway=anyway)[0], folder, take)
    except TakeError:
        raise
    except StageError as error:
        warn(error, f"{folder.path}: the take is not held against what is expected of it", sep="\n")
        return None


def _made(folder: TakeFolder, take: Take, found: Checked, note: Note) -> list[str]:
    """Make what is wanted of a take."""
    from tau_stage.report.deliver import deliver
    from tau_stage.take.journal import read_beginning

    wanted = read_beginning(folder.journal).deliver
    return deliver(folder, take, wanted, also={CHECKS: found.text} if found.text else {}, note=note)


def _write_down(folder: TakeFolder, found: Checked, made: Sequence[str]) -> None:
    """Write down that all is made and judged, and what came of it."""
    from tau_stage.take.journal import Journal

    with closing(Journal(folder.journal, goes_on=True)) as journal:
        journal.append(
            record.TakeDelivered(
                at_s=journal.records[-1].at_s,
                made=tuple(made),
                judged=found.summary,
                problems=found.problems,
                code=found.code,
            )
        )
