"""`tau-stage run --changed`: only what has changed since the newest take is performed."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.report import Note
from tau_stage.runs.deliver_takes import DeliveredTake
from tau_stage.runs.run_scenes import PerformedTake, RunObserver, RunOptions, run_jobs
from tau_stage.runs.take_plans import changed_jobs
from tau_stage.scene.load import load_scene
from tau_stage.scene.planner import make_plan
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import read_take
from tau_stage.take.take_model import Take
from tau_stage.understudy.server import Understudy
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run
from tests.test_stage_resume import stopped_at

__all__ = ["no_key", "serve"]

SCENE = """
scene: A talk
limits: {start_rate: 100/s}
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines:
  - ann: Where is my hat?
  - bob: (gruffly) Here.
  - ann: Thank you.
  - cid: Oh well.
  - bob: Farewell.
"""


DAN = "  - dan: Good night.\n"


class Changed:
    """A scene that is written, performed, and held against its takes."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._endpoint = ("--endpoint", url)
        self._capsys = capsys
        self.err = ""

    def run(self, text: str, *options: str, code: int = 0) -> list[Take]:
        """Perform a scene as far as it has changed; the takes that are printed."""
        Path("talk.yaml").write_text(text)
        assert run("run", "talk.yaml", "--changed", "--json", *self._endpoint, *options) == code
        printed = self._capsys.readouterr()
        self.err = printed.err
        return [Take.model_validate(json.loads(line)["take"]) for line in printed.out.splitlines()]


@pytest.fixture
def stage(serve: Serve, capsys: pytest.CaptureFixture[str]) -> Changed:
    changed = Changed(serve(Understudy(Tones())), capsys)
    changed.run(SCENE)
    assert "no take in takes: all lines are performed" in changed.err
    return changed


def performed(take: Take) -> list[str]:
    return [line.id for line in take.lines if not line.former]


def outdated(take: Take) -> list[str]:
    return [line.id for line in take.lines if line.outdated]


def files(folder: str = "takes") -> dict[Path, tuple[int, bytes]]:
    """All that is there, with when it was written."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.mark.parametrize(
    ("old", "new", "anew", "told"),
    [
        ("Here.", "There.", ["bob-1"], ["changed: bob-1", "3 lines heard an older take of bob-1"]),
        ("(gruffly)", "(softly)", ["bob-1"], ["changed: bob-1", "outdated: ann-2, cid-1, bob-2"]),
        ("coral", "echo", ["cid-1"], ["changed: cid-1", "line bob-2 heard an older take of cid-1"]),
        ("  - bob: F", "  - bob: No.\n  - bob: F", ["bob-2"], ["new: bob-2", "line bob-3 did not hear bob-2"]),
        ("  - ann: Where", "  - ann: Hm.\n  - ann: Where", ["ann-1"], ["new: ann-1", "5 lines did not hear ann-1"]),
        ("  - cid: Oh well.\n", "", [], ["removed: cid-1", "line bob-2 heard cid-1, which is no longer in the scene"]),
        ("lines:\n", "lines:\n  - prompt: {bob: You are cross.}\n", [], ["2 lines heard words"]),
        ("  - cid", "  - pause: 1s\n  - cid", [], ["0 lines to perform, 5 lines reused"]),
    ],
)  # fmt: skip
def test_only_what_has_changed_is_performed_and_the_rest_is_taken_over_byte_for_byte(
    stage: Changed, old: str, new: str, anew: list[str], told: list[str]
) -> None:
    before = files()
    former = {line.said: line.sha256 for line in read_take(Path("takes/talk/latest"))[1].lines}
    assert SCENE.count(old) == 1
    (take,) = stage.run(SCENE.replace(old, new))
    assert performed(take) == anew
    assert all(text in stage.err for text in told), stage.err
    assert {path: fact for path, fact in files().items() if path in before and "latest" not in path.parts} == {
        path: fact for path, fact in before.items() if "latest" not in path.parts
    }
    assert all(line.sha256 == former[line.said] for line in take.lines if line.former)
    assert (take.cost.total == 0) == (not anew)
    after = files()
    (again,) = stage.run(SCENE.replace(old, new))
    assert (again, files()) == (take, after)
    assert "nothing has changed since takes/talk/" in stage.err


def test_those_who_heard_what_has_changed_are_performed_again_if_that_is_wanted(stage: Changed) -> None:
    text = SCENE.replace("Oh well.", "Alas.")
    (take,) = stage.run(text)
    assert (performed(take), outdated(take)) == (["cid-1"], ["bob-2"])
    (take,) = stage.run(text, "--through")
    assert (performed(take), outdated(take)) == (["bob-2"], [])
    (take,) = stage.run(text.replace("Thank you.", "Thanks."), "--through")
    assert performed(take) == ["ann-2", "cid-1", "bob-2"]
    assert stage.run(text.replace("Thank you.", "Thanks."), "--through") == [take]


def test_a_line_that_is_performed_hears_what_it_would_have_heard(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    understudy = Understudy(Tones(), keeps_visits=True)
    stage = Changed(serve(understudy), capsys)
    stage.run(SCENE)
    seen = len(understudy.visits)
    (take,) = stage.run(SCENE.replace("cid: {voice: coral}", "cid: {voice: coral}, dan: {voice: echo}") + DAN)
    assert performed(take) == ["dan-1"]
    assert len(understudy.visits) == seen + 1
    heard = [line.id for line in take.lines if any(each.player == "dan" and each.sha256 for each in line.hearers)]
    assert heard == ["ann-1", "bob-1", "ann-2", "cid-1", "bob-2"]


def test_a_stopped_take_is_gone_on_with_by_what_is_finished_of_it(stage: Changed) -> None:
    text = SCENE.replace("Here.", "There.").replace("Farewell.", "So long.")
    (whole,) = stage.run(text)
    assert performed(whole) == ["bob-1", "bob-2"]
    folder = read_take(Path("takes/talk/latest"))[0]
    folder = TakeFolder(folder.path.resolve())
    journal = read_journal(folder.journal)
    at = next(n for n, fact in enumerate(journal) if (fact.type, getattr(fact, "line", "")) == ("line_spoken", "ann-2"))
    stopped = stopped_at(folder, at + 1, folder.path.with_name("29991121T000000Z-abc123")).path
    shutil.rmtree(folder.path)
    (take,) = stage.run(text)
    assert performed(take) == ["bob-2"]
    assert [line.sha256 for line in take.lines] == [line.sha256 for line in whole.lines]
    assert [line.said for line in take.lines][1] == "There."
    assert run("resume", str(stopped), "--quiet") == 0
    assert [line.sha256 for line in read_take(stopped)[1].lines] == [line.sha256 for line in whole.lines]


def test_a_line_that_has_failed_or_lost_its_sound_is_performed_again(stage: Changed) -> None:
    line = read_take(Path("takes/talk/latest"))[1].lines[3]
    (Path("takes/talk/latest") / str(line.file)).unlink()
    (take,) = stage.run(SCENE)
    assert performed(take) == ["cid-1"]
    assert "changed: cid-1" in stage.err


def test_lines_with_ids_of_their_own_are_known_by_them(stage: Changed) -> None:
    named = SCENE.replace("Thank you.", "Thank you.\n    id: thanks").replace("Oh well.", "Thank you.\n    id: sorry")
    (take,) = stage.run(named)
    assert performed(take) == ["sorry"]
    lines = named.split("lines:\n")[1]
    first, second = "  - ann: Thank you.\n    id: thanks\n", "  - cid: Thank you.\n    id: sorry\n"
    assert first in lines and second in lines  # noqa: PT018
    (take,) = stage.run(named.replace(first, "").replace(second, second + first))
    assert performed(take) == []


CUES = """
players: {ann: {voice: ash}, bob: {voice: sage}}
on:
  - said: {player: ann, words: hat}
    times: 1
    do: [{bob: A hat!}]
lines:
  - ann: Where is my hat?
  - bob: No idea.
    when: {said: umbrella}
  - improvise: {players: [ann, bob], turns: 2}
  - ann: Farewell.
"""


def test_cues_conditions_and_free_play_are_taken_over_as_they_came(stage: Changed) -> None:
    (first,) = stage.run(CUES)
    said = [(line.id, line.sha256) for line in first.lines]
    assert stage.run(CUES) == [first]
    (take,) = stage.run(CUES.replace("Farewell.", "So long."))
    assert performed(take) == ["ann-2"]
    assert [(line.id, line.sha256) for line in take.lines][:-1] == said[:-1]
    (take,) = stage.run(CUES.replace("turns: 2", "turns: 3").replace("Farewell.", "So long."))
    assert {name.rpartition("-")[0] for name in performed(take)} == {"improvise-1"}
    (take,) = stage.run(CUES.replace("umbrella", "hat").replace("Farewell.", "So long."))
    assert "bob-1" in performed(take)


def test_variants_variables_and_several_scenes(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    url = serve(Understudy(Tones()))
    text = "vars: {n: one}\nmatrix: {mood: [sad, glad]}\nplayers: {ann: }\nlines: [ann: '${n} ${mood}', ann: Well.]\n"
    Path("a.yaml").write_text(text)
    Path("talk.yaml").write_text(SCENE)
    every = ("run", "a.yaml", "talk.yaml", "--changed", "--jobs", "2", "--endpoint", url, "--json")

    def again(*options: str) -> dict[str, list[str]]:
        assert run(*every, *options) == 0
        takes = (json.loads(line)["take"] for line in capsys.readouterr().out.splitlines())
        told: list[tuple[str, Any]] = [(take["scene"]["variant"] or "talk", take["lines"]) for take in takes]
        return {name: [line["id"] for line in lines if not line["former"]] for name, lines in told}

    assert {name: len(lines) for name, lines in again().items()} == {"sad": 2, "glad": 2, "talk": 5}
    Path("a.yaml").write_text(text.replace("Well.", "Now."))
    assert again()["sad"] == ["ann-2"]
    capsys.readouterr()
    Path("a.yaml").write_text(text)
    assert run("run", "a.yaml", "--changed", "--only", "glad", "--endpoint", url, "--quiet") == 0
    assert capsys.readouterr().out.count("takes/") == 1
    assert run("run", "a.yaml", "--changed", "--var", "n=two", "--only", "glad", "--endpoint", url) == 0
    assert "a.yaml (glad): no take in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--changed", "--resume"), "--changed creates new takes, but --resume continues old ones"),
        (("--changed", "--record", "c"), "--changed cannot be combined with --record or --replay"),
        (("--changed", "--replay", "c"), "--changed cannot be combined with --record or --replay"),
        (("--through",), "--through requires --changed\n  hint: add --changed"),
    ],
)
def test_what_cannot_be_together_is_refused(
    options: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("talk.yaml").write_text(SCENE)
    assert run("run", "talk.yaml", *options) == 2
    assert problem in capsys.readouterr().err


def plan_changed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run("plan", "talk.yaml", "--changed", "--json", *options) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_what_has_changed_and_what_that_would_cost_is_told_before_it_is_performed(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(Understudy(Tones()))
    Path("talk.yaml").write_text(SCENE)
    told = plan_changed(capsys)
    assert (told["take"], told["new"]) == (None, ["ann-1", "bob-1", "ann-2", "cid-1", "bob-2"])
    whole = Decimal(told["total"]["total"])
    stage = Changed(url, capsys)
    stage.run(SCENE)
    there = ("--endpoint", url)
    told = plan_changed(capsys, *there)
    assert (told["performed"], told["same"], told["total"]["total"]) == (
        [], ["ann-1", "bob-1", "ann-2", "cid-1", "bob-2"], "0",
    )  # fmt: skip
    Path("talk.yaml").write_text(SCENE.replace("Oh well.", "Alas.").replace("  - ann: Where is my hat?\n", ""))
    told = plan_changed(capsys, *there)
    kinds = ("new", "changed", "outdated", "same", "removed", "performed")
    assert [told[kind] for kind in kinds] == [
        [], ["cid-1"], ["bob-1", "ann-1", "bob-2"], [], ["ann-1"], ["cid-1"],
    ]  # fmt: skip
    assert 0 < Decimal(told["total"]["total"]) < whole
    through = plan_changed(capsys, *there, "--through")
    assert through["performed"] == ["bob-1", "ann-1", "cid-1", "bob-2"]
    assert Decimal(told["total"]["total"]) < Decimal(through["total"]["total"])
    assert plan_changed(capsys)["changed"] == ["bob-1", "ann-1", "cid-1", "bob-2"], "another endpoint"
    assert run("plan", "talk.yaml", "--changed", *there) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("ann", "cid"))] == [
        ["ann-1", "ann", "outdated", "reused"],
        ["cid-1", "cid", "changed", "performed"],
        ["ann-1", "ann", "removed", "omitted"],
    ]
    assert "1 of 4 lines would be performed, for about $0.000" in lines[-1]
    assert run("plan", "talk.yaml", "--through") == 2


@pytest.mark.slow
def test_of_many_lines_and_scenes_those_are_performed_whose_key_has_changed(serve: Serve) -> None:
    """Slow: scenes of 20 lines are performed."""
    options = RunOptions(endpoint=serve(Understudy(Tones())))
    scenes = {f"s{n:02d}.yaml": many(n) for n in (3, 5, 7, 11, 13, 17, 19)}

    def again() -> dict[str, Take]:
        """Perform what has changed, without a mix and pages; the takes that were made."""
        for name, text in scenes.items():
            Path(name).write_text(text)
        plans = [make_plan(load_scene(name)) for name in scenes]
        standing, jobs = changed_jobs(Path("takes"), plans, endpoint=options.endpoint)
        assert len(standing) + len(jobs) == 7
        if not jobs:
            return {}
        work = partial(run_jobs, jobs, options, out=Path("takes"), at_once=4, observer=RunObserver(), deliver=left)
        return {delivered.take.scene.path: delivered.take for delivered in anyio.run(work)}

    first, before = again(), files()
    assert sum(len(take.lines) for take in first.values()) == 140
    for name, old, new in (
        ("s03.yaml", "Line 7 of 3.", "Line seven of 3."),
        ("s05.yaml", "- bob: Line 10", "- bob: (softly) Line 10"),
        ("s07.yaml", "voice: coral", "voice: echo"),
        ("s11.yaml", "  - cid: Line 5", "  - bob: Another line.\n  - cid: Line 5"),
        ("s13.yaml", "  - ann: Line 6 of 13.\n", ""),
    ):
        assert scenes[name].count(old) == 1
        scenes[name] = scenes[name].replace(old, new)
    second = again()
    assert {name: performed(take) for name, take in second.items()} == {
        "s03.yaml": ["bob-3"],
        "s05.yaml": ["bob-4"],
        "s07.yaml": [f"cid-{n}" for n in range(1, 7)],
        "s11.yaml": ["bob-3"],
        "s13.yaml": [],
    }
    assert outdated(second["s03.yaml"]) == [line.id for line in second["s03.yaml"].lines[8:]]
    assert any("did not hear bob-3, which is new" in text for text in second["s11.yaml"].warnings)
    assert any("heard ann-3, which is no longer" in text for text in second["s13.yaml"].warnings)
    assert second["s13.yaml"].cost.total == 0
    after = files()
    old_takes = [path for path in before if "latest" not in path.parts]
    assert all(after[path] == before[path] for path in old_takes)
    assert again() == {}
    assert files() == after


def left(performed: PerformedTake, note: Note) -> DeliveredTake:  # noqa: ARG001 - as run_jobs calls it
    return DeliveredTake(performed.take, performed.folder)


def many(number: int) -> str:
    lines = "\n".join(f"  - {('ann', 'bob', 'cid')[n % 3]}: Line {n} of {number}." for n in range(20))
    head = "limits: {start_rate: 100/s}\nplayers: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}\n"
    return f"{head}lines:\n{lines}\n"
