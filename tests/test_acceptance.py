"""The umbrella with the real voices, as a user runs it: a process of its own, a real socket, no key."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tau_stage.audio.loudness import rms_dbfs
from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.take.take_model import Take
from tests.support.forked import python
from tests.test_understudy_voices import centroid_hz, pitch_hz

pytestmark = pytest.mark.slow

TOP = Path(__file__).parent.parent


def perform(scene: str, out: Path, **env: str) -> tuple[Path, Take]:
    """Slow: processes that load the voice and perform a scene."""
    keyless = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
    done = python("-m", "tau_stage", "run", f"scenes/{scene}.yaml", "--out", str(out), cwd=TOP, env=keyless | env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is spent" in done.stderr
    assert "Nothing was spent" in done.stdout
    folder = Path(done.stdout.split("\n")[-2])
    return folder, Take.model_validate_json((folder / "take.json").read_text())


@pytest.fixture(scope="module")
def umbrella(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Take]:
    return perform("umbrella", tmp_path_factory.mktemp("a"))


def test_the_stems_are_three_and_at_any_moment_one_player_sounds(umbrella: tuple[Path, Take]) -> None:
    folder, take = umbrella
    stems = {player.name: folder / str(player.stem) for player in take.players}
    assert len(stems) == 3
    for path in stems.values():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (24_000, 1, "PCM_16", take.samples)
    sound = {name: read_wav(path) for name, path in stems.items()}
    for line in take.lines:
        for name, stem in sound.items():
            span = stem[line.offset_samples : line.offset_samples + line.samples]
            assert rms_dbfs(span) > -40 if name == line.player else not span.array.any()
    laid = np.zeros(take.samples, dtype=np.int16)
    for line in take.lines:
        laid[line.offset_samples : line.offset_samples + line.samples] = read_wav(folder / str(line.file)).array
    assert np.array_equal(sum(stem.array for stem in sound.values()), laid)


def test_the_three_voices_differ(umbrella: tuple[Path, Take]) -> None:
    folder, take = umbrella
    spoken = {
        player.name: Pcm.join(read_wav(folder / str(line.file)) for line in take.lines if line.player == player.name)
        for player in take.players
    }
    clerk, tourist = pitch_hz(spoken["clerk"]), pitch_hz(spoken["tourist"])
    assert tourist > 1.15 * clerk
    centroids = sorted(centroid_hz(audio) for audio in spoken.values())
    assert centroids[1] > 1.03 * centroids[0]
    assert centroids[2] > 1.03 * centroids[1]


def sounds(folder: Path) -> dict[Path, bytes]:
    """The sound of each file; its marks tell the take's name and time."""
    return {path.relative_to(folder): soundfile.read(path)[0].tobytes() for path in folder.rglob("*.wav")}


def test_two_runs_give_identical_sound(umbrella: tuple[Path, Take], tmp_path: Path) -> None:
    folder, _ = umbrella
    again, _ = perform("umbrella", tmp_path, XDG_CACHE_HOME=os.devnull)  # which makes its sound itself
    first = sounds(folder)
    assert len(first) == 12
    assert first == sounds(again)


def test_the_monologue_has_five_lines_and_two_whispers(tmp_path: Path) -> None:
    folder, take = perform("monologue", tmp_path)
    assert len(take.lines) == 5
    assert (folder / "journal.jsonl").read_text().count('"item_given"') == 2


def test_a_full_disk_is_a_clear_message_and_what_was_written_before_is_whole(tmp_path: Path) -> None:
    """Slow: a process whose files may not grow beyond 100 kB."""
    command = ["-m", "tau_stage", "run", "scenes/umbrella.yaml", "--out", str(tmp_path)]
    done = python(*command, cwd=TOP, limit=(resource.RLIMIT_FSIZE, 102_400, 102_400))
    assert done.returncode == 2, done.stderr
    assert "file too large" in done.stderr
    assert "lines spoken so far are kept" in done.stderr
    assert "Traceback" not in done.stderr
    (told,) = tmp_path.rglob("take.json")
    take = Take.model_validate_json(told.read_text())
    assert take.ended == "failed"
    assert "file too large" in take.problem
    for path in tmp_path.rglob("*.wav"):
        assert soundfile.info(path).samplerate == 24_000
