"""``tau-stage test`` and ``tau-stage init``, as a user types them, in a project of their own."""

# ruff: noqa: F401, F811, ARG001 - fixtures, some of another module

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from tau_stage.cassette.format import FORMAT
from tau_stage.understudy.server import Understudy
from tests.support.forked import python
from tests.support.processes import BYTECODE
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import SCENES, run

Printed = pytest.CaptureFixture[str]
WELCOME = Path("scenes/welcome.yaml")
TAPE = Path("scenes/cassettes/welcome")
SNAPSHOT = Path("scenes/snapshots/welcome.json")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Path:
    """A new project, which is the working directory."""
    assert run("init", str(tmp_path / "new")) == 0
    monkeypatch.chdir(tmp_path / "new")
    capsys.readouterr()
    return tmp_path / "new"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def copied(name: str) -> None:
    """Another scene beside the first, with a cassette of its own."""
    Path(f"scenes/{name}.yaml").write_text(WELCOME.read_text())
    shutil.copytree(TAPE, TAPE.with_name(name))


@pytest.mark.usefixtures("project")
def test_a_new_project_is_green_and_one_word_makes_it_red_at_its_line(capsys: Printed) -> None:
    assert run("test") == 0
    assert re.fullmatch(
        r"ok scenes/welcome\.yaml  2 lines, \d\d expectations, from its cassette "
        r"\(snapshot, expectations, as recorded\), \d\.\d s\n1 scene: 1 passed\n",
        capsys.readouterr().out,
    )
    edit(WELCOME, "The door was", "The gate was")
    assert run("test") == 1
    said = capsys.readouterr().out
    line = next(n for n, text in enumerate(WELCOME.read_text().splitlines(), 1) if "gate" in text)
    assert said.startswith("FAILED scenes/welcome.yaml")
    assert f"\n  scenes/welcome.yaml:{line}:5: host-1: asked\n" in said
    assert "\n      - host: (warmly) There you are. The gate was open, I hope?\n        ^\n" in said
    assert "\n    was: There you are. The [-door-] {+gate+} was open, I hope?\n" in said
    assert "tau-stage run scenes/welcome.yaml --record scenes/cassettes" in said
    SNAPSHOT.unlink()
    assert run("test") == 1
    assert f"\n  scenes/welcome.yaml:{line}:5: host-1: words differ: recorded " in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_init_changes_nothing_that_is_there(capsys: Printed) -> None:
    Path("README.md").write_text("mine")
    assert run("init", ".") == 2
    assert (told := capsys.readouterr().err).startswith(".gitignore and 15 more")
    assert "would be overwritten" in told
    assert Path("README.md").read_text() == "mine"
    assert run("validate", str(WELCOME)) == 0
    json.loads(Path("scene.schema.json").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_without_a_cassette_the_understudy_plays_and_the_words_that_differ_are_shown(capsys: Printed) -> None:
    """Slow: the neural voice speaks."""
    for path in sorted(TAPE.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    TAPE.rmdir()
    assert run("test", "--update") == 0
    assert f"accepted {SNAPSHOT}" in capsys.readouterr().out
    assert run("test", "--update") == 0
    assert f"unchanged {SNAPSHOT}" in capsys.readouterr().out
    assert run("test") == 0
    assert not list(Path(".tau-stage/takes").iterdir())
    edit(WELCOME, "The door was open", "The gate was open")
    assert run("test", "--repeat", "2") == 1
    said = capsys.readouterr().out
    assert "host-1: said\n" in said
    assert "was: There you are. The [-door-] {+gate+} was open, I hope?" in said
    assert "host-1: passed 0 of 2 times, required 2" in said
    assert f"accept it: tau-stage accept {(take := said.split('tau-stage accept ')[1].split()[0])}\n" in said
    assert Path(take, "report.html").is_file()
    assert "failed" in Path(take, "checks.json").read_text()
    assert run("accept", take) == 0
    assert run("test") == 1
    assert "host-1: said “There you are. The gate was open, I hope?”, expected “door”" in capsys.readouterr().out
    before = SNAPSHOT.read_bytes()
    assert run("test", "--update") == 1
    assert f"\n  not accepted: {SNAPSHOT} is unchanged\n" in capsys.readouterr().out
    assert SNAPSHOT.read_bytes() == before
    assert not Path(take).exists()
    assert run("test", "--out", "mine", "--check") == 1
    assert len(list(Path("mine/welcome").glob("*Z-*"))) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_only_what_was_not_well_is_tested_again(capsys: Printed) -> None:
    """Slow: the neural voice speaks."""
    good = Path("scenes/more/good.yaml")
    good.parent.mkdir()
    good.write_text(WELCOME.read_text())
    for name in ("good", "moods.door", "moods.gate", "moods.fence"):
        shutil.copytree(TAPE, good.parent / "cassettes" / name)
    matrix = good.with_name("moods.yaml")
    matrix.write_text(
        WELCOME.read_text().replace("The door was", "The ${what} was") + "matrix: {what: [door, gate, fence]}\n"
    )
    assert run("test", "--failed") == 2
    assert "no failed scenes are recorded" in capsys.readouterr().err
    broken = Path("scenes/broken.yaml")
    broken.write_text("players: {ann: }\nlines:\n- bob: Hi.\n")
    assert run("test", "--jobs", "1") == 2
    said = capsys.readouterr().out
    assert "ERROR scenes/broken.yaml" in said
    assert "scenes/broken.yaml:3:3: unknown player 'bob'" in said
    assert said.endswith("6 scenes: 3 passed, 2 failed, 1 broken\n")
    broken.write_text(WELCOME.read_text().replace("The door was", "The moon was"))
    shutil.copytree(TAPE, TAPE.with_name("broken"))
    assert run("test", "--failed", "--jobs", "1") == 1
    tested = re.findall(r"^(\w+) (scenes/\S+)", capsys.readouterr().out, re.MULTILINE)
    names = ["scenes/broken.yaml", "scenes/more/moods.yaml[gate]", "scenes/more/moods.yaml[fence]"]
    assert tested == [("FAILED", name) for name in names]
    states = json.loads(Path(".tau-stage/last-test.json").read_text())["results"]
    assert states["scenes/welcome.yaml"] == "passed"
    assert states["scenes/broken.yaml"] == "failed"
    assert run("test", "--failed", str(WELCOME)) == 2
    assert "none of these scenes failed" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_nothing_tested_is_never_green(capsys: Printed) -> None:
    assert run("test", "nowhere") == 2
    assert "no such scene or folder" in capsys.readouterr().err
    Path("empty").mkdir()
    Path("empty/compose.yaml").write_text("services: {web: {image: nginx}}\n")
    assert run("test", "empty") == 2
    assert "no scene found in empty" in capsys.readouterr().err
    Path("empty/compose.yaml").unlink()
    Path("empty/hello.yaml").write_text((SCENES / "hello.yaml").read_text())
    assert run("test", "empty", "--junit", "junit.xml") == 2
    said = capsys.readouterr()
    assert "-- empty/hello.yaml  no expectations, not performed" in said.out
    assert "no scene has expectations" in said.err
    (suite,) = JUnitXml.fromfile("junit.xml")
    (case,) = suite
    assert isinstance(case.result[0], Skipped)


def damage_newer() -> None:
    edit(TAPE / "cassette.json", '"cassette": 1', f'"cassette": {FORMAT + 1}')


def damage_truncated() -> None:
    events = TAPE / "guest.jsonl"
    events.write_bytes(events.read_bytes()[:-40])


def damage_edited() -> None:
    events = TAPE / "host.jsonl"
    events.write_text(events.read_text().replace("door", "gate"))


def damage_clip() -> None:
    clip = min((TAPE / "audio").iterdir())
    clip.write_bytes(clip.read_bytes()[:500])


def damage_missing_clip() -> None:
    min((TAPE / "audio").iterdir()).unlink()


def damage_manifest() -> None:
    (TAPE / "cassette.json").write_text("{")


def damage_missing_manifest() -> None:
    (TAPE / "cassette.json").unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_newer, "has version 2, but this tau-stage supports version 1"),
        (damage_truncated, "is truncated"),
        (damage_edited, "was changed after it was recorded"),
        (damage_clip, "the clip is damaged"),
        (damage_missing_clip, "clip"),
        (damage_manifest, "is not valid JSON"),
        (damage_missing_manifest, "no cassette found"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
@pytest.mark.usefixtures("project")
def test_a_bad_cassette_is_one_message_and_an_error(damage: object, told: str, capsys: Printed) -> None:
    damage()  # type: ignore[operator]
    assert run("test", "--format", "github", "--junit", "junit.xml") == 3
    said = capsys.readouterr().out
    assert said.startswith("ERROR scenes/welcome.yaml")
    assert said.count(told) >= 1
    assert said.count("::error ") == 1
    assert "Traceback" not in said
    ((case,),) = JUnitXml.fromfile("junit.xml")
    assert isinstance(case.result[0], Error)
    assert not list(Path(".tau-stage/takes").iterdir())


@pytest.mark.usefixtures("project")
def test_a_cassette_that_must_be_there_is_missed(capsys: Printed) -> None:
    assert run("test", "--replay", "elsewhere") == 3
    assert "no cassette found for this scene" in capsys.readouterr().out
    assert run("test", "--replay", "scenes/cassettes") == 0
    assert run("test", "--live", "--replay", "elsewhere") == 2
    assert run("test", "--live") == 2
    assert "--live needs a provider" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_a_broken_snapshot_is_an_error(capsys: Printed) -> None:
    SNAPSHOT.write_text("{")
    assert run("test") == 3
    assert f"{SNAPSHOT}: is not valid JSON" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_junit_shows_scene_line_time_and_message(capsys: Printed) -> None:
    edit(SNAPSHOT, '"loudness": -23.6', '"loudness": -20.1')
    edit(SNAPSHOT, '"asked": "It is *now*."', '"asked": "It is \\u0007<now> & \\"then\\"."')
    assert run("test", "--junit", "junit.xml", "--json") == 1
    xml = JUnitXml.fromfile("junit.xml")
    assert (xml.tests, xml.failures, xml.errors) == (5, 2, 0)
    (suite,) = xml
    assert suite.name == "scenes/welcome.yaml"
    cases = {case.name: case for case in suite}
    assert list(cases) == ["player host", "player guest", "the scene", "host-1", "guest-1"]
    host = cases["host-1"]
    assert (host.classname, host.time) == ("scenes/welcome.yaml", pytest.approx(2.857, abs=0.01))
    (failure,) = host.result
    assert isinstance(failure, Failure)
    assert failure.message == "host-1: loudness -23.6 LUFS, was -20.1 LUFS"
    assert failure.text == "scenes/welcome.yaml:14:5: host-1: loudness -23.6 LUFS, was -20.1 LUFS"
    assert "<now> & " in (cases["guest-1"].result[0].message or "")
    assert cases["player host"].is_passed
    told = json.loads(capsys.readouterr().out)
    assert (told["exit_code"], told["failed"], told["passed"]) == (1, 1, 0)
    (scene,) = told["scenes"]
    bad = [verdict for row in scene["rows"] for verdict in row["bad"]]
    assert [verdict["what"] for verdict in bad] == ["loudness", "asked"]


COMMAND = re.compile(r"::(?P<kind>\w+) (?P<facts>[^:]*)::(?P<message>.*)")


def annotated(text: str) -> list[dict[str, str]]:
    """As actions/runner reads them: ``ActionCommand.cs``, v2."""
    found = []
    for line in text.splitlines():
        if part := COMMAND.fullmatch(line):
            facts = dict(fact.split("=", 1) for fact in part["facts"].split(","))
            unescaped = {key: _unescaped(value, property_=True) for key, value in facts.items()}
            found.append(unescaped | {"kind": part["kind"], "message": _unescaped(part["message"])})
    return found


def _unescaped(text: str, *, property_: bool = False) -> str:
    signs = {"%0D": "\r", "%0A": "\n"} | ({"%3A": ":", "%2C": ","} if property_ else {})
    for sign, meant in (signs | {"%25": "%"}).items():
        text = text.replace(sign, meant)
    return text


@pytest.mark.usefixtures("project")
def test_annotations_are_githubs(capsys: Printed) -> None:
    odd = WELCOME.with_name("odd, 100%.yaml")
    copied(odd.stem)
    odd.write_text(WELCOME.read_text().replace("The door was", "100%, I say; the gate was"))
    assert run("test", str(odd), str(WELCOME), "--format", "github") == 1
    (found,) = annotated(capsys.readouterr().out)
    assert (found["kind"], found["file"], found["line"], found["col"]) == ("error", str(odd), "14", "5")
    assert "100%, I say; the gate" in found["message"]


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_the_summary_is_short_enough_to_read() -> None:
    """Slow: many scenes."""
    tape = Path("scenes/many/cassettes")
    tape.mkdir(parents=True)
    for number in range(25):
        text = WELCOME.read_text().replace("The door was", f"The | `gate` {number} was")
        Path(f"scenes/many/scene-{number:02}.yaml").write_text(text)
        shutil.copytree(TAPE, tape / f"scene-{number:02}")
    assert run("test", "--summary", "summary.md", "--jobs", "1") == 1
    lines = Path("summary.md").read_text().splitlines()
    assert lines[0] == "### tau-stage test: 26 scenes: 1 passed, 25 failed"
    assert len(lines) < 70
    assert max(map(len, lines)) < 260
    assert "... and 5 more." in lines
    for row in (line for line in lines if line.startswith("| ❌ `")):
        assert len(re.findall(r"(?<!\\)\|", row)) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_unchanged_it_is_green_each_time(capsys: Printed, times: int) -> None:
    """Slow: each time is a performance."""
    assert run("test", "--repeat", str(times)) == 0
    assert f"2 lines, {51 * times} expectations" in capsys.readouterr().out
    for _ in range(3):
        assert run("test") == 0


@pytest.mark.usefixtures("project")
def test_a_line_may_be_well_in_some_performances_only(capsys: Printed) -> None:
    edit(WELCOME, "length: 500ms..4s", "length: 3s..4s, pass: 1 of 2")
    assert run("test", "--repeat", "2") == 1
    assert "guest-1: passed 0 of 2 times, required 1" in capsys.readouterr().out


OFFLINE = """
import socket, sys
def no(*_): raise AssertionError("the network was asked for")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = no
socket.getaddrinfo = no
from tau_stage.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_fresh_project_is_green_without_a_key_or_a_network(project: Path) -> None:
    """Slow: a process of its own, in an environment that holds nothing."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(project)}
    done = python("-c", OFFLINE, "test", cwd=project, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("1 scene: 1 passed\n")


@pytest.mark.slow
def test_scenes_are_tested_in_several_processes(project: Path, capsys: Printed) -> None:
    """Slow: starts two processes."""
    for number in range(4):
        copied(f"copy-{number}")
    edit(Path("scenes/copy-2.yaml"), "The door was", "The gate was")
    assert run("test", "--jobs", "2") == 1
    said = capsys.readouterr().out
    assert re.findall(r"^(\w+) scenes/(\S+)\.yaml", said, re.MULTILINE) == [
        ("ok", "copy-0"),
        ("ok", "copy-1"),
        ("FAILED", "copy-2"),
        ("ok", "copy-3"),
        ("ok", "welcome"),
    ]
    assert said.endswith("5 scenes: 4 passed, 1 failed\n")


@pytest.mark.slow
def test_this_repositorys_own_scenes_are_green_and_their_cassettes_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Printed
) -> None:
    """Slow: the neural voice speaks."""
    (tmp_path / "scenes").symlink_to(SCENES)
    monkeypatch.chdir(tmp_path)
    assert run("test", "scenes/") == 0
    assert "scenes/umbrella.yaml  8 lines" in capsys.readouterr().out
    assert sum(file.stat().st_size for file in SCENES.glob("cassettes/**/*") if file.is_file()) < 1_000_000


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_live_is_performed_by_the_provider_though_there_is_a_cassette(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    """Slow: sockets, and time that passes."""
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", serve(Understudy(Tones())))
    assert run("test", "--live") == 1
    said = capsys.readouterr().out
    assert "expectations" in said
    assert ", live (snapshot, expectations), " in said
    assert "host-1: length " in said
    SNAPSHOT.unlink()
    edit(WELCOME, "length: 500ms..4s", "length: 100ms..4s")
    assert run("test", "--live") == 0
