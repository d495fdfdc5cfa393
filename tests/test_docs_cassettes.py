"""Every block of docs/cassettes.md: commands run, what is shown is what is printed and written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["no_key"]

TOP = Path(__file__).parent.parent
PAGE = (TOP / "docs" / "cassettes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
(TYPED,) = (block for kind, block in BLOCKS if kind == "sh")
DIFFERS, FILES, ATTRIBUTES = (block for kind, block in BLOCKS if kind == "text")
(PROGRAM,) = (block for kind, block in BLOCKS if kind == "python")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped scenes, with their cassettes where the page has them."""
    shutil.copytree(TOP / "scenes", tmp_path / "scenes")
    shutil.copytree(TOP / "scenes" / "cassettes", tmp_path / "cassettes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert [kind for kind, _ in BLOCKS] == ["sh", "text", "text", "text", "python"]


@pytest.mark.slow
def test_a_scene_is_recorded_and_replayed_as_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the embedded understudy, with its neural voices."""
    shutil.rmtree(here / "cassettes")
    for command in TYPED.splitlines():
        program, *words = shlex.split(command, comments=True)
        assert program == "tau-stage"
        assert run(*words) == 0, capsys.readouterr().err
        assert (here / "cassettes" / "umbrella" / "cassette.json").is_file()


def test_the_first_event_that_differs_is_named_as_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = here / "scenes" / "umbrella.yaml"
    scene.write_text(scene.read_text("utf-8").replace("Can I have it?", "May I have it?"), "utf-8")
    assert run("run", str(scene), "--replay", "cassettes", "--quiet") == 1
    said = capsys.readouterr().err
    assert DIFFERS.strip() in said, said


def test_a_cassette_holds_the_files_that_are_shown() -> None:
    shown = set(re.findall(r"[\w-]+\.jsonl?", FILES))
    cassette = TOP / "scenes" / "cassettes" / "umbrella"
    assert shown <= {path.name for path in cassette.iterdir()}
    assert all(re.fullmatch(r"[0-9a-f]{64}\.flac", path.name) for path in (cassette / "audio").iterdir())


@pytest.mark.slow
def test_git_takes_the_attributes(tmp_path: Path) -> None:
    """Slow: git, twice."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitattributes").write_text(ATTRIBUTES, "utf-8")
    asked = ["diff", "cassettes/umbrella/audio/0.flac", "cassettes/umbrella/clerk.jsonl", "scenes/umbrella.yaml"]
    told = subprocess.run(
        ["git", "check-attr", *asked], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert [line.rpartition(": ")[2] for line in told.splitlines()] == ["unset", "unset", "unspecified"]


def test_the_program_replays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(PROGRAM, names)  # noqa: S102 - the page's
    scene = here / "scenes" / "umbrella.yaml"
    take = names["replay"](str(scene), "cassettes", "takes")
    assert (take.ended, take.folder.mix.is_file()) == ("complete", True)
    scene.write_text(scene.read_text("utf-8").replace("Can I have it?", "May I have it?"), "utf-8")
    assert names["replay"](str(scene), "cassettes", "takes") is None
    assert names["replay"](str(scene), "none", "takes") is None
    one, two = capsys.readouterr().out.splitlines()[::2]
    assert one.startswith("the scene differs from its recording: line tourist-2, player tourist: words differ")
    assert two.startswith("the cassette is missing or damaged: none")
