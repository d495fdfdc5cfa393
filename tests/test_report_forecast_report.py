"""The tables of a forecast, and the forecast as data."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

from rich.console import Console

from tau_stage.cost.forecasting import Forecast
from tau_stage.report.forecast_report import forecast_data, tabulate_forecast
from tau_stage.report.tables import plain_text
from tests.test_cost_forecast import DUET, told

OWN = DUET.replace("ann: {model: gpt-realtime-2.1}", "ann: {model: own}")


def plain(found: Forecast) -> str:
    return plain_text(tabulate_forecast(found))


def data_of(found: Forecast) -> Any:
    return json.loads(json.dumps(forecast_data(found)))


def test_piped_it_is_plain_text() -> None:
    assert (
        plain(told("scene: Duet\n" + DUET))
        == """\
Duet (x.yaml): about 3 s (2..3), an estimate

earliest session starts
player   from
ann     0.0 s
ben     0.2 s

lines
line  id     player   at  seconds  heard by
   1  ann-1  ann     0.0      0.7  ben
   2  ben-1  ben     1.0      0.6  ann
   3  ann-2  ann     2.0      0.6  ben

players
player    lines  seconds  tokens  context / window
ann           2      1.3     121      49 / 128,000
ben           1      0.6      52      27 / 128,000
estimate      3      1.9     173

dollars
player      spoke  listened   cached    total         low..high
ann       $0.0029   $0.0008  $0.0000  $0.0037  $0.0028..$0.0045
ben       $0.0014   $0.0003  $0.0000  $0.0017  $0.0013..$0.0021
estimate  $0.0044   $0.0010  $0.0000  $0.0054  $0.0040..$0.0066

possible savings
player    hears_as: text  hears: nobody
ann              $0.0002        $0.0002
ben              $0.0002        $0.0002
estimate         $0.0004        $0.0004

All amounts are estimates and exclude tool calls. low..high ranges from fast, cached speech to slow, uncached speech."""
    )


def test_an_unknown_price_is_never_zero() -> None:
    said = plain(told(OWN))
    assert "49 / unknown" in said
    assert "estimate  unknown" in said
    assert "price unknown: own at openai; the total is unknown" in said


def test_people_cost_nothing_and_are_in_no_table_of_dollars() -> None:
    said = plain(told("players: {ann: , you: {human: tty}}\nlines: [you: Well?, {ann: No., to: nobody}]"))
    assert "you (human)      1      0.0       -" in said
    assert said.count("\nyou") == 1
    assert "ann     0.3      0.4  nobody" in said


def test_warnings_stand_below() -> None:
    assert "\nwarning: the scene is likely to cost" in plain(told(DUET + "limits: {budget: $0.001}\n"))


def test_on_a_terminal_it_fits_eighty_columns() -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=80).print(tabulate_forecast(told(DUET + "limits: {budget: $0.001}\n")))
    text = drawn.getvalue()
    assert all(word in text for word in ("49 / 128,000", "$0.0040..$0.0066", "hears_as: text", "warning: the scene"))
    assert "…" not in text


def test_as_data_it_survives_json() -> None:
    found = told(DUET)
    data = data_of(found)
    assert data == forecast_data(found)
    assert Decimal(data["total"]["likely"]["total"]) == found.cost.likely.total
    assert data["players"]["ann"]["window"] == {"tokens": 128_000, "most_in": 128_000}
    assert data["lines"][0]["hearers"] == ["ben"]


def test_as_data_an_unknown_price_is_null() -> None:
    ann = data_of(told(OWN))["players"]["ann"]
    assert (ann["cost"]["likely"]["total"], ann["savings"]["hears_as_text"], ann["window"]) == (None, None, None)
