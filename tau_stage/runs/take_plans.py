"""What is to be performed of takes that are there: how one goes on, which of its lines are performed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from tau_stage.errors import TakeError, UsageError
from tau_stage.scene import Plan, Scene, change_line, did_you_mean, load_variants, make_plan
from tau_stage.stage import scene_changes
from tau_stage.take import (
    JOURNAL,
    NO_REUSE,
    Record,
    Retake,
    ReusedLines,
    Take,
    TakeFolder,
    beginning,
    fold,
    is_locked,
    plan_without,
    read_beginning,
    read_journal,
    read_take,
    reuse_for_retake,
    scene_drift,
    unlinked,
)

OVER = ("complete", "incomplete")
"""How takes ended whose scene came to its end: there is nothing to go on with."""
STOPPED = ("interrupted", "failed", "budget")
"""How takes ended that can go on."""


@dataclass(frozen=True, slots=True)
class Job:
    """One performance that is wanted, with lines of a former take; where a folder is given, its take goes on."""

    plan: Plan
    former: ReusedLines = NO_REUSE
    folder: TakeFolder | None = None
    warnings: tuple[str, ...] = ()


def open_take(path: Path) -> tuple[TakeFolder, Sequence[Record]]:
    """Open a take that may go on: its folder and its journal.

    Raises:
        TakeError: There is none.
    """
    found = read_take(path)[0].path
    folder = TakeFolder(found.resolve() if found.is_symlink() else found)
    if not folder.journal.is_file():
        raise TakeError(str(folder.path), f"has no {JOURNAL}, and so cannot go on", "perform the scene again")
    return folder, read_journal(folder.journal)


def resume_job(folder: TakeFolder, journal: Sequence[Record], *, anyway: bool) -> Job:
    """Say how a take goes on, each model where it was played before.

    Raises:
        SceneError: The scene is wrong by now.
        TakeError: The take that it takes lines from cannot be read.
        UsageError: The scene has changed, and ``anyway`` is not set.
    """
    began = beginning(journal)
    if began.retake:
        job = _retake_job(*read_take(Path(began.former)), began.retake, anyway=True)
    else:
        job = Job(make_plan(_scene_again(began.path, began.given, began.variant)))
    if not anyway and (found := scene_changes(journal, job.plan)):
        shown = "\n".join(f"  {line}" for line in found)
        problem = f"{began.path}: the scene has changed since the take was performed\n{shown}"
        raise UsageError(problem, f"go on with the scene as it is: tau-stage resume {folder.path} --anyway")
    endpoints = {role.name: role.endpoint for role in began.roles if role.endpoint}
    players = (replace(player, endpoint=endpoints.get(player.name, player.endpoint)) for player in job.plan.players)
    return replace(job, plan=replace(job.plan, players=tuple(players)), folder=folder)


def retake_job(take: Path, wanted: Retake, *, anyway: bool = False) -> Job:
    """Say how lines of a take are performed again, into a take of their own: those that are named, or all that failed.

    Raises:
        SceneError: The scene is wrong by now.
        TakeError: The take cannot be read.
        UsageError: The scene has changed, the take was stopped, has no such line, or none has failed.
    """
    folder, former = read_take(take)
    folder = TakeFolder(unlinked(folder.path))  # a link may lead elsewhere later
    if former.ended in STOPPED:
        hint = f"go on with it first: tau-stage resume {quote(str(take))}"
        raise UsageError(f"{take}: the take was stopped before its scene came to its end", hint)
    lines = wanted.lines or tuple(performed.id for performed in former.lines if performed.problem)
    if not lines:
        raise UsageError(f"{take}: no line of the take has failed", "name the line that is to be performed again")
    return _retake_job(folder, former, wanted.model_copy(update={"lines": lines}), anyway=anyway, named=take)


def _retake_job(folder: TakeFolder, former: Take, wanted: Retake, *, anyway: bool, named: Path | None = None) -> Job:
    scene = _scene_again(former.scene.path, former.scene.given, former.scene.variant)
    if scene.sha256 != former.scene.sha256 and not anyway:
        hint = "perform the scene, or retake the line with --anyway"
        raise UsageError(f"{scene.path}: the scene has changed since the take was performed", hint)
    try:
        plan = make_plan(_rewritten(scene, wanted))
        warnings: tuple[str, ...] = ()
        before = read_beginning(folder.journal).resolved if folder.journal.is_file() else ""
        if before and not wanted.through:  # nothing is performed but what was asked for
            found = scene_drift(before, plan, wanted.lines)
            plan, warnings = plan_without(plan, found.new), tuple(found.told())
        kept = reuse_for_retake(plan, folder, former, *wanted.lines, through=wanted.through)
    except KeyError:
        raise _no_such_line(named or folder.path, former, wanted.lines) from None
    return Job(plan, replace(kept, wish=wanted), warnings=warnings)


def _rewritten(scene: Scene, wanted: Retake) -> Scene:
    """Write the wishes of a retake into its lines.

    Raises:
        KeyError: The scene has no such line.
    """
    changed = {} if wanted.direction is None else {"direction": wanted.direction}
    if changed or wanted.takes > 1:
        for line in wanted.lines:
            scene = change_line(scene, line, takes=wanted.takes, **changed)
    return scene


def _no_such_line(named: Path, former: Take, wanted: Sequence[str]) -> UsageError:
    known = [performed.id for performed in former.lines]
    hint = f"it has {', '.join(known[:12])}"
    unknown = next((line for line in wanted if line not in known), None)
    if unknown is not None:
        return UsageError(f"{named}: the take has no line '{unknown}'", did_you_mean(unknown, known, hint))
    return UsageError(f"{named}: the take has no line '{', '.join(wanted)}' that can be retaken so", hint)


def _scene_again(path: str, given: Mapping[str, str], variant: str) -> Scene:
    return load_variants(path, given, [variant] if variant else ())[0]


def find_takes(
    out: Path, plans: Sequence[Plan], *, endpoint: str | None, live: bool
) -> tuple[list[TakeFolder], list[Job]]:
    """Look for the newest take of each scene and variant: which are finished, and what is left to perform.

    Raises:
        UsageError: A scene has changed since it was stopped.
    """
    finished: list[TakeFolder] = []
    jobs: list[Job] = []
    for plan in plans:
        folder, journal = _newest(out, plan)
        if folder is None:
            jobs.append(Job(plan))
        elif fold(journal).ended not in OVER:
            jobs.append(resume_job(folder, journal, anyway=False))
        elif _is_the_same(journal, plan, endpoint, live=live):
            finished.append(folder)
        else:
            jobs.append(Job(plan))
    return finished, jobs


def _is_the_same(journal: Sequence[Record], plan: Plan, endpoint: str | None, *, live: bool) -> bool:
    """Tell whether a take is of a scene as it is now, and was played where it is to be played."""
    began = beginning(journal)
    elsewhere = endpoint is not None and any(role.endpoint not in ("", endpoint) for role in began.roles)
    return not elsewhere and not (live and not began.spent) and not scene_changes(journal, plan)


def _newest(out: Path, plan: Plan) -> tuple[TakeFolder | None, Sequence[Record]]:
    """Find the newest take of a scene and variant that is no retake, and that nobody writes now."""
    for path in sorted((out / plan.slug).glob("*/journal.jsonl"), key=_when, reverse=True):
        try:
            journal = read_journal(path)
            began = beginning(journal)
        except TakeError:  # nothing that could go on
            continue
        is_ours = dict(began.given) == dict(plan.given) and began.variant == plan.variant and not began.former
        if is_ours and not path.parent.is_symlink() and not is_locked(path.parent):
            return TakeFolder(path.parent), journal
    return None, ()


def _when(journal: Path) -> tuple[str, int]:
    """Tell when a take began, as its folder says; of takes of one second, which was written to last."""
    return journal.parent.name.partition("-")[0], journal.stat().st_mtime_ns
