"""Words that are sent as they sound, and read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.text import as_written, pronounce, same_words, spoken_words

SOUNDS = (
    ("CIA", "C. I. A."),
    ("CIA file", "see eye ay file"),
    ("Nguyen", "Win"),
    ("gif", "jif"),
    ("I", "eye"),
    ("東京", "とうきょう"),
    ("Zoë", "Zo-ee"),
    ("C++", "see plus plus"),
    ("Dr.", "doctor"),
)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("The CIA, Nguyen's own.", "The C. I. A., Win's own."),
        ("A CIA file of the CIA.", "A see eye ay file of the C. I. A."),
        ("CIA\n file", "see eye ay file"),
        ("cia, CIAs, NGUYEN, McNguyen", "cia, CIAs, NGUYEN, McNguyen"),
        ("A GIF, a gif, Gifs", "A jif, a jif, Gifs"),
        ("*Nguyen* [Nguyen coughs] **CIA**", "*Win* [Nguyen coughs] **C. I. A.**"),
        ("東京都", "とうきょう都"),
        ("Zoe\u0308 and Zoë\u0301", "Zo-ee and Zoë\u0301"),
        ("C++, C", "see plus plus, C"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_whole_words_are_sent_as_they_sound(text: str, sent: str) -> None:
    assert pronounce(text, SOUNDS) == sent


def test_a_text_without_such_words_is_sent_as_it_is() -> None:
    assert pronounce("Zoe\u0308", ()) == "Zoe\u0308"
    assert as_written("The CIA.", "", SOUNDS) == ""
    assert as_written("The end.", "The see eye ay end.", SOUNDS) == "The see eye ay end."
    assert as_written("A ferry.", "A very.", (("ferry", "FERRY"),)) == "A very."


@pytest.mark.parametrize(
    ("asked", "said", "shown"),
    [
        ("The CIA, Nguyen.", "the C.I.A., Win", "the C.I.A., Nguyen"),
        ("See Dr. Nguyen.", "See doctor Win.", "See Dr. Nguyen."),
        ("See the Dr.", "See the doctor.", "See the Dr."),
        ("The CIA, Nguyen.", "The CIA, Nguyen!", "The CIA, Nguyen!"),
        ("Nguyen met Nguyen.", "Nguyen met Win.", "Nguyen met Nguyen."),
        ("Nguyen will win.", "Win will win.", "Nguyen will win."),
        ("Is it CIA?", "Is it C. I. A.?", "Is it CIA?"),
        ("*Nguyen's* own", "Win's own", "Nguyen's own"),
        ("[coughs] The CIA.", "The C. I. A. called.", "The CIA called."),
        ("Nguyen and the CIA", "Win, the C I A and I", "Nguyen, the CIA and I"),
        ("CIA CIA", "the C. I. A.", "the CIA"),
        ("The CIA.", "the C. I. A.", "the CIA."),
        ("A *CIA file*, sir.", "a see eye ay file, sir", "a CIA file, sir"),
        ("The CIA.", "the C. I. A.!", "the CIA!"),
        ("-- Nguyen --", "Win", "Nguyen"),
    ],
)
def test_a_transcript_is_spelt_as_the_scene_is(asked: str, said: str, shown: str) -> None:
    assert as_written(asked, said, SOUNDS) == shown


LETTERS = st.text("abcdwéxyz", min_size=1, max_size=3)
FORMS = st.dictionaries(LETTERS, st.lists(LETTERS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=4)
LINE = st.lists(st.tuples(LETTERS, st.sampled_from(["", "", ",", ".", "!", " –"])), min_size=1, max_size=9)


def _line(words: list[tuple[str, str]]) -> str:
    return " ".join(word + sign for word, sign in words)


@given(words=LINE, forms=FORMS, data=st.data())
def test_the_written_and_the_sounded_form_are_equal(
    words: list[tuple[str, str]], forms: dict[str, str], data: st.DataObject
) -> None:
    """Each word may be transcribed as it is written or as it was sent, whatever the others are."""
    sounds = tuple(forms.items())
    asked = _line(words)
    said = " ".join(word if data.draw(st.booleans()) else pronounce(word, sounds) for word, _ in words)
    assert same_words(asked, as_written(asked, said, sounds))
    assert as_written(asked, asked, sounds) == asked


@given(words=LINE, forms=FORMS)
def test_no_other_word_is_changed(words: list[tuple[str, str]], forms: dict[str, str]) -> None:
    asked, sounds = _line(words), tuple(forms.items())
    sent = spoken_words(pronounce(asked, sounds))
    one_by_one = [part for word, _ in words for part in spoken_words(forms.get(word, word))]
    assert sent == one_by_one


@given(words=LINE, other=LINE, forms=FORMS)
def test_other_words_stay_other_words(
    words: list[tuple[str, str]], other: list[tuple[str, str]], forms: dict[str, str]
) -> None:
    """What is neither the written nor the sounded form of any word is not made equal."""
    asked, sounds = _line(words), tuple(forms.items())
    said = f"{_line(other)} qqq"
    assert not same_words(asked, as_written(asked, said, sounds))
