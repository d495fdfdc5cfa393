"""The company: every player's session, opened one after another, and the people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import anyio

from tau_stage.audio.files import Playable, read_playable
from tau_stage.audio.formats import Format
from tau_stage.errors import ConnectFailed, ModelRefused, SessionError
from tau_stage.protocol.config import conducted
from tau_stage.scene.names import beside
from tau_stage.scene.plan import ItemPlan, Plan, PlayerPlan
from tau_stage.session import Deadlines, Session, Tool, open_session
from tau_stage.stage.former import NOTHING, Former
from tau_stage.stage.hearing import Form
from tau_stage.stage.notes import PromptBook
from tau_stage.stage.opening import Stage
from tau_stage.stage.people import Person
from tau_stage.stage.telling import Sounds
from tau_stage.take import records as record


@dataclass(frozen=True, slots=True)
class Company:
    """Everybody on stage.

    Attributes:
        sessions: Of the models, by player; one that is lost and opened again is replaced.
        people: By player.
        forms: How each model hears.
        tools: What each model may call, by player and name.
        sounds: The scene's sound files, by the name it gives them and their gain in dB.
        floors: Held by whoever makes a model speak, by player: it says one thing at a time.
    """

    sessions: dict[str, Session]
    people: Mapping[str, Person]
    forms: Mapping[str, Form]
    tools: Mapping[str, Mapping[str, Tool]]
    sounds: Sounds
    floors: Mapping[str, anyio.Lock]


def read_sounds(plan: Plan) -> dict[tuple[str, float], Playable]:
    """Read every sound file of a scene by its name and its gain in dB, before anybody is paid.

    Raises:
        UsageError: One cannot be read.
    """
    given = (step for steps in plan.strands for step in steps if isinstance(step, ItemPlan))
    wanted = {(file, 0.0): False for item in given for _, file in item.sounds}
    wanted |= {(sound.file, sound.gain_db): plan.deliver.stereo for sound in plan.sounds}
    return {
        (name, gain_db): read_playable(beside(plan.path, name), gain_db, stereo=stereo)
        for (name, gain_db), stereo in wanted.items()
    }


async def open_company(
    plan: Plan,
    stage: Stage,
    *,
    opened: AsyncExitStack,
    book: PromptBook,
    people: Mapping[str, Person],
    tools: Mapping[str, list[Tool]],
    sounds: Sounds,
    former: Former = NOTHING,
) -> Company:
    """Open the session of every model that performs something, one after another, in the order of their first lines.

    Raises:
        SessionError: One will not open.
    """
    sessions: dict[str, Session] = {}
    try:
        for player in plan.opening_order:
            if not former.needs(player.name):
                book.write(record.PlayerOpened(player=player.name, session="", attempts=0, took_s=0.0))
                continue
            sessions[player.name] = await open_player(plan, player, stage, opened, book, tools[player.name])
    finally:
        opened.push_async_callback(close_together, tuple(sessions.values()))
    for player in plan.people:
        book.write(record.PlayerOpened(player=player.name, session="", attempts=1, took_s=0.0))
    return Company(
        sessions={player.name: sessions[player.name] for player in plan.models if player.name in sessions},
        people=people,
        forms={player.name: Form(player.hears_as == "text", player.label_speakers) for player in plan.models},
        tools={name: {tool.name: tool for tool in own} for name, own in tools.items()},
        sounds=sounds,
        floors={player.name: anyio.Lock() for player in plan.models},
    )


async def close_together(sessions: Sequence[Session]) -> None:
    """Close sessions at the same time, so that many that stall take as long as one."""
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group:
            for session in sessions:
                group.start_soon(session.close)


async def open_player(
    plan: Plan, player: PlayerPlan, stage: Stage, opened: AsyncExitStack, book: PromptBook, tools: list[Tool]
) -> Session:
    """Open one player's session when it is its turn, and put into it what is there before the first line.

    Raises:
        SessionError: It will not open.
    """
    began = book.now_s
    refusals = 0

    def refused(error: SessionError, wait_s: float) -> None:
        nonlocal refusals
        refusals += 1
        problem = str(error.about(player=player.name))
        book.write(record.OpeningRefused(player=player.name, problem=problem, wait_s=wait_s))

    session = await stage.gate.through(
        partial(_open, plan, player, stage, opened, book, tools), gap_s=plan.opening_gap_s, refused=refused
    )
    took_s = round(book.now_s - began, 6)
    book.write(record.PlayerOpened(player=player.name, session=session.id, attempts=refusals + 1, took_s=took_s))
    put = {"system": session.system, "user": session.user, "assistant": session.assistant}
    for role, words in player.setup:
        await put[role](words)
    return session


def patience(plan: Plan, deadlines: Deadlines) -> Deadlines:
    """Tell how long a scene's sessions wait for what: as the scene says, or else the stage."""
    waits = plan.waits
    return Deadlines(
        opening_s=waits.opening_s or deadlines.opening_s,
        request_s=waits.hearing_s or deadlines.request_s,
        response_s=waits.silence_s or deadlines.response_s,
        closing_s=waits.closing_s or deadlines.closing_s,
    )


async def _open(
    plan: Plan, player: PlayerPlan, stage: Stage, opened: AsyncExitStack, book: PromptBook, tools: list[Tool]
) -> Session:
    place = stage.provider_of(player)
    wanted = conducted(
        voice=player.voice,
        instructions=player.instructions,
        speed=player.speed,
        output=player.output,
        max_output_tokens=player.max_output_tokens,
        heard_rate=place.heard_rate,
        **_further(player, tools),
        **place.named(player.model),
    )
    opening = partial(
        open_session,
        name=player.name,
        model=player.model,
        deadlines=patience(plan, stage.deadlines),
        dialect=place.dialect,
        opening=place.opening,
        heard_as=Format("audio/pcm", place.heard_rate),
        tools=tools,
        keeps_audio=False,
        on_warning=lambda problem: book.warn_once(f"player {player.name}: {problem}", player.name),
        on_oddity=lambda oddity: book.warn_once(f"{place.name}: {oddity}"),
    )
    async with AsyncExitStack() as own:
        try:
            transport = await own.enter_async_context(stage.connect(player))
            session = await own.enter_async_context(opening(transport, wanted))
        except ModelRefused as error:
            refused = ConnectFailed(reason=error.message, code=error.code)
            raise refused.about(player=player.name, endpoint=place.name) from None
        except SessionError as error:
            raise error.about(player=player.name, endpoint=place.name) from None
        opened.push_async_exit(own.pop_all())
        return session


def _further(player: PlayerPlan, tools: list[Tool]) -> dict[str, object]:
    """Return what only some sessions ask for."""
    wishes: dict[str, object] = {}
    if tools:
        wishes["tools"] = tuple(tool.told for tool in tools)
    if player.reasoning:
        wishes["reasoning"] = {"effort": player.reasoning}
    if player.tool_choice in ("auto", "none", "required"):
        wishes["tool_choice"] = player.tool_choice
    elif player.tool_choice:
        wishes["tool_choice"] = {"type": "function", "name": player.tool_choice}
    return wishes
