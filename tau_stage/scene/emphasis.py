r"""Emphasis as Fountain writes it, in our notation: ``_underlined_`` and ``*italic*`` are ``*stressed*``.

Fountain follows Markdown, but for ``_``, which underlines: ``*italics*``, ``**bold**``, ``***both***``,
``_underline_``, one in the other. ``\*`` and ``\_`` are the signs themselves. A sign with a blank behind it begins
nothing, one with a blank before it ends nothing. Our notation has no stress within stress: the outermost counts, and
is ``**`` where all of it is bold.

Sources: https://fountain.io/syntax, "Emphasis"; CommonMark 0.31, "Emphasis and strong emphasis".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

_PARTS = re.compile(r"\\(?P<sign>[!-/:-@\[-`{-~])|(?P<run>\*+|_+)|[^\\*_]+|\\")
_DEEPEST = 8
"""Runs among which a beginning is looked for, so that a line is read once."""

_SPOKEN = "()"
"""What stays escaped, as our own notation reads it."""


@dataclass(slots=True)
class _Opened:
    """A run of signs that may begin emphasis.

    Attributes:
        sign: ``*`` or ``_``.
        at: Which part of the text it is.
        left: How many of its signs are left.
    """

    sign: str
    at: int
    left: int


def stressed(text: str) -> str:
    r"""Write a line of Fountain with our stress; what is not emphasis stays.

    >>> stressed("_Never_, **I** said."), stressed(r"The code is \*9765\*."), stressed("*69 and *23")
    ('*Never*, **I** said.', 'The code is *9765*.', '*69 and *23')
    """
    parts, spans = _read(text)
    return _written(parts, spans, "*")


def plain(text: str) -> str:
    r"""Take the emphasis off a line of Fountain.

    >>> plain("_**STEEL**_"), plain(r"snake_case \*")
    ('STEEL', 'snake_case *')
    """
    parts, spans = _read(text)
    return _written(parts, spans, "")


def _read(text: str) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Return the parts of a line, and from where to where signs among them emphasise: with one sign, or two."""
    parts: list[str] = []
    spans: list[tuple[int, int, int]] = []
    opened: list[_Opened] = []
    for found in _PARTS.finditer(text):
        if run := found["run"]:
            before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
            _run(run, before, after, parts, spans, opened)
        elif sign := found["sign"]:
            parts.append(found[0] if sign in _SPOKEN else sign)
        else:
            parts.append(found[0])
    return parts, spans


def _run(
    run: str, before: str, after: str, parts: list[str], spans: list[tuple[int, int, int]], opened: list[_Opened]
) -> None:
    """Let a run of signs end what it can, and begin what it may."""
    word = run[0] == "_" and before.isalnum() and after.isalnum()
    left = len(run)
    ends = bool(before) and not before.isspace() and not word
    while ends and left and (begin := _latest(opened, run[0])):
        used = 2 if min(left, begin.left) > 1 else 1
        left, begin.left = left - used, begin.left - used
        parts[begin.at] = run[0] * begin.left
        spans.append((begin.at, len(parts), used if run[0] == "*" else 1))
        if not begin.left:
            opened.pop()
    parts.append(run[0] * left)
    if left and after and not after.isspace() and not word:
        opened.append(_Opened(run[0], len(parts) - 1, left))


def _latest(opened: list[_Opened], sign: str) -> _Opened | None:
    """Return the latest run of a sign that is not ended; what was begun within it emphasises nothing."""
    if not any(each.sign == sign for each in opened[-_DEEPEST:]):
        return None
    while opened[-1].sign != sign:
        opened.pop()
    return opened[-1]


def _written(parts: list[str], spans: list[tuple[int, int, int]], mark: str) -> str:
    """Write the parts with stress around each outermost span."""
    lengths = [0, *accumulate(map(len, parts))]
    outer: dict[int, tuple[int, int]] = {}
    first = reach = 0
    for begin, end, signs in sorted(spans, key=lambda span: (span[0], -span[1])):
        if begin >= reach:
            first, reach = begin, end
        within, all_of_it = lengths[end] - lengths[begin], lengths[reach] - lengths[first]
        strength = signs if within == all_of_it else 1
        outer[first] = (reach, max(strength, outer.get(first, (0, 1))[1]))
    begins = {begin + 1: mark * strength for begin, (_, strength) in outer.items()}
    ends = {end: mark * strength for end, strength in outer.values()}
    told = []
    for number in range(len(parts) + 1):
        told += [ends.get(number, ""), begins.get(number, ""), *parts[number : number + 1]]
    return "".join(told)
