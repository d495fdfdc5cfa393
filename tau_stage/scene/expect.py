"""``expect:``: what a line, or the whole scene, is to be like when performed: ranges, tolerances, words, calls."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from tau_stage.scene import units
from tau_stage.scene.fields import (
    IGNORED,
    SCALAR,
    Boolean,
    Form,
    Hearing,
    Name,
    Regex,
    SceneModel,
    Text,
    are_texts,
    entries_of,
    option,
)
from tau_stage.scene.names import did_you_mean
from tau_stage.scene.units import facts_of, wrong

_AT_MOST = re.compile(r"(?:<=?|≤|max|under|below|at most|up to|\.\.)\s*(.+)", re.DOTALL)
_AT_LEAST = re.compile(r"(?:>=?|≥|min|over|above|at least)\s*(.+)|(.+)\.\.", re.DOTALL)
_BETWEEN = re.compile(r"\.{2,}|…|-|–|—|\bto\b")
_NUMBER = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Range:
    """Figures from one to another; an end that is None is open.

    >>> 2.0 in Range(1.0, 4.0), 5.0 in Range(None, 4.0), Range(1.0, 4.0).format("1s", "4s")
    (True, False, '1s..4s')
    """

    min: float | None = None
    max: float | None = None

    def __contains__(self, figure: float) -> bool:
        return (self.min is None or figure >= self.min) and (self.max is None or figure <= self.max)

    def format(self, least: str, most: str) -> str:
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
        """Return one end of a range."""
        if self.unit == "s":  # one way to read durations for all of a scene
            return units.span(text)
        found = _NUMBER.fullmatch(text.strip().removeprefix("$"))
        if not found:
            raise wrong(f"'{text}' is not a valid {self.name.removeprefix('a ')}", f"for example: {self.end}")
        number, unit = float(found[1]), "$" if text.strip().startswith("$") else found[2]
        if unit != self.unit:
            if unit:
                raise wrong(f"'{unit}' is not a valid unit for {self.name}", f"for example: {self.end}")
            meant = f"did you mean {self.format(number / self.scale)}?"
            raise wrong(f"{self.name} needs a unit, but '{text}' has none", meant)
        if not self.least <= number <= self.most:
            shown = f"{self.format(self.least)} to {self.format(self.most)}"
            raise wrong(f"{self.name} must be from {shown}, not {text}", f"for example: {self.end}")
        return number / self.scale

    @property
    def scale(self) -> int:
        """How much larger a figure is written than it is."""
        return 100 if self.unit == "%" else 1

    @property
    def end(self) -> str:
        """One end of the example."""
        return re.sub(r"^.*(\.\.|: )|\}$", "", self.example)

    def format(self, figure: float) -> str:
        """Write a figure with its unit, as a decimal fraction.

        >>> DOLLARS.format(0.000001), DOLLARS.format(0.5)
        ('$0.000001', '$0.5')
        """
        plain = format(Decimal(f"{figure * self.scale:g}"), "f")
        if self.unit == "$":
            return f"${plain}"
        return f"{plain}{' ' if self.unit in ('LUFS', 'LU') else ''}{self.unit}"

    def join(self, end: str, other: str) -> str:
        """Join an end with the unit of the other, where it has none of its own: ``-20`` of ``-20..-14 LUFS``."""
        own, its = _NUMBER.fullmatch(end), _NUMBER.fullmatch(other)
        return f"{end}{its[2]}" if own and its and not own[2] else end


SECONDS = Unit("a duration", "1s..4s", "s", 0, units.LONGEST_SPAN_S)
LUFS = Unit("loudness", "-20..-14 LUFS", "LUFS", -70, 0)
LU = Unit("a loudness difference", "2 LU", "LU", 0, 70)
DOLLARS = Unit("a dollar amount", "{max: $0.01}", "$", 0, 10_000)
PER_SECOND = Unit("a speech rate", "2..4/s", "/s", 0, 20)
SAMPLES = Unit("a number of samples", "{max: 3}", "", 0, 1e9)
DISTANCE = Unit("a voice distance", "{max: 1}", "", 0, 1000)
SHARE = Unit("a percentage", "{max: 5%}", "%", 0, 1000)


def ranged(unit: Unit, **words: Range) -> Callable[[object], object]:
    """Make a validator of ranges, and of words that stand for one."""

    def check(value: object) -> object:
        if isinstance(value, dict):
            return _of_ends(value, unit)
        if not isinstance(value, str):
            return _no_list(value, unit)
        if value in words:
            return words[value]
        try:
            return _of_text(value, unit)
        except PydanticCustomError as error:
            raise wrong(facts_of(error)["problem"], _range_meant(value, unit)) from None

    return check


def _of_text(value: str, unit: Unit) -> Range:
    left, dots, right = (part.strip() for part in value.partition(".."))
    if not dots or not (left or right):
        raise wrong(f"'{value}' is not a valid range")
    least = unit.value(unit.join(left, right)) if left else None
    most = unit.value(right) if right else None
    return _ordered(least, most, value)


def _range_meant(value: str, unit: Unit) -> str:
    """Return a hint for a range that is written otherwise: what it says is a range."""
    text = value.strip()
    sign = _BETWEEN.search(text, 1)
    both = [text[: sign.start()], text[sign.end() :]] if sign and text[sign.end() :] else []
    if most := _AT_MOST.fullmatch(text):
        tried = [["", most[1]]]
    elif least := _AT_LEAST.fullmatch(text):
        tried = [[least[1] or least[2], ""]]
    elif both:
        tried = [both, both[::-1]]
    else:
        tried = [["", text], [text, ""]]
    meant = [shown for left, right in tried if (shown := _shown(left, right, unit))][: 1 if both else 2]
    return f"did you mean {', or '.join(meant)}?" if meant else f"for example: {unit.example}"


def _shown(left: str, right: str, unit: Unit) -> str:
    """Return a range from two ends, with their units; empty where that is none."""
    ends = []
    for end, other in ((left, right), (right, left)):
        number = _NUMBER.fullmatch(unit.join(end.strip(), other.strip()))
        ends.append(
            unit.format(float(number[1]) / unit.scale) if number and not number[2] else number[0] if number else end
        )
    shown = "..".join(ends)
    try:
        _of_text(shown, unit)
    except PydanticCustomError:
        return ""
    return shown


def _no_list(value: object, unit: Unit) -> object:
    if isinstance(value, list):
        raise wrong("a range cannot be a list", f"for example: {unit.example}")
    return value


def _of_ends(value: dict[str, object], unit: Unit) -> Range:
    ends: dict[str, float] = {}
    for key, text in value.items():
        if key.startswith("x-"):
            continue
        if key not in ("min", "max"):
            hint = did_you_mean(key, ("min", "max"), f"for example: {unit.example}")
            raise wrong(f"a range has unknown key '{key}'", hint, inside=(key,), key=True)
        if not isinstance(text, str):
            raise wrong(f"'{key}' must be a single value", f"for example: {unit.end}", inside=(key,))
        try:
            ends[key] = unit.value(text)
        except PydanticCustomError as error:
            raise wrong(**{**facts_of(error), "inside": (key,)}) from None
    if not ends:
        raise wrong("a range needs 'min' or 'max'", f"for example: {unit.example}")
    return _ordered(ends.get("min"), ends.get("max"), "this range")


def _ordered(least: float | None, most: float | None, what: str) -> Range:
    if least is not None and most is not None and least > most:
        raise wrong(f"the minimum of {what} is greater than the maximum", "write the smaller value first")
    return Range(least, most)


def tolerance(unit: Unit) -> Callable[[object], object]:
    """Make a validator of tolerances: ``300ms``, ``15%``, ``300ms 15%``, or ``off``."""

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
    """How much a figure may differ from a snapshot's: whichever is more, the figure or the share; None is as usual."""

    absolute: float | None = None
    relative: float | None = None


OFF = Tolerance(float("inf"), 0.0)  # A figure that is not compared


def phrases(value: object) -> object:
    """Read words to look for: one text, or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not are_texts(texts):
        raise wrong("expected a string or a list of strings", "for example: [umbrella, the last one]")
    if not texts or not all(map(re.compile(r"\w").search, texts)):
        raise wrong("the text to look for must contain a letter", "write the words, or remove the key")
    return tuple(map(str.strip, texts))


def _range(unit: Unit, *words: str) -> WithJsonSchema:
    """Describe a range to an editor."""
    end: JsonSchemaValue = {"type": ["string", "number"]}
    whole = {
        **IGNORED,
        "type": "object",
        "properties": {"min": {**end, "description": "The minimum."}, "max": {**end, "description": "The maximum."}},
        "additionalProperties": False,
        "minProperties": 1,
    }
    short: JsonSchemaValue = {"type": "string", "pattern": r"\.\.", "examples": [unit.example]}
    return WithJsonSchema({"anyOf": [*([{"type": "string", "enum": list(words)}] if words else []), short, whole]})


def _apart(*examples: str) -> WithJsonSchema:
    """Describe a tolerance to an editor."""
    return WithJsonSchema({"type": ["string", "number"], "examples": [*examples, "off"]})


Length = Annotated[Range, BeforeValidator(ranged(SECONDS)), _range(SECONDS)]
Loudness = Annotated[Range, BeforeValidator(ranged(LUFS)), _range(LUFS)]
NONE, OWN = Range(None, 0.0), Range(None, 1.0)
Clipping = Annotated[Range, BeforeValidator(ranged(SAMPLES, none=NONE)), _range(SAMPLES, "none")]
PerSecond = Annotated[Range, BeforeValidator(ranged(PER_SECOND)), _range(PER_SECOND)]
Voice = Annotated[Range, BeforeValidator(ranged(DISTANCE, own=OWN)), _range(DISTANCE, "own")]
Cost = Annotated[Range, BeforeValidator(ranged(DOLLARS)), _range(DOLLARS)]
Share = Annotated[Range, BeforeValidator(ranged(SHARE)), _range(SHARE)]

SharesApart = Annotated[Tolerance, BeforeValidator(tolerance(SHARE)), _apart("5%")]
SecondsApart = Annotated[Tolerance, BeforeValidator(tolerance(SECONDS)), _apart("300ms", "15%", "300ms 15%")]
LoudnessApart = Annotated[Tolerance, BeforeValidator(tolerance(LU)), _apart("2 LU")]
SamplesApart = Annotated[Tolerance, BeforeValidator(tolerance(SAMPLES)), _apart("3")]
RatesApart = Annotated[Tolerance, BeforeValidator(tolerance(PER_SECOND)), _apart("0.3/s", "15%")]
VoicesApart = Annotated[Tolerance, BeforeValidator(tolerance(DISTANCE)), _apart("0.5")]
DollarsApart = Annotated[Tolerance, BeforeValidator(tolerance(DOLLARS)), _apart("$0.001", "25%")]

Phrases = Annotated[
    tuple[str, ...],
    BeforeValidator(phrases),
    WithJsonSchema({"anyOf": [SCALAR, {"type": "array", "items": SCALAR, "minItems": 1}]}),
]


@dataclass(frozen=True, slots=True)
class PassRate:
    """In how many of so many performances all must be well."""

    passed: int
    of: int


def passes(value: object) -> object:
    """Read ``4 of 5``."""
    found = re.fullmatch(r"\s*(\d{1,4}) of (\d{1,4})\s*", value, re.ASCII) if isinstance(value, str) else None
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise wrong("this is not a valid number of performances", "for example: 4 of 5")
    return PassRate(int(found[1]), int(found[2]))


Passes = Annotated[
    PassRate,
    BeforeValidator(passes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["4 of 5"]}),
]


class Says(SceneModel):
    """Which words must be said. Case is ignored. Punctuation is also ignored, except in ``matches``."""

    FORM = Form(
        "'says' of 'expect'",
        short="contains",
        kinds=(str, list),
        empty="the text to look for must contain a letter",
        hint="write the words, or remove the key",
    )

    contains: Phrases = option("Words that must be said: a string or a list.", ())
    matches: Regex | None = option("A regular expression that must match. Case is ignored.")
    exact: Text | None = option("The complete text that must be said.")
    wer: Share | None = option("Word error rate: the share of the line's words that differ, for example {max: 5%}.")


_CALLS = "for example: calls: [lights_on, {tool: lights_on, arguments: {room: kitchen}}], or calls: none"


def arguments(value: object) -> object:
    """Read arguments by name."""
    return entries_of(value, "'arguments'", _CALLS)


Arguments = Annotated[Mapping[str, Any], BeforeValidator(arguments)]


class CallWanted(SceneModel):
    """A tool call."""

    FORM = Form(
        "a call", _CALLS, short="tool", without="none", several="'calls' must be a tool name or a list of calls"
    )

    tool: Name = option("The tool that must be called.", "")
    arguments: Arguments = Field(
        default_factory=dict,
        exclude=True,
        description="Arguments that the call must have, by name. Other arguments are allowed.",
    )

    @model_validator(mode="after")
    def named(self) -> "CallWanted":
        """Refuse a call of nothing."""
        if not self.tool:
            raise wrong("a call needs the name of a tool", _CALLS)
        return self


class Tolerances(SceneModel):
    """How much each value may differ from the snapshot: 300ms, 15%, both (the larger counts), or off."""

    FORM = Form("'tolerances' of 'expect'", "for example: tolerances: {length: 300ms 15%}")

    words: SharesApart | None = option("Tolerance for the share of words that differ. Default: 0%.")
    length: SecondsApart | None = option("Length tolerance. Default: 250ms 10%.")
    loudness: LoudnessApart | None = option("Loudness tolerance. Default: 1.5 LU.")
    silence: SecondsApart | None = option("Tolerance for the longest silence. Default: 300ms 20%.")
    clipping: SamplesApart | None = option("Tolerance for the number of clipped samples. Default: 0.")
    first_audio: SecondsApart | None = option("Tolerance for the time to the first audio. Default: 300ms 50%.")
    dead_air: SecondsApart | None = option("Tolerance for the silence before a line. Default: 50ms 5%.")
    rate: RatesApart | None = option("Tolerance for the words per second. Default: 0.3/s 10%.")
    voice: VoicesApart | None = option("Voice distance tolerance. Default: 0.25.")
    cost: DollarsApart | None = option("Cost tolerance. Default: $0.00002 25%.")


class Expect(SceneModel):
    """What to check. Each value is measured and stored with the take."""

    FORM = Form("'expect'", "for example: expect: {says: umbrella, length: 1s..4s}", empty="'expect' is empty")

    says: Says | None = option("Words that must be said, or a mapping with contains, matches, exact or wer.")
    exact: Boolean | None = option("Whether the player must say exactly the words in the scene.")
    says_not: Phrases | None = option("Words that must not be said: a string or a list.")
    length: Length | None = option("Length, for example 1s..4s.")
    loudness: Loudness | None = option("Integrated loudness, for example -30..-18 LUFS.")
    silence: Length | None = option("The longest silence within a line, for example {max: 1s}.")
    clipping: Clipping | None = option(
        "Number of clipped samples in runs of two or more: none, or a limit such as {max: 3}."
    )
    first_audio: Length | None = option("Time from the request to the first audio, for example {max: 800ms}.")
    dead_air: Length | None = option("Silence before the line in the recording, for example {max: 1s}.")
    rate: PerSecond | None = option("Words per second, for example 2..4/s.")
    voice: Voice | None = option("Distance from the player's usual voice: 'own' (the same as {max: 1}), or a range.")
    cost: Cost | None = option("Estimated cost, for example {max: $0.01}.")
    heard_by: Hearing | None = option("The players who must hear the line, and no others: everyone, nobody, or names.")
    passes: Passes | None = option("How many performances must pass, for example 4 of 5. Default: all.", alias="pass")
    tolerances: Tolerances | None = option("How much each value may differ from the snapshot, by name.")
    calls: tuple[CallWanted, ...] | None = option(
        "Tools that must be called, optionally with arguments: a name, a list, or none.", exclude=True
    )
