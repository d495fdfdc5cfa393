"""Several takes of one line: which of them is the line. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tau_stage.scene.plan import LinePlan
from tau_stage.text import closeness


@dataclass(frozen=True, slots=True)
class Option:
    """One take.

    Attributes:
        said: Its words.
        seconds: Its length.
        is_whole: Whether the response completed.
    """

    said: str
    seconds: float
    is_whole: bool = True


Ask = Callable[[LinePlan, Sequence[Option]], Awaitable[int]]
"""Lets somebody choose: the place of a take in the list."""


def picked(asked: str, options: Sequence[Option], pick: Literal["closest", "first", "shortest", "ask"]) -> int:
    """Return the place of the take that is the line; the earlier one, where two are as good.

    A take that broke off is picked only where all did. What nobody is there to be asked, is the closest.

    >>> picked("Can I *have* it?", [Option("Can I halve it?", 1.0), Option("Can I have it?", 1.2)], "closest")
    1
    >>> picked("Yes.", [Option("Yes.", 1.0), Option("Yes.", 0.5), Option("", 0.0, False)], "shortest")
    1
    """
    whole = [number for number, option in enumerate(options) if option.is_whole and option.said.strip()]
    among = whole or list(range(len(options)))
    if pick == "first":
        return among[0]
    if pick == "shortest":
        return min(among, key=lambda number: options[number].seconds)
    return max(among, key=lambda number: closeness(asked, options[number].said))
