"""What may start now. Pure: it neither sleeps nor sends, so it is tested with plain data.

Theory of operation. A performance is a few branches of steps: the scene's own (``MAIN``), and one for every cue that
has started. `due` names the step that may start; the runner performs it. One step is under way at a time; beside an
open microphone, though, the branches of cues go on.

`ScheduleState` never changes; three kinds of things lead from one to the next:

- Steps: `began`, `ended`, and `interrupt` for one that a stop has cut and that begins anew.
- Records of the journal: `apply` folds each into the state. What was said, what failed, and which cue a silence has
  started are told by records, so a live performance and the replay of its journal come to the same state.
- What no record tells in time: `react` to a tool that is called (its record follows when the tool has answered), and
  `set_silence` while a microphone is open.

Whether hearers have acknowledged what they were sent is no part of the state: `due` is given it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from tau_stage.errors import LimitReached
from tau_stage.scene import (
    CallEvent,
    Condition,
    CuePlan,
    Event,
    FailureEvent,
    ImprovisePlan,
    LinePlan,
    ListenPlan,
    Not,
    Plan,
    SilenceEvent,
    SoundPlan,
    SpeechEvent,
    Step,
    TogetherPlan,
    lines_of,
)
from tau_stage.take import CueStarted, LineLost, LineMissed, LineSpoken, Record, ToolCalled
from tau_stage.text import is_found

MAIN = 0
"""The branch of the scene's own steps."""

NOTHING_UNHEARD: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that cues may wait for.

    Attributes:
        kind: A tool was called, something was said, or something failed.
        player: Who.
        tool: The tool's name.
        words: What was said.
    """

    kind: Literal["call", "said", "error"]
    player: str
    tool: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A list of steps on its way.

    Attributes:
        steps: In order.
        at: Which is next, or under way.
        running: Whether one is under way.
        suffix: Ends the ids of its lines: a cue may start more than once.
        play: How far free play has come, where it is under way.
        event: What has started it, where a cue has.
        is_cut: Whether the line that was performed last is cut by the next one, which comes before anything else.
    """

    steps: tuple[Step, ...]
    at: int = 0
    running: bool = False
    suffix: str = ""
    play: ImproviseState | None = None
    event: Event | None = None
    is_cut: bool = False

    @property
    def listens(self) -> bool:
        """Whether a microphone is open."""
        return self.running and isinstance(self.steps[self.at], ListenPlan)


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How far a performance has come.

    Attributes:
        branches: By number; ``MAIN`` is the scene's own.
        last: What was said last.
        met: Conditions of steps that have come true.
        started: How often each cue has started.
        quiet_since: When the last sound ended at an open microphone; None while there is sound, or no microphone.
        hushed: Cues that this silence has started.
    """

    branches: Mapping[int, Branch]
    last: Turn | None = None
    met: frozenset[Condition] = frozenset()
    started: Mapping[str, int] = field(default_factory=dict)
    quiet_since: float | None = None
    hushed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step that may start now.

    Attributes:
        branch: Whose it is.
        at: Its place there.
        step: What to perform; a turn of free play is a line.
        skipped: Steps before it that are left out, as what they depend on has not come true.
    """

    branch: int
    at: int
    step: Step
    skipped: tuple[Step, ...] = ()


def initial_state(plan: Plan) -> ScheduleState:
    """Return the state in which a performance begins."""
    return ScheduleState({MAIN: Branch(plan.steps)})


def due(state: ScheduleState, unheard: Mapping[str, int] = NOTHING_UNHEARD) -> NextStep | None:
    """Find the step that may start now; None while one must wait, or at the end.

    A step starts when the one before it is done; a line, moreover, when its player has heard everything said before.
    The other players may still be catching up. Cues go first.

    Args:
        state: How far the performance has come.
        unheard: How many clips each player was sent and has not acknowledged.
    """
    branches = state.branches
    if any(branch.running and not branch.listens for branch in branches.values()):
        return None
    for number in sorted(branches, key=lambda number: (not branches[number].is_cut, number == MAIN, number)):
        branch = branches[number]
        if number == MAIN and any(other.listens for other in branches.values()):
            continue  # a cue's microphone is open
        if not branch.running and (start := _next(number, branch, state)):
            return start if _is_ready(start.step, state, unheard) else None
    return None


def cues_pending(state: ScheduleState) -> bool:
    """Tell whether something goes on, or is left to do, beside an open microphone."""
    cued = [branch for number, branch in state.branches.items() if number != MAIN and not branch.listens]
    return any(branch.running or branch.at < len(branch.steps) for branch in cued)


def is_over(state: ScheduleState) -> bool:
    """Tell whether nothing is under way and nothing is left."""
    idle = not any(branch.running for branch in state.branches.values())
    return idle and not any(_next(number, branch, state) for number, branch in state.branches.items())


def _next(number: int, branch: Branch, state: ScheduleState) -> NextStep | None:
    """Return the next step of a branch that is not left out; None at its end."""
    skipped: list[Step] = []
    play = branch.play
    for at in range(branch.at, len(branch.steps)):
        step = branch.steps[at]
        if isinstance(step, TogetherPlan):
            step = replace(step, parts=tuple(part for part in step.parts if _holds(part.when, state)))
        if play is None and not (_holds(step.when, state) and getattr(step, "parts", True)):
            skipped.append(step)
            continue
        if not isinstance(step, ImprovisePlan):
            return NextStep(number, at, _suffixed(_whole(step, branch, at, state), branch), tuple(skipped))
        turn = next_turn(step, play or ImproviseState(), state.last)
        play = None
        if turn is not None:
            return NextStep(number, at, _suffixed(turn, branch), tuple(skipped))
    return None


def _whole(step: Step, branch: Branch, at: int, state: ScheduleState) -> Step:
    """Return a line that nobody cuts after all, as the one who would is left out."""
    if not isinstance(step, LinePlan) or step.cut is None:
        return step
    cutter = next((other for other in branch.steps[at + 1 :] if isinstance(other, LinePlan)), None)
    return step if cutter is not None and _holds(cutter.when, state) else replace(step, cut=None)


def _suffixed(step: Step, branch: Branch) -> Step:
    """Return a step whose lines have ids of their own, where a cue has started before; and what refers to them."""
    suffix = branch.suffix
    if not suffix:
        return step
    own = {line.id for line in lines_of(branch.steps)}
    if isinstance(step, TogetherPlan):
        parts = tuple(_suffixed(part, branch) for part in step.parts)
        return replace(step, parts=tuple(part for part in parts if isinstance(part, LinePlan | SoundPlan)))
    if isinstance(step, LinePlan):
        cut = replace(step.cut, by=step.cut.by + suffix) if step.cut else None
        return replace(step, id=step.id + suffix, cut=cut, cuts=step.cuts + suffix if step.cuts else None)
    if isinstance(step, SoundPlan):
        until = f"{step.until}{suffix}" if step.until in own else step.until
        return replace(step, id=step.id + suffix, until=until)
    if isinstance(step, ListenPlan):
        return replace(step, id=step.id + suffix)
    return step


def _holds(condition: Condition | None, state: ScheduleState) -> bool:
    if condition is None:
        return True
    if isinstance(condition, Not):
        return condition.condition not in state.met
    return condition in state.met


def _is_ready(step: Step, state: ScheduleState, unheard: Mapping[str, int]) -> bool:
    match step:
        case LinePlan():
            return not unheard.get(step.player, 0)
        case TogetherPlan():
            return all(_is_ready(part, state, unheard) for part in step.parts)
        case ListenPlan():
            busy = any(branch.listens for branch in state.branches.values())
            return not busy and not unheard.get(step.player, 0)
        case _:
            return True


# ---- what changes it


def began(state: ScheduleState, start: NextStep) -> ScheduleState:
    """Note that a step has begun."""
    branch = state.branches[start.branch]
    play = branch.play if branch.at == start.at else None
    if isinstance(branch.steps[start.at], ImprovisePlan) and play is None:
        play = ImproviseState()
    return _with(state, start.branch, replace(branch, at=start.at, running=True, play=play))


def ended(state: ScheduleState, start: NextStep, turn: Turn | None = None) -> ScheduleState:
    """Note that a step has ended; a turn of free play, with what it came to."""
    branch = state.branches[start.branch]
    if branch.play is not None and turn is not None:
        return _with(state, start.branch, replace(branch, running=False, play=branch.play.after(turn)))
    is_cut = isinstance(start.step, LinePlan) and start.step.cut is not None
    return _with(state, start.branch, replace(branch, at=start.at + 1, running=False, play=None, is_cut=is_cut))


def _with(state: ScheduleState, number: int, branch: Branch) -> ScheduleState:
    branches = {**state.branches, number: branch}
    if number != MAIN and not branch.running and branch.at >= len(branch.steps):
        del branches[number]
    return replace(state, branches=branches)


def apply(plan: Plan, state: ScheduleState, fact: Record) -> ScheduleState:
    """Fold a record of the journal into the state; most change nothing.

    Raises:
        LimitReached: Cues have started too often.
    """
    match fact:
        case LineSpoken():
            state = replace(state, last=Turn(fact.player, fact.said))
            if fact.said:
                state = react(plan, state, Trigger("said", fact.player, words=fact.said))
            return react(plan, state, Trigger("error", fact.player)) if fact.problem else state
        case LineLost() | ToolCalled(failed=True):
            return react(plan, state, Trigger("error", fact.player))
        case LineMissed():
            return react(plan, state, Trigger("error", fact.hearer))
        case CueStarted():  # by a silence: no other record tells of it
            cue = next((cue for cue in plan.cues if cue.id == fact.cue), None)
            if cue is None or not isinstance(cue.event, SilenceEvent):
                return state
            return replace(_started(plan, state, cue), hushed=state.hushed | {cue.id})
        case _:
            return state


def react(plan: Plan, state: ScheduleState, news: Trigger) -> ScheduleState:
    """Note that something has happened: conditions come true, and cues that waited for it start.

    Raises:
        LimitReached: Cues have started too often.
    """
    met = {condition for condition, line in _conditions(plan).items() if _matches(condition, news, line)}
    state = replace(state, met=state.met | met)
    for cue in plan.cues:
        if not isinstance(cue.event, SilenceEvent) and _matches(cue.event, news, cue.source_line):
            state = _started(plan, state, cue)
    return state


def interrupt(state: ScheduleState, start: NextStep) -> ScheduleState:
    """Note that a step that has begun is not under way any more, and begins anew."""
    branch = state.branches[start.branch]
    return _with(state, start.branch, replace(branch, running=False))


def is_awaited(plan: Plan, news: Trigger) -> bool:
    """Tell whether a cue waits for something like this."""
    cues = (cue for cue in plan.cues if not isinstance(cue.event, SilenceEvent))
    return any(_matches(cue.event, news, cue.source_line) for cue in cues)


def cues_of_silence(plan: Plan, state: ScheduleState, now: float) -> list[CuePlan]:
    """Return the cues that have waited long enough for a silence."""
    return [cue for cue in plan.cues if (wake := _wakes(cue, state)) is not None and wake <= now]


def set_silence(state: ScheduleState, since: float | None) -> ScheduleState:
    """Note that a silence has begun at the open microphone, or has ended."""
    return state if since == state.quiet_since else replace(state, quiet_since=since, hushed=frozenset())


def wakes_at(plan: Plan, state: ScheduleState) -> float | None:
    """Tell when to look again though nothing happens; None where there is no need."""
    return min((wake for cue in plan.cues if (wake := _wakes(cue, state)) is not None), default=None)


def _wakes(cue: CuePlan, state: ScheduleState) -> float | None:
    if state.quiet_since is None or not isinstance(cue.event, SilenceEvent) or cue.id in state.hushed:
        return None
    if cue.times is not None and state.started.get(cue.id, 0) >= cue.times:
        return None
    return state.quiet_since + cue.event.for_s


def _started(plan: Plan, state: ScheduleState, cue: CuePlan) -> ScheduleState:
    times = state.started.get(cue.id, 0) + 1
    if cue.times is not None and times > cue.times:
        return state
    if sum(state.started.values()) >= plan.most_cues:
        what = f"{plan.path}:{cue.source_line}: the cue would start once more"
        raise LimitReached(what, f"limits.cues is {plan.most_cues}")
    branch = Branch(cue.steps, suffix=f".{times}" if times > 1 else "", event=cue.event)
    number = max(state.branches) + 1
    return replace(state, branches={**state.branches, number: branch}, started={**state.started, cue.id: times})


def _matches(condition: Condition | SilenceEvent, news: Trigger, line: int) -> bool:
    """Tell whether a condition, which stands at a line of the scene, has come true."""
    if not isinstance(condition, CallEvent | SpeechEvent | FailureEvent) or condition.player not in (None, news.player):
        return False
    if isinstance(condition, CallEvent):
        return news.kind == "call" and condition.tool in (None, news.tool)
    if isinstance(condition, SpeechEvent):
        return news.kind == "said" and is_found(condition.words, news.words, line=line)
    return news.kind == "error"


def _conditions(plan: Plan) -> dict[Condition, int]:
    """Return what steps depend on, and the line of the first that does; a negation is looked at from the other side."""
    found: dict[Condition, int] = {}
    for steps in plan.step_lists:
        for step in steps:
            parts = (step, *step.parts) if isinstance(step, TogetherPlan) else (step,)
            for part in parts:
                if part.when is not None:
                    found.setdefault(part.when.condition if isinstance(part.when, Not) else part.when, part.source_line)
    return found


def next_speaker(state: ScheduleState, start: NextStep) -> str | None:
    """Tell who speaks after a step, as far as that is known: the one who must hear it first."""
    branch = state.branches.get(start.branch)
    if branch is None:
        return None
    here = branch.steps[start.at]
    if isinstance(here, ImprovisePlan):
        order = here.players if isinstance(here.order, str) else here.order
        speaker = start.step.player if isinstance(start.step, LinePlan) else ""
        after = order[order.index(speaker) + 1 :] + order if speaker in order else order
        return next((name for name in after if name != speaker), None)
    for step in branch.steps[start.at + 1 :]:
        if isinstance(step, LinePlan | ListenPlan):
            return step.player
        if isinstance(step, ImprovisePlan):
            return step.players[0]
    return None


NO_NAMES = frozenset(("and", "for", "from", "the", "with", "das", "der", "die", "und", "von", "les"))
"""Words that stand in many names and call nobody; those of one or two letters never do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said.

    Attributes:
        player: Who.
        words: What; empty: the player passed.
        seconds: How long it sounded.
        dollars: What it cost.
    """

    player: str
    words: str
    seconds: float = 0.0
    dollars: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ImproviseState:
    """How far free play has come.

    Attributes:
        asked: Turns that were offered.
        turns: Turns that were taken.
        words: Words spoken.
        seconds: Spoken.
        dollars: Spent.
        passes: Offers in a row that were passed.
        last: The last turn that was offered.
    """

    asked: int = 0
    turns: int = 0
    words: int = 0
    seconds: float = 0.0
    dollars: Decimal = Decimal(0)
    passes: int = 0
    last: Turn | None = None

    def after(self, turn: Turn) -> ImproviseState:
        """Return the play after one more turn."""
        spoke = bool(turn.words.strip())
        return replace(
            self,
            asked=self.asked + 1,
            turns=self.turns + spoke,
            words=self.words + len(turn.words.split()),
            seconds=self.seconds + turn.seconds,
            dollars=self.dollars + turn.dollars,
            passes=0 if spoke else self.passes + 1,
            last=turn,
        )


def next_turn(step: ImprovisePlan, play: ImproviseState, said_before: Turn | None = None) -> LinePlan | None:
    """Return the next turn of free play as a line; None when it is over.

    Args:
        step: The play.
        play: How far it has come.
        said_before: What was said last before it began.
    """
    if _is_over(step, play):
        return None
    player = _player(step, play, said_before)
    return LinePlan(
        number=0,
        id=f"{step.id}-{play.asked + 1}",
        player=player,
        words="",
        direction="",
        prompt="",
        improvised=True,
        hearers=step.hearers[player],
        pause_s=step.pause_s,
        source_line=step.source_line,
    )


def _is_over(step: ImprovisePlan, play: ImproviseState) -> bool:
    reached = (
        step.turns is not None and play.turns >= step.turns,
        step.for_s is not None and play.seconds >= step.for_s,
        step.words is not None and play.words >= step.words,
        step.budget is not None and play.dollars >= step.budget,
        play.passes >= len(step.players),
    )
    said = play.last.words if play.last else ""
    return any(reached) or bool(step.until and is_found(step.until, said, line=step.source_line))


def _player(step: ImprovisePlan, play: ImproviseState, said_before: Turn | None) -> str:
    """Tell whose turn it is; nobody answers itself."""
    last = play.last or said_before
    silent = last.player if last else None
    if step.order == "called" and last and (name := called(step.players, last)):
        return name
    order = step.players if isinstance(step.order, str) else step.order
    if isinstance(step.order, str) and play.last:
        at = order.index(play.last.player) + 1
        return order[at % len(order)]
    at = play.asked % len(order)
    after = step.players.index(silent) + 1 if silent in step.players else 0
    around = (*order[at:], *order[:at], *step.players[after:], *step.players)
    return next(name for name in around if name != silent)


def called(players: tuple[str, ...], turn: Turn) -> str | None:
    """Tell who is addressed by what was said: the player named last in it, other than the one who speaks.

    A part of a name will do, but no "the" or "of"; where two players are meant by the same word, it is the one whose
    whole name it is.

    >>> called(("keeper", "Old Tom", "maid"), Turn("maid", "Keeper, another one! What do you say, Tom?"))
    'Old Tom'
    """
    found: list[tuple[int, bool, int, str]] = []
    for name in players:
        if name == turn.player:
            continue
        for part in {name, *_calling(name)}:
            places = re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", turn.words, re.IGNORECASE)
            found += [(place.end(), part == name, len(part), name) for place in places]
    return max(found, key=lambda each: each[:3])[-1] if found else None


def _calling(name: str) -> list[str]:
    """Return the parts of a name by which its player may be called."""
    return [word for word in re.findall(r"\w+", name) if len(word) > 2 and word.casefold() not in NO_NAMES]
