"""Where the files lie that a scene names."""

import re
from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene
from tests.support.tone_voice import write_tone


def test_files_lie_beside_the_scene_whatever_file_names_them(tmp_path: Path) -> None:
    (tmp_path / "cast").mkdir()
    (tmp_path / "cast" / "guest.yaml").write_text("players: {guest: {human: guest.wav}}")
    scene = tmp_path / "scene.yaml"
    scene.write_text("include: cast/guest.yaml\nlines: [guest: Hello.]")
    with pytest.raises(SceneError, match=re.escape(f"tau-stage looks for {tmp_path}/guest.wav")):
        load_scene(scene)
    write_tone(tmp_path / "guest.wav")
    assert load_scene(scene).players["guest"].human == "guest.wav"
