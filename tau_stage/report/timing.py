"""When each word of a line is heard: estimated, as providers tell the words of a response and not their times."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tau_stage.take.take_model import Performed
from tau_stage.text import one_line

LONGEST = 42
"""Columns of a line of subtitles, and so of the longest word: longer ones are taken apart."""

_MOST_SIGNS = 4 * LONGEST
"""Of a word: accents that combine take no column, and there may be any number of them."""

_SENTENCE = re.compile(r"[.!?…。！？｡][\"'”’»)\]]*$")
_PHRASE = re.compile(r"[,;:–—、，；：-][\"'”’»)\]]*$")
_PAUSES = {"sentence": 7.0, "phrase": 3.5, "": 0.0}


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it stands between blanks, with its punctuation.

    Attributes:
        text: As it was transcribed.
        start_s: Seconds from the beginning of the take.
        end_s: Where the pause after it begins.
        estimated: Whether the times are a guess; so far they always are.
        glued: Whether it belongs to the word before, without a blank: a long one was taken apart.
    """

    text: str
    start_s: float
    end_s: float
    estimated: bool = True
    glued: bool = False


def columns(text: str) -> int:
    r"""Count how wide a text is: Chinese, Japanese and Korean signs take two columns, accents that combine take none.

    Source: Unicode Standard Annex #11, East Asian Width.

    >>> columns("umbrella"), columns("傘"), columns("e\N{COMBINING ACUTE ACCENT}")
    (8, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_width(sign) for sign in text)


def _width(sign: str) -> int:
    if unicodedata.category(sign)[0] == "M":
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def border(word: str) -> str:
    """Return what ends with a word: a ``sentence``, a ``phrase`` or nothing.

    >>> border("umbrella."), border("Well,"), border("the")
    ('sentence', 'phrase', '')
    """
    return "sentence" if _SENTENCE.search(word) else "phrase" if _PHRASE.search(word) else ""


def words_of(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a text, and whether each is glued to the one before.

    What is wider than a line of subtitles is taken apart, behind punctuation where there is some: an address, or a
    sentence in a script without blanks.
    """
    for word in one_line(text).split():
        for number, piece in enumerate(_pieces(word)):
            yield piece, number > 0


def _pieces(word: str) -> Iterator[str]:
    if columns(word) <= LONGEST and len(word) <= _MOST_SIGNS:
        yield word
        return
    piece, width = "", 0
    for sign in word:
        own = _width(sign)
        is_full = width + own > LONGEST or len(piece) >= _MOST_SIGNS
        if piece and (is_full or (own == 2 and border(piece) and not border(sign))):
            yield piece
            piece, width = "", 0
        piece, width = piece + sign, width + own
    yield piece


def word_times(line: Performed) -> list[Word]:
    """Spread the words of a line over it by their length, with pauses at punctuation.

    Args:
        line: One without sound has all its words where it begins.
    """
    return spread(line.said, line.offset_s, line.offset_s + line.duration_s)


def spread(text: str, start_s: float, end_s: float) -> list[Word]:
    """Spread the words of a text over a time."""
    words = list(words_of(text))
    sounds = [1.0 + sum(map(str.isalnum, word)) * (1 + (columns(word) > len(word))) for word, _ in words]
    pauses = [_PAUSES[border(word)] for word, _ in words]
    whole = sum(sounds) + sum(pauses[:-1])
    spread_out: list[Word] = []
    passed = 0.0
    for (word, glued), sound, pause in zip(words, sounds, pauses, strict=True):
        begin, end = (_between(start_s, end_s, share / whole) for share in (passed, passed + sound))
        spread_out.append(Word(word, begin, end, glued=glued))
        passed += sound + pause
    return spread_out


def _between(start_s: float, end_s: float, share: float) -> float:
    return min(end_s, start_s + (end_s - start_s) * share)


def joined(words: Sequence[Word]) -> str:
    """Join words to a text again, with blanks where they had some."""
    return "".join(word.text if number == 0 or word.glued else f" {word.text}" for number, word in enumerate(words))
