"""A model's line until it can be had: its takes, and the attempts at each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import anyio

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.devices.playback import Voice
from tau_stage.errors import BudgetExceeded, ModelRefused, SessionClosed, SessionError, StageError, Timeout
from tau_stage.protocol.config import FunctionTool
from tau_stage.protocol.conversation import Response
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import LinePlan, Plan
from tau_stage.session import Session
from tau_stage.session.retrying import Tally
from tau_stage.stage.context import forget
from tau_stage.stage.events import Wording
from tau_stage.stage.line import Delivery, Owed, Prompter, Try, former_try, say
from tau_stage.stage.production import Crew
from tau_stage.stage.reconnect import Recall
from tau_stage.stage.sessions import Company
from tau_stage.stage.timeline import Recording
from tau_stage.take import records as record
from tau_stage.take.reading import read_sound
from tau_stage.text import closeness


class Attempts:
    """Lets models speak.

    Args:
        plan: The scene, resolved.
        company: The sessions.
        crew: Writes down and counts money.
        recall: Brings back who is lost.
    """

    def __init__(self, plan: Plan, company: Company, crew: Crew, recall: Recall) -> None:
        self._plan = plan
        self._company = company
        self._crew = crew
        self._recall = recall

    async def takes(self, line: LinePlan, at: int | None) -> list[Try]:
        """Perform all takes of a line, as many as the scene wants and the budget has room for.

        Args:
            line: With its number in the take.
            at: The sample of the timeline it begins at, where that is known.

        Raises:
            SessionError: The line cannot be had.
            BudgetExceeded: It could only be had at a further attempt, and there is no money for that.
        """
        tries = [self._former(line, fact) for fact in self._crew.ended.pop(line.id, ())]
        before = len(tries)
        while not tries or self._wants_another(line, tries):
            if len(tries) > before:
                await forget(self._company.sessions[line.player], tries[-1].delivery.response)
            number = tries[-1].number + 1 if tries else 1
            tries.append(await self._try(line, number, at, is_first=len(tries) == before))
        return tries

    def _former(self, line: LinePlan, fact: record.TakeKept) -> Try:
        """Return a take that had ended before the performance was stopped."""
        crew = self._crew
        path = crew.folder.inside(fact.file) if fact.file else None
        recording = Recording(crew.folder, line, crew.book, fact.take, path)
        audio = read_sound(path, fact.samples) if path else Pcm()
        return former_try(fact, audio, recording, crew.paid[line.id, fact.take])

    def _wants_another(self, line: LinePlan, tries: list[Try]) -> bool:
        """Tell whether a line is to be said once more; not where it has called tools."""
        enough = len(tries) >= line.takes or tries[-1].delivery.response.calls
        return not enough and self._affords_another(line, tries)

    def _affords_another(self, line: LinePlan, tries: list[Try]) -> bool:
        """Tell whether there is money for one more take; where there is none, those that are there must do."""
        if self._crew.purse.affords(line.id, line.player, like=tries[-1].delivery.response.usage):
            return True
        text = f"line {line.id}: {len(tries)} of {line.takes} takes, as the budget has no room for more"
        self._crew.book.write(record.Warned(player=line.player, line=line.id, text=text))
        return False

    async def _try(self, line: LinePlan, number: int, at: int | None, *, is_first: bool) -> Try:
        """Perform one take of a line; where several are wanted, pay it and write it down as soon as it has ended.

        Args:
            line: With its number in the take.
            number: Which take it is.
            at: The sample of the timeline it begins at, where that is known.
            is_first: Whether the line is not yet in the conversation.
        """
        crew, owed = self._crew, Owed()
        began = anyio.current_time()
        recording = Recording(crew.folder, line, crew.book, number)
        aloud = at is None and line.takes == 1
        voice = crew.playback.voice(lambda: crew.timeline.start_of(line)) if aloud else None
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
                crew.failed(line, error.what_happened(), file, owed.take() or Usage())
            raise
        finally:
            if voice:
                voice.finish()
        took_s = anyio.current_time() - began
        paid = None if line.takes == 1 else crew.take_ended(line, number, delivery, recording.aside(), took_s)
        return Try(number, delivery, recording, took_s, paid)

    async def _insist(
        self, line: LinePlan, asked: LinePlan, recording: Recording, voice: Voice | None, owed: Owed
    ) -> Delivery:
        """Let a player speak, and once more where it is lost meanwhile; the line's time goes on."""
        deadline = inf if line.timeout_s is None else anyio.current_time() + line.timeout_s
        prompter = self._prompter(line, recording, voice, owed)
        player = self._plan.player(line.player)
        sounds = (line.output or player.output) == "audio"
        keeps = (line.commentary or player.commentary) == "keep"
        tally = Tally()
        session = await self._recall.session(line.player, line.id)
        while True:
            try:
                return await say(
                    session, asked, prompter, self._tools(line), tally, sounds=sounds, keeps_commentary=keeps
                )
            except (SessionClosed, Timeout) as error:
                if voice:
                    voice.restart()
                session = await self._recall.again(line, error, tally, recording, owed)
            left_s = max(0.0, deadline - anyio.current_time())
            timeout_s = None if line.timeout_s is None else left_s
            asked = replace(line, metadata=asked.metadata, timeout_s=timeout_s)

    def _prompter(self, line: LinePlan, recording: Recording, voice: Voice | None, owed: Owed) -> Prompter:
        crew, purse = self._crew, self._crew.purse
        player = self._plan.player(line.player)
        cap = line.max_output_tokens or player.max_output_tokens

        def sounded(audio: Pcm) -> None:
            recording.sounded(audio)
            if voice:
                voice.append(audio)

        def again(response: Response, trouble: str, wait_s: float) -> None:
            owed.take()
            crew.again(line, response, trouble, wait_s, recording.again())
            if voice:
                voice.restart()

        def called(response: Response) -> None:
            owed.take()
            crew.tool_turn(line, response)

        def ended(response: Response) -> None:
            owed.ended(response)
            crew.answered_by(line.player, self._company.sessions[line.player].answered_by)

        def afford(response: Response) -> None:
            if purse.budget is not None and not purse.affords(line.id, line.player, response.usage):
                raise BudgetExceeded(purse.budget, purse.spent, line.id)

        def most_tokens() -> int | None:
            most = purse.most_tokens(line.id, line.player, line.output or player.output)
            return most if most is None or cap is None else min(most, cap)

        return Prompter(
            sounded=sounded,
            worded=lambda word: crew.book.show(Wording(line.player, line.id, word.words, word.spoken)),
            afford=afford,
            again=again,
            failed=lambda response: crew.failed(line, _problem(response), recording.again(), owed.take() or Usage()),
            most_tokens=most_tokens,
            called=called,
            asked=owed.asked,
            ended=ended,
        )

    def _tools(self, line: LinePlan) -> tuple[FunctionTool, ...]:
        return tuple(self._company.tools[line.player][name].told for name in line.tools or ())


def _problem(response: Response) -> str:
    return response.message or response.reason or "the response failed"


@dataclass(frozen=True, slots=True)
class Option:
    """One take.

    Attributes:
        said: Its words.
        seconds: Its length.
        is_whole: Whether the response completed.
    """

    said: str
    seconds: float
    is_whole: bool = True


Ask = Callable[[LinePlan, Sequence[Option]], Awaitable[int]]
"""Lets somebody choose: the place of a take in the list."""


def picked(asked: str, options: Sequence[Option], pick: Literal["closest", "first", "shortest", "ask"]) -> int:
    """Return the place of the take that is the line; the earlier one, where two are as good.

    A take that broke off is picked only where all did. What nobody is there to be asked, is the closest.

    >>> picked("Can I *have* it?", [Option("Can I halve it?", 1.0), Option("Can I have it?", 1.2)], "closest")
    1
    >>> picked("Yes.", [Option("Yes.", 1.0), Option("Yes.", 0.5), Option("", 0.0, False)], "shortest")
    1
    """
    whole = [number for number, option in enumerate(options) if option.is_whole and option.said.strip()]
    among = whole or list(range(len(options)))
    if pick == "first":
        return among[0]
    if pick == "shortest":
        return min(among, key=lambda number: options[number].seconds)
    return max(among, key=lambda number: closeness(asked, options[number].said))


async def let_finish(session: Session) -> None:
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
    playing = session.attention.playback
    if session.turn_detection and playing and playing.is_playing(now := anyio.current_time()):
        await anyio.sleep((playing.samples - playing.heard_samples(now)) / RATE)
