"""``latest``: names the newest complete take of a scene. A link; where a disk knows no links, a small file.

Whoever reads it finds a take at every moment: a new one is made beside the old one, and takes its place at once.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from tau_stage.errors import TakeError
from tau_stage.take.folder import MANIFEST, TakeFolder, guarded, write_whole
from tau_stage.take.journal import sync_folder
from tau_stage.take.lock import is_claimed

NAME = "latest"
LONGEST_NAME = 255
_SHAPE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")
REMEDY = "remove what is there"


def make_latest(take: TakeFolder) -> None:
    """Let ``latest``, beside a take's folder, name that folder.

    Args:
        take: Claimed by this process.

    Raises:
        TakeError: It cannot be written, or something else has its name.
    """
    home, name = take.path.parent, take.path.name
    link = home / NAME
    with guarded(link, REMEDY):
        if (link.exists() or link.is_symlink()) and not link.is_symlink() and _named(link) is None:
            raise TakeError(str(link), "is in the way of the link to the newest take", "remove it")
        for draft in home.glob(f".{NAME}-*"):  # a process was killed before it could rename it
            other = home / draft.name.removeprefix(f".{NAME}-")
            if draft.is_symlink() and (other.name == name or not is_claimed(other)):
                draft.unlink()
        draft = home / f".{NAME}-{name}"
        try:
            draft.symlink_to(name, target_is_directory=True)
        except OSError:  # exFAT, many network shares
            write_whole({link: f"{name}\n"}, REMEDY)
            return
        draft.replace(link)
        sync_folder(home)


def unlinked(path: Path) -> Path:
    """Return the folder that a path to a take leads to, below its scene's, named from where the path is named."""
    real = path.parent / path.readlink() if path.is_symlink() else path
    return real if len(real.parts) > 2 and ".." not in real.parts else real.resolve()


def is_latest(take: TakeFolder) -> bool:
    """Tell whether ``latest`` names a take, or one that is newer."""
    named = _named(take.path.parent / NAME)
    return named is not None and named.is_dir() and named.name >= take.path.name


def leave_latest(take: TakeFolder) -> None:
    """Let ``latest`` name the newest of the complete takes that are left, or be gone, before a take is deleted.

    Raises:
        TakeError: It cannot be written.
    """
    link = take.path.parent / NAME
    named = _named(link)
    if named is None or named.name != take.path.name:
        return
    others = (path.parent for path in take.path.parent.glob(f"*/{MANIFEST}"))
    rest = sorted(path for path in others if path.name not in (NAME, take.path.name) and _is_complete(path))
    if rest:
        make_latest(TakeFolder(rest[-1]))
        return
    with guarded(link, REMEDY):
        link.unlink(missing_ok=True)


def followed(path: Path) -> Path:
    """Resolve a path as it is meant: where ``latest`` is a small file, the folder that it names stands for it."""
    for place in (path, *path.parents):
        if place.name == NAME and not place.is_symlink() and (named := _named(place)):
            return named / path.relative_to(place)
    return path


def _named(link: Path) -> Path | None:
    """Return what ``latest`` names, whether it is there or not; None where it is neither link nor file of ours."""
    with suppress(OSError, ValueError):
        if link.is_symlink():
            return link.parent / link.readlink().name
        if link.is_file() and link.stat().st_size <= LONGEST_NAME + 1:
            name = link.read_text(encoding="utf-8").removesuffix("\n")
            if _SHAPE.fullmatch(name):
                return link.parent / name
    return None


def _is_complete(take: Path) -> bool:
    with suppress(OSError, ValueError, RecursionError):
        told = json.loads((take / MANIFEST).read_bytes())
        return isinstance(told, dict) and told.get("ended") == "complete"
    return False
