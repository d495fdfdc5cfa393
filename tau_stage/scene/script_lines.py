"""A script in place of the lines: its speeches and items become what would stand under ``lines:``, where they are."""

from dataclasses import replace

from tau_stage.errors import SceneError
from tau_stage.scene.files import BESIDE
from tau_stage.scene.findings import Findings
from tau_stage.scene.script import Item, Spoken, depth, read_script
from tau_stage.scene.script_files import is_script_file, read_script_file
from tau_stage.scene.source import Place, Source
from tau_stage.scene.spans import Spans
from tau_stage.scene.text import Document, Node, Path, read_yaml

Entries = dict[str, Node]


def script_into_lines(entries: Entries, found: Findings) -> None:
    """Put what the script holds where the lines stand."""
    if "script" not in entries:
        return
    script = entries.pop("script")
    if "lines" in entries:
        found.add(("script",), "a scene has lines or a script, not both", "remove one of them", key=True)
        return
    entries["lines"] = []
    if not isinstance(script, str) or not script.strip():
        found.add(("script",), "a script is text, or the name of a file", "write 'script: |' and the script under it")
        return
    named = entries.get("players")
    players = tuple(name for name in named if not name.startswith("x-")) if isinstance(named, dict) else ()
    try:
        entries["lines"] = _lines(script, players, found)
    except SceneError as error:
        found.errors += [error, *error.also]
    if not entries["lines"] and not found.errors:
        found.add(("script",), "nobody speaks in this script", "a speech is 'PLAYER: words'")


def _lines(script: str, players: tuple[str, ...], found: Findings) -> list[Node]:
    document = found.document
    span = Spans(document).values["script",]
    if span.style != "|":
        return _of_file(script.strip(), players, found)
    first, last = span.start.line + 1, span.end.line
    parts = read_script(document.source, first, last, players)
    return _of_parts(parts, document.source, document, header=document.keys["script",].line)


def _of_file(name: str, players: tuple[str, ...], found: Findings) -> list[Node]:
    """Return what stands in a script that is a file of its own."""
    if not is_script_file(name):
        hint = "write 'script: |' and the script under it, or name its file: 'play.fountain', 'episode.txt'"
        found.add(("script",), "this is neither a script nor the name of one", hint)
        return []
    try:
        source, parts = read_script_file(found.document.source.path, name, players)
    except SceneError as error:
        if error.source:
            raise
        found.add(("script",), error.problem, error.hint or BESIDE)
        return []
    return _of_parts(parts, source, found.document, header=0)


def _of_parts(parts: list[Spoken | Item], source: Source, document: Document, header: int) -> list[Node]:
    """Return the speeches and the items of a script, as lines.

    Args:
        parts: In order.
        source: Where they stand.
        document: The scene's.
        header: The line of ``script:`` above them; 0 where they stand in another file.
    """
    lines: list[Node] = []
    numbers: list[int] = []
    for part in parts:
        if isinstance(part, Item):
            numbers.append(len(lines))
            lines.append("")
        elif part.dual and lines:
            _join(lines, part, document)
        else:
            lines.append(_speech(part, len(lines), document))
    if header == 0:
        document.sources.update({("lines", number): source for number in range(len(lines))})
    wanted = [part for part in parts if isinstance(part, Item)]
    for number, item in zip(numbers, _items(wanted, numbers, source, document, header), strict=True):
        lines[number] = item
    return lines


def _speech(spoken: Spoken, number: int, document: Document) -> Node:
    path = ("lines", number, spoken.speaker)
    _place(document, path, spoken)
    document.values["lines", number] = document.values[path]
    return {spoken.speaker: spoken.text}


def _place(document: Document, path: Path, spoken: Spoken) -> None:
    place = type(document.values[()])(spoken.line, spoken.column)
    document.keys[path] = document.values[path] = place


def _join(lines: list[Node], spoken: Spoken, document: Document) -> None:
    """Join a speech that is spoken together with the one before."""
    at, before = len(lines) - 1, lines[-1]
    assert isinstance(before, dict)  # noqa: S101 - speeches and groups are mappings
    group = before.get("together", [before])
    assert isinstance(group, list)  # noqa: S101 - it was made here
    if "together" not in before:
        place = document.values["lines", at]
        speaker = next(iter(before))
        document.values["lines", at, "together"] = document.keys["lines", at, "together"] = place
        for path in (("lines", at, "together", 0), ("lines", at, "together", 0, speaker)):
            document.values[path] = document.keys[path] = place
    path = ("lines", at, "together", len(group))
    _place(document, (*path, spoken.speaker), spoken)
    document.values[path] = document.values[*path, spoken.speaker]
    together: list[Node] = [*group, {spoken.speaker: spoken.text}]
    lines[at] = {"together": together}


def _items(wanted: list[Item], numbers: list[int], source: Source, document: Document, header: int) -> list[Node]:
    """Return the items in YAML, read where they stand: everything else is blank."""
    if not wanted:
        return []
    kept = [""] * len(source.lines)
    for item in wanted:
        if depth(source.line(item.first_line)) != depth(source.line(wanted[0].first_line)):
            raise _odd(source, item, "this item is indented otherwise than the first one", "align all items")
        kept[item.first_line - 1 : item.last_line] = source.lines[item.first_line - 1 : item.last_line]
    if header:
        kept[header - 1] = "lines:"
        others = read_yaml(Source(source.path, "\n".join(kept), source.sha256, source.lines))
    else:
        others = _below_a_key(kept, source)
    items = others.data["lines"]
    if not isinstance(items, list) or len(items) != len(wanted):
        raise _odd(source, wanted[0], "YAML does not see where these items end", "close every bracket and quote")
    for mine, theirs in ((document.keys, others.keys), (document.values, others.values)):
        mine.update({_moved(path, numbers): place for path, place in theirs.items() if len(path) > 1})
    document.quoted.update(_moved(path, numbers) for path in others.quoted)
    return items


def _below_a_key(kept: list[str], source: Source) -> Document:
    """Return the items of a file as those of ``lines:``, which stands above the file's first line."""
    text = "\n".join(["lines:", *kept])
    try:
        others = read_yaml(Source(source.path, text, source.sha256, ("lines:", *source.lines)))
    except SceneError as error:
        raise replace(error, line=error.line - 1) from None
    for places in (others.keys, others.values):
        places.update({path: place._replace(line=place.line - 1) for path, place in places.items()})
    return others


def _odd(source: Source, item: Item, problem: str, hint: str) -> SceneError:
    return source.error(Place(item.first_line, depth(source.line(item.first_line)) + 1), problem, hint)


def _moved(path: Path, numbers: list[int]) -> Path:
    """Tell where something stands among all lines that stands among the items."""
    return ("lines", numbers[int(path[1])], *path[2:])
