"""Performs jobs of a batch: looks, claims, and continues what has begun, so that nothing is performed twice.

A worker goes through all jobs. What another worker has claimed is looked at again in the end, as that worker may die.
Every engine is made of such workers: one process has one, ``--workers`` has one in each of its processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread

from tau_stage import runs
from tau_stage import stage as stages
from tau_stage.batch.batch_file import Batch
from tau_stage.batch.jobs import BatchJob, is_rehearsal
from tau_stage.batch.ledger import ZERO, Claim, JobResult, Ledger, LedgerPart, State
from tau_stage.batch.summary import account_of
from tau_stage.cost import expected_cost
from tau_stage.environment import environment
from tau_stage.errors import StageError, TakeError, UsageError, unwrapped
from tau_stage.gate import Gate, GateLimits, LocalGate
from tau_stage.report import Note
from tau_stage.scene import Plan
from tau_stage.signals import Signal
from tau_stage.stage import Event, Stage
from tau_stage.take import JOURNAL, Bills, TakeFolder, fold, is_locked, read_journal
from tau_stage.take import records as record

LOOK_AGAIN_S = 2.0
"""Seconds after which jobs of other workers are looked at again, once there is nothing else to do."""

LOOK_AT_LOCK_S = 0.05
OUT_OF_MONEY = {"state": "stopped", "ended": "budget", "problem": "the batch budget is spent", "code": 4}
AT_ONCE = {"state": "stopped", "ended": "interrupted", "problem": "stopped during a line", "code": 130}

_STATES: Mapping[str, State] = {"complete": "done", "incomplete": "failed", "failed": "failed", "limit": "failed"}
"""States of jobs, by how their takes ended; of any other ending, the job goes on in the next run."""

Fate = Literal["done", "failed", "stopped", "unchanged", "held"]
Value = TypeVar("Value")
Deliver = Callable[[runs.PerformedTake, Note], runs.DeliveredTake]


def timestamp() -> str:
    """Write the time, UTC, so that later ones come later in the alphabet."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


class Outcome(LedgerPart):
    """What a worker did about a job: performed it, left it as it was, or found it in other hands (held).

    ``dollars`` are what that has cost now.
    """

    job: str
    fate: Fate
    result: JobResult | None = None
    dollars: Decimal = ZERO

    @property
    def code(self) -> int:
        """The exit code of the job's performance."""
        return self.result.code if self.result else 0


class BatchObserver(runs.RunObserver):
    """Is shown what happens in a batch; this one shows it to nobody."""

    def begin(self, job: BatchJob) -> None:
        """Show that a job is performed now."""

    def end(self, outcome: Outcome) -> None:
        """Show what came of a job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """Say how a worker performs.

    Attributes:
        run: Who plays, and how.
        at_once: How many jobs are performed at the same time.
        retries: How often a job that fails is tried again.
        retry_failed: Whether jobs that failed before this run are performed again.
        through: Whether lines that heard something else than there is now are performed again, too.
        since: When the run began, UTC, as results have it: of all its workers.
        deliver: Delivers a take, in another thread.
    """

    run: runs.RunOptions
    at_once: int = 1
    retries: int = 2
    retry_failed: bool = False
    through: bool = False
    since: str = field(default_factory=timestamp)
    deliver: Deliver = runs.PerformedTake.deliver


@dataclass(slots=True)
class Worker:
    """One worker of a batch, in one process."""

    ledger: Ledger  # the documents, as this worker writes them
    stage: Stage  # connects players; it is open for the scenes of all jobs
    options: WorkerOptions
    observer: BatchObserver
    stop: anyio.Event  # once it is set, lines under way come to their ends, and nothing else begins
    codes: dict[str, int] = field(default_factory=dict)
    _waiting: deque[BatchJob] = field(default_factory=deque)
    _held: list[BatchJob] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)

    async def run(self, jobs: Sequence[BatchJob]) -> dict[str, int]:
        """Perform jobs until each is done, has failed, or there is no money left; return their exit codes, by name."""
        self._waiting.extend(jobs)
        while self._waiting and not self.stop.is_set():
            async with anyio.create_task_group() as group:
                for _ in range(min(self.options.at_once, len(self._waiting))):
                    group.start_soon(self._go_through)
            if self._held and not self.stop.is_set():
                with anyio.move_on_after(LOOK_AGAIN_S):
                    await self.stop.wait()
                self._waiting.extend(self._held)
                self._held.clear()
        return self.codes

    async def _go_through(self) -> None:
        while self._waiting and not self.stop.is_set():
            job = self._waiting.popleft()
            outcome = await self._look_and_perform(job)
            if outcome.fate == "held":
                self._held.append(job)
                continue
            self.codes[job.name] = outcome.code
            if self._is_tried_again(job, outcome):
                self._waiting.append(job)
            else:
                self.observer.end(outcome)

    def _is_tried_again(self, job: BatchJob, outcome: Outcome) -> bool:
        if self.stop.is_set() or outcome.fate not in ("failed", "stopped"):
            return False
        tries = self.tries[job.name] = self.tries.get(job.name, 0) + 1
        is_broke = outcome.result is not None and outcome.result.ended == "budget"
        return not is_broke and tries <= self.options.retries

    async def _look_and_perform(self, job: BatchJob) -> Outcome:
        """Look at a job, claim it, look once more, and perform what is left of it."""
        fingerprint = job.fingerprint(self.options.run.endpoint)
        if found := await _in_thread(partial(self._standing, job, fingerprint)):
            return found
        claim = await _in_thread(partial(self.ledger.claim, job.name))
        if claim is None:
            return Outcome(job=job.name, fate="held")
        try:
            if found := await _in_thread(partial(self._standing, job, fingerprint)):
                return found
            self.observer.begin(job)
            performance = _Performance(self, job, claim, fingerprint)
            try:
                with unwrapped():
                    result = await performance.run()
            except StageError as error:
                result = await performance.fail(str(error))
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await _in_thread(performance.leave)
                raise
        finally:
            with anyio.CancelScope(shield=True):
                await _in_thread(partial(self.ledger.release, claim))
                await _in_thread(partial(self.ledger.store.forget, job.takes))
        if result is None:
            return Outcome(job=job.name, fate="held")
        return Outcome(job=job.name, fate=result.state, result=result, dollars=result.dollars - performance.before)

    def _standing(self, job: BatchJob, fingerprint: str) -> Outcome | None:
        """Return what came of a job that need not be performed: it is done, or has failed in an earlier run."""
        result = self.ledger.result(job.name)
        if result is None or result.fingerprint != fingerprint:
            return None
        if result.state == "done" and not (self.options.through and result.outdated):
            return Outcome(job=job.name, fate="unchanged", result=result)
        again = job.name in self.tries or (self.options.retry_failed and result.finished < self.options.since)
        return (
            Outcome(job=job.name, fate="unchanged", result=result) if result.state == "failed" and not again else None
        )


class _Performance(runs.RunObserver):
    """One performance of a job, whose lines are pushed to the store as they are finished."""

    def __init__(self, worker: Worker, job: BatchJob, claim: Claim, fingerprint: str) -> None:
        self._worker, self._job, self._claim, self._fingerprint = worker, job, claim, fingerprint
        self._store, self._out = worker.ledger.store, worker.ledger.store.home / job.folder
        self._lines = self._pushed = 0
        self._bills = Bills(())
        self.before = self._unspent = ZERO
        self._is_rehearsal = is_rehearsal([job], worker.options.run.endpoint)
        self._news = Signal()

    async def run(self) -> JobResult | None:
        """Perform what is left of it; None where another worker has taken it over meanwhile."""
        worker, plan = self._worker, self._job.plan
        await _in_thread(partial(self._store.pull, self._job.takes))
        if not await self._is_left():
            return None
        look = partial(runs.remaining_job, endpoint=worker.options.run.endpoint, through=worker.options.through)
        folder, left = await _in_thread(partial(look, self._out, plan))
        if left is None:
            assert folder is not None  # noqa: S101 - one of both is there
            return await self._write_down(await _in_thread(partial(runs.finish, folder, plan=plan)))
        former = await _in_thread(self._result_so_far)
        self.before, self._unspent = former.dollars, former.unspent
        lines = await _in_thread(partial(_lines_left, left))
        if lines and not await self._is_affordable(
            expected_cost(self._job.plan_at(worker.options.run.endpoint), lines).known
        ):
            return await _in_thread(lambda: self._written(self._result(**OUT_OF_MONEY)))
        delivered = await self._perform(left)
        return await self._write_down(delivered[0]) if delivered else None

    async def _perform(self, left: runs.Job) -> Sequence[runs.DeliveredTake]:
        """Perform a job while its claim is kept; nothing comes of it where another worker has taken it over."""
        worker = self._worker
        delivered: list[runs.DeliveredTake] = []
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_claim, group.cancel_scope)
            delivered += await runs.run_jobs(
                [replace(left, notes=())],
                worker.options.run,
                out=self._out,
                observer=self,
                deliver=worker.options.deliver,
                stopping=nullcontext(worker.stop),
                on=worker.stage,
            )
            group.cancel_scope.cancel()
        return delivered

    async def _is_left(self) -> bool:
        """Wait until nobody writes into a take of the job: a process that was killed may take a moment to be gone."""
        with anyio.move_on_after(self._worker.ledger.claim_s / 3):
            while await _in_thread(self._is_written):  # noqa: ASYNC110 - another process's lock wakes nobody
                await anyio.sleep(LOOK_AT_LOCK_S)
            return True
        return False

    def _is_written(self) -> bool:
        return any(is_locked(journal.parent) for journal in self._journals())

    def _journals(self) -> list[Path]:
        found = (self._out / self._job.plan.slug).glob(f"*/{JOURNAL}")
        return sorted(journal for journal in found if not journal.parent.is_symlink())

    async def _is_affordable(self, dollars: Decimal) -> bool:
        """Tell whether the budget of the batch has room for the job, where nothing else is performed."""
        gate = self._worker.stage.gate
        if "dollars" not in gate.limited:
            return True
        status = await gate.status()
        return status.budget is None or status.spent + dollars <= status.budget

    def show(self, plan: Plan, event: Event) -> None:
        """Show an event; a line that is finished is pushed."""
        self._worker.observer.show(plan, event)
        if isinstance(event, record.Record):
            self._bills.apply(event)
        if isinstance(event, record.LineSpoken):
            self._lines += 1
            self._news.notify()

    def making(self, plan: Plan, what: str) -> None:
        """Show what is being made of the take."""
        self._worker.observer.making(plan, what)

    def warn(self, text: str) -> None:
        """Show what a user should know besides."""
        self._worker.observer.warn(text)

    async def _keep_claim(self, scope: anyio.CancelScope) -> None:
        """Push what is new, and renew the claim: after each line, and often enough; end all where it is lost."""
        while await _in_thread(self._push):
            with anyio.move_on_after(self._worker.ledger.claim_s / 3):
                await self._news.until(lambda: self._lines > self._pushed)
        scope.cancel()

    def _push(self) -> bool:
        self._pushed = self._lines
        self._store.push(self._job.takes)
        now = self._bills.whole.known
        cost = {"dollars": self.before + now, "unspent": self._unspent + (now if self._is_rehearsal else ZERO)}
        return self._worker.ledger.renew(self._claim, lines=self._lines, **cost) is not None

    async def fail(self, problem: str) -> JobResult:
        """Write down that the job cannot be performed."""
        code = runs.TAKE_SPOILED
        return await _in_thread(
            lambda: self._written(self._result(state="failed", ended="failed", problem=problem, code=code))
        )

    def leave(self) -> None:
        """Write down what was paid, where the job was stopped in the middle of a line."""
        former, now = self._worker.ledger.result(self._job.name), self._result(**AT_ONCE)
        if now.dollars > (former.dollars if former else ZERO):
            self._written(now)

    async def _write_down(self, delivered: runs.DeliveredTake) -> JobResult:
        take = delivered.take
        result = partial(
            self._result,
            state=_STATES.get(take.ended, "stopped"),
            ended=take.ended,
            problem=take.problem or next(iter(delivered.problems), ""),
            code=delivered.exit_code,
            take=self._name(delivered.folder),
            lines=len(take.lines),
            seconds=take.duration_s,
            outdated=len(self._job.outdated(take.lines, self._worker.options.run.endpoint)),
        )
        return await _in_thread(lambda: self._written(result()))

    def _result(self, **facts: Any) -> JobResult:
        paid, rehearsed = self._paid()
        about = {"job": self._job.name, "fingerprint": self._fingerprint, "paid": paid, "rehearsed": rehearsed}
        return JobResult(**about, **facts, owner=self._worker.ledger.owner, finished=timestamp())

    def _written(self, result: JobResult) -> JobResult:
        """Push all of the take, and write down what came of the job."""
        self._store.push(self._job.takes)
        self._worker.ledger.write(result)
        return result

    def _result_so_far(self) -> JobResult:
        """Return what the job has cost before it is performed."""
        return self._result(**AT_ONCE)

    def _paid(self) -> tuple[dict[str, Decimal], tuple[str, ...]]:
        """Return what each take of the job has cost, as far as it is known, and the takes that were rehearsals."""
        former = self._worker.ledger.result(self._job.name)
        found = dict(former.paid) if former else {}
        rehearsed = set(former.rehearsed) if former else set()
        for journal in self._journals():
            with suppress(TakeError):  # it has no beginning
                name, take = self._name(TakeFolder(journal.parent)), fold(read_journal(journal))
                found[name] = take.cost.known
                rehearsed = rehearsed - {name} if take.spent else rehearsed | {name}
        return found, tuple(sorted(rehearsed))

    def _name(self, folder: TakeFolder) -> str:
        """Return the folder of a take, in the store."""
        return folder.path.relative_to(self._store.home).as_posix()


def _spoken(folder: TakeFolder) -> set[str]:
    """Return the lines that are finished of a take."""
    return {fact.line for fact in read_journal(folder.journal) if isinstance(fact, record.LineSpoken)}


def _lines_left(job: runs.Job) -> list[str]:
    """List the lines that are not there yet, in a former take or in the one that continues."""
    there = job.former.lines.keys() | (_spoken(job.folder) if job.folder else set())
    return [line.id for line in job.plan.all_lines if line.id not in there]


async def _in_thread(work: Callable[[], Value]) -> Value:
    return await anyio.to_thread.run_sync(work)


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a batch's jobs, of several that are performed apart: the third of forty is ``3/40``."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a shard as the command line has it.

        Raises:
            UsageError: It is none.

        >>> Shard.parse("3/40")
        Shard(number=3, of=40)
        """
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        hint = "specify the shard number, starting at 1, and the total number of shards, for example 3/40"
        raise UsageError(f"--shard: invalid value '{text}'", hint)

    def of_jobs(self, jobs: Sequence[BatchJob]) -> list[BatchJob]:
        """Return the jobs of this part: each belongs to one part, whatever else is in the batch."""
        return [*jobs[self.number - 1 :: self.of]]


async def run_batch(
    batch: Batch,
    jobs: Sequence[BatchJob],
    ledger: Ledger,
    options: WorkerOptions,
    *,
    budget: Decimal | None = None,
    gate: Gate | None = None,
    observer: BatchObserver,
    stopping: AbstractAsyncContextManager[anyio.Event] | None = None,
) -> Mapping[str, int]:
    """Perform what is left of a batch's jobs, in this process; return the exit code of each that has ended, by name.

    Args:
        batch: The batch.
        jobs: Of the batch, those that are wanted.
        ledger: Where it is written down what came of them.
        options: How they are performed.
        budget: Dollars that the batch may cost in all; None: as the batch says.
        gate: Holds the limits of the batch, for all its workers; None: one of this process.
        observer: Is shown what happens.
        stopping: Gives an event: once it is set, lines under way come to their ends, and nothing else begins.

    Raises:
        UsageError: A player has nobody to play it.
        TakeError: The store cannot be read or written.
    """
    plans, run = [job.plan for job in jobs], options.run
    stages.raise_descriptor_limit(plans, options.at_once)
    if gate is None:
        before = await anyio.to_thread.run_sync(partial(account_of, ledger, jobs, run.endpoint))
        gate = LocalGate(limits_of(batch, budget), spent=before.counted)
    opened = stages.open_stage(plans, environment(), wished=run.endpoint, live=run.live, gate=gate)
    async with stopping or nullcontext(anyio.Event()) as stop, opened as stage:
        return await Worker(ledger, stage, options, observer, stop).run(jobs)


def limits_of(batch: Batch, budget: Decimal | None = None) -> GateLimits:
    """Return what all workers of a batch together may do; ``budget`` is in place of the batch's own."""
    limits = batch.limits
    budget = limits.budget if budget is None else budget
    return GateLimits(budget, limits.start_rate, limits.sessions, limits.tokens)


def exit_code(codes: Mapping[str, int], jobs: Sequence[BatchJob], workers: Sequence[int] = ()) -> int:
    """Return the exit code of a run: the worst of its jobs and workers; 130 where it was stopped before its end.

    A worker that cannot work, and has said why, ends with 2.
    """
    is_stopped = len(codes) < len(jobs) and runs.TAKE_SPOILED not in workers
    return max([*codes.values(), *workers, runs.EXIT_CODES["interrupted"] if is_stopped else 0], default=0)
