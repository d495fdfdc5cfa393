"""One scene, tested: performed as the options say, and held against everything that is expected of it."""

from __future__ import annotations

import secrets
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shlex import quote

from tau_stage.cassette.replayer import Replay
from tau_stage.checks.checking import as_json, check
from tau_stage.checks.metrics import TakeMetrics
from tau_stage.checks.recognition import recognise_lines
from tau_stage.checks.snapshot import (
    accept_snapshot,
    measure_folder,
    read_snapshot,
    snapshot_of,
    snapshot_path,
    sound_files,
    write_snapshot,
)
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.clock import VIRTUAL
from tau_stage.environment import environment
from tau_stage.errors import CassetteDiffers, CassetteError, SceneError, StageError, TakeError, UsageError, lone
from tau_stage.report.delivering import deliver
from tau_stage.scene.plan import Plan, lines_of, plan_json
from tau_stage.scene.source import locate
from tau_stage.stage.people import people_of
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.scene_tools import check_tool_permission, find_tools
from tau_stage.stage.sessions import Stage, open_stage
from tau_stage.suite.discovery import CASSETTES, PLACE, SNAPSHOTS, Case, scene_error
from tau_stage.suite.in_memory import explain_divergence, in_memory_stage
from tau_stage.suite.result import OVER_BUDGET, CaseError, Result, Source, rows, unreached
from tau_stage.take.folder import CHECKS, TakeFolder, leave_latest
from tau_stage.take.reading import audio_of
from tau_stage.take.take_model import Take
from tau_stage.termination import run_until_signal

TAKES = PLACE / "takes"
NONE_LEFT = "nobody spoke, so nothing can be said of it"


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """How scenes are tested.

    Attributes:
        out: Where takes go.
        cassettes: A folder of cassettes, of which each scene must have one; else they lie beside the scenes.
        live: Whether the scenes' own endpoints play, cassette or not.
        endpoint: Who plays instead of the scenes' own, if it is live.
        budget: Dollars that each scene may cost, in all its performances together.
        repeat: How often each scene is performed.
        update: Whether snapshots become what is performed now.
        recognise: Whether a recogniser listens.
        allow_tools: Whether the scene's tools may run programs.
        keep: Whether the takes of scenes that are well are kept.
        strict: Whether a scene must have what the others of its folder have.
    """

    out: Path = TAKES
    cassettes: Path | None = None
    live: bool = False
    endpoint: str | None = None
    budget: Decimal | None = None
    repeat: int = 1
    update: bool = False
    recognise: bool = False
    allow_tools: bool = False
    keep: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One performance of a scene.

    Attributes:
        folder: Of its take.
        verdicts: All of them.
        take: What was performed; None where the scene has parted from its cassette.
        measures: Of the take.
    """

    folder: TakeFolder
    verdicts: Sequence[Verdict]
    take: Take | None = None
    measures: TakeMetrics | None = None


def run_case(case: Case, options: SuiteOptions) -> Result:
    """Test a scene. Whatever is wrong with it is part of the result.

    Takes of performances that are not well are kept, with their page; the others are not.
    """
    began = time.monotonic()
    result = Result(case.path, case.variant)
    try:
        result = _run_case(case.plan(), options, result)
    except (StageError, BaseExceptionGroup) as error:
        failure = lone(error) if isinstance(error, BaseExceptionGroup) else error
        if not isinstance(failure, StageError):
            raise
        result = replace(result, error=case_error(failure, case.path))
    return replace(result, took_s=time.monotonic() - began)


def killed_case(case: Case) -> Result:
    """Return what a scene comes to whose process was killed: it is not tested again, as that may cost money."""
    alone = (
        f"test it alone: tau-stage test {shlex.quote(case.path)}; where memory ran out, test fewer at once: --jobs 1"
    )
    problem = f"the process that tested it was killed\n  hint: {alone}"
    return Result(case.path, case.variant, error=CaseError(problem, case.path))


def case_error(failure: StageError, path: str) -> CaseError:
    """Say what keeps a scene from being tested, at its place."""
    if isinstance(failure, SceneError):
        return scene_error(failure)
    return CaseError(str(failure), path, code=2 if isinstance(failure, UsageError) else 3)


def _run_case(plan: Plan, options: SuiteOptions, result: Result) -> Result:
    source = source_of(plan, options)
    result = replace(
        result, title=plan.title, source=source, lacks=missing_parts(plan, options, source) if options.strict else ()
    )
    refuse_lost_cassette(plan, options, source)
    if source == "nothing":
        return result
    check_tool_permission(plan, allowed=options.allow_tools)
    find_tools(plan)
    runs: list[Run] = []
    try:
        for _ in range(options.repeat):
            runs.append(_run(plan, replace(options, budget=left(options, runs)), source))
            if runs[-1].take and runs[-1].take.ended == "budget":
                break
    except BaseException:
        _forget(run.folder for run in runs)
        raise
    last = runs[-1]
    lengths = {line.id: line.duration_s for run in runs for line in (run.take.lines if run.take else ())}
    if options.live and last.take and last.take.ended == "budget":
        _forget(run.folder for run in runs)
        return _stopped(plan, options, result, runs, lengths)
    result = replace(
        result,
        lines=len(last.take.lines) if last.take else 0,
        rows=rows(plan, [run.verdicts for run in runs], lengths),
        checks=tuple(dict.fromkeys(verdict.source for run in runs for verdict in run.verdicts)),
    )
    if last.take is None:
        result = replace(result, rows=(*result.rows, *unreached(plan, result.rows)))
    if last.take and not any(line.said or line.samples for line in last.take.lines):
        result = replace(result, error=CaseError(last.take.problem or NONE_LEFT, plan.path))
    if options.update and last.take and not result.error:
        result = replace(result, accepted=_accept(plan, last))
    kept = [run for run in runs if options.keep or not all(verdict.passed for verdict in run.verdicts)]
    _forget(run.folder for run in runs if run not in kept)
    for run in kept:
        if run.take and run.measures:
            deliver(run.folder, run.take, plan.deliver, also={CHECKS: as_json(run.verdicts, run.measures)})
    return replace(result, takes=tuple(str(run.folder.path) for run in kept if run.take))


def _stopped(
    plan: Plan, options: SuiteOptions, result: Result, runs: Sequence[Run], lengths: Mapping[str, float]
) -> Result:
    """Sum up a test that stopped at its budget: what whole performances came to, and lines none reached."""
    known = rows(plan, [run.verdicts for run in runs[:-1]], lengths) if len(runs) > 1 else ()
    missed = [row for row in unreached(plan, known) if row.name not in lengths]
    budget = plan.budget if options.budget is None else options.budget
    problem = f"stopped at the budget of ${budget} in performance {len(runs)} of {options.repeat}; raise --budget"
    return replace(result, rows=(*known, *missed), error=CaseError(problem, plan.path, code=OVER_BUDGET))


def left(options: SuiteOptions, runs: Sequence[Run]) -> Decimal | None:
    """Return what may still be spent; what a performance has cost that is not known is taken to be all of it."""
    if options.budget is None:
        return None
    spent = [run.take.cost.total if run.take else Decimal(0) for run in runs]
    return options.budget - sum((options.budget if one is None else one for one in spent), Decimal(0))


def _forget(folders: Iterable[TakeFolder]) -> None:
    """Delete takes, and what is left of them: the link to the newest, and a folder that is empty."""
    for folder in folders:
        with suppress(TakeError):
            leave_latest(folder)
        shutil.rmtree(folder.path, ignore_errors=True)
        with suppress(OSError):
            folder.path.parent.rmdir()


def source_of(plan: Plan, options: SuiteOptions) -> Source:
    """Tell who plays a scene; nobody, where there is nothing to hold a performance against.

    Raises:
        CassetteError: It has a cassette that is broken.
    """
    if options.live:
        return "live"
    if options.cassettes or (cassettes_of(plan) / plan.slug).exists():
        return "cassette"
    expects = plan.expect or any(line.expect for strand in plan.step_lists for line in lines_of(strand))
    is_known = snapshot_path(plan.path, plan.variant).exists()
    return "understudy" if expects or is_known or options.update or options.recognise else "nothing"


def missing_parts(plan: Plan, options: SuiteOptions, source: Source) -> tuple[str, ...]:
    """Return what a scene must have to be green where a test is strict, and has not."""
    place = Path(plan.path).parent
    tapes = options.cassettes or cassettes_of(plan)
    has_tape = (tapes / plan.slug).exists()
    missing = []
    scene = quote(plan.path)
    if source == "nothing":
        missing.append("nothing is expected of it: write expect:, accept a take (--update), or record it")
    if not options.live and tapes.is_dir() and not has_tape:
        missing.append(f"it has no cassette in {tapes}: record it: tau-stage run {scene} --record {quote(str(tapes))}")
    has_snapshot = snapshot_path(plan.path, plan.variant).exists()
    if not (options.update or has_snapshot) and (has_tape or (place / SNAPSHOTS).is_dir()):
        missing.append(f"it has no snapshot in {place / SNAPSHOTS}: accept one: tau-stage test --update {scene}")
    return tuple(missing)


def refuse_lost_cassette(plan: Plan, options: SuiteOptions, source: Source) -> None:
    """Refuse to hold a snapshot that was accepted beside a cassette against the understudy in silence.

    Raises:
        CassetteError: The cassette is gone.
    """
    path = snapshot_path(plan.path, plan.variant)
    known = None if options.update or source in ("cassette", "live") else read_snapshot(path)
    if known and known.cassette:
        record = f"--record {quote(str(cassettes_of(plan)))}"
        hint = f"bring it back, record it ({record}), or accept the scene without: --update"
        raise CassetteError(str(cassettes_of(plan) / plan.slug), f"is gone, and {path} was accepted beside it", hint)


def cassettes_of(plan: Plan) -> Path:
    """Tell where a scene's cassette is looked for: beside the scene."""
    return Path(plan.path).parent / CASSETTES


# ---- performing


def _run(plan: Plan, options: SuiteOptions, source: Source) -> Run:
    started = datetime.now(UTC)
    folder = TakeFolder.create(options.out, plan.slug, started, secrets.token_hex(3))
    try:
        if source == "cassette":
            return _replayed(plan, options, folder, started)
        clock = {} if source == "live" else VIRTUAL
        take = run_until_signal(_performed, plan, options, folder, started, clock=clock)
        return _checked(plan, options, folder, take)
    except BaseException:
        _forget([folder])
        raise


def _replayed(plan: Plan, options: SuiteOptions, folder: TakeFolder, started: datetime) -> Run:
    tape = Replay.of(plan, options.cassettes or cassettes_of(plan))
    try:
        take = run_until_signal(_perform, plan, tape.stage, options, folder, started, clock=VIRTUAL)
        tape.finish(take)
    except (CassetteDiffers, BaseExceptionGroup) as error:
        failure = lone(error) if isinstance(error, BaseExceptionGroup) else error
        if not isinstance(failure, CassetteDiffers):
            raise
        _forget([folder])  # it is a piece of a take, and of the cassette at that
        return Run(folder, explain_divergence(plan, failure, read_snapshot(snapshot_path(plan.path, plan.variant))))
    run = _checked(plan, options, folder, take)
    if take.ended != "complete":
        return run
    whole = VerdictSubject("scene", "", tuple(line.id for line in take.lines), "cassette")
    as_it_was = whole.verdict(locate(plan.locations), "conversation", "as recorded", "as recorded", "passed")
    return replace(run, verdicts=[*run.verdicts, as_it_was])


async def _performed(plan: Plan, options: SuiteOptions, folder: TakeFolder, started: datetime) -> Take:
    if not options.live:
        return await _perform(plan, in_memory_stage(plan), options, folder, started)
    async with open_stage([plan], environment(), wished=options.endpoint, live=True) as stage:
        return await _perform(plan, stage, options, folder, started)


async def _perform(plan: Plan, stage: Stage, options: SuiteOptions, folder: TakeFolder, started: datetime) -> Take:
    people = people_of(plan, stand_in=True)
    budgets = [each for each in (plan.budget, options.budget) if each is not None and options.live]
    budget = min(budgets, default=plan.budget)
    how = PerformanceOptions(started=started, allow_tools=options.allow_tools, people=people, budget=budget)
    return await perform(plan, stage, folder, how)


# ---- holding it against what is expected


def _checked(plan: Plan, options: SuiteOptions, folder: TakeFolder, take: Take) -> Run:
    measures = measure_folder(folder, take)
    heard = recognise_lines(take, lambda line: audio_of(folder, line)) if options.recognise else {}
    snapshot = read_snapshot(snapshot_path(plan.path, plan.variant))
    verdicts = check(
        plan,
        take,
        measures,
        snapshot,
        compares=not options.update,
        heard=heard,
        files=sound_files(plan.path, plan_json(plan)),
    )
    if take.ended != "complete" and not verdicts:
        raise TakeError(str(folder.path), f"the take ended {take.ended}: {take.problem}")
    return Run(folder, verdicts, take, measures)


def _accept(plan: Plan, run: Run) -> str:
    """Accept the snapshot, and say what has become of it."""
    assert run.take  # noqa: S101 - only what was performed is accepted
    path = snapshot_path(plan.path, plan.variant)
    new = accept_snapshot(snapshot_of(run.folder, run.take), read_snapshot(path))
    return f"{'accepted' if write_snapshot(path, new) else 'unchanged'} {path}"
