"""What was asked against what was said, word by word. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from tau_stage.text import aligned

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]\s*|[^\s{_ALONE}]+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words.

    Attributes:
        kind: Whether it was asked and said, asked only, or said only.
        words: As they were said; as they were asked where they were not said.
    """

    kind: Literal["same", "del", "ins"]
    words: str


def differ(asked: str, said: str) -> tuple[Piece, ...]:
    """Both texts as one: what they share, what was left out, what was put in.

    Case and punctuation make no difference, as a transcript's are the transcriber's. Scripts that put no space between
    words are compared sign by sign.

    >>> [(piece.kind, piece.words) for piece in differ("We are full, sir.", "We are quite full, Sir!")]
    [('same', 'We are '), ('ins', 'quite '), ('same', 'full, Sir!')]
    """
    ours, theirs = _words(asked), _words(said)
    left, right = [_bare(word) for word in ours], [_bare(word) for word in theirs]
    pieces: list[Piece] = []
    for kind, a, b, c, d in aligned(left, right):
        if kind == "equal":
            pieces.append(Piece("same", "".join(theirs[c:d])))
            continue
        pieces += [Piece("del", "".join(ours[a:b]))] if b > a else []
        pieces += [Piece("ins", "".join(theirs[c:d]))] if d > c else []
    return tuple(_spaced(pieces))


def differs(pieces: tuple[Piece, ...]) -> bool:
    """Whether anything was left out or put in.

    >>> differs(differ("Well, then", "well then!"))
    False
    """
    return any(piece.kind != "same" for piece in pieces)


def spoken_words(text: str) -> list[str]:
    """The words of a text as they are compared.

    >>> spoken_words("We -- are full, Sir!")
    ['we', 'are', 'full', 'sir']
    """
    return [bare for word in _words(text) if any(map(str.isalnum, bare := _bare(word)))]


def _words(text: str) -> list[str]:
    """Words with the space behind them."""
    return _WORD.findall(text.strip())


def _bare(word: str) -> str:
    """A word as it sounds: without case, punctuation and marks that show nothing; as it is where nothing is left."""
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
