"""Run a batch from the command line: how far it has come, how fast it goes, what it has cost, what time is left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from time import monotonic

import anyio
from rich.status import Status
from rich.text import Text

from tau_stage import batch as batches
from tau_stage.cli.printing import console, is_plain, warn
from tau_stage.cli.stopping import stoppable
from tau_stage.environment import keep_freed_memory, spared_by_collector
from tau_stage.protocol import ignore
from tau_stage.scene import Plan
from tau_stage.stage import Event
from tau_stage.take import records as record
from tau_stage.text import counted, one_line


def run_jobs(
    batch: batches.Batch,
    jobs: Sequence[batches.BatchJob],
    ledger: batches.Ledger,
    options: batches.WorkerOptions,
    *,
    budget: Decimal | None,
    quiet: bool,
) -> int:
    """Perform what is left of a batch's jobs, show how far it has come, and return the exit code."""
    keep_freed_memory()
    already = batches.spent_in(ledger)
    with spared_by_collector(), _open_view(batch, jobs, already, quiet=quiet) as view:
        run = partial(batches.run_batch, batch, jobs, ledger, options, budget=budget, observer=view)
        outcomes = anyio.run(lambda: run(stopping=stoppable()))
    return batches.exit_code(outcomes, jobs)


@dataclass
class BatchProgress(batches.BatchObserver):
    """How far a batch has come.

    Attributes:
        gap_min: Minutes between two openings of sessions, where the batch has a rate.
        spent: Dollars that were spent before.
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
    _left: dict[str, int] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.began = self.now()
        self._left = {job.name: len(job.plan.models) for job in self.jobs}

    def show(self, plan: Plan, event: Event) -> None:  # noqa: ARG002 - all plans are one to it
        """Count a line."""
        if isinstance(event, record.LineSpoken) and not event.former:
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
        if outcome.fate == "unchanged":
            self.unchanged += 1
        else:
            self.done += 1
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
        told = f"{self.ended}/{len(self.jobs)} jobs, {rate:.0f} lines/min, ${self.spent:.4f} so far"
        return f"{told}, about {self.left_min(minutes):.0f} min left" if self.done else told

    def left_min(self, minutes: float) -> float:
        """Estimate the minutes that are left: as it went so far, and no faster than sessions may open."""
        return max(len(self._left) * minutes / self.done, sum(self._left.values()) * self.gap_min)


@contextmanager
def _open_view(
    batch: batches.Batch, jobs: Sequence[batches.BatchJob], already: Decimal, *, quiet: bool
) -> Iterator[BatchProgress]:
    """Open the view that suits where the output goes: a line that is drawn anew, or a line for each job."""
    rate = batch.limits.start_rate
    view = BatchProgress(jobs, 1 / rate if rate else 0.0, already)
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
