"""What the tools of a scene see of the environment: no key of any endpoint, but for what the scene names."""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tau_stage.environment import KEYS, environment, keys_withheld, known_keys, spared_by_collector, visible
from tau_stage.errors import SceneError
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tests.support.in_memory_stage import Playhouse

MARKER = "sk-MARKER-0123456789"
LOOKS = {
    "OPENAI_API_KEY_2": "another",
    "SHOP_TOKEN": "another",
    "DB_PASSWORD": "another",
    "COPY": f"{MARKER}-XAI_API_KEY",
    "TAU_STAGE_ENDPOINT": "ws://host/v1?api_key=another",
    "HOUSE": "https://me:another@host",
}
SCENE = """
players: {ann: }
tools:
  lights_on: {description: The listener wants the lights on., run: "seen_by_tools:look"NAMED}
  play_music: {description: The listener wants music., command: [env]NAMED}
lines:
  - user: {ann: "Please turn the lights on, and play music."}
  - ann:
    improvise:
"""
MODULE = """
import json, os, subprocess
AT_LOADING = dict(os.environ)
def look() -> str:
    run = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    return json.dumps({"loading": AT_LOADING, "calling": dict(os.environ), "run": run})
"""


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: programs are run."""
    return "asyncio"


@pytest.fixture(autouse=True)
def keys_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, f"{MARKER}-{name}")
    for name, value in LOOKS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("named", ["", "SHOP_TOKEN"])
async def test_a_tools_program_and_function_see_no_key(tmp_path: Path, named: str) -> None:
    """Slow: programs are run."""
    (tmp_path / "seen_by_tools.py").write_text(MODULE)
    text = SCENE.replace("NAMED", f", env: {named}" if named else "")
    house = Playhouse(tmp_path)
    take = await house.perform(make_plan(parse_scene(text, str(tmp_path / "scene.yaml"))), allow_tools=True)
    told = {call.tool: call.output for call in take.lines[0].calls}
    assert told.keys() == {"lights_on", "play_music"}
    for output in told.values():
        assert "PATH" in output
        assert MARKER not in output
        assert ("another" in output) is bool(named)
    seen = json.loads(told["lights_on"])
    for view in (seen["loading"], seen["calling"]):
        assert (KEYS | LOOKS.keys()) & view.keys() == ({named} if named else set())
    assert all(os.environ[name] == f"{MARKER}-{name}" for name in KEYS)
    assert all(os.environ[name] == value for name, value in LOOKS.items())


PROBE = """
import os, sys
from pathlib import Path
import anyio
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tests.support.in_memory_stage import Playhouse
async def main(folder):
    plan = make_plan(parse_scene(Path(folder, "scene.yaml").read_text(), str(Path(folder, "scene.yaml"))))
    take = await Playhouse(Path(folder)).perform(plan, allow_tools=True)
    print(*(call.output for call in take.lines[0].calls), sep="\\n")
    assert all(os.environ[name] == "sk-MARKER-0123456789-" + name for name in sys.argv[2:])
    assert all(os.getenv(name) for name in sys.argv[2:])
    os.system("env >&2")
anyio.run(main, sys.argv[1])
"""
LOOK = """
from pathlib import Path
def look() -> str:
    return repr(Path("/proc/self/environ").read_bytes().replace(bytes(1), b" "))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
@pytest.mark.parametrize("tools", ["both", "program"])
def test_what_the_process_was_started_with_is_read_by_no_tool(tmp_path: Path, tools: str) -> None:
    """Slow: a process that is started with keys, and a program that looks at it."""
    look = 'tr "\\0" " " < /proc/self/environ; tr "\\0" " " < /proc/$PPID/environ'
    scene = SCENE.replace("NAMED", "").replace("command: [env]", f"command: {json.dumps(['sh', '-c', look])}")
    if tools == "program":
        scene = scene.replace('run: "seen_by_tools:look"', 'returns: "yes"')
    (tmp_path / "scene.yaml").write_text(scene)
    (tmp_path / "seen_by_tools.py").write_text(LOOK)
    keys = {name: f"{MARKER}-{name}" for name in KEYS}
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), "HELLO": "friend"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path), *KEYS],
        env={**given, **keys, **LOOKS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("HELLO=friend") == (3 if tools == "both" else 2), done.stdout
    assert "MARKER" not in done.stdout
    assert "another" not in done.stdout
    for name, value in (keys | LOOKS).items():
        assert f"{name}={value}" in done.stderr, "what we start ourselves sees them as before"


def test_what_this_process_knows_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:proxy-password@proxy.example")
    monkeypatch.setenv("VLLM_HOST", "https://me:house-password@host")
    with keys_withheld():
        known = known_keys()
    assert {f"{MARKER}-{name}" for name in KEYS} <= known
    assert {"another", "proxy-password", "house-password"} <= known


def test_every_key_of_every_endpoint_is_withheld_and_is_still_read_by_us() -> None:
    with keys_withheld():
        assert MARKER not in str(dict(os.environ))
        assert "another" not in str(dict(os.environ))
        for place in ENDPOINTS.values():
            assert all(environment()[name] == f"{MARKER}-{name}" for name in place.key_env)


def test_blocks_may_overlap() -> None:
    first, second = keys_withheld(["XAI_API_KEY"]), keys_withheld()
    first.__enter__()
    assert "XAI_API_KEY" in os.environ
    second.__enter__()
    assert "XAI_API_KEY" not in os.environ
    first.__exit__(None, None, None)
    assert not KEYS & os.environ.keys()
    second.__exit__(None, None, None)
    assert os.environ.keys() >= KEYS


def test_what_was_set_meanwhile_stays() -> None:
    with keys_withheld():
        os.environ["SHOP_TOKEN"] = "new"
    assert os.environ["SHOP_TOKEN"] == "new"


def test_what_is_no_key_is_seen() -> None:
    plain = {"PATH": "/bin", "LANG": "C", "HOUSE": "https://host/?page=2", "EMPTY_KEYLESS": ""}
    assert visible(plain) == {name: value for name, value in plain.items() if "KEY" not in name}


@pytest.mark.parametrize("tool", ["{returns: 3, env: SHOP_TOKEN}", "{description: x, returns: 3, env: [A]}"])
def test_a_tool_that_runs_nothing_sees_no_environment(tool: str) -> None:
    with pytest.raises(SceneError, match="does not run any code, so 'env' has no effect"):
        parse_scene(f"players: {{ann: }}\ntools: {{t: {tool}}}\nlines: [{{ann: Hi.}}]\n", "scene.yaml")


FAULTS = """
import resource
from tau_stage.environment import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults() < 256)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_memory_that_was_freed_is_used_again_without_a_page_fault() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "True"]


def test_tools_do_not_see_what_the_program_sets_for_itself() -> None:
    assert visible({"PYDANTIC_DISABLE_PLUGINS": "__all__", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_of_performances_at_the_same_time_the_first_decides_what_the_collector_passes_over() -> None:
    gc.unfreeze()
    try:
        with spared_by_collector():
            with spared_by_collector():
                pass
            assert gc.get_freeze_count() > 0
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()
