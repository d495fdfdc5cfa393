"""What may start now. Pure: it neither sleeps nor sends, so it is tested with plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tau_stage.scene.plan import LinePlan, Plan, Step


@dataclass(frozen=True, slots=True)
class SoFar:
    """How far a performance has come.

    Attributes:
        begun: Steps that were started.
        done: Steps that are finished.
        unheard: How many clips each player was sent and has not acknowledged.
    """

    begun: int = 0
    done: int = 0
    unheard: Mapping[str, int] = field(default_factory=dict)


def due(plan: Plan, so_far: SoFar) -> tuple[Step, ...]:
    """The steps that may start now.

    A step starts when the one before it is done; a line, moreover, when its player has heard everything said before.
    The other players may still be catching up.
    """
    if so_far.begun > so_far.done or so_far.begun == len(plan.steps):
        return ()
    step = plan.steps[so_far.begun]
    if isinstance(step, LinePlan) and so_far.unheard.get(step.player, 0):
        return ()
    return (step,)


def over(plan: Plan, so_far: SoFar) -> bool:
    """Whether the last step is done."""
    return so_far.done == len(plan.steps)


def next_speaker(plan: Plan, line: LinePlan) -> str | None:
    """Who speaks after a line: the one who must hear it first."""
    later = (step for step in plan.steps if isinstance(step, LinePlan) and step.number > line.number)
    return next((step.player for step in later), None)
