"""What is read takes steps in proportion to its size, whatever stands in it; ``tests.linear`` measures times.

A search that goes back and forth in a text of 250 KB takes many minutes: such inputs are read here at all. Everything
else is counted: calls of functions, of ours and of Python's, for an input and for one of twice its size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from cProfile import Profile
from pathlib import Path
from typing import Any

import pytest

from tau_stage.errors import StageError
from tests.support.growing_inputs import SHAPES

SIZE = 4_000
"""Bytes: enough that what grows shows, and few enough that each call can be counted."""

MOST_GROWTH = 2.5
"""Of an input of twice the size: what is done once for each file makes it less than two, hints a little more."""

LARGE = 250_000

LARGE_LINE = 100_000
"""Bytes of a line of Fountain: its emphasis is read sign by sign, in Python, where going back and forth is slow."""


def calls(parse: Callable[[], Any]) -> int:
    """How many functions are called."""
    profile = Profile()
    with suppress(StageError), profile:
        parse()
    return sum(function.callcount for function in profile.getstats())


COUNTED = [
    "scene: many lines",
    "scene: many strangers",
    "scene: many unknown keys",
    "scene: cuts of lines that are not there",
    "scene: lines with unknown tools",
    "scene: lines to strangers",
    "scene: anchors",
    "scene: together",
    "scene: variables, many unknown",
    "scene: script, strangers",
    "Fountain: dual",
    "Fountain: strangers",
    "journal: many lines",
    "journal: sounds and lines",
    "wire: deltas of words",
    "wire: items",
    "wire: wrong fields",
    "cassette: deltas",
    "redacted_ids: s",
    "JUnit: many lines",
    *(
        f"table: {name}"
        for name in ("many lines", "many scenes", "strangers", "one id for all", "wrong ids", "translations")
    ),
    *(
        f"table: {name}"
        for name in ("a transcript", "a transcript of strangers", "subtitles", "tags of captions", "a structure")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_twice_as_much_takes_about_twice_as_many_calls(name: str, tmp_path: Path) -> None:
    """Slow: every call of Python's is counted."""
    counted = []
    for size in (SIZE // 2, SIZE, 2 * SIZE):  # with the first, what is loaded and made once
        folder = tmp_path / str(size)
        folder.mkdir()
        counted.append(calls(SHAPES[name](size, folder)))
    assert counted[2] < MOST_GROWTH * counted[1]


READ = [
    *("quote and many blanks", "star and many blanks", "bracket and many blanks", "many blanks, then a colon"),
    *("budget, dollar and blanks", "length, blanks", "loudness, blanks", "rate, blanks", "length, dashes"),
    *("when, blanks", "when, blanks before a sign", "when, signs", "when, parentheses"),
    *("variables, places open", "variables, places open with names", "variables, places open, in a variable"),
    *("parentheses open", "asides open", "moments open", "stars", "brackets open", "properties in words"),
]
LARGE_SHAPES = [
    *(f"scene: {name}" for name in READ),
    *("Fountain: notes open", "Fountain: boneyards open", "Fountain: stars", "Fountain: stars and underlines"),
    *("Fountain: parentheses open", "Fountain: stars and words"),
    *("asked: moments open", "briefed: players and blanks", "briefed: ands and blanks", "topical: fruit"),
    *("briefed: selves", "topical: words", "printable: blanks and line breaks", "struck: backslashes"),
    *(
        "table: a quote that is never closed",
        "table: quotes closed too early",
        "table: a long cell",
        "table: no header",
    ),
    *("table: tags of Yarn", "table: escapes of Yarn", "table: tags of Ren'Py", "table: tags of captions"),
    *("redacted: ids", "differ_from_itself: moments open", "error_rate: words", "snapshot: brackets"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE_SHAPES)
def test_a_large_input_is_read_at_all(name: str, tmp_path: Path) -> None:
    """Slow: 250 KB take up to half a second. One that is read back and forth runs into the limit of every test."""
    with suppress(StageError):
        SHAPES[name](LARGE_LINE if name.startswith("Fountain: stars") else LARGE, tmp_path)()
