r"""Make text safe to show, whoever wrote it: servers, models, scenes, files.

What a reader must see, and a terminal, a browser or a CI server must not obey, becomes a visible mark:

- C0 controls and DEL become Unicode's control pictures: ESC is shown as ``␛``, NUL as ``␀``. A tab becomes a blank.
- C1 controls, bidi marks, format characters, fillers, noncharacters and lone surrogates become ``\x9b``, ``\u202e`` or
  ``\U000e0041``.
- What begins a command of a CI server gets a blank: ``: :error``, ``# #[error]``, ``# #vso[``, ``# #teamcity[``.

Joiners and variation selectors stay where they only shape a visible character: in emoji, in Indic and Arabic scripts,
behind Chinese characters.

Sources: Unicode 16, Default_Ignorable_Code_Point and Bidi_Control; ECMA-48 (escapes); GitHub's runner,
``ActionCommand.cs`` (``::`` at the beginning of a line, ``##[`` anywhere); Azure's agent, ``Command.cs``; TeamCity's
service messages; GitLab's sections, which need an ESC and a CR.
"""

from __future__ import annotations

import re
import unicodedata

_SYMBOLS = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_JOINING = "\u0600-\u061b\u061d-\u08ff\u0900-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18af"
_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_KEPT = (
    f"[{_SYMBOLS}](?:[\ufe0e\ufe0f]\u200d?|\u200d)"
    f"|[0-9#*]\ufe0f\u20e3"
    f"|[{_JOINING}][\u200c\u200d]"
    f"|[{_HAN}][\ufe00-\ufe02\U000e0100-\U000e01ef]"
)
_UNSAFE = (
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SIGNS = re.compile(f"(?P<kept>{_KEPT})|{_UNSAFE}")
_ASCII_SIGNS = re.compile("[\x00-\x09\x0b-\x1f\x7f]")
_LINE_COMMAND = re.compile(r"^([^\S\n]*:):", re.MULTILINE)
_COMMAND = re.compile(r"#(?=#(?:vso|teamcity)?\[)", re.IGNORECASE)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")
_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\t": " ", "\x7f": "\u2421"}


def printable(text: str) -> str:
    r"""Mark in a text all that is not meant to be seen. Lines stay lines; a second pass changes nothing.

    >>> printable("Hello \x1b[2Jthere, my friend\x00.")
    'Hello ␛[2Jthere, my friend␀.'
    >>> printable("a\u202eb\x9bc"), printable("::error::no"), printable("👩‍🚀 ❤️")
    ('a\\u202eb\\x9bc', ': :error::no', '👩\u200d🚀 ❤️')
    """
    text = text.replace("\r\n", "\n")
    text = _ASCII_SIGNS.sub(_marked, text) if text.isascii() else _SIGNS.sub(_marked, text)
    return _COMMAND.sub("# ", _LINE_COMMAND.sub(r"\1 :", text))


def well_formed(text: str) -> str:
    r"""Replace lone surrogates, which no encoding can write, by U+FFFD; pairs become the character they are.

    They come from file names that are not UTF-8 (PEP 383), and from programs that cut words anywhere.

    >>> well_formed("a\udcffb"), well_formed("\ud83d\ude00")
    ('a\ufffdb', '😀')
    """
    joined = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _LONE.sub("\ufffd", joined)


def with_clause(sentence: str, clause: str) -> str:
    """Append a clause to a sentence, which may be a server's own and end in a full stop.

    >>> with_clause("Slow down.", "waited 1.0 s")
    'Slow down; waited 1.0 s'
    """
    return f"{sentence.removesuffix('.')}; {clause}"


def one_line(text: str) -> str:
    r"""Write a printable text on one line: white space of any kind is one blank, and none stands at the ends.

    >>> one_line(" Then\t\u2028 welcome!\x00\n")
    'Then welcome!␀'
    """
    return printable(" ".join(text.split()))


def hidden(text: str) -> tuple[str, ...]:
    r"""List the signs of a text that nobody sees, each once, by its code; those that shape others are seen.

    >>> hidden("ann\u200b"), hidden("ann"), hidden("❤️")
    (('U+200B',), (), ())
    """
    found = (sign[0] for sign in _SIGNS.finditer(text) if not sign.lastgroup)
    return tuple(dict.fromkeys(f"U+{ord(sign):04X}" for sign in found))


def visible(text: str) -> str:
    r"""Strip from a text the signs that nobody sees.

    >>> visible("an\u00adn\u200b")
    'ann'
    """
    return _SIGNS.sub(lambda sign: sign[0] if sign.lastgroup else "", text)


def printable_json(text: str) -> str:
    r"""Write a JSON text that says the same, with escapes for all that ``printable`` marks.

    >>> printable_json('{"words": "\u202e##[error]"}')
    '{"words": "\\u202e\\u0023#[error]"}'
    """
    text = _ASCII_SIGNS.sub(_escaped, text) if text.isascii() else _SIGNS.sub(_escaped, text)
    return _COMMAND.sub(r"\\u0023", text)


def _marked(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if found.lastgroup else _PICTURES.get(sign) or sign.encode("unicode_escape").decode()


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    if found.lastgroup or sign in "\t\r":  # between the tokens of JSON; within a text they are escaped already
        return sign
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def columns(text: str) -> int:
    r"""Count how wide a text is: Chinese, Japanese and Korean signs take two columns, accents that combine take none.

    Source: Unicode Standard Annex #11, East Asian Width.

    >>> columns("umbrella"), columns("傘"), columns("e\N{COMBINING ACUTE ACCENT}")
    (8, 2, 1)
    """
    if text.isascii():
        return len(text)
    shown = (sign for sign in text if unicodedata.category(sign)[0] != "M")
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in shown)


def counted(number: int, what: str) -> str:
    """Write a number of things.

    >>> counted(1, "line"), counted(2, "line")
    ('1 line', '2 lines')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"
