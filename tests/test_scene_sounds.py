"""Every sound that a scene names is known, can be read, and is told of where it is odd."""

from pathlib import Path

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import WavWriter, header
from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene
from tau_stage.scene.plan import Plan, sound_warnings, sounds_of
from tau_stage.scene.planner import make_plan
from tests.support.tone_voice import write_tone

SCENE = """\
players: {ann: , guest: {human: guest.wav}, mike: {human: mic, stand_in: takes}, tim: {human: tty}}
lines:
- sfx: door.wav
- sfx: door.wav
  gain: -6 dB
- user: {ann: {wav: told.wav}}
- ann: Hi
- guest: Hi
- mike: Hi
- tim: Hi
"""
NAMES = ("door.wav", "told.wav", "guest.wav", "takes/mike-1.wav", "takes/note.txt")


def planned(tmp_path: Path) -> Plan:
    (tmp_path / "takes").mkdir()
    for name in NAMES:
        write_tone(tmp_path / name)
    (tmp_path / "scene.yaml").write_text(SCENE)
    return make_plan(load_scene(tmp_path / "scene.yaml"))


def test_every_sound_is_named_once(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert sounds_of(plan) == tuple(tmp_path / name for name in NAMES[:4])
    assert list(sound_warnings(plan)) == []


def test_what_is_odd_is_told_as_the_scene_names_it(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    with WavWriter(tmp_path / "takes" / "mike-1.wav") as file:
        file.silence(RATE)
    assert list(sound_warnings(plan)) == ["takes/mike-1.wav is silent"]


def test_a_scene_without_sounds_has_none(tmp_path: Path) -> None:
    (tmp_path / "scene.yaml").write_text("players: {ann: }\nlines: [ann: Hi]\n")
    assert list(sound_warnings(make_plan(load_scene(tmp_path / "scene.yaml")))) == []


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_sound_that_cannot_be_read_is_an_error_where_it_is_named(tmp_path: Path, name: str) -> None:
    planned(tmp_path)
    (tmp_path / name).write_bytes(header(0, RATE))
    with pytest.raises(SceneError) as told:
        load_scene(tmp_path / "scene.yaml")
    assert told.value.problem == f"{tmp_path / name}: the file contains no audio"


def test_a_sound_that_is_not_there_is_looked_for_among_its_neighbours(tmp_path: Path) -> None:
    planned(tmp_path)
    (tmp_path / "told.wav").unlink()
    with pytest.raises(SceneError, match=r"there is no file 'told.wav'") as error:
        load_scene(tmp_path / "scene.yaml")
    assert error.value.hint == f"did you mean 'door.wav'? tau-stage looks in {tmp_path.as_posix()}"


def test_an_address_is_no_sound(tmp_path: Path) -> None:
    (tmp_path / "scene.yaml").write_text("players: {ann: }\nlines: [sfx: 'https://x.com/a.wav', ann: Hi]\n")
    with pytest.raises(
        SceneError, match=r"hint: a scene cannot use a web address: download the file and write its path"
    ):
        load_scene(tmp_path / "scene.yaml")


def test_a_link_to_a_sound_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    planned(tmp_path)
    (tmp_path / "told.wav").unlink()
    (tmp_path / "told.wav").symlink_to("nowhere.wav")
    with pytest.raises(SceneError) as told:
        load_scene(tmp_path / "scene.yaml")
    assert told.value.problem == "'told.wav' is a link to a file that does not exist"
    assert told.value.hint == "fix the link, or delete it"


@pytest.mark.parametrize("name", ["scene.yaml", "more.yaml"])
def test_a_file_that_git_lfs_has_not_fetched_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "scene.yaml").write_text("include: more.yaml\nplayers: {ann: }\nlines: [ann: Hi]\n")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(SceneError, match="is a Git LFS pointer") as told:
        load_scene(tmp_path / "scene.yaml")
    assert "git lfs pull" in told.value.hint
