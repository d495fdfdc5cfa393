"""The performance: sessions open, lines are spoken in order, everybody hears them, a take is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from tau_stage import __version__
from tau_stage.cost.forecast import foreseen
from tau_stage.errors import BudgetExceeded, LimitReached, SessionError, TakeError, unwrapped
from tau_stage.protocol.endpoints import UNDERSTUDY
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.scene.resolved import resolved
from tau_stage.session import Session
from tau_stage.stage.aloud import Aloud
from tau_stage.stage.company import open_company, open_player, read_sounds
from tau_stage.stage.crew import Crew
from tau_stage.stage.former import NOTHING, Former
from tau_stage.stage.loudspeaker import Loudspeaker
from tau_stage.stage.notes import PromptBook, Watch
from tau_stage.stage.opening import Stage
from tau_stage.stage.people import Person, people_of
from tau_stage.stage.performance import Performance
from tau_stage.stage.picking import Ask
from tau_stage.stage.purse import Purse
from tau_stage.stage.tooling import equip, refuse_code
from tau_stage.take import records as record
from tau_stage.take.costs import cost_json
from tau_stage.take.fold import fold
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import Journal
from tau_stage.take.lock import claimed
from tau_stage.take.model import Take

_STOPPED: tuple[record.Ending, str] = "interrupted", "stopped from outside"


async def perform(
    plan: Plan,
    stage: Stage,
    folder: TakeFolder,
    *,
    started: datetime | None = None,
    budget: Decimal | None = None,
    allow_tools: bool = False,
    people: Mapping[str, Person] | None = None,
    watch: Watch | None = None,
    loudspeaker: Loudspeaker | None = None,
    former: Former = NOTHING,
    ask: Ask | None = None,
) -> Take:
    """Perform a scene once.

    A provider that fails is a fact of the take, not an exception: look at ``take.ended`` and ``take.problem``.

    Args:
        plan: The scene, resolved.
        stage: Connects players.
        folder: Empty; everything is left here.
        started: UTC; now, if it is not given.
        budget: Dollars this performance may cost; the plan's, if it is not given.
        allow_tools: Whether tools may run what the scene's author wrote.
        people: The people of the scene by player; as the plan says, if they are not given.
        watch: An onlooker; it is never waited for.
        loudspeaker: Plays all that sounds, but for people who are there; the scene goes on at its pace.
        former: A former take, from which lines are taken over.
        ask: Lets somebody choose among the takes of a line; where nobody is asked, the closest is picked.

    Returns:
        The take, as ``take.json`` tells it.

    Raises:
        UsageError: A person has no microphone, a sound cannot be read, or a tool must not or cannot run.
        TakeError: The folder cannot be written.
    """
    refuse_code(plan, allowed=allow_tools)
    present = people_of(plan) if people is None else people
    sounds = read_sounds(plan)
    with claimed(folder.path):
        book = PromptBook(Journal(folder.journal), watch)
        crew = Crew(plan, folder, book, _purse(plan, stage, budget), Aloud(loudspeaker))
        tools = {one.name: equip(plan, one.tools, partial(crew.tool_called, one.name)) for one in plan.models}
        book.write(_began(plan, stage, started or datetime.now(UTC)))
        for text in crew.purse.blind_spots:
            book.write(record.Warned(text=text))

        async def open_again(player: str, opened: AsyncExitStack) -> Session:
            return await open_player(plan, plan.player(player), stage, opened, book, tools[player])

        async def play() -> None:
            async with AsyncExitStack() as opened:
                company = await open_company(plan, stage, opened, book, present, tools, sounds, former)
                crew.present = frozenset(company.sessions)
                await Performance(plan, company, crew, open_again, former, ask).play()

        return await _to_the_end(play, folder, book)


async def _to_the_end(playing: Callable[[], Awaitable[None]], folder: TakeFolder, book: PromptBook) -> Take:
    """Play, and leave the take however it ends."""
    ended, problem = _STOPPED
    try:
        with unwrapped():
            await playing()
        ended, problem = "complete", ""
    except BudgetExceeded as error:
        ended, problem = "budget", str(error)
    except LimitReached as error:
        ended, problem = "limit", str(error)
    except SessionError as error:
        ended, problem = "failed", str(error)
    except TakeError as error:
        ended, problem = "failed", str(error)
        raise
    finally:
        book.write(record.TakeEnded(ended=ended, problem=problem))
        take = _leave(folder, book.journal)
    return take


def _purse(plan: Plan, stage: Stage, budget: Decimal | None) -> Purse:
    tariffs = {player.name: (player.model, stage.provider_of(player).price_provider) for player in plan.models}
    allowed = plan.budget if budget is None else budget
    return Purse(allowed, tariffs, None if allowed is None else foreseen(plan))


def _began(plan: Plan, stage: Stage, started: datetime) -> record.TakeBegan:
    return record.TakeBegan(
        tau_stage=__version__,
        started=started.isoformat(timespec="seconds"),
        title=plan.title,
        slug=plan.slug,
        path=plan.path,
        sha256=plan.sha256,
        variant=plan.variant,
        given=dict(plan.given),
        deliver=plan.deliver,
        resolved=resolved(plan),
        spent=any(stage.provider_of(player).name != UNDERSTUDY for player in plan.models),
        roles=tuple(_role(player, stage) for player in plan.players),
    )


def _role(player: PlayerPlan, stage: Stage) -> record.Role:
    if player.human:
        return record.Role(name=player.name, voice="", model="", endpoint="", prices="", human=player.human)
    place = stage.provider_of(player)
    return record.Role(
        name=player.name, voice=player.voice, model=player.model, endpoint=place.name, prices=place.price_provider
    )


def _leave(folder: TakeFolder, journal: Journal) -> Take:
    journal.close()
    take = fold(journal.records)
    folder.write("cost.json", cost_json(journal.records))
    folder.write("take.json", take.model_dump_json(indent=2) + "\n")
    if take.ended == "complete":
        folder.make_latest()
    return take
