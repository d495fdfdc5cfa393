"""A verdict: what was expected at one place of a scene, what was measured, and whether that is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tau_stage.errors import format_if
from tau_stage.scene import Location
from tau_stage.text import counted

Kind = Literal["line", "player", "sound", "cue", "scene"]
Outcome = Literal["passed", "failed", "error"]
Expecter = Literal["expect", "snapshot", "cassette"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one expectation, or one figure of a snapshot, came to; where it stands counts lines and columns from 1.

    Attributes:
        of: The id or name of what it is about; empty for the scene as a whole.
        lines: Ids of the lines it is about: of a player, all that the player speaks.
        what: Which figure, as in ``expect:``, or what else of it.
        outcome: ``error``: it could not be measured.
        message: One sentence, without the place.
    """

    path: str
    line: int
    column: int
    kind: Kind
    of: str
    lines: tuple[str, ...]
    what: str
    source: Expecter
    expected: str
    measured: str
    outcome: Outcome
    message: str

    @property
    def passed(self) -> bool:
        """Whether it is well."""
        return self.outcome == "passed"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class VerdictSubject:
    """Whom verdicts are about, and who expects something of it."""

    kind: Kind
    of: str
    lines: tuple[str, ...]
    source: Expecter

    def verdict(
        self, spot: Location, what: str, expected: str, measured: str, outcome: Outcome, told: str = ""
    ) -> Verdict:
        """Make a verdict, with a sentence of its own where the usual one does not say it well."""
        was = "expected" if self.source == "expect" else "was"
        told = told or f"{what.replace('_', ' ')} {measured}, {was} {expected}"
        message = f"{self.of or 'the scene'}: {told}"
        place = (spot.path, spot.line, spot.column)
        return Verdict(*place, self.kind, self.of, self.lines, what, self.source, expected, measured, outcome, message)

    def compare(
        self, location: Location, what: str, expected: str, measured: str, *, holds: bool | None = None, told: str = ""
    ) -> Verdict:
        """Make a verdict of what could be measured; if it is not said whether it ``holds``, both must be the same."""
        is_well = expected == measured if holds is None else holds
        return self.verdict(location, what, expected, measured, "passed" if is_well else "failed", told)


def summary(verdicts: Iterable[Verdict]) -> str:
    """Say all verdicts in a few words.

    >>> summary([])
    'no expectations'
    """
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    if not outcomes:
        return "no expectations"
    told = f"{counted(outcomes.total(), 'expectation')}, {outcomes['failed']} failed"
    return told + format_if(", {} could not be measured", outcomes["error"])
