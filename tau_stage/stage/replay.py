"""Go on with a take that was stopped: replay its journal, and find out what is finished and what was cut.

Theory of operation. Three passes over the journal come before the performance goes on:

1. `Budget.apply` counts what was paid, and learns from it what lines cost, as it does in a live performance.
2. `finished_lines` folds the journal to the lines that are whole, keeps what there is of a line that was cut under a
   name of its own, and writes down that it is asked for once more.
3. `JournalReplay` folds the records that still count into the schedule, by the reducer of a live performance, and lays
   on the timeline what they tell of, without anybody on stage.

A step that was under way begins anew, with what has come of it. A record to which the schedule knows no step any more
is left out: the scene has changed since, or the sound of a line before it is gone. Such a line is dropped where it was,
and taken over when its turn comes.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from tau_stage import scene
from tau_stage.audio import read_wav
from tau_stage.errors import TakeError
from tau_stage.protocol import Usage
from tau_stage.stage import schedule
from tau_stage.stage.events import EventLog, ResumeSummary
from tau_stage.stage.production import Production
from tau_stage.stage.sessions import Participants
from tau_stage.stage.timeline import free_attempt
from tau_stage.take import (
    FULL_DISK,
    ReusedLines,
    TakeFolder,
    beginning,
    clear_drafts,
    fold,
    guarded,
    settle_files,
    standing,
)
from tau_stage.take import records as record
from tau_stage.version import __version__


class JournalReplay:
    """One take, gone through once more."""

    def __init__(self, production: Production, participants: Participants) -> None:
        self._production = production
        self._people = participants.people
        self._sounds = participants.sounds
        self._found: set[str] = set()

    def go_through(self, finished: ReusedLines) -> ReusedLines:
        """Lay what is finished; return the lines that have no place in the scene any more, or not yet.

        Afterwards the production stands where the performance has to go on. A ``LimitReached`` says that the scene was
        ended by a limit of its own, a ``TakeError`` that a sound is gone, or the folder cannot be written.
        """
        production = self._production
        records = production.log.records
        journal = standing(records)
        try:
            for fact in journal:
                self._restore(fact, finished)
                production.state = schedule.apply(production.plan, production.state, fact)
        finally:
            production.timeline.settle()
            production.presence.listening = {}
        self._drop_the_rest(journal, finished, _lost_line(records))
        production.playback.skip_to(production.timeline.end)
        for sound in production.beds.values():
            heard = self._sounds[sound.file, sound.gain_db].heard
            production.playback.begin_bed(sound.stem, heard, production.timeline.end)
        production.end_beds()
        production.start_cues()
        return replace(finished, lines={name: line for name, line in finished.lines.items() if name not in self._found})

    def _drop_the_rest(self, journal: Sequence[record.Record], finished: ReusedLines, lost: str) -> None:
        effects = [fact.sound for fact in record.of_type(journal, record.SoundPlayed)]
        effects += [fact.chapter for fact in record.of_type(journal, record.ChapterBegan)]
        problem = (
            f"the earlier line {lost} is performed again" if lost else "the scene no longer contains it at this point"
        )
        for name in dict.fromkeys((*finished.lines, *effects)):
            if name not in self._found:
                self._production.log.append(record.LineDropped(line=name, problem=problem))

    def _restore_line(
        self, fact: record.LineSpoken, line: scene.LinePlan, step: scene.Step | None, finished: ReusedLines
    ) -> None:
        self._found.add(fact.line)
        said, person = finished.lines[fact.line], self._people.get(fact.player)
        if person and (person.is_live or not isinstance(step, scene.ListenPlan)):
            person.skip(fact.line)
        listening = {step.person: step.player} if isinstance(step, scene.ListenPlan) else {}
        self._production.presence.listening = listening
        self._production.restore_line(fact, line, finished.sound(said), said.calls)

    def _restore(self, fact: record.Record, finished: ReusedLines) -> None:
        """Lay what a record tells of, if it has a place in the scene."""
        production = self._production
        if isinstance(fact, record.BedEnded) and fact.sound in production.beds:
            production.end_bed(fact.sound)
        if (found := schedule.part_under_way(production.state, fact)) is None:
            return
        step = production.state.branches[found[0]].step
        match fact, found[1]:
            case record.LineSpoken(), scene.LinePlan() as line:
                self._restore_line(fact, line, step, finished)
            case record.SoundPlayed(), scene.SoundPlan() as sound:
                self._found.add(fact.sound)
                production.lay_sound(sound, self._sounds[sound.file, sound.gain_db], fact.offset_samples)
            case record.ChapterBegan(), scene.ChapterPlan():
                self._found.add(fact.chapter)
            case record.ItemGiven(), _:
                production.history.append(fact)
            case record.ListenEnded(), scene.ListenPlan() as listen if not self._people[listen.person].is_live:
                self._people[listen.person].takes()
            case record.StepEnded(), scene.PausePlan() as pause:
                production.timeline.pause(pause.seconds)
            case record.StepEnded(), scene.TogetherPlan() as together:
                production.timeline.go_on(together.pause_s)


def _lost_line(records: Sequence[record.Record]) -> str:
    """Return the first line whose sound was gone when the take went on the last time; empty: there is none."""
    since = takewhile(lambda fact: not isinstance(fact, record.TakeResumed), reversed(records))
    dropped = record.of_type(since, record.LineDropped)
    return dropped[-1].line if dropped else ""


CUT = "the performance was stopped during this line"
MOST_CHANGES = 24  # lines of a difference that are shown

_NOT_TOLD = {"sha256", "source_line", "path", "overlays", "endpoint"}
"""What may differ though the scene is the same; it is played where it was played before."""


def scene_changes(journal: Sequence[record.Record], plan: scene.Plan) -> list[str]:
    """List what has changed in a scene since its take was performed, as lines of a difference; none: nothing has."""
    began = beginning(journal)
    if not began.resolved:
        return [] if began.sha256 == plan.sha256 else ["the scene file has changed"]
    before, now = _told(json.loads(began.resolved)), plan_facts(plan)
    if before == now:
        return []
    lines = list(difflib.unified_diff(_lines(before), _lines(now), "as performed", "as it is now", n=2, lineterm=""))
    more = len(lines) - MOST_CHANGES
    return lines if more <= 0 else [*lines[:MOST_CHANGES], f"... and {more} more lines"]


def plan_facts(plan: scene.Plan) -> object:
    """Return what of a plan makes its take another one, as JSON has it."""
    return _told(json.loads(scene.plan_json(plan)))


def _lines(facts: object) -> list[str]:
    return json.dumps(facts, indent=1, ensure_ascii=False).splitlines()


def _told(part: object) -> object:
    if isinstance(part, dict):
        return {name: _told(value) for name, value in part.items() if name not in _NOT_TOLD}
    return [*map(_told, part)] if isinstance(part, list) else part


def resume_record(plan: scene.Plan, began: record.TakeBegan, log: EventLog) -> record.TakeResumed:
    """Make the record that says so; ``began`` is how the take would begin now."""
    now = {name: getattr(began, name) for name in ("sha256", "spent", "deliver", "budget", "roles")}
    is_same = not scene_changes(log.records, plan)
    return record.TakeResumed(
        tau_stage=__version__,
        started=began.started,
        resolved="" if is_same else began.resolved,
        torn_bytes=log.journal.torn_bytes,
        **now,
    )


def finished_lines(production: Production, former: ReusedLines) -> ReusedLines:
    """Return what is finished of a take; write down and keep what was cut, to be performed again.

    Lines that are taken over from another take are not performed, and so none of them was cut. A ``TakeError`` says
    that the folder cannot be read or written.
    """
    folder, log = production.folder, production.log
    settle_files(folder, journal := log.records)
    take = fold(journal)
    lines = {line.id: line for line in take.lines}
    found = ReusedLines(folder, lines)
    for line in take.lines:
        try:
            found.sound(line)
        except TakeError as error:
            log.append(record.LineDropped(line=line.id, problem=error.problem))
            del lines[line.id]
    journal = log.records
    clear_drafts(folder.path / "lines")
    for began in _cut(journal):
        if began.line not in former.lines:
            _break_off(production, journal, began)
    seconds = tuple((line.id, line.player, line.duration_s) for line in lines.values())
    log.publish(ResumeSummary(seconds, production.budget.spent))
    return found


def _break_off(production: Production, journal: Sequence[record.Record], began: record.LineBegan) -> None:
    """Write down that a line was cut; what it has led to is kept, and what can be used of it is known."""
    if ended := _ended(production, journal, began.line):
        production.ended_takes[began.line] = ended
    for call in _calls(journal, began.line):
        key = (call.player, call.line, call.tool, call.arguments)
        production.known_answers.setdefault(key, []).append(call.output)
    takes = next((line.takes for line in production.plan.lines if line.id == began.line), 1)
    cut: dict[str, Any] = {"problem": CUT, "wait_s": 0.0, "interrupted": True, "reason": "interrupted"}
    for file, usage in _used(production.folder, journal, began, takes, ended):
        production.append(record.LineAgain(line=began.line, player=began.player, file=file, usage=usage, **cut))


def _cut(journal: Sequence[record.Record]) -> list[record.LineBegan]:
    """Return the lines that had begun and were not finished."""
    found: dict[str, record.LineBegan] = {}
    for fact in journal:
        match fact:
            case record.LineBegan():
                found[fact.line] = fact
            case record.LineSpoken() | record.LineLost() | record.LineDropped() | record.LineAgain(interrupted=True):
                found.pop(fact.line, None)
    return list(found.values())


def _ended(production: Production, journal: Sequence[record.Record], line: str) -> list[record.TakeKept]:
    """Return the takes of a line that had ended when it was cut; where the sound of one is gone, none is kept."""
    kept = record.of_type(standing(journal), record.TakeKept)
    found = {fact.take: fact for fact in kept if fact.line == line}
    ended = [found[take] for take in sorted(found)]
    for fact in ended:
        if fact.file and not _is_there(production.folder, fact, fact.file):
            problem = f"the audio of take {fact.take} is missing or has changed: {fact.file}"
            production.log.append(record.LineDropped(line=line, problem=problem))
            return []
    return ended


def _is_there(folder: TakeFolder, fact: record.TakeKept, file: str) -> bool:
    """Tell whether a take of a line lies where it was written down; one that had become the line goes back there."""
    path = folder.inside(file)
    line = path.with_name(re.sub(r"\.take-\d+\.wav$", ".wav", path.name))
    if not path.exists() and _sha256(line) == fact.sha256:
        with guarded(path, FULL_DISK):
            line.rename(path)
    return _sha256(path) == fact.sha256


def _sha256(path: Path) -> str:
    try:
        return read_wav(path).sha256
    except (OSError, ValueError):
        return ""


def _calls(journal: Sequence[record.Record], line: str) -> list[record.ToolCalled]:
    """Return what a line that was cut had called since its last take ended; what an earlier attempt had, too."""
    found: list[record.ToolCalled] = []
    for fact in journal:
        if isinstance(fact, record.TakeKept) and fact.line == line:
            found.clear()
        elif isinstance(fact, record.ToolCalled) and fact.line == line:
            found.append(fact)
    return found


def _set_aside(folder: TakeFolder, path: Path, number: int, began: record.LineBegan) -> str:
    """Give a file of a line that was cut a name of its own, and return it; remove it where nothing sounds in it."""
    if not _sounds(path):
        path.unlink()
        return ""
    kept = free_attempt(folder, number, began.player, began.line)
    path.rename(kept)
    return kept.relative_to(folder.path).as_posix()


def _used(
    folder: TakeFolder,
    journal: Sequence[record.Record],
    began: record.LineBegan,
    takes: int,
    ended: Sequence[record.TakeKept],
) -> list[tuple[str | None, Usage]]:
    """Return what there is of a line that was cut, file by file, and what it has used that is written down nowhere.

    Whatever sounds is kept under a name of its own, but for takes that had ended; ``takes`` of them are wanted.
    """
    told = {fact.file for fact in record.of_type(journal, record.TakeKept) if fact.line == began.line}
    known = {fact.file for fact in record.of_type(journal, record.LineAgain)} | {fact.file for fact in ended}
    name = re.escape(folder.line(0, began.player, began.line).stem.partition("-")[2])
    found: list[tuple[str | None, Usage]] = []
    with guarded(folder.path / "lines", FULL_DISK):
        for path in sorted((folder.path / "lines").iterdir()):
            match = re.fullmatch(rf"(\d+)-{name}((?:\.take-\d+)?(?:\.part)?)\.wav", path.name)
            file = path.relative_to(folder.path).as_posix()
            if match and file not in known and (kept := _set_aside(folder, path, int(match[1]), began)):
                is_paid = file in told or bool(told and not match[2])  # it was picked: it has the line's name
                found.append((kept, Usage(untold=int(not is_paid))))
    if len(ended) < takes and not any(usage.untold for _, usage in found):
        found.append((None, Usage(untold=1)))  # a request was under way, or is about to be
    return found


def _sounds(path: Path) -> bool:
    try:
        return bool(read_wav(path))
    except ValueError:
        return False
