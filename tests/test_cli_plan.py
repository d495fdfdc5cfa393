"""``tau-stage plan``, and the forecast's warnings in ``validate``."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage.cli.validate_command import SHORT_STEPS
from tau_stage.cost.forecasting import forecast
from tau_stage.report.forecast_report import forecast_data, tabulate_forecast
from tau_stage.report.tables import plain_text
from tau_stage.scene.load import load_scene
from tau_stage.scene.planner import make_plan
from tests.test_cli_validate import run
from tests.test_cost_forecast import LONG, plan_of

UMBRELLA = Path(__file__).parent.parent / "scenes" / "umbrella.yaml"


def test_piped_it_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", str(UMBRELLA)) == 0
    assert capsys.readouterr().out == plain_text(tabulate_forecast(forecast(make_plan(load_scene(UMBRELLA))))) + "\n"


def test_as_json_it_is_the_same_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", str(UMBRELLA), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == forecast_data(forecast(make_plan(load_scene(UMBRELLA))))
    assert Decimal(told["total"]["likely"]["total"]) > 0


def test_on_a_terminal_it_is_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("plan", str(UMBRELLA)) == 0
    assert "───" in capsys.readouterr().out


def test_variables_and_variants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / "a.yaml"
    scene.write_text("vars: {n: one}\nmatrix: {mood: [sad, glad]}\nplayers: {ann: }\nlines: [ann: '${n} ${mood}']\n")
    assert run("plan", str(scene)) == 0
    assert capsys.readouterr().out.count("an estimate\n") == 2
    assert run("plan", str(scene), "--json", "--var", "n=two", "--only", "sad") == 0
    assert json.loads(capsys.readouterr().out)["lines"][0]["words"] == "two sad"


def test_the_prices_are_those_of_the_endpoint_that_is_chosen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("plan", str(UMBRELLA), "--endpoint", "xai") == 0
    assert "price unknown: gpt-realtime-2.1-mini at xai; the total is unknown" in capsys.readouterr().out
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", "vllm")
    assert run("plan", str(UMBRELLA)) == 0
    assert "gpt-realtime-2.1-mini at vllm;" in capsys.readouterr().out
    assert run("plan", str(UMBRELLA), "--endpoint", "xia") == 2
    assert "unknown endpoint 'xia'" in capsys.readouterr().err


def test_a_wrong_scene_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("players: {ann: }\nlines: [bob: Hm]\n")
    assert run("plan", str(tmp_path / "a.yaml")) == 2
    assert "bob" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "warned"),
    [("[{improvise: {turns: 9}}]", True), ("[ann: Hm]", False), (f"[{'ann: Hm, ' * SHORT_STEPS}]", True)],
    ids=["improvisation", "short", "long"],
)
def test_validate_warns_of_scenes_that_may_be_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str, *, warned: bool
) -> None:
    (tmp_path / "a.yaml").write_text(f"limits: {{budget: $0.0001}}\nplayers: {{ann: , ben: }}\nlines: {lines}\n")
    assert run("validate", str(tmp_path / "a.yaml")) == 0
    said = capsys.readouterr()
    assert said.out.startswith("ok ")
    assert said.err.startswith("warning: ") == warned


def test_a_thousand_lines_of_twelve_players_are_estimated() -> None:
    names = [f"p{number}" for number in range(12)]
    plan = plan_of(f"players: {{{', '.join(f'{name}: ' for name in names)}}}\nlines: [p0: {LONG!r}]\n")
    line = plan.lines[0]
    hearers = {name: tuple(other for other in names if other != name) for name in names}
    many = tuple(
        replace(line, number=number, id=f"x-{number}", player=names[number % 12], hearers=hearers[names[number % 12]])
        for number in range(1, 1001)
    )
    assert len(forecast(replace(plan, steps=many)).lines) == 1000
