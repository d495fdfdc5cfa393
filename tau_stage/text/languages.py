"""Which language words are in: by what a player is told to speak, and by the script of their letters."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

ENGLISH = "en"
SCRIPTS = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""How scripts are called where that is not the first word of their letters' names."""


@cache
def language_table() -> dict[str, Any]:
    """Return the table of languages: their names, and those of each script."""
    table: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return table


def script_of(words: str) -> str:
    """Name the script that most letters of some words belong to.

    >>> script_of("Good evening."), script_of("Добрый"), script_of("1984")
    ('Latin', 'Cyrillic', 'no letters')
    """
    if words.isascii():
        return "Latin" if any(map(str.isalpha, words)) else "no letters"
    names = [unicodedata.name(letter, "").split()[:1] for letter in words if letter.isalpha()]
    scripts = Counter(SCRIPTS.get(name[0], name[0].capitalize()) for name in names if name)
    if not scripts:
        return "no letters"
    return "Japanese" if "Japanese" in scripts else scripts.most_common(1)[0][0]


@cache
def _named() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, language_table()["names"].values()), key=len, reverse=True))
    return re.compile(
        rf"\b(?:Speak|(?:[Aa]nswer|[Rr]eply|[Rr]espond) in) (?:(?P<name>{names})(?: \((?P<code>[\w-]+)\))?"
        r"|the language (?P<other>[\w-]+))(?=[\s.,;:!]|$)(?! accent)"
    )


@lru_cache(512)
def told_language(instructions: str) -> str:
    """Find the code of the language that a player is told to speak, last of all; empty where nobody says.

    >>> told_language("Be brief. Speak German."), told_language("Speak Portuguese (pt-BR)."), told_language("Speak up.")
    ('de', 'pt-br', '')
    """
    found = [*_named().finditer(instructions)]
    if not found:
        return ""
    last = found[-1]
    codes = {name: code for code, name in language_table()["names"].items()}
    return (last["code"] or last["other"] or codes[last["name"]]).casefold()


def language_of(words: str, told: str = "") -> str:
    """Choose the language of a line: the one that is told, unless it is not written so; empty is English.

    >>> language_of("Guten Abend.", "de"), language_of("Good evening."), language_of("Добрий вечір")
    ('de', '', 'uk')
    >>> language_of("Добрый вечер", "de")
    'ru'
    """
    table, script, main = language_table(), script_of(words), told.partition("-")[0]
    if script not in table["scripts"]:  # Latin, as a rule
        return "" if main == ENGLISH else told
    usual: str = table["scripts"][script]
    written = table["written"].get(script, usual).split()
    if main in written:
        return told
    small = words.casefold()
    marked = (code for code in written if any(sign in small for sign in table["letters"].get(code, "")))
    return next(marked, usual)


def language_name(code: str) -> str:
    """Return the English name of a language, or its code.

    >>> language_name("pt-br"), language_name("xx")
    ('Portuguese', 'xx')
    """
    return str(language_table()["names"].get(code.partition("-")[0].casefold(), code))
