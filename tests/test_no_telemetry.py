"""Nothing opens a socket, asks for a name or writes a file that its user did not name, but for sounds in a cache."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tau_stage.session.opening import create_session
from tests.support.forked import python
from tests.support.processes import BYTECODE
from tests.test_house import MODULES

STRACE = shutil.which("strace")
SCENE = """
scene: A talk
players: {ann: {voice: ash}, bob: {voice: sage}}
lines: [{ann: Where is my hat?}, {bob: Here.}]
expect: {length: 0s..600s}
"""
HERE = re.compile(
    r'sa_family=AF_INET6?,.*(inet_addr\("127\.0\.0\.1"\)|inet_pton\(AF_INET6, "::1")|sa_family=AF_NETLINK'
    r'|sa_family=AF_UNIX, sun_path="[^"]+/pymp-\w+/listener-'
)
ELSEWHERE = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg)\(.*(sa_family|msg_name=\{)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # processes of their own, slower under strace


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a path that is short, as those of users are: sockets of processes have their place in it."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def clean(home: Path) -> dict[str, str]:
    """An environment in which nothing says how anything is to behave: no CI, no keys, no XDG folders."""
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home.parent), **BYTECODE}


def traced(log: Path) -> list[str]:
    """What runs a program so that each call of it that concerns the network is written down."""
    if STRACE is None:
        pytest.skip("strace is not installed: calls of libraries that are not Python cannot be seen")
    return [STRACE, "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", "trace=network"]


def strangers(log: Path) -> list[str]:
    """Calls that reached for anything but this machine's own loopback, and what makes processes for multiprocessing."""
    return [line for line in log.read_text().splitlines() if ELSEWHERE.search(line) and not HERE.search(line)]


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tau_stage", *arguments]


def write_scenes(folder: Path, number: int) -> None:
    for each in range(number):
        (folder / f"talk-{each}.yaml").write_text(SCENE.replace("Here.", f"Here is number {each}."))


def kept(home: Path) -> list[str]:
    """What a verb has left in the home, but for the sounds that ``docs/understudy.md`` says it keeps there."""
    cache = home / ".cache/tau-stage/speech"
    sounds = {cache, *cache.parents, *cache.glob("*")}
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path not in sounds)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "talk-0.yaml", "talk-1.yaml", "--quiet"],
        ["test", "talk-0.yaml", "talk-1.yaml", "--jobs", "2"],
        ["voices", "--sample", "samples"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_what_speaks_reaches_for_nobody_and_writes_no_file_but_where_it_is_said(
    tmp_path: Path, arguments: list[str]
) -> None:
    """Slow: the real voice in processes of its own, workers of `test` among them."""
    folder, log, home = tmp_path / "place", tmp_path / "calls", tmp_path / "home"
    folder.mkdir()
    write_scenes(folder, 2)
    command = [*(traced(log) if STRACE else []), *program(*arguments)]
    done = subprocess.run(command, cwd=folder, env=clean(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept(home) == []
    assert {path.name for path in tmp_path.iterdir()} - {"calls"} == {"home", "place"}
    written = {"run": {"takes"}, "test": {".tau-stage"}, "voices": {"samples"}}[arguments[0]]
    assert {path.name for path in folder.iterdir()} - written == {"talk-0.yaml", "talk-1.yaml"}
    assert STRACE is None or strangers(log) == []


@contextmanager
def serving(command: list[str], env: Mapping[str, str], cwd: Path) -> Iterator[str]:
    """An understudy in a process of its own, as its address."""
    group = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with group as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().partition(" at ")[2].partition("/v1/")[0]
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def test_the_understudy_for_other_clients_reaches_for_nobody(tmp_path: Path) -> None:
    """Slow: the real voice, in a process of its own."""

    async def hear(url: str) -> str:
        async with create_session(endpoint=url, voice="marin") as session:
            await session.user("Where does the wind come from?")
            return (await session.response()).transcript

    log, home = tmp_path / "calls", tmp_path / "home"
    with serving([*traced(log), *program("understudy", "--port", "0")], clean(home), tmp_path) as url:
        assert anyio.run(hear, url)
    assert strangers(log) == []
    assert kept(home) == []


WATCHED = """
import json, sys
calls = []
sys.addaudithook(lambda name, told: calls.append([name, repr(told[:2])]) if name.startswith("socket.") else None)
from tau_stage.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(calls), file=sys.stderr)
"""


def test_python_asks_for_no_name_but_that_of_its_own_understudy(tmp_path: Path) -> None:
    """Slow: the real voice, in a process of its own. Python's own calls are seen on every system."""
    write_scenes(tmp_path, 1)
    command = ["-c", WATCHED, "run", "talk-0.yaml", "--quiet"]
    done = python(*command, cwd=tmp_path, env=clean(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    calls = json.loads(done.stderr.splitlines()[-1])
    outwards = [told for name, told in calls if name in ("socket.connect", "socket.getaddrinfo", "socket.sendto")]
    assert outwards
    assert [told for told in outwards if "127.0.0.1" not in told] == []


def test_one_module_loads_what_could_tell() -> None:
    """It turns telemetry off before; the other asks for pronunciations only, which loads nothing that could."""
    users = {
        path.name
        for path in MODULES
        if re.search("onnxruntime|hibari", code := path.read_text())
        for node in ast.walk(ast.parse(code))
        if (isinstance(node, ast.Import) and any(name.name.startswith("onnxruntime") for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("onnxruntime", "hibari")))
    }
    assert users == {"voices.py", "aligning.py"}
    asked = "from tau_stage.timing.aligning import pronounce; pronounce('xyzzy'); import sys"
    assert python("-c", f"{asked}; sys.exit('onnxruntime' in sys.modules)").returncode == 0
