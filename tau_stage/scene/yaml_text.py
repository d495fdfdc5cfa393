"""YAML with positions: every scalar stays the text its author wrote, and everything knows where it stands.

The parser's *events* are consumed, never its tree: composing recurses in C, so that a file of a hundred thousand
brackets would end the interpreter, and resolving would turn ``Yes``, ``1:30`` and ``null`` into something else.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from tau_stage.errors import SceneError
from tau_stage.scene import yaml_traps
from tau_stage.scene.model import RESERVED
from tau_stage.scene.source import Location, Position, Quoted, Source
from tau_stage.text import composed

_Event = Any  # one of PyYAML's events: its stubs know too little of them

Node = dict[str, "Node"] | list["Node"] | str
Path = tuple[str | int, ...]

MOST_VALUES = 100_000
MOST_EXPANDED = 10_000

Parser = type[yaml.SafeLoader | yaml.CSafeLoader]
PARSER: Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where PyYAML has it, else the same in Python."""

TEXTS = frozenset(("scene", "direction", "persona", "accent", "note", "prompt_template"))
"""Keys whose values are texts, wherever they stand."""

_LINE_OF_THE_SCENE = re.compile(r"\s*- +[^\s:]+:(\s|$)")
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Span(NamedTuple):
    """From where to where a value or a key reaches: from its first character to the place after its last one."""

    start: Position
    end: Position  # what YAML skips after it is not in it
    style: str = ""  # "block" or "flow" of a collection, "*" of an alias, of a text its quote, "|", ">" or empty
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document as plain data, and where each part of it stands.

    Attributes:
        source: The file.
        data: Mappings, lists and texts; no other type.
        keys: Where each key stands, by its path.
        values: Where each value stands, by its path.
        sources: Other files, by the path of what comes from them.
    """

    source: Source
    data: dict[str, Node]
    keys: dict[Path, Span]
    values: dict[Path, Span]
    sources: dict[Path, Source] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Position:
        """Tell where a value (or its key) stands; what came through an alias stands where the alias does."""
        places = self.keys if key else self.values
        while path not in places:
            path = path[:-1]
            places = self.values
        return places[path].start

    def location(self, path: Path, *, key: bool = False) -> Location:
        """Tell where a value (or its key) stands, and in which file."""
        return Location(self.source_of(path).path, *self.place(path, key=key))

    def put(self, path: Path, place: Position) -> None:
        """Let a part that was made out of others stand at a place."""
        self.keys[path] = self.values[path] = Span(place, place)

    def around(self, path: Path, *, key: bool = False) -> tuple[str, str]:
        """Return the source line of a value (or its key), up to it and from it on."""
        place = self.place(path, key=key)
        line = self.source_of(path).line(place.line)
        return line[: place.column - 1], line[place.column - 1 :]

    def source_of(self, path: Path) -> Source:
        """Return the file that a part comes from."""
        while path and path not in self.sources:
            path = path[:-1]
        return self.sources.get(path, self.source)

    def error(self, path: Path, problem: str, hint: str = "", *, key: bool = False) -> SceneError:
        """Make an error at a value, or at its key."""
        return self.source_of(path).error(self.place(path, key=key), problem, hint)

    def graft(self, parts: Collection[Path], other: "Document") -> None:
        """Take over where things stand in some parts of another document; the data is the caller's."""
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            mine.update({path: place for path, place in theirs.items() if any(path[:n] in parts for n in (1, 2, 3))})
        self.sources.update(dict.fromkeys(parts, other.source))


def read_yaml(source: Source, parser: Parser = PARSER) -> Document:
    r"""Read the one mapping a scene file holds, as plain data with positions.

    Raises:
        SceneError: It is not YAML, not one mapping, repeats a key, nests or expands without measure,
            or falls into one of YAML's traps.

    >>> read_yaml(Source.of("lines:\n  - clerk: Yes", "x.yaml")).data
    {'lines': [{'clerk': 'Yes'}]}
    """
    return _EventReader(source, parser).document()


def read_items(source: Source) -> tuple[Node, dict[Path, Span], dict[Path, Span]]:
    """Read a list that stands alone as the one below ``lines:``: its items, and where their keys and values stand."""
    reader = _EventReader(source, PARSER)
    return reader.root(("lines",)), reader.keys, reader.values


def _is_for_words(path: Path) -> bool:
    """Tell whether a value holds words, as far as its path tells: a text of the scene's, a line's, a whisper's."""
    *above, key = map(str, path or ("",))
    if key in TEXTS or above[:1] != ["lines"] or key.startswith("x-"):
        return key in TEXTS
    return (len(above) == 2 and key not in RESERVED) or above[2:] == ["prompt"]


class _EventReader:
    """One pass over the parser's events."""

    def __init__(self, source: Source, parser: Parser) -> None:
        self.source = source
        self.events = iter(yaml.parse(source.text, Loader=parser))
        self.progress = yaml_traps.ParserState()
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.unused: dict[str, SceneError] = {}
        self.count = 0
        self.expanded = 0

    def document(self) -> Document:
        data = self.root(())
        if not isinstance(data, dict):
            fact = "a list" if isinstance(data, list) else "text"
            hint = "write a mapping: 'players:' first, then 'lines:' with the list under it"
            raise self.source.error(self.values[()].start, f"the top level of the scene file is {fact}", hint)
        return Document(self.source, data, self.keys, self.values)

    def root(self, path: Path) -> Node:
        self.next()
        if isinstance(self.next(), yaml.StreamEndEvent):
            raise self.source.error(Position(1, 1), "the scene file is empty", "a scene needs 'players:' and 'lines:'")
        data = self.node(self.next(), path)
        self.next()
        if not isinstance(event := self.next(), yaml.StreamEndEvent):
            raise self.error(
                event, "a second document starts here", "a file can contain only one scene: remove the '---'"
            )
        for error in self.unused.values():
            raise error
        return data

    def next(self) -> _Event:
        try:
            return next(self.events)
        except yaml.MarkedYAMLError as error:
            raise yaml_traps.explain(self.source, error, self.progress) from None

    def node(self, event: _Event, path: Path) -> Node:
        if isinstance(event, yaml.AliasEvent):
            self.values[path] = Span(yaml_traps.place_of(event.start_mark), yaml_traps.place_of(event.end_mark), "*")
            return self.alias(event)
        self.count += 1
        if self.count > MOST_VALUES:
            raise self.error(event, f"the scene has more than {MOST_VALUES:,} values", "split it into several scenes")
        if event.tag is not None:
            raise self.trapped(event)
        first = self.count + self.expanded
        if event.anchor:
            if event.anchor in self.unused:
                raise self.unused[event.anchor]
            self.unused[event.anchor] = self.trapped(event)
            self.anchors[event.anchor] = None
        node = self.text(event, path) if isinstance(event, yaml.ScalarEvent) else self.collection(event, path)
        if event.anchor:
            self.anchors[event.anchor] = (node, self.count + self.expanded - first + 1)
        return node

    def alias(self, event: _Event) -> Node:
        if event.anchor not in self.anchors:
            raise self.trapped(event)
        if (known := self.anchors[event.anchor]) is None:
            raise self.error(event, f"*{event.anchor} refers to itself", "write out the text")
        node, size = known
        self.unused.pop(event.anchor, None)
        self.expanded += size
        if self.expanded > MOST_EXPANDED:
            raise self.error(event, f"aliases expand to more than {MOST_EXPANDED:,} values", "write out the values")
        return node

    def scalar(self, event: _Event) -> str:
        start, end = yaml_traps.place_of(event.start_mark), yaml_traps.place_of(event.end_mark)
        self.progress.before = (start, end)
        text: str = event.value
        if not event.style and (error := yaml_traps.cut(self.source, start, end)):
            raise error
        if event.style in ("'", '"'):
            self.refuse_swallowed(start, end)
        if bad := _UNSPEAKABLE.search(text):
            raise self.error(
                event, f"the text contains U+{ord(bad[0]):04X}, which cannot be spoken", "remove the escape"
            )
        return text

    def text(self, event: _Event, path: Path) -> str:
        self.values[path] = self.span(event)
        text = self.scalar(event)
        return Quoted(text) if event.style in ("'", '"') else text

    def span(self, event: _Event) -> Span:
        start = yaml_traps.place_of(event.start_mark)
        return Span(start, self.end(event), event.style or "", bool(event.anchor))

    def end(self, event: _Event) -> Position:
        """Tell where a text ends; a block's last line is its last one that is not blank, and no mark says which."""
        end = yaml_traps.place_of(event.end_mark)
        if event.style not in ("|", ">"):
            return end
        lines = self.source.lines
        first, number = event.start_mark.line + 1, end.line
        if number > len(lines) or not lines[number - 1][: end.column - 1].strip(" \t"):
            number -= 1
        while number > first and not lines[number - 1].strip(" \t"):
            number -= 1
        return Position(number, len(lines[number - 1]) + 1)

    def refuse_swallowed(self, start: Position, end: Position) -> None:
        for number in range(start.line + 1, end.line + 1):
            if _LINE_OF_THE_SCENE.match(self.source.line(number)):
                problem = f"this quote is not closed until line {end.line} and includes everything in between"
                shown = yaml_traps.quote_hint(self.source.line(start.line), start.column)
                hint = f"close it on its own line, or {shown}"
                raise yaml_traps.unclosed_quote(self.source, start) or self.source.error(start, problem, hint)

    def collection(self, event: _Event, path: Path) -> Node:
        if len(path) >= yaml_traps.DEEPEST:
            raise self.error(
                event, f"nested more than {yaml_traps.DEEPEST} levels deep", "a scene needs only four levels"
            )
        start, anchored, outer = yaml_traps.place_of(event.start_mark), bool(event.anchor), self.progress.words
        if event.flow_style:
            self.progress.brackets.append(start)
            self.progress.words = outer or (start if _is_for_words(path) else None)
        read = self.mapping if isinstance(event, yaml.MappingStartEvent) else self.sequence
        node, last = read(path)
        if not event.flow_style:
            inner = (*path, next(reversed(node)) if isinstance(node, dict) else len(node) - 1)
            self.progress.before = None
            self.values[path] = Span(start, self.values[inner].end, "block", anchored)
            return node
        end = yaml_traps.place_of(last.end_mark)
        self.progress.brackets.pop()
        self.progress.words = outer
        self.progress.before = (start, end)
        self.values[path] = Span(start, end, "flow", anchored)
        return node

    def sequence(self, path: Path) -> tuple[Node, _Event]:
        items: list[Node] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items, event

    def mapping(self, path: Path) -> tuple[Node, _Event]:
        entries: dict[str, Node] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.key(event)
            here = (*path, key)
            if key in entries and path == ("lines",):
                first = self.keys[*path, next(iter(entries))].start
                hint = yaml_traps.with_dashes(self.source, first, "write each as '- player: words'")
                raise self.source.error(first, "'lines' must be a list", hint)
            if key in entries:
                hint = f"the first is at line {self.keys[here].start.line}; keep only one"
                raise self.error(event, f"duplicate key '{key}'", hint)
            self.keys[here] = self.span(event)
            entries[key] = self.node(self.next(), here)
        return entries, event

    def key(self, event: _Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor:
            raise self.error(event, "a key must be plain text", "put the key in quotes")
        if event.tag is not None:
            raise self.trapped(event)
        if event.value == "<<":
            hint = "write shared options once, at the top of the scene"
            raise self.error(event, "merge keys are not part of the scene language", hint)
        if not event.value.strip():
            raise self.error(event, "a key is missing before the colon", "write a line as '- player: words'")
        return composed(self.scalar(event))

    def trapped(self, event: _Event) -> SceneError:
        return yaml_traps.trap(self.source, yaml_traps.place_of(event.start_mark), self.progress)

    def error(self, event: _Event, problem: str, hint: str) -> SceneError:
        if self.progress.words:
            return self.trapped(event)
        return self.source.error(yaml_traps.place_of(event.start_mark), problem, hint)


_ESCAPED = re.compile('[\\\\"]|[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]')

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def as_yaml(node: Node, indent: int = 0) -> str:
    """Write data in block style, each line indented by so much; read back, it says the same.

    >>> print(as_yaml({"ann": {"voice": "ash"}, "lines": ["a: b", {"ben": "No."}]}))
    ann:
      voice: ash
    lines:
      - "a: b"
      - ben: No.
    """
    return "\n".join(" " * indent + line for line in _block(node))


def _block(node: Node) -> list[str]:
    if isinstance(node, str):
        return [_text(node)]
    lines: list[str] = []
    if isinstance(node, list):
        for each in node:
            inner = _block(each)
            lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
        return lines or ["[]"]
    for key, value in node.items():
        inner = _block(value)
        if isinstance(value, str) or inner[0] in ("[]", "{}"):
            lines.append(f"{_text(key)}: {inner[0]}".rstrip())
        else:
            lines += [f"{_text(key)}:", *(f"  {line}" for line in inner)]
    return lines or ["{}"]


def _text(text: str) -> str:
    """Write a text on one line, whatever it holds."""
    if _ESCAPED.search(text.replace('"', "").replace("\\", "")):
        escaped = _ESCAPED.sub(lambda sign: _escape(sign[0]), text)
        return f'"{escaped}"'
    if text == "" or (isinstance(text, Quoted) and text == text.strip()):
        return yaml_traps.quoted(text) if isinstance(text, Quoted) else ""
    return yaml_traps.yaml_scalar(text)


def _escape(sign: str) -> str:
    return _SHORT.get(sign) or f"\\u{ord(sign):04x}"


class LineIndex:
    """The lines of a source with what ends each of them."""

    def __init__(self, source: Source) -> None:
        self._text, self._lines = source.text, source.lines
        self._starts, offset = [0], 0
        for line in source.lines[:-1]:
            offset += len(line)
            offset += 2 if source.text.startswith("\r\n", offset) else 1
            self._starts.append(offset)
        self.newline = "\r\n" if self.ending(1) == "\r\n" else "\n"

    def offset(self, place: Position) -> int:
        """Return the character of the text that stands at a place."""
        return self._starts[place.line - 1] + place.column - 1

    def end(self, number: int) -> int:
        """Return the character after a line's last, from 1: there its ending begins."""
        return self._starts[number - 1] + len(self._lines[number - 1])

    def ending(self, number: int) -> str:
        """Return what ends a line; the last one may end with nothing."""
        return self._text[self.end(number) : self._starts[number] if number < len(self._starts) else None]
