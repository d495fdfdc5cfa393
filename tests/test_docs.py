"""Every block of the documents runs as it stands, here or in a module for its page."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.cli.init_command import NEXT
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.understudy.faults import PLAIN, Strike, What, Where, parse_fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.forked import python
from tests.support.tone_voice import Tones, tone
from tests.test_cli_run import no_key
from tests.test_cli_validate import run

__all__ = ["no_key"]

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (DOCS / "session.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
NAMES = ["first", "translator", "chat", "interrupt", "tools", "microphone"]
EXPECTED = {
    "first": r".+\. \d\.\d+ 0\.\d+\n",
    "translator": r".+\n",
    "chat": r".+\n.+\n",
    "interrupt": r"cancelled 1\.\d+ 1\.0\n",
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
    environment = os.environ | {"TAU_STAGE_UNDERSTUDY": place}
    done = python("-c", block, cwd=tmp_path, env=environment, given="Hello.\nWho are you?\n")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(EXPECTED[name], done.stdout), done.stdout


def test_the_table_of_endpoints_is_that_of_the_code() -> None:
    told = (DOCS / "endpoints.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in told.splitlines()
        if line.startswith("| `") and line.count("|") == 7
    ]
    assert [row[0] for row in rows] == [f"`{name}`" for name in ENDPOINTS]
    for (_, key, host, dialect, rate, session), place in zip(rows, ENDPOINTS.values(), strict=True):
        wants = "" if place.wants_key else ", if required"
        assert key == (f"`{place.key_env[0]}`{wants}" if place.key_env else "none")
        default = f" (`{place.resource}`)" if place.resource else ""
        assert host == (f"`{place.resource_env}`{default}" if place.resource_env else "")
        assert dialect == f"`{place.dialect.name}`"
        assert rate == f"{place.heard_rate // 1000} kHz"
        assert session == f"{place.cap_s / 60:.0f} min"


TOP = DOCS.parent


def has_block(page: Path) -> bool:
    return "```" in page.read_text(encoding="utf-8")


RUN_BY = {
    "README.md": "test_readme.py",
    "docs/batch.md": "test_docs_batch.py",
    "docs/booth.md": "test_docs_booth.py",
    "docs/cassettes.md": "test_docs_cassettes.py",
    "docs/ci.md": "test_docs_ci.py",
    "docs/performance.md": "test_benchmarks.py",
    "docs/scenes.md": "test_docs_scenes.py",
    **{f"docs/scenes/{file.name}": "test_docs_scenes.py" for file in (DOCS / "scenes").glob("*.md") if has_block(file)},
    "docs/session.md": "test_docs.py",
    **{f"docs/{page}.md": "test_docs_takes.py" for page in ("examples", "python", "takes")},
    **{f"tau_stage/cli/templates/{kind}/README.md": "test_docs.py" for kind in ("scene", "test", "batch")},
}
"""Pages with blocks, and the module here that runs each block of them."""

NOT_RUN = {"CONTRIBUTING.md": "its block runs this suite and the tools of CI; below, that they are there"}
"""Pages whose blocks are not run, and why."""


def test_every_page_with_a_block_has_a_test_that_runs_it_or_a_reason() -> None:
    """Pages of docs/ that are not named here are performed by ``tests/test_docs_pages.py``."""
    pages = [*TOP.glob("*.md"), *(TOP / "tau_stage").rglob("*.md"), *(TOP / page for page in RUN_BY)]
    found = {page.relative_to(TOP).as_posix() for page in pages if "```" in page.read_text(encoding="utf-8")}
    assert found == RUN_BY.keys() | NOT_RUN.keys()
    for module in RUN_BY.values():
        assert "def test_every_block_" in (Path(__file__).parent / module).read_text(encoding="utf-8")


def test_what_contributing_runs_is_there() -> None:
    page = (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    settings = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    marks = {mark.partition(":")[0] for mark in settings["tool"]["pytest"]["ini_options"]["markers"]}
    assert marks == set(re.findall(r"\b(slow|soak)\b", block.replace("#", " ")))
    profiles = re.findall(r"--hypothesis-profile=(\w+)", block)
    assert all(f'register_profile("{name}"' in (TOP / "tests" / "conftest.py").read_text("utf-8") for name in profiles)
    needed = " ".join(settings["project"]["optional-dependencies"]["test"])
    tools = set(re.findall(r"\.venv/bin/([\w-]+)", block))
    assert tools == {"pytest", "ruff", "mypy", "lint-imports"}
    assert all(name.replace("lint-imports", "import-linter") in needed for name in tools)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scene", "test", "batch"])
def test_a_new_project_does_what_its_readme_types(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the embedded understudy, with its neural voices. The installation is left out: it wants a network."""
    monkeypatch.chdir(tmp_path)
    assert run("init", "mine", "--kind", kind) == 0
    assert f"next: cd mine && {NEXT[kind]}" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "mine")
    page = Path("README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in blocks} == {"sh"}
    installed, *typed = (shlex.split(line, comments=True) for _, block in blocks for line in block.splitlines())
    assert installed == ["pip", "install", "-r", "requirements.txt"]
    assert Path("requirements.txt").is_file()
    assert shlex.split(NEXT[kind]) in typed
    for program, *words in typed:
        assert program == "tau-stage"
        assert run(*words) == 0, capsys.readouterr().err
    assert run("init", ".", "--kind", kind) == 2


def test_the_page_of_the_understudy_has_every_fault() -> None:
    page = (DOCS / "understudy.md").read_text(encoding="utf-8").partition("## Faults")[2]
    tables = re.findall(r"^\| \w+ \| .*\n\|---\|---\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    told = [re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) for table in tables]
    assert told == [list(PLAIN), list(typing.get_args(What)), list(typing.get_args(Where))]
    for order in re.findall(r"`(\w+@\w+(?:#\d)?)`", page):
        assert isinstance(parse_fault(order), Strike)
