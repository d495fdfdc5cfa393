"""A regular expression is found as Python finds it, and never hangs."""

from __future__ import annotations

import re
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import LimitReached
from tau_stage.text import is_found, pattern_problem

LETTERS = "abonmpsÄärgeß s1_-.\n"
"""What both engines see alike: they differ in digits that are no numbers, like ², in lone accents, and in i without a
dot, which Python takes for an i where case does not matter."""

SLOW = r"^(a|aa)+$"


@given(
    st.sampled_from([r"\bärger\b", "lamps?", "^no", r"(\w)\1", "(?<=a)b", r"[^\W\d]{3}$", "ß|ı", "."]), st.text(LETTERS)
)
def test_it_is_found_as_python_finds_it(pattern: str, text: str) -> None:
    assert is_found(pattern, text, any_case=False) == (re.search(pattern, text) is not None)
    assert is_found(pattern, text + "ÄRGER") == (re.search(pattern, text + "ÄRGER", re.IGNORECASE) is not None)


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", "(?P<a>b)(?P<a>c)", "(" * 500 + ")" * 500, "a{2,1}"])
def test_what_is_no_regular_expression_has_a_reason(pattern: str) -> None:
    assert pattern_problem(pattern)


def test_a_pattern_has_so_many_characters() -> None:
    assert pattern_problem("a" * 10_000) == ""
    assert pattern_problem("a" * 10_001) == "it has 10,001 characters, but the limit is 10,000"


@given(st.text("ab()[]{}|*+?^$\\.,-0123<>=!:#P", max_size=12))
def test_whatever_is_written_is_a_pattern_or_has_a_reason(pattern: str) -> None:
    if not pattern_problem(pattern):
        is_found(pattern, "abba 0123")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a" * 80 + "b", "a" * 30_000 + "b"])
def test_a_search_that_would_never_end_is_given_up(text: str) -> None:
    """Slow: a search may take a quarter of a second."""
    with pytest.raises(LimitReached, match=r"regular expression '\^\(a\|aa\)\+\$' takes too long on “a{40}…”") as told:
        is_found(SLOW, text, line=7)
    assert told.value.what.startswith("line 7 of the scene: the regular expression")
    assert "a search may take at most 0.25 s; avoid nested repeats" in str(told.value)


@pytest.mark.slow
def test_ctrl_c_is_heard_while_it_searches() -> None:
    """Slow: the search must last until the signal comes."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            is_found(SLOW, "a" * 80 + "b")
    finally:
        signal.signal(signal.SIGALRM, before)
