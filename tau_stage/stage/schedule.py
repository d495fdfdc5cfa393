"""What may start now. Pure: it neither sleeps nor sends, so it is tested with plain data.

Theory of operation. A performance is a few branches of steps: the scene's own (``MAIN``), and one for every cue that
has started. `due` names the step that may start; the runner performs it. One step is under way at a time; beside an
open microphone, though, the branches of cues go on.

`ScheduleState` never changes. `apply` folds a record of the journal into the next one, and nothing else does, but for
`set_silence` while a microphone is open. So a live performance and the replay of its journal come to the same state:

- ``StepBegan`` begins the step that is due. Outcomes (a line, a sound, an item) belong to the step under way.
  ``StepEnded`` ends it, once all of its lines and sounds are there.
- What is said, called or fails makes cues wait in ``pending``. ``CueStarted`` starts one that waits.
- ``TakeResumed`` breaks off what was under way. Such a step begins anew, with what has come of it.

A record that belongs to nothing under way leaves the state as it is: the scene has changed since, or a line before it
is gone. Whether hearers were sent what was said is no part of the state: the runner waits for the `speakers_of` a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, cast

from tau_stage import scene
from tau_stage.errors import LimitReached
from tau_stage.take import records as record
from tau_stage.text import is_found

MAIN = ""
"""The branch of the scene's own steps; that of a cue has its id, and from its second start on which it is."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that cues may wait for: a player has called a tool, said words, or failed."""

    kind: Literal["call", "said", "error"]
    player: str
    what: str = ""


KINDS: Mapping[type, str] = {scene.CallEvent: "call", scene.SpeechEvent: "said", scene.FailureEvent: "error"}
"""The triggers that may start what waits for an event."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A list of steps on its way.

    Attributes:
        at: Which is next, or under way.
        step: As it was performed, where it is under way or was broken off; a turn of an improvisation is a line.
        came: What has come of it, by the ids of its parts.
        suffix: Ends the ids of its lines: a cue may start more than once.
        play: How far improvisation has come, where it is under way.
        event: What has started it, where a cue has.
        is_cut: Whether the line that was performed last is cut by the next one, which comes before anything else.
    """

    steps: tuple[scene.Step, ...]
    at: int = 0
    running: bool = False
    step: scene.Step | None = None
    came: Mapping[str, record.Record] = field(default_factory=dict)
    suffix: str = ""
    play: ImproviseState | None = None
    event: scene.Event | None = None
    is_cut: bool = False

    @property
    def listens(self) -> bool:
        """Whether a microphone is open."""
        return self.running and isinstance(self.step, scene.ListenPlan)

    @property
    def comes_first(self) -> bool:
        """Whether it goes on before any other: its next line cuts into the last, or a step was broken off."""
        return self.is_cut or not (self.step is None or isinstance(self.step, scene.ListenPlan))


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How far a performance has come.

    Attributes:
        branches: By name, in the order of their start; ``MAIN`` is the scene's own.
        met: Conditions of steps that have come true.
        pending: Cues that wait to be started, and the line that led to it, if one has.
        started: How often each cue has started.
        quiet_since: When the last sound ended at an open microphone; None while there is sound, or no microphone.
        hushed: Cues that this silence has started.
    """

    branches: Mapping[str, Branch]
    last: Turn | None = None
    met: frozenset[scene.Condition] = frozenset()
    pending: tuple[tuple[str, str], ...] = ()
    started: Mapping[str, int] = field(default_factory=dict)
    quiet_since: float | None = None
    hushed: frozenset[str] = frozenset()

    @property
    def listens(self) -> bool:
        """Whether a microphone is open."""
        return any(branch.listens for branch in self.branches.values())


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step that may start now, what is left out before it, and what has come of it where it was broken off."""

    branch: str
    at: int
    step: scene.Step
    skipped: tuple[scene.Step, ...] = ()
    came: Mapping[str, record.Record] = field(default_factory=dict)

    def began(self) -> record.StepBegan:
        """Say that it begins."""
        return record.StepBegan(branch=self.branch, step=step_name(self.step))

    def ended(self, dollars: Decimal = Decimal(0)) -> record.StepEnded:
        """Say that it has ended, and what it has cost."""
        return record.StepEnded(branch=self.branch, step=step_name(self.step), dollars=dollars)


def step_name(step: scene.Step) -> str:
    """Name a step for the journal: by the ids of its parts, or by what it does.

    >>> step_name(scene.PausePlan(1.0, 1))
    'pause'
    """
    match step:
        case scene.TogetherPlan():
            return "+".join(part.id for part in step.parts)
        case scene.PausePlan():
            return "pause"
        case scene.ItemPlan():
            return "; ".join(item_name(step.role, *given) for given in (*step.words, *step.sounds))
        case _:
            return step.id


def item_name(role: str, player: str, words: str) -> str:
    """Name an item that is put into a player's conversation; a sound file, by its name."""
    return f"{role} {player}: {words}"


def initial_state(plan: scene.Plan) -> ScheduleState:
    """Return the state in which a performance begins."""
    return ScheduleState({MAIN: Branch(plan.steps)})


def due(state: ScheduleState) -> NextStep | None:
    """Find the step that may start; None while one must wait, or at the end.

    A step starts when the one before it is done. What was broken off goes first, then cues.
    """
    branches = state.branches
    if any(branch.running and not branch.listens for branch in branches.values()):
        return None
    for name in sorted(branches, key=lambda name: (not branches[name].comes_first, name == MAIN)):
        if branches[name].running or (name == MAIN and state.listens):
            continue  # a microphone is open there, or a cue's is
        if start := _next(name, branches[name], state):
            is_busy = state.listens and isinstance(start.step, scene.ListenPlan)
            return None if is_busy else start
    return None


def cues_pending(state: ScheduleState) -> bool:
    """Tell whether something goes on, or is left to do, beside an open microphone."""
    cued = [branch for name, branch in state.branches.items() if name != MAIN and not branch.listens]
    return any(branch.running or branch.at < len(branch.steps) for branch in cued)


def is_over(state: ScheduleState) -> bool:
    """Tell whether nothing is under way and nothing is left."""
    idle = not any(branch.running for branch in state.branches.values())
    return idle and not any(_next(name, branch, state) for name, branch in state.branches.items())


def _next(name: str, branch: Branch, state: ScheduleState) -> NextStep | None:
    """Return the next step of a branch that is not left out, or the one that was broken off; None at its end."""
    if branch.step is not None:
        return NextStep(name, branch.at, branch.step, came=branch.came)
    skipped: list[scene.Step] = []
    play = branch.play
    for at in range(branch.at, len(branch.steps)):
        step = branch.steps[at]
        if isinstance(step, scene.TogetherPlan):
            step = replace(step, parts=tuple(part for part in step.parts if _holds(part.when, state)))
        if play is None and not (_holds(step.when, state) and getattr(step, "parts", True)):
            skipped.append(step)
            continue
        if not isinstance(step, scene.ImprovisePlan):
            return NextStep(name, at, _suffixed(_whole(step, branch, at, state), branch), tuple(skipped))
        turn = next_turn(step, play or ImproviseState(), state.last)
        play = None
        if turn is not None:
            return NextStep(name, at, _suffixed(turn, branch), tuple(skipped))
    return None


def _whole(step: scene.Step, branch: Branch, at: int, state: ScheduleState) -> scene.Step:
    """Return a line that nobody cuts after all, as the one who would is left out."""
    if not isinstance(step, scene.LinePlan) or step.cut is None:
        return step
    cutter = next((other for other in branch.steps[at + 1 :] if isinstance(other, scene.LinePlan)), None)
    return step if cutter is not None and _holds(cutter.when, state) else replace(step, cut=None)


def _suffixed(step: scene.Step, branch: Branch) -> scene.Step:
    """Return a step whose lines have ids of their own, where a cue has started before; and what refers to them."""
    suffix = branch.suffix
    if not suffix:
        return step
    own: dict[str | None, str] = {line.id: line.id + suffix for line in scene.lines_of(branch.steps)}
    match step:
        case scene.TogetherPlan():
            parts = tuple(_suffixed(part, branch) for part in step.parts)
            return replace(step, parts=cast("tuple[scene.LinePlan | scene.SoundPlan, ...]", parts))
        case scene.LinePlan():
            cut = step.cut and replace(step.cut, by=step.cut.by + suffix)
            return replace(step, id=step.id + suffix, cut=cut, cuts=own.get(step.cuts))
        case scene.SoundPlan():
            return replace(step, id=step.id + suffix, until=own.get(step.until, step.until))
        case scene.ListenPlan() | scene.ChapterPlan():
            return replace(step, id=step.id + suffix)
    return step


def _holds(condition: scene.Condition | None, state: ScheduleState) -> bool:
    if condition is None:
        return True
    if isinstance(condition, scene.Not):
        return condition.condition not in state.met
    return condition in state.met


def speakers_of(step: scene.Step) -> tuple[str, ...]:
    """Return who speaks in a step, or listens: they must be sent everything said before it. Others may catch up."""
    if isinstance(step, scene.TogetherPlan):
        return tuple(part.player for part in step.parts if isinstance(part, scene.LinePlan))
    return (step.player,) if isinstance(step, scene.LinePlan | scene.ListenPlan) else ()


# ---- what changes it


def apply(plan: scene.Plan, state: ScheduleState, fact: record.Record) -> ScheduleState:
    """Fold a record of the journal into the state; most change nothing. ``LimitReached`` ends what has no end."""
    match fact:
        case record.StepBegan():
            return _begun(state, fact)
        case record.CueStarted():
            return _started(plan, state, fact)
        case record.TakeResumed():
            branches = {name: replace(branch, running=False) for name, branch in state.branches.items()}
            return replace(state, branches=branches, quiet_since=None)
        case record.LineMissed():
            return _react(plan, state, fact, Trigger("error", fact.hearer))
        case _:
            found = part_under_way(state, fact)
            return state if found is None else _outcome(plan, state, found[0], fact)


def _begun(state: ScheduleState, fact: record.StepBegan) -> ScheduleState:
    """Begin the step that is due; pauses and chapters that the scene has in addition are passed over, cues as well."""
    passed = state
    while start := due(passed):
        begun = _with(passed, start.branch, _begin(passed.branches[start.branch], start))
        if (start.branch, step_name(start.step)) == (fact.branch, fact.step):
            return replace(begun, pending=())
        if not isinstance(start.step, scene.PausePlan | scene.ChapterPlan):
            break
        passed = _ended(begun, start.ended())
    return state


def _begin(branch: Branch, start: NextStep) -> Branch:
    play = branch.play if branch.at == start.at else None
    if isinstance(branch.steps[start.at], scene.ImprovisePlan) and play is None:
        play = ImproviseState()
    return replace(branch, at=start.at, running=True, step=start.step, came=start.came, play=play)


def _outcome(plan: scene.Plan, state: ScheduleState, name: str, fact: record.Record) -> ScheduleState:
    """Fold in what came of the step under way in a branch."""
    branch = state.branches[name]
    if isinstance(fact, record.StepEnded):
        return _ended(state, fact)
    if not isinstance(fact, record.ToolBegan | record.ToolCalled):
        state = _with(state, name, replace(branch, came={**branch.came, key_of(fact): fact}))
    if isinstance(fact, record.LineSpoken):
        state = replace(state, last=Turn(fact.player, fact.said))
    return _react(plan, state, fact, *_triggers(fact))


def _triggers(fact: record.Record) -> Iterator[Trigger]:
    """Yield what cues and conditions may wait for."""
    match fact:
        case record.ToolBegan():
            yield Trigger("call", fact.player, fact.tool)
        case record.ToolCalled(failed=True) | record.LineLost():
            yield Trigger("error", fact.player)
        case record.LineSpoken():
            yield from [Trigger("said", fact.player, fact.said)] if fact.said else ()
            yield from [Trigger("error", fact.player)] if fact.problem else ()


def key_of(fact: record.Record) -> str:
    """Return what a step's outcome is known by: the id of a part, or what was put into whose conversation."""
    if isinstance(fact, record.ItemGiven):
        return item_name(fact.role, fact.player, fact.sound or fact.words)
    told = vars(fact)  # to ask pydantic for a field that a record has not is slow
    return next(str(told[name]) for name in ("line", "sound", "chapter", "step") if name in told)


def turns_at(state: ScheduleState, step: scene.ListenPlan) -> list[record.LineSpoken]:
    """Return what was said at an open microphone, by the person and the player."""
    came = next((branch.came for branch in state.branches.values() if branch.step == step), {})
    return record.of_type(came.values(), record.LineSpoken)


OUTCOMES = (
    record.LineSpoken
    | record.LineLost
    | record.SoundPlayed
    | record.ChapterBegan
    | record.ItemGiven
    | record.ToolBegan
    | record.ToolCalled
    | record.ListenEnded
    | record.StepEnded
)


def part_under_way(state: ScheduleState, fact: record.Record) -> tuple[str, scene.Step] | None:
    """Find the step under way, or the part of it, to which an outcome belongs; and its branch.

    A turn at an open microphone is a line of its own. ``StepEnded`` belongs to no step of which something is missing.
    """
    if not isinstance(fact, OUTCOMES):
        return None
    running = ((name, branch, branch.step) for name, branch in state.branches.items() if branch.running)
    found = ((name, _part(name, branch, step, fact)) for name, branch, step in running if step is not None)
    return next(((name, part) for name, part in found if part is not None), None)


def _part(name: str, branch: Branch, step: scene.Step, fact: record.Record) -> scene.Step | None:
    parts = {getattr(part, "id", ""): part for part in getattr(step, "parts", (step,))}
    if isinstance(fact, record.StepEnded):
        marked = scene.LinePlan | scene.SoundPlan | scene.ChapterPlan
        whole = {key for key, part in parts.items() if isinstance(part, marked)}
        missing = whole - branch.came.keys()
        return step if (name, step_name(step), set()) == (fact.branch, fact.step, missing) else None
    if isinstance(fact, record.ItemGiven):
        return step if isinstance(step, scene.ItemPlan) or branch.play is not None else None
    player = vars(fact).get("player", "")
    if isinstance(step, scene.ListenPlan) and player in step.hearers and key_of(fact).startswith(f"{step.id}-"):
        return scene.unwritten_line(step, player, key_of(fact))
    return parts.get(key_of(fact))


def _ended(state: ScheduleState, fact: record.StepEnded) -> ScheduleState:
    """End a step; where it was a turn of an improvisation, with what it came to."""
    branch = state.branches[fact.branch]
    over = replace(branch, running=False, step=None, came={})
    if branch.play is not None and isinstance(branch.step, scene.LinePlan):
        came = branch.came[branch.step.id]
        turn = Turn(branch.step.player, "")
        if isinstance(came, record.LineSpoken):
            turn = Turn(came.player, came.said, came.samples / came.rate, fact.dollars)
        return _with(state, fact.branch, replace(over, play=branch.play.after(turn)))
    is_cut = isinstance(branch.step, scene.LinePlan) and branch.step.cut is not None
    return _with(state, fact.branch, replace(over, at=branch.at + 1, play=None, is_cut=is_cut))


def _with(state: ScheduleState, name: str, branch: Branch) -> ScheduleState:
    branches = {**state.branches, name: branch}
    if name != MAIN and not branch.running and branch.at >= len(branch.steps):
        del branches[name]
    return replace(state, branches=branches)


def _react(plan: scene.Plan, state: ScheduleState, fact: record.Record, *news: Trigger) -> ScheduleState:
    """Note what has happened, in a line or in none: conditions come true, and cues wait to be started."""
    line = "" if isinstance(fact, record.LineMissed) else str(vars(fact).get("line", ""))
    for each in news:
        met = {condition for condition, place in _conditions(plan).items() if _matches(condition, each, place)}
        cues = [cue for cue in plan.cues if _matches(cue.event, each, cue.source_line) and _may_start(cue, state)]
        pending = (*state.pending, *((cue.id, line) for cue in cues))
        state = replace(state, met=state.met | met, pending=pending)
    return state


def _may_start(cue: scene.CuePlan, state: ScheduleState) -> bool:
    waiting = sum(name == cue.id for name, _ in state.pending)
    return cue.times is None or state.started.get(cue.id, 0) + waiting < cue.times


def next_cue(plan: scene.Plan, state: ScheduleState) -> record.CueStarted | None:
    """Return the start of the cue that has waited longest; None where none waits."""
    if not state.pending:
        return None
    name, line = state.pending[0]
    cue = next(cue for cue in plan.cues if cue.id == name)
    return record.CueStarted(cue=name, source_line=cue.source_line, line=line)


def _started(plan: scene.Plan, state: ScheduleState, fact: record.CueStarted) -> ScheduleState:
    """Start a cue that waits, or that a silence at an open microphone has started."""
    cue = next((cue for cue in plan.cues if cue.id == fact.cue), None)
    if cue is None:
        return state
    waiting = next((each for each in state.pending if each[0] == cue.id), None)
    is_quiet = isinstance(cue.event, scene.SilenceEvent) and state.listens
    if waiting is None and not is_quiet:
        return state
    pending = list(state.pending)
    if waiting:
        pending.remove(waiting)
    if sum(state.started.values()) >= plan.most_cues:
        what = f"{plan.path}:{cue.source_line}: the cue would start again"
        raise LimitReached(what, f"limits.cues is {plan.most_cues}")
    return _with_branch(replace(state, pending=tuple(pending)), cue)


def _with_branch(state: ScheduleState, cue: scene.CuePlan) -> ScheduleState:
    times = state.started.get(cue.id, 0) + 1
    suffix = f".{times}" if times > 1 else ""
    return replace(
        state,
        branches={**state.branches, cue.id + suffix: Branch(cue.steps, suffix=suffix, event=cue.event)},
        started={**state.started, cue.id: times},
        hushed=state.hushed | {cue.id},
    )


def is_awaited(plan: scene.Plan, news: Trigger) -> bool:
    """Tell whether a cue waits for something like this."""
    return any(_matches(cue.event, news, cue.source_line) for cue in plan.cues)


def cues_of_silence(plan: scene.Plan, state: ScheduleState, now: float) -> list[record.CueStarted]:
    """Return the starts of the cues that have waited long enough for a silence."""
    cues = (cue for cue in plan.cues if (wake := _wakes(cue, state)) is not None and wake <= now)
    return [record.CueStarted(cue=cue.id, source_line=cue.source_line) for cue in cues]


def set_silence(state: ScheduleState, since: float | None) -> ScheduleState:
    """Note that a silence has begun at the open microphone, or has ended."""
    return state if since == state.quiet_since else replace(state, quiet_since=since, hushed=frozenset())


def wakes_at(plan: scene.Plan, state: ScheduleState) -> float | None:
    """Tell when to look again though nothing happens; None where there is no need."""
    return min((wake for cue in plan.cues if (wake := _wakes(cue, state)) is not None), default=None)


def _wakes(cue: scene.CuePlan, state: ScheduleState) -> float | None:
    is_over = cue.id in state.hushed or not _may_start(cue, state)
    if state.quiet_since is None or is_over or not isinstance(cue.event, scene.SilenceEvent):
        return None
    return state.quiet_since + cue.event.for_s


def _matches(condition: scene.Condition | scene.SilenceEvent, news: Trigger, line: int) -> bool:
    """Tell whether a condition, which stands at a line of the scene, has come true."""
    if KINDS.get(type(condition)) != news.kind or getattr(condition, "player", None) not in (None, news.player):
        return False
    match condition:
        case scene.CallEvent():
            return condition.tool in (None, news.what)
        case scene.SpeechEvent():
            return is_found(condition.words, news.what, line=line)
    return True


def _conditions(plan: scene.Plan) -> dict[scene.Condition, int]:
    """Return what steps depend on, and the line of the first that does; a negation is looked at from the other side."""
    found: dict[scene.Condition, int] = {}
    for steps in plan.step_lists:
        for step in steps:
            for part in (step, *getattr(step, "parts", ())):
                if part.when is not None:
                    found.setdefault(getattr(part.when, "condition", part.when), part.source_line)
    return found


def _next_in_turn(step: scene.ImprovisePlan, speaker: str) -> tuple[str, ...]:
    order = step.players if isinstance(step.order, str) else step.order
    after = order[order.index(speaker) + 1 :] + order if speaker in order else order
    return next(((name,) for name in after if name != speaker), ())


def next_speakers(state: ScheduleState, start: NextStep) -> tuple[str, ...]:
    """Return who speaks after a step, as far as that is known: those who must hear it first."""
    branch = state.branches.get(start.branch)
    if branch is None:
        return ()
    here = branch.steps[start.at]
    if isinstance(here, scene.ImprovisePlan):
        return _next_in_turn(here, start.step.player if isinstance(start.step, scene.LinePlan) else "")
    for step in branch.steps[start.at + 1 :]:
        if speakers := step.players[:1] if isinstance(step, scene.ImprovisePlan) else speakers_of(step):
            return speakers
    return ()


def awaits_failure(plan: scene.Plan, player: str) -> bool:
    """Tell whether a cue or a condition waits for something to go wrong with a player."""
    conditions = (*_conditions(plan), *(cue.event for cue in plan.cues))
    return any(isinstance(each, scene.FailureEvent) and each.player in (None, player) for each in conditions)


NO_NAMES = frozenset(("and", "for", "from", "the", "with", "das", "der", "die", "und", "von", "les"))
"""Words that stand in many names and call nobody; those of one or two letters never do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said, in how many seconds and for how many dollars; without words, the player passed."""

    player: str
    words: str
    seconds: float = 0.0
    dollars: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ImproviseState:
    """How far improvisation has come: turns that were offered, taken, and passed in a row; and what they came to."""

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


def next_turn(step: scene.ImprovisePlan, play: ImproviseState, before: Turn | None = None) -> scene.LinePlan | None:
    """Return the next turn of an improvisation as a line, by who was heard last before it; None when it is over."""
    if _is_over(step, play):
        return None
    return scene.unwritten_line(step, _player(step, play, before), f"{step.id}-{play.asked + 1}")


def _is_over(step: scene.ImprovisePlan, play: ImproviseState) -> bool:
    reached = (
        step.turns is not None and play.turns >= step.turns,
        step.for_s is not None and play.seconds >= step.for_s,
        step.words is not None and play.words >= step.words,
        step.budget is not None and play.dollars >= step.budget,
        play.passes >= len(step.players),
    )
    said = play.last.words if play.last else ""
    return any(reached) or bool(step.until and is_found(step.until, said, line=step.source_line))


def _player(step: scene.ImprovisePlan, play: ImproviseState, said_before: Turn | None) -> str:
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
        words = {word for word in re.findall(r"\w+", name) if len(word) > 2 and word.casefold() not in NO_NAMES}
        for part in {name, *words}:
            places = re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", turn.words, re.IGNORECASE)
            found += [(place.end(), part == name, len(part), name) for place in places]
    return max(found, key=lambda each: each[:3])[-1] if found else None
