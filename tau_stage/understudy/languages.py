"""Which language a line is spoken in: by what the player is told, and by the script of its letters. Pure.

English is spoken by the neural voice; any other language by espeak-ng, where ``[languages]`` is installed.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tau_stage.scene import language_names

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
SCRIPTS = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""How scripts are called where that is not the first word of their letters' names."""

VOICED = ("LATIN", "GREEK", "CYRILLIC", "FULLWIDTH LATIN")  # how Unicode's names begin of letters that can be said
NOT_LATIN = {*WORDS["scripts"], "Thai", "Lao", "Khmer", "Tibetan", "Mongolian", "Cherokee", "Thaana", "Syriac"}
OURS = "en"
ENGINE = "espeak-ng, a formant voice"
LANGUAGES_HINT = "pip install 'tau-stage[languages]' speaks it"


def script_of(words: str) -> str:
    """Name the script that most letters of some words belong to."""
    names = [unicodedata.name(letter, "").split()[:1] for letter in words if letter.isalpha()]
    scripts = Counter(SCRIPTS.get(name[0], name[0].capitalize()) for name in names if name)
    if not scripts:
        return "no letters"
    return "Japanese" if "Japanese" in scripts else scripts.most_common(1)[0][0]


def unsupported_script(words: str) -> str | None:
    """Name the script of words that the English voice cannot say; None where it can say some of them.

    >>> unsupported_script("こんにちは"), unsupported_script("Wi-Fi は、どこ?"), unsupported_script("...")
    ('Japanese', None, None)
    """
    letters = [sign for sign in words if sign.isalpha() or sign.isdigit()]
    spoken = any(sign.isdigit() or unicodedata.name(sign, "").startswith(VOICED) for sign in letters)
    return None if spoken or not letters else script_of(words)


@cache
def _named() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, language_names().values()), key=len, reverse=True))
    return re.compile(
        rf"\b(?:Speak|(?:[Aa]nswer|[Rr]eply|[Rr]espond) in) (?:(?P<name>{names})(?: \((?P<code>[\w-]+)\))?"
        r"|the language (?P<other>[\w-]+))(?=[\s.,;:!]|$)(?! accent)"
    )


def told_language(instructions: str) -> str:
    """Find the code of the language that a player is told to speak, last of all; empty where nobody says.

    >>> told_language("Be brief. Speak German."), told_language("Speak Portuguese (pt-BR)."), told_language("Speak up.")
    ('de', 'pt-br', '')
    """
    found = [*_named().finditer(instructions)]
    if not found:
        return ""
    last = found[-1]
    codes = {name: code for code, name in language_names().items()}
    return (last["code"] or last["other"] or codes[last["name"]]).casefold()


def language_of(words: str, told: str = "") -> str:
    """Choose the language of a line: the one that is told, unless it is not written so; empty is English.

    >>> language_of("Guten Abend.", "de"), language_of("Good evening."), language_of("Добрий вечір")
    ('de', '', 'uk')
    >>> language_of("Добрый вечер", "de")
    'ru'
    """
    script, main = script_of(words), told.partition("-")[0]
    if script not in NOT_LATIN:
        return "" if main == OURS else told
    usual = str(WORDS["scripts"].get(script, script.casefold()))
    if main and main in WORDS["written"].get(script, usual).split():
        return told
    others = WORDS["written"].get(script, "").split()
    small = words.casefold()
    return next((code for code in others if any(sign in small for sign in WORDS["letters"].get(code, ""))), usual)


@dataclass(frozen=True, slots=True)
class LineSpeech:
    """How the understudy says a line.

    Attributes:
        name: Its language, or the script that nobody knows.
        engine: What says it, where that is not the English voice.
        problem: ``fails``: it cannot be said; ``misread``: it is read as if it were English.
        has_remedy: Whether the extra ``[languages]`` would say it.
    """

    name: str
    engine: str = ""
    problem: Literal["", "fails", "misread"] = ""
    has_remedy: bool = False


def speech_of(words: str, instructions: str) -> LineSpeech:
    """Tell how the understudy says a line, with what is installed.

    >>> speech_of("Good evening.", "").name, speech_of("สวัสดี", "").problem
    ('English', 'fails')
    """
    language = language_of(words, told_language(instructions))
    is_known = bool(language) and formant_voice(language, "") is not None
    script = unsupported_script(words)
    if is_known and has_other_languages():
        return LineSpeech(language_name(language), ENGINE)
    if script or language:
        return LineSpeech(script or language_name(language), "", "fails" if script else "misread", is_known)
    return LineSpeech("English")


def formant_voice(language: str, voice: str, *, whispered: bool = False) -> str | None:
    """Return what espeak-ng calls a voice in a language; None where it does not know the language.

    >>> formant_voice("de", "ash"), formant_voice("zh", "coral"), formant_voice("pt-br", "ash")
    ('de+m3', 'cmn+f2', 'pt-br+m3')
    """
    main = language.partition("-")[0]
    known = {*WORDS["latin"]["codes"].split(), *WORDS["scripts"].values()}
    known |= {code for row in WORDS["written"].values() for code in row.split()}
    if main not in known and main not in WORDS["voices"]:
        return None
    name = WORDS["voices"].get(language) or WORDS["voices"].get(main, main)
    others = WORDS["variants"]["others"].split()
    variant = WORDS["variants"].get(voice) or others[zlib.crc32(voice.encode()) % len(others)]
    if whispered:
        variant = "whisper" if variant.startswith("m") else "whisperf"
    return f"{name}+{variant}"


def has_other_languages() -> bool:
    """Tell whether ``[languages]`` is installed."""
    return find_spec("espeakng_loader") is not None


def language_name(code: str) -> str:
    """Return the English name of a language, or its code.

    >>> language_name("pt-br"), language_name("xx")
    ('Portuguese', 'xx')
    """
    return language_names().get(code.partition("-")[0], code)
