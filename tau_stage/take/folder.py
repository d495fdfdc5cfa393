"""The take's folder: where its files go, and how they become whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath

from tau_stage.errors import TakeError
from tau_stage.scene.deliver import Mix
from tau_stage.scene.names import slug
from tau_stage.take.drafts import clear_drafts, draft_beside
from tau_stage.take.journal import FULL_DISK, NAME, read_beginning, sync_folder
from tau_stage.take.model import Alternative, Performed
from tau_stage.text import printable_json

REMEDIES = {
    errno.ENOENT: "its folder was removed or renamed meanwhile: run the scene again",
    errno.EMFILE: "too much is open at once: raise the limit with ulimit -n 1024, and go on with tau-stage resume",
    errno.EFBIG: "a file may not grow so large here: look at ulimit -f, or split the scene; what was spoken is kept",
    errno.EROFS: "let it be written to, and go on with tau-stage resume; what was spoken before is kept",
}
"""What to do where a disk fails while a scene is performed, and it is not full."""

MIX: str = Mix.model_fields["file"].default
MANIFEST, COSTS, CHECKS, REPORT = "take.json", "cost.json", "checks.json", "report.html"
STEMS = "stems"


class TakeFolder:
    """One take's folder: the one place that knows its files. They have their final names only when they are whole.

    Args:
        path: Exists, with ``lines/`` and ``stems/`` in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, out: Path, scene: str, started: datetime, short_id: str) -> TakeFolder:
        """Make ``out/<scene>/<UTC time>-<short id>/``.

        Args:
            out: Made if it is not there.
            scene: The scene's slug.
            started: UTC.
            short_id: Keeps two takes of one second apart.

        Raises:
            TakeError: It cannot be made.
        """
        path = out / scene / f"{started:%Y%m%dT%H%M%SZ}-{short_id}"
        with guarded(path, "choose another folder with --out"):
            for name in ("lines", "stems"):
                (path / name).mkdir(parents=True)
        return cls(path)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / NAME

    @property
    def manifest(self) -> Path:
        """The file that tells of the take, ``take.json``."""
        return self.path / MANIFEST

    @property
    def checks(self) -> Path:
        """The file that tells what was expected of the take and what came of it."""
        return self.path / CHECKS

    @property
    def report(self) -> Path:
        """The take's page."""
        return self.path / REPORT

    @property
    def mix(self) -> Path | None:
        """The mix, under the name that the scene gave it; None where there is none."""
        try:
            wanted = read_beginning(self.journal).deliver.mix
            name = wanted.file if wanted else None
        except TakeError:  # a take.json alone, as somebody handed it on
            name = MIX
        return path if name and (path := self.path / name).is_file() else None

    @property
    def stems(self) -> Path:
        """The folder of the stems."""
        return self.path / STEMS

    def stem(self, player: str) -> Path:
        """Return the stem of a player.

        >>> TakeFolder(Path("t")).stem("The Clerk").as_posix()
        't/stems/the-clerk.wav'
        """
        return self.path / stem_name(slug(player))

    def sound(self, line: Performed | Alternative) -> Path:
        """Return the sound of a line, or of another take of it.

        Raises:
            TakeError: It has none, or its file would be outside the folder.
        """
        if line.file is None:
            which = f"line {line.id}" if isinstance(line, Performed) else f"take {line.take}"
            raise TakeError(str(self.path), f"{which} has no sound: it was not spoken aloud", "name another line")
        return self.inside(line.file)

    def inside(self, name: str) -> Path:
        """Return a file of the take, as the take names it.

        Args:
            name: Relative to the folder.

        Raises:
            TakeError: It would be outside the folder.
        """
        parts = PurePosixPath(name).parts
        path = self.path.joinpath(*parts)
        is_plain = (
            bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and ":" not in name
        )
        try:
            place, folder = path.resolve(), self.path.resolve()
            loops = any(part.is_symlink() for part in (place, *place.parents))  # from Python 3.13 on, it is no error
            if is_plain and place.is_relative_to(folder) and not loops:
                return path
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null in the name
            pass
        raise TakeError(str(self.path), f"names a file outside itself: {name}", "do not trust this take")

    def forget(self, *names: str) -> None:
        """Remove files that are no longer true.

        Raises:
            TakeError: One cannot be removed.
        """
        for name in names:
            with guarded(self.path / name, "make the folder writable"):
                (self.path / name).unlink(missing_ok=True)

    def drafts(self, name: str) -> Path:
        """Make an empty folder for files that are to take the place of those in another.

        Raises:
            TakeError: It cannot be made.
        """
        path = self.path / f".{name}.part"
        with guarded(path, FULL_DISK):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            (self.path / name).mkdir(exist_ok=True)
        return path

    def line(self, number: int, player: str, line_id: str, attempt: int | None = None) -> Path:
        """Return the file of a line; of an attempt that failed, if one is given.

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
        """Return the file of a take of a line that was not picked, beside the line's.

        >>> TakeFolder(Path("t")).other(Path("t/lines/007-ann-1.wav"), 2).name
        '007-ann-1.take-2.wav'
        """
        return line.with_suffix(f".take-{take}.wav")

    def write(self, name: str, text: str) -> None:
        """Write a whole file: under another name first, then renamed.

        Raises:
            TakeError: It cannot be written.
        """
        self.write_all({name: text})

    def write_all(self, texts: Mapping[str, str], hint: str = FULL_DISK) -> None:
        """Write whole files: all under other names first, then renamed; where one has no room, none is changed.

        Args:
            texts: By file name.
            hint: What to do where they cannot be written.

        Raises:
            TakeError: They cannot be written.
        """
        write_whole({self.path / name: text for name, text in texts.items()}, hint)


def stem_name(name: str) -> str:
    """Return the file of a stem, relative to the take's folder."""
    return f"{STEMS}/{name}.wav"


def write_whole(texts: Mapping[Path, str | bytes], hint: str) -> None:
    """Write whole files: all under other names first, then renamed; where one has no room, none is changed.

    Args:
        texts: By file; those of JSON are written with escapes for what is not meant to be seen. Bytes are written as
            they are.
        hint: What to do where they cannot be written.

    Raises:
        TakeError: They cannot be written.
    """
    with ExitStack() as opened:
        for folder in {final.parent for final in texts}:
            clear_drafts(folder)
        drafts = {}
        for final, text in texts.items():
            with guarded(final, hint):
                if final.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final))
                number, drafts[final] = opened.enter_context(draft_beside(final))
                with open(number, "wb", closefd=False) as file:
                    file.write(text if isinstance(text, bytes) else _encoded(final, text))
                    file.flush()
                    os.fsync(number)
        for final, draft in drafts.items():
            with guarded(final, hint):
                draft.replace(final)
                sync_folder(final.parent)


def copy_whole(file: Path, final: Path, hint: str) -> None:
    """Copy a file: under another name first, then renamed.

    Raises:
        TakeError: It cannot be read or written.
    """
    with guarded(final, hint), draft_beside(final) as (number, draft):
        with file.open("rb") as source, open(number, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy)
        draft.replace(final)
        sync_folder(final.parent)


def _encoded(final: Path, text: str) -> bytes:
    text = printable_json(text) if final.suffix == ".json" else text
    return text.encode("utf-8", errors="backslashreplace")


@contextmanager
def guarded(path: Path, hint: str) -> Iterator[None]:
    """Turn a failing disk into a ``TakeError`` that names the file."""
    try:
        yield
    except OSError as error:
        if hint == FULL_DISK and error.errno is not None:
            hint = REMEDIES.get(error.errno, hint)
        raise TakeError(error.filename or str(path), (error.strerror or str(error)).lower(), hint) from error
