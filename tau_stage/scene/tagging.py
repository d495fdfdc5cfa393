"""Ids written back into a scene file: every other byte of it stays as it was."""

from collections.abc import Sequence
from copy import deepcopy

from tau_stage.errors import SceneError
from tau_stage.scene.source import Source
from tau_stage.scene.spans import Lines, Spans
from tau_stage.scene.text import Document, Node, Path, read_yaml
from tau_stage.scene.traps import written

_BY_HAND = "write it as '- player: words'"


def tagged(document: Document, lines: Sequence[tuple[Path, str]]) -> str:
    r"""Write ids beside lines; a line that has one keeps it, and no other byte changes.

    Args:
        document: The scene file.
        lines: Path and id of each line.

    Raises:
        SceneError: A line stands where no id can, such as an alias.

    >>> print(tagged(read_yaml(Source.of("lines:\n- ann: Hi # low", "x")), [(("lines", 0), "ann-1")]))
    lines:
    - ann: Hi # low
      id: ann-1
    """
    spans, text = Spans(document), Lines(document.source)
    wanted, inserts = deepcopy(document.data), []
    for path, name in lines:
        entries = _at(wanted, path)
        if "id" in _at(document.data, path):
            continue
        key = (*path, next(iter(entries)))
        if key not in spans.keys or spans.values[path].anchored:
            raise _untaggable(document, path)
        inserts += _inserts(document.source, text, spans, key, f"id: {written(name)}")
        entries["id"] = name
    pieces, done = [], 0
    for offset, insert in sorted(inserts):
        pieces += [document.source.text[done:offset], insert]
        done = offset
    result = "".join([*pieces, document.source.text[done:]])
    if _read(result, document.source.path) != wanted:
        raise _untaggable(document, lines[0][0])
    return result


def _inserts(source: Source, text: Lines, spans: Spans, key: Path, entry: str) -> list[tuple[int, str]]:
    """List what to insert where, so that an entry stands beside a mapping's first: under it if it has one line."""
    mapping, first, value = spans.values[key[:-1]], spans.keys[key], spans.values[key]
    before = text.offset(first.start)
    if mapping.style == "flow":
        if source.text.startswith("{", text.offset(mapping.start)):
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
    return document.source.error(document.place(path), "no id can be written beside this line", _BY_HAND)


def _at(node: Node, path: Path) -> dict[str, Node]:
    for part in path:
        node = node[part]  # type: ignore[index]
    return node  # type: ignore[return-value]
