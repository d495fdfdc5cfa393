"""One process at a time writes into a take's folder, and nothing of it lies outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tau_stage.errors import TakeError
from tau_stage.stage.performance import perform
from tau_stage.stage.sessions import Stage
from tau_stage.take.folder import LOCK, TakeFolder, locked
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.test_cli_validate import run

HOLDS = """
import sys, time
from pathlib import Path
from tau_stage.take.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
SCENE = "players: {ann: {voice: ash}, ben: {voice: sage}}\nlines: [ann: One., ben: Two.]"


def test_who_holds_a_folder_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with locked(tmp_path):
        told = rf"is being written by process {os.getpid()} \(since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC\)\n.*hint: wait"
        with pytest.raises(TakeError, match=told), locked(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass


def test_a_lock_that_cannot_be_read_shows_nothing_of_its_own(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK).write_bytes(b"\x1b[31mred")
        with pytest.raises(TakeError, match=re.escape("written by [31mred")), locked(tmp_path):
            pass


def test_a_folder_that_vanishes_is_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "take"
    folder.mkdir()
    with locked(folder):
        (folder / LOCK).unlink()
        folder.rmdir()
    with pytest.raises(TakeError, match="no such file"), locked(folder):
        pass


@pytest.mark.slow
def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: starts an interpreter, and kills it."""
    (tmp_path / "journal.jsonl").touch()
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert run("report", str(tmp_path)) == 2
        assert f"{tmp_path}: is being written by process {other.pid} (since " in capsys.readouterr().err
        other.kill()
    with locked(tmp_path):
        pass


async def test_nobody_performs_into_a_folder_that_is_held(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "a")
    with locked(folder.path), pytest.raises(TakeError, match="is being written by process"):
        await perform(plan_of(SCENE), Stage(house._connect), folder)
    assert not folder.journal.exists()
    take = await perform(plan_of(SCENE), Stage(house._connect), folder)
    assert take.ended == "complete"
    assert not (folder.path / LOCK).exists()


@pytest.mark.parametrize("name", ["lines", "export", ".mix.wav.part", "lines/001-ann-1.wav", "stems/ann.wav"])
def test_nothing_is_written_through_a_link_that_leads_out(name: str, tmp_path: Path) -> None:
    take, outside = tmp_path / "take", tmp_path / "outside"
    outside.mkdir()
    (take / name).parent.mkdir(parents=True)
    (take / name).symlink_to(outside)
    told = f"{take / name}: is a link to a file outside the take"
    with pytest.raises(TakeError, match=re.escape(told)), locked(take):
        pass
    assert list(outside.iterdir()) == []


def test_links_within_a_take_are_none_of_our_business_but_loops_are(tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "same").symlink_to("lines")
    with locked(tmp_path):
        pass
    (tmp_path / "loop").symlink_to("loop")
    with locked(tmp_path):
        pass
