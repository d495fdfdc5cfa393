"""The standard logger ``tau_stage``: what happens, silent unless it is wanted, and never a key."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tau_stage import UsageError, create_session, open_understudy, perform_scene
from tau_stage.environment import log_event
from tests.support.in_memory_stage import Playhouse

SCENE = "players: {ann: {voice: ash}, bob: {voice: coral}}\nlines:\n- ann: Good evening.\n"


@pytest.mark.anyio
async def test_a_performance_tells_its_rooms_loggers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tau_stage")
    await Playhouse(tmp_path).perform(SCENE)
    told = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert ("tau_stage.session", "INFO", "ann: the session is open") in told
    assert ("tau_stage.stage", "INFO", "player opened, player bob") in told
    assert ("tau_stage.stage", "INFO", "line spoken, player ann, line ann-1") in told


def test_no_key_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-marker-0123456789")
    caplog.set_level(logging.DEBUG, "tau_stage")
    log_event("session", logging.WARNING, "the server said: invalid key sk-marker-0123456789, or sk-marker-0123456789 ")
    assert caplog.messages == ["the server said: invalid key [key], or [key] "]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_not_even_what_lies_below_shows_a_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAU_STAGE_API_KEY", "sk-marker-0123456789")
    caplog.set_level(logging.DEBUG, "tau_stage")
    async with open_understudy() as url, create_session(endpoint=url, output_modalities=("text",)) as session:
        await session.user("Hello.")
    assert caplog.messages
    assert "sk-marker" not in caplog.text


def test_it_is_silent_by_default() -> None:
    speaking = "from tau_stage.environment import log_event; log_event('stage', 40, 'Nobody hears this.')"
    done = subprocess.run([sys.executable, "-c", speaking], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_on_trio_one_sentence_says_what_to_do() -> None:
    with pytest.raises(
        UsageError, match=r"^tau-stage opens its sockets with asyncio, .* trio\n  hint: run the program with"
    ):
        anyio.run(perform_scene, "scenes/hello.yaml", backend="trio")

    async def converse() -> None:
        async with open_understudy():
            pass

    with pytest.raises(UsageError, match="runs on trio"):
        anyio.run(converse, backend="trio")
