"""``tau-stage test`` at a provider: where it plays, what it may cost, which variables and variants."""

from __future__ import annotations

from pathlib import Path

import pytest
from junitparser import JUnitXml, Skipped

from tau_stage.understudy.server import Understudy
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

SCENE = """
scene: Live
vars: {city: Oslo}
matrix: {mood: [calm, cross]}
players: {ann: {voice: ash}, ben: {voice: sage}}
lines:
  - ann: (${mood}) Where is ${city}?
  - ben: North of here.
expect: {says: {contains: Bergen}}
limits: {start_rate: 100/s}
"""


@pytest.fixture
def url(serve: Serve) -> str:
    Path("live.yaml").write_text(SCENE)
    return serve(Understudy(Tones()))


def test_variants_and_variables_are_chosen_and_the_endpoint_plays(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", "live.yaml", "--endpoint", url) == 1
    assert "2 scenes: 0 passed, 2 failed" in capsys.readouterr().out
    assert run("test", "live.yaml", "--endpoint", url, "--only", "calm", "--var", "city=Bergen") == 0
    said = capsys.readouterr().out
    assert said.startswith("ok live.yaml[calm]  2 lines, 1 expectation, live (expectations)")
    options = ("--only", "calm", "--var", "city=Bergen", "--repeat", "2", "--budget", "$1")
    assert run("test", "live.yaml", "--endpoint", url, *options) == 0
    assert "2 expectations" in capsys.readouterr().out


@pytest.mark.parametrize(("repeat", "budget", "missed"), [(1, "$0.0001", ["ann-1", "ben-1"]), (3, "$0.0013", [])])
def test_at_the_budget_it_stops_and_says_which_lines_none_reached(
    repeat: int, budget: str, missed: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--only", "calm", "--var", "city=Bergen", "--repeat", str(repeat), "--budget", budget)
    assert run("test", "live.yaml", "--endpoint", url, *options, "--junit", "junit.xml") == 4
    assert f"stopped at the budget of {budget} in performance {(repeat + 1) // 2} of {repeat}; raise --budget" in (
        capsys.readouterr().out
    )
    (suite,) = JUnitXml.fromfile("junit.xml")
    skipped = {case.name: case.result[0].message for case in suite if case.is_skipped}
    assert skipped == dict.fromkeys(missed, "not performed: the test stopped at its budget")
    assert all(isinstance(case.result[0], Skipped) for case in suite if case.is_skipped)


def test_repeated_live_it_needs_a_ceiling(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", "live.yaml", "--endpoint", url, "--repeat", "5") == 2
    assert "--budget '$2'" in capsys.readouterr().err
