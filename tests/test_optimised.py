"""With ``PYTHONOPTIMIZE=2``, which drops asserts and docstrings, all is done and said as without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WRONG = """\
players: {ann: {voice: marin}, bob: {tools: [lamp]}}
lamps: 2
tools: {lamp: {returns: {light: on}}}
lines:
- ann: Is anybody there?
"""
PLAYED = """\
players: {ann: {voice: marin}, bob: {voice: cedar}}
lines:
- ann: Hello.
- bob: Hi.
  expect: {length: 20s..30s}
"""
SAYING = """
import contextlib, io, json, sys
from tau_stage.cli.main import main
from tau_stage.session.tools import Tool

def lamp(on: bool) -> str:
    \'\'\'Switch the lamp.\'\'\'
    return "on" if on else "off"

said = [str(Tool.of(lamp).definition)]
for command in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(command.split())
        except SystemExit as left:
            said.append([command, left.code, out.getvalue()])
print(json.dumps(said))
"""
SAID = {
    "--help": 0,
    "run --help": 0,
    "test --help": 0,
    "cassette prune --help": 0,
    "schema": 0,
    "schema take": 0,
    "validate wrong.yaml": 2,
    "show played.yaml": 0,
    "plan played.yaml": 0,
    "run": 2,
}


def python(folder: Path, level: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A process with a level of optimisation, and without keys."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
    environment = {**kept, "PYTHONOPTIMIZE": level, "XDG_CACHE_HOME": os.devnull}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_is_said_is_the_same(tmp_path: Path) -> None:
    """Slow: starts two interpreters."""
    (tmp_path / "wrong.yaml").write_text(WRONG)
    (tmp_path / "played.yaml").write_text(PLAYED)
    (tmp_path / "saying.py").write_text(SAYING)
    usual, bare = (python(tmp_path, level, "saying.py", json.dumps([*SAID])) for level in ("", "2"))
    assert (usual.returncode, bare.returncode) == (0, 0), usual.stderr + bare.stderr
    tool, *said = json.loads(usual.stdout)
    assert "description='Switch the lamp.'" in tool
    assert {command: code for command, code, _ in said} == SAID
    assert json.loads(bare.stdout) == [tool, *said]


def test_a_scene_is_performed_and_held_against_what_it_expects(tmp_path: Path) -> None:
    """Slow: performs a scene in a process of its own."""
    (tmp_path / "played.yaml").write_text(PLAYED)
    done = python(tmp_path, "2", "-m", "tau_stage", "run", "played.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 expectation, 1 failed" in done.stdout
