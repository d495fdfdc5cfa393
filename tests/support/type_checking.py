"""Strict mypy on programs of a user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def mypy_in(folder: Path) -> str:
    """What strict mypy says of a user's programs in a folder; it reads the types that the installed package brings."""
    options = ["--strict", "--config-file", "", "--follow-imports", "silent", "--no-error-summary"]
    command = [
        sys.executable,
        "-m",
        "mypy",
        *options,
        "--cache-dir",
        "cache",
        *(each.name for each in folder.glob("*.py")),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
