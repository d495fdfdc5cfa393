"""``tau-stage fmt`` and ``tau-stage tag``: what is written, and what never is."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from tau_stage.scene.load import load_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tests.test_cli_validate import SCENES, run

SCENE = b"# so\nplayers: {ann: , ben: }\nlines:\n  - ann: (low) Yes  # hm\n  - ben: No\n    pause: 1s\n"
SCRIPT = b"# so\nplayers: {ann: , ben: }\nscript: |\n  # hm\n  ANN: (low) Yes\n  - ben: No\n    pause: 1s\n"
LINES = b"# so\nplayers: {ann: , ben: }\nlines:\n  # hm\n  - ann: (low) Yes\n  - ben: No\n    pause: 1s\n"


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    file = tmp_path / "scene.yaml"
    file.write_bytes(SCENE)
    file.chmod(0o640)
    return file


def performed(path: Path) -> Plan:
    return make_plan(load_scene(path))


def test_a_scene_goes_to_a_script_and_back(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fmt", str(scene), "--as", "script") == 0
    assert scene.read_bytes() == SCRIPT
    assert scene.stat().st_mode & 0o777 == 0o640
    assert run("fmt", str(scene), "--as", "lines") == 0
    assert scene.read_bytes() == LINES
    assert run("fmt", str(scene), "--as", "lines") == 0
    assert capsys.readouterr().out == (f"changed {scene} to script\nchanged {scene} to lines\nunchanged {scene}\n")
    assert [file.name for file in scene.parent.iterdir()] == ["scene.yaml"]


def test_check_tells_and_writes_nothing(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fmt", str(scene), "--as", "script", "--check") == 1
    assert run("fmt", str(scene), "--as", "lines", "--check") == 0
    assert capsys.readouterr().out == f"would change {scene} to script\nunchanged {scene}\n"
    assert scene.read_bytes() == SCENE


def test_ids_are_written_once(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [line.id for line in performed(scene).lines]
    assert run("tag", str(scene)) == 0
    tagged = scene.read_bytes()
    assert tagged == SCENE.replace(b"# hm", b"# hm\n    id: ann-1").replace(b"No", b"No\n    id: ben-1")
    assert [line.id for line in performed(scene).lines] == before
    written = scene.stat().st_mtime_ns, scene.stat().st_ino
    assert run("tag", str(scene)) == 0
    assert (scene.stat().st_mtime_ns, scene.stat().st_ino) == written
    assert capsys.readouterr().out == f"tagged {scene}: 2 ids\nunchanged {scene}\n"


def test_one_id_is_one(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene.write_bytes(b"\xef\xbb\xbfplayers: {ann: }\r\nlines:\r\n- ann: Yes")
    assert run("tag", str(scene)) == 0
    assert scene.read_bytes() == b"\xef\xbb\xbfplayers: {ann: }\r\nlines:\r\n- ann: Yes\r\n  id: ann-1"
    assert capsys.readouterr().out == f"tagged {scene}: 1 id\n"


def test_a_link_stays_a_link(scene: Path) -> None:
    link = scene.with_name("link.yaml")
    link.symlink_to(scene.name)
    assert run("tag", str(link)) == 0
    assert link.is_symlink()
    assert b"id: ann-1" in scene.read_bytes()


@pytest.mark.parametrize("verb", [("tag",), ("fmt", "--as", "script"), ("fmt", "--as", "lines")])
def test_one_broken_file_and_none_is_written(
    verb: tuple[str, ...], scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = scene.with_name("broken.yaml")
    broken.write_text("players: {ann: }\nlines:\n- bob: hi\n- bob: ho\n")
    assert run(*verb, str(scene), str(broken), str(scene.with_name("none.yaml"))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("unknown player 'bob'") == 2
    assert "the scene file does not exist" in said.err
    assert scene.read_bytes() == SCENE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("players: {ann: }\nscript: |\n  BOB: hi\n", "3:3: unknown player 'BOB'"),
        ("players: ann\nscript: |\n  - pause: 1s\n", "1:10: 'players' must be a mapping"),
        ("players: {ann: }\nscript: x.fountain\n", "2:9: the screenplay 'x.fountain' does not exist"),
        ("{players: {ann: }, script: play.fountain}\n", "1:28: there is no script here"),
    ],
)
def test_a_broken_script_is_told_in_its_place(
    text: str, problem: str, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.write_text(text)
    scene.with_name("play.fountain").write_text("ANN\nHi.\n")
    assert run("fmt", str(scene), "--as", "lines") == 2
    assert f"{scene}:{problem}" in capsys.readouterr().err
    assert scene.read_text() == text


def test_a_script_is_not_tagged(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene.write_bytes(SCRIPT)
    assert run("tag", str(scene)) == 2
    assert f"{scene}:3:1: lines in a script cannot have ids" in capsys.readouterr().err
    assert scene.read_bytes() == SCRIPT


def test_a_screenplay_goes_into_the_scene(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = b"players: {ann: , ben: }\nscript: play.fountain\n"
    scene.with_name("play.fountain").write_text("ANN\nYes?\n\nBEN ^\n(low)\nNo.\n")
    scene.write_bytes(written)
    assert run("tag", str(scene)) == 2
    assert "lines in a script cannot have ids" in capsys.readouterr().err
    assert run("fmt", str(scene), "--as", "script") == 0
    spoken = b"  - together:\n      - ann: Yes?\n      - ben: (low) No.\n"
    assert scene.read_bytes() == b"players: {ann: , ben: }\nscript: |\n" + spoken
    scene.write_bytes(written)
    assert run("fmt", str(scene), "--as", "lines") == 0
    assert scene.read_bytes() == b"players: {ann: , ben: }\nlines:\n" + spoken
    assert run("tag", str(scene)) == 0


def test_our_own_scenes_say_the_same_in_each_notation(tmp_path: Path) -> None:
    shutil.copytree(SCENES / "sounds", tmp_path / "sounds")
    for original in sorted(SCENES.glob("*.yaml")):
        copy = tmp_path / original.name
        copy.write_bytes(original.read_bytes())
        for verb in (["fmt", "--as", "script"], ["fmt", "--as", "lines"], ["tag"]):
            assert run(*verb, str(copy)) == 0
        there, here = performed(original), performed(copy)
        assert [(line.id, line.prompt) for line in here.lines] == [(line.id, line.prompt) for line in there.lines]


def test_a_file_that_cannot_be_replaced_is_as_it_was(
    scene: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
    assert run("tag", str(scene)) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert [path.name for path in scene.parent.iterdir() if path.name.startswith(".")] == []
    monkeypatch.undo()
    long = scene.with_name("s" * 250 + ".yaml")
    long.write_bytes(scene.read_bytes())
    assert run("tag", str(long)) == 0
