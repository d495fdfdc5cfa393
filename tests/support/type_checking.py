"""Strict mypy on programs of a user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parent.parent.parent / ".pytest_cache" / "mypy"


def mypy_in(folder: Path) -> str:
    """What strict mypy says of a user's programs in a folder; it reads the types that the installed package brings.

    What it has read of the package, and of what that imports, is kept for the next run of the tests: where a file has
    changed, it reads it again.
    """
    options = ["--strict", "--config-file", "", "--follow-imports", "silent", "--no-error-summary"]
    command = [
        sys.executable,
        "-m",
        "mypy",
        *options,
        "--cache-dir",
        str(CACHE),
        *(each.name for each in folder.glob("*.py")),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
