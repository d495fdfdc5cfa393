"""Whether a recogniser heard the lines that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tau_stage.regression.verdict import Subject, Verdict, outcome
from tau_stage.scene.plan import Plan
from tau_stage.scene.spot import spot
from tau_stage.take.model import Take
from tau_stage.text import letters_apart

FURTHEST = 0.6
"""Share of its letters in which what was heard may differ from a line, and still be that line."""


def recognition(plan: Plan, take: Take, heard: Mapping[str, str]) -> Iterator[Verdict]:
    """Yield a verdict for each line that was listened to: it is heard as itself, and not as another line of the scene.

    Args:
        plan: What was to be performed.
        take: What was performed.
        heard: Words by line.
    """
    asked = {line.id: line.asked for line in take.lines if line.id in heard}
    for name, words in asked.items():
        apart = {other: letters_apart(text, heard[name]) for other, text in asked.items()}
        nearest = min(apart, key=lambda other: apart[other])
        is_own = apart[name] <= min(apart[nearest], FURTHEST)
        subject = Subject("line", name, (name,), "expect")
        what = f"“{heard[name]}”" if heard[name] else "nothing"
        other = "" if apart[name] <= apart[nearest] else f", which is nearer to {nearest}"
        told = f"a recogniser heard {what}{other}, expected “{words}”"
        place = spot(plan.spots, "line", name)
        yield subject.verdict(place, "recognised", f"“{words}”", what, outcome(holds=is_own), told)
