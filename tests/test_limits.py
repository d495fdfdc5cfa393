"""Every limit at its edge: what just fits is taken, one more is a clear error, and the docs tell it as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.files import survey
from tau_stage.audio.wav import WavWriter
from tau_stage.errors import SessionClosed, TakeError, UsageError
from tau_stage.report.page import render_page
from tau_stage.stage.scene_tools import LONGEST_OUTPUT
from tau_stage.take.folder import TakeFolder
from tau_stage.transport import LARGEST_EVENT, Handshake, Transport, dial, serve
from tests.support.in_memory_stage import Playhouse
from tests.test_scene_limits import HOSTILE
from tests.test_stage_scene_tools import call  # noqa: F401 - a fixture

DOCS = Path(__file__).parent.parent / "docs" / "limits.md"
SCENE = "players: {ann: {voice: ash}}\nlines: [ann: Hello.]\n"


def test_the_docs_tell_every_limit_as_it_is() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| `(.+?)` \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 21
    for _, told, _, constant in rows:
        module, _, name = constant.rpartition(".")
        assert f"{getattr(import_module(module), name):,}" in told, constant


async def test_a_tool_answers_so_much(call: Callable[..., Any]) -> None:  # noqa: F811
    output, _ = await call(returns="x" * LONGEST_OUTPUT)
    assert len(output) == LONGEST_OUTPUT
    output, _ = await call(returns="x" * (LONGEST_OUTPUT + 1))
    assert output == '{"error":"the tool returned more than 64 KB"}'


def test_a_sound_lasts_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with WavWriter(path, 1000) as file:
        file.silence(3600 * 1000)
        assert survey(path).frames == 3600 * 1000
        file.silence(1)
        with pytest.raises(UsageError, match="the audio is longer than an hour\n  hint: split it"):
            survey(path)


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_event_has_32_mebibytes() -> None:
    """Slow: they travel over a socket."""

    async def tell(transport: Transport, _handshake: Handshake) -> None:
        await transport.send(b" " * LARGEST_EVENT)
        await transport.send(b" " * (LARGEST_EVENT + 1))
        await transport.receive()

    async with serve(tell) as url, dial(url) as transport:
        assert len(await transport.receive()) == LARGEST_EVENT
        with pytest.raises(SessionClosed, match=r"1009: received an event larger than 32 MiB"):
            await transport.receive()


async def test_a_page_can_be_opened(tmp_path: Path) -> None:
    stage = Playhouse(tmp_path)
    take = await stage.perform(SCENE)
    size = len(render_page(take, stage.folder).encode())
    assert render_page(take, stage.folder, most=size)
    with pytest.raises(TakeError, match=r"its page would be larger than 0 MiB\n  hint: read take.json"):
        render_page(take, stage.folder, most=size - 1)
    with pytest.raises(TakeError, match="hint: run without --embed"):
        render_page(take, stage.folder, most=100, embed=True)


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=300)))
def test_a_line_is_a_file_of_its_take(name: str) -> None:
    folder = TakeFolder(Path("take"))
    path = folder.line(7, name, "ann-1")
    assert path.parent == Path("take/lines")
    assert len(path.name.encode()) <= 255
