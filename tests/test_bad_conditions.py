"""A full disk, a sealed or vanished folder, few descriptors, a clock that jumps: a clear message, nothing destroyed."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from tau_stage.audio.wav import LONGEST_SAMPLES, WavWriter, read_wav
from tau_stage.errors import TakeError
from tau_stage.stage.events import Event
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.sessions import Stage
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import audio_of, read_take
from tau_stage.take.stems import Stems
from tau_stage.understudy.server import Understudy
from tests.support.forked import python
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve  # noqa: F401 - fixtures

TOP = Path(__file__).parent.parent
SCENE = """
players: {ann: {voice: ash}, ben: {voice: sage}}
lines: [ann: One., ben: And two of them., ann: Three., ben: "Four, as I have said before, and as I shall say again."]
limits: {start_rate: 100/s}
deliver: {mix: none}
"""


def performed(
    scene: str, place: str, out: Path, limit: tuple[int, int, int] | None = None
) -> subprocess.CompletedProcess[str]:
    file = out.parent / "scene.yaml"
    file.write_text(scene)
    words = ["run", str(file), "--endpoint", place, "--out", str(out)]
    environment = os.environ | {"XDG_CACHE_HOME": os.devnull}
    return python("-m", "tau_stage", *words, cwd=TOP, env=environment, limit=limit)


def is_sound(folder: Path) -> list[str]:
    """The lines of a take as they are on the disk; all files under final names are whole."""
    for file in folder.rglob("*.wav"):
        if ".part" not in file.name:
            assert file.stat().st_size >= 44
            read_wav(file)
    home, take = read_take(folder)
    for line in take.lines:
        assert len(audio_of(home, line)) == line.samples
    return [line.id for line in take.lines]


def only_a_message(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    *_, problem, hint = done.stderr.strip().split("\n")
    assert hint.startswith("  hint: ")
    return problem + hint


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small file system of its own there; where nobody may make one, the test is skipped."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only who may mount can make a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_spoken(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Slow: a process of its own, on a disk of its own."""
    disk = tmp_path / "disk"
    with mounted(disk, "-o", "size=84k"):
        done = performed(SCENE, serve(Understudy(Tones())), disk)
        assert "no space left on device  hint: free some disk space" in only_a_message(done)
        (folder,) = disk.glob("scene/*")
        assert "ann-1" in is_sound(folder)
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        again = python("-m", "tau_stage", "report", str(folder))
        assert again.returncode == 0, again.stderr
        assert (folder / "report.html").stat().st_size > 1000


@pytest.mark.slow
def test_a_quota_keeps_what_was_spoken(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Slow: a process of its own."""
    limit = resource.RLIMIT_FSIZE, 45_000, 45_000
    done = performed(SCENE, serve(Understudy(Tones())), tmp_path / "takes", limit)
    assert "file too large  hint: file size limit reached" in only_a_message(done)
    (folder,) = (tmp_path / "takes").glob("scene/*")
    assert is_sound(folder)[:2] == ["ann-1", "ben-1"]


@pytest.mark.slow
def test_a_sealed_folder_is_told_before_anything_is_paid(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Slow: a process of its own."""
    house, sealed = Understudy(Tones(), keeps_visits=True), tmp_path / "sealed"
    with mounted(sealed, "-o", "ro"):
        told = only_a_message(performed(SCENE, serve(house), sealed))
    assert f"{sealed}/scene: read-only file system  hint: choose another folder with --out" in told
    assert house.visits == []


async def test_a_folder_that_is_removed_is_told_so(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    news, watch = anyio.create_memory_object_stream[Event](1000)

    async def remove() -> None:
        async for item in watch:
            if isinstance(item, record.LineSpoken):
                shutil.rmtree(house.folder.path)
                return

    told = r"no such file or directory\n.*its folder was deleted or renamed during the performance: run the scene again"
    async with anyio.create_task_group() as group:
        group.start_soon(remove)
        with pytest.raises(TakeError, match=told):
            await house.perform(SCENE, watch=news)
    news.close()
    watch.close()
    assert not house.folder.path.exists()


def twelve(players: int) -> str:
    names = [f"p{number}" for number in range(players)]
    cast = ", ".join(f"{name}: {{voice: ash}}" for name in names)
    return f"players: {{{cast}}}\nlines: [p0: One., p{players - 1}: Two.]\nlimits: {{start_rate: 1000/s}}\n"


FEW = resource.RLIMIT_NOFILE, 64, 64


@pytest.mark.slow
def test_twelve_players_do_with_64_descriptors_and_more_are_told_first(tmp_path: Path) -> None:
    """Slow: processes of their own, with the understudy and its voice in one of them."""
    done = performed(twelve(12), "understudy", tmp_path / "takes", FEW)
    assert done.returncode == 0, done.stderr
    told = only_a_message(performed(twelve(16), "understudy", tmp_path / "more", FEW))
    assert "16 players need 73 file descriptors, but this process may open only 64" in told
    assert "ulimit -n 73" in told
    assert not (tmp_path / "more").exists()


@pytest.mark.slow
def test_a_limit_that_can_be_raised_is_raised(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Slow: a process of its own."""
    limit = resource.RLIMIT_NOFILE, 40, 4096
    done = performed(twelve(16), serve(Understudy(Tones())), tmp_path / "takes", limit)
    assert done.returncode == 0, done.stderr


def test_running_out_of_descriptors_in_mid_take_is_told(tmp_path: Path) -> None:
    taken = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        taken.append(os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
        with pytest.raises(TakeError, match=r"too many open files\n.*ulimit -n 1024"):
            Stems(tmp_path, map(str, range(max(taken) + 2)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in taken:
            os.close(file)


async def test_a_clock_that_jumps_back_changes_no_length_and_hides_no_take(tmp_path: Path) -> None:
    house, now = Playhouse(tmp_path), datetime(2026, 11, 21, 12, tzinfo=UTC)
    takes = []
    for began in (now, now - timedelta(hours=1)):
        folder = TakeFolder.create(tmp_path, "scene", began, "same")
        takes.append(await perform(plan_of(SCENE), Stage(house._connect), folder, PerformanceOptions(started=began)))
        times = [fact.at_s for fact in read_journal(folder.journal)]
        assert times == sorted(times)
        assert (tmp_path / "scene" / "latest").resolve() == folder.path.resolve()
    assert takes[0].samples == takes[1].samples
    assert [line.offset_samples for line in takes[0].lines] == [line.offset_samples for line in takes[1].lines]
    with pytest.raises(TakeError, match="file exists"):
        TakeFolder.create(tmp_path, "scene", now, "same")


NAMED_BY_THE_CLOCK = {
    "batch/ledger.py",
    "batch/worker.py",
    "cli/doctor_command.py",
    "cli/plan_command.py",
    "cli/validate_command.py",
    "transport.py",
    "runs/run_scenes.py",
    "suite/execution.py",
    "stage/performance.py",
    "take/folder.py",
    "understudy/server.py",
}
"""When a take began, since when a folder or a job is held, what is today for retirements: names, never lengths."""


def test_nobody_else_looks_at_the_wall_clock() -> None:
    looks = set()
    for path in (TOP / "tau_stage").rglob("*.py"):
        code = path.read_text()
        for node in ast.walk(ast.parse(code)) if re.search(r"\b(datetime|time|date)\.", code) else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                read = f"{node.value.id}.{node.attr}"
                if read in ("datetime.now", "datetime.utcnow", "time.time", "time.time_ns", "date.today"):
                    looks.add(path.relative_to(TOP / "tau_stage").as_posix())
    assert looks == NAMED_BY_THE_CLOCK


def test_a_wav_file_ends_at_four_gibibytes(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "day.wav") as file:
        file.silence(LONGEST_SAMPLES - 1)
        file.silence(1)
        with pytest.raises(OSError, match="at most 4 GiB"):
            file.silence(1)
        assert file.samples == LONGEST_SAMPLES
    (tmp_path / "day.wav").unlink()
