"""What a scene's author wrote: found by its path, told clearly where it fails, never mixed up with another's."""

from __future__ import annotations

import calendar
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tau_stage.errors import UsageError
from tau_stage.session import Tool
from tau_stage.stage.scene_tools import import_beside


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def find(folder: Path, name: str) -> Callable[..., Any]:
    with import_beside(folder) as found:
        return found(name)


def test_two_folders_may_have_a_module_of_the_same_name_with_siblings(tmp_path: Path) -> None:
    for one in "ab":
        write(tmp_path / one, lamps_of="import state_of\ndef f():\n    return state_of.WHO", state_of=f"WHO = {one!r}")
    first, second = (find(tmp_path / one, "lamps_of:f") for one in "ab")
    assert (first(), second(), find(tmp_path / "a", "lamps_of:f")) == ("a", "b", first)
    assert [place for place in sys.path if str(tmp_path) in place] == []


def test_a_module_beside_the_scene_goes_before_any_other_and_takes_nobody_elses_away(tmp_path: Path) -> None:
    write(tmp_path, calendar="def f():\n    return 'mine'", pytest="WHO = 'sibling'")
    write(tmp_path, lamps="import pytest\ndef f():\n    return pytest.WHO")
    assert (find(tmp_path, "calendar:f")(), find(tmp_path, "lamps:f")()) == ("mine", "sibling")
    assert (sys.modules["calendar"], sys.modules["pytest"]) == (calendar, pytest)


def test_packages_and_modules_that_import_each_other_are_one_and_the_same(tmp_path: Path) -> None:
    write(
        tmp_path,
        house__in__rooms="LIT = []",
        house__in__lamps="from . import rooms\ndef on():\n    rooms.LIT.append(1)",
        look="from house.rooms import LIT\nimport house.lamps\ndef lit():\n    return len(LIT)",
    )
    find(tmp_path, "house.lamps:on")()
    assert find(tmp_path, "look:lit")() == 1


async def test_types_of_a_sibling_are_known_when_the_tool_is_called(tmp_path: Path) -> None:
    write(
        tmp_path,
        kinds="""
            from __future__ import annotations
            from dataclasses import dataclass
            @dataclass
            class Lamp:
                colour: Colour
            Colour = str
        """,
        lamps="""
            from __future__ import annotations
            from kinds import Lamp
            async def on(lamp: Lamp) -> str:
                return lamp.colour
        """,
    )
    with import_beside(tmp_path) as found:
        tool = Tool.of(found("lamps:on"))
    assert await tool.call('{"lamp": {"colour": "red"}}') == "red"


def test_an_installed_module_is_found_where_none_lies_beside_the_scene(tmp_path: Path) -> None:
    (tmp_path / "textwrap").mkdir()
    assert find(tmp_path, "textwrap:dedent") is dedent
    assert find(tmp_path / "nowhere", "os.path:join")("a", "b") == "a/b"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1\ndef f(:\n", r"bad\.py:2: SyntaxError: invalid syntax"),
        ("x = 1\nraise ValueError('boom')\n", r"bad\.py:2: ValueError: boom"),
        ("\n\nimport sys; sys.exit('no')\n", r"bad\.py:3: SystemExit: no"),
        ("import absent_of_tests\n", r"bad\.py:1: ModuleNotFoundError: No module named 'absent_of_tests'"),
        ("import json\njson.loads('{')\n", r"bad\.py:2: JSONDecodeError: "),
        ("import worse\n", r"worse\.py:1: ZeroDivisionError: "),
    ],
)
def test_a_module_that_cannot_be_loaded_is_told_with_its_file_and_line(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path, bad=text, worse="1 / 0")
    with pytest.raises(UsageError, match=r"cannot load the tool's module bad: .*" + problem):
        find(tmp_path, "bad:f")


@pytest.mark.parametrize("name", ["absent_of_tests:f", "house.absent:f", "absent_of_tests.deep:f", "house:absent"])
def test_what_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    write(tmp_path, house__in____init__="")
    with pytest.raises(UsageError, match="cannot find"):
        find(tmp_path, name)
