"""Which shape a mouth has while a line is heard, from its sounds or from a provider's visemes. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tau_stage.protocol import VisemeTime
from tau_stage.timing.aligning import Phone

SHAPES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
PHONES: dict[str, str] = SHAPES["phones"]
VISEMES: dict[str, str] = SHAPES["visemes"]
REST = "X"


class MouthShape(NamedTuple):
    """From when on, in seconds, a mouth has a shape: A to H, or X at rest."""

    start_s: float
    shape: str


def shapes_of_phones(phones: Iterable[Phone]) -> list[MouthShape]:
    """Find the shapes of a mouth that makes some sounds; what is no sound of speech is rest.

    >>> shapes_of_phones([Phone("HH", 0.1, 0.2), Phone("AY", 0.2, 0.4)])[1:]
    [MouthShape(start_s=0.2, shape='D'), MouthShape(start_s=0.3, shape='B'), MouthShape(start_s=0.4, shape='X')]
    """
    found: list[MouthShape] = []
    end_s = 0.0
    for name, start_s, end_s in phones:
        shapes = PHONES.get(name, REST).split()
        each = (end_s - start_s) / len(shapes)
        found += [MouthShape(round(start_s + each * at, 4), shape) for at, shape in enumerate(shapes)]
    return [*found, MouthShape(end_s, REST)]


def shapes_of_visemes(visemes: Iterable[VisemeTime], rate: int) -> list[MouthShape]:
    """Find the shapes that a provider's visemes stand for; one that is not known is rest.

    >>> shapes_of_visemes([VisemeTime(21, 2400), VisemeTime(99, 4800)], 24_000)
    [MouthShape(start_s=0.1, shape='A'), MouthShape(start_s=0.2, shape='X')]
    """
    return [MouthShape(each.start / rate, VISEMES.get(str(each.viseme), REST)) for each in visemes]


def render_mouths(shapes: Iterable[MouthShape], duration_s: float) -> str:
    r"""Write shapes as Rhubarb Lip Sync writes them: a time in seconds, a tab, a shape; the last is rest, at the end.

    Source: Rhubarb Lip Sync, README, "Tab-separated values".

    >>> render_mouths([MouthShape(0.05, "D"), MouthShape(0.27, "B")], 0.478)
    '0.00\tX\n0.05\tD\n0.27\tB\n0.47\tX\n'
    """
    end = int(duration_s * 100 + 1e-6)
    at = {0: REST}
    for start_s, shape in sorted(shapes, key=lambda each: each.start_s):
        at[max(0, int(start_s * 100 + 1e-6))] = shape  # of two in the same hundredth, the later one
    rows: list[tuple[int, str]] = []
    for time, shape in sorted(at.items()):
        if time < end and (not rows or rows[-1][1] != shape):
            rows.append((time, shape))
    return "".join(f"{time / 100:.2f}\t{shape}\n" for time, shape in (*rows, (end, REST)))
