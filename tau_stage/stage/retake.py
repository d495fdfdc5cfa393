"""A retake: which lines of a take are taken over, and who must be there for the others. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tau_stage.scene.plan import LinePlan, Plan, TogetherPlan, resolved
from tau_stage.stage.former import Former
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Take


def retaken(plan: Plan, folder: TakeFolder, take: Take, *lines: str, through: bool = False) -> Former:
    """Return what is taken over when lines are performed again.

    Args:
        plan: Of the same scene.
        folder: The former take's.
        take: The former take.
        lines: The ids of the lines, at least one.
        through: Whether the lines after the first of them are performed again, too.

    Raises:
        KeyError: The take has no such line.
    """
    ids = [performed.id for performed in take.lines]
    for line in lines:
        if line not in ids:
            raise KeyError(line)
    at = min(map(ids.index, lines))
    anew = take.lines[at:] if through else tuple(performed for performed in take.lines if performed.id in lines)
    kept = {performed.id: performed for performed in take.lines if performed not in anew}
    players = frozenset(performed.player for performed in anew)
    if through and any(name not in {planned.id for planned in plan.lines} for name in ids[at:]):
        players = frozenset(player.name for player in plan.models)  # nobody knows who will speak
    return Former(folder, kept, players, () if through else lines)


@dataclass(frozen=True, slots=True)
class Drift:
    """How the lines of a scene differ from those that were performed, but for those that are retaken.

    Attributes:
        changed: Lines that are otherwise now; they are taken over as they were.
        new: Lines that were not in the scene.
        gone: Lines that are no longer in it.
    """

    changed: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]

    def told(self) -> Iterator[str]:
        """Say what becomes of them, a sentence each."""
        for lines, fate in (
            (self.changed, "changed since, and kept as they were"),
            (self.new, "new in the scene, and not performed"),
            (self.gone, "no longer in the scene, and left out"),
        ):
            if lines:
                yield f"{', '.join(lines)}: {fate}"


def drift(before: str, plan: Plan, lines: Sequence[str]) -> Drift:
    """Tell how a scene differs from what was performed.

    Args:
        before: The plan of the former take, as JSON.
        plan: Of the scene as it is.
        lines: The ids of the lines that are retaken.
    """
    old, now = (dict(_lines(json.loads(text))) for text in (before, resolved(plan)))
    rest = [name for name in now if name not in lines]
    return Drift(
        tuple(name for name in rest if name in old and old[name] != now[name]),
        tuple(name for name in rest if name not in old),
        tuple(name for name in old if name not in now),
    )


def without(plan: Plan, lines: Sequence[str]) -> Plan:
    """Leave some of a plan's lines out."""
    parted = [
        replace(step, parts=tuple(part for part in step.parts if not _is_one(part, lines)))
        if isinstance(step, TogetherPlan)
        else step
        for step in plan.steps
    ]
    steps = (
        step for step in parted if not _is_one(step, lines) and not (isinstance(step, TogetherPlan) and not step.parts)
    )
    return replace(plan, steps=tuple(steps))


def _is_one(step: object, lines: Sequence[str]) -> bool:
    return isinstance(step, LinePlan) and step.id in lines


def _lines(part: object) -> Iterator[tuple[str, object]]:
    """Yield what each line of a plan asks for, by its id."""
    if isinstance(part, dict):
        if {"id", "player", "words", "direction"} <= part.keys():
            yield part["id"], (part["player"], part["words"], part["direction"])
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _lines(each)
