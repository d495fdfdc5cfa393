"""Every block of the pages of docs/ is performed, in the order of the page. Slow: each is a page's work."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tau_stage.scene.load import parse_scene
from tau_stage.understudy.server import Understudy
from tests.docs_media import MEDIA, SCENES
from tests.support.page_blocks import PageRunner, blocks_of, is_printed
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run
from tests.test_docs import RUN_BY

__all__ = ["no_key", "serve"]

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.md"))}
HERE = [page for page, text in PAGES.items() if f"docs/{page}" not in RUN_BY and blocks_of(text)]

NOT_RUN = {
    "coming-from/azure-sdk.md": 2,
    "coming-from/openai-realtime-api-beta.md": 3,
    "coming-from/speech-endpoint.md": 2,
    "coming-from/tau-js.md": 3,
    "how-to/ci.md": 1,
    "how-to/podcast.md": 1,
    "how-to/talk.md": 2,
    "how-to/test-your-app.md": 2,
    "index.md": 1,
    "tutorials/first-scene.md": 2,
}
"""How many blocks of a page are shown and not performed; each says why."""


@pytest.mark.slow
@pytest.mark.parametrize("page", HERE)
def test_every_block_of_a_page_is_performed(
    page: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: scenes are performed, and programs run."""
    monkeypatch.setenv("TAU_STAGE_UNDERSTUDY", serve(Understudy(Tones())))
    monkeypatch.chdir(tmp_path)

    def printed() -> str:
        said = capsys.readouterr()
        return said.err + said.out

    with ExitStack() as ends:
        PageRunner(tmp_path, run, printed, ends).perform(blocks_of(PAGES[page]))


def test_what_is_not_performed_is_marked_and_counted() -> None:
    counts = Counter(page for page, text in PAGES.items() for block in blocks_of(text) if block.why_not)
    assert counts == NOT_RUN


def test_printed_lines_are_compared_but_for_their_figures() -> None:
    assert is_printed("a 1 b\n...\nend\n", "a  22.5 b\nany\n\nend\n")
    assert not is_printed("a 1 b\n", "a 1 c\n")
    assert not is_printed("a\n", "a\nb\n")


def test_no_text_of_a_link_is_the_name_of_a_page_s_file() -> None:
    named = {page for page, text in PAGES.items() if re.search(r"\[[^\]]*\.md`?\]\(", text)}
    assert named == set()


SOUNDS = re.compile(r"\]\(([\w./-]+\.(?:mp3|png|svg))\)")
MOST_BYTES = {".mp3": 25_000, ".svg": 40_000, ".png": 400_000}


def test_sounds_and_pictures_are_those_that_the_script_makes_and_small() -> None:
    shown = {
        (DOCS / page).parent.joinpath(link).resolve() for page, text in PAGES.items() for link in SOUNDS.findall(text)
    }
    there = {file.resolve() for file in MEDIA.iterdir()}
    assert shown == there
    assert {file.stem for file in there if file.suffix == ".mp3"} == set(SCENES)
    assert [file.name for file in there if file.stat().st_size > MOST_BYTES[file.suffix]] == []


@pytest.mark.parametrize("name", SCENES)
def test_what_is_to_be_heard_is_a_scene_without_a_warning(name: str) -> None:
    assert parse_scene(SCENES[name]).warnings == ()
