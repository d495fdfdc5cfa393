"""The jobs of a batch: one for each scene, variant and language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from hashlib import sha256
from itertools import product
from os.path import relpath
from pathlib import Path, PurePath

from tau_stage.batch.batch_file import Batch
from tau_stage.batch.batch_tables import NO_LANGUAGE, LanguageTables, read_tables
from tau_stage.batch.engine_layouts import LAYOUTS, EngineLayout, EngineLine
from tau_stage.errors import SceneError, UsageError
from tau_stage.protocol import UNDERSTUDY
from tau_stage.scene import (
    ANY_NUMBER,
    LineKey,
    LinePlan,
    Plan,
    Variant,
    did_you_mean,
    is_device,
    key_name,
    listed,
    load_cast,
    load_varied,
    locate,
    make_plan,
    slug,
)
from tau_stage.stage import endpoint_chooser, keys_at, plan_at, plan_facts
from tau_stage.tables import LineTable, scenes_of_table
from tau_stage.take import Performed


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One scene in one variant and one language.

    Attributes:
        name: Unique in the batch, and where its takes are in the store: ``de/cross/scenes/umbrella``.
        folders: Where its lines are exported to, so that other jobs may have lines of the same ids.
    """

    name: str
    plan: Plan
    language: str = NO_LANGUAGE
    folders: tuple[str, ...] = ()

    @property
    def folder(self) -> PurePath:
        """The folder, in the store, of the folder that is named as the scene is."""
        return PurePath("takes", *PurePath(self.name).parts[:-1])

    @property
    def takes(self) -> str:
        """The folder of its takes, in the store."""
        return (self.folder / self.plan.slug).as_posix()

    def keys(self, endpoint: str | None = None) -> Mapping[str, LineKey]:
        """Return what each of its lines depends on, where it is played at an endpoint.

        Raises:
            UsageError: The endpoint is unknown.
        """
        return keys_at(self.plan, endpoint_chooser(endpoint))

    def plan_at(self, endpoint: str | None = None) -> Plan:
        """Return the plan, with the endpoint of each player where it is played at an endpoint.

        Raises:
            UsageError: The endpoint is unknown.
        """
        return plan_at(self.plan, endpoint_chooser(endpoint))

    def fingerprint(self, endpoint: str | None = None) -> str:
        """Return the hash of all that a take of it depends on, where it is played at an endpoint.

        Raises:
            UsageError: The endpoint is unknown.
        """
        lines = {name: (key.own, key.context) for name, key in self.keys(endpoint).items()}
        return sha256(json.dumps([plan_facts(self.plan), lines], sort_keys=True).encode()).hexdigest()

    def outdated(self, lines: Sequence[Performed], endpoint: str | None = None) -> list[str]:
        """Return the lines of a take whose players had heard, or said, something else before than there is now."""
        contexts = {name: key.context for name, key in self.keys(endpoint).items()}
        named = ((line, contexts.get(key_name(line.id, contexts) or "")) for line in lines)
        return [line.id for line, context in named if line.outdated or line.context_key != context]


def is_rehearsal(jobs: Iterable[BatchJob], endpoint: str | None = None) -> bool:
    """Tell whether the understudy plays everybody in jobs that are played at an endpoint: nothing is spent then.

    Raises:
        UsageError: The endpoint is unknown.
    """
    choose = endpoint_chooser(endpoint)
    return all(choose(player).name == UNDERSTUDY for job in jobs for player in job.plan.models)


Loader = Callable[[], Iterator[BatchJob]]


def _loaders(batch: Batch, tables: Mapping[str, LanguageTables], most: int) -> Iterator[Loader]:
    for language in batch.languages or [NO_LANGUAGE]:
        yield from (partial(_of_file, batch, language, file, most) for file in batch.files)
        yield from _of_tables(batch, language, tables)


def load_jobs(
    batch: Batch, *, most: int = ANY_NUMBER, tables: Mapping[str, LanguageTables] | None = None
) -> list[BatchJob]:
    """Load every scene of a batch, in all variants and languages; the errors of all files are raised together.

    Args:
        batch: The batch.
        most: How many variants the matrix of one scene may make.
        tables: Its tables, as ``read_tables`` reads them; None reads them.

    Raises:
        SceneError: A scene cannot be performed; further errors are in its ``also``.
        UsageError: Two scenes would have one name.
    """
    errors: dict[SceneError, None] = {}
    jobs: list[BatchJob] = []
    found = read_tables(batch) if tables is None else tables
    for load in _loaders(batch, found, most):
        try:
            jobs += load()
        except SceneError as error:
            errors |= dict.fromkeys((error, *error.also))
    if errors:
        first, *others = _distinct(errors)
        raise replace(first, also=tuple(others))
    _refuse_twins(jobs)
    if batch.export:
        export_places(batch, jobs)
    return jobs


def _of_file(batch: Batch, language: str, file: str, most: int) -> Iterator[BatchJob]:
    """Yield the jobs of a scene file in a language: one for each variant."""
    names = {tuple(each.values.items()): each.name for each in batch.variants}
    variants = [variant.values for variant in batch.variants]
    for scene in load_varied(file, variants, overlays=batch.overlays(language), most=most):
        plan = make_plan(scene.model_copy(update={"batch_language": language}))
        folders = (names[tuple(plan.given.items())], *_folders(batch, file), plan.slug)
        yield _job(language, folders, plan, folders)


def _of_tables(batch: Batch, language: str, tables: Mapping[str, LanguageTables]) -> Iterator[Loader]:
    """Yield what makes the jobs of each table in a language and a variant: one for each of its scenes."""
    for variant, table in product(batch.variants, tables[language].tables if tables else ()):
        yield partial(_of_table, batch, language, variant, table)


def _of_table(batch: Batch, language: str, variant: Variant, table: LineTable) -> Iterator[BatchJob]:
    cast = load_cast(batch.cast_of(language), variant.values, overlays=batch.overlays(language))
    folders = (variant.name, *_folders(batch, table.path), slug(PurePath(table.path).stem))
    for scene in scenes_of_table(table, cast, markup=batch.markup == "scene"):
        plan = make_plan(scene.model_copy(update={"batch_language": language}))
        yield _job(language, (*folders, plan.slug), plan, (variant.name,))


def _job(language: str, folders: Iterable[str], plan: Plan, apart: Iterable[str]) -> BatchJob:
    name = "/".join(filter(None, (language, *folders)))
    return BatchJob(name, plan, language, tuple(filter(None, apart)))


def _folders(batch: Batch, file: str) -> Iterator[str]:
    """Yield the folders between a batch file and a scene, as names of folders in the store."""
    for part in PurePath(relpath(Path(file).parent, Path(batch.path).parent)).parts:
        yield "up" if part == ".." else slug(part)


def _distinct(errors: Iterable[SceneError]) -> list[SceneError]:
    """Leave out what several variants or languages say of one place."""
    return list({(error.path, error.line, error.column, error.problem): error for error in errors}.values())


def _refuse_twins(jobs: Sequence[BatchJob]) -> None:
    """Refuse jobs that would share a folder, also where a disk does not tell case."""
    seen: dict[str, BatchJob] = {}
    for job in jobs:
        other = seen.setdefault(job.name.casefold(), job)
        if other.plan.path != job.plan.path:
            problem = f"{other.plan.path} and {job.plan.path} have the same job name {job.name}"
            raise UsageError(problem, "rename one of the files or folders")
        if other is not job:
            problem = f"{other.name} and {job.name} differ only in case"
            raise UsageError(problem, "rename one of the languages")


def export_places(batch: Batch, jobs: Iterable[BatchJob]) -> dict[tuple[str, str], str]:
    """Return where the file of each line is exported to, without its ending, by the names of its job and of itself.

    Raises:
        SceneError: A file cannot be called so on every system, or two lines would have one file; further errors are in
            its ``also``.
        UsageError: The engine does not import such files.
    """
    layout, first = LAYOUTS[batch.export.layout if batch.export else "plain"], next(iter(batch.languages), "")
    places: dict[tuple[str, str], str] = {}
    seen: dict[str, tuple[str, str]] = {}
    errors: list[SceneError] = []
    for job in jobs:
        _refuse_kind(job, layout)
        for line in job.plan.lines:
            name, place = (job.name, line.id), layout.place(engine_line(job, line), is_first=job.language == first)
            spot = locate(job.plan.locations, "line", line.id, "id")
            if is_device(line.id):
                problem = f"the id '{line.id}' cannot be a file name, because Windows reserves it"
                errors.append(SceneError(spot.path, spot.line, spot.column, problem, "give the line another id"))
            elif (other := seen.setdefault(place.casefold(), name)) != name:
                problem = f"lines {' '.join(other)} and {' '.join(name)} would be exported to the same file {place}"
                errors.append(SceneError(spot.path, spot.line, spot.column, problem, "give one of them another id"))
            places[name] = place
    if errors:
        first_error, *others = _distinct(errors)
        raise replace(first_error, also=tuple(others))
    return places


def _refuse_kind(job: BatchJob, layout: EngineLayout) -> None:
    """Refuse files of lines that the engine of an export does not import."""
    ending = f".{job.plan.deliver.lines.kind if job.plan.deliver.lines else 'wav'}"
    if ending not in layout.endings:
        problem = (
            f"{job.plan.path}: the engine in 'export' imports {listed(layout.endings)}, but the lines are {ending}"
        )
        raise UsageError(problem, "set another format: deliver: {lines: {format: wav}}")


def engine_line(job: BatchJob, line: LinePlan) -> EngineLine:
    """Tell of a line what an engine is told of it."""
    facts = (line.player, line.words, line.direction, line.hearers)
    return EngineLine(line.id, job.language, job.plan.slug, job.folders, *facts)


def choose_jobs(jobs: Sequence[BatchJob], only: Sequence[str]) -> list[BatchJob]:
    """Return the jobs whose names, or the last parts of them, fit a pattern like ``de/*``; without a pattern, all.

    Raises:
        UsageError: A pattern fits no job.
    """
    names = [job.name for job in jobs]
    for pattern in only:
        if not any(_fits(name, pattern) for name in names):
            hint = did_you_mean(pattern, names, f"jobs: {listed(names[:12])}")
            raise UsageError(f"no job of the batch matches '{pattern}'", hint)
    return [job for job in jobs if not only or any(_fits(job.name, pattern) for pattern in only)]


def _fits(name: str, pattern: str) -> bool:
    """Tell whether a name fits a pattern, or its last part does."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)
