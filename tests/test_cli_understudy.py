"""`tau-stage understudy` and `tau-stage voices`: what they take, and what they say of mistakes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tau_stage import create_session
from tau_stage.audio.wav import read_wav
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.processes import begun, until
from tests.support.tone_voice import Tones
from tests.test_cli_validate import run


@pytest.mark.parametrize(
    ("order", "meant"),
    [
        ("busy", fault.BusyDoor()),
        ("stall@hearing", fault.Strike("stall", "hearing")),
        ("drop@in_response#2", fault.Strike("drop", "in_response", visit=2)),
    ],
)
def test_faults_are_ordered_by_a_word(order: str, meant: fault.Fault) -> None:
    assert fault.parse_fault(order) == meant


@pytest.mark.parametrize("order", ["nonsense", "xxx@nowhere"])
def test_an_unknown_fault_is_a_clear_error(order: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("understudy", "--fault", order) == 2
    said = capsys.readouterr().err
    assert f"unknown fault '{order}'" in said
    assert "for example drop@in_response" in said


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("Drop@in_response", "unknown fault 'Drop@in_response'\n  hint: did you mean 'drop@in_response'?"),
        ("bussy", "unknown fault 'bussy'\n  hint: did you mean 'busy'?"),
        (
            "drop@hearing#0",
            "'0' is not a valid connection number\n  hint: connections are numbered from 1: drop@hearing#1",
        ),
        (
            "drop@hearing#x",
            "'x' is not a valid connection number\n  hint: connections are numbered from 1: drop@hearing#1",
        ),
        (
            "drop@hearing#²",
            "'²' is not a valid connection number\n  hint: connections are numbered from 1: drop@hearing#1",
        ),
    ],
)
def test_a_fault_that_is_nearly_one_has_a_hint(order: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("understudy", "--fault", order) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--limits", ""), "--limits: invalid value ''"),
        (
            ("--limits", "many"),
            "--limits: invalid value 'many'\n  hint: specify new sessions per minute, open sessions",
        ),
        (("--pace", "slow"), "--pace: invalid value 'slow'\n  hint: use realtime, or a number"),
        (("--pace", "0"), "--pace: invalid value '0'"),
        (("--log", "/nowhere/at/all.jsonl"), "/nowhere/at/all.jsonl: no such file or directory"),
    ],
)
def test_limits_pace_and_log_that_cannot_be_are_told(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("understudy", *arguments) == 2
    assert told in capsys.readouterr().err


def test_only_loopback_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("understudy", "--host", "0.0.0.0") == 2  # noqa: S104 - it is refused
    assert "loopback address" in capsys.readouterr().err


def test_voices_are_listed_by_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("voices") == 0
    assert "cedar" in capsys.readouterr().out.splitlines()
    assert run("voices", "--endpoint", "localai") == 0
    assert "are unknown" in capsys.readouterr().out
    assert run("voices", "--endpoint", "opensesame") == 2
    assert "unknown endpoint 'opensesame'" in capsys.readouterr().err


@pytest.mark.slow
def test_voices_can_be_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: ten voices are loaded and speak."""
    assert run("voices", "--sample", str(tmp_path / "voices"), "--text", "Hello.") == 0
    assert len(capsys.readouterr().out.splitlines()) == 10
    assert len({read_wav(path).sha256 for path in (tmp_path / "voices").glob("*.wav")}) == 10


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: sockets are opened."""
    return "asyncio"


@pytest.mark.slow
async def test_the_ready_file_holds_the_address_while_it_listens(tmp_path: Path) -> None:
    """Slow: starts a process."""
    ready = tmp_path / "ready"
    ready.write_text("ws://127.0.0.1:1\n")  # of one that was killed
    with begun("understudy", "--port", "0", "--ready-file", str(ready), cwd=tmp_path) as process:
        until(lambda: ready.is_file() and ready.read_text() != "ws://127.0.0.1:1\n")
        url = ready.read_text().removesuffix("\n")
        async with create_session(endpoint=url, output_modalities=("text",)) as session:
            await session.user("Where does the wind come from?")
            assert (await session.response()).status == "completed"
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert not ready.exists()


def test_a_ready_file_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("understudy", "--port", "0", "--ready-file", "/nowhere/at/all") == 2
    assert (
        "/nowhere/at/all: no such file or directory\n  hint: choose another file with --ready-file"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("error", [TimeoutError("of its caller"), OSError("of its caller")])
async def test_what_goes_wrong_while_it_listens_is_no_failure_to_listen(error: OSError) -> None:
    with pytest.raises(type(error), match="of its caller"):
        async with open_understudy(Understudy(Tones())):
            raise error
