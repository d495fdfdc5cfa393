"""A comparison as tables, and as one page that needs nothing else, on which both lines face each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tau_stage.audio import FULL_SCALE
from tau_stage.cost import less
from tau_stage.report.compare import Comparison, LinePair, Total, is_reused
from tau_stage.report.page import templates
from tau_stage.report.page_graphics import PageSound
from tau_stage.report.tables import UNKNOWN, TextReport, TextTable, figure, median_ms, money
from tau_stage.take import outdated_lines
from tau_stage.text import DiffPart, has_changes, one_line

WIDTH = 100  # columns of plain text
MOST_SHOWN = 5  # lines that are named as worth a look; the others are in the table anyway

Row = tuple[str, ...]
MARKS = {"gone": ("[-", "-]"), "new": ("{+", "+}")}
STYLES = {"gone": "red strike", "new": "green"}


def tabulate_comparison(comparison: Comparison) -> TextReport:
    """Tell what differs between two takes."""
    changed = [
        (f"{pair.id} {what}", parts)
        for pair in comparison.pairs
        for what, parts in (("asked", pair.asked), ("said", pair.said))
        if has_changes(parts)
    ]
    notes = [ChangedWords(changed)] if changed else []
    return TextReport(tuple(_heading(comparison)), tuple(_tables(comparison)), notes, WIDTH)


@dataclass(frozen=True, slots=True)
class ChangedWords:
    """Words that changed, each after the name of its line, among those that did not."""

    lines: Sequence[tuple[str, Sequence[DiffPart]]]

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """Mark what is gone and what is new: by signs in plain text, and by colours."""
        if not console.no_color:
            for name, parts in self.lines:
                words = (each for part in parts for each in (" ", (one_line(part.words), STYLES.get(part.kind, ""))))
                yield Text.assemble((f"{one_line(name)}:", "bold"), *words)
            return
        yield "words: [-only in A-] {+only in B+}"
        for name, parts in self.lines:
            marked = " ".join(part.words.join(MARKS.get(part.kind, ("", ""))) for part in parts)
            for line in wrap(one_line(f"{name}: {marked}"), WIDTH, subsequent_indent="  ", break_on_hyphens=False):
                yield Text(line)


def _heading(comparison: Comparison) -> Iterator[str]:
    """Yield which takes they are, how much differs, and which lines had heard an older take of others."""
    for name, take in comparison.sides:
        why = f": {take.problem}" if take.problem else ""
        yield f"{name}: {take.scene.title}, {take.started}, {take.ended}{why}"
    count, lines = len(comparison.worth_a_look), len(comparison.pairs)
    summary = f"{count} of {lines} lines differ" if count else f"none of {lines} lines differs"
    reused = sum(bool(pair.a and pair.b and is_reused(pair.a, pair.b)) for pair in comparison.pairs)
    yield summary + (f"; {reused} were taken over" if reused else "")
    for name, take in comparison.sides:
        for others, hearers in outdated_lines(take.lines).items():
            yield f"{name}: heard an older take of {', '.join(others)}: {', '.join(hearers)}"


def _tables(comparison: Comparison) -> Iterator[TextTable]:
    totals = [(total.name, *total_cells(total)) for total in comparison.totals]
    yield TextTable(("", "A", "B", "B - A"), totals, widths=(30,), title="in all")
    if comparison.changes:
        changes = [(change.of, change.what, shorten(change.a), shorten(change.b)) for change in comparison.changes]
        yield TextTable(("of", "what", "A", "B"), changes, range(4), widths=(20, 12, 31), title="changed")
    if looks := [(pair.id, pair.told) for pair in comparison.worth_a_look[:MOST_SHOWN]]:
        yield TextTable(("line", "what differs"), looks, {0, 1}, widths=(26,), title="worth a look first")
    if comparison.pairs:
        columns = ("line", "seconds A", "seconds B", "dB", "first audio", "cost", "differs in")
        yield TextTable(columns, [*map(_line_row, comparison.pairs)], {0, 6}, widths=(26,), title="lines")


def total_cells(total: Total) -> tuple[str, str, str]:
    """Write a total of both takes, and the second less the first."""
    a, b = _figure(total.unit, total.a), _figure(total.unit, total.b)
    if total.a is None or total.b is None:
        return a, b, "-"
    change = Decimal(total.b) - Decimal(total.a)
    size = _figure(total.unit, abs(change))
    return a, b, size if size == _figure(total.unit, 0) else f"{'+' if change > 0 else '-'}{size}"


def _figure(unit: str, value: float | Decimal | None) -> str:
    forms = {"s": "{:.1f} s", "ms": "{:.0f} ms", "$": "${:.4f}"}
    return figure(value, forms.get(unit, "{:.0f}"), UNKNOWN if unit == "$" else "-")


def _line_row(pair: LinePair) -> Row:
    a, b = pair.a, pair.b
    spoken = (f"{line.duration_s:.1f}" if line else "-" for line in (a, b))
    loud = figure(pair.louder, "{:+z.1f}")
    if a is None or b is None:
        return (pair.id, *spoken, loud, "-", "-", pair.told)
    later = median_ms([less(b.first_audio_s, a.first_audio_s)])
    paid = Decimal(0) if a.former or b.former else less(b.cost.total, a.cost.total)
    differs = ", ".join(dict.fromkeys(difference.what for difference in pair.differences))
    changed = (figure(later, "{:+z.0f} ms"), figure(paid, "{:+z.4f}", UNKNOWN))
    return (pair.id, *spoken, loud, *changed, differs or "-")


def shorten(text: str) -> str:
    """Shorten a fact of a take; of a hash, leave enough to tell it from another.

    >>> shorten("0123456789abcdef" * 4), shorten("marin"), shorten("")
    ('0123456789ab', 'marin', '-')
    """
    is_hash = len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)
    return text[:12] if is_hash else text or "-"


# ---- the page


def render_comparison(
    comparison: Comparison,
    sounds: tuple[Mapping[str, PageSound], Mapping[str, PageSound]] = ({}, {}),
    notes: Sequence[str] = (),
) -> str:
    """Write the page, with the sounds of each take by line, and notes such as that a sound is missing.

    Every text of the takes is escaped.
    """
    words = {"figures": total_cells, "short": shorten, "money": money, "FULL_SCALE": FULL_SCALE}
    places = {pair.id: number for number, pair in enumerate(comparison.pairs, 1)}
    template = templates().get_template("compare.html", globals=words)
    return template.render(comparison=comparison, sounds=sounds, notes=notes, places=places)
