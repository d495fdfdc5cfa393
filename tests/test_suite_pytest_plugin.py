"""The pytest plugin, in projects of its own."""

# ruff: noqa: F401 - fixtures, some of another module

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tau_stage.suite.execution  # before pytester keeps modules apart: numpy can be loaded once only
from tau_stage.cli.init_command import TEMPLATES
from tau_stage.understudy.voices import load_engine
from tests.test_cli_run import no_key
from tests.test_cli_testing import edit

pytest_plugins = ["pytester"]
STRICT = ("-p", "no:cacheprovider", "-W", "error", "--strict-markers", "--strict-config")


@pytest.fixture(scope="module", autouse=True)
def voice() -> None:
    """Load what the voice consists of before pytester keeps modules apart: other tests of this process use it, too."""
    load_engine()


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A new project's scenes, and YAML files of others."""
    shutil.copytree(TEMPLATES / "test" / "scenes", pytester.path / "scenes")
    (pytester.path / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    (pytester.path / "other.yaml").write_text("players: 4\nlines: [red, blue]\n")
    other = "# yaml-language-server: $schema=https://example.com/game.json\nplayers: 4\nlines: 2\n"
    (pytester.path / "scenes" / "game.yml").write_text(other)
    return pytester.path / "scenes"


@pytest.mark.usefixtures("project")
def test_scenes_are_tests_and_other_yaml_files_are_none(pytester: pytest.Pytester) -> None:
    found = pytester.runpytest(*STRICT, "-v")
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["*scenes/welcome.yaml::welcome PASSED*"])
    assert not list(pytester.path.glob(".tau-stage/takes/*"))


@pytest.mark.slow
def test_a_failure_shows_the_line_the_caret_and_the_difference(pytester: pytest.Pytester, project: Path) -> None:
    """Slow: several runs of pytest."""
    edit(project / "welcome.yaml", "The door was", "The gate was")
    edit(project / "snapshots" / "welcome.json", '"said": "It is now."', '"said": "It was now."')
    found = pytester.runpytest(*STRICT, "scenes")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        [
            "*scenes/welcome.yaml:14:5: host-1: asked",
            "      - host: (warmly) There you are. The gate was open, I hope[?]",
            "        ^",
            "    was: There you are. The [[]-door-] {+gate+} was open, I hope[?]",
        ]
    )
    assert "Traceback" not in found.stdout.str()
    edit(project / "welcome.yaml", "The gate was", "The door was")
    found = pytester.runpytest(*STRICT, "scenes")
    found.stdout.fnmatch_lines(
        [
            "*scenes/welcome.yaml:16:5: guest-1: said",
            "      - guest: (out of breath) It is [*]now[*].",
            "    was: It [[]-was-] {+is+} now.",
        ]
    )
    for _ in range(2):
        pytester.runpytest(*STRICT, "scenes").assert_outcomes(failed=1)
        assert len(list(pytester.path.glob(".tau-stage/takes/welcome/*Z-*/report.html"))) == 1


@pytest.mark.slow
def test_update_accepts_what_is_new_and_what_has_changed(pytester: pytest.Pytester, project: Path) -> None:
    """Slow: several runs of pytest."""
    snapshot = project / "snapshots" / "welcome.json"
    accepted = snapshot.read_text()
    edit(snapshot, '"said": "It is now."', '"said": "It was now."')
    pytester.runpytest(*STRICT, "scenes").assert_outcomes(failed=1)
    pytester.runpytest(*STRICT, "scenes", "--tau-update").assert_outcomes(passed=1)
    assert snapshot.read_text() == accepted
    snapshot.unlink()
    pytester.runpytest(*STRICT, "scenes", "--tau-update").assert_outcomes(passed=1)
    assert snapshot.read_text() == accepted
    pytester.runpytest(*STRICT, "scenes").assert_outcomes(passed=1)


@pytest.mark.slow
def test_each_variant_is_a_test_a_broken_scene_is_an_error_and_one_without_expectations_is_skipped(
    pytester: pytest.Pytester, project: Path
) -> None:
    """Slow: the neural voice speaks."""
    edit(project / "welcome.yaml", "The door was", "The ${what} was")
    with (project / "welcome.yaml").open("a") as file:
        file.write("matrix: {what: [door, gate]}\n")
    (project / "snapshots" / "welcome.json").rename(project / "snapshots" / "welcome.door.json")
    shutil.copytree(project / "cassettes" / "welcome", project / "cassettes" / "welcome.gate")
    (project / "cassettes" / "welcome").rename(project / "cassettes" / "welcome.door")
    found = pytester.runpytest(*STRICT, "scenes", "-v")
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["*welcome.yaml::door PASSED*", "*welcome.yaml::gate FAILED*"])
    (project / "bare.yaml").write_text("players: {ann: }\nlines: [ann: Hello.]\n")
    found = pytester.runpytest(*STRICT, "scenes/bare.yaml", "-rs")
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*no expectations*"])
    (project / "bare.yaml").write_text("players: {ann: }\nlines: [bob: Hello.]\n")
    found = pytester.runpytest(*STRICT, "scenes/bare.yaml")
    found.assert_outcomes(errors=1)
    assert "unknown player 'bob'" in found.stdout.str()


@pytest.mark.usefixtures("project")
def test_a_link_to_no_scene_is_an_error(pytester: pytest.Pytester, project: Path) -> None:
    (project / "gone.yaml").symlink_to("nowhere.yaml")
    (pytester.path / "elsewhere.yaml").symlink_to("nowhere.yaml")
    for arguments in ([], ["scenes"], ["scenes/gone.yaml"]):
        found = pytester.runpytest(*STRICT, "--collect-only", *arguments)
        assert found.ret
        found.stdout.no_fnmatch_line("*elsewhere*")
        if arguments != ["scenes/gone.yaml"]:
            found.assert_outcomes(errors=1)
            found.stdout.fnmatch_lines(
                ["*scenes/gone.yaml:1:1: the scene file is a link to a file that does not exist*"]
            )
    pytester.runpytest(*STRICT, "--ignore-glob", "*/gone.yaml").assert_outcomes(passed=1)


def test_a_project_without_scenes_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass")
    (pytester.path / "config.yaml").write_text("players: 4\nname: x\n")
    found = pytester.runpytest(*STRICT)
    found.assert_outcomes(passed=1)
    assert not (pytester.path / ".tau-stage").exists()


def test_the_plugin_may_be_left_out(pytester: pytest.Pytester, project: Path) -> None:
    assert project.is_dir()
    found = pytester.runpytest(*STRICT, "-p", "no:tau-stage", "scenes")
    assert found.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.slow
def test_an_app_under_test_talks_to_the_understudy(pytester: pytest.Pytester) -> None:
    """Slow: the neural voice speaks; a client of OpenAI's package."""
    pytester.makepyfile(APP)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=4)  # the package warns of newer websockets


APP = """
import json

import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

def answer(url, words):
    client = OpenAI(api_key="none", websocket_base_url=f"{url}/v1")
    with client.realtime.connect(model="gpt-realtime-2.1-mini") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        content = [{"type": "input_text", "text": words}]
        connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        connection.response.create()
        for event in connection:
            if event.type == "response.done":
                return event.response.status

def test_the_app(understudy_url):
    assert understudy_url.startswith("ws://127.0.0.1:")
    assert answer(understudy_url, "Hello.") == "completed"

def test_another(understudy_url):
    with connect(f"{understudy_url}/v1/realtime?model=gpt-realtime-2.1-mini") as socket:
        assert "session.created" in socket.recv()

def test_a_bad_day(understudy_with):
    url = understudy_with("drop@in_response")
    speak = {"type": "response.create", "response": {"instructions": "Say hello."}}
    with connect(f"{url}/v1/realtime?model=gpt-realtime-2.1-mini") as socket, pytest.raises(ConnectionClosed):
        socket.send(json.dumps(speak))
        while True:
            socket.recv()
    assert answer(url, "Hello.") == "completed"

def test_no_such_day(understudy_with):
    with pytest.raises(pytest.fail.Exception, match="unknown fault 'nonsense'"):
        understudy_with("nonsense")
"""
