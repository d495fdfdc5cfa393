"""Two takes side by side: what differs, line by line and in all, and what is worth a look first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from statistics import median
from typing import NamedTuple, TypeVar

from tau_stage.take import Performed, Playing, Take
from tau_stage.text import DiffPart, closeness, diff_words

SECONDS, DECIBEL, FIRST_AUDIO_S, SHARE_OF_COST, DOLLARS = 0.1, 1.0, 0.2, 0.1, Decimal("0.0001")
"""What is less than this nobody notices."""

Number = TypeVar("Number", float, Decimal)

Loudness = Mapping[str, float]
"""RMS level in dBFS, by the id of the line; a line that is not in it has no sound that could be measured."""


class LineDifference(NamedTuple):
    """One thing that differs between two performances of a line.

    Attributes:
        what: A word for it.
        told: A few words on it, from the second take's side.
        weight: How much it matters; a line that is missing is 100.
    """

    what: str
    told: str
    weight: float


MOVED = LineDifference("place", "in another place", 15.0)


@dataclass(frozen=True, slots=True)
class LinePair:
    """A line as both takes have it, or the one that has it.

    Attributes:
        id: The line's.
        a: In the first take.
        b: In the second take.
        loudness_a: dBFS, where it is known.
        loudness_b: dBFS, where it is known.
        differences: What differs, most first.
    """

    id: str
    a: Performed | None
    b: Performed | None
    loudness_a: float | None
    loudness_b: float | None
    differences: tuple[LineDifference, ...]

    @property
    def player(self) -> str:
        """Who speaks it, as far as the newer take knows."""
        line = self.b or self.a
        return line.player if line else ""

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
        return diff_words(self.a.asked if self.a else "", self.b.asked if self.b else "")

    @property
    def said(self) -> tuple[DiffPart, ...]:
        """What became of the words that were spoken."""
        return diff_words(self.a.said if self.a else "", self.b.said if self.b else "")


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
    """Two takes side by side.

    Attributes:
        a: The first.
        b: The second.
        pairs: All lines, in the order of the first take; those of the second alone stand where it has them.
        changes: Of players and of the whole.
        totals: Sums of each.
    """

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
    """Put two takes side by side; lines are paired by their ids.

    Args:
        a: The first, usually the older.
        b: The second.
        loudness: Of the lines of each.
    """
    lines_a, lines_b = _by_id(a), _by_id(b)
    pairs = []
    for name, moved in _order(list(lines_a), list(lines_b)):
        lines, levels = (lines_a.get(name), lines_b.get(name)), (loudness[0].get(name), loudness[1].get(name))
        found = sorted(_differences(*lines, less(levels[1], levels[0]), moved=moved), key=lambda each: -each.weight)
        pairs.append(LinePair(name, *lines, *levels, tuple(found)))
    return Comparison(a, b, tuple(pairs), tuple(_changes(a, b)), tuple(_totals(a, b)))


def less(one: Number | None, other: Number | None) -> Number | None:
    """Subtract, where both are known."""
    return None if one is None or other is None else one - other


def _by_id(take: Take) -> dict[str, Performed]:
    return {line.id: line for line in take.lines}


def _order(a: list[str], b: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield all ids, each once, and whether it stands in another place in the second."""
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
    yield from _sound(a, b, louder)
    if not (a.former or b.former):  # a line that was taken over, with another take picked: nothing was paid for it
        yield from _cost(a, b)


def _course(a: Performed, b: Performed) -> Iterator[LineDifference]:
    if (a.ended, a.reason) != (b.ended, b.reason):
        yield LineDifference("ended", f"{_end(b)}, was {_end(a)}", 80.0)
    if a.player != b.player:
        yield LineDifference("player", f"spoken by {b.player}, was {a.player}", 60.0)
    if (hear_a := _hearers(a)) != (hear_b := _hearers(b)):
        yield LineDifference("hearers", f"heard by {_names(hear_b)}, was {_names(hear_a)}", 30.0)
    if a.attempts != b.attempts:
        weight = 10.0 * abs(b.attempts - a.attempts)
        yield LineDifference("attempts", f"{b.attempts} attempts, was {a.attempts}", weight)
    if len(a.calls) != len(b.calls):
        yield LineDifference("calls", f"{len(b.calls)} tool calls, was {len(a.calls)}", 20.0)


def _words(a: Performed, b: Performed) -> Iterator[LineDifference]:
    if a.said != b.said:
        alike = closeness(a.said, b.said)
        told = "said the same, written otherwise" if alike == 1.0 else f"said {100 * alike:.0f}% alike"
        yield LineDifference("said", told, 1.0 + 50.0 * (1.0 - alike))
    if a.asked != b.asked:
        yield LineDifference("asked", "other words asked", 1.0 + 25.0 * (1.0 - closeness(a.asked, b.asked)))
    if a.direction != b.direction:
        yield LineDifference("direction", f"direction {b.direction or 'none'}, was {a.direction or 'none'}", 10.0)


def _sound(a: Performed, b: Performed, louder: float | None) -> Iterator[LineDifference]:
    longer = b.duration_s - a.duration_s
    if abs(longer) >= SECONDS:
        weight = 20.0 * abs(longer) / max(a.duration_s, b.duration_s)
        yield LineDifference("seconds", _way(longer, f"{abs(longer):.1f} s", "longer", "shorter"), weight)
    if louder and abs(louder) >= DECIBEL:
        told = _way(louder, f"{abs(louder):.1f} dB", "louder", "softer")
        yield LineDifference("loudness", told, min(30.0, 3.0 * abs(louder)))
    later = less(b.first_audio_s, a.first_audio_s)
    if later and abs(later) >= FIRST_AUDIO_S:
        told = _way(later, f"{1000 * abs(later):.0f} ms", "later", "sooner")
        yield LineDifference("first audio", told, min(10.0, 5.0 * abs(later)))


def _cost(a: Performed, b: Performed) -> Iterator[LineDifference]:
    paid_a, paid_b = a.cost.total, b.cost.total
    dearer = less(paid_b, paid_a)
    if dearer is None and paid_a != paid_b:
        yield LineDifference("cost", f"cost unknown in {'A' if paid_a is None else 'B'}", 5.0)
    if dearer and abs(dearer) >= DOLLARS:
        share = float(abs(dearer) / max(paid_a or 0, paid_b or 0))
        if share >= SHARE_OF_COST:
            told = _way(dearer, f"${abs(dearer):.4f}", "dearer", "cheaper")
            yield LineDifference("cost", told, 10.0 * share)


def _way(change: float | Decimal, size: str, more: str, fewer: str) -> str:
    return f"{size} {more if change > 0 else fewer}"


def _end(line: Performed) -> str:
    why = line.problem or line.reason
    return line.ended + (f" ({why})" if why else "")


def _hearers(line: Performed) -> frozenset[str]:
    return frozenset(hearing.player for hearing in line.hearers if hearing.heard_at_s is not None)


def _names(hearers: frozenset[str]) -> str:
    return ", ".join(sorted(hearers)) or "nobody"


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
    yield Total("first audio, median", "ms", _first_audio(a), _first_audio(b))
    marks = "".join(f", ~ in {name}" for name, take in (("A", a), ("B", b)) if take.cost.estimated)
    yield Total(f"cost, an estimate{marks}", "$", *_costs(a, b))
    yield Total("warnings", "", len(a.warnings), len(b.warnings))


def _costs(a: Take, b: Take) -> Iterator[Decimal | None]:
    """Yield what each take has cost; a line that one has taken over from the other costs in both what it did cost."""
    lines_a, lines_b = _by_id(a), _by_id(b)
    both = [(lines_a[name], lines_b[name]) for name in lines_a if name in lines_b]
    for take, own in ((a, 0), (b, 1)):
        others = [pair[1 - own].cost.total for pair in both if is_reused(*pair) and pair[own].former]
        known = [cost for cost in (take.cost.total, *others) if cost is not None]
        yield sum(known, Decimal(0)) if len(known) == len(others) + 1 else None


def _first_audio(take: Take) -> float | None:
    waits = [line.first_audio_s for line in take.lines if line.first_audio_s is not None]
    return 1000 * median(waits) if waits else None


# ---- as data


def comparison_data(comparison: Comparison) -> dict[str, object]:
    """Make the comparison data for ``json.dumps``: dollars are texts, as in ``cost.json``, null where not known."""
    return {
        "version": 1,
        "a": _take_data(comparison.a),
        "b": _take_data(comparison.b),
        "totals": {
            total.name: {"unit": total.unit, "a": _number(total.a), "b": _number(total.b)}
            for total in comparison.totals
        },
        "changes": [change._asdict() for change in comparison.changes],
        "worth_a_look": [pair.id for pair in comparison.worth_a_look],
        "lines": [_pair_data(pair) for pair in comparison.pairs],
    }


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
        **line.model_dump(mode="json", include=facts),
        "loudness_dbfs": None if loudness is None else round(loudness, 2),
        "cost": _number(line.cost.total),
        "cost_estimated": line.cost.estimated,
        "heard_by": [hearing.player for hearing in line.hearers if hearing.heard_at_s is not None],
    }


def _number(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else str(value)
