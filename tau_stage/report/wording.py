"""Two wordings of one line, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tau_stage.text import aligned


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
    """Compare words: what became of those of ``a`` in ``b``.

    >>> [(piece.kind, piece.words) for piece in word_diff("a red door", "a blue door")]
    [('same', 'a'), ('gone', 'red'), ('new', 'blue'), ('same', 'door')]
    """
    before, after = a.split(), b.split()
    pieces: list[Piece] = []
    for kind, *(a_from, a_to, b_from, b_to) in aligned(before, after):
        if kind == "equal":
            pieces.append(Piece("same", " ".join(before[a_from:a_to])))
        else:
            changed = (Piece("gone", " ".join(before[a_from:a_to])), Piece("new", " ".join(after[b_from:b_to])))
            pieces += [piece for piece in changed if piece.words]
    return tuple(pieces)
