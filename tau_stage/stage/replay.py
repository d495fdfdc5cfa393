"""Go on with a take that was stopped: replay its journal, and find out what is finished and what was cut.

Theory of operation. Three passes over the journal come before the performance goes on:

1. `restore_spending` counts what was paid, and learns from it what lines cost.
2. `finished_lines` folds the journal to the lines that are whole, keeps what there is of a line that was cut under a
   name of its own, and writes down that it is asked for once more.
3. `JournalReplay` goes through the records in order. A record that tells of an outcome (a line, a sound, an item) names
   a step: one that is under way, or one that the schedule says may start. The step is begun, its outcome is laid on the
   timeline without anybody on stage, and the schedule moves on by the same functions as in a live performance.
   Steps that leave no record (pauses) are passed on the way.

The scene may have changed meanwhile, so no record says at which place of it a step stands: that is found anew, and a
line for which there is no place is invalidated. A step that is under way at the end is interrupted, and begins anew;
parts of it that are whole are reused there. Facts that the journal tells already are not told again (`EventLog`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeGuard

from tau_stage.audio import read_wav
from tau_stage.devices import Playback
from tau_stage.errors import LimitReached, TakeError
from tau_stage.protocol import Usage
from tau_stage.scene import (
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    SilenceEvent,
    SoundPlan,
    TogetherPlan,
    plan_json,
)
from tau_stage.session import Session
from tau_stage.stage import schedule
from tau_stage.stage.budget import Budget
from tau_stage.stage.context import PutItem, Sounds
from tau_stage.stage.events import ResumeSummary
from tau_stage.stage.fan_out import HeardClip
from tau_stage.stage.people import Person
from tau_stage.stage.production import Production
from tau_stage.stage.schedule import NextStep, Turn
from tau_stage.take import (
    FULL_DISK,
    NO_REUSE,
    PAID,
    Journal,
    ReusedLines,
    TakeFolder,
    beginning,
    clear_drafts,
    fold,
    guarded,
    settle_files,
)
from tau_stage.take import records as record
from tau_stage.version import __version__

Outcome = record.LineSpoken | record.LineLost | record.SoundPlayed


@dataclass(slots=True)
class _Open:
    """A step that has begun and is not over.

    Attributes:
        start: It.
        at: The sample of the timeline it begins at.
        finished: What has come of its parts.
        missing: Items that are still to be put.
    """

    start: NextStep
    at: int
    finished: list[Outcome] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


class _NoFanOut:
    """Who hears while a take is only recalled."""

    def send_to(self, clip: HeardClip, hearers: Sequence[str], first: str | None) -> None:
        """Let nobody hear."""

    def open_again(self, player: str, session: Session) -> None:
        """Do nothing: nobody is there."""


class JournalReplay:
    """One take, gone through once more.

    Args:
        plan: The scene.
        production: Lays and tells as it did then.
        people: By player.
        sounds: The scene's sound files, by name and gain.
    """

    def __init__(self, plan: Plan, production: Production, people: Mapping[str, Person], sounds: Sounds) -> None:
        self._plan = plan
        self._production = production
        self._former = NO_REUSE
        self._people = people
        self._sounds = sounds
        self._models = {player.name for player in plan.models}
        self._open: dict[int, _Open] = {}
        self._taken: set[str] = set()
        self._over: set[str] = set()

    def go_through(self, former: ReusedLines) -> ReusedLines:
        """Recall it, in silence; afterwards the production stands where the performance has to go on.

        Args:
            former: The lines that are finished, and where they lie.

        Returns:
            Those that are left for later, as their steps are not over.

        Raises:
            LimitReached: The scene was ended by a limit of its own.
            TakeError: A sound is gone, or the folder cannot be written.
        """
        production, playback = self._production, self._production.playback
        journal = list(production.log.journal.records)
        self._former = former
        production.playback, production.log.is_muted = Playback(), True
        try:
            rest = self._recall_all(journal)
        except LimitReached:
            production.timeline.settle()
            raise
        finally:
            production.playback, production.log.is_muted = playback, False
        production.timeline.settle()
        playback.skip_to(production.timeline.end)
        ended = {fact.sound for fact in journal if isinstance(fact, record.BedEnded)}
        sounds = (fact for fact in journal if isinstance(fact, record.SoundPlayed) and fact.sound in self._taken)
        for sound in (sound for sound in sounds if sound.kind == "bed" and sound.sound not in ended):
            playback.begin_bed(sound.stem, self._sounds[sound.source, sound.gain_db].heard, production.timeline.end)
        return rest

    def _recall_all(self, journal: Sequence[record.Record]) -> ReusedLines:
        production = self._production
        production.presence.fan_out = _NoFanOut()
        self._over = {fact.line for fact in journal if isinstance(fact, record.LineLost)} | set(self._former.lines)
        dropped = {fact.line for fact in journal if isinstance(fact, record.LineDropped)}
        played = {fact.sound for fact in journal if isinstance(fact, record.SoundPlayed)} - dropped
        for fact in journal:
            self._reconnector(fact)
        for each in self._open.values():
            production.state = schedule.interrupt(production.state, each.start)
        steps = [each.start.step for each in self._open.values()]
        lines = {name: line for name, line in self._former.lines.items() if name not in self._taken}
        listening = frozenset(step.id for step in steps if isinstance(step, ListenPlan))
        heard = {line.id: line for name in listening for line in self._former.of(name)}
        parts = {part.id for step in steps if isinstance(step, TogetherPlan) for part in step.parts}
        for name in (*lines, *sorted(played - self._taken)):
            if name not in parts:
                production.log.append(record.LineDropped(line=name, problem="the scene does not have it here any more"))
        production.presence.unheard.clear()
        return replace(self._former, lines=lines | heard, broken_off=listening)

    def _reconnector(self, fact: record.Record) -> None:
        production = self._production
        match fact:
            case record.LineBegan() if fact.line in self._over:
                self._found(lambda step: _has_line(step, fact.line))
            case record.LineSpoken() if self._is_the_one(fact):
                if each := self._found(lambda step: _has_line(step, fact.line)):
                    self._finished(each, fact)
            case record.LineLost():
                if each := self._found(lambda step: _has_line(step, fact.line) or _fails_as(step, fact)):
                    self._finished(each, fact)
            case record.SoundPlayed() if fact.sound not in self._taken:
                if each := self._found(lambda step: _has_sound(step, fact.sound)):
                    self._finished(each, fact)
            case record.ItemGiven():
                self._given(fact)
            case record.ListenBegan():
                self._found(lambda step: isinstance(step, ListenPlan) and step.id == fact.step)
            case record.ListenEnded():
                if each := self._found(lambda step: isinstance(step, ListenPlan) and step.id == fact.step):
                    self._closed(each)
            case record.LineMissed():
                production.apply(fact)
            case record.CueStarted():
                if any(cue.id == fact.cue and isinstance(cue.event, SilenceEvent) for cue in self._plan.cues):
                    production.log.append(fact)
                    production.state = schedule.apply(self._plan, production.state, fact)
            case _:
                pass

    def _is_the_one(self, fact: record.LineSpoken) -> bool:
        """Tell whether the line is part of the take as it was said then: it may have been said again since."""
        line = self._former.lines.get(fact.line)
        return line is not None and fact.line not in self._taken and line.sha256 == fact.sha256

    # ---- which step it was

    def _found(self, is_it: Callable[[object], bool]) -> _Open | None:
        """Return the step that something belongs to: one that is open, or the one that starts now."""
        production = self._production
        for each in self._open.values():
            if is_it(each.start.step):
                return each
        while start := schedule.due(production.state):
            if is_it(start.step):
                return self._begin(start)
            if isinstance(start.step, PausePlan):
                self._begin(start)
                production.timeline.pause(start.step.seconds)
            elif isinstance(start.step, ItemPlan) and not self._items(start.step):
                self._begin(start)
            else:
                return None
            self._end(start)
        return None

    def _begin(self, start: NextStep) -> _Open:
        production = self._production
        for step in start.skipped:
            production.log.append(record.StepSkipped(source_line=step.source_line))
        production.state = schedule.began(production.state, start)
        missing = self._items(start.step) if isinstance(start.step, ItemPlan) else []
        each = self._open[start.branch] = _Open(start, production.timeline.next, missing=missing)
        return each

    def _end(self, start: NextStep, turn: Turn | None = None) -> None:
        del self._open[start.branch]
        self._production.state = schedule.ended(self._production.state, start, turn)

    # ---- what it led to

    def _finished(self, each: _Open, fact: Outcome) -> None:
        step = each.start.step
        if isinstance(step, TogetherPlan):
            each.finished.append(fact)
            named = {_name(finished) for finished in each.finished}
            if named >= {part.id for part in step.parts}:
                self._together(each, step)
        elif isinstance(step, ListenPlan):
            self._talked(each, step, fact)
        else:
            self._whisper(each.start)
            self._end(each.start, self._apply(step, fact, each.at))

    def _together(self, each: _Open, step: TogetherPlan) -> None:
        parts = {part.id: part for part in step.parts}
        for finished in each.finished:
            self._apply(parts[_name(finished)], finished, each.at)
        self._production.timeline.go_on(step.pause_s)
        self._end(each.start)

    def _talked(self, each: _Open, step: ListenPlan, fact: Outcome) -> None:
        """Recall a turn at an open microphone; or its failure."""
        if isinstance(fact, record.LineLost) and fact.line == step.id:
            self._lost(fact)
            self._end(each.start)
            return
        assert not isinstance(fact, record.SoundPlayed)  # noqa: S101 - a listen has none
        line = replace(step.line(fact.player), id=fact.line)
        if fact.player == step.person and fact.line in self._former.lines and self._people[step.person].is_live:
            self._people[step.person].skip(fact.line)
        self._production.presence.listening = {step.person: step.player}
        self._apply(line, fact, each.at)
        self._production.presence.listening = {}

    def _closed(self, each: _Open) -> None:
        step = each.start.step
        assert isinstance(step, ListenPlan)  # noqa: S101 - only those are closed
        if not self._people[step.person].is_live:
            self._people[step.person].takes()
        self._end(each.start)

    def _apply(self, step: object, fact: Outcome, at: int) -> Turn | None:
        production = self._production
        if isinstance(fact, record.LineLost):
            return self._lost(fact)
        if isinstance(fact, record.SoundPlayed):
            assert isinstance(step, SoundPlan)  # noqa: S101 - it is its
            self._taken.add(fact.sound)
            production.play(step, self._sounds[step.file, step.gain_db], at)
            return None
        assert isinstance(step, LinePlan)  # noqa: S101 - whatever is said is
        said = self._former.lines[fact.line]
        self._taken.add(fact.line)
        line = production.begin_line(step, fact.number)
        audio = self._former.sound(said)
        if line.player in self._people and not line.improvised:
            self._people[line.player].skip(line.id)
        production.reuse_line(line, audio, fact.offset_samples, said.file, said, self._former)
        return Turn(line.player, said.said, audio.duration_s, said.cost.total or Decimal(0))

    def _lost(self, fact: record.LineLost) -> Turn:
        self._production.skip_line(fact.line, fact.player, fact.problem)
        return Turn(fact.player, "")

    # ---- items

    def _items(self, step: ItemPlan) -> list[tuple[str, str]]:
        """Return what a step gives to whom."""
        given = [*step.words, *((player, f"[{file}]") for player, file in step.sounds)]
        return [(player, words) for player, words in given if player in self._models]

    def _given(self, fact: record.ItemGiven) -> None:
        item = (fact.player, fact.words)
        each = next((each for each in self._open.values() if item in each.missing), None) or self._found(
            lambda step: isinstance(step, ItemPlan) and step.role == fact.role and item in self._items(step)
        )
        if each is None or item not in each.missing:
            return  # whispered before free play
        each.missing.remove(item)
        step = each.start.step
        if each.missing or not isinstance(step, ItemPlan):
            return
        self._tell(step)
        self._end(each.start)

    def _tell(self, step: ItemPlan) -> None:
        for player, words in step.words:
            if player in self._models:
                self._production.log.append(record.ItemGiven(player=player, role=step.role, words=words))
                self._production.history.append(PutItem(player, step.role, words))
        for player, file in step.sounds:
            if player in self._models:
                self._production.log.append(record.ItemGiven(player=player, role="user", words=f"[{file}]"))
                self._production.history.append(PutItem(player, "user", sound=file))

    def _whisper(self, start: NextStep) -> None:
        branch = self._production.state.branches[start.branch]
        step = branch.steps[start.at]
        if isinstance(step, ImprovisePlan) and branch.play is not None and not branch.play.asked:
            self._tell(ItemPlan("system", tuple(step.whispers.items()), step.source_line))


def _name(fact: Outcome) -> str:
    return fact.sound if isinstance(fact, record.SoundPlayed) else fact.line


def _has_line(step: object, line: str) -> bool:
    match step:
        case LinePlan():
            return step.id == line
        case TogetherPlan():
            return any(isinstance(part, LinePlan) and part.id == line for part in step.parts)
        case ListenPlan():
            return line == step.id or line.startswith(f"{step.id}-")
        case _:
            return False


def _has_sound(step: object, sound: str) -> bool:
    parts = step.parts if isinstance(step, TogetherPlan) else (step,)
    return any(isinstance(part, SoundPlan) and part.id == sound for part in parts)


def _fails_as(step: object, fact: record.LineLost) -> bool:
    """Tell whether it is a step without a name that has failed."""
    return not fact.line and isinstance(step, ItemPlan)


OF_THE_BUDGET = "of the budget"
CUT = "the performance was stopped in the middle of it"
MOST_CHANGES = 24
"""Lines of a difference that are shown."""

_NOT_TOLD = {"sha256", "source_line", "path", "endpoint"}
"""What may differ though the scene is the same; it is played where it was played before."""


def scene_changes(journal: Sequence[record.Record], plan: Plan) -> list[str]:
    """List what has changed in a scene since its take was performed, as lines of a difference; none: nothing has."""
    began = beginning(journal)
    if not began.resolved:
        return [] if began.sha256 == plan.sha256 else ["the file is another"]
    before, now = (_facts(text) for text in (began.resolved, plan_json(plan)))
    lines = list(difflib.unified_diff(before, now, "as performed", "as it is", n=2, lineterm=""))
    more = len(lines) - MOST_CHANGES
    return lines if more <= 0 else [*lines[:MOST_CHANGES], f"... and {more} lines more"]


def _facts(plan: str) -> list[str]:
    return json.dumps(_told(json.loads(plan)), indent=1, ensure_ascii=False).splitlines()


def _told(part: object) -> object:
    if isinstance(part, dict):
        return {name: _told(value) for name, value in part.items() if name not in _NOT_TOLD}
    return [_told(value) for value in part] if isinstance(part, list) else part


def resume_record(plan: Plan, began: record.TakeBegan, journal: Journal) -> record.TakeResumed:
    """Make the record that says so.

    Args:
        plan: The scene as it is now.
        began: How the take would begin now.
        journal: As far as it goes.
    """
    now = {name: getattr(began, name) for name in ("sha256", "spent", "deliver", "budget", "roles")}
    is_same = not scene_changes(journal.records, plan)
    return record.TakeResumed(
        tau_stage=__version__,
        started=began.started,
        resolved="" if is_same else began.resolved,
        torn_bytes=journal.torn_bytes,
        **now,
    )


def finished_lines(production: Production, former: ReusedLines) -> ReusedLines:
    """Return what is finished of a take; write down and keep what was cut, to be performed again.

    Args:
        production: The folder is its.
        former: What is taken over from another take: such lines are not performed, and so none of them was cut.

    Raises:
        TakeError: The folder cannot be read or written.
    """
    folder, log = production.folder, production.log
    settle_files(folder, log.journal.records)
    take = fold(log.journal.records)
    lines = {line.id: line for line in take.lines}
    found = ReusedLines(folder, lines)
    for line in take.lines:
        try:
            found.sound(line)
        except TakeError as error:
            log.append(record.LineDropped(line=line.id, problem=error.problem))
            del lines[line.id]
    journal = log.journal.records
    clear_drafts(folder.path / "lines")
    for began in _cut(journal):
        if began.line in former.lines:
            continue
        if ended := _ended(production, journal, began.line):
            production.ended_takes[began.line] = ended
        for call in _calls(journal, began.line):
            key = (call.player, call.line, call.tool, call.arguments)
            production.known_answers.setdefault(key, []).append(call.output)
        takes = next((line.takes for line in production.plan.lines if line.id == began.line), 1)
        for file, usage in _used(folder, journal, began, takes, ended):
            if usage.untold and production.budget.bills(began.player):
                production.budget.charge_estimate(began.line, began.player, usage)
            log.append(
                record.LineAgain(
                    line=began.line,
                    player=began.player,
                    problem=CUT,
                    wait_s=0.0,
                    file=file,
                    interrupted=True,
                    usage=usage,
                    reason="interrupted",
                )
            )
    seconds = tuple((line.id, line.player, line.duration_s) for line in lines.values())
    log.publish(ResumeSummary(seconds, production.budget.spent))
    return found


def restore_spending(budget: Budget, journal: Sequence[record.Record]) -> dict[tuple[str, int], Decimal]:
    """Count what was spent before a take was stopped, and learn from it what lines cost.

    Returns:
        Dollars that were paid for takes of lines, by line and take.
    """
    tools: dict[str, Decimal] = {}
    takes: dict[tuple[str, int], Decimal] = {}
    for fact in journal:
        if isinstance(fact, record.ModelNamed):
            budget.price_as(fact.player, fact.model)
        if not isinstance(fact, PAID) or not budget.bills(fact.player):
            continue
        if isinstance(fact, record.LineAgain | record.LineFailed) and fact.usage.untold:
            budget.charge_estimate(fact.line, fact.player, fact.usage)
            continue
        model = fact.model if isinstance(fact, record.Transcribed) else None
        if model is None:
            budget.is_first_estimate(fact.player, fact.usage)  # it was told of before
        if isinstance(fact, record.LineSpoken) and fact.usage == Usage() and (fact.line, fact.take) in takes:
            cost = takes[fact.line, fact.take]
        else:
            cost = budget.charge(fact.line, fact.player, fact.usage, model)
        if isinstance(fact, record.TakeKept):
            takes[fact.line, fact.take] = cost
        if isinstance(fact, record.ToolTurn):
            tools[fact.line] = tools.get(fact.line, Decimal(0)) + cost
        elif isinstance(fact, record.LineSpoken) and not fact.problem:
            budget.reconcile(fact.line, fact.player, cost + tools.pop(fact.line, Decimal(0)))
    if any(isinstance(fact, record.Warned) and OF_THE_BUDGET in fact.text for fact in journal):
        budget.mark_warned()
    return takes


def _cut(journal: Sequence[record.Record]) -> list[record.LineBegan]:
    """Return the lines that had begun and were not finished."""
    found: dict[str, record.LineBegan] = {}
    for fact in journal:
        if isinstance(fact, record.LineBegan):
            found[fact.line] = fact
        elif _is_over(fact):
            found.pop(fact.line, None)
    return list(found.values())


def _is_over(
    fact: record.Record,
) -> TypeGuard[record.LineSpoken | record.LineLost | record.LineDropped | record.LineAgain]:
    """Tell whether an attempt at a line is over, well or not."""
    if isinstance(fact, record.LineAgain):
        return fact.interrupted
    return isinstance(fact, record.LineSpoken | record.LineLost | record.LineDropped)


def _ended(production: Production, journal: Sequence[record.Record], line: str) -> list[record.TakeKept]:
    """Return the takes of a line that had ended when it was cut; where the sound of one is gone, none is kept.

    Raises:
        TakeError: The folder cannot be read or written.
    """
    found: dict[int, record.TakeKept] = {}
    for fact in journal:
        if isinstance(fact, record.TakeKept) and fact.line == line:
            found[fact.take] = fact
        elif isinstance(fact, record.LineDropped) and fact.line == line:
            found.clear()
    ended = [found[take] for take in sorted(found)]
    for fact in ended:
        if fact.file and not _is_there(production.folder, fact, fact.file):
            problem = f"the sound of take {fact.take} is missing, or is another: {fact.file}"
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


def _used(
    folder: TakeFolder,
    journal: Sequence[record.Record],
    began: record.LineBegan,
    takes: int,
    ended: Sequence[record.TakeKept],
) -> list[tuple[str | None, Usage]]:
    """Return what there is of a line that was cut, file by file, and what it has used that is written down nowhere.

    The takes of it that had ended are no part of that.

    Args:
        folder: The take's.
        journal: As far as it goes.
        began: The beginning of the line.
        takes: How many takes of it are wanted.
        ended: Those that had ended.
    """
    told = {fact.file for fact in journal if isinstance(fact, record.TakeKept) and fact.line == began.line}
    found: list[tuple[str | None, Usage]] = []
    for before, now in _attempts(folder, journal, began, ended):
        was_picked = bool(told) and not re.fullmatch(r".*\.(take-\d+|part)\.wav", before)  # it has the line's name
        is_paid = before in told or was_picked
        found.append((now, Usage() if is_paid else Usage(untold=1)))
    if len(ended) < takes and not any(usage.untold for _, usage in found):
        found.append((None, Usage(untold=1)))  # a request was under way, or is about to be
    return found


def _attempts(
    folder: TakeFolder, journal: Sequence[record.Record], began: record.LineBegan, ended: Sequence[record.TakeKept]
) -> list[tuple[str, str]]:
    """Keep whatever sound there is of a line that was cut, under names of their own: those before and now."""
    known = {fact.file for fact in journal if isinstance(fact, record.LineAgain)} | {fact.file for fact in ended}
    name = re.escape(folder.line(0, began.player, began.line).stem.partition("-")[2])
    shape = re.compile(rf"(\d+)-{name}(\.take-\d+)?(\.part)?\.wav")
    found: list[tuple[str, str]] = []
    with guarded(folder.path / "lines", FULL_DISK):
        for path in sorted((folder.path / "lines").iterdir()):
            match = shape.fullmatch(path.name)
            if match is None or path.relative_to(folder.path).as_posix() in known:
                continue
            try:
                is_heard = bool(read_wav(path))
            except ValueError:
                is_heard = False
            if not is_heard:
                path.unlink()
                continue
            number = 1
            while (kept := folder.line(int(match[1]), began.player, began.line, number)).exists():
                number += 1
            path.rename(kept)
            found.append((path.relative_to(folder.path).as_posix(), kept.relative_to(folder.path).as_posix()))
    return found
