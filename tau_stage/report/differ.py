"""What was asked against what was said, word by word. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tau_stage.text import Word, aligned, is_parted, words_of


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
    """Compare two texts as one: what they share, what was left out, what was put in.

    What stands in brackets is a moment: it is heard, not said, and a transcript tells nothing of it. So it is neither
    left out nor put in; it stands where it was asked for.

    Words are compared as everywhere: case, punctuation and apostrophes make no difference, as a transcript's are the
    transcriber's.

    >>> [(piece.kind, piece.words) for piece in differ("We are full, sir.", "We are quite full, Sir!")]
    [('same', 'We are '), ('ins', 'quite '), ('same', 'full, Sir!')]
    >>> [(piece.kind, piece.words) for piece in differ("[coughs] We are full.", "We are full.")]
    [('moment', '[coughs] '), ('same', 'We are full.')]
    """
    ours, theirs = words_of(asked), words_of(said)
    pieces: list[Piece] = []
    for kind, a, b, c, d in aligned([word.compared for word in ours], [word.compared for word in theirs]):
        if kind == "equal":
            pieces += _run("same", theirs[c:d])
            continue
        pieces += _run("del", ours[a:b])
        pieces += _run("ins", theirs[c:d])
    return tuple(_spaced(pieces))


def differs(pieces: tuple[Piece, ...]) -> bool:
    """Tell whether anything was left out or put in.

    >>> differs(differ("Well, then", "well then!"))
    False
    """
    return any(piece.kind in ("del", "ins") for piece in pieces)


def has_moments(pieces: tuple[Piece, ...]) -> bool:
    """Tell whether something is heard that is no word.

    >>> has_moments(differ("[sighs] Well.", "Well."))
    True
    """
    return any(piece.kind == "moment" for piece in pieces)


def _run(kind: Literal["same", "del", "ins"], words: Sequence[Word]) -> Iterator[Piece]:
    """Yield words that follow each other, and the moments between them; signs alone are neither left out nor put in."""
    for is_moment, run in groupby(words, lambda word: word.is_moment):
        told = list(run)
        text = "".join(word.shown for word in told)
        if is_moment:
            yield Piece("moment", text.replace("*", ""))
        elif any(word.compared for word in told):
            yield Piece(kind, text)
        elif kind != "del":
            yield Piece("same", text)


def _spaced(pieces: list[Piece]) -> list[Piece]:
    """Let no word run into the next: a text's last word has no space behind it."""
    return [
        piece if piece is pieces[-1] or is_parted(piece.words) else Piece(piece.kind, piece.words + " ")
        for piece in pieces
    ]
