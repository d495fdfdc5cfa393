"""Words side by side: what both have, and a bound on what is compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.text import aligned, alikeness

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@given(WORDS, WORDS)
def test_changes_turn_one_list_into_the_other(a: list[str], b: list[str]) -> None:
    made: list[str] = []
    at = 0
    for kind, i, j, k, m in aligned(a, b):
        assert (i, k) == (at, len(made))
        assert (kind == "equal") == (a[i:j] == b[k:m])
        made += b[k:m]
        at = j
    assert (at, made) == (len(a), b)


@given(WORDS, WORDS)
def test_only_what_is_the_same_is_wholly_alike(a: list[str], b: list[str]) -> None:
    assert 0.0 <= alikeness(a, b) <= 1.0
    assert (alikeness(a, b) == 1.0) == (a == b)


def test_what_is_too_long_is_one_change_and_its_words_count() -> None:
    a, b = ["x", *"ab" * 2_000, "y"], ["x", "c", *"ab" * 2_000, "d", "y"]
    assert aligned(a, b) == [("equal", 0, 1, 0, 1), ("replace", 1, 4001, 1, 4003), ("equal", 4001, 4002, 4003, 4004)]
    assert alikeness(a, b) == pytest.approx(2 * 4002 / (4002 + 4004))
    assert alikeness(["a"] * 3_000, ["b"] * 3_000) == 0.0
