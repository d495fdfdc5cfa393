"""What was asked against what was said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.text import diff_speech, has_changes, has_moments


def told(asked: str, said: str) -> list[tuple[str, str]]:
    return [(part.kind, part.words) for part in diff_speech(asked, said)]


def test_a_word_left_out_and_a_word_put_in_are_apart() -> None:
    assert told("We are quite full.", "We are full tonight.") == [
        ("same", "We are "),
        ("gone", "quite "),
        ("same", "full "),
        ("new", "tonight."),
    ]
    assert told("Bar the door.", "Bar the gate.") == [("same", "Bar the "), ("gone", "door. "), ("new", "gate.")]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Well, then: welcome!", "well then welcome"),
        ("STRASSE", "Straße"),
        ("“Who’s there?”", '"Whos there?"'),
        ("two  spaces\nand a line", "two spaces and a line"),
        ("", ""),
        ("شكرا جزيلا", "شكرا جزيلا."),
    ],
)
def test_case_punctuation_and_space_are_the_transcribers(asked: str, said: str) -> None:
    assert not has_changes(diff_speech(asked, said))


def test_a_script_without_spaces_is_compared_sign_by_sign() -> None:
    assert told("你好世界", "你好吗世界") == [("same", "你好"), ("new", "吗"), ("same", "世界")]


def test_nothing_said_is_all_left_out() -> None:
    assert told("Good evening.", "") == [("gone", "Good evening.")]
    assert told("", "Good evening.") == [("new", "Good evening.")]


def test_signs_alone_are_no_words() -> None:
    assert told("yes - no", "yes ? no") == [("same", "yes ? no")]
    assert told("yes - no", "yes no") == told("yes no", "yes no")
    assert told("?", "") == []
    assert told("", "?") == [("same", "?")]


def test_hyphens_part_words_and_numbers_are_one() -> None:
    assert not has_changes(diff_speech("Twenty-one of 1,000, don’t you?", "twenty one of 1000 dont you"))
    assert told("A well-known inn", "A well-worn inn") == [
        ("same", "A well-"),
        ("gone", "known "),
        ("new", "worn "),
        ("same", "inn"),
    ]


def test_very_long_texts_are_one_change_between_what_they_share() -> None:
    many = "a b " * 2_000
    parts = diff_speech(f"begin {many} end", f"begin c {many} so d {many} e end")
    assert [part.kind for part in parts] == ["same", "gone", "new", "same"]


@pytest.mark.parametrize(
    ("asked", "said", "moments"),
    [
        ("[laughs] Well, *no*. [clears throat] Go on.", "Well, no. Go on.", ["[laughs] ", "[clears throat] "]),
        ("[laughs], then no", "Then no.", ["[laughs], "]),
        ("Well *[coughs]*, yes.", "Well, yes.", ["[coughs], "]),
        ("Well[coughs]yes", "Well yes", ["[coughs] "]),
        ("[sighs] [coughs] Oh.", "[coughs] Oh.", ["[sighs] ", "[coughs] "]),
        ("[sighs]", "", ["[sighs]"]),
        ("Oh.", "[sighs] Oh.", ["[sighs] "]),
        ("a [b c", "a b c", []),
    ],
)
def test_a_moment_is_no_word_that_was_forgotten(asked: str, said: str, moments: list[str]) -> None:
    parts = diff_speech(asked, said)
    assert not has_changes(parts)
    assert [part.words for part in parts if part.kind == "moment"] == moments
    assert has_moments(parts) == bool(moments)


def test_a_moment_is_not_the_word_in_it() -> None:
    assert told("x [x] y", "x x y") == [("same", "x "), ("moment", "[x] "), ("new", "x "), ("same", "y")]
    assert told("Well [laughs] hello there", "Well hi there") == [
        ("same", "Well "),
        ("moment", "[laughs] "),
        ("gone", "hello "),
        ("new", "hi "),
        ("same", "there"),
    ]


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=30)
def test_no_word_is_lost(asked: str, said: str) -> None:
    parts = diff_speech(asked, said)
    kept = "".join("".join(part.words for part in parts if part.kind not in ("gone", "moment")).split())
    assert kept == "".join(re.sub(r"\*?\[[^\[\]]*\]\*?[.,;:!?…]*", "", said).split())
    assert all(part.words for part in parts)
    left_out = [part for part in parts if part.kind == "gone"]
    assert all("".join(part.words.split()) in "".join(asked.split()) for part in left_out)
