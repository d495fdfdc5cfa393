"""The scene file as text: read with care, and every error points into it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from shlex import quote
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, SceneError, is_lfs_pointer
from tau_stage.scene.names import listed, nearest
from tau_stage.text import columns

LARGEST_BYTES = 2 * 1024 * 1024  # a scene of a thousand pages; whatever is larger is no scene
WIDEST = 100  # characters of a source line that an error shows

# YAML 1.1 breaks lines at these (section 5.4); our line numbers must be its line numbers.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# YAML's printable set (section 5.1), without a byte order mark in mid-text.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


class Position(NamedTuple):
    """A place in the file: line and column, both from 1, in characters."""

    line: int
    column: int


class Quoted(str):
    """A text that stands in quotes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a scene file."""

    path: str  # as the user named it
    text: str  # without a byte order mark
    sha256: str  # of the file's bytes
    lines: tuple[str, ...]  # the text cut where YAML cuts it

    @classmethod
    def of(cls, text: str, path: str) -> "Source":
        """Make a source of text in memory; refuse a character that no YAML may hold."""
        data = text.encode("utf-8", "surrogatepass")
        text = text.removeprefix("\ufeff")
        source = cls(path, text, hashlib.sha256(data).hexdigest(), tuple(_BREAK.split(text)))
        if bad := _FORBIDDEN.search(text):
            problem = f"a scene must be text, but U+{ord(bad[0]):04X} is a control character"
            raise source.error(source.place(bad.start()), problem, "remove the character, or save the file as text")
        return source

    def line(self, number: int) -> str:
        """Return one line of the file, from 1; past the end, where YAML may point, an empty one."""
        return self.lines[number - 1] if number <= len(self.lines) else ""

    def place(self, offset: int) -> Position:
        """Return line and column of a character."""
        before = _BREAK.split(self.text[:offset])
        return Position(len(before), len(before[-1]) + 1)

    def error(self, place: Position, problem: str, hint: str = "") -> SceneError:
        """Make an error at a place of this file, with the source line under it; past the end is at the end."""
        if place.line > len(self.lines):
            place = Position(len(self.lines), len(self.lines[-1]) + 1)
        shown, caret = _excerpt(self.line(place.line), place.column)
        return SceneError(self.path, place.line, place.column, problem, hint, shown, caret=caret)


SCENE_FILE = "the scene file"


def read_source(path: str | Path, what: str = SCENE_FILE) -> Source:
    """Read a scene file, or another that it names; what is too large is never read.

    Args:
        path: The file.
        what: What errors call it.

    Raises:
        SceneError: There is no such file, it cannot be read, is too large, or is not text.
    """
    file, name = Path(path), str(path)
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):
            fact, hint = _about_folder(file) if S_ISDIR(status.st_mode) else ("is not a file", "choose a scene file")
            raise SceneError(name, 1, 1, f"{what} {fact}", hint)
        if status.st_size > LARGEST_BYTES:
            size, most = f"{status.st_size / 1e6:,.1f} MB", f"{LARGEST_BYTES / 1e6:.1f} MB"
            problem = f"{what} is {size}, but the limit is {most}"
            raise SceneError(
                name, 1, 1, problem, "check that this is the right file, or split a long play into several scenes"
            )
        data = file.read_bytes()
    except FileNotFoundError:
        fact, hint = _about_missing(file)
        hint = hint or (_scenes_beside(file) if what == SCENE_FILE else "")
        raise SceneError(name, 1, 1, f"{what} {fact}", hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SceneError(name, 1, 1, f"{what} cannot be read: {reason}", "check the permissions of the file") from None
    return _decode(data, name, what)


def _about_folder(file: Path) -> tuple[str, str]:
    if (file / "journal.jsonl").exists():
        return "is a take folder", f"to continue a stopped take: tau-stage resume {quote(str(file))}"
    within = sorted(file.glob("*.y*ml"))
    return "is a folder", f"choose a file in it, for example '{within[0]}'" if within else "choose a scene file"


def _about_missing(file: Path) -> tuple[str, str]:
    if file.is_symlink():
        return "is a link to a file that does not exist", "fix the link, or delete it"
    pattern = "*.y*ml" if file.suffix in ("", ".yaml", ".yml") else f"*{escape(file.suffix)}"
    others = sorted(other.name for other in file.parent.glob(pattern) if other.exists())
    near = next((other for other in others if Path(other).stem == file.name), None) or nearest(file.name, others)
    return "does not exist", f"did you mean '{file.with_name(near)}'?" if near else ""


def _scenes_beside(file: Path) -> str:
    """Return a hint that names files which may be scenes, in the folder of one that is not there."""
    names = [str(other) for other in sorted(file.parent.glob("*.y*ml"))]
    return f"existing scene files: {listed(names)}" if names else "to create a first scene: tau-stage init DIR"


def _decode(data: bytes, name: str, what: str) -> Source:
    if is_lfs_pointer(data):
        raise SceneError(name, 1, 1, f"{what} {LFS_PROBLEM}", LFS_HINT)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(data) > 1 and (data[0] == 0) != (data[1] == 0)):
        raise SceneError(name, 1, 1, f"{what} is UTF-16 text", "save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = Source.of(_FORBIDDEN.sub("\ufffd", data[: error.start].decode("utf-8")), name)
        problem = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        raise before.error(before.place(len(before.text)), problem, "save the file as UTF-8") from None
    return Source.of(text, name)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Choose what to show of a line, and where the caret stands under it."""
    start = max(0, column - WIDEST // 2) if column > WIDEST - 20 else 0
    shown = line[start : start + WIDEST]
    if start:
        shown = "…" + shown[1:]
    if start + WIDEST < len(line):
        shown = shown[:-1] + "…"
    shown = _FORBIDDEN.sub("\ufffd", shown).replace("\t", " ")
    return shown, columns(shown[: column - 1 - start]) + 1


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file, as the user named it; line and column from 1, in characters."""

    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class SceneWarning:
    """What can be performed, and may not be what its author meant."""

    location: Location
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}"


Key = tuple[str, ...]
"""What stands there: ``("line", id)``, ``("player", name)``, ``("sound", id)``, ``("cue", id)``; one of its options, as
in ``("line", id, "expect", "loudness")``; or ``("expect", "cost")`` of the scene, and ``()`` for its lines."""

Locations = Mapping[Key, Location]


def locate(locations: Locations, *key: str) -> Location:
    """Tell where something stands; what stands nowhere by itself, stands where that is which it belongs to.

    >>> locate({(): Location("x.yaml", 3, 1)}, "line", "ann-1", "pause")
    Location(path='x.yaml', line=3, column=1)
    """
    while key not in locations:
        key = key[:-1]
    return locations[key]
