"""What was asked against what was said, word by word. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tau_stage.text import aligned

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MOMENT = re.compile(r"(\*?\[[^\[\]]*\]\*?[.,;:!?…]*\s*)")
_WORD = re.compile(rf"[{_ALONE}]\s*|[^\s{_ALONE}]+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words.

    Attributes:
        kind: Whether it was asked and said, asked only, or said only; or a moment, like ``[laughs]``, which is no word.
        words: As they were said; as they were asked where they were not said.
    """

    kind: Literal["same", "del", "ins", "moment"]
    words: str


def differ(asked: str, said: str) -> tuple[Piece, ...]:
    """Both texts as one: what they share, what was left out, what was put in.

    What stands in brackets is a moment: it is heard, not said, and a transcript tells nothing of it. So it is neither
    left out nor put in; it stands where it was asked for.

    Case and punctuation make no difference, as a transcript's are the transcriber's. Scripts that put no space between
    words are compared sign by sign.

    >>> [(piece.kind, piece.words) for piece in differ("We are full, sir.", "We are quite full, Sir!")]
    [('same', 'We are '), ('ins', 'quite '), ('same', 'full, Sir!')]
    >>> [(piece.kind, piece.words) for piece in differ("[coughs] We are full.", "We are full.")]
    [('moment', '[coughs] '), ('same', 'We are full.')]
    """
    ours, theirs = _words(asked), _words(said)
    left, right = [_bare(word) for word in ours], [_bare(word) for word in theirs]
    pieces: list[Piece] = []
    for kind, a, b, c, d in aligned(left, right):
        if kind == "equal":
            pieces += _run("same", theirs[c:d])
            continue
        pieces += _run("del", ours[a:b])
        pieces += _run("ins", theirs[c:d])
    return tuple(_spaced(pieces))


def differs(pieces: tuple[Piece, ...]) -> bool:
    """Whether anything was left out or put in.

    >>> differs(differ("Well, then", "well then!"))
    False
    """
    return any(piece.kind in ("del", "ins") for piece in pieces)


def has_moments(pieces: tuple[Piece, ...]) -> bool:
    """Whether something is heard that is no word.

    >>> has_moments(differ("[sighs] Well.", "Well."))
    True
    """
    return any(piece.kind == "moment" for piece in pieces)


def spoken_words(text: str) -> list[str]:
    """The words of a text as they are compared.

    >>> spoken_words("We -- are full, Sir!")
    ['we', 'are', 'full', 'sir']
    """
    words = (word for word in _words(text) if not _MOMENT.fullmatch(word))
    return [bare for word in words if any(map(str.isalnum, bare := _bare(word)))]


def _run(kind: Literal["same", "del", "ins"], words: Sequence[str]) -> Iterator[Piece]:
    """Words that follow each other, and the moments between them."""
    for is_moment, run in groupby(words, lambda word: bool(_MOMENT.fullmatch(word))):
        text = "".join(run)
        yield Piece("moment", text.replace("*", "")) if is_moment else Piece(kind, text)


def _words(text: str) -> list[str]:
    """Words, and moments, with the space behind them."""
    parts = _MOMENT.split(text.strip())
    return [word for part in parts for word in ([part] if _MOMENT.fullmatch(part) else _WORD.findall(part))]


def _bare(word: str) -> str:
    """A word as it sounds: without case, punctuation and marks that show nothing; as it is where nothing is left."""
    if _MOMENT.fullmatch(word):
        return word.strip()
    folded = unicodedata.normalize("NFKC", word).casefold().strip()
    return "".join(sign for sign in folded if unicodedata.category(sign)[0] in "LNMS") or folded


def _spaced(pieces: list[Piece]) -> list[Piece]:
    """No empty piece, and none that runs into the next: a text's last word has no space behind it."""
    kept = [piece for piece in pieces if piece.words]
    return [
        piece
        if piece is kept[-1] or re.search(rf"[\s{_ALONE}]$", piece.words)
        else Piece(piece.kind, piece.words + " ")
        for piece in kept
    ]
