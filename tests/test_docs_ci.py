"""Every block of docs/ci.md: YAML is well formed, commands run, what is shown is what is printed."""

# ruff: noqa: F401, F811, ARG001 - fixtures, some of another module

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tau_stage.cli.init_command import TEMPLATES
from tau_stage.scene.load import parse_scene
from tests.test_cli_run import no_key
from tests.test_cli_testing import edit
from tests.test_cli_validate import run

TEXT = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
START, RECORD, LIVE, PYTEST = (block for kind, block in BLOCKS if kind == "sh")
FRAGMENT, GITHUB, GITLAB = (block for kind, block in BLOCKS if kind == "yaml")
(SHOWN,) = (block for kind, block in BLOCKS if kind == "console")
(PROGRAM,) = (block for kind, block in BLOCKS if kind == "python")


@pytest.fixture
def project(no_key: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert run("init", "my-scenes") == 0
    monkeypatch.chdir("my-scenes")
    return Path.cwd()


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert len(BLOCKS) == 9


def test_the_first_project_is_made_as_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, *make), (cd, folder), (_, *test) = commands(START)
    assert run(*make) == 0
    assert cd == "cd"
    monkeypatch.chdir(folder)
    assert run(*test) == 0
    assert "1 passed" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_a_broken_word_is_shown_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    edit(Path("scenes/welcome.yaml"), "The door was", "The gate was")
    capsys.readouterr()
    assert run("test") == 1
    said = re.sub(r"\d\.\d s$", "0.1 s", capsys.readouterr().out, flags=re.MULTILINE)
    assert said == SHOWN


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_recording_and_accepting_work_as_printed() -> None:
    """Slow: the neural voice speaks."""
    for _, *words in commands(RECORD):
        assert run(*words) == 0


@pytest.mark.usefixtures("project")
def test_live_wants_a_provider(capsys: pytest.CaptureFixture[str]) -> None:
    ((_, *words),) = commands(LIVE)
    assert run(*words) == 2
    assert "only the understudy is available" in capsys.readouterr().out


def test_room_is_given_as_printed() -> None:
    scene = parse_scene(f"{FRAGMENT}players: {{ann: }}\nlines: [ann: Hello.]\n")
    assert scene.expect
    assert scene.expect.passes
    assert (scene.expect.passes.passed, scene.expect.passes.of) == (4, 5)


def steps(of: object) -> list[str]:
    """The commands of a workflow or a pipeline."""
    match of:
        case {"run": str(command)}:
            return [command]
        case {"script": list(lines)}:
            return [str(line) for line in lines]
        case dict(parts):
            return [command for part in parts.values() for command in steps(part)]
        case list(parts):
            return [command for part in parts for command in steps(part)]
        case _:
            return []


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("text", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_a_workflow_is_yaml_and_its_test_runs(text: str) -> None:
    install, test = steps(yaml.safe_load(text))
    assert install == "pip install -r requirements.txt"
    assert Path("requirements.txt").is_file()
    program, *words = shlex.split(test.replace("$GITHUB_STEP_SUMMARY", "summary.md"))
    assert program == "tau-stage"
    assert run(*words) == 0
    assert Path("junit.xml").is_file()
    assert Path("summary.md").read_text().startswith("### tau-stage test: 1 scene: 1 passed")


def test_the_workflow_is_that_of_a_new_project(project: Path) -> None:
    assert (project / ".github/workflows/scenes.yml").read_text() == GITHUB
    assert [path.name for path in TEMPLATES.glob("*/*.yml")] == ["github.yml"]


def test_pytest_is_told_of_as_it_is() -> None:
    from tau_stage.suite import pytest_plugin

    options = set(re.findall(r"--tau-[\w-]+", TEXT))
    assert options == set(re.findall(r"--tau-[\w-]+", Path(pytest_plugin.__file__).read_text()))
    assert all(words[0] == "pytest" and words[1] == "scenes" for words in commands(PYTEST))


@pytest.mark.usefixtures("project")
def test_the_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    exec(compile(PROGRAM, "ci.md", "exec"), {})  # noqa: S102 - a block of the page
    assert capsys.readouterr().out == "scenes/welcome.yaml passed 51\n"
