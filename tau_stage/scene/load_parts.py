"""Players, tools and cues, from the document to the model."""

import re
from typing import Any

from pydantic_core import from_json

from tau_stage.scene.conditions import EVENTS
from tau_stage.scene.findings import Findings
from tau_stage.scene.load_conditions import load_event
from tau_stage.scene.load_steps import Steps
from tau_stage.scene.model import Cue, Player, ToolDefinition
from tau_stage.scene.text import Node, Path
from tau_stage.scene.words import did_you_mean

KINDS = ("string", "number", "integer", "boolean", "array", "object")
SETUP_ROLES = ("system", "user", "assistant")

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,16})?([eE][+-]?\d{1,2})?", re.ASCII)
"""A number that every program can hold; a longer one stays the text it is."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def load_player(name: str, node: Node, found: Findings) -> Player:
    """Load one player."""
    path, owner = ("players", name), f"player '{name}'"
    entries = found.mapping(node, path, owner, f"write it like '{name}: {{voice: ash}}'")
    values: dict[str, Any] = dict(found.known(entries or {}, Player.options(), path, owner))
    if "setup" in values:
        values["setup"] = _setup(values["setup"], (*path, "setup"), found)
    return found.build(Player, values, path, owner)


def _setup(node: Node, path: Path, found: Findings) -> tuple[tuple[str, str], ...]:
    """Load what is in a player's conversation before the first line."""
    hint = "write it like '- system: You have never seen the sea.'"
    items: list[tuple[str, str]] = []
    if not isinstance(node, list):
        found.add(path, "setup is a list of items", hint)
        return ()
    for number, item in enumerate(node):
        here = (*path, number)
        entries = found.mapping(item, here, "an item") if isinstance(item, dict) else None
        if entries is None or len(entries) != 1:
            found.add(here, "an item of setup has one role and its words", hint)
            continue
        role, words = next(iter(entries.items()))
        if role not in SETUP_ROLES:
            problem = f"there is no role '{role}'"
            found.add(
                (*here, role), problem, did_you_mean(role, SETUP_ROLES, "write system, user or assistant"), key=True
            )
        elif (text := found.text(words, (*here, role), "an item")) is not None:
            if text.strip():
                items.append((role, text.strip()))
            else:
                found.add((*here, role), "an item of setup needs words", hint)
    return tuple(items)


def load_tool(name: str, node: Node, found: Findings) -> ToolDefinition:
    """Load what a model may call."""
    path, owner = ("tools", name), f"tool '{name}'"
    entries = found.mapping(node, path, owner, f"write it like '{name}: {{description: ..., returns: {{ok: true}}}}'")
    known = found.known(entries or {}, ToolDefinition.options(), path, owner)
    values: dict[str, Any] = {key: value for key, value in known.items() if key not in ("parameters", "returns")}
    if not _TOOL_NAME.fullmatch(name):
        found.add(
            path, f"'{name[:64]}' cannot be a tool's name", "write letters, digits, '_' and '-', at most 64", key=True
        )
    results = [key for key in ("returns", "run", "command") if key in known]
    if len(results) > 1:
        found.add((*path, results[1]), f"{owner} has both '{results[0]}' and '{results[1]}'", "keep one", key=True)
    if "returns" in known:
        values |= {"returns": typed(known["returns"], (*path, "returns"), found), "has_result": True}
    if "parameters" in known:
        values["parameters"] = _parameters(known["parameters"], (*path, "parameters"), found)
    if "command" in values:
        values["command"] = _command(values["command"], (*path, "command"), found)
    if "env" in values and not ("run" in known or "command" in known):
        found.add((*path, "env"), f"{owner} runs nothing that could see 'env'", "remove it", key=True)
    if isinstance(values.get("run"), str) and not re.fullmatch(r"[\w.]+:\w+", values["run"].strip()):
        found.add((*path, "run"), f"'{values['run']}' is no function", "write it like package.module:function")
    if path in found.document.sources and ("run" in known or "command" in known):
        problem = "a tool that runs code stands in the scene itself, not in a file it includes"
        found.add(path, problem, "move it there", key=True)
    values |= {"path": path, "source_line": found.document.place(path, key=True).line}
    return found.build(ToolDefinition, values, path, owner)


def _command(node: Node, path: Path, found: Findings) -> tuple[str, ...]:
    if isinstance(node, list) and node and all(isinstance(word, str) and word for word in node):
        return tuple(str(word) for word in node)
    found.add(path, "a command is a list of words, and no shell reads them", "write it like [./lights, on]")
    return ()


def _parameters(node: Node, path: Path, found: Findings) -> dict[str, Any] | None:
    """Load a JSON schema; a short form names each argument and its type."""
    hint = "write it like {city: string, days: integer}, or a whole JSON schema"
    entries = found.mapping(node, path, "parameters", hint)
    if entries is None:
        return None
    if entries.get("type") == "object":
        schema = typed(entries, path, found)
        assert isinstance(schema, dict)  # noqa: S101 - a mapping stays one
        return schema
    properties: dict[str, Any] = {}
    for name, kind in entries.items():
        schema = typed(kind, (*path, name), found) if isinstance(kind, dict) else {"type": kind}
        what = schema.get("type")
        if what not in KINDS:
            problem = f"'{what}' is no type of an argument" if isinstance(what, str) else f"'{name}' needs a type"
            found.add((*path, name), problem, did_you_mean(str(what), KINDS, hint))
        properties[name] = schema
    return {"type": "object", "properties": properties, "required": list(properties)}


def typed(node: Node, path: Path, found: Findings) -> Any:
    """Type data for a program: what reads as a number, ``true``, ``false`` or ``null`` is one, unless it is quoted."""
    if isinstance(node, dict):
        return {key: typed(value, (*path, key), found) for key, value in node.items()}
    if isinstance(node, list):
        return [typed(value, (*path, number), found) for number, value in enumerate(node)]
    plain = path not in found.document.quoted
    if plain and (node in ("true", "false", "null") or _NUMBER.fullmatch(node)):
        return from_json(node)
    return node


def load_cues(node: Node, steps: Steps, found: Findings) -> tuple[Cue, ...]:
    """Load the cues of a scene."""
    hint = "write each as '- call: {player: name, tool: name}' with a 'do:' under it"
    if node == "":
        return ()
    if not isinstance(node, list):
        found.add(("on",), "'on' is a list of cues", hint)
        return ()
    cues = (_cue(item, ("on", number), steps, found) for number, item in enumerate(node))
    return tuple(cue for cue in cues if cue)


def _cue(node: Node, path: Path, steps: Steps, found: Findings) -> Cue | None:
    hint = "write it like '- said: umbrella' with a 'do:' under it"
    entries = found.mapping(node, path, "a cue", hint)
    if entries is None:
        return None
    known = found.known(entries, Cue.options(), path, "the cue")
    words = [word for word in EVENTS if word in known]
    if len(words) != 1:
        hint = f"give it one of {', '.join(EVENTS)}"
        if words:
            found.add((*path, words[1]), "a cue waits for one thing", hint, key=True)
        elif not found.is_wrong(path):
            found.add(path, "what does this cue wait for?", hint)
        return None
    event = load_event(words[0], known[words[0]], (*path, words[0]), found)
    do = known.get("do", "")
    if not do:
        found.add(path, "this cue does nothing", "write its steps under 'do:', each as '- player: words'")
        return None
    performed = steps.load(do, (*path, "do"), "'do'")
    if event is None:
        return None
    values = {key: value for key, value in known.items() if key not in (*EVENTS, "do")}
    line = found.document.place((*path, words[0]), key=True).line
    return found.build(
        Cue, {**values, "event": event, "do": performed, "path": path, "source_line": line}, path, "the cue"
    )
