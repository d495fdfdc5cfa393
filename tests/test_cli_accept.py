"""``tau-stage accept``, and what ``run`` tells of a scene's expectations."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tau_stage.cli.performing import print_take
from tau_stage.errors import TakeError
from tau_stage.report.delivering import deliver
from tau_stage.runs.deliver_takes import deliver as deliver_take
from tau_stage.scene.load import load_variants
from tau_stage.scene.planner import make_plan
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reading import read_take
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import Playhouse
from tests.test_cli_validate import run

pytestmark = pytest.mark.anyio

HOUSE = Path(__file__).parent.parent


def put(path: str | Path, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def remove(path: str) -> None:
    Path(path).unlink()


def text_of(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8")


SCENE = """scene: The lamp
expect: {cost: ..$1}
players: {ann: {voice: ash}, bob: {voice: coral}}
matrix: {word: [out, on]}
lines:
- ann: Good evening.
- bob: The lamp is ${word}.
  expect: {says: out}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put("scenes/lamp.yaml", SCENE)


async def performed(number: int = 0) -> tuple[Playhouse, TakeFolder, Take]:
    house = Playhouse(Path(f"takes{number}"))
    take = await house.perform(make_plan(load_variants("scenes/lamp.yaml")[number]))
    house.folder.write("take.json", take.model_dump_json())
    return house, house.folder, take


async def test_a_take_is_accepted_whole_or_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, folder, _ = await performed()
    assert run("accept", str(folder.path)) == 0
    file = Path("scenes/snapshots/lamp.out.json")
    assert capsys.readouterr().out == f"accepted {file}: 2 of 2 lines changed\n"
    kept = text_of(file)
    assert run("accept", str(folder.path)) == 0
    assert capsys.readouterr().out == f"unchanged {file}\n"
    put(file, kept.replace("Good evening", "Good night").replace("lamp is out", "moon is out"))
    assert run("accept", str(folder.path), "ann-1") == 0
    assert capsys.readouterr().out == f"accepted {file}: 1 of 2 lines changed\n"
    assert text_of(file) == kept.replace("lamp is out", "moon is out")
    figures = json.loads(kept)
    for line in figures["lines"].values():
        line["cost"] *= 1.1
    put(str(file), json.dumps(figures))
    assert run("accept", str(folder.path)) == 0
    assert capsys.readouterr().out == f"accepted {file}: 0 of 2 lines changed\n"
    figures["lines"]["ann-1"]["length"] += 2
    put(str(file), json.dumps(figures))
    assert run("accept", str(folder.path)) == 0
    assert capsys.readouterr().out == f"accepted {file}: 1 of 2 lines changed\n"
    put(str(file), text_of(file).replace("lamp is out", "moon is out"))
    assert run("accept", str(folder.path), "ann-1") == 0
    assert run("accept", str(folder.path), "anne-1") == 2
    assert "no line 'anne-1'\n  hint: did you mean 'ann-1'?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "scene", ["scenes/umbrella.yaml", "scenes/hello.yaml", "tau_stage/cli/templates/test/scenes/welcome.yaml"]
)
def test_a_fresh_take_of_a_shipped_scene_is_as_it_was_accepted(scene: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the neural voice speaks. Two performances are alike, however busy the machine is."""
    source = HOUSE / scene
    shutil.copytree(source.parent / "snapshots", "shipped/snapshots")
    shutil.copy(source, "shipped")
    assert run("run", f"shipped/{source.name}", "--endpoint", "understudy", "--quiet") == 0
    capsys.readouterr()
    assert run("accept", f"takes/{source.stem}/latest") == 0
    assert re.match("unchanged |accepted .*: 0 of ", capsys.readouterr().out)


async def test_what_cannot_be_accepted_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _, folder, take = await performed()

    def refused(problem: str) -> None:
        assert run("accept", str(folder.path)) == 2
        assert problem in capsys.readouterr().err
        assert not Path("scenes/snapshots").exists()

    folder.write("take.json", take.model_copy(update={"ended": "failed"}).model_dump_json())
    refused("is not complete (failed)")
    folder.write("take.json", take.model_dump_json())
    sound = folder.path / str(take.lines[0].file)
    kept = sound.read_bytes()
    sound.unlink()
    refused("the audio of line ann-1 is missing")
    sound.write_bytes(kept)
    journal = folder.journal.read_bytes()
    folder.journal.unlink()
    refused("journal.jsonl: is missing")
    folder.journal.write_bytes(journal)
    remove("scenes/lamp.yaml")
    refused("was performed from scenes/lamp.yaml, which does not exist here")


@pytest.mark.parametrize(
    ("number", "code", "told"), [(0, 0, "2 expectations, 0 failed"), (1, 1, "2 expectations, 1 failed")]
)
async def test_a_run_tells_what_its_expectations_came_to(
    number: int, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder, take = await performed(number)
    plan = make_plan(load_variants("scenes/lamp.yaml")[number])
    delivered = deliver_take(plan, folder, take)
    assert (delivered.judged, delivered.exit_code) == (told, code)
    print_take(delivered, quiet=False, as_json=False)
    printed = capsys.readouterr()
    assert f"{told}\n{folder.path}\n" in printed.out
    failed = "failed: scenes/lamp.yaml:8:12: bob-1: said “The lamp is on.”, expected “out”\n"
    assert printed.err == (failed if code else "")
    kept = json.loads((folder.path / "checks.json").read_text())
    assert (kept["passed"], kept["failed"]) == (2 - code, code)
    page = (folder.path / "report.html").read_text()
    assert "Expectations <small>" in page
    again, _ = read_take(folder.path)
    deliver(again, take, plan.deliver)
    assert "Expectations <small>" in (folder.path / "report.html").read_text()


async def test_what_could_not_be_measured_is_another_code() -> None:
    text = SCENE.replace("{says: out}", "{voice: own}")
    put("scenes/lamp.yaml", text)
    _, folder, take = await performed()
    delivered = deliver_take(make_plan(load_variants("scenes/lamp.yaml")[0]), folder, take)
    assert (delivered.judged, delivered.exit_code) == ("2 expectations, 0 failed, 1 could not be measured", 3)
    assert "error: scenes/lamp.yaml:8:12: bob-1: voice could not be measured" in delivered.problems[0]


async def test_where_nothing_is_expected_nothing_is_told() -> None:
    plain = SCENE.replace("expect: {cost: ..$1}\n", "").replace("  expect: {says: out}\n", "")
    put("scenes/lamp.yaml", plain)
    _, folder, take = await performed()
    delivered = deliver_take(make_plan(load_variants("scenes/lamp.yaml")[0]), folder, take)
    assert (delivered.judged, delivered.problems, delivered.exit_code) == ("", (), 0)
    assert not (folder.path / "checks.json").exists()
    assert "Expectations <small>" not in (folder.path / "report.html").read_text()


async def test_broken_files_are_told_and_the_take_stays(capsys: pytest.CaptureFixture[str]) -> None:
    _, folder, take = await performed()
    plan = make_plan(load_variants("scenes/lamp.yaml")[0])
    put("scenes/snapshots/lamp.out.json", "{")
    with pytest.raises(TakeError, match=r"lamp\.out\.json: is not valid JSON"):
        deliver_take(plan, folder, take)
    put(folder.path / "checks.json", "{")
    assert run("report", str(folder.path)) == 2
    assert "checks.json: is invalid" in capsys.readouterr().err


async def test_of_many_failures_the_first_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    words = ", ".join(f"word{number}" for number in range(25))
    put("scenes/lamp.yaml", SCENE.replace("{says: out}", f"{{says: [{words}]}}"))
    _, folder, take = await performed()
    print_take(deliver_take(make_plan(load_variants("scenes/lamp.yaml")[0]), folder, take), quiet=True, as_json=False)
    assert capsys.readouterr().err.endswith("... and 5 more\n")
