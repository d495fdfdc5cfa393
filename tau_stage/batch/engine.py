"""Run a batch in this process: open its store and a stage for all its scenes, and let a worker go through the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import anyio
import anyio.to_thread

from tau_stage import stage as stages
from tau_stage.batch.batch_file import Batch
from tau_stage.batch.jobs import BatchJob
from tau_stage.batch.ledger import Ledger
from tau_stage.batch.summary import account_of
from tau_stage.batch.worker import BatchObserver, Worker, WorkerOptions
from tau_stage.environment import environment
from tau_stage.errors import UsageError
from tau_stage.gate import Gate, GateLimits, LocalGate
from tau_stage.runs import EXIT_CODES, TAKE_SPOILED


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
        hint = "write the number of the part and how many there are, from 1: --shard 3/40"
        raise UsageError(f"--shard: '{text}' is no part of a whole", hint)

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
    is_stopped = len(codes) < len(jobs) and TAKE_SPOILED not in workers
    return max([*codes.values(), *workers, EXIT_CODES["interrupted"] if is_stopped else 0], default=0)
