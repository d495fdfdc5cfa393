"""The results of a test, to be read: in a terminal, in a pipe, in pytest. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Literal
from xml.etree import ElementTree as Xml

from tau_stage.checks.verdict import Verdict
from tau_stage.report.annotations import Annotation, as_github
from tau_stage.suite.result import OVER_BUDGET, SAID_OF, Result, Row, State, exit_code, total
from tau_stage.text import diff_speech, has_changes, one_line, printable

Style = Literal["good", "bad", "quiet", "plain", "strong"]
Span = tuple[Style, str]
StyledLine = Sequence[Span]
"""A line of text, in parts of one style each."""

SIGNS: Mapping[State, Span] = {
    "passed": ("good", "ok"),
    "failed": ("bad", "FAILED"),
    "error": ("bad", "ERROR"),
    "unchecked": ("quiet", "--"),
}
CHECKED = {"expect": "expectations", "snapshot": "snapshot", "cassette": "as recorded", "check": "recogniser"}
"""What verdicts come from, in words."""

MOST_SHOWN = 20
AROUND = 4
"""Words shown before and behind a difference."""

WIDEST = 100


def render_result(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    """Write a scene, and what is not well with it.

    Args:
        result: Of the scene.
        sources: Lines of text by file, as far as they can be read.
    """
    sign = SIGNS[result.state]
    yield sign, ("strong", f" {result.id}"), ("quiet", f"  {_facts(result)}")
    if result.accepted:
        yield (("plain", f"  {result.accepted}"),)
    if result.error:
        first, *more = result.error.problem.splitlines() or [""]
        yield ("strong", f"  {result.error.path}:{result.error.line}:{result.error.column}: "), ("plain", first)
        yield from ((("plain", f"  {line}"),) for line in more)
    yield from ((("bad", "  strict: "), ("plain", missing)) for missing in result.lacks)
    yield from render_failures(result, sources)
    yield from ((("quiet", f"  take: {take}"),) for take in result.takes)


def render_failures(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[StyledLine]:
    """Write everything that is not as expected: where, what, and the line it is about."""
    for verdict in result.failures[:MOST_SHOWN]:
        error: StyledLine = (("bad", "could not be measured: "),) if verdict.outcome == "error" else ()
        place: Span = ("strong", f"  {verdict.path}:{verdict.line}:{verdict.column}: ")
        pieces = _diff(verdict)
        message = f"{verdict.of or 'the scene'}: {verdict.what.replace('_', ' ')}" if pieces else verdict.message
        yield (place, *error, ("plain", message))
        yield from _pointed(verdict, sources)
        if pieces:
            yield (("plain", f"    {'asked' if verdict.source == 'expect' else 'was'}: "), *pieces)
    if len(result.failures) > MOST_SHOWN:
        yield (("plain", f"  ... and {len(result.failures) - MOST_SHOWN} more"),)
    for row in result.rows:
        if row.runs > 1 and row.passed < row.runs:
            style: Style = "quiet" if row.state == "passed" else "bad"
            yield (("plain", f"  {row.name}: "), (style, f"well in {row.passed} of {row.runs}, needed {row.needed}"))
    if result.source == "cassette" and not result.lines and result.failures:
        remedy = f"tau-stage run {quote(result.path)} --record {quote(_tapes(result.path))}"
        yield (("quiet", f"  if the scene is right, record it again: {remedy}"),)
    elif result.takes and any(verdict.source == "snapshot" for verdict in result.failures):
        yield (("quiet", f"  if the take is right, accept it: tau-stage accept {quote(result.takes[-1])}"),)


def _tapes(path: str) -> str:
    return f"{path.rpartition('/')[0]}/cassettes".removeprefix("/")


def _facts(result: Result) -> str:
    bad = len(result.failures)
    facts = [
        *([_counted(result.lines, "line")] if result.lines else []),
        *([_counted(result.checked, "expectation")] if result.checked else []),
        *([f"{bad} not met"] if bad else []),
        *(["nothing is expected of it"] if result.state == "unchecked" else []),
        SAID_OF[result.source] + (f" ({', '.join(CHECKED[each] for each in result.checks)})" if result.checks else ""),
        *([f"{result.took_s:.1f} s"] if result.source != "nothing" else []),
    ]
    return ", ".join(facts)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
    spans: list[Span] = []
    for number, piece in enumerate(pieces):
        words = piece.words.strip()
        if piece.kind in ("same", "moment"):
            spans.append(("quiet", _short(words, first=number == 0, last=number == len(pieces) - 1) + " "))
        else:
            spans.append(("bad", f"[-{words}-] ") if piece.kind == "gone" else ("good", f"{{+{words}+}} "))
    return tuple(spans)


def _short(text: str, *, first: bool, last: bool) -> str:
    words = text.split()
    if len(words) <= 2 * AROUND:
        return text
    head, tail = " ".join(words[:AROUND]), " ".join(words[-AROUND:])
    return f"… {tail}" if first else f"{head} …" if last else f"{head} … {tail}"


def plain_text(rows: Iterable[StyledLine]) -> str:
    """Write it without styles, and safe to show."""
    return printable("\n".join("".join(text for _, text in row).rstrip() for row in rows))


MOST_FAILURES, MOST_SCENES, WIDEST_CELL = 20, 30, 160
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
        told = f"{verdict.message} ({result.variant})" if result.variant else verdict.message
        told = f"could not be measured: {told}" if verdict.outcome == "error" else told
        yield Annotation(verdict.path, verdict.line, verdict.column, "error", told)


def as_markdown(results: Sequence[Result]) -> str:
    """Write a page to read: what is not well first, then all scenes; never more than GitHub takes."""
    parts = [f"### tau-stage test: {total(results)}", ""]
    found = [(result, finding) for result in results for finding in _findings(result)]
    if found:
        parts += ["| where | what |", "|---|---|"]
        for result, finding in found[:MOST_FAILURES]:
            sign = EMOJI["error" if result.state == "error" else "failed"]
            parts.append(f"| {sign} `{_cell(finding.path)}:{finding.line}` | {_cell(finding.problem)} |")
        parts += ["", f"... and {len(found) - MOST_FAILURES} more."] if len(found) > MOST_FAILURES else []
        parts.append("")
    order = sorted(results, key=lambda result: ("error", "failed", "unchecked", "passed").index(result.state))
    parts += ["| scene | lines | expectations | not met | played |", "|---|--:|--:|--:|---|"]
    for result in order[:MOST_SCENES]:
        bad = len(result.failures)
        parts.append(
            f"| {EMOJI[result.state]} {_cell(result.id)} | {result.lines} | {result.checked} | {bad} "
            f"| {SAID_OF[result.source]}, {result.took_s:.1f} s |"
        )
    parts += ["", f"... and {len(order) - MOST_SCENES} more, all of them well or with nothing to check."] * (
        len(order) > MOST_SCENES and all(result.state in ("passed", "unchecked") for result in order[MOST_SCENES:])
    )
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Make a text stay in its cell of a table."""
    line = one_line(text)
    line = line if len(line) <= WIDEST_CELL else line[: WIDEST_CELL - 1] + "…"
    for sign in "\\`|<*_[":
        line = line.replace(sign, f"\\{sign}")
    return line


def as_json(results: Sequence[Result]) -> str:
    """Write everything, for programs."""
    states = {state: sum(result.state == state for result in results) for state in EMOJI}
    facts = {"version": 1, "exit_code": exit_code(results), **states, "scenes": [r.as_data() for r in results]}
    return json.dumps(facts, ensure_ascii=False, indent=2) + "\n"


def as_junit(results: Sequence[Result]) -> str:
    """Return the text of the file.

    A case's time is the length of the line's sound; a suite's, how long the test took.
    """
    top = Xml.Element("testsuites", name="tau-stage")
    for result in results:
        suite = Xml.SubElement(top, "testsuite", name=_text(result.id), file=_text(result.path))
        for row in result.rows:
            _case(suite, result, row)
        for missing in result.lacks:
            case = Xml.SubElement(suite, "testcase", classname=_text(result.id), name="the scene", time="0.000")
            _told(case, "failure", "strict", missing, missing)
        if result.error:
            case = Xml.SubElement(suite, "testcase", classname=_text(result.id), name="the scene", time="0.000")
            broken = result.error
            problem = f"{broken.path}:{broken.line}:{broken.column}: {broken.problem}"
            _told(case, "error", "broken", problem, problem)
            case.set("file", _text(broken.path))
            case.set("line", str(broken.line))
        elif not result.rows and not result.lacks:
            case = Xml.SubElement(suite, "testcase", classname=_text(result.id), name="the scene", time="0.000")
            Xml.SubElement(case, "skipped", message="nothing is expected of it")
        for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(kind, str(sum(1 for _ in suite.iter(tag))))
        suite.set("time", f"{result.took_s:.3f}")
    for kind in ("tests", "failures", "errors", "skipped"):
        top.set(kind, str(sum(int(suite.get(kind, "0")) for suite in top)))
    top.set("time", f"{sum(result.took_s for result in results):.3f}")
    Xml.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(top, encoding="unicode") + "\n"


def _case(suite: Xml.Element, result: Result, row: Row) -> None:
    facts = {"classname": result.id, "name": row.name, "time": f"{row.length_s:.3f}"}
    case = Xml.SubElement(suite, "testcase", {key: _text(value) for key, value in facts.items()})
    if row.state == "passed":
        return
    if row.state == "unreached":
        is_over = result.error and result.error.code == OVER_BUDGET
        why = "the test has stopped at its budget" if is_over else "the scene has parted from its cassette"
        Xml.SubElement(case, "skipped", message=f"not reached: {why}")
        return
    first = row.failures[0]
    case.set("file", _text(first.path))
    case.set("line", str(first.line))
    kind = "error" if row.state == "error" else "failure"
    shown = [verdict for verdict in row.failures if kind == "failure" or verdict.outcome == "error"]
    rate = [f"well in {row.passed} of {row.runs} performances, needed {row.needed}"] if row.runs > 1 else []
    message = shown[0].message + (f" (and {len(shown) - 1} more)" if len(shown) > 1 else "")
    _told(case, kind, shown[0].what, message, "\n".join([*rate, *map(str, row.failures)]))


def _told(case: Xml.Element, kind: str, what: str, message: str, text: str) -> None:
    told = Xml.SubElement(case, kind, type=_text(what), message=_text(message))
    told.text = _text(text)


def _text(text: str) -> str:
    """Return with marks for what XML cannot hold, and for what is not meant to be seen."""
    return printable(text)
