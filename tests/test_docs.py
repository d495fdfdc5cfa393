"""Every block of the documents runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones, tone

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (DOCS / "session.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
NAMES = ["first", "translator", "chat", "tools", "microphone"]
EXPECTED = {
    "first": r".+\. \d\.\d+ 0\.\d+\n",
    "translator": r".+\n",
    "chat": r".+\n.+\n",
    "tools": r"Lights: on\.\nThank you, that is much better\.\n",
    "microphone": r"speaking .+\n",
}


@pytest.fixture
def place() -> Iterator[str]:
    with ExitStack() as ends, start_blocking_portal("asyncio") as portal, ends:
        yield ends.enter_context(portal.wrap_async_context_manager(open_understudy(Understudy(Tones()))))


def test_every_block_has_a_name() -> None:
    assert len(BLOCKS) == len(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "block"), list(zip(NAMES, BLOCKS, strict=False)), ids=NAMES)
def test_each_block_runs(name: str, block: str, place: str, tmp_path: Path) -> None:
    """Slow: a process of its own for each."""
    with WavWriter(tmp_path / "microphone.wav") as file:
        file.append(Pcm.join([Pcm.silence(12_000), tone("ash", "Is anybody there?"), Pcm.silence(24_000)]))
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=os.environ | {"TAU_STAGE_UNDERSTUDY": place},
        input="Hello.\nWho are you?\n",
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(EXPECTED[name], done.stdout), done.stdout


PARITY = (DOCS / "parity.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([TBNZP]\d+) \| (.+) \| (.+) \|$", PARITY, re.MULTILINE)


def test_the_parity_table_has_every_row_and_names_tests_that_exist() -> None:
    counts = {"T": 28, "B": 18, "N": 9, "Z": 7, "P": 10}
    assert [row for row, _, _ in ROWS] == [f"{kind}{n}" for kind, last in counts.items() for n in range(1, last + 1)]
    for _, said, shown in ROWS:
        if shown == "nothing yet":
            assert said.startswith("left ")
            continue
        file, name = shown.strip("`").split("::")
        assert f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")


def test_the_table_of_endpoints_is_that_of_the_code() -> None:
    told = (DOCS / "endpoints.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in told.splitlines()
        if line.startswith("| `") and line.count("|") == 7
    ]
    assert [row[0] for row in rows] == [f"`{name}`" for name in ENDPOINTS]
    for (_, key, host, dialect, rate, session), place in zip(rows, ENDPOINTS.values(), strict=True):
        wants = "" if place.wants_key else ", if it wants one"
        assert key == (f"`{place.key_env[0]}`{wants}" if place.key_env else "none")
        default = f" (`{place.resource}`)" if place.resource else ""
        assert host == (f"`{place.resource_env}`{default}" if place.resource_env else "")
        assert dialect == f"`{place.dialect.name}`"
        assert rate == f"{place.heard_rate // 1000} kHz"
        assert session == f"{place.cap_s / 60:.0f} min"
