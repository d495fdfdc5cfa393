"""How often functions are called: what a thing costs, counted, on any machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal


@contextmanager
def counted_calls(of: Literal["C", "Python"] = "C") -> Iterator[Counter[str]]:
    """Count the calls of this thread, by the function's name; a coroutine that goes on is called once more."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and of == "C":
            calls[getattr(function, "__name__", "")] += 1
        elif event == "call" and of == "Python":
            calls[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
