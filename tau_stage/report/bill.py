"""What a take cost, as bars and as a curve. An amount that nobody knows is never drawn as nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tau_stage.take.take_model import Costs, Performed, Take

KINDS = ("spoken", "listened", "cached")
WIDTH, HEIGHT = 1000, 200


@dataclass(frozen=True, slots=True)
class Bar:
    """One kind of cost of one player.

    Attributes:
        start: Where it begins, in percent of the longest bar.
        width: How long it is.
    """

    kind: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Area:
    """What one kind has cost so far, on top of the kinds below it, as a path for SVG."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Curve:
    """How the cost grows along the scene.

    Attributes:
        areas: One per kind.
        top: Dollars at the upper edge.
        unknown: How many lines are not in it, as their price is not known.
    """

    areas: tuple[Area, ...]
    top: Decimal
    unknown: int


def bars(cost: Costs, longest: Decimal) -> tuple[Bar, ...]:
    """Return a player's cost as bars side by side; kinds whose price is unknown have none."""
    at = 0.0
    drawn = []
    for kind in KINDS:
        width = 100 * float((getattr(cost, kind) or 0) / longest) if longest else 0.0
        drawn += [Bar(kind, round(at, 3), round(width, 3))] if width else []
        at += width
    return tuple(drawn)


def longest_bar(take: Take) -> Decimal:
    """Return the most that one player cost, as far as it is known."""
    return max((_known(player.cost) for player in take.players), default=Decimal(0))


def curve(take: Take) -> Curve:
    """Return the cost along the scene: each line's counts from where it ends in the recording."""
    known = sorted(
        (line for line in take.lines if line.cost.total is not None), key=lambda line: line.offset_s + line.duration_s
    )
    top = sum((_known(line.cost) for line in known), Decimal(0))
    below = [Decimal(0)] * (len(known) + 1)
    areas = []
    for kind in KINDS:
        sums = [Decimal(0)]
        for line in known:
            sums.append(sums[-1] + (getattr(line.cost, kind) or 0))
        above = [mine + theirs for mine, theirs in zip(sums, below, strict=True)]
        areas.append(Area(kind, _area(known, below, above, top, take.duration_s)))
        below = above
    return Curve(tuple(areas) if top else (), top, len(take.lines) - len(known))


def _known(cost: Costs) -> Decimal:
    return sum((getattr(cost, kind) or Decimal(0) for kind in KINDS), Decimal(0))


def _area(
    lines: Sequence[Performed], below: Sequence[Decimal], above: Sequence[Decimal], top: Decimal, seconds: float
) -> str:
    """Return steps along the upper edge, and back along the lower one."""
    if not top or not seconds:
        return ""
    ends = [0.0, *(WIDTH * (line.offset_s + line.duration_s) / seconds for line in lines), float(WIDTH)]

    def steps(sums: Sequence[Decimal]) -> list[str]:
        rows = [round(HEIGHT - HEIGHT * float(amount / top), 1) for amount in sums]
        return [f"{x:.1f} {y:g}" for row, y in enumerate(rows) for x in (ends[row], ends[row + 1])]

    return "M" + " ".join([*steps(above), *reversed(steps(below))]) + "Z"
