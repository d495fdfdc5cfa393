"""``tau-stage compare`` and ``tau-stage play``, on takes that were performed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import anyio
import numpy as np
import pytest
import soundfile
from trio.testing import MockClock

from tau_stage.report.compare import compare_takes, render_comparison
from tau_stage.report.delivering import rebuild
from tau_stage.report.page_graphics import PageSound, Peaks
from tau_stage.take.reading import audio_of, read_take
from tests.support.forked import python
from tests.support.in_memory_stage import Playhouse
from tests.test_cli_validate import run
from tests.test_devices_microphone import needs_portaudio

SCENE = """
scene: The <door> & "co"
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Who left the red door open?
    id: who
  - bob: Nobody did.
    id: nobody
"""
VOID = {"meta", "path"}


class Page(HTMLParser):
    """What a browser finds: elements with their attributes, and the text; whether all that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        """The values of an attribute, in order."""
        return [str(attributes[attribute]) for name, attributes in self.elements if name == tag]


@pytest.fixture
def takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two takes of one scene, with a changed line."""
    monkeypatch.chdir(tmp_path)
    house = Playhouse(tmp_path / "a take")

    async def perform() -> list[Path]:
        folders = []
        for scene in (SCENE, SCENE.replace("red", "blue")):
            await house.perform(scene)
            folders.append(house.folder.path)
        return folders

    clock = MockClock(autojump_threshold=0)
    one, other = anyio.run(perform, backend="trio", backend_options={"clock": clock})
    return str(one.relative_to(tmp_path)), str(other.relative_to(tmp_path))


def test_takes_that_differ_are_no_failure(takes: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *takes) == 0
    said = capsys.readouterr()
    assert "1 of 2 lines differ" in said.out
    assert "who said: Who left the [-red-] {+blue+} door open?" in said.out
    assert said.err == ""
    assert run("compare", takes[0], takes[0]) == 0
    assert "no differences in 2 lines" in capsys.readouterr().out


def test_of_several_takes_the_newest_two_are_compared_and_one_is_held_beside_the_one_before_it(
    takes: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted(takes)
    third = Path(first).with_name("29991231T235959Z-aaaaaa")
    shutil.copytree(second, third)
    assert run("compare", str(third), first, second) == 0
    assert capsys.readouterr().err == f"A is {second}, B is {third}\n"
    assert run("compare", str(third)) == 0
    assert capsys.readouterr().err == f"A is {second}, B is {third}\n"
    Path(first, "..", "latest").unlink(missing_ok=True)
    Path(first, "..", "latest").symlink_to(Path(second).name)
    latest = str(Path(first).with_name("latest"))
    assert run("compare", latest) == 0
    assert capsys.readouterr().err == f"A is {first}, B is {latest}\n"
    assert run("compare", first) == 2
    assert capsys.readouterr().err == (
        f"{first}: there is no earlier take to compare it with\n  hint: specify two takes\n"
    )
    assert run("compare", first, first, latest, latest) == 0
    assert run("compare", first, first, first) == 0


def test_as_json_loudness_is_measured(takes: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *takes, "--json", "--html", "page.html") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["worth_a_look"] == ["who"]
    assert told["lines"][0]["a"]["loudness_dbfs"] == pytest.approx(-17.0, abs=0.1)  # a sine of 0.2
    assert Path("page.html").is_file()


def test_the_page_plays_both_takes_and_needs_nothing_else(
    takes: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    assert run("compare", *takes, "--html", "out/page.html") == 0
    assert capsys.readouterr().out.endswith("\nout/page.html\n")
    text = Path("out/page.html").read_text(encoding="utf-8")
    found = Page(text)
    assert found.open == []
    links = found.all("audio", "src")
    assert len(links) == 4
    for link, take, name in zip(links, takes * 2, ["who", "who", "nobody", "nobody"], strict=True):
        assert not link.startswith("/")
        file = Path("out", unquote(link)).resolve()
        assert file.is_file()
        assert file.is_relative_to(Path(take).resolve())
        assert name in file.name
    assert len(found.all("path", "d")) == 4
    assert all("controls" in attributes for tag, attributes in found.elements if tag == "audio")
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found.elements}
    assert not {"http:", "https:", "url(", "@import"} & set(text.split())
    assert "prefers-color-scheme: dark" in text
    assert "<del>red</del> <ins>blue</ins>" in text
    assert set(found.all("a", "href")) <= {f"#{name}" for name in found.all("section", "id")}


def test_what_a_take_says_is_never_markup(takes: tuple[str, str]) -> None:
    hostile = "\"><script>alert(1)</script>{{ 7 * 7 }}<b x='"
    _, take = read_take(Path(takes[0]))
    line = take.lines[0].model_copy(
        update=dict.fromkeys(("id", "said", "asked", "player", "direction", "ended", "reason"), hostile)
    )
    scene = take.scene.model_copy(update={"title": hostile, "path": hostile})
    other = take.model_copy(
        update={"lines": (line, *take.lines[1:]), "scene": scene, "problem": hostile, "provider": hostile}
    )
    plain = {tag for tag, _ in Page(render_comparison(compare_takes(take, take))).elements}
    for told in (compare_takes(take, other), compare_takes(other, take)):
        found = Page(
            render_comparison(told, ({hostile: PageSound(Peaks((-1,), (1,)), "lines/who.wav")}, {}), [hostile])
        )
        assert {tag for tag, _ in found.elements} <= plain | {
            "del", "ins", "ol", "li", "a", "svg", "path", "audio", "table", "h2"
        }  # fmt: skip
        assert found.open == []
        assert hostile in found.text


def test_a_sound_that_is_missing_is_told_and_the_rest_is_compared(
    takes: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (lost,) = Path(takes[1], "lines").glob("*nobody*")
    lost.unlink()
    assert run("compare", *takes, "--html", "page.html") == 0
    said = capsys.readouterr()
    assert said.err == f"warning: {lost}: the audio of line nobody is missing\n"
    assert len(Page(Path("page.html").read_text()).all("audio", "src")) == 3


def test_what_cannot_be_is_one_message(takes: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", takes[0], "nowhere") == 2
    assert capsys.readouterr().err.startswith("nowhere: no such folder\n  hint: ")
    assert run("compare", *takes, "--html", "no/folder/page.html") == 2
    assert "choose another file with --html" in capsys.readouterr().err
    assert run("play", takes[0], "whom") == 2
    assert capsys.readouterr().err == f"{takes[0]}: no line 'whom'\n  hint: its lines: who, nobody\n"


def test_a_take_without_a_sound_cannot_be_played(takes: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(takes[0], "take.json").unlink()
    journal = Path(takes[0], "journal.jsonl")
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    assert run("play", takes[0]) == 2
    assert "no line of this take has audio\n  hint: the take is interrupted" in capsys.readouterr().err
    Path(takes[1], "mix.wav").write_bytes(b"RIFF")
    assert run("play", takes[1]) == 2
    assert "mix.wav: " in capsys.readouterr().err


def played(take: str, *line: str, alsa: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """What a process says that plays, with a loudspeaker as ALSA's settings have it."""
    Path("asound.conf").write_text(alsa)
    environment = {**os.environ, "JACK_NO_START_SERVER": "1", "ALSA_CONFIG_PATH": str(Path("asound.conf").resolve())}
    program = f"import sys; {before or 'pass'}; from tau_stage.cli.main import main; main(sys.argv[1:])"
    return python("-c", program, "play", take, *line, env=environment)


@needs_portaudio
@pytest.mark.slow
def test_lines_are_played_in_order_and_a_line_alone(takes: tuple[str, str], tmp_path: Path) -> None:
    """Slow: a process of its own, in real time."""
    heard = tmp_path / "heard.raw"
    alsa = f'pcm.!default {{ type file  slave.pcm {{ type null }}  file "{heard}"  format raw }}'
    folder, take = read_take(Path(takes[0]))
    for line, spoken in (((), take.lines), (("nobody",), take.lines[1:])):
        done = played(takes[0], *line, alsa=alsa)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "".join(f"{each.id}: {each.said}\n" for each in spoken)
        both = np.frombuffer(heard.read_bytes(), np.int16).reshape(-1, 2)
        sound = audio_of(folder, take.lines[1])  # each line opens the loudspeaker, and so the file, anew
        assert all(sound.data in both[:, side].tobytes() for side in (0, 1))


@needs_portaudio
@pytest.mark.slow
def test_without_a_loudspeaker_the_file_is_named(takes: tuple[str, str]) -> None:
    """Slow: a process of its own."""
    done = played(takes[0], alsa="pcm.none { type hw  card 99 }")
    assert done.returncode == 2
    assert done.stderr.startswith("this machine has no loudspeaker\n  hint: connect a loudspeaker; or play ")
    assert "-who.wav on another machine" in done.stderr


@pytest.mark.slow
def test_without_sounddevice_the_remedy_is_told(takes: tuple[str, str]) -> None:
    """Slow: a process of its own."""
    done = played(takes[0], "nobody", alsa="", before="sys.modules['sounddevice'] = None")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "using a loudspeaker requires sounddevice, which is not installed\n  hint: pip install"
    )
    assert "-nobody.wav on another machine" in done.stderr


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize("file", ["mix.wav", "whole.flac", "whole.ogg", "whole.mp3"])
def test_the_mix_is_played_whatever_its_name_and_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """Slow: a process of its own, in real time."""
    monkeypatch.chdir(tmp_path)
    house, clock = Playhouse(tmp_path), MockClock(autojump_threshold=0)
    scene = f"{SCENE}deliver: {{mix: {{file: {file}}}}}\n"
    anyio.run(house.perform, scene, backend="trio", backend_options={"clock": clock})
    rebuild(house.folder)
    heard = tmp_path / "heard.raw"
    alsa = f'pcm.!default {{ type file  slave.pcm {{ type null }}  file "{heard}"  format raw }}'
    done = played(str(house.folder.path), alsa=alsa)
    assert (done.returncode, done.stderr) == (0, "")
    mix, _ = soundfile.read(house.folder.path / file, dtype="float32")
    both = np.frombuffer(heard.read_bytes(), np.int16).reshape(-1, 2)
    sound = (mix * 32_768).round().clip(-32_768, 32_767).astype(np.int16).tobytes()
    assert all(sound in both[:, side].tobytes() for side in (0, 1))
