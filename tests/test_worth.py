"""What every scene's take is worth to other programs: meters, editors, players of subtitles, browsers."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pysrt
import pytest
import soundfile
import webvtt

from tau_stage.audio.pcm import RATE
from tau_stage.take.take_model import Take
from tests.support.report_pages import read
from tests.test_audio_loudness import second_meter, second_peak_db
from tests.test_cli_validate import run
from tests.test_report_sessions import expected, in_reaper, in_timeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

TOP = Path(__file__).parent.parent
SCENES = sorted(path.stem for path in (TOP / "scenes").glob("*.yaml"))
SILENT = {"chat"}
"""Scenes without sound: they are written."""

TYPED = "Good evening.\nIs the table by the window free?\nThank you.\nGood night.\n"


@dataclass(frozen=True)
class Left:
    """A take and its folder."""

    folder: Path
    take: Take


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Left]:
    """Slow: every scene is performed once, with real voices, and with somebody who types."""
    out = tmp_path_factory.mktemp("takes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        for name in os.environ:
            if name.endswith(("_API_KEY", "_ENDPOINT")):
                patch.delenv(name)
        return {scene: performed(scene, out, patch) for scene in SCENES}


def performed(scene: str, out: Path, patch: pytest.MonkeyPatch) -> Left:
    reading, writing = os.pipe()
    os.write(writing, TYPED.encode())
    os.close(writing)
    with os.fdopen(reading) as keyboard, redirect_stdout(StringIO()) as printed:
        patch.setattr("sys.stdin", keyboard)
        assert run("run", f"scenes/{scene}.yaml", "--stand-in", "--json", "--out", str(out / scene)) == 0
    told = json.loads(printed.getvalue())
    return Left(Path(told["path"]), Take.model_validate(told["take"]))


@pytest.fixture(params=SCENES)
def left(request: pytest.FixtureRequest, takes: dict[str, Left]) -> Left:
    return takes[request.param]


@pytest.fixture(params=[scene for scene in SCENES if scene not in SILENT])
def aloud(request: pytest.FixtureRequest, takes: dict[str, Left]) -> Left:
    return takes[request.param]


def sounds(left: Left) -> list[Path]:
    return sorted(left.folder.rglob("*.wav"))


def test_the_mix_is_as_loud_as_it_should_be_by_another_meter(aloud: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    samples, rate = soundfile.read(aloud.folder / "mix.wav")
    assert (rate, len(samples)) == (RATE, aloud.take.samples)
    assert second_meter(samples, rate) == pytest.approx(-16, abs=0.5)
    assert second_peak_db(samples) < -1


def test_what_is_only_written_has_no_sound_and_a_page_nevertheless(takes: dict[str, Left]) -> None:
    """Slow: performs every scene, once for all tests here."""
    for scene in SILENT:
        assert {path.parent.name for path in sounds(takes[scene])} <= {"stems"}
        assert not (takes[scene].folder / "session.rpp").exists()
        assert (takes[scene].folder / "transcript.txt").read_text()


def test_another_reader_finds_the_marks(aloud: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    wavinfo: Any = pytest.importorskip("wavinfo", reason="wavinfo is not installed")
    lines = aloud.take.lines
    stems = {player.stem: [line for line in lines if line.player == player.name] for player in aloud.take.players}
    for file, own in ({"mix.wav": lines} | {stem: own for stem, own in stems.items() if stem}).items():
        cues = wavinfo.WavInfoReader(aloud.folder / file).cues
        found = list(cues.to_dict().values()) if cues else []
        wanted = [{"frame": line.offset_samples, "label": line.id, "length": line.samples} for line in own]
        assert sorted(found, key=str) == sorted(wanted, key=str), file
    for line in (line for line in lines if line.file):
        told = wavinfo.WavInfoReader(aloud.folder / str(line.file))
        assert told.bext.time_reference == line.offset_samples
        assert told.bext.coding_history.count("synthetic speech") == (not line.human)


def test_two_programs_agree_on_the_length_of_every_file(aloud: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    if not shutil.which("soxi"):
        pytest.skip("sox is not installed")
    files = sounds(aloud)
    done = subprocess.run(["soxi", "-s", *map(str, files)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    frames = [int(line) for line in done.stdout.split("\n") if line.strip()][: len(files)]
    assert frames == [soundfile.info(file).frames for file in files]


def test_sessions_hold_every_line_and_sound_to_the_sample(aloud: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    assert set(in_reaper((aloud.folder / "session.rpp").read_text())) == expected(aloud.take)
    assert set(in_timeline((aloud.folder / "session.otio").read_text())) == expected(aloud.take)


def test_subtitles_are_read_by_other_programs(aloud: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    captions = webvtt.read(str(aloud.folder / "subtitles.vtt")).captions
    said = {line.id for line in aloud.take.lines if line.said.strip()}
    assert {str(caption.identifier).partition("/")[0] for caption in captions} == said
    assert all(re.fullmatch(r"<v [^>]+>.*", caption.raw_text, re.DOTALL) for caption in captions)
    second = pysrt.open(str(aloud.folder / "subtitles.srt"), error_handling=pysrt.ERROR_RAISE)
    assert len(second) > 0
    assert [cue.index for cue in second] == list(range(1, len(second) + 1))
    words = " ".join(cue.text for cue in second)
    assert all(html.unescape(line.said).split()[0] in words for line in aloud.take.lines if line.said.strip())


def test_the_page_has_a_stave_for_each_player_and_the_scene(left: Left) -> None:
    """Slow: performs every scene, once for all tests here."""
    page = read((left.folder / "report.html").read_text(encoding="utf-8"))
    players = [lane for lane in page.all(css="lane") if "player" in lane.attributes["class"].split()]
    assert [lane.all("h3")[0].text for lane in players] == [player.name for player in left.take.players]
    for lane, player in zip(players, left.take.players, strict=True):
        assert len(lane.all("button", "block")) == sum(line.player == player.name for line in left.take.lines)
    assert json.loads(page.all("details")[-1].all("pre")[0].text)["title"] == left.take.scene.title
