"""`tau-stage retake`: one line of a take again, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import read_take
from tau_stage.understudy.server import Understudy
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run
from tests.test_stage_resume import stopped_at

__all__ = ["no_key", "serve"]

SCENE = """
scene: A talk
vars: {what: hat}
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Where is my ${what}?
  - bob: (gruffly) Here.
  - ann: Thank you.
limits: {start_rate: 100/s}
"""


@pytest.fixture
def performed(serve: Serve, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """A take's folder, and where it was performed."""
    Path("talk.yaml").write_text(SCENE)
    url = serve(Understudy(Tones()))
    assert run("run", "talk.yaml", "--endpoint", url, "--json", "--var", "what=umbrella") == 0
    return str(json.loads(capsys.readouterr().out)["path"]), url


def test_a_line_is_retaken_in_another_way_into_a_take_beside_the_old(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    before = {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    options = ("--direction", "shouting", "--takes", "2", "--endpoint", url, "--json")
    assert run("retake", folder, "bob-1", *options) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["path"]).resolve().parent == Path(folder).resolve().parent
    first, second, third = told["take"]["lines"]
    assert (first["former"], second["former"], third["former"]) == (True, False, True)
    assert first["said"] == "Where is my umbrella?"
    assert (second["direction"], len(second["alternatives"])) == ("shouting", 1)
    assert third["outdated"] == ["bob-1"]
    assert {path: path.read_bytes() for path in before} == before
    assert run("retake", "takes/talk/latest", "ann-2", "--through", "--endpoint", url, "--quiet") == 0


def test_several_lines_are_retaken_at_once(performed: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, url = performed
    assert run("retake", folder, "bob-1", "ann-2", "--direction", "shouting", "--endpoint", url, "--json") == 0
    lines = json.loads(capsys.readouterr().out)["take"]["lines"]
    assert [(line["former"], line["direction"]) for line in lines] == [
        (True, ""), (False, "shouting"), (False, "shouting"),
    ]  # fmt: skip
    assert run("retake", folder, "bob-1", "ann-9", "--endpoint", url) == 2
    assert "the take has no line 'ann-9'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("takes/none", "bob-1"), "takes/none"),
        (("takes/talk/latest", "bob-9"), "the take has no line 'bob-9'\n  hint: did you mean 'bob-1'?"),
        (("takes/talk/latest", "bob1"), "the take has no line 'bob1'\n  hint: did you mean 'bob-1'?"),
        (("takes/talk/latest", "xyz"), "the take has no line 'xyz'\n  hint: its lines: ann-1"),
    ],
)
def test_what_is_not_there_is_told(
    performed: tuple[str, str], arguments: tuple[str, str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("retake", *arguments, "--endpoint", performed[1]) == 2
    assert problem in capsys.readouterr().err


def test_a_scene_that_has_changed_is_not_retaken_but_anyway(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    Path("talk.yaml").write_text(SCENE.replace("Here.", "There."))
    assert run("retake", folder, "bob-1", "--endpoint", url) == 2
    assert "talk.yaml: the scene has changed since the take was performed" in capsys.readouterr().err
    assert run("retake", folder, "bob-1", "--endpoint", url, "--anyway", "--json") == 0
    assert json.loads(capsys.readouterr().out)["take"]["lines"][1]["said"] == "There."


def test_only_what_was_asked_for_is_performed_and_the_rest_is_told(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    lines = [line for line in SCENE.splitlines() if line.lstrip().startswith("- ")]
    changed = SCENE.replace(lines[-1], "  - ann: Never mind.\n  - bob: What?\n  - ann: Nothing.\n  - bob: Oh.")
    Path("talk.yaml").write_text(changed.replace("Here.", "There."))
    assert run("retake", folder, "bob-1", "--endpoint", url, "--anyway", "--json") == 0
    said = capsys.readouterr()
    take = json.loads(said.out)["take"]
    assert [(line["id"], line["former"]) for line in take["lines"]] == [
        ("ann-1", True),
        ("bob-1", False),
        ("ann-2", True),
    ]
    assert "ann-2: changed in the scene, but not performed again" in said.err
    assert "bob-2, ann-3, bob-3: new in the scene, not performed" in said.err


def test_a_line_keeps_its_sound_where_one_is_written_before_it(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    before = json.loads(Path(folder, "take.json").read_text())["lines"]
    Path("talk.yaml").write_text(SCENE.replace("lines:\n", "lines:\n  - ann: Well.\n  - improvise: {turns: 2}\n"))
    assert run("retake", folder, "ann-2", "--direction", "shouting", "--endpoint", url, "--anyway", "--json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert "ann-1, improvise-1: new in the scene, not performed" in said.err
    assert [(line["id"], line["said"], line["former"]) for line in told["take"]["lines"]] == [
        ("ann-2", "Where is my umbrella?", True), ("bob-1", "Here.", True), ("ann-3", "Thank you.", False),
    ]  # fmt: skip
    assert told["take"]["lines"][2]["direction"] == "shouting"
    assert [line["sha256"] for line in told["take"]["lines"][:2]] == [line["sha256"] for line in before[:2]]
    assert run("retake", told["path"], "bob-1", "--endpoint", url, "--json") == 0
    said = capsys.readouterr()
    assert "ann-1, improvise-1: new in the scene, not performed" in said.err
    again = json.loads(said.out)["take"]["lines"]
    assert [(line["id"], line["former"]) for line in again] == [("ann-2", True), ("bob-1", False), ("ann-3", True)]


def test_what_was_taken_over_is_no_difference_and_what_is_outdated_is_told(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    assert run("retake", folder, "bob-1", "--endpoint", url) == 0
    told = "ann-2 heard an older take of bob-1"
    said = capsys.readouterr().out
    assert f"warning: line {told}" in said
    again = said.split()[-1]
    assert "heard an older take of bob-1" in (Path(again) / "sheet.csv").read_text()
    assert "heard an older take of bob-1" in (Path(again) / "report.html").read_text()
    assert run("compare", folder, again) == 0
    told = capsys.readouterr().out
    assert "1 of 3 lines differ; 2 were reused" in told
    assert "B: ann-2 heard an older take of bob-1" in told
    assert run("compare", folder, again, "--json") == 0
    cost = json.loads(capsys.readouterr().out)["totals"]["cost, an estimate"]
    assert abs(float(cost["b"]) - float(cost["a"])) < 0.0001


@pytest.mark.parametrize("line", ["ann-1", "bob-1", "ann-2"])
@pytest.mark.parametrize("kind", ["line_began", "line_spoken"])
def test_a_retake_that_was_killed_goes_on(
    performed: tuple[str, str], line: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    assert run("retake", folder, "bob-1", "--direction", "shouting", "--endpoint", url, "--quiet") == 0
    whole = TakeFolder(Path(capsys.readouterr().out.split()[-1]))
    journal = read_journal(whole.journal)
    at = next(n for n, fact in enumerate(journal) if (fact.type, getattr(fact, "line", "")) == (kind, line))
    killed = stopped_at(whole, at + 1, whole.path.with_name("20261121T000000Z-abc123")).path
    assert run("resume", str(killed), "--quiet") == 0
    told = {"id", "number", "said", "direction", "file", "former", "outdated", "samples", "offset_samples", "sha256"}
    before, after = (
        [each.model_dump(include=told) for each in read_take(path)[1].lines] for path in (whole.path, killed)
    )
    assert after == before
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.path.iterdir()}
    files = {path.name for path in (killed / "lines").iterdir()}
    assert files - {"002-bob-1.attempt-1.wav"} == {path.name for path in (whole.path / "lines").iterdir()}
    assert read_take(Path(folder))[1].lines[1].direction == "gruffly"
    capsys.readouterr()


def test_a_retake_of_the_latest_is_compared_with_what_it_was_made_of_and_its_takes_can_be_picked(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    options = ("--direction", "shouting", "--takes", "2", "--endpoint", url, "--quiet")
    assert run("retake", "takes/talk/latest", "bob-1", *options) == 0
    again = capsys.readouterr().out.strip()
    assert again.startswith("takes/talk/2")
    assert run("compare", "takes/talk/latest") == 0
    assert capsys.readouterr().err == f"A is {folder}, B is takes/talk/latest\n"
    told = json.loads(Path(again, "take.json").read_text())["lines"][1]
    assert run("pick", "takes/talk/latest", "bob-1", str(3 - told["take"])) == 0
    assert "has changed" not in capsys.readouterr().err


def test_a_retake_that_is_accepted_is_what_the_scene_is_held_against(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = performed
    assert run("retake", folder, "bob-1", "--endpoint", url, "--quiet") == 0
    retaken = str(Path("takes/talk/latest").resolve())
    assert run("retake", retaken, "ann-2", "--endpoint", url, "--takes", "2", "--quiet") == 0
    assert run("pick", "takes/talk/latest", "ann-2", "1", "--quiet") == 0
    assert run("accept", "takes/talk/latest") == 0
    capsys.readouterr()
    assert run("compare", folder, "takes/talk/latest") == 0
    said = capsys.readouterr().out
    (first,) = [line for line in said.splitlines() if line.startswith("ann-1  ") and "+0.0" in line]
    assert "+0.0000" in first
    assert "cheaper" not in said.split("lines\n")[0].split("ann-2")[0]
    code = run("test", "talk.yaml", "--endpoint", url, "--var", "what=umbrella", "--jobs", "1")
    assert code == 0, capsys.readouterr().out
