"""Every block of docs/examples.md, docs/takes.md and docs/python.md does what it says."""

# ruff: noqa: F401 - a fixture of another module

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.forked import python
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

TOP = Path(__file__).parent.parent
EXAMPLES, TAKES, PYTHON = ((TOP / "docs" / f"{name}.md").read_text("utf-8") for name in ("examples", "takes", "python"))


def blocks(page: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in found} == {kind}
    return [block for _, block in found]


def commands(block: str) -> list[str]:
    return [line.split("#")[0] for line in block.splitlines()]


BEFORE, PERFORMANCES = (commands(block) for block in blocks(EXAMPLES, "sh"))
PERFORMING, CONVERSING = blocks(PYTHON, "python")


def typed(command: str) -> list[str]:
    """The words of a command, as a shell gives them to the program."""
    program, *words = shlex.split(command)
    assert program == "tau-stage"
    return [path for word in words for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


@pytest.mark.parametrize("command", BEFORE)
def test_every_block_before_a_performance_works_as_printed(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(TOP)
    words = typed(command)
    assert run(*words) == (1 if "--check" in words else 0)
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


def test_every_scene_is_in_the_table() -> None:
    shown = re.findall(r"^\| \[([\w-]+)\]\(\.\./scenes/\1\.yaml\) \|", EXAMPLES, re.MULTILINE)
    assert sorted(shown) == sorted(path.stem for path in (TOP / "scenes").glob("*.yaml"))


@pytest.mark.slow
def test_what_is_done_with_takes_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    shutil.copytree(TOP / "scenes", tmp_path / "scenes")
    monkeypatch.chdir(tmp_path)
    for command in (line for block in blocks(TAKES, "sh") for line in commands(block)):
        assert run(*typed(command)) == 0, capsys.readouterr().err
        assert capsys.readouterr().out


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
    assert re.fullmatch(r"warning: .* set: the understudy performs, and nothing is spent\.\n", done.stderr)
    (tmp_path / "scenes" / "hello.yaml").write_text("players:", "utf-8")
    broken = python("-c", PERFORMING, cwd=tmp_path)
    assert broken.returncode == 2
    assert broken.stderr.startswith("cannot perform the scene: scenes/hello.yaml:1:")


def test_the_program_has_thirty_lines() -> None:
    assert len([line for line in PERFORMING.splitlines() if line.strip()]) <= 30


@pytest.mark.slow
def test_the_program_converses() -> None:
    """Slow: a process of its own, with the real voice."""
    done = python("-c", CONVERSING)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r".+\. \d\.\d s 0\.\d+ dollars\n", done.stdout)
