"""What is left of a batch, and what has come of it: as data, as tables that a thousand jobs fit into, and as a page."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_UP, Decimal
from io import StringIO
from shlex import quote
from typing import Literal, TypeVar

from tau_stage import report as reports
from tau_stage import runs
from tau_stage.batch.batch_file import Batch, BatchLimits
from tau_stage.batch.batch_tables import NO_TABLES, LanguageTables, languages_data, languages_told
from tau_stage.batch.jobs import BatchJob, is_rehearsal
from tau_stage.batch.ledger import ZERO, Claim, JobResult, Ledger, rehearsed, spent
from tau_stage.cost import expected_cost, total_of
from tau_stage.protocol import JsonObject
from tau_stage.report import TextReport, TextTable, dollars, note
from tau_stage.scene import listed
from tau_stage.tables import no_formula
from tau_stage.take import MANIFEST, REPORT, Performed, Take, all_new, parse_document
from tau_stage.text import counted

MOST_ROWS = 10
"""Jobs that a table names, the worst first; ``--all`` names each."""

Left = Literal["new", "changed", "stopped", "failed", "fine"]
Standing = Literal["done", "failed", "stopped", "running", "abandoned", "waiting"]


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """What a run would do about one job.

    Attributes:
        job: Its name.
        state: new: there is no take; changed; stopped: it goes on; failed, and is performed with ``--retry failed``;
            fine: nothing is left to do.
        lines: Of its scene.
        performed: How many would be performed.
        new: How many are new; ``changed``, ``outdated`` and ``removed``: as of ``plan --changed``.
        dollars: What that is likely to cost, None where a price is not known.
        tokens: That it is likely to use.
        sessions: That it opens.
    """

    job: str
    state: Left
    lines: int
    performed: int = 0
    new: int = 0
    changed: int = 0
    outdated: int = 0
    removed: int = 0
    dollars: Decimal | None = ZERO
    tokens: int = 0
    sessions: int = 0
    language: str = ""


def plan_jobs(
    jobs: Sequence[BatchJob],
    ledger: Ledger,
    *,
    endpoint: str | None = None,
    retry_failed: bool = False,
    through: bool = False,
) -> list[PlannedJob]:
    """Tell what a run would do about each job; nothing is performed.

    Raises:
        TakeError: The store cannot be read.
        UsageError: An endpoint is unknown.
    """
    results, claims = ledger.results(), ledger.claims()
    wanted = _Wanted(endpoint, retry_failed=retry_failed, through=through)
    return [_planned(job, ledger, results.get(job.name), wanted, has_claim=job.name in claims) for job in jobs]


@dataclass(frozen=True, slots=True)
class Account:
    """What a batch has cost: what was spent, and what rehearsals on the understudy would have cost.

    Each counts against the budget of its own kind of run: ``is_rehearsal`` tells which a run is.
    """

    spent: Decimal = ZERO
    rehearsed: Decimal = ZERO
    is_rehearsal: bool = False

    @property
    def counted(self) -> Decimal:
        """What counts against the budget."""
        return self.rehearsed if self.is_rehearsal else self.spent


@dataclass(frozen=True, slots=True)
class _Wanted:
    endpoint: str | None
    retry_failed: bool
    through: bool


def _planned(
    job: BatchJob, ledger: Ledger, result: JobResult | None, wanted: _Wanted, *, has_claim: bool
) -> PlannedJob:
    lines = len(job.plan.all_lines)
    is_same = result is not None and result.fingerprint == job.fingerprint(wanted.endpoint)
    if result and is_same and result.state == "done" and not (wanted.through and result.outdated):
        return PlannedJob(job.name, "fine", lines, outdated=result.outdated, language=job.language)
    if result or has_claim:
        ledger.store.pull_journals(job.takes)
    out = ledger.store.home / job.folder
    found = runs.scene_changes_since(out, job.plan, endpoint=wanted.endpoint, through=wanted.through)
    ledger.store.forget(job.takes)
    if result and is_same and result.state == "failed" and not wanted.retry_failed:
        outdated = len(found.changes.outdated) if found else 0
        return PlannedJob(job.name, "failed", lines, outdated=outdated, language=job.language)
    return _to_perform(job, found, wanted.endpoint)


def _to_perform(job: BatchJob, found: runs.ChangedScene | None, endpoint: str | None) -> PlannedJob:
    changes = found.changes if found else all_new(job.plan)
    cost = expected_cost(job.plan_at(endpoint), changes.performed)
    lines, code = len(job.plan.all_lines), job.language
    is_stopped = found is not None and found.takes[0].take.ended in runs.STOPPED
    state: Left = "stopped" if is_stopped else "changed" if found else "new"
    sessions = sum(found is None or changes.reuse.needs(player.name) for player in job.plan.models)
    counts = {name: len(getattr(changes, name)) for name in ("performed", "new", "changed", "outdated", "removed")}
    tokens = cost.tokens.tokens
    return PlannedJob(
        job.name, state, lines, **counts, dollars=cost.total, tokens=tokens, sessions=sessions, language=code
    )


AnyJob = TypeVar("AnyJob", "PlannedJob", "JobStatus")


def _by_state(jobs: Iterable[AnyJob]) -> defaultdict[str, list[AnyJob]]:
    groups: defaultdict[str, list[AnyJob]] = defaultdict(list)
    for each in jobs:
        groups[each.state].append(each)
    return groups


def tabulate_plan(
    batch: Batch,
    planned: Sequence[PlannedJob],
    already: Account,
    *,
    every: bool = False,
    tables: Mapping[str, LanguageTables] = NO_TABLES,
    gone: Sequence[str] = (),
) -> TextReport:
    """Tell what a run would do: counts and sums by state and by language, and the jobs that cost most, or every job."""
    groups, order = _by_state(planned), ("new", "changed", "stopped", "failed", "fine")
    rows = [_plan_row(state, groups[state]) for state in order if state in groups]
    columns = ("jobs", "count", "lines", "perform", "new", "changed", "outdated", "removed", "dollars")
    shown_tables = [TextTable(columns, [*rows, _plan_row("total", planned)], has_total=True)]
    by_language = {code: [each for each in planned if each.language == code] for code in batch.languages}
    if by_language:
        spoken = [_plan_row(code, found) for code, found in by_language.items()]
        shown_tables.append(TextTable(("language", "jobs", *columns[2:]), spoken, title="by language"))
    if shown := planned if every else _dearest(planned):
        each_rows = [(each.job, each.state, *_plan_row("", [each])[2:]) for each in shown]
        title = "all jobs" if every else "most expensive jobs"
        shown_tables.append(TextTable(("job", "status", *columns[2:]), each_rows, {0, 1}, title=title))
    notes = [*languages_told(tables), *_gone_told(gone), *_limits(batch.limits, planned, already)]
    head = f"{batch.title} ({batch.path}): {counted(len(planned), 'job')}"
    return TextReport((head,), shown_tables, [*map(note, notes)])


def _plan_row(name: str, planned: Sequence[PlannedJob]) -> tuple[str, ...]:
    numbers = ("lines", "performed", "new", "changed", "outdated", "removed")
    sums = (f"{sum(getattr(each, number) for each in planned):,}" for number in numbers)
    return (name, f"{len(planned):,}", *sums, dollars(total_of(each.dollars for each in planned)))


def _dearest(planned: Iterable[PlannedJob]) -> Sequence[PlannedJob]:
    performed = (each for each in planned if each.performed)
    return sorted(performed, key=lambda each: (-(each.dollars or ZERO), each.job))[:MOST_ROWS]


def _limits(limits: BatchLimits, planned: Sequence[PlannedJob], already: Account) -> Iterable[str]:
    """Say what a run takes within the limits of its batch."""
    likely = total_of(each.dollars for each in planned)
    sessions, tokens = sum(each.sessions for each in planned), sum(each.tokens for each in planned)
    if limits.start_rate and sessions:
        minutes = sessions / limits.start_rate
        yield f"{counted(sessions, 'session')} would open, which takes at least {minutes:.1f} min"
    if limits.tokens and tokens:
        yield f"about {tokens:,} tokens would be used, which takes at least {tokens / limits.tokens:.1f} min"
    if limits.budget is not None:
        told = (
            "rehearsals with the understudy would have cost {} of the {} budget"
            if already.is_rehearsal
            else "{} of the {} budget has been spent"
        )
        yield told.format(dollars(already.counted), dollars(limits.budget))
        if likely is not None and already.counted + likely > limits.budget:
            yield "warning: the budget is probably too small for the whole batch"
    yield "All amounts are estimates."


def plan_data(
    batch: Batch, planned: Sequence[PlannedJob], already: Account, tables: Mapping[str, LanguageTables] = NO_TABLES
) -> dict[str, object]:
    """Make data of what ``tabulate_plan`` tells, for ``json.dumps``."""
    jobs = [_amounts(asdict(each)) for each in planned]
    total: dict[str, object] = {"jobs": len(planned), "performed": sum(each.performed for each in planned)}
    total |= _amounts({"dollars": total_of(each.dollars for each in planned), "spent": already.spent})
    total |= _amounts({"rehearsed": already.rehearsed})
    facts = {"version": 1, "estimate": True, "currency": "USD", "batch": batch.path, "total": total, "jobs": jobs}
    by_language = {code: [each for each in planned if each.language == code] for code in batch.languages}
    counts = {code: _language_data(found) | languages_data(tables).get(code, {}) for code, found in by_language.items()}
    return facts | ({"languages": counts} if counts else {})


def _language_data(planned: Sequence[PlannedJob]) -> JsonObject:
    sums = {name: sum(getattr(each, name) for each in planned) for name in ("lines", "performed")}
    return {**sums, **_amounts({"dollars": total_of(each.dollars for each in planned)})}


def gone_jobs(jobs: Iterable[BatchJob], ledger: Ledger) -> list[str]:
    """Name the jobs that the store knows and the batch has no more; what was performed of them stays there.

    Raises:
        TakeError: The store cannot be read.
    """
    there = {job.name for job in jobs}
    known = (name.removeprefix("jobs/").removesuffix(".json") for name in ledger.store.names("jobs"))
    return [name for name in known if name not in there]


def _gone_told(gone: Sequence[str]) -> Iterator[str]:
    if gone:
        count = counted(len(gone), "job")
        yield f"no longer in the batch: {count}; the takes are kept in the store: {listed(gone)}"


# ---- what has come of it


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What has come of one job.

    Attributes:
        job: Its name.
        state: done, failed, stopped; running; abandoned: its worker is gone; waiting: nobody has performed it yet.
        lines: That are finished.
        seconds: How long its take is.
        dollars: What it has cost in all; ``unspent``: what of that rehearsals would have cost.
        problem: Why it has failed or was stopped.
        take: The folder of its take, in the store.
        owner: Who performs it, or did.
    """

    job: str
    state: Standing
    lines: int = 0
    seconds: float = 0.0
    dollars: Decimal = ZERO
    outdated: int = 0
    problem: str = ""
    take: str = ""
    owner: str = ""
    unspent: Decimal = ZERO


def status_of(names: Iterable[str], ledger: Ledger) -> list[JobStatus]:
    """Tell what has come of jobs.

    Raises:
        TakeError: The store cannot be read.
    """
    results, claims = ledger.results(), ledger.claims()
    return [_status(name, results.get(name), claims.get(name), ledger) for name in names]


def _status(name: str, result: JobResult | None, claim: Claim | None, ledger: Ledger) -> JobStatus:
    # a worker that was killed right after it had written down that all is done has left its claim
    is_given_up = claim and result and result.state == "done" and result.owner == claim.owner
    if claim and not is_given_up:
        state: Standing = "abandoned" if ledger.is_over(claim) else "running"
        cost = max(claim.dollars, result.dollars if result else ZERO)
        unspent = max(claim.unspent, result.unspent if result else ZERO)
        return JobStatus(name, state, claim.lines, dollars=cost, owner=claim.owner, unspent=unspent)
    if result is None:
        return JobStatus(name, "waiting")
    facts = (result.lines, result.seconds, result.dollars, result.outdated, result.problem, result.take, result.owner)
    return JobStatus(name, result.state, *facts, unspent=result.unspent)


def _next_steps(batch: Batch, found: Sequence[JobStatus]) -> Iterator[str]:
    """Say what to do about jobs that are not done."""
    groups = _by_state(found)
    is_spent = any("budget" in each.problem for each in groups["stopped"])
    if left := sum(len(groups[state]) for state in ("stopped", "waiting", "abandoned")):
        option = f" --budget '{_budget_for_all(found)}'" if is_spent else ""
        yield f"{counted(left, 'job')} left: tau-stage batch run {quote(batch.path)}{option}"
    if is_spent:
        yield "the budget is spent: raise limits.budget, or run with a higher --budget"
    if groups["failed"]:
        yield f"to perform failed jobs again: tau-stage batch run {batch.path} --retry failed"


def tabulate_status(
    batch: Batch,
    found: Sequence[JobStatus],
    *,
    every: bool = False,
    tables: Mapping[str, LanguageTables] = NO_TABLES,
    gone: Sequence[str] = (),
) -> TextReport:
    """Tell what has come of a batch: counts and sums by state, and what needs to be looked at, or every job."""
    groups = _by_state(found)
    order = ("done", "running", "waiting", "stopped", "abandoned", "failed")
    columns = ("jobs", "count", "lines", "seconds", "outdated", "dollars")
    rows = [_status_row(state, groups[state]) for state in order if state in groups]
    shown_tables = [TextTable(columns, [*rows, _status_row("total", found)], has_total=True)]
    worst = {state: number for number, state in enumerate(("failed", "abandoned", "stopped", "running"))}
    wrong = sorted((each for each in found if each.state in worst), key=lambda each: worst[each.state])
    if shown := found if every else wrong[:MOST_ROWS]:
        each_rows = [(each.job, each.state, *_status_row("", [each])[2:], each.problem or each.take) for each in shown]
        shown_tables.append(
            TextTable(
                ("job", "status", *columns[2:], ""),
                each_rows,
                {0, 1, 6},
                title="all jobs" if every else "jobs to check",
            )
        )
    notes = [*_next_steps(batch, found), *languages_told(tables), *_gone_told(gone)]
    notes.append("All amounts are estimates. They include everything that was performed.")
    if unspent := sum((each.unspent for each in found), ZERO):
        notes.append(f"{dollars(unspent)} of the total was not spent, because the understudy performed.")
    head = f"{batch.title} ({batch.path}): {counted(len(found), 'job')}"
    return TextReport((head,), shown_tables, [*map(note, notes)])


def _budget_for_all(found: Sequence[JobStatus]) -> str:
    """Return a budget that is likely to be enough for all jobs: a quarter above what those that are done have cost."""
    done = [each.dollars for each in found if each.state == "done"]
    enough = sum(done, ZERO) / max(len(done), 1) * len(found) * Decimal("1.25")
    enough = max(enough, Decimal(2) * sum((each.dollars for each in found), ZERO) if not done else ZERO)
    return f"${max(enough, Decimal('0.01')).quantize(Decimal('0.01'), ROUND_UP)}"


def _status_row(name: str, found: Sequence[JobStatus]) -> tuple[str, ...]:
    lines, outdated = (sum(getattr(each, number) for each in found) for number in ("lines", "outdated"))
    seconds, cost = sum(each.seconds for each in found), sum((each.dollars for each in found), ZERO)
    return (name, f"{len(found):,}", f"{lines:,}", f"{seconds:,.1f}", f"{outdated:,}", dollars(cost))


def status_data(
    batch: Batch, found: Sequence[JobStatus], tables: Mapping[str, LanguageTables] = NO_TABLES
) -> dict[str, object]:
    """Make data of what ``tabulate_status`` tells, for ``json.dumps``."""
    total: dict[str, object] = {"jobs": len(found), "states": Counter(each.state for each in found)}
    total |= _amounts({"dollars": sum((each.dollars for each in found), ZERO)})
    jobs = [_amounts(asdict(each)) for each in found]
    facts = {"version": 1, "estimate": True, "currency": "USD", "batch": batch.path, "total": total, "jobs": jobs}
    languages = languages_data(tables)
    return facts | ({"languages": languages} if languages else {})


def account_of(ledger: Ledger, jobs: Iterable[BatchJob], endpoint: str | None = None) -> Account:
    """Add up what was spent on a batch, and what its rehearsals would have cost."""
    results, claims = ledger.results(), ledger.claims()
    return Account(spent(results, claims), rehearsed(results, claims), is_rehearsal=is_rehearsal(jobs, endpoint))


def _amounts(facts: Mapping[str, object]) -> JsonObject:
    """Write dollars as texts, as ``cost.json`` does."""
    return {name: str(fact) if isinstance(fact, Decimal) else fact for name, fact in facts.items()}


PAGE, TABLE, ROWS = "batch.html", "results.csv", "results.jsonl"

MEASURED = (
    *("id", "number", "player", "asked", "direction", "said", "exact", "ended", "problem", "duration_s", "offset_s"),
    *("first_audio_s", "took_s", "attempts", "take", "former", "outdated", "key", "context_key", "sha256", "file"),
)
"""What a row tells of its line, as ``take.json`` does."""

Row = JsonObject


def write_index(batch: Batch, jobs: Sequence[BatchJob], ledger: Ledger) -> tuple[str, ...]:
    """Write the page and the tables of a batch into its store, where they have changed; return where they are.

    Raises:
        TakeError: The store cannot be read or written, or a take in it is broken.
    """
    results = ledger.results()
    rows = [row for job in jobs if (result := results.get(job.name)) for row in _rows(job, result, ledger)]
    status = status_of([job.name for job in jobs], ledger)
    texts = {PAGE: _page(batch, status), TABLE: as_csv(rows), ROWS: _lines(rows)}
    for name, text in texts.items():
        if ledger.store.read(name) != text.encode():
            ledger.store.write(name, text.encode())
    return tuple(map(ledger.store.address, texts))


def _rows(job: BatchJob, result: JobResult, ledger: Ledger) -> Iterator[Row]:
    """Yield a row for each line of a job's take."""
    name = f"{result.take}/{MANIFEST}"
    data = ledger.store.read(name) if result.take else None
    if data is None:
        return
    take = parse_document(Take, data, ledger.store.address(name), "take", "perform the job again")
    endpoints = {player.name: player for player in take.players}
    about = {"job": job.name, "scene": job.plan.path, "language": job.language, "variant": job.plan.variant}
    about |= {f"matrix.{name}": value for name, value in job.plan.given.items()}
    for line in take.lines:
        player = endpoints[line.player]
        played = {"voice": player.voice, "model": player.answered_by or player.model, "endpoint": player.endpoint}
        yield {**about, "started": take.started, **_measured(line), **played, "folder": result.take}


def _measured(line: Performed) -> Row:
    facts = line.model_dump(mode="json")
    heard = {hearing.player: hearing.took_s for hearing in line.hearers}
    usage = {f"usage.{kind}": count for kind, count in facts["usage"].items()}
    cost = {f"cost.{kind}": amount for kind, amount in facts["cost"].items()}
    told = {("line" if name == "id" else name): facts[name] for name in MEASURED}
    return {**told, "heard_after_s": heard, "calls": len(line.calls), **usage, **cost}


def as_csv(rows: Sequence[Row]) -> str:
    """Write the rows as CSV (RFC 4180), with a column for whatever one of them tells."""
    out = StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    table.writeheader()
    for row in rows:
        table.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def _cell(value: object) -> object:
    """Write a value for a spreadsheet: a list or a mapping as text, and no text that it would take for a formula."""
    if isinstance(value, list | dict):
        parts = value if isinstance(value, list) else [f"{name}={each}" for name, each in value.items()]
        value = " ".join(map(str, parts))
    return no_formula(value) if isinstance(value, str) else value


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _page(batch: Batch, status: Sequence[JobStatus]) -> str:
    states = Counter(each.state for each in status)
    dollars = sum(each.dollars for each in status)
    facts = {"batch": batch, "jobs": status, "states": states, "dollars": dollars, "report": REPORT}
    return reports.templates("tau_stage.batch").get_template(PAGE).render(facts)
