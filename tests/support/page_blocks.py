"""The blocks of a page of docs/, performed in the order of the page, in one folder.

The first line of a block says what becomes of it, behind its language:

- ``sh``: each line is a command; it must end well, or as the mark ``exits 1`` says.
- ``console``: the same after ``$``, with what is printed; ``...`` stands for any lines, and figures may differ.
- ``yaml`` and others that begin with a comment of a file's name, ``# scene.yaml``: it is written.
- ``python`` without such a name: a program, which is run. A ``text`` block behind it is what it prints.
- ``sh in another terminal``: one command that stays, until the page ends.
- anything with the mark ``not run: REASON``: it is shown, and the site says so under it.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.forked import python
from tests.support.processes import begun

FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<kind>[\w{}-]+)(?: (?P<mark>[^\n]+))?\n(?P<text>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE
)
NAMED = re.compile(r"(?:#|//|--) (?P<name>[\w./-]+\.\w+)\n")
FIGURE = re.compile(r"\d{8}T\w+-\w{6}|[\d,]*\d(?:\.\d+)?")
DRAWN = "{svgbob}"
NOT_RUN = "not run: "
PORT = "8765"
"""As pages write it; while they are performed, a free one stands in its place."""

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: Its language.
        mark: What stands behind it.
        text: What it holds.
    """

    kind: str
    mark: str
    text: str

    @property
    def is_run(self) -> bool:
        return not self.why_not and self.kind != DRAWN

    @property
    def why_not(self) -> str:
        """Why it is shown and not performed, where it is not."""
        return self.mark.removeprefix(NOT_RUN) if self.mark.startswith(NOT_RUN) else ""

    @property
    def file(self) -> str:
        """The file that it is written to, if it says so."""
        named = NAMED.match(self.text)
        return named["name"] if named else ""

    @property
    def exit_code(self) -> int:
        return int(self.mark.removeprefix("exits ")) if self.mark.startswith("exits ") else 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page's Markdown."""
    return [Block(found["kind"], found["mark"] or "", found["text"]) for found in FENCE.finditer(page)]


def is_printed(expected: str, printed: str) -> bool:
    """Whether a text is what was printed; ``...`` stands for any lines, figures may differ, and so may widths."""

    def plain(line: str) -> str:
        return " ".join(FIGURE.sub("0", line).split())

    pattern = "".join(
        "(?:.*\n)*?" if line == "..." else re.escape(plain(line)) + "\n" for line in expected.splitlines()
    )
    return bool(re.fullmatch(pattern, "".join(f"{plain(line)}\n" for line in printed.splitlines() if line.strip())))


class PageRunner:
    """Performs the blocks of a page.

    Args:
        folder: Where the page's files are, and where its commands begin.
        run: The program: its words to its exit code.
        printed: What it has printed since it was last asked.
        ends: What is closed when the page ends.
    """

    def __init__(self, folder: Path, run: Callable[..., int], printed: Callable[[], str], ends: ExitStack) -> None:
        self._folder, self._run, self._printed, self._ends = folder, run, printed, ends
        self._said = ""

    def perform(self, blocks: list[Block]) -> None:
        """Perform them one after another."""
        port = str(free_port())
        for whole in filter(lambda block: block.is_run, blocks):
            block = replace(whole, text=whole.text.replace(PORT, port))
            match block.kind:
                case "sh" if block.mark == "in another terminal":
                    self._start(block.text)
                case "sh":
                    for line in block.text.splitlines():
                        self._type(line, block.exit_code)
                case "console":
                    self._converse(block)
                case "text":
                    assert is_printed(block.text, self._said), self._said
                case "python" if not block.file:
                    done = python("-c", block.text, cwd=Path.cwd(), env=os.environ)
                    assert done.returncode == block.exit_code, done.stderr
                    self._said = done.stdout
                case kind:
                    assert block.file, f"a block of {kind} that names no file: {block.text}"
                    file = Path(block.file)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(block.text, encoding="utf-8")

    def _type(self, line: str, exit_code: int) -> None:
        words = shlex.split(line, comments=True)
        self._printed()
        if words[0] == "cd":
            os.chdir(words[1])
        elif words[0] == "tau-stage" and not set("|><;&") & set("".join(words)):
            assert self._run(*words[1:]) == exit_code, (line, self._printed())
            self._said = self._printed()
        elif words[0] == "pytest":
            done = python("-m", *words, cwd=Path.cwd(), env=os.environ)
            assert done.returncode == exit_code, (line, done.stdout, done.stderr)
        else:
            environment = os.environ | {"PATH": PATH}
            done = subprocess.run(["sh", "-c", line], check=False, env=environment, capture_output=True, text=True)
            assert done.returncode == exit_code, (line, done.stdout, done.stderr)
            self._said = done.stderr + done.stdout

    def _converse(self, block: Block) -> None:
        parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)[1:]
        for typed, expected in zip(parts[::2], parts[1::2], strict=True):
            self._type(typed, block.exit_code)
            assert is_printed(expected, self._said), self._said

    def _start(self, command: str) -> None:
        program, *words = shlex.split(command)
        assert program == "tau-stage"
        process = self._ends.enter_context(begun(*words, cwd=Path.cwd()))
        assert process.stdout.readline()
