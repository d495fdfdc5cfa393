"""What comes from outside while a process is at work: readers that leave, signals, processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tau_stage.take.take_model import Take
from tau_stage.understudy.server import Understudy
from tests.support.forked import ForkedPython
from tests.support.processes import begun, descendants, is_alive, number_in, parent, started, until
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, serve

__all__ = ["serve"]

SCENE = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines: [{ann: Where is my hat?}, {bob: Here.}, {ann: Thank you.}]
expect: {length: 0s..600s}
"""
TOOL = """
players: {ann: {voice: ash}}
tools:
  lamp:
    description: The listener wants the lamp.
    timeout: 600s
    command: [sh, -c, "sleep 900 & echo $! > NAME.child; echo $$ > NAME.tool; wait"]
lines: [{user: {ann: I want the lamp.}}, {ann: , improvise: }]
expect: {length: 0s..600s}
"""
WRITTEN = SCENE.replace("voice: ash", "output: text").replace("voice: sage", "output: text")
WRITTEN_TOOL = TOOL.replace("voice: ash", "output: text")
"""Without a voice, which each process that tests would load."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # processes of their own, which take seconds to start


def take_in(folder: Path) -> Take:
    (found,) = folder.glob("takes/*/*Z-*/take.json")
    return Take.model_validate_json(found.read_text())


def write(folder: Path, *names: str, scene: str = SCENE) -> None:
    for name in names:
        (folder / f"{name}.yaml").write_text(scene.replace("NAME", name))


# ---- readers that leave


@pytest.mark.parametrize("left", ["stdout", "stderr", "both"])
def test_a_reader_that_leaves_stops_no_performance(serve: Serve, tmp_path: Path, left: str) -> None:
    write(tmp_path, "talk")
    url = serve(Understudy(Tones()))
    with begun("run", "talk.yaml", "--endpoint", url, cwd=tmp_path) as process:
        process.stderr.readline()
        for name in ("stdout", "stderr"):
            if left in (name, "both"):
                getattr(process, name).close()
        assert process.wait() == 0
    assert take_in(tmp_path).ended == "complete"
    assert (tmp_path / "takes" / "talk" / "latest" / "report.html").is_file()


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_was_closed_before_is_no_file_of_a_take(serve: Serve, tmp_path: Path, closed: str) -> None:
    write(tmp_path, "talk")
    url = serve(Understudy(Tones()))
    with started("run", "talk.yaml", "--endpoint", url, cwd=tmp_path, closing=closed) as process:
        told, _ = process.communicate()
        assert process.returncode == 0
    assert take_in(tmp_path).ended == "complete"
    assert "opened ann" not in told


def test_what_cannot_be_told_stops_no_performance(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, "talk")
    arguments = ("run", "talk.yaml", "--endpoint", serve(Understudy(Tones())))
    with Path("/dev/full").open("w") as full, begun(*arguments, cwd=tmp_path, stderr=full.fileno()) as process:
        process.communicate()
        assert process.returncode == 0
    assert take_in(tmp_path).ended == "complete"


def test_an_output_that_is_full_is_told_of_after_the_performance(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, "talk")
    url = serve(Understudy(Tones()))
    arguments = ("run", "talk.yaml", "--endpoint", url)
    with Path("/dev/full").open("w") as full, begun(*arguments, cwd=tmp_path, stdout=full.fileno()) as process:
        _, told = process.communicate()
        assert process.returncode == 2
    assert "cannot write the output: no space left on device" in told
    assert take_in(tmp_path).ended == "complete"


# ---- signals


def test_a_terminal_that_goes_ends_tools_and_what_they_have_started(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, "lamp", scene=TOOL)
    url = serve(Understudy(Tones()))
    with begun("run", "lamp.yaml", "--endpoint", url, "--allow-tools", cwd=tmp_path) as process:
        tool, child = number_in(tmp_path / "lamp.tool"), number_in(tmp_path / "lamp.child")
        process.send_signal(signal.SIGHUP)
        process.communicate()
        assert process.returncode == 130
    until(lambda: not is_alive(tool) and not is_alive(child))
    assert take_in(tmp_path).ended == "interrupted"


def test_a_hangup_that_is_ignored_stays_so(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, "talk")
    url = serve(Understudy(Tones()))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started("run", "talk.yaml", "--endpoint", url, cwd=tmp_path) as process:
            assert process.stderr
            process.stderr.readline()
            process.send_signal(signal.SIGHUP)
            process.communicate()
            assert process.returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_performance_that_is_stopped_for_a_while_goes_on(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, "talk")
    url = serve(Understudy(Tones()))
    with begun("run", "talk.yaml", "--endpoint", url, cwd=tmp_path) as process:
        process.stderr.readline()
        os.kill(process.pid, signal.SIGSTOP)  # a shell's Ctrl-Z; a group without a shell does not stop for SIGTSTP
        until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        os.kill(process.pid, signal.SIGCONT)
        process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_test_that_is_ended_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, "one", "two", scene=WRITTEN_TOOL)
    arguments = ("test", "one.yaml", "two.yaml", "--jobs", "2", "--allow-tools")
    with begun(*arguments, cwd=tmp_path) as process:
        files = [tmp_path / f"{name}.{kind}" for name in ("one", "two") for kind in ("tool", "child")]
        tools = [number_in(tmp_path / f"{name}.tool") for name in ("one", "two")]
        others = {*map(number_in, files), *map(parent, tools)}
        assert len(others) == 6
        process.send_signal(number)
        _, told = process.communicate()
        assert process.returncode == 130
    assert "Traceback" not in told
    until(lambda: not any(map(is_alive, others)))


def test_workers_end_with_a_test_that_is_killed(tmp_path: Path) -> None:
    write(tmp_path, "one", "two", scene=WRITTEN_TOOL)
    with started("test", "one.yaml", "two.yaml", "--jobs", "2", "--allow-tools", cwd=tmp_path) as process:
        tools = {number_in(tmp_path / f"{name}.tool") for name in ("one", "two")}
        others = descendants(process.pid)
        assert others > tools | set(map(parent, tools))
        process.kill()
    until(lambda: not any(map(is_alive, others)))


def test_a_worker_that_is_killed_costs_its_own_scene_only(tmp_path: Path) -> None:
    write(tmp_path, "one", scene=WRITTEN_TOOL)
    write(tmp_path, "two", "three", "four", scene=WRITTEN)
    names = ("one", "two", "three", "four")
    arguments = ("--jobs", "2", "--allow-tools", "--json")
    with begun("test", *(f"{name}.yaml" for name in names), *arguments, cwd=tmp_path) as process:
        tool = number_in(tmp_path / "one.tool")
        worker = parent(tool)
        assert worker != process.pid
        os.kill(worker, signal.SIGKILL)
        told, _ = process.communicate()
        assert process.returncode == 3
        os.killpg(tool, signal.SIGKILL)
    results = {result["path"]: result for result in json.loads(told)["scenes"]}
    assert [results[f"{name}.yaml"]["state"] for name in names] == ["error", "passed", "passed", "passed"]
    assert "the process that ran this test was killed" in json.dumps(results["one.yaml"])
    assert "tau-stage test one.yaml" in json.dumps(results["one.yaml"])


def test_an_understudy_ends_with_sigterm(tmp_path: Path) -> None:
    with begun("understudy", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 130


DEAF = """
import signal, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
from tau_stage.__main__ import main
main()
"""
"""The program, where the system gives a signal to another thread than the one whose loop waits."""


def test_an_understudy_ends_with_a_signal_that_another_thread_has_met(tmp_path: Path) -> None:
    with ForkedPython("-c", DEAF, "understudy", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 130


SEARCHES = """
import sys
from tau_stage.cli.stopping import interruptible
from tau_stage.text import is_found
with interruptible():
    sys.stdout.write("begun\\n")
    sys.stdout.flush()
    while True:
        try:
            is_found("(a|aa)+$", "a" * 100 + "b")
        except ValueError:
            pass
        except Exception as error:
            if type(error).__name__ != "LimitReached":
                raise
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_takes_long_hears_signals(number: signal.Signals) -> None:
    with ForkedPython("-c", SEARCHES) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate()
    assert "KeyboardInterrupt" in told


@pytest.mark.parametrize("module", ["typer", "yaml"])
def test_an_interruption_has_no_traceback_while_the_program_or_a_verb_loads(tmp_path: Path, module: str) -> None:
    (tmp_path / "talk.yaml").write_text(SCENE)
    (tmp_path / f"{module}.py").write_text("print('loading', flush=True); input()")
    program = "import sys; sys.path.insert(0, '.'); from tau_stage.__main__ import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "validate", "talk.yaml"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert (process.returncode, told) == (130, "interrupted\n")
