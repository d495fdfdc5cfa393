"""Perform a plan: open sessions, play every step, and leave a take, however it ends."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import anyio

from tau_stage import errors
from tau_stage.cost import expected_cost, expected_usage
from tau_stage.devices import Loudspeaker, Playback
from tau_stage.protocol import UNDERSTUDY
from tau_stage.scene import Plan, PlayerPlan, lines_of, plan_json, sound_warnings
from tau_stage.session import Session
from tau_stage.stage.budget import Budget
from tau_stage.stage.events import EventLog, EventStream
from tau_stage.stage.people import Person, people_of
from tau_stage.stage.production import Production
from tau_stage.stage.replay import JournalReplay, finished_lines, resume_record
from tau_stage.stage.runner import Runner
from tau_stage.stage.scene_tools import check_tool_permission, hide_keys, make_tools
from tau_stage.stage.sessions import Participants, Stage, keys_at, read_sounds
from tau_stage.stage.takes import ChooseTake
from tau_stage.take import (
    COSTS,
    MANIFEST,
    NO_REUSE,
    Journal,
    ReusedLines,
    Take,
    TakeFolder,
    beginning,
    cost_json,
    fold,
    kept,
    locked,
    make_latest,
)
from tau_stage.take import records as record
from tau_stage.version import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformanceOptions:
    """Options of one performance.

    Attributes:
        started: The start time in UTC; by default, now.
        budget: The maximum cost in dollars; by default, the plan's budget.
        allow_tools: Whether tools may run code from the scene's author.
        people: The people in the scene, by player; by default, as the plan specifies.
        watch: Receives every event; the performance never waits for it.
        loudspeaker: Plays all audio except that of people in the room, and sets the pace of the scene.
        former: An earlier take from which lines are reused.
        ask: Lets a person choose among the takes of a line; by default, the closest take is picked.
        again: Whether to resume a stopped take; finished lines are neither performed nor paid for again.
        stop: When set, the current line is finished, everything is closed, and the take is written.

    >>> PerformanceOptions(allow_tools=True).budget is None
    True
    """

    started: datetime | None = None
    budget: Decimal | None = None
    allow_tools: bool = False
    people: Mapping[str, Person] | None = None
    watch: EventStream | None = None
    loudspeaker: Loudspeaker | None = None
    former: ReusedLines = NO_REUSE
    ask: ChooseTake | None = None
    again: bool = False
    stop: anyio.Event | None = None


AS_PLANNED = PerformanceOptions()


async def perform(plan: Plan, stage: Stage, folder: TakeFolder, options: PerformanceOptions = AS_PLANNED) -> Take:
    """Perform a scene once, or resume a stopped take.

    A failed provider, or a line without audio, is recorded in the take and raises no exception: check ``take.ended``
    and ``take.problem``.

    Args:
        plan: The resolved scene.
        stage: The stage that connects the players.
        folder: An empty folder, or that of the take to resume; all files are written here.
        options: The budget, people, observers and other options.

    Raises:
        UsageError: A microphone is missing, an audio file is unreadable, or a tool may not or cannot run.
        TakeError: The folder is not writable.

    >>> from pathlib import Path
    >>> from datetime import UTC, datetime
    >>> from decimal import Decimal
    >>> from tempfile import TemporaryDirectory
    >>> from tau_stage import PerformanceOptions, Take, TakeFolder, load_scene, make_plan, open_stage
    >>> plan = make_plan(load_scene("scenes/hello.yaml"))
    >>> async def perform_cheaply(out: str) -> Take:
    ...     folder = TakeFolder.create(Path(out), plan.slug, datetime.now(UTC), "0a1b2c")
    ...     async with open_stage([plan], environment={}) as stage:
    ...         return await perform(plan, stage, folder, PerformanceOptions(budget=Decimal("0.000001")))
    >>> with TemporaryDirectory() as out:
    ...     anyio.run(perform_cheaply, out).ended
    'budget'
    """
    check_tool_permission(plan, allowed=options.allow_tools)
    people = people_of(plan) if options.people is None else options.people
    sounds = read_sounds(plan)
    with locked(folder.path), hide_keys(plan):
        log = EventLog(Journal(folder.journal, goes_on=options.again), options.watch)
        budget = _budget(plan, stage, log, options.budget)
        playback = Playback(options.loudspeaker)
        keys = keys_at(plan, stage.provider_of)
        production = Production(plan, folder, log, budget, playback, options.stop, keys, again=options.again)
        _tell_the_beginning(production, _began(plan, stage, budget.limit, options), options.former)
        for warning in sound_warnings(plan):
            log.warn_once(warning)
        secrets, report = stage.secrets(plan), production.tool_called
        tools = {each.name: make_tools(plan, each.tools, partial(report, each.name), secrets) for each in plan.models}
        participants = Participants(plan, stage, log, people, tools, sounds)
        return await _to_the_end(partial(_play, production, participants, options), production)


def _tell_the_beginning(production: Production, began: record.TakeBegan, former: ReusedLines) -> None:
    log = production.log
    if before := log.records:
        production.budget.restore(before)
        log.append(resume_record(production.plan, began, log))
        return
    log.append(began)
    for text in (*production.budget.unpriced, *former.warnings):
        log.append(record.Warned(text=text))


async def _play(production: Production, participants: Participants, options: PerformanceOptions) -> None:
    """Replay a take that goes on, open all sessions, tell them what their players know, and perform the steps."""
    is_up = is_played = False
    former = options.former
    if options.again:
        production.folder.forget(MANIFEST, COSTS)
        finished = finished_lines(production, former)
        former = JournalReplay(production, participants).go_through(finished).besides(former)

    async def leave_at_the_stop() -> None:
        await production.stop.wait()
        if not is_up:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(leave_at_the_stop)
        async with AsyncExitStack() as opened:
            is_paid = any(former.needs(player.name) for player in production.plan.models)
            if is_paid and "dollars" in participants.stage.gate.limited:
                reserving = participants.stage.gate.reservation(_foreseen(production, former), production.budget.spent)
                production.reservation = await opened.enter_async_context(reserving)
            await participants.open_all(opened, former)
            production.presence.present = frozenset(participants.sessions)
            if options.again:
                await _restore_contexts(participants, production)
            is_up = True
            await Runner(participants, production, former, options.ask).play()
            is_played = True
        group.cancel_scope.cancel()
    if not is_played:
        raise errors.Stopped


def _foreseen(production: Production, former: ReusedLines) -> Decimal:
    """Estimate the dollars of the lines that are not there yet."""
    done = former.lines.keys() | {fact.line for fact in production.log.records if isinstance(fact, record.LineSpoken)}
    left = expected_usage(production.plan).keys() - done
    return expected_cost(production.plan, left).total or Decimal(0)


async def _restore_contexts(participants: Participants, production: Production) -> None:
    """Tell the new sessions what their players had said and heard, all at once; who falls silent is lost."""

    async def one(player: str, session: Session) -> None:
        try:
            production.presence.record_heard(player, await participants.restore(session, production.history))
        except (errors.SessionClosed, errors.Timeout) as error:
            production.presence.mark_lost(player, error)

    async with anyio.create_task_group() as group:
        for player, session in participants.sessions.items():
            group.start_soon(one, player, session)


_ENDINGS: Mapping[type[errors.StageError], record.Ending] = {
    errors.BudgetExceeded: "budget",
    errors.LimitReached: "limit",
    errors.Stopped: "interrupted",
    errors.SessionError: "failed",
    errors.TakeError: "failed",
}


async def _to_the_end(playing: Callable[[], Awaitable[None]], production: Production) -> Take:
    """Play, and leave the take however it ends."""
    folder, log = production.folder, production.log
    ended: record.Ending = "interrupted"
    problem, silence = "the performance was cancelled", 0
    try:
        with errors.unwrapped():
            await playing()
        ended, problem = ending(production.plan, log.records)
        silence = production.timeline.rest() if ended == "complete" else 0
    except tuple(_ENDINGS) as error:
        ended = next(name for kind, name in _ENDINGS.items() if isinstance(error, kind))
        problem = str(error)
        if isinstance(error, errors.TakeError):
            raise
    except BaseExceptionGroup as several:
        failed, others = several.split(errors.SessionError)
        if others:  # stopped from outside while something failed
            raise errors.lone(others) from None
        ended, problem = "failed", "; ".join(map(str, failed.exceptions if failed else ()))
    finally:
        try:
            try:
                log.disk.wait()
            finally:
                log.disk.forget()
                production.timeline.close()
        except errors.TakeError as error:  # the stems are laid anew when the take is resumed
            ended, problem = "failed", str(error)
            raise
        finally:
            log.append(record.TakeEnded(ended=ended, problem=problem, silence_samples=silence))
            take = _leave(folder, log)
    return take


def _budget(plan: Plan, stage: Stage, log: EventLog, wished: Decimal | None) -> Budget:
    """Return what the take may cost: as wished, or as it was before it was stopped, or as the scene says."""
    limit = plan.budget if wished is None else wished
    if wished is None and (before := log.records):
        limit = beginning(before).budget
    tariffs = {player.name: (player.model, stage.provider_of(player).price_provider) for player in plan.models}
    is_foreseen = limit is not None or {"tokens", "dollars"} & {*stage.gate.limited}
    return Budget(limit, tariffs, expected_usage(plan) if is_foreseen else {})


def _began(plan: Plan, stage: Stage, budget: Decimal | None, options: PerformanceOptions) -> record.TakeBegan:
    started, former = options.started or datetime.now(UTC), options.former
    return record.TakeBegan(
        tau_stage=__version__,
        started=started.isoformat(timespec="seconds"),
        title=plan.title,
        slug=plan.slug,
        path=plan.path,
        sha256=plan.sha256,
        variant=plan.variant,
        given=dict(plan.given),
        overlays=plan.overlays,
        language=plan.language,
        deliver=plan.deliver,
        resolved=plan_json(plan),
        budget=budget,
        former=str(former.folder.path) if former.folder else "",
        retake=former.wish,
        recording=stage.recording,
        spent=any(stage.provider_of(player).name != UNDERSTUDY for player in plan.models),
        roles=tuple(_role(player, stage) for player in plan.players),
    )


def _role(player: PlayerPlan, stage: Stage) -> record.Role:
    if player.human:
        facts = {"voice": "", "model": "", "endpoint": "", "prices": "", "human": player.human}
    else:
        place, voice = stage.provider_of(player), stage.voice_of(player)
        facts = {"voice": voice, "model": player.model, "endpoint": place.name, "prices": place.price_provider}
    return record.Role.model_validate({"name": player.name, "pan": player.pan, **facts})


def _leave(folder: TakeFolder, log: EventLog) -> Take:
    records = log.records
    log.close()
    take = fold(records)
    folder.write(COSTS, cost_json(records))
    folder.write(MANIFEST, take.model_dump_json(indent=2) + "\n")
    if take.ended == "complete":
        make_latest(folder)
    return take


MOST_TOLD = 5  # lines that are told of one by one
NOBODY = "no line was performed"
NO_SOUND = "no line has any audio"


def ending(plan: Plan, journal: Sequence[record.Record]) -> tuple[record.Ending, str]:
    """Tell how a take ends whose scene came to its end, and what is wrong with it."""
    lines = record.of_type(kept(journal), record.LineSpoken)
    if any(line.problem for line in lines):
        return "incomplete", _failures(lines)
    calling = {fact.line for fact in journal if isinstance(fact, record.ToolCalled | record.ToolTurn)}
    if not any(line.said or line.samples or line.line in calling for line in lines):
        return "incomplete", NOBODY
    models = [line for line in lines if not line.human]
    answered = (line.line in calling or _is_written(plan, line) for line in models)
    is_whole = not models or any(line.samples for line in lines) or any(answered)
    return ("complete", "") if is_whole else ("incomplete", NO_SOUND)


def _failures(lines: Sequence[record.LineSpoken]) -> str:
    failed = sorted((line for line in lines if line.problem), key=lambda line: line.number)
    told = [f"line {line.line}, player {line.player}: {line.problem}" for line in failed[:MOST_TOLD]]
    more = [f"and {len(failed) - MOST_TOLD} more"] if len(failed) > MOST_TOLD else []
    count = f"{len(failed)} of {len(lines)} {'line' if len(lines) == 1 else 'lines'} failed"
    return f"{count}: {'; '.join([*told, *more])}"


def _is_written(plan: Plan, line: record.LineSpoken) -> bool:
    """Tell whether a line is to be read, not heard."""
    planned = (each for steps in plan.step_lists for each in lines_of(steps))
    own = next((each.output for each in planned if re.fullmatch(rf"{re.escape(each.id)}(\.\d+)?", line.line)), None)
    return (own or plan.player(line.player).output) == "text"
