"""Open every player's session, one after another; close them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from heapq import nlargest
from typing import Any

import anyio
from pydantic import SecretStr

from tau_stage import scene
from tau_stage.audio import Format, Playable, read_playable
from tau_stage.environment import environment as environment_now
from tau_stage.environment import known_keys, usual_endpoint
from tau_stage.errors import ConnectFailed, ModelRefused, SessionError, UsageError
from tau_stage.gate import Gate, LocalGate
from tau_stage.protocol import ENDPOINTS, UNDERSTUDY, Endpoint, FunctionTool, Secrets, conducted, endpoint, proxy_for
from tau_stage.session import Deadlines, Session, Tool, open_session
from tau_stage.stage.context import HistoryItem, Sounds, add_item, put_words, restore_context
from tau_stage.stage.events import EventLog, OpeningBegan, OpeningQueued
from tau_stage.stage.fan_out import ClipForm, StreamRefused
from tau_stage.stage.people import Person, known_words
from tau_stage.take import ReusedLines
from tau_stage.take import records as record
from tau_stage.text import STRUCK, keys_of, redact_url
from tau_stage.transport import Transport, dial

Connect = Callable[[scene.PlayerPlan], AbstractAsyncContextManager[Transport]]
"""Opens the connection of one player."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who plays a player, its key, if it wants one, and the user's own host there; the key shows in no ``repr``."""

    endpoint: Endpoint
    key: SecretStr | None = None
    resource: str = ""

    @property
    def account(self) -> str:
        """Whose limits count there; of the key, it has a fingerprint."""
        key = sha256(self.key.get_secret_value().encode()).hexdigest()[:12] if self.key else "no key"
        return f"{self.endpoint.name}, {key}"

    def connect(self, model: str, opening_s: float, closing_s: float) -> AbstractAsyncContextManager[Transport]:
        """Dial it."""
        key = self.key.get_secret_value() if self.key else None
        url = self.endpoint.address(model, self.resource)
        return dial(url, self.endpoint.headers(key), open_timeout_s=opening_s, closing_s=closing_s)


@dataclass(frozen=True, slots=True)
class Stage:
    """The environment of a performance: connections, limits and recording.

    Attributes:
        connect: Opens the connection of one player.
        provider_of: Returns the endpoint of a player.
        gate: The rate limiter, shared by all scenes of one or several processes.
        deadlines: How long a session waits for each kind of answer.
        recording: The folder of the current recording; empty if nothing is recorded.
        shown_as: The key of the performance in the booth; empty if it is not shown.
        account_of: Returns the account whose rate limits apply to a player; each model has its own.

    >>> Stage(connect=lambda player: dial("ws://localhost", {})).recording
    ''
    """

    connect: Connect
    provider_of: Callable[[scene.PlayerPlan], Endpoint] = lambda _player: endpoint(UNDERSTUDY)
    gate: Gate = field(default_factory=LocalGate)
    deadlines: Deadlines = field(default_factory=Deadlines)
    recording: str = ""
    shown_as: str = ""
    account_of: Callable[[scene.PlayerPlan], str] = lambda player: player.model

    def voice_of(self, player: scene.PlayerPlan) -> str:
        """Return the voice to request; if the scene sets none, the endpoint's default."""
        return scene.voice_at(player.voice, player.endpoint, self.provider_of(player).name)

    def secrets(self, plan: scene.Plan) -> Secrets:
        """Return what tools must not reveal: the keys of this process, and those in the endpoint addresses."""
        addresses = {self.provider_of(player).url for player in plan.models}
        return Secrets([*known_keys(), *(key for address in addresses for key in keys_of(address))])


def provider_for(
    player: scene.PlayerPlan, environment: Mapping[str, str], *, wished: str | None = None, live: bool = False
) -> Provider:
    """Choose who plays a player; the understudy is refused where it has to be ``live``.

    It is the wish, else the scene's endpoint, ``TAU_STAGE_ENDPOINT``, OpenAI if there is a key, else the understudy. A
    ``UsageError`` says that the endpoint is unknown, cannot be dialled, or wants a key or a resource that is not there;
    its proxy cannot be used; or nobody is left.
    """
    place = endpoint_for(player, environment, wished)
    if place.name == UNDERSTUDY:
        if live:
            raise UsageError("--live needs a provider, but only the understudy is available", "set OPENAI_API_KEY")
        return Provider(place)
    if (problem := scene.voice_problem(scene.voice_at(player.voice, player.endpoint, place.name), place.name))[0]:
        raise UsageError(f"player {player.name}: {problem[0]}", problem[1])
    key = place.key_in(environment)
    resource = environment.get(place.resource_env, "")
    if needed := _needed_key(place, key, resource):
        raise UsageError(f"player {player.name} uses {place.name}, but {needed} is not set")
    proxy_for(place.address(player.model, resource), environment)
    return Provider(place, SecretStr(key) if key else None, resource)


def endpoint_for(player: scene.PlayerPlan, environment: Mapping[str, str], wished: str | None = None) -> Endpoint:
    """Choose the endpoint that plays a player, whether it can be dialled or not.

    Raises:
        UsageError: It is unknown.
    """
    name = wished or player.endpoint or usual_endpoint(environment)
    if STRUCK in name:
        problem = f"player {player.name} used {name}, but the key in this address is not stored in the take"
        raise UsageError(problem, "pass the full address with --endpoint")
    try:
        return endpoint(name)
    except KeyError:
        problem = f"unknown endpoint {redact_url(name)!r}"
        raise UsageError(problem, f"use {', '.join(ENDPOINTS)}, or a ws:// URL") from None


def endpoint_chooser(wished: str | None = None) -> Callable[[scene.PlayerPlan], Endpoint]:
    """Return what chooses the endpoint of each player, as ``endpoint_for`` does, in the environment of this process."""
    return partial(endpoint_for, environment=environment_now(), wished=wished)


def keys_at(plan: scene.Plan, endpoint_of: Callable[[scene.PlayerPlan], Endpoint]) -> dict[str, scene.LineKey]:
    """Make the keys of a plan's lines, where each player is played at an endpoint."""
    sounds = {file: sha256(file.read_bytes()).hexdigest() for file in scene.sounds_of(plan) if file.is_file()}
    return scene.line_keys(plan_at(plan, endpoint_of), sounds)


def plan_at(plan: scene.Plan, endpoint_of: Callable[[scene.PlayerPlan], Endpoint]) -> scene.Plan:
    """Return a plan whose players have the endpoint and the voice that they are played with."""

    def played(player: scene.PlayerPlan) -> scene.PlayerPlan:
        if player.human is not None:
            return player
        place = endpoint_of(player).name
        return replace(player, endpoint=place, voice=scene.voice_at(player.voice, player.endpoint, place))

    return replace(plan, players=tuple(map(played, plan.players)))


@asynccontextmanager
async def open_stage(
    plans: list[scene.Plan],
    environment: Mapping[str, str],
    *,
    wished: str | None = None,
    live: bool = False,
    deadlines: Deadlines | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[Stage]:
    """Open a stage for these plans; if a player needs the understudy, start one in this process.

    Raises:
        UsageError: A player has no usable endpoint.

    >>> import anyio
    >>> from tau_stage import load_scene, make_plan, open_stage
    >>> plan = make_plan(load_scene("scenes/hello.yaml"))
    >>> async def played_by() -> list[str]:
    ...     async with open_stage([plan], environment={}) as stage:
    ...         return [stage.provider_of(player).name for player in plan.models]
    >>> anyio.run(played_by)
    ['understudy', 'understudy']
    """
    waits = deadlines or Deadlines()
    providers = {
        player: provider_for(player, environment, wished=wished, live=live) for plan in plans for player in plan.models
    }

    patience = _patience(plans, waits)

    def connect(player: scene.PlayerPlan) -> AbstractAsyncContextManager[Transport]:
        """Dial for a player; wait as long as the most patient scene with this player."""
        return providers[player].connect(player.model, *patience.get(player, (waits.opening_s, waits.closing_s)))

    stage = Stage(
        connect,
        lambda player: providers[player].endpoint,
        gate or LocalGate(),
        waits,
        account_of=lambda player: f"{providers[player].account}, {player.model}",
    )
    local = [player for player, provider in providers.items() if provider.endpoint.name == UNDERSTUDY]
    if not local:
        yield stage
        return
    is_named = wished or environment.get("TAU_STAGE_ENDPOINT") or any(player.endpoint for player in providers)
    async with _understudy(plans, "" if is_named else ", or set a provider's key, such as OPENAI_API_KEY") as url:
        providers |= {player: Provider(providers[player].endpoint, resource=url) for player in local}
        yield stage


@asynccontextmanager
async def _understudy(plans: list[scene.Plan], remedy: str) -> AsyncIterator[str]:
    """Open an understudy that knows what people say in these plans; its URL."""
    from tau_stage.understudy import Ensemble, Understudy, Voices, open_understudy, require_voice

    require_voice(remedy)
    understudy = Understudy(Ensemble(Voices.of_user()))
    for plan in plans:
        for audio, words in known_words(plan):
            understudy.known_speech.teach(audio, words)
    async with open_understudy(understudy) as url:
        yield url


def read_sounds(plan: scene.Plan) -> dict[tuple[str, float], Playable]:
    """Read all sound files of a scene, by name and gain in dB, before anybody is paid; or raise a ``UsageError``."""
    given = (step for steps in plan.step_lists for step in steps if isinstance(step, scene.ItemPlan))
    wanted = {(file, 0.0): False for item in given for _, file in item.sounds}
    wanted |= {(sound.file, sound.gain_db): plan.deliver.stereo for sound in plan.sounds}
    return {
        (name, gain_db): read_playable(scene.resolve_path(plan.path, name), gain_db, stereo=stereo)
        for (name, gain_db), stereo in wanted.items()
    }


@dataclass(frozen=True, slots=True)
class Participants:
    """Everybody on stage; opens the sessions of the models, at the beginning and again.

    Attributes:
        tools: What each model may call, by player and name.
        sounds: The scene's sound files, by the name it gives them and their gain in dB.
        sessions: Of the models, by player; one that is lost and opened again is replaced.
        forms: How each model hears, once its session was opened.
        speaking_locks: Held by whoever makes a model speak, by player: it says one thing at a time.
    """

    plan: scene.Plan
    stage: Stage
    log: EventLog
    people: Mapping[str, Person]
    tools: Mapping[str, Mapping[str, Tool]]
    sounds: Sounds
    sessions: dict[str, Session] = field(default_factory=dict)
    forms: dict[str, ClipForm] = field(default_factory=dict)
    speaking_locks: Mapping[str, anyio.Lock] = field(default_factory=lambda: defaultdict(anyio.Lock))

    async def open_all(self, opened: AsyncExitStack, former: ReusedLines) -> None:
        """Open the session of every model that performs something, in the order of their first lines.

        ``opened`` closes them, all together; ``former`` is what is taken over from a former take, and by whom.
        A SessionError tells that one will not open.
        """
        plan, sessions = self.plan, dict[str, Session]()
        opening = [player.name for player in plan.opening_order if former.needs(player.name)]
        for name in opening:
            self.log.publish(OpeningQueued(name))
        if opening:
            await opened.enter_async_context(self.stage.gate.sessions(len(opening)))
        try:
            for player in plan.opening_order:
                if player.name in opening:
                    sessions[player.name] = await self.open(player.name, opened, begun=bool(sessions))
                else:
                    self.log.append(record.PlayerOpened(player=player.name, session="", attempts=0, took_s=0.0))
        finally:
            opened.push_async_callback(_close_together, tuple(sessions.values()))
        for player in plan.people:
            self.log.append(record.PlayerOpened(player=player.name, session="", attempts=1, took_s=0.0))
        for player in plan.models:
            self.forms[player.name] = self._form(player)
        self.sessions.update((player.name, sessions[player.name]) for player in plan.models if player.name in sessions)

    async def tell(self, player: str, item: HistoryItem) -> None:
        """Tell a player's conversation of something."""
        await add_item(self.sessions[player], item, self.forms[player], self.sounds)

    async def restore(self, session: Session, history: Sequence[HistoryItem]) -> dict[str, float]:
        """Tell a new conversation everything so far; return the lines and effects that were heard, and the seconds."""
        return await restore_context(session, history, self.forms[session.name], self.sounds)

    def _form(self, player: scene.PlayerPlan) -> ClipForm:
        """Return how a player hears."""
        place, streams = self.stage.provider_of(player), player.hearing == "stream"
        if streams and place.answers_commits:
            refused = StreamRefused(player.name, f"{place.name} responds to committed audio automatically")
            self.log.warn_once(str(refused), player.name)
        return ClipForm(player.hears_as == "text", player.label_speakers, streams and not place.answers_commits)

    async def open(self, name: str, opened: AsyncExitStack, *, begun: bool = True) -> Session:
        """Open a player's session when it is its turn, and put into it what is there before the first line.

        Where others wait on stage already (``begun``), it goes before those of other performances.
        """
        player, log, began = self.plan.player(name), self.log, self.log.now_s
        log.publish(OpeningQueued(name))
        refusals = 0

        def refused(error: SessionError, wait_s: float) -> None:
            nonlocal refusals
            refusals += 1
            log.append(record.OpeningRefused(player=name, problem=str(error.about(player=name)), wait_s=wait_s))

        wanted, ordered = self.stage.provider_of(player).opening_gap_s, self.plan.opening_gap_s
        session = await self.stage.gate.open(
            partial(self._open, player, opened),
            account=self.stage.account_of(player),
            gap_s=wanted if ordered is None else ordered,
            begun=begun,
            refused=refused,
        )
        took_s = round(log.now_s - began, 6)
        log.append(record.PlayerOpened(player=name, session=session.id, attempts=refusals + 1, took_s=took_s))
        for role, words in player.setup:
            await put_words(session, role, words)
        return session

    async def _open(self, player: scene.PlayerPlan, opened: AsyncExitStack) -> Session:
        log, place, tools = self.log, self.stage.provider_of(player), [*self.tools[player.name].values()]
        log.publish(OpeningBegan(player.name))
        wanted = conducted(
            voice=self.stage.voice_of(player),
            instructions=player.instructions,
            speed=player.speed,
            output=player.output,
            max_output_tokens=player.max_output_tokens,
            heard_rate=place.heard_rate,
            **wished_tools(player.reasoning, [tool.definition for tool in tools] or None, player.tool_choice),
            **place.named(player.model),
        )
        opening = partial(
            open_session,
            name=player.name,
            model=player.model,
            deadlines=_deadlines(self.plan.waits, self.stage.deadlines),
            dialect=place.dialect,
            speaks_verbatim=place.speaks_verbatim,
            opening=place.opening,
            heard_as=Format("audio/pcm", place.heard_rate),
            tools=tools,
            keeps_audio=False,
            debug=bool(self.stage.shown_as),
            shown={
                "name": f"{self.plan.slug}/{player.name}",
                "run": self.stage.shown_as,
                "player": player.name,
                "model": player.model,
            },
            on_warning=lambda problem: log.warn_once(f"player {player.name}: {problem}", player.name),
            on_oddity=lambda oddity: log.warn_once(f"{place.name}: {oddity}"),
            on_limits=partial(self.stage.gate.learn, self.stage.account_of(player)),
        )
        async with AsyncExitStack() as own:
            try:
                transport = await own.enter_async_context(self.stage.connect(player))
                session = await own.enter_async_context(opening(transport, wanted))
            except ModelRefused as error:
                refused = ConnectFailed(reason=error.message, code=error.code)
                raise refused.about(player=player.name, endpoint=place.name) from None
            except SessionError as error:
                raise error.about(player=player.name, endpoint=place.name) from None
            opened.push_async_exit(own.pop_all())
            return session


async def _close_together(sessions: Sequence[Session]) -> None:
    """Close sessions at the same time, so that many that stall take as long as one."""
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group:
            for session in sessions:
                group.start_soon(session.close)


def _deadlines(waits: scene.Timeouts, otherwise: Deadlines) -> Deadlines:
    given = {"opening_s": waits.opening_s, "request_s": waits.hearing_s}
    given |= {"response_s": waits.silence_s, "closing_s": waits.closing_s}
    return replace(otherwise, **{name: wait_s for name, wait_s in given.items() if wait_s})


def wished_tools(reasoning: str | None, tools: Sequence[FunctionTool] | None, choice: str | None) -> dict[str, Any]:
    """Return what only some sessions and responses ask for: how hard to think, and which tools there are."""
    named = choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}
    return {
        **({} if reasoning is None else {"reasoning": {"effort": reasoning}}),
        **({} if tools is None else {"tools": tuple(tools)}),
        **({} if choice is None else {"tool_choice": named}),
    }


SPARE = 24  # what Python, the terminal, the journal, a page and a program of a tool have open

PER_MODEL = 2  # A socket; and its other end, where the understudy plays in this process


def _descriptors(plan: scene.Plan) -> int:
    stems = len(plan.players) + len({sound.stem for sound in plan.sounds})
    steps = (step for branch in plan.step_lists for step in branch)
    at_once = max((len(step.parts) for step in steps if isinstance(step, scene.TogetherPlan)), default=1)
    return PER_MODEL * len(plan.models) + stems + at_once


def raise_descriptor_limit(plans: Sequence[scene.Plan], jobs: int) -> None:
    """See to it that as many can be open as ``jobs`` performances need at once; where the limit can be raised, it is.

    Raises:
        UsageError: There are too few.
    """
    wanted = SPARE + sum(nlargest(jobs, map(_descriptors, plans)))
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return
    crowd = f"{jobs} concurrent scenes" if jobs > 1 else f"{plans[0].path}: {len(plans[0].players)} players"
    problem = f"{crowd} need {wanted} file descriptors, but this process may open only {hard}"
    fewer = "perform fewer scenes at the same time (--jobs), or " if jobs > 1 else ""
    raise UsageError(problem, f"{fewer}raise the limit with: ulimit -n {wanted} (or ask your administrator to)")


def _needed_key(place: Endpoint, key: str | None, resource: str) -> str:
    """Name the variable without which an endpoint cannot be dialled; empty where all are set."""
    if key is None and place.wants_key:
        return place.key_env[0]
    lacks_resource = "{resource}" in place.url and not (resource or place.resource)
    return place.resource_env if lacks_resource else ""


def _patience(plans: Sequence[scene.Plan], waits: Deadlines) -> dict[scene.PlayerPlan, tuple[float, float]]:
    """Return how long the most patient scene of each player waits for its session to open, and to close."""
    patience: dict[scene.PlayerPlan, tuple[float, float]] = {}
    for plan in plans:
        own = _deadlines(plan.waits, waits)
        for player in plan.models:
            opening_s, closing_s = patience.get(player, (0.0, 0.0))
            patience[player] = max(own.opening_s, opening_s), max(own.closing_s, closing_s)
    return patience
