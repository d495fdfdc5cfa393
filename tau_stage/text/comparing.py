r"""Words, texts and names as they are compared, counted and measured: one way for picks, pages and expectations.

Names are composed (Unicode NFC) wherever they are read: ``Zoë`` may be four characters or five and looks the same.
Where capitals do not count they are folded. The dotted and the dotless I of Turkish are then one letter.

What is asked and what a transcript says are written by different hands. So a word is its letters and digits, in one
form (Unicode NFKC, no capitals):

- Punctuation, white space, marks of stress and apostrophes of any kind are no part of it: ``don’t`` is ``dont``.
- A hyphen, a dash, a slash or dots within it part it: ``twenty-one`` is ``twenty one``. A soft hyphen does not.
- A comma, a point, an apostrophe or a no-break space that groups three digits is no part of a number, any other sign
  parts it: ``1,000`` is ``1000``, and ``3.5`` is ``3 5``. Numbers in words stay words, in whatever language.
- Scripts that put no blanks between words are compared sign by sign.
- What stands in brackets is a moment. It is heard, not said, and is no word.

Sources: Unicode Standard Annex 15 (normalisation), Unicode 16 section 5.18 (caseless matching).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby
from typing import Literal, NamedTuple

MOST_COMPARED = 4_000_000
"""Words of one times words of the other, without their common beginning and end. Above it, comparing takes seconds."""

Edit = tuple[Literal["equal", "replace", "delete", "insert"], int, int, int, int]
"""What becomes of ``a[1:2]`` in ``b[3:4]``, as ``difflib`` tells it."""

MOST_MEASURED = 1_000_000_000  # words of one times words of the other whose distance is measured exactly: half a second

ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
MARKS = "\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f\U000e0100-\U000e01ef"
_SILENT = re.compile("[\u2212\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""A minus, and selectors of how a sign is drawn: symbols and marks that make no other word."""

_GROUPED = r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))"
_MOMENT = re.compile(r"(\*?\[[^\[\]]*\]\*?[.,;:!?…]*\s*)")
_WORD = re.compile(rf"[{ALONE}][{MARKS}]*\s*|(?:[^\s{ALONE}]|{_GROUPED})+\s*|\s+")
_ENDS_ALONE = re.compile(rf"[\s{ALONE}\u2010-\u2015/-]$")
_JOINT = re.compile(
    r"(?<=\S)(?:[-\u2010-\u2015\u2044\u2212\uff0d/…]+|\.{2,})(?=\S)|(?<=\d)(?:[.,．，](?!\d{3}(?!\d))|[:：])(?=\d)"
)
_APOSTROPHES = str.maketrans(dict.fromkeys("'’‘‛ʼʻʽʾʿʹˈꞌꞋ`´′＇❛❜"))


def composed(name: str) -> str:
    r"""Write a name in the one form in which names are compared.

    >>> composed("Zoe\u0308") == "Zoë"
    True
    """
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    r"""Write a name as it is compared where capitals, the width of letters and the number of blanks do not count.

    >>> folded("OLD\u00a0 MAN") == folded("Old Man"), folded("ＡＮＮ"), folded("ZOE\u0308") == folded("zoë")
    (True, 'ann', True)
    """
    return " ".join(caseless(name).split())


def caseless(text: str) -> str:
    """Write a text without capitals, in one form (Unicode NFKC)."""
    small = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return small.replace("i\u0307", "i").replace("ı", "i")


def aligned(a: Sequence[str], b: Sequence[str]) -> list[Edit]:
    """List the changes that turn one list into the other, in order. What is too long to compare is one change.

    >>> aligned(["a", "red", "door"], ["a", "blue", "door"])
    [('equal', 0, 1, 0, 1), ('replace', 1, 2, 1, 2), ('equal', 2, 3, 2, 3)]
    """
    head, tail = _ends(a, b)
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    found: list[Edit] = [("equal", 0, head, 0, head)] if head else []
    if len(left) * len(right) > MOST_COMPARED:
        found.append(("replace", head, head + len(left), head, head + len(right)))
    else:
        steps = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
        found += [(kind, head + i, head + j, head + k, head + m) for kind, i, j, k, m in steps]
    if tail:
        found.append(("equal", len(a) - tail, len(a), len(b) - tail, len(b)))
    return found


def alikeness(a: Sequence[str], b: Sequence[str]) -> float:
    """Measure how alike two lists are, from 0 to 1. Of lists too long to compare, only the words count.

    >>> alikeness(["a", "red", "door"], ["a", "blue", "door"]), alikeness([], [])
    (0.6666666666666666, 1.0)
    """
    if not a and not b:
        return 1.0
    if len(a) * len(b) <= MOST_COMPARED:
        return SequenceMatcher(None, a, b, autojunk=False).ratio()
    head, tail = _ends(a, b)
    left, right = Counter(a[head : len(a) - tail]), Counter(b[head : len(b) - tail])
    return 2.0 * (head + tail + (left & right).total()) / (len(a) + len(b))


def _ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Tell how many words both begin with, and how many of the others both end with."""
    shortest = min(len(a), len(b))
    head = next((at for at in range(shortest) if a[at] != b[at]), shortest)
    tail = next((at for at in range(shortest - head) if a[-1 - at] != b[-1 - at]), shortest - head)
    return head, tail


class Word(NamedTuple):
    """A word, or a moment, of a text."""

    shown: str  # as it stands there, with the signs and the space around it
    compared: str  # empty, where there are signs only
    is_moment: bool = False  # heard and not said


def words_of(text: str) -> list[Word]:
    """List the words and moments of a text, in order. All that is shown is the text, without white space at its ends.

    >>> [word.compared for word in words_of("[sighs] Well -- twenty-one, you don’t *say*!")]
    ['[sighs]', 'well', 'twenty', 'one', 'you', 'dont', 'say']
    """
    found: list[Word] = []
    for part in _MOMENT.split(text.strip()):
        if _MOMENT.fullmatch(part):
            found.append(Word(part, part.strip(), is_moment=True))
        else:
            found += _spoken(part)
    return found


def spoken_words(text: str) -> list[str]:
    """List the words of a text as they are compared; moments are none.

    >>> spoken_words("[sighs] Well, *now* -- it’s 1,000!")
    ['well', 'now', 'its', '1000']
    """
    return [word.compared for word in words_of(text) if word.compared and not word.is_moment]


def is_parted(shown: str) -> bool:
    """Tell whether what stands behind a word as it is shown is parted from it.

    >>> is_parted("so "), is_parted("so"), is_parted("好")
    (True, False, True)
    """
    return _ENDS_ALONE.search(shown) is not None


def same_words(one: str, other: str) -> bool:
    """Tell whether two texts say the same words.

    >>> same_words("Don’t go: it’s [sighs] *late*.", "dont go, it's late")
    True
    """
    return spoken_words(one) == spoken_words(other)


def closeness(one: str, other: str) -> float:
    """Measure how near two texts are, by words, from 0 to 1.

    >>> closeness("Don’t go.", "don't go"), closeness("Yes.", "No.")
    (1.0, 0.0)
    """
    return alikeness(spoken_words(one), spoken_words(other))


def word_error_rate(asked: str, said: str) -> float:
    """Measure the words that were changed, left out or put in, as a share of the words asked for.

    >>> word_error_rate("the last one today", "the lost one"), word_error_rate("", "so"), word_error_rate("", "")
    (0.5, 1.0, 0.0)
    """
    ours, theirs = spoken_words(asked), spoken_words(said)
    if not ours:
        return float(bool(theirs))
    return _edits(ours, theirs) / len(ours)


def holds(said: str, phrase: str) -> bool:
    """Tell whether words stand in a text, in a row.

    >>> holds("That's my umbrella, sir.", "My umbrella"), holds("umbrellas", "umbrella")
    (True, False)
    """
    ours, theirs = (f" {' '.join(spoken_words(text))} " for text in (phrase, said))
    return ours in theirs or not ours.strip()


def letters_apart(asked: str, said: str) -> float:
    """Measure how much of two texts differs, by letters: recognisers err in words that sound alike and look alike.

    >>> letters_apart("Can I have it?", "can I have it")
    0.0
    """
    ours, theirs = " ".join(spoken_words(asked)), " ".join(spoken_words(said))
    longest = max(len(ours), len(theirs))
    return _edits(ours, theirs) / longest if longest else 0.0


def _spoken(part: str) -> Iterator[Word]:
    """Yield the words of a text without moments; signs alone go with the word before them, or with the first."""
    shown: list[str] = []
    compared = ""
    for piece in _pieces(part):
        word = _compared(piece)
        if word and compared:
            yield Word("".join(shown), compared)
            shown, compared = [], ""
        shown.append(piece)
        compared = compared or word
    if shown:
        yield Word("".join(shown), compared)


def _pieces(part: str) -> Iterator[str]:
    """Yield a text cut where words end."""
    for found in _WORD.finditer(part):
        chunk, start = found[0], 0
        for joint in _JOINT.finditer(chunk):
            yield chunk[start : joint.end()]
            start = joint.end()
        yield chunk[start:]


def _compared(piece: str) -> str:
    """Write a word as it is compared; nothing where it has neither letters nor digits."""
    whole = caseless(piece.translate(_APOSTROPHES)).translate(_APOSTROPHES)
    signs = "".join(filter(_counts, whole))
    return signs if any(map(str.isalnum, signs)) else ""


@lru_cache(4_096)
def _counts(sign: str) -> bool:
    """Tell whether a sign is part of a word: letters, digits, their marks, and symbols such as ``$``."""
    kind = unicodedata.category(sign)
    return kind[0] in "LNMS" and kind != "Sk" and not _SILENT.match(sign)


def core_of(text: str) -> tuple[str, str, str]:
    """Part a text into the signs before its words, its words, and the signs behind them.

    >>> core_of("*Nguyen*, ")
    ('*', 'Nguyen', '*, ')
    """
    counting = [at for at, sign in enumerate(text) if _counts(sign)] or [len(text), len(text) - 1]
    return text[: counting[0]], text[counting[0] : counting[-1] + 1], text[counting[-1] + 1 :]


def _edits(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Measure Levenshtein's distance; where that would take too long, estimate it from what both share."""
    from rapidfuzz.distance import Levenshtein

    if len(ours) * len(theirs) > MOST_MEASURED:
        return round((1.0 - alikeness(ours, theirs)) * max(len(ours), len(theirs)))
    return Levenshtein.distance(ours, theirs)


class DiffPart(NamedTuple):
    """A run of words.

    Attributes:
        kind: Whether both texts have it, or only the first (``gone``), or only the second (``new``); or whether it is a
            moment, like ``[laughs]``, which is no word.
        words: As the second text has them; of ``gone``, as the first has them.
    """

    kind: Literal["same", "gone", "new", "moment"]
    words: str


def diff_words(a: str, b: str) -> tuple[DiffPart, ...]:
    """Compare words as they are written; punctuation and case count. Parts have no space at their ends.

    >>> [(part.kind, part.words) for part in diff_words("a red door", "a blue door")]
    [('same', 'a'), ('gone', 'red'), ('new', 'blue'), ('same', 'door')]
    """
    before, after = a.split(), b.split()
    parts: list[DiffPart] = []
    for kind, *(a_from, a_to, b_from, b_to) in aligned(before, after):
        gone, new = " ".join(before[a_from:a_to]), " ".join(after[b_from:b_to])
        parts += [DiffPart("same", new)] if kind == "equal" else [DiffPart("gone", gone), DiffPart("new", new)]
    return tuple(part for part in parts if part.words)


def diff_speech(asked: str, said: str) -> tuple[DiffPart, ...]:
    """Compare what was asked with what was said. Parts end with the space behind them.

    Words are compared as everywhere: case, punctuation and apostrophes make no difference, as a transcript's are the
    transcriber's. A moment is heard, not said, and a transcript tells nothing of it. So it is neither gone nor new; it
    stands where it was asked for.

    >>> [(part.kind, part.words) for part in diff_speech("We are full, sir.", "We are quite full, Sir!")]
    [('same', 'We are '), ('new', 'quite '), ('same', 'full, Sir!')]
    >>> [(part.kind, part.words) for part in diff_speech("[coughs] We are full.", "We are full.")]
    [('moment', '[coughs] '), ('same', 'We are full.')]
    """
    ours, theirs = words_of(asked), words_of(said)
    parts: list[DiffPart] = []
    for kind, a, b, c, d in aligned([word.compared for word in ours], [word.compared for word in theirs]):
        parts += (
            _runs("same", theirs[c:d]) if kind == "equal" else (*_runs("gone", ours[a:b]), *_runs("new", theirs[c:d]))
        )
    return tuple(_spaced(parts))


def has_changes(parts: Sequence[DiffPart]) -> bool:
    """Tell whether words are gone or new.

    >>> has_changes(diff_speech("Well, then", "well then!"))
    False
    """
    return any(part.kind in ("gone", "new") for part in parts)


def has_moments(parts: Sequence[DiffPart]) -> bool:
    """Tell whether something is heard that is no word.

    >>> has_moments(diff_speech("[sighs] Well.", "Well."))
    True
    """
    return any(part.kind == "moment" for part in parts)


def _runs(kind: Literal["same", "gone", "new"], words: Sequence[Word]) -> Iterator[DiffPart]:
    """Yield words that follow each other, and the moments between them; signs alone are neither gone nor new."""
    for is_moment, run in groupby(words, lambda word: word.is_moment):
        shown = list(run)
        text = "".join(word.shown for word in shown)
        if is_moment:
            yield DiffPart("moment", text.replace("*", ""))
        elif any(word.compared for word in shown):
            yield DiffPart(kind, text)
        elif kind != "gone":
            yield DiffPart("same", text)


def _spaced(parts: Sequence[DiffPart]) -> Iterator[DiffPart]:
    """Let no word run into the next: a text's last word has no space behind it."""
    for number, part in enumerate(parts, 1):
        is_apart = number == len(parts) or is_parted(part.words)
        yield part if is_apart else part._replace(words=f"{part.words} ")
