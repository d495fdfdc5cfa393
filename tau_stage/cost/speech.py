"""How long words take to say, and how many tokens they are: fitted to the understudy's voice, near those of OpenAI."""

from __future__ import annotations

import math
import re

LETTER_S = 0.055
PHRASE_S = 0.33
SENTENCE_S = 0.45
COMMA_S = 0.1
REST_S = 0.4
MOMENT_S = 0.5
DIGIT_LETTERS = 4
WIDE_LETTERS = 3
"""A character of Chinese, Japanese or Korean is about a syllable."""

MARK = re.compile(r"\[[^\]]*\]|\*\*([^*]+)\*\*|\*([^*]+)\*|(\.{3,}|…)")
ENDS = " .!?,;:"
"""Around a phrase they take no time: between phrases there is a gap in any case."""

SPLIT = "\N{SYMBOL FOR RECORD SEPARATOR}"

PACES = (
    (1.15, ("quick", "fast", "hurr", "rush", "brisk")),
    (1.1, ("nervous", "anxious", "excited", "gidd", "delight", "panick")),
    (0.82, ("slow", "drawl")),
    (0.88, ("tips", "drunk", "sleep", "tired", "weary", "sad", "solemn", "grave")),
)
"""How much faster a direction with one of these words is spoken; the first that fits counts."""

SLOWEST, FASTEST = 0.5, 2.0


def text_tokens(text: str) -> int:
    """Tokens of a text: one per four bytes.

    >>> text_tokens(""), text_tokens("four"), text_tokens("fives")
    (0, 1, 2)
    """
    return math.ceil(len(text.encode()) / 4)


def said(words: str) -> str:
    """The words of a line as a transcript has them: no moments, no stars.

    >>> said("Well, not in *here*. [coughs] Give it... a minute.")
    'Well, not in here. Give it... a minute.'
    """
    plain = MARK.sub(lambda mark: mark[1] or mark[2] or mark[3] or " ", words)
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(plain.split()))


def spoken_s(words: str, direction: str = "", speed: float | None = None) -> float:
    """Seconds a line takes.

    Args:
        words: As the author wrote them: a moment in brackets is heard, a rest and a stressed word take time.
        direction: How they are said.
        speed: Rate of the voice; None is its own.

    >>> round(spoken_s("The last one today. There may be another by spring."), 1)
    3.0
    >>> spoken_s("No.", "slowly") > spoken_s("No.") > spoken_s("No.", "quickly")
    True
    """
    marks = [mark[0] for mark in MARK.finditer(words)]
    rests = sum(mark.startswith((".", "…")) for mark in marks)
    moments = sum(mark.startswith("[") for mark in marks)
    phrases = MARK.sub(lambda mark: f"{SPLIT}{mark[1] or mark[2] or ''}{SPLIT}", words).split(SPLIT)
    worded = [phrase.strip(ENDS) for phrase in phrases if re.search(r"\w", phrase)]
    inner = " ".join(worded)
    seconds = LETTER_S * _letters(inner) + PHRASE_S * len(worded)
    seconds += SENTENCE_S * len(re.findall(r"[.!?]+\s", inner)) + COMMA_S * len(re.findall(r"[,;:]\s", inner))
    pace = min(max((speed or 1.0) * _pace(direction), SLOWEST), FASTEST)
    return seconds / pace + REST_S * rests + MOMENT_S * moments


def _letters(text: str) -> int:
    """Characters that are spoken, the long ones more than once."""
    if text.isascii():
        return sum(map(str.isalpha, text)) + DIGIT_LETTERS * sum(map(str.isdigit, text))
    return sum(
        WIDE_LETTERS if char >= "\u2e80" else DIGIT_LETTERS if char.isdigit() else 1 for char in text if char.isalnum()
    )


def _pace(direction: str) -> float:
    told = direction.lower()
    return next((pace for pace, words in PACES if any(word in told for word in words)), 1.0)
