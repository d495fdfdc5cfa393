"""Tools: which one the words ask for, and with what arguments. Always the same for the same words.

The words by which a tool is found stand in ``tool_choice.toml``.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import filterfalse
from pathlib import Path
from typing import NamedTuple, TypeGuard
from urllib.parse import unquote

from tau_stage.errors import LimitReached
from tau_stage.protocol import JsonObject, without
from tau_stage.text import is_found, pattern_problem

Tool = JsonObject

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
LOOKING, LOOKED, ASIDES, GENERIC, WEAK = (
    frozenset(WORDS[kind].split()) for kind in ("looking", "looked", "asides", "generic", "weak")
)
MEANT = {thing: frozenset(words.split()) for thing, words in WORDS["meant"].items()}
FORMATS: dict[str, str] = WORDS["formats"]
KEYWORDS = {kind: frozenset(words.split()) for kind, words in WORDS["keywords"].items()}

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
    """How much the words ask for a tool, and which of them.

    Its rank is 3 if its name was said, 2 if what it is for, 1 if what it looks up; 0 is not at all.
    """

    rank: int = 0
    told: frozenset[str] = frozenset()


def choose_calls(tools: Sequence[Tool], choice: object, words: str) -> list[tuple[str, str]]:
    """Choose the tools that a user's words ask for, each with its arguments as JSON.

    Two tools are called only if different words ask for them. The ``choice`` is ``auto``, ``none``, ``required``, or
    one tool; the ``words`` are what was said to the player since its last answer, by sound or in writing.

    >>> light = {"type": "function", "name": "lights_on", "description": "The listener wants the lights on."}
    >>> choose_calls([light], "auto", "Please turn the lights on.")
    [('lights_on', '{}')]
    >>> choose_calls([light], "auto", "Who are you?")
    []
    """
    known = [tool for tool in tools if tool.get("type") == "function"]
    match choice:
        case "none":
            chosen = []
        case {"name": name}:
            chosen = [tool for tool in known if tool["name"] == name][:1]
        case _:
            chosen = _chosen(known, words) or known[: choice == "required"]
    return [(tool["name"], _arguments(tool, words)) for tool in chosen]


def _chosen(known: Sequence[Tool], words: str) -> list[Tool]:
    """Choose the tools that are asked for, in the order given; the surest where the same words ask for several."""
    requests = " ".join(filter(_is_request, SENTENCE.findall(words)))
    asked = [(_match(tool, words, requests), number) for number, tool in enumerate(known)]
    taken: set[str] = set()
    chosen = []
    for found, number in sorted(asked, key=lambda pair: (-pair[0].rank, -len(pair[0].told - WEAK))):
        if found.rank and taken.isdisjoint(found.told - WEAK or found.told):
            chosen.append(number)
            taken |= found.told
    return [known[number] for number in sorted(chosen)]


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
    if looks_up and (meant := _meant(tool, name - LOOKING - LOOKED, requests)):
        return ToolMatch(1, frozenset(meant))
    about = word_stems(tool.get("description") or "") - GENERIC
    described = about & (said if looks_up else word_stems(words))
    is_described = len(described) >= max(2, len(about) / 2) and described - WEAK
    return ToolMatch(2, frozenset(described)) if is_described else ToolMatch()


def _meant(tool: Tool, subject: set[str], requests: str) -> set[str]:
    """Find the words that mean what a tool looks up; none where they are too few, or the number that it needs lacks."""
    said = word_stems(requests)
    meant = {word for thing in subject for word in {thing, *MEANT.get(thing, ())} & said}
    is_enough = len(meant) * 2 >= len(subject) and (NUMBERED.search(requests) or not _needs_number(tool))
    return meant if is_enough else set()


def _needs_number(tool: Tool) -> bool:
    return any(
        set(allowed_types(schema)) & {"integer", "number"} or is_identifier(name, schema)
        for name, schema in wanted_properties(tool.get("parameters"))
    )


def _arguments(tool: Tool, words: str) -> str:
    return json.dumps(make_arguments(tool.get("parameters"), words), ensure_ascii=False)


IDENTIFIERS = {"number", "id", "code"}


def identifier_words(name: str) -> str:
    """Write a name of code in words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_|-", " ", name)


def word_stems(words: str) -> set[str]:
    """List the words of a text, without case and plural."""
    found = re.findall(r"[^\W\d_]+", re.sub(r"\bthanks\b", "thank you", words.lower()))
    return set(map(_stem, found))


def is_identifier(name: str, schema: JsonObject) -> bool:
    """Tell whether an argument is a text that stands for a thing: an order's number, an id, a code."""
    is_text = "string" in (_types(schema) or ["string"])
    return is_text and not schema.get("enum") and not IDENTIFIERS.isdisjoint(word_stems(identifier_words(name)))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


DEEPEST = 24  # levels of values; deeper ones are null
MOST_VALUES = 2000  # values of one call: a schema that refers to itself twice would else ask for too many
MOST_ITEMS = 100

NUMBERED = re.compile(r"\b(?=[\w-]*\d)\w[\w-]*\b")  # a token with a digit: 4711, A-12
NUMBER = re.compile(r"-?\b\d{1,15}(?:\.\d{1,15})?")
QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
PLACED = re.compile(r"\b(?:in|for|of|to|at|called|named)\s+([A-Z]\w*(?:\s+[A-Z]\w*)*)")
REFUSING = re.compile(r"\b(no|not|off|never|stop)\b")


class SpokenValues:
    """What of some words can become a value: each thing that was said is used once."""

    def __init__(self, words: str) -> None:
        self.words = words.strip()
        self.tokens: list[str] = NUMBERED.findall(words)
        self.numbers: list[str] = NUMBER.findall(words)
        self.names: list[str] = QUOTED.findall(words) + PLACED.findall(words)
        self.made = 0


@dataclass(frozen=True, slots=True)
class ValuePlace:
    """Where in a schema a value is made: of which property, so many levels deep, by which references.

    The ``root`` is the whole schema. Where it is ``bare``, only what is required is made: a reference came back.
    """

    root: object
    said: SpokenValues
    name: str = ""
    depth: int = 0
    refs: tuple[str, ...] = ()
    bare: bool = False

    def under(self, name: str) -> ValuePlace:
        """Go one level deeper."""
        return replace(self, name=name, depth=self.depth + 1)


def make_arguments(schema: object, words: str) -> JsonObject:
    """Make the arguments of a call of words, by the tool's ``parameters``."""
    made = _made(_table(schema) | {"type": "object"}, ValuePlace(schema, SpokenValues(words)))
    return made if isinstance(made, dict) else {}


def wanted_properties(schema: object) -> list[tuple[str, JsonObject]]:
    """List the properties that a call needs, by name, each with its schema: the required ones, else all."""
    place = ValuePlace(schema, SpokenValues(""))
    told, _ = _resolved(_table(schema), place)
    return [(name, _resolved(part, place)[0]) for name, part in _needed(told, bare=False)]


def allowed_types(schema: JsonObject) -> list[str]:
    """List the types that a schema allows, null left out where there is another."""
    named = _types(schema) or [kind for kind, words in KEYWORDS.items() if not schema.keys().isdisjoint(words)][:1]
    return [kind for kind in named if kind != "null"] or named


def _made(schema: object, place: ValuePlace) -> object:
    place.said.made += 1
    if place.depth > DEEPEST or place.said.made > MOST_VALUES or schema is False:
        return None
    told, place = _resolved(schema, place)
    if "const" in told:
        return told["const"]
    if options := _list(told.get("enum")):
        return _option(options, place.said)
    kind, *_ = allowed_types(told) or ["string"]
    return MAKERS.get(kind, _text)(told, place)


def _resolved(schema: object, place: ValuePlace) -> tuple[JsonObject, ValuePlace]:
    """Resolve references and alternatives of a schema: the first alternative that is not null stands for all."""
    told = _table(schema)
    for _ in range(DEEPEST):
        if isinstance(ref := told.get("$ref"), str):
            place = replace(place, bare=place.bare or ref in place.refs, refs=(*place.refs, ref))
            told = _merged(without(told, "$ref"), _table(_found(place.root, ref)))
        elif parts := _list(told.get("allOf")):
            told = without(told, "allOf")
            for part in parts:
                told = _merged(told, _table(part))
        elif found := next((key for key in ("anyOf", "oneOf") if _list(told.get(key))), None):
            branch = _branch(_list(told[found]), place)
            told = _merged(without(told, found), branch)
        else:
            break
    return told, place


def _branch(options: list[object], place: ValuePlace) -> JsonObject:
    """Choose the alternative to take: one that the words name, else the first; null only where a schema comes back."""
    possible = [_table(option) for option in options if option is not False]
    if place.bare and (null := next(filter(_is_null, possible), None)):
        return null
    better = [*filterfalse(_is_null, possible)] or possible or [{}]
    said = place.said.words.lower()
    named = (option for option in better if (const := option.get("const")) and str(const).lower() in said)
    return next(named, better[0])


def _is_null(schema: JsonObject) -> bool:
    return schema.get("type") == "null" or schema.get("const", 0) is None


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Merge two schemas, as far as that is a schema."""
    both = other | one
    for key in filter(other.__contains__, one):
        if key in MERGERS:
            both[key] = MERGERS[key](one[key], other[key])
        elif key in ("anyOf", "oneOf"):
            both[key] = other[key]
            both["allOf"] = [*_list(both.get("allOf")), {key: one[key]}]
    return both


def _in_both(one: object, other: object) -> list[object]:
    return [value for value in _list(one) if value in _list(other)]


def _tighter(choose: Callable[[list[float]], float]) -> Callable[[object, object], object]:
    return lambda *limits: choose(numbers) if (numbers := [*filter(_is_number, limits)]) else None


MERGERS: dict[str, Callable[[object, object], object]] = {
    "properties": lambda one, other: _table(other) | _table(one),
    "patternProperties": lambda one, other: _table(other) | _table(one),
    "required": lambda one, other: [*_list(one), *_list(other)],
    "enum": _in_both,
    "type": lambda one, other: _in_both(_types({"type": one}), _types({"type": other})) or one,
    "minimum": _tighter(max),
    "minLength": _tighter(max),
    "maximum": _tighter(min),
    "maxLength": _tighter(min),
}
"""How a keyword of two schemas is merged; of any other, the first counts."""


def _types(schema: JsonObject) -> list[str]:
    told = schema.get("type")
    return [told] if isinstance(told, str) else _texts(told)


def _found(root: object, ref: str) -> object:
    """Find what a reference within the schema points to; anything, where it points elsewhere."""
    if not ref.startswith("#"):
        return True
    at = root
    for step in filter(None, unquote(ref[1:]).split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        match at:
            case dict() if key in at:
                at = at[key]
            case list() if key.isdecimal() and int(key) < len(at):
                at = at[int(key)]
            case _:
                return True
    return at


def _needed(told: JsonObject, *, bare: bool) -> list[tuple[str, object]]:
    known = _table(told.get("properties"))
    required = _texts(told.get("required"))
    is_told = "required" in told or bare
    names = [name for name in known if known[name] is not False and (name in required or not is_told)]
    for name in names:
        required += _texts(_table(told.get("dependentRequired")).get(name))
    others = [name for name in dict.fromkeys(required) if name not in names]
    return [(name, known[name]) for name in names] + [(name, _schema_of(told, name)) for name in others]


def _schema_of(told: JsonObject, name: str) -> object:
    """Find the schema of a property, whether it has one of its own, one by its name, or one for the rest."""
    patterns = _table(told.get("patternProperties")).items()
    fitting = (schema for pattern, schema in patterns if _matches(pattern, name))
    return _table(told.get("properties")).get(name, next(fitting, told.get("additionalProperties", True)))


def _object(told: JsonObject, place: ValuePlace) -> JsonObject:
    made = {name: _made(schema, place.under(name)) for name, schema in _needed(told, bare=place.bare)}
    least = _count(told.get("minProperties"))
    spare = [name for name in _table(told.get("properties")) if name not in made]
    for name in (*spare, *_fresh(told)):
        if len(made) >= least or place.depth > DEEPEST:
            break
        schema = _schema_of(told, name)
        if name not in made and schema is not False:
            made[name] = _made(schema, place.under(name))
    return made


def _fresh(told: JsonObject) -> Iterator[str]:
    """Make names for properties that a schema wants and does not name."""
    for number in range(1, MOST_ITEMS + 1):
        yield f"x{number}"
        for pattern in _table(told.get("patternProperties")):
            yield re.sub(r"[^\w-]", "", pattern) + (str(number) if number > 1 else "")


def _array(told: JsonObject, place: ValuePlace) -> list[object]:
    first = _list(told.get("prefixItems"))
    every = told.get("items", True)
    if isinstance(every, list):
        first, every = every, told.get("additionalItems", True)
    least, most = _count(told.get("minItems")), min(_count(told.get("maxItems"), MOST_ITEMS), MOST_ITEMS)
    part, _ = _resolved(every, place)
    said = place.said.words.lower()
    made = [_made(schema, place.under(place.name)) for schema in first[:most]]
    if not first:
        made = [one for one in _list(part.get("enum")) if str(one).lower() in said][:most]
    if "contains" in told and not made:
        least = max(least, 1)
        every = told["contains"] if every is True else every
    while len(made) < min(least, most):
        value = _made(every, place.under(place.name))
        made.append(_unlike(made, value, part) if told.get("uniqueItems") is True else value)
    return made


def _unlike(made: Sequence[object], value: object, part: JsonObject) -> object:
    """Return a value that is not there yet, if there is another."""
    return next((other for other in (value, *_others(part, value)) if other not in made), value)


def _others(part: JsonObject, value: object) -> Iterator[object]:
    """Make values beside one."""
    yield from _list(part.get("enum"))
    match value:
        case bool():
            yield not value
        case int() | float():
            step = told if _is_number(told := part.get("multipleOf")) else 1
            yield from (value + number * step for number in range(1, MOST_ITEMS))
        case str():
            longest = _count(part.get("maxLength"), len(value) + 4)
            yield from (f"{value[: longest - 2]}{number}" for number in range(MOST_ITEMS))


def _option(options: Sequence[object], said: SpokenValues) -> object:
    """Choose the option that was named, by the longest name; else the first that is something."""
    words = said.words.lower()
    named: list[object] = [one for one in options if isinstance(one, str) and one and one.lower() in words]
    named += [one for one in options if str(one) in said.numbers]
    return max(named, key=lambda one: len(str(one)), default=next((one for one in options if one is not None), None))


def _number(told: JsonObject, place: ValuePlace, *, is_whole: bool = False) -> float:
    """Take the next number that was said, or 1, within limits and a multiple of what it must be."""
    low = max(_limit(told, "minimum", -1e15), math.nextafter(_limit(told, "exclusiveMinimum", -2e15), math.inf))
    high = min(_limit(told, "maximum", 1e15), math.nextafter(_limit(told, "exclusiveMaximum", 2e15), -math.inf))
    if is_whole:
        low, high = math.ceil(low), math.floor(high)
    step = told.get("multipleOf")
    value = min(max(float(place.said.numbers.pop(0) if place.said.numbers else "1"), low), high)
    if _is_number(step) and step > 0:
        value = math.ceil(min(value, 1e15) / step) * step
        value = value - step if value > high else value
    return round(value) if is_whole else value


def _limit(told: JsonObject, key: str, otherwise: float) -> float:
    limit = told.get(key)
    return limit if _is_number(limit) and abs(limit) <= 1e15 else otherwise


def _text(told: JsonObject, place: ValuePlace) -> str:
    for found in _candidates(told, place):
        if (value := next((one for one in found if _fits(told, one)), None)) is not None:
            found.remove(value)
            return value
    return _stretched(told, place.said.words)


def _candidates(told: JsonObject, place: ValuePlace) -> list[list[str]]:
    """List what a text may be, the likeliest first; what is taken of it is taken off."""
    said, form = place.said, told.get("format")
    candidates: list[list[str]] = [said.names, [said.words]]
    if is_identifier(place.name, told):
        candidates.insert(0, said.tokens)
    if isinstance(form, str) and form in FORMATS:
        candidates = [[FORMATS[form]]]
    default = told.get("default")
    if isinstance(default, str) and not said.names:
        candidates.insert(0, [default])
    return [*candidates, _texts(told.get("examples"))]


MAKERS: dict[str, Callable[[JsonObject, ValuePlace], object]] = {
    "object": _object,
    "array": _array,
    "integer": partial(_number, is_whole=True),
    "number": _number,
    "boolean": lambda _, place: not REFUSING.search(place.said.words.lower()),
    "null": lambda *_: None,
}
"""What makes a value of each type; of any other, it is a text."""


def _fits(told: JsonObject, value: str) -> bool:
    pattern = told.get("pattern")
    is_long = _count(told.get("minLength")) <= len(value) <= _count(told.get("maxLength"), len(value))
    return is_long and (not isinstance(pattern, str) or _matches(pattern, value[:200]))


def _stretched(told: JsonObject, value: str) -> str:
    least = min(_count(told.get("minLength")), 100_000)
    return value.ljust(least, "x")[: max(_count(told.get("maxLength"), len(value) + least), 0)]


def _matches(pattern: str, text: str) -> bool:
    try:
        return not pattern_problem(pattern) and is_found(pattern, text, any_case=False)
    except LimitReached:
        return False


def _count(told: object, otherwise: int = 0) -> int:
    return int(told) if _is_number(told) and 0 <= told < 1e9 else otherwise


def _is_number(told: object) -> TypeGuard[int | float]:
    return isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)


def _table(told: object) -> JsonObject:
    return told if isinstance(told, dict) else {}


def _list(told: object) -> list[object]:
    return told if isinstance(told, list) else []


def _texts(told: object) -> list[str]:
    return [one for one in _list(told) if isinstance(one, str)]
