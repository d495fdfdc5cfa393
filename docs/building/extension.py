"""Sphinx's hooks: contents from the first page, links out of this folder, and the index of the search.

The pages are Markdown that a Git host shows as well. What only the site has is made here from what they say.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import BaseModel
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from docs.building.reference import complete, members_of

TOP = Path(__file__).parent.parent.parent
REPOSITORY = "https://github.com/tau-stage/tau-stage/blob/main/"
SECTION = re.compile(r"^## (?P<caption>.+)\n(?P<text>(?:(?!^## ).*\n?)*)", re.MULTILINE)
LINKED_PAGE = re.compile(r"^- \[.+?\]\(([\w/.-]+)\.md\)", re.MULTILINE)
NOT_RUN = re.compile(r"^```(?P<kind>[\w-]+) not run: (?P<why>[^\n]+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
DRAWING = re.compile(r'(<img(?=[^>]*svgbob-)[^>]*?)alt="[^"]*"')
SOUND = re.compile(r'<a class="reference download internal"[^>]*href="(?P<file>[^"]+\.mp3)">(?P<text>.*?)</a>')
WIDE = re.compile(r'<pre|<div class="table-wrapper[^"]*"')
LINK_UP = re.compile(r"\]\((?P<path>(?:\.\./)+[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hooks."""
    app.add_lexer("fountain", TextLexer)
    app.connect("builder-inited", leave_out_search)
    app.connect("source-read", read_source)
    app.connect("html-page-context", mend_html, priority=900)  # after the theme
    app.connect("autodoc-process-signature", leave_out_fields)
    app.connect("autodoc-process-docstring", mend_docstring, priority=100)  # before napoleon
    app.connect("build-finished", index_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_out_search(app: Sphinx) -> None:
    """Let Sphinx make no index of its own: Pagefind makes one."""
    vars(app.builder)["search"] = False


def read_source(app: Sphinx, page: str, source: list[str]) -> None:
    """Complete the Markdown of a page."""
    folder = Path(app.srcdir, page).parent
    source[0] = complete(source[0])
    source[0] = NOT_RUN.sub(
        r"```{code-block} \g<kind>\n:caption: Not run by our tests: \g<why>.\n\n\g<text>```", source[0]
    )
    source[0] = LINK_UP.sub(lambda link: _link_outside(link, folder, Path(app.srcdir)), source[0])
    if page == "index":
        source[0] += contents(source[0])


def contents(first_page: str) -> str:
    """Make the site's contents of the lists of links on its first page."""
    return "".join(
        "\n".join(
            ["", "```{toctree}", ":hidden:", ":titlesonly:", f":caption: {section['caption']}", "", *pages, "```", ""]
        )
        for section in SECTION.finditer(first_page)
        if (pages := LINKED_PAGE.findall(section["text"]))
    )


def _link_outside(link: re.Match[str], folder: Path, docs: Path) -> str:
    """Let a link to a file outside the documents lead to the repository; one to no file stays, and is a warning."""
    target = Path(os.path.normpath(folder / link["path"]))
    if target.is_relative_to(docs) or not target.exists():
        return link[0]
    return f"]({REPOSITORY}{target.relative_to(TOP).as_posix()}{link['anchor'] or ''})"


def leave_out_fields(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Leave out the signature of a class that is read, never made: it would repeat all of its fields."""
    del app, what, name, options
    is_read = isinstance(thing, type) and issubclass(thing, BaseModel)
    return ("", None) if is_read else (signature, returns)


def mend_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep a property's first sentence whole, and say what a union is made of.

    Napoleon takes what stands before a colon in the first line of a property for its type.
    """
    del app, name, options
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]  # an empty comment: a first line without a colon
    elif isinstance(thing, UnionType):
        lines[:] = members_of(thing)


def mend_html(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Let the keyboard scroll what is wide; tell screen readers what drawings are, and the level of headings."""
    del app, page, template, tree
    context["body"] = DRAWING.sub(r"\1alt=\"The drawing of what this section says.\"", context.get("body", ""))
    context["body"] = SOUND.sub(_player, context["body"])
    context["body"] = WIDE.sub(r'\g<0> tabindex="0"', context["body"])
    if contents := context.get("furo_navigation_tree"):
        context["furo_navigation_tree"] = contents.replace('role="heading"', 'role="heading" aria-level="2"')


def _player(link: re.Match[str]) -> str:
    """Play a sound where the page links to it."""
    said = re.sub(r"<[^>]+>", "", link["text"])
    return f'{said} <audio controls preload="none" src="{link["file"]}" aria-label="{said}"></audio>'


def index_words(app: Sphinx, error: Exception | None) -> None:
    """Let Pagefind index the words of the pages that are built."""
    if error is not None or app.builder.format != "html":
        return
    command = [sys.executable, "-m", "pagefind", "--site", str(app.outdir), "--root-selector", "article"]
    command += ["--exclude-selectors", ".headerlink", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a program of [docs]
