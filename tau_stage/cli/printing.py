"""The one way to the terminal: what is printed is made safe to show here, whoever said it. Ruff refuses ``print``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from tau_stage.text import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


def say(*parts: object, sep: str = " ", end: str = "\n", to: TextIO | None = None) -> None:
    """Print texts for a reader, at once.

    Args:
        parts: Printed as ``print`` does.
        sep: Between them.
        end: Behind them.
        to: Where; the standard output, if nothing else is said.
    """
    print(printable(sep.join(map(str, parts))), end=end, file=to or sys.stdout, flush=True)


def warn(*parts: object, sep: str = " ", end: str = "\n") -> None:
    """Print texts on the standard error, where they are in no program's way."""
    say(*parts, sep=sep, end=end, to=sys.stderr)


def say_json(text: str, *, end: str = "\n", to: TextIO | None = None) -> None:
    """Print JSON for a program: it says the same, and a terminal that shows it obeys nothing of it."""
    print(printable_json(text), end=end, file=to or sys.stdout, flush=True)


def say_commands(lines: str, *, to: TextIO | None = None) -> None:
    """Print lines that a CI server shall obey.

    Args:
        lines: Nothing in them was said by others, or it is printable and escaped.
        to: Where; the standard output, if nothing else is said.
    """
    print(lines, file=to or sys.stdout, flush=True)


def console(to: TextIO | None = None, *, soft_wrap: bool = False) -> Console:
    """A terminal for tables and colours. Rich's own escapes reach it; those in the texts do not.

    Args:
        to: Where; the standard output, if nothing else is said.
        soft_wrap: Whether long lines are left to the terminal.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Safe(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(printable(part.text), part.style)

    return Safe(file=to or sys.stdout, soft_wrap=soft_wrap, markup=False, highlight=False, emoji=False)
