"""Make the pictures of the booth: an ensemble in mid-line, in light and dark, and the events and a take that is over.

Usage: ``python -m tests.booth_pictures FOLDER``
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tau_stage.booth.past_takes import attach
from tau_stage.understudy.server import Understudy
from tests.support.browser import Browser, open_browser
from tests.support.in_memory_stage import SCENES
from tests.support.open_booths import open_booths

WIDTH, HEIGHT = 1400, 900
THEMES = ("light", "dark")


def take_pictures(folder: Path) -> None:
    """Save the pictures in a folder, as PNG; it is made, if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as takes, open_booths() as booth, open_browser() as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.visit(booth.url)
        browser.until("document.getElementById('link').dataset.state === 'open'")
        browser.click("#listen")
        browser.until("document.getElementById('listen').getAttribute('aria-pressed') === 'true'")
        take = booth.perform(SCENES / "umbrella.yaml", Path(takes), Understudy())
        browser.click("#tab-words")
        browser.until("document.querySelector('[data-name=tourist]').dataset.status === 'speaking'")
        _save(browser, folder / "booth")
        browser.click("#tab-events")
        _save(browser, folder / "booth-events")
        source = booth.call(attach, booth.hub, take.folder.path)
        choices = "document.getElementById('scope')"
        browser.until(f"{choices}.options.length > 1")
        browser.run(f"{choices}.value = 'source {source.id}'; {choices}.dispatchEvent(new Event('change'))")
        browser.click("#tab-words")
        browser.click("#play")
        browser.until("Number(document.getElementById('seek').value) > 4.5")
        _save(browser, folder / "booth-take")


def _save(browser: Browser, path: Path) -> None:
    browser.run("scrollTo(0, 0)")
    for theme in THEMES:
        browser.emulate(prefers_color_scheme=theme)
        browser.run("new Promise(done => setTimeout(done, 400))")
        browser.picture(path.with_name(f"{path.name}-{theme}.png"))


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
