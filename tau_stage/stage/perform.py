"""The performance: sessions open, lines are spoken in order, everybody hears them, a take is left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import anyio

from tau_stage import __version__
from tau_stage.audio.formats import Format
from tau_stage.audio.pcm import RATE
from tau_stage.errors import BudgetExceeded, ConnectFailed, ModelRefused, SessionError, StageError, TakeError, unwrapped
from tau_stage.protocol.config import conducted
from tau_stage.protocol.conversation import Response
from tau_stage.protocol.endpoints import UNDERSTUDY
from tau_stage.scene.plan import LinePlan, Plan, PlayerPlan, PromptPlan, Step
from tau_stage.session import Session, open_session
from tau_stage.stage import cues
from tau_stage.stage.hearing import Deaf, Heard, House, clip_of, open_house
from tau_stage.stage.line import say
from tau_stage.stage.notes import Listening, PromptBook, Watch
from tau_stage.stage.opening import Stage
from tau_stage.stage.purse import Purse
from tau_stage.stage.recording import Recording
from tau_stage.take import records as record
from tau_stage.take.costs import cost_json
from tau_stage.take.fold import fold
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import Journal
from tau_stage.take.model import Take
from tau_stage.take.stems import Stems


async def perform(
    plan: Plan,
    stage: Stage,
    folder: TakeFolder,
    *,
    started: datetime | None = None,
    budget: Decimal | None = None,
    watch: Watch | None = None,
) -> Take:
    """Perform a scene once.

    A provider that fails is a fact of the take, not an exception: look at ``take.ended`` and ``take.problem``.

    Args:
        plan: The scene, resolved.
        stage: Connects players.
        folder: Empty; everything is left here.
        started: UTC; now, if it is not given.
        budget: Dollars this performance may cost; the plan's, if it is not given.
        watch: An onlooker; it is never waited for.

    Returns:
        The take, as ``take.json`` tells it.

    Raises:
        TakeError: The folder cannot be written.
    """
    book = PromptBook(Journal(folder.journal), watch)
    book.write(_began(plan, stage, started or datetime.now(UTC)))
    ended: record.Ending = "interrupted"
    problem = "stopped from outside"
    try:
        async with AsyncExitStack() as opened:
            sessions = await _open_all(plan, stage, opened, book)
            tariffs = {player.name: (player.model, stage.provider_of(player).price_provider) for player in plan.players}
            purse = Purse(plan.budget if budget is None else budget, tariffs)
            await Performance(plan, sessions, folder, book, purse).play()
        ended, problem = "complete", ""
    except BudgetExceeded as error:
        ended, problem = "budget", str(error)
    except SessionError as error:
        ended, problem = "failed", str(error)
    except TakeError as error:
        ended, problem = "failed", str(error)
        raise
    finally:
        book.write(record.TakeEnded(ended=ended, problem=problem))
        take = _leave(folder, book.journal)
    return take


def _began(plan: Plan, stage: Stage, started: datetime) -> record.TakeBegan:
    roles = tuple(
        record.Role(
            name=player.name,
            voice=player.voice,
            model=player.model,
            endpoint=stage.provider_of(player).name,
            prices=stage.provider_of(player).price_provider,
        )
        for player in plan.players
    )
    return record.TakeBegan(
        tau_stage=__version__,
        started=started.isoformat(timespec="seconds"),
        title=plan.title,
        slug=plan.slug,
        path=plan.path,
        sha256=plan.sha256,
        spent=any(role.endpoint != UNDERSTUDY for role in roles),
        roles=roles,
    )


def _leave(folder: TakeFolder, journal: Journal) -> Take:
    journal.close()
    take = fold(journal.records)
    folder.write("cost.json", cost_json(journal.records))
    folder.write("take.json", take.model_dump_json(indent=2) + "\n")
    if take.ended == "complete":
        folder.make_latest()
    return take


async def _open_all(plan: Plan, stage: Stage, opened: AsyncExitStack, book: PromptBook) -> dict[str, Session]:
    """Open every player's session, one after another, in the order of their first lines."""
    sessions = {}
    for player in plan.opening_order:
        began = book.now_s
        refusals = 0

        def refused(error: ConnectFailed, wait_s: float, *, name: str = player.name) -> None:
            nonlocal refusals
            refusals += 1
            problem = str(error.about(player=name))
            book.write(record.OpeningRefused(player=name, problem=problem, wait_s=wait_s))

        session = await stage.gate.through(
            partial(_open, player, stage, opened), gap_s=plan.opening_gap_s, refused=refused
        )
        took_s = round(book.now_s - began, 6)
        book.write(record.PlayerOpened(player=player.name, session=session.id, attempts=refusals + 1, took_s=took_s))
        for warning in session.warnings:
            book.write(record.Warned(player=player.name, text=f"player {player.name}: {warning}"))
        sessions[player.name] = session
    return {player.name: sessions[player.name] for player in plan.players}


async def _open(player: PlayerPlan, stage: Stage, opened: AsyncExitStack) -> Session:
    place = stage.provider_of(player)
    wanted = conducted(
        voice=player.voice,
        instructions=player.instructions,
        speed=player.speed,
        output=player.output,
        max_output_tokens=player.max_output_tokens,
        heard_rate=place.heard_rate,
    )
    opening = partial(
        open_session,
        name=player.name,
        deadlines=stage.deadlines,
        dialect=place.dialect,
        heard_as=Format("audio/pcm", place.heard_rate),
        keeps_audio=False,
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


class Performance:
    """The lines of one plan, from the first to the last.

    Args:
        plan: The scene, resolved.
        sessions: Open, by player.
        folder: The take's.
        book: Where everything is written down.
        purse: Knows what may still be spent.
    """

    def __init__(
        self, plan: Plan, sessions: dict[str, Session], folder: TakeFolder, book: PromptBook, purse: Purse
    ) -> None:
        self._plan = plan
        self._sessions = sessions
        self._folder = folder
        self._book = book
        self._purse = purse
        self._stems = Stems(folder.stems, sessions)
        self._gap = 0
        self._done = 0
        self._unheard = dict.fromkeys(sessions, 0)
        self._lost: dict[str, SessionError] = {}
        self._changed = anyio.Event()

    async def play(self) -> None:
        """Perform every step, then wait until everything said was heard.

        Raises:
            SessionError: A line cannot be had.
            BudgetExceeded: The next line would cost too much.
            TakeError: The folder cannot be written.
        """
        try:
            with unwrapped():
                async with open_house(self._sessions, self._reported) as house:
                    await self._perform_all(house)
        finally:
            self._stems.close()

    async def _perform_all(self, house: House) -> None:
        while not cues.over(self._plan, self._so_far):
            for step in cues.due(self._plan, self._so_far):
                await self._perform(step, house)
                self._done += 1
                break
            else:
                await self._changed.wait()

    @property
    def _so_far(self) -> cues.SoFar:
        return cues.SoFar(begun=self._done, done=self._done, unheard=self._unheard)

    async def _perform(self, step: Step, house: House) -> None:
        if isinstance(step, PromptPlan):
            for player, words in step.prompts:
                await self._sessions[player].system(words)
                self._book.write(record.PromptGiven(player=player, words=words))
            return
        try:
            await self._speak(step, house)
        except SessionError as error:
            raise error.about(player=step.player, line=step.id) from None

    async def _speak(self, line: LinePlan, house: House) -> None:
        if line.player in self._lost:
            raise self._lost[line.player].about(line=line.id)
        self._purse.open_for(line.id)
        self._book.write(record.LineBegan(line=line.id, player=line.player))
        began = self._book.now_s
        recording = Recording(self._folder, line, self._book)

        def again(response: Response, wait_s: float) -> None:
            self._purse.pay(line.player, response.usage)
            problem = f"the response is {response.status} ({response.reason or 'it is empty'})"
            self._book.write(
                record.LineAgain(
                    line=line.id,
                    player=line.player,
                    problem=problem,
                    wait_s=wait_s,
                    file=recording.again(),
                    usage=response.usage,
                )
            )

        session = self._sessions[line.player]
        try:
            response, attempts = await say(session, line, sounded=recording.sounded, again=again)
        except StageError:
            recording.again()
            raise
        self._purse.pay(line.player, response.usage)
        self._stems.line(line.player, response.audio, gap=self._gap)
        self._gap = round(line.pause_s * RATE)
        self._book.write(
            record.LineSpoken(
                line=line.id,
                number=line.number,
                player=line.player,
                asked=line.words,
                direction=line.direction,
                said=response.transcript or response.text,
                status=response.status,
                reason=response.reason,
                file=recording.finish(),
                sha256=response.audio.sha256,
                samples=len(response.audio),
                rate=response.audio.rate,
                pause_samples=self._gap,
                first_audio_s=response.first_audio_s,
                took_s=round(self._book.now_s - began, 6),
                hearers=line.hearers,
                response=response.id,
                attempts=attempts,
                usage=response.usage,
            )
        )
        self._let_hear(line, response, house)

    def _let_hear(self, line: LinePlan, response: Response, house: House) -> None:
        hearers = [name for name in line.hearers if name not in self._lost]
        clip = clip_of(line.id, line.number, response.audio, response.transcript or response.text)
        for name in hearers:
            self._unheard[name] += 1
            self._book.show(Listening(name, line.id))
        house.hear(clip, hearers, cues.next_speaker(self._plan, line))

    def _reported(self, news: Heard | Deaf) -> None:
        self._unheard[news.hearer] -= 1
        clip = news.clip
        if isinstance(news, Heard):
            took_s = round(news.took_s, 6)
            self._book.write(record.LineHeard(line=clip.line, hearer=news.hearer, sha256=clip.sha256, took_s=took_s))
        else:
            if news.lost:
                self._lost[news.hearer] = news.why
                self._unheard[news.hearer] = 0
            problem = f"{news.why}; the line was not heard" + (", and the player is lost" if news.lost else "")
            self._book.write(record.LineMissed(line=clip.line, hearer=news.hearer, problem=problem, lost=news.lost))
        self._changed.set()
        self._changed = anyio.Event()
