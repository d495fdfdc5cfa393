"""What was asked against what was said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.report.differ import differ, differs, has_moments


def told(asked: str, said: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.words) for piece in differ(asked, said)]


def test_a_word_left_out_and_a_word_put_in_are_apart() -> None:
    assert told("We are quite full.", "We are full tonight.") == [
        ("same", "We are "),
        ("del", "quite "),
        ("same", "full "),
        ("ins", "tonight."),
    ]
    assert told("Bar the door.", "Bar the gate.") == [("same", "Bar the "), ("del", "door. "), ("ins", "gate.")]


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
    assert not differs(differ(asked, said))


def test_a_script_without_spaces_is_compared_sign_by_sign() -> None:
    assert told("你好世界", "你好吗世界") == [("same", "你好"), ("ins", "吗"), ("same", "世界")]


def test_nothing_said_is_all_left_out() -> None:
    assert told("Good evening.", "") == [("del", "Good evening.")]
    assert told("", "Good evening.") == [("ins", "Good evening.")]


def test_signs_alone_are_no_words() -> None:
    assert told("yes - no", "yes ? no") == [("same", "yes ? no")]
    assert told("yes - no", "yes no") == told("yes no", "yes no")
    assert told("?", "") == []
    assert told("", "?") == [("same", "?")]


def test_hyphens_part_words_and_numbers_are_one() -> None:
    assert not differs(differ("Twenty-one of 1,000, don’t you?", "twenty one of 1000 dont you"))
    assert told("A well-known inn", "A well-worn inn") == [
        ("same", "A well-"),
        ("del", "known "),
        ("ins", "worn "),
        ("same", "inn"),
    ]


def test_very_long_texts_are_one_change_between_what_they_share() -> None:
    many = "a b " * 2_000
    pieces = differ(f"begin {many} end", f"begin c {many} so d {many} e end")
    assert [piece.kind for piece in pieces] == ["same", "del", "ins", "same"]


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
    pieces = differ(asked, said)
    assert not differs(pieces)
    assert [piece.words for piece in pieces if piece.kind == "moment"] == moments
    assert has_moments(pieces) == bool(moments)


def test_a_moment_is_not_the_word_in_it() -> None:
    assert told("x [x] y", "x x y") == [("same", "x "), ("moment", "[x] "), ("ins", "x "), ("same", "y")]
    assert told("Well [laughs] hello there", "Well hi there") == [
        ("same", "Well "),
        ("moment", "[laughs] "),
        ("del", "hello "),
        ("ins", "hi "),
        ("same", "there"),
    ]


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=30)
def test_no_word_is_lost(asked: str, said: str) -> None:
    pieces = differ(asked, said)
    kept = "".join("".join(piece.words for piece in pieces if piece.kind not in ("del", "moment")).split())
    assert kept == "".join(re.sub(r"\*?\[[^\[\]]*\]\*?[.,;:!?…]*", "", said).split())
    assert all(piece.words for piece in pieces)
    left_out = [piece for piece in pieces if piece.kind == "del"]
    assert all("".join(piece.words.split()) in "".join(asked.split()) for piece in left_out)
