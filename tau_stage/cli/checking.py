"""Holding takes against what their scenes expect, for ``run`` and ``retake``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tau_stage.cli.printing import warn
from tau_stage.scene.plan import Plan, spoken
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Take

EXPECTATION_FAILED, NOT_MEASURED = 1, 3
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What a take's expectations came to.

    Attributes:
        text: Of ``checks.json``.
        summary: All of it in a few words.
        code: Exit code.
        problems: What is not as expected, a line for each.
    """

    text: str
    summary: str
    code: int
    problems: tuple[str, ...] = ()


NOTHING_EXPECTED = Checked("", "", 0)


def checked(plan: Plan, folder: TakeFolder, take: Take) -> Checked:
    """Hold a take against what its scene expects; what is not as expected is told.

    A snapshot is not compared here; it only tells how the players' voices sound.

    Raises:
        TakeError: The scene's snapshot is broken.
    """
    if not (plan.expect or any(line.expect for strand in plan.strands for line in spoken(strand))):
        return NOTHING_EXPECTED
    from tau_stage.checks.check import as_json, check
    from tau_stage.checks.snapshot import measured, read_snapshot, snapshot_path
    from tau_stage.checks.verdict import summary

    snapshot = read_snapshot(snapshot_path(plan.path, plan.variant))
    measures = measured(folder, take)
    verdicts = check(plan, take, measures, snapshot, compares=False)
    problems = tuple(f"{verdict.outcome}: {verdict}" for verdict in verdicts if not verdict.passed)
    tell_problems(problems)
    outcomes = {verdict.outcome for verdict in verdicts}
    code = NOT_MEASURED if "error" in outcomes else EXPECTATION_FAILED if "failed" in outcomes else 0
    return Checked(as_json(verdicts, measures), summary(verdicts), code, problems)


def tell_problems(problems: Sequence[str]) -> None:
    """Print what is not as expected, the first of it."""
    for problem in problems[:MOST_SHOWN]:
        warn(problem)
    if len(problems) > MOST_SHOWN:
        warn(f"... and {len(problems) - MOST_SHOWN} more")
