"""Two lists of words, side by side: what both have, and what only one has. Bounded, whatever a model says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

MOST_COMPARED = 4_000_000
"""Words of one times words of the other, without their common beginning and end. Above it, comparing takes seconds."""

Change = tuple[Literal["equal", "replace", "delete", "insert"], int, int, int, int]
"""What becomes of ``a[1:2]`` in ``b[3:4]``, as ``difflib`` tells it."""


def aligned(a: Sequence[str], b: Sequence[str]) -> list[Change]:
    """Return the changes that turn one list into the other, in order. What is too long to compare is one change.

    >>> aligned(["a", "red", "door"], ["a", "blue", "door"])
    [('equal', 0, 1, 0, 1), ('replace', 1, 2, 1, 2), ('equal', 2, 3, 2, 3)]
    """
    head, tail = _ends(a, b)
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    found: list[Change] = [("equal", 0, head, 0, head)] if head else []
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
