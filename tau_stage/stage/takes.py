"""Get a model's line: its takes, the attempts at each, and the choice among them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import anyio

from tau_stage.audio import RATE, Pcm
from tau_stage.devices import Voice
from tau_stage.errors import BudgetExceeded, ModelRefused, SessionClosed, SessionError, StageError, Timeout
from tau_stage.protocol import FunctionTool, Response, Usage
from tau_stage.scene import LinePlan, Plan
from tau_stage.session import Session, Tally
from tau_stage.stage.context import delete_response
from tau_stage.stage.events import WordsProgress
from tau_stage.stage.line import LineCallbacks, LineResult, LineTake, UnrecordedUsage, restored_take, speak_line
from tau_stage.stage.production import Production
from tau_stage.stage.reconnect import Reconnector
from tau_stage.stage.sessions import Participants
from tau_stage.stage.timeline import LineFile
from tau_stage.take import read_sound
from tau_stage.take import records as record
from tau_stage.text import closeness


class LineRunner:
    """Lets models speak.

    Args:
        plan: The scene, resolved.
        participants: The sessions.
        production: Writes down and counts money.
        reconnector: Brings back who is lost.
    """

    def __init__(
        self, plan: Plan, participants: Participants, production: Production, reconnector: Reconnector
    ) -> None:
        self._plan = plan
        self._participants = participants
        self._production = production
        self._reconnector = reconnector

    async def takes(self, line: LinePlan, at: int | None) -> list[LineTake]:
        """Perform all takes of a line, as many as the scene wants and the budget has room for.

        Args:
            line: With its number in the take.
            at: The sample of the timeline it begins at, where that is known.

        Raises:
            SessionError: The line cannot be had.
            BudgetExceeded: It could only be had at a further attempt, and there is no money for that.
        """
        tries = [self._former(line, fact) for fact in self._production.ended_takes.pop(line.id, ())]
        before = len(tries)
        while not tries or self._wants_another(line, tries):
            if len(tries) > before:
                await delete_response(self._participants.sessions[line.player], tries[-1].delivery.response)
            number = tries[-1].number + 1 if tries else 1
            tries.append(await self._try(line, number, at, is_first=len(tries) == before))
        return tries

    def _former(self, line: LinePlan, fact: record.TakeKept) -> LineTake:
        """Return a take that had ended before the performance was stopped."""
        production = self._production
        path = production.folder.inside(fact.file) if fact.file else None
        recording = LineFile(production.folder, line, production.log, fact.take, path)
        audio = read_sound(path, fact.samples) if path else Pcm()
        return restored_take(fact, audio, recording, production.paid[line.id, fact.take])

    def _wants_another(self, line: LinePlan, tries: list[LineTake]) -> bool:
        """Tell whether a line is to be said once more; not where it has called tools."""
        enough = len(tries) >= line.takes or tries[-1].delivery.response.calls
        return not enough and self._affords_another(line, tries)

    def _affords_another(self, line: LinePlan, tries: list[LineTake]) -> bool:
        """Tell whether there is money for one more take; where there is none, those that are there must do."""
        if self._production.budget.affords(line.id, line.player, like=tries[-1].delivery.response.usage):
            return True
        text = f"line {line.id}: {len(tries)} of {line.takes} takes, as the budget has no room for more"
        self._production.log.append(record.Warned(player=line.player, line=line.id, text=text))
        return False

    async def _try(self, line: LinePlan, number: int, at: int | None, *, is_first: bool) -> LineTake:
        """Perform one take of a line; where several are wanted, pay it and write it down as soon as it has ended.

        Args:
            line: With its number in the take.
            number: Which take it is.
            at: The sample of the timeline it begins at, where that is known.
            is_first: Whether the line is not yet in the conversation.
        """
        production, owed = self._production, UnrecordedUsage()
        began = anyio.current_time()
        recording = LineFile(production.folder, line, production.log, number)
        aloud = at is None and line.takes == 1
        voice = production.playback.voice(lambda: production.timeline.start_of(line)) if aloud else None
        try:
            asked = line if is_first or line.apart else replace(line, prompt="")
            if number > 1:
                asked = replace(asked, metadata={**line.metadata, "take": str(number)})
            delivery = await self._insist(line, asked, recording, voice, owed)
        except StageError as error:
            file = recording.again()
            if voice:
                voice.restart()
            if isinstance(error, SessionError) and not isinstance(error, ModelRefused):
                production.fail_line(line, error.what_happened(), file, owed.take() or Usage())
            raise
        finally:
            if voice:
                voice.finish()
        took_s = anyio.current_time() - began
        paid = None if line.takes == 1 else production.take_ended(line, number, delivery, recording.aside(), took_s)
        return LineTake(number, delivery, recording, took_s, paid)

    async def _insist(
        self, line: LinePlan, asked: LinePlan, recording: LineFile, voice: Voice | None, owed: UnrecordedUsage
    ) -> LineResult:
        """Let a player speak, and once more where it is lost meanwhile; the line's time goes on."""
        deadline = inf if line.timeout_s is None else anyio.current_time() + line.timeout_s
        callbacks = self._callbacks(line, recording, voice, owed)
        player = self._plan.player(line.player)
        sounds = (line.output or player.output) == "audio"
        keeps = (line.commentary or player.commentary) == "keep"
        tally = Tally()
        session = await self._reconnector.session(line.player, line.id)
        while True:
            try:
                return await speak_line(
                    session, asked, callbacks, self._tools(line), tally, sounds=sounds, keeps_commentary=keeps
                )
            except (SessionClosed, Timeout) as error:
                if voice:
                    voice.restart()
                session = await self._reconnector.retry(line, error, tally, recording, owed)
            left_s = max(0.0, deadline - anyio.current_time())
            timeout_s = None if line.timeout_s is None else left_s
            asked = replace(line, metadata=asked.metadata, timeout_s=timeout_s)

    def _callbacks(
        self, line: LinePlan, recording: LineFile, voice: Voice | None, owed: UnrecordedUsage
    ) -> LineCallbacks:
        production, budget = self._production, self._production.budget
        player = self._plan.player(line.player)
        cap = line.max_output_tokens or player.max_output_tokens

        def sounded(audio: Pcm) -> None:
            recording.sounded(audio)
            if voice:
                voice.append(audio)

        def again(response: Response, trouble: str, wait_s: float) -> None:
            owed.take()
            production.retry_line(line, response, trouble, wait_s, recording.again())
            if voice:
                voice.restart()

        def called(response: Response) -> None:
            owed.take()
            production.tool_turn(line, response)

        def ended(response: Response) -> None:
            owed.ended(response)
            production.answered_by(line.player, self._participants.sessions[line.player].answered_by)

        def afford(response: Response) -> None:
            if budget.limit is not None and not budget.affords(line.id, line.player, response.usage):
                raise BudgetExceeded(budget.limit, budget.spent, line.id)

        def most_tokens() -> int | None:
            most = budget.most_tokens(line.id, line.player, line.output or player.output)
            return most if most is None or cap is None else min(most, cap)

        return LineCallbacks(
            sounded=sounded,
            worded=lambda word: production.log.publish(WordsProgress(line.player, line.id, word.words, word.spoken)),
            afford=afford,
            again=again,
            failed=lambda response: production.fail_line(
                line, _problem(response), recording.again(), owed.take() or Usage()
            ),
            most_tokens=most_tokens,
            called=called,
            asked=owed.asked,
            ended=ended,
        )

    def _tools(self, line: LinePlan) -> tuple[FunctionTool, ...]:
        return tuple(self._participants.tools[line.player][name].definition for name in line.tools or ())


def _problem(response: Response) -> str:
    return response.message or response.reason or "the response failed"


@dataclass(frozen=True, slots=True)
class TakeOption:
    """One take.

    Attributes:
        said: Its words.
        seconds: Its length.
        is_whole: Whether the response completed.
    """

    said: str
    seconds: float
    is_whole: bool = True


ChooseTake = Callable[[LinePlan, Sequence[TakeOption]], Awaitable[int]]
"""Lets somebody choose: the place of a take in the list."""


def pick_take(asked: str, options: Sequence[TakeOption], pick: Literal["closest", "first", "shortest", "ask"]) -> int:
    """Return the place of the take that is the line; the earlier one, where two are as good.

    A take that broke off is picked only where all did. What nobody is there to be asked, is the closest.

    >>> pick_take("Have it?", [TakeOption("Halve it?", 1.0), TakeOption("Have it?", 1.2)], "closest")
    1
    >>> pick_take("Yes.", [TakeOption("Yes.", 1.0), TakeOption("Yes.", 0.5), TakeOption("", 0.0, False)], "shortest")
    1
    """
    whole = [number for number, option in enumerate(options) if option.is_whole and option.said.strip()]
    among = whole or list(range(len(options)))
    if pick == "first":
        return among[0]
    if pick == "shortest":
        return min(among, key=lambda number: options[number].seconds)
    return max(among, key=lambda number: closeness(asked, options[number].said))


async def wait_until_idle(session: Session) -> None:
    """Wait until a player has answered whoever it listens to, and its answer was heard.

    Raises:
        Timeout: It does not come to an end.
    """
    limit = session.deadlines.response_s
    with anyio.move_on_after(limit) as patience:
        async with session.responses() as watch:
            while session.conversation.active and session.is_open:
                await anext(watch, None)
    if patience.cancelled_caught:
        raise Timeout(what="end of the answer before", waited_s=limit, player=session.name)
    playing = session.state.playback
    if session.turn_detection and playing and playing.is_playing(now := anyio.current_time()):
        await anyio.sleep((playing.samples - playing.heard_samples(now)) / RATE)
