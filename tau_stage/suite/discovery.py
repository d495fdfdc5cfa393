"""Which files of a folder are scenes, what is left out and why, and what belongs to no scene."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import filterfalse
from pathlib import Path

import yaml
from pydantic_core import from_json

from tau_stage.cassette import MANIFEST
from tau_stage.environment import environment
from tau_stage.errors import SceneError, UsageError, format_if, os_reason
from tau_stage.scene import NO_VARIABLES, Plan, identity, load_variants, make_plan
from tau_stage.suite.result import CaseError, Result
from tau_stage.take import write_whole
from tau_stage.text import composed

SUFFIXES = (".yaml", ".yml")
NOT_ENTERED = {"node_modules", "__pycache__", "venv", "takes"}
CASSETTES, SNAPSHOTS = "cassettes", "snapshots"
LARGEST = 2_000_000
OURS = re.compile(r"tau-stage|scene\.schema\.json")
SCHEMA = re.compile(r"yaml-language-server:\s*\$schema=")
KEY = re.compile(r"^['\"]?([A-Za-z_-]+)['\"]?[ \t]*:", re.MULTILINE)
CAST = ("players", "include", "characters", "cast", "actors", "roles", "speakers")
WORDS = ("lines", "script", "dialogue", "dialog", "conversation", "turns")
ALIKE = 0.75  # how much a key must be like another for it to be taken for its misspelling


@dataclass(frozen=True, slots=True)
class FileLook:
    """What a YAML file looks like, before it is read as a scene, and what files it includes.

    It ``is_scene`` if it has, or nearly has, players and lines, or if that cannot be known. Its first comment has
    ``said`` what it is: tau-stage's, another program's, or nothing.
    """

    is_scene: bool
    said: str = ""
    included: tuple[str, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class FoundScenes:
    """What was found in files and folders: scenes, why other files are left out, and folders that cannot be read.

    ``places`` are the folders that were looked through, for what belongs to no scene.
    """

    scenes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    errors: list[CaseError] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)


def inspect_file(file: Path) -> FileLook:
    """Look at a YAML file. A file that cannot be read may be a scene."""
    try:
        if not file.is_file():
            return FileLook(is_scene=True)
        with file.open("rb") as opened:
            text = opened.read(LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return FileLook(is_scene=True)
    return _look_of(text)


def _look_of(text: str) -> FileLook:
    said = _said(text)
    if said == "another's":
        return FileLook(is_scene=False, said=said, problem="its first line specifies the schema of another program")
    if not text.strip():
        return FileLook(is_scene=True, said=said)
    keys, included = _keys(text)
    known = (names for names in (CAST, WORDS) if not any(get_close_matches(key, names, 1, ALIKE) for key in keys))
    missing = [f"no '{names[0]}:'" for names in known]
    if said or not missing:
        return FileLook(is_scene=True, said=said, included=included)
    return FileLook(is_scene=False, included=included, problem=f"it has {' and '.join(missing)}")


def _said(text: str) -> str:
    """Tell whose the comments at the head of a file say it is."""
    head = re.match(r"(?:[ \t]*(?:#.*)?\r?\n)*", text)
    signs = {"ours": OURS, "another's": SCHEMA}
    return next((owner for owner, sign in signs.items() if head and sign.search(head[0])), "")


def _keys(text: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the keys at the top of a YAML file, and what it includes; without aliases and tags being followed."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError):
        return KEY.findall(text), ()
    if not isinstance(node, yaml.MappingNode):
        return [], ()
    pairs = [(key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    nodes = [value for key, value in pairs if key == "include"]
    nodes += [item for value in nodes if isinstance(value, yaml.SequenceNode) for item in value.value]
    return [key for key, _ in pairs], tuple(item.value for item in nodes if isinstance(item, yaml.ScalarNode))


def _is_yaml(file: str | Path) -> bool:
    return Path(file).suffix.lower() in SUFFIXES


def sort_files(place: Path, names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Sort out the scenes among the files of one folder, and why other YAML files are none.

    Beside a scene every YAML file is one, but for what a scene includes and what says that it is another program's.
    """
    files = sorted(filter(_is_yaml, names))
    reasons = {name: "its name begins with a dot" for name in files if name.startswith(".")}
    looks = {name: inspect_file(place / name) for name in files if name not in reasons}
    scenes = {name: look for name, look in looks.items() if look.is_scene}
    used = {os.path.normpath(include): name for name, look in scenes.items() for include in look.included}
    for name, look in looks.items():
        reasons[name] = _why_no_scene(place / name, look, used, among_scenes=bool(scenes))
    return [*filterfalse(reasons.get, files)], {name: reasons[name] for name in filter(reasons.get, files)}


def _why_no_scene(file: Path, look: FileLook, used: Mapping[str, str], *, among_scenes: bool) -> str:
    if look.said == "another's" or not (look.is_scene or among_scenes or file.name in used):
        return look.problem
    scene = used.get(file.name, "") if not look.said else ""
    if not (scene or look.is_scene):
        scene = _included_below(file.parent, file.name)
    return format_if("{} includes it", scene)


def _included_below(place: Path, name: str) -> str:
    """Find the scene in a folder further down that includes a file."""
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(filter(_is_entered, folders))
        for file in sorted(filter(_is_yaml, files)):
            includes = inspect_file(Path(folder, file)).included
            if any(os.path.normpath(Path(folder, each)) == os.path.normpath(place / name) for each in includes):
                return Path(folder, file).relative_to(place).as_posix()
    return ""


def is_scene_file(file: Path, top: Path) -> bool:
    """Tell whether a file that nobody named is a scene: its first line says so, or it lies in a folder ``scenes``.

    What lies above the folder that is looked through does not matter.
    """
    if not _is_yaml(file):
        return False
    above = file.parent.relative_to(top).parts if file.is_relative_to(top) else file.parent.parts
    if "scenes" in above or top.name == "scenes":
        with suppress(OSError):
            return file.name in sort_files(file.parent, (each.name for each in file.parent.iterdir()))[0]
    return inspect_file(file).said == "ours"


def find_scenes(paths: Sequence[str]) -> FoundScenes:
    """Find the scene files that are named, whatever they look like, and those in folders that are; each once, in order.

    A ``UsageError`` tells that one is not there, or that there is no scene.
    """
    found = FoundScenes()
    for name in paths:
        path = Path(name)
        if path.is_dir():
            _walk(name, found)
        elif os.path.lexists(path):
            found.scenes.append(name)
        else:
            raise UsageError(f"{name}: no such scene or folder", "specify a scene or a folder: tau-stage test scenes/")
    found.scenes = list(dict.fromkeys(found.scenes))
    if not (found.scenes or found.errors):
        left = "".join(f"\n  skipped {path}: {reason}" for path, reason in found.left_out.items())
        hint = "a scene is a YAML file with 'players:' and 'lines:'; to create one: tau-stage init DIR"
        raise UsageError(f"no scene found in {', '.join(paths)}, so nothing was tested{left}", hint)
    return found


def _walk(top: str, found: FoundScenes) -> None:
    def refused(error: OSError) -> None:
        problem = f"cannot read the folder: {os_reason(error)}"
        found.errors.append(CaseError(problem, str(error.filename or top), code=2))

    for name, folders, files in os.walk(top, onerror=refused):
        place = Path(name)
        inside = [place / folder for folder in folders]
        found.left_out |= {str(path): reason for path in inside if (reason := _why_not_entered(path))}
        folders[:] = sorted(filter(_is_entered, folders))
        scenes, left = sort_files(place, files)
        left |= {each: "a broken link" for each in files if _leads_nowhere(place / each)}
        found.scenes += [str(place / each) for each in scenes]
        found.left_out |= {str(place / each): reason for each, reason in left.items()}
        found.places.append(place)


def _leads_nowhere(path: Path) -> bool:
    """Tell whether this may have been a link to a folder of scenes: a link to nothing, that is no YAML file."""
    return path.is_symlink() and not (_is_yaml(path) or path.exists())


def _why_not_entered(folder: Path) -> str:
    if folder.name in (CASSETTES, SNAPSHOTS):
        return ""
    if folder.name in NOT_ENTERED:
        return "folders with this name are not searched"
    if folder.name.startswith("."):
        return format_if("its name begins with a dot", _has_scenes(folder))
    return format_if("a link to a folder; specify the folder to test its contents", folder.is_symlink())


def _has_scenes(folder: Path) -> bool:
    """Tell whether a YAML file right in a folder looks like a scene."""
    with suppress(OSError):
        return any(inspect_file(file).is_scene for file in filter(_is_yaml, folder.iterdir()))
    return False


def _is_entered(folder: str) -> bool:
    return folder not in NOT_ENTERED and not folder.startswith(".")


def is_strict() -> bool:
    """Tell whether a test is strict of itself: where ``CI`` is set."""
    return environment().get("CI", "").lower() not in ("", "0", "false")


# ---- what belongs to scenes


def belongings(place: Path) -> Iterator[tuple[Path, str]]:
    """Yield cassettes and snapshots in a folder of scenes, with the names of those they belong to."""
    yield from ((path, path.name) for path in _visible(place / CASSETTES) if path.is_dir() or path.is_symlink())
    yield from ((path, path.stem) for path in _visible(place / SNAPSHOTS) if path.suffix.lower() == ".json")


def _visible(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return []


def orphans_in(place: Path, scenes: Sequence[str], only: str | None = None) -> Iterator[CaseError]:
    """Yield cassettes and snapshots in a folder that belong to none of its scenes; or only what may be of one file."""
    files = [*filter(_is_yaml, _visible(place))]
    own = {identity(str(file)) for file in files}
    wanted = (each for each in belongings(place) if only is None or (_may_be_of(only, each[1]) and each[1] not in own))
    yield from _orphans(wanted, [path for path in scenes if Path(path).parent == place], files)


def orphans_on_tape(tapes: Path, scenes: Sequence[str]) -> Iterator[CaseError]:
    """Yield cassettes, in a folder of their own, that belong to none of these scenes."""
    found = sorted(file.parent for file in tapes.glob(f"*/{MANIFEST}"))
    yield from _orphans(((path, path.name) for path in found), scenes, [*map(Path, scenes)])


def _orphans(found: Iterable[tuple[Path, str]], scenes: Sequence[str], files: Sequence[Path]) -> Iterator[CaseError]:
    owners, unread = _owners(scenes)
    for path, name in found:
        same = composed(name)  # some disks decompose names
        own = same if path.with_name(same + _ending(path)).exists() else name
        if own not in owners and not any(_may_be_of(file, name) for file in unread):
            yield _orphan(path, name, owners, files)


def _orphan(path: Path, name: str, owners: Mapping[str, str], files: Iterable[Path]) -> CaseError:
    """Say of what belongs to no scene what it probably was of."""
    kind = "snapshot" if path.parent.name == SNAPSHOTS else "cassette"
    told, hint = "", "delete it, or restore the scene"
    if probably := _probably(path, name, owners):
        alike = format_if(", which is spelled with different characters", probably == composed(name) != name)
        told, hint = f"{probably}{alike}", f"rename it to {probably}{_ending(path)}, or delete it"
    elif scene := next((file.name for file in sorted(files) if _may_be_of(str(file), name)), ""):
        told = f"a variant that no longer exists in {scene}"
    told = format_if("; it probably belonged to {}", told)
    return CaseError(f"this {kind} does not belong to any scene{told}\nhint: {hint}", str(path), code=2)


def _owners(scenes: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return titles of scenes and variants by what belongs to them, and the files that cannot be read."""
    owners: dict[str, str] = {}
    lost: list[str] = []
    for path in scenes:
        try:
            owners |= {identity(path, scene.variant): scene.title for scene in load_variants(path)}
        except SceneError:
            lost.append(path)
    return owners, lost


def _may_be_of(file: str, name: str) -> bool:
    own = identity(file)
    return name == own or name.startswith(f"{own}.")


def _probably(path: Path, name: str, owners: Mapping[str, str]) -> str:
    """Guess the scene or variant that something was of: one of its title without its own, or one of a like name."""
    free = {own: title for own, title in owners.items() if not path.with_name(own + _ending(path)).exists()}
    title = _title_in(path / MANIFEST if path.is_dir() else path)
    same = [own for own in free if title is not None and free[own] == title]
    near = get_close_matches(name, same or list(free), 1, 0.5)
    return (near or same or [""])[0]


def _ending(path: Path) -> str:
    return format_if(path.suffix, path.parent.name == SNAPSHOTS)


def twins(scenes: Sequence[str]) -> Iterator[CaseError]:
    """Yield scene files in one folder to which the same cassettes and snapshots would belong."""
    owner: dict[tuple[Path, str], str] = {}
    for path in scenes:
        key = (Path(path).parent, identity(path))
        if other := owner.get(key):
            yield CaseError(f"{other} uses the same cassette and snapshot\nhint: rename one of them", path, code=2)
        owner.setdefault(key, path)


PLACE = Path(".tau-stage")
MEMORY = "last-test.json"


@dataclass(frozen=True, slots=True)
class Case:
    """What is tested: a scene, or one variant of it, with what its variables are given."""

    path: str
    variant: str = ""
    given: Mapping[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Make the plan of this variant; a ``SceneError`` tells why it cannot be performed."""
        return make_plan(load_variants(self.path, self.given, only=(self.variant,) if self.variant else ())[0])


def cases_of(path: str, given: Mapping[str, str] = NO_VARIABLES) -> list[Case]:
    """Make a case for each variant of a scene; a ``SceneError`` tells why it cannot be performed."""
    return [Case(path, scene.variant, given) for scene in load_variants(path, given)]


@dataclass(frozen=True, slots=True)
class Collected:
    """What files and folders come to: cases, what cannot be tested or belongs to no scene, and what is left out."""

    cases: Sequence[Case]
    broken: Sequence[Result]
    left_out: Mapping[str, str]


def nothing_found(paths: Sequence[str], error: UsageError) -> Result:
    """Return the result of a test that has found nothing to test, as a case that is broken."""
    path = paths[0]
    return Result(path, error=CaseError(str(error).removeprefix(f"{path}: "), path, code=2))


def collect(paths: Sequence[str], given: Mapping[str, str] = NO_VARIABLES, tapes: Path | None = None) -> Collected:
    """Return everything that is to be tested in files and folders, with values of variables.

    Where a folder of scenes is named, every cassette in ``tapes`` must belong to one of them. A ``UsageError`` tells
    that one is not there, or that there is no scene.
    """
    found = find_scenes(paths)
    cases: list[Case] = []
    broken = _results([*found.errors, *twins(found.scenes)])
    for path in found.scenes:
        try:
            cases += cases_of(path, given)
        except SceneError as error:
            broken.append(Result(path, error=scene_error(error)))
    broken += _results(_orphans_beside(found))
    if tapes and found.places:
        known = {each.path for each in broken}
        broken += _results(each for each in orphans_on_tape(tapes, found.scenes) if each.path not in known)
    return Collected(cases, broken, found.left_out)


def _results(errors: Iterable[CaseError]) -> list[Result]:
    return [Result(each.path, error=each) for each in errors]


def _orphans_beside(found: FoundScenes) -> Iterator[CaseError]:
    """Yield what belongs to no scene in the folders that were looked through, and beside scenes that were named."""
    for place in found.places:
        yield from orphans_in(place, found.scenes)
    for path in (each for each in found.scenes if Path(each).parent not in found.places):
        yield from orphans_in(Path(path).parent, [path], only=path)


def scene_error(error: SceneError) -> CaseError:
    """Say what is wrong with a scene file, at its place."""
    told = "\n".join(map(str, (error, *error.also)))
    place = f"{error.path}:{error.line}:{error.column}: "
    return CaseError(told.removeprefix(place), error.path, error.line, error.column, code=2)


def texts_of(result: Result) -> dict[str, list[str]]:
    """Return the lines of the files that a result speaks of, as far as they can be read."""
    texts: dict[str, list[str]] = {}
    for path in {verdict.path for verdict in result.failures}:
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

    Where the ``whole`` of the scenes was tested, variants that were not are no more.
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
    """Make the folder for what tests leave, which git does not look into."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / ".gitignore").exists():
            (place / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        problem = f"{place}: cannot create the folder: {os_reason(error)}"
        raise UsageError(problem, "run the tests in a folder that you can write to") from None
    return place


def failed_ids(states: Mapping[str, str]) -> set[str]:
    """Return ids of what failed or broke."""
    return {name for name, state in states.items() if state in ("failed", "error")}


def _title_in(file: Path) -> str | None:
    """Return the title of the scene that a file is of; None where it tells none."""
    with suppress(OSError, ValueError, AttributeError):
        told = from_json(file.read_bytes())
        title: str | None = told.get("title") or told.get("scene")
        return title
    return None
