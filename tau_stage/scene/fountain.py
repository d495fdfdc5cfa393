"""Screenplays in Fountain (https://fountain.io/syntax): what is spoken in them, by whom, and where it stands."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from tau_stage.scene.script import Cast, Spoken
from tau_stage.scene.source import Place, Source

_OPENED = re.compile(r"/\*|\[\[")
_BLANK = re.compile(r"\n[ \t]?\r?\n")
_UNSEEN = "\0"
"""Stands for each character of a note or a boneyard; no source holds it."""

_HOLES = re.compile(f" {_UNSEEN}+(?= |$)|{_UNSEEN}+")
_INSIDE = re.compile("(?P<end>\r\n|[\n\r\x85\u2028\u2029])|.")
_TITLE = re.compile(r"[^\W_][\w ]*:")
_HEADING = re.compile(r"(?:int|ext|est|int\.?/ext|i/e)[. ]|\.[^.]", re.IGNORECASE)
_NO_CUE = ("!", ">", "#", "=", "~")
_EXTENSIONS = re.compile(r"(?:\s*\([^()]*\))+$")
_PARENTHETICAL = re.compile(r"\((.*)\)", re.DOTALL)
_ACTION = "an action in capitals begins with '!'"


def read_fountain(source: Source, players: Sequence[str]) -> list[Spoken]:
    r"""Read the speeches of a Fountain screenplay; nothing else of it is performed.

    Args:
        source: The file.
        players: The scene's players.

    Raises:
        SceneError: Somebody speaks who is no player; others are in its ``also``.

    >>> read_fountain(Source.of("INT. SHOP\n\nANN (V.O.)\n(low)\nHi.", "x.fountain"), ["ann"])
    [Spoken(speaker='ann', text='(low) Hi.', line=4, column=1, dual=False)]
    """
    return _Reader(source, Cast(source, players)).read()


@dataclass(slots=True)
class _Dialogue:
    """What follows a cue."""

    speaker: str | None
    place: Place
    dual: bool
    directions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def add(self, place: Place, line: str) -> None:
        if not self.directions and not self.words:
            self.place = place
        aside = _PARENTHETICAL.fullmatch(line)
        if aside is None:
            self.words.append(line.removeprefix("~").strip())
        elif self.words:
            self.words.append(f"[{aside[1].strip()}]")
        else:
            self.directions.append(aside[1].strip())

    def text(self) -> str:
        direction = [f"({', '.join(self.directions)})"] if self.directions else []
        return " ".join([*direction, *self.words])


class _Reader:
    """One pass over a screenplay's lines."""

    def __init__(self, source: Source, cast: Cast) -> None:
        self.cast = cast
        self.lines = _without_notes(source)
        self.found: list[Spoken] = []
        self.dialogue: _Dialogue | None = None

    def read(self) -> list[Spoken]:
        after_blank = True
        for number in range(self.first(), len(self.lines) + 1):
            line = self.lines[number - 1]
            words = _HOLES.sub("", line).strip()
            if not words and _UNSEEN in line:
                continue
            if self.dialogue is not None and (words or "  " in line):
                if words:
                    self.dialogue.add(_start(number, line), words)
                continue
            self.close()
            if words and after_blank and self.goes_on(number):
                self.cue(_start(number, line), words)
            after_blank = not words
        self.close()
        self.cast.raise_any()
        return self.found

    def first(self) -> int:
        """The first line after the title page."""
        top = self.lines[0]
        if not _TITLE.match(top) or (top.isupper() and top.rstrip().endswith(":")):
            return 1
        return next((number for number, line in enumerate(self.lines, 1) if not line.strip()), len(self.lines) + 1)

    def goes_on(self, number: int) -> bool:
        """Whether words stand right under a line, past what nobody sees."""
        under = (line for line in self.lines[number:] if _UNSEEN not in line or line.strip(" \t" + _UNSEEN))
        return bool(next(under, "").strip())

    def cue(self, place: Place, line: str) -> None:
        """Begin a dialogue, where a line is somebody's cue."""
        forced, dual = line.startswith("@"), line.endswith("^")
        whole = line.removeprefix("@").removesuffix("^").strip()
        name = whole if self.cast.find(whole) else _EXTENSIONS.sub("", whole).strip()
        speaker = self.cast.find(name)
        if not forced and not _is_cue(line, name, known=speaker is not None):
            return
        if speaker is None:
            self.cast.refuse(place, name, "" if forced else _ACTION)
        self.dialogue = _Dialogue(speaker, place, dual)

    def close(self) -> None:
        spoken, self.dialogue = self.dialogue, None
        if spoken is not None and spoken.speaker is not None:
            self.found.append(Spoken(spoken.speaker, spoken.text(), *spoken.place, dual=spoken.dual))


def _is_cue(line: str, name: str, *, known: bool) -> bool:
    """Whether a line under a blank one names a speaker; a name without capitals must be a player's."""
    if line.startswith(_NO_CUE) or _HEADING.match(line) or name.endswith("TO:"):
        return False
    return name.isupper() or (known and name.upper() == name.lower())


def _without_notes(source: Source) -> tuple[str, ...]:
    """The lines with everything hidden that is a note or struck out; all else stays in its column."""
    text, seen, kept = source.text, 0, []
    closings = {"/*": _all("*/", text), "[[": _all("]]", text)}
    blanks = [blank.start() for blank in _BLANK.finditer(text)]
    for opened in _OPENED.finditer(text):
        begin, end = opened.start(), _next(closings[opened[0]], opened.end())
        if begin < seen or end is None or (opened[0] == "[[" and (_next(blanks, begin) or end) < end):
            continue
        kept += [text[seen:begin], _INSIDE.sub(_hide, text[begin : end + 2])]
        seen = end + 2
    return tuple(re.split("\r\n|[\n\r\x85\u2028\u2029]", "".join([*kept, text[seen:]])))


def _all(sign: str, text: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(sign), text)]


def _next(places: Sequence[int], place: int) -> int | None:
    """The first of some ordered places that does not come before another."""
    return next(iter(places[(index := bisect_left(places, place)) : index + 1]), None)


def _hide(character: re.Match[str]) -> str:
    return _UNSEEN + (character["end"] or "")


def _start(number: int, line: str) -> Place:
    """Where the first character stands that is seen."""
    return Place(number, len(line) - len(line.lstrip(" \t" + _UNSEEN)) + 1)
