"""Values with units: what is understood, and that a missing unit is shown."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError

from tau_stage.scene import units
from tau_stage.scene.model import Count, Dollars, Gain, Pan, PerMinute, Seconds, Span, Speed, Timeout, Tokens


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("800ms", 0.8), ("1.5s", 1.5), ("2m", 120.0), ("0s", 0.0), (" 1.5 s ", 1.5), ("10m", 600.0), ("0.1ms", 0.0001)],
)
def test_durations(written: str, seconds: float) -> None:
    assert units.duration(written) == seconds


@pytest.mark.parametrize(
    ("parse", "written", "hint"),
    [
        (units.timeout, "20", "did you mean 20ms?"),
        (units.timeout, "99ms", "write at least 100ms"),
        (units.timeout, "601s", "write a shorter duration"),
        (units.duration, "800", "did you mean 800ms?"),
        (units.duration, "20", "did you mean 20ms?"),
        (units.duration, "19.5", "did you mean 19.5s?"),
        (units.duration, "-1s", "for example:"),
        (units.duration, "", "for example:"),
        (units.duration, "1h", "write ms, s or m"),
        (units.duration, "٣s", "for example:"),
        (units.duration, "601s", "write a shorter duration"),
        (units.duration, "9" * 400 + "s", "write ms, s or m"),
        (units.money, "0.50", "did you mean $0.50?"),
        (units.money, "$", "for example: $0.50"),
        (units.money, "$-1", "for example: $0.50"),
        (units.money, "$1e9", "for example: $0.50"),
        (units.money, "$0.00", "remove it"),
        (units.rate, "6", "did you mean 6/min?"),
        (units.rate, "6 min", "write /s, /min or /h"),
        (units.rate, "6/fortnight", "write /s, /min or /h"),
        (units.rate, "0/s", "specify a higher rate"),
        (units.speed, "2", "1 is the voice's normal speed"),
        (units.speed, "nan", "1 is the voice's normal speed"),
        (units.tokens, "0", "one second of speech"),
        (units.tokens, "4097", "one second of speech"),
        (units.tokens, "1.5", "one second of speech"),
        (units.span, "45", "did you mean 45s?"),
        (units.span, "61m", "write a shorter duration"),
        (units.gain, "-18", "did you mean -18 dB?"),
        (units.gain, "-18 db", "did you mean -18 dB?"),
        (units.gain, "-61 dB", "for example: -18 dB"),
        (units.gain, "soft", "for example: -18 dB"),
        (units.count, "0", "for example: 6"),
        (units.count, "100001", "for example: 6"),
        (units.count, "six", "for example: 6"),
        (units.boolean, "maybe", "write true or false"),
    ],
)
def test_a_wrong_value_is_answered_with_a_right_one(parse: Callable[[str], object], written: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        parse(written)
    assert raised.value.context is not None
    assert raised.value.context["hint"].startswith(hint)


@pytest.mark.parametrize("field", [Seconds, Timeout, Dollars, PerMinute, Speed, Tokens, Span, Gain, Count, Pan])
def test_what_comes_from_python_is_in_our_units_already(field: type[object]) -> None:
    assert TypeAdapter(field).validate_python(1) == 1


def test_money_is_exact() -> None:
    assert units.money("$0.10") == Decimal("0.10")


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (units.span, "60m", 3600.0),
        (units.gain, "-18 dB", -18.0),
        (units.gain, "+3.5dB", 3.5),
        (units.gain, "0 dB", 0.0),
        (units.count, "100000", 100_000),
        (units.boolean, "Yes", True),
        (units.boolean, "off", False),
    ],
)
def test_what_is_within_limits_is_taken(parse: Callable[[str], object], written: str, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (units.timeout, "15s", 15.0),
        (units.rate, "6/min", 6.0),
        (units.rate, "1/s", 60.0),
        (units.rate, "90/h", 1.5),
        (units.pan, "-0.5", -0.5),
        (units.pan, "+1", 1.0),
    ],
)
def test_values_with_their_units(parse: Callable[[str], float], written: str, value: float) -> None:
    assert parse(written) == value
