"""Two wordings of one line, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_COMPARED = 4_000_000
"""Words of one times words of the other: above it, comparing them would take seconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words in a row.

    Attributes:
        kind: Whether both have them, or only the first (``gone``), or only the second (``new``).
        words: With single spaces between them.
    """

    kind: Literal["same", "gone", "new"]
    words: str


def word_diff(a: str, b: str) -> tuple[Piece, ...]:
    """What became of the words of ``a`` in ``b``.

    >>> [(piece.kind, piece.words) for piece in word_diff("a red door", "a blue door")]
    [('same', 'a'), ('gone', 'red'), ('new', 'blue'), ('same', 'door')]
    """
    before, after = a.split(), b.split()
    pieces: list[Piece] = []
    for kind, *(a_from, a_to, b_from, b_to) in _steps(before, after):
        if kind == "equal":
            pieces.append(Piece("same", " ".join(before[a_from:a_to])))
        else:
            changed = (Piece("gone", " ".join(before[a_from:a_to])), Piece("new", " ".join(after[b_from:b_to])))
            pieces += [piece for piece in changed if piece.words]
    return tuple(pieces)


def _steps(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    if before == after:
        return [("equal", 0, len(before), 0, len(after))] if before else []
    if len(before) * len(after) > MOST_COMPARED:
        return [("replace", 0, len(before), 0, len(after))]
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
