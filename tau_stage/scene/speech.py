"""What an author writes for a player, taken apart: how to say it, and what to say."""

import re
from dataclasses import dataclass

from tau_stage.scene.units import wrong

_ESCAPED = re.compile(r"\\([()（）])")
_PARENTHESIS = re.compile(r"\\.|[()（）]", re.DOTALL)
_ASIDE = re.compile(r"\\.|[(（](?P<aside>[^()（）\\]*)[)）]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Speech:
    """The words of one line.

    Attributes:
        direction: What the leading parenthesis said, or empty.
        words: What is spoken; moments in brackets and stressed stars are left as they are.
        aside: What stands in the first parenthesis among the words, which is spoken too.
    """

    direction: str
    words: str
    aside: str = ""


def parse_speech(text: str) -> Speech:
    r"""Take a leading parenthesis off a line.

    Raises:
        PydanticCustomError: The parenthesis is never closed, a second one follows, or no words are left.

    >>> parse_speech("(nervously, (very) low) I'm afraid... [sighs] so.")
    Speech(direction='nervously, (very) low', words="I'm afraid... [sighs] so.", aside='')
    >>> parse_speech(r"\(Aside\) he said.")
    Speech(direction='', words='(Aside) he said.', aside='')
    """
    text = text.strip()
    if not text:
        raise wrong("a line needs words", "a line is '- player: words'; leave the line out for silence")
    if not text.startswith(("(", "（")):
        return Speech("", _plain(text), _aside(text))
    end = _closing(text)
    if end is None:
        raise wrong("this parenthesis is never closed", r"close it after the direction, or write \( to have it spoken")
    direction, words = text[1:end].strip(), text[end + 1 :].strip()
    if not words:
        hint = r"add words after it, or write \( to have it spoken"
        raise wrong("a line needs words, and here is a direction only", hint)
    if words.startswith(("(", "（")) and (second := _closing(words)) is not None:
        other = words[1:second].strip()
        hint = rf"write both in one: ({direction}, {other}), or write \({other}\) to have it spoken"
        raise wrong("a second direction stands here, and would be spoken", hint)
    return Speech(_plain(direction), _plain(words), _aside(words))


def _aside(words: str) -> str:
    return next((found["aside"].strip() for found in _ASIDE.finditer(words) if found["aside"]), "")


def _closing(text: str) -> int | None:
    depth = 0
    for sign in _PARENTHESIS.finditer(text):
        depth += {"(": 1, "（": 1, ")": -1, "）": -1}.get(sign[0], 0)
        if not depth:
            return sign.start()
    return None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
