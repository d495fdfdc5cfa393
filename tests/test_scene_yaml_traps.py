"""The traps of dialogue: the corrected line is one that YAML reads as its author meant it."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.load import parse_scene
from tau_stage.scene.source import Position, Source
from tau_stage.scene.yaml_text import read_yaml
from tau_stage.scene.yaml_traps import ParserState, explain, in_brackets, quote_hint, quoted, yaml_scalar

WORDS = st.text("abc *&!|>%@`\"'[]{},?:-#()\\~=", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(WORDS)
def test_quoted_text_is_read_as_it_was_written(words: str) -> None:
    assert yaml.safe_load(quoted(words)) == words


@given(WORDS)
@example("[]*")
@example("!: >:")
def test_whatever_yaml_refuses_is_mended_by_its_own_hint(words: str) -> None:
    try:
        read_yaml(Source.of(f"lines:\n- ann: {words}\n", "x"))
    except SceneError as error:
        mended = error.hint.split("\n")[1].removeprefix("  ") if "in quotes:\n" in error.hint else ""
    else:
        return
    if mended.startswith("- ann: "):
        assert isinstance(yaml.safe_load(mended)[0]["ann"], str)


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ("[ann: Hello, there]", 'put text that contains a comma in quotes:\n  lines: [ann: "Hello, there"]'),
        ("[{ann: Hello, to: nobody}, {together: [ann: A, b]}]", '[ann: "A, b"]'),
        ("[there, ann: Hi]", ""),
        ("[ann: 'Hello', there]", ""),
        ("[ann: , there]", ""),
        ("[ann: Hello\n, there]", ""),
        ("\n- ann: Hello\n- there", ""),
    ],
)
def test_a_comma_that_ends_a_text_in_brackets(lines: str, hint: str) -> None:
    with pytest.raises(SceneError) as error:
        parse_scene(f"players: {{ann: }}\nlines: {lines}\n")
    assert hint in error.value.hint
    assert hint or "comma" not in error.value.hint


@pytest.mark.parametrize(
    ("player", "hint"),
    [
        ("{persona: old, tired}", 'put text that contains a comma in quotes:\n    ann: {persona: "old, tired"}'),
        ("{persona: a, b, c, voice: ash}", '    ann: {persona: "a, b, c", voice: ash}'),
        ("{persona: a, b,\n    c}", '    ann: {persona: "a, b",'),
        ("{voice: ash, perrsona}", "did you mean 'persona'?"),
        ("{persona: 'old', tired}", ""),
        ("{persona: , tired}", ""),
        ("{persona: old\n    and, tired}", ""),
        ("{tired, old}", ""),
        ("{tired: old}", ""),
    ],
)
def test_a_comma_that_ends_a_text_in_braces(player: str, hint: str) -> None:
    with pytest.raises(SceneError) as error:
        parse_scene(f"players:\n  ann: {player}\nlines: [ann: Hello.]\n")
    assert hint in error.value.hint
    assert hint or "comma" not in error.value.hint


def test_a_trailing_comment_stays_outside_the_quotes() -> None:
    assert quote_hint("- a: *b* c  # d", 6).endswith('\n  - a: "*b* c"  # d')
    assert quote_hint("- a: *b* c # d", 6).endswith('\n  - a: "*b* c" # d')


def test_a_very_long_correction_is_not_shown() -> None:
    assert quote_hint("- a: " + "*b " * 200, 6) == "put the text in quotes"


def test_an_error_without_a_place_is_at_the_beginning() -> None:
    error = explain(Source.of("a", "x"), yaml.MarkedYAMLError(problem="oh"), ParserState())
    assert str(error).startswith("x:1:1: this is not valid YAML: oh")


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("players: {a: }\nlines\n- a: hi\n", Position(2, 1), "write a line as '- player: words'"),
        ("players：\n  ann: x\n", Position(1, 8), "write it like this:\n  players:"),
        ("script: ANN: hi\n", Position(1, 12), "write it under its key:\n  script: |\n    ANN: hi"),
        ("a: b\nc:d\ne: f\n", Position(2, 3), "write it like this:\n  c: d"),
        ("a: b\nc #d\ne: f\n", Position(2, 3), "put the text in quotes"),
        ("c\na: |\n", Position(1, 1), "write 'key: value'"),
        ("lines:\n- ann: ! &\n", Position(2, 8), 'put the text in quotes:\n  - ann: "! &"'),
        (
            "players: {ann: }\nlines:\n  ann: hi\n  ann: ho\nlimits: {calls: 1}\n",
            Position(3, 3),
            "write each as '- player: words':\n    - ann: hi\n    - ann: ho",
        ),
    ],
)
def test_what_is_neither_key_nor_text(text: str, place: Position, hint: str) -> None:
    with pytest.raises(SceneError) as raised:
        read_yaml(Source.of(text, "x"))
    assert (raised.value.line, raised.value.column) == place
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "players: {ann: {voice: *x*}}\n",
            "x:1:24: YAML reads a value that starts with * as an alias",
            "put the text in quotes",
        ),
        (
            "players: {ann: ] }\n",
            "x:1:16: YAML expected a comma or the closing bracket for {",
            "put the text in quotes",
        ),
        ("players: {ann: {\nlines: [\n", "x:2:8: this [ is never closed", "close it on the same line"),
        ("lines:\n- ann: {*x", "x:2:8: YAML reads a value that starts with { as a mapping", "put the text in quotes:"),
        (
            "lines:\n- prompt: {ann: [x, *}\n",
            "x:2:17: YAML reads a value that starts with [ as a list",
            "put the text in",
        ),
        (
            "lines:\n- x-a: [x, *}\n",
            "x:2:12: YAML reads a value that starts with * as an alias",
            "put the text in quotes",
        ),
        (
            "players: {ann: {voice: &a ash}}\n",
            "x:1:24: YAML reads a value that starts with & as an anchor",
            "put the text in quotes",
        ),
        (
            "lines:\n- ann: [!a b]\n",
            "x:2:8: YAML reads a value that starts with [ as a list",
            "put the text in quotes:",
        ),
        ("direction: [loud", "x:1:12: YAML reads a value that starts with [ as a list", "put the text in quotes:"),
        ("[", "x:1:1: this [ is never closed", "close it on the same line"),
        ("lines:\n- ann: hi\n  to: [ben\n- ann: x", "x:3:7: this [ is never closed", "close it on the same line"),
    ],
)
def test_brackets(text: str, problem: str, hint: str) -> None:
    with pytest.raises(SceneError) as raised:
        read_yaml(Source.of(text, "x"))
    assert str(raised.value).split("\n")[0] == problem
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize(("text", "place"), [("a: " + "[" * 60, "1:53"), ("a:\n" + "{b: " * 60, "2:197"), ("a", "1:1")])
def test_nesting_beyond_what_yaml_reads_is_told_where_it_is_too_deep_for_a_scene(text: str, place: str) -> None:
    error = yaml.MarkedYAMLError(problem="exceeded maximum nesting depth")
    assert str(explain(Source.of(text, "s.yaml"), error, ParserState())).startswith(
        f"s.yaml:{place}: nested more than 50"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [("*Today*", '"*Today*"'), ('"Hi" he said', "'\"Hi\" he said'"), ('"I\'m" he said', '"\\"I\'m\\" he said"')],
)
def test_the_quotes_that_disturb_a_text_least(text: str, written: str) -> None:
    assert quoted(text) == written


@pytest.mark.parametrize(
    ("text", "written"), [("Well: no", '"Well: no"'), ("No #3", '"No #3"'), ("C# it is", "C# it is")]
)
def test_a_text_is_quoted_only_where_yaml_needs_it(text: str, written: str) -> None:
    assert yaml_scalar(text) == written


@pytest.mark.parametrize(("text", "written"), [("Irish, soft", '"Irish, soft"'), ("ash", "ash")])
def test_a_text_is_quoted_only_where_brackets_need_it(text: str, written: str) -> None:
    assert in_brackets(text) == written
