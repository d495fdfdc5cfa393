"""A place in a scene's files, and how one is looked up."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file.

    Attributes:
        path: The file, as the user named it.
        line: From 1.
        column: From 1, in characters.
    """

    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What can be performed, and may not be what its author meant.

    Attributes:
        spot: Where it stands.
        problem: What it is.
        hint: What to write instead.
    """

    spot: Spot
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}"


Key = tuple[str, ...]
"""What stands there: ``("line", id)``, ``("player", name)``, ``("sound", id)``, ``("cue", id)``; one of its options, as
in ``("line", id, "expect", "loudness")``; or ``("expect", "cost")`` of the scene, and ``()`` for its lines."""

Spots = Mapping[Key, Spot]


def spot(spots: Spots, *key: str) -> Spot:
    """Tell where something stands; what stands nowhere by itself, stands where that is which it belongs to.

    >>> spot({(): Spot("x.yaml", 3, 1)}, "line", "ann-1", "pause")
    Spot(path='x.yaml', line=3, column=1)
    """
    while key not in spots:
        key = key[:-1]
    return spots[key]
