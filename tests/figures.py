"""Measure the house: ``python -m tests.figures [TREE]`` prints what its modules, names and words come to.

The same figures of an older checkout, to compare with: ``git worktree add /tmp/before REF``, then give its path.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).parent.parent
PACKAGE = "tau_stage"
VERBS = frozenset((Path(__file__).parent / "verbs.txt").read_text("utf-8").split())
"""Verbs that a docstring may begin with, in the imperative."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FORKS = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.And,
    ast.Or,
    ast.comprehension,
    ast.match_case,
    ast.Assert,
)


@dataclass(frozen=True)
class Module:
    """One file of the package.

    Attributes:
        name: Its dotted name; that of a package for its ``__init__``.
        path: Where it is.
    """

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All that stands in its tree."""
        return [*ast.walk(self.tree)]

    @property
    def is_face(self) -> bool:
        """Whether it hands on the names of a package."""
        return self.path.name == "__init__.py"

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, Function))

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    @cached_property
    def imports(self) -> list[tuple[str, str]]:
        """The modules it names, and what it takes from each; lazy ones and those for type checkers too."""
        found: list[tuple[str, str]] = []
        stub = self.path.with_suffix(".pyi")
        if self.is_face and stub.exists():
            for line in ast.parse(stub.read_text("utf-8")).body:
                if isinstance(line, ast.ImportFrom):
                    found += [(f"{self.name}.{line.module}", alias.name) for alias in line.names if line.module]
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
                found += [(node.module or "", alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == PACKAGE]
        faces = {alias.asname or alias.name: alias.name for alias in self._faces}
        for node in self.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in faces:
                found.append((f"{PACKAGE}.{faces[node.value.id]}", node.attr))
        return found

    @property
    def _faces(self) -> Iterator[ast.alias]:
        """What it imports of the package as modules, whose names it takes as attributes."""
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
                yield from node.names


class House:
    """All modules of a tree, and who imports whom."""

    def __init__(self, top: Path = TOP) -> None:
        paths = sorted((top / PACKAGE).rglob("*.py"))
        self.modules = {name: Module(name, path) for path in paths for name in [_name_of(path.relative_to(top))]}

    def home_of(self, module: str, name: str) -> str:
        """The module that an import is of: a face only hands on what is another's."""
        if f"{module}.{name}" in self.modules:
            return f"{module}.{name}"
        face = self.modules.get(module)
        if face is not None and face.is_face:
            for other, handed_on in face.imports:
                if handed_on == name and other != module:
                    return self.home_of(other, name)
        return module

    @cached_property
    def imported(self) -> Mapping[str, frozenset[str]]:
        """The modules that each module imports; faces are looked through."""
        return {
            module.name: frozenset(self.home_of(*each) for each in module.imports) & self.modules.keys() - {module.name}
            for module in self.modules.values()
        }

    @cached_property
    def importers(self) -> Mapping[str, frozenset[str]]:
        """The modules that import each module, without faces."""
        found: dict[str, set[str]] = defaultdict(set)
        for name, targets in self.imported.items():
            if not self.modules[name].is_face:
                for target in targets:
                    found[target].add(name)
        return {name: frozenset(found[name]) for name in self.modules}

    def circles(self) -> list[list[str]]:
        """Modules that import each other, directly or around corners: strongly connected, more than one.

        Source: R. Tarjan, "Depth-first search and linear graph algorithms", 1972.
        """
        order: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(name: str) -> None:
            order[name] = low[name] = len(order)
            stack.append(name)
            for other in self.imported[name]:
                if self.modules[other].is_face:
                    continue
                if other not in order:
                    visit(other)
                    low[name] = min(low[name], low[other])
                elif other in stack:
                    low[name] = min(low[name], order[other])
            if low[name] == order[name]:
                at = stack.index(name)
                found.append(stack[at:])
                del stack[at:]

        for name, module in self.modules.items():
            if name not in order and not module.is_face:
                visit(name)
        return [sorted(each) for each in found if len(each) > 1]

    def single_importers(self) -> list[str]:
        """Modules that one other module imports."""
        return [name for name, users in self.importers.items() if len(users) == 1 and not self.modules[name].is_face]

    def imports_past_faces(self) -> list[str]:
        """Imports of a module of another package: its face hands on what others use."""
        packages = {module.name for module in self.modules.values() if module.is_face and module.name != PACKAGE}
        return [
            f"{module.name}: {target}"
            for module in self.modules.values()
            if module.name != PACKAGE
            for target, _ in module.imports
            for package in [".".join(target.split(".")[:2])]
            if package in packages and target != package and not f"{module.name}.".startswith(f"{package}.")
        ]

    def faces_that_hide_modules(self) -> list[str]:
        """Names that a face hands on and that are a module's of its own package: either could be what is imported."""
        return [
            f"{face.name}.{name}"
            for face in self.modules.values()
            if face.is_face and face.name != PACKAGE
            for module, name in face.imports
            if f"{face.name}.{name}" in self.modules and module != face.name
        ]

    def class_names_used_twice(self) -> dict[str, list[str]]:
        """Classes of one name, with the modules they are in."""
        return _twice((node.name, module.name) for module in self.modules.values() for node in module.classes)

    def file_names_used_twice(self) -> dict[str, list[str]]:
        """Modules of one file name, below the packages."""
        return _twice((m.path.name, m.name) for m in self.modules.values() if not m.path.name.startswith("__"))

    def long_functions(self, limit: int = 60) -> list[str]:
        """Functions over a number of lines."""
        return [f"{m.name}.{f.name}" for m in self.modules.values() for f in m.functions if _lines(f) > limit]

    def complexities(self) -> list[int]:
        """McCabe's number of each function."""
        return [complexity(function) for module in self.modules.values() for function in module.functions]

    def not_imperative(self) -> list[str]:
        """Functions whose docstring begins with no verb in the imperative; properties say what they are."""
        return [
            f"{module.name}.{function.name}: {_first_line(function)}"
            for module in self.modules.values()
            for function in _told(module)
            if _first_line(function).split()[0].strip("*`,.:").lower() not in VERBS
        ]

    def anys(self) -> int:
        """How often ``Any`` is written, its imports not counted."""
        nodes = (node for module in self.modules.values() for node in module.nodes)
        return sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)


def complexity(function: Function) -> int:
    """Count the ways through a function (T. McCabe, 1976); functions within it count for themselves."""
    inner = {
        id(n)
        for node in ast.walk(function)
        if isinstance(node, Function) and node is not function
        for n in ast.walk(node)
    }
    return 1 + sum(isinstance(node, _FORKS) for node in ast.walk(function) if id(node) not in inner)


def figures(house: House) -> dict[str, float]:
    """Measure everything that has a limit."""
    told = sum(1 for module in house.modules.values() for _ in _told(module))
    complexities = house.complexities()
    return {
        "modules": len(house.modules),
        "lines": sum(module.text.count("\n") for module in house.modules.values()),
        "class names used twice": len(house.class_names_used_twice()),
        "file names used twice": len(house.file_names_used_twice()),
        "modules with one importer": len(house.single_importers()),
        "circles": len(house.circles()),
        "functions over 60 lines": len(house.long_functions()),
        "mean complexity": round(sum(complexities) / len(complexities), 2),
        "imperative docstrings, %": round(100 * (1 - len(house.not_imperative()) / told), 1),
        "Any": house.anys(),
    }


def _name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _first_line(function: Function) -> str:
    return (ast.get_docstring(function) or "").split("\n")[0]


def _told(module: Module) -> Iterator[Function]:
    """The functions of a module that have a docstring and are no properties."""
    for function in module.functions:
        marks = {getattr(mark, "id", getattr(mark, "attr", "")) for mark in function.decorator_list}
        if _first_line(function) and not marks & {"property", "cached_property", "overload"}:
            yield function


def _twice(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, place in pairs:
        found[name].append(place)
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def main(arguments: Sequence[str]) -> None:
    """Print the figures of one tree, or of several side by side."""
    houses = [House(Path(each)) for each in arguments] or [House()]
    table = [figures(house) for house in houses]
    for name in table[0]:
        sys.stdout.write(f"{name:28}" + "".join(f"{row[name]:>10,}" for row in table) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
