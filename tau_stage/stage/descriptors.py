"""File descriptors: enough for all sockets and files that are open at once, or a word before anything begins."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from heapq import nlargest

from tau_stage.errors import UsageError
from tau_stage.scene.plan import Plan, TogetherPlan

SPARE = 24
"""What Python, the terminal, the journal, a page and a program of a tool have open."""

PER_MODEL = 2
"""A socket; and its other end, where the understudy plays in this process."""


def needed(plan: Plan) -> int:
    """Tell how many descriptors a performance has open at once, at most."""
    stems = len(plan.players) + len({sound.stem for sound in plan.sounds})
    steps = (step for strand in plan.strands for step in strand)
    at_once = max((len(step.parts) for step in steps if isinstance(step, TogetherPlan)), default=1)
    return PER_MODEL * len(plan.models) + stems + at_once


def make_room(plans: Sequence[Plan], jobs: int) -> None:
    """See to it that as many can be open as are needed; where the limit can be raised, it is.

    Args:
        plans: All that is performed.
        jobs: How many of them at once.

    Raises:
        UsageError: There are too few.
    """
    wanted = SPARE + sum(nlargest(jobs, map(needed, plans)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return
    crowd = f"{jobs} scenes at once" if jobs > 1 else f"{plans[0].path}: {len(plans[0].players)} players"
    problem = f"{crowd} need {wanted} file descriptors, and this process may have {hard} open"
    fewer = "perform fewer at once (--jobs), or " if jobs > 1 else ""
    raise UsageError(problem, f"{fewer}raise the limit: ulimit -n {wanted}, or ask who set it")
