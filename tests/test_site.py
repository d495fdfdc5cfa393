"""The site of docs/: whole, found, readable by all, and alone. Slow all of it: it is built once, in seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import pytest

from tests.support.axe import serious_faults
from tests.support.browser import CHROMIUM, Browser, open_browser
from tests.support.built_site import ReadPage, build_site, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")

QUESTIONS = {
    "how do I render only the lines that changed": "how-to/campaign-budget how-to/game-lines takes",
    "why is my mix empty": "how-to/daw",
    "how do I keep a campaign within a budget": "how-to/campaign-budget",
    "how do I run scenes in GitHub Actions": "ci how-to/ci",
    "how do I record a cassette": "cassettes",
    "is my API key stored in the cassette": "cassettes",
    "which endpoints can I use": "endpoints",
    "what happens when the connection drops": "failures",
    "how do I spread a batch over several machines": "batch",
    "how do I let two players speak at the same time": "scenes/steps",
    "how do I write a chat program in Python": "session",
    "how do I make the understudy fail": "understudy",
    "how do I migrate from tau.js": "coming-from/tau-js",
    "how do I add a new expectation": "architecture",
    "how fast is it": "performance",
    "what does exit code 3 mean": "reference/exit-codes",
    "which environment variables are read": "reference/environment",
    "what are the options of tau-stage run": "reference/commands",
    "which fields does an event of the stream have": "reference/stream",
    "which keys can deliver have in a scene": "scenes/delivery reference/scene-keys",
    "what are the arguments of create_session": "reference/names",
    "how do I get my scene into Reaper": "how-to/daw takes",
    "how do I make an MP3 of a podcast": "how-to/podcast",
    "how do I speak to the model with my microphone": "how-to/talk",
    "how do I test my own app without a key": "how-to/test-your-app",
    "does the understudy understand what I say": "explanation/understudy",
    "why does listening cost so much": "explanation/listening-costs",
    "what replaces the speech endpoint tts-1": "coming-from/speech-endpoint",
    "how do I voice the lines of a spreadsheet": "how-to/game-lines",
    "who hears whom": "explanation/hearing scenes/hearing",
    "how do I install it and perform my first scene": "tutorials/first-scene",
    "how do I resume a stopped take": "takes",
}
"""What people ask, and the pages that answer it."""

LOOKED_AT = [
    "index", "search", "booth", "scenes/hearing", "tutorials/first-scene", "how-to/daw", "coming-from/tau-js",
    "explanation/hearing", "reference/stream", "reference/environment",
]  # fmt: skip
"""Pages that axe-core looks at."""

PHONE = (360, 740)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, ReadPage]:
    return {file.resolve(): ReadPage(file) for file in site.rglob("*.html")}


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Browser]:
    """A browser; whatever it complains of, and whatever it asks another host for, fails the test."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.emulate()
    browser.resize(1400, 1000)
    yield browser
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith((address, "data:"))] == []


def test_every_link_and_anchor_holds(pages: dict[Path, ReadPage]) -> None:
    broken = [
        f"{page.file.name}: {file.name}#{anchor}"
        for page in pages.values()
        for file, anchor in page.targets()
        if not file.exists() or (anchor and file in pages and anchor not in pages[file].anchors)
    ]
    assert len(pages) > 10
    assert broken == []


def test_every_page_can_be_reached(pages: dict[Path, ReadPage], site: Path) -> None:
    linked = {file for page in pages.values() for file, _ in page.targets() if file != page.file.resolve()}
    assert {file for file in pages if file.name != "index.html"} <= linked | {(site / "search.html").resolve()}


def test_nothing_is_loaded_from_another_host(pages: dict[Path, ReadPage], site: Path) -> None:
    """Fonts and scripts above all; links may lead anywhere."""
    loaded = [url for page in pages.values() for url in page.loaded]
    styles = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    loaded += re.findall(r"url\([\"']?([^\"')]+)", styles) + re.findall(r"@import [\"']([^\"']+)", styles)
    assert loaded
    assert [url for url in loaded if urlsplit(url).netloc] == []


@in_a_browser
def test_a_sound_is_played_where_the_page_links_to_it(tab: Browser, address: str) -> None:
    tab.visit(f"{address}index.html")
    tab.run("document.querySelector('audio').play()")
    tab.until("document.querySelector('audio').currentTime > 0.05")
    assert tab.run("document.querySelectorAll('audio').length") == 3


FIRST_PAGES = """
import('{address}_static/search.js').then(({{search}}) => Promise.all({questions}.map(async question =>
  (await search(question)).map(page => page.url.replace(/^\\/|\\.html$/g, '')))))
"""


@in_a_browser
def test_the_search_finds_the_answer_among_its_first_three(tab: Browser, address: str) -> None:
    tab.visit(f"{address}search.html")
    found = tab.run(FIRST_PAGES.format(address=address, questions=json.dumps(list(QUESTIONS))))
    answers = dict(zip(QUESTIONS, found, strict=True))
    assert {
        asked: pages[:4] for asked, pages in answers.items() if not set(QUESTIONS[asked].split()) & set(pages[:3])
    } == {}


@in_a_browser
@pytest.mark.parametrize(("query", "said"), [("umbrella", "umbrella: "), ("???", "no page")])
def test_a_search_shows_what_it_has_found(query: str, said: str, tab: Browser, address: str) -> None:
    tab.visit(f"{address}search.html?q={quote_plus(query)}")
    tab.until("document.documentElement.dataset.searched")
    assert said in tab.run("document.getElementById('search-summary').textContent")
    assert tab.run("document.querySelector('.sidebar-search').value") == query
    links = tab.run("[...document.querySelectorAll('#search-results a')].map(a => a.href)")
    assert bool(links) == ("no page" not in said)
    assert all(link.startswith(address) for link in links)


@in_a_browser
@pytest.mark.parametrize(("theme", "looked_at"), [("light", LOOKED_AT), ("dark", ["booth"])])
def test_no_page_has_a_serious_fault(theme: str, looked_at: list[str], tab: Browser, address: str) -> None:
    tab.emulate(prefers_color_scheme=theme)
    faults = {}
    for page in looked_at:
        tab.visit(f"{address}{page}.html")
        faults[page] = serious_faults(tab)
    assert {page: found for page, found in faults.items() if found} == {}


@in_a_browser
def test_pages_fit_a_phone(tab: Browser, address: str) -> None:
    tab.resize(*PHONE)
    wide = []
    for page in [*LOOKED_AT, "endpoints", "failures", "reference/names", "reference/commands"]:
        tab.visit(f"{address}{page}.html")
        wide += [page] * tab.run("document.documentElement.scrollWidth > innerWidth")
    assert wide == []
