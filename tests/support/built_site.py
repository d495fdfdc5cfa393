"""The site of docs/: built, read, and served."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

TOP = Path(__file__).parent.parent.parent
LOADING = {"audio": "src", "iframe": "src", "img": "src", "link": "href", "script": "src", "source": "src"}
"""Elements that a browser loads something for, and the attribute that says what."""


def build_site(folder: Path) -> Path:
    """Build it in a folder; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(folder / "doctrees")]
    command += ["docs", str(folder / "site")]
    done = subprocess.run(command, check=False, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


class ReadPage(HTMLParser):
    """What a page holds.

    Attributes:
        anchors: Where a link may lead.
        links: Where its own links lead.
        loaded: What a browser asks for to show it.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.anchors |= {named for key in ("id", "name") if (named := told.get(key))}
        if tag == "a" and (target := told.get("href")):
            self.links.append(target)
        if (target := told.get(LOADING.get(tag, ""))) and told.get("rel") not in (
            "canonical",
            "next",
            "prev",
            "search",
        ):
            self.loaded.append(target)

    def targets(self) -> Iterator[tuple[Path, str]]:
        """The files and anchors of this site that it leads to or loads."""
        for link in [*self.links, *self.loaded]:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                file = (self.file.parent / unquote(parts.path)).resolve() if parts.path else self.file.resolve()
                yield file, unquote(parts.fragment)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
