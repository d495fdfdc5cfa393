"""Perform scenes and deliver their takes: for programs by ``perform_scene``, for the command line by ``run_jobs``."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
from pydantic_core import PydanticCustomError

from tau_stage import stage as stages
from tau_stage.audio import RATE
from tau_stage.clock import STEADY, VIRTUAL, BackendOptions, run_on_clock
from tau_stage.cost import price_library, retirement_warnings
from tau_stage.environment import environment
from tau_stage.errors import CassetteError, UsageError, unwrapped
from tau_stage.protocol import UNDERSTUDY, Endpoint
from tau_stage.publisher import find_booth, is_debugging
from tau_stage.report import Note
from tau_stage.runs.deliver_takes import TAKE_SPOILED, DeliveredTake, deliver, finish, finish_cassette
from tau_stage.runs.stage_publisher import published
from tau_stage.runs.take_plans import Job, open_take, resume_job, retake_job
from tau_stage.scene import Plan, PlayerPlan, Scene, load_scene, make_plan, money
from tau_stage.stage import Event, Person, Stage
from tau_stage.take import OVER, Retake, Take, TakeFolder, Warned, clear_unbegun, fold, read_take
from tau_stage.transport import require_asyncio

if TYPE_CHECKING:
    from tau_stage.devices import SoundCard
    from tau_stage.understudy import LineSpeech

WATCHED_EVENTS = 4096
ABOUT_TO_BEGIN = timedelta(minutes=10)  # how long a folder may be there before its take begins
NAMED_LINES = 5  # lines that one warning names

AnyPath = str | Path
Money = str | float | Decimal  # dollars: ``"$0.50"``, or a number


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Options for performing scenes.

    Attributes:
        endpoint: Overrides the scene's endpoint: a name, or a ``ws://`` or ``wss://`` URL.
        live: Whether to reject the understudy.
        allow_tools: Whether tools may run code from the scene's author.
        stand_in: Whether recordings play instead of people.
        aloud: Whether to play the scene on the loudspeaker; None plays it if a person uses a microphone.
        record: The folder of cassettes in which the conversation with the providers is recorded.
        replay: The folder of cassettes from which the scene is performed, without a provider.
        debug: Whether the booth shows the performance; None follows ``TAU_DEBUG``. A replay is never shown.

    >>> RunOptions(endpoint="openai", live=True).replay is None
    True
    """

    endpoint: str | None = None
    live: bool = False
    allow_tools: bool = False
    stand_in: bool = False
    aloud: bool | None = False
    record: Path | None = None
    replay: Path | None = None
    debug: bool | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the booth shows the performance."""
        return not self.replay and is_debugging(self.debug)

    @property
    def clock(self) -> BackendOptions:
        """The ``backend_options`` for ``anyio.run``: recordings count whole milliseconds, and replays do not wait."""
        return VIRTUAL if self.replay else STEADY if self.record else {}


DEFAULTS = RunOptions()


class RunObserver:
    """Is shown what happens in a run; this one shows it to nobody."""

    def show(self, plan: Plan, event: Event) -> None:
        """Show an event of a performance."""

    def making(self, plan: Plan, what: str) -> None:
        """Show what is being made of a take after its last line; empty: all is made."""

    def warn(self, text: str) -> None:
        """Show what a user should know besides."""


@dataclass(frozen=True, slots=True)
class _EventCallback(RunObserver):
    """Calls a program's function with each event, and with each warning as one."""

    plan: Plan
    call: Callable[[Event], object]

    def show(self, plan: Plan, event: Event) -> None:  # noqa: ARG002 - there is one plan
        self.call(event)

    def warn(self, text: str) -> None:
        self.call(Warned(text=text))


@dataclass(frozen=True, slots=True)
class PerformedTake:
    """A take that is performed, and not yet delivered; ``lost`` says why no cassette was left."""

    plan: Plan
    folder: TakeFolder
    take: Take
    lost: CassetteError | None = None
    is_resumed: bool = False

    def deliver(self, note: Note) -> DeliveredTake:
        """Deliver it; a ``TakeError`` says that a file of the take is missing, or one cannot be written."""
        delivered = deliver(self.plan, self.folder, self.take, note=note)
        if self.is_resumed:
            return replace(delivered, problems=(*delivered.problems, *finish_cassette(self.folder)))
        if self.lost is None:
            return delivered
        code = max(delivered.exit_code, TAKE_SPOILED)
        return replace(delivered, problems=(*delivered.problems, str(self.lost)), exit_code=code)


@dataclass(frozen=True, slots=True)
class _Deliveries:
    """Delivers takes, one at a time: in a thread beside what is performed, or at once where time jumps anyway."""

    deliver: Callable[[PerformedTake, Note], DeliveredTake]
    observer: RunObserver
    beside: bool
    _place: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    async def run(self, job: Job, folder: TakeFolder, take: Take, lost: CassetteError | None) -> DeliveredTake:
        performed = PerformedTake(job.plan, folder, take, lost, is_resumed=job.folder is not None)
        making = partial(self.observer.making, job.plan)
        if not self.beside:
            return self.deliver(performed, making)

        def note(what: str) -> None:
            anyio.from_thread.run_sync(making, what)

        return await anyio.to_thread.run_sync(self.deliver, performed, note, limiter=self._place)


def check_options(
    plans: Sequence[Plan],
    options: RunOptions,
    *,
    at_once: int = 1,
    resume: bool = False,
    changed: bool = False,
    through: bool = False,
) -> None:
    """Refuse, with a ``UsageError``, what cannot be together."""
    ((slug, times),) = Counter(plan.slug for plan in plans).most_common(1) or [("", 0)]
    given = {name: bool(getattr(options, name)) for name in ("record", "replay", "live", "aloud")}
    given |= {
        "resume": resume,
        "changed": changed,
        "through alone": through and not changed,
        "endpoint": options.endpoint is not None,
    }
    given |= {"scenes": len(plans) > 1, "jobs": at_once > 1, "same slug": times > 1}
    whole = "a cassette contains a complete performance: --resume cannot be combined with --record or --replay"
    no_provider = ("--replay uses no provider", "remove --endpoint and --live")
    one_scene = "specify one scene, and one variant of its matrix with --only"
    own_name = "give each file a different name, or record each in a separate folder"
    refuse_together(
        given,
        ({"record", "replay"}, "--record and --replay cannot be combined", "record first, then replay"),
        ({"changed", "resume"}, "--changed creates new takes, but --resume continues old ones", "choose one of them"),
        ({"changed", "record"}, whole.replace("--resume", "--changed"), ""),
        ({"changed", "replay"}, whole.replace("--resume", "--changed"), ""),
        ({"through alone"}, "--through requires --changed", "add --changed"),
        ({"resume", "record"}, whole, ""),
        ({"resume", "replay"}, whole, ""),
        ({"replay", "live"}, *no_provider),
        ({"replay", "endpoint"}, *no_provider),
        (
            {"replay", "aloud"},
            "--aloud and --replay cannot be combined, because a replay does not run in real time",
            "play the take: tau-stage play TAKE",
        ),
        ({"aloud", "scenes"}, f"--aloud plays one scene, but there are {len(plans)}", one_scene),
        ({"aloud", "jobs"}, f"--aloud plays one scene at a time, but --jobs is {at_once}", "remove --jobs"),
        ({"record", "same slug"}, f"{times} scenes would be recorded to the same cassette {slug}", own_name),
    )


def refuse_together(given: Mapping[str, bool], *apart: tuple[Collection[str], str, str]) -> None:
    """Refuse, with a ``UsageError``, options that exclude each other: all of some names, with why, and what to do."""
    for names, problem, remedy in apart:
        if all(given[name] for name in names):
            raise UsageError(problem, remedy)


def dollars(amount: Money | None, name: str = "budget") -> Decimal | None:
    """Read a sum of money.

    Args:
        amount: ``"$0.50"``, a number, or None.
        name: What an error calls it.

    Raises:
        UsageError: It is no sum of money.

    >>> dollars("$0.50"), dollars(2)
    (Decimal('0.50'), Decimal('2'))
    """
    try:
        return None if amount is None else money(amount if isinstance(amount, str) else f"${amount}")
    except PydanticCustomError as error:
        told = error.context or {}
        raise UsageError(f"{name}: {told.get('problem', error)}", str(told.get("hint", ""))) from None


async def perform_scene(
    scene: AnyPath | Scene | Plan,
    *,
    out: AnyPath = "takes",
    budget: Money | None = None,
    on_event: Callable[[Event], object] | None = None,
    options: RunOptions = DEFAULTS,
) -> DeliveredTake:
    """Perform a scene, and write the same files as ``tau-stage run``: lines, stems, mix, page, checks, exports.

    A failed provider, a line without audio and a spent budget do not raise exceptions: check ``ended`` and ``problem``,
    and continue with ``resume_take``. If you cancel the performance, its take ends as ``interrupted``.

    Args:
        scene: The scene file, or the result of ``load_scene`` or ``make_plan``.
        out: The folder of all takes; the folder of this take is ``out/<scene>/<time>``.
        budget: The maximum cost in dollars, like ``"$0.50"``; by default, the scene's limit.
        on_event: Called with each event as it happens; it must not block, and its exceptions end the performance. With
            ``record`` and ``replay``, it is called in another thread.
        options: The endpoint, recordings and other options.

    Raises:
        SceneError: The scene cannot be performed; further errors are in its ``also``.
        UsageError: No endpoint is usable, a tool may not run, options contradict each other, or a key is missing.
        CassetteError: A cassette is missing or damaged.
        CassetteDiffers: The scene differs from its cassette.
        TakeError: The folder is not writable.

    >>> from tempfile import TemporaryDirectory
    >>> from tau_stage import RunOptions, perform_scene
    >>> recorded = RunOptions(replay=Path("scenes/cassettes"))
    >>> with TemporaryDirectory() as out:
    ...     take = anyio.run(lambda: perform_scene("scenes/umbrella.yaml", out=out, options=recorded))
    ...     take.ended, len(take.lines), take.folder.report.exists()
    ('complete', 8, True)
    """
    plan = scene if isinstance(scene, Plan) else make_plan(scene if isinstance(scene, Scene) else load_scene(scene))
    return await _perform_job(Job(plan), options, Path(out), budget, on_event)


async def resume_take(
    take: AnyPath,
    *,
    budget: Money | None = None,
    on_event: Callable[[Event], object] | None = None,
    anyway: bool = False,
    options: RunOptions = DEFAULTS,
) -> DeliveredTake:
    """Resume a stopped take in the same folder; finished lines are not performed again.

    If all lines are finished, only missing files are created.

    Args:
        take: The folder of the take.
        budget: The maximum cost of the whole take in dollars; by default, the previous budget.
        on_event: As for ``perform_scene``.
        anyway: Whether to continue if the scene has changed.
        options: The endpoint and other options; by default, the previous endpoint is used.

    Raises:
        StageError: As for ``perform_scene``; a UsageError if the scene has changed.

    >>> anyio.run(resume_take, "takes/none")
    Traceback (most recent call last):
    tau_stage.TakeError: takes/none: no such folder
      hint: specify the folder that tau-stage run printed
    """
    folder, journal = open_take(Path(take))
    if fold(journal).ended in OVER:
        return await anyio.to_thread.run_sync(partial(finish, folder, anyway=anyway))
    job = resume_job(folder, journal, anyway=anyway)
    return await _perform_job(job, options, folder.path.parent, budget, on_event)


async def retake_lines(
    take: AnyPath,
    *lines: str,
    direction: str | None = None,
    takes: int = 1,
    through: bool = False,
    anyway: bool = False,
    out: AnyPath | None = None,
    budget: Money | None = None,
    on_event: Callable[[Event], object] | None = None,
    options: RunOptions = DEFAULTS,
) -> DeliveredTake:
    """Perform lines of a take again in the same context, in a new take; all other lines are copied unchanged.

    Args:
        take: The folder of the earlier take.
        lines: The ids of the lines, like ``clerk-2``; by default, all failed lines.
        direction: How to say the lines this time.
        takes: The number of takes of each line, from 1 to 9; the closest to the words is picked.
        through: Whether to perform all later lines again, too.
        anyway: Whether to continue if the scene has changed.
        out: The folder of all takes; by default, the folder that contains the earlier take.
        budget: As for ``perform_scene``.
        on_event: As for ``perform_scene``.
        options: The endpoint and other options.

    Raises:
        StageError: As for ``perform_scene``; a UsageError if a line does not exist.

    >>> anyio.run(retake_lines, "takes/none", "clerk-2")
    Traceback (most recent call last):
    tau_stage.TakeError: takes/none: no such folder
      hint: specify the folder that tau-stage run printed
    """
    wanted = Retake(lines=lines, direction=direction, takes=takes, through=through)
    job = retake_job(Path(take), wanted, anyway=anyway)
    home = Path(out) if out is not None else former_home(job)
    return await _perform_job(job, options, home, budget, on_event)


def former_home(job: Job) -> Path:
    """Return the folder of all takes that a former take lies in."""
    assert job.former.folder  # noqa: S101 - a retake has one
    return job.former.folder.path.parent.parent


async def _perform_job(
    job: Job, options: RunOptions, out: Path, budget: Money | None, on_event: Callable[[Event], object] | None
) -> DeliveredTake:
    require_asyncio()
    check_options([job.plan], options, resume=job.folder is not None)
    observer = _EventCallback(job.plan, on_event) if on_event else RunObserver()
    work = partial(run_jobs, [job], options, out=out, budget=dollars(budget), observer=observer)
    with unwrapped():
        (delivered,) = await (run_on_clock(work, options.clock) if options.clock else work())
    return delivered


async def run_jobs(
    jobs: Sequence[Job],
    options: RunOptions,
    *,
    out: Path,
    budget: Decimal | None = None,
    at_once: int = 1,
    observer: RunObserver,
    deliver: Callable[[PerformedTake, Note], DeliveredTake] = PerformedTake.deliver,
    ask: stages.ChooseTake | None = None,
    stopping: AbstractAsyncContextManager[anyio.Event] | None = None,
    on: Stage | None = None,
) -> list[DeliveredTake]:
    """Perform scenes, and deliver each while others are performed; return the takes of those that began, in order.

    Args:
        jobs: What is performed.
        options: Who plays, and how.
        out: The folder of all takes.
        budget: Dollars that each may cost.
        at_once: How many are performed at the same time.
        observer: Is shown each event of each performance, and what is made of its take.
        deliver: Delivers a take, in another thread.
        ask: Lets somebody choose among the takes of a line.
        stopping: Gives an event: once it is set, lines under way come to their ends, and nothing else begins.
        on: A stage of several runs, which is open for all their scenes; None: one of its own.
    """
    people = _prepare(jobs, options, at_once)
    shared = stages.PerformanceOptions(budget=budget, allow_tools=options.allow_tools, ask=ask)
    begun, lost, delivered = dict[int, TakeFolder](), dict[int, CassetteError | None](), dict[int, DeliveredTake]()
    places = anyio.CapacityLimiter(at_once)
    deliveries = _Deliveries(deliver, observer, beside=not options.replay)

    async def perform_one(number: int, job: Job, stage: Stage | None) -> None:
        async with places:
            if stop.is_set():
                return
            started = datetime.now(UTC)
            with _cassette(job.plan, stage, options, observer.warn) as (connected, finish_cassette):
                begun[number] = folder = job.folder or _fresh_folder(out, job.plan.slug, started)
                own = replace(shared, started=started, people=people[number], former=job.former)
                own = replace(own, again=job.folder is not None, loudspeaker=loudspeaker, stop=stop)
                take = await _perform_watched(job.plan, connected, folder, own, observer, is_shown=options.is_shown)
                lost[number] = finish_cassette(take)
        delivered[number] = await deliveries.run(job, folder, take, lost.get(number))

    async with (
        stopping or nullcontext(anyio.Event()) as stop,
        _loudspeaker(people[0].values(), options.aloud, observer.warn) as loudspeaker,
        _stage(jobs, options, on) as stage,
        anyio.create_task_group() as group,
    ):
        await _warn(jobs, options, stage, observer)
        for number, job in enumerate(jobs):
            group.start_soon(perform_one, number, job, stage)
    for number in (number for number in begun.keys() - delivered.keys() if begun[number].journal.exists()):
        delivered[number] = await deliveries.run(jobs[number], *read_take(begun[number].path), lost.get(number))
    return [delivered[number] for number in sorted(delivered)]


async def _warn(jobs: Sequence[Job], options: RunOptions, stage: Stage | None, observer: RunObserver) -> None:
    """Show what a user should know beforehand; load the prices, which else the first line would, on the loop."""
    for text in _warnings(jobs, options, stage):
        observer.warn(text)
    if stage is not None:
        await anyio.to_thread.run_sync(price_library)


def _prepare(jobs: Sequence[Job], options: RunOptions, at_once: int) -> list[dict[str, Person]]:
    """Refuse what cannot be performed before anybody is paid; return the people of each scene."""
    plans = [job.plan for job in jobs]
    for plan in plans:
        stages.check_tool_permission(plan, allowed=options.allow_tools)
        stages.find_tools(plan)
    booth = options.is_shown and find_booth() is not None
    people = [stages.people_of(plan, stand_in=options.stand_in, booth=booth) for plan in plans]
    stages.check_shared_devices(plans, people, jobs=at_once)
    stages.raise_descriptor_limit(plans, at_once)
    return people


async def _perform_watched(
    plan: Plan,
    stage: Stage,
    folder: TakeFolder,
    options: stages.PerformanceOptions,
    observer: RunObserver,
    *,
    is_shown: bool,
) -> Take:
    """Perform a plan, and show what happens beside it, in a booth too: who watches is never waited for."""
    events, watched = anyio.create_memory_object_stream[Event](WATCHED_EVENTS)
    async with published(plan, stage, folder, options, is_shown=is_shown) as performance:

        async def watch() -> None:
            async with watched:
                async for event in watched:
                    observer.show(plan, event)
                    performance.publish(event)

        async with anyio.create_task_group() as group, events:
            group.start_soon(watch)
            own = replace(options, watch=events, stop=performance.stop)
            take = await stages.perform(plan, performance.stage, folder, own)
    return take


def _fresh_folder(out: Path, slug: str, started: datetime) -> TakeFolder:
    clear_unbegun(out / slug, started - ABOUT_TO_BEGIN)
    return TakeFolder.create(out, slug, started, secrets.token_hex(3))


def _stage(jobs: Sequence[Job], options: RunOptions, on: Stage | None) -> AbstractAsyncContextManager[Stage | None]:
    """Open the stage of all scenes, if it is not open yet; none where each has its own cassette."""
    if on or options.replay:
        return nullcontext(on)
    plans = [job.plan for job in jobs]
    return stages.open_stage(plans, environment(), wished=options.endpoint, live=options.live)


@contextmanager
def _cassette(
    plan: Plan, stage: Stage | None, options: RunOptions, warn: Callable[[str], None]
) -> Iterator[tuple[Stage, Callable[[Take], CassetteError | None]]]:
    """Yield what connects the players of a scene, and what must be called with its take: why no cassette was left."""
    if options.replay:
        from tau_stage.cassette import Replay

        replay = Replay.of(plan, options.replay)
        yield replay.stage, replay.finish
        return
    assert stage is not None  # noqa: S101 - there is one, or a cassette
    if options.record is None:
        yield stage, lambda _take: None
        return
    from tau_stage.cassette import record_cassette, secrets_in

    with record_cassette(plan, stage, options.record, secrets_in(environment())) as tape:

        def finish(take: Take) -> CassetteError | None:  # the take is there, and is delivered
            try:
                tape.finish(take)
            except CassetteError as error:
                return error
            return None

        yield tape.stage, finish
        if not tape.is_complete:
            warn(f"{plan.path}: no cassette was written, because the take did not finish")


def why_the_understudy(
    plans: Sequence[Plan], provider_of: Callable[[PlayerPlan], Endpoint], environment: Mapping[str, str]
) -> str:
    """Say why the understudy plays where the scenes do not name it; empty where it does not."""
    models = [player for plan in plans for player in plan.models]
    played = [player for player in models if provider_of(player).name == UNDERSTUDY]
    if all(player.endpoint for player in played):
        return ""
    named = environment.get("TAU_STAGE_ENDPOINT")
    why = "TAU_STAGE_ENDPOINT is set to the understudy: it" if named else "OPENAI_API_KEY is not set: the understudy"
    return (
        f"{why} performs, and nothing is spent."
        if played == models
        else f"{why} plays all players without an endpoint."
    )


def _warnings(jobs: Sequence[Job], options: RunOptions, stage: Stage | None) -> Iterator[str]:
    """Say who plays where nobody was named, which models end, and what cannot be said."""
    plans = [job.plan for job in jobs]
    yield from (text for job in jobs for text in (*job.notes, *(f"warning: {text}" for text in job.warnings)))
    if stage is None:
        return
    if options.endpoint is None and (told := why_the_understudy(plans, stage.provider_of, environment())):
        yield told
    yield from _limits_of_models(plans, stage, options)


def _limits_of_models(plans: Sequence[Plan], stage: Stage, options: RunOptions) -> Iterator[str]:
    """Say what the understudy cannot say, or speaks otherwise, and which models end."""
    speech = [_speech(plan, stage) for plan in plans]
    others = {said.name: said.engine for spoken in speech for said in spoken.values() if said.engine}
    if others:
        yield f"For {', '.join(others)}, the understudy uses {next(iter(others.values()))}."
    today = datetime.now(UTC).date()
    for plan, spoken in zip(plans, speech, strict=True):
        unread = () if options.stand_in else stages.unread_input(plan)
        found = (*_unspoken(spoken), *unread, *retirement_warnings(plan, today, stage.provider_of))
        yield from (f"warning: {plan.path}: {text}" for text in found)


def _unspoken(spoken: Mapping[str, LineSpeech]) -> Iterator[str]:
    """Say what of a scene the understudy cannot say, or not in its language."""
    from tau_stage.understudy import LANGUAGES_HINT

    failing = {name: speech.name for name, speech in spoken.items() if speech.problem == "fails"}
    misread = {name: speech.name for name, speech in spoken.items() if speech.problem == "misread"}
    hint = f"; {LANGUAGES_HINT}" if any(speech.has_remedy for speech in spoken.values()) else ""
    if failing:
        what = f"the understudy has no voice for {_each(failing)}: {_named_lines(failing)} will fail"
        yield f"{what}; to have them spoken, use a provider{hint}"
    if misread:
        yield f"the understudy reads {_each(misread)} as if it were English: {_named_lines(misread)}{hint}"


def _speech(plan: Plan, stage: Stage) -> dict[str, LineSpeech]:
    """Tell how the understudy says the lines that it plays, by their ids."""
    from tau_stage.understudy import speech_of

    played = {player.name: player for player in plan.models if stage.provider_of(player).name == UNDERSTUDY}
    lines = (line for line in plan.lines if line.player in played)
    return {line.id: speech_of(line.words, played[line.player].instructions) for line in lines}


def _each(lines: Mapping[str, str]) -> str:
    """List what lines have, each once."""
    return ", ".join(dict.fromkeys(lines.values()))


def _named_lines(lines: Mapping[str, str]) -> str:
    """Name the first of some lines."""
    more = f" and {len(lines) - NAMED_LINES} more" if len(lines) > NAMED_LINES else ""
    return ", ".join([*lines][:NAMED_LINES]) + more


@asynccontextmanager
async def _loudspeaker(
    people: Iterable[Person], aloud: bool | None, warn: Callable[[str], None]
) -> AsyncIterator[SoundCard | None]:
    """Open the loudspeaker, where the scene is to be heard."""
    from tau_stage.devices import has_loudspeaker, open_loudspeaker

    speaks = any(isinstance(person, stages.Speaker) for person in people)
    wanted = speaks and has_loudspeaker() if aloud is None else aloud
    loudspeaker: SoundCard | None = None
    async with AsyncExitStack() as opened:
        try:
            if wanted:
                loudspeaker = await opened.enter_async_context(open_loudspeaker())
        except UsageError as error:
            if aloud:
                raise
            warn(f"The scene is not played aloud: {error.problem}.")
        if loudspeaker and speaks:
            warn("The scene is played aloud: wear headphones, or the microphone records it too.")
        yield loudspeaker
        if loudspeaker and (lost := loudspeaker.lost_samples):
            warn(f"The loudspeaker was disconnected: {lost / RATE:.1f} s of audio were not played.")
