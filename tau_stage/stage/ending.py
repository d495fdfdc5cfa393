"""How a performance ends that came to its end: whole, or with lines that nobody can hear. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tau_stage.scene.plan import Plan, spoken
from tau_stage.take import records as record
from tau_stage.take.fold import kept

MOST_TOLD = 5
"""Lines that are told of one by one."""
NOBODY = "no line was performed"
NO_SOUND = "no line has a sound"


def ending(plan: Plan, journal: Sequence[record.Record]) -> tuple[record.Ending, str]:
    """Tell how a take ends whose scene came to its end, and what is wrong with it.

    Args:
        plan: The scene, resolved.
        journal: All that has happened.
    """
    lines = [fact for fact in kept(journal) if isinstance(fact, record.LineSpoken)]
    failed = sorted((line for line in lines if line.problem), key=lambda line: line.number)
    if failed:
        told = [f"line {line.line}, player {line.player}: {line.problem}" for line in failed[:MOST_TOLD]]
        more = [f"and {len(failed) - MOST_TOLD} more"] if len(failed) > MOST_TOLD else []
        count = f"{len(failed)} of {len(lines)} {'line' if len(lines) == 1 else 'lines'} failed"
        return "incomplete", f"{count}: {'; '.join([*told, *more])}"
    calling = {fact.line for fact in journal if isinstance(fact, record.ToolCalled | record.ToolTurn)}
    if not any(line.said or line.samples or line.line in calling for line in lines):
        return "incomplete", NOBODY
    models = [line for line in lines if not line.human]
    is_mute = not any(line.samples for line in lines)
    if models and is_mute and not any(line.line in calling or _is_written(plan, line) for line in models):
        return "incomplete", NO_SOUND
    return "complete", ""


def _is_written(plan: Plan, line: record.LineSpoken) -> bool:
    """Tell whether a line is to be read, not heard."""
    planned = (each for steps in plan.strands for each in spoken(steps))
    own = next((each.output for each in planned if re.fullmatch(rf"{re.escape(each.id)}(\.\d+)?", line.line)), None)
    return (own or plan.player(line.player).output) == "text"
