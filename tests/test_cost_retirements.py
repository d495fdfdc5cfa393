"""Models that end: the table, and what is told of it on any day."""

from __future__ import annotations

from datetime import date

import pytest

from tau_stage.cost.forecasting import forecast
from tau_stage.cost.retirements import RETIREMENTS, coming_retirements, retirement_of, retirement_warnings
from tau_stage.protocol.endpoints import endpoint
from tau_stage.scene.load import parse_scene
from tau_stage.scene.names import KNOWN_ENDPOINTS
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import DEFAULT_MODEL, make_plan

TODAY = date(2026, 11, 27)


def plan_of(head: str, lines: str = "[ann: Hello.]") -> Plan:
    return make_plan(parse_scene(f"{head}\nlines: {lines}\n"))


@pytest.mark.parametrize(
    ("model", "ends", "successor"),
    [
        ("gpt-realtime", "2027-01-20", "gpt-realtime-2.1"),
        ("gpt-realtime-2025-08-28", "2027-01-20", "gpt-realtime-2.1"),
        ("gpt-realtime-mini", "2027-01-20", "gpt-realtime-2.1-mini"),
        ("gpt-realtime-mini-2025-12-15", "2027-01-20", "gpt-realtime-2.1-mini"),
        ("gpt-realtime-mini-2025-10-06", "2026-07-23", "gpt-realtime-2.1-mini"),
        ("gpt-4o-realtime-preview", "2026-05-07", "gpt-realtime-2.1"),
        ("gpt-4o-realtime-preview-2025-06-03", "2026-05-07", "gpt-realtime-2.1"),
        ("gpt-4o-realtime-preview-2024-10-01", "2025-10-10", "gpt-realtime-2.1"),
        ("gpt-4o-mini-realtime-preview", "2026-05-07", "gpt-realtime-2.1-mini"),
        ("whisper-1", "2027-02-26", "gpt-transcribe"),
        ("gpt-4o-transcribe", "2027-02-26", "gpt-transcribe"),
        ("gpt-4o-transcribe-diarize", "2027-02-26", "gpt-transcribe"),
        ("gpt-4o-mini-transcribe-2025-12-15", "2027-02-26", "gpt-transcribe"),
        ("gpt-4o-mini-transcribe-2025-03-20", "2027-02-26", "gpt-transcribe"),
        ("tts-1", "2027-01-06", "gpt-realtime-2.1-mini, through the Realtime API only"),
        ("tts-1-hd-1106", "2027-01-06", "gpt-realtime-2.1-mini, through the Realtime API only"),
        ("gpt-4o-mini-tts", "2027-01-06", "gpt-realtime-2.1-mini, through the Realtime API only"),
    ],
)
def test_what_openai_ends(model: str, ends: str, successor: str) -> None:
    found = retirement_of(model)
    assert found is not None
    assert (str(found.ends), found.successor) == (ends, successor)


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "gpt-realtime-2.1", "gpt-realtime-1.5", "gpt-realtime-2", "my-own"])
def test_what_does_not_end_is_not_told_of(model: str) -> None:
    assert retirement_of(model) is None
    assert retirement_warnings(plan_of(f"model: {model}\nplayers: {{ann: }}"), TODAY) == ()


def test_nothing_that_is_used_without_being_named_ends() -> None:
    for provider in RETIREMENTS:
        for model in (DEFAULT_MODEL, *(known.transcriber for known in KNOWN_ENDPOINTS.values())):
            found = retirement_of(model or "", provider)
            assert found is None or not found.is_worth_telling(TODAY)
    for place in ("openai", "azure", "xai", "understudy", "ws://127.0.0.1:8000"):
        plan = plan_of(f"endpoint: {place}\nplayers: {{ann: , you: {{human: mic}}}}", "[{listen: {turns: 1}}]")
        assert retirement_warnings(plan, TODAY) == ()


def test_successors_do_not_end_themselves() -> None:
    for provider, table in RETIREMENTS.items():
        for row in table.values():
            successor = row.successor.split(",")[0]
            later = retirement_of(successor, provider)
            assert later is None or (later.ends > row.ends or not later.is_worth_telling(TODAY))


def test_each_model_is_told_of_once_before_its_day_and_from_it_on() -> None:
    plan = plan_of("players: {ann: {model: gpt-realtime}, ben: {model: gpt-realtime}, cid: {model: gpt-realtime-mini}}")
    assert retirement_warnings(plan, date(2027, 1, 19)) == (
        "players ann and ben: gpt-realtime will be shut down on 2027-01-20; its successor is gpt-realtime-2.1",
        "player cid: gpt-realtime-mini will be shut down on 2027-01-20; its successor is gpt-realtime-2.1-mini",
    )
    assert retirement_warnings(plan, date(2027, 1, 20))[1] == (
        "player cid: gpt-realtime-mini was shut down on 2027-01-20; its successor is gpt-realtime-2.1-mini"
    )


def test_who_writes_down_is_told_of_too() -> None:
    head = "players: {ann: {transcription: whisper-1}, you: {human: mic}}"
    told = "player ann: whisper-1 will be shut down on 2027-02-26; its successor is gpt-transcribe"
    assert retirement_warnings(plan_of(head), TODAY) == (told,)
    steps = "[{listen: {turns: 1, transcription: gpt-4o-transcribe}}, {listen: {turns: 1}}]"
    assert retirement_warnings(plan_of(head, steps), TODAY) == (told, told.replace("whisper-1", "gpt-4o-transcribe"))
    assert retirement_warnings(plan_of(head.replace("whisper-1", "off")), TODAY) == ()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("openai", "gpt-realtime will be shut down on 2027-01-20"),
        ("azure", "gpt-realtime will be shut down on 2027-03-02"),
        ("azure-voice-live", "gpt-realtime will be shut down on 2027-03-02"),
        ("wss://mine.openai.azure.com/openai/v1/realtime", "gpt-realtime will be shut down on 2027-03-02"),
        ("wss://proxy.example.org/v1/realtime", "gpt-realtime will be shut down on 2027-01-20"),
        ("understudy", ""),
        ("xai", ""),
    ],
)
def test_each_provider_has_its_own_days(place: str, told: str) -> None:
    plan = plan_of("model: gpt-realtime\nplayers: {ann: }")
    by_scene = retirement_warnings(plan_of(f"endpoint: {place}\nmodel: gpt-realtime\nplayers: {{ann: }}"), TODAY)
    assert by_scene == retirement_warnings(plan, TODAY, lambda _player: endpoint(place))
    assert told in "".join(by_scene)
    assert bool(by_scene) == bool(told)


def test_an_end_without_a_successor_is_told_when_it_is_near() -> None:
    plan = plan_of("endpoint: azure\nmodel: gpt-realtime-2.1\nplayers: {ann: }")
    assert retirement_warnings(plan, date(2027, 3, 26)) == ()
    assert retirement_warnings(plan, date(2027, 3, 27)) == (
        "player ann: gpt-realtime-2.1 will be shut down on 2027-06-25; no successor has been announced",
    )


def test_a_forecast_warns_where_it_is_told_the_day() -> None:
    plan = plan_of("model: gpt-realtime\nplayers: {ann: }")
    assert forecast(plan).warnings == ()
    assert forecast(plan, TODAY).warnings == retirement_warnings(plan, TODAY)


def test_what_is_still_to_come() -> None:
    told = coming_retirements(TODAY)
    assert [line.split(";")[0] for _, line in told] == [
        f"will be shut down on {day}" for day in ("2027-01-06", "2027-01-20", "2027-01-20", "2027-02-26")
    ]
    assert coming_retirements(date(2028, 1, 1)) == coming_retirements(date(2028, 1, 1), "azure") == ()
