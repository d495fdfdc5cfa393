"""What each verb loads: the time that a command needs before it begins."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.in_memory_stage import SCENES

NEVER = {"numpy", "soundfile", "websockets", "anyio", "onnxruntime", "hibari", "jinja2"}
"""Modules of performances."""

NEVER |= {"asyncio", "httpx2", "filelock", "tau_stage.audio", "tau_stage.take.records"}

LISTED = NEVER | {"rich", "logging"}
READ = LISTED | {"pydantic", "yaml", "importlib.metadata", "tomllib"}

LOADED = """
import sys
from tau_stage.cli.main import main
try:
    main()
finally:
    sys.stderr.write(" ".join(sys.modules))
"""


def loaded_by(*arguments: str) -> set[str]:
    """Return the modules that a command has loaded when it ends, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "heavy"),
    [("--help", READ), ("validate", LISTED), ("plan", NEVER)],
)
def test_a_verb_loads_its_own_module_and_nothing_heavy(verb: str, heavy: set[str]) -> None:
    """Slow: starts an interpreter."""
    is_option = verb.startswith("-")
    loaded = loaded_by(verb, *(() if is_option else [str(SCENES / "umbrella.yaml")]))
    assert loaded & heavy == set()
    verbs = {module for module in loaded if module.endswith("_command")}
    assert verbs == (set() if is_option else {f"tau_stage.cli.{verb}_command"})
