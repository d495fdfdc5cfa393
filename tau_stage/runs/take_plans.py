"""What is to be performed of takes that are there: how one goes on, which of its lines are performed again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile
from pathlib import Path
from shlex import quote

from tau_stage import take as takes
from tau_stage.environment import environment
from tau_stage.errors import TakeError, UsageError
from tau_stage.scene import (
    ANY_NUMBER,
    ONLY_DELIVER,
    Plan,
    Scene,
    change_line,
    did_you_mean,
    listed,
    load_variants,
    make_plan,
)
from tau_stage.stage import endpoint_chooser, endpoint_for, keys_at, scene_changes
from tau_stage.take import FormerTake, Record, Retake, ReusedLines, SceneChanges, Staged, Take, TakeFolder
from tau_stage.take import records as record
from tau_stage.text import counted

STOPPED = ("interrupted", "failed", "budget")  # how takes ended that can go on


@dataclass(frozen=True, slots=True)
class Job:
    """One performance that is wanted, with lines of a former take; where a folder is given, its take goes on.

    Its ``notes`` are said before it begins.
    """

    plan: Plan
    former: ReusedLines = takes.NO_REUSE
    folder: TakeFolder | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def open_take(path: Path) -> tuple[TakeFolder, Sequence[Record]]:
    """Open a take that may go on: its folder and its journal.

    Raises:
        TakeError: There is none.
    """
    found = takes.read_take(path)[0].path
    folder = TakeFolder(found.resolve() if found.is_symlink() else found)
    if not folder.journal.is_file():
        raise TakeError(str(folder.path), f"has no {takes.JOURNAL}, so it cannot be resumed", "perform the scene again")
    return folder, takes.read_journal(folder.journal)


def resume_job(folder: TakeFolder, journal: Sequence[Record], *, anyway: bool, plan: Plan | None = None) -> Job:
    """Say how a take goes on, each model where it was played before; ``plan`` is of the scene, if it is loaded.

    Raises:
        SceneError: The scene is wrong by now.
        TakeError: The take that it takes lines from cannot be read.
        UsageError: The scene has changed, and ``anyway`` is not set.
    """
    began = takes.beginning(journal)
    if began.retake and not began.retake.changed:
        job = _retake_job(*takes.read_take(Path(began.former)), began.retake, anyway=True)
    else:
        job = Job(plan or make_plan(_scene_again(began)))
    if not anyway and (found := scene_changes(journal, job.plan)):
        shown = "\n".join(f"  {line}" for line in found)
        problem = f"{began.path}: the scene has changed since the take was performed\n{shown}"
        raise UsageError(problem, f"resume with the current scene: tau-stage resume {folder.path} --anyway")
    job = replace(job, plan=_played_as_before(job.plan, began.roles), folder=folder)
    if began.retake and began.retake.changed and takes.fold(journal).ended not in takes.OVER:
        job = replace(job, former=_still_reused(job.plan, Path(began.former), through=began.retake.through))
    return job


def _played_as_before(plan: Plan, roles: Iterable[record.Role]) -> Plan:
    endpoints = {role.name: role.endpoint for role in roles if role.endpoint}
    players = (replace(player, endpoint=endpoints.get(player.name, player.endpoint)) for player in plan.players)
    return replace(plan, players=tuple(players))


def _still_reused(plan: Plan, former: Path, *, through: bool) -> ReusedLines:
    """Return what a take that continues takes over from a former one and those after it."""
    home = former.resolve()
    since = dropwhile(lambda each: each[0].path.resolve() != home, _takes(home.parent.parent, plan))
    scene = _compare(plan, since, None, through=through)
    if scene is None:
        problem = "no longer exists, but lines are copied from it"
        raise TakeError(str(former), problem, "perform the scene again")
    return scene.changes.reuse


def retake_job(take: Path, wanted: Retake, *, anyway: bool = False) -> Job:
    """Say how lines of a take are performed again, into a take of their own: those that are named, or all that failed.

    Raises:
        SceneError: The scene is wrong by now.
        TakeError: The take cannot be read.
        UsageError: The scene has changed, the take was stopped, has no such line, or none has failed.
    """
    folder, former = takes.read_take(take)
    folder = TakeFolder(takes.unlinked(folder.path))  # a link may lead elsewhere later
    if former.ended in STOPPED:
        hint = f"resume it first: tau-stage resume {quote(str(take))}"
        raise UsageError(f"{take}: the take was stopped before the end of its scene", hint)
    lines = wanted.lines or tuple(performed.id for performed in former.lines if performed.problem)
    if not lines:
        raise UsageError(f"{take}: no line in the take has failed", "specify the line to perform again")
    return _retake_job(folder, former, wanted.model_copy(update={"lines": lines}), anyway=anyway, named=take)


def _retake_job(folder: TakeFolder, former: Take, wanted: Retake, *, anyway: bool, named: Path | None = None) -> Job:
    scene = _scene_again(former.scene)
    if scene.sha256 != former.scene.sha256 and not anyway:
        hint = "perform the scene, or retake the line with --anyway"
        raise UsageError(f"{scene.path}: the scene has changed since the take was performed", hint)
    places = {player.name: player.endpoint.partition("?")[0] for player in former.players}
    journal = takes.read_journal(folder.journal) if folder.journal.is_file() else ()
    plan = make_plan(scene)
    keys = keys_at(plan, lambda player: endpoint_for(player, environment(), places.get(player.name)))
    try:
        found = takes.changes_for_retake(plan, keys, FormerTake(folder, former, journal), wanted)
        plan = make_plan(_rewritten(scene, wanted, found.performed))
    except KeyError:
        raise _no_such_line(named or folder.path, former, wanted.lines) from None
    if wanted.through:
        return Job(plan, found.reuse)
    fates = (
        (found.changed, "changed in the scene, but not performed again"),
        (found.new, "new in the scene, not performed"),
        (found.removed, "no longer in the scene, omitted"),
    )
    warnings = tuple(f"{', '.join(lines)}: {fate}" for lines, fate in fates if lines)
    return Job(takes.plan_without(plan, found.new), found.reuse, warnings=warnings)


def _rewritten(scene: Scene, wanted: Retake, lines: Iterable[str]) -> Scene:
    """Write the wishes of a retake into its lines, by their ids in the scene."""
    changed = {} if wanted.direction is None else {"direction": wanted.direction}
    if changed or wanted.takes > 1:
        for line in lines:
            scene = change_line(scene, line, takes=wanted.takes, **changed)
    return scene


def _no_such_line(named: Path, former: Take, wanted: Sequence[str]) -> UsageError:
    known = [performed.id for performed in former.lines]
    hint = f"its lines: {', '.join(known[:12])}"
    unknown = next((line for line in wanted if line not in known), None)
    if unknown is not None:
        return UsageError(f"{named}: the take has no line '{unknown}'", did_you_mean(unknown, known, hint))
    return UsageError(f"{named}: the take has no line '{', '.join(wanted)}' that can be retaken", hint)


def _scene_again(performed: takes.records.TakeBegan | Staged) -> Scene:
    path = Path(performed.path)
    if path.suffix.lower() not in (".yaml", ".yml") and not path.exists():
        problem = f"{performed.path}: the scene was created from a table and has no scene file"
        raise UsageError(problem, "change the line in the table and run the batch again: tau-stage batch run FILE")
    only = [performed.variant] if performed.variant else ()
    scene = load_variants(performed.path, performed.given, only, overlays=performed.overlays, most=ANY_NUMBER)[0]
    return scene.model_copy(update={"batch_language": performed.language})


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
        if folder and takes.fold(journal).ended not in takes.OVER:
            jobs.append(resume_job(folder, journal, anyway=False, plan=plan))
        elif folder and _is_the_same(journal, plan, endpoint, live=live):
            finished.append(folder)
        else:
            jobs.append(Job(plan))
    return finished, jobs


def remaining_job(
    out: Path, plan: Plan, *, endpoint: str | None = None, through: bool = False
) -> tuple[TakeFolder | None, Job | None]:
    """Return the take of a scene that stands, or what is left: the rest of one that was stopped, else what has changed.

    ``through`` is whether lines are left that are outdated.

    Raises:
        UsageError: An endpoint is unknown.
    """
    folder, journal = _newest(out, plan)
    if folder and takes.fold(journal).ended not in takes.OVER and _goes_on(journal, plan, endpoint):
        return None, replace(resume_job(folder, journal, anyway=False, plan=plan), plan=plan)
    standing, jobs = changed_jobs(out, [plan], endpoint=endpoint, through=through)
    return (standing[0].takes[0].folder, None) if standing else (None, jobs[0])


def _goes_on(journal: Sequence[Record], plan: Plan, endpoint: str | None) -> bool:
    """Tell whether a take that was stopped is of the scene as it is, and was played where it is to be played."""
    played = {role.name: role.endpoint for role in takes.beginning(journal).roles}
    choose = endpoint_chooser(endpoint)
    wanted = {player.name: choose(player).name for player in plan.models}
    return not scene_changes(journal, plan) and all(played.get(name) == place for name, place in wanted.items())


def _is_the_same(journal: Sequence[Record], plan: Plan, endpoint: str | None, *, live: bool) -> bool:
    """Tell whether a take is of a scene as it is now, and was played where it is to be played."""
    began = takes.beginning(journal)
    elsewhere = endpoint is not None and any(role.endpoint not in ("", endpoint) for role in began.roles)
    return not elsewhere and not (live and not began.spent) and not scene_changes(journal, plan)


def changed_jobs(
    out: Path, plans: Sequence[Plan], *, endpoint: str | None = None, through: bool = False
) -> tuple[list[ChangedScene], list[Job]]:
    """Hold each scene and variant against its newest take: which takes stand, and what is left to perform.

    Raises:
        UsageError: An endpoint is unknown.
    """
    standing: list[ChangedScene] = []
    jobs: list[Job] = []
    for plan in plans:
        found = scene_changes_since(out, plan, endpoint=endpoint, through=through)
        if found is None:
            jobs.append(Job(plan, notes=(f"{_name(plan)}: no take in {out}: all lines are performed",)))
        elif found.stands:
            standing.append(found)
        else:
            jobs.append(Job(plan, found.changes.reuse, notes=tuple(found.told())))
    return standing, jobs


@dataclass(frozen=True, slots=True)
class ChangedScene:
    """A scene, held against its newest take; where that was stopped, those before it too, up to one that was not."""

    plan: Plan
    takes: Sequence[FormerTake]
    changes: SceneChanges

    @property
    def stands(self) -> bool:
        """Whether the newest take is what a performance would leave."""
        newest = self.takes[0]
        is_over = newest.take.ended in takes.OVER and not self.changes.performed
        return is_over and not scene_changes(newest.journal, self.plan)

    def told(self) -> Iterator[str]:
        """Say what has changed, and what is performed, a sentence each."""
        found, folder = self.changes, self.takes[0].folder.path
        if not any(line.key for take in self.takes for line in take.take.lines):
            yield f"{_name(self.plan)}: {folder} does not record what its lines depend on: all lines are performed"
            return
        if self.stands:
            yield f"{_name(self.plan)}: nothing has changed since {folder}"
        else:
            kept = {*found.same, *found.outdated}.difference(found.performed)
            to_perform, taken_over = counted(len(found.performed), "line"), counted(len(kept), "line")
            yield f"{_name(self.plan)}: {to_perform} to perform, {taken_over} reused from {folder}"
        for kind in ("new", "changed", "removed", "outdated"):
            if names := getattr(found, kind):
                yield f"  {kind}: {listed(names)}"
        yield from (f"  {reason}" for reason in found.reasons)
        if set(found.outdated) - set(found.performed):
            yield "  to also perform outdated lines again, add --through"


def scene_changes_since(
    out: Path, plan: Plan, *, endpoint: str | None = None, through: bool = False
) -> ChangedScene | None:
    """Hold a scene against its newest take; None where there is none."""
    return _compare(plan, _takes(out, plan), endpoint, through=through)


def _compare(
    plan: Plan, found: Iterable[tuple[TakeFolder, Sequence[Record]]], endpoint: str | None, *, through: bool
) -> ChangedScene | None:
    former: list[FormerTake] = []
    for folder, journal in found:
        former.append(FormerTake(folder, takes.fold(journal), journal))
        if former[-1].take.ended in takes.OVER:
            break
    if not former:
        return None
    keys = keys_at(plan, endpoint_chooser(endpoint))
    return ChangedScene(plan, former, takes.changes_since(plan, keys, former, through=through))


def _name(plan: Plan) -> str:
    return f"{plan.path} ({plan.variant})" if plan.variant else plan.path


def _newest(out: Path, plan: Plan) -> tuple[TakeFolder | None, Sequence[Record]]:
    """Find the newest take of a scene and variant that is of all its lines, and that nobody writes now."""
    found = ((takes.beginning(each[1]).retake, *each) for each in _takes(out, plan))
    return next(((folder, journal) for retake, folder, journal in found if not retake or retake.changed), (None, ()))


def _origin(scene: takes.records.TakeBegan | Plan) -> tuple[object, ...]:
    """Return what makes one scene file several scenes; what is only made of their takes does not."""
    overlays = [name for name in scene.overlays if not name.endswith(ONLY_DELIVER)]
    return dict(scene.given), scene.variant, [*map(os.path.abspath, overlays)]


def _takes(out: Path, plan: Plan) -> Iterator[tuple[TakeFolder, Sequence[Record]]]:
    """Yield the takes of a scene and variant that nobody writes now, the newest first.

    Of those that began in one second, as their folders say, it is the one that was written to last.
    """
    journals = (out / plan.slug).glob(f"*/{takes.JOURNAL}")
    order = [(path.parent.name.partition("-")[0], path.stat().st_mtime_ns, path) for path in journals]
    for _, _, path in sorted(order, reverse=True):
        try:
            journal = takes.read_journal(path)
            began = takes.beginning(journal)
        except TakeError:  # nothing that could go on
            continue
        is_ours = _origin(began) == _origin(plan)
        if is_ours and not path.parent.is_symlink() and not takes.is_locked(path.parent):
            yield TakeFolder(path.parent), journal
