r"""What programs write into texts that is theirs: taken off, so that only what is spoken is left.

Places for values (``{0}``, ``[name]``, ``[select ...]``) stay as they stand: nobody knows here what they will be.

Sources: docs.yarnspinner.dev, markup; renpy.org/doc/html/text.html, text tags; Ren'Py's ``translation.quote_unicode``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_YARN_TAG = re.compile(r"(?<!\\)\[(?:/[\w.]*|(?!(?:select|plural|ordinal)\b)[^\W\d][^\[\]]*)\]")
_YARN_SPEAKER = re.compile(r'(?<!\\)\[character name=(?:"(?P<quoted>[^"\]]*)"|(?P<bare>[^\]\s/]+))\s*/?\]')
_YARN_HEAD = re.compile(r"(?P<name>(?:\\.|[^:\\])*):\s*", re.DOTALL)
_YARN_ESCAPED = re.compile(r"\\([\\\[\]:{}<>/#])")

_RENPY_UNSEEN = re.compile(r"(?<!\{)\{(rt|alt)\}[^{}]*\{/\1\}")
_RENPY_TAG = re.compile(r"\{\{|(?P<paragraph>\{(?:p|fast|nw|w)(?:=[^{}]*)?\}\s*)|\{[^{}]*\}")
_RENPY_DOUBLED = re.compile(r"\[\[|%%")
_RENPY_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SIGNS = {"n": "\n", "t": "\t", "a": "", "b": "", "f": "", "r": "", "v": ""}


def own_syntax_off(program: str, texts: Mapping[str, str]) -> dict[str, str]:
    r"""Return the parts of a line that look otherwise without what is the program's own.

    >>> own_syntax_off("yarn", {"id": "line:0a1", "words": "Ann: [wave]Hi[/wave] \\[sic\\]"})
    {'id': '0a1', 'player': 'Ann', 'words': 'Hi [sic]'}
    >>> own_syntax_off("renpy", {"id": "start_a1", "player": '"Eileen"', "words": r"{i}No{/i}, \"[[sic]\"."})
    {'player': 'Eileen', 'words': 'No, "[sic]".'}
    """
    return _PROGRAMS[program](texts) if program in _PROGRAMS else {}


# Yarn Spinner takes what stands before the first colon for the name of the character, unless the text is marked with a
# name: ``[character name="Ann"/]``. A backslash takes from a sign what it means.


def _yarn(texts: Mapping[str, str]) -> dict[str, str]:
    words, player = texts["words"], texts.get("player", "")
    if marked := _YARN_SPEAKER.search(words):
        player = player or marked["quoted"] or marked["bare"] or ""
    elif not player and (head := _YARN_HEAD.match(_YARN_TAG.sub("", words))):
        player = _YARN_ESCAPED.sub(r"\1", head["name"]).strip()
        words = _YARN_TAG.sub("", words)[head.end() :]
    words = _YARN_ESCAPED.sub(r"\1", _YARN_TAG.sub("", words))
    return {"id": texts.get("id", "").removeprefix("line:"), "player": player, "words": words.strip()}


# Ren'Py quotes tabs and the like with backslashes. Text that is only seen (ruby) or only read out by a screen reader
# (``alt``) is not what an actor says. Tags that wait part what is said.


def _renpy(texts: Mapping[str, str]) -> dict[str, str]:
    words = _RENPY_ESCAPED.sub(lambda sign: _SIGNS.get(sign[1], sign[1]), texts["words"])
    words = _RENPY_TAG.sub(_renpy_tag, _RENPY_UNSEEN.sub("", words))
    words = _RENPY_DOUBLED.sub(lambda sign: sign[0][0], words)
    return {"player": texts.get("player", "").strip("\"'"), "words": words.strip()}


def _renpy_tag(tag: re.Match[str]) -> str:
    if tag[0] == "{{":
        return "{"
    return " " if tag["paragraph"] else ""


def _unreal(texts: Mapping[str, str]) -> dict[str, str]:
    return {"id": re.sub(r"\.wav$", "", texts.get("id", ""), flags=re.IGNORECASE)}


def _dink(texts: Mapping[str, str]) -> dict[str, str]:
    """Name the scene after its block, too: a snippet's id is unique within that."""
    return {"scene": " ".join(filter(None, (texts.get("block"), texts.get("scene"))))}


_PROGRAMS: Mapping[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
    "yarn": _yarn,
    "renpy": _renpy,
    "unreal": _unreal,
    "dink": _dink,
}
