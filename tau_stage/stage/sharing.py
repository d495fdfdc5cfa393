"""There is one standard input and one microphone: who may use them, and when. Refused before anybody is paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tau_stage.errors import UsageError
from tau_stage.scene.plan import LinePlan, ListenPlan, Plan, TogetherPlan

if TYPE_CHECKING:
    from tau_stage.stage.people import Person

KEYBOARD = "the standard input"
MICROPHONE = "the microphone"


def refuse_crowd(plans: Sequence[Plan], people: Sequence[Mapping[str, Person]], *, jobs: int) -> None:
    """Refuse scenes that would share a keyboard or a microphone while they are performed at once.

    Args:
        plans: What is performed.
        people: Of each of them.
        jobs: How many are performed at once.

    Raises:
        UsageError: They would.
    """
    if jobs < 2:
        return
    for device in (KEYBOARD, MICROPHONE):
        using = [plan for plan, own in zip(plans, people, strict=True) if _users(plan, own, own, device)]
        if len(using) > 1:
            names = ", ".join(f"{plan.path} ({plan.variant})" if plan.variant else plan.path for plan in using)
            remedy = "leave --jobs away, or let recordings play with 'stand_in:' and --stand-in"
            raise UsageError(f"{len(using)} scenes at once would use {device}: {names}", remedy)


def refuse_together(plan: Plan, people: Mapping[str, Person]) -> None:
    """Refuse people who would share a keyboard or a microphone while they speak together.

    Raises:
        UsageError: They would.
    """
    for step in _steps(plan):
        if not isinstance(step, TogetherPlan):
            continue
        speakers = [part.player for part in step.parts if isinstance(part, LinePlan)]
        for device in (KEYBOARD, MICROPHONE):
            using = _users(plan, people, speakers, device)
            if len(using) > 1:
                problem = f"{plan.path}:{step.source_line}: {' and '.join(using)} would use {device} at once"
                raise UsageError(problem, "give them lines of their own, or recordings with 'stand_in:' and --stand-in")


def refuse_endless(plan: Plan, people: Mapping[str, Person], *, is_terminal: bool) -> None:
    """Refuse a microphone that only a key closes where there is no terminal.

    Args:
        plan: What is performed.
        people: Its people.
        is_terminal: Whether the standard input is one.

    Raises:
        UsageError: There is none.
    """
    for step in _steps(plan):
        if not isinstance(step, ListenPlan) or is_terminal or (step.for_s or step.turns or step.until):
            continue
        if _users(plan, people, [step.person], MICROPHONE):
            problem = f"{plan.path}:{step.source_line}: only a key closes this microphone, and there is no terminal"
            raise UsageError(problem, "give it for:, turns: or until: too")


def _steps(plan: Plan) -> Iterable[object]:
    return (step for steps in plan.strands for step in steps)


def _users(plan: Plan, people: Mapping[str, Person], names: Iterable[str], device: str) -> list[str]:
    """Tell who of some players uses a device; recordings use none."""
    return [name for name in names if name in people and _device(plan, people[name]) == device]


def _device(plan: Plan, person: Person) -> str:
    if person.types:
        return KEYBOARD
    return MICROPHONE if person.is_live and plan.player(person.name).human == "mic" else ""
