"""The results of a test, to be read: in a terminal, in a pipe, in pytest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Literal

from tau_stage.regression.suite import SAID_OF, Result, State
from tau_stage.regression.verdict import Verdict
from tau_stage.report.differ import differ, differs
from tau_stage.text import printable

Style = Literal["good", "bad", "quiet", "plain", "strong"]
Span = tuple[Style, str]
Row = Sequence[Span]
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


def told(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Write a scene, and what is not well with it.

    Args:
        result: Of the scene.
        sources: Lines of text by file, as far as they can be read.
    """
    sign = SIGNS[result.state]
    yield sign, ("strong", f" {result.id}"), ("quiet", f"  {_facts(result)}")
    if result.blessed:
        yield (("plain", f"  {result.blessed}"),)
    if result.broken:
        first, *more = result.broken.problem.splitlines() or [""]
        yield ("strong", f"  {result.broken.path}:{result.broken.line}:{result.broken.column}: "), ("plain", first)
        yield from ((("plain", f"  {line}"),) for line in more)
    yield from ((("bad", "  strict: "), ("plain", missing)) for missing in result.lacks)
    yield from details(result, sources)
    yield from ((("quiet", f"  take: {take}"),) for take in result.takes)


def details(result: Result, sources: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Write everything that is not as expected: where, what, and the line it is about."""
    for verdict in result.bad[:MOST_SHOWN]:
        error: Row = (("bad", "could not be measured: "),) if verdict.outcome == "error" else ()
        place: Span = ("strong", f"  {verdict.path}:{verdict.line}:{verdict.column}: ")
        pieces = _diff(verdict)
        message = f"{verdict.of or 'the scene'}: {verdict.what.replace('_', ' ')}" if pieces else verdict.message
        yield (place, *error, ("plain", message))
        yield from _pointed(verdict, sources)
        if pieces:
            yield (("plain", f"    {'asked' if verdict.source == 'expect' else 'was'}: "), *pieces)
    if len(result.bad) > MOST_SHOWN:
        yield (("plain", f"  ... and {len(result.bad) - MOST_SHOWN} more"),)
    for row in result.rows:
        if row.runs > 1 and row.passed < row.runs:
            style: Style = "quiet" if row.state == "passed" else "bad"
            yield (("plain", f"  {row.name}: "), (style, f"well in {row.passed} of {row.runs}, needed {row.needed}"))
    if result.source == "cassette" and not result.lines and result.bad:
        remedy = f"tau-stage run {quote(result.path)} --record {quote(_tapes(result.path))}"
        yield (("quiet", f"  if the scene is right, record it again: {remedy}"),)
    elif result.takes and any(verdict.source == "snapshot" for verdict in result.bad):
        yield (("quiet", f"  if the take is right, bless it: tau-stage bless {quote(result.takes[-1])}"),)


def _tapes(path: str) -> str:
    return f"{path.rpartition('/')[0]}/cassettes".removeprefix("/")


def _facts(result: Result) -> str:
    bad = len(result.bad)
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


def _pointed(verdict: Verdict, sources: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Yield the scene's own line, and a caret."""
    text = sources.get(verdict.path, ())
    if not 1 <= verdict.line <= len(text):
        return
    shown = text[verdict.line - 1].replace("\t", " ").rstrip()
    start = max(0, verdict.column - WIDEST // 2) if len(shown) > WIDEST else 0
    yield (("plain", f"    {shown[start : start + WIDEST]}"),)
    yield (("bad", "    " + " " * (verdict.column - 1 - start) + "^"),)


def _diff(verdict: Verdict) -> Row:
    """Write words that are others, among some of those that are not; nothing where no words are compared."""
    quoted = all(text[:1] == "“" and text[-1:] == "”" for text in (verdict.expected, verdict.measured))
    if not quoted or verdict.what not in ("said", "asked", "words", "recognised"):
        return ()
    pieces = differ(verdict.expected[1:-1], verdict.measured[1:-1])
    if not differs(pieces):
        return ()
    spans: list[Span] = []
    for number, piece in enumerate(pieces):
        words = piece.words.strip()
        if piece.kind in ("same", "moment"):
            spans.append(("quiet", _short(words, first=number == 0, last=number == len(pieces) - 1) + " "))
        else:
            spans.append(("bad", f"[-{words}-] ") if piece.kind == "del" else ("good", f"{{+{words}+}} "))
    return tuple(spans)


def _short(text: str, *, first: bool, last: bool) -> str:
    words = text.split()
    if len(words) <= 2 * AROUND:
        return text
    head, tail = " ".join(words[:AROUND]), " ".join(words[-AROUND:])
    return f"… {tail}" if first else f"{head} …" if last else f"{head} … {tail}"


def plain(rows: Iterable[Row]) -> str:
    """Write it without styles, and safe to show."""
    return printable("\n".join("".join(text for _, text in row).rstrip() for row in rows))
