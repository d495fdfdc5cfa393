"""One scene, tested: performed as the options say, and held against everything that is expected of it.

Without a provider or a cassette, it is performed by an understudy in memory whose speech takes no time, so that two
performances are alike.
"""

from __future__ import annotations

import secrets
import shutil
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import chain
from pathlib import Path
from shlex import quote

import anyio
import anyio.lowlevel

from tau_stage import checks, errors
from tau_stage import stage as stages
from tau_stage.audio import RATE, Pcm
from tau_stage.cassette import Replay
from tau_stage.clock import VIRTUAL
from tau_stage.environment import environment
from tau_stage.processes import run_until_signal
from tau_stage.report import deliver
from tau_stage.scene import ImprovisePlan, ListenPlan, Plan, PlayerPlan, locate, plan_json
from tau_stage.suite.discovery import CASSETTES, PLACE, Case, scene_error
from tau_stage.suite.result import OVER_BUDGET, CaseError, Result, Source, rows, unreached
from tau_stage.take import CHECKS, Take, TakeFolder, audio_of, leave_latest
from tau_stage.transport import Handshake, MemoryTransport, Transport
from tau_stage.understudy import SpeechPlan, SpeechRequest, SpokenLine, Understudy, Voices, plan_speech

TAKES = PLACE / "takes"
NONE_LEFT = "no speech to evaluate"


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """How scenes are tested.

    Attributes:
        cassettes: A folder of cassettes, of which each scene must have one; else they lie beside the scenes.
        live: Whether the scenes' own endpoints play, cassette or not, or the ``endpoint`` in their stead.
        budget: Dollars that each scene may cost, in all its performances together.
        update: Whether snapshots become what is performed now.
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
    """One performance of a scene; without a take where the scene has parted from its cassette."""

    folder: TakeFolder
    verdicts: Sequence[checks.Verdict]
    take: Take | None = None
    measures: checks.TakeMetrics | None = None


def run_case(case: Case, options: SuiteOptions) -> Result:
    """Test a scene. Whatever is wrong with it is part of the result.

    Takes of performances that are not well are kept, with their page; the others are not.
    """
    began = time.monotonic()
    result = Result(case.path, case.variant)
    try:
        with errors.unwrapped():
            result = _CaseRun(case.plan(), options).result(result)
    except errors.SceneError as failure:
        result = replace(result, error=scene_error(failure))
    except errors.StageError as failure:
        code = 2 if isinstance(failure, errors.UsageError) else 3
        result = replace(result, error=CaseError(str(failure), case.path, code=code))
    return replace(result, took_s=time.monotonic() - began)


def killed_case(case: Case) -> Result:
    """Return what a scene comes to whose process was killed: it is not tested again, as that may cost money."""
    alone = f"test it alone: tau-stage test {quote(case.path)}; if memory ran out, use --jobs 1"
    problem = f"the process that ran this test was killed\n  hint: {alone}"
    return Result(case.path, case.variant, error=CaseError(problem, case.path))


@dataclass(frozen=True)
class _CaseRun:
    """The test of one plan: who plays it, its performances, and what they come to."""

    plan: Plan
    options: SuiteOptions

    @cached_property
    def tapes(self) -> Path:
        return self.options.cassettes or Path(self.plan.path).parent / CASSETTES

    @cached_property
    def snapshot(self) -> Path:
        return checks.snapshot_path(self.plan.path, self.plan.variant)

    @cached_property
    def source(self) -> Source:
        """Who plays; nobody, where there is nothing to hold a performance against."""
        if self.options.live:
            return "live"
        if self.options.cassettes or (self.tapes / self.plan.slug).exists():
            return "cassette"
        wanted = (self.plan.has_expectations, self.snapshot.exists(), self.options.update, self.options.recognise)
        return "understudy" if any(wanted) else "nothing"

    def result(self, result: Result) -> Result:
        """Perform the scene as often as wanted, and say what it came to."""
        lacks = tuple(self.lacks()) if self.options.strict else ()
        result = replace(result, title=self.plan.title, source=self.source, lacks=lacks)
        self.refuse_lost_cassette()
        if self.source == "nothing":
            return result
        stages.check_tool_permission(self.plan, allowed=self.options.allow_tools)
        stages.find_tools(self.plan)
        return self.judged(result, self.runs())

    def judged(self, result: Result, runs: Sequence[Run]) -> Result:
        """Say what performances came to; accept the last one and keep takes, as the options say."""
        last = runs[-1].take
        if self.options.live and last and last.ended == "budget":
            _delete_takes(runs)
            return self.stopped(result, runs)
        result = self.summed_up(result, runs)
        if last and not any(line.said or line.samples for line in last.lines):
            result = replace(result, error=CaseError(last.problem or NONE_LEFT, self.plan.path))
        if self.options.update and last and not result.error:
            is_fine = result.state in ("passed", "unchecked")
            accepted = self.accept(runs[-1].folder, last) if is_fine else f"not accepted: {self.snapshot} is unchanged"
            result = replace(result, accepted=accepted)
        return replace(result, takes=self.keep(runs))

    def lacks(self) -> Iterator[str]:
        """Yield what a scene must have to be green where a test is strict, and has not."""
        scene, snapshots = quote(self.plan.path), self.snapshot.parent
        has_tape = (self.tapes / self.plan.slug).exists()
        if self.source == "nothing":
            yield "no expectations: add 'expect', accept a take with --update, or record a cassette"
        if not self.options.live and self.tapes.is_dir() and not has_tape:
            record = f"to record one: tau-stage run {scene} --record {quote(str(self.tapes))}"
            yield f"no cassette in {self.tapes}; {record}"
        if not (self.options.update or self.snapshot.exists()) and (has_tape or snapshots.is_dir()):
            yield f"no snapshot in {snapshots}; to accept one: tau-stage test --update {scene}"

    def refuse_lost_cassette(self) -> None:
        """Refuse to hold a snapshot that was accepted beside a cassette, which is gone, against the understudy."""
        is_compared = not self.options.update and self.source not in ("cassette", "live")
        known = checks.read_snapshot(self.snapshot) if is_compared else None
        if known and known.cassette:
            record = f"--record {quote(str(self.tapes))}"
            hint = f"restore it, record it again ({record}), or accept the scene without it: --update"
            problem = f"is missing, but {self.snapshot} was accepted with it"
            raise errors.CassetteError(str(self.tapes / self.plan.slug), problem, hint)

    # ---- performing

    def runs(self) -> list[Run]:
        """Perform the scene as often as wanted, or until its budget is spent."""
        runs: list[Run] = []
        try:
            while len(runs) < self.options.repeat:
                runs.append(self.run(self.left(runs)))
                if runs[-1].take and runs[-1].take.ended == "budget":
                    break
        except BaseException:
            _delete_takes(runs)
            raise
        return runs

    def left(self, runs: Sequence[Run]) -> Decimal | None:
        """Return what may still be spent; what a performance has cost that is not known is taken to be all of it."""
        budget = self.options.budget
        spent = [run.take.cost.total for run in runs if run.take]
        return None if budget is None else budget - sum((budget if one is None else one for one in spent), Decimal(0))

    def run(self, budget: Decimal | None) -> Run:
        """Perform the scene once, and hold the take against everything that is expected."""
        started = datetime.now(UTC)
        folder = TakeFolder.create(self.options.out, self.plan.slug, started, secrets.token_hex(3))
        try:
            if self.source == "cassette":
                return self.replayed(folder, started)
            clock = {} if self.source == "live" else VIRTUAL
            return self.checked(folder, run_until_signal(self.performed, folder, started, budget, clock=clock))
        except BaseException:
            _delete_takes([Run(folder, ())])
            raise

    def replayed(self, folder: TakeFolder, started: datetime) -> Run:
        """Perform the scene from its cassette."""
        tape = Replay.of(self.plan, self.tapes)
        try:
            with errors.unwrapped():
                take = run_until_signal(self.perform, tape.stage, folder, started, None, clock=VIRTUAL)
            tape.finish(take)
        except errors.CassetteDiffers as failure:
            run = Run(folder, explain_divergence(self.plan, failure, checks.read_snapshot(self.snapshot)))
            _delete_takes([run])  # it is a piece of a take, and of the cassette at that
            return run
        run = self.checked(folder, take)
        if take.ended != "complete":
            return run
        whole = checks.VerdictSubject("scene", "", tuple(line.id for line in take.lines), "cassette")
        as_it_was = whole.verdict(locate(self.plan.locations), "conversation", "as recorded", "as recorded", "passed")
        return replace(run, verdicts=[*run.verdicts, as_it_was])

    async def performed(self, folder: TakeFolder, started: datetime, budget: Decimal | None) -> Take:
        """Perform the scene with its providers, or with the understudy."""
        if not self.options.live:
            return await self.perform(in_memory_stage(self.plan), folder, started, budget)
        async with stages.open_stage([self.plan], environment(), wished=self.options.endpoint, live=True) as stage:
            return await self.perform(stage, folder, started, budget)

    async def perform(self, stage: stages.Stage, folder: TakeFolder, started: datetime, budget: Decimal | None) -> Take:
        """Perform the scene on a stage."""
        budgets = [each for each in (self.plan.budget, budget) if each is not None and self.options.live]
        how = stages.PerformanceOptions(
            started=started,
            allow_tools=self.options.allow_tools,
            people=stages.people_of(self.plan, stand_in=True),
            budget=min(budgets, default=self.plan.budget),
        )
        return await stages.perform(self.plan, stage, folder, how)

    # ---- what came of it

    def checked(self, folder: TakeFolder, take: Take) -> Run:
        """Hold a take against what is expected; one that did not come to its end, if nothing is, is a ``TakeError``."""
        measures = checks.measure_folder(folder, take)
        heard = checks.recognise_lines(take, lambda line: audio_of(folder, line)) if self.options.recognise else {}
        files = checks.sound_files(self.plan.path, plan_json(self.plan))
        known = checks.read_snapshot(self.snapshot)
        compares = not self.options.update
        verdicts = checks.check(self.plan, take, measures, known, compares=compares, heard=heard, files=files)
        if take.ended != "complete" and not verdicts:
            raise errors.TakeError(str(folder.path), f"take {take.ended}: {take.problem}")
        return Run(folder, verdicts, take, measures)

    def summed_up(self, result: Result, runs: Sequence[Run]) -> Result:
        """Sum up all performances, and the lines that the last one did not reach."""
        last = runs[-1].take
        found = rows(self.plan, [run.verdicts for run in runs], _lengths(runs))
        sources = tuple(dict.fromkeys(verdict.source for run in runs for verdict in run.verdicts))
        if last is None:
            return replace(result, rows=(*found, *unreached(self.plan, found)), checks=sources)
        return replace(result, lines=len(last.lines), rows=found, checks=sources)

    def stopped(self, result: Result, runs: Sequence[Run]) -> Result:
        """Sum up a test that stopped at its budget: what whole performances came to, and lines none reached."""
        lengths = _lengths(runs)
        known = rows(self.plan, [run.verdicts for run in runs[:-1]], lengths) if len(runs) > 1 else ()
        missed = [row for row in unreached(self.plan, known) if row.name not in lengths]
        budget = self.plan.budget if self.options.budget is None else self.options.budget
        which = f"performance {len(runs)} of {self.options.repeat}"
        problem = f"stopped at the budget of ${budget} in {which}; raise --budget"
        return replace(result, rows=(*known, *missed), error=CaseError(problem, self.plan.path, code=OVER_BUDGET))

    def accept(self, folder: TakeFolder, take: Take) -> str:
        """Accept the snapshot, and say what has become of it."""
        new = checks.accept_snapshot(checks.snapshot_of(folder, take), checks.read_snapshot(self.snapshot))
        return f"{'accepted' if checks.write_snapshot(self.snapshot, new) else 'unchanged'} {self.snapshot}"

    def keep(self, runs: Sequence[Run]) -> tuple[str, ...]:
        """Keep the takes that are not well, or all, and make their pages; delete the others."""
        kept = [run for run in runs if self.options.keep or not all(verdict.passed for verdict in run.verdicts)]
        _delete_takes([run for run in runs if run not in kept])
        for run in kept:
            if run.take and run.measures:
                also = {CHECKS: checks.as_json(run.verdicts, run.measures)}
                deliver(run.folder, run.take, self.plan.deliver, also=also)
        return tuple(str(run.folder.path) for run in kept if run.take)


def _lengths(runs: Sequence[Run]) -> dict[str, float]:
    return {line.id: line.duration_s for run in runs if run.take for line in run.take.lines}


def _delete_takes(runs: Sequence[Run]) -> None:
    """Delete takes, and what is left of them: the link to the newest, and a folder that is empty."""
    for run in runs:
        with suppress(errors.TakeError):
            leave_latest(run.folder)
        shutil.rmtree(run.folder.path, ignore_errors=True)
        with suppress(OSError):
            run.folder.path.parent.rmdir()


@dataclass(frozen=True)
class InstantActor:
    """Speaks on the event loop: a virtual clock stands still meanwhile; ``sound`` makes a line's in a voice."""

    sound: Callable[[SpeechPlan, str], Pcm]

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted."""
        await anyio.lowlevel.checkpoint()
        speech = plan_speech(request)
        return SpokenLine(speech.transcript, self.sound(speech, request.voice) if request.wants_audio else None)


def in_memory_stage(plan: Plan, understudy: Understudy | None = None) -> stages.Stage:
    """Return a stage on which an understudy plays everybody, whatever endpoint the scene names, without a socket."""
    playing = understudy or Understudy(InstantActor(Voices.of_user().speak))
    for audio, words in stages.known_words(plan):
        playing.known_speech.teach(audio, words)

    @asynccontextmanager
    async def connect(player: PlayerPlan) -> AsyncIterator[Transport]:
        handshake = Handshake(query={"model": player.model})
        if refusal := await playing.admit(handshake):
            raise errors.ConnectFailed(reason=refusal.body.strip(), status=refusal.status)
        ours, theirs = MemoryTransport.pair()
        with errors.unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(playing.listen, theirs, handshake)
                try:
                    yield ours
                finally:
                    ours.drop()
                    group.cancel_scope.cancel()

    return stages.Stage(connect)


OWN = frozenset({"asked", "direction", "player", "place", "line", "pause", "heard_by"})
"""What of a line is the scene's own, whoever performs it."""


def hum(speech: SpeechPlan, _voice: str) -> Pcm:
    """Make a hum of a line, at twelve signs a second: nothing needs to be installed."""
    samples = max(1, len(speech.transcript)) * RATE // 12
    return Pcm(struct.pack("<2h", 1000, -1000) * (samples // 2))


def explain_divergence(
    plan: Plan, differs: errors.CassetteDiffers, snapshot: checks.Snapshot | None
) -> Sequence[checks.Verdict]:
    """Say what has changed since the cassette was recorded.

    The first event that differs may be that of another line than the one that is new, gone, or elsewhere. So where
    there is a snapshot, an understudy that hums walks through the scene, and everything of its own is compared with
    that.
    """
    found = _walked_through(plan, snapshot) if snapshot and _is_written(plan) else []
    return found or [_first(plan, differs)]


def _first(plan: Plan, differs: errors.CassetteDiffers) -> checks.Verdict:
    subject = checks.VerdictSubject("player", differs.player, (), "cassette")
    if differs.line:
        subject = checks.VerdictSubject("line", differs.line, (differs.line,), "cassette")
    place = locate(plan.locations, subject.kind, subject.of, differs.field)
    told = str(differs).partition(": ")[2].partition("\n")[0]
    return subject.verdict(place, differs.field, differs.recorded, differs.now, "failed", told)


def _is_written(plan: Plan) -> bool:
    """Tell whether all its lines are, and no tool runs a program: else who performs it makes a difference."""
    talks = (isinstance(step, ImprovisePlan | ListenPlan) for step in chain.from_iterable(plan.step_lists))
    improvises = (line.improvised for line in plan.all_lines)
    return not any((*talks, *improvises, *(tool.is_code for tool in plan.tools.values())))


def _walked_through(plan: Plan, snapshot: checks.Snapshot) -> list[checks.Verdict]:
    with tempfile.TemporaryDirectory(prefix="tau-stage-") as place:
        folder = TakeFolder.create(Path(place), plan.slug, datetime.now(UTC), "walk")
        try:
            take = anyio.run(_perform, plan, folder, backend_options=VIRTUAL)
        except (errors.StageError, BaseExceptionGroup):
            return []
        if take.ended != "complete":
            return []
        files = checks.sound_files(plan.path, plan_json(plan))
        verdicts = checks.check(plan, take, checks.measure_folder(folder, take), snapshot, files=files)
    failed = [each for each in verdicts if each.outcome == "failed" and each.source == "snapshot"]
    return [each for each in failed if each.kind != "line" or each.what in OWN]


async def _perform(plan: Plan, folder: TakeFolder) -> Take:
    stage = in_memory_stage(plan, Understudy(InstantActor(hum)))
    how = stages.PerformanceOptions(people=stages.people_of(plan, stand_in=True))
    return await stages.perform(plan, stage, folder, how)
