"""The one way to the terminal: what is printed is made safe to show here, whoever said it. Ruff refuses ``print``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tau_stage.errors import UsageError, os_reason
from tau_stage.text import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

    from tau_stage.report import TextReport


def say(*parts: object, sep: str = " ", end: str = "\n", to: TextIO | None = None) -> None:
    """Print texts for a reader, at once, as ``print`` does."""
    _print(printable(sep.join(map(str, parts))), end, to)


def _print(text: str, end: str, to: TextIO | None) -> None:
    """Print a text. Where its reader has left, or the standard error cannot be written, nothing more is said there."""
    to = to or sys.stdout
    try:
        print(text, end=end, file=to, flush=True)
    except OSError as error:
        silence(to)
        if not isinstance(error, BrokenPipeError) and to is not sys.stderr:
            reason = os_reason(error)
            raise UsageError(f"cannot write the output: {reason}", "write it somewhere else") from None


def silence(stream: TextIO) -> None:
    """Let what is printed on a stream go nowhere from now on; what it still holds would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_missing_streams() -> None:
    """Open what whoever started this process has closed, so that no file of a take is taken for it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))


def warn(*parts: object, sep: str = " ", end: str = "\n") -> None:
    """Print texts on the standard error, where they are in no program's way."""
    say(*parts, sep=sep, end=end, to=sys.stderr)


def say_json(text: str, *, end: str = "\n", to: TextIO | None = None) -> None:
    """Print JSON for a program: it says the same, and a terminal that shows it obeys nothing of it."""
    _print(printable_json(text), end, to)


def say_commands(lines: str, *, to: TextIO | None = None) -> None:
    """Print lines that a CI server shall obey: what others said in them is printable and escaped."""
    _print(lines, "\n", to)


def show_report(report: TextReport, to: TextIO | None = None) -> None:
    """Print tables: in colours where a terminal shows them, else as plain text."""
    to = to or sys.stdout
    if is_plain(to):
        from tau_stage.report import plain_text

        say(fitting(plain_text(report), to), to=to)
    else:
        console(to).print(report)


def is_plain(to: TextIO) -> bool:
    """Tell whether plain lines belong there, without colours, and nothing that is drawn anew.

    That is so for pipes and files, for terminals that understand no escapes, and where ``NO_COLOR`` asks for it.
    """
    return not to.isatty() or os.environ.get("TERM", "") in ("dumb", "unknown") or bool(os.environ.get("NO_COLOR"))


def say_path(path: Path, *, before: str = "", to: TextIO | None = None) -> None:
    """Print a path on a line of its own; a click opens it, where the terminal knows hyperlinks.

    Sources: OSC 8, https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda.
    """
    to = to or sys.stdout
    if is_plain(to) or not _has_links():
        say(before, path, sep="", to=to)
        return
    from rich.style import Style
    from rich.text import Text

    console(to, soft_wrap=True).print(Text.assemble(before, (str(path), Style(link=path.resolve().as_uri()))))


def _has_links() -> bool:
    """Tell whether the terminal is one of those that know hyperlinks; ``FORCE_HYPERLINK`` says so itself.

    Sources: the list of terminals that https://github.com/Alhadis/OSC8-Adoption keeps.
    """
    told = os.environ
    if "FORCE_HYPERLINK" in told:
        return told["FORCE_HYPERLINK"] != "0"
    return (
        told.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio")
        or any(map(told.get, ("WT_SESSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "DOMTERM")))
        or told.get("VTE_VERSION", "").rjust(4, "0") >= "5000"
        or told.get("TERM", "").startswith(("xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty", "contour"))
    )


def fitting(text: str, to: TextIO) -> str:
    """Write a text in the signs that its reader's encoding has, as wide as before, so that no table breaks.

    Letters lose their accents, dashes, quotes and dots become those of ASCII, and any other sign a question mark.
    """
    encoding = _encoding(to)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", lambda sign: _nearest(sign[0], encoding), text)
    return text


_ASCII = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2018\u2019\u201a\u201c\u201d\u201e\u2026\u2022\u2713\u2717",
    "------'''\"\"\".*+x",
)


def _nearest(sign: str, encoding: str) -> str:
    from unicodedata import combining, normalize

    from rich.cells import cell_len

    bare = "".join(filterfalse(combining, normalize("NFD", sign)))
    for near in (sign, sign.translate(_ASCII), bare):
        try:
            near.encode(encoding)
        except UnicodeEncodeError:
            continue
        if cell_len(near) == cell_len(sign):
            return near
    return "?" * cell_len(sign)


def _encoding(to: TextIO) -> str:
    """Return what a reader can show: ASCII where the locale is C, though Python writes UTF-8 there (PEP 540)."""
    locale = next((told for name in ("LC_ALL", "LC_CTYPE", "LANG") if (told := os.environ.get(name))), "")
    return "ascii" if locale in ("C", "POSIX") else (getattr(to, "encoding", None) or "utf-8").lower()


def console(to: TextIO | None = None, *, soft_wrap: bool = False) -> Console:
    """Open a terminal for tables and colours. Rich's own escapes reach it; those in the texts do not."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    file: TextIO = to or sys.stdout

    class Safe(Console):
        @property
        def encoding(self) -> str:
            return _encoding(file)

        def on_broken_pipe(self) -> None:
            self.quiet = True
            silence(file)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(fitting(printable(part.text), file), part.style)

    return Safe(file=file, soft_wrap=soft_wrap, markup=False, highlight=False, emoji=False)
