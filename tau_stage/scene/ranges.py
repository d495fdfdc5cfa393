"""Ranges with a unit: ``2s..6s``, ``-20..-14 LUFS``, ``..5%``, or ``{min: 2s, max: 6s}``."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from tau_stage.scene import units
from tau_stage.scene.units import wrong
from tau_stage.scene.words import did_you_mean

_AT_MOST = re.compile(r"(?:<=?|≤|max|under|below|at most|up to)\s*(.+)", re.DOTALL)
_AT_LEAST = re.compile(r"(?:>=?|≥|min|over|above|at least)\s*(.+)", re.DOTALL)
_BETWEEN = re.compile(r"\.{2,}|…|-|–|—|\bto\b")
_NUMBER = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Range:
    """Figures from one to another; an end that is None is open.

    >>> 2.0 in Range(1.0, 4.0), 5.0 in Range(None, 4.0), Range(1.0, 4.0).told("1s", "4s")
    (True, False, '1s..4s')
    """

    min: float | None = None
    max: float | None = None

    def __contains__(self, figure: float) -> bool:
        return (self.min is None or figure >= self.min) and (self.max is None or figure <= self.max)

    def told(self, least: str, most: str) -> str:
        """Write the range in words, from its ends in words."""
        if self.min is None:
            return f"at most {most}"
        return f"at least {least}" if self.max is None else f"{least}..{most}"


@dataclass(frozen=True, slots=True)
class Unit:
    """What a range is of.

    Attributes:
        name: With its article.
        example: A range of it.
        unit: How it is written; empty where there is none.
        least: The smallest value.
        most: The largest.
    """

    name: str
    example: str
    unit: str
    least: float
    most: float

    def value(self, text: str) -> float:
        """Return one end of a range.

        Raises:
            PydanticCustomError: It is none.
        """
        if self.unit == "s":  # one way to read durations for all of a scene
            return float(str(units.span(text)))
        number, unit = self._parts(text)
        if unit != self.unit:
            fact = (
                f"'{unit}' is no unit of {self.name}" if unit else f"{self.name} needs its unit, and '{text}' has none"
            )
            meant = f"did you mean {self.with_unit(number)}?" if not unit else f"write it like {self.end}"
            raise wrong(fact, meant)
        if not self.least <= number <= self.most:
            shown = f"{self.told(self.least)} to {self.told(self.most)}"
            raise wrong(f"{self.name} is from {shown}, not {text}", f"write it like {self.end}")
        return number / 100 if self.unit == "%" else number

    @property
    def end(self) -> str:
        """One end of the example."""
        return re.sub(r"^.*(\.\.|: )|\}$", "", self.example)

    def with_unit(self, figure: float) -> str:
        """Write a figure that lacked its unit, with it."""
        return self.told(figure / 100 if self.unit == "%" else figure)

    def told(self, figure: float) -> str:
        """Write the range in words, from its ends in words."""
        if self.unit == "$":
            return f"${figure:g}"
        if self.unit == "%":
            figure *= 100
        return f"{figure:g}{' ' if self.unit in ('LUFS', 'LU') else ''}{self.unit}"

    def _parts(self, text: str) -> tuple[float, str]:
        found = _NUMBER.fullmatch(text.strip().removeprefix("$"))
        if not found:
            raise wrong(f"'{text}' is not {self.name}", f"write it like {self.end}")
        return float(found[1]), "$" if text.strip().startswith("$") else found[2]

    def join(self, end: str, other: str) -> str:
        """Join an end with the unit of the other, where it has none of its own: ``-20`` of ``-20..-14 LUFS``."""
        own, its = _NUMBER.fullmatch(end), _NUMBER.fullmatch(other)
        return f"{end}{its[2]}" if own and its and not own[2] else end


SECONDS = Unit("a duration", "1s..4s", "s", 0, units.LONGEST_SPAN_S)
LUFS = Unit("a loudness", "-20..-14 LUFS", "LUFS", -70, 0)
LU = Unit("a difference of loudness", "2 LU", "LU", 0, 70)
DOLLARS = Unit("an amount of dollars", "{max: $0.01}", "$", 0, 10_000)
PER_SECOND = Unit("words per second", "2..4/s", "/s", 0, 20)
SAMPLES = Unit("a number of samples", "{max: 3}", "", 0, 1e9)
DISTANCE = Unit("a distance of voices", "{max: 1}", "", 0, 1000)
SHARE = Unit("a share", "{max: 5%}", "%", 0, 1000)


def ranged(unit: Unit, **words: Range) -> Callable[[object], object]:
    """Make a validator of ranges.

    Args:
        unit: What they are of.
        words: Words that stand for a range.
    """

    def check(value: object) -> object:
        if isinstance(value, str) and value in words:
            return words[value]
        if isinstance(value, dict):
            return _of_ends(value, unit)
        if not isinstance(value, str):
            return _no_list(value, unit)
        try:
            return _of_text(value, unit)
        except PydanticCustomError as error:
            raise wrong((error.context or {})["problem"], _range_meant(value, unit)) from None

    return check


def _of_text(value: str, unit: Unit) -> Range:
    left, dots, right = (part.strip() for part in value.partition(".."))
    if not dots or not (left or right):
        raise wrong(f"'{value}' is no range")
    least = unit.value(unit.join(left, right)) if left else None
    most = unit.value(right) if right else None
    return _ordered(least, most, value)


def _range_meant(value: str, unit: Unit) -> str:
    """Return a hint for a range that is written otherwise: what it says is a range."""
    text = value.strip()
    if most := _AT_MOST.fullmatch(text):
        tried = [("", most[1])]
    elif least := _AT_LEAST.fullmatch(text):
        tried = [(least[1], "")]
    elif text.startswith(".."):
        tried = [("", text[2:])]
    elif text.endswith(".."):
        tried = [(text[:-2], "")]
    elif both := _both(text):
        tried = [both, both[::-1]]
    else:
        tried = [("", text), (text, "")]
    meant = [shown for ends in tried if (shown := _shown(*ends, unit))]
    if meant and _both(text):
        meant = meant[:1]
    return f"did you mean {', or '.join(meant)}?" if meant else f"write it like {unit.example}"


def _both(text: str) -> tuple[str, str] | None:
    """Return what stands on both sides of the first sign between two ends; None where there is none."""
    sign = _BETWEEN.search(text, 1)
    return (text[: sign.start()], text[sign.end() :]) if sign and sign.end() < len(text) else None


def _shown(left: str, right: str, unit: Unit) -> str:
    """Return a range from two ends, with their units; empty where that is none."""
    ends = []
    for end, other in ((left, right), (right, left)):
        number = _NUMBER.fullmatch(unit.join(end.strip(), other.strip()))
        ends.append(unit.with_unit(float(number[1])) if number and not number[2] else number[0] if number else end)
    shown = "..".join(ends)
    try:
        _of_text(shown, unit)
    except PydanticCustomError:
        return ""
    return shown


def _no_list(value: object, unit: Unit) -> object:
    if isinstance(value, list):
        raise wrong("a range is no list", f"write it like {unit.example}")
    return value


def _of_ends(value: dict[str, object], unit: Unit) -> Range:
    ends: dict[str, float] = {}
    for key, text in value.items():
        if key.startswith("x-"):
            continue
        if key not in ("min", "max"):
            hint = did_you_mean(key, ("min", "max"), f"write it like {unit.example}")
            raise wrong(f"a range has unknown key '{key}'", hint, inside=key, key=True)
        if not isinstance(text, str):
            raise wrong(f"'{key}' is one value", f"write it like {unit.end}", inside=key)
        try:
            ends[key] = unit.value(text)
        except PydanticCustomError as error:
            told = error.context or {}
            raise wrong(told["problem"], told["hint"], inside=key) from None
    if not ends:
        raise wrong("a range needs an end", f"write it like {unit.example}")
    return _ordered(ends.get("min"), ends.get("max"), "this range")


def _ordered(least: float | None, most: float | None, told: str) -> Range:
    if least is not None and most is not None and least > most:
        raise wrong(f"{told} ends before it begins", "write the smaller one first")
    return Range(least, most)


def tolerance(unit: Unit) -> Callable[[object], object]:
    """Make a validator of tolerances: ``300ms``, ``15%``, ``300ms 15%``, or ``off``.

    Args:
        unit: Of the absolute part.
    """

    def check(value: object) -> object:
        if value == "off":
            return OFF
        if not isinstance(value, str):
            return _no_list(value, unit)
        absolute = relative = None
        for part in value.replace(f" {unit.unit}", unit.unit).split() or [""]:
            if part.endswith("%") and unit is not SHARE:
                relative = SHARE.value(part)
            else:
                absolute = unit.value(part)
        return Tolerance(absolute, relative)

    return check


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a figure may differ from a snapshot's: whichever of both is more; None is as usual.

    Attributes:
        absolute: In the figure's unit.
        relative: As a share of the snapshot's figure.
    """

    absolute: float | None = None
    relative: float | None = None


OFF = Tolerance(float("inf"), 0.0)
"""A figure that is not compared."""
