"""Every block of the README does what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from tau_stage.scene.load import parse_scene
from tests.support.forked import ForkedPython, python
from tests.test_cli_booth import end, home, page_of, process
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["home", "no_key"]

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SHELL = [[line.split("#")[0] for line in block.splitlines()] for kind, block in BLOCKS if kind == "sh"]
(TAKES,) = (block for block in SHELL if any(" takes/" in line for line in block))
(SUITE,) = (block for block in SHELL if any("tau-stage test" in line for line in block))
FIRST, SECOND, *VERBS = (line for block in SHELL if block not in (TAKES, SUITE) for line in block)
SERVED = "tau-stage understudy --port 8765"
TALKED = next(command for command in VERBS if command.startswith("tau-stage talk "))


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert [kind for kind, _ in BLOCKS] == ["sh", "sh", "yaml", "sh", "sh", "sh", "python", "python", "sh", "sh", "sh"]


def test_the_first_two_commands_are_what_ci_runs() -> None:
    ci = (TOP / ".ci" / "run").read_text(encoding="utf-8")
    assert 'block "Perform a scene"' in ci
    assert 'block "Run the tests"' in ci
    assert FIRST.endswith(".venv/bin/tau-stage run scenes/umbrella.yaml")
    assert SECOND.endswith(".venv/bin/pytest -n auto --branches")


def test_ci_tries_the_oldest_versions_too_with_tests_that_are_there() -> None:
    ci = (TOP / ".ci" / "run").read_text(encoding="utf-8")
    assert "uv pip install --quiet --python .venv --resolution lowest-direct" in ci
    patterns = re.findall(r"\btests/\S+", ci.partition("touching=(")[2].partition("\n)")[0])
    assert len(patterns) > 10
    assert [pattern for pattern in patterns if not any(TOP.glob(pattern))] == []


def test_the_scene_is_a_scene() -> None:
    (scene,) = (block for kind, block in BLOCKS if kind == "yaml")
    assert parse_scene(scene).title == "Hello"
    assert scene == (TOP / "scenes" / "hello.yaml").read_text(encoding="utf-8")


PERFORMANCES = [command for command in VERBS if command.startswith("tau-stage run ")]


@pytest.mark.parametrize("command", [c for c in VERBS if c.strip() not in (SERVED, TALKED) and c not in PERFORMANCES])
def test_each_verb_works_as_printed(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(TOP)
    words = typed(command)
    assert run(*words) == (1 if "--check" in words else 0)
    assert capsys.readouterr().out


def typed(command: str) -> list[str]:
    """The words of a command, as a shell gives them to the program."""
    program, *words = shlex.split(command)
    assert program == "tau-stage"
    return [path for word in words for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


@pytest.mark.slow
def test_what_is_done_with_takes_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    shutil.copytree(TOP / "scenes", tmp_path / "scenes")
    monkeypatch.chdir(tmp_path)
    for command in TAKES:
        assert run(*typed(command)) == 0, capsys.readouterr().err
        assert capsys.readouterr().out


@pytest.mark.slow
def test_the_suite_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    shutil.copytree(TOP / "scenes", tmp_path / "scenes")
    monkeypatch.chdir(tmp_path)
    for command in SUITE:
        assert run(*typed(command)) == 0, capsys.readouterr().err
        assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("command", PERFORMANCES)
def test_each_performance_works_as_printed(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    monkeypatch.chdir(TOP)
    assert run(*typed(command), "--out", str(tmp_path)) == 0
    assert capsys.readouterr().out
    assert len(list(tmp_path.glob("*/latest/take.json"))) == 1


@pytest.mark.slow
def test_talking_works_as_printed(home: dict[str, str]) -> None:
    """Slow: the booth, and the embedded understudy, in processes of their own."""
    with process(home, *typed(TALKED)) as (talk, url), page_of(url) as page:
        assert page.event("session.updated")["event"]["session"]["instructions"] == "You are a tired innkeeper."
        assert end(talk)[0] == 130


def test_every_scene_is_in_the_table() -> None:
    shown = re.findall(r"^\| \[([\w-]+)\]\(scenes/\1\.yaml\) \|", README, re.MULTILINE)
    assert sorted(shown) == sorted(path.stem for path in (TOP / "scenes").glob("*.yaml"))


PERFORMING, CONVERSING = (block for kind, block in BLOCKS if kind == "python")


@pytest.mark.slow
def test_the_program_performs(tmp_path: Path) -> None:
    """Slow: a process of its own, with the real voice."""
    shutil.copytree(TOP / "scenes", tmp_path / "scenes")
    done = python("-c", PERFORMING, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said, costs, files = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:4], done.stdout.splitlines()[4]
    assert [line.partition(":")[0] for line in said] == ["host", "guest"]
    assert all(re.fullmatch(r"(host|guest)-1 \d\.\d s 0\.\d+ dollars", line) for line in costs)
    assert all((tmp_path / file).is_file() for file in files.split())
    assert re.fullmatch(r"warning: .* set: the understudy plays, and nothing is spent\.\n", done.stderr)
    (tmp_path / "scenes" / "hello.yaml").write_text("players:", "utf-8")
    broken = python("-c", PERFORMING, cwd=tmp_path)
    assert broken.returncode == 2
    assert broken.stderr.startswith("the scene cannot be performed: scenes/hello.yaml:1:")


def test_the_program_has_thirty_lines() -> None:
    assert len([line for line in PERFORMING.splitlines() if line.strip()]) <= 30


@pytest.mark.slow
def test_the_program_converses() -> None:
    """Slow: a process of its own, with the real voice."""
    done = python("-c", CONVERSING)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r".+\. \d\.\d s 0\.\d+ dollars\n", done.stdout)


@pytest.mark.slow
def test_the_understudy_serves_as_printed() -> None:
    """Slow: a process of its own. Its port may be taken here, so a free one is asked for."""
    with ForkedPython("-m", "tau_stage", *shlex.split(SERVED)[1:-1], "0") as server:
        try:
            assert re.match(r"The understudy listens at ws://127\.0\.0\.1:\d+/v1/realtime", server.stdout.readline())
        finally:
            server.send_signal(signal.SIGTERM)
