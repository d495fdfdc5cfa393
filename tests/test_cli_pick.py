"""``tau-stage pick``: another take becomes the line, and all that is made of it follows."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from shutil import copytree

import pytest
import soundfile

from tau_stage.audio.wav import read_wav
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.journal import Journal, read_journal
from tau_stage.take.reading import read_take
from tau_stage.take.records import TakePicked
from tau_stage.take.take_model import Take
from tests.support.report_pages import read
from tests.test_cli_validate import run

SCENE = """
scene: Chosen
pause: 300ms
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral, hears: []}}
lines:
  - bed: rain.wav
    until: bob-1
  - ann: Now then, what shall we do about it?
    takes: 3
    pick: first
  - bob: Nothing at all.
  - sfx: rain.wav
  - cid: Who speaks?
  - ann: I do.
    expect: {says: do}
  - pause: 1s
deliver: {mix: {file: whole.flac}}
"""


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one take, with the understudy's voice, in which a line has three takes."""
    project = tmp_path_factory.mktemp("performed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        soundfile.write("rain.wav", [0.01 * (number % 7 - 3) for number in range(12_000)], 24_000, subtype="PCM_16")
        Path("chosen.yaml").write_text(SCENE)
        assert run("run", "chosen.yaml", "--endpoint", "understudy", "--quiet") == 0
    return project


@pytest.fixture
def folder(performed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TakeFolder:
    """The take in a copy of its project, which is the working directory."""
    monkeypatch.chdir(copytree(performed, tmp_path / "project", symlinks=True))
    (take,) = (path.resolve() for path in Path("takes").glob("*/latest"))
    assert take.is_relative_to(tmp_path)
    return TakeFolder(take)


def stems_hold_the_lines(folder: TakeFolder, take: Take) -> bool:
    """Whether the stems hold every line where the take says, and are as long as the take."""
    for line in take.lines:
        stem = read_wav(folder.stem(line.player))
        assert len(stem) == take.samples
        assert stem[line.offset_samples : line.offset_samples + line.samples] == read_wav(folder.sound(line))
        assert read_wav(folder.sound(line)).sha256 == line.sha256
    return True


pytestmark = pytest.mark.slow


def test_all_that_is_made_of_the_line_follows(folder: TakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the understudy's voice, and two deliveries."""
    before = read_take(folder.path)[1]
    made = {name: (folder.path / name).read_bytes() for name in ("whole.flac", "subtitles.srt", "session.rpp")}
    line, wanted = before.lines[0], before.lines[0].alternatives[0]
    by = wanted.samples - line.samples
    assert by
    assert run("pick", str(folder.path), "ann-1", "2") == 0
    assert str(folder.path) in capsys.readouterr().out
    take = read_take(folder.path)[1]
    now = take.lines[0]
    assert (now.take, now.sha256, now.samples, now.file) == (2, wanted.sha256, wanted.samples, line.file)
    assert [other.take for other in now.alternatives] == [1, 3]
    assert all(read_wav(folder.sound(other)).sha256 == other.sha256 for other in now.alternatives)
    assert [each.offset_samples for each in take.lines[1:]] == [each.offset_samples + by for each in before.lines[1:]]
    assert take.sounds[1].offset_samples == before.sounds[1].offset_samples + by
    assert take.sounds[0].samples == before.sounds[0].samples + by
    assert take.samples == before.samples + by
    assert take.cost == before.cost
    assert stems_hold_the_lines(folder, take)
    assert all((folder.path / name).read_bytes() != text for name, text in made.items())
    assert fold(read_journal(folder.journal)) == take
    rows = [row for row in csv.DictReader((folder.path / "sheet.csv").read_text().splitlines()) if row["id"] == "ann-1"]
    assert [(row["take"], row["picked"]) for row in rows] == [("2", "yes"), ("1", ""), ("3", "")]
    assert "Take 2 of 3 is the current take" in read(folder.report.read_text()).text
    assert json.loads(folder.checks.read_text())["passed"] == 1


def test_each_take_of_a_line_can_be_played(
    folder: TakeFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    [line, *_] = read_take(folder.path)[1].lines
    for number, take in enumerate(line.takes, 1):
        assert run("play", str(folder.path), "ann-1", str(number)) == 2
        told = capsys.readouterr()
        assert told.out == f"ann-1, take {number}: {take.said}\n"
        assert "sounddevice" in told.err
    assert run("play", str(folder.path), "ann-1", "4") == 2
    assert "line ann-1 has no take 4 with audio\n  hint: its takes: 1, 2, 3" in capsys.readouterr().err
    assert run("play", str(folder.path), "bob-1", "1") == 2
    assert f"hint: play the line: tau-stage play {folder.path} bob-1" in capsys.readouterr().err


def test_later_lines_that_heard_the_other_take_are_outdated_until_it_is_picked_again(folder: TakeFolder) -> None:
    """Slow: the understudy's voice, and three deliveries."""
    kept = {path.name: path.read_bytes() for path in (*folder.stems.iterdir(), folder.path / "whole.flac")}
    before = read_take(folder.path)[1]
    assert run("pick", str(folder.path), "ann-1", "3", "--quiet") == 0
    take = read_take(folder.path)[1]
    assert {line.id: line.outdated for line in take.lines} == {
        "ann-1": (),
        "bob-1": ("ann-1",),
        "cid-1": (),
        "ann-2": ("ann-1",),
    }
    assert run("pick", str(folder.path), "ann-1", "1", "--quiet") == 0
    again = read_take(folder.path)[1]
    assert [line.outdated for line in again.lines] == [(), (), (), ()]
    assert again.lines == before.lines
    assert {path.name: path.read_bytes() for path in (*folder.stems.iterdir(), folder.path / "whole.flac")} == kept


@pytest.mark.parametrize("verb", ["resume", "report", "pick"])
def test_a_pick_that_was_stopped_half_way_is_followed_later(folder: TakeFolder, verb: str) -> None:
    """Slow: the understudy's voice, and two deliveries. The record is written, and nothing else."""
    journal = Journal(folder.journal, goes_on=True)
    journal.append(TakePicked(line="ann-1", take=2))
    journal.close()
    assert run(verb, str(folder.path), *(["ann-1", "2"] if verb == "pick" else [])) == 0
    take = read_take(folder.path)[1]
    assert take.lines[0].take == 2
    assert stems_hold_the_lines(folder, take)


def test_what_cannot_be_picked_is_told_and_changes_nothing(
    folder: TakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the understudy's voice."""
    before = folder.journal.read_bytes()
    capsys.readouterr()
    for arguments, told in (
        (("nobody", "2"), "no line 'nobody'\n  hint: lines with several takes: ann-1"),
        (("ann-1", "4"), "line ann-1 has no take 4 with audio\n  hint: its takes: 1, 2, 3"),
        (("bob-1", "2"), "line bob-1 has no take 2 with audio\n  hint: record more takes: tau-stage retake "),
    ):
        assert run("pick", str(folder.path), *arguments) == 2
        assert told in capsys.readouterr().err
    other = folder.sound(read_take(folder.path)[1].lines[0].alternatives[0])
    sound = other.read_bytes()
    other.unlink()
    assert run("pick", str(folder.path), "ann-1", "2") == 2
    other.write_bytes(sound)
    soundfile.write("rain.wav", [0.0, 0.5] * 6000, 24_000, subtype="PCM_16")
    assert run("pick", str(folder.path), "ann-1", "2") == 2
    assert "rain.wav: has changed since it was played" in capsys.readouterr().err
    assert folder.journal.read_bytes() == before


@pytest.mark.parametrize("number", ["2", "3"])
def test_a_pick_that_was_cut_can_be_made_again_or_another(folder: TakeFolder, number: str) -> None:
    """Slow: the understudy's voice, and two deliveries."""
    before = folder.manifest.read_text()
    assert run("pick", str(folder.path), "ann-1", "2", "--quiet") == 0
    *journal, last = folder.journal.read_text().splitlines(keepends=True)
    assert '"take_delivered"' in last
    folder.journal.write_text("".join(journal))
    folder.manifest.write_text(before)
    assert run("pick", str(folder.path), "ann-1", number, "--quiet") == 0
    take = read_take(folder.path)[1]
    assert (take.lines[0].take, fold(read_journal(folder.journal))) == (int(number), take)
    assert stems_hold_the_lines(folder, take)
