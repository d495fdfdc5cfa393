"""A transcript of any length is reported in a time that grows with it, and not with its square: steps are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.protocol.usage import Usage
from tau_stage.report.compare import compare_takes
from tau_stage.report.editor_sessions import render_rpp
from tau_stage.report.words import write_words
from tau_stage.take.folding import fold
from tau_stage.take.marks import marks_of
from tau_stage.take.take_model import Take
from tau_stage.text import closeness, diff_speech, holds, letters_apart, word_error_rate
from tests.test_take import journal_of, spoken

SHORT = 2_080
"""Words, or signs of one: so many that they are not compared any more."""

TEXTS: dict[str, Callable[[int], str]] = {
    "words": lambda size: "I so no a " * (size // 4),
    "letters": lambda size: "a " * size,
    "one word": lambda size: "a" * size,
    "no blanks": lambda size: "傘" * size,
    "brackets": lambda size: "[" * size,
    "accents": lambda size: "e" + "\N{COMBINING ACUTE ACCENT}" * size,
    "full stops": lambda size: "." * size,
    "lines": lambda size: "a\n" * size,
}


def steps(run: Callable[[], object]) -> int:
    """How many lines of Python it takes, and how many ends of functions."""
    count = 0

    def step(_frame: FrameType, _event: str, _argument: Any) -> None:
        nonlocal count
        count += 1

    before = sys.gettrace()
    sys.settrace(lambda _frame, _event, _argument: step)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def take_of(said: str, asked: str = "Well, no.") -> Take:
    line = spoken("a", "clerk", RATE, Usage(), said=said, asked=asked)
    other = spoken("b", "tourist", RATE, Usage(), said="So.", number=2)
    return fold(journal_of(line, other))


REPORTS: dict[str, Callable[[str], object]] = {
    "files": lambda said: write_words(take_of(said)),
    "session": lambda said: render_rpp(take_of(said)),
    "marks": lambda said: list(marks_of(take_of(said), "take")),
    "page": lambda said: diff_speech(f"x {said} y", f"{said} z"),
    "compare": lambda said: [pair.said for pair in compare_takes(take_of(said), take_of(f"So. {said[1:]} Yes.")).pairs],
    "closeness": lambda said: closeness(f"x {said} y", said[::-1]),
    "errors": lambda said: word_error_rate(f"x {said} y", said[::-1]),
    "letters": lambda said: letters_apart(f"x {said} y", said[::-1]),
    "holds": lambda said: holds(said, said[:-2] + "zz"),
}


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("report", REPORTS)
def test_twice_as_much_takes_twice_as_long(report: str, text: str) -> None:
    """Slow: every line of Python is counted."""
    short, long = (steps(partial(REPORTS[report], TEXTS[text](size))) for size in (SHORT, 2 * SHORT))
    assert long <= 2.3 * short + 200
