"""Where the files lie that a scene names."""

import re
from pathlib import Path

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.load import load_scene
from tests.support.tone_voice import write_tone


def test_a_pronounced_word_that_is_in_no_line_is_remarked(tmp_path: Path) -> None:
    (tmp_path / "cast.yaml").write_text("pronounce: {Whitby: Wit-bee}\nplayers: {cid: {pronounce: {York: Yawk}}}\n")
    scene = tmp_path / "a.yaml"
    scene.write_text(
        "include: cast.yaml\npronounce: {CIA: C. I. A., hello: hullo, Nyugen: Win}\n"
        "players: {ann: {pronounce: {Nguyen: Win}}, bob: {pronounce: {CIA: sia}}}\n"
        "lines: [ann: Hello CIA., {together: [bob: Nguyen., cid: Hm.]}]\n"
    )
    told = [(remark.location.line, remark.problem) for remark in load_scene(scene).warnings]
    assert told == [
        (2, "'Nyugen' in 'pronounce' does not occur in any line"),
        (3, "'Nguyen' in 'pronounce' does not occur in any line by ann"),
        (3, "'CIA' in 'pronounce' does not occur in any line by bob"),
    ]
    scene.write_text(
        "matrix: {who: [CIA, FBI]}\npronounce: {CIA: C. I. A.}\nplayers: {ann: }\nlines: [ann: '${who}']\n"
    )
    assert not load_scene(scene).warnings


def test_files_lie_beside_the_scene_whatever_file_names_them(tmp_path: Path) -> None:
    (tmp_path / "cast").mkdir()
    (tmp_path / "cast" / "guest.yaml").write_text("players: {guest: {human: guest.wav}}")
    scene = tmp_path / "scene.yaml"
    scene.write_text("include: cast/guest.yaml\nlines: [guest: Hello.]")
    with pytest.raises(SceneError, match=re.escape(f"tau-stage looks for {tmp_path}/guest.wav")):
        load_scene(scene)
    write_tone(tmp_path / "guest.wav")
    assert load_scene(scene).players["guest"].human == "guest.wav"
