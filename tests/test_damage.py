"""Takes that are damaged, and disks that are full: one clear message, and nothing that was there is changed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_cli_retake import no_key, performed, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "performed", "serve"]

LINE = "lines/002-bob-1.wav"
STEM = "stems/bob.wav"

RETAKE = ("retake", "TAKE", "ann-1", "--endpoint", "URL", "--quiet")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("file", "damage", "command", "told"),
    [
        (LINE, Path.unlink, ("report", "TAKE"), "file not found"),
        (LINE, cut, ("report", "TAKE"), "samples, expected"),
        (STEM, Path.unlink, ("report", "TAKE"), "file not found"),
        (STEM, cut, ("report", "TAKE"), "samples, expected"),
        (LINE, Path.unlink, RETAKE, "is missing"),
        (LINE, cut, RETAKE, "is incomplete: "),
    ],
)
def test_a_sound_that_is_missing_or_cut_short_is_told(
    file: str,
    damage: Callable[[Path], None],
    command: tuple[str, ...],
    told: str,
    performed: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    take, url = Path(performed[0]), performed[1]
    damage(take / file)
    before = contents(take)
    assert run(*(word.replace("TAKE", str(take)).replace("URL", url) for word in command)) == 2
    said = capsys.readouterr().err
    assert f"{file}: " in said
    assert told in said
    assert said.count("\n") <= 2
    assert contents(take) == before


def test_what_is_damaged_can_be_compared_as_far_as_it_is_there(
    performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    take, url = Path(performed[0]), performed[1]
    assert run("run", "talk.yaml", "--endpoint", url, "--quiet") == 0
    newest = str(take.parent / "latest")
    cut(take / LINE)
    (take / "lines/003-ann-2.wav").unlink()
    capsys.readouterr()
    assert run("compare", str(take), newest) == 0
    said = capsys.readouterr()
    told = " ".join((said.out + said.err).split())
    assert "002-bob-1.wav: is incomplete" in told
    assert "the audio of line ann-2 is missing" in told


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may become larger: what a full disk does, for one process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "command",
    [("report", "TAKE"), ("report", "TAKE", "--embed"), RETAKE, ("compare", "TAKE", "TAKE", "--html", "page.html")],
    ids=["report", "embed", "retake", "compare"],
)
def test_a_full_disk_is_told_and_what_was_there_stays(
    command: tuple[str, ...], performed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    take, url = Path(performed[0]), performed[1]
    Path("page.html").write_text("kept")
    before = contents(take)
    with disk_of(4_000):
        code = run(*(word.replace("TAKE", str(take)).replace("URL", url) for word in command))
    assert code == 2
    said = capsys.readouterr().err
    assert "file too large" in said or "the disk is full" in said
    assert "Traceback" not in said
    assert contents(take) == before
    assert Path("page.html").read_text() == "kept"
