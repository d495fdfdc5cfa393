"""``tau-stage batch``: many scenes in variants and languages, by many workers, and nothing paid twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import typer

from tau_stage import batch as batches
from tau_stage import gate as gates
from tau_stage import runs
from tau_stage.cli import options as shared
from tau_stage.cli.printing import say, say_json, show_report, warn
from tau_stage.environment import environment, usual_endpoint
from tau_stage.processes import process_context
from tau_stage.protocol import UNDERSTUDY
from tau_stage.scene import ANY_NUMBER

batch = typer.Typer(
    name="batch", help="Perform many scenes and lines, in variants and languages.", no_args_is_help=True, **shared.PLAIN
)

File = Annotated[str, typer.Argument(metavar="FILE", help="A batch file.", show_default=False)]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Select jobs by name, for example 'de/*'. You can repeat this option."),
]
MaxVariants = Annotated[
    int, typer.Option(min=1, metavar="N", help="Maximum number of variants in a matrix.", show_default="no limit")
]
Every = Annotated[bool, typer.Option("--all", help="List all jobs, not only the most important ones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RetryWhat = Annotated[
    Literal["failed"] | None,
    typer.Option(help="Include jobs that failed in an earlier run.", show_default=False),
]
Through = Annotated[bool, typer.Option("--through", help="Include lines whose player heard a changed line.")]
Jobs = Annotated[int, typer.Option(min=1, help="Number of scenes to perform concurrently.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="M", help="Number of processes. Each performs --jobs scenes concurrently.", show_default=False
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Use a Dask cluster: local, or a scheduler's address, for example tcp://host:8786."
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N", help="Perform only shard I of N of the jobs, for example 3/40.", show_default=False
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(help="Maximum cost of the whole batch, for example '$200'. Default: the batch file's budget."),
]

WORKING = (
    *("tau_stage.cli.batch_running", "tau_stage.batch.worker", "tau_stage.gate.remote_gate"),
    *("tau_stage.protocol.decoding", "genai_prices", "jinja2", "opentimelineio"),
)
VOICE = "tau_stage.understudy.loaded_voice"
"""What workers need: modules that are loaded once, and forked. What is not installed is passed over."""


def plan(
    file: File,
    only: Only = None,
    endpoint: shared.Elsewhere = None,
    retry: RetryWhat = None,
    through: Through = False,
    every: Every = False,
    as_json: AsJson = False,
    max_variants: MaxVariants = ANY_NUMBER,
) -> None:
    """Estimate the lines, cost and duration of a run without performing it."""
    found, tables, jobs, ledger, gone = _open(file, max_variants)
    jobs = batches.choose_jobs(jobs, only or ())
    planned = batches.plan_jobs(jobs, ledger, endpoint=endpoint, retry_failed=retry is not None, through=through)
    already = batches.account_of(ledger, jobs, endpoint)
    if as_json:
        data = batches.plan_data(found, planned, already, tables) | {"gone": gone}
        say_json(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        show_report(batches.tabulate_plan(found, planned, already, every=every, tables=tables, gone=gone))


def run(
    file: File,
    only: Only = None,
    jobs: Jobs = 1,
    workers: Workers = None,
    cluster: Cluster = None,
    shard: ShardOf = None,
    retry: RetryWhat = None,
    through: Through = False,
    budget: Budget = None,
    gate: shared.GateAddress = None,
    endpoint: shared.Elsewhere = None,
    live: shared.Live = False,
    allow_tools: shared.AllowTools = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors and warnings.")] = False,
    as_json: AsJson = False,
    max_variants: MaxVariants = ANY_NUMBER,
) -> None:
    """Perform the jobs that are new, changed or unfinished.

    A finished job is not performed or billed again, even if another worker finished it. Exit code 0: all jobs are
    done; 1: an expectation failed; 3: a job failed; 4: the run reached the budget; 130: the run was interrupted.
    """
    if workers and not cluster:  # which takes a while: what follows is done meanwhile
        modules = WORKING if usual_endpoint(environment(), endpoint) != UNDERSTUDY else (*WORKING, VOICE)
        process_context(modules)

    from tau_stage.cli.batch_running import BatchRun

    part = batches.Shard.parse(shard) if shard else None
    limit = shared.dollars(budget)
    opened = _open(file, max_variants)
    found, every_job, ledger = opened.batch, opened.jobs, opened.ledger
    wanted = batches.choose_jobs(every_job, only or ())
    wanted = part.of_jobs(wanted) if part else wanted
    options = batches.WorkerOptions(
        run=runs.RunOptions(endpoint=endpoint, live=live, allow_tools=allow_tools, stand_in=True),
        at_once=jobs,
        retries=found.retry.times if found.retry else 0,
        retry_failed=retry is not None,
        through=through,
    )
    if part and part.of > 1 and not gate and batches.limits_of(found, limit) != gates.GateLimits():
        warn("warning: without --gate, each shard applies the batch's limits and budget separately")
    this = BatchRun(batch=found, jobs=wanted, ledger=ledger, endpoint=endpoint, budget=limit, gate=gate)
    if cluster:
        code = this.spread(cluster, workers, options, quiet=quiet or as_json)
    elif workers:
        code = this.share(options, workers, modules, quiet=quiet or as_json)
    else:
        code = this.perform(options, quiet=quiet or as_json)
    batches.write_index(found, every_job, ledger)
    written = _Written()
    if found.export or found.status:  # of the scenes and tables as they are by now
        opened = _open(file, max_variants)
        wanted = _same_jobs(opened.jobs, wanted)
        written = _write(opened, wanted, endpoint=endpoint)
    _show_status(opened._replace(jobs=wanted), every=False, as_json=as_json, quiet=quiet, written=written)
    raise typer.Exit(code or written.code)


def status(
    file: File,
    only: Only = None,
    every: Every = False,
    as_json: AsJson = False,
    max_variants: MaxVariants = ANY_NUMBER,
) -> None:
    """Show which jobs are done, running, pending or failed."""
    opened = _open(file, max_variants)
    _show_status(opened._replace(jobs=batches.choose_jobs(opened.jobs, only or ())), every=every, as_json=as_json)


def export(
    file: File,
    to: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write to this folder instead of the one in the batch file.")
    ] = None,
    only: Only = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove the files of lines that no longer exist.")] = False,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place", help="Write the status to the source tables instead of separate tables next to them."
        ),
    ] = False,
    endpoint: shared.Elsewhere = None,
    as_json: AsJson = False,
    max_variants: MaxVariants = ANY_NUMBER,
) -> None:
    """Write a file for each line, by id and language, in the folder layout of a game engine.

    No lines are performed. The 'export' key in the batch file sets the engine. Unchanged files are not rewritten. If
    the batch file contains 'status', the status of each line is written to a table next to its source table. The store
    also gets batch.html, a page that lists all jobs, and results.csv and results.jsonl, with a row for each line. Exit
    code 3: a line has no file because it has not been performed or translated yet.
    """
    opened = _open(file, max_variants)
    index = batches.write_index(opened.batch, opened.jobs, opened.ledger)
    chosen = batches.choose_jobs(opened.jobs, only or ())
    written = _write(opened, chosen, to=to, endpoint=endpoint, prune=prune, in_place=in_place)
    if as_json:
        say_json(json.dumps({"index": index, **written.as_data()}, indent=2, ensure_ascii=False))
    else:
        say(*index, *written.told(), sep="\n")
    raise typer.Exit(3 if written.exported and written.exported.untranslated else written.code)


class _Written(NamedTuple):
    """What was written besides takes: files of lines, and tables."""

    exported: batches.ExportOutcome | None = None
    status: batches.StatusOutcome | None = None

    @property
    def code(self) -> int:
        return 3 if self.exported and not self.exported.is_whole else 0

    def told(self) -> list[str]:
        return [sentence for part in self if part for sentence in part.told()]

    def as_data(self) -> dict[str, object]:
        parts = {"export": self.exported, "status": self.status}
        return {name: part.as_data() for name, part in parts.items() if part}


def _write(
    opened: _OpenBatch,
    chosen: Sequence[batches.BatchJob],
    *,
    to: str | None = None,
    endpoint: str | None = None,
    prune: bool = False,
    in_place: bool = False,
) -> _Written:
    found, tables, jobs, ledger, _ = opened
    exported = status = None
    if found.export or to:
        exported = batches.export_lines(
            found, jobs, chosen, ledger, to=to, endpoint=endpoint, prune=prune, tables=tables
        )
    if found.status or in_place:
        files = exported.files if exported else {}
        status = batches.write_status(found, tables, jobs, ledger, files=files, endpoint=endpoint, in_place=in_place)
    return _Written(exported, status)


def _show_status(
    opened: _OpenBatch, *, every: bool, as_json: bool, quiet: bool = False, written: _Written | None = None
) -> None:
    found, tables, jobs, ledger, gone = opened
    state = batches.status_of([job.name for job in jobs], ledger)
    if as_json:
        data = batches.status_data(found, state, tables) | {"gone": gone} | (written.as_data() if written else {})
        say_json(json.dumps(data, indent=2, ensure_ascii=False))
    elif not quiet:
        show_report(batches.tabulate_status(found, state, every=every, tables=tables, gone=gone))
        if written and (sentences := written.told()):
            say(*sentences, sep="\n")


class _OpenBatch(NamedTuple):
    batch: batches.Batch
    tables: Mapping[str, batches.LanguageTables]
    jobs: Sequence[batches.BatchJob]
    ledger: batches.Ledger
    gone: Sequence[str]


def _open(file: str, most: int) -> _OpenBatch:
    found = batches.load_batch(file, most=most)
    tables = batches.read_tables(found)
    jobs = batches.load_jobs(found, most=most, tables=tables)
    ledger = batches.Ledger(batches.open_store(found.home))
    return _OpenBatch(found, tables, jobs, ledger, batches.gone_jobs(jobs, ledger))


for verb in (plan, run, status, export):
    shared.add_verb(batch, verb)


def _same_jobs(jobs: Sequence[batches.BatchJob], wanted: Iterable[batches.BatchJob]) -> list[batches.BatchJob]:
    """Return the jobs that have the names of others."""
    names = {job.name for job in wanted}
    return [job for job in jobs if job.name in names]
