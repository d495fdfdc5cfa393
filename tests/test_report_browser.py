"""The page in a browser: it plays, it is read, it is quick. Slow all of them: a browser is a large program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.report.page import Check, render_page
from tau_stage.scene.delivery_options import Deliver, Mix
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.records import TakeBegan
from tau_stage.take.take_model import Take
from tests.support.axe import serious_faults
from tests.support.browser import CHROMIUM, Browser, open_browser
from tests.support.report_pages import long_take, tavern

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"),
]

CLOCK = "document.getElementById('solo').currentTime"
MOST_LAYOUTS = 100  # it was 8 for a page of a thousand lines, and 29 for thirty steps down it


def write_page(folder: TakeFolder, take: Take, resolved: str = "") -> Path:
    folder.write(folder.report.name, render_page(take, folder, resolved=resolved))
    return folder.report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[TakeFolder, Take]:
    folder, take = tavern(tmp_path_factory.mktemp("tavern"))
    write_page(folder, take, resolved='{"scene": "The tavern at the ford"}')
    return folder, take


@pytest.fixture
def tab(browser: Browser, played: tuple[TakeFolder, Take]) -> Iterator[Browser]:
    """The tavern's page, freshly opened; whatever it complains of fails the test."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.emulate()
    browser.resize(1400, 1000)
    browser.open(played[0].path / "report.html")
    yield browser
    assert browser.complaints == []
    assert all(url.startswith(("file://", "data:")) for url in browser.requests)


def count(tab: Browser, selector: str) -> int:
    found: int = tab.run(f"document.querySelectorAll({json.dumps(selector)}).length")
    return found


def test_every_player_has_a_lane_and_every_line_a_shape(tab: Browser, played: tuple[TakeFolder, Take]) -> None:
    take = played[1]
    assert count(tab, ".lane.player") == len(take.players)
    assert count(tab, ".lane.sfx, .lane.bed") == 3
    assert count(tab, ".block svg path") == len(take.lines) + len(take.sounds)
    assert tab.run("[...document.querySelectorAll('.block')].every(b => b.getBoundingClientRect().width >= 3)")
    assert not tab.run("document.documentElement.scrollWidth > innerWidth")


def test_a_click_plays_a_line_to_its_end(tab: Browser, played: tuple[TakeFolder, Take]) -> None:
    tab.click("#b3")
    tab.until(f"{CLOCK} > 0.1")
    assert tab.run("document.getElementById('solo').src").endswith("lines/003-maid-1.wav")
    assert tab.run("document.querySelector('#b3').classList.contains('now')")
    assert tab.run("document.querySelector('#lb3').classList.contains('now')")
    assert tab.run("document.getElementById('words').textContent") == played[1].lines[2].said
    tab.until("!document.documentElement.classList.contains('playing')")


def test_the_playhead_moves(tab: Browser) -> None:
    place = "document.getElementById('head').getBoundingClientRect().x"
    before = tab.run(place)
    tab.click("[data-hear=b1]")
    tab.until(f"{place} > {before} + 5")


def test_an_effect_is_heard_from_its_stem(tab: Browser, played: tuple[TakeFolder, Take]) -> None:
    tab.click("#s3")
    start = played[1].sounds[2].offset_s
    tab.until(f"{CLOCK} >= {start}")
    assert tab.run("document.getElementById('solo').src").endswith("stems/sfx-mug.wav")


def test_without_a_mix_everything_sounds_where_it_stands(tab: Browser) -> None:
    tab.press(" ")
    tab.until("document.querySelector('.block.now')?.id === 'b1'")
    assert tab.run("parseFloat(document.getElementById('now').textContent.split(':')[1]) > 0")
    names = {url.rsplit("/", 1)[-1] for url in tab.requests}
    assert {"bed-rain.wav", "sfx-door.wav", "001-traveller-1.wav"} <= names
    tab.press(" ")
    tab.until("!document.documentElement.classList.contains('playing')")


def test_the_mix_is_played_where_there_is_one(
    browser: Browser, played: tuple[TakeFolder, Take], tmp_path: Path
) -> None:
    folder = TakeFolder(shutil.copytree(played[0].path, tmp_path / "take"))
    with WavWriter(folder.path / "mix.wav") as mix:
        mix.append(read_wav(folder.stems / "keeper.wav"))
    browser.complaints.clear()
    browser.open(write_page(folder, played[1]))
    browser.press(" ")
    browser.until("document.getElementById('mix').currentTime > 0.2")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    browser.until(f"document.getElementById('mix').currentTime > {played[1].lines[1].offset_s}")
    assert browser.complaints == []


def test_a_mix_that_begins_with_silence_is_played_where_the_line_is(
    browser: Browser, played: tuple[TakeFolder, Take], tmp_path: Path
) -> None:
    folder = TakeFolder(shutil.copytree(played[0].path, tmp_path / "take"))
    began, *rest = read_journal(folder.journal)
    assert isinstance(began, TakeBegan)
    wanted = began.model_copy(update={"deliver": Deliver(mix=Mix(head=3.0))})
    folder.journal.write_text("".join(f"{fact.model_dump_json()}\n" for fact in (wanted, *rest)))
    with WavWriter(folder.path / "mix.wav") as mix:
        mix.silence(3 * 24_000)
        mix.append(read_wav(folder.stems / "keeper.wav"))
    browser.complaints.clear()
    browser.open(write_page(folder, played[1]))
    browser.press(" ")
    browser.until("document.documentElement.classList.contains('playing')")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    at = played[1].lines[1].offset_s
    browser.until(f"document.getElementById('mix').currentTime > {at + 3}")
    assert browser.run("document.querySelector('.block.now')?.id") == "b2"
    assert browser.complaints == []


def test_the_keys_go_line_by_line(tab: Browser) -> None:
    now = "document.querySelector('.block.now')?.id"
    for key, expected in (("ArrowRight", "b1"), ("ArrowRight", "b2"), ("ArrowRight", "b3"), ("ArrowLeft", "b2")):
        tab.press(key)
        assert tab.run(now) == expected
    tab.press(" ")
    tab.until("document.documentElement.classList.contains('playing')")
    tab.press(" ")
    assert not tab.run("document.documentElement.classList.contains('playing')")


def test_a_line_that_has_the_focus_is_played_with_enter(tab: Browser) -> None:
    tab.run("document.getElementById('b1').focus()")
    tab.press("Enter")
    tab.until(f"{CLOCK} > 0.05")
    tab.press("ArrowRight")
    assert tab.run("document.activeElement.id") == "b2"


def test_every_part_can_be_reached_with_tab(tab: Browser) -> None:
    reached = set()
    for _ in range(12):
        tab.press("Tab")
        reached.add(tab.run("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "theme", "scale", "fit", "stage", "b1", "hear"} <= reached


def test_a_changed_line_shows_what_changed(tab: Browser) -> None:
    assert tab.run("document.querySelector('#lb2 del').innerText").find("until it stands again.") > 0
    assert tab.run("getComputedStyle(document.querySelector('#lb2 del')).textDecorationLine") == "line-through"


LUMINANCE = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"


def test_the_lights_follow_the_system_and_the_switch(tab: Browser) -> None:
    tab.emulate(prefers_color_scheme="dark")
    assert tab.run(LUMINANCE) < 150
    tab.click("#theme")
    assert tab.run(LUMINANCE) > 600
    tab.emulate(prefers_color_scheme="light")
    tab.click("#theme")
    assert tab.run(LUMINANCE) < 150
    tab.click("#theme")
    assert tab.run(LUMINANCE) > 600


def test_on_paper_nothing_is_cut_off(tab: Browser) -> None:
    tab.emulate(media="print", prefers_color_scheme="dark")
    tab.resize(720, 1000)
    assert tab.run(LUMINANCE) == 3 * 255
    assert tab.run("getComputedStyle(document.querySelector('.desk')).display") == "none"
    assert tab.run("document.getElementById('stage').scrollWidth <= document.getElementById('stage').clientWidth + 1")
    assert len(tab.send("Page.printToPDF")["data"]) > 10_000


def test_on_a_telephone_only_the_score_scrolls_sideways(tab: Browser) -> None:
    tab.resize(360, 700)
    assert not tab.run("document.documentElement.scrollWidth > innerWidth")
    tab.click("#b2")
    tab.until(f"{CLOCK} > 0.05")


def test_an_embedded_page_needs_no_other_file(
    browser: Browser, played: tuple[TakeFolder, Take], tmp_path: Path
) -> None:
    folder, take = played
    alone = tmp_path / "alone.html"
    alone.write_text(render_page(take, folder, embed=True), encoding="utf-8")
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(alone)
    browser.click("#b3")
    browser.until(f"{CLOCK} > 0.1")
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [alone.as_uri()]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(tab: Browser, theme: str) -> None:
    tab.emulate(prefers_color_scheme=theme)
    tab.press("ArrowRight")
    assert serious_faults(tab) == []


def test_a_thousand_lines_are_laid_out_once_and_scroll(browser: Browser, tmp_path: Path) -> None:
    folder, take = long_take(tmp_path / "take", 1000)
    path = write_page(folder, take)
    browser.complaints.clear()
    browser.resize(1400, 1000)
    before = browser.layouts()
    browser.open(path)
    opened = browser.layouts()
    assert opened - before < MOST_LAYOUTS
    assert count(browser, ".block") == 1000
    browser.run(
        "new Promise(done => { let n = 0; const step = () => { scrollBy(0, 2000); "
        "document.getElementById('stage').scrollLeft += 500; "
        "n++ < 30 ? requestAnimationFrame(step) : done() }; step() })"
    )
    assert browser.layouts() - opened < MOST_LAYOUTS
    assert browser.run("scrollY") > 20_000
    browser.click("#lb1000 .hear")
    browser.until(f"{CLOCK} > 0.1")
    assert browser.complaints == []


@pytest.mark.parametrize("width", [1280, 1000, 800, 400])
def test_the_details_of_players_can_be_read_without_scrolling(
    browser: Browser, played: tuple[TakeFolder, Take], tmp_path: Path, width: int
) -> None:
    folder, take = played
    endpoint = "wss://a-resource-of-a-long-name.openai.azure.com/openai/v1/realtime"
    players = tuple(player.model_copy(update={"endpoint": endpoint}) for player in take.players)
    path = tmp_path / "report.html"
    path.write_text(render_page(take.model_copy(update={"players": players}), folder), encoding="utf-8")
    browser.resize(width, 900)
    browser.open(path)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    cells = "[...document.querySelectorAll('.details tbody :is(th, td)')]"
    inside = f"{cells}.every(e => e.getBoundingClientRect().right <= innerWidth && e.scrollWidth <= e.clientWidth + 1)"
    assert browser.run(inside)
    assert browser.run(f"{cells}.length") > len(players)


@pytest.mark.parametrize("width", [1280, 800, 400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_was_expected_can_be_read_without_scrolling(
    browser: Browser, played: tuple[TakeFolder, Take], tmp_path: Path, width: int, theme: str
) -> None:
    folder, take = played
    long = "We are quite full tonight, sir, and the stable is full as well, as it is every night of the fair."
    checks = [
        Check(
            path="/a/long/way/to/the/scene.yaml",
            line=150,
            column=14,
            of=line.id,
            what="says",
            expected=long,
            measured=long,
            outcome=outcome,
        )
        for line, outcome in zip(take.lines, ("passed", "error", "failed"), strict=False)
    ]
    path = tmp_path / "report.html"
    path.write_text(render_page(take, folder, checks=checks), encoding="utf-8")
    browser.emulate(prefers_color_scheme=theme)
    browser.resize(width, 900)
    browser.open(path)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    for selector in (".checks .outcome", ".checks tbody th", ".checks td.ids"):
        inside = "b => b.left >= 0 && b.right <= innerWidth && b.width > 40 && b.height < 120"
        boxes = f"[...document.querySelectorAll('{selector}')].map(e => e.getBoundingClientRect())"
        assert browser.run(f"{boxes}.every({inside})"), selector
    browser.run("document.querySelector(\".facts a[href='#expected']\").click()")
    browser.until("location.hash === '#expected'")


def test_what_moves_is_clicked_where_it_comes_to_rest(browser: Browser, tmp_path: Path) -> None:
    """Else tests would miss what a page still makes room for."""
    place = tmp_path / "moving.html"
    place.write_text("<!doctype html><button style='position: absolute; top: 0'>Go</button>")
    browser.open(place)
    browser.run(
        "(() => { const button = document.querySelector('button'); let top = 0;"
        "button.onclick = () => { document.title = 'clicked' };"
        "const move = () => { button.style.top = `${top += 20}px`; if (top < 400) requestAnimationFrame(move) };"
        "move() })()"
    )
    browser.click("button")
    browser.until("document.title === 'clicked'")
