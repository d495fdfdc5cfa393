"""Every block of the README does what it says."""

from __future__ import annotations

import re
from pathlib import Path

from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.scene.load import parse_scene
from tests.test_docs_takes import PERFORMING

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
(PERFORM,), (TEST,) = (block.splitlines() for kind, block in BLOCKS if kind == "sh")


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert [kind for kind, _ in BLOCKS] == ["sh", "yaml", "python", "sh"]


def test_it_fits_two_screens() -> None:
    assert len(README.splitlines()) <= 120


def test_the_two_commands_are_what_ci_runs() -> None:
    ci = (TOP / ".ci" / "run").read_text(encoding="utf-8")
    assert 'block "Perform a scene"' in ci
    assert 'block "Run the tests"' in ci
    assert PERFORM.endswith(".venv/bin/tau-stage run scenes/umbrella.yaml")
    assert TEST.endswith(".venv/bin/pytest -n auto --branches")


def test_ci_tries_the_oldest_versions_too_with_tests_that_are_there() -> None:
    ci = (TOP / ".ci" / "run").read_text(encoding="utf-8")
    assert "uv pip install --quiet --python .venv --resolution lowest-direct" in ci
    patterns = re.findall(r"\btests/\S+", ci.partition("touching=(")[2].partition("\n)")[0])
    assert len(patterns) > 10
    assert [pattern for pattern in patterns if not any(TOP.glob(pattern))] == []


def test_the_scene_is_a_scene() -> None:
    (scene,) = (block for kind, block in BLOCKS if kind == "yaml")
    assert parse_scene(scene).title == "Hello"
    assert scene == (TOP / "scenes" / "hello.yaml").read_text(encoding="utf-8")


def test_the_program_is_that_of_the_page_where_it_is_run() -> None:
    (program,) = (block for kind, block in BLOCKS if kind == "python")
    assert program == PERFORMING


def test_what_it_counts_is_so() -> None:
    others = {place.key_env[0] for name, place in ENDPOINTS.items() if name != "openai" and place.key_env}
    assert len(others) == 10, "README: 'ten other endpoints'"
    assert len(list((TOP / "scenes").glob("*.yaml"))) == 12, "README: 'twelve example scenes'"


def test_the_commands_that_show_its_figures_are_there() -> None:
    (rows,) = re.findall(r"^\| what \| figure \| command \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    for module in re.findall(r"`python -m tests\.(\w+)", rows):
        assert any((TOP / "tests" / name).exists() for name in (f"{module}.py", f"{module}/__main__.py")), module
    for path in re.findall(r"`pytest (\S+)`", rows):
        assert (TOP / path).is_file()
