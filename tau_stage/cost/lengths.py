"""How long what is not written down is likely to take: answers, free play, open microphones, cues."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tau_stage.cost.price import price
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import ImprovisePlan, ListenPlan, PlayerPlan

ANSWER_S = 4.0
"""Seconds of a typical answer."""

WORDS_PER_S = 2.67
TOKENS_PER_S = 3.75
"""Words and tokens of a second of speech: 160 words per minute."""

EXCHANGE_S = 8.0
EFFECT_S = 2.0
"""Seconds of a sound file: the forecast reads none."""

MOST_TURNS = 2_000

TYPICAL_TURN = Usage(audio_in=40, cached_audio_in=600, text_out=15, audio_out=80)
"""Of free play that has gone on for a while: the turn before is heard, what came before is cached."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way a scene may turn out.

    Attributes:
        slowness: Factor on the seconds of written lines.
        answer_s: Seconds of an improvised answer.
        thought: Tokens of reasoning before a line, of a model that reasons.
        caches: Whether the unchanged beginning of a conversation comes from the cache.
        endless: Turns of free play, and exchanges at an open microphone, where only words or a key end them.
        cues: How often a cue starts that may start as often as it likes.
        counts_times: Whether a cue starts as often as it may.
        hopes: Whether what waits for a condition is performed.
    """

    slowness: float
    answer_s: float
    thought: int
    caches: bool
    endless: int
    cues: int
    counts_times: bool = False
    hopes: bool = True


LOW = Case(slowness=0.8, answer_s=2.0, thought=15, caches=True, endless=1, cues=0, hopes=False)
LIKELY = Case(slowness=1.0, answer_s=ANSWER_S, thought=23, caches=True, endless=3, cues=1)
HIGH = Case(slowness=1.25, answer_s=8.0, thought=30, caches=False, endless=6, cues=2, counts_times=True)


def reasons(model: str) -> bool:
    """Whether a model thinks before it speaks: those of OpenAI's second generation do.

    >>> reasons("gpt-realtime-2.1-mini"), reasons("gpt-realtime-2025-08-28")
    (True, False)
    """
    return bool(re.match(r"gpt-realtime-2(\.\d+)?(-|$)", model))


def answer_tokens(seconds: float) -> int:
    """Tokens of the words of an improvised answer.

    >>> answer_tokens(4.0)
    15
    """
    return math.ceil(seconds * TOKENS_PER_S)


def play_turns(step: ImprovisePlan, players: Iterable[PlayerPlan], case: Case) -> tuple[int, float]:
    """How many turns free play has, and the seconds of each: where it ends by the clock, they are typical ones.

    Args:
        step: The play; of several ends, the first counts.
        players: Who plays.
        case: How it may turn out.
    """
    ends = [math.inf if step.turns is None else float(step.turns)]
    if step.for_s is not None:
        ends.append(step.for_s / ANSWER_S)
    if step.words is not None:
        ends.append(step.words / (ANSWER_S * WORDS_PER_S))
    if step.budget is not None:
        dear = [price(TYPICAL_TURN, player.model).total for player in players]
        ends += [float(step.budget / cost) for cost in dear if cost]
    soonest = min(ends)
    if soonest == math.inf:
        return 2 * case.endless, case.answer_s
    return min(max(1, math.ceil(soonest)), MOST_TURNS), case.answer_s if soonest == step.turns else ANSWER_S


def exchanges(step: ListenPlan, case: Case) -> tuple[int, float]:
    """How often a person speaks and is answered, and the seconds of each of the two."""
    if step.turns is not None:
        return step.turns, case.answer_s
    if step.for_s is not None:
        return min(max(1, round(step.for_s / EXCHANGE_S)), MOST_TURNS), EXCHANGE_S / 2
    return case.endless, case.answer_s


def starts(times: int | None, case: Case) -> int:
    """How often a cue starts.

    >>> starts(None, LIKELY), starts(5, LIKELY), starts(5, HIGH), starts(None, HIGH)
    (1, 1, 5, 2)
    """
    return times if case.counts_times and times is not None else case.cues
