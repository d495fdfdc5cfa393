"""What is not as it should be in a server's JSON: named, and taken out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value in JSON."""

_REMOVED = object()


@dataclass(frozen=True, slots=True)
class Oddity:
    """One value that is not what it should be.

    Attributes:
        path: Where it stands; empty where the whole cannot be used.
        what: What is there, or what is not.
    """

    path: Path
    what: str

    @classmethod
    def of(cls, event: dict[str, Any], loc: Sequence[str | int], *, is_missing: bool) -> Oddity:
        """Find the value that an error of pydantic is about.

        Args:
            event: The JSON.
            loc: Where pydantic sees the error: the branches of unions are steps of it.
            is_missing: Whether the last step is a key that is not there. Its object is then what is odd.

        >>> str(Oddity.of({"response": {"usage": "none"}}, ("response", "usage"), is_missing=False))
        'response.usage is a text'
        >>> str(Oddity.of({"response": {"output": [{}]}}, ("response", "output", 0, "id"), is_missing=True))
        'response.output has no id'
        """
        value: Any = event
        path: list[str | int] = []
        for step in loc:
            if (isinstance(value, dict) and step in value) or (
                isinstance(value, list) and isinstance(step, int) and step < len(value)
            ):
                value = value[step]  # type: ignore[index]
            else:
                break
            path.append(step)
        return cls(tuple(path), f"has no {loc[-1]}" if is_missing else f"is {kind_of(value)}")

    def __str__(self) -> str:
        place = ".".join(step for step in self.path if isinstance(step, str))
        return f"{place} {self.what}" if place else f"the event {self.what}"


def kind_of(value: Any) -> str:
    """Name the kind of a JSON value.

    >>> [kind_of(value) for value in (None, True, 1.5, "a", [], {})]
    ['null', 'a boolean', 'a number', 'a text', 'a list', 'an object']
    """
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def remove(event: dict[str, Any], paths: Iterable[Path]) -> None:
    """Take values out of JSON, in place; the indexes of a list hold until all are out.

    >>> event = {"output": [1, 2, 3], "usage": 4}
    >>> remove(event, [("output", 0), ("output", 1), ("usage",)])
    >>> event
    {'output': [3]}
    """
    lists: dict[int, list[Any]] = {}
    for path in paths:
        at: Any = event
        for step in path[:-1]:
            at = at[step] if step in _keys(at) else _REMOVED
        if isinstance(at, list):
            at[int(path[-1])] = _REMOVED
            lists[id(at)] = at
        elif isinstance(at, dict):
            at.pop(path[-1], None)
    for whole in lists.values():
        whole[:] = [value for value in whole if value is not _REMOVED]


def _keys(value: Any) -> Collection[Any]:
    """Return what leads further into a JSON value."""
    return range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
