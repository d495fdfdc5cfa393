"""From where to where each part of a scene file reaches, for what changes the file's text and nothing else of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tau_stage.scene.source import Place, Source
from tau_stage.scene.text import PARSER, Document, Path
from tau_stage.scene.traps import place_of
from tau_stage.text import composed


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where a value or a key reaches.

    Attributes:
        start: Its first character.
        end: The place after its last one; what YAML skips after it is not in it.
        style: ``block`` or ``flow`` of a collection, ``*`` of an alias, of a text its quote, ``|``, ``>`` or empty.
        anchored: Whether it has an anchor.
    """

    start: Place
    end: Place
    style: str
    anchored: bool = False


class Spans:
    """The spans of a document that was read before, so that it is known to be sound.

    Attributes:
        keys: Of each key, by its path.
        values: Of each value, by its path.
    """

    def __init__(self, document: Document, parser: Any = PARSER) -> None:
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self._lines = document.source.lines
        self._events: Iterator[Any] = iter(yaml.parse(document.source.text, Loader=parser))
        next(self._events)
        next(self._events)
        self._node(next(self._events), ())

    def _node(self, event: Any, path: Path) -> Span:
        start, anchored = place_of(event.start_mark), bool(event.anchor)
        if isinstance(event, yaml.AliasEvent):
            span = Span(start, place_of(event.end_mark), "*")
        elif isinstance(event, yaml.ScalarEvent):
            span = Span(start, self._end(event), event.style or "", anchored)
        else:
            span = self._collection(event, path, Span(start, place_of(event.end_mark), "flow", anchored))
        self.values[path] = span
        return span

    def _collection(self, opened: Any, path: Path, begun: Span) -> Span:
        end, number = begun.end, 0
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            if isinstance(opened, yaml.MappingStartEvent):
                here = (*path, composed(event.value))
                self.keys[here] = Span(place_of(event.start_mark), self._end(event), event.style or "")
                end = self._node(next(self._events), here).end
            else:
                end = self._node(event, (*path, number)).end
                number += 1
        if opened.flow_style:
            return Span(begun.start, place_of(event.end_mark), "flow", begun.anchored)
        return Span(begun.start, end, "block", begun.anchored)

    def _end(self, event: Any) -> Place:
        """Tell where a text ends; a block's last line is its last one that is not blank, and no mark says which."""
        end = place_of(event.end_mark)
        if event.style not in ("|", ">"):
            return end
        first, number = event.start_mark.line + 1, end.line
        if number > len(self._lines) or not self._lines[number - 1][: end.column - 1].strip(" \t"):
            number -= 1
        while number > first and not self._lines[number - 1].strip(" \t"):
            number -= 1
        return Place(number, len(self._lines[number - 1]) + 1)


class Lines:
    """The lines of a source with what ends each of them.

    Attributes:
        newline: What ends lines that are new.
    """

    def __init__(self, source: Source) -> None:
        self._text, self._lines = source.text, source.lines
        self._starts, offset = [0], 0
        for line in source.lines[:-1]:
            offset += len(line)
            offset += 2 if source.text.startswith("\r\n", offset) else 1
            self._starts.append(offset)
        self.newline = "\r\n" if self.ending(1) == "\r\n" else "\n"

    def offset(self, place: Place) -> int:
        """Return the character of the text that stands at a place."""
        return self._starts[place.line - 1] + place.column - 1

    def end(self, number: int) -> int:
        """Return the character after a line's last, from 1: there its ending begins."""
        return self._starts[number - 1] + len(self._lines[number - 1])

    def ending(self, number: int) -> str:
        """Return what ends a line; the last one may end with nothing."""
        return self._text[self.end(number) : self._starts[number] if number < len(self._starts) else None]
