"""The understudy's tools: any legal schema is answered, one intent calls one tool, and a plain question is enough."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.delivery import requested_line
from tau_stage.understudy.tool_choice import choose_calls, make_arguments
from tests.support.memory_server import bare_client

WORDS = 'What is the weather in Paris for 3 days? Call it "Spring", please.'

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 0},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
"""A schema that contains itself."""

LEGAL: list[dict[str, Any]] = [
    {"type": "object", "properties": {"town": {"type": ["string", "null"]}}, "required": ["town"]},
    {"type": "object", "properties": {"town": {"type": ["null", "integer"], "minimum": 10}}, "required": ["town"]},
    {"type": "object", "properties": {"any": True, "none": False}},
    {"type": "object", "properties": {"a": {}}, "required": ["a", "b"], "additionalProperties": {"type": "integer"}},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/unit"}}, "$defs": {"unit": {"enum": ["C", "F"]}}},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 2}]}}},
    {"type": "object", "properties": {"a": {"oneOf": [{"const": 4}, {"const": "four"}]}}},
    {"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]},
    {"type": "object", "patternProperties": {"^x_": {"type": "boolean"}}, "required": ["x_1"]},
    {"type": "object", "properties": {"a": {"enum": [None, 1, "Paris"]}, "b": {"const": {"c": [1]}}}},
    {
        "type": "object",
        "properties": {
            "a": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 2},
                "minItems": 2,
                "uniqueItems": False,
            }
        },
    },
    {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"enum": ["x", "y", "z"]}, "minItems": 3, "uniqueItems": True}},
    },
    {"type": "object", "properties": {"a": {"prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 3}}},
    {"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}}},
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 300}, "b": {"maxLength": 2}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[A-Z][a-z]+$"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}},
    {"type": "object", "minProperties": 2, "properties": {"a": {"type": "string"}}, "required": []},
    {"type": "object", "properties": {"a": {"type": "string"}}, "dependentRequired": {"a": ["b"]}, "required": ["a"]},
    {},
    TREE,
]


@pytest.mark.parametrize("schema", LEGAL, ids=range(len(LEGAL)))
def test_arguments_fit_their_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(make_arguments(schema, WORDS))) == []


def leaves() -> st.SearchStrategy[Any]:
    """Schemas without parts."""
    small = st.integers(0, 6)
    return st.one_of(
        st.just(True),
        st.just({}),
        st.just({"type": "null"}),
        st.just({"type": "boolean"}),
        st.builds(lambda low: {"type": "string", "minLength": low, "maxLength": low + 40}, small),
        st.builds(lambda low, kind: {"type": kind, "minimum": low, "maximum": low + 7}, small, kinds_of_number()),
        st.builds(lambda step: {"type": "integer", "multipleOf": step + 1}, small),
        st.builds(lambda one: {"enum": one}, st.lists(st.none() | st.booleans() | small | st.text(), min_size=1)),
        st.builds(lambda one: {"const": one}, st.none() | st.booleans() | small | st.text()),
        st.just({"type": ["string", "null"]}),
        st.just({"type": ["null", "integer", "object"]}),
        st.just({"$ref": "#/$defs/shared"}),
        st.just({"type": ["object", "null"], "properties": {"again": {"$ref": "#"}}}),
    )


def kinds_of_number() -> st.SearchStrategy[str]:
    return st.sampled_from(["integer", "number"])


def table(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["town", "orderId", "a b", "x", "", "ünï"])
    return st.builds(
        lambda known, missing, rest: {
            "type": "object",
            "properties": {name: part for name, part in known.items() if part is not False},
            "required": [*known][:1] + missing,
            "additionalProperties": rest,
        },
        st.dictionaries(names, parts, max_size=4),
        st.lists(st.sampled_from(["other", "extra"]), max_size=1),
        st.just(True) | st.just({"type": "integer"}),
    )


def nested(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        table(parts),
        st.builds(lambda part, least: {"type": "array", "items": part, "minItems": least}, parts, st.integers(0, 3)),
        st.builds(lambda options: {"anyOf": options}, few),
        st.builds(lambda part: {"allOf": [part]}, parts),
        st.builds(lambda first: {"type": "array", "prefixItems": first, "minItems": len(first)}, few),
    )


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of tools that something fits."""
    shared = st.just({"$defs": {"shared": {"enum": ["one", "two"]}}})
    return st.builds(lambda schema, rest: schema | rest, table(st.recursive(leaves(), nested, max_leaves=8)), shared)


@given(schemas(), st.text(max_size=30) | st.just(WORDS))
def test_arguments_fit_any_schema_that_something_fits(schema: dict[str, Any], words: str) -> None:
    made = json.loads(json.dumps(make_arguments(schema, words)))
    assert list(Draft202012Validator(schema).iter_errors(made)) == []


KEYS = st.sampled_from(
    re.findall(
        r"\S+",
        """type properties required items prefixItems enum const anyOf oneOf allOf not $ref $defs minimum maximum
    exclusiveMinimum multipleOf minLength maxLength pattern format minItems maxItems uniqueItems contains default
    examples patternProperties additionalProperties dependentRequired minProperties""",
    )
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), part, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_what_is_no_schema_breaks_nothing(schema: dict[str, Any]) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": {"properties": {"a": schema}} | schema}
    ((_, made),) = choose_calls([tool], "required", WORDS)
    assert isinstance(json.loads(made), dict)


def test_a_schema_that_asks_for_itself_twice_ends() -> None:
    node = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]}
    assert json.dumps(make_arguments(node, WORDS)).count("{") < 5000
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"type": "object", "properties": {"a": deep}, "required": ["a"]}
    assert "a" in make_arguments(deep, WORDS)


@pytest.mark.parametrize("schema", LEGAL, ids=range(len(LEGAL)))
async def test_a_session_with_any_schema_calls_and_goes_on(schema: dict[str, Any]) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": schema}
    async with bare_client() as client:
        await client.send("session.update", session={"type": "realtime", "tools": [tool]})
        assert (await client.next())["session"]["tools"] == [tool]
        content = [{"type": "input_text", "text": WORDS}]
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await client.send("response.create")
        done = (await client.until("response.done"))[-1]["response"]
    assert [item["name"] for item in done["output"]] == ["get_weather"]


# ---- which tool is meant


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


TEXT = {"type": "string"}
WEATHERS = [
    tool("get_weather", "Get the current weather for a location.", location=TEXT),
    tool("get_current_weather", "Returns the weather.", city=TEXT, unit={"enum": ["celsius", "fahrenheit"]}),
    tool("lookupWeather", location={"type": ["string", "null"]}),
    tool("weather", "Weather report for the given place", place={"anyOf": [TEXT, {"type": "null"}]}),
    tool("fetch-weather-forecast", city=TEXT),
]
ORDERS = [
    tool("get_order_status", "Look up the status of an order by its number.", order_id=TEXT),
    tool("order_status", order_number={"type": ["string", "null"]}),
    tool("lookup_order", order_id={"type": "integer"}),
    tool("trackOrder", orderId=TEXT),
    tool("find_order", "Find an order.", id={"anyOf": [TEXT, {"type": "integer"}]}),
]


@pytest.mark.parametrize("known", WEATHERS, ids=lambda known: known["name"])
@pytest.mark.parametrize(
    "words",
    ["What's the weather in Paris?", "what is the weather like in Paris", "Tell me the weather in Paris, please."],
)
def test_a_plain_question_about_the_weather_calls_its_tool(known: Any, words: str) -> None:
    ((name, made),) = choose_calls([known, *ORDERS], "auto", words)
    assert (name, "Paris" in json.loads(made).values()) == (known["name"], True)


@pytest.mark.parametrize("known", ORDERS, ids=lambda known: known["name"])
@pytest.mark.parametrize("words", ["Where is my order 1234?", "Hi. Can you check on order number 1234?"])
def test_a_plain_question_about_an_order_calls_its_tool(known: Any, words: str) -> None:
    ((name, made),) = choose_calls([known, *WEATHERS], "auto", words)
    assert (name, *map(str, json.loads(made).values())) == (known["name"], "1234")


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("What's the weather in Paris?", 1),
        ("Where is my order 1234?", 1),
        ("What's the weather in Paris, and where is my order 1234?", 2),
    ],
)
def test_one_intent_calls_one_tool_however_many_would_do(words: str, called: int) -> None:
    assert len(choose_calls([*WEATHERS, *ORDERS], "auto", words)) == called


@pytest.mark.parametrize(
    "words",
    [
        "The weather was lovely when we walked home.",
        "I love this weather.",
        "Hello, how are you?",
        "In order to win, we need to talk.",
        "Please don't order anything.",
        "Don't tell me about the weather.",
        "Thank you, goodbye.",
        "",
    ],
)
def test_no_tool_is_called_when_nothing_asks_for_it(words: str) -> None:
    lights = tool("turn_on_lights", "Turns the lights on.")
    assert choose_calls([*WEATHERS, *ORDERS, lights], "auto", words) == []


# ---- repeating


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("Repeat after me: the rain in Spain", "the rain in Spain"),
        ("Please repeat after me: One, two.", "One, two."),
        ("Say exactly: Hello, world!", "Hello, world!"),
        ("Can you say exactly this: it is nine o'clock.", "it is nine o'clock."),
        ("Repeat exactly the following sentence: Hello, world!", "Hello, world!"),
        ('Please say "Good morning" and nothing else.', "Good morning"),
        ("Say the following, word for word: No: never.", "No: never."),
        ("Repeat after me, I will be quiet.", "I will be quiet."),
        ("Marlow says: hello there", None),
        ("Say something about the sea.", None),
        ("What did you say: yes or no?", None),
    ],
)
@pytest.mark.parametrize("place", ["written", "heard", "own", "whisper"])
def test_repeat_after_me_is_obeyed(words: str, line: str | None, place: str) -> None:
    heard = (Utterance(words),) if place == "heard" else ()
    cue = SpeechRequest("", (), words if place == "written" else "", heard, "ash")
    cue = {
        "own": SpeechRequest("", (), "", (), "ash", own=words),
        "whisper": SpeechRequest("", (), "", (), "ash", whisper=words),
    }.get(place, cue)
    found = requested_line(cue)
    assert (found and found.words) == line
