"""A comparison as one page that needs nothing else: both lines face each other, to read, to look at and to hear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tau_stage.audio import Pcm
from tau_stage.report.compare import Comparison
from tau_stage.report.compare_text import shorten, total_cells
from tau_stage.report.page import templates
from tau_stage.report.tables import money

COLUMNS = 160
"""How many steps a waveform has."""


class LineSound(NamedTuple):
    """A line's sound, for a page: from ``outline``, or empty, and a quoted link."""

    outline: str
    href: str


def outline(audio: Pcm, columns: int = COLUMNS) -> str:
    r"""Draw a sound's shape as the path of an SVG, ``columns`` wide, from -1 (loudest) to 1.

    >>> outline(Pcm(b"\0\x40" * 4), 2)
    'M0 -0.50L1 -0.50L1 0.50L0 0.50Z'
    """
    if not audio:
        return ""
    edges = np.linspace(0, len(audio), columns, endpoint=False).astype(int)
    samples = np.abs(audio.array.astype(np.int32))
    peaks = np.maximum.reduceat(samples, np.minimum(edges, len(audio) - 1))
    heights = [max(0.01, float(peak) / 32768) for peak in peaks]
    upper = [f"{column} {-height:.2f}" for column, height in enumerate(heights)]
    lower = [f"{column} {height:.2f}" for column, height in enumerate(heights)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z"


def render_comparison(
    comparison: Comparison,
    sounds: tuple[Mapping[str, LineSound], Mapping[str, LineSound]] = ({}, {}),
    notes: Sequence[str] = (),
) -> str:
    """Write the page, with the sounds of each take by line, and notes such as that a sound is missing.

    Every text of the takes is escaped.
    """
    words = {"figures": total_cells, "short": shorten, "money": money, "columns": COLUMNS - 1}
    places = {pair.id: number for number, pair in enumerate(comparison.pairs, 1)}
    template = templates().get_template("compare.html", globals=words)
    return template.render(comparison=comparison, sounds=sounds, notes=notes, places=places)
