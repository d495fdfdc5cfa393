"""What workers in processes of their own do in tests; each of those imports this."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def fail(words: str) -> int:
    """Say something, and end with an exit code of its own."""
    sys.stdout.write(f"{words} {os.environ['HELLO']}\n")
    return 3


def die() -> int:
    """Be killed, as by a system that has no memory left."""
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_once(marker: Path) -> int:
    """Be killed in the first process, and finish a line in the second."""
    if not marker.exists():
        marker.touch()
        return die()
    sys.stdout.write("done\n")
    return 0


def kill_forker_once(marker: Path) -> int:
    """Kill whoever has forked this process, and be killed, the first time; finish a line the second time."""
    if not marker.exists():
        os.kill(os.getppid(), signal.SIGKILL)
    return die_once(marker)


def wait() -> int:
    """Finish a line; then wait until the input ends."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return 130 if sys.stdin.read() == "" else 70
