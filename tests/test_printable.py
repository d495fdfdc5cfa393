"""Whatever servers, models, scenes, files and tools say: no output holds it raw, and each shows that it was there."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tau_stage import errors
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.riff import read_chunks
from tau_stage.audio.wav import WavWriter
from tau_stage.checks.verdict import Verdict
from tau_stage.cli.main import told
from tau_stage.cli.performing import print_take
from tau_stage.cli.printing import console
from tau_stage.cli.progress import EventStream, LiveProgress, ProgressLines, ProgressView
from tau_stage.protocol.usage import Usage
from tau_stage.runs.deliver_takes import DeliveredTake
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import Event, PersonPrompted, PlayerState, WordsProgress
from tau_stage.suite.output import as_annotations, as_json, as_junit, as_markdown, plain_text, render_result
from tau_stage.suite.result import CaseError, Result, rows
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reading import read_take
from tau_stage.text import printable
from tests.support.report_pages import written
from tests.test_cli_validate import run
from tests.test_take import BEGAN, spoken

BAD = "a \x1b]52;c;aGk=\x07 \x1b[2J \x9b31m \u202e\u2066 \u200b \x00 \x7f [red]b[/red]"
BAD += "\r\n::error::c\n##vso[task.x]d"
SHOWN = re.compile(r"␛]52|\\(?:u001b|x1b)]52")
OURS = re.compile(r"\x1b\[[0-9;]*m")
"""The colours that rich sends to a terminal."""

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COMMANDS = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)


def refuse_raw(text: str, *, of: str, printed: bool = True) -> None:
    """Hold a text against what nothing may hold, and see that the marks are in it."""
    text = OURS.sub("", text) if printed else text
    assert not UNSEEN.search(text), (of, UNSEEN.findall(text), text[:2000])
    if printed:
        assert not COMMANDS.search(text), (of, COMMANDS.findall(text))
    assert SHOWN.search(text), (of, "shows nothing of it", text[:2000])
    assert "52;c" not in text or "[red]b" in text, (of, "took words for markup")


def facts(said: str = BAD) -> list[record.Record]:
    """A take in which everything that others say is bad."""
    roles = (BEGAN.roles[0].model_copy(update={"name": BAD, "voice": BAD}),)
    line = spoken("a", BAD, RATE // 10, Usage(), asked=f"x {BAD}", said=said, direction=BAD)
    sound = record.SoundPlayed(
        sound=BAD, kind="sfx", source=BAD, stem="sfx-door", gain_db=0,
        offset_samples=0, samples=RATE // 10, sha256="", hearers=(BAD,),
    )  # fmt: skip
    return [
        BEGAN.model_copy(update={"roles": roles, "title": BAD, "path": BAD, "resolved": f'{{"x": {json.dumps(BAD)}}}'}),
        record.Warned(text=BAD),
        record.ToolCalled(player=BAD, line="a", tool=BAD, arguments=BAD, output=BAD, failed=True, took_s=0),
        line.model_copy(update={"reason": BAD}),
        sound,
        record.TakeEnded(ended="failed", problem=BAD),
    ]


def recorded(path: Path, said: str) -> TakeFolder:
    """A take as it was performed, with all its sound."""
    folder = written(path, facts(said))
    for name in ("a", "sfx-door"):
        with WavWriter(folder.stems / f"{name}.wav") as wav:
            wav.append(Pcm(b"\0\x20\0\xe0" * (RATE // 20)))
    return folder


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> TakeFolder:
    """A folder with everything that is made of a take."""
    folder = recorded(tmp_path_factory.mktemp("takes") / "take", BAD)
    assert run("report", str(folder.path)) == 0
    return folder


@pytest.mark.slow
def test_no_file_of_a_take_holds_it(take: TakeFolder) -> None:
    """Slow: everything is made that can be made of a take."""
    names = {
        path.name: path for path in take.path.rglob("*") if path.is_file() and path.suffix not in (".wav", ".lock")
    }
    expected = {"journal.jsonl", "take.json", "report.html", "subtitles.vtt", "subtitles.srt", "transcript.txt"}
    assert {*expected, "labels.txt", "sheet.csv", "session.rpp", "session.otio"} <= set(names)
    for name, path in names.items():
        if name != "cost.json":
            refuse_raw(path.read_text(encoding="utf-8"), of=name, printed=name not in ("session.otio", "report.html"))
    for path in (take.path / "lines" / "a.wav", take.path / "mix.wav"):
        chunks = read_chunks(path)
        refuse_raw(chunks[b"iXML"].decode().replace("\r\n", "\n"), of=path.name, printed=False)


@pytest.mark.slow
def test_no_verb_prints_it_of_a_take(
    take: TakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: everything is made that can be made of a take."""
    other = recorded(tmp_path / "other", f"y {BAD}")
    assert run("report", str(other.path)) == 0
    capsys.readouterr()
    both, page = (str(take.path), str(other.path)), tmp_path / "both.html"
    for terminal in (False, True):
        monkeypatch.setattr("sys.stdout.isatty", lambda value=terminal: value)
        for verb in (("report", both[0]), ("compare", *both), ("compare", *both, "--json", "--html", str(page))):
            assert run(*verb) == 0
            printed = capsys.readouterr()
            refuse_raw(printed.out + printed.err, of=f"{verb}")
    refuse_raw(page.read_text(encoding="utf-8"), of="compare.html", printed=False)
    run("play", both[0], f"no such {BAD}".replace("\x00", ""))
    refuse_raw(capsys.readouterr().err, of="play")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_performance_prints_it(
    take: TakeFolder, capsys: pytest.CaptureFixture[str], as_json: bool, quiet: bool, terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    capsys.readouterr()
    folder, performed = read_take(take.path)
    print_take(DeliveredTake(performed, folder, (BAD,), BAD, (BAD,)), quiet=quiet, as_json=as_json)
    printed = capsys.readouterr()
    refuse_raw(printed.out + printed.err, of="print_take")


PLAN = make_plan(parse_scene("scene: T\nplayers: {ann: , bob: }\nlines: [ann: One., bob: '[Two].']"))
HOSTILE = replace(PLAN, title=BAD)
NEWS: list[Event] = [
    WordsProgress("ann", "x", BAD, spoken=True),
    PersonPrompted("ann", "ann-1", BAD, BAD),
    PlayerState("ann", BAD),
    spoken("ann-1", "ann", 10, Usage(), said=BAD),
    record.ToolCalled(player="ann", line="a", tool=BAD, arguments=BAD, output=BAD, failed=True, took_s=0),
    record.OpeningRefused(player="ann", problem=BAD, wait_s=1),
    record.PlayerLost(player="ann", problem=BAD),
    record.Warned(text=BAD),
]


def test_no_screen_shows_it_while_a_scene_is_performed(capsys: pytest.CaptureFixture[str]) -> None:
    stream, drawn = io.StringIO(), io.StringIO()
    out = console(drawn)
    live, streaming = LiveProgress([HOSTILE], out), EventStream(stream, ProgressView(), "-")
    live.show(HOSTILE, BEGAN)
    for news in NEWS:
        ProgressLines([HOSTILE, HOSTILE]).show(HOSTILE, news)
        live.show(HOSTILE, news)
        streaming.show(HOSTILE, news)
        out.print(live)
    live.making(HOSTILE, BAD)
    out.print(live)
    for line in capsys.readouterr().err.splitlines():
        refuse_raw(line, of="lines")
    refuse_raw(drawn.getvalue(), of="live")
    for line in stream.getvalue().split("\n")[:-1]:
        refuse_raw(line, of="stream")
        assert BAD in json.loads(line).values()


def test_a_terminal_takes_no_escape_of_a_text_that_came_another_way() -> None:
    from rich.table import Table
    from rich.text import Text

    drawn = io.StringIO()
    table = Table("name")
    table.add_row(Text(BAD, style="bold"))
    table.add_row(BAD)
    console(drawn).print(table, BAD)
    refuse_raw(drawn.getvalue(), of="console")


VERDICT = Verdict(
    "a.yaml", 1, 1, "line", "ann-1", ("ann-1",), "said", "expect", f"“{BAD} x”", f"“{BAD} y”", "failed", f"ann-1: {BAD}"
)
RESULTS = [
    Result("a.yaml", BAD, rows=rows(PLAN, [[VERDICT]], {}), source="live", takes=(BAD,)),
    Result(BAD, error=CaseError(BAD, BAD)),
]


@pytest.mark.parametrize(
    "written_as",
    [
        lambda: "\n".join(plain_text(render_result(each, {"a.yaml": [BAD]})) for each in RESULTS),
        lambda: as_markdown(RESULTS),
        lambda: as_junit(RESULTS),
        lambda: printable(as_json(RESULTS)),
    ],
    ids=["text", "markdown", "junit", "json"],
)
def test_no_result_of_a_test_holds_it(written_as: Callable[[], str]) -> None:
    refuse_raw(written_as(), of="results")


def test_every_annotation_is_one_command() -> None:
    annotations = as_annotations(RESULTS).split("\n")
    assert len(annotations) == 2
    for line in annotations:
        command, _, message = line[2:].partition("::")
        assert command.startswith("error file=")
        refuse_raw(message, of="annotation")


SCENE = r"""
scene: "\e]52;c;aGk=\a [red]b\x9b\u202e"
players: {ann: {instructions: "\e]52;c;aGk=\a [red]b\x9b\u202e"}, bob: }
lines: [ann: "\e]52;c;aGk=\a [red]b ##vso[x]", bob: Well.]
"""


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True])
def test_no_verb_prints_it_of_a_scene(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Slow: every verb that reads a scene is run three times."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    good, bad = tmp_path / "\x1b]52;c;[red]b.yaml", tmp_path / "\x1b]52;c;[red]b2.yaml"
    good.write_text(SCENE)
    bad.write_text('players: {"\\e]52;c;[red]b": {voise: x}}\nlines: []\n')
    verbs = [("validate",), ("validate", "--format", "json"), ("show",), ("show", "--json"), ("plan",)]
    for verb, *options in [*verbs, ("plan", "--json"), ("tag",), ("fmt", "--as", "script", "--check")]:
        for path in (good, bad, tmp_path / "no\x1b]52;c;[red]b"):
            run(verb, *options, str(path))
            printed = capsys.readouterr()
            refuse_raw(printed.out + printed.err, of=f"{verb} {options}")
    run("validate", "--format", "github", str(bad))
    for line in capsys.readouterr().out.splitlines():
        refuse_raw(line[2:], of="annotations")


@pytest.mark.parametrize("arguments", [("\x1b]52;c;[red]b",), ("run", "--\x1b]52;c;[red]b")])
def test_a_command_line_that_is_wrong_is_told_without_it(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    refuse_raw(capsys.readouterr().err, of="usage")


@pytest.mark.parametrize(
    "failure",
    [
        errors.SceneError(BAD, 1, 1, BAD, BAD, BAD),
        errors.ProtocolError("theirs", BAD),
        errors.UsageError(BAD, BAD),
        errors.TakeError(BAD, BAD, BAD),
        errors.CassetteError(BAD, BAD, BAD),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_no_message_of_an_error_holds_it(failure: errors.StageError, capsys: pytest.CaptureFixture[str]) -> None:
    told(failure)
    refuse_raw(capsys.readouterr().err, of="error")
