"""When each word of a line is heard: as a provider tells it, as a recogniser finds it, or by its length. Pure.

Words are those of the transcript, in its order, with the signs that belong to them. Their times lie within the line's
sound, do not overlap, and never go back, whatever the source tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Literal, NamedTuple

from tau_stage.audio import Pcm, utterances
from tau_stage.protocol import WordTime
from tau_stage.text import columns, words_of

Source = Literal["provider", "aligned", "estimated"]

BY_LENGTH = 0.2  # confidence in a word's time that follows from lengths alone
BETWEEN = 0.4  # confidence in one that lies between two words whose times are known
OF_PROVIDER = 1.0
SHORTEST_PAUSE_S = 0.12  # of silence that parts two stretches of speech
LEAST_S = 0.05  # of a stretch that is too short for a word to begin in
FEWEST_SHARED = 0.5  # share of a transcript's letters that a provider's words must have, to be about the same words


class WordSpan(NamedTuple):
    """A stretch of a line's sound, in seconds from its beginning, and how sure it is, from 0 to 1."""

    start_s: float
    end_s: float
    confidence: float = OF_PROVIDER


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a line.

    Attributes:
        text: As the transcript has it, with the signs that belong to it and the space behind it.
        start_s: Seconds from the beginning of the line's own file.
        source: Who told its time.
        confidence: How sure the time is, from 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    source: Source
    confidence: float


def split_transcript(said: str) -> list[str]:
    """Split what was said into words, each with the signs around it; scripts without blanks are split by their signs.

    >>> split_transcript("Well, not -- in *here*.")
    ['Well, ', 'not -- ', 'in ', '*here*.']
    """
    shown: list[str] = []
    for word in words_of(said):
        if shown and not word.compared:
            shown[-1] += word.shown
        else:
            shown.append(word.shown)
    return shown


def time_words(
    said: str, sound: Pcm, spans: Sequence[WordSpan | None] = (), source: Source = "estimated"
) -> list[SpokenWord]:
    """Time the words of a line: by the spans of those that are known, the others between them.

    Args:
        said: The transcript.
        sound: The line's own sound.
        spans: One for each word of ``split_transcript``, None where nobody knows; empty: nobody knows any.
        source: Who told the spans.

    >>> [(word.text, word.start_s) for word in time_words("One two.", Pcm.silence(24_000))]
    [('One ', 0.0), ('two.', 0.5)]
    """
    words = split_transcript(said)
    if not any(spans):
        return _by_length(words, sound)
    timed: list[SpokenWord] = []
    known = list(_in_order(spans, sound.duration_s))
    for is_known, group in groupby(range(len(words)), key=lambda at: known[at] is not None):
        places = [*group]
        if is_known:
            found = [(words[at], span) for at in places if (span := known[at])]
            timed += [SpokenWord(word, span.start_s, span.end_s, source, span.confidence) for word, span in found]
        else:
            after = next(filter(None, known[places[-1] + 1 :]), None)
            gap = [(timed[-1].end_s if timed else 0.0, after.start_s if after else sound.duration_s)]
            timed += _spread([words[at] for at in places], gap, BETWEEN)
    return timed


def _in_order(spans: Iterable[WordSpan | None], limit_s: float) -> Iterator[WordSpan | None]:
    """Cut spans to the sound, and to the end of the span before; one that has nothing left is not known."""
    at = 0.0
    for span in spans:
        if span is None or not max(span.start_s, at) < min(span.end_s, limit_s):
            yield None
            continue
        start, end = max(span.start_s, at), min(span.end_s, limit_s)
        at = end
        yield WordSpan(round(start, 4), round(end, 4), round(min(max(span.confidence, 0.0), 1.0), 2))


def _by_length(words: Sequence[str], sound: Pcm) -> list[SpokenWord]:
    """Spread words over the parts of the sound in which somebody speaks."""
    spoken = [
        (start / sound.rate, end / sound.rate)
        for start, end in utterances(sound, silence_s=SHORTEST_PAUSE_S, padding_s=0.0)
    ]
    return _spread(words, spoken or [(0.0, sound.duration_s)], BY_LENGTH)


def _spread(words: Sequence[str], stretches: Sequence[tuple[float, float]], confidence: float) -> list[SpokenWord]:
    """Give each word a part of some stretches of time, as large as the word is long."""
    lengths = [1.0 + sum(map(str.isalnum, word)) * (1 + (columns(word.strip()) > len(word.strip()))) for word in words]
    whole = sum(end - start for start, end in stretches)
    share = whole / sum(lengths) if lengths else 0.0
    timed: list[SpokenWord] = []
    passed = 0.0
    for word, length in zip(words, lengths, strict=True):
        start = _at(stretches, passed, begins=True)
        passed += length * share
        end = max(start, _at(stretches, min(passed, whole), begins=False))
        timed.append(SpokenWord(word, round(start, 4), round(end, 4), "estimated", confidence))
    return timed


def _at(stretches: Sequence[tuple[float, float]], passed: float, *, begins: bool) -> float:
    """Find the time at which so many seconds of some stretches have passed.

    What begins with little left of a stretch begins with the next one.
    """
    for start, end in stretches[:-1]:
        length = end - start
        if passed < length - LEAST_S or (not begins and passed <= length + LEAST_S):
            return min(start + passed, end)
        passed = max(0.0, passed - length)
    start, end = stretches[-1]
    return min(start + passed, end)


# ---- as a provider tells them


def _in_both(ours: str, theirs: str) -> Iterator[tuple[int, int]]:
    """Yield where the letters are that two texts have in common, in each of them."""
    from rapidfuzz.distance import Indel

    for block in Indel.opcodes(ours, theirs):
        if block.tag == "equal":
            yield from zip(range(block.src_start, block.src_end), count(block.dest_start), strict=False)


def provider_spans(said: str, told: Sequence[WordTime], rate: int) -> list[WordSpan | None]:
    """Find the spans of a transcript's words among those that a provider told; empty where it told of other words.

    Providers part words otherwise than transcripts do, so the letters are compared.

    >>> told = (WordTime(text="It", start=0, end=10), WordTime(text="'s", start=10, end=20))
    >>> provider_spans("It's", told, rate=10)
    [WordSpan(start_s=0.0, end_s=2.0, confidence=1.0)]
    """
    words = split_transcript(said)
    ours, owners = _letters(words)
    theirs, tellers = _letters([each.text for each in told])
    pairs = [(owners[at], told[tellers[there]]) for at, there in _in_both(ours, theirs)]
    if len(pairs) < FEWEST_SHARED * len(ours) or not pairs:
        return []
    spans: list[WordSpan | None] = [None] * len(words)
    for at, group in groupby(pairs, key=lambda pair: pair[0]):
        found = [time for _, time in group]
        if 2 * len(found) >= owners.count(at):
            start, end = min(time.start for time in found), max(time.end for time in found)
            spans[at] = WordSpan(start / rate, end / rate)
    return spans


def _letters(words: Sequence[str]) -> tuple[str, list[int]]:
    """Return all letters and digits of some words as they are compared, and the place of each one's word."""
    letters = [(sign, at) for at, word in enumerate(words) for part in words_of(word) for sign in part.compared]
    return "".join(sign for sign, _ in letters), [at for _, at in letters]
