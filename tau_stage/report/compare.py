"""Two takes side by side: what differs, line by line and in all, and what is worth a look first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from statistics import median

from tau_stage.report.differences import Difference, between, is_taken_over
from tau_stage.report.wording import Piece, word_diff
from tau_stage.take.take_model import Performed, Playing, Take

Loudness = Mapping[str, float]
"""RMS level in dBFS, by the id of the line; a line that is not in it has no sound that could be measured."""


@dataclass(frozen=True, slots=True)
class Pair:
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
    differences: tuple[Difference, ...]

    @property
    def player(self) -> str:
        """Who speaks it, as far as the newer take knows."""
        line = self.b or self.a
        return line.player if line else ""

    @property
    def weight(self) -> float:
        """How much it differs."""
        return sum(difference.weight for difference in self.differences)

    @property
    def asked(self) -> tuple[Piece, ...]:
        """What became of the words of the scene."""
        return word_diff(self.a.asked if self.a else "", self.b.asked if self.b else "")

    @property
    def said(self) -> tuple[Piece, ...]:
        """What became of the words that were spoken."""
        return word_diff(self.a.said if self.a else "", self.b.said if self.b else "")


@dataclass(frozen=True, slots=True)
class Change:
    """Something else that differs: of a player, or of the whole. Empty where one of them has nothing such."""

    of: str
    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Total:
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
    pairs: tuple[Pair, ...]
    changes: tuple[Change, ...]
    totals: tuple[Total, ...]

    @property
    def sides(self) -> tuple[tuple[str, Take], tuple[str, Take]]:
        """Both takes with their letters."""
        return ("A", self.a), ("B", self.b)

    @property
    def worth_a_look(self) -> tuple[Pair, ...]:
        """The lines that differ, those that differ most first."""
        return tuple(sorted((pair for pair in self.pairs if pair.differences), key=lambda pair: -pair.weight))


def compare(a: Take, b: Take, loudness: tuple[Loudness, Loudness] = ({}, {})) -> Comparison:
    """Put two takes side by side; lines are paired by their ids.

    Args:
        a: The first, usually the older.
        b: The second.
        loudness: Of the lines of each.
    """
    lines_a, lines_b = ({line.id: line for line in take.lines} for take in (a, b))
    pairs = []
    for name, moved in _order(list(lines_a), list(lines_b)):
        one, other = lines_a.get(name), lines_b.get(name)
        loud_a, loud_b = loudness[0].get(name), loudness[1].get(name)
        found = sorted(between(one, other, loud_a, loud_b, moved=moved), key=lambda found: -found.weight)
        pairs.append(Pair(name, one, other, loud_a, loud_b, tuple(found)))
    return Comparison(a, b, tuple(pairs), tuple(_changes(a, b)), tuple(_totals(a, b)))


def _order(a: list[str], b: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield all ids, each once, and whether it stands in another place in the second."""
    both = set(a) & set(b)
    for kind, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield from ((name, kind != "equal" and name in both) for name in a[a_from:a_to])
        yield from ((name, False) for name in b[b_from:b_to] if name not in both)


def _changes(a: Take, b: Take) -> Iterator[Change]:
    yield from _differing("scene", a.scene.model_dump(), b.scene.model_dump())
    facts = {"tau_stage", "provider", "spent", "ended", "problem"}
    yield from _differing("take", a.model_dump(include=facts), b.model_dump(include=facts))
    players_a, players_b = ({player.name: player for player in take.players} for take in (a, b))
    for name in dict.fromkeys([*players_a, *players_b]):
        yield from _differing(name, _cast(players_a.get(name)), _cast(players_b.get(name)))


def _cast(player: Playing | None) -> dict[str, object]:
    fields = {"human", "voice", "model", "endpoint", "status"}
    return player.model_dump(include=fields) if player else {"player": None}


def _differing(of: str, a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[Change]:
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
    lines_a, lines_b = ({line.id: line for line in take.lines} for take in (a, b))
    both = [(lines_a[name], lines_b[name]) for name in lines_a if name in lines_b]
    for take, own in ((a, 0), (b, 1)):
        others = [pair[1 - own].cost.total for pair in both if is_taken_over(*pair) and pair[own].former]
        known = [cost for cost in (take.cost.total, *others) if cost is not None]
        yield sum(known, Decimal(0)) if len(known) == len(others) + 1 else None


def _first_audio(take: Take) -> float | None:
    waits = [line.first_audio_s for line in take.lines if line.first_audio_s is not None]
    return 1000 * median(waits) if waits else None
