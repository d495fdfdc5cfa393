"""The table of failures is whole, true to the policy, and each of its rows is shown by a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tau_stage import errors
from tau_stage.cli import main
from tau_stage.session.retrying import RULES
from tau_stage.understudy import faults as fault

TEXT = (Path(__file__).parent.parent / "docs" / "failures.md").read_text(encoding="utf-8")


def rows(columns: int) -> list[list[str]]:
    """The rows of the table with so many columns, without its head."""
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in TEXT.splitlines() if line.startswith("|")]
    return [row for row in cells if len(row) == columns][2:]


POLICY, FAILURES = rows(5), rows(6)


def test_every_row_is_shown_by_a_test() -> None:
    assert len(FAILURES) > 30
    for *_, shown in FAILURES:
        file, name = shown.strip("`").split("::")
        text = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), shown


def test_the_policy_is_the_one_that_is_kept() -> None:
    assert [row[0].strip("`") for row in POLICY] == list(RULES)
    for (_, _, tries, waits, costs), rule in zip(POLICY, RULES.values(), strict=True):
        assert tries.split(" ")[0] == str(rule.attempts)
        assert costs.split(";")[0] == rule.costs
        if waits.startswith("0.5 s"):
            assert rule.first_wait_s == 0.5
        elif waits == "none":
            assert rule.first_wait_s == 0


def kinds() -> Iterator[str]:
    """Whatever can go wrong, by name: errors, faults, and exit codes."""
    found = [errors.StageError]
    for kind in found:
        found += kind.__subclasses__()
        if not kind.__subclasses__() and getattr(errors, kind.__name__, None) is kind:
            yield f"`{kind.__name__}`"
    for order in get_args(fault.Fault):
        yield f"`{order.__name__}`"
    yield from (f"`{word}`" for word in (*get_args(fault.What), *get_args(fault.Where)))


@pytest.mark.parametrize("kind", sorted(set(kinds())))
def test_every_error_and_every_fault_stands_there(kind: str) -> None:
    assert any(kind in cell for row in FAILURES for cell in row[:2])


def test_every_exit_code_stands_there_and_no_other() -> None:
    known = {main.FINE, main.SCENE_WRONG, main.PROVIDER_FAILED, main.OVER_BUDGET, main.OUR_BUG, main.INTERRUPTED}
    assert {int(code) for row in FAILURES for code in re.findall(r"\d+", row[3])} == {*known, 1}
