"""What differs between a line and the same line of another take, and how much it matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tau_stage.take.take_model import Performed
from tau_stage.text import closeness

SECONDS, DECIBEL, FIRST_AUDIO_S, SHARE_OF_COST, DOLLARS = 0.1, 1.0, 0.2, 0.1, Decimal("0.0001")
"""What is less than this nobody notices."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes:
        what: A word for it.
        told: A few words on it, from the second take's side.
        weight: How much it matters; a line that is missing is 100.
    """

    what: str
    told: str
    weight: float


MOVED = Difference("place", "in another place", 15.0)


def is_taken_over(a: Performed, b: Performed) -> bool:
    """Tell whether a line is one performance in both takes: neither its sound nor its money is another."""
    is_same = (a.sha256, a.said, a.response, a.ended) == (b.sha256, b.said, b.response, b.ended)
    return (a.former or b.former) and is_same


def between(
    a: Performed | None, b: Performed | None, loud_a: float | None, loud_b: float | None, *, moved: bool = False
) -> Iterator[Difference]:
    """Yield all that differs between two performances of a line.

    Args:
        a: The first, or None where the first take lacks it.
        b: The second.
        loud_a: dBFS of the first, where it is known.
        loud_b: dBFS of the second.
        moved: Whether it stands in another place in the second take.
    """
    if a is None or b is None:
        yield Difference("only", "only in B" if a is None else "only in A", 100.0)
        return
    if is_taken_over(a, b):
        if moved:
            yield MOVED
        return
    yield from _course(a, b, moved=moved)
    yield from _words(a, b)
    yield from _sound(a, b, loud_a, loud_b)
    if not (a.former or b.former):  # a line that was taken over, with another take picked: nothing was paid for it
        yield from _cost(a, b)


def _course(a: Performed, b: Performed, *, moved: bool) -> Iterator[Difference]:
    if (a.ended, a.reason) != (b.ended, b.reason):
        yield Difference("ended", f"{_end(b)}, was {_end(a)}", 80.0)
    if a.player != b.player:
        yield Difference("player", f"spoken by {b.player}, was {a.player}", 60.0)
    if moved:
        yield MOVED
    if (hear_a := _hearers(a)) != (hear_b := _hearers(b)):
        yield Difference("hearers", f"heard by {_names(hear_b)}, was {_names(hear_a)}", 30.0)
    if a.attempts != b.attempts:
        yield Difference("attempts", f"{b.attempts} attempts, was {a.attempts}", 10.0 * abs(b.attempts - a.attempts))
    if len(a.calls) != len(b.calls):
        yield Difference("calls", f"{len(b.calls)} tool calls, was {len(a.calls)}", 20.0)


def _words(a: Performed, b: Performed) -> Iterator[Difference]:
    if a.said != b.said:
        alike = closeness(a.said, b.said)
        told = "said the same, written otherwise" if alike == 1.0 else f"said {100 * alike:.0f}% alike"
        yield Difference("said", told, 1.0 + 50.0 * (1.0 - alike))
    if a.asked != b.asked:
        yield Difference("asked", "other words asked", 1.0 + 25.0 * (1.0 - closeness(a.asked, b.asked)))
    if a.direction != b.direction:
        yield Difference("direction", f"direction {b.direction or 'none'}, was {a.direction or 'none'}", 10.0)


def _sound(a: Performed, b: Performed, loud_a: float | None, loud_b: float | None) -> Iterator[Difference]:
    longer = b.duration_s - a.duration_s
    if abs(longer) >= SECONDS:
        weight = 20.0 * abs(longer) / max(a.duration_s, b.duration_s)
        yield Difference("seconds", f"{abs(longer):.1f} s {'longer' if longer > 0 else 'shorter'}", weight)
    if loud_a is not None and loud_b is not None and abs(louder := loud_b - loud_a) >= DECIBEL:
        told = f"{abs(louder):.1f} dB {'louder' if louder > 0 else 'softer'}"
        yield Difference("loudness", told, min(30.0, 3.0 * abs(louder)))
    if a.first_audio_s is not None and b.first_audio_s is not None:
        later = b.first_audio_s - a.first_audio_s
        if abs(later) >= FIRST_AUDIO_S:
            told = f"{1000 * abs(later):.0f} ms {'later' if later > 0 else 'sooner'}"
            yield Difference("first audio", told, min(10.0, 5.0 * abs(later)))


def _cost(a: Performed, b: Performed) -> Iterator[Difference]:
    paid_a, paid_b = a.cost.total, b.cost.total
    if paid_a is None or paid_b is None:
        if paid_a != paid_b:
            yield Difference("cost", f"cost unknown in {'A' if paid_a is None else 'B'}", 5.0)
        return
    share = float(abs(paid_b - paid_a) / max(paid_a, paid_b)) if max(paid_a, paid_b) else 0.0
    if share >= SHARE_OF_COST and abs(paid_b - paid_a) >= DOLLARS:
        told = f"${abs(paid_b - paid_a):.4f} {'dearer' if paid_b > paid_a else 'cheaper'}"
        yield Difference("cost", told, 10.0 * share)


def _end(line: Performed) -> str:
    why = line.problem or line.reason
    return line.ended + (f" ({why})" if why else "")


def _hearers(line: Performed) -> frozenset[str]:
    return frozenset(hearing.player for hearing in line.hearers if hearing.heard_at_s is not None)


def _names(hearers: frozenset[str]) -> str:
    return ", ".join(sorted(hearers)) or "nobody"
