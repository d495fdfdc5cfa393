"""`tau-stage resume` and `run --resume`: a take that was stopped goes on, from the command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tau_stage.take import records as record
from tau_stage.take.journal import read_journal
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy
from tests.support.processes import begun
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

SCENE = """
scene: A talk
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Where is my hat?
  - bob: Here.
  - ann: Thank you.
limits: {start_rate: 100/s, on_lost_player: stop}
"""

EXPECTS = "expect: {length: 540s..600s}\n"


@pytest.fixture
def stopped(serve: Serve, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """A take's folder in which the second line has failed, and where it was performed."""
    Path("talk.yaml").write_text(SCENE)
    url = serve(Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=2)]))
    assert run("run", "talk.yaml", "--endpoint", url, "--quiet") == 3
    said = capsys.readouterr()
    folder = said.out.strip()
    assert said.err.endswith(f"to resume: tau-stage resume {folder}\n")
    return folder, url


def test_a_take_goes_on_in_its_own_folder_where_it_was_played(
    stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = stopped
    assert run("resume", folder) == 0
    said = capsys.readouterr()
    assert "resuming after 1 line\n" in said.err
    assert "2/3 bob: Here." in said.err
    assert "1/3" not in said.err
    assert said.out.endswith(f"\n{folder}\n")
    take = Take.model_validate_json((Path(folder) / "take.json").read_text())
    assert (take.ended, take.provider, len(take.lines)) == ("complete", url, 3)
    assert (Path(folder) / "mix.wav").is_file()
    assert Path("takes/talk/latest").resolve() == Path(folder).resolve()


def test_a_take_that_is_complete_is_left_as_it_is(stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = stopped
    assert run("resume", folder, "--json", "--stream", "words.jsonl") == 0
    assert json.loads(capsys.readouterr().out)["take"]["ended"] == "complete"
    assert {"scene": "talk", "type": "resumed", "lines": ["ann-1"]} in map(
        json.loads, Path("words.jsonl").read_text().splitlines()
    )
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(folder).rglob("*") if path.is_file()}
    assert run("resume", folder) == 0
    assert "the take is complete\n" in capsys.readouterr().out
    Path("talk.yaml").write_text(SCENE.replace("Thank you.", "Thanks."))
    assert run("resume", folder) == 0
    assert "talk.yaml: the scene has changed since the take was performed" in capsys.readouterr().err
    Path("talk.yaml").write_text(SCENE)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    for name in ("take.json", "mix.wav"):  # it was killed when the last line was finished
        (Path(folder) / name).unlink()
        assert run("resume", folder, "--quiet") == 0
        assert (Path(folder) / name).is_file()


def test_a_complete_take_whose_sounds_are_gone_is_told_and_how_to_have_them_again(
    stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = stopped
    assert run("resume", folder) == 0
    capsys.readouterr()
    stem = Path(folder) / "stems" / "bob.wav"
    whole = stem.read_bytes()
    stem.unlink()
    assert run("resume", folder) == 2
    assert f"{stem}: file not found\n  hint: " in capsys.readouterr().err
    stem.write_bytes(whole)
    line = Path(folder) / "lines" / "002-bob-1.wav"
    line.unlink()
    again = f"tau-stage retake {folder} bob-1"
    for verb in (["resume", folder], ["run", "talk.yaml", "--resume", "--endpoint", url]):
        assert run(*verb) == 2
        said = capsys.readouterr()
        problem = f"{line}: the audio of line bob-1 is missing\n  hint: perform the line again in a new take: {again}\n"
        assert problem in said.err.replace(f"{Path.cwd()}/", "")
        assert "the take is complete" not in said.out
    (Path(folder) / "lines" / "003-ann-2.wav").unlink()
    assert run("resume", folder) == 2
    assert f"{again} --through\n" in capsys.readouterr().err
    assert run("retake", folder, "bob-1", "--through", "--quiet") == 0
    assert run("resume", "takes/talk/latest") == 0


def test_a_scene_that_has_changed_is_told_and_gone_on_with_anyway(
    stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = stopped
    Path("talk.yaml").write_text(SCENE.replace("Thank you.", "Thanks."))
    before = (Path(folder) / "journal.jsonl").read_bytes()
    assert run("resume", folder) == 2
    told = capsys.readouterr().err
    assert "talk.yaml: the scene has changed since the take was performed" in told
    assert '-   "words": "Thank you.",' in told
    assert '+   "words": "Thanks.",' in told
    assert "--anyway" in told
    assert (Path(folder) / "journal.jsonl").read_bytes() == before
    assert run("resume", folder, "--anyway", "--json") == 0
    assert [line["said"] for line in json.loads(capsys.readouterr().out)["take"]["lines"]][1:] == ["Here.", "Thanks."]


def test_run_goes_on_with_what_was_stopped_and_leaves_what_is_finished(
    stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = stopped
    for _ in range(2):
        assert run("run", "talk.yaml", "--resume", "--quiet", "--endpoint", url) == 0
        assert Path(capsys.readouterr().out.strip()).resolve() == Path(folder).resolve()
    Path("talk.yaml").write_text(SCENE.replace("Thank you.", "Thanks."))
    assert run("run", "talk.yaml", "--resume", "--quiet", "--endpoint", url) == 0
    assert Path(capsys.readouterr().out.strip()).resolve() != Path(folder).resolve()


def test_finished_variants_are_not_performed_again(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = "matrix: {hat: [red, blue]}\n" + SCENE.replace("my hat", "my ${hat} hat") + EXPECTS
    Path("talk.yaml").write_text(matrix)
    url = serve(Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=3)]))
    assert run("run", "talk.yaml", "--endpoint", url, "--quiet") == 3
    first, second = capsys.readouterr().out.split()
    kept = (Path(first) / "journal.jsonl").read_bytes()
    assert run("run", "talk.yaml", "--resume", "--endpoint", url, "--quiet") == 1  # as both are too short
    assert capsys.readouterr().out.split() == [first, second]
    assert (Path(first) / "journal.jsonl").read_bytes() == kept
    assert run("run", "talk.yaml", "--resume", "--endpoint", url, "--json") == 1
    takes = [json.loads(line)["take"] for line in capsys.readouterr().out.splitlines()]
    assert [(take["scene"]["variant"], take["ended"]) for take in takes] == [("red", "complete"), ("blue", "complete")]
    assert len(list(Path("takes").glob("*/2*"))) == 2


def test_a_budget_may_be_raised(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    Path("talk.yaml").write_text(SCENE)
    url = serve(Understudy(Tones()))
    assert run("run", "talk.yaml", "--endpoint", url, "--budget", "$0.0002", "--quiet") == 4
    said = capsys.readouterr()
    assert "--budget '$...'" in said.err
    assert run("resume", said.out.strip(), "--quiet") == 4
    assert run("resume", said.out.strip(), "--quiet", "--budget", "$2") == 0


def test_an_address_whose_key_is_not_kept_is_asked_for_again(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    Path("talk.yaml").write_text(SCENE)
    url = serve(Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=2)]))
    with_key = f"{url}/v1/realtime?key=HUSHHUSH-0123"
    assert run("run", "talk.yaml", "--endpoint", with_key, "--quiet") == 3
    folder = capsys.readouterr().out.strip()
    assert run("resume", folder) == 2
    told = capsys.readouterr().err
    assert f"used {url}/v1/realtime?key=[key], but the key in this address is not stored in the take" in told
    assert "hint: pass the full address with --endpoint" in told
    assert run("resume", folder, "--endpoint", with_key) == 0


def test_what_cannot_go_on_is_told(stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, url = stopped
    assert run("resume", "takes/none") == 2
    assert run("resume", folder, "--quiet") == 0
    assert run("retake", folder, "bob-1", "--quiet", "--endpoint", url) == 0
    again = capsys.readouterr().out.split()[-1]
    assert run("resume", again) == 0  # it is complete
    (Path(folder) / "journal.jsonl").unlink()
    assert run("resume", folder) == 2
    assert "has no journal.jsonl" in capsys.readouterr().err


# ---- processes


THANKS = "  - ann: Thank you.\n"
LONG = SCENE.replace(THANKS, 58 * THANKS) + "pace: realtime\n"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_ends_a_performance_in_order_and_a_second_at_once(
    serve: Serve, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    """Slow: signals are for processes."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(LONG.replace("A talk", name))
    url = serve(Understudy(Tones()))
    with begun("run", "one.yaml", "two.yaml", "--jobs", "2", "--endpoint", url, cwd=tmp_path) as process:
        told = ""
        while told.count("1/60 ann") < 2:
            told += process.stderr.readline()
        for _ in range(times):
            process.send_signal(number)
            told += process.stderr.readline()
        out, err = process.communicate()
    told += err
    assert process.returncode == 130, told
    assert "stopping after the current line; press Ctrl-C again to stop immediately\n" in told
    folders = [tmp_path / line for line in out.splitlines() if line.startswith("takes/")]
    assert len(folders) == 2
    for folder in folders:
        take = Take.model_validate_json((folder / "take.json").read_text())
        assert take.ended == "interrupted"
        assert 1 <= len(take.lines) < 60
        assert (folder / "cost.json").is_file()
        assert isinstance(read_journal(folder / "journal.jsonl")[-1], record.TakeDelivered)
        assert f"to resume: tau-stage resume {folder.relative_to(tmp_path)}" in told
