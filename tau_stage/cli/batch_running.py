"""Run a batch from the command line: how far it has come, how fast it goes, what it has cost, what time is left."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from rich.status import Status
from rich.text import Text

from tau_stage import batch as batches
from tau_stage import gate as gates
from tau_stage.cli.main import exit_code_of
from tau_stage.cli.performing import deliver_performed
from tau_stage.cli.printing import console, is_plain, say_json, warn
from tau_stage.cli.stopping import stoppable
from tau_stage.environment import environment, keep_freed_memory, spared_by_collector
from tau_stage.errors import UsageError, unwrapped
from tau_stage.protocol import ignore
from tau_stage.scene import Plan
from tau_stage.stage import Event
from tau_stage.take import records as record
from tau_stage.text import counted, one_line


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRun:
    """One run of a batch from the command line: its jobs, where they are written down, and the gate's address."""

    batch: batches.Batch
    jobs: Sequence[batches.BatchJob]
    ledger: batches.Ledger
    endpoint: str | None = None
    budget: Decimal | None = None
    gate: str | None = None

    def perform(self, options: batches.WorkerOptions, *, quiet: bool) -> int:
        """Perform what is left in this process, show how far it has come, and return the exit code."""
        with self._open_view(quiet=quiet) as view:
            return self.perform_observed(options, view, stoppable())

    def perform_observed(
        self,
        options: batches.WorkerOptions,
        observer: batches.BatchObserver,
        stopping: AbstractAsyncContextManager[anyio.Event],
    ) -> int:
        """Perform what is left in this process, and return the exit code."""
        keep_freed_memory()
        own = replace(options, deliver=deliver_performed)
        run = partial(batches.run_batch, self.batch, self.jobs, self.ledger, own, budget=self.budget)

        async def run_at_gate() -> Mapping[str, int]:
            token = environment().get(gates.TOKEN, "")
            is_first = not isinstance(observer, BatchLines)  # else its starter has looked
            patience = gates.FIRST_PATIENCE_S if is_first else gates.PATIENCE_S
            opened = gates.open_gate(self.gate, token, first_patience_s=patience) if self.gate else nullcontext()
            async with opened as gate:
                if gate and is_first:
                    await self._compare_limits(gate)
                return await run(gate=gate, observer=observer, stopping=stopping)

        with spared_by_collector(), unwrapped():
            codes = anyio.run(run_at_gate)
        return batches.exit_code(codes, self.jobs)

    def share(self, options: batches.WorkerOptions, workers: int, modules: Sequence[str], *, quiet: bool) -> int:
        """Let workers, forked when ``modules`` are loaded, perform what is left, and return the exit code."""
        codes: dict[str, int] = {}
        with self._open_view(quiet=quiet) as view:

            def hear(line: bytes) -> bool:
                told = read_told(line)
                if "outcome" in told:
                    outcome = batches.Outcome.model_validate(told["outcome"])
                    if outcome.job not in codes or outcome.fate != "unchanged":
                        codes[outcome.job] = outcome.code
                    view.end(outcome)
                elif "warning" in told:
                    view.warn(told["warning"])
                else:
                    view.count_line()
                return "warning" not in told

            with unwrapped():
                of_workers = anyio.run(self._run_processes, options, workers, modules, hear, codes, view.warn)
        return batches.exit_code(codes, self.jobs, of_workers)

    async def _run_processes(
        self,
        options: batches.WorkerOptions,
        workers: int,
        modules: Sequence[str],
        hear: Callable[[bytes], bool],
        codes: Mapping[str, int],
        warn_of: Callable[[str], None],
    ) -> Sequence[int]:
        """Run workers at one gate, which is opened for them if there is none yet; return their exit codes."""
        async with stoppable() as stop, self._open_gate() as (address, token):
            own = {**os.environ, gates.TOKEN: token}
            work = partial(work_apart, self.batch, self.jobs, address, options)
            processes = batches.WorkerProcesses(work, modules, own, hear, lambda: len(codes) == len(self.jobs), warn_of)
            await processes.run(workers, stop)
        return processes.codes

    def spread(self, address: str, workers: int | None, options: batches.WorkerOptions, *, quiet: bool) -> int:
        """Let a cluster perform what is left, a task for each job, and return the exit code."""
        codes: dict[str, int] = {}
        with (
            batches.open_cluster(address, workers=workers, at_once=options.at_once) as cluster,
            self._open_view(quiet=quiet) as view,
            unwrapped(),
        ):
            host = "127.0.0.1" if address == batches.LOCAL else cluster.own_address
            own = replace(options, at_once=1, deliver=deliver_performed)
            anyio.run(self._run_tasks, cluster, host, own, view, codes)
        return batches.exit_code(codes, self.jobs)

    async def _run_tasks(
        self,
        cluster: batches.DaskCluster,
        host: str,
        options: batches.WorkerOptions,
        view: BatchProgress,
        codes: dict[str, int],
    ) -> None:
        """Run tasks at one gate, which is opened for them if there is none yet."""
        name = f"tau-stage-stop-{secrets.token_hex(8)}"

        def collect(gate: str, token: str) -> None:
            task = partial(batches.ClusterTask, self.batch, options=options, gate=gate, token=token, stop=name)
            for outcome in cluster.perform([task(job=job) for job in self.jobs]):
                codes[outcome.job] = outcome.code
                anyio.from_thread.run_sync(view.end, outcome)

        async def stop_all() -> None:
            await stop.wait()
            await anyio.to_thread.run_sync(cluster.stop, name)

        async with stoppable() as stop, self._open_gate(host) as there, anyio.create_task_group() as group:
            group.start_soon(stop_all)
            await anyio.to_thread.run_sync(collect, *there, abandon_on_cancel=True)
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def _open_gate(self, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, str]]:
        token = environment().get(gates.TOKEN) or secrets.token_urlsafe(24)
        if self.gate:
            async with gates.open_gate(self.gate, token) as there:
                await self._compare_limits(there)
            yield self.gate, token
            return
        spent, limits = self._account().counted, batches.limits_of(self.batch, self.budget)
        opened = gates.open_gate_server(limits, token, host=host, allow_remote=True, spent=spent, return_s=0.0)
        async with opened as address:
            yield address, token

    def _account(self) -> batches.Account:
        return batches.account_of(self.ledger, self.jobs, self.endpoint)

    async def _compare_limits(self, gate: gates.Gate) -> None:
        """Warn of limits that the gate holds otherwise than the batch, and refuse to perform without its budget."""
        held, wanted = await gate.status(), batches.limits_of(self.batch, self.budget)
        if wanted.budget is not None and (held.budget is None or (self.budget and held.budget > self.budget)):
            there = "no budget" if held.budget is None else f"a budget of ${held.budget:f}"
            problem = f"the gate at {self.gate} has {there}, but the budget of the batch is ${wanted.budget:f}"
            raise UsageError(problem, f"start the gate with --budget '${wanted.budget:f}'")
        for name in ("start_rate", "sessions", "tokens"):
            if getattr(wanted, name) is not None and getattr(held, name) is None:
                option = f"--{name.replace('_', '-')}"
                warn(f"warning: the gate at {self.gate} has no limit for {name}: restart it with {option}")

    @contextmanager
    def _open_view(self, *, quiet: bool) -> Iterator[BatchProgress]:
        """Open the view that suits where the output goes: a line that is drawn anew, or a line for each job."""
        rate = self.batch.limits.start_rate
        account = self._account()
        view = BatchProgress(self.jobs, 1 / rate if rate else 0.0, account.counted, is_rehearsal=account.is_rehearsal)
        if quiet:
            yield view
        elif is_plain(sys.stderr):
            view.say = lambda text, _bad: warn(text)
            yield view
            warn(view.line)
        else:
            with Status("", console=console(sys.stderr)) as drawn:
                view.say = lambda text, bad: warn(text) if bad else None
                view.update = lambda text: drawn.update(Text(one_line(text)))
                yield view
            warn(view.line)


def work_apart(
    batch: batches.Batch, jobs: Sequence[batches.BatchJob], gate: str, options: batches.WorkerOptions
) -> int:
    """Perform what is left as one of several workers, write what comes of it as JSON, and return the exit code."""

    def work() -> int:
        ledger = batches.Ledger(batches.open_store(batch.home))
        run = BatchRun(batch=batch, jobs=jobs, ledger=ledger, gate=gate)
        return run.perform_observed(options, BatchLines(), until_input_ends())

    return exit_code_of(work)


class BatchLines(batches.BatchObserver):
    """Writes what a worker does as JSON lines, for the process that has started it."""

    def show(self, plan: Plan, event: Event) -> None:  # noqa: ARG002 - all plans are one to it
        """Tell of a line."""
        if isinstance(event, record.LineSpoken) and not event.former:
            say_json("{}")

    def warn(self, text: str) -> None:
        """Tell what a user should know besides."""
        say_json(json.dumps({"warning": text}))

    def end(self, outcome: batches.Outcome) -> None:
        """Tell what came of a job."""
        say_json(json.dumps({"outcome": outcome.model_dump(mode="json")}))


def read_told(line: bytes) -> Mapping[str, Any]:
    """Read a line of a worker; what a tool of a scene prints is among them, and is shown as it is."""
    with suppress(ValueError):
        told = json.loads(line)
        if isinstance(told, dict) and told.keys() <= {"outcome", "warning"}:
            return told
    return {"warning": line.decode(errors="replace").rstrip()}


@asynccontextmanager
async def until_input_ends() -> AsyncIterator[anyio.Event]:
    """Make an event that is set when the standard input ends, or a signal comes; a second signal ends it at once."""

    async def watch() -> None:
        while True:
            await anyio.wait_readable(sys.stdin.fileno())
            if not os.read(sys.stdin.fileno(), 4096):
                break
        stop.set()

    async with stoppable(quiet=True) as stop, anyio.create_task_group() as group:
        group.start_soon(watch)
        yield stop
        group.cancel_scope.cancel()


@dataclass
class BatchProgress(batches.BatchObserver):
    """How far a batch has come.

    Attributes:
        gap_min: Minutes between two openings of sessions, where the batch has a rate.
        spent: Dollars that were spent before; of a rehearsal, those that rehearsals would have cost.
        say: Is given a sentence about each job that has ended, and whether it is bad news.
        update: Is given a line about the whole, whenever it changes.
    """

    jobs: Sequence[batches.BatchJob]
    gap_min: float = 0.0
    spent: Decimal = Decimal(0)
    say: Callable[[str, bool], None] = lambda _text, _bad: None
    update: Callable[[str], None] = ignore
    now: Callable[[], float] = monotonic
    lines: int = 0
    done: int = 0
    unchanged: int = 0
    began: float = 0.0
    is_rehearsal: bool = False
    _left: dict[str, int] = field(default_factory=dict)
    _fates: dict[str, str] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.began = self.now()
        self._left = {job.name: len(job.plan.models) for job in self.jobs}

    def show(self, plan: Plan, event: Event) -> None:  # noqa: ARG002 - all plans are one to it
        """Count a line."""
        if isinstance(event, record.LineSpoken) and not event.former:
            self.count_line()

    def count_line(self) -> None:
        """Count a line that was performed."""
        self.lines += 1
        self.update(self.line)

    def warn(self, text: str) -> None:
        """Say once what a user should know besides."""
        if text not in self._told:
            self._told.add(text)
            self.say(text, True)

    def end(self, outcome: batches.Outcome) -> None:
        """Tell what came of a job."""
        self._left.pop(outcome.job, None)
        before = self._fates.get(outcome.job)
        if outcome.fate == "unchanged":  # of several workers, one has performed it, and the others find it done
            self.unchanged += before is None
            self._fates.setdefault(outcome.job, "unchanged")
        else:
            self.unchanged -= before == "unchanged"
            self.done += before in (None, "unchanged")
            self._fates[outcome.job] = outcome.fate
            self.spent += outcome.dollars
            self.say(f"{self.ended}/{len(self.jobs)} {self.told(outcome)}", outcome.fate != "done")
        self.update(self.line)

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return self.done + self.unchanged

    def told(self, outcome: batches.Outcome) -> str:
        """Tell of one job in a sentence."""
        result = outcome.result
        if result is None:
            return f"{outcome.fate} {outcome.job}"
        facts = f"{counted(result.lines, 'line')}, {result.seconds:.1f} s, ${outcome.dollars:.4f}"
        return f"{outcome.fate} {outcome.job}: {facts}{f'; {result.problem}' if result.problem else ''}"

    @property
    def line(self) -> str:
        """How far it has come, how fast it goes, what it has cost, and what time is left."""
        minutes = (self.now() - self.began) / 60
        rate = self.lines / minutes if minutes else 0.0
        cost = f"would have cost ${self.spent:.4f}" if self.is_rehearsal else f"${self.spent:.4f}"
        told = f"{self.ended}/{len(self.jobs)} jobs, {rate:.0f} lines/min, {cost} so far"
        return f"{told}, about {self.left_min(minutes):.0f} min left" if self.done else told

    def left_min(self, minutes: float) -> float:
        """Estimate the minutes that are left: as it went so far, and no faster than sessions may open."""
        return max(len(self._left) * minutes / self.done, sum(self._left.values()) * self.gap_min)
