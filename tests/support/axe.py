"""axe-core, which looks at a page for what people with other senses or hands cannot use."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests.support.browser import Browser

AXE = "AXE_CORE"
PATIENCE_S = 60
FAULTS = "axe.run().then(told => told.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html).slice(0, 3)]))"


@cache
def script() -> str:
    """The script of axe-core, from where ``AXE_CORE`` says, or from npm; empty where there is none."""
    if given := os.environ.get(AXE):
        return Path(given).read_text(encoding="utf-8")
    if shutil.which("npm") is None:
        return ""
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--silent", "axe-core@4"]
        try:
            packed = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return ""
        if packed.returncode:
            return ""
        shutil.unpack_archive(next(Path(place).glob("*.tgz")), place, filter="data")
        return (Path(place) / "package" / "axe.min.js").read_text(encoding="utf-8")


def serious_faults(tab: Browser) -> list[list[object]]:
    """What axe-core calls serious or worse in a page; the test is skipped where there is no axe-core."""
    if not script():
        pytest.skip(f"{AXE} names no axe-core, and npm gives none")
    if not tab.run("'axe' in window"):
        tab.run(f"{script()}; 0")
    return [fault for fault in tab.run(FAULTS) if fault[0] in ("serious", "critical")]
