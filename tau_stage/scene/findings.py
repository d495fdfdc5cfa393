"""What is wrong with a scene, collected while it is read, so that one look shows an author everything.

What is wrong is left out and reading goes on, so that checks further on see the rest.
"""

from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tau_stage.errors import SceneError
from tau_stage.scene.text import Document, Node, Path
from tau_stage.scene.traps import corrected
from tau_stage.scene.words import did_you_mean, listed

ModelT = TypeVar("ModelT", bound=BaseModel)


class Findings:
    """The errors of one document, each at its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[SceneError] = []

    def add(self, path: Path, problem: str, hint: str = "", *, key: bool = False) -> None:
        """Note an error at a value, or at its key."""
        self.errors.append(self.document.source.error(self.document.place(path, key=key), problem, hint))

    def raise_any(self) -> None:
        """Raise the first error, in the order of the file, with all others in its ``also``.

        Raises:
            SceneError: There is one.
        """
        if self.errors:
            first, *others = sorted(self.errors, key=lambda error: (error.line, error.column))
            raise replace(first, also=tuple(others))

    def mapping(self, node: Node, path: Path, owner: str, hint: str = "") -> dict[str, Node] | None:
        """The entries of one of our mappings, without ``x-*``; None where it is something else."""
        if node == "":
            return {}
        if not isinstance(node, dict):
            self.add(path, f"{owner} must be a mapping of 'key: value'", hint)
            return None
        return {key: value for key, value in node.items() if not key.startswith("x-")}

    def known(self, entries: dict[str, Node], options: tuple[str, ...], path: Path, owner: str) -> dict[str, Node]:
        """The entries whose keys are options; the others are noted."""
        for key in entries.keys() - set(options):
            hint = did_you_mean(key, options, f"it knows: {listed(options)}")
            self.add((*path, key), f"{owner} has unknown key '{key}'", hint, key=True)
        return {key: entries[key] for key in entries if key in options}

    def build(self, model: type[ModelT], values: dict[str, object], path: Path, owner: str) -> ModelT:
        """A model from values of the document, without the wrong ones, which are noted."""
        try:
            return model.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                self._invalid(detail, path, owner)
            wrong = {detail["loc"][0] for detail in details}
            return model.model_validate({key: value for key, value in values.items() if key not in wrong})

    def text(self, node: Node, path: Path, what: str) -> str | None:
        """A text; None where there is a list or a mapping instead, which is noted."""
        if isinstance(node, str):
            return node
        place = self.document.place(path)
        line = self.document.source.line(place.line)
        flow = line[place.column - 1 : place.column] in ("[", "{")
        fact = "a list" if isinstance(node, list) else "a mapping"
        hint = corrected(line, place.column) if flow else "write the text right after the colon"
        self.add(path, f"{what} must be text, and YAML takes this for {fact}", hint)
        return None

    def _invalid(self, detail: ErrorDetails, path: Path, owner: str) -> None:
        told = detail.get("ctx", {})
        where = (*path, *(part for part in detail["loc"][:1]))
        if detail["type"] == "scene":
            self.add(where, told["problem"], told["hint"])
            if told["secret"]:
                self.errors[-1] = replace(self.errors[-1], source="")
        elif detail["type"] != "string_type":
            self.add(where, f"'{where[-1]}' of {owner} is one value, not a list or a mapping", "write the value alone")
        else:
            self.text(detail["input"], where, f"'{where[-1]}' of {owner}")
