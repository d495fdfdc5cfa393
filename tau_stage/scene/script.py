"""Play scripts: who speaks which words, and where they stand in the file; in our own notation, and as others write it.

``CLERK: (nervously) I'm afraid that is the last one.`` No quoting rule exists: whatever follows the colon is words.
Taken off are time stamps (``[00:12]``, as Whisper, subtitles and chats have them), bullets (``1.``, ``>>``) and
emphasis (``**BEN:**``, as Markdown has it) before a name; ``BEN (low): words`` says how, ``BEN [laughs]: words`` holds
a moment; the colon may be full-width, as Chinese and Japanese have it. A player's name may also be marked without a
colon: ``[BEN] words``, ``<Ben> words``, ``BEN - words``, ``BEN. words``, with a tab, or alone on its line.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tau_stage.errors import SceneError
from tau_stage.scene.names import did_you_mean, listed
from tau_stage.scene.source import Position, Source
from tau_stage.scene.units import wrong
from tau_stage.text import composed, folded

MOST_NAME_WORDS = 4  # words before a colon that are still taken for a name, where they are not all in capitals
LONGEST_NAME = 64
_FURTHEST = 160  # characters of a line among which a name is looked for, so that each line is read once
_COLON = re.compile("[:\uff1a\ufe55\u2236]")
_DATE = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}){0,2}(?:[.,]\d{1,6})?(?:\s?[AaPp]\.?[Mm]\b\.?|Z)?"
_STAMP = rf"(?:(?:{_DATE}(?:,?\s+|T))?{_CLOCK}|\d+(?:\.\d+)?\s?s)"
_SPAN = rf"{_STAMP}(?:\s*(?:-{{1,2}}>|[-–—])\s*{_STAMP})?"
_STAMPED = re.compile(rf"(?:[\[(<]\s*)?{_SPAN}(?:\s*[\])>])?(?:\s+[-–—|]|[-–—|])?\s+")
_ONLY_STAMP = re.compile(rf"[\[(<]{_SPAN}[\])>]|{_STAMP}\s*-->\s*{_STAMP}(?:\s+\w+:\S+)*")
_STAMP_ALONE = re.compile(_STAMP)
_STAMP_BESIDE = re.compile(rf"\s*[\[(]{_SPAN}[\])](?=[\s*_]*[:\uff1a])")
_STAMP_BARE = re.compile(rf"(?P<name>[^:\t]*?\S)(?P<stamp>\s+{_STAMP})(?=[\s*_]*[:\uff1a])")
_STAMP_BEHIND = re.compile(
    rf"(?P<name>[^:]*?\S)(?:\s{{2,}}|\t|\s+(?=[\[(])|\s+[-–—|]\s+(?:[^\W\d]+\s+){{0,3}})[\[(]?{_STAMP}[\])]?"
)
_BULLET = re.compile(r"(?:>{1,3}|[-–—])\s*|(?:[•‣▪*]|\d{1,4}[.)])\s+")
_MARKED = re.compile(
    rf"[\[<](?:v(?:\.\w+)*\s+)?(?P<name>[^\[\]<>]+)[\]>](?:\s+{_STAMP}\s*$|\s*[:：]?)"
    r"|(?P<before>[^\t]*?\S)(?: *\t|\s+[-–—|]\s)"
)
_VOICE_SPAN = re.compile(r"</v>\s*$")
_CAPITALS = re.compile(r"(?P<name>[^\W\d_][^\s.:]*(?: [^\s.:]+){0,3}?)(?:\.?[*_]*\s*$|\.[*_]*\s+| *\t|\s+[-–—|]\s)")
_WEBVTT = re.compile(r"\ufeff?WEBVTT(?:[ \t].*)?")
_NOT_CUES = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_LEADING = re.compile(r"[\s\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069]*")
_BEFORE = re.compile(r"(?:\((?P<how>[^()]*)\)|\[(?P<moment>[^\[\]]*)\])\s*")
_EMPHASIS = re.compile(r"[*_]{1,3}")
_BEHIND = re.compile(r"(?P<name>.*?)[\s*_]*(?:[(（](?P<how>[^()（）]*)[)）]|\[(?P<moment>[^\[\]]*)\])[\s*_]*")
_EXTENSION = re.compile(
    r"(?:v|o)\.? ?(?:o|s|c)\.?|cont['’]?d\.?|continued|continuing|more|voice[- ]?over|off[- ]?screen", re.IGNORECASE
)
_NO_NAME = re.compile(r"[!?;\"“”„«»…]|[^\W\d_]{4,}\.(?:\s|$)|\.\.")
_DIRECTION = re.compile(r"[(（](?P<how>[^()（）]*)[)）]\s*")

Find = Callable[[str], str | None]  # the player whom a name means, if there is one


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a line that says who speaks; columns are counted from 0."""

    name: str  # as it stands there, without what is around it
    column: int
    words: str  # with the direction or the moment that stood beside the name
    words_column: int  # the end of the line, where there are none


def is_stamp(line: str) -> bool:
    """Tell whether a line, without blanks around it, is a time stamp and nothing else."""
    return _ONLY_STAMP.fullmatch(line) is not None


def head_of(line: str, find: Find) -> Head | None:
    """Tell who speaks in a line, if it has the form of a speech, whether that is a player or not."""
    start, rest = _beginning(line)
    rest = _without_bare_stamp(rest, find)
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
    """Find the player whose name is marked at the beginning of a line by other signs than a colon."""
    start, rest = _beginning(line)
    at = _after_signs(rest)
    marked = _MARKED.match(rest, at) or _MARKED.match(rest)
    if marked:
        group = str(marked.lastgroup)
        name = marked[group].strip("*_ \t")
        if find(name):
            head = _head(line, name, start + marked.start(group), start + marked.end())
            return replace(head, words=_VOICE_SPAN.sub("", head.words)) if marked[0].startswith("<v") else head
    if find(name := line[start + at :].strip("*_. \t")):
        return _head(line, name, line.index(name, start), len(line.rstrip()))
    shouted = _in_capitals(line, start, rest, at)
    return shouted if shouted and find(shouted.name) else None


def unknown_head(line: str) -> Head | None:
    """Return what may be the name of a speaker without a colon: in capitals, alone on a line or with a full stop."""
    start, rest = _beginning(line)
    return _in_capitals(line, start, rest, _after_signs(rest))


def _in_capitals(line: str, start: int, rest: str, at: int) -> Head | None:
    """Return a name in capitals that stands alone, or with a full stop, a dash or a tab behind it."""
    begin = _after(_EMPHASIS, rest, at)
    found = _CAPITALS.match(rest, begin)
    name = found["name"].strip("*_ ") if found else ""
    if found is None or not name.isupper() or len(name) < 2:
        return None
    return _head(line, name, start + begin, start + found.end())


def _beginning(line: str) -> tuple[int, str]:
    """Tell where a line begins that is seen, and its beginning, with blanks for a time stamp between name and colon."""
    start = _after(_LEADING, line, 0)
    rest = line[start : start + _FURTHEST]
    return start, _STAMP_BESIDE.sub(lambda stamp: " " * len(stamp[0]), rest, count=1)


def _without_bare_stamp(rest: str, find: Find) -> str:
    """Return a line's beginning with blanks for a time stamp without brackets between a name and its colon."""
    found = _STAMP_BARE.match(rest, _after_signs(rest))
    name = found["name"].strip("*_ ") if found else ""
    if found is None or not (find(name) or name.isupper()):
        return rest
    start, end = found.span("stamp")
    return rest[:start] + " " * (end - start) + rest[end:]


def _after_signs(rest: str) -> int:
    """Return the place after bullets and time stamps."""
    return _after(_BULLET, rest, _after(_STAMPED, rest, _after(_BULLET, rest, 0)))


def _decorated(line: str, start: int, rest: str, at: int, find: Find) -> Head | None:
    """Return a name that may stand in emphasis, and may have a direction or a moment behind it."""
    begin = _after(_EMPHASIS, rest, at)
    colon = _COLON.search(rest, begin)
    if colon is None:
        return None
    name, end, opened = rest[begin : colon.start()], start + colon.end(), rest[at:begin]
    if line.startswith(opened, end):
        end, opened = end + len(opened), ""
    elif opened in name:
        opened = ""
    asides = []
    while not find(name.strip()) and (aside := _BEHIND.fullmatch(name)):
        asides.append(aside)
        name = aside["name"]
    name = name.strip("*_ \t")
    is_head = find(name) is not None or (_is_name(name) and _begins_words(rest, colon))
    if not is_head or not line.rstrip().endswith(opened):
        return None
    head = _head(line, name, start + begin, end)
    words = opened + head.words
    for aside in asides:
        words = _with(aside, words)
    return replace(head, words=words)


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
    beside = aside.groupdict("")
    if moment := beside["moment"]:
        return f"[{moment.strip()}] {words}".strip()
    how = beside["how"].strip(" *_")
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


_DEEPER = "indent the continuation of a speech more than its first line"
_NOBODY = "write a speech as 'PLAYER: words', and end it with a blank line"


@dataclass(frozen=True, slots=True)
class ScriptSpeech:
    """One speech of a player, maybe with a leading ``(direction)``; ``dual``: together with the one before."""

    speaker: str
    text: str
    line: int
    column: int
    dual: bool = False


@dataclass(frozen=True, slots=True)
class ScriptItem:
    """One item of the scene language between the speeches, in YAML, with its first and its last line."""

    first_line: int
    last_line: int


def read_script(source: Source, first: int, last: int, players: Sequence[str]) -> list[ScriptSpeech | ScriptItem]:
    """Read some lines of a file, from 1, as a script; refuse who is no player, and words that nobody speaks."""
    return _ScriptReader(source, PlayerNames(source, players)).read(first, last)


def read_transcript(source: Source, players: Sequence[str]) -> list[ScriptSpeech]:
    """Read a file of speeches as ``read_script`` does, without items of YAML: a dash is a bullet, or is spoken."""
    found = _ScriptReader(source, PlayerNames(source, players), has_items=False).read(1, len(source.lines))
    return [part for part in found if isinstance(part, ScriptSpeech)]


def names_in_script(source: Source) -> list[str]:
    """Return who seems to speak in a script by what stands before colons, each once; lines that stand deeper go on."""
    outermost = min((depth(line) for line in source.lines if line.strip()), default=0)
    heads = (head_of(line, lambda _: None) for line in source.lines if depth(line) == outermost)
    return list(dict.fromkeys(composed(head.name) for head in heads if head))


class PlayerNames:
    """The players by name, however it is spelt, and the errors about those who are none."""

    def __init__(self, source: Source, players: Sequence[str]) -> None:
        self.source = source
        self.players = tuple(players)
        self.errors: list[SceneError] = []
        self._folded: dict[str, str | None] = {}
        self._exact = frozenset(self.players)
        for name in self.players:
            short = folded(name)
            self._folded[short] = None if short in self._folded else name

    def find(self, name: str) -> str | None:
        """Return the player whom a name means: spelt so, or alone in being spelt so but for capitals."""
        name = composed(name)
        return name if name in self._exact else self._folded.get(folded(name))

    def refuse(self, place: Position, name: str, advice: str = "") -> None:
        """Note that somebody is no player; ``advice`` stands under the nearest name."""
        near = did_you_mean(name, self.players, f"players: {listed(self.players)}")
        self.add(place, f"unknown player '{name}'", "\n  ".join(filter(None, (near, advice))))

    def add(self, place: Position, problem: str, hint: str) -> None:
        """Note an error."""
        self.errors.append(self.source.error(place, problem, hint))

    def raise_any(self) -> None:
        """Raise the first error, with the others in its ``also``."""
        if self.errors:
            first, *others = self.errors
            raise replace(first, also=tuple(others))


@dataclass(slots=True)
class _OpenSpeech:
    """A speech that is being read; without a speaker it is one that nobody may speak."""

    speaker: str | None
    place: Position
    indent: int
    is_under: bool = False
    words: list[str] = field(default_factory=list)

    def takes(self, line: str) -> bool:
        """Tell whether a line that names nobody goes on with it: deeper, or under a name that stands alone."""
        return self.speaker is None or self.is_under or depth(line) > self.indent

    def add(self, number: int, column: int, words: str) -> None:
        if not self.words:
            self.place = Position(number, column)
        self.words.append(words)


class _ScriptReader:
    """One pass over the lines of a script."""

    def __init__(self, source: Source, cast: PlayerNames, *, has_items: bool = True) -> None:
        self.source = source
        self.cast = cast
        self.has_items = has_items
        self.found: list[ScriptSpeech | ScriptItem] = []
        self.speech: _OpenSpeech | None = None
        self.is_webvtt = False

    def read(self, first: int, last: int) -> list[ScriptSpeech | ScriptItem]:
        number, last = first, min(last, len(self.source.lines))
        while number <= last:
            number = self.part(number, last) + 1
        self.close()
        self.cast.raise_any()
        return self.found

    def part(self, number: int, last: int) -> int:
        """Read what begins at a line; its last line."""
        words = self.source.line(number).strip()
        if not words:
            self.close()
        elif self.has_items and is_item(words):
            self.close()
            end = self.end_of_item(number, last)
            self.found.append(ScriptItem(number, end))
            return end
        elif self.is_unspoken_block(words):
            return self.end_of_block(number, last)
        elif not words.startswith("#"):
            under = self.source.line(number + 1).strip() if number < last else ""
            if not ((words.isdecimal() or self.is_webvtt) and is_stamp(under)):  # the number or name of a subtitle
                self.words(number, self.source.line(number))
        return number

    def is_unspoken_block(self, words: str) -> bool:
        """Tell whether a line begins a block of WebVTT that nobody speaks: its header, or a comment after one."""
        if not (self.found or self.speech) and _WEBVTT.fullmatch(words) and self.cast.find(words) is None:
            self.is_webvtt = True
            return True
        return self.is_webvtt and self.speech is None and _NOT_CUES.match(words) is not None

    def end_of_block(self, number: int, last: int) -> int:
        """Find the last line before a blank one."""
        while number < last and self.source.line(number + 1).strip():
            number += 1
        return number

    def end_of_item(self, first: int, last: int) -> int:
        """Find the end of an item: it goes on while lines are deeper; blanks and comments count before such lines."""
        end, indent = first, depth(self.source.line(first))
        for number in range(first + 1, last + 1):
            line = self.source.line(number)
            if line.strip() and depth(line) > indent:
                end = number
            elif not line.lstrip().startswith("#") and line.strip():
                break
        return end

    def words(self, number: int, line: str) -> None:
        outside = self.speech is None or depth(line) <= self.speech.indent
        is_new = self.speech is not None and self.speech.is_under and not self.speech.words
        head, speaker = self.head(line, outside=outside)
        if head and speaker is not None:
            self.close()
            place = Position(number, head.words_column + 1)
            words = [*filter(None, [head.words])]
            self.speech = _OpenSpeech(speaker, place, depth(line), is_under=not words, words=words)
        elif is_stamp(line.strip()) or (is_new and _STAMP_ALONE.fullmatch(line.strip())):
            return
        elif self.speech is None or (head and outside) or not self.speech.takes(line):
            self.refuse(number, line, head)
        elif outside and self.speech.words and unknown_head(line):
            self.refuse(number, line, None)
        else:
            self.speech.add(number, _start(line), line.strip())

    def head(self, line: str, *, outside: bool) -> tuple[Head | None, str | None]:
        """Tell who speaks in a line, and which player that is; by other signs than a colon only outside of a speech."""
        find = self.cast.find
        head = head_of(line, find)
        speaker = find(head.name) if head else None
        if speaker is None and outside and (marked := marked_head(line, find)):
            return marked, find(marked.name)
        return head, speaker

    def refuse(self, number: int, line: str, head: Head | None) -> None:
        """Note that nobody, or somebody who is no player, speaks words."""
        deeper = _DEEPER if self.speech else ""
        if head := head or unknown_head(line):
            place = Position(number, head.column + 1)
            self.cast.refuse(place, head.name, deeper)
        else:
            place = Position(number, _start(line))
            self.cast.add(place, "these words have no speaker", "\n  ".join(filter(None, (_NOBODY, deeper))))
        self.close()
        self.speech = _OpenSpeech(None, place, depth(line))

    def close(self) -> None:
        speech, self.speech = self.speech, None
        if speech and speech.speaker is not None:
            self.found.append(ScriptSpeech(speech.speaker, " ".join(speech.words), *speech.place))


def is_item(line: str) -> bool:
    """Tell whether a line, without its indentation, begins an item of the scene language."""
    return line == "-" or line.startswith(("- ", "-\t"))


def depth(line: str) -> int:
    """Tell how many blanks a line begins with, as YAML counts them."""
    return len(line) - len(line.lstrip(" \t"))


def _start(line: str) -> int:
    """Return the column of a line's first word, from 1."""
    return len(line) - len(line.lstrip()) + 1


_ESCAPED = re.compile(r"\\([()（）])")
_PARENTHESIS = re.compile(r"\\.|[()（）]", re.DOTALL)
_DEPTHS = {"(": 1, "（": 1, ")": -1, "）": -1}
_ASIDE = re.compile(r"\\.|[(（](?P<aside>[^()（）\\]*)[)）]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Speech:
    """The words of one line; moments in brackets and stressed stars are left as they are."""

    direction: str  # what the leading parenthesis said, or empty
    words: str
    aside: str = ""  # what stands in the first parenthesis among the words, which is spoken too


def parse_speech(text: str) -> Speech:
    """Take a leading parenthesis off a line; refuse one that is never closed, a second one, and no words."""
    text = text.strip()
    if not text:
        raise wrong("a line needs words", "write '- player: words', or remove the line")
    if not text.startswith(("(", "（")):
        return Speech("", _plain(text), _aside(text))
    end, _ = closing(text)
    if end is None:
        raise wrong("this parenthesis is never closed", r"close it after the direction, or write \( to have it spoken")
    direction, words = text[1 : end - 1].strip(), text[end:].strip()
    if not words:
        hint = r"add words after it, or write \( to have it spoken"
        raise wrong("a line needs words, but this one has only a direction", hint)
    if words.startswith(("(", "（")) and (second := closing(words)[0]):
        other = words[1 : second - 1].strip()
        hint = rf"write both in one: ({direction}, {other}), or write \({other}\) to have it spoken"
        raise wrong("this second direction would be spoken", hint)
    return Speech(_plain(direction), _plain(words), _aside(words))


def _aside(words: str) -> str:
    return next((found["aside"].strip() for found in _ASIDE.finditer(words) if found["aside"]), "")


def closing(text: str, depth: int = 0) -> tuple[int | None, int]:
    """Tell where the parenthesis closes that was opened first, and how many are open behind that, or at the end."""
    for sign in _PARENTHESIS.finditer(text):
        depth += _DEPTHS.get(sign[0], 0)
        if not depth:
            return sign.end(), 0
    return None, depth


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
