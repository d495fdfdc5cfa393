"""A scene made of parts: what it includes, its variables, and the variants of its matrix."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tau_stage.errors import SceneError
from tau_stage.scene.files import BESIDE, beside
from tau_stage.scene.findings import Findings
from tau_stage.scene.names import shortened, slug
from tau_stage.scene.source import read_source
from tau_stage.scene.text import Node, Path, read_yaml
from tau_stage.scene.words import did_you_mean, listed

MERGED = ("players", "tools", "vars")
"""Mappings of which a scene and what it includes have each a part."""

NOT_INCLUDED = ("scene", "lines", "script", "on", "matrix", "include")
"""What belongs to the scene itself."""

MOST_VARIANTS = 100
MOST_VARIED = 300_000
"""Values of a scene times its variants: each variant is read like a scene of its own."""

MOST_INCLUDED = 50
MOST_FILLED = 2_000_000
"""Characters that all variables of a scene come to, where they stand: as many as a scene has."""

_PLACE = re.compile(r"\$\$\{|\$\{([^}\n]*)\}")
_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)

Entries = dict[str, Node]


# ---- include


def include(entries: Entries, found: Findings) -> None:
    """Merge what a scene includes into its entries; what the scene says itself wins."""
    wanted = entries.get("include", "")
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        found.add(("include",), "include names files", "write it like [cast.yaml]")
        return
    if len(names) > MOST_INCLUDED:
        problem = f"the scene includes {len(names):,} files, and {MOST_INCLUDED} is the limit"
        found.add(("include",), problem, "put what belongs together into one file", key=True)
        return
    own: set[Path] = {(key,) for key in entries}
    own |= {(key, name) for key in MERGED for name in _mapping(entries.get(key))}
    for number, name in enumerate(names):
        if name:
            path = ("include", number) if isinstance(wanted, list) else ("include",)
            _include(entries, str(name), path, own, found)


def _include(entries: Entries, name: str, path: Path, own: set[Path], found: Findings) -> None:
    try:
        other = read_yaml(read_source(beside(found.document.source.path, name), f"the file '{name}'"))
    except SceneError as error:
        if error.source:
            found.errors.append(error)
        else:
            problem = error.problem.replace("the scene file", f"the file '{name}'")
            found.add(path, problem, error.hint or BESIDE)
        return
    taken: set[Path] = set()
    for key, node in other.data.items():
        if key.startswith("x-"):
            continue
        if key in NOT_INCLUDED:
            problem = f"an included file holds players, tools or defaults, and no '{key}'"
            found.errors.append(other.error((key,), problem, "move it into the scene", key=True))
        elif key in MERGED and isinstance(node, dict):
            mine = entries.setdefault(key, {})
            for name, part in node.items():
                if isinstance(mine, dict) and (key, name) not in own:
                    mine[name] = part
                    taken.add((key, name))
        elif (key,) not in own:
            entries[key] = node
            taken.add((key,))
    found.document.graft(taken, other)


def _mapping(node: Node | None) -> Entries:
    return node if isinstance(node, dict) else {}


# ---- variables


def variables(entries: Entries, given: Mapping[str, str], found: Findings) -> dict[str, str]:
    """Return the scene's variables, with those that were given from outside."""
    own: dict[str, str] = {}
    for name, value in (
        found.mapping(entries.get("vars", ""), ("vars",), "vars", "write it like {city: Oslo}") or {}
    ).items():
        text = found.text(value, ("vars", name), "a variable")
        _check_variable(("vars", name), [text or ""], found)
        own[name] = text or ""
    varied = _mapping(entries.get("matrix"))
    for name in sorted(given.keys() - own.keys() - varied.keys()):
        hint = did_you_mean(name, (*own, *varied), f"it has: {listed(own) or 'none'}")
        found.add(("vars",), f"the scene has no variable '{name}', which was given", hint)
    for name in sorted(given.keys() & varied.keys()):
        found.add(
            ("matrix", name), f"'{name}' is varied here, and was given too", "use --only for one variant", key=True
        )
    return {**own, **given}


def _check_variable(path: Path, values: list[str], found: Findings) -> None:
    """Note a variable that nobody could name, or that holds another, which would be spoken as it stands."""
    if not _NAME.fullmatch(str(path[1])):
        hint = "write letters, digits, '-' and '_', a letter first"
        found.add(path, f"'{path[1]}' cannot be a variable", hint, key=True)
    if any(place[1] for value in values for line in value.split("\n") for place in _PLACE.finditer(_closed(line))):
        found.add(path, "a variable holds no variable", "write the text out")


def fill_in(entries: Entries, values: Mapping[str, str], found: Findings) -> Entries:
    """Fill in a scene's variables: in texts only, never in keys and ids."""
    kept = {key for key in entries if key.startswith("x-") or key in ("vars", "matrix", "include")}
    filling = _Filling(values, found)
    return {key: node if key in kept else filling.filled(node, (key,)) for key, node in entries.items()}


def _closed(line: str) -> str:
    """Return a line up to its last brace: no place ends behind it, so whatever begins before it is read once."""
    return line[: line.rfind("}") + 1]


class _Filling:
    """Fills variables in, as long as they do not come to too much.

    Args:
        values: By name.
        found: Where errors are noted.
    """

    def __init__(self, values: Mapping[str, str], found: Findings) -> None:
        self._values = values
        self._found = found
        self._left = MOST_FILLED

    def filled(self, node: Node, path: Path) -> Node:
        if isinstance(node, dict):
            return {
                key: value if key.startswith("x-") else self.filled(value, (*path, key)) for key, value in node.items()
            }
        if isinstance(node, list):
            return [self.filled(value, (*path, number)) for number, value in enumerate(node)]
        if "${" not in node:
            return node
        if path[-1] == "id" and len(path) > 1 and isinstance(path[-2], int):
            self._found.add(path, "an id holds no variable, as ids name files", "write it out")
            return "x"
        return "\n".join(self._line(line, path) for line in node.split("\n"))

    def _line(self, line: str, path: Path) -> str:
        places = _closed(line)
        return _PLACE.sub(lambda place: self._value(place, path), places) + line[len(places) :].replace("$${", "${")

    def _value(self, place: re.Match[str], path: Path) -> str:
        name = place[1]
        if name is None:
            return "${"
        if (value := self._values.get(name)) is None:
            hint = did_you_mean(name, self._values, f"variables: {listed(self._values) or 'none'}; $${{ is a plain ${{")
            self._found.add(path, f"there is no variable '{name}'", hint)
            return ""
        if 0 <= self._left < len(value):
            problem = f"with variables filled in, the scene has more than {MOST_FILLED:,} characters of theirs"
            self._found.add(path, problem, "use shorter texts, or fewer places")
        self._left -= len(value)
        return value if self._left >= 0 else ""


# ---- matrix


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of a scene.

    Attributes:
        name: Of its values, as a file name; empty where there is no matrix.
        values: Variables by name.
    """

    name: str
    values: Mapping[str, str]


def variants(entries: Entries, only: Sequence[str], found: Findings) -> list[Variant]:
    """Return every combination of the matrix's values, in order; one nameless variant where there is no matrix.

    Args:
        entries: The scene's.
        only: The names of those that are wanted; none is all.
        found: Where errors are noted.
    """
    node = found.mapping(entries.get("matrix", ""), ("matrix",), "matrix", "write it like {mood: [calm, cross]}") or {}
    axes: dict[str, list[str]] = {}
    for name, values in node.items():
        if isinstance(values, list) and values and all(isinstance(value, str) and value for value in values):
            axes[name] = [str(value) for value in values]
            _check_variable(("matrix", name), axes[name], found)
        else:
            found.add(("matrix", name), f"'{name}' needs a list of texts", f"write it like {name}: [calm, cross]")
    count = 1
    for axis in axes.values():
        count *= len(axis)
    if count > MOST_VARIANTS:
        found.add(
            ("matrix",),
            f"the matrix makes {count:,} variants, and {MOST_VARIANTS} is the limit",
            "use fewer values",
            key=True,
        )
        return []
    made = [
        Variant(shortened("-".join(slug(value) for value in chosen)), dict(zip(axes, chosen, strict=True)))
        for chosen in product(*axes.values())
    ]
    if len(made) * len(found.document.values) > MOST_VARIED:
        problem = f"all {len(made)} variants together hold more than {MOST_VARIED:,} values"
        found.add(("matrix",), problem, "use fewer values, or part the scene", key=True)
        return []
    names = [variant.name for variant in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        found.add(
            ("matrix",),
            f"two variants would be called '{twice}'",
            "choose values that differ in letters or digits",
            key=True,
        )
    wanted: set[str] = set()
    for name in dict.fromkeys(only):
        if axes and (found_as := {name, slug(name)} & set(names)):
            wanted |= found_as
        else:
            hint = did_you_mean(name, names, f"variants: {listed(names)}") if axes else "the scene has no matrix"
            found.add(("matrix",), f"there is no variant '{name}'", hint)
    return [variant for variant in made if not only or variant.name in wanted]
