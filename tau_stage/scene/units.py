"""Fields that carry a unit: each takes the text its author wrote and says what it should have been.

A value that is no text comes from Python, is in our own units already, and passes through.
"""

import re
from decimal import Decimal

from pydantic_core import PydanticCustomError

LONGEST_PAUSE_S = 600.0
SPEEDS = (0.25, 1.5)
MOST_TOKENS = 4096

DURATION = r"^\d+(\.\d+)?(ms|s|m)$"
MONEY = r"^\$\d+(\.\d+)?$"
RATE = r"^\d+(\.\d+)?/(s|min|h)$"

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)
_MEASURE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(.*)", re.ASCII | re.DOTALL)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}


def wrong(problem: str, hint: str = "", *, secret: bool = False) -> PydanticCustomError:
    """An error of a field: what is wrong with its value, what to do, and whether nobody may see the value."""
    return PydanticCustomError("scene", "{problem}", {"problem": problem, "hint": hint, "secret": secret})


def duration(value: object) -> object:
    """Seconds from ``800ms``, ``1.5s`` or ``2m``.

    Raises:
        PydanticCustomError: There is no unit, an unknown one, or no number.

    >>> duration("800ms"), duration("1.5s"), duration("2m")
    (0.8, 1.5, 120.0)
    """
    if not isinstance(value, str):
        return value
    number, unit = _measure(value, "a duration", "write it like 800ms, 1.5s or 2m")
    if not unit:
        meant = f"{number}ms" if Decimal(number) >= 20 else f"{number}s"
        raise wrong(f"a duration needs a unit, and '{number}' has none", f"did you mean {meant}?")
    if unit not in _SECONDS:
        raise wrong(f"'{unit}' is no unit of time", "write ms, s or m, like 800ms, 1.5s or 2m")
    seconds = round(float(number) * _SECONDS[unit], 6)
    if seconds > LONGEST_PAUSE_S:
        raise wrong(f"{value} is longer than the longest pause, {LONGEST_PAUSE_S / 60:g}m", "write a shorter one")
    return seconds


def money(value: object) -> object:
    """Dollars from ``$0.50``.

    Raises:
        PydanticCustomError: It has no dollar sign, is no number, or is nothing.

    >>> money("$0.50")
    Decimal('0.50')
    """
    if not isinstance(value, str):
        return value
    number = value.removeprefix("$").strip()
    if not _NUMBER.fullmatch(number):
        raise wrong(f"'{value}' is no amount of dollars", "write it like $0.50")
    if not value.startswith("$"):
        raise wrong(f"an amount needs its currency, and '{number}' has none", f"did you mean ${number}?")
    if not Decimal(number):
        raise wrong("a budget of nothing performs nothing", "leave it out for no limit, or write it like $0.50")
    return Decimal(number)


def rate(value: object) -> object:
    """Times per minute from ``6/min``, ``1/s`` or ``90/h``.

    Raises:
        PydanticCustomError: It is not a number per time, or slower than one in ten minutes.

    >>> rate("6/min"), rate("1/s"), rate("90/h")
    (6.0, 60.0, 1.5)
    """
    if not isinstance(value, str):
        return value
    number, unit = _measure(value, "a rate", "write it like 6/min")
    if not unit:
        raise wrong(f"a rate needs a unit, and '{number}' has none", f"did you mean {number}/min?")
    per = unit.removeprefix("/").strip()
    if not unit.startswith("/") or per not in _PER_MINUTE:
        raise wrong(f"'{unit}' is no unit of a rate", "write /s, /min or /h, like 6/min")
    per_minute = float(number) * _PER_MINUTE[per]
    if per_minute < 0.1:
        raise wrong(f"{value} opens less than one session in ten minutes", "write a faster rate, like 6/min")
    return per_minute


def speed(value: object) -> object:
    """Rate of speech, 1 being the voice's own.

    Raises:
        PydanticCustomError: It is no number from 0.25 to 1.5.
    """
    if not isinstance(value, str):
        return value
    low, high = SPEEDS
    if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
        raise wrong(f"speed is a number from {low:g} to {high:g}, not '{value}'", "1 is the voice's own speed")
    return float(value)


def tokens(value: object) -> object:
    """A cap of output tokens.

    Raises:
        PydanticCustomError: It is no whole number from 1 to 4096.
    """
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII) or not 1 <= int(value) <= MOST_TOKENS:
        hint = "20 tokens are a second of speech; leave it out for the model's own limit"
        raise wrong(f"max_output_tokens is a whole number from 1 to {MOST_TOKENS}, not '{value}'", hint)
    return int(value)


def _measure(value: str, what: str, hint: str) -> tuple[str, str]:
    found = _MEASURE.fullmatch(value.strip())
    if not found:
        raise wrong(f"'{value}' is not {what}", hint)
    return found[1], found[2]
