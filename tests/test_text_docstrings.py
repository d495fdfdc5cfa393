"""Docstrings that are read at run time: they are there also where Python forgets them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tau_stage.text import docstring


def lamp() -> None:
    """Switch the lamp.

    It is in the hall.
    """


async def door() -> None:
    """Open the door."""


@dataclass
class Room:
    """Where it is."""

    name: str


class Silent:
    pass


nothing = lambda: None  # noqa: E731 - it has a source, and no docstring


class Called:
    """Is called."""

    def __call__(self) -> None: ...


def test_what_python_has_kept_is_taken() -> None:
    assert docstring(lamp) == "Switch the lamp.\n\nIt is in the hall."
    assert docstring(Room) == "Where it is."
    assert docstring(Called()) == "Is called."


@pytest.mark.parametrize(
    ("thing", "told"),
    [(lamp, "Switch the lamp.\n\nIt is in the hall."), (door, "Open the door."), (Called, "Is called."), (Silent, "")],
)
def test_what_python_has_forgotten_is_read_from_the_source(
    thing: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thing, "__doc__", None)
    assert docstring(thing) == told


def test_a_dataclass_that_tells_its_signature_tells_its_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "__doc__", "Room(name: str)")
    assert docstring(Room) == "Where it is."


@pytest.mark.parametrize("thing", [lambda: 1, nothing, eval("lambda: 3"), Silent()])  # noqa: S307 - it has no source
def test_what_has_none_has_none(thing: Callable[..., Any]) -> None:
    assert docstring(thing) == ""
