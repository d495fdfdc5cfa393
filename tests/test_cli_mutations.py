"""Kinds of change, found by ``tau-stage test`` itself: the exit code, the line, and GitHub's annotation at its place.

Changes of a scene's text are made to the text. What a provider may change by itself, louder or slower speech, is made
to the snapshot the other way round: it was accepted when that was otherwise.
"""

# ruff: noqa: F401, F811, ARG001 - fixtures, some of another module

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli_run import no_key
from tests.test_cli_testing import Printed, annotated
from tests.test_cli_validate import SCENES, run
from tests.test_mutations import MUTATIONS, SCENE

pytestmark = pytest.mark.slow
Line = dict[str, Any]

NO_MIX = "deliver: {mix: none}\n"
"""Of takes that are kept, what is made is not looked at here: to mix each would be most of the work."""


@pytest.fixture(scope="module", params=["understudy", "cassette"])
def accepted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose scene was accepted as the understudy plays it, or as it was recorded."""
    project = tmp_path_factory.mktemp("project")
    (project / "scenes").mkdir()
    (project / "scenes" / "sounds").symlink_to(SCENES / "sounds")
    (project / "scenes" / "lamp.yaml").write_text(SCENE + NO_MIX)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.delenv("OPENAI_API_KEY", raising=False)
        if request.param == "cassette":
            assert run("run", "scenes/lamp.yaml", "--record", "scenes/cassettes") == 0
        assert run("test", "--update") == 0
    return project


@pytest.fixture
def project(accepted: Path, no_key: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as it was when it was accepted, and the working directory."""
    (accepted / "scenes" / "lamp.yaml").write_text(SCENE + NO_MIX)
    monkeypatch.chdir(accepted)
    return accepted


def found(capsys: Printed) -> list[tuple[int, int, str]]:
    """Where annotations stand, and what they say."""
    capsys.readouterr()
    assert run("test", "--format", "github") == 1
    told = annotated(capsys.readouterr().out)
    assert {each["file"] for each in told} == {"scenes/lamp.yaml"}
    return [(int(each["line"]), int(each["col"]), each["message"]) for each in told]


def place_of(text: str, place: str) -> tuple[int, int]:
    row, line = next((row, line) for row, line in enumerate(text.splitlines(), 1) if place in line)
    return row, 1 + line.index(place) + 2 * place.startswith("- ")


WRITTEN = {
    "a word changed",
    "two lines swapped",
    "a voice recast",
    "a hearer removed",
    "a tool no longer called",
    "a direction changed",
    "a line added",
    "a line removed",
    "a pause changed",
    "an accent changed",
    "a model changed",
    "a sound effect removed",
    "a cue that no longer fires",
}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_change_of_the_scene_is_found_at_its_place(name: str, project: Path, capsys: Printed) -> None:
    """Slow: the neural voice speaks."""
    change, _, what, place = MUTATIONS[name]
    text = change(None)  # type: ignore[arg-type]
    assert isinstance(text, str)
    (project / "scenes" / "lamp.yaml").write_text(text + NO_MIX)
    messages = [message for *at, message in found(capsys) if tuple(at) == place_of(text, place)]
    assert messages, what


def was(line: str, what: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Line]], None]:
    def edit(lines: dict[str, Line]) -> None:
        lines[line][what] = change(lines[line][what])

    return edit


HEARD = {
    "3 dB quieter": (was("ann-1", "loudness", lambda it: it + 3), "ann-1: loudness", "- ann: Good"),
    "30 % slower": (was("cid-1", "rate", lambda it: it * 1.3), "cid-1: rate", "- cid: Shall"),
    "a voice recast, unnoticed by the scene": (
        was("cid-1", "voice", lambda it: [it[0] + 9, *it[1:]]),
        "cid-1: voice",
        "voice: verse",
    ),
    "a cost doubled": (was("ann-2", "cost", lambda it: it / 2), "ann-2: cost", "- ann: He"),
    "a longer silence": (was("bob-1", "silence", lambda it: it - 0.6), "bob-1: silence", "- bob: (drily)"),
    "a line emptied": (was("bob-2", "said", lambda it: f"{it} Good night."), "bob-2: said", "- bob: Then"),
}


@pytest.mark.parametrize("name", HEARD)
def test_a_change_of_the_performance_is_found_at_its_line(name: str, project: Path, capsys: Printed) -> None:
    """Slow: the neural voice speaks."""
    change, told, place = HEARD[name]
    snapshot = project / "scenes" / "snapshots" / "lamp.json"
    kept = snapshot.read_text()
    facts = json.loads(kept)
    change(facts["lines"])
    snapshot.write_text(json.dumps(facts))
    try:
        (one,) = [each for each in found(capsys) if "dead air" not in each[2]]
    finally:
        snapshot.write_text(kept)
    assert one[:2] == place_of(SCENE, place)
    assert one[2].startswith(told)


def test_twenty_kinds_are_tried() -> None:
    """Not slow, but of the slow ones. How long the understudy takes is not held against a snapshot."""
    kinds = {name.partition(",")[0] for name in [*WRITTEN, *HEARD]}
    assert {name.partition(",")[0] for name in MUTATIONS} - kinds == {"a clipped line", "later first audio"}


@pytest.mark.parametrize("times", ["2", pytest.param("20", marks=pytest.mark.soak)])
def test_unchanged_it_is_green_each_time(project: Path, times: str) -> None:
    """Slow: each time is a performance."""
    assert run("test", "--repeat", times) == 0
