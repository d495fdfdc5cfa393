"""Export the lines of a batch: a file for each, where an engine looks for it, and the tables that the engine imports.

What was exported is written down in the folder, with the sound that each file was made of. So a file whose sound is the
same is not opened, a file of somebody else's is never written over, and what nobody wants any more is known.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from pydantic import Field

from tau_stage.batch.batch_file import Batch
from tau_stage.batch.batch_tables import NO_TABLES, LanguageTables
from tau_stage.batch.engine_layouts import LAYOUTS, EngineLine
from tau_stage.batch.jobs import BatchJob, engine_line, export_places
from tau_stage.batch.ledger import JobResult, Ledger, LedgerPart
from tau_stage.errors import TakeError
from tau_stage.protocol import JsonObject
from tau_stage.scene import LinePlan, listed
from tau_stage.take import (
    MANIFEST,
    Performed,
    Take,
    TakeFolder,
    draft_beside,
    exported_files,
    guarded,
    parse_document,
    read_beginning,
    write_whole,
)
from tau_stage.text import counted

EXPORTED = ".tau-stage-export.json"
LOCK = ".tau-stage-export.lock"
REMEDY = "choose another folder with --to, or make the folder writable"
LOCKED_S = 60.0
"""Seconds that an export waits for another one into its folder."""

LineName = tuple[str, str]  # of a job and of a line in it


class ExportedFile(LedgerPart):
    """A file that was exported: what it was made of, and the hash of its bytes."""

    source: str
    sha256: str


class ExportManifest(LedgerPart):
    """All files that were exported into a folder, by name; tables have no source."""

    files: dict[str, ExportedFile] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineState:
    """What has come of one line.

    Attributes:
        state: performed; new: there is no take of it; changed: the take is of other words, or of another voice;
            failed: it has no sound, or was cut short.
        performed: As the newest take has it; None where no take does.
    """

    line: LinePlan
    state: str
    performed: Performed | None = None


@dataclass(frozen=True, slots=True)
class JobLines:
    """What has come of the lines of a job: its newest take, the folder of that in the store, and each line in order."""

    job: BatchJob
    take: Take | None
    folder: str
    states: Sequence[LineState]


MISSING = {"new": "not performed yet", "changed": "changed since the last performance", "failed": "failed"}
"""What is the matter with a line that has no file."""


def lines_of_job(job: BatchJob, result: JobResult | None, ledger: Ledger, endpoint: str | None = None) -> JobLines:
    """Tell what has come of each line of a job; of lines that its scene may go without, only if they have come.

    Raises:
        TakeError: The store cannot be read, or the take is broken.
        UsageError: The endpoint is unknown.
    """
    take, keys = read_result(result, ledger), job.keys(endpoint)
    found = {line.id: line for line in take.lines} if take else {}
    planned = [line for line in job.plan.lines if line.id in found or not keys[line.id].is_optional]
    states = [LineState(line, _state(found.get(line.id), keys[line.id].own), found.get(line.id)) for line in planned]
    return JobLines(job, take, result.take if result else "", states)


def _state(performed: Performed | None, key: str) -> str:
    if performed is None:
        return "new"
    if performed.key != key:
        return "changed"
    return "failed" if performed.problem or performed.ended in ("failed", "incomplete") else "performed"


def read_result(result: JobResult | None, ledger: Ledger) -> Take | None:
    """Read the newest take of a job; None where there is none.

    Raises:
        TakeError: It is broken, or cannot be read.
    """
    name = f"{result.take}/{MANIFEST}" if result and result.take else ""
    data = ledger.store.read(name) if name else None
    return parse_document(Take, data, ledger.store.address(name), "take", "perform the job again") if data else None


@dataclass(slots=True)
class ExportOutcome:
    """What an export has done.

    Attributes:
        folder: Where the files are.
        written: Files that are new or have changed.
        unchanged: How many are as they were.
        missing: Lines that have no file of what they are now, by what is the matter.
        untranslated: Lines that a language does not have.
        unwanted: Files of earlier exports that no line has any more.
        removed: Those of them that were removed.
        in_the_way: Files of somebody else's where those of lines belong.
        files: Where each line is, relative to the folder.
    """

    folder: Path
    written: list[str] = field(default_factory=list)
    unchanged: int = 0
    missing: dict[str, list[str]] = field(default_factory=dict)
    untranslated: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)
    files: dict[LineName, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether each line that there is has its file."""
        return not self.missing and not self.in_the_way

    def as_data(self) -> JsonObject:
        """Make data of it, for ``json.dumps``."""
        told = ("written", "unchanged", "missing", "untranslated", "unwanted", "removed", "in_the_way")
        return {"folder": str(self.folder), **{name: getattr(self, name) for name in told}}

    def told(self) -> Iterator[str]:
        """Say what was done, and what is missing, a sentence each."""
        yield f"{self.folder}: {counted(len(self.written), 'file')} written, {self.unchanged:,} unchanged"
        for what, lines in self.missing.items():
            yield f"missing: {counted(len(lines), 'line')} {what}: {listed(lines)}"
        if self.untranslated:
            yield f"missing: {counted(len(self.untranslated), 'line')} not translated: {listed(self.untranslated)}"
        if self.in_the_way:
            count = counted(len(self.in_the_way), "file")
            yield f"not replaced: {count} not created by an export; move or delete them: {listed(self.in_the_way)}"
        if self.removed:
            yield f"removed: {counted(len(self.removed), 'file')}: {listed(self.removed)}"
        if self.unwanted:
            count = counted(len(self.unwanted), "file")
            yield f"obsolete: {count} for lines that no longer exist; remove them with --prune: {listed(self.unwanted)}"


def export_lines(
    batch: Batch,
    jobs: Sequence[BatchJob],
    chosen: Sequence[BatchJob],
    ledger: Ledger,
    *,
    to: str | None = None,
    endpoint: str | None = None,
    prune: bool = False,
    tables: Mapping[str, LanguageTables] = NO_TABLES,
) -> ExportOutcome:
    """Export each line of some jobs that is performed as it is to be; other files keep their bytes and their times.

    Args:
        batch: The batch.
        jobs: All its jobs: files of other lines are unwanted.
        chosen: Those of them whose lines are exported.
        ledger: Its documents.
        to: The folder, in place of the batch's own.
        endpoint: Who plays, whatever the scenes say.
        prune: Whether unwanted files are removed.
        tables: The batch's, which tell what nobody has translated.

    Raises:
        TakeError: A take is broken, or a file cannot be written.
        UsageError: The endpoint is unknown.
    """
    results, layout = ledger.results(), LAYOUTS[batch.export.layout if batch.export else "plain"]
    places = export_places(batch, jobs)
    with _opened(Path(to or batch.export_folder)) as (folder, manifest):
        export = _Export(folder, dict(manifest.files), places, ledger)
        for job in chosen:
            export.add(lines_of_job(job, results.get(job.name), ledger, endpoint))
        export.find_unwanted()
        export.add_tables(layout.tables(export.lines_there(jobs)))
        export.leave(prune=prune)
    codes = tables if len(chosen) == len(jobs) else {job.language for job in chosen}
    for code, language in tables.items():
        export.outcome.untranslated += [f"{code} {line}" for line in language.missing if code in codes]
    return export.outcome


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Path, ExportManifest]]:
    """Yield a folder that nobody else exports into meanwhile, and what was exported into it so far."""
    path = folder / EXPORTED
    with guarded(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=LOCKED_S)
        try:
            lock.acquire()
        except Timeout:
            raise TakeError(
                str(folder), "another export is writing to this folder", "wait until it ends, or stop it"
            ) from None
        try:
            data = path.read_bytes() if path.exists() else b"{}"
            yield folder, parse_document(ExportManifest, data, path, "list of exported files", "delete it")
        finally:
            lock.release()


class _Export:
    """One export into one folder."""

    def __init__(
        self,
        folder: Path,
        files: dict[str, ExportedFile],
        places: Mapping[LineName, str],
        ledger: Ledger,
    ) -> None:
        self._folder, self._files, self._places, self._store = folder, files, places, ledger.store
        self._before = dict(files)
        self.outcome = ExportOutcome(folder)

    def add(self, lines: JobLines) -> None:
        """Export the lines of one job."""
        job, take = lines.job, lines.take
        for state in lines.states:
            if what := MISSING.get(state.state):
                self._miss(what, job.name, state.line.id)
        if take is None:
            return
        wanted = dict(self._wanted(lines, take))
        left = {file: each for file, each in wanted.items() if not self._stands(file, each[1])}
        self.outcome.unchanged += len(wanted) - len(left)
        if left:
            self._store.pull(job.takes)
            folder = TakeFolder(self._store.home / lines.folder)
            if is_delivered(folder, job):
                for file, (sound, source) in left.items():
                    self._put(file, folder.inside(sound), source)
            else:
                self._miss_all(left)
            self._store.forget(job.takes)

    def _miss_all(self, files: Container[str]) -> None:
        for name in [name for name, file in self.outcome.files.items() if file in files]:
            del self.outcome.files[name]
            self._miss("not delivered yet with the batch's current settings", *name)

    def _miss(self, what: str, job: str, line: str) -> None:
        self.outcome.missing.setdefault(what, []).append(f"{job} {line}")

    def _wanted(self, lines: JobLines, take: Take) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield each file that a job has, with the take's file that it is a copy of, and what that was made of."""
        deliver = lines.job.plan.deliver
        sounds = exported_files(take, deliver.lines) if deliver.lines else {}
        made = (
            sha256(deliver.model_dump_json(include={"rate", "lines", "preset"}).encode()).hexdigest() if sounds else ""
        )
        for state in lines.states:
            performed = state.performed
            sound = performed and (sounds.get(performed.id) or performed.file)
            if performed and sound and state.state == "performed":
                name = (lines.job.name, state.line.id)
                file = self._places[name] + PurePosixPath(sound).suffix
                self.outcome.files[name] = file
                yield file, (sound, f"{performed.sha256} {made}".strip())

    def _stands(self, file: str, source: str) -> bool:
        """Tell whether a file was made of this very sound, and is still as it was written."""
        known = self._files.get(file)
        return known is not None and known.source == source and self._hash(file) == known.sha256

    def _hash(self, file: str) -> str:
        """Return the hash of a file; empty where there is none."""
        path = self._folder / file
        with guarded(path, REMEDY):
            return sha256(path.read_bytes()).hexdigest() if path.exists() else ""

    def _put(self, file: str, sound: Path, source: str) -> None:
        """Write a copy of a sound, unless somebody else's file is there."""
        with guarded(sound, "perform the job again"):
            data = sound.read_bytes()
        there, hashed = self._hash(file), sha256(data).hexdigest()
        known = self._files.get(file)
        if there not in ("", hashed, known.sha256 if known else ""):
            self.outcome.in_the_way.append(file)
            self.outcome.files = {name: each for name, each in self.outcome.files.items() if each != file}
            return
        self._write(file, data, there == hashed)
        self._files[file] = ExportedFile(source=source, sha256=hashed)

    def _write(self, file: str, data: bytes, is_there: bool) -> None:
        if is_there:
            self.outcome.unchanged += 1
            return
        path = self._folder / file
        with guarded(path, REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_beside(path) as (number, draft):
                with open(number, "wb", closefd=False) as out:
                    out.write(data)
                os.fsync(number)
                draft.replace(path)
        self.outcome.written.append(file)

    def find_unwanted(self) -> None:
        """Find the files of lines that are gone, or that have another ending now."""
        endings: dict[str, set[str]] = {}
        for name, place in self._places.items():
            endings[place] = {self.outcome.files[name]} if name in self.outcome.files else set()
        for file, known in self._files.items():
            wanted = endings.get(_stem(file))
            if known.source and (wanted is None or (wanted and file not in wanted)):
                self.outcome.unwanted.append(file)

    def lines_there(self, jobs: Iterable[BatchJob]) -> dict[str, EngineLine]:
        """Return the lines that have a file now, by their files; note where those are that are not exported now."""
        gone = set(self.outcome.unwanted)
        there = {_stem(file): file for file, known in self._files.items() if known.source and file not in gone}
        standing = {name: there[place] for name, place in self._places.items() if place in there}
        self.outcome.files = standing | self.outcome.files
        lines = ((self._places[job.name, line.id], job, line) for job in jobs for line in job.plan.lines)
        return {there[place]: engine_line(job, line) for place, job, line in lines if place in there}

    def add_tables(self, tables: Mapping[str, str]) -> None:
        """Write the tables that the engine imports."""
        for name, text in tables.items():
            hashed = sha256(text.encode()).hexdigest()
            self._write(name, text.encode(), self._hash(name) == hashed)
            self._files[name] = ExportedFile(source="", sha256=hashed)
        self.outcome.unwanted += [
            file for file, known in self._files.items() if not known.source and file not in tables
        ]

    def leave(self, *, prune: bool) -> None:
        """Remove what is unwanted, if that is wished and it is still as it was written; write down what is there."""
        for file in self.outcome.unwanted:
            if (there := self._hash(file)) and prune and there == self._files[file].sha256:
                self._remove(self._folder / file)
                self.outcome.removed.append(file)
            elif there:
                continue
            del self._files[file]
        self.outcome.unwanted = [file for file in self.outcome.unwanted if file in self._files]
        if self._files != self._before:
            files = dict(sorted(self._files.items()))
            text = ExportManifest(files=files).model_dump_json(indent=1)
            write_whole({self._folder / EXPORTED: f"{text}\n".encode()}, REMEDY)

    def _remove(self, path: Path) -> None:
        """Remove a file, and the folders that it leaves empty."""
        with guarded(path, REMEDY):
            path.unlink()
            for folder in path.parents:
                if folder == self._folder or any(folder.iterdir()):
                    return
                folder.rmdir()


def is_delivered(folder: TakeFolder, job: BatchJob) -> bool:
    """Tell whether the files of a take's lines were made as its scene asks for now, if it asks for any."""
    wanted, made = job.plan.deliver, read_beginning(folder.journal).deliver
    return wanted.lines is None or (wanted.lines, wanted.rate) == (made.lines, made.rate)


def _stem(file: str) -> str:
    return PurePosixPath(file).with_suffix("").as_posix()
