"""A scene made of parts: what it includes, its script, its variables, and the variants of its matrix."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import PurePath
from shlex import quote

from tau_stage.errors import SceneError
from tau_stage.scene.diagnostics import Diagnostics
from tau_stage.scene.fields import are_texts, entries_of
from tau_stage.scene.fountain import read_fountain
from tau_stage.scene.names import did_you_mean, listed, resolve_path, shortened, slug
from tau_stage.scene.script import ScriptItem, ScriptSpeech, depth, read_script
from tau_stage.scene.source import Position, SceneWarning, Source, read_source
from tau_stage.scene.units import wrong
from tau_stage.scene.yaml_text import Document, Node, Path, read_items, read_yaml

MERGED = ("players", "pronounce", "tools", "vars")  # mappings of which a scene and what it includes have each a part
ONLY_DELIVER = "#deliver"
"""Ends the name of a file that is laid over a scene with its ``deliver`` alone, as a batch file is."""

NOT_INCLUDED = ("scene", "lines", "script", "on", "matrix", "include")  # what belongs to the scene itself
MOST_VARIANTS = 100
ANY_NUMBER = 1_000_000  # variants that nobody counts beforehand
MOST_VARIED = 300_000  # values of a scene times its variants: each variant is read like a scene of its own
MOST_INCLUDED = 50
MOST_FILLED = 2_000_000  # characters that all variables of a scene come to, where they stand: as many as a scene has

# A place holds no other's beginning, so that whatever begins one is read once.
_PLACE = re.compile(r"\$\$\{|\$\{((?:[^}\n$]|\$(?!\{))*)\}")
_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_KEPT = (("vars",), ("matrix",), ("include",))  # where places are not filled in

Entries = dict[str, Node]


def include(entries: Entries, errors: Diagnostics) -> None:
    """Merge what a scene includes into its entries; what the scene says itself wins."""
    own: set[Path] = {(key,) for key in entries}
    own |= {(key, name) for key in MERGED for name in _mapping(entries.get(key))}
    for path, name in _included(entries.get("include", ""), errors):
        what = f"the file '{name}'"
        try:
            other = read_yaml(read_source(resolve_path(errors.document.source.path, name), what))
        except SceneError as error:
            errors.take_over(path, error, what)
        else:
            errors.document.graft(_merge(entries, other, own, errors), other)


def overlay(entries: Entries, names: Sequence[str], errors: Diagnostics) -> None:
    """Merge files that were named from outside into a scene's entries; what they say wins."""
    for name in names:
        file = name.removesuffix(ONLY_DELIVER)
        what = f"the file '{file}'"
        try:
            other = read_yaml(read_source(file, what))
        except SceneError as error:
            errors.take_over((), error, what)
        else:
            delivered = {key: other.data[key] for key in ("deliver",) if key in other.data}
            taken = _merge(entries, other, set(), errors) if file == name else _lay_over(entries, delivered, ())
            errors.document.graft(taken, other)


def _lay_over(entries: Entries, over: Entries, path: Path) -> set[Path]:
    """Put entries over others, mapping by mapping; return what was taken."""
    taken: set[Path] = set()
    for key, node in over.items():
        mine = entries.get(key)
        if isinstance(mine, dict) and isinstance(node, dict):
            entries[key] = inner = dict(mine)  # another part of the file may be the same mapping
            taken |= _lay_over(inner, node, (*path, key))
        else:
            entries[key] = node
            taken.add((*path, key))
    return taken


def _included(wanted: Node, errors: Diagnostics) -> Iterator[tuple[Path, str]]:
    """Yield the names of the files that a scene includes, and where each stands."""
    names = [wanted] if isinstance(wanted, str) else wanted
    if not are_texts(names):
        errors.add(("include",), "'include' must be a file name or a list of file names", "for example: [cast.yaml]")
    elif len(names) > MOST_INCLUDED:
        problem = f"the scene includes {len(names):,} files, but the limit is {MOST_INCLUDED}"
        errors.add(("include",), problem, "merge some of the files", key=True)
    else:
        for number, name in enumerate(names):
            if name:
                yield ("include", number), str(name)


def _merge(entries: Entries, other: Document, own: set[Path], errors: Diagnostics) -> set[Path]:
    """Merge what a file holds into a scene's entries, but for what the scene says itself; what was taken."""
    taken: set[Path] = set()
    for key, node in entries_of(other.data, "the file", "").items():
        if key in NOT_INCLUDED:
            problem = f"an included file may contain players, tools and defaults, but not '{key}'"
            errors.noted.append(other.error((key,), problem, "move it into the scene", key=True))
        elif key in MERGED and isinstance(node, dict):
            mine = entries.setdefault(key, {})
            if isinstance(mine, dict):
                new = {name: part for name, part in node.items() if (key, name) not in own}
                mine.update(new)
                taken.update((key, name) for name in new)
        elif (key,) not in own:
            entries[key] = node
            taken.add((key,))
    return taken


def _mapping(node: Node | None) -> Entries:
    return node if isinstance(node, dict) else {}


def variables(entries: Entries, given: Mapping[str, str], errors: Diagnostics) -> dict[str, str]:
    """Return the scene's variables, with those that were given from outside."""
    own: dict[str, str] = {}
    written = errors.entries(entries.get("vars", ""), ("vars",), "'vars'", "for example: {city: Oslo}")
    for name, value in written.items():
        own[name] = errors.text(value, ("vars", name), "a variable") or ""
        _check_variable(("vars", name), [own[name]], errors)
    varied = _mapping(entries.get("matrix"))
    for name in sorted(given.keys() - own.keys() - varied.keys()):
        hint = did_you_mean(name, (*own, *varied), f"variables: {listed(own) or 'none'}")
        errors.add(("vars",), f"unknown variable '{name}'", hint)
    for name in sorted(given.keys() & varied.keys()):
        errors.add(
            ("matrix", name),
            f"'{name}' is in the matrix, but a value was also given",
            "use --only to choose one variant",
            key=True,
        )
    return {**own, **given}


def _check_variable(path: Path, values: list[str], errors: Diagnostics) -> None:
    """Note a variable that nobody could name, or that holds another, which would be spoken as it stands."""
    if not _NAME.fullmatch(str(path[1])):
        hint = "use letters, digits, '-' and '_', starting with a letter"
        errors.add(path, f"'{path[1]}' is not a valid variable name", hint, key=True)
    if any(place[1] for value in values for place in _PLACE.finditer(value)):
        errors.add(path, "a variable cannot contain another variable", "write out the text")


def fill_in(entries: Entries, values: Mapping[str, str], errors: Diagnostics) -> Entries:
    """Fill in a scene's variables: in texts only, never in keys and ids."""
    return _Substitution(values, errors).entries(entries, ())


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """Fill variables in a text that stands in no scene file; refuse one that there is not.

    >>> fill_text("$${a} is ${a}", {"a": "b"})
    '${a} is b'
    """

    def value(place: re.Match[str]) -> str:
        if (name := place[1]) is None:
            return "${"
        if name not in values:
            raise wrong(*_no_variable(name, values))
        return values[name]

    return _PLACE.sub(value, text)


def _no_variable(name: str, values: Mapping[str, str]) -> tuple[str, str]:
    otherwise = f"variables: {listed(values) or 'none'}; write $${{ for a literal ${{"
    return f"unknown variable '{name}'", did_you_mean(name, values, otherwise)


class _Substitution:
    """Fills variables in, as long as they do not come to too much."""

    def __init__(self, values: Mapping[str, str], errors: Diagnostics) -> None:
        self._values = values
        self._errors = errors
        self._left = MOST_FILLED

    def entries(self, entries: Entries, path: Path) -> Entries:
        return {key: self.filled(node, (*path, key)) for key, node in entries.items()}

    def filled(self, node: Node, path: Path) -> Node:
        if path in _KEPT or str(path[-1]).startswith("x-"):
            return node
        if isinstance(node, dict):
            return self.entries(node, path)
        if isinstance(node, list):
            return [self.filled(value, (*path, number)) for number, value in enumerate(node)]
        return self.text(node, path) if "${" in node else node

    def text(self, node: str, path: Path) -> str:
        if path[-1] == "id" and len(path) > 1 and isinstance(path[-2], int):
            self._errors.add(
                path, "an id cannot contain a variable, because ids are used in file names", "write out the id"
            )
            return "x"
        return type(node)(_PLACE.sub(lambda place: self._value(place, path), node))

    def _value(self, place: re.Match[str], path: Path) -> str:
        name = place[1]
        if name is None:
            return "${"
        if (value := self._values.get(name)) is None:
            self._errors.add(path, *_no_variable(name, self._values))
            return ""
        if 0 <= self._left < len(value):
            problem = f"the variables insert more than {MOST_FILLED:,} characters into the scene"
            self._errors.add(path, problem, "use shorter values, or use them in fewer places")
        self._left -= len(value)
        return value if self._left >= 0 else ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of a scene: its variables by name."""

    name: str  # of its values, as a file name; empty where there is no matrix
    values: Mapping[str, str]


def variants(entries: Entries, only: Sequence[str], errors: Diagnostics, most: int = MOST_VARIANTS) -> list[Variant]:
    """Return the wanted combinations (none: all) of the matrix's values, in order; without a matrix a nameless one."""
    axes = _axes(entries.get("matrix", ""), errors)
    if problem := _too_many(prod(map(len, axes.values())), len(errors.document.values), most):
        errors.add(("matrix",), *problem, key=True)
        return []
    made = [
        Variant(shortened("-".join(map(slug, chosen))), dict(zip(axes, chosen, strict=True)))
        for chosen in product(*axes.values())
    ]
    names = [variant.name for variant in made]
    for twice in [*(Counter(names) - Counter({*names}))][:1]:
        hint = "choose values that differ in letters or digits"
        errors.add(("matrix",), f"two variants would have the same name, '{twice}'", hint, key=True)
    wanted = _wanted(only, names if axes else [], errors)
    return [variant for variant in made if not only or variant.name in wanted]


def _too_many(count: int, values: int, most: int) -> tuple[str, str] | None:
    """Return what is wrong with so many variants of so many values, and what to do; None where it is nothing."""
    if count > most:
        hint = f"use fewer values, or allow more: --max-variants {count}"
        return f"the matrix creates {count:,} variants, but the limit is {most:,}", hint
    varied = MOST_VARIED * max(most, MOST_VARIANTS) // MOST_VARIANTS
    if count * values > varied:
        return (
            f"the {count} variants together have more than {varied:,} values",
            "use fewer values, or split the scene",
        )
    return None


def _axes(node: Node, errors: Diagnostics) -> dict[str, list[str]]:
    """Return the values of each varied variable that are sound."""
    axes: dict[str, list[str]] = {}
    entries = errors.entries(node, ("matrix",), "'matrix'", "for example: {mood: [calm, cross]}")
    for name, values in entries.items():
        if are_texts(values) and values and all(values):
            axes[name] = [*map(str, values)]
            _check_variable(("matrix", name), axes[name], errors)
        else:
            errors.add(("matrix", name), f"'{name}' needs a list of values", f"for example: {name}: [calm, cross]")
    return axes


def _wanted(only: Sequence[str], names: Sequence[str], errors: Diagnostics) -> set[str]:
    """Return the names of the variants that are asked for; one that there is not is noted."""
    wanted: set[str] = set()
    for name in dict.fromkeys(only):
        if known := {name, slug(name)} & set(names):
            wanted |= known
        else:
            hint = did_you_mean(name, names, f"variants: {listed(names)}") if names else "the scene has no matrix"
            errors.add(("matrix",), f"unknown variant '{name}'", hint)
    return wanted


SCREENPLAYS = (".fountain", ".spmd")  # how names of files in Fountain end; the second is its old ending
TEXTS = (".txt", ".md")  # how names of files in our own notation end
SUBTITLES = (".vtt", ".srt")


def is_script_file(script: str) -> bool:
    """Tell whether what stands at ``script:`` is the name of a file."""
    return PurePath(script).suffix.lower() in (*SCREENPLAYS, *TEXTS) and "\n" not in script


def read_script_file(
    scene: str, name: str, players: Sequence[str], warnings: list[SceneWarning] | None = None
) -> tuple[Source, list[ScriptSpeech | ScriptItem]]:
    """Read the file of a script; ``warnings`` takes what may not be what its author meant."""
    screenplay = PurePath(name).suffix.lower() in SCREENPLAYS
    source = read_source(resolve_path(scene, name), f"the {'screenplay' if screenplay else 'script'} '{name}'")
    if screenplay:
        return source, [*read_fountain(source, players, warnings)]
    return source, read_script(source, 1, len(source.lines), players)


def script_into_lines(entries: Entries, errors: Diagnostics) -> None:
    """Put what the script holds where the lines stand."""
    if "script" not in entries:
        return
    script = entries.pop("script")
    if "lines" in entries:
        errors.add(("script",), "a scene can have lines or a script, not both", "remove one of them", key=True)
        return
    entries["lines"] = []
    if not isinstance(script, str) or not script.strip():
        errors.add(("script",), "a script must be text or a file name", "write 'script: |' and the script under it")
        return
    players = tuple(entries_of(_mapping(entries.get("players")), "'players'", ""))
    document = errors.document
    span = document.values["script",]
    try:
        if span.style == "|":
            parts = read_script(document.source, span.start.line + 1, span.end.line, players)
            entries["lines"] = _of_parts(parts, document.source, document)
        else:
            entries["lines"] = _of_file(script.strip(), players, errors)
    except SceneError as error:
        errors.take_over(("script",), error)
    if not entries["lines"] and not errors.noted:
        errors.add(("script",), "this script has no speeches", "write a speech as 'PLAYER: words'")


def _of_file(name: str, players: tuple[str, ...], errors: Diagnostics) -> list[Node]:
    """Return what stands in a script that is a file of its own."""
    if not is_script_file(name):
        hint = "write 'script: |' and the script under it, or a file name such as 'play.fountain' or 'episode.txt'"
        if name.lower().endswith(SUBTITLES):
            hint = f"to import subtitles: tau-stage import {quote(name)} --cast cast.yaml"
        errors.add(("script",), "this is neither a script nor the name of a script file", hint)
        return []
    source, parts = read_script_file(errors.document.source.path, name, players, errors.warnings)
    return _of_parts(parts, source, errors.document)


def _of_parts(parts: list[ScriptSpeech | ScriptItem], source: Source, document: Document) -> list[Node]:
    """Return the speeches and the items of a script, in order, as lines of a scene's document."""
    lines: list[Node] = []
    items: dict[int, ScriptItem] = {}
    for part in parts:
        if isinstance(part, ScriptItem):
            items[len(lines)] = part
            lines.append("")
        elif part.dual and lines:
            _join(lines, part, document)
        else:
            lines.append({part.speaker: part.text})
            _put(("lines", len(lines) - 1), part, document)
    if source is not document.source:
        document.sources.update({("lines", number): source for number in range(len(lines))})
    if items:
        for number, node in zip(items, _items(items, source, document), strict=True):
            lines[number] = node
    return lines


def _put(path: Path, spoken: ScriptSpeech, document: Document) -> None:
    for here in (path, (*path, spoken.speaker)):
        document.put(here, Position(spoken.line, spoken.column))


def _join(lines: list[Node], spoken: ScriptSpeech, document: Document) -> None:
    """Join a speech that is spoken together with the one before."""
    before = lines[-1]
    path: Path = ("lines", len(lines) - 1, "together")
    assert isinstance(before, dict)  # noqa: S101 - speeches and groups are mappings
    group = before.get("together")
    if not isinstance(group, list):
        group = [before]
        for here in (path, (*path, 0), (*path, 0, *before)):
            document.put(here, document.place(path[:-1]))
        lines[-1] = {"together": group}
    _put((*path, len(group)), spoken, document)
    group.append({spoken.speaker: spoken.text})


def _items(wanted: Mapping[int, ScriptItem], source: Source, document: Document) -> list[Node]:
    """Return the items in YAML, by their place among the lines, read where they stand: everything else is blank."""
    kept = [""] * len(source.lines)
    first, *_ = wanted.values()
    for item in wanted.values():
        if depth(source.line(item.first_line)) != depth(source.line(first.first_line)):
            raise _odd(source, item, "this item is not indented like the first one", "align all items")
        kept[item.first_line - 1 : item.last_line] = source.lines[item.first_line - 1 : item.last_line]
    items, keys, values = read_items(Source(source.path, "\n".join(kept), source.sha256, source.lines))
    if not isinstance(items, list) or len(items) != len(wanted):
        raise _odd(source, first, "YAML cannot find the end of these items", "close every bracket and quote")
    numbers = list(wanted)
    for mine, theirs in ((document.keys, keys), (document.values, values)):
        mine.update({("lines", numbers[int(path[1])], *path[2:]): at for path, at in theirs.items() if len(path) > 1})
    return items


def _odd(source: Source, item: ScriptItem, problem: str, hint: str) -> SceneError:
    return source.error(Position(item.first_line, depth(source.line(item.first_line)) + 1), problem, hint)
