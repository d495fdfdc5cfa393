"""Whenever a process is killed while it delivers a take, `resume` makes the folder an undisturbed run's."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tau_stage.understudy.server import Understudy
from tests.support.failing_writes import Disk, Killed, watched
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

SCENE = """
scene: A talk
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Where is my hat?
  - bob: Here.
limits: {start_rate: 100/s}
deliver: {stems: packed, lines: {trim: true}}
expect: {length: 540s..600s}
"""
RED = 1


def survives(_number: int, _name: str, _arguments: tuple[Any, ...]) -> bool:
    return False


class AfterTheEnd:
    """Dies at the first change after the journal says that the take has ended."""

    has_ended = False

    def __call__(self, _number: int, name: str, arguments: tuple[Any, ...]) -> bool:
        if self.has_ended and name != "fsync":
            return True
        self.has_ended = self.has_ended or (name == "write" and b'"take_ended"' in bytes(arguments[1]))
        return False


def tree() -> dict[str, bytes | str]:
    """All that lies here, links as what they say."""
    return {
        path.as_posix(): os.fspath(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(Path().rglob("*"))
        if path.is_file() or path.is_symlink()
    }


@pytest.fixture
def ended(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A take in ``ended/`` that was killed when its last line was spoken; its folder."""
    (tmp_path / "ended").mkdir()
    monkeypatch.chdir(tmp_path / "ended")
    Path("talk.yaml").write_text(SCENE)
    url = serve(Understudy(Tones()))
    with suppress(Killed), watched(Disk(AfterTheEnd())):
        run("run", "talk.yaml", "--endpoint", url, "--quiet")
    (journal,) = Path("takes").rglob("journal.jsonl")
    return journal.parent.as_posix()


def resumed_in(tmp_path: Path, name: str, folder: str, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of ``resume`` in a copy of ``ended/``."""
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    shutil.copytree(tmp_path / "ended", tmp_path / name, symlinks=True)
    monkeypatch.chdir(tmp_path / name)
    with watched(disk):
        return run("resume", folder, "--quiet")


def check_kills(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch, each: int) -> None:
    whole = Disk(survives)
    assert resumed_in(tmp_path, "whole", folder, whole, monkeypatch) == RED
    expected = tree()
    assert whole.changes > 30
    for last in range(1, whole.changes + 1, each):
        with suppress(Killed):
            resumed_in(tmp_path, "killed", folder, Disk(lambda number, *_, last=last: number >= last), monkeypatch)
        link = Path(folder).parent / "latest"
        assert link.exists() or not link.is_symlink(), f"change {last}: latest is broken"
        assert run("resume", folder, "--quiet") == RED, f"change {last}"
        assert tree() == expected, f"change {last}"


@pytest.mark.slow
def test_a_kill_while_a_take_is_delivered_is_mended(
    ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: delivers a take some ten times."""
    check_kills(tmp_path, ended, monkeypatch, each=29)


@pytest.mark.slow
@pytest.mark.skipif("TAU_STAGE_EVERY_KILL" not in os.environ, reason="set TAU_STAGE_EVERY_KILL=1 to try them all")
def test_any_kill_while_a_take_is_delivered_is_mended(
    ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: tries every change of the disk."""
    check_kills(tmp_path, ended, monkeypatch, each=1)


def test_what_a_run_leaves_is_what_resume_leaves(ended: str, serve: Serve) -> None:
    assert run("resume", ended, "--quiet") == RED
    url = serve(Understudy(Tones()))
    assert run("run", "talk.yaml", "--endpoint", url, "--quiet", "--out", "again") == RED
    (other,) = Path("again").rglob("journal.jsonl")
    places = (Path(ended), other.parent)
    names = [sorted(path.relative_to(place).as_posix() for path in place.rglob("*")) for place in places]
    assert names[0] == names[1]
    journals = [(place / "journal.jsonl").read_text().splitlines() for place in places]
    records = [[json.loads(line) for line in lines] for lines in journals]
    assert [fact["type"] for fact in records[0]] == [fact["type"] for fact in records[1]]
    assert records[0][-1]["type"] == "take_delivered"
    assert (records[0][-1]["code"], records[0][-1]["made"]) == (RED, records[1][-1]["made"])
    assert run("run", "talk.yaml", "--resume", "--endpoint", url, "--quiet", "--out", "again") == RED
    assert len(list(Path("again").glob("*/2*"))) == 1
