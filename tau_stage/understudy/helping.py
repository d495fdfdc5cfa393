"""Tools: which one the words ask for, and with what arguments. Always the same for the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Tool = dict[str, Any]

ASIDES = {"get", "the", "a"}
"""Words of a tool's name that nobody needs to say."""

LOOKING = {"get", "look", "lookup", "find", "fetch", "show", "check", "read", "track", "query", "search", "retrieve"}
"""What the names of tools begin with that only look something up: what is looked up need not be said in full."""

IDENTIFIERS = {"number", "id", "code"}

GENERIC = frozenset(
    re.findall(
        r"\w+",
        """a an the thi it its of for to in by with from and or if when whenever as is are be was has have that
        listener user caller customer player someone somebody person people want need wish ask say tell call use
        look get find tool function""",
    )
)
"""Words of a description, as ``_stem`` leaves them, that tell nothing of what the tool is for."""

WEAK = {
    "on",
    "off",
    "up",
    "down",
    "out",
    "about",
    "at",
    "not",
    "you",
    "your",
    "i",
    "me",
    "my",
    "we",
    "they",
    "do",
    "can",
}
"""Words that count, but never alone."""

NUMBERED = re.compile(r"\b(?=[\w-]*\d)\w[\w-]*\b")
"""A token with a digit: 4711, A-12."""


def calls(tools: Sequence[Tool], choice: Any, words: str) -> list[tuple[str, str]]:
    """The tools that a user's words ask for, each with its arguments as JSON.

    Args:
        tools: As the session is told of them.
        choice: ``auto``, ``none``, ``required``, or one tool.
        words: What was said to the player since its last answer, by sound or in writing.

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
    asked = [tool for tool in known if _asks_for(tool, words)]
    is_number_taken = any(_needs_number(tool) for tool in asked)
    ranked = [tool for tool in known if tool in asked or (not is_number_taken and _looks_up(tool, words))]
    if not ranked and choice == "required":
        ranked = known[:1]
    return [_call(tool, words) for tool in ranked]


def _asks_for(tool: Tool, words: str) -> bool:
    """Its name was said, or enough of its description."""
    said = _stems(words)
    name = _stems(_spelt(tool["name"])) - ASIDES
    about = _stems(tool.get("description") or "") - GENERIC
    told = about & said
    is_described = len(told) >= 2 and len(told) * 2 >= len(about) and bool(told - WEAK)
    return (bool(name) and name <= said) or is_described


def _looks_up(tool: Tool, words: str) -> bool:
    """A tool that looks something up by number: half of what it looks up was said, and a number."""
    first, *_ = _spelt(tool["name"]).lower().split() or [""]
    subject = _stems(_spelt(tool["name"])) - LOOKING
    is_told = len(subject & _stems(words)) * 2 >= len(subject) > 0
    return first in LOOKING and is_told and _needs_number(tool) and bool(NUMBERED.search(words))


def _needs_number(tool: Tool) -> bool:
    return any(
        schema.get("type") in {"integer", "number"} or _identifies(name, schema) for name, schema in _wanted(tool)
    )


def _wanted(tool: Tool) -> list[tuple[str, Any]]:
    """The arguments that a call needs, by name, each with its schema."""
    schema = tool.get("parameters") or {}
    names = schema.get("properties") or {}
    return [(name, names[name]) for name in names if name in schema.get("required", names)]


def _identifies(name: str, schema: Any) -> bool:
    """Whether an argument is a text that stands for a thing: an order's number, an id, a code."""
    is_text = schema.get("type", "string") == "string" and not schema.get("enum")
    return is_text and bool(_stems(_spelt(name)) & IDENTIFIERS)


def _spelt(name: str) -> str:
    """A name of code in words.

    >>> _spelt("get_order_status"), _spelt("orderNumber")
    ('get order status', 'order Number')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_|-", " ", name)


def _stems(words: str) -> set[str]:
    found = re.findall(r"[^\W\d_]+", re.sub(r"\bthanks\b", "thank you", words.lower()))
    return {_stem(word) for word in found}


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _call(tool: Tool, words: str) -> tuple[str, str]:
    tokens = iter(NUMBERED.findall(words))
    numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", words))
    quoted = iter(re.findall(r"[\"“']([^\"”']+)[\"”']", words))
    after = iter(re.findall(r"\b(?:in|for|of|to|at|called|named)\s+([A-Z]\w*)", words))
    found = {
        name: (_identifies(name, schema) and next(tokens, None)) or _value(schema, words, numbers, quoted, after)
        for name, schema in _wanted(tool)
    }
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
