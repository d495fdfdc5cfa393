"""A player without a line says something that fits what it heard: short, and always the same for the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.improvisation import ABOUT, PLAIN, improvise, kind_of, read_briefing, topic_of

VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
PLAY = "With you play: keeper, Marlow, the stranger."


def line_by(
    *heard: str, instructions: str = "", system: Sequence[str] = (), said: Sequence[str] = (), voice: str = "ash"
) -> str:
    remarks = tuple(Utterance(words) for words in heard)
    return improvise(SpeechRequest(instructions, tuple(system), "", remarks, voice, said=tuple(said)))


@pytest.mark.parametrize(
    ("words", "kind", "topic"),
    [
        ("I have lost an umbrella.", "statement", "the umbrella"),
        ("The umbrella broke.", "statement", "the umbrella"),
        ("Is it about the last wooden boat?", "question", "the last wooden boat"),
        ("Is your boat in Oslo?", "question", "Oslo"),
        ("Why did you sell my hat?", "question", "your hat"),
        ("A fine boat! What do you say, Marlow?", "question", "the fine boat"),
        ("Are you tired?", "question", "tired"),
        ("Who are you?", "question", None),
        ("Hello there.", "greeting", None),
        ("Good evening, Marlow.", "greeting", None),
        ("Hello, I would like to send back a kettle.", "statement", "the kettle"),
        ("I want to learn some French.", "statement", "French"),
        ("Hello, where is the boat?", "question", "the boat"),
        ("Oh, thank you very much.", "thanks", None),
        ("Thanks for the soup.", "thanks", "the soup"),
        ("Thank you. Goodbye!", "goodbye", None),
        ("...", "statement", None),
    ],
)
def test_what_was_said_is_of_a_kind_and_has_a_topic(words: str, kind: str, topic: str | None) -> None:
    found = topic_of(words, ["Marlow"])
    assert (kind_of(words), found and found.words) == (kind, topic)


@pytest.mark.parametrize("words", ["I have lost an umbrella.", "Have you seen the umbrella?"])
def test_the_topic_is_taken_up_and_players_differ(words: str) -> None:
    answers = [line_by(words, voice=voice) for voice in VOICES]
    assert all("umbrella" in said.lower() for said in answers)
    assert answers == [line_by(words, voice=voice) for voice in VOICES]
    assert len(set(answers)) == len(VOICES)


@pytest.mark.parametrize(
    ("words", "kind"), [("Good evening!", "greeting"), ("Thank you so much.", "thanks"), ("Farewell.", "goodbye")]
)
def test_politeness_is_answered_in_kind(words: str, kind: str) -> None:
    assert {line_by(words, voice=voice) for voice in VOICES} <= set(PLAIN[kind])


def test_there_are_sentences_enough_and_all_are_short() -> None:
    sentences = [sentence for kinds in (ABOUT, PLAIN) for kind in kinds.values() for sentence in kind]
    assert len(set(sentences)) >= 12
    assert max(map(len, sentences)) < 70


@pytest.mark.parametrize("heard", [(), ("It rains.",), ("Where is the boat?",), ("Hello.",)])
def test_nobody_repeats_the_last_sentence(heard: tuple[str, ...]) -> None:
    said: list[str] = []
    for _ in range(20):
        said.append(line_by(*heard, said=said))
        assert said[-1] not in said[-2:-1]


def test_a_player_does_not_echo_the_sentence_that_it_hears() -> None:
    for voice in VOICES:
        before = line_by("The boat is late.", voice=voice)
        assert line_by("The boat is late.", before, voice=voice) != before


def test_about_half_of_the_turns_address_somebody_else_who_plays() -> None:
    told = f"You are Marlow. {PLAY}"
    answers = [line_by(f"I saw boat {n} in the fog.", instructions=told, said=["x"] * n) for n in range(100)]
    called = {name: sum(name in said for said in answers) for name in ("keeper", "Marlow", "the stranger")}
    assert called["Marlow"] == 0
    assert min(called["keeper"], called["the stranger"]) > 10
    assert 30 <= sum(called.values()) <= 70
    assert not any(", the stranger" in said for said in answers)


@pytest.mark.parametrize(
    ("text", "others"),
    [
        (PLAY, ("keeper", "Marlow", "the stranger")),
        ("You are Marlow, a sailor. With you play: keeper and Marlow.", ("keeper",)),
        ("You are the stranger in this pub.\nWith you play: Dr. Hale, the stranger\nBe brief.", ("Dr. Hale",)),
        ("With you play: Ann. With you play: Ben, and Cleo.", ("Ben", "Cleo")),
        ("With you play: guest. It is about: Oslo.", ("guest",)),
        ("You are alone.", ()),
    ],
)
def test_who_plays_is_told_by_instructions_or_whispers(text: str, others: tuple[str, ...]) -> None:
    assert read_briefing([text]).others == others


def test_who_has_heard_nothing_opens_with_what_the_play_is_about() -> None:
    for voice in VOICES:
        assert "the last boat" in line_by(system=[f"{PLAY} It is about: the last boat."], voice=voice).lower()
        assert "boat" not in line_by("I lost my hat.", system=["It is about: the last boat."], voice=voice)
    assert line_by() in PLAIN["opening"]


def test_a_sound_without_words_is_answered_as_such() -> None:
    assert line_by("") in PLAIN["unheard"]
    assert "umbrella" in line_by("The umbrella is here.", "").lower()


@pytest.mark.parametrize("told", ["You are an interpreter.", "Translate what you hear into French."])
def test_an_interpreter_says_what_it_heard_and_nothing_else(told: str) -> None:
    heard = ("Good evening.", "Where is the boat?")
    assert line_by(*heard, instructions=told) == line_by(*heard, system=[told, PLAY]) == "Where is the boat?"


def test_what_is_typed_is_answered_like_what_is_heard() -> None:
    typed = improvise(SpeechRequest("", (), "Where is the boat?", (), "ash"))
    assert typed == line_by("Where is the boat?")


@given(st.text(max_size=60), st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_anything_has_an_answer(heard: str, instructions: str, said: list[str]) -> None:
    assert line_by(heard, instructions=instructions, said=said)
