"""Where snapshots lie, and how a take in its folder is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, TakeError, is_lfs_pointer
from tau_stage.regression.measures import Measures, measure
from tau_stage.regression.snapshot import MISSING, Snapshot, freeze, parsed, written
from tau_stage.scene.files import SOUNDS, beside
from tau_stage.scene.names import identity
from tau_stage.take.folder import TakeFolder, guarded
from tau_stage.take.journal import read_beginning
from tau_stage.take.model import Take
from tau_stage.take.reading import audio_of


def snapshot_path(scene: str, variant: str = "") -> Path:
    """Return the file of a scene's snapshot, or of a variant's.

    Args:
        scene: The scene file.
        variant: Of its matrix, or empty.

    >>> snapshot_path("scenes/umbrella.yaml", "calm").as_posix()
    'scenes/snapshots/umbrella.calm.json'
    """
    file = Path(scene)
    return file.parent / "snapshots" / f"{identity(scene, variant)}.json"


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a snapshot; None where there is none.

    Raises:
        TakeError: It cannot be read, or is none.
    """
    try:
        data = path.read_bytes()
        if is_lfs_pointer(data):
            raise TakeError(str(path), LFS_PROBLEM, LFS_HINT)
        return parsed(data.decode("utf-8"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TakeError(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise TakeError(str(path), "is no text", "restore it from version control") from None


def write_snapshot(path: Path, snapshot: Snapshot) -> bool:
    """Write a snapshot, whole or not at all; whether it changed.

    Raises:
        TakeError: It cannot be written.
    """
    text = written(snapshot)
    with guarded(path, "choose a scene in a folder that can be written to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() == text.encode():
            return False
    TakeFolder(path.parent).write(path.name, text)
    return True


def sound_files(scene: str, resolved: str) -> dict[str, str]:
    """Hash all the sound files that a scene plays, by their names in it.

    Args:
        scene: The scene file.
        resolved: Its plan, as JSON.
    """
    return {name: _hash(beside(scene, name)) for name in sorted(set(_named(scene, json.loads(resolved))))}


def _hash(file: Path) -> str:
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return MISSING


def _named(scene: str, part: Any) -> Iterator[str]:
    """Yield the sound files that a part of a plan names: effects, beds, items of users, people and recordings."""
    if isinstance(part, list):
        for each in part:
            yield from _named(scene, each)
    if not isinstance(part, dict):
        return
    if part.get("kind") in ("sfx", "bed") and isinstance(part.get("file"), str):
        yield part["file"]
    if isinstance(part.get("sounds"), list):
        yield from (file for _, file in part["sounds"])
    if part.get("human") not in (None, "", "mic", "tty") and "name" in part:
        yield str(part["human"])
    if isinstance(folder := part.get("stand_in"), str) and folder:
        with suppress(OSError):
            found = (each.name for each in beside(scene, folder).iterdir() if each.suffix in (*SOUNDS, ".txt"))
            yield from (f"{folder.rstrip('/')}/{name}" for name in found)
    for each in part.values():
        yield from _named(scene, each)


def measured(folder: TakeFolder, take: Take) -> Measures:
    """Measure a take in its folder; a sound that is missing or broken is told with its line."""
    return measure(take, lambda line: audio_of(folder, line))


def frozen(folder: TakeFolder, take: Take) -> Snapshot:
    """Make a snapshot of a take in its folder, of the plan that it was performed from.

    Raises:
        TakeError: It did not come to its end, a sound cannot be measured, or its journal is missing.
    """
    if take.ended != "complete":
        raise TakeError(str(folder.path), f"ended {take.ended}", "bless a take that is complete")
    measures = measured(folder, take)
    if measures.whole.problem:
        raise TakeError(str(folder.path), measures.whole.problem, "bless a take that is whole")
    if not folder.journal.is_file():
        raise TakeError(str(folder.journal), "is missing", "bless a take that has its journal")
    scene = take.scene
    cassette = Path(scene.path).parent / "cassettes" / identity(scene.path, scene.variant)
    resolved = read_beginning(folder.journal).resolved
    snapshot = freeze(take, measures, resolved, sound_files(scene.path, resolved))
    return snapshot.model_copy(update={"cassette": cassette.exists()})
