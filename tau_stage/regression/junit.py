"""The results of a test as JUnit XML, which CI servers read: a suite for each scene, a case for each line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from tau_stage.regression.suite import OVER_BUDGET, Result, Row
from tau_stage.text import printable


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
        if result.broken:
            case = Xml.SubElement(suite, "testcase", classname=_text(result.id), name="the scene", time="0.000")
            broken = result.broken
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
        is_over = result.broken and result.broken.code == OVER_BUDGET
        why = "the test has stopped at its budget" if is_over else "the scene has parted from its cassette"
        Xml.SubElement(case, "skipped", message=f"not reached: {why}")
        return
    first = row.bad[0]
    case.set("file", _text(first.path))
    case.set("line", str(first.line))
    kind = "error" if row.state == "error" else "failure"
    shown = [verdict for verdict in row.bad if kind == "failure" or verdict.outcome == "error"]
    rate = [f"well in {row.passed} of {row.runs} performances, needed {row.needed}"] if row.runs > 1 else []
    message = shown[0].message + (f" (and {len(shown) - 1} more)" if len(shown) > 1 else "")
    _told(case, kind, shown[0].what, message, "\n".join([*rate, *map(str, row.bad)]))


def _told(case: Xml.Element, kind: str, what: str, message: str, text: str) -> None:
    told = Xml.SubElement(case, kind, type=_text(what), message=_text(message))
    told.text = _text(text)


def _text(text: str) -> str:
    """Return with marks for what XML cannot hold, and for what is not meant to be seen."""
    return printable(text)
