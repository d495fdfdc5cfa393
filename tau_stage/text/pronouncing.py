"""Words that are sent to a model as they sound, and its transcript spelt again as the scene has them.

A transcript may hold a word as it is written (``CIA``) or as it was sent (``C. I. A.``); both are the same word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from tau_stage.text.comparing import ALONE, MARKS, aligned, composed, core_of, holds, spoken_words, words_of

Sounds = tuple[tuple[str, str], ...]
"""Words as they are written, and as they are sent."""

_LETTER = rf"[\w{MARKS}]"
_MOMENT = r"(?P<moment>\[[^\[\]]*\])"


def pronounce(text: str, sounds: Sounds) -> str:
    """Write a text as it is sent: whole words as they sound, the longest first.

    What is written in small letters is found in any case, anything else only as it is written. Moments in brackets
    stay as they are.

    >>> pronounce("Nguyen's CIA file", (("CIA", "C. I. A."), ("nguyen", "Win")))
    "Win's C. I. A. file"
    """
    return _replaced(composed(text), list(_found(composed(text), sounds)), 0) if sounds else text


def never_pronounced(texts: Sequence[str], sounds: Sounds) -> list[str]:
    """Return the words that no text has, as they are written in ``sounds``.

    >>> never_pronounced(["The CIA called."], (("CIA", "C. I. A."), ("Fbi", "F. B. I."), ("called", "cold")))
    ['Fbi']
    """
    whole = [composed(text) for text in texts]
    folded = [text.casefold() for text in whole]
    everything = "\n".join(folded)

    def is_in(word: str, sound: str) -> bool:
        parts = [composed(part).casefold() for part in word.split()]
        if not all(part in everything for part in parts):
            return False
        likely = (text for text, plain in zip(whole, folded, strict=True) if all(part in plain for part in parts))
        return any(any(_found(text, ((word, sound),))) for text in likely)

    return [word for word, sound in sounds if not is_in(word, sound)]


def as_written(asked: str, said: str, sounds: Sounds) -> str:
    """Spell what was said as it was asked for, where a word is transcribed as it was sent.

    >>> as_written("The CIA called.", "The C. I. A. called.", (("CIA", "C. I. A."),))
    'The CIA called.'
    >>> as_written("Nguyen will win.", "Win will win.", (("Nguyen", "Win"),))
    'Nguyen will win.'
    """
    units = _units(composed(asked).strip(), sounds) if sounds and said else []
    if not any(unit.sounded for unit in units):
        return said
    pieces = words_of(composed(said))
    spoken = [at for at, piece in enumerate(pieces) if piece.compared and not piece.is_moment]
    words = [pieces[at].compared for at in spoken]
    shown = [piece.shown for piece in pieces]
    for unit, start, stop in _reading(units, words) or _likely_reading(units, words):
        first, last = spoken[start], spoken[stop - 1]
        text = "".join(shown[first : last + 1])
        shown[first : last + 1] = [_respelt(unit, text), *[""] * (last - first)]
    return "".join(shown)


class _Unit(NamedTuple):
    """A word of a line, or a run of words that is sent otherwise than it is written."""

    words: tuple[str, ...]  # as they are compared
    sounded: tuple[str, ...] = ()  # as they are compared, where they are sent otherwise
    text: str = ""  # as it is written
    signs: tuple[str, str] = ("", "")  # what its last word ends with as it is written, and as it is sent


_Found = tuple[int, int, str]  # where a word stands in a text, and what is sent for it
_Place = tuple[_Unit, int, int]  # what was said as it was sent, from a word to another


@lru_cache(maxsize=64)
def _finder(written: tuple[str, ...]) -> re.Pattern[str]:
    longest = sorted(enumerate(written), key=lambda one: -len(one[1]))
    return re.compile("|".join((_MOMENT, *(f"(?P<s{number}>{_pattern(word)})" for number, word in longest))))


def _pattern(written: str) -> str:
    """Return what finds a word where no letter stands beside it; scripts without blanks have words side by side."""
    word = composed(" ".join(written.split()))
    inner = re.escape(word).replace(r"\ ", r"\s+")
    before = "" if re.match(f"[{ALONE}]", word) else f"(?<!{_LETTER})"
    after = f"(?![{MARKS}])" if re.match(f"[{ALONE}]", word[-1]) else f"(?!{_LETTER})"
    return f"{before}(?i:{inner}){after}" if word == word.lower() else f"{before}{inner}{after}"


def _found(text: str, sounds: Sounds) -> Iterator[_Found]:
    for match in _finder(tuple(word for word, _ in sounds)).finditer(text):
        if match.lastgroup != "moment":
            yield match.start(), match.end(), sounds[int(str(match.lastgroup)[1:])][1].strip()


def _replaced(text: str, found: Sequence[_Found], offset: int) -> str:
    parts, at = list[str](), 0
    for start, stop, sound in found:
        parts += [text[at : start - offset], sound]
        at = stop - offset + (sound.endswith(".") and text[stop - offset :].startswith("."))
    return "".join((*parts, text[at:]))


def _units(asked: str, sounds: Sounds) -> list[_Unit]:
    """List the words of a line in order; those that are sent otherwise are one unit with what belongs to them."""
    units: list[_Unit] = []
    found = list(_found(asked, sounds))
    start = stop = 0
    words: list[str] = []
    for piece in words_of(asked):
        stop += len(piece.shown)
        words += [piece.compared] if piece.compared and not piece.is_moment else []
        here = [one for one in found if start <= one[0] < stop]
        if any(one[1] > stop for one in here):
            continue
        text = asked[start:stop]
        sounded = tuple(spoken_words(_replaced(text, here, start))) if here else ()
        if words:
            units.append(
                _Unit(tuple(words), sounded if sounded != tuple(words) else (), text, _signs(text, here, start))
            )
        start, words = stop, []
    return units


def _signs(text: str, found: Sequence[_Found], offset: int) -> tuple[str, str]:
    """Return the signs behind the last word, as it is written and as it is sent, where it is sent otherwise."""
    last = found[-1:]
    if not last or last[0][1] - offset < len("".join(core_of(text)[:2])):
        return "", ""
    start, stop, sound = last[0]
    return core_of(text[start - offset : stop - offset])[2], core_of(sound)[2]


def _ends(unit: _Unit, said: Sequence[str], starts: Iterable[int]) -> dict[int, int]:
    """Return where a unit may end in what was said, and where it begins then: at one of some places."""
    ends: dict[int, int] = {}
    for at in starts:
        for form in filter(None, (unit.words, unit.sounded)):
            if tuple(said[at : at + len(form)]) == form:
                ends.setdefault(at + len(form), at)
    return ends


def _reading(units: Sequence[_Unit], said: Sequence[str]) -> list[_Place] | None:
    """Find what was said as it was sent, where all words are there and no others; else None."""
    ways: list[dict[int, int]] = [{0: 0}]  # where each unit may end, and where it begins then
    for unit in units:
        ways.append(_ends(unit, said, ways[-1]))
    if len(said) not in ways[-1]:
        return None
    places: list[_Place] = []
    at = len(said)
    for unit, way in zip(reversed(units), reversed(ways), strict=False):
        start = way[at]
        if unit.sounded and tuple(said[start:at]) == unit.sounded:
            places.append((unit, start, at))
        at = start
    return places


def _likely_form(unit: _Unit, text: str) -> tuple[str, ...]:
    """Return a unit as it was sent, if only that was said; else as it is written."""
    return unit.sounded if _is_said(unit.sounded, text) and not _is_said(unit.words, text) else unit.words


def _likely_reading(units: Sequence[_Unit], said: Sequence[str]) -> list[_Place]:
    """Find what was said as it was sent, where other words were said, too."""
    text = " ".join(said)
    forms = [_likely_form(unit, text) for unit in units]
    steps = aligned([word for form in forms for word in form], said)
    moved = {a + n: c + n for kind, a, b, c, _ in steps if kind == "equal" for n in range(b - a)}
    places: list[_Place] = []
    at = 0
    for unit, form in zip(units, forms, strict=True):
        if form is unit.sounded and all(moved.get(at + n) == moved.get(at, -1) + n for n in range(len(form))):
            places.append((unit, moved[at], moved[at] + len(form)))
        at += len(form)
    return places


def _is_said(form: tuple[str, ...], text: str) -> bool:
    return bool(form) and holds(text, " ".join(form))


def _respelt(unit: _Unit, said: str) -> str:
    """Write a unit as the scene does, with the signs that stand around it in a transcript."""
    before, _, after = core_of(said)
    _, word, behind = core_of(unit.text)
    written, sent = unit.signs
    signs, blank = after.rstrip(), after[len(after.rstrip()) :]
    if sent and signs.startswith(sent):
        signs = signs.removeprefix(sent) or ("" if blank else behind.rstrip())
    return f"{before}{word}{written}{signs.removeprefix(written)}{blank}"
