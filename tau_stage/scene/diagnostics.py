"""What is wrong with a scene, collected while it is read, so that one look shows an author everything.

What is wrong is left out and reading goes on, so that checks further on see the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tau_stage.errors import SceneError
from tau_stage.scene.fields import SceneModel
from tau_stage.scene.names import ELSEWHERE, did_you_mean, key_meant, listed, ranked
from tau_stage.scene.source import Location, SceneWarning
from tau_stage.scene.yaml_text import Document, Node, Path
from tau_stage.scene.yaml_traps import misread, quote_hint

MOST_RANKED = 100
"""Errors of a scene whose hints have the likeliest words first: comparing them takes a while, and nobody reads more."""

ModelT = TypeVar("ModelT", bound=SceneModel)
Loader = Callable[[Node, Path, "Diagnostics"], object]
NO_PARTS: Mapping[str, Loader] = {}


class Diagnostics:
    """The errors of one document, and what is remarkable in it, each at its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.noted: list[SceneError] = []
        self.warnings: list[SceneWarning] = []
        self.meant: set[str] = set()
        self._wrong: set[Path] = set()
        self._misread: dict[tuple[str, int], SceneError | None] = {}

    def add(self, path: Path, problem: str, hint: str = "", *, key: bool = False) -> None:
        """Note an error at a value, or at its key."""
        self.noted.append(self.document.error(path, problem, hint, key=key))
        self._wrong.update(path[:length] for length in range(len(path) + 1))

    def remark(self, path: Path, problem: str, hint: str) -> None:
        """Note a value that may not be what its author meant."""
        place, file = self.document.place(path), self.document.source_of(path).path
        self.warnings.append(SceneWarning(Location(file, place.line, place.column), problem, hint))

    def is_wrong(self, path: Path) -> bool:
        """Tell whether an error was noted at a part or within it: what follows from it is not worth telling."""
        return path in self._wrong

    def raise_any(self) -> None:
        """Raise the first error, in the order of the file, with all others in its ``also``; other files come after it.

        Raises:
            SceneError: There is one.
        """
        if self.noted:
            main = self.document.source.path
            first, *others = sorted(self.noted, key=lambda error: (error.path != main, error.line, error.column))
            raise replace(first, also=tuple(others))

    def mapping(self, node: Node, path: Path, owner: str, hint: str = "") -> dict[str, Node] | None:
        """Return the entries of one of our mappings, without ``x-*``; None where it is something else."""
        if node == "":
            return {}
        if not isinstance(node, dict):
            self.add(path, f"{owner} must be a mapping of 'key: value'", hint)
            return None
        return {key: value for key, value in node.items() if not key.startswith("x-")}

    def known(self, entries: dict[str, Node], options: tuple[str, ...], path: Path, owner: str) -> dict[str, Node]:
        """Return the entries whose keys are options; the others are noted."""
        for key in (key for key in entries if key not in options):
            if self.misread((*path, key), key=True):
                continue
            meant = key_meant(key, options)
            self.meant.add(meant)
            hint = did_you_mean(key, (meant,), f"did you mean '{meant}'?") if meant else ""
            known = ranked(key, options) if len(self.noted) < MOST_RANKED and not hint else options
            hint = hint or ELSEWHERE.get(key.lower()) or f"it knows: {listed(known)}"
            self.add((*path, key), f"{owner} has unknown key '{key}'", hint, key=True)
        return {key: entries[key] for key in entries if key in options}

    def misread(self, path: Path, *, key: bool = False) -> bool:
        """Note a line whose signs only look like YAML's; whether it is one."""
        place = self.document.place(path, key=key)
        source = self.document.source_of(path)
        if (line := (source.path, place.line)) not in self._misread:  # it may hold any number of keys
            self._misread[line] = misread(source, place.line)
        found = self._misread[line]
        if found is None:
            return False
        self.noted.append(found)
        self._wrong.update(path[:length] for length in range(len(path) + 1))
        self.meant.update(("players", "lines"))  # they may be missing because of this
        return True

    def load(
        self,
        model: type[ModelT],
        node: Node,
        path: Path,
        owner: str,
        hint: str = "",
        *,
        parts: Mapping[str, Loader] = NO_PARTS,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> ModelT | None:
        """Load a mapping of the document as a model; None where it is something else, which is noted.

        Args:
            model: What to make.
            node: As the document has it.
            path: Where it stands.
            owner: What an error calls it.
            hint: How it is written.
            parts: How values are loaded that are more than a field, by key.
            elsewhere: Where values stand that are not under ``path``.
        """
        entries = self.mapping(node, path, owner, hint)
        if entries is None:
            return None
        known = self.known(entries, model.options(), path, owner)
        values = {key: parts[key](value, (*path, key), self) if key in parts else value for key, value in known.items()}
        return self.build(model, values, path, owner, elsewhere)

    def build(
        self,
        model: type[ModelT],
        values: Mapping[str, object],
        path: Path,
        owner: str,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> ModelT:
        """Build a model from values of the document, without the wrong ones, which are noted.

        Args:
            model: What to make.
            values: As the document has them.
            path: Where they stand.
            owner: What an error calls them.
            elsewhere: Where values stand that are not under ``path``.
        """
        try:
            return model.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                self._invalid(detail, path, owner, elsewhere or {})
            wrong = {detail["loc"][0] for detail in details}
            return model.model_validate({key: value for key, value in values.items() if key not in wrong})

    def text(self, node: Node, path: Path, what: str) -> str | None:
        """Return a text; None where there is a list or a mapping instead, which is noted."""
        if isinstance(node, str):
            return node
        head, rest = self.document.around(path)
        flow = rest[:1] in ("[", "{")
        fact = "a list" if isinstance(node, list) else "a mapping"
        hint = "put the text in quotes" if flow else "write the text right after the colon"
        if flow and not self._in_brackets(path[:-1]):
            hint = quote_hint(head + rest, len(head) + 1)
        self.add(path, f"{what} must be text, and YAML takes this for {fact}", hint)
        return None

    def _in_brackets(self, path: Path) -> bool:
        """Tell whether a part stands in brackets, so that a value in it may end before its line does."""
        _, rest = self.document.around(path)
        return rest[:1] in ("[", "{") or (bool(path) and self._in_brackets(path[:-1]))

    def _invalid(self, detail: ErrorDetails, path: Path, owner: str, elsewhere: Mapping[str, Path]) -> None:
        context = detail.get("ctx", {})
        field = detail["loc"][0]
        where = elsewhere.get(str(field), (*path, field))
        if detail["type"] == "scene":
            place = (*where, context["inside"]) if context["inside"] else where
            self.add(place, context["problem"], context["hint"], key=context["key"])
            if context["secret"]:
                self.noted[-1] = replace(self.noted[-1], source="")
        elif detail["type"] != "string_type" or field in ("voice", "model", "endpoint"):
            self.add(where, f"'{where[-1]}' of {owner} is one value, not a list or a mapping", "write the value alone")
        else:
            self.text(detail["input"], where, f"'{where[-1]}' of {owner}")
