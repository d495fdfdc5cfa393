"""Green means tested: nothing that is broken, removed, renamed or orphaned in a project is green in a strict test."""

# ruff: noqa: F811 - fixtures of another module

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from junitparser import JUnitXml, Skipped

from tau_stage.checks.snapshot import sound_files
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import plan_json
from tau_stage.scene.planner import make_plan
from tau_stage.suite.discovery import inspect_file
from tests.test_cli_testing import SNAPSHOT, TAPE, WELCOME, copied, edit, project  # noqa: F401
from tests.test_cli_validate import SCENES, run

Printed = pytest.CaptureFixture[str]
SECOND = Path("scenes/second.yaml")


@pytest.fixture
def two(project: Path) -> Path:
    """A project of two scenes, each with a cassette and a snapshot."""
    copied("second")
    shutil.copy(SNAPSHOT, SNAPSHOT.with_name("second.json"))
    return project


def moved(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(data)


def removed(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def variants() -> None:
    with SECOND.open("a") as file:
        file.write("matrix: {mood: [calm, cross]}\n")


def linked() -> None:
    removed(SECOND)
    SECOND.symlink_to("nowhere.yaml")


def both_named() -> None:
    shutil.copy(SECOND, SECOND.with_suffix(".yml"))


def both_misspelt() -> None:
    edit(SECOND, "players:", "player:")
    edit(SECOND, "lines:", "line:")


def all_removed() -> None:
    removed(SECOND)
    removed(WELCOME)


BREAKS: dict[str, Callable[[], object]] = {
    "players misspelt": lambda: edit(SECOND, "players:", "plaeyrs:"),
    "lines misspelt": lambda: edit(SECOND, "lines:", "linse:"),
    "players gone": lambda: edit(SECOND, "players:", "unheard_of:"),
    "both misspelt": both_misspelt,
    "not UTF-8": lambda: write(SECOND, SECOND.read_text().encode("utf-16")),
    "a byte that is no text": lambda: write(SECOND, SECOND.read_bytes() + b"# \xff\n"),
    "empty": lambda: write(SECOND, b""),
    "cut in half": lambda: write(SECOND, SECOND.read_bytes()[: SECOND.stat().st_size // 2]),
    "only its first line": lambda: write(SECOND, SECOND.read_bytes().split(b"\n")[0] + b"\n"),
    "no YAML": lambda: write(SECOND, b"{{{{"),
    "a list": lambda: write(SECOND, b"- one\n- two\n"),
    "merge conflict": lambda: write(SECOND, b"<<<<<<< HEAD\n" + SECOND.read_bytes()),
    "link to nowhere": linked,
    "scene removed": lambda: removed(SECOND),
    "scene renamed": lambda: moved(SECOND, "other.yaml"),
    "scene renamed to no YAML": lambda: moved(SECOND, "second.yaml.bak"),
    "scene hidden": lambda: moved(SECOND, ".second.yaml"),
    "scene twice": both_named,
    "scene becomes variants": variants,
    "says it is another program's": lambda: write(
        SECOND, b"# yaml-language-server: $schema=https://example.com/x.json\nplayers: {}\nlines: []\n"
    ),
    "all scenes removed": all_removed,
    "cassette removed": lambda: removed(TAPE.with_name("second")),
    "all cassettes removed": lambda: removed(TAPE.parent),
    "cassette renamed": lambda: moved(TAPE.with_name("second"), "seccond"),
    "folder of cassettes renamed": lambda: moved(TAPE.parent, "tapes"),
    "cassette without a manifest": lambda: removed(TAPE.with_name("second") / "cassette.json"),
    "a recorded sound removed": lambda: removed(min((TAPE.with_name("second") / "audio").iterdir())),
    "events of a player removed": lambda: removed(TAPE.with_name("second") / "guest.jsonl"),
    "cassette of another scene": lambda: shutil.copytree(TAPE, TAPE.with_name("elsewhere")),
    "snapshot removed": lambda: removed(SNAPSHOT.with_name("second.json")),
    "all snapshots removed": lambda: removed(SNAPSHOT.parent),
    "snapshot renamed": lambda: moved(SNAPSHOT.with_name("second.json"), "secnd.json"),
    "snapshot renamed to no JSON": lambda: moved(SNAPSHOT.with_name("second.json"), "second.jsn"),
    "snapshot empty": lambda: write(SNAPSHOT.with_name("second.json"), b""),
    "snapshot cut in half": lambda: write(SNAPSHOT.with_name("second.json"), SNAPSHOT.read_bytes()[:900]),
    "snapshot of another scene": lambda: shutil.copy(SNAPSHOT, SNAPSHOT.with_name("elsewhere.json")),
    "what is delivered": lambda: write(SECOND, SECOND.read_bytes() + b"deliver: {rate: 48 kHz}\n"),
    "a bare scene beside them": lambda: write(
        SECOND.with_name("bare.yaml"), b"players: {ann: }\nlines: [ann: Hello.]\n"
    ),
    "no scene beside them": lambda: write(SECOND.with_name("notes.yaml"), b"todo: [write a scene]\n"),
}


@pytest.mark.usefixtures("two")
def test_a_whole_project_is_green(capsys: Printed) -> None:
    assert run("test", "--strict") == 0
    assert capsys.readouterr().out.endswith("2 scenes: 2 passed\n")


@pytest.mark.slow
@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.usefixtures("two")
def test_nothing_that_is_broken_removed_renamed_or_orphaned_is_green(how: str, capsys: Printed) -> None:
    """Slow: scenes are performed from their cassettes."""
    assert len(BREAKS) > 30
    BREAKS[how]()
    code = run("test", "--strict")
    said = capsys.readouterr()
    assert code in (1, 2, 3), said.out
    assert "Traceback" not in said.out + said.err


@pytest.mark.usefixtures("two")
def test_what_belongs_to_no_scene_is_told_with_the_scene_it_probably_was_of(capsys: Printed) -> None:
    moved(SNAPSHOT.with_name("second.json"), "secnd.json")
    moved(TAPE.with_name("second"), "old")
    assert run("test", "--no-strict") in (2, 3)
    said = capsys.readouterr().out
    assert (
        "scenes/snapshots/secnd.json:1:1: this snapshot does not belong to any scene; it probably belonged to second"
        in said
    )
    assert (
        "scenes/cassettes/old:1:1: this cassette does not belong to any scene; it probably belonged to second" in said
    )
    assert "rename it to second.json, or delete it" in said
    shutil.copy(SNAPSHOT, SNAPSHOT.with_name("welcome.cross.json"))
    moved(SNAPSHOT.with_name("secnd.json"), "second.json")
    moved(TAPE.with_name("old"), "second")
    assert run("test", "scenes", "--no-strict") == 2
    assert (
        "does not belong to any scene; it probably belonged to a variant that no longer exists in welcome.yaml"
        in capsys.readouterr().out
    )


@pytest.mark.usefixtures("two")
def test_a_cassette_of_no_scene_in_a_folder_of_cassettes_is_told_where_all_scenes_are_tested(capsys: Printed) -> None:
    tapes = TAPE.parent.rename("tapes")
    shutil.copytree(tapes / "second", tapes / "secnd")
    assert run("test", "scenes", "--replay", "tapes", "--no-strict") == 0
    assert run("test", str(SECOND), "--replay", "tapes", "--strict") == 0
    assert "secnd" not in capsys.readouterr().out
    assert run("test", "scenes", "--replay", "tapes", "--strict") == 2
    said = capsys.readouterr().out
    assert "tapes/secnd:1:1: this cassette does not belong to any scene" in said
    assert "hint: delete it, or restore the scene" in said
    removed(tapes / "second")
    run("test", "scenes", "--replay", "tapes", "--strict")
    assert "it probably belonged to second" in capsys.readouterr().out


@pytest.mark.usefixtures("two")
def test_a_command_that_is_told_can_be_pasted(capsys: Printed) -> None:
    bare = SECOND.with_name("two words.yaml")
    write(bare, b"players: {ann: }\nlines: [ann: Hello.]\n")
    run("test", str(bare), "--strict")
    assert "tau-stage run 'scenes/two words.yaml' --record scenes/cassettes\n" in capsys.readouterr().out


def test_a_link_to_nothing_is_told_as_that(tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "scene.yaml").symlink_to("nowhere.yaml")
    assert run("validate", str(tmp_path / "scene.yaml")) == 2
    said = capsys.readouterr().err
    assert "the scene file is a link to a file that does not exist\n  hint: fix the link, or delete it" in said


@pytest.mark.parametrize("words", ["cast: {ann: }\ndialogue: [ann: Hello.]", "characters: [ann]\nscript: x"])
def test_a_scene_in_the_words_of_others_is_one(words: str, tmp_path: Path) -> None:
    write(tmp_path / "scene.yaml", words.encode())
    assert inspect_file(tmp_path / "scene.yaml").is_scene


@pytest.mark.usefixtures("two")
def test_strict_is_the_default_where_ci_is_set(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    removed(SNAPSHOT.with_name("second.json"))
    assert run("test") == 0
    monkeypatch.setenv("CI", "true")
    assert run("test") == 1
    assert "strict: no snapshot in scenes/snapshots; to accept one" in capsys.readouterr().out
    assert run("test", "--no-strict") == 0


@pytest.mark.usefixtures("two")
def test_what_is_left_out_is_told_once_with_the_reason(capsys: Printed) -> None:
    edit(SECOND, "players:", "include: cast.yaml\nplayers:")
    write(SECOND.with_name("cast.yaml"), b"vars: {a: b}\n")
    write(Path("scenes/data/config.yaml"), b"services: {}\n")
    write(Path("scenes/shared.yaml"), b"vars: {a: b}\n")
    write(Path("scenes/act/third.yaml"), WELCOME.read_bytes() + b"include: ../shared.yaml\n")
    run("test")
    said = capsys.readouterr().out
    assert said.count("skipped scenes/cast.yaml: second.yaml includes it\n") == 1
    assert said.count("skipped scenes/shared.yaml: act/third.yaml includes it\n") == 1
    assert said.count("skipped scenes/data/config.yaml: it has no 'players:' and no 'lines:'\n") == 1


@pytest.mark.usefixtures("project")
def test_junit_json_and_the_page_tell_what_was_left_out(capsys: Printed) -> None:
    write(Path("scenes/.act/third.yaml"), WELCOME.read_bytes())
    write(Path("scenes/data/config.yaml"), b"services: {}\n")
    Path("scenes/.cache").mkdir()
    Path("scenes/act two").symlink_to("nowhere")
    reasons = {
        "scenes/.act": "its name begins with a dot",
        "scenes/data/config.yaml": "it has no 'players:' and no 'lines:'",
        "scenes/act two": "a broken link",
    }
    assert run("test", "--junit", "junit.xml", "--summary", "page.md") == 0
    said = capsys.readouterr().out
    for path, reason in reasons.items():
        assert said.count(f"skipped {path}: {reason}\n") == 1
    assert ".cache" not in said
    skipped = [case for suite in JUnitXml.fromfile("junit.xml") for case in suite if case.is_skipped]
    assert {case.classname: case.result[0].message for case in skipped} == {
        path: f"skipped: {reason}" for path, reason in reasons.items()
    }
    page = Path("page.md").read_text()
    assert all(f"- skipped {path}: {reason}\n" in page for path, reason in reasons.items())
    assert run("test", "--json") == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == reasons


@pytest.mark.parametrize("named", ["scenes", "elsewhere"])
@pytest.mark.usefixtures("project")
def test_a_test_that_finds_nothing_leaves_no_older_result(named: str, capsys: Printed) -> None:
    removed(WELCOME)
    shutil.rmtree("scenes/cassettes")
    shutil.rmtree("scenes/snapshots")
    write(Path("junit.xml"), b"<testsuites/>")
    assert run("test", named, "--junit", "junit.xml", "--json") == 2
    said = capsys.readouterr()
    assert said.err.startswith(("no scene found in scenes", "elsewhere: no such scene or folder"))
    told = json.loads(said.out)
    assert (told["exit_code"], told["error"]) == (2, 1)
    assert JUnitXml.fromfile("junit.xml").errors == 1


@pytest.mark.usefixtures("project")
def test_a_report_that_cannot_be_written_is_called_by_its_name(capsys: Printed) -> None:
    assert run("test", "--junit", "nowhere/junit.xml") == 2
    assert "nowhere/junit.xml: no such file or directory\n  hint: choose another file" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_names_that_are_composed_otherwise_are_one(capsys: Printed) -> None:
    WELCOME.rename(WELCOME.with_name("cafe\u0301.yaml"))
    tape = TAPE.rename(TAPE.with_name("caf\u00e9"))
    SNAPSHOT.rename(SNAPSHOT.with_name("caf\u00e9.json"))
    assert run("test", "--strict") == 0
    tape.rename(tape.with_name("cafe\u0301"))
    capsys.readouterr()
    assert run("test", "--strict") == 3
    assert "it probably belonged to caf\u00e9, which is spelled with different characters\n" in capsys.readouterr().out


SOUNDING = """\
players: {ann: , guest: {human: guest.wav}, bob: {human: mic, stand_in: bob}}
lines:
- sfx: door.wav
- bed: rain.wav
- user: {ann: {wav: item.wav}}
- ann: Hello.
- guest: Hello.
- bob: Hello.
"""


def test_every_sound_file_of_a_scene_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "bob").mkdir()
    for name in ("door.wav", "rain.wav", "item.wav", "guest.wav", "bob/bob-1.wav"):
        shutil.copy(SCENES / "sounds" / "door.wav", tmp_path / name)
    plan = make_plan(parse_scene(SOUNDING, str(tmp_path / "scene.yaml")))
    known = sound_files(plan.path, plan_json(plan))
    assert list(known) == ["bob/bob-1.wav", "door.wav", "guest.wav", "item.wav", "rain.wav"]
    (tmp_path / "item.wav").write_bytes(b"another")
    (tmp_path / "door.wav").unlink()
    now = sound_files(plan.path, plan_json(plan))
    assert {name for name in known if known[name] != now[name]} == {"item.wav", "door.wav"}
    assert now["door.wav"] == "missing"


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_a_changed_sound_and_another_delivery_are_told_with_the_file(capsys: Printed) -> None:
    """Slow: the neural voice speaks."""
    scene = Path("own/talk.yaml")
    write(scene, b"players: {ann: {voice: ash}}\nlines:\n- sfx: door.wav\n- ann: Hello.\n")
    door = Path("own/door.wav")
    shutil.copy(SCENES / "sounds" / "door.wav", door)
    assert run("test", "own", "--update") == 0
    assert run("test", "own", "--strict") == 0
    changed = bytearray(door.read_bytes())
    changed[-2] ^= 1
    write(door, bytes(changed))
    capsys.readouterr()
    assert run("test", "own") == 1
    assert "own/talk.yaml:3:" in (said := capsys.readouterr().out)
    assert "the sound file door.wav has been changed since the scene was accepted" in said
    shutil.copy(SCENES / "sounds" / "door.wav", door)
    with scene.open("a") as file:
        file.write("deliver: {rate: 48 kHz}\n")
    assert run("test", "own") == 1
    assert "deliver: rate is 48000, was 24000" in capsys.readouterr().out


@pytest.mark.usefixtures("two")
def test_lines_that_were_not_reached_are_told_in_junit() -> None:
    edit(WELCOME, "The door was", "The gate was")
    assert run("test", "--junit", "junit.xml") == 1
    (suite,) = (each for each in JUnitXml.fromfile("junit.xml") if each.name == "scenes/welcome.yaml")
    cases = {case.name: case for case in suite}
    assert isinstance(cases["guest-1"].result[0], Skipped)
    assert cases["guest-1"].result[0].message == "not performed: the scene differs from its cassette"
    assert not cases["host-1"].is_skipped


@pytest.mark.usefixtures("project")
def test_live_performances_have_a_ceiling(capsys: Printed) -> None:
    assert run("test", "--live", "--repeat", "5") == 2
    assert "--budget '$2'" in capsys.readouterr().err
    assert run("test", "--budget", "$1") == 2
    assert "--budget requires --live" in capsys.readouterr().err
    assert run("test", "--only", "calm") == 2
    assert "no scene has a variant 'calm'" in capsys.readouterr().err
    assert run("test", "--var", "city=Oslo") == 2
    assert "unknown variable 'city'" in capsys.readouterr().out
