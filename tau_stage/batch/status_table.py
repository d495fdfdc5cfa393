"""Write what has come of the lines back into the tables that they are from, or into files beside those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tau_stage.batch.batch_file import STATUS, Batch, TableStatus
from tau_stage.batch.batch_tables import LanguageTables
from tau_stage.batch.jobs import BatchJob
from tau_stage.batch.ledger import Ledger
from tau_stage.batch.line_export import LineName, LineState, lines_of_job
from tau_stage.protocol import JsonObject
from tau_stage.tables import WRITABLE, LineTable, is_same_file, with_facts
from tau_stage.take import guarded, write_whole
from tau_stage.text import counted

STALE = "stale translation"
REMEDY = "close it in other programs, or make it writable"

DINK = "dink"
DINK_STATUS, SYNTHETIC = "Audio Status", "TTS"
RECORDED = frozenset({"Final", "Recorded", "Scratch"})
"""What Dink says of lines that a person has spoken: no synthetic voice takes their place."""

Facts = dict[str, str | float]  # by what the columns hold


class LineInLanguage(NamedTuple):
    """A line in one language."""

    language: str
    line: str


@dataclass(slots=True)
class StatusOutcome:
    """Which tables were written, how many were the same already, and which are of a kind that cannot be written."""

    written: list[str] = field(default_factory=list)
    unchanged: int = 0
    skipped: list[str] = field(default_factory=list)

    def told(self) -> Iterator[str]:
        """Say what was done, a sentence each."""
        if self.written or self.unchanged:
            yield f"status: {', '.join(self.written) or 'no table'} written, {self.unchanged:,} unchanged"
        if self.skipped:
            files = counted(len(self.skipped), "file")
            yield f"status: {files} cannot hold a status: {', '.join(self.skipped)}"

    def as_data(self) -> JsonObject:
        """Make data of it, for ``json.dumps``."""
        return {"written": self.written, "unchanged": self.unchanged, "skipped": self.skipped}


def write_status(
    batch: Batch,
    tables: Mapping[str, LanguageTables],
    jobs: Sequence[BatchJob],
    ledger: Ledger,
    *,
    files: Mapping[LineName, str],
    endpoint: str | None = None,
    in_place: bool = False,
) -> StatusOutcome:
    """Write what has come of each line into its table: whether it is performed, its file, its seconds, what was said.

    A table without changes is not written.

    Args:
        batch: The batch.
        tables: Its tables, as they are now.
        jobs: All its jobs.
        ledger: Its documents.
        files: Where lines are exported to, relative to the folder of the export.
        endpoint: Who plays, whatever the scenes say.
        in_place: Whether the tables themselves are written.

    Raises:
        SceneError: A table cannot be read.
        TakeError: A take is broken, or a table cannot be written.
        UsageError: The endpoint is unknown, or a table needs a library that is not installed.
    """
    wanted = batch.status or TableStatus()
    facts = _facts(tables, jobs, ledger, files, endpoint)
    outcome = StatusOutcome()
    for path, languages in _by_file(tables).items():
        if Path(path).suffix.lower() in WRITABLE:
            final, is_new = write_table(Path(path), languages, facts, wanted, in_place=in_place or wanted.in_place)
            outcome.written += [str(final)] if is_new else []
            outcome.unchanged += not is_new
        else:
            outcome.skipped.append(path)
    return outcome


def _by_file(tables: Mapping[str, LanguageTables]) -> Mapping[str, Mapping[str, LineTable]]:
    """Return the tables of each file, by language."""
    sources: dict[str, dict[str, LineTable]] = {}
    for code, language in tables.items():
        for table in language.sources:
            sources.setdefault(table.path, {})[code] = table
    return sources


def _facts(
    tables: Mapping[str, LanguageTables],
    jobs: Sequence[BatchJob],
    ledger: Ledger,
    files: Mapping[LineName, str],
    endpoint: str | None,
) -> dict[LineInLanguage, Facts]:
    """Tell what has come of each line of a table in each language; of several variants, what is left to do first."""
    results, stale = ledger.results(), {code: {*language.stale} for code, language in tables.items()}
    found: dict[LineInLanguage, Facts] = {}
    for job in jobs:
        lines = lines_of_job(job, results.get(job.name), ledger, endpoint)
        for state in lines.states:
            name = LineInLanguage(job.language, state.line.id)
            file = files.get((job.name, state.line.id)) or _file_in_store(state, lines.folder)
            facts = _of_line(state, file, is_stale=name.line in stale.get(name.language, ()))
            if name not in found or found[name]["status"] in ("performed", STALE):
                found[name] = facts if facts["status"] != "performed" else found.get(name, facts)
    return found


def _file_in_store(state: LineState, folder: str) -> str:
    return f"{folder}/{state.performed.file}" if state.performed and state.performed.file else ""


def _of_line(state: LineState, file: str, *, is_stale: bool) -> Facts:
    if state.state != "performed" or state.performed is None:
        return {"status": state.state, "file": "", "seconds": "", "said": ""}
    status, seconds = STALE if is_stale else "performed", round(state.performed.duration_s, 2)
    return {"status": status, "file": file, "seconds": seconds, "said": state.performed.said}


def write_table(
    path: Path,
    languages: Mapping[str, LineTable],
    facts: Mapping[LineInLanguage, Facts],
    wanted: TableStatus,
    *,
    in_place: bool,
) -> tuple[Path, bool]:
    """Write one table, with columns for each language where it has the words of several; where, and whether it is new.

    Raises:
        TakeError: It cannot be written.
    """
    table = next(iter(languages.values()))
    own = {"status": DINK_STATUS} if table.format == DINK else {}
    named = wanted.headers | own | dict(wanted.columns)
    headers: dict[tuple[str, str], str] = {
        (code, part): f"{header} {code}" if len(languages) > 1 else header
        for code in languages
        for part, header in named.items()
        if header != "none"
    }
    cells = {line.id: _row(table, line.id, headers, facts) for line in table.lines}
    kept = {headers[code, "status"]: RECORDED for code in languages if own and (code, "status") in headers}
    data = with_facts(table, cells, [*headers.values()], kept)
    final = path if in_place else path.with_stem(f"{path.stem}{STATUS}")
    with guarded(final, REMEDY):
        is_same = final.exists() and is_same_file(final.read_bytes(), data)
    if not is_same:
        write_whole({final: data}, REMEDY)
    return final, not is_same


def _row(
    table: LineTable, line: str, headers: Mapping[tuple[str, str], str], facts: Mapping[LineInLanguage, Facts]
) -> Facts:
    """Return what a line's row is to hold, by header."""
    told = {code: _told(table, facts.get(LineInLanguage(code, line), {})) for code, _ in headers}
    return {header: told[code][part] for (code, part), header in headers.items() if part in told[code]}


def _told(table: LineTable, facts: Facts) -> Facts:
    """Return facts as a table has them: Dink calls what a machine has spoken TTS, and knows no other words of ours."""
    if table.format != DINK or not facts:
        return facts
    is_there = facts["status"] in ("performed", STALE)
    return {part: fact for part, fact in facts.items() if part != "status"} | (
        {"status": SYNTHETIC} if is_there else {}
    )
