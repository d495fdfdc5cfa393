"""Exit codes and messages: whatever happens, a user reads a sentence and a script reads a code."""

import io
import re
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage import errors
from tau_stage.cli.main import VERBS, main, told
from tau_stage.version import __version__
from tests.support.processes import BYTECODE

SCENE = errors.SceneError("a.yaml", 1, 2, "wrong", source="abc")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SCENE, 2),
        (errors.UsageError("no such take"), 2),
        (errors.TakeError("takes", "the disk is full"), 2),
        (errors.ConnectFailed(reason="no"), 3),
        (errors.SessionClosed(code=1001), 3),
        (errors.ModelRefused(code="x", message="y"), 3),
        (errors.Timeout(what="answer", waited_s=5), 3),
        (errors.ProtocolError("theirs", "no JSON"), 3),
        (errors.BudgetExceeded(Decimal(1), Decimal(2), "ann-1"), 4),
    ],
)
def test_each_failure_has_its_exit_code(
    failure: errors.StageError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(failure) == code
    assert capsys.readouterr() == ("", f"{failure}\n")


def test_of_a_group_our_own_first_error_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("more", [errors.SessionClosed(code=1001), SCENE])])
    assert told(group) == 3
    assert capsys.readouterr().err == "the session was closed (1001)\n"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), BaseExceptionGroup("tasks", [SCENE, KeyboardInterrupt()])])
def test_an_interruption_is_no_failure(failure: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(failure) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_of_ours_leaves_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert told(ValueError("deep inside")) == 70
    said = capsys.readouterr().err
    log = re.search(r"log: (.*)\n", said)
    assert log is not None
    assert "Traceback" not in said
    assert "ValueError: deep inside" in Path(log[1]).read_text()


def test_a_bug_on_a_full_disk_is_still_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert told(ValueError("x")) == 70
    assert "could not write a log: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["frob"], ["validate"], ["validate", "--frob", "x"], ["show", "a", "b"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("Usage: tau-stage")
    assert "Traceback" not in said


@pytest.mark.parametrize("option", ["--record", "--out", "--budget"])
def test_an_option_is_no_value_of_another(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "x.yaml", option, "--quiet") == 2
    assert f"{option} requires a value, but --quiet is an option.\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "usage"),
    [
        ("run", "tau-stage run [OPTIONS] SCENE..."),
        ("pick", "tau-stage pick [OPTIONS] TAKE LINE N"),
        ("play", "tau-stage play [OPTIONS] TAKE [LINE] [N]"),
        ("test", "tau-stage test [OPTIONS] [PATH"),  # typer has changed where it says that there may be several
        ("cassette show", "tau-stage cassette show [OPTIONS] DIR"),
    ],
)
def test_the_usage_of_a_verb(verb: str, usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*verb.split(), "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: {usage}")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"tau-stage {__version__}\n"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in ("run", "validate", "show", "schema", "voices", "understudy"))


@pytest.mark.slow
def test_a_title_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """Slow: starts an interpreter, as only a real stream has an encoding."""
    file = tmp_path / "a.yaml"
    file.write_text("scene: 幽霊\nplayers: {ann: }\nlines: [ann: hi]\n", encoding="utf-8")
    code = "from tau_stage.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", str(file)],
        env={"PYTHONIOENCODING": "ascii", **BYTECODE},
        capture_output=True,
        check=True,
    )
    assert rb"\u5e7d\u970a, 1 player, 1 line" in done.stdout


def test_a_stream_without_an_encoding_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert run("--version") == 0
    assert out.getvalue().startswith("tau-stage ")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tau-stage re", ["resume", "retake", "report"]),
        ("tau-stage --v", ["--version"]),
        ("tau-stage run --ch", ["--changed"]),
        ("tau-stage batch st", ["status"]),
        ("tau-stage run sc", []),  # the shell completes files
    ],
)
def test_the_shell_completes(
    typed: str, completed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_TAU_STAGE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert run() == 0
    assert capsys.readouterr().out.split() == completed


def test_completion_tells_of_each_verb_in_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_TAU_STAGE_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "tau-stage ")
    assert run() == 0
    told = capsys.readouterr().out.replace("''", "'").replace(r"\\:", ":")  # as that shell escapes them
    assert all(text in told for text in VERBS.values())


@pytest.mark.parametrize("group", ["batch", "cassette"])
def test_the_help_of_a_group_cuts_no_summary(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "--help") == 0
    assert "..." not in capsys.readouterr().out.replace("FILE...", "").partition("Commands:")[2]
