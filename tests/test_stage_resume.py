"""A take that was stopped goes on as if it had never been stopped."""

from __future__ import annotations

import errno
import os
import shutil
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.cost.forecasting import expected_usage
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import Plan
from tau_stage.stage.budget import Budget
from tau_stage.stage.people import Typist
from tau_stage.stage.replay import scene_changes
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder, is_locked, locked
from tau_stage.take.folding import Bills, fold
from tau_stage.take.journal import read_journal
from tau_stage.take.reuse import NO_REUSE, ReusedLines
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tests.support.in_memory_stage import Playhouse, plan_of, reused_for_retake

PLAIN = """
pause: 300ms
players: {ann: {voice: ash}, bob: {voice: sage, hears_as: text}, cid: {voice: coral}}
lines:
  - ann: Good evening to you all.
  - bob: (gruffly) Is it?
  - pause: 2s
  - cid: It was.
  - ann: Now then.
  - bob: Now what?
"""

SOUNDS = """
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines:
  - bed: sounds/rain.wav
    until: ann-2
  - ann: Good evening.
  - prompt: {bob: You are cross., cid: You are tired.}
  - sfx: sounds/door.wav
  - together: [{bob: Is it?}, {cid: It was.}, {sfx: sounds/door.wav}]
  - ann: Now then.
  - bob: One moment, let me tell you something long and dull about it.
  - cid: No.
    cut_in: {on: bob, after: 500ms}
"""

CUES = """
players: {ann: {voice: ash}, bob: {voice: sage, tools: [bell]}, cid: {voice: coral, tools: none}}
tools:
  bell: {description: Rings the bell at the door., returns: {rung: true}}
on:
  - said: {player: ann, words: bell}
    times: 2
    do:
      - sfx: sounds/door.wav
      - cid: Who is there?
  - call: {player: bob, tool: bell}
    do:
      - prompt: {cid: You hear the bell.}
      - cid: I heard it.
lines:
  - ann: Ring the bell, please.
  - bob:
    improvise: Ring the bell at the door.
    tool_choice: required
  - ann: Thank you for the bell.
    when: {call: {player: bob, tool: bell}}
  - ann: You did not.
    when: {not: {call: {player: bob, tool: bell}}}
  - pause: 1s
  - improvise: {players: [ann, bob, cid], about: the bell at the door, turns: 4}
  - cid: Farewell.
    takes: 2
"""

TALK = """
players:
  ann: {voice: ash}
  bob: {voice: sage}
  you: {human: sounds/student.wav}
lines:
  - ann: Ask me anything.
  - listen: {player: ann, from: you, turns: 2}
  - bob: That was interesting.
"""


PLAY = """
players: {ann: {voice: ash}, bob: {voice: sage, tools: [bell]}, cid: {voice: coral}}
tools:
  bell: {description: Rings the bell at the door., returns: {rung: true}}
on:
  - said: bell
    times: 1
    do: [{bob: I hear it.}]
  - call: bell
    times: 1
    do: [{cid: Who rings?}, {sfx: sounds/door.wav}]
lines:
  - user: {ann: Hello.}
  - bed: sounds/rain.wav
    until: last
  - together: [{ann: The bell., takes: 2}, {cid: It was.}]
  - bob:
    improvise: Ring the bell at the door.
    tool_choice: required
  - improvise: {players: [ann, cid], about: the bell, turns: 5, budget: $0.0004}
  - cid: Farewell.
    id: last
"""


def told(take: Take) -> list[dict[str, Any]]:
    """What is the same however often a take was stopped."""
    same = {"id", "number", "player", "said", "take", "former", "offset_samples", "samples", "file", "sha256", "ended"}
    more: dict[str, Any] = {
        "hearers": {"__all__": {"player", "sha256"}},
        "calls": {"__all__": {"tool", "arguments", "output"}},
    }
    lines = sorted(take.lines, key=lambda line: line.number)
    return [line.model_dump(include={**dict.fromkeys(same, True), **more}) for line in lines]


def files(folder: TakeFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.stems.iterdir())}


def stopped_at(whole: TakeFolder, records: int, to: Path, *, torn: int = 0) -> TakeFolder:
    """A take as a killed process leaves it after so many records, and perhaps a piece of another."""
    shutil.copytree(whole.path, to)
    folder = TakeFolder(to)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:records]) + b"".join(lines[records : records + 1])[:torn])
    left = read_journal(folder.journal)
    for name in ("take.json", "cost.json"):
        (to / name).unlink()
    kept = {getattr(fact, "file", None) for fact in left}
    for path in sorted((to / "lines").iterdir()):
        if path.relative_to(to).as_posix() not in kept:
            path.unlink()
    for path in folder.stems.iterdir():
        path.write_bytes(path.read_bytes()[:1044])
    return folder


async def every_stop(
    house: Playhouse, plan: Plan, tmp_path: Path, each: int = 1, former: ReusedLines = NO_REUSE
) -> None:
    """A scene performed, then stopped at each of its records or some of them, and resumed."""
    whole = await house.perform(plan, former=former)
    folder, records = house.folder, house.journal
    stems = files(folder)
    for count in range(1, len(records), each):
        part = stopped_at(folder, count, tmp_path / f"part-{count}", torn=count % 3 * 20)
        spoken = {fact.line for fact in read_journal(part.journal) if isinstance(fact, record.LineSpoken)}
        house.understudy.visits.clear()
        take = await house.perform(plan, again=part, former=former)
        where = f"stopped after {count}: {records[count - 1].model_dump(exclude={'resolved'})}"
        assert take.ended == "complete", (where, take.problem)
        assert told(take) == told(whole), where
        assert [cue.cue for cue in take.cues] == [cue.cue for cue in whole.cues], where
        assert files(part) == stems, where
        asked = {
            event["response"]["metadata"]["line"]
            for player in house.sockets
            for event in house.sent(player, "response.create")
            if "line" in (event.get("response") or {}).get("metadata", {})
        }
        assert not asked & spoken, where
        house.sockets.clear()
        shutil.rmtree(part.path)


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


def place_of(house: Playhouse, kind: type[record.Record], **facts: str | int) -> int:
    """How many records come before a fact."""
    found = ((n, fact) for n, fact in enumerate(house.journal) if isinstance(fact, kind))
    return next(n for n, fact in found if all(getattr(fact, name) == value for name, value in facts.items()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "each"),
    [(PLAIN, 1), (SOUNDS, 2), (CUES, 6), (TALK, 2), (PLAY, 4)],
    ids=["lines", "sounds, items, together and cuts", "cues", "listen", "what cues wait for in the middle of a step"],
)
async def test_a_take_ends_the_same_wherever_it_was_stopped(
    house: Playhouse, tmp_path: Path, scene: str, each: int
) -> None:
    """Slow: resumes a scene after each of its records; a longer one, after each second or sixth."""
    await every_stop(house, plan_of(scene), tmp_path, each)


@pytest.mark.slow
async def test_a_retake_ends_the_same_wherever_it_was_stopped(house: Playhouse, tmp_path: Path) -> None:
    """Slow: resumes a scene after each fifth of its records."""
    plan = plan_of(PLAY)
    whole = await house.perform(plan)
    await every_stop(house, plan, tmp_path, 5, reused_for_retake(plan, house.folder, whole, "cid-1"))


async def test_a_line_that_was_cut_is_performed_again_and_the_first_attempt_is_kept(
    house: Playhouse, tmp_path: Path
) -> None:
    whole = await house.perform(PLAIN)
    at = place_of(house, record.LineBegan, line="cid-1")
    part = stopped_at(house.folder, at + 1, tmp_path / "part", torn=9)
    began = house.folder.path / "lines" / "001-ann-1.wav"
    shutil.copy(began, part.path / "lines" / "003-cid-1.take-1.part.wav")
    spent = Bills(read_journal(part.journal)).whole.total or 0
    take = await house.perform(PLAIN, again=part)
    assert told(take) == told(whole)
    assert [line.attempts for line in take.lines] == [1, 1, 2, 1, 1]
    assert (part.path / "lines" / "003-cid-1.attempt-1.wav").read_bytes() == began.read_bytes()
    resumed, again, *_ = take.warnings
    assert resumed.startswith("the take was stopped and resumed at ")
    assert again == (
        "line cid-1, player cid: the performance was stopped during this line; it was performed again; "
        "the first attempt is kept in lines/003-cid-1.attempt-1.wav"
    )
    (fact,) = house.facts(record.TakeResumed)
    assert (fact.torn_bytes, fact.resolved) == (9, "")
    assert take.cost.total is None  # nobody was told what the attempt that was cut has cost
    assert take.cost.known == spent + sum(line.cost.known for line in take.lines[2:])
    assert [len(player.sessions) for player in take.players] == [2, 2, 2]


async def test_a_journal_that_lost_its_end_goes_on_after_the_last_whole_record(
    house: Playhouse, tmp_path: Path
) -> None:
    whole = await house.perform(PLAIN)
    part = stopped_at(house.folder, place_of(house, record.LineBegan, line="cid-1"), tmp_path / "part")
    with part.journal.open("ab") as file:
        file.write(b"\0" * 300 + b"\n" + b"\0" * 100)
    take = await house.perform(PLAIN, again=part)
    assert told(take) == told(whole)
    assert [fact.torn_bytes for fact in house.facts(record.TakeResumed)] == [401]


async def test_players_remember_what_they_had_said_and_heard(house: Playhouse, tmp_path: Path) -> None:
    await house.perform(SOUNDS)
    before = house.items("cid")
    part = stopped_at(house.folder, place_of(house, record.LineBegan, line="bob-2"), tmp_path / "part")
    await house.perform(SOUNDS, again=part)
    assert sorted(house.items("cid")) == sorted([*before, "assistant: It was."])


LOST = """
players: {ann: {voice: ash, label_speakers: true}, bob: {voice: sage, tools: [bell]}}
limits: {on_lost_player: reopen}
tools:
  bell: {description: Rings the bell at the door., returns: {rung: true}}
lines:
  - prompt: {bob: Be brief.}
  - sfx: sounds/door.wav
    heard: true
  - ann: Ring the bell, please.
  - bob:
    improvise: Ring the bell at the door.
    tool_choice: required
  - ann: Thank you.
  - bob: One.
  - ann: Two.
  - bob: Three.
"""


async def memory(house: Playhouse, again: TakeFolder | None, *, loses: bool) -> list[str]:
    """What bob was told before it was asked for its second line, perhaps in a session that was opened again for it."""
    news, watch = anyio.create_memory_object_stream[Any](1000)

    async def lose() -> None:
        async for fact in watch:
            if loses and isinstance(fact, record.LineBegan) and fact.line == "ann-2":
                house.understudy.faults = (fault.Strike("drop", "hearing"),)

    async with watch, anyio.create_task_group() as group:
        group.start_soon(lose)
        async with news:
            take = await house.perform(LOST, again=again, watch=news)
    assert take.ended == "complete"
    assert any("bob was reconnected" in warning for warning in take.warnings) == loses
    told = []
    for event in house.sent("bob"):
        if event["type"] == "response.create":
            break
        if event["type"] == "conversation.item.create":
            item = event["item"]
            parts = item.get("content", [{"text": item["type"]}])
            told += [part.get("text") or f"<{house.sound_of(part['audio'])}>" for part in parts]
    return told


async def test_a_new_session_is_told_the_same_whatever_it_is_for(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    await house.perform(LOST)
    at = place_of(house, record.LineBegan, line="ann-2")
    parts = [stopped_at(house.folder, at, tmp_path / f"part-{n}") for n in range(2)]
    told = [
        await memory(Playhouse(tmp_path / "lost"), None, loses=True),
        await memory(Playhouse(tmp_path / "resumed"), parts[0], loses=False),
        await memory(Playhouse(tmp_path / "both"), parts[1], loses=True),
    ]
    assert told[0] == told[1] == told[2]
    assert told[0][:3] == ["Be brief.", "<sfx-1>", "<ann-1>"]
    assert told[0][4:6] == ["function_call", "function_call_output"]
    assert told[0][-2:] == ["<ann-2>", 'Perform this line: "One."']


async def test_a_line_whose_sound_is_gone_is_performed_again(house: Playhouse, tmp_path: Path) -> None:
    whole = await house.perform(PLAIN)
    part = stopped_at(house.folder, len(house.journal) - 1, tmp_path / "part")
    (part.path / "lines" / "002-bob-1.wav").unlink()
    take = await house.perform(PLAIN, again=part)
    assert [line.said for line in take.lines] != []
    assert {line.id: line.said for line in take.lines} == {line.id: line.said for line in whole.lines}
    assert any(warning.startswith("bob-1 was dropped: the audio of line bob-1 is missing") for warning in take.warnings)
    behind = [line.id for line in whole.lines[2:] if line.former or line.id in " ".join(take.warnings)]
    assert behind
    for name in behind:
        assert f"{name} was dropped: the earlier line bob-1 is performed again" in take.warnings
    assert "the scene no longer has it" not in " ".join(take.warnings)


async def test_what_has_changed_in_a_scene_is_told_and_may_be_gone_on_with(house: Playhouse, tmp_path: Path) -> None:
    await house.perform(PLAIN)
    journal = house.journal
    part = stopped_at(house.folder, place_of(house, record.LineBegan, line="ann-2"), tmp_path / "part")
    assert scene_changes(journal, plan_of("# a comment\n" + PLAIN)) == []
    other = plan_of(PLAIN.replace("Now then.", "Well then.").replace("  - bob: Now what?\n", ""))
    assert any("Well then." in line and line.startswith("+") for line in scene_changes(journal, other))
    take = await house.perform(other, again=part)
    assert [line.said for line in take.lines] == ["Good evening to you all.", "Is it?", "It was.", "Well then."]
    assert scene_changes(house.journal, other) == []


async def test_a_line_that_was_put_in_before_others_comes_first(house: Playhouse, tmp_path: Path) -> None:
    await house.perform(PLAIN)
    part = stopped_at(house.folder, len(house.journal) - 1, tmp_path / "part")
    other = PLAIN.replace("  - cid: It was.\n", "  - cid: Oh.\n    id: oh\n  - cid: It was.\n    id: cid-1\n")
    take = await house.perform(other, again=part)
    lines = sorted(take.lines, key=lambda line: line.offset_samples)
    assert [line.id for line in lines] == ["ann-1", "bob-1", "oh", "cid-1", "ann-2", "bob-2"]
    for line, after in pairwise(lines):
        assert line.offset_samples + line.samples <= after.offset_samples
    assert [line.former for line in lines] == [False, False, False, True, True, True]


def bring_chosen(house: Playhouse, whole: Take, part: TakeFolder) -> None:
    """Lay the take that has become the line where it lay before."""
    chosen = next(fact for fact in house.facts(record.TakeKept) if fact.take == whole.lines[0].take)
    shutil.copy(house.folder.path / str(whole.lines[0].file), part.path / str(chosen.file))


@pytest.mark.parametrize("ended", [8, 9])
async def test_takes_of_a_line_that_had_ended_when_it_was_stopped_are_paid_for_and_not_performed_again(
    house: Playhouse, tmp_path: Path, ended: int
) -> None:
    plan = plan_of("players: {ann: {voice: ash}}\nlines:\n  - ann: Good evening.\n    takes: 9\n")
    whole = await house.perform(plan)
    assert len(whole.lines[0].alternatives) == 8
    bill = [Usage.from_wire(usage) for usage in house.understudy.visits[0].bill.values()]
    assert whole.usage == sum(bill, Usage())
    at = place_of(house, record.TakeKept, take=ended)
    part = stopped_at(house.folder, at + 1, tmp_path / "part")
    bring_chosen(house, whole, part)
    left = fold(read_journal(part.journal))
    assert left.usage == sum(bill[:ended], Usage())
    tariffs = {"ann": (plan.models[0].model, "openai")}
    purse = Budget(None, tariffs, expected_usage(plan))
    purse.restore(read_journal(part.journal))
    assert purse.spent == left.cost.total
    take = await house.perform(plan, again=part)
    assert told(take) == told(whole)
    assert take.usage.audio_out == whole.usage.audio_out
    assert sum(len(visit.bill) for visit in house.understudy.visits) == 9 + 9 - ended
    assert not list(house.folder.path.rglob("*.attempt-*"))
    assert take.usage.untold == (ended == 8)  # the ninth may have been asked for
    assert [other.take for other in take.lines[0].alternatives] == [n for n in range(1, 10) if n != take.lines[0].take]


async def test_what_a_budget_has_no_more_room_for_when_a_line_goes_on_is_left_out(
    house: Playhouse, tmp_path: Path
) -> None:
    plan = plan_of("players: {ann: {voice: ash}}\nlines:\n  - ann: Good evening.\n    takes: 9\n")
    whole = await house.perform(plan)
    part = stopped_at(house.folder, place_of(house, record.TakeKept, take=8) + 1, tmp_path / "part")
    bring_chosen(house, whole, part)
    spent = fold(read_journal(part.journal)).cost.total
    assert spent is not None
    take = await house.perform(plan, again=part, budget=spent)
    assert sum(len(visit.bill) for visit in house.understudy.visits) == 9
    assert (take.ended, len(take.lines), take.cost.known) == ("complete", 1, spent)
    assert any(
        "stopped after 8 of 9 takes because another take would exceed the budget" in text for text in take.warnings
    )


async def test_a_take_whose_sound_is_gone_is_performed_again_with_all_others(house: Playhouse, tmp_path: Path) -> None:
    plan = plan_of("players: {ann: {voice: ash}}\nlines:\n  - ann: Good evening.\n    takes: 3\n")
    whole = await house.perform(plan)
    part = stopped_at(house.folder, place_of(house, record.TakeKept, take=2) + 1, tmp_path / "part")
    for path in (part.path / "lines").iterdir():
        path.unlink()
    take = await house.perform(plan, again=part)
    assert told(take) == told(whole)
    assert any("the audio of take 1 is missing" in text for text in take.warnings)
    assert sum(len(visit.bill) for visit in house.understudy.visits) == 6


async def test_takes_that_are_paid_for_count_once_when_a_scene_goes_on(house: Playhouse) -> None:
    plan = plan_of("players: {ann: {voice: ash}}\nlines:\n  - ann: Good evening.\n    takes: 3\n  - ann: Is it?\n")
    take = await house.perform(plan, budget=Decimal(1))
    purse = Budget(Decimal(1), {"ann": (plan.models[0].model, "openai")}, expected_usage(plan))
    purse.restore(house.journal)
    assert purse.spent == take.cost.total


async def test_a_take_that_was_stopped_at_its_budget_goes_on_with_more(house: Playhouse) -> None:
    take = await house.perform(PLAIN, budget=Decimal("0.0004"))
    assert take.ended == "budget"
    done, folder = len(take.lines), house.folder
    take = await house.perform(PLAIN, again=folder)
    assert (take.ended, len(take.lines)) == ("budget", done)
    take = await house.perform(PLAIN, again=folder, budget=Decimal(1))
    assert (take.ended, len(take.lines)) == ("complete", 5)


async def test_what_was_spent_and_measured_before_counts_and_nobody_is_warned_twice(house: Playhouse) -> None:
    budget, plan = Decimal("0.0013"), plan_of(PLAIN + "  - ann: Was it ever here at all?\n")
    take = await house.perform(plan, budget=budget)
    assert (take.ended, [("of the budget" in text) for text in take.warnings]) == ("budget", [True])
    tariffs = {player.name: (player.model, "openai") for player in plan.models}
    purse = Budget(budget, tariffs, expected_usage(plan))
    before = purse.expected("bob-2", "bob")
    purse.restore(house.journal)
    assert purse.spent == take.cost.total
    assert purse.expected("bob-2", "bob") < before
    assert not purse.near_limit
    take = await house.perform(plan, again=house.folder)
    assert [text for text in take.warnings if "of the budget" in text] == list(take.warnings[:1])


async def test_a_tool_that_has_answered_in_a_line_that_was_cut_is_not_asked_again(
    house: Playhouse, tmp_path: Path
) -> None:
    whole = await house.perform(CUES)
    part = stopped_at(house.folder, place_of(house, record.ToolCalled) + 1, tmp_path / "part")
    text = part.journal.read_text()
    part.journal.write_text(text.replace('{\\"rung\\":true}', '{\\"rung\\":\\"once\\"}'))
    take = await house.perform(CUES, again=part)
    calls = [[call.output for line in each.lines for call in line.calls] for each in (whole, take)]
    assert [outputs[0] for outputs in calls] == ['{"rung":true}', '{"rung":"once"}']
    assert [len(outputs) for outputs in calls] == [3, 3]


async def test_stems_that_a_disk_could_not_take_at_the_end_are_laid_anew(
    house: Playhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.perform(PLAIN)
    stems, fsync = files(house.folder), os.fsync

    def refuse(file: int) -> None:
        if Path(f"/dev/fd/{file}").resolve().parent.name == "stems" and Path(f"/dev/fd/{file}").is_file():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(file)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(TakeError, match="input/output error"):
        await house.perform(PLAIN)
    monkeypatch.undo()
    assert fold(house.journal).ended == "failed"
    take = await house.perform(PLAIN, again=house.folder)
    assert (take.ended, files(house.folder)) == ("complete", stems)
    assert sum(len(visit.bill) for visit in house.understudy.visits) == 2 * len(take.lines)


async def test_two_do_not_perform_into_one_folder(house: Playhouse) -> None:
    await house.perform(PLAIN)
    with locked(house.folder.path):
        assert is_locked(house.folder.path)
        with pytest.raises(TakeError, match="is being written by process"):
            await house.perform(PLAIN, again=house.folder)
    assert not is_locked(house.folder.path)


BELL = """
players: {ann: {voice: ash}, bob: {voice: sage, tools: [bell]}}
tools:
  bell: {description: Rings the bell at the door., returns: {rung: true}}
on:
  - call: bell
    do: [{ann: I heard it.}]
lines:
  - bob:
    improvise: Ring the bell at the door.
    tool_choice: required
  - bob: There.
"""


def names(house: Playhouse, kind: type[record.StepBegan | record.StepEnded]) -> list[str]:
    return [fact.step for fact in house.facts(kind)]


async def test_the_journal_says_which_steps_begin_and_end(house: Playhouse) -> None:
    await house.perform(SOUNDS)
    steps = ["bed-1", "ann-1", "system bob: You are cross.; system cid: You are tired.", "sfx-1"]
    steps += ["bob-1+cid-1+sfx-2", "ann-2", "bob-2", "cid-2"]
    assert names(house, record.StepBegan) == names(house, record.StepEnded) == steps
    await house.perform(BELL)
    assert [(fact.branch, fact.step) for fact in house.facts(record.StepBegan)] == [
        ("", "bob-1"), ("cue-1", "cue-1-ann-1"), ("", "bob-2"),
    ]  # fmt: skip


async def test_nothing_is_left_out_of_a_journal_and_nothing_counts_twice(house: Playhouse, tmp_path: Path) -> None:
    """What an attempt that was cut had called, and the cue that it started, stay in the journal and count no more."""
    whole = await house.perform(BELL)
    part = stopped_at(house.folder, place_of(house, record.ToolCalled) + 1, tmp_path / "part")
    before = part.journal.read_bytes()
    take = await house.perform(BELL, again=part)
    assert part.journal.read_bytes().startswith(before)
    assert [fact.line for fact in house.facts(record.CueStarted)] == ["bob-1", "bob-1"]
    assert [cue.cue for cue in take.cues] == [cue.cue for cue in whole.cues] == ["cue-1"]
    assert told(take) == told(whole)
    assert len(house.facts(record.ToolBegan)) == len(house.facts(record.ToolCalled)) == 2


async def test_a_step_that_was_whole_when_it_was_stopped_is_not_performed_again(
    house: Playhouse, tmp_path: Path
) -> None:
    await house.perform(PLAIN)
    part = stopped_at(house.folder, place_of(house, record.LineSpoken, line="bob-1") + 1, tmp_path / "part")
    house.understudy.visits.clear()
    await house.perform(PLAIN, again=part)
    assert names(house, record.StepBegan) == ["ann-1", "bob-1", "bob-1", "pause", "cid-1", "ann-2", "bob-2"]
    assert names(house, record.StepEnded) == ["ann-1", "bob-1", "pause", "cid-1", "ann-2", "bob-2"]
    assert [fact.line for fact in house.facts(record.LineSpoken)] == ["ann-1", "bob-1", "cid-1", "ann-2", "bob-2"]
    assert sum(len(visit.bill) for visit in house.understudy.visits) == 3


async def test_a_cue_that_the_scene_has_in_addition_does_not_change_what_happened(
    house: Playhouse, tmp_path: Path
) -> None:
    whole = await house.perform(PLAIN)
    part = stopped_at(house.folder, place_of(house, record.LineBegan, line="ann-2"), tmp_path / "part")
    take = await house.perform(PLAIN + "on: [{said: evening, do: [{cid: Evening?}]}]\n", again=part)
    assert told(take) == told(whole)


async def test_a_sound_that_is_dropped_and_a_line_that_is_taken_over_count_once(
    house: Playhouse, tmp_path: Path
) -> None:
    plan = plan_of(BELL.replace("  - bob: There.\n", "  - bob: There.\n    takes: 2\n"))
    await house.perform(plan)
    part = stopped_at(house.folder, len(house.journal) - 1, tmp_path / "part")
    gone = place_of(house, record.LineSpoken, line="bob-1")
    (part.path / str(getattr(house.journal[gone], "file"))).unlink()  # noqa: B009 - a record is of many kinds
    take = await house.perform(plan, again=part)
    lines = {line.id: line for line in take.lines}
    assert [(line.id, line.former) for line in take.lines] == [("bob-1", False), ("cue-1-ann-1", True), ("bob-2", True)]
    assert (len(lines["bob-1"].calls), len(lines["bob-2"].alternatives)) == (1, 1)
    assert len(take.cues) == 1
    assert all(len(line.hearers) == 1 and line.hearers[0].sha256 == line.sha256 for line in take.lines)


# ---- stopping


async def stop_after(house: Playhouse, scene: str, kind: type[record.Record], **facts: str) -> Take:
    """Somebody wants to stop as soon as something has happened."""
    stop = anyio.Event()
    news, watch = anyio.create_memory_object_stream[Any](1000)

    async def look() -> None:
        async for fact in watch:
            if isinstance(fact, kind) and all(getattr(fact, name) == value for name, value in facts.items()):
                stop.set()

    async with watch, anyio.create_task_group() as group:
        group.start_soon(look)
        async with news:
            return await house.perform(scene, stop=stop, watch=news)
    raise AssertionError


@pytest.mark.parametrize(
    ("scene", "kind", "facts", "done"),
    [
        (PLAIN, record.LineBegan, {"line": "bob-1"}, 2),
        (PLAIN, record.PlayerOpened, {"player": "ann"}, 0),
        (SOUNDS, record.LineBegan, {"line": "bob-1"}, 3),
        (TALK, record.LineBegan, {"line": "listen-1-1"}, 3),
    ],
    ids=["a line", "opening", "together", "listen"],
)
async def test_what_is_under_way_comes_to_its_end_and_the_rest_when_resumed(
    house: Playhouse, scene: str, kind: type[record.Record], facts: dict[str, str], done: int
) -> None:
    whole = await house.perform(scene)
    stems = files(house.folder)
    take = await stop_after(house, scene, kind, **facts)
    assert (take.ended, take.problem, len(take.lines)) == ("interrupted", "stopped by the user", done)
    assert all(hearing.sha256 for line in take.lines for hearing in line.hearers)
    assert told(take) == told(whole)[:done]
    assert told(await house.perform(scene, again=house.folder)) == told(whole)
    assert files(house.folder) == stems


async def test_nobody_waits_for_a_person_when_it_is_to_stop(house: Playhouse) -> None:
    scene = "{players: {ann: {voice: ash}, you: {human: tty}}, lines: [you: Hello., ann: Yes.]}"
    plan = plan_of(scene)
    stop = anyio.Event()
    stop.set()
    read, write = os.pipe()
    you = Typist(plan.player("you"), read)
    take = await house.perform(plan, people={"you": you}, stop=stop)
    assert (take.ended, len(take.lines)) == ("interrupted", 0)
    os.write(write, b"Hello there.\n")
    take = await house.perform(plan, people={"you": you}, again=house.folder)
    assert [line.said for line in take.lines] == ["Hello there.", "Yes."]
    os.close(write)
    os.close(read)


async def test_a_performance_that_is_left_at_once_leaves_a_take_that_goes_on(house: Playhouse) -> None:
    whole = await house.perform(PLAIN)
    news, watch = anyio.create_memory_object_stream[Any](1000)
    async with watch, news, anyio.create_task_group() as group:

        async def look() -> None:
            async for fact in watch:
                if isinstance(fact, record.LineBegan) and fact.line == "cid-1":
                    group.cancel_scope.cancel()

        group.start_soon(look)
        await house.perform(PLAIN, watch=news)
    take = Take.model_validate_json((house.folder.path / "take.json").read_text())
    assert (take.ended, len(take.lines)) == ("interrupted", 2)
    assert len({len(sound) for sound in files(house.folder).values()}) == 1
    assert told(await house.perform(PLAIN, again=house.folder)) == told(whole)
