"""What several performances come to together, as plain data."""

from __future__ import annotations

import pytest

from tau_stage.checks.verdict import Outcome, Verdict
from tau_stage.suite.output import as_annotations, as_markdown
from tau_stage.suite.result import CaseError, Result, exit_code, rows, total
from tests.support.in_memory_stage import plan_of

SCENE = """players: {ann: , bob: }
expect: {pass: 2 of 4}
lines:
- ann: One.
- bob: Two.
  expect: {pass: 3 of 4}
"""


def verdict(of: str, outcome: Outcome = "passed", what: str = "said") -> Verdict:
    return Verdict("a.yaml", 4, 3, "line", of, (of,), what, "expect", "x", "y", outcome, f"{of}: {what} y")


def runs(of: str, *outcomes: Outcome) -> list[list[Verdict]]:
    return [[verdict(of, outcome), verdict(of, what="length")] for outcome in outcomes]


@pytest.mark.parametrize(
    ("line", "outcomes", "state"),
    [
        ("ann-1", ("passed", "failed", "failed", "passed"), "passed"),
        ("ann-1", ("passed", "failed", "failed", "failed"), "failed"),
        ("bob-1", ("passed", "failed", "failed", "passed"), "failed"),
        ("bob-1", ("passed", "failed", "passed", "passed"), "passed"),
        ("bob-1.2", ("passed", "failed", "passed", "passed"), "passed"),
        ("bob-1", ("passed", "failed"), "failed"),
        ("bob-1", ("passed", "error", "passed", "passed"), "error"),
        ("ann-1", ("passed",), "passed"),
    ],
)
def test_a_line_is_well_where_enough_performances_are(line: str, outcomes: tuple[Outcome, ...], state: str) -> None:
    (row,) = rows(plan_of(SCENE), runs(line, *outcomes), {line: 1.5})
    assert (row.state, row.runs, row.checked, row.length_s) == (state, len(outcomes), 2 * len(outcomes), 1.5)
    assert row.passed == outcomes.count("passed")
    assert len(row.failures) == (row.passed < row.runs)


def result(*outcomes: Outcome) -> Result:
    return Result("a.yaml", "calm", rows=rows(plan_of(SCENE), runs("ann-1", *outcomes), {}), source="live")


def test_errors_outweigh_failures_and_nothing_is_not_green() -> None:
    good, bad, unmeasured, nothing = result("passed"), result("failed"), result("error"), Result("b.yaml")
    broken = Result("c.yaml", error=CaseError("no", "c.yaml"))
    assert [exit_code(each) for each in ([good, nothing], [good, bad], [bad, broken], [bad, unmeasured])] == [
        0,
        1,
        3,
        3,
    ]
    assert [exit_code([nothing]), exit_code([])] == [2, 2]
    assert total([good, bad, unmeasured, nothing, broken]) == (
        "5 scenes: 1 passed, 1 failed, 2 broken, 1 with nothing to check"
    )


def test_what_a_rate_forgives_is_no_annotation() -> None:
    assert as_annotations([result("passed", "failed")]) == ""
    assert "ann-1: said y (calm)" in as_annotations([result("failed")])
    assert "could not be measured: ann-1: said y (calm)" in as_annotations([result("error")])
    assert "| ✅ a.yaml\\[calm] | 0 | 4 | 0 | live, 0.0 s |" in as_markdown([result("passed", "failed")])
