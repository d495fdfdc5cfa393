"""What a batch leaves beside its takes: a page of all jobs, and tables with a row for each line that was performed."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from tau_stage import report as reports
from tau_stage.batch.batch_file import Batch
from tau_stage.batch.jobs import BatchJob
from tau_stage.batch.ledger import JobResult, Ledger
from tau_stage.batch.summary import JobStatus, status_of
from tau_stage.protocol import JsonObject
from tau_stage.tables import no_formula
from tau_stage.take import MANIFEST, REPORT, Performed, Take, parse_document

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
