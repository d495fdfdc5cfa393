"""A take against its scene and its snapshot: one verdict for everything that is expected. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tau_stage.checks.expectations import check_expectations
from tau_stage.checks.metrics import TakeMetrics
from tau_stage.checks.recognition import check_recognition
from tau_stage.checks.snapshot import Snapshot, take_snapshot
from tau_stage.checks.snapshot_diff import compare_snapshot
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.scene import Plan, locate, plan_json
from tau_stage.take import Take

NOTHING: Mapping[str, str] = {}


def check(
    plan: Plan,
    take: Take,
    measures: TakeMetrics,
    snapshot: Snapshot | None = None,
    *,
    compares: bool = True,
    heard: Mapping[str, str] = NOTHING,
    files: Mapping[str, str] = NOTHING,
) -> list[Verdict]:
    """Check everything that is expected of a take, in the order of the scene file.

    A take that did not come to its end gives one error more, for the scene. Where it is not compared with the snapshot,
    that only tells how the players' voices sound. ``heard`` is what a recogniser made of lines, by their ids; ``files``
    are hashes of the sound files that the scene plays, by their names in it.
    """
    verdicts = list(check_expectations(plan, take, measures, snapshot.voices() if snapshot else {}))
    if snapshot and compares:
        now = take_snapshot(take, measures, plan_json(plan), files)
        verdicts += compare_snapshot(snapshot, plan, take, measures, now)
    verdicts += check_recognition(plan, take, heard)
    if verdicts and take.ended != "complete":
        subject = VerdictSubject("scene", "", (), "expect")
        told = f"take {take.ended}: {take.problem}"
        verdicts.append(subject.verdict(locate(plan.locations), "ended", "complete", take.ended, "error", told))
    return sorted(verdicts, key=lambda verdict: (verdict.path != plan.path, verdict.path, verdict.line, verdict.column))


def as_json(verdicts: Sequence[Verdict], measures: TakeMetrics) -> str:
    """Write verdicts and everything that was measured, as the text of ``checks.json``."""
    facts = {
        "version": 1,
        "passed": sum(verdict.passed for verdict in verdicts),
        "failed": sum(verdict.outcome == "failed" for verdict in verdicts),
        "errors": sum(verdict.outcome == "error" for verdict in verdicts),
        "verdicts": [*map(asdict, verdicts)],
        "whole": asdict(measures.whole),
        "lines": {name: asdict(figures) for name, figures in measures.lines.items()},
    }
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
