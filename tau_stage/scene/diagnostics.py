"""What is wrong with a scene, collected while it is read, so that one look shows an author everything.

What is wrong is left out and reading goes on, so that checks further on see the rest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tau_stage.errors import SceneError
from tau_stage.scene.fields import LocatedModel, SceneModel, entries_of
from tau_stage.scene.names import BESIDE, ELSEWHERE, did_you_mean, key_meant, listed, ranked
from tau_stage.scene.source import SCENE_FILE, Position, SceneWarning
from tau_stage.scene.yaml_text import Document, Node, Path, Span
from tau_stage.scene.yaml_traps import comma_hint, misread, quote_hint

MOST_RANKED = 100
"""Errors of a scene whose hints have the likeliest words first: comparing them takes a while, and nobody reads more."""

ModelT = TypeVar("ModelT", bound=SceneModel)


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
        self._note(path, self.document.error(path, problem, hint, key=key))

    def _note(self, path: Path, error: SceneError) -> None:
        self.noted.append(error)
        self._wrong.update(path[:length] for length in range(len(path) + 1))

    def take_over(self, path: Path, error: SceneError, what: str = SCENE_FILE) -> None:
        """Note an error of another file, which a value names, at its place there; one without a place at the value."""
        if error.source:
            self.noted += [error, *error.also]
        else:
            self.add(path, error.problem.replace(SCENE_FILE, what), error.hint or BESIDE)

    def remark(self, path: Path, problem: str, hint: str) -> None:
        """Note a value that may not be what its author meant."""
        self.warnings.append(SceneWarning(self.document.location(path), problem, hint))

    def is_wrong(self, path: Path) -> bool:
        """Tell whether an error was noted at a part or within it: what follows from it is not worth telling."""
        return path in self._wrong

    def raise_any(self) -> None:
        """Raise the first error in the file, with all others in its ``also``; those of other files come last."""
        if self.noted:
            main = self.document.source.path
            first, *others = sorted(self.noted, key=lambda error: (error.path != main, error.line, error.column))
            raise replace(first, also=tuple(others))

    def mapping(self, node: Node, path: Path, owner: str, hint: str = "") -> dict[str, Node] | None:
        """Return the entries of one of our mappings, without ``x-*``; None where it is something else."""
        try:
            return entries_of(node, owner, hint)
        except PydanticCustomError as error:
            self.add(path, error.message(), hint)
            return None

    def entries(self, node: Node, path: Path, owner: str, hint: str = "") -> dict[str, Node]:
        """Return the entries of a mapping, as ``mapping`` does; none where it is something else."""
        return self.mapping(node, path, owner, hint) or {}

    def known(
        self, entries: dict[str, Node], model: type[SceneModel], path: Path, owner: str = "", without: str = ""
    ) -> dict[str, Node]:
        """Return the entries whose keys are options of a model; the others are noted.

        Errors call their mapping ``owner``, else what the model's form says; the option ``without`` is none here.
        """
        options = tuple(option for option in model.options() if option != without)
        for key in (key for key in entries if key not in options):
            if self.misread((*path, key), key=True):
                continue
            hint = model.FORM.strays.get(key) or self._option_meant((*path, key), key, options)
            self.add((*path, key), f"{_owner(model, path, owner)} has unknown key '{key}'", hint, key=True)
        return {key: entries[key] for key in entries if key in options}

    def _comma_hint(self, path: Path) -> str:
        """Return a hint for a key that is the rest of a text in braces, which YAML ends at a comma; else nothing."""
        keys, values = self.document.keys, self.document.values
        if not self._is_bare(path):
            return ""
        beside = [other for other in keys if len(other) == len(path) and other[:-1] == path[:-1]]
        at = beside.index(path)
        text = next((other for other in reversed(beside[:at]) if not self._is_bare(other)), path)
        end = keys[path].end
        for other in takewhile(self._is_bare, beside[at:]):
            end = keys[other].end if keys[other].end.line == end.line else end
        return self._hint_to_quote(path, values[text], end)

    def list_comma_hint(self, path: Path) -> str:
        """Return a hint for an item that is the rest of a text in brackets, which a comma ends; else nothing."""
        values, above = self.document.values, path[:-1]
        if above not in values or values[above].style != "flow" or len(self.noted) >= MOST_RANKED:
            return ""
        item = (*above, int(path[-1]) - 1)
        start = next((values[other] for other in reversed(self.document.keys) if other[:-1] == item), None)
        return self._hint_to_quote(path, start, values[path].end) if start else ""

    def _hint_to_quote(self, path: Path, text: Span, end: Position) -> str:
        """Return a hint to quote a bare text of one line, and what follows it up to ``end``; else nothing."""
        if text.style or text.start == text.end or text.start.line != end.line:
            return ""
        return comma_hint(self.document.source_of(path).line(end.line), text.start.column, end.column)

    def _is_bare(self, path: Path) -> bool:
        """Tell whether a key has no colon after it."""
        return path in self.document.keys and self.document.values[path].start == self.document.keys[path].end

    def _option_meant(self, path: Path, key: str, options: Sequence[str]) -> str:
        """Return a hint for a key that is none of the options."""
        if meant := key_meant(key, options):
            self.meant.add(meant)
            return did_you_mean(key, (meant,), f"did you mean '{meant}'?")
        if len(self.noted) < MOST_RANKED and (hint := self._comma_hint(path)):
            return hint
        known = ranked(key, options) if len(self.noted) < MOST_RANKED else options
        return ELSEWHERE.get(key.lower()) or f"known keys: {listed(known)}"

    def misread(self, path: Path, *, key: bool = False) -> bool:
        """Note a line whose signs only look like YAML's; whether it is one."""
        place = self.document.place(path, key=key)
        source = self.document.source_of(path)
        if (line := (source.path, place.line)) not in self._misread:  # it may hold any number of keys
            self._misread[line] = misread(source, place.line)
        if found := self._misread[line]:
            self._note(path, found)
            self.meant.update(("players", "lines"))  # they may be missing because of this
        return found is not None

    def load(self, model: type[ModelT], node: Node, path: Path) -> ModelT | None:
        """Load a mapping of the document, or its short form, as a model; None where it is none, or wrong."""
        form = model.FORM
        if node == form.without:
            return None
        if node == form.anything:
            return self.build(model, {}, path)
        if form.short and node and isinstance(node, form.kinds):
            node = {form.short: node}
        entries = self.mapping(node, path, _owner(model, path), form.hint.replace("<name>", str(path[-1])))
        if form.empty and entries == {}:
            self.add(path, form.empty, form.hint)
        elif entries is not None:
            return self.build(model, self.options(model, entries, path), path)
        return None

    def options(
        self, model: type[SceneModel], entries: dict[str, Node], path: Path, owner: str = "", without: str = ""
    ) -> dict[str, object]:
        """Return the entries that are options of a model, as ``known`` does, with the mappings among them loaded."""
        parts, known = model.parts(), self.known(entries, model, path, owner, without)
        return {
            key: self._part(parts[key], node, (*path, key)) if key in parts else node for key, node in known.items()
        }

    def _part(self, model: type[SceneModel], node: Node, path: Path) -> object:
        form = model.FORM
        if form.texts and isinstance(node, str):
            return node
        if not form.several:
            return self.load(model, node, path)
        if node == form.without:
            return ()
        items = [node] if form.short and node and isinstance(node, str) else node
        if not isinstance(items, list) or not items:
            self.add(path, form.several, form.hint)
            return ()
        return tuple(filter(None, (self.load(model, item, (*path, number)) for number, item in enumerate(items))))

    def build(
        self, model: type[ModelT], values: Mapping[str, object], path: Path, owner: str = "", at: Path = ()
    ) -> ModelT | None:
        """Build a model from values of the document without the wrong ones; None if it is wrong as a whole.

        Errors call it ``owner``, else what the model's form says; ``at`` is the key by which the part is known.
        """
        if issubclass(model, LocatedModel):
            line = self.document.place(at or path, key=True).line
            values = {**values, "path": path, "source_line": line}
        try:
            return model.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
        wrong: set[int | str] = set()
        for detail in details:
            wrong.update(detail["loc"][:1])
            if detail["loc"] or not self.is_wrong(path):
                self._invalid(detail, path, _owner(model, path, owner), model.FORM.short)
        try:
            return model.model_validate({key: value for key, value in values.items() if key not in wrong})
        except ValidationError:
            return None

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
        self.add(path, f"{what} must be text, but YAML reads this as {fact}", hint)
        return None

    def _in_brackets(self, path: Path) -> bool:
        """Tell whether a part stands in brackets, so that a value in it may end before its line does."""
        _, rest = self.document.around(path)
        return rest[:1] in ("[", "{") or (bool(path) and self._in_brackets(path[:-1]))

    def _invalid(self, detail: ErrorDetails, path: Path, owner: str, short: str) -> None:
        context, given = detail.get("ctx", {}), detail["input"]
        where = (*path, *detail["loc"][:1])
        if detail["type"] == "scene":
            for error in (context, *context["also"]):
                self.add((*where, *error["inside"]), error["problem"], error["hint"], key=error["key"])
            if context["secret"]:
                self.noted[-1] = replace(self.noted[-1], source="")
        elif detail["type"] == "literal_error" and isinstance(given, str):
            known = context["expected"]
            words = re.split(", | or ", known.replace("'", ""))
            what = owner if where[-1] == short else f"'{where[-1]}'"
            self.add(where, f"{what} must be {known}, not '{given}'", did_you_mean(given, words, f"write '{words[0]}'"))
        elif detail["type"] != "string_type" or where[-1] in ("voice", "model", "endpoint"):
            self.add(
                where,
                f"'{where[-1]}' of {owner} must be a single value, not a list or a mapping",
                "write only the value",
            )
        else:
            self.text(given, where, f"'{where[-1]}' of {owner}")


def _owner(model: type[SceneModel], path: Path, owner: str = "") -> str:
    return owner or model.FORM.owner.replace("<name>", "".join(map(str, path[-1:])))
