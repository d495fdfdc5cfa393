"""Two texts, word by word: what both have, what only the first has, and what only the second has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from tau_stage.text.comparing import Word, aligned, is_parted, words_of


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
