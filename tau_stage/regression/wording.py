"""What is said against what was to be said, as numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tau_stage.report.differ import spoken_words
from tau_stage.text import MOST_COMPARED, alikeness

_MOMENT = re.compile(r"\[[^\[\]]*\]")


def words(text: str) -> list[str]:
    """The words of a text, as they sound; moments are none.

    >>> words("[sighs] Well, *now*...")
    ['well', 'now']
    """
    return spoken_words(_MOMENT.sub(" ", text))


def word_error_rate(asked: str, said: str) -> float:
    """Words that were changed, left out or put in, as a share of the words asked for.

    >>> word_error_rate("the last one today", "the lost one"), word_error_rate("", "so"), word_error_rate("", "")
    (0.5, 1.0, 0.0)
    """
    ours, theirs = words(asked), words(said)
    if not ours:
        return float(bool(theirs))
    return _edits(ours, theirs) / len(ours)


def holds(said: str, phrase: str) -> bool:
    """Whether words stand in a text, in a row.

    >>> holds("That's my umbrella, sir.", "My umbrella"), holds("umbrellas", "umbrella")
    (True, False)
    """
    ours, theirs = (f" {' '.join(words(text))} " for text in (phrase, said))
    return ours in theirs or not ours.strip()


def letters_apart(asked: str, said: str) -> float:
    """How much of two texts differs, by letters: recognisers err in words that sound alike, and these look alike.

    >>> letters_apart("Can I have it?", "can I have it")
    0.0
    """
    ours, theirs = " ".join(words(asked)), " ".join(words(said))
    longest = max(len(ours), len(theirs))
    return _edits(ours, theirs) / longest if longest else 0.0


def _edits(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Levenshtein's distance; where that would take too long, an estimate from what both share."""
    if len(ours) * len(theirs) > MOST_COMPARED:
        return round((1.0 - alikeness(ours, theirs)) * max(len(ours), len(theirs)))
    before = list(range(len(theirs) + 1))
    for number, one in enumerate(ours, 1):
        row = [number]
        for at, other in enumerate(theirs, 1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (one != other)))
        before = row
    return before[-1]
