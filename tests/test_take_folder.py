"""The files of a take: found by whoever asks, under the names that the scene gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.audio.riff import read_chunks
from tau_stage.errors import TakeError
from tau_stage.report.delivering import rebuild
from tau_stage.report.page import render_page
from tau_stage.take.folder import TakeFolder
from tests.support.in_memory_stage import Playhouse
from tests.support.report_pages import read

SCENE = """
scene: Named
players: {{ann: {{voice: ash}}}}
lines: [ann: Who left the door open?]
deliver: {{mix: {mix}}}
"""


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mix.wav", "Whole.WAV", "whole.flac", "whole.ogg", "whole.mp3"])
async def test_the_mix_is_found_under_the_name_that_the_scene_gave_it(house: Playhouse, name: str) -> None:
    """Slow: it makes a mix and embeds it."""
    await house.perform(SCENE.format(mix=f"{{file: {name}}}"))
    assert house.folder.mix is None
    take, _ = rebuild(house.folder)
    assert house.folder.mix == house.folder.path / name
    for embed, url in ((False, f"./{name}"), (True, "data:audio/flac;base64,")):
        sheet = read(render_page(take, house.folder, embed=embed))
        (mix,) = (audio for audio in sheet.all("audio") if audio.attributes["id"] == "mix")
        assert mix.attributes["src"].startswith(url)
        assert "There is no mix" not in sheet.text
    if name.lower().endswith(".wav"):
        assert b"bext" in read_chunks(house.folder.path / name)


async def test_a_mix_that_nobody_wants_is_none(house: Playhouse) -> None:
    take = await house.perform(SCENE.format(mix="none"))
    (house.folder.path / "mix.wav").write_bytes(b"of something else")
    rebuild(house.folder)
    assert house.folder.mix is None
    assert "There is no mix" in read(render_page(take, house.folder)).text


async def test_without_a_journal_the_mix_has_its_usual_name(house: Playhouse) -> None:
    await house.perform(SCENE.format(mix="{}"))
    rebuild(house.folder)
    house.folder.journal.unlink()
    assert house.folder.mix == house.folder.path / "mix.wav"


def test_no_file_outside_the_folder_is_named(tmp_path: Path) -> None:
    folder = TakeFolder(tmp_path / "take")
    folder.path.mkdir()
    (folder.path / "loop").symlink_to("loop")
    (folder.path / "out").symlink_to(tmp_path)
    assert folder.inside("lines/a.wav") == folder.path / "lines" / "a.wav"
    for name in (
        "",
        "/etc/passwd",
        "../a.wav",
        "lines/../../a.wav",
        "a\\b.wav",
        "c:a.wav",
        "a\0b",
        "out/a.wav",
        "loop/a",
    ):
        with pytest.raises(TakeError, match="refers to a file outside the take"):
            folder.inside(name)
