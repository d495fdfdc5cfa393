"""YAML as plain data with positions, the same from the C parser and from the Python one."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tau_stage.errors import SceneError
from tau_stage.scene.source import Position, Quoted, Source
from tau_stage.scene.yaml_text import MOST_EXPANDED, Document, Node, as_yaml, read_yaml
from tests.test_scene_hostile import BLOCKS

PARSERS = pytest.mark.parametrize("parser", [yaml.CSafeLoader, yaml.SafeLoader])
SCENES = Path(__file__).parent.parent / "scenes"


def document(text: str, parser: Any = yaml.CSafeLoader) -> Document:
    return read_yaml(Source.of(text, "scene.yaml"), parser)


def refusal(text: str, parser: Any = yaml.CSafeLoader) -> SceneError:
    with pytest.raises(SceneError) as raised:
        document(text, parser)
    return raised.value


@PARSERS
def test_every_key_and_value_knows_its_place(parser: Any) -> None:
    read = document("a: Yes\nb:\n  - c: 'd'\n  - [e]\n", parser)
    assert read.data == {"a": "Yes", "b": [{"c": "d"}, ["e"]]}
    assert read.place(("a",)) == Position(1, 4)
    assert read.place(("b",), key=True) == Position(2, 1)
    assert read.place(("b", 0, "c")) == Position(3, 8)
    assert read.place(("b", 0, "c"), key=True) == Position(3, 5)
    assert read.place(("b", 1, 0)) == Position(4, 6)


def test_what_has_no_place_stands_where_its_parent_does() -> None:
    read = document("x: &x {a: {b: c}}\ny: *x\n")
    assert read.place(("y", "a", "b")) == Position(2, 4)
    assert read.place(("y", "a"), key=True) == Position(2, 4)
    assert read.place(("z",)) == Position(1, 1)


@PARSERS
@pytest.mark.parametrize(
    "text",
    [
        "\ta: b",
        "a: |\n  b\n c",
        "a: 'b",
        'a: "b" c',
        "a: [b",
        "a: {b: [c}",
        "a: &a",
        "a: !x",
        "a: *b",
        "? a\n: b\nc",
        "'': a",
        "!x a: b",
        "*a : b",
        "&a b: c",
        "{: b}",
        "a: b\n...\nc: d",
        "%FOO\na: b",
        "%YAML 9.9\n---\na: b",
        "- a\nb",
        "a:b\nc: d",
        "--- # nothing\n",
        "a: &x b\nc: &x d\ne: *x",
        "a: 'b\n  - c: d'",
        'a: "\\ud800"',
        'a: "\\x1b[31m"',
        "a: b: c",
        "a: [b: c: d]",
        "}",
        "a: ]",
        "a: `b",
        "a #b: c",
        "a: b #c",
        "a: #b",
        "a:\n  b\n  c #d\n",
        "a: >9\n b",
    ],
)
def test_odd_yaml_is_data_or_a_scene_error(text: str, parser: Any) -> None:
    with suppress(SceneError):
        assert isinstance(document(text, parser).data, dict)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.rule in ("rule-7", "rule-8")], ids=lambda b: b.name
)
def test_the_python_parser_says_what_the_c_parser_says(block: Any) -> None:
    try:
        expected: object = document(block.scene).data
    except SceneError as error:
        expected = error.problem
    try:
        said: object = document(block.scene, yaml.SafeLoader).data
    except SceneError as error:
        said = error.problem
    assert said == expected


def test_aliases_may_expand_a_little() -> None:
    small = "a: &a [" + "x, " * 99 + "]\n"
    times = MOST_EXPANDED // 100
    assert len(document(small + "b: [" + "*a, " * times + "]").data["b"]) == times
    assert refusal(small + "b: [" + "*a, " * (times + 1) + "]").problem.startswith("aliases expand")


def test_an_anchor_written_twice_is_used_or_a_trap() -> None:
    assert refusal("a: &x b\nc: &x d\ne: *x\n").line == 1


def test_a_key_says_no_more_than_its_text() -> None:
    assert refusal("&a b: c").problem == "a key must be plain text"
    assert refusal("!x b: c").problem.endswith("as a tag")
    assert refusal("'': c").problem == "a key is missing before the colon"


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ({"a": "", "b": Quoted("7"), "c": "x: y"}, 'a:\nb: "7"\nc: "x: y"'),
        ({"a": ["x", ["y"], {"b": "z", "c": []}], "d": {}}, "a:\n  - x\n  - - y\n  - b: z\n    c: []\nd: {}"),
        (
            {"a": 'one\ntwo\u2028 "x" \\', "b": Quoted(" \t")},
            'a: "one\\ntwo\\u2028 \\"x\\" \\\\"\nb: "\\ \\t"'.replace("\\ ", " "),
        ),
        ({"a\u2029b": "\ufeff"}, '"a\\u2029b": "\\ufeff"'),
        ({"a": Quoted("")}, 'a: ""'),
    ],
)
def test_data_is_written_so_that_it_reads_the_same(data: dict[str, Node], written: str) -> None:
    assert as_yaml(data) == written
    assert read_yaml(Source.of(f"k:\n{as_yaml(data, 2)}", "x.yaml")).data == {"k": data}
