"""What is tested: scenes and their variants, and those that were not well last time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tau_stage.errors import SceneError, UsageError
from tau_stage.regression.finding import find, orphans, twins
from tau_stage.regression.suite import Broken, Result
from tau_stage.scene.load import NO_VARIABLES, load_variants
from tau_stage.scene.names import identity
from tau_stage.scene.plan import Plan
from tau_stage.scene.planning import make_plan
from tau_stage.take.folder import write_whole

PLACE = Path(".tau-stage")
MEMORY = "last-test.json"


@dataclass(frozen=True, slots=True)
class Case:
    """What is tested: a scene, or one variant of it, with what its variables are given."""

    path: str
    variant: str = ""
    given: Mapping[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Make the plan of this variant.

        Raises:
            SceneError: It cannot be performed.
        """
        return make_plan(load_variants(self.path, self.given, only=(self.variant,) if self.variant else ())[0])


def cases_of(path: str, given: Mapping[str, str] = NO_VARIABLES) -> list[Case]:
    """Make a case for each variant of a scene.

    Raises:
        SceneError: It cannot be performed.
    """
    return [Case(path, scene.variant, given) for scene in load_variants(path, given)]


@dataclass(frozen=True, slots=True)
class Collected:
    """What files and folders come to.

    Attributes:
        cases: What can be tested.
        broken: What cannot: scenes that cannot be read, and what belongs to no scene.
        left_out: Files that are not tested, with the reason.
    """

    cases: Sequence[Case]
    broken: Sequence[Result]
    left_out: Mapping[str, str]


def collect(paths: Sequence[str], given: Mapping[str, str] = NO_VARIABLES) -> Collected:
    """Return everything that is to be tested in files and folders.

    Raises:
        UsageError: One is not there, or there is no scene.
    """
    found = find(paths)
    cases: list[Case] = []
    broken = [Result(each.path, broken=each) for each in (*found.broken, *twins(found.scenes))]
    for path in found.scenes:
        try:
            cases += cases_of(path, given)
        except SceneError as error:
            broken.append(Result(path, broken=unread(error)))
    named = [path for path in found.scenes if Path(path).parent not in found.places]
    for place in found.places:
        broken += [Result(each.path, broken=each) for each in orphans_in(place, found.scenes)]
    for path in named:
        broken += [Result(each.path, broken=each) for each in orphans_in(Path(path).parent, [path], only=path)]
    return Collected(cases, broken, found.left_out)


def orphans_in(place: Path, scenes: Sequence[str], only: str | None = None) -> Iterator[Broken]:
    """Yield cassettes and snapshots in a folder that belong to none of these scenes."""
    owners: dict[str, str] = {}
    lost: list[str] = []
    for path in scenes:
        if Path(path).parent != place:
            continue
        try:
            owners |= {identity(path, scene.variant): scene.title for scene in load_variants(path)}
        except SceneError:
            lost.append(path)
    yield from orphans(place, owners, lost, only)


def unread(error: SceneError) -> Broken:
    """Say what is wrong with a scene file, at its place."""
    told = "\n".join(str(each) for each in (error, *error.also))
    place = f"{error.path}:{error.line}:{error.column}: "
    return Broken(told.removeprefix(place), error.path, error.line, error.column, code=2)


def texts_of(result: Result) -> dict[str, list[str]]:
    """Return the lines of the files that a result speaks of, as far as they can be read."""
    texts: dict[str, list[str]] = {}
    for path in {verdict.path for verdict in result.bad}:
        with suppress(OSError):
            texts[path] = Path(path).read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    return texts


# ---- what was not well


def remembered(place: Path = PLACE) -> dict[str, str]:
    """Read how each scene was last time, by id; empty where nobody knows."""
    try:
        told = json.loads((place / MEMORY).read_text("utf-8"))
        return {str(name): str(state) for name, state in told["results"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def remember(results: Sequence[Result], place: Path = PLACE, *, whole: bool = True) -> None:
    """Keep how each scene was, for ``--failed``; what was not tested now stays as it was.

    Args:
        results: Of this test.
        place: The folder for what tests leave.
        whole: Whether all variants of the scenes were tested: others are no more.

    Raises:
        UsageError: It cannot be written.
        TakeError: It cannot be written.
    """
    own_place(place)
    gone = {result.path for result in results}
    states = {
        name: state
        for name, state in remembered(place).items()
        if name not in gone and not (whole and name.rpartition("[")[0] in gone)
    }
    states |= {result.id: result.state for result in results}
    text = json.dumps({"version": 1, "results": states}, indent=1, ensure_ascii=False) + "\n"
    write_whole({place / MEMORY: text}, "choose another folder to test in")


def own_place(place: Path = PLACE) -> Path:
    """Make the folder for what tests leave, which git does not look into.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / ".gitignore").exists():
            (place / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        problem = f"{place}: cannot be made: {(error.strerror or str(error)).lower()}"
        raise UsageError(problem, "test in a folder that can be written to") from None
    return place


def not_well(states: Mapping[str, str]) -> set[str]:
    """Return ids of what failed or broke."""
    return {name for name, state in states.items() if state in ("failed", "error")}
