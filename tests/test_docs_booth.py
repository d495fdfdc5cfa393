"""Every block of the page about the booth does what it says. Slow, where processes are started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tau_stage.cli.main import main
from tau_stage.scene.load import parse_scene
from tau_stage.stage.people import PageSpeaker, people_of
from tests.support.forked import python
from tests.support.in_memory_stage import plan_of
from tests.test_cli_booth import end, home, page_of, process

__all__ = ["home"]

PAGE = (Path(__file__).parent.parent / "docs" / "booth.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
(PROGRAM,) = (block for kind, block in BLOCKS if kind == "python")
(SCENE,) = (block for kind, block in BLOCKS if kind == "yaml")


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "python", "yaml"}
    assert COMMANDS


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_opens_a_page(command: str, home: dict[str, str]) -> None:
    program, *words = shlex.split(command)
    assert program == "tau-stage"
    with process(home, *words) as (started, url), page_of(url) as page:
        assert page.until("welcome")
        assert end(started)[0] == 130


@pytest.mark.slow
def test_the_program_converses_and_is_shown(home: dict[str, str], tmp_path: Path) -> None:
    with process(home, "booth", "--no-browser") as (_, url), page_of(url) as page:
        done = python("-c", PROGRAM, cwd=tmp_path, env=home)
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr
        assert page.until("source")["source"]["name"] == "ann"
        assert page.event("response.done")["event"]["response"]["status"] == "completed"


def test_the_scene_has_a_part_for_the_page() -> None:
    assert parse_scene(SCENE).title == "At the door"
    assert isinstance(people_of(plan_of(SCENE), booth=True)["traveller"], PageSpeaker)


def test_the_options_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["booth", "--help"])
    helped = capsys.readouterr().out
    assert all(option in helped for option in re.findall(r"`(--[\w-]+)", PAGE.partition("The booth shows three")[0]))


def test_the_picture_is_there_and_is_no_larger_than_it_must_be() -> None:
    (name,) = re.findall(r"^!\[.+\]\((.+)\)$", PAGE, re.MULTILINE)
    picture = (Path(__file__).parent.parent / "docs" / name).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 400_000
