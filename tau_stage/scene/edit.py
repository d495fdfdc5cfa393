"""A scene file's text changed in place, ids or notation: every other byte of it stays as it was."""

import re
from collections.abc import Sequence
from copy import deepcopy

from tau_stage.errors import SceneError
from tau_stage.scene.compose import is_script_file, read_script_file
from tau_stage.scene.script import PlayerNames, ScriptItem, ScriptSpeech, depth, is_item, read_script
from tau_stage.scene.source import Position, Source
from tau_stage.scene.yaml_text import Document, LineIndex, Node, Path, Span, read_yaml
from tau_stage.scene.yaml_traps import in_brackets, yaml_scalar

_BY_HAND = "write it as '- player: words'"
_EACH = "write each as '- player: words'"


def add_ids(document: Document, lines: Sequence[tuple[Path, str]]) -> str:
    r"""Write ids beside lines; a line that has one keeps it, and no other byte changes. Lines are given by their paths.

    Raises:
        SceneError: A line stands where no id can, such as an alias.

    >>> print(add_ids(read_yaml(Source.of("lines:\n- ann: Hi # low", "x")), [(("lines", 0), "ann-1")]))
    lines:
    - ann: Hi # low
      id: ann-1
    """
    text = LineIndex(document.source)
    wanted, inserts = deepcopy(document.data), []
    for path, name in lines:
        entries = _at(wanted, path)
        if "id" in _at(document.data, path):
            continue
        key = (*path, next(iter(entries)))
        if key not in document.keys or document.values[path].anchored:
            raise _untaggable(document, path)
        inserts += _inserts(document, text, key, f"id: {yaml_scalar(name)}")
        entries["id"] = name
    pieces, done = [], 0
    for offset, insert in sorted(inserts):
        pieces += [document.source.text[done:offset], insert]
        done = offset
    result = "".join([*pieces, document.source.text[done:]])
    if _read(result, document.source.path) != wanted:
        raise _untaggable(document, lines[0][0])
    return result


def _inserts(document: Document, text: LineIndex, key: Path, entry: str) -> list[tuple[int, str]]:
    """List what to insert where, so that an entry stands beside a mapping's first: under it if it has one line."""
    mapping, first, value = document.values[key[:-1]], document.keys[key], document.values[key]
    before = text.offset(first.start)
    if mapping.style == "flow":
        if document.source.text.startswith("{", text.offset(mapping.start)):
            return [(before, f"{entry}, ")]
        return [(before, f"{{{entry}, "), (text.offset(mapping.end), "}")]
    indent = " " * (first.start.column - 1)
    if value.start.line == value.end.line == first.start.line and value.style not in ("|", ">", "block"):
        return [(text.end(first.start.line), f"{text.newline}{indent}{entry}")]
    return [(before, f"{entry}{text.newline}{indent}")]


def _read(text: str, path: str) -> Node | None:
    """Read a text back: a result that is not as it should be is never written."""
    try:
        return read_yaml(Source.of(text, path)).data
    except SceneError:
        return None


def _untaggable(document: Document, path: Path) -> SceneError:
    return document.source.error(document.place(path), "cannot add an id to this line", _BY_HAND)


def _at(node: Node, path: Path) -> dict[str, Node]:
    for part in path:
        node = node[part]  # type: ignore[index]
    return node  # type: ignore[return-value]


def add_players(document: Document, players: Sequence[tuple[str, dict[str, Node], str]]) -> str:
    r"""Write players into a scene's text, or a cast's: each with its options and a comment. No other byte changes.

    Raises:
        SceneError: The players stand in a way that none can be added, such as behind an alias.

    >>> print(add_players(read_yaml(Source.of("players:\n  ann:\n# end", "x")), [("ben", {"voice": "ash"}, "3 lines")]))
    players:
      ann:
      ben: {voice: ash}  # 3 lines
    # end
    """
    text, path = LineIndex(document.source), ("players",)
    old, newline = document.source.text, text.newline
    wanted = deepcopy(document.data)
    entries = [f"{yaml_scalar(name)}: {_in_braces(options)}" for name, options, _ in players]
    commented = [f"{entry}  # {comment}" for entry, (*_, comment) in zip(entries, players, strict=True)]
    span = document.values.get(path)
    if span is None:
        at = len(old)
        ending = "" if old.endswith(("\n", "\r")) else newline
        new = ending + newline.join(["players:", *(f"  {entry}" for entry in commented)]) + newline
    elif span.style == "flow":
        at = text.offset(span.end) - 1
        between = "" if old[:at].rstrip().endswith(("{", ",")) else ", "
        new = between + ", ".join(entries)
    else:
        first = next((document.keys[key].start for key in document.keys if key[:-1] == path), None)
        indent = " " * (first.column - 1) if first else "  "
        at = text.end(span.end.line)
        new = "".join(f"{newline}{indent}{entry}" for entry in commented)
    known = wanted.setdefault("players", {})
    wanted["players"] = {**(known if isinstance(known, dict) else {}), **{name: dict(own) for name, own, _ in players}}
    result = old[:at] + new + old[at:]
    if _read(result, document.source.path) != wanted:
        hint = "write them under 'players:', each as 'name: {voice: ash}'"
        raise document.source.error(document.place(path), "cannot add a player here", hint)
    return result


def _in_braces(options: dict[str, Node]) -> str:
    return "{" + ", ".join(f"{key}: {in_brackets(str(value))}" for key, value in options.items()) + "}"


_COMMENT = re.compile("#[^\r\n\x85\u2028\u2029]*")
_LINES_KEY = re.compile(r"""(?:lines|"lines"|'lines')[ \t]*:""")
_SCRIPT_KEY = re.compile(r"""(?:script|"script"|'script')[ \t]*:[ \t]+[|>][0-9+-]*""")


def as_script(document: Document, players: Sequence[str]) -> str:
    r"""Write ``lines:``, or a screenplay, as ``script:``; what a script cannot say is an item of YAML.

    Raises:
        SceneError: The lines stand in a way that no script can follow, such as behind an alias.

    >>> print(as_script(read_yaml(Source.of("lines:\n- ann: '*Hi*'\n- pause: 1s", "x")), ["ann"]))
    script: |
      ANN: *Hi*
      - pause: 1s
    """
    if _names_file(document):
        document = read_yaml(Source.of(as_lines(document, players), document.source.path))
    return _AsScript(document, players).text() if "lines" in document.data else document.source.text


def as_lines(document: Document, players: Sequence[str]) -> str:
    r"""Write ``script:`` as ``lines:``, also where it names a screenplay.

    Raises:
        SceneError: The script cannot be read.

    >>> print(as_lines(read_yaml(Source.of("script: |\n  ANN: *Hi*\n  - pause: 1s", "x")), ["ann"]))
    lines:
      - ann: "*Hi*"
      - pause: 1s
    """
    return _AsLines(document, "script").text(players) if "script" in document.data else document.source.text


def _names_file(document: Document) -> bool:
    """Tell whether a scene's script stands in a file of its own."""
    script = document.data.get("script")
    if not isinstance(script, str) or document.values[()].style == "flow":
        return False
    return document.values["script",].style != "|" and is_script_file(script.strip())


class _Rewriter:
    """What both ways have in common: new lines, each with what ends it, in place of old ones."""

    def __init__(self, document: Document, key: str) -> None:
        self.document = document
        self.source = document.source
        self.lines = LineIndex(self.source)
        self.key = self.document.keys[key,].start
        self.value = self.document.values[key,]
        self.new: list[str] = []
        self.endings: list[str] = []

    def add(self, line: str, ending: str = "") -> None:
        self.new.append(line)
        self.endings.append(ending or self.lines.newline)

    def moved(self, source: Source, first: int, last: int, begin: str, indent: int) -> None:
        """Write lines that stand elsewhere: the first begins otherwise, the others move with it to an indentation."""
        shift = indent - depth(source.line(first))
        self.add(begin, self.ending(source, first))
        for number in range(first + 1, last + 1):
            self.add(_shifted(source.line(number), shift, indent + 1), self.ending(source, number))

    def ending(self, source: Source, number: int) -> str:
        """Return what ends a line of this file; another file's lines end as new ones."""
        return self.lines.ending(number) if source is self.source else ""

    def comments(self, start: Position, end: Position) -> list[str]:
        """Return the comments between two places, where nothing else is but signs."""
        found = _COMMENT.findall(self.source.text, self.lines.offset(start), self.lines.offset(end))
        return [comment.rstrip() for comment in found]

    def line_end(self, number: int) -> Position:
        """Return the place after a line's last character."""
        return Position(number, len(self.source.line(number)) + 1)

    def replaced(self, header: str, last: int) -> str:
        """Write the whole text, with all from the key to the end of a line replaced."""
        begin, end = self.lines.offset(self.key), self.lines.end(last)
        *endings, _ = [self.lines.newline, *self.endings]
        new = "".join(line + ending for line, ending in zip([header, *self.new], [*endings, ""], strict=True))
        return self.source.text[:begin] + new + self.source.text[end:]


class _AsScript(_Rewriter):
    """From ``lines:`` to ``script:``."""

    def __init__(self, document: Document, players: Sequence[str]) -> None:
        super().__init__(document, "lines")
        node = document.data["lines"]
        self.items = node if isinstance(node, list) else []
        self.players = players
        self.cast = PlayerNames(self.source, players)
        self.indent = " " * (self.key.column + 1)

    def text(self) -> str:
        header = self.header()
        self.refuse_unfit()
        last = self.of_flow() if self.value.style == "flow" else self.of_block()
        return self.replaced(header, last)

    def refuse_unfit(self) -> None:
        if not self.items:
            raise self.source.error(self.value.start, "there is no list of lines here", _EACH)
        for path, span in self.document.values.items():
            if path[:1] == ("lines",) and (span.anchored or span.style == "*"):
                problem = "a script does not support anchors or aliases"
                raise self.source.error(span.start, problem, "write out the text, or keep 'lines:'")

    def header(self) -> str:
        """Write the script's first line; a comment stays if the lines begin further down."""
        match = _LINES_KEY.match(self.source.line(self.key.line), self.key.column - 1)
        if match is None or self.document.values[()].style == "flow":
            raise self.source.error(self.key, "cannot write a script here", "write 'lines:' at the beginning of a line")
        rest = match.string[match.end() :].rstrip()
        return f"script: |{rest if rest.lstrip().startswith('#') else ''}"

    def of_block(self) -> int:
        """Write the items of a block list; the last line that was read."""
        number = self.key.line + 1
        for place in range(len(self.items)):
            while not is_item(between := self.source.line(number).strip()):
                self.add(f"{self.indent}{between}".rstrip(), self.lines.ending(number))
                number += 1
            line, last = self.source.line(number), self.document.values["lines", place].end.line
            if (speech := self.speech(place)) is None:
                self.moved(self.source, number, last, self.indent + line[depth(line) :], len(self.indent))
            else:
                self.add_speech(*speech, Position(number, depth(line) + 2), self.line_end(last))
            number = last + 1
        return number - 1

    def add_speech(self, path: Path, speech: str, start: Position, end: Position) -> None:
        """Write a speech under the comments that stand around its words."""
        key, value = self.document.keys[path], self.document.values[path]
        for first, last in ((start, key.start), (key.end, value.start), (value.end, end)):
            self.add_comments(first, last)
        self.add(self.indent + speech, self.lines.ending(end.line))

    def add_comments(self, start: Position, end: Position) -> None:
        for comment in self.comments(start, end):
            self.add(self.indent + comment)

    def of_flow(self) -> int:
        """Write the items of a list in brackets; the last line that was read."""
        done = self.key if self.value.start.line == self.key.line else self.line_end(self.key.line)
        for place in range(len(self.items)):
            span = self.document.values["lines", place]
            self.add_comments(done, span.start)
            self.of_flow_item(place, span)
            done = span.end
        self.add_comments(done, self.line_end(self.value.end.line))
        return self.value.end.line

    def of_flow_item(self, place: int, span: Span) -> None:
        if speech := self.speech(place):
            self.add_speech(*speech, span.start, span.end)
            return
        cut = self.source.line(span.end.line)[span.end.column - 1 :]
        first = self.source.line(span.start.line)[span.start.column - 1 :]
        self.add(f"{self.indent}- {first}", self.lines.ending(span.start.line))
        for number in range(span.start.line + 1, span.end.line + 1):
            self.add(_shifted(self.source.line(number), 0, len(self.indent) + 1), self.lines.ending(number))
        self.new[-1] = self.new[-1].removesuffix(cut)

    def speech(self, place: int) -> tuple[Path, str] | None:
        """Tell where the words of an item stand, and the speech it is; None where a script would not say the same."""
        item = self.items[place]
        if not isinstance(item, dict) or len(item) != 1:
            return None
        ((name, words),) = item.items()
        if name not in self.players or not isinstance(words, str) or not words.strip():
            return None
        path, words = ("lines", place, name), words.strip()
        span = self.document.values[path]
        if span.style in ("|", ">") and "#" in self.source.line(span.start.line)[span.start.column :]:
            return None
        called = name.upper() if self.cast.find(name.upper()) == name else name
        speech = f"{called}: {words}"
        return (path, speech) if self.says(speech, name, words) else None

    def says(self, speech: str, name: str, words: str) -> bool:
        """Tell whether a script reads a speech as these words of a player's."""
        try:
            read = read_script(Source.of(speech, self.source.path), 1, 1, self.players)
        except SceneError:
            return False
        return [(part.speaker, part.text) for part in read if isinstance(part, ScriptSpeech)] == [(name, words)]


class _AsLines(_Rewriter):
    """From ``script:`` to ``lines:``."""

    def text(self, players: Sequence[str]) -> str:
        if _names_file(self.document):
            return self.of_file(str(self.document.data["script"]).strip(), players)
        line = self.source.line(self.key.line)
        header = _SCRIPT_KEY.match(line, self.key.column - 1)
        if header is None:
            hint = "write 'script: |' and the speeches under it"
            raise self.source.error(self.value.start, "there is no script here", hint)
        first, last = self.key.line + 1, self.value.end.line
        found = read_script(self.source, first, last, players)
        words = (line for line in self.source.lines[first - 1 : last] if line.strip())
        self.indent = min(map(depth, words), default=0)
        speeches = {part.line: part for part in found if isinstance(part, ScriptSpeech)}
        items = {part.first_line: part for part in found if isinstance(part, ScriptItem)}
        while first <= last:
            first = self.part(first, speeches.get(first), items.get(first)) + 1
        return self.replaced("lines:" + line[header.end() :].rstrip(), last)

    def part(self, number: int, speech: ScriptSpeech | None, item: ScriptItem | None) -> int:
        """Write what begins at a line; its last line."""
        line, indent = self.source.line(number), " " * self.indent
        ending = self.lines.ending(number)
        if item:
            self.moved(self.source, number, item.last_line, indent + line.lstrip(), self.indent)
            return item.last_line
        if speech:
            self.add(indent + _item(speech), ending)
        elif not line.strip():
            self.add("", ending)
        elif line.lstrip().startswith("#"):
            self.add(indent + line.strip(), ending)
        return number

    def of_file(self, name: str, players: Sequence[str]) -> str:
        """Write what a script holds that is a file of its own."""
        source, parts = read_script_file(self.source.path, name, players)
        last = self.line_end(self.value.end.line)
        comments = self.comments(self.document.keys["script",].end, self.value.start)
        comments += self.comments(self.value.end, last)
        indent = " " * (self.key.column + 1)
        for comment in comments[1:]:
            self.add(indent + comment)
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            if isinstance(part, ScriptItem):
                first = source.line(part.first_line).lstrip()
                self.moved(source, part.first_line, part.last_line, indent + first, len(indent))
                continue
            joined = isinstance(following, ScriptSpeech) and following.dual
            if joined and not part.dual:
                self.add(f"{indent}- together:")
            self.add(f"{indent}{'    ' if joined or part.dual else ''}{_item(part)}")
        return self.replaced("  ".join(("lines:", *comments[:1])), last.line)


def _item(speech: ScriptSpeech) -> str:
    """Write a speech as an item of a list."""
    words = f" {yaml_scalar(speech.text)}" if speech.text else ""
    return f"- {yaml_scalar(speech.speaker)}:{words}"


def _shifted(line: str, shift: int, least: int) -> str:
    """Move a line of an item to the side; what is still not deep enough means the same where it is."""
    blanks = depth(line)
    if blanks == len(line):
        return " " * max(0, blanks + shift) if blanks else ""
    moved = " " * shift + line if shift >= 0 else line[min(-shift, blanks) :]
    return " " * (least - depth(moved)) + moved
