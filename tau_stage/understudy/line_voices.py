"""Which voice speaks a line, by its language: what the understudy can say with what is installed.

English is spoken by the neural voice; any other language by espeak-ng, where ``[languages]`` is installed.
"""

from __future__ import annotations

import tomllib
import unicodedata
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tau_stage.text import language_name, language_of, script_of, told_language

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
VOICED = ("LATIN", "GREEK", "CYRILLIC", "FULLWIDTH LATIN")  # how Unicode's names begin of letters that can be said
ENGINE = "espeak-ng, a formant voice"
LANGUAGES_HINT = "to add more languages: pip install 'tau-stage[languages]'"


def unsupported_script(words: str) -> str | None:
    """Name the script of words that the English voice cannot say; None where it can say some of them.

    >>> unsupported_script("こんにちは"), unsupported_script("Wi-Fi は、どこ?"), unsupported_script("...")
    ('Japanese', None, None)
    """
    letters = [sign for sign in words if sign.isalpha() or sign.isdigit()]
    spoken = any(sign.isdigit() or unicodedata.name(sign, "").startswith(VOICED) for sign in letters)
    return None if spoken or not letters else script_of(words)


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
    if main not in WORDS["known"]["codes"].split():
        return None
    name = WORDS["voices"].get(language) or WORDS["voices"].get(main, main)
    others = WORDS["variants"]["others"].split()
    variant = WORDS["variants"].get(voice) or others[zlib.crc32(voice.encode()) % len(others)]
    if whispered:
        variant = "whisper" if variant.startswith("m") else "whisperf"
    return f"{name}+{variant}"


def has_other_languages() -> bool:
    """Tell whether ``[languages]`` is installed."""
    return find_spec("espeakng_loader") is not None and find_spec("pykakasi") is not None
