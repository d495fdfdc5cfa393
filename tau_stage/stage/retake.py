"""A retake: which lines of a take are taken over, and who must be there for the others. Pure."""

from __future__ import annotations

from tau_stage.scene.plan import Plan
from tau_stage.stage.former import Former
from tau_stage.take.folder import TakeFolder
from tau_stage.take.model import Take


def retaken(plan: Plan, folder: TakeFolder, take: Take, *lines: str, through: bool = False) -> Former:
    """What is taken over when lines are performed again.

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
