"""``expect:``, from the document to the model."""

from collections.abc import Callable
from typing import Any

from tau_stage.scene.expect import CallWanted, Expect, Says, Tolerances
from tau_stage.scene.findings import Findings
from tau_stage.scene.part import Part
from tau_stage.scene.text import Node, Path

_HINT = "write it like expect: {says: umbrella, length: 1s..4s}"
_CALLS = "write it like calls: [lights_on, {tool: lights_on, arguments: {room: kitchen}}], or calls: none"


def load_expect(node: Node, path: Path, found: Findings) -> Expect | None:
    """Load what is expected of a line or the scene; None where it is wrong, which is noted."""
    entries = found.mapping(node, path, "'expect'", _HINT)
    if entries is None:
        return None
    if not entries:
        found.add(path, "'expect' expects nothing", _HINT)
        return None
    values: dict[str, Any] = dict(found.known(entries, Expect.options(), path, "'expect'"))
    loaders: dict[str, Callable[[Node, Path, Findings], object]] = {
        "says": _says,
        "calls": _calls,
        "tolerances": _tolerances,
    }
    for key, load in loaders.items():
        if key in values:
            values[key] = load(values[key], (*path, key), found)
    return found.build(Expect, values, path, "'expect'")


def _says(node: Node, path: Path, found: Findings) -> Part:
    entries: Node = node if isinstance(node, dict) and node else {"contains": node}
    return _part(Says, entries, path, found)


def _tolerances(node: Node, path: Path, found: Findings) -> Part:
    return _part(Tolerances, node, path, found)


def _part(model: type[Part], node: Node, path: Path, found: Findings) -> Part:
    owner = f"'{path[-1]}' of expect"
    entries = found.mapping(node, path, owner, f"write it like {path[-1]}: {{length: 300ms 15%}}") or {}
    values = dict(found.known(entries, model.options(), path, owner))
    at = {} if (*path, "contains") in found.document.keys else {"contains": path}
    return found.build(model, values, path, owner, at)


def _calls(node: Node, path: Path, found: Findings) -> tuple[CallWanted, ...] | None:
    """Load ``none``, a tool's name, or a list of names and of ``{tool, arguments}``."""
    if node == "none":
        return ()
    if not node or isinstance(node, dict):
        found.add(path, "'calls' names tools", _CALLS)
        return None
    several = isinstance(node, list)
    items = node if isinstance(node, list) else [node]
    calls = (_call(item, (*path, number) if several else path, found) for number, item in enumerate(items))
    return tuple(call for call in calls if call)


def _call(node: Node, path: Path, found: Findings) -> CallWanted | None:
    entries: Node = {"tool": node} if isinstance(node, str) and node else node
    known = found.mapping(entries, path, "a call", _CALLS)
    values: dict[str, Any] = dict(found.known(known or {}, CallWanted.options(), path, "a call"))
    if known is not None and not values.get("tool"):
        found.add(path, "which tool is called?", _CALLS)
        return None
    arguments = found.mapping(values.get("arguments", ""), (*path, "arguments"), "arguments", _CALLS)
    return found.build(CallWanted, {**values, "arguments": arguments or {}}, path, "a call") if known else None
