"""Who a line of a script says that speaks: a name and a colon, however transcripts and chats write that down.

``CLERK: words`` is the plain form. Taken off are time stamps (``[00:12]``, as Whisper, subtitles and chats have them),
bullets (``1.``, ``>>``) and emphasis (``**BEN:**``, as Markdown has it) before a name; ``BEN (low): words`` says how,
``BEN [laughs]: words`` holds a moment; the colon may be full-width, as Chinese and Japanese have it. A player's name
may also be marked without a colon: ``[BEN] words``, ``<Ben> words``, ``BEN - words``, or with a tab.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

MOST_NAME_WORDS = 4
"""Words before a colon that are still taken for a name, where they are not all in capitals."""

LONGEST_NAME = 64
_FURTHEST = 160
"""Characters of a line among which a name is looked for, so that each line is read once."""

_COLON = re.compile("[:\uff1a\ufe55\u2236]")
_DATE = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}){0,2}(?:[.,]\d{1,6})?(?:\s?[AaPp]\.?[Mm]\b\.?|Z)?"
_STAMP = rf"(?:(?:{_DATE}(?:,?\s+|T))?{_CLOCK}|\d+(?:\.\d+)?\s?s)"
_SPAN = rf"{_STAMP}(?:\s*(?:-{{1,2}}>|[-–—])\s*{_STAMP})?"
_STAMPED = re.compile(rf"(?:[\[(<]\s*)?{_SPAN}(?:\s*[\])>])?(?:\s+[-–—|]|[-–—|])?\s+")
_ONLY_STAMP = re.compile(rf"[\[(<]{_SPAN}[\])>]|{_STAMP}\s*-->\s*{_STAMP}(?:\s+\w+:\S+)*")
_STAMP_BESIDE = re.compile(rf"\s*[\[(]{_SPAN}[\])](?=[\s*_]*[:\uff1a])")
_STAMP_BEHIND = re.compile(
    rf"(?P<name>[^:]*?\S)(?:\s{{2,}}|\t|\s+(?=[\[(])|\s+[-–—|]\s+(?:[^\W\d]+\s+){{0,3}})[\[(]?{_STAMP}[\])]?"
)
_BULLET = re.compile(r"(?:>{1,3}|[-–—])\s*|(?:[•‣▪*]|\d{1,4}[.)])\s+")
_MARKED = re.compile(r"[\[<](?:v\s+)?(?P<name>[^\[\]<>]+)[\]>]\s*[:：]?|(?P<before>[^\t]*?\S)(?: *\t|\s+[-–—|]\s)")
_LEADING = re.compile(r"[\s\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069]*")
_BEFORE = re.compile(r"(?:\((?P<how>[^()]*)\)|\[(?P<moment>[^\[\]]*)\])\s*")
_EMPHASIS = re.compile(r"[*_]{1,3}")
_BEHIND = re.compile(r"(?P<name>.*?)[\s*_]*(?:[(（](?P<how>[^()（）]*)[)）]|\[(?P<moment>[^\[\]]*)\])[\s*_]*")
_EXTENSION = re.compile(
    r"(?:v|o)\.? ?(?:o|s|c)\.?|cont['’]?d\.?|continued|continuing|more|voice[- ]?over|off[- ]?screen", re.IGNORECASE
)
_NO_NAME = re.compile(r"[!?;\"“”„«»…]|[^\W\d_]{4,}\.(?:\s|$)|\.\.")
_DIRECTION = re.compile(r"[(（](?P<how>[^()（）]*)[)）]\s*")

Find = Callable[[str], str | None]
"""The player whom a name means, if there is one."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a line that says who speaks.

    Attributes:
        name: As it stands there, without what is around it.
        column: Where the name begins, from 0.
        words: What is spoken, with the direction or the moment that stood beside the name.
        words_column: Where the words begin, from 0; the end of the line, where there are none.
    """

    name: str
    column: int
    words: str
    words_column: int


def is_stamp(line: str) -> bool:
    """Tell whether a line, without blanks around it, is a time stamp and nothing else.

    >>> is_stamp("[00:12]"), is_stamp("00:00:12,000 --> 00:00:14,500"), is_stamp("1:30")
    (True, True, False)
    """
    return _ONLY_STAMP.fullmatch(line) is not None


def head_of(line: str, find: Find) -> Head | None:
    """Tell who speaks in a line, if it has the form of a speech, whether that is a player or not.

    Args:
        line: As it stands in the file.
        find: The player whom a name means.

    >>> players = {"BEN": "ben"}
    >>> [head_of(line, players.get).words for line in ("BEN: Hi", "[00:12] **BEN:** Hi", "BEN (low)：Hi")]
    ['Hi', 'Hi', '(low) Hi']
    >>> head_of("and then he said it all again: no", players.get) is None
    True
    """
    start, rest = _beginning(line)
    colon = _COLON.search(rest)
    if colon and find(name := rest[: colon.start()].strip()):
        return _head(line, name, start, start + colon.end())
    at = _after_signs(rest)
    before = _BEFORE.match(rest, at)
    found = _decorated(line, start, rest, at + len(before[0]), find) if before else None
    if before and found and find(found.name):
        return replace(found, words=_with(before, found.words))
    return _decorated(line, start, rest, at, find) or _stamp_behind(line, start, rest, find)


def marked_head(line: str, find: Find) -> Head | None:
    r"""Find the player whose name is marked at the beginning of a line by other signs than a colon.

    Args:
        line: As it stands in the file.
        find: The player whom a name means.

    >>> players = {"BEN": "ben"}
    >>> [marked_head(line, players.get).words for line in ("[BEN] Hi", "<BEN> Hi", "BEN - Hi", "BEN\tHi")]
    ['Hi', 'Hi', 'Hi', 'Hi']
    >>> marked_head("[sighs] Hi", players.get) is None
    True
    """
    start, rest = _beginning(line)
    at = _after_signs(rest)
    marked = _MARKED.match(rest, at) or _MARKED.match(rest)
    if marked is None:
        return None
    group = "name" if marked["name"] else "before"
    name = marked[group].strip("*_ \t")
    return _head(line, name, start + marked.start(group), start + marked.end()) if find(name) else None


def _beginning(line: str) -> tuple[int, str]:
    """Tell where a line begins that is seen, and its beginning, with blanks for a time stamp between name and colon."""
    start = _after(_LEADING, line, 0)
    rest = line[start : start + _FURTHEST]
    return start, _STAMP_BESIDE.sub(lambda stamp: " " * len(stamp[0]), rest, count=1)


def _after_signs(rest: str) -> int:
    """Return the place after bullets and time stamps."""
    return _after(_BULLET, rest, _after(_STAMPED, rest, _after(_BULLET, rest, 0)))


def _decorated(line: str, start: int, rest: str, at: int, find: Find) -> Head | None:
    """Return a name that may stand in emphasis, and may have a direction or a moment behind it."""
    emphasis = _EMPHASIS.match(rest, at)
    begin = emphasis.end() if emphasis else at
    colon = _COLON.search(rest, begin)
    if colon is None:
        return None
    name, end, opened = rest[begin : colon.start()], start + colon.end(), ""
    if emphasis and line.startswith(emphasis[0], end):
        end += len(emphasis[0])
    elif emphasis and emphasis[0] not in name:
        opened = emphasis[0]
    aside = None if find(name.strip()) else _BEHIND.fullmatch(name)
    name = (aside["name"] if aside else name).strip("*_ \t")
    if find(name) is None and not (_is_name(name) and _begins_words(rest, colon)):
        return None
    if opened and not line.rstrip().endswith(opened):
        return None
    head = _head(line, name, start + begin, end)
    words = opened + head.words
    return replace(head, words=_with(aside, words) if aside else words)


def _stamp_behind(line: str, start: int, rest: str, find: Find) -> Head | None:
    """Return a name with a time stamp behind it, alone on its line, as transcripts of meetings have it."""
    stamped = _STAMP_BEHIND.fullmatch(rest.rstrip())
    name = stamped["name"].strip("*_ ") if stamped else ""
    if not name or (find(name) is None and not _is_name(name)):
        return None
    return _head(line, name, start, len(line.rstrip()))


def _is_name(name: str) -> bool:
    """Tell whether this may be somebody's name: a few words, or words in capitals; no sentence and no address."""
    if not name or len(name) > LONGEST_NAME or not name[0].isalnum() or _NO_NAME.search(name):
        return False
    return name.isupper() or ("," not in name and len(name.split()) <= MOST_NAME_WORDS)


def _begins_words(rest: str, colon: re.Match[str]) -> bool:
    """Tell whether what follows a colon is spoken: not the rest of a time, of an address or of a word."""
    after = rest[colon.end() : colon.end() + 1]
    if not after or after.isspace() or colon[0] != ":":
        return True
    return not rest[colon.start() - 1].isspace() and (after.isupper() or after in "*_([\"'“‘«¿¡…")


def _with(aside: re.Match[str], words: str) -> str:
    """Return words with what stood beside the name: how they are said, or a moment."""
    if moment := aside["moment"]:
        return f"[{moment.strip()}] {words}".strip()
    how = (aside["how"] or "").strip(" *_")
    if not how or _EXTENSION.fullmatch(how):
        return words
    also = _DIRECTION.match(words)
    return f"({how}, {also['how']}) {words[also.end() :]}".strip() if also else f"({how}) {words}".strip()


def _head(line: str, name: str, column: int, end: int) -> Head:
    tail = line[end:]
    blanks = len(tail) - len(tail.lstrip())
    return Head(name, column, tail.strip(), end + (blanks if tail.strip() else 0))


def _after(sign: re.Pattern[str], text: str, at: int) -> int:
    """Return the place after a sign, if it stands there."""
    found = sign.match(text, at)
    return found.end() if found else at
