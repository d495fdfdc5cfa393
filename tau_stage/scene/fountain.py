r"""Screenplays in Fountain (https://fountain.io/syntax): what is spoken in them, by whom, and where it stands.

Emphasis becomes our stress: ``_underlined_`` and ``*italic*`` are ``*stressed*``. Fountain follows Markdown, but for
``_``, which underlines: ``*italics*``, ``**bold**``, ``***both***``, ``_underline_``, one in the other. ``\*`` and
``\_`` are the signs themselves. A sign with a blank behind it begins nothing, one with a blank before it ends nothing.
Our notation has no stress within stress: the outermost counts, and is ``**`` where all of it is bold.

Sources: https://fountain.io/syntax, "Emphasis"; CommonMark 0.31, "Emphasis and strong emphasis".
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tau_stage.scene.script import PlayerNames, ScriptSpeech, closing
from tau_stage.scene.source import Location, Position, SceneWarning, Source

_PARTS = re.compile(r"\\(?P<sign>[!-/:-@\[-`{-~])|(?P<run>\*+|_+)|[^\\*_]+|\\")
_DEEPEST = 8  # runs among which a beginning is looked for, so that a line is read once
_SPOKEN = "()"  # what stays escaped, as our own notation reads it


@dataclass(slots=True)
class _Opened:
    """A run of signs that may begin emphasis."""

    sign: str
    at: int
    left: int


def stressed(text: str) -> str:
    """Write a line of Fountain with our stress; what is not emphasis stays."""
    return _written(*_read(text), "*")


def plain(text: str) -> str:
    """Take the emphasis off a line of Fountain."""
    return _written(*_read(text), "")


def _read(text: str) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Return the parts of a line, and from where to where signs among them emphasise: with one sign, or two."""
    parts: list[str] = []
    spans: list[tuple[int, int, int]] = []
    opened: list[_Opened] = []
    for found in _PARTS.finditer(text):
        if run := found["run"]:
            before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
            _run(run, before, after, parts, spans, opened)
        elif sign := found["sign"]:
            parts.append(found[0] if sign in _SPOKEN else sign)
        else:
            parts.append(found[0])
    return parts, spans


def _run(
    run: str, before: str, after: str, parts: list[str], spans: list[tuple[int, int, int]], opened: list[_Opened]
) -> None:
    """Let a run of signs end what it can, and begin what it may."""
    word = run[0] == "_" and before.isalnum() and after.isalnum()
    left = len(run)
    ends = bool(before) and not before.isspace() and not word
    while ends and left and (begin := _latest(opened, run[0])):
        used = 2 if min(left, begin.left) > 1 else 1
        left, begin.left = left - used, begin.left - used
        parts[begin.at] = run[0] * begin.left
        spans.append((begin.at, len(parts), used if run[0] == "*" else 1))
        if not begin.left:
            opened.pop()
    parts.append(run[0] * left)
    if left and after and not after.isspace() and not word:
        opened.append(_Opened(run[0], len(parts) - 1, left))


def _latest(opened: list[_Opened], sign: str) -> _Opened | None:
    """Return the latest run of a sign that is not ended; what was begun within it emphasises nothing."""
    if not any(each.sign == sign for each in opened[-_DEEPEST:]):
        return None
    while opened[-1].sign != sign:
        opened.pop()
    return opened[-1]


def _written(parts: list[str], spans: list[tuple[int, int, int]], mark: str) -> str:
    """Write the parts with stress around each outermost span."""
    lengths = [0, *accumulate(map(len, parts))]
    outer: dict[int, tuple[int, int]] = {}
    first = reach = 0
    for begin, end, signs in sorted(spans, key=lambda span: (span[0], -span[1])):
        if begin >= reach:
            first, reach = begin, end
        within, all_of_it = lengths[end] - lengths[begin], lengths[reach] - lengths[first]
        strength = signs if within == all_of_it else 1
        outer[first] = (reach, max(strength, outer.get(first, (0, 1))[1]))
    begins = {begin + 1: mark * strength for begin, (_, strength) in outer.items()}
    ends = {end: mark * strength for end, strength in outer.values()}
    pieces: list[str] = []
    for number in range(len(parts) + 1):
        pieces += [ends.get(number, ""), begins.get(number, ""), *parts[number : number + 1]]
    return "".join(pieces)


_OPENED = re.compile(r"/\*|\[\[")
_CLOSINGS = {"/*": re.compile(r"\*/"), "[[": re.compile(r"]]|\n[ \t]?\r?\n")}
"""What ends a boneyard, and what a note: a blank line, too, and then it is none."""

_UNSEEN = "\0"  # stands for each character of a note or a boneyard; no source holds it
_HOLES = re.compile(f" {_UNSEEN}+(?= |$)|{_UNSEEN}+")
_INSIDE = re.compile("(?P<end>\r\n|[\n\r\x85\u2028\u2029])|.")
_TITLE = re.compile(r"[^\W_][\w ]*:")
_HEADING = re.compile(r"(?:int|ext|est|int\.?/ext|i/e)[. ]|\.[^.]", re.IGNORECASE)
_NO_CUE = ("!", ">", "#", "=", "~")
_CONTINUES = ("MORE", "CONT'D", "CONT’D", "CONTINUED")
"""What a printed page says where a dialogue goes on over its edge."""

_WIDE = str.maketrans("＠＾", "@^")
LONGEST_CUE = 256  # characters of a line that may still name a speaker

_ACTION = "start an action in capitals with '!'"
_CUE = "write a cue on its own line, with a blank line above it and its words directly below"
_INLINE = re.compile("(?P<name>[^:\uff1a]+?)\\s*[:\uff1a]\\s*\\S")


def read_fountain(
    source: Source, players: Sequence[str], warnings: list[SceneWarning] | None = None
) -> list[ScriptSpeech]:
    """Read the speeches of a Fountain screenplay; nothing else of it is performed.

    Refuse who is no player; ``warnings`` takes what reads as a speech of a player, and is none.
    """
    reader = _FountainReader(source, PlayerNames(source, players))
    speeches = reader.read()
    if warnings is not None:
        warnings += reader.warnings
    return speeches


@dataclass(slots=True)
class _Dialogue:
    """What follows a cue."""

    speaker: str | None
    place: Position
    dual: bool
    directions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    asides: list[str] = field(default_factory=list)  # lines of a parenthesis that is not closed yet
    depth: int = 0  # how many parentheses are open in them

    def add(self, place: Position, line: str) -> None:
        if not self.directions and not self.words and not self.asides:
            self.place = place
        bare = plain(line)
        if not self.asides and not bare.startswith(("(", "（")):
            self.words.append(stressed(line.removeprefix("~").strip()))
            return
        self.asides.append(line)
        end, self.depth = closing(bare, self.depth)
        if end == len(bare):
            self.aside()
        elif end is not None:
            self.flush()

    def aside(self) -> None:
        """Take what is in parentheses for a direction, or for a moment behind words."""
        aside = " ".join(map(plain, self.asides))[1:-1].strip()
        self.asides = []
        if aside in _CONTINUES:
            return
        if self.words and aside:
            self.words.append(f"[{aside}]")
        elif aside:
            self.directions.append(aside)

    def flush(self) -> None:
        """Take lines for words that looked like a parenthetical."""
        self.words += map(stressed, self.asides)
        self.asides, self.depth = [], 0

    def text(self) -> str:
        self.flush()
        if not self.words:
            return " ".join(f"[{direction}]" for direction in self.directions)
        direction = [f"({', '.join(self.directions)})"] if self.directions else []
        return " ".join([*direction, *self.words])


class _FountainReader:
    """One pass over a screenplay's lines."""

    def __init__(self, source: Source, cast: PlayerNames) -> None:
        self.cast = cast
        self.warnings: list[SceneWarning] = []
        self.lines = _without_notes(source)
        self.found: list[ScriptSpeech] = []
        self.dialogue: _Dialogue | None = None
        self.follows = False
        """Whether nothing but blanks and notes stands between the dialogue before and here."""

    def read(self) -> list[ScriptSpeech]:
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
            goes_on = self.goes_on(number)
            if words and not (after_blank and goes_on and self.cue(_start(number, line), words)):
                self.follows = False
                self.check_action(_start(number, line), words, after_blank=after_blank, goes_on=goes_on)
            after_blank = not words
        self.close()
        self.cast.raise_any()
        return self.found

    def first(self) -> int:
        """Return the first line after the title page."""
        top = self.lines[0]
        if not _TITLE.match(top) or (top.isupper() and top.rstrip().endswith(":")) or self.inline_speaker(top):
            return 1
        return next((number for number, line in enumerate(self.lines, 1) if not line.strip()), len(self.lines) + 1)

    def inline_speaker(self, line: str) -> str | None:
        """Return the player whose name in capitals stands before words on one line, as our own scripts have it."""
        found = _INLINE.match(plain(line[:LONGEST_CUE]).strip())
        name = _without_extensions(found["name"].strip()) if found else ""
        return self.cast.find(name) if name.isupper() else None

    def named(self, cue: str) -> tuple[str, str | None]:
        """Return the name in a cue, without extensions but where a player has them, and the player."""
        whole = plain(cue.strip())
        name = whole if self.cast.find(whole) else _without_extensions(whole)
        return name, self.cast.find(name)

    def check_action(self, place: Position, line: str, *, after_blank: bool, goes_on: bool) -> None:
        """Note an action that reads as a speech of a player, which nobody speaks."""
        if len(line) > LONGEST_CUE or line.startswith(_NO_CUE):
            return
        name, speaker = self.named(line.translate(_WIDE).removesuffix("^"))
        is_cue = name.upper() == name
        inline = speaker is None and self.inline_speaker(line) is not None
        if inline or (speaker and is_cue and (after_blank or goes_on)):
            self.remark(place, "nobody speaks here, because this is an action", f"{_CUE}; {_ACTION}")
        elif speaker and after_blank and goes_on:
            hint = f"write '@{name}' to make {speaker} speak, or '!{line}' for an action"
            self.remark(
                place, "nobody speaks here, because a name that is not in capitals is treated as an action", hint
            )

    def remark(self, place: Position, problem: str, hint: str) -> None:
        location = Location(self.cast.source.path, place.line, place.column)
        self.warnings.append(SceneWarning(location, problem, hint))

    def goes_on(self, number: int) -> bool:
        """Tell whether words stand right under a line, past what nobody sees."""
        while number < len(self.lines) and _UNSEEN in self.lines[number]:
            if self.lines[number].strip(" \t" + _UNSEEN):
                return True
            number += 1
        return number < len(self.lines) and bool(self.lines[number].strip())

    def cue(self, place: Position, line: str) -> bool:
        """Begin a dialogue, where a line is somebody's cue."""
        line = line.translate(_WIDE)
        forced, dual = line.startswith("@"), line.endswith("^")
        if len(line) > LONGEST_CUE:
            return False
        name, speaker = self.named(line.removeprefix("@").removesuffix("^"))
        if not forced and not _is_cue(line, name, known=speaker is not None):
            return False
        if speaker is None:
            self.cast.refuse(place, name, "" if forced else _ACTION)
        self.dialogue = _Dialogue(speaker, place, dual and self.follows)
        return True

    def close(self) -> None:
        spoken, self.dialogue = self.dialogue, None
        self.follows = self.follows or spoken is not None
        if spoken is not None and spoken.speaker is not None:
            self.found.append(ScriptSpeech(spoken.speaker, spoken.text(), *spoken.place, dual=spoken.dual))


def _without_extensions(name: str) -> str:
    """Return a cue without what stands behind the name in parentheses, such as ``(V.O.)``."""
    while name.endswith((")", "）")):
        depth, at = 0, len(name)
        for at in range(len(name) - 1, -1, -1):
            depth += (name[at] in ")）") - (name[at] in "(（")
            if not depth:
                break
        if depth or not at:
            return name
        name = name[:at].rstrip()
    return name


def _is_cue(line: str, name: str, *, known: bool) -> bool:
    """Tell whether a line under a blank one names a speaker; a name without capitals must be a player's."""
    if line.startswith(_NO_CUE) or _HEADING.match(line) or name.endswith("TO:"):
        return False
    return name.isupper() or (known and name.upper() == name.lower())


def _without_notes(source: Source) -> tuple[str, ...]:
    """Return the lines with everything hidden that is a note or struck out; all else stays in its column."""
    text, seen, kept = source.text, 0, []
    closings = {sign: list(end.finditer(text)) for sign, end in _CLOSINGS.items()}
    for opened in _OPENED.finditer(text):
        after = bisect_left(closings[opened[0]], opened.end(), key=re.Match.start)
        end = next(iter(closings[opened[0]][after : after + 1]), None)
        if opened.start() >= seen and end and not end[0].isspace():
            kept += [text[seen : opened.start()], _INSIDE.sub(_UNSEEN + r"\g<end>", text[opened.start() : end.end()])]
            seen = end.end()
    return tuple(re.split("\r\n|[\n\r\x85\u2028\u2029]", "".join([*kept, text[seen:]])))


def _start(number: int, line: str) -> Position:
    """Tell where the first character stands that is seen."""
    return Position(number, len(line) - len(line.lstrip(" \t" + _UNSEEN)) + 1)
