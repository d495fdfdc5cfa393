"""Strict mypy on a program of a user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def mypy_on(program: Path) -> str:
    """What strict mypy says of a user's program; it reads the types that the installed package brings."""
    options = ["--strict", "--config-file", "", "--follow-imports", "silent", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, "--cache-dir", str(program.parent / "cache"), str(program)]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
