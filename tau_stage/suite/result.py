"""What a test of scenes comes to: results by scene and line, over one performance or several. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Literal

from tau_stage.checks import Verdict
from tau_stage.errors import format_if
from tau_stage.scene import Plan
from tau_stage.text import counted

Source = Literal["cassette", "understudy", "live", "nothing"]
State = Literal["passed", "failed", "error", "unchecked", "unreached"]

PASSED, FAILED, NOTHING_CHECKED, BROKEN = 0, 1, 2, 3
OVER_BUDGET = 4  # what a test leaves with that has stopped at its budget
OLD_KEYS = {"failures": "bad", "error": "broken"}
"""Names that ``test --json`` has for what is called otherwise here."""

SAID_OF = {
    "cassette": "from its cassette",
    "understudy": "by the understudy",
    "live": "live",
    "nothing": "not performed",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a line came to, or a player, a sound, a cue, the scene itself, in all performances.

    So many expectations were ``checked``; ``failures`` are verdicts that are not well, each once. In ``runs``
    performances it was looked at, in ``passed`` all was well, and in ``needed`` it must be.
    """

    name: str
    length_s: float
    checked: int
    failures: tuple[Verdict, ...]
    passed: int
    runs: int
    needed: int

    @property
    def rate(self) -> str:
        """How often all was well, where there were several performances; else empty."""
        return f"passed {self.passed} of {self.runs} times, required {self.needed}" if self.runs > 1 else ""

    @property
    def state(self) -> State:
        """What could not be measured is no failure, and nothing that a rate forgives."""
        if not self.runs:
            return "unreached"
        if any(verdict.outcome == "error" for verdict in self.failures):
            return "error"
        return "passed" if self.passed >= self.needed else "failed"


@dataclass(frozen=True, slots=True)
class CaseError:
    """Why a scene could not be tested, at a place of a file, and what a test leaves with.

    The code is 2 where a file is wrong or something is not set up, 4 where it stopped at its budget, else 3.
    """

    problem: str
    path: str
    line: int = 1
    column: int = 1
    code: int = 3

    @property
    def place(self) -> str:
        """File, line and column."""
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a scene, or a variant of one, came to, with the number of lines of its last performance.

    ``accepted`` tells what has become of its snapshot; ``lacks``, what it must have where a test is strict.
    """

    path: str
    variant: str = ""
    title: str = ""
    source: Source = "nothing"
    lines: int = 0
    rows: tuple[Row, ...] = ()
    error: CaseError | None = None
    takes: tuple[str, ...] = ()
    took_s: float = 0.0
    accepted: str = ""
    lacks: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same scene and variant.

        >>> Result("scenes/lamp.yaml", "calm").id
        'scenes/lamp.yaml[calm]'
        """
        return case_id(self.path, self.variant)

    @property
    def state(self) -> State:
        """An error outweighs a failure."""
        states = {row.state for row in self.rows}
        if self.error or "error" in states:
            return "error"
        if "failed" in states or self.lacks:
            return "failed"
        return "passed" if self.checked or self.accepted else "unchecked"

    @property
    def checked(self) -> int:
        """How many expectations were held against it."""
        return sum(row.checked for row in self.rows)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """Verdicts that are not well, in the order of the scene, of rows that are not."""
        found = chain.from_iterable(row.failures for row in self.rows if row.state != "passed")
        return tuple(sorted(found, key=lambda v: (v.path != self.path, v.path, v.line, v.column)))

    def as_data(self) -> dict[str, object]:
        """Make data for ``json.dumps``."""
        data = asdict(self)
        rows = [asdict(row) | {"state": row.state} for row in self.rows]
        for part in (data, *rows):
            part.update({OLD_KEYS[key]: part.pop(key) for key in OLD_KEYS.keys() & part.keys()})
        return {"id": self.id, "state": self.state, "checked": self.checked} | data | {"rows": rows}


def case_id(path: str, variant: str) -> str:
    """Name a scene, or a variant, from one test to the next."""
    return path + format_if("[{}]", variant)


def rows(plan: Plan, runs: Sequence[Sequence[Verdict]], lengths: Mapping[str, float]) -> tuple[Row, ...]:
    """Return what each line and whatever else was looked at came to, from the verdicts of each performance."""
    runs_of: defaultdict[tuple[str, str], defaultdict[int, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for number, run in enumerate(runs):
        for verdict in run:
            runs_of[verdict.kind, verdict.of][number].append(verdict)
    return tuple(_row(plan, [*own.values()], lengths) for own in runs_of.values())


def _row(plan: Plan, runs: Sequence[Sequence[Verdict]], lengths: Mapping[str, float]) -> Row:
    """Return what one subject came to; each performance has verdicts of it."""
    kind, of = runs[0][0].kind, runs[0][0].of
    failures = {(v.what, v.message): v for v in chain(*runs) if not v.passed}
    return Row(
        name=of if kind == "line" else f"{kind} {of}" if of else "the scene",
        length_s=lengths.get(of, 0.0),
        checked=sum(map(len, runs)),
        failures=tuple(failures.values()),
        passed=sum(all(verdict.passed for verdict in verdicts) for verdicts in runs),
        runs=len(runs),
        needed=needed(plan, of if kind == "line" else "", len(runs)),
    )


def unreached(plan: Plan, known: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each written line of a scene that nothing is known of, as its performance did not come so far."""
    names = {row.name for row in known}
    yield from (Row(line.id, 0.0, 0, (), 0, 0, 0) for line in plan.all_lines if line.id not in names)


def needed(plan: Plan, line: str, runs: int) -> int:
    """Tell in how many of several performances all must be well with a line, or with the scene where none is named."""
    names = {line, re.sub(r"\.\d+$", "", line)} - {""}
    expected = [plan.expect, *(wanted.expect for wanted in plan.all_lines if wanted.id in names)]
    rates = [each.passes for each in expected if each and each.passes]
    return math.ceil(runs * rates[-1].passed / rates[-1].of) if rates else runs


def exit_code(results: Iterable[Result]) -> int:
    """Return what a test leaves with: the first of these that is so.

    4 where one stopped at its budget, 3 where something broke,
    2 where a file is wrong, 1 where something failed, 2 where nothing was checked.
    """
    results = list(results)
    states = {result.state for result in results}
    if "error" in states:
        return max(each.error.code if each.error else BROKEN for each in results if each.state == "error")
    codes = {"failed": FAILED, "passed": PASSED}
    return next((code for state, code in codes.items() if state in states), NOTHING_CHECKED)


def total(results: Sequence[Result]) -> str:
    """Say all results in a few words.

    >>> total([Result("a.yaml", error=CaseError("no", "a.yaml")), Result("b.yaml")])
    '2 scenes: 0 passed, 1 broken, 1 with nothing to check'
    """
    count = Counter(result.state for result in results)
    words: dict[State, str] = {"failed": "failed", "error": "broken", "unchecked": "with nothing to check"}
    parts = [f"{count['passed']} passed", *(f"{count[state]} {words[state]}" for state in words if count[state])]
    return f"{counted(len(results), 'scene')}: {', '.join(parts)}"
