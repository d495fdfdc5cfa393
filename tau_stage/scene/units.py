"""Fields that carry a unit: each reads the text its author wrote, or says what it should have been.

Every reader raises the ``PydanticCustomError`` that ``wrong`` makes. ``FromText`` makes a field of one: a value that is
no text comes from Python, is in our own units already, and passes.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

SHORTEST_PATIENCE_S = 0.1
LONGEST_PAUSE_S = 600.0
LONGEST_SPAN_S = 3600.0
SPEEDS = (0.25, 1.5)
PANS = (-1.0, 1.0)
MOST_TOKENS = 4096
MOST = 100_000
MOST_TAKES = 9

DURATION = r"^\d+(\.\d+)?(ms|s|m)$"
BIT_RATES = (32, 64, 96, 128, 160, 192, 256, 320)  # kilobits per second that an MP3 may have
SAMPLE_RATES = {24_000: "24 kHz", 48_000: "48 kHz"}
FILE_RATES = {24_000: "24 kHz", 44_100: "44.1 kHz", 48_000: "48 kHz"}  # of a single file
BITS = ("16", "24", "32f")

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)
_MEASURE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(.*)", re.ASCII | re.DOTALL)
_OTHER_MONEY = re.compile(
    r"\$?\s*(?:usd\s*)?(\d{0,9})(?:[.,](\d{1,9}))?\s*(\$|usd|dollars?|cents?|ct|¢|)", re.ASCII | re.IGNORECASE
)
_PAN = re.compile(r"(l|left|r|right)?[ :]*([+-]?\d{1,9}(?:\.\d{1,9})?)? *(%?) *(l|left|r|right)?", re.ASCII)
_SIDES = {"l": -1.0, "r": 1.0}
_LEVEL = re.compile(r"([+-]?\d{1,4}(?:\.\d{1,6})?)\s*(.*)", re.ASCII | re.DOTALL)
_DASHES = re.compile("[\u2010-\u2015\u2212]\\s*")
_COMMA = re.compile(r"(\d+),(\d+.*)", re.ASCII | re.DOTALL)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_UNITS_OF_TIME = {"second": "s", "sec": "s", "minute": "m", "min": "m", "millisecond": "ms", "msec": "ms"}
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}


def wrong(
    problem: str,
    hint: str = "",
    *,
    secret: bool = False,  # whether nobody may see the value
    inside: tuple[str | int, ...] = (),  # where in the value it is, if that is a list or a mapping
    key: bool = False,  # whether that key itself is wrong
    also: Sequence[PydanticCustomError] = (),  # what else is wrong with the value
) -> PydanticCustomError:
    """Make an error of a field: what is wrong with its value, and what to do."""
    others = [*map(facts_of, also)]
    context = {"problem": problem, "hint": hint, "secret": secret, "inside": inside, "key": key, "also": others}
    return PydanticCustomError("scene", "{problem}", context)


def facts_of(error: PydanticCustomError) -> dict[str, Any]:
    """Return what ``wrong`` made an error of."""
    return error.context or {}


def matching(pattern: str, problem: str, hint: str) -> Callable[[str], str]:
    """Make a reader of texts that match a pattern from end to end; ``{}`` in the problem stands for another text."""
    whole = re.compile(pattern)

    def read(value: str) -> str:
        if not whole.fullmatch(value):
            raise wrong(problem.format(value), hint)
        return value

    return read


def duration(value: str, longest_s: float = LONGEST_PAUSE_S, what: str = "pause") -> float:
    """Read seconds from ``800ms``, ``1.5s`` or ``2m``."""
    number, unit = _measure(value, "a duration", "for example: 800ms, 1.5s or 2m")
    if not unit:
        is_short = Decimal(number) >= 20 and longest_s <= LONGEST_PAUSE_S
        meant = f"{number}{'ms' if is_short else 's'}"
        raise wrong(f"a duration needs a unit, but '{number}' has none", f"did you mean {meant}?")
    if unit not in _SECONDS:
        usual = _UNITS_OF_TIME.get(unit.lower().rstrip("s."))
        hint = f"did you mean {number}{usual}?" if usual else "write ms, s or m, for example 800ms, 1.5s or 2m"
        raise wrong(f"'{unit}' is not a valid unit of time", hint)
    seconds = round(float(number) * _SECONDS[unit], 6)
    if seconds > longest_s:
        raise wrong(f"{value} is longer than the maximum {what}, {longest_s / 60:g}m", "write a shorter duration")
    return seconds


span = partial(duration, longest_s=LONGEST_SPAN_S, what="span")  # seconds that something goes on


def timeout(value: str) -> float:
    """Read seconds that something may be waited for."""
    seconds = duration(value, what="wait")
    if seconds < SHORTEST_PATIENCE_S:
        raise wrong(f"{value} is too short for a timeout", "write at least 100ms, for example 15s")
    return seconds


def money(value: str) -> Decimal:
    """Read dollars from ``$0.50``.

    >>> money("$0.50")
    Decimal('0.50')
    """
    number = value.removeprefix("$").strip()
    meant = _amount_meant(value)
    if not _NUMBER.fullmatch(number):
        raise wrong(f"'{value}' is not a dollar amount", meant)
    if not value.startswith("$"):
        raise wrong(f"an amount needs a currency, but '{number}' has none", meant)
    if not Decimal(number):
        raise wrong("a budget cannot be zero", "remove it for no limit, or write an amount, for example $0.50")
    return Decimal(number)


def _amount_meant(value: str) -> str:
    """Return a hint for an amount that is written otherwise."""
    found = _OTHER_MONEY.fullmatch(" ".join(value.split()))
    whole, part, currency = found.groups("") if found else ("", "", "")
    amount = Decimal(f"0{whole}.{part}0")
    if currency.lower().startswith(("c", "¢")):
        amount /= 100
    return f"did you mean ${amount:.{max(2, len(part))}f}?" if amount else "for example: $0.50"


def rate(value: str) -> float:
    """Read times per minute from ``6/min``, ``1/s`` or ``90/h``."""
    number, unit = _measure(value, "a rate", "for example: 6/min")
    if not unit:
        raise wrong(f"a rate needs a unit, but '{number}' has none", f"did you mean {number}/min?")
    per = unit.removeprefix("/").strip()
    if not unit.startswith("/") or per not in _PER_MINUTE:
        raise wrong(f"'{unit}' is not a valid unit for a rate", "write /s, /min or /h, for example 6/min")
    per_minute = float(number) * _PER_MINUTE[per]
    if per_minute < 0.1:
        raise wrong(f"{value} is less than one session in ten minutes", "specify a higher rate, for example 6/min")
    return per_minute


def speed(value: str) -> float:
    """Read a rate of speech, 1 being the voice's own."""
    low, high = SPEEDS
    if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
        hint = "1 is the voice's normal speed"
        percent = re.fullmatch(r"(\d{1,3}) ?%", value, re.ASCII)
        meant = f"{int(percent[1]) / 100:g}" if percent else value.replace(",", ".")
        if meant != value and _NUMBER.fullmatch(meant) and low <= float(meant) <= high:
            hint = f"did you mean {meant}?"
        raise wrong(f"'speed' must be a number from {low:g} to {high:g}, not '{value}'", hint)
    return float(value)


def pan(value: str) -> float:
    """Return a place between left, -1, and right, 1."""
    low, high = PANS
    if re.fullmatch(r"[+-]?(\d{1,9}(\.\d{1,9})?|\.\d{1,9})", value, re.ASCII) and low <= float(value) <= high:
        return float(value)
    raise wrong(f"'pan' must be a number from {low:g} (left) to {high:g} (right), not '{value}'", _pan_meant(value))


def _pan_meant(value: str) -> str:
    """Return a hint for a place that is written as mixers have it: L50, 30% right, centre, -64, 0,5."""
    written = value.strip().lower().replace("\N{MINUS SIGN}", "-").replace(",", ".")
    if written in ("c", "center", "centre", "middle"):
        return "did you mean 0?"
    found = _PAN.fullmatch(written)
    if not written or not found:
        return "for example: -0.5"
    before, number, percent, after = found.groups("")
    amount, side = float(number or 1), (before + after)[:1]
    if percent or abs(amount) > 2:
        amount /= 100
    amount = max(-1.0, min(1.0, amount))
    return f"did you mean {math.copysign(amount, _SIDES.get(side, amount)):g}?"


def _level(value: str, what: str, unit: str, limits: tuple[float, float], example: str) -> float:
    found = _LEVEL.fullmatch(value.strip())
    if not found:
        plain = _LEVEL.fullmatch(_DASHES.sub("-", value.strip()).replace(",", "."))
        meant = f"did you mean {plain[1]} {unit}?" if plain else f"for example: {example}"
        raise wrong(f"'{value}' is not a valid {what}", meant)
    number, written = found.groups()
    low, high = limits
    meant = f"-{number.lstrip('+')}" if high <= 0 < float(number) else number
    if written != unit:
        fact = (
            f"'{written}' is not a valid unit for {what}"
            if written
            else f"{what} needs a unit, but '{number}' has none"
        )
        raise wrong(fact, f"did you mean {meant} {unit}?")
    if not low <= float(number) <= high:
        hint = f"did you mean {meant} {unit}?" if low <= float(meant) <= high else f"for example: {example}"
        raise wrong(f"{what} must be from {low:g} to {high:g} {unit}, not {value}", hint)
    return float(number)


gain = partial(_level, what="gain", unit="dB", limits=(-60.0, 24.0), example="-18 dB")
loudness = partial(_level, what="loudness", unit="LUFS", limits=(-40.0, -8.0), example="-16 LUFS")
peak = partial(_level, what="peak", unit="dBTP", limits=(-20.0, 0.0), example="-1 dBTP")
rms = partial(_level, what="level", unit="dB", limits=(-40.0, -8.0), example="-20 dB")
noise_floor = partial(_level, what="noise floor", unit="dB", limits=(-90.0, -30.0), example="-60 dB")
tolerance = partial(_level, what="tolerance", unit="dB", limits=(0.2, 10.0), example="1 dB")


def bits(value: str) -> str:
    """Read how a sample is held: in 16 or 24 bit, or as a float of 32."""
    found = re.fullmatch(r"(16|24|32)[ -]?(?:bits?)?[ -]?(f)?(?:loat)?", value.strip().lower())
    plain = "".join(found.groups("")) if found else ""
    if plain not in BITS:
        hint = "did you mean 32f?" if "32" in value or "float" in value.lower() else "write 16, 24 or 32f"
        raise wrong(f"'bits' must be 16, 24 or 32f (32-bit float), not '{value}'", hint)
    return plain


def _one_rate(
    value: str, what: str, scales: Mapping[str, int], rates: Mapping[int, str], fact: str, example: str
) -> int:
    """Read one of a few rates, in one of its units."""
    number, unit = _measure(value, f"a {what}", f"write {example}")
    meant = [float(number) * scale for name, scale in scales.items() if unit == name or unit not in scales]
    nearest = min(rates, key=lambda rate: min(abs(rate - each) for each in meant))
    hint = f"did you mean {rates[nearest]}?"
    if unit not in scales:
        problem = (
            f"'{unit}' is not a valid unit for a {what}" if unit else f"a {what} needs a unit, but '{number}' has none"
        )
        raise wrong(problem, hint)
    if meant[0] not in rates:
        raise wrong(f"{fact}, not {value}", hint)
    return int(meant[0])


bit_rate = partial(
    _one_rate,
    what="bit rate",
    scales={"kbps": 1, "kbit/s": 1},
    rates={rate: f"{rate} kbps" for rate in BIT_RATES},
    fact=f"the bit rate of an MP3 must be one of {', '.join(map(str, BIT_RATES))} kbps",
    example="a bit rate such as 128 kbps",
)
_one_sample_rate = partial(_one_rate, what="sample rate", scales={"kHz": 1000, "Hz": 1})
sample_rate = partial(
    _one_sample_rate,
    rates=SAMPLE_RATES,
    fact="the sample rate of a delivery must be 24 kHz or 48 kHz",
    example="24 kHz or 48 kHz",
)
file_rate = partial(
    _one_sample_rate,
    rates=FILE_RATES,
    fact="the sample rate of a file must be 24 kHz, 44.1 kHz or 48 kHz",
    example="24 kHz, 44.1 kHz or 48 kHz",
)


def _whole(value: str, most: int, problem: str, hint: str) -> int:
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII) or not 1 <= int(value) <= most:
        raise wrong(problem.format(value), hint)
    return int(value)


count = partial(_whole, most=MOST, problem=f"'{{}}' is not a whole number from 1 to {MOST:,}", hint="for example: 6")
takes = partial(
    _whole,
    most=MOST_TAKES,
    problem=f"'takes' must be a whole number from 1 to {MOST_TAKES}, not '{{}}'",
    hint="each take costs money; specify a number, for example 3",
)
tokens = partial(
    _whole,
    most=MOST_TOKENS,
    problem=f"'max_output_tokens' must be a whole number from 1 to {MOST_TOKENS}, not '{{}}'",
    hint="one second of speech is 20 tokens; remove the key to use the model's limit",
)


def boolean(value: str) -> bool:
    """Read ``true`` or ``false``, or what YAML's older half calls so."""
    if value.lower() in ("true", "yes", "on"):
        return True
    if value.lower() in ("false", "no", "off"):
        return False
    raise wrong(f"'{value}' is neither true nor false", "write true or false")


def _measure(value: str, what: str, hint: str) -> tuple[str, str]:
    found = _MEASURE.fullmatch(value.strip())
    if comma := _COMMA.fullmatch(value.strip()):
        raise wrong(
            f"a number needs a decimal point, but '{value}' has a comma", f"did you mean {comma[1]}.{comma[2]}?"
        )
    if not found:
        raise wrong(f"'{value}' is not {what}", hint)
    return found[1], found[2]


@dataclass(frozen=True, slots=True, eq=False)
class FromText:
    """Annotates a field with how it is read from text, and with what an editor is told of it."""

    read: Callable[[str], object]
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(
            lambda value: self.read(value) if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.schema)


def text_like(pattern: str, *examples: str) -> JsonSchemaValue:
    """Return the JSON schema of texts that match a pattern."""
    return {"type": "string", "pattern": pattern, **({"examples": list(examples)} if examples else {})}


def number_from(least: float, most: float, kind: str = "number") -> JsonSchemaValue:
    """Return the JSON schema of numbers within bounds."""
    return {"type": kind, "minimum": least, "maximum": most}
