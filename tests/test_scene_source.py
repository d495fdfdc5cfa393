"""Reading the file: what is refused before YAML sees it, and what an error shows of a line."""

import hashlib
from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.source import LARGEST_BYTES, WIDEST, Position, Source, read_source


def refusal(path: Path) -> SceneError:
    with pytest.raises(SceneError) as raised:
        read_source(path)
    return raised.value


def test_a_file_is_read_with_the_hash_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfabc")
    source = read_source(file)
    assert (source.text, source.path) == ("abc", str(file))
    assert source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_link_to_nothing_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "umbrella.yaml").symlink_to("gone.yaml")
    error = refusal(tmp_path / "umbrella.yaml")
    assert error.problem == "the scene file is a link to a file that does not exist"
    assert error.hint == "fix the link, or delete it"


def test_a_missing_file_has_a_neighbour(tmp_path: Path) -> None:
    (tmp_path / "umbrella.yaml").touch()
    error = refusal(tmp_path / "umbrela.yaml")
    assert error.problem == "the scene file does not exist"
    assert error.hint == f"did you mean '{tmp_path / 'umbrella.yaml'}'?"


def test_a_missing_file_without_a_neighbour_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "umbrella.yaml").touch()
    assert refusal(tmp_path / "umbrella").hint == f"did you mean '{tmp_path / 'umbrella.yaml'}'?"
    assert refusal(tmp_path / "zz.yaml").hint == f"existing scene files: {tmp_path / 'umbrella.yaml'}"
    with pytest.raises(SceneError) as raised:
        read_source(tmp_path / "zz.yaml", "the file 'zz.yaml'")
    assert raised.value.hint == ""


def test_a_missing_folder_has_no_neighbour(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none" / "a.yaml").hint == "to create a first scene: tau-stage init DIR"


def test_a_folder_is_no_scene(tmp_path: Path) -> None:
    assert refusal(tmp_path).problem == "the scene file is a folder"
    (tmp_path / "journal.jsonl").touch()
    assert refusal(tmp_path).problem == "the scene file is a take folder"
    assert refusal(tmp_path).hint.endswith(f": tau-stage resume {tmp_path}")


def test_a_device_is_no_scene() -> None:
    assert refusal(Path("/dev/null")).problem == "the scene file is not a file"


def test_a_path_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert refusal(tmp_path / "a" / "b.yaml").problem == "the scene file cannot be read: Not a directory"


def test_a_name_with_a_nul_cannot_be_read() -> None:
    problem = refusal(Path("a\0b")).problem
    assert "cannot be read: " in problem
    assert "embedded null" in problem


def test_a_file_of_the_largest_size_is_read_and_no_larger_one(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a" * LARGEST_BYTES)
    assert len(read_source(file).text) == LARGEST_BYTES
    file.write_bytes(b"a" * (LARGEST_BYTES + 1))
    assert "is 2.1 MB" in refusal(file).problem


def test_what_is_not_utf8_is_wrong_at_its_byte(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"scene: x\n\0\xc3\xa9 caf\xe9")
    error = refusal(file)
    assert (error.line, error.column, error.problem) == (2, 7, "byte 0xe9 is not valid UTF-8")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029"])
def test_lines_end_where_yaml_ends_them(end: str) -> None:
    source = Source.of(f"a{end}bc", "x")
    assert source.lines == ("a", "bc")
    assert source.place(len(source.text) - 1) == Position(2, 2)


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\x9b", "\ud800", "\ufeff", "\uffff"])
def test_control_characters_are_refused_and_never_printed(character: str) -> None:
    with pytest.raises(SceneError) as raised:
        Source.of(f"ab\nc{character}d", "x")
    assert (raised.value.line, raised.value.column) == (2, 2)
    assert character not in str(raised.value)


def test_a_place_past_the_end_is_the_end() -> None:
    source = Source.of("ab\ncde", "x")
    assert source.line(9) == ""
    assert str(source.error(Position(9, 1), "p")) == "x:2:4: p\n  cde\n     ^"


@pytest.mark.parametrize(
    ("line", "column"),
    [("abc", 2), ("x" * 300, 1), ("x" * 300, 150), ("x" * 300, 300), ("x" * 300, 301), ("x" * 90, 88)],
)
def test_the_caret_stands_under_its_character(line: str, column: int) -> None:
    line = line[: column - 1] + "!" + line[column:]
    error = Source.of(line, "x").error(Position(1, column), "p")
    assert error.source[error.caret - 1] == "!"
    assert len(error.source) <= WIDEST


@pytest.mark.parametrize(("before", "cells"), [("你好", 4), ("e\u0301", 1), ("\t", 1), ("é", 1)])
def test_the_caret_counts_cells_not_characters(before: str, cells: int) -> None:
    assert Source.of(before + "!", "x").error(Position(1, len(before) + 1), "p").caret == cells + 1
