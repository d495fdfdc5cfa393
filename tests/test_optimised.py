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


def said(folder: Path, level: str, *commands: str) -> tuple[str, list[tuple[str, int, str]]]:
    """What a process with a level of optimisation says of a function, and of each command."""
    (folder / "wrong.yaml").write_text(WRONG)
    (folder / "played.yaml").write_text(PLAYED)
    (folder / "saying.py").write_text(SAYING)
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
    done = subprocess.run(
        [sys.executable, "saying.py", json.dumps(commands)],
        cwd=folder,
        env={**kept, "PYTHONOPTIMIZE": level, "XDG_CACHE_HOME": os.devnull},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    tool, *told = json.loads(done.stdout)
    return tool, [(command, code, out) for command, code, out in told]


def test_what_is_said_is_the_same_and_a_scene_is_performed_and_held_against_what_it_expects(tmp_path: Path) -> None:
    """Slow: starts two interpreters, and performs a scene."""
    usual = said(tmp_path, "", *SAID)
    tool, told = said(tmp_path, "2", *SAID, "run played.yaml")
    assert (tool, told[:-1]) == usual
    assert "description='Switch the lamp.'" in tool
    assert {command: code for command, code, _ in told[:-1]} == SAID
    _, code, out = told[-1]
    assert code == 1, out
    assert "1 expectation, 1 failed" in out
