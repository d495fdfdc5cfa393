"""Words compared: one way for the whole house."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.text import (
    aligned,
    alikeness,
    closeness,
    holds,
    is_parted,
    letters_apart,
    same_words,
    spoken_words,
    word_error_rate,
    words_of,
)
from tau_stage.text.comparing import caseless

SAME = [
    ("Don’t go.", "don't go"),
    ("Don`t go.", "dont GO!"),
    ("Don\u02bct go.", "Don\uff07t go"),
    ("twenty-one", "Twenty one"),
    ("well\u2014then", "well, then"),
    ("and/or", "and or"),
    ("so...yes", "so, yes"),
    ("so…yes", "so yes…"),
    ("1,000 lamps", "1000 lamps"),
    ("1’000’000", "1,000,000"),
    ("at 1:30", "at 1 30"),
    ("3.5", "3 5"),
    ("ＡＢＣ １２", "abc 12"),
    ("ﬁne", "fine"),
    ("STRASSE", "Straße"),
    ("cafe\u0301", "café"),
    ("[sighs] I am *not* **LATE**", "i am not late"),
    ("We -- are - full", "we are full"),
    ("“Well”, (he) said", "well he said"),
    ("?", "!"),
    ("soft\u00adhyphen", "softhyphen"),
    ("\u22125 lamps", "-5 lamps"),
    ("1\u202f000\u00a0000 lamps", "1,000,000 lamps"),
    ("Hawai\u02bbi", "Hawai'i"),
    ("\u0149", "’n"),
    ("İSTANBUL, DİYARBAKIR, IŞIK", "istanbul Diyarbakır ışık"),
    ("ｶﾞﾗｽ", "ガラス"),
    ("か\u3099", "が"),
    ("葛\U000e0100", "葛\ufe00"),
    ("１，０００", "1000"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_sounds_the_same_is_the_same_for_every_measure(one: str, other: str) -> None:
    assert same_words(one, other)
    assert closeness(one, other) == 1.0
    assert word_error_rate(one, other) == letters_apart(one, other) == 0.0
    assert holds(one, other)
    assert holds(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1 00"),
        ("3.5", "35"),
        ("10", "1 0"),
        ("10\u00a00000", "100000"),
        ("か", "が"),
        ("$5", "5"),
        ("No, go.", "Don’t go."),
        ("über", "uber"),
        ("so", "[so]"),
    ],
)
def test_what_sounds_otherwise_differs_for_every_measure(one: str, other: str) -> None:
    assert not same_words(one, other)
    assert closeness(one, other) < 1.0
    assert word_error_rate(one, other) > 0.0


def test_scripts_without_blanks_are_compared_sign_by_sign() -> None:
    assert spoken_words("雨が 降る。") == ["雨", "が", "降", "る"]
    assert word_error_rate("雨が降る", "雨が振る") == 0.25
    assert [is_parted(shown) for shown in ("雨", "so ", "so")] == [True, True, False]


def test_signs_alone_stand_with_a_word() -> None:
    assert [(word.shown, word.compared) for word in words_of("- yes - no [sighs]. ?!")] == [
        ("- yes - ", "yes"),
        ("no ", "no"),
        ("[sighs]. ", "[sighs]."),
        ("?!", ""),
    ]


def test_what_is_too_long_to_be_aligned_is_estimated() -> None:
    many = " ".join(map(str, range(32_000)))
    assert word_error_rate(many, f"so {many}") == pytest.approx(0.0, abs=0.0001)


def test_an_episode_is_measured_exactly() -> None:
    episode = " ".join(map(str, range(9_000)))
    assert word_error_rate(episode, f"so {episode}") == 1 / 9_000


@given(st.text(max_size=60), st.text(max_size=60))
def test_all_that_is_shown_is_the_text(one: str, other: str) -> None:
    assert "".join(word.shown for word in words_of(one)) == one.strip()
    assert same_words(one, other) == (spoken_words(one) == spoken_words(other)) == (word_error_rate(one, other) == 0.0)


def test_time_grows_with_the_text() -> None:
    for text in ("- " * 50_000, "a-" * 50_000, "1." * 50_000, "." * 100_000, "[" * 100_000, "a" * 100_000):
        assert len(words_of(text)) <= len(text)


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


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "Straße"), ("IŞIK", "ışık"), ("ﬁne", "fine")])
def test_texts_without_capitals(one: str, other: str) -> None:
    assert caseless(one) == caseless(other)
