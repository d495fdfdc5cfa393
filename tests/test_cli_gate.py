"""`tau-stage gate`: its options, its status, and scenes of several processes that share its limits."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from tau_stage.cli.gate_command import tabulate_status
from tau_stage.gate import GateLimits
from tau_stage.gate.book import GateBook
from tau_stage.protocol import RateLimit
from tau_stage.report import plain_text
from tests.support.forked import ForkedPython, python
from tests.test_cli_validate import run

SCENE = "scene: Two\nplayers: {ann: {voice: ash}, ben: {voice: sage}}\nlines: [ann: Hello there., ben: Hello.]\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tokens", "12"], "--tokens: a rate needs a unit, but '12' has none\n  hint: did you mean 12/min?"),
        (["--start-rate", "x"], "--start-rate: "),
        (["--budget", "2"], "--budget: an amount needs a currency"),
        (["--host", "192.0.2.1"], "192.0.2.1 is not a loopback address\n  hint: add --allow-remote"),
        (["--json"], "--json requires --status\n  hint: add --status"),
        (["--status", "--port", "1"], "the gate at 127.0.0.1:1"),
    ],
)
def test_what_a_gate_cannot_be_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", "")
    assert run("gate", *arguments) == 2
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", "open sesame")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("gate", "--port", str(port)) == 2
    told = capsys.readouterr()
    assert f"cannot listen on 127.0.0.1:{port}: " in told.err
    assert "hint: choose another --port" in told.err
    assert "open sesame" not in told.out + told.err


def test_the_status_says_what_is_held() -> None:

    book = GateBook(
        GateLimits(budget=Decimal(200), start_rate=30, sessions=40, tokens=1_000_000), dice=random.Random(1)
    )
    book.learn("openai, 0a1b, gpt-realtime-2.1", [RateLimit(name="requests", limit=60, remaining=12)], now=0.0)
    book.pause("openai, 0a1b, gpt-realtime-2.1", 7.5, now=0.0)
    told = plain_text(tabulate_status(book.status(0.0).model_copy(update={"clients": 3})))
    for part in ("3 clients", "30/min", "1000000/min", "$200.00", "openai, 0a1b, gpt-realtime-2.1", "12", "7.5 s"):
        assert part in told


@pytest.mark.slow
def test_scenes_of_several_processes_share_a_gate(tmp_path: Path) -> None:
    """Four processes are started."""
    (tmp_path / "two.yaml").write_text(SCENE)
    variables = {**os.environ, "TAU_STAGE_GATE_TOKEN": "open sesame", "OPENAI_API_KEY": ""}
    command = ("-m", "tau_stage")
    state = tmp_path / "gate.json"
    serving = (*command, "gate", "--port", "0", "--sessions", "2", "--budget", "$5", "--state", str(state))
    with ForkedPython(*serving, env=variables) as server:
        address = server.stdout.readline().partition("listening at ")[2].split()[0]
        try:
            performing = (*command, "run", "two.yaml", "--quiet", "--gate", address)
            with ThreadPoolExecutor() as pool:
                runs = [pool.submit(python, *performing, cwd=tmp_path, env=variables) for _ in range(2)]
                assert [each.result().returncode for each in runs] == [0, 0]
            asking = (*command, "gate", "--status", "--json", "--port", address.split(":")[1])
            told = json.loads(python(*asking, env=variables).stdout)
        finally:
            server.send_signal(signal.SIGTERM)
    takes = [json.loads(file.read_text()) for file in tmp_path.glob("takes/two/2*/take.json")]
    assert [take["ended"] for take in takes] == ["complete", "complete"]
    assert (told["openings"], told["clients"], told["held"]["sessions"]) == (4, 0, 0)
    assert Decimal(told["spent"]) == sum(Decimal(dollars) for dollars in json.loads(state.read_text()).values())
    assert Decimal(told["spent"]) > 0
