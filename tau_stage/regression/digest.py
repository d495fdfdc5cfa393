"""The results of a test for programs and pull requests: annotations of GitHub, and a page of Markdown. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tau_stage.regression.suite import SAID_OF, Result, exit_code, total
from tau_stage.report.findings import Finding, as_github
from tau_stage.text import one_line

MOST_BAD, MOST_SCENES, WIDEST = 20, 30, 160
SIGNS = {"passed": "✅", "failed": "❌", "error": "⚠️", "unchecked": "➖"}


def as_annotations(results: Sequence[Result]) -> str:
    """Write a workflow command of GitHub for everything that is not well, at its line of the scene."""
    return as_github(finding for result in results for finding in _findings(result))


def _findings(result: Result) -> Iterator[Finding]:
    if result.broken:
        yield Finding(result.broken.path, result.broken.line, result.broken.column, "error", result.broken.problem)
    for missing in result.lacks:
        yield Finding(result.path, 1, 1, "error", missing)
    for verdict in result.bad:
        told = f"{verdict.message} ({result.variant})" if result.variant else verdict.message
        told = f"could not be measured: {told}" if verdict.outcome == "error" else told
        yield Finding(verdict.path, verdict.line, verdict.column, "error", told)


def as_markdown(results: Sequence[Result]) -> str:
    """Write a page to read: what is not well first, then all scenes; never more than GitHub takes."""
    parts = [f"### tau-stage test: {total(results)}", ""]
    found = [(result, finding) for result in results for finding in _findings(result)]
    if found:
        parts += ["| where | what |", "|---|---|"]
        for result, finding in found[:MOST_BAD]:
            sign = SIGNS["error" if result.state == "error" else "failed"]
            parts.append(f"| {sign} `{_cell(finding.path)}:{finding.line}` | {_cell(finding.problem)} |")
        parts += ["", f"... and {len(found) - MOST_BAD} more."] if len(found) > MOST_BAD else []
        parts.append("")
    order = sorted(results, key=lambda result: ("error", "failed", "unchecked", "passed").index(result.state))
    parts += ["| scene | lines | expectations | not met | played |", "|---|--:|--:|--:|---|"]
    for result in order[:MOST_SCENES]:
        bad = len(result.bad)
        parts.append(
            f"| {SIGNS[result.state]} {_cell(result.id)} | {result.lines} | {result.checked} | {bad} "
            f"| {SAID_OF[result.source]}, {result.took_s:.1f} s |"
        )
    parts += ["", f"... and {len(order) - MOST_SCENES} more, all of them well or with nothing to check."] * (
        len(order) > MOST_SCENES and all(result.state in ("passed", "unchecked") for result in order[MOST_SCENES:])
    )
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Make a text stay in its cell of a table."""
    line = one_line(text)
    line = line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"
    for sign in "\\`|<*_[":
        line = line.replace(sign, f"\\{sign}")
    return line


def as_json(results: Sequence[Result]) -> str:
    """Write everything, for programs."""
    states = {state: sum(result.state == state for result in results) for state in SIGNS}
    facts = {"version": 1, "exit_code": exit_code(results), **states, "scenes": [r.as_data() for r in results]}
    return json.dumps(facts, ensure_ascii=False, indent=2) + "\n"
