"""The performer says a line as it is written, and something sensible where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.delivery import Moment, Phrase, SpeechPlan, SpeechStyle, plan_speech


def perform(user: str, instructions: str = "", *, speed: float = 1.0, heard: tuple[Utterance, ...] = ()) -> SpeechPlan:
    return plan_speech(SpeechRequest(instructions, (), user, heard, "ash", speed))


def line(words: str, direction: str = "") -> SpeechPlan:
    return perform(f'Perform this line, {direction}: "{words}"' if direction else f'Perform this line: "{words}"')


@pytest.mark.parametrize(
    ("words", "parts", "transcript"),
    [
        ("Yes", [Phrase("Yes")], "Yes"),
        (
            "I'm afraid we're down to the... [clears throat] the last umbrella.",
            [Phrase("I'm afraid we're down to the"), Moment("pause"), Moment("cough"), Phrase("the last umbrella.")],
            "I'm afraid we're down to the... the last umbrella.",
        ),
        (
            "The last one *today*. Bye.",
            [Phrase("The last one"), Phrase("today.", 2.0, 0.88), Phrase("Bye.")],
            "The last one today. Bye.",
        ),
        ("**STOP** it", [Phrase("STOP", 4.0, 0.95), Phrase("it")], "STOP it"),
        ("[sighs]", [Moment("sigh")], ""),
        ("[waves] Hi [laughs]!", [Moment("breath"), Phrase("Hi"), Moment("laugh")], "Hi!"),
        ('She said "no", twice.', [Phrase('She said "no", twice.')], 'She said "no", twice.'),
        ("!?", [Moment("breath")], "!?"),
    ],
)
def test_brackets_become_sounds_stars_become_stress_and_neither_is_spoken(
    words: str, parts: list[object], transcript: str
) -> None:
    performance = line(words)
    assert list(performance.parts) == parts
    assert performance.transcript == transcript


def test_the_line_is_found_in_other_templates_too() -> None:
    assert perform('Speak as follows: nervous. LINE: "Yes: no."').transcript == "Yes: no."
    assert perform('Perform this line:\n"Two\nlines."').transcript == "Two lines."


@pytest.mark.parametrize(
    ("direction", "check"),
    [
        ("nervously", lambda how: how.rate > 1 and how.pitch > 1),
        ("slowly", lambda how: how.rate < 1),
        ("conspiratorially, tipsily", lambda how: how.whispered and how.rate < 1),
        ("shouting", lambda how: how.gain_db > 0),
        ("quietly", lambda how: how.gain_db < 0),
        ("as if nothing had happened", lambda how: how == SpeechStyle()),
    ],
)
def test_direction_colours_rate_pitch_and_loudness(direction: str, check: object) -> None:
    assert callable(check)
    assert check(line("Yes", direction).style)


def test_an_accent_colours_less_than_a_direction_and_the_sessions_speed_counts() -> None:
    asked = 'Perform this line: "Yes"'
    slow = line("Yes", "slowly").style.rate
    assert slow < perform(asked, "Speak in a slow drawl.").style.rate < 1
    assert perform(asked, speed=1.25).style.rate == 1.25
    assert perform(asked, "Speak in a whispered Scottish brogue.").style.whispered


def test_without_a_line_the_answer_suits_and_is_always_the_same() -> None:
    assert perform("Where does the wind come from?") == perform("Where does the wind come from?")
    said = {perform(text).transcript for text in ("Who are you?", "It rains.", "")}
    assert len(said) == 3
    assert perform("", heard=(Utterance(""),)).transcript != perform("").transcript


@given(st.text(max_size=80), st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_performance(words: str, direction: str, instructions: str) -> None:
    for performance in (line(words, direction), perform(words, instructions)):
        assert performance.parts
        assert 0.6 <= performance.style.rate <= 1.7
