"""The traps of dialogue: the corrected line is one that YAML reads as its author meant it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import SceneError
from tau_stage.scene.source import Place, Source
from tau_stage.scene.text import read_yaml
from tau_stage.scene.traps import corrected, explained, quoted

WORDS = st.text("abc *&!|>%@`\"'[]{},?:-#()\\~=", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(WORDS)
def test_quoted_text_is_read_as_it_was_written(words: str) -> None:
    assert yaml.safe_load(quoted(words)) == words


@given(WORDS)
def test_whatever_yaml_refuses_is_mended_by_its_own_hint(words: str) -> None:
    try:
        read_yaml(Source.of(f"- ann: {words}", "x"))
    except SceneError as error:
        mended = error.hint.split("\n")[1].removeprefix("  ") if "in quotes:\n" in error.hint else ""
    else:
        return
    if mended.startswith("- ann: "):
        assert isinstance(yaml.safe_load(mended)[0]["ann"], str)


def test_a_trailing_comment_stays_outside_the_quotes() -> None:
    assert corrected("- a: *b* c  # d", 6).endswith('\n  - a: "*b* c"  # d')
    assert corrected("- a: *b* c # d", 6).endswith('\n  - a: "*b* c" # d')


def test_a_very_long_correction_is_not_shown() -> None:
    assert corrected("- a: " + "*b " * 200, 6) == "put the text in quotes"


def test_an_error_without_a_place_is_at_the_beginning() -> None:
    error = explained(Source.of("a", "x"), yaml.MarkedYAMLError(problem="oh"), None)
    assert str(error).startswith("x:1:1: this is not YAML: oh")


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("players: {a: }\nlines\n- a: hi\n", Place(2, 1), "a line is '- player: words'"),
        ("a: b\nc:d\ne: f\n", Place(2, 1), "put a space after the colon"),
        ("a: b\nc #d\ne: f\n", Place(2, 3), "put the text in quotes"),
    ],
)
def test_what_is_neither_key_nor_text(text: str, place: Place, hint: str) -> None:
    with pytest.raises(SceneError) as raised:
        read_yaml(Source.of(text, "x"))
    assert (raised.value.line, raised.value.column) == place
    assert raised.value.hint.startswith(hint)
