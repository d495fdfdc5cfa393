"""What ``import tau_stage`` gives: these names, typed, and each says that it is of ``tau_stage``."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tau_stage
import tau_stage.errors
from tests.support.type_checking import mypy_in
from tests.test_docs_takes import PERFORMING

NAMES = [
    "AudioChunk",
    "BudgetExceeded",
    "CassetteDiffers",
    "CassetteError",
    "ConnectFailed",
    "Deadlines",
    "DeliveredTake",
    "Event",
    "Forecast",
    "LimitReached",
    "LineSpoken",
    "ModelRefused",
    "Pcm",
    "PerformanceOptions",
    "Plan",
    "PlayerOpened",
    "ProtocolError",
    "Response",
    "ResponseEnded",
    "RunOptions",
    "Scene",
    "SceneError",
    "Session",
    "SessionClosed",
    "SessionError",
    "Stage",
    "StageError",
    "Stopped",
    "Take",
    "TakeError",
    "TakeFolder",
    "TextChunk",
    "Timeout",
    "Tool",
    "Understudy",
    "UsageError",
    "Warned",
    "create_session",
    "deliver",
    "forecast",
    "load_scene",
    "make_plan",
    "open_stage",
    "open_understudy",
    "perform",
    "perform_scene",
    "read_take",
    "resume_take",
    "retake_lines",
]


def test_the_public_names_are_these_and_all_can_be_had() -> None:
    assert sorted(vars(tau_stage)["__all__"]) == NAMES
    assert all(getattr(tau_stage, name) for name in NAMES)
    with pytest.raises(AttributeError, match="curtain"):
        tau_stage.curtain  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


def test_a_fresh_interpreter_lists_them_before_they_are_loaded() -> None:
    listing = "import sys, tau_stage; print(*dir(tau_stage)); print('numpy' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    names, heavy = done.stdout.splitlines()
    assert names.split() == sorted([*NAMES, "__version__"])
    assert heavy == "False False"


def test_every_error_is_public() -> None:
    ours = {name for name, kind in vars(tau_stage.errors).items() if isinstance(kind, type)}
    assert {name for name in ours if issubclass(getattr(tau_stage.errors, name), Exception)} <= set(NAMES)


def test_every_public_class_says_that_it_is_of_tau_stage() -> None:
    """So do tracebacks, though the program never wrote the error's name."""
    values = {name: getattr(tau_stage, name) for name in NAMES}
    assert {name: kind.__module__ for name, kind in values.items() if isinstance(kind, type)} == {
        name: "tau_stage" for name, kind in values.items() if isinstance(kind, type)
    }
    raising = "import tau_stage; tau_stage.load_scene('there is none.yaml')"
    done = subprocess.run([sys.executable, "-c", raising], capture_output=True, text=True, check=False)
    assert "\ntau_stage.SceneError: there is none.yaml:1:1: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NAMES} - {"Event"}))
def test_each_name_has_an_example_that_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow: some perform a scene."""
    monkeypatch.chdir(Path(__file__).parent.parent)
    value = getattr(tau_stage, name)
    stub = Path(tau_stage.__file__).with_suffix(".pyi").read_text("utf-8")
    (home,) = re.findall(rf"^from (\S+) import {name} ", stub, re.MULTILINE)
    (example,) = (
        test
        for test in doctest.DocTestFinder(recurse=False).find(
            value, name, module=False, globs={**vars(importlib.import_module(home, "tau_stage"))}
        )
    )
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert tried, f"{name} has no example"
    assert not failed, "".join(said)


@pytest.fixture(scope="module")
def types_told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What strict mypy says of the program of docs/python.md, and of one that asks for the type of each name."""
    folder = tmp_path_factory.mktemp("programs")
    shown = [f"reveal_type(tau_stage.{name})" for name in NAMES]
    (folder / "asking.py").write_text("\n".join(["import tau_stage", *shown, "tau_stage.curtain", ""]), "utf-8")
    (folder / "program.py").write_text(PERFORMING, "utf-8")
    return mypy_in(folder)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_strict_mypy_accepts_the_program_of_the_docs(types_told: str) -> None:
    """Slow: mypy reads the whole package, once for both tests."""
    assert "asking.py" in types_told
    assert [line for line in types_told.splitlines() if not line.startswith("asking.py:")] == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_public_name_is_any(types_told: str) -> None:
    """Slow: mypy reads the whole package, once for both tests."""
    types = re.findall(r'^asking\.py:\d+: note: Revealed type is "(.*)"$', types_told, re.MULTILINE)
    assert len(types) == len(NAMES), types_told
    assert [
        name for name, kind in zip(NAMES, types, strict=True) if re.fullmatch(r"(builtins\.)?(Any|object)", kind)
    ] == []
    assert 'Module has no attribute "curtain"' in types_told
