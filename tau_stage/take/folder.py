"""The take's folder: where its files go, how they become whole, and who writes into it: one process at a time."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from filelock import lock_descriptor

from tau_stage.audio import HEADER_BYTES
from tau_stage.errors import TakeError
from tau_stage.scene import Mix, slug
from tau_stage.take.atomic import FULL_DISK, NO_LOCKS, SAFE, guarded, is_held, is_named, sync_folder, write_whole
from tau_stage.take.journal import JOURNAL, read_beginning
from tau_stage.take.take_model import STEMS, Alternative, Performed, stem_name

LOCK = ".lock"
WRITABLE = "make it writable, or copy the take"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a take's folder while something is written into it; whoever else wants it is told who has it.

    The operating system holds the lock, so that it ends with the process, however that ends. Where a file system knows
    no locks, nobody is kept out.

    Raises:
        TakeError: Another process, or another part of this one, holds it; a link in it leads out of it; or it cannot be
            written.
    """
    refuse_links(folder)
    with guarded(folder, WRITABLE):
        lock = _acquire(folder)
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # the folder may be gone
                (folder / LOCK).unlink()
        finally:
            os.close(lock)


def is_locked(folder: Path) -> bool:
    """Tell whether somebody writes into a take's folder now; where there are no locks, nobody does."""
    return is_held(folder / LOCK, os.O_RDONLY, unknown=False)


def clear_unbegun(home: Path, before: datetime) -> None:
    """Remove folders of takes that never began, as killed processes leave them; younger ones may be about to begin."""
    for path in home.glob("*T*Z-*"):
        with suppress(OSError):
            is_old = path.stat().st_mtime < before.timestamp()
            if is_old and path.is_dir() and not path.is_symlink() and not is_locked(path) and _is_unbegun(path):
                shutil.rmtree(path)


def _is_unbegun(folder: Path) -> bool:
    """Tell whether there is nothing in a folder but what a take begins with: no whole record, and no sound."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        is_stem = name.startswith("stems/") and path.suffix == ".wav" and path.stat().st_size <= HEADER_BYTES
        is_journal = path == folder / JOURNAL and b"\n" not in path.read_bytes()
        if not (name in ("lines", "stems", LOCK) or is_stem or is_journal):
            return False
    return True


def refuse_links(folder: Path) -> None:
    """Refuse to write through a link that leads out of a take."""
    home = folder.resolve()
    with guarded(folder, "check its permissions"):
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        for path in (*folder.iterdir(), *(file for place in inner for file in place.iterdir())):
            if path.is_symlink() and not _leads_inside(path, home):
                raise TakeError(str(path), "is a link to a file outside the take", "replace the link with the file")


def _leads_inside(link: Path, home: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # a loop of links leads nowhere
        return True


def _acquire(folder: Path) -> int:
    """Open and lock the lock's file: the one that has the name now, as the last holder has removed its own."""
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | SAFE, 0o644)
        with ExitStack() as opened:
            opened.callback(os.close, file)
            if not _is_free(file):
                raise TakeError(str(folder), f"is being written by {_holder(file)}", "wait until it ends, or stop it")
            if is_named(file, path):
                os.ftruncate(file, 0)
                os.write(file, f"process {os.getpid()} (since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)".encode())
                opened.pop_all()
                return file


def _is_free(file: int) -> bool:
    """Lock a file; tell whether nobody else has, or nobody can."""
    try:
        return lock_descriptor(file, blocking=False)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True
        raise


def _holder(file: int) -> str:
    told = ""
    with suppress(OSError):  # Windows lets nobody read what is locked
        told = os.read(file, 200).decode("ascii", "replace")
    return "".join(filter(str.isprintable, told)) or "another process"


MIX: str = Mix.model_fields["file"].default
MANIFEST, COSTS, CHECKS, REPORT = "take.json", "cost.json", "checks.json", "report.html"


class TakeFolder:
    """The folder of a take, and the paths of its files. Files get their final names only when they are complete.

    A ``TakeError`` reports that a file is not writable, or would be outside the folder.

    Args:
        path: An existing folder that contains ``lines/`` and ``stems/``.

    >>> from pathlib import Path
    >>> TakeFolder(Path("takes/umbrella/latest")).report.as_posix()
    'takes/umbrella/latest/report.html'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal, self.manifest = path / JOURNAL, path / MANIFEST
        self.checks, self.report = path / CHECKS, path / REPORT
        self.stems = path / STEMS

    @classmethod
    def create(cls, out: Path, scene: str, started: datetime, short_id: str) -> TakeFolder:
        """Create ``out/<scene>/<UTC time>-<short id>/``; the id distinguishes takes of the same second."""
        path = out / scene / f"{started:%Y%m%dT%H%M%SZ}-{short_id}"
        with guarded(path, "choose another folder with --out"):
            for name in ("lines", "stems"):
                (path / name).mkdir(parents=True)
        return cls(path)

    @property
    def mix(self) -> Path | None:
        """The mix, with the name that the scene sets; None if there is no mix."""
        wanted = self._wanted_mix
        path = self.path / (wanted.file if wanted else "")
        return path if path.is_file() else None

    @property
    def mix_head_s(self) -> float:
        """The seconds of silence in the mix before the start of the stems."""
        return self._wanted_mix.head if self._wanted_mix else 0.0

    @property
    def _wanted_mix(self) -> Mix | None:
        with suppress(TakeError):
            return read_beginning(self.journal).deliver.mix
        return Mix()  # of a take.json alone, as somebody handed it on

    def stem(self, player: str) -> Path:
        """Return the stem of a player.

        >>> TakeFolder(Path("t")).stem("The Clerk").as_posix()
        't/stems/the-clerk.wav'
        """
        return self.path / stem_name(slug(player))

    def sound(self, line: Performed | Alternative) -> Path:
        """Return the audio of a line, or of another take of it."""
        if line.file is None:
            which = f"line {line.id}" if isinstance(line, Performed) else f"take {line.take}"
            raise TakeError(str(self.path), f"{which} has no audio: it was not spoken aloud", "choose another line")
        return self.inside(line.file)

    def inside(self, name: str) -> Path:
        """Return the path of a file that the take refers to."""
        parts = PurePosixPath(name).parts
        path = self.path.joinpath(*parts)
        is_plain = bool(parts) and not {"/", ".."} & {*parts} and not re.search(r"[\\:]", name)
        try:
            place, folder = path.resolve(), self.path.resolve()
            loops = any(part.is_symlink() for part in (place, *place.parents))  # from Python 3.13 on, it is no error
            if is_plain and place.is_relative_to(folder) and not loops:
                return path
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null in the name
            pass
        raise TakeError(
            str(self.path), f"refers to a file outside the take: {name}", "this take may have been tampered with"
        )

    def forget(self, *names: str) -> None:
        """Remove outdated files."""
        for name in names:
            with guarded(self.path / name, "make the folder writable"):
                (self.path / name).unlink(missing_ok=True)

    def drafts(self, name: str) -> Path:
        """Create an empty folder for files that will replace those of another folder."""
        path = self.path / f".{name}.part"
        with guarded(path, FULL_DISK):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            (self.path / name).mkdir(exist_ok=True)
        return path

    def line(self, number: int, player: str, line_id: str, attempt: int | None = None) -> Path:
        """Return the file of a line, or of one of its failed attempts.

        >>> TakeFolder(Path("t")).line(7, "Stranger", "stranger-1").name
        '007-stranger-1.wav'
        >>> TakeFolder(Path("t")).line(7, "Stranger", "door", attempt=2).name
        '007-stranger-door.attempt-2.wav'
        """
        who = slug(player)
        name = line_id if line_id.startswith(f"{who}-") else f"{who}-{line_id}"
        failed = "" if attempt is None else f".attempt-{attempt}"
        return self.path / "lines" / f"{number:03d}-{name}{failed}.wav"

    def other(self, line: Path, take: int) -> Path:
        """Return the file of a take of a line that was not picked.

        >>> TakeFolder(Path("t")).other(Path("t/lines/007-ann-1.wav"), 2).name
        '007-ann-1.take-2.wav'
        """
        return line.with_suffix(f".take-{take}.wav")

    def write(self, name: str, text: str) -> None:
        """Write a file atomically: first under another name, then rename it."""
        self.write_all({name: text})

    def write_all(self, texts: Mapping[str, str], hint: str = FULL_DISK) -> None:
        """Write several files atomically: if one of them cannot be written, none is changed."""
        write_whole({self.path / name: text for name, text in texts.items()}, hint)


LATEST = "latest"
LONGEST_NAME = 255
_SHAPE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")
REMEDY = "delete it"


def _clear_links(home: Path, name: str) -> None:
    """Remove drafts of ``latest``, as killed processes leave them."""
    for draft in home.glob(f".{LATEST}-*"):
        other = home / draft.name.removeprefix(f".{LATEST}-")
        if draft.is_symlink() and (other.name == name or not is_locked(other)):
            draft.unlink()


def make_latest(take: TakeFolder) -> None:
    """Let ``latest``, beside a take's folder that this process has locked, name that folder.

    Raises:
        TakeError: It cannot be written, or something else has its name.
    """
    home, name = take.path.parent, take.path.name
    link = home / LATEST
    with guarded(link, REMEDY):
        if link.exists() and not link.is_symlink() and _named(link) is None:
            raise TakeError(str(link), "is not a link to the newest take", "delete it or rename it")
        _clear_links(home, name)
        draft = home / f".{LATEST}-{name}"
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
    named = _named(take.path.parent / LATEST)
    return named is not None and named.is_dir() and named.name >= take.path.name


def leave_latest(take: TakeFolder) -> None:
    """Let ``latest`` name the newest of the complete takes that are left, or be gone, before a take is deleted.

    Raises:
        TakeError: It cannot be written.
    """
    link = take.path.parent / LATEST
    named = _named(link)
    if named is None or named.name != take.path.name:
        return
    others = (path.parent for path in take.path.parent.glob(f"*/{MANIFEST}"))
    rest = sorted(path for path in others if path.name not in (LATEST, take.path.name) and _is_complete(path))
    if rest:
        make_latest(TakeFolder(rest[-1]))
        return
    with guarded(link, REMEDY):
        link.unlink(missing_ok=True)


def followed(path: Path) -> Path:
    """Resolve a path as it is meant: where ``latest`` is a small file, the folder that it names stands for it."""
    for place in (path, *path.parents):
        if place.name == LATEST and not place.is_symlink() and (named := _named(place)):
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
