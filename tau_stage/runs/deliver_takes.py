"""Deliver takes: make what their scenes ask for, hold them against what is expected, and journal that it is done."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tau_stage import take as takes
from tau_stage.checks import as_json, check, measure_folder, read_snapshot, snapshot_path, summary
from tau_stage.environment import log_event
from tau_stage.errors import CassetteError, StageError, TakeError
from tau_stage.protocol import ignore
from tau_stage.report import Note, rebuilt
from tau_stage.report import delivering as exports
from tau_stage.runs.take_plans import resume_job
from tau_stage.scene import Plan
from tau_stage.take import Costs, Performed, Record, Take, TakeDelivered, TakeFolder

EXIT_CODES = {"complete": 0, "incomplete": 3, "failed": 3, "budget": 4, "limit": 2, "interrupted": 130}
OUTCOME_CODES = {"passed": 0, "failed": 1, "error": 3}
TAKE_SPOILED = 2


@dataclass(frozen=True, slots=True)
class DeliveredTake:
    """A take, its folder, and its delivered files.

    Attributes:
        take: The contents of ``take.json``.
        folder: The paths of its files: ``folder.path``, ``folder.mix``, ``folder.report``, ``folder.stem(player)``.
        made: The created files, one line for each.
        judged: A summary of the scene's expectations; empty if there are none.
        problems: Expectations that failed and files that could not be written, one line for each.
        exit_code: As for ``tau-stage run``: 0 success, 1 an expectation failed, 2 a file could not be written, 3 a
            provider failed, a line has no audio or was not measured, 4 stopped at the budget, 130 interrupted.
        delivery_code: The exit code of the files and expectations alone, regardless of the performance: 0, 1, 2 or 3.

    >>> import anyio
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from tau_stage import RunOptions, perform_scene
    >>> recorded = RunOptions(replay=Path("scenes/cassettes"))
    >>> with TemporaryDirectory() as out:
    ...     take = anyio.run(lambda: perform_scene("scenes/umbrella.yaml", out=out, options=recorded))
    >>> take.lines[0].player, take.lines[0].said, take.judged
    ('clerk', "I'm afraid we're down to the... the last umbrella.", '')
    """

    take: Take
    folder: TakeFolder
    made: tuple[str, ...] = ()
    judged: str = ""
    problems: tuple[str, ...] = ()
    exit_code: int = 0
    delivery_code: int = 0

    @property
    def lines(self) -> tuple[Performed, ...]:
        """The lines in order: ``player``, ``said``, ``duration_s``, ``cost.total``, ``problem``."""
        return self.take.lines

    @property
    def ended(self) -> str:
        """How the take ended: complete, incomplete (lines have no audio), failed, budget, limit, or interrupted."""
        return self.take.ended

    @property
    def problem(self) -> str:
        """Why the performance stopped, or which lines failed; empty if the take is complete."""
        return self.take.problem

    @property
    def cost(self) -> Costs:
        """The estimated cost in dollars; ``total`` is None if a price is unknown."""
        return self.take.cost


def deliver(plan: Plan, folder: TakeFolder, take: Take, *, note: Note = ignore) -> DeliveredTake:
    """Create the files of a take (mix, page, subtitles, exports), and check the scene's expectations.

    Args:
        plan: The scene.
        folder: The folder of the take.
        take: The take that ``perform`` returned.
        note: Called with a description of each step, and with an empty text at the end.

    Raises:
        TakeError: A file of the take is missing or not writable.

    >>> import anyio
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from tau_stage import RunOptions, load_scene, make_plan, perform_scene, read_take
    >>> recorded = RunOptions(replay=Path("scenes/cassettes"))
    >>> with TemporaryDirectory() as out:
    ...     take = anyio.run(lambda: perform_scene("scenes/umbrella.yaml", out=out, options=recorded))
    ...     again = deliver(make_plan(load_scene("scenes/umbrella.yaml")), *read_take(take.folder.path))
    ...     again.exit_code, again.folder.mix == take.folder.mix
    (0, True)
    """
    with takes.locked(folder.path):
        note("checking the expectations")
        judged, checks = _judge(plan, folder, take)
        done = _make(folder, take, judged, checks, note)
        _write_down(folder, done)
        note("")
        log_event("runs", logging.INFO, f"delivered {folder.path}: {take.ended}")
        return _delivered(folder, take, done)


def finish(folder: TakeFolder, *, anyway: bool = False, plan: Plan | None = None, note: Note = ignore) -> DeliveredTake:
    """Deliver a take whose scene came to its end, as far as that was not done; nothing is performed or done twice.

    ``plan`` is of the scene, if it is loaded: a scene that is made of a table has no file.

    Raises:
        TakeError: The take is broken, or something cannot be written.
    """
    with takes.locked(folder.path):
        journal = takes.read_journal(folder.journal)
        take, texts = rebuilt(folder)
        done = takes.delivery(journal)
        lost: tuple[str, ...] = ()
        if not done:
            lost = finish_cassette(folder)
            takes.follow_picks(folder)
        _check_sounds(folder, take)
        if done and all((folder.path / name).exists() for name in _files(folder, take, done)):
            return _delivered(folder, take, done)
        folder.write_all(texts)
        if take.ended == "complete" and not takes.is_latest(folder):
            takes.make_latest(folder)
        judged, checks = _judge_again(folder, journal, take, plan, anyway=anyway)
        again = _make(folder, take, judged, checks, note)
        if not done and judged.code != TAKE_SPOILED:
            _write_down(folder, again)
        delivered = _delivered(folder, take, again)
        return replace(delivered, problems=(*delivered.problems, *lost))


def _gone(folder: TakeFolder, take: Take) -> Iterator[tuple[str, TakeError]]:
    """Yield the lines whose sound is not as it was performed, and why."""
    for line in take.lines:
        try:
            if line.file is not None:
                takes.audio_of(folder, line)
        except TakeError as error:
            yield line.id, error


def _check_sounds(folder: TakeFolder, take: Take) -> None:
    """Make sure that everything is there that a take is made of, as it was performed."""
    gone = dict(_gone(folder, take))
    for name, first in gone.items():
        through = " --through" if len(gone) > 1 else ""
        again = f"tau-stage retake {shlex.quote(str(folder.path))} {shlex.quote(name)}{through}"
        raise TakeError(first.path, first.problem, f"perform the line again in a new take: {again}")
    for stem in takes.stems_of(folder, take):
        if not stem.path.is_file():
            raise TakeError(str(stem.path), "file not found", takes.BROKEN)


def _judge_again(
    folder: TakeFolder, journal: Sequence[Record], take: Take, plan: Plan | None, *, anyway: bool
) -> tuple[TakeDelivered, str]:
    try:
        return _judge(resume_job(folder, journal, anyway=anyway, plan=plan).plan, folder, take)
    except TakeError:
        raise
    except StageError as error:  # the scene is no longer there to say what is expected
        problems = (str(error), f"{folder.path}: the take was not checked against its expectations")
        return TakeDelivered(problems=problems, code=TAKE_SPOILED), ""


def finish_cassette(folder: TakeFolder) -> tuple[str, ...]:
    """Finish the cassette of a take that was cut while it was recorded; say so where that cannot be."""
    from tau_stage.cassette import finish_recording

    began = takes.read_beginning(folder.journal)
    try:
        if not began.recording or finish_recording(Path(began.recording)):
            return ()
    except CassetteError as error:
        return (str(error),)
    again = f"tau-stage run {shlex.quote(began.path)} --record {shlex.quote(str(Path(began.recording).parent))}"
    problem = "no cassette was written, because a cassette must contain an uninterrupted performance"
    return (f"{folder.path}: {problem}\n  hint: record the scene again: {again}",)


def _files(folder: TakeFolder, take: Take, done: TakeDelivered) -> Iterator[str]:
    """Yield files that a take has when it is delivered, those at least that are whole only if all others are."""
    yield from (takes.MANIFEST, takes.COSTS, takes.REPORT)
    if done.judged:
        yield takes.CHECKS
    if takes.heard(take) and (mix := takes.read_beginning(folder.journal).deliver.mix):
        yield mix.file


def _judge(plan: Plan, folder: TakeFolder, take: Take) -> tuple[TakeDelivered, str]:
    """Hold a take against what its scene expects: what came of it, and the text of ``checks.json``.

    A snapshot is not compared here; it only tells how the players' voices sound.
    """
    if not plan.has_expectations:
        return TakeDelivered(), ""
    snapshot = read_snapshot(snapshot_path(plan.path, plan.variant))
    measures = measure_folder(folder, take)
    verdicts = check(plan, take, measures, snapshot, compares=False)
    code = max((OUTCOME_CODES[verdict.outcome] for verdict in verdicts), default=0)
    problems = tuple(f"{verdict.outcome}: {verdict}" for verdict in verdicts if not verdict.passed)
    return TakeDelivered(judged=summary(verdicts), problems=problems, code=code), as_json(verdicts, measures)


def _make(folder: TakeFolder, take: Take, judged: TakeDelivered, checks: str, note: Note) -> TakeDelivered:
    """Make what is wanted of a take; what is not as it must be is a problem of it."""
    wanted = takes.read_beginning(folder.journal).deliver
    made = exports.deliver(folder, take, wanted, also={takes.CHECKS: checks} if checks else {}, note=note)
    missed = tuple(f"{folder.path}: {problem}" for problem in made.missed)
    told = {"made": tuple(made.told), "problems": (*judged.problems, *missed)}
    return judged.model_copy(update={**told, "code": max(judged.code, TAKE_SPOILED if missed else 0)})


def _write_down(folder: TakeFolder, done: TakeDelivered) -> None:
    with closing(takes.Journal(folder.journal, goes_on=True)) as journal:
        journal.append(done.model_copy(update={"at_s": journal.records[-1].at_s}))


def _delivered(folder: TakeFolder, take: Take, done: TakeDelivered) -> DeliveredTake:
    code = max(done.code, EXIT_CODES[take.ended])
    return DeliveredTake(take, folder, done.made, done.judged, done.problems, code, done.code)
