"""What the command line of ``run`` can ask for: variables, variants, permission, stand-ins, a stream of words."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tau_stage.cli.progress import EventStream, open_progress
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import WordsProgress
from tau_stage.understudy.server import Understudy
from tests.support.forked import ForkedPython
from tests.support.processes import begun
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import SCENES, run

__all__ = ["no_key", "serve"]

TOP = Path(__file__).parent.parent
MOODS = """
scene: A ${mood} talk
vars: {what: umbrella}
matrix: {mood: [calm, cross]}
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: (${mood}) Where is my ${what}?
  - bob: I am calm.
    when: ${mood} == calm
limits: {start_rate: 100/s}
"""


@pytest.fixture
def moods(tmp_path: Path) -> str:
    (tmp_path / "moods.yaml").write_text(MOODS)
    return "moods.yaml"


def performed(out: str) -> list[dict[str, object]]:
    return [json.loads(line)["take"] for line in out.splitlines()]


def test_every_variant_of_a_matrix_is_performed_in_a_folder_of_its_own(
    serve: Serve, moods: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(Understudy(Tones()))
    assert run("run", moods, "--endpoint", url, "--json", "--jobs", "2") == 0
    takes = performed(capsys.readouterr().out)
    assert [take["scene"]["variant"] for take in takes] == ["calm", "cross"]  # type: ignore[index]
    assert [take["scene"]["title"] for take in takes] == ["A calm talk", "A cross talk"]  # type: ignore[index]
    assert [[line["said"] for line in take["lines"]] for take in takes] == [  # type: ignore[attr-defined]
        ["Where is my umbrella?", "I am calm."], ["Where is my umbrella?"],
    ]  # fmt: skip
    assert {path.name for path in Path("takes").iterdir()} == {"moods.calm", "moods.cross"}


def test_one_variant_and_another_variable(serve: Serve, moods: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = serve(Understudy(Tones()))
    assert run("run", moods, "--endpoint", url, "--json", "--only", "cross", "--var", "what=hat") == 0
    (take,) = performed(capsys.readouterr().out)
    assert take["lines"][0]["said"] == "Where is my hat?"  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--only", "crass"), "unknown variant 'crass'\n"),
        (("--var", "hat"), "--var expects a name and a value, not 'hat'"),
        (("--var", "waht=x"), "unknown variable 'waht'"),
        (("--var", "mood=x"), "'mood' is in the matrix, but a value was also given"),
    ],
)
def test_what_is_asked_for_and_is_not_there(
    moods: str, options: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", moods, *options) == 2
    assert problem in capsys.readouterr().err
    assert not Path("takes").exists()


TOOLS = """
players: {ann: }
tools: {lamp: {description: The listener wants the lamp., command: [/bin/echo, bright]}}
lines: [{user: {ann: I want the lamp.}}, {ann: , improvise: }]
"""


def test_programs_run_with_permission_only(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tools.yaml").write_text(TOOLS)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    url = serve(Understudy(Tones()))
    assert run("run", "tools.yaml", "--endpoint", url) == 2
    refused = capsys.readouterr().err
    assert "tools.yaml: the scene's tools run code from the scene's author (lamp)" in refused
    assert "--allow-tools" in refused
    assert not Path("takes").exists()
    assert run("run", "tools.yaml", "--endpoint", url, "--json", "--allow-tools") == 0
    (take,) = performed(capsys.readouterr().out)
    assert take["lines"][0]["calls"][0]["output"] == "bright"  # type: ignore[index]
    (tmp_path / "config" / "tau-stage").mkdir(parents=True)
    (tmp_path / "config" / "tau-stage" / "settings.toml").write_text("allow_tools = true\n")
    assert run("run", "tools.yaml", "--endpoint", url, "--json") == 0


PEOPLE = f"""
players:
  ann:
  guest: {{human: mic, stand_in: {SCENES}/sounds/traveller}}
  traveller: {{human: {SCENES}/sounds/guest.wav}}
lines: [traveller: Hello., {{listen: {{player: ann, from: guest, for: 1m}}}}]
"""


def test_words_stream_to_a_file_and_recordings_stand_in(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.yaml").write_text(PEOPLE)
    url = serve(Understudy(Tones()))
    assert run("run", "people.yaml", "--endpoint", url, "--stand-in", "--stream", "words.jsonl", "--quiet") == 0
    told = [json.loads(line) for line in Path("words.jsonl").read_text().splitlines()]
    kinds = {event["type"] for event in told}
    assert kinds == {"words", "state", "line"}
    lines = [(event["player"], event["line"]) for event in told if event["type"] == "line"]
    assert lines[0] == ("traveller", "traveller-1")
    assert ("ann", "listen-1-2") in lines
    assert run("run", "people.yaml", "--endpoint", url, "--stand-in", "--stream", "none/words.jsonl") == 2
    assert "--stream none/words.jsonl: no such file" in capsys.readouterr().err


def test_a_stream_on_the_output_leaves_it_to_programs(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.yaml").write_text(PEOPLE)
    assert run("run", "people.yaml", "--endpoint", serve(Understudy(Tones())), "--stand-in", "--stream", "-") == 0
    said = capsys.readouterr()
    assert all(json.loads(line) for line in said.out.splitlines())
    assert "estimate" in said.err
    assert said.err.strip().split("\n")[-1].startswith("takes/people/")


def test_a_microphone_that_is_not_there_is_told_before_anybody_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tau_stage.devices.sound_cards import has_microphone

    if has_microphone():
        pytest.skip("this machine has a microphone")
    (tmp_path / "mic.yaml").write_text("players: {ann: , guest: {human: mic}}\nlines: [guest: Hello.]\n")
    assert run("run", "mic.yaml") == 2
    said = capsys.readouterr().err
    assert said.startswith("player guest needs a microphone: ")
    for way in ("stand_in", "human: file.wav", "human: tty"):
        assert way in said


def test_a_scene_that_cues_keep_going_ends_with_two(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = "players: {ann: , bob: }\non: [{said: ping, do: [bob: ping]}]\nlines: [ann: ping]\nlimits: {cues: 2}\n"
    (tmp_path / "ping.yaml").write_text(scene)
    assert run("run", "ping.yaml", "--endpoint", serve(Understudy(Tones())), "--quiet") == 2
    assert "ping.yaml:2: the cue would start again, but limits.cues is 2" in capsys.readouterr().err


@pytest.mark.slow
def test_a_key_ends_the_open_microphone(tmp_path: Path) -> None:
    """Slow: a whole process at a terminal of its own, and sound in real time."""
    speech, rate = soundfile.read(SCENES / "sounds/speaker.wav", dtype="int16")
    soundfile.write(tmp_path / "guest.wav", np.append(speech, np.zeros(600 * rate, np.int16)), rate)
    scene = """
players: {ann: {output: text}, guest: {human: guest.wav, pace: realtime}}
lines: [{listen: {player: ann, from: guest, key: q}}]
"""
    (tmp_path / "key.yaml").write_text(scene)
    ours, theirs = pty.openpty()
    command = ["run", "key.yaml", "--json", "--endpoint", "understudy"]
    with ForkedPython("-m", "tau_stage", *command, cwd=tmp_path, stdin=theirs) as run:
        while not any('"line_spoken"' in file.read_text() for file in tmp_path.glob("takes/key/*/journal.jsonl")):
            time.sleep(0.05)
        os.write(ours, b"xq")
        out, _ = run.communicate()
    os.close(ours)
    os.close(theirs)
    take = json.loads(out)["take"]
    assert take["ended"] == "complete"
    assert take["duration_s"] < 600  # the silence behind the speech is longer


class Narrow(io.StringIO):
    """Takes a number of lines; then it fails as a device or a pipe does."""

    def __init__(self, lines: int, failure: OSError) -> None:
        super().__init__()
        self.left = lines
        self.failure = failure

    def flush(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.failure


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_a_stream_that_breaks_is_told_once(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress([], quiet=True) as screen:
        failure = OSError(number, os.strerror(number))
        out = Narrow(1, failure)
        stream = EventStream(out, screen, "words")
        for words in ("one", "two", "three"):
            stream.show(
                make_plan(parse_scene("players: {ann: {}}\nlines: [ann: Hi.]")),
                WordsProgress("ann", "ann-1", words, spoken=True),
            )
        assert (stream.ended, stream.lost) == (True, number == errno.ENOSPC)
    told = f"--stream words: {os.strerror(number).lower()}; the performance continues without it\n"
    assert capsys.readouterr().err == told


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    ("stream", "out", "code", "told"),
    [
        ("/dev/full", os.devnull, 2, "--stream /dev/full: no space left on device"),
        ("-", "/dev/full", 2, "--stream -: no space left on device"),
        ("-", None, 0, "--stream -: broken pipe"),
    ],
)
def test_a_full_device_or_a_closed_pipe_does_not_stop_the_performance(
    stream: str, out: str | None, code: int, told: str, serve: Serve, tmp_path: Path
) -> None:
    """Slow: a process of its own, with a device for its output, or a pipe of which one line is read."""
    scene = tmp_path / "talk.yaml"
    scene.write_text(
        "players: {ann: {}, bob: {}}\nlines: [ann: One., bob: Two., ann: Three.]\nlimits: {start_rate: 100/s}\n"
    )
    command = ["run", str(scene), "--out", str(tmp_path / "takes"), "--endpoint", serve(Understudy(Tones()))]
    with ExitStack() as ends:
        device = ends.enter_context(Path(out).open("w")).fileno() if out else None
        process = ends.enter_context(begun(*command, "--quiet", "--stream", stream, cwd=TOP, stdout=device))
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == code, said
    assert said.count("--stream") == 1
    assert f"{told}; the performance continues without it" in said
    (folder,) = (tmp_path / "takes" / "talk").glob("2*")
    assert '"ended": "complete"' in (folder / "take.json").read_text()
    assert (folder / "report.html").exists()
