"""Make the sounds and pictures of the documents, from the running product.

Usage: ``python -m tests.docs_media [FOLDER]``; by default ``docs/media``. Chromium is wanted.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.booth_pictures import take_pictures
from tests.support.browser import open_browser

TOP = Path(__file__).parent.parent
MEDIA = TOP / "docs" / "media"
WIDTH = 96
SCENES = {
    "ferry": """
scene: The last ferry
players:
  keeper: {voice: ash, accent: broad Yorkshire}
  lady: {voice: coral, persona: A lady who has never been late.}
deliver: {mix: {file: ferry.mp3, bitrate: 32 kbps}}
lines:
  - keeper: (tired) The last boat has gone, my lady.
  - lady: (aghast) Gone? It is *not* nine yet.
""",
    "directions": """
scene: One line, four ways
players: {ann: {voice: sage}}
deliver: {mix: {file: directions.mp3, bitrate: 32 kbps}}
pause: 700ms
lines:
  - ann: There you are.
  - ann: (whispers) There you are.
  - ann: (shouting) There you are!
  - ann: (slowly) There you are.
""",
    "cut-in": """
scene: Cutting in
players: {ann: {voice: ash}, bob: {voice: coral}}
deliver: {mix: {file: cut-in.mp3, bitrate: 32 kbps}}
lines:
  - ann: I could tell you the whole story of the umbrella, from the day it was made.
  - bob: Please do not.
    cut_in: {on: ann, after: 1.6s, overlap: 300ms}
""",
}
"""Scenes to be heard; each is performed, and its mix kept."""

WRONG = """
players:
  keeper: {voice: ash}
  lady: {voice: coral}
lines:
  - keeper: The last boat has gone.
    paus: 800ms
  - ladi: Gone?
"""


def make_media(folder: Path) -> None:
    """Make all of them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for name, scene in SCENES.items():
            (home / f"{name}.yaml").write_text(scene, encoding="utf-8")
            _type(home, "run", f"{name}.yaml", "--quiet")
            mix = home / "takes" / name / "latest" / f"{name}.mp3"
            (folder / mix.name).write_bytes(mix.read_bytes())
        (home / "mistakes.yaml").write_text(WRONG, encoding="utf-8")
        _draw_terminal(home, folder / "terminal.svg", ["validate mistakes.yaml"])
        _type(home, "run", str(TOP / "scenes" / "umbrella.yaml"), "--quiet")
        with open_browser() as browser:
            browser.resize(1200, 800)
            browser.open(home / "takes" / "umbrella" / "latest" / "report.html")
            browser.picture(folder / "report.png")
        take_pictures(home / "booth")
        (folder / "booth.png").write_bytes((home / "booth" / "booth-light.png").read_bytes())


def _type(home: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "tau_stage", *words], cwd=home, check=True, env=_plain_environment())


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


def _draw_terminal(home: Path, file: Path, commands: list[str]) -> None:
    """Draw what a terminal shows of commands; its font is that of whoever looks at it."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    for command in commands:
        console.print(Text(f"$ tau-stage {command}", style="bold"))
        console.print(Text.from_ansi(_shown(home, command.split())))
    look = re.sub(r"@font-face \{\{.*?\n\s*\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    file.write_text(console.export_svg(title="tau-stage", code_format=look), encoding="utf-8")


def _shown(home: Path, words: list[str]) -> str:
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    environment = _plain_environment() | {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    command = [sys.executable, "-m", "tau_stage", *words]
    with subprocess.Popen(command, cwd=home, stdin=its, stdout=its, stderr=its, env=environment):
        os.close(its)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so of a terminal that nobody writes to any more
        return b""


if __name__ == "__main__":
    make_media(Path(sys.argv[1]) if len(sys.argv) > 1 else MEDIA)
