"""``tau-stage validate`` on good scenes and bad ones, and what it does not load."""

import json
import re
from pathlib import Path

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import header
from tau_stage.cli.main import main

SCENES = Path(__file__).parent.parent / "scenes"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def test_good_scenes_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(SCENES / name) for name in ("umbrella.yaml", "monologue.yaml")]
    assert run("validate", *paths) == 0
    assert capsys.readouterr().out == (
        f"ok {paths[0]}: The last umbrella, 3 players, 8 lines\nok {paths[1]}: The night ferry, 1 player, 5 lines\n"
    )


def test_every_error_of_every_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("voize: x\npauze: y\nplayers: {ann: }\nlines: [ann: hi]\n")
    (tmp_path / "b.yaml").write_text("")
    code = run("validate", str(tmp_path / "a.yaml"), str(SCENES / "hello.yaml"), str(tmp_path / "b.yaml"))
    said = capsys.readouterr()
    assert code == 2
    assert said.out.startswith(f"ok {SCENES / 'hello.yaml'}: ")
    places = [line.split(": ")[0] for line in said.err.split("\n") if line.startswith(str(tmp_path))]
    assert places == [f"{tmp_path}/{place}" for place in ("a.yaml:1:1", "a.yaml:2:1", "b.yaml:1:1")]


def test_more_errors_than_anybody_reads_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("players: {ann: }\nlines:\n" + "- bob: hi\n" * 30)
    assert run("validate", str(file)) == 2
    said = capsys.readouterr().err
    assert said.count("unknown player 'bob'") == 20
    assert said.endswith("\n... and 10 more errors\n")


def test_a_path_is_named_as_the_user_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("validate", "./none.yaml") == 2
    assert capsys.readouterr().err.startswith("./none.yaml:1:1: the scene file does not exist")


def test_a_key_in_an_address_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("endpoint: wss://host/?api-key=MARKER\nplayers: {ann: }\nlines: [ann: hi]\n")
    assert run("validate", str(file)) == 2
    assert "MARKER" not in capsys.readouterr().err


MOODS = """
vars: {city: Oslo}
matrix: {mood: [calm, cross]}
players: {ann: {persona: "${mood}"}}
lines: [ann: "${city}."]
"""


@pytest.fixture
def moods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("moods.yaml").write_text(MOODS)
    return "moods.yaml"


def test_one_variant_may_be_checked(moods: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", moods) == 0
    assert capsys.readouterr().out.count("ok moods.yaml") == 2
    assert run("validate", moods, "--only", "cross") == 0
    assert capsys.readouterr().out == "ok moods.yaml: moods (cross), 1 player, 1 line\n"
    assert run("validate", moods, "--only", "glad") == 2
    assert "glad" in capsys.readouterr().err
    assert run("validate", moods, "--only", "glad", "--format", "json") == 2
    (told,) = json.loads(capsys.readouterr().out)
    assert "glad" in told["problem"]


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_a_variable_may_be_given(form: str, moods: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", moods, "--format", form, "--var", "city=Bergen") == 0
    assert run("validate", moods, "--format", form, "--var", "town=Bergen") == 2
    said = capsys.readouterr()
    assert "town" in said.out + said.err


def test_a_model_that_ends_is_a_warning_with_its_day_and_successor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "scene.yaml"
    scene.write_text("players: {ann: {model: gpt-realtime}, ben: }\nlines: [ann: hi]\n")
    told = r"player ann: gpt-realtime (will be|was) shut down on 2027-01-20; its successor is gpt-realtime-2\.1"
    assert run("validate", str(scene)) == 0
    assert re.fullmatch(rf"warning: {re.escape(str(scene))}: {told}\n", capsys.readouterr().err)
    assert run("validate", "--format", "json", str(scene)) == 0
    assert re.search(told, capsys.readouterr().out)
    assert run("plan", str(scene)) == 0
    assert re.search(f"\nwarning: {told}\n", capsys.readouterr().out)
    scene.write_text("players: {ann: , ben: , you: {human: mic}}\nlines: [ann: hi, listen: {player: ann, turns: 1}]\n")
    assert run("validate", str(scene)) == 0
    assert capsys.readouterr().err == ""


def test_a_voice_that_is_not_known_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / "scene.yaml"
    scene.write_text("endpoint: xai\nplayers: {ann: {voice: quincy}, ben: }\nlines: [ann: hi]\n")
    assert run("validate", str(scene)) == 0
    assert "player ann: 'quincy' is not a known voice of xai; known voices: altair, ara," in capsys.readouterr().err


EMPTY = header(0, RATE)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize(
    ("scene", "place"),
    [
        ("players: {ann: }\nlines:\n- sfx: x.wav\n- ann: Hi\n", "3:8"),
        ("players: {ann: }\nlines:\n- ann: Hi\n- bed: x.wav\n  until: end\n", "4:8"),
        ("players: {ann: }\nlines:\n- together: [ann: Hi, sfx: x.wav]\n", "3:28"),
        ("players: {ann: }\nlines:\n- user: {ann: {wav: x.wav}}\n- ann: Hi\n", "3:21"),
        ("players: {ann: {human: x.wav}}\nlines:\n- ann: Hi\n", "1:24"),
        ("players: {ann: {human: mic, stand_in: .}}\nlines:\n- ann: Hi\n", "1:39"),
    ],
)
@pytest.mark.parametrize(
    ("content", "problem", "hint"),
    [
        (EMPTY, "the file contains no audio", "record or export it again"),
        (b"hello", "cannot read this file as audio", "supported audio files are WAV"),
        (POINTER, "is a Git LFS pointer", "fetch the file with git lfs pull (in Actions: checkout with lfs: true)"),
    ],
)
def test_every_sound_is_opened(
    scene: str, place: str, content: bytes, problem: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    (tmp_path / "a.yaml").write_text(scene)
    for verb in (("validate",), ("run", "--out", str(tmp_path / "takes"))):
        assert run(*verb, str(tmp_path / "a.yaml")) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"{tmp_path}/a.yaml:{place}: {tmp_path}/x.wav: {problem}")
        assert f"hint: {hint}" in said
    assert not (tmp_path / "takes").exists()


def test_a_silent_sound_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.wav").write_bytes(header(RATE, RATE) + bytes(2 * RATE))
    (tmp_path / "a.yaml").write_text("players: {ann: }\nlines:\n- sfx: x.wav\n- ann: Hi\n")
    assert run("validate", str(tmp_path / "a.yaml")) == 0
    assert f"warning: {tmp_path}/a.yaml: x.wav is silent" in capsys.readouterr().err


def test_a_scene_that_git_lfs_has_not_fetched_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_bytes(POINTER)
    assert run("validate", str(tmp_path / "a.yaml")) == 2
    assert "a.yaml:1:1: the scene file is a Git LFS pointer\n  hint: fetch the file" in capsys.readouterr().err


ASIDES = "players: {ann: {voice: ash}}\nlines:\n  - ann: Well (laughs) I never. (Never.)\n"
ASIDES += "  - ann: I \\(too\\) am [sighs] here.\n"


def validate(*arguments: str) -> None:
    """Validate what is sound."""
    with pytest.raises(SystemExit, match="0"):
        main(["validate", *arguments])


def test_a_parenthesis_that_would_be_spoken_is_a_warning_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scene.yaml").write_text(ASIDES)
    validate("scene.yaml")
    told = r"'(laughs)' will be spoken: write [laughs] for a sound or an action, or \(laughs\) to have it spoken"
    assert capsys.readouterr().err == f"warning: scene.yaml:3:10: {told}\n"
    validate("--format", "json", "scene.yaml")
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["line"], found["severity"], found["problem"]) == (3, "warning", told)
    for instead in ("[laughs]", r"\(laughs\)"):
        Path("scene.yaml").write_text(ASIDES.replace("(laughs)", instead).replace(" (Never.)", ""))
        validate("scene.yaml")
        assert capsys.readouterr().err == ""
