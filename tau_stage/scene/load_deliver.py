"""``deliver:``, from the document to the model."""

from typing import Any

from tau_stage.scene.deliver import Deliver, LineFiles, Mix
from tau_stage.scene.findings import Findings
from tau_stage.scene.part import Part
from tau_stage.scene.text import Node, Path

_HINTS: dict[type[Part], str] = {
    Mix: "write it like mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav}, or mix: none",
    LineFiles: 'write it like lines: {trim: true, names: "{player}_{line}"}, or lines: none',
}


def load_deliver(node: Node, found: Findings) -> Deliver:
    """What is made of the take."""
    path: Path = ("deliver",)
    entries = found.mapping(node, path, "deliver", "write it like deliver: {mix: {loudness: -16 LUFS}}") or {}
    values: dict[str, Any] = dict(found.known(entries, Deliver.options(), path, "deliver"))
    for key, model in (("mix", Mix), ("lines", LineFiles)):
        if key in values:
            values[key] = _part(values[key], model, (*path, key), found)
    return found.build(Deliver, values, path, "deliver")


def _part(node: Node, model: type[Part], path: Path, found: Findings) -> Part | None:
    if node == "none":
        return None
    owner = f"'{path[-1]}' of deliver"
    entries = found.mapping(node, path, owner, _HINTS[model]) or {}
    return found.build(model, dict(found.known(entries, model.options(), path, owner)), path, owner)
