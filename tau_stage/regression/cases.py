"""Which scenes are tested: files, folders, variants, and those that were not well last time."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tau_stage.errors import UsageError
from tau_stage.regression.suite import Result
from tau_stage.scene.load import load_variants
from tau_stage.scene.plan import Plan
from tau_stage.scene.planning import make_plan
from tau_stage.take.folder import write_whole

SUFFIXES = (".yaml", ".yml")
NOT_ENTERED = {"node_modules", "__pycache__", "venv", "takes"}
PARTS = (r"^['\"]?(?:players|include)['\"]?[ \t]*:", r"^['\"]?(?:lines|script)['\"]?[ \t]*:")
LARGEST = 2_000_000

PLACE = Path(".tau-stage")
MEMORY = "last-test.json"


def is_scene(file: Path) -> bool:
    """Whether a YAML file looks like a scene: it has lines, and players or what it takes them from."""
    try:
        if file.suffix not in SUFFIXES or not file.is_file() or file.stat().st_size > LARGEST:
            return False
        text = file.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return all(re.search(part, text, re.MULTILINE) for part in PARTS)


def scenes_in(paths: Sequence[str]) -> list[str]:
    """The scene files that are named, and those in folders that are; each once, in order.

    Args:
        paths: Files and folders. A file is a scene, whatever it looks like.

    Raises:
        UsageError: One is not there, or there is no scene.
    """
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            found += sorted(_below(path))
        elif Path(path).exists():
            found.append(path)
        else:
            raise UsageError(f"{path}: there is neither a scene nor a folder", "name one: tau-stage test scenes/")
    if not found:
        hint = "a scene is a YAML file with players: and lines:; tau-stage init DIR makes a first one"
        raise UsageError(f"no scene was found in {', '.join(paths)}, so nothing was tested", hint)
    return list(dict.fromkeys(found))


def _below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_ENTERED and not name.startswith("."))
        yield from (str(Path(place) / name) for name in files if is_scene(Path(place) / name))


@dataclass(frozen=True, slots=True)
class Case:
    """What is tested: a scene, or one variant of it."""

    path: str
    variant: str = ""

    def plan(self) -> Plan:
        """Of this variant.

        Raises:
            SceneError: It cannot be performed.
        """
        return make_plan(load_variants(self.path, only=[self.variant] if self.variant else ())[0])


def cases_of(path: str) -> list[Case]:
    """A case for each variant of a scene.

    Raises:
        SceneError: It cannot be performed.
    """
    return [Case(path, scene.variant) for scene in load_variants(path)]


def texts_of(result: Result) -> dict[str, list[str]]:
    """The lines of the files that a result speaks of, as far as they can be read."""
    texts: dict[str, list[str]] = {}
    for path in {verdict.path for verdict in result.bad}:
        with suppress(OSError):
            texts[path] = Path(path).read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    return texts


# ---- what was not well


def remembered(place: Path = PLACE) -> dict[str, str]:
    """How each scene was last time, by id; empty where nobody knows."""
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
    """The folder for what tests leave, which git does not look into.

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
    """Ids of what failed or broke."""
    return {name for name, state in states.items() if state in ("failed", "error")}
