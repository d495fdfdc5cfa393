"""Two takes side by side: what differs, line by line and in all, and what to look at first; as tables and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from textwrap import wrap
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tau_stage.audio import FULL_SCALE
from tau_stage.cost import less, total_of
from tau_stage.report.page import templates
from tau_stage.report.page_graphics import PageSound
from tau_stage.report.tables import UNKNOWN, TextReport, TextTable, figure, median_ms, money
from tau_stage.take import Performed, Playing, Take, heard_by, outdated_lines
from tau_stage.text import DiffPart, closeness, diff_words, has_changes, one_line

SECONDS, DECIBEL, FIRST_AUDIO_S, SHARE_OF_COST, DOLLARS = 0.1, 1.0, 0.2, Decimal("0.1"), Decimal("0.0001")
"""What is less than this nobody notices."""

Loudness = Mapping[str, float]
"""RMS level in dBFS, by the id of the line; a line that is not in it has no sound that could be measured."""


class LineDifference(NamedTuple):
    """One thing that differs between two performances of a line, told from the second take's side.

    ``weight`` is how much it matters; a line that is missing is 100.
    """

    what: str
    told: str
    weight: float


MOVED = LineDifference("place", "moved", 15.0)


@dataclass(frozen=True, slots=True)
class LinePair:
    """A line as both takes have it, or the one that has it; levels are in dBFS, and what differs most comes first."""

    id: str
    a: Performed | None
    b: Performed | None
    loudness_a: float | None
    loudness_b: float | None
    differences: tuple[LineDifference, ...]

    @property
    def player(self) -> str:
        """Who speaks it, as far as the newer take knows."""
        return str(getattr(self.b or self.a, "player", ""))

    @property
    def louder(self) -> float | None:
        """By how many dB the second is louder, where both levels are known."""
        return less(self.loudness_b, self.loudness_a)

    @property
    def told(self) -> str:
        """What differs, in words."""
        return "; ".join(difference.told for difference in self.differences)

    @property
    def weight(self) -> float:
        """How much it differs."""
        return sum(difference.weight for difference in self.differences)

    @property
    def asked(self) -> tuple[DiffPart, ...]:
        """What became of the words of the scene."""
        return self._diff("asked")

    @property
    def said(self) -> tuple[DiffPart, ...]:
        """What became of the words that were spoken."""
        return self._diff("said")

    def _diff(self, words: str) -> tuple[DiffPart, ...]:
        return diff_words(getattr(self.a, words, ""), getattr(self.b, words, ""))


class Change(NamedTuple):
    """Something else that differs: of a player, or of the whole. Empty where one of them has nothing such."""

    of: str
    what: str
    a: str
    b: str


class Total(NamedTuple):
    """One figure of both takes; None where it is not known."""

    name: str
    unit: str
    a: float | Decimal | None
    b: float | Decimal | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two takes side by side: lines stand as in the first take, and those of the second alone where it has them."""

    a: Take
    b: Take
    pairs: tuple[LinePair, ...]
    changes: tuple[Change, ...]
    totals: tuple[Total, ...]

    @property
    def sides(self) -> tuple[tuple[str, Take], tuple[str, Take]]:
        """Both takes with their letters."""
        return ("A", self.a), ("B", self.b)

    @property
    def worth_a_look(self) -> tuple[LinePair, ...]:
        """The lines that differ, those that differ most first."""
        return tuple(sorted((pair for pair in self.pairs if pair.differences), key=lambda pair: -pair.weight))


def compare_takes(a: Take, b: Take, loudness: tuple[Loudness, Loudness] = ({}, {})) -> Comparison:
    """Put two takes side by side, usually the older first; lines are paired by their ids."""
    lines_a, lines_b = _by_id(a), _by_id(b)
    pairs = []
    for name, moved in _order(list(lines_a), list(lines_b)):
        lines, levels = (lines_a.get(name), lines_b.get(name)), (loudness[0].get(name), loudness[1].get(name))
        found = sorted(_differences(*lines, less(levels[1], levels[0]), moved=moved), key=lambda each: -each.weight)
        pairs.append(LinePair(name, *lines, *levels, tuple(found)))
    return Comparison(a, b, tuple(pairs), tuple(_changes(a, b)), tuple(_totals(a, b)))


def _by_id(take: Take) -> dict[str, Performed]:
    return {line.id: line for line in take.lines}


def _order(a: list[str], b: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield all ids, each once, and whether it stands moved in the second."""
    both = set(a) & set(b)
    for kind, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield from ((name, kind != "equal" and name in both) for name in a[a_from:a_to])
        yield from ((name, False) for name in b[b_from:b_to] if name not in both)


# ---- what differs in a line


def is_reused(a: Performed, b: Performed) -> bool:
    """Tell whether a line is one performance in both takes: neither its sound nor its money is another."""
    is_same = (a.sha256, a.said, a.response, a.ended) == (b.sha256, b.said, b.response, b.ended)
    return (a.former or b.former) and is_same


def _differences(
    a: Performed | None, b: Performed | None, louder: float | None, *, moved: bool
) -> Iterator[LineDifference]:
    """Yield all that differs between two performances of a line; None is that of a take that lacks it."""
    if a is None or b is None:
        yield LineDifference("only", "only in B" if a is None else "only in A", 100.0)
        return
    if moved:
        yield MOVED
    if is_reused(a, b):
        return
    yield from _course(a, b)
    yield from _words(a, b)
    yield from _sound(a, b, louder or 0.0)
    if not (a.former or b.former):  # a line that was taken over, with another take picked: nothing was paid for it
        yield from _cost(a, b)


def _facts(line: Performed) -> dict[str, tuple[str, str, float]]:
    """Return what of a line either is as it was or not, how that is told, and how much it matters."""
    why = line.problem or line.reason
    return {
        "ended": (line.ended + (f" ({why})" if why else ""), "{}", 80.0),
        "player": (line.player, "spoken by {}", 60.0),
        "hearers": (", ".join(heard_by(line.hearers)) or "nobody", "heard by {}", 30.0),
        "calls": (f"{len(line.calls)}", "tool calls: {}", 20.0),
        "direction": (line.direction or "none", "direction {}", 10.0),
    }


def _course(a: Performed, b: Performed) -> Iterator[LineDifference]:
    before, now = _facts(a), _facts(b)
    for what, (is_now, told, weight) in now.items():
        was = before[what][0]
        if was != is_now:
            yield LineDifference(what, f"{told.format(is_now)}, was {was}", weight)
    if a.attempts != b.attempts:
        weight = 10.0 * abs(b.attempts - a.attempts)
        yield LineDifference("attempts", f"attempts: {b.attempts}, was {a.attempts}", weight)


def _words(a: Performed, b: Performed) -> Iterator[LineDifference]:
    if a.said != b.said:
        alike = closeness(a.said, b.said)
        told = "same words, different spelling" if alike == 1.0 else f"words {100 * alike:.0f}% similar"
        yield LineDifference("said", told, 1.0 + 50.0 * (1.0 - alike))
    if a.asked != b.asked:
        yield LineDifference("asked", "different words in the scene", 1.0 + 25.0 * (1.0 - closeness(a.asked, b.asked)))


def _sound(a: Performed, b: Performed, louder: float) -> Iterator[LineDifference]:
    longer = b.duration_s - a.duration_s
    longest = max(a.duration_s, b.duration_s, SECONDS)
    later = less(b.first_audio_s, a.first_audio_s) or 0.0
    changes = (
        ("seconds", longer, SECONDS, f"{abs(longer):.1f} s", ("longer", "shorter"), 20.0 / longest, 20.0),
        ("loudness", louder, DECIBEL, f"{abs(louder):.1f} dB", ("louder", "softer"), 3.0, 30.0),
        ("first audio", later, FIRST_AUDIO_S, f"{1000 * abs(later):.0f} ms", ("later", "sooner"), 5.0, 10.0),
    )
    for what, change, least, size, ways, weight, most in changes:
        if abs(change) >= least:
            yield LineDifference(what, f"{size} {ways[change < 0]}", min(most, weight * abs(change)))


def _cost(a: Performed, b: Performed) -> Iterator[LineDifference]:
    paid_a, paid_b = a.cost.total, b.cost.total
    if paid_a is None or paid_b is None:
        if paid_a != paid_b:
            yield LineDifference("cost", f"cost unknown in {'A' if paid_a is None else 'B'}", 5.0)
        return
    dearer, most = paid_b - paid_a, max(paid_a, paid_b)
    if abs(dearer) >= max(DOLLARS, most * SHARE_OF_COST):
        told = f"${abs(dearer):.4f} {('more expensive', 'cheaper')[dearer < 0]}"
        yield LineDifference("cost", told, 10.0 * float(abs(dearer) / most))


# ---- what else differs


def _changes(a: Take, b: Take) -> Iterator[Change]:
    yield from _changed_facts("scene", a.scene.model_dump(), b.scene.model_dump())
    facts = {"tau_stage", "provider", "spent", "ended", "problem"}
    yield from _changed_facts("take", a.model_dump(include=facts), b.model_dump(include=facts))
    players_a, players_b = ({player.name: player for player in take.players} for take in (a, b))
    for name in dict.fromkeys([*players_a, *players_b]):
        yield from _changed_facts(name, _casting(players_a.get(name)), _casting(players_b.get(name)))


def _casting(player: Playing | None) -> dict[str, object]:
    fields = {"human", "voice", "model", "endpoint", "status"}
    return player.model_dump(include=fields) if player else {"player": None}


def _changed_facts(of: str, a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[Change]:
    for name in dict.fromkeys([*a, *b]):
        one, other = ("" if facts.get(name) is None else str(facts[name]) for facts in (a, b))
        if one != other:
            yield Change(of, name.replace("_", "-"), one, other)


def _totals(a: Take, b: Take) -> Iterator[Total]:
    yield Total("lines", "", len(a.lines), len(b.lines))
    yield Total("length", "s", a.duration_s, b.duration_s)
    yield Total("spoken", "s", *(sum(line.duration_s for line in take.lines) for take in (a, b)))
    yield Total("first audio, median", "ms", *(median_ms(line.first_audio_s for line in take.lines) for take in (a, b)))
    marks = "".join(f", ~ in {name}" for name, take in (("A", a), ("B", b)) if take.cost.estimated)
    yield Total(f"cost, an estimate{marks}", "$", *_costs(a, b))
    yield Total("warnings", "", len(a.warnings), len(b.warnings))


def _costs(a: Take, b: Take) -> Iterator[Decimal | None]:
    """Yield what each take has cost; a line that one has taken over from the other costs in both what it did cost."""
    lines_a, lines_b = _by_id(a), _by_id(b)
    both = [(lines_a[name], lines_b[name]) for name in lines_a if name in lines_b]
    for take, own in ((a, 0), (b, 1)):
        others = [pair[1 - own].cost.total for pair in both if is_reused(*pair) and pair[own].former]
        yield total_of([take.cost.total, *others])


# ---- as data


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Make the comparison data for ``json.dumps``: dollars are texts, as in ``cost.json``, null where not known."""
    data: dict[str, Any] = to_jsonable_python(
        {
            "version": 1,
            "a": _take_data(comparison.a),
            "b": _take_data(comparison.b),
            "totals": {total.name: {"unit": total.unit, "a": total.a, "b": total.b} for total in comparison.totals},
            "changes": [change._asdict() for change in comparison.changes],
            "worth_a_look": [pair.id for pair in comparison.worth_a_look],
            "lines": [_pair_data(pair) for pair in comparison.pairs],
        }
    )
    return data


def _take_data(take: Take) -> dict[str, object]:
    return {"title": take.scene.title, "started": take.started, "ended": take.ended, "provider": take.provider}


def _pair_data(pair: LinePair) -> dict[str, object]:
    return {
        "id": pair.id,
        "player": pair.player,
        "weight": round(pair.weight, 3),
        "differences": [each._asdict() | {"weight": round(each.weight, 3)} for each in pair.differences],
        "asked": [part._asdict() for part in pair.asked],
        "said": [part._asdict() for part in pair.said],
        "a": _line_data(pair.a, pair.loudness_a),
        "b": _line_data(pair.b, pair.loudness_b),
    }


def _line_data(line: Performed | None, loudness: float | None) -> dict[str, object] | None:
    if line is None:
        return None
    facts = {
        "number", "player", "direction", "asked", "said", "duration_s", "first_audio_s", "ended", "reason", "file",
        "former", "outdated",
    }  # fmt: skip
    return {
        **line.model_dump(include=facts),
        "loudness_dbfs": None if loudness is None else round(loudness, 2),
        "cost": line.cost.total,
        "cost_estimated": line.cost.estimated,
        "heard_by": [hearing.player for hearing in line.hearers if hearing.heard_at_s is not None],
    }


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
        yield from map(Text, self._plain_lines())

    def _plain_lines(self) -> Iterator[str]:
        yield "words: [-only in A-] {+only in B+}"
        for name, parts in self.lines:
            marked = " ".join(part.words.join(MARKS.get(part.kind, ("", ""))) for part in parts)
            yield from wrap(one_line(f"{name}: {marked}"), WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _heading(comparison: Comparison) -> Iterator[str]:
    """Yield which takes they are, how much differs, and which lines had heard an older take of others."""
    for name, take in comparison.sides:
        why = f": {take.problem}" if take.problem else ""
        yield f"{name}: {take.scene.title}, {take.started}, {take.ended}{why}"
    count, lines = len(comparison.worth_a_look), len(comparison.pairs)
    summary = f"{count} of {lines} lines differ" if count else f"no differences in {lines} lines"
    reused = sum(bool(pair.a and pair.b and is_reused(pair.a, pair.b)) for pair in comparison.pairs)
    yield summary + (f"; {reused} were reused" if reused else "")
    for name, take in comparison.sides:
        for others, hearers in outdated_lines(take.lines).items():
            yield f"{name}: {', '.join(hearers)} heard an older take of {', '.join(others)}"


def _tables(comparison: Comparison) -> Iterator[TextTable]:
    totals = [(total.name, *total_cells(total)) for total in comparison.totals]
    yield TextTable(("", "A", "B", "B - A"), totals, widths=(30,), title="total")
    if comparison.changes:
        changes = [(change.of, change.what, shorten(change.a), shorten(change.b)) for change in comparison.changes]
        yield TextTable(("of", "what", "A", "B"), changes, range(4), widths=(20, 12, 31), title="changed")
    if looks := [(pair.id, pair.told) for pair in comparison.worth_a_look[:MOST_SHOWN]]:
        yield TextTable(("line", "difference"), looks, {0, 1}, widths=(26,), title="largest differences")
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
