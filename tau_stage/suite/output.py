"""The results of a test, to be read: in a terminal, in a pipe, in pytest. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from shlex import quote
from typing import Literal
from xml.etree import ElementTree as Xml

from tau_stage.checks import Verdict
from tau_stage.errors import format_if
from tau_stage.report import Annotation, as_github
from tau_stage.suite.result import OVER_BUDGET, SAID_OF, CaseError, Result, Row, State, exit_code, total
from tau_stage.text import DiffPart, counted, diff_speech, has_changes, one_line, printable

Style = Literal["good", "bad", "quiet", "plain", "strong"]
Span = tuple[Style, str]
StyledLine = Sequence[Span]  # A line of text, in parts of one style each

SIGNS: Mapping[State, Span] = {
    "passed": ("good", "ok"),
    "failed": ("bad", "FAILED"),
    "error": ("bad", "ERROR"),
    "unchecked": ("quiet", "--"),
}
CHECKED = {"expect": "expectations", "snapshot": "snapshot", "cassette": "as recorded", "check": "recogniser"}
"""What verdicts come from, in words."""

MOST_SHOWN = 20
AROUND = 4  # words shown before and behind a difference

WIDEST = 100
UNMEASURED = "could not be measured: "


def render_result(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    """Write a scene, and what is not well with it; sources are lines by file, as far as they can be read."""
    sign = SIGNS[result.state]
    yield sign, ("strong", f" {result.id}"), ("quiet", f"  {_facts(result)}")
    if result.accepted:
        yield (("plain", f"  {result.accepted}"),)
    if result.error:
        first, *more = result.error.problem.splitlines() or [""]
        yield ("strong", f"  {result.error.place}: "), ("plain", first)
        yield from ((("plain", f"  {line}"),) for line in more)
    yield from ((("bad", "  strict: "), ("plain", missing)) for missing in result.lacks)
    yield from _failures(result, sources)
    yield from ((("quiet", f"  take: {take}"),) for take in result.takes)


def _rates(result: Result) -> Iterator[StyledLine]:
    for row in result.rows:
        if row.rate and row.passed < row.runs:
            style: Style = "quiet" if row.state == "passed" else "bad"
            yield (("plain", f"  {row.name}: "), (style, row.rate))


def _failures(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    """Write everything that is not as expected: where, what, and the line it is about."""
    for verdict in result.failures[:MOST_SHOWN]:
        yield from _failure(verdict, sources)
    if len(result.failures) > MOST_SHOWN:
        yield (("plain", f"  ... and {len(result.failures) - MOST_SHOWN} more"),)
    yield from _rates(result)
    if remedy := _remedy(result):
        yield (("quiet", f"  {remedy}"),)


def _failure(verdict: Verdict, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    error = format_if(UNMEASURED, verdict.outcome == "error")
    pieces = _diff(verdict)
    message = f"{verdict.of or 'the scene'}: {verdict.what.replace('_', ' ')}" if pieces else verdict.message
    place = f"  {verdict.path}:{verdict.line}:{verdict.column}: "
    yield (("strong", place), ("bad", error), ("plain", message))
    yield from _pointed(verdict, sources)
    if pieces:
        yield (("plain", f"    {'asked' if verdict.source == 'expect' else 'was'}: "), *pieces)


def _remedy(result: Result) -> str:
    """Say what to do where what was recorded or accepted is out of date."""
    if result.source == "cassette" and not result.lines and result.failures:
        tapes = f"{result.path.rpartition('/')[0]}/cassettes".removeprefix("/")
        record = f"tau-stage run {quote(result.path)} --record {quote(tapes)}"
        return f"if the scene is right, record it again: {record}"
    if result.takes and any(verdict.source == "snapshot" for verdict in result.failures):
        return f"if the take is right, accept it: tau-stage accept {quote(result.takes[-1])}"
    return ""


def _facts(result: Result) -> str:
    checks = format_if(" ({})", ", ".join(map(CHECKED.__getitem__, result.checks)))
    facts = {
        counted(result.lines, "line"): result.lines,
        counted(result.checked, "expectation"): result.checked,
        f"{len(result.failures)} not met": result.failures,
        "no expectations": result.state == "unchecked",
        SAID_OF[result.source] + checks: True,
        f"{result.took_s:.1f} s": result.source != "nothing",
    }
    return ", ".join(compress(facts, facts.values()))


def _pointed(verdict: Verdict, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    """Yield the scene's own line, and a caret."""
    text = sources.get(verdict.path, ())
    if not 1 <= verdict.line <= len(text):
        return
    shown = text[verdict.line - 1].replace("\t", " ").rstrip()
    start = max(0, verdict.column - WIDEST // 2) if len(shown) > WIDEST else 0
    yield (("plain", f"    {shown[start : start + WIDEST]}"),)
    yield (("bad", "    " + " " * (verdict.column - 1 - start) + "^"),)


def _diff(verdict: Verdict) -> StyledLine:
    """Write words that are others, among some of those that are not; nothing where no words are compared."""
    quoted = all(text[:1] == "“" and text[-1:] == "”" for text in (verdict.expected, verdict.measured))
    if not quoted or verdict.what not in ("said", "asked", "words", "recognised"):
        return ()
    pieces = diff_speech(verdict.expected[1:-1], verdict.measured[1:-1])
    if not has_changes(pieces):
        return ()
    last = len(pieces) - 1
    return tuple(_marked(piece, is_first=not number, is_last=number == last) for number, piece in enumerate(pieces))


def _marked(piece: DiffPart, *, is_first: bool, is_last: bool) -> Span:
    words = piece.words.strip()
    match piece.kind:
        case "gone":
            return "bad", f"[-{words}-] "
        case "new":
            return "good", f"{{+{words}+}} "
        case _:
            return "quiet", _short(words.split(), not is_first, not is_last) + " "


def _short(words: list[str], *around: bool) -> str:
    """Leave of some words what is next to a difference: before them, behind them, or both."""
    if len(words) <= 2 * AROUND:
        return " ".join(words)
    parts = (words[:AROUND], words[-AROUND:])
    return " … ".join(
        " ".join(part) if is_beside else "" for part, is_beside in zip(parts, around, strict=True)
    ).strip()


def plain_text(rows: Iterable[StyledLine]) -> str:
    """Write it without styles, and safe to show."""
    return printable("\n".join("".join(text for _, text in row).rstrip() for row in rows))


MOST_FAILURES, MOST_SCENES, WIDEST_CELL = 20, 30, 160
COUNTS = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
"""What JUnit counts, by the element that stands for it."""

KINDS: Mapping[State, str] = {"failed": "failure", "error": "error"}
"""JUnit's elements, by states that are not well."""

EMOJI = {"passed": "✅", "failed": "❌", "error": "⚠️", "unchecked": "➖"}


def as_annotations(results: Sequence[Result]) -> str:
    """Write a workflow command of GitHub for everything that is not well, at its line of the scene."""
    return as_github(finding for result in results for finding in _findings(result))


def _findings(result: Result) -> Iterator[Annotation]:
    if result.error:
        yield Annotation(result.error.path, result.error.line, result.error.column, "error", result.error.problem)
    for missing in result.lacks:
        yield Annotation(result.path, 1, 1, "error", missing)
    for verdict in result.failures:
        told = format_if(UNMEASURED, verdict.outcome == "error") + verdict.message + format_if(" ({})", result.variant)
        yield Annotation(verdict.path, verdict.line, verdict.column, "error", told)


NOTHING: Mapping[str, str] = {}


def as_markdown(results: Sequence[Result], left_out: Mapping[str, str] = NOTHING) -> str:
    """Write a page to read: what is not well, then all scenes, and what was left out; never more than GitHub takes."""
    found = [(result, finding) for result in results for finding in _findings(result)]
    order = sorted(results, key=lambda result: ("error", "failed", "unchecked", "passed").index(result.state))
    failures = [
        f"| {EMOJI.get(result.state, EMOJI['failed'])} `{_cell(each.path)}:{each.line}` | {_cell(each.problem)} |"
        for result, each in found[:MOST_FAILURES]
    ]
    scenes = map(_scene_row, order[:MOST_SCENES])
    parts = [f"### tau-stage test: {total(results)}", ""]
    if failures:
        parts += ["| where | what |", "|---|---|", *failures, *_more(len(found) - MOST_FAILURES, "."), ""]
    parts += ["| scene | lines | expectations | not met | played |", "|---|--:|--:|--:|---|", *scenes]
    if all(result.state in ("passed", "unchecked") for result in order[MOST_SCENES:]):
        parts += _more(len(order) - MOST_SCENES, ", all passed or with nothing to check.")
    if left_out:
        parts += ["", *_left_out(left_out), *_more(len(left_out) - MOST_FAILURES, ".")]
    return "\n".join(parts) + "\n"


def _scene_row(result: Result) -> str:
    played = f"{SAID_OF[result.source]}, {result.took_s:.1f} s"
    counts = f"{result.lines} | {result.checked} | {len(result.failures)}"
    return f"| {EMOJI[result.state]} {_cell(result.id)} | {counts} | {played} |"


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    shown = list(reasons.items())[:MOST_FAILURES]
    return [f"- skipped {_cell(path)}: {_cell(reason)}" for path, reason in shown]


def _more(left: int, told: str) -> list[str]:
    return ["", f"... and {left} more{told}"] if left > 0 else []


def _cell(text: str) -> str:
    """Make a text stay in its cell of a table."""
    line = one_line(text)
    line = line if len(line) <= WIDEST_CELL else line[: WIDEST_CELL - 1] + "…"
    return re.sub(r"[\\`|<*_[]", r"\\\g<0>", line)


def as_json(results: Sequence[Result], left_out: Mapping[str, str] = NOTHING) -> str:
    """Write everything, for programs; ``left_out`` tells why files were not tested."""
    states = {state: sum(result.state == state for result in results) for state in EMOJI}
    facts = {"version": 1, "exit_code": exit_code(results), **states, "scenes": [r.as_data() for r in results]}
    facts["left_out"] = dict(left_out)
    return json.dumps(facts, ensure_ascii=False, indent=2) + "\n"


def as_junit(results: Sequence[Result], left_out: Mapping[str, str] = NOTHING) -> str:
    """Return the text of the file; what was left out is a suite that was skipped.

    A case's time is the length of the line's sound; a suite's, how long the test took.
    """
    top = Xml.Element("testsuites", name="tau-stage")
    for result in results:
        _suite(top, result)
    for path, reason in left_out.items():
        _suite(top, Result(path), f"skipped: {reason}")
    for kind in COUNTS:
        top.set(kind, str(sum(int(suite.get(kind, "0")) for suite in top)))
    top.set("time", f"{sum(result.took_s for result in results):.3f}")
    Xml.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(top, encoding="unicode") + "\n"


def _suite(top: Xml.Element, result: Result, skipped: str = "no expectations") -> None:
    suite = Xml.SubElement(top, "testsuite", name=printable(result.id), file=printable(result.path))
    for row in result.rows:
        _row(_case(suite, result, row.name, row.length_s), result, row)
    for missing in result.lacks:
        _told(_case(suite, result), "failure", "strict", missing, missing)
    if result.error:
        case, problem = _case(suite, result), f"{result.error.place}: {result.error.problem}"
        _told(case, "error", "broken", problem, problem)
        _place(case, result.error)
    elif len(suite) == 0:
        Xml.SubElement(_case(suite, result), "skipped", message=printable(skipped))
    for kind, tag in COUNTS.items():
        suite.set(kind, str(sum(1 for _ in suite.iter(tag))))
    suite.set("time", f"{result.took_s:.3f}")


def _case(suite: Xml.Element, result: Result, name: str = "the scene", length_s: float = 0.0) -> Xml.Element:
    facts = {"classname": printable(result.id), "name": printable(name), "time": f"{length_s:.3f}"}
    return Xml.SubElement(suite, "testcase", facts)


def _row(case: Xml.Element, result: Result, row: Row) -> None:
    if row.state == "unreached":
        is_over = result.error and result.error.code == OVER_BUDGET
        why = "the test stopped at its budget" if is_over else "the scene differs from its cassette"
        Xml.SubElement(case, "skipped", message=f"not performed: {why}")
    elif row.state in KINDS:
        first, *others = (verdict for verdict in row.failures if verdict.outcome == row.state)
        more = format_if(" (and {} more)", len(others))
        _place(case, row.failures[0])
        text = "\n".join(filter(None, [row.rate, *map(str, row.failures)]))
        _told(case, KINDS[row.state], first.what, first.message + more, text)


def _place(case: Xml.Element, place: Verdict | CaseError) -> None:
    case.set("file", printable(place.path))
    case.set("line", str(place.line))


def _told(case: Xml.Element, kind: str, what: str, message: str, text: str) -> None:
    told = Xml.SubElement(case, kind, type=printable(what), message=printable(message))
    told.text = printable(text)
