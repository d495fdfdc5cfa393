"""``deliver:``, from the document to the model."""

from collections.abc import Mapping
from typing import Any

from tau_stage.scene.deliver import Deliver, LineFiles, Mix
from tau_stage.scene.findings import Findings
from tau_stage.scene.part import Part
from tau_stage.scene.text import Node, Path

_HINTS: dict[type[Part], str] = {
    Mix: "write it like mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav}, or mix: none",
    LineFiles: 'write it like lines: {trim: true, names: "{player}_{line}"}, or lines: none',
}
_BELOW = {
    key: f"write it below '{name}'" for name, model in (("mix", Mix), ("lines", LineFiles)) for key in model.options()
}
"""Options of deliver's parts, and where they stand."""


def load_deliver(node: Node, found: Findings) -> Deliver:
    """Load what is made of the take."""
    path: Path = ("deliver",)
    entries = found.mapping(node, path, "deliver", "write it like deliver: {mix: {loudness: -16 LUFS}}") or {}
    known = _in_place(entries, Deliver, _BELOW, path, "deliver", found)
    values: dict[str, Any] = dict(found.known(known, Deliver.options(), path, "deliver"))
    for key, model in (("mix", Mix), ("lines", LineFiles)):
        if key in values:
            values[key] = _part(values[key], model, (*path, key), found)
    return found.build(Deliver, values, path, "deliver")


def _part(node: Node, model: type[Part], path: Path, found: Findings) -> Part | None:
    if node == "none":
        return None
    owner = f"'{path[-1]}' of deliver"
    entries = found.mapping(node, path, owner, _HINTS[model]) or {}
    beside = dict.fromkeys(Deliver.options(), f"write it beside '{path[-1]}', below deliver")
    known = _in_place(entries, model, beside, path, owner, found)
    return found.build(model, dict(found.known(known, model.options(), path, owner)), path, owner)


def _in_place(
    entries: dict[str, Node], model: type[Part], elsewhere: Mapping[str, str], path: Path, owner: str, found: Findings
) -> dict[str, Node]:
    """Leave out the entries that stand a level too high or too low, and note where they belong."""
    wrong = [key for key in entries if key in elsewhere and key not in model.options()]
    for key in wrong:
        found.add((*path, key), f"{owner} has no '{key}'", elsewhere[key], key=True)
    return {key: entries[key] for key in entries if key not in wrong}
