"""Tools: which one the words ask for, and with what arguments. Always the same for the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Tool = dict[str, Any]


def calls(tools: Sequence[Tool], choice: Any, words: str) -> list[tuple[str, str]]:
    """The tools that a user's words ask for, each with its arguments as JSON.

    Args:
        tools: As the session is told of them.
        choice: ``auto``, ``none``, ``required``, or one tool.
        words: What the user said last.

    >>> light = {"type": "function", "name": "lights_on", "description": "The listener wants the lights on."}
    >>> calls([light], "auto", "Please turn the lights on.")
    [('lights_on', '{}')]
    >>> calls([light], "auto", "Who are you?")
    []
    """
    known = [tool for tool in tools if tool.get("type") == "function"]
    if choice == "none" or not known:
        return []
    if isinstance(choice, dict):
        known = [tool for tool in known if tool["name"] == choice.get("name")]
        return [_call(tool, words) for tool in known[:1]]
    ranked = [tool for tool in known if _asks_for(tool, words)]
    if not ranked and choice == "required":
        ranked = known[:1]
    return [_call(tool, words) for tool in ranked]


def _asks_for(tool: Tool, words: str) -> bool:
    """All words of the tool's name were said, or most of those of its description."""
    said = {_stem(word) for word in re.findall(r"\w+", words.lower())}
    name = {_stem(word) for word in re.findall(r"[a-z]+", tool["name"].lower())} - {"get", "the", "a"}
    return bool(name) and name <= said


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _call(tool: Tool, words: str) -> tuple[str, str]:
    schema = tool.get("parameters") or {}
    names = schema.get("properties") or {}
    wanted = [name for name in names if name in schema.get("required", names)]
    numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", words))
    quoted = iter(re.findall(r"[\"“']([^\"”']+)[\"”']", words))
    after = iter(re.findall(r"\b(?:in|for|of|to|at|called|named)\s+([A-Z]\w*)", words))
    found = {name: _value(names[name], words, numbers, quoted, after) for name in wanted}
    return tool["name"], json.dumps(found, ensure_ascii=False)


def _value(schema: Any, words: str, numbers: Any, quoted: Any, after: Any) -> Any:
    if schema.get("enum"):
        return next((one for one in schema["enum"] if str(one).lower() in words.lower()), schema["enum"][0])
    match schema.get("type"):
        case "integer":
            return int(float(next(numbers, "1")))
        case "number":
            return float(next(numbers, "1"))
        case "boolean":
            return not re.search(r"\b(no|not|off|never|stop)\b", words.lower())
        case "array":
            return []
        case "object":
            return {}
        case _:
            return next(quoted, None) or next(after, None) or words.strip()
