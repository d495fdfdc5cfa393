"""Where the modules of Unix are not there: everything can be imported, and a scene is performed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tau_stage.audio.random_access import read_at, write_at
from tau_stage.processes import receive_by_handlers

TOP = Path(__file__).parent.parent
WITHOUT_UNIX = """
import os, pkgutil, sys, warnings
warnings.filterwarnings("ignore", "only soft file lock")  # filelock's: a Unix without locks
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for name in ("killpg", "getuid", "getpgid", "pread", "pwrite", "O_NOFOLLOW", "O_CLOEXEC"):
    delattr(os, name)
import tau_stage
for module in pkgutil.walk_packages(tau_stage.__path__, "tau_stage."):
    __import__(module.name)
from tau_stage.cli.main import main
main()
"""


@pytest.mark.slow
def test_without_them_every_module_loads_and_a_scene_is_performed(tmp_path: Path) -> None:
    """Slow: a process of its own that loads everything."""
    verb = ["run", "scenes/umbrella.yaml", "--replay", "scenes/cassettes", "--out", str(tmp_path), "--quiet"]
    command = [sys.executable, "-c", WITHOUT_UNIX, *verb]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout.strip())
    assert (folder / "mix.wav").is_file()
    assert (folder / "report.html").is_file()


def test_bytes_at_places_are_the_same_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "some").open("w+b") as file:
        file.write(b"0123456789")
        file.flush()
        seen = []
        for is_there in (True, False):
            if not is_there:
                monkeypatch.delattr(os, "pread")
                monkeypatch.delattr(os, "pwrite")
            write_at(file.fileno(), b"ab", 2)
            seen.append((read_at(file.fileno(), 4, 1), read_at(file.fileno(), 9, 8), file.tell()))
    assert seen == [(b"1ab4", b"89", 10)] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_signals_are_received_where_a_loop_can_receive_none() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with receive_by_handlers(signal.SIGTERM) as signals, anyio.fail_after(5):
            signal.raise_signal(signal.SIGTERM)
            assert [number async for number in first(signals)] == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def first(signals: AsyncIterator[signal.Signals]) -> AsyncIterator[signal.Signals]:
    async for number in signals:
        yield number
        return
