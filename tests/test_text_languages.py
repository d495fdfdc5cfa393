"""Which language words are in: what is told counts, unless the script says otherwise."""

from __future__ import annotations

import pytest

from tau_stage.scene.names import speak_language
from tau_stage.text.languages import language_name, language_of, language_table, script_of, told_language


@pytest.mark.parametrize(
    ("instructions", "code"),
    [
        ("You are a baker.\nSpeak German.\nSpeak in soft Irish.", "de"),
        ("Speak German. Now speak softly. Speak French!", "fr"),
        ("Speak Portuguese (pt-BR).", "pt-br"),
        ("Speak the language xx.", "xx"),
        ("Please answer in Scottish Gaelic, always", "gd"),
        ("Speak Norwegian Bokmål", "nb"),
        ("Speak in French.", ""),  # an accent
        ("Speak French accent", ""),
        ("Speak Germanic words", ""),
        ("They speak German.", ""),
        ("Speak each line exactly as written.", ""),
        ("", ""),
    ],
)
def test_a_language_is_told_in_a_few_ways_and_the_last_counts(instructions: str, code: str) -> None:
    assert told_language(instructions) == code


@pytest.mark.parametrize("code", language_table()["names"])
def test_what_a_scene_tells_is_understood(code: str) -> None:
    assert told_language(speak_language(code)) == code


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        ("Good evening.", "", ""),
        ("Good evening.", "en-gb", ""),
        ("Guten Abend.", "de", "de"),
        ("1984", "de", "de"),
        ("Добрый вечер", "", "ru"),
        ("Добрый вечер", "bg", "bg"),
        ("Добрий вечір, їжаче", "", "uk"),
        ("سلام، چطوری؟", "", "fa"),
        ("مرحبا", "fr", "ar"),
        ("今日は", "", "ja"),
        ("今日", "", "zh"),
        ("今日", "ja", "ja"),
        ("שלום", "", "he"),
        ("สวัสดี", "de", "th"),
        ("ᏣᎳᎩ", "", ""),
    ],
)
def test_a_script_wins_over_a_language_that_is_not_written_so(words: str, told: str, code: str) -> None:
    assert language_of(words, told) == code


def test_scripts_are_those_of_most_letters() -> None:
    assert [script_of(words) for words in ("", "é", "🎭", "Wi-Fi は", "ΑΒΓ a")] == [
        "no letters", "Latin", "no letters", "Japanese", "Greek",
    ]  # fmt: skip


def test_languages_have_names() -> None:
    assert [language_name(code) for code in ("de", "DE", "de-CH", "xx")] == ["German", "German", "German", "xx"]
