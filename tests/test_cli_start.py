"""What each verb loads: the time that a command needs before it begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.in_memory_stage import SCENES

NEVER = {"numpy", "soundfile", "websockets", "anyio", "onnxruntime", "hibari", "jinja2"}
"""Modules of performances."""

NEVER |= {"asyncio", "httpx2", "filelock", "tau_stage.audio", "tau_stage.take.records"}

LISTED = NEVER | {"rich", "logging", "tau_stage.protocol.endpoints"}
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


LOADING = """
import sys, threading
class Watching:
    def find_spec(name, path=None, target=None):
        if name in ("genai_prices", "onnxruntime"):
            sys.stderr.write(f"{name} {threading.current_thread() is threading.main_thread()}\\n")
sys.meta_path.insert(0, Watching)
from tau_stage.cli.main import main
main()
"""


@pytest.mark.slow
def test_a_performance_loads_prices_and_voice_off_its_loop(tmp_path: Path) -> None:
    """Slow: performs a scene with the real voices."""
    command = [sys.executable, "-c", LOADING, "run", str(SCENES / "hello.yaml"), "--quiet", "--out", str(tmp_path)]
    keyless = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    environment = keyless | {"XDG_CACHE_HOME": os.devnull}  # no line was said before
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert {"genai_prices False", "onnxruntime False"} <= set(done.stderr.splitlines())
    assert not {"genai_prices True", "onnxruntime True"} & set(done.stderr.splitlines())
