"""Tools: which one the words ask for, and with what arguments. Always the same for the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tau_stage.understudy.call_arguments import (
    NUMBERED,
    allowed_types,
    identifier_words,
    is_identifier,
    make_arguments,
    wanted_properties,
    word_stems,
)

Tool = dict[str, Any]

LOOKING = {"get", "look", "lookup", "find", "fetch", "show", "check", "read", "track", "query", "search", "retrieve"}
"""What the names of tools begin with that only look something up: what is looked up need not be said in full."""

LOOKED = {"status", "info", "information", "detail", "data", "forecast", "report", "tracking", "tracker"}
"""What the names of such tools end with."""

ASIDES = {"get", "the", "a", "an", "my", "is", "where", "what", "current", "currently", "latest", "by", "for", "of"}
"""Words of a tool's name that nobody needs to say."""

GENERIC = frozenset(
    re.findall(
        r"\w+",
        """a an the thi it its of for to in by with from and or if when whenever as is are be was has have that
        listener user caller customer player someone somebody person people want need wish ask say tell call use
        look get find tool function""",
    )
)
"""Words of a description, as ``word_stems`` leaves them, that tell nothing of what the tool is for."""

WEAK = set(
    re.findall(
        r"\w+",
        """on off up down out about at not you your i me my we they do can is are was in of the a an to for please
        and or it""",
    )
)
"""Words that count, but never alone."""

MEANT = {
    "weather": {"forecast", "temperature", "rain", "raining", "snow", "snowing", "sunny", "cloudy", "windy", "degree"},
    "order": {"package", "parcel", "delivery", "shipment"},
}
"""Words that ask for a thing without its name."""

SENTENCE = re.compile(r"[^.!?…;\n]+[.!?…;\n]*(?:\s|$)?")
REQUEST = re.compile(
    r"\?|^\W*(?:(?:and|so|but|ok|okay|well|hi|hello|hey|oh)\W+)*"
    r"(?:what|where|when|which|who|whom|whose|why|how|is|are|was|were|do|does|did|can|could|will|would|shall|should"
    r"|may|has|have|any)\b"
    r"|\b(?:please|tell me|show me|give me|let me know|look up|find out|check|i want|i need|we need|i'd like|wants?"
    r"|i would like|wondering|(?:can|could|would|will) you)\b",
    re.IGNORECASE,
)
STATEMENT = re.compile(
    r"\b(?:is|are|was|were|has|had|have|am|isn't|wasn't|will|would|said|says|made|went|came|got|kept"
    r"|love[sd]?|like[sd]?|hate[sd]?|enjoy\w*|remember\w*|think|thought|know|knew|hope[sd]?)\b"
    r"|\b(?:i|we|he|she|they|it)\s+(?:\w+ly\s+)?\w+ed\b|\b(?:it|that|he|she)'s\b|\b(?:i|we|they|you)'(?:ve|d|re|m)\b",
    re.IGNORECASE,
)
REFUSAL = re.compile(r"^\W*(?:please\W+)?(?:don't|do not|never|no need|stop talking)\b", re.IGNORECASE)


class ToolMatch(NamedTuple):
    """How much the words ask for a tool.

    Attributes:
        rank: 3 if its name was said, 2 if what it is for, 1 if what it looks up; 0 is not at all.
        told: Words that say so.
    """

    rank: int
    told: frozenset[str]


def choose_calls(tools: Sequence[Tool], choice: Any, words: str) -> list[tuple[str, str]]:
    """Choose the tools that a user's words ask for, each with its arguments as JSON.

    Two tools are called only if different words ask for them.

    Args:
        tools: As the session is told of them.
        choice: ``auto``, ``none``, ``required``, or one tool.
        words: What was said to the player since its last answer, by sound or in writing.

    >>> light = {"type": "function", "name": "lights_on", "description": "The listener wants the lights on."}
    >>> choose_calls([light], "auto", "Please turn the lights on.")
    [('lights_on', '{}')]
    >>> choose_calls([light], "auto", "Who are you?")
    []
    """
    known = [tool for tool in tools if tool.get("type") == "function"]
    if choice == "none" or not known:
        return []
    if isinstance(choice, dict):
        known = [tool for tool in known if tool["name"] == choice.get("name")]
        return [_call(tool, words) for tool in known[:1]]
    chosen = _chosen(known, words)
    if not chosen and choice == "required":
        chosen = known[:1]
    return [_call(tool, words) for tool in chosen]


def _chosen(known: Sequence[Tool], words: str) -> list[Tool]:
    """Choose the tools that are asked for, in the order given; the surest where the same words ask for several."""
    requests = " ".join(part for part in SENTENCE.findall(words) if _is_request(part))
    asked = [(tool, _match(tool, words, requests)) for tool in known]
    ranked = sorted(asked, key=lambda pair: (-pair[1].rank, -len(pair[1].told - WEAK)))
    taken: set[str] = set()
    chosen = []
    for tool, found in ranked:
        told = found.told - WEAK or found.told
        if found.rank and not told & taken:
            chosen.append(tool)
            taken |= found.told
    return [tool for tool in known if any(tool is one for one in chosen)]


def _is_request(sentence: str) -> bool:
    """Tell whether a sentence can ask for something: what only states something does not, unless it gives a number."""
    if REFUSAL.search(sentence):
        return False
    return bool(REQUEST.search(sentence) or NUMBERED.search(sentence) or not STATEMENT.search(sentence))


def _match(tool: Tool, words: str, requests: str) -> ToolMatch:
    """Tell how its name, its description or its subject was said."""
    named = identifier_words(tool["name"]).lower().split()
    looks_up = bool(named) and (named[0] in LOOKING or named[-1] in LOOKED | LOOKING)
    said = word_stems(requests)
    name = word_stems(" ".join(named)) - ASIDES
    if name and name <= said:
        return ToolMatch(3, frozenset(name))
    about = word_stems(tool.get("description") or "") - GENERIC
    described = about & (said if looks_up else word_stems(words))
    subject = name - LOOKING - LOOKED
    meant = {word for thing in subject for word in {thing, *MEANT.get(thing, ())} & said}
    is_numbered = bool(NUMBERED.search(requests))
    if looks_up and meant and len(meant) * 2 >= len(subject) and (is_numbered or not _needs_number(tool)):
        return ToolMatch(1, frozenset(meant))
    if len(described) >= 2 and len(described) * 2 >= len(about) and described - WEAK:
        return ToolMatch(2, frozenset(described))
    return ToolMatch(0, frozenset())


def _needs_number(tool: Tool) -> bool:
    return any(
        set(allowed_types(schema)) & {"integer", "number"} or is_identifier(name, schema)
        for name, schema in wanted_properties(tool.get("parameters"))
    )


def _call(tool: Tool, words: str) -> tuple[str, str]:
    return tool["name"], json.dumps(make_arguments(tool.get("parameters"), words), ensure_ascii=False)
