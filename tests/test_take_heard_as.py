"""Whether a line had heard others as they are now, however a take was picked from, stopped, resumed and retaken.

All are slow: each performs and delivers up to four takes from the command line.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tau_stage.audio.wav import read_wav
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
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
scene: Chosen
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral, hears: []}}
lines:
  - ann: Now then.
    takes: 3
    pick: first
  - bob: Nothing.
  - cid: What?
  - ann: I do.
  - bob: So do I.
limits: {start_rate: 100/s}
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def whole(serve: Serve, capsys: pytest.CaptureFixture[str]) -> TakeFolder:
    """A take whose first line has three takes; cid hears nobody."""
    Path("chosen.yaml").write_text(SCENE)
    assert run("run", "chosen.yaml", "--endpoint", serve(Understudy(Tones())), "--json") == 0
    return TakeFolder(Path(json.loads(capsys.readouterr().out)["path"]).resolve())


def stopped_after(whole: TakeFolder, line: str) -> TakeFolder:
    """The take as a killed process leaves it once a line counts and was heard, in whichever order."""
    journal = read_journal(whole.journal)
    ends = record.LineHeard | record.LineSpoken
    at = max(n for n, fact in enumerate(journal) if isinstance(fact, ends) and fact.line == line)
    return stopped_at(whole, at + 1, whole.path.with_name(f"20261121T000000Z-00{len(journal):04}"))


def pick(folder: TakeFolder, number: int, line: str = "ann-1") -> Take:
    assert run("pick", str(folder.path), line, str(number), "--quiet") == 0
    return whole_take(folder)


def resume(folder: TakeFolder) -> Take:
    assert run("resume", str(folder.path), "--quiet") == 0
    return whole_take(folder)


def retake(folder: TakeFolder, *arguments: str) -> TakeFolder:
    assert run("retake", str(folder.path), *arguments, "--endpoint", take_of(folder).provider, "--quiet") == 0
    return TakeFolder((folder.path.parent / "latest").resolve())


def take_of(folder: TakeFolder) -> Take:
    return read_take(folder.path)[1]


def whole_take(folder: TakeFolder) -> Take:
    """The take; its journal tells the same, and its files are what it says."""
    take = take_of(folder)
    assert fold(read_journal(folder.journal)) == take
    assert all(read_wav(folder.sound(line)).sha256 == line.sha256 for line in take.lines)
    return take


def outdated(take: Take) -> dict[str, tuple[str, ...]]:
    return {line.id: line.outdated for line in take.lines if line.outdated}


def heard_by(take: Take, hearer: str, line: str = "ann-1") -> int:
    """The take of a line that a player has heard last."""
    said = next(each for each in take.lines if each.id == line)
    sha256 = next(hearing.sha256 for hearing in said.hearers if hearing.player == hearer)
    return next(other.take for other in said.takes if other.sha256 == sha256)


def test_who_goes_on_has_heard_the_take_that_was_picked_and_who_spoke_before_had_not(whole: TakeFolder) -> None:
    part = stopped_after(whole, "bob-1")
    picked = pick(part, 2)
    assert (picked.ended, outdated(picked), heard_by(picked, "bob")) == ("interrupted", {"bob-1": ("ann-1",)}, 1)
    take = resume(part)
    assert (take.ended, outdated(take), heard_by(take, "bob")) == ("complete", {"bob-1": ("ann-1",)}, 2)
    assert "line bob-1 heard an older take of ann-1; add --through to also perform them again" in take.warnings
    back = pick(part, 1)
    assert (outdated(back), heard_by(back, "bob")) == ({"ann-2": ("ann-1",), "bob-2": ("ann-1",)}, 2)


def test_a_take_that_is_stopped_and_picked_from_again_and_again(whole: TakeFolder) -> None:
    part = stopped_after(whole, "bob-1")
    pick(part, 2)
    resume(part)
    again = stopped_after(part, "ann-2")
    pick(again, 3)
    take = pick(again, 1)
    assert (outdated(take), heard_by(take, "bob")) == ({"ann-2": ("ann-1",)}, 2)
    take = resume(again)
    assert (outdated(take), heard_by(take, "bob")) == ({"ann-2": ("ann-1",)}, 1)
    assert outdated(pick(again, 2)) == {"bob-1": ("ann-1",), "bob-2": ("ann-1",)}


def test_a_line_that_lost_its_sound_after_it_was_picked_is_performed_and_heard_anew(whole: TakeFolder) -> None:
    part = stopped_after(whole, "bob-1")
    line = pick(part, 2).lines[0]
    part.sound(line).unlink()
    Path("chosen.yaml").write_text(SCENE.replace("Now then.", "Now, what then?"))
    assert run("resume", str(part.path), "--anyway", "--quiet") == 0
    take = whole_take(part)
    assert (take.lines[0].take, take.lines[0].said) == (1, "Now, what then?")
    assert (outdated(take), heard_by(take, "bob")) == ({}, 1)
    assert run("pick", str(part.path), "ann-1", "3", "--anyway", "--quiet") == 0
    assert outdated(whole_take(part)) == dict.fromkeys(("bob-1", "ann-2", "bob-2"), ("ann-1",))


def test_a_retake_of_a_take_that_was_picked_from_knows_what_was_heard(whole: TakeFolder) -> None:
    assert outdated(pick(whole, 2)) == dict.fromkeys(("bob-1", "ann-2", "bob-2"), ("ann-1",))
    again = retake(whole, "bob-2")
    assert outdated(take_of(again)) == {"bob-1": ("ann-1",), "ann-2": ("ann-1",)}
    assert outdated(pick(again, 1)) == {"bob-2": ("ann-1",)}
    assert outdated(pick(again, 3)) == dict.fromkeys(("bob-1", "ann-2", "bob-2"), ("ann-1",))


def test_a_retaken_line_outdates_who_had_heard_it_only(whole: TakeFolder) -> None:
    again = retake(whole, "bob-1", "--direction", "shouting", "--takes", "2")
    assert outdated(take_of(again)) == {"ann-2": ("bob-1",), "bob-2": ("bob-1",)}
    assert outdated(pick(again, 3 - take_of(again).lines[1].take, "bob-1")) == outdated(take_of(again))


def test_a_retake_that_goes_on_after_a_pick_in_the_former_take(whole: TakeFolder) -> None:
    again = stopped_after(retake(whole, "cid-1"), "ann-1")
    pick(whole, 2)
    take = resume(again)
    assert (take.ended, take.lines[0].take) == ("complete", 1)
    assert outdated(take) == {"ann-2": ("cid-1",), "bob-2": ("cid-1",)}


def test_a_take_that_was_stopped_goes_on_before_it_is_retaken(
    whole: TakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    part = stopped_after(whole, "bob-1")
    pick(part, 2)
    capsys.readouterr()
    assert run("retake", str(part.path), "bob-1") == 2
    assert capsys.readouterr().err == (
        f"{part.path}: the take was stopped before the end of its scene\n"
        f"  hint: resume it first: tau-stage resume {part.path}\n"
    )
    resume(part)
    assert outdated(take_of(retake(part, "bob-1"))) == {"bob-2": ("bob-1",), "ann-2": ("bob-1",)}


def test_who_remembers_none_of_its_lines_and_hears_nobody_has_heard_no_older_take(
    whole: TakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = f"conversation: none{SCENE}"
    Path("chosen.yaml").write_text(scene)
    assert run("run", "chosen.yaml", "--changed", "--endpoint", take_of(whole).provider, "--quiet") == 0
    first = TakeFolder((whole.path.parent / "latest").resolve())
    assert outdated(pick(first, 2)) == {"bob-1": ("ann-1",), "bob-2": ("ann-1",)}  # ann does not know of her own line
    Path("chosen.yaml").write_text(scene.replace("Now then.", "And now?"))
    capsys.readouterr()
    assert run("plan", "chosen.yaml", "--changed", "--endpoint", take_of(whole).provider, "--json") == 0
    planned = json.loads(capsys.readouterr().out)["outdated"]
    assert run("run", "chosen.yaml", "--changed", "--endpoint", take_of(whole).provider, "--quiet") == 0
    take = whole_take(TakeFolder((whole.path.parent / "latest").resolve()))
    assert [*outdated(take)] == planned == ["bob-1", "bob-2"]
