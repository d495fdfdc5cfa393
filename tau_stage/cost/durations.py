"""How long words take to say and how many tokens they are, and how long what is not written down is likely to take.

Fitted to the understudy's voices; in English near those of OpenAI. How fast other languages are stands in
``speech_rates.toml``.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tau_stage.cost.pricing import price
from tau_stage.protocol import Usage
from tau_stage.scene import ImprovisePlan, ListenPlan, PlayerPlan
from tau_stage.text import language_of

COMMA_S = 0.1
REST_S = 0.4
MOMENT_S = 0.5
DIGIT_S = 0.22

MARK = re.compile(r"\[(?P<moment>[^\[\]]*)\]|\*\*(?P<shout>[^*]+)\*\*|\*(?P<stress>[^*]+)\*|(?P<rest>\.{3,}|…)")
"""What marks a line that is performed: a moment in brackets, words in stars, a rest."""

ENDS = " .!?,;:。！？、，；：؟،؛।"  # around a phrase they take no time: between phrases there is a gap in any case

SENTENCE = re.compile(r"[.!?]+\s|[。！？]+|[؟।]\s")
COMMA = re.compile(r"[,;:]\s|[、，；：]|[،؛]\s")
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
    """Count the tokens of a text: one per four bytes.

    >>> text_tokens(""), text_tokens("four"), text_tokens("fives")
    (0, 1, 2)
    """
    return math.ceil(len(text.encode()) / 4)


def plain_words(words: str) -> str:
    """Write the words of a line as a transcript has them: no moments, no stars.

    >>> plain_words("Well, not in *here*. [coughs] Give it... a minute.")
    'Well, not in here. Give it... a minute.'
    """
    plain = MARK.sub(lambda mark: mark["shout"] or mark["stress"] or mark["rest"] or " ", words)
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(plain.split()))


class SpeechRate(NamedTuple):
    """How long letters of a language take, and what is between and around them."""

    letter_s: float
    phrase_s: float
    sentence_s: float
    read_s: float = 0.0  # of a Chinese character


ENGLISH = SpeechRate(letter_s=0.055, phrase_s=0.33, sentence_s=0.45)
KANJI_LETTERS = 1.9  # A Chinese character in Japanese is read as so many kana
KANJI = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


@cache
def _letter_seconds() -> dict[str, float]:
    rates: dict[str, float] = tomllib.loads(Path(__file__).with_name("speech_rates.toml").read_text("utf-8"))
    return rates


def speech_rate(words: str, language: str = "") -> SpeechRate:
    """Return how fast words are said, by the language that their player speaks, and their script.

    >>> speech_rate("Good evening.") == ENGLISH
    True
    >>> speech_rate("晚上好").letter_s > speech_rate("Guten Tag", "de").letter_s
    True
    """
    code = language_of(words, language).partition("-")[0]
    if not code:
        return ENGLISH
    seconds = _letter_seconds()
    letter_s = seconds.get(code, seconds["others"])
    return SpeechRate(letter_s, 0.12, 0.25, read_s=letter_s * KANJI_LETTERS if code == "ja" else letter_s)


def speech_duration_s(words: str, direction: str = "", speed: float | None = None, language: str = "") -> float:
    """Estimate the seconds a line takes.

    Args:
        words: As the author wrote them: a moment in brackets is heard, a rest and a stressed word take time.
        direction: How they are said.
        speed: Rate of the voice; None is its own.
        language: The code of the language that its player speaks; empty: nobody says.

    >>> round(speech_duration_s("The last one today. There may be another by spring."), 1)
    3.0
    >>> speech_duration_s("No.", "slowly") > speech_duration_s("No.") > speech_duration_s("No.", "quickly")
    True
    """
    marks = [mark[0] for mark in MARK.finditer(words)]
    rests = sum(mark.startswith((".", "…")) for mark in marks)
    moments = sum(mark.startswith("[") for mark in marks)
    phrases = MARK.sub(lambda mark: f"{SPLIT}{mark['shout'] or mark['stress'] or ''}{SPLIT}", words).split(SPLIT)
    worded = [phrase.strip(ENDS) for phrase in phrases if re.search(r"\w", phrase)]
    inner = " ".join(worded)
    rate = speech_rate(inner, language)
    signs = len(KANJI.findall(inner))
    seconds = rate.letter_s * (sum(map(str.isalpha, inner)) - signs) + rate.read_s * signs
    seconds += DIGIT_S * sum(map(str.isdigit, inner))
    seconds += rate.phrase_s * len(worded)
    seconds += rate.sentence_s * len(SENTENCE.findall(inner)) + COMMA_S * len(COMMA.findall(inner))
    told = direction.lower()
    faster = next((pace for pace, roots in PACES if any(root in told for root in roots)), 1.0)
    pace = min(max((speed or 1.0) * faster, SLOWEST), FASTEST)
    return seconds / pace + REST_S * rests + MOMENT_S * moments


ANSWER_S = 4.0  # seconds of a typical answer

WORDS_PER_S = 2.67
TOKENS_PER_S = 3.75  # words and tokens of a second of speech: 160 words per minute

EXCHANGE_S = 8.0
EFFECT_S = 2.0  # seconds of a sound file: the forecast reads none

MOST_TURNS = 2_000

TYPICAL_TURN = Usage(audio_in=40, cached_audio_in=600, text_out=15, audio_out=80)
"""Of an improvisation that has gone on for a while: the turn before is heard, what came before is cached."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way a scene may turn out."""

    slowness: float  # factor on the seconds of written lines
    answer_s: float  # seconds of an improvised answer
    thought: int  # tokens of reasoning before a line, of a model that reasons
    caches: bool  # whether the unchanged beginning of a conversation comes from the cache
    endless: int  # turns of improvisation, and exchanges at an open microphone, where only words or a key end them
    cues: int  # how often a cue starts that may start as often as it likes
    counts_times: bool = False  # whether a cue starts as often as it may
    meets_conditions: bool = True  # whether what waits for a condition is performed


LOW = Scenario(slowness=0.8, answer_s=2.0, thought=15, caches=True, endless=1, cues=0, meets_conditions=False)
LIKELY = Scenario(slowness=1.0, answer_s=ANSWER_S, thought=23, caches=True, endless=3, cues=1)
HIGH = Scenario(slowness=1.25, answer_s=8.0, thought=30, caches=False, endless=6, cues=2, counts_times=True)


def is_reasoning_model(model: str) -> bool:
    """Tell whether a model thinks before it speaks: those of OpenAI's second generation do.

    >>> is_reasoning_model("gpt-realtime-2.1-mini"), is_reasoning_model("gpt-realtime-2025-08-28")
    (True, False)
    """
    return bool(re.match(r"gpt-realtime-2(\.\d+)?(-|$)", model))


def answer_tokens(seconds: float) -> int:
    """Estimate the tokens of the words of an improvised answer.

    >>> answer_tokens(4.0)
    15
    """
    return math.ceil(seconds * TOKENS_PER_S)


def expected_turns(step: ImprovisePlan, players: Iterable[PlayerPlan], scenario: Scenario) -> tuple[int, float]:
    """Estimate how many turns an improvisation has, and the seconds of each: typical ones where it ends by the clock.

    Of several ends, the first counts.
    """
    ends = [math.inf if step.turns is None else float(step.turns)]
    if step.for_s is not None:
        ends.append(step.for_s / ANSWER_S)
    if step.words is not None:
        ends.append(step.words / (ANSWER_S * WORDS_PER_S))
    if step.budget is not None:
        dear = (price(TYPICAL_TURN, player.model).total for player in players)
        ends += [float(step.budget / cost) for cost in filter(None, dear)]
    soonest = min(ends)
    if soonest == math.inf:
        return 2 * scenario.endless, scenario.answer_s
    return min(max(1, math.ceil(soonest)), MOST_TURNS), scenario.answer_s if soonest == step.turns else ANSWER_S


def expected_exchanges(step: ListenPlan, scenario: Scenario) -> tuple[int, float]:
    """Estimate how often a person speaks and is answered, and the seconds of each of the two."""
    if step.turns is not None:
        return step.turns, scenario.answer_s
    if step.for_s is not None:
        return min(max(1, round(step.for_s / EXCHANGE_S)), MOST_TURNS), EXCHANGE_S / 2
    return scenario.endless, scenario.answer_s


def expected_starts(times: int | None, scenario: Scenario) -> int:
    """Estimate how often a cue starts.

    >>> expected_starts(None, LIKELY), expected_starts(5, LIKELY), expected_starts(5, HIGH), expected_starts(None, HIGH)
    (1, 1, 5, 2)
    """
    return times if scenario.counts_times and times is not None else scenario.cues
