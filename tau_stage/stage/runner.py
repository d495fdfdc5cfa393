"""A performance under way: steps start as the cues say, and what is said is laid, written down and heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import anyio
from anyio.abc import TaskGroup

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed, SessionError, Stopped, Timeout, unwrapped
from tau_stage.scene.model import Failed
from tau_stage.scene.plan import (
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    SoundPlan,
    TogetherPlan,
    spoken,
)
from tau_stage.stage import schedule
from tau_stage.stage.context import Given, remember, retell, tell
from tau_stage.stage.fan_out import House, open_house
from tau_stage.stage.line import Delivery, Try
from tau_stage.stage.open_mic import Ears, Listening
from tau_stage.stage.production import Crew, unless
from tau_stage.stage.reconnect import OpenAgain, Recall
from tau_stage.stage.schedule import Happening, Start, Turn
from tau_stage.stage.sessions import Company
from tau_stage.stage.takes import Ask, Attempts, Option, let_finish, picked
from tau_stage.stage.timeline import Recording
from tau_stage.take import records as record
from tau_stage.take.reuse import Former
from tau_stage.take.take_model import Performed


class Performance:
    """The steps of one plan, from the first to the last.

    Args:
        plan: The scene, resolved.
        company: The sessions and the people.
        crew: Writes down, lays and tells.
        open_again: Opens the session of a player that is lost.
        former: What is taken over from a former take.
        ask: Lets somebody choose among takes, if anybody is there.
    """

    def __init__(
        self, plan: Plan, company: Company, crew: Crew, open_again: OpenAgain, former: Former, ask: Ask | None
    ) -> None:
        self._open_again = open_again
        self._plan = plan
        self._company = company
        self._crew = crew
        self._former = former
        self._ask = ask

    async def play(self) -> None:
        """Perform every step, then wait until everything said was heard.

        Raises:
            SessionError: A line cannot be had.
            BudgetExceeded: The next line would cost too much.
            LimitReached: Cues went on and on.
            Stopped: Somebody wanted to stop.
            TakeError: The folder cannot be written.
        """
        crew, sessions = self._crew, self._company.sessions
        with unwrapped():
            async with anyio.create_task_group() as keeping:
                self._recall = Recall(self._plan, self._company, crew, self._open_again, keeping)
                self._attempts = Attempts(self._plan, self._company, crew, self._recall)
                async with open_house(sessions, crew.reported, self._company.forms) as house:
                    await self._perform_all(house)
                keeping.cancel_scope.cancel()
        if not schedule.over(self._plan, crew.so_far):
            raise Stopped

    async def _perform_all(self, house: House) -> None:
        crew = self._crew
        crew.house = house
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._ring_at_the_stop)
            async with anyio.create_task_group() as group:
                while not (crew.stop.is_set() or schedule.over(self._plan, crew.so_far)):
                    if start := schedule.due(self._plan, crew.so_far):
                        self._stop_without(crew.lost)
                        self._begin(start, group)
                        continue
                    news, wake = crew.changed, schedule.wakes_at(self._plan, crew.so_far)
                    with anyio.move_on_after(None if wake is None else max(0.0, wake - anyio.current_time())):
                        await news.wait()
                    crew.keep_quiet(anyio.current_time())
            watching.cancel_scope.cancel()
        await crew.playback.wait_until_heard()

    async def _ring_at_the_stop(self) -> None:
        await self._crew.stop.wait()
        self._crew.ring()

    def _stop_without(self, lost: Mapping[str, SessionError]) -> None:
        """Go no further where the scene wants nobody missing.

        Raises:
            SessionError: Somebody is lost.
        """
        if self._plan.on_lost_player == "stop" and lost:
            raise next(iter(lost.values()))

    def _begin(self, start: Start, group: TaskGroup) -> None:
        crew = self._crew
        for step in start.skipped:
            crew.book.write(record.StepSkipped(source_line=step.source_line))
        crew.so_far = schedule.began(crew.so_far, start)
        group.start_soon(self._run, start)

    async def _run(self, start: Start) -> None:
        crew = self._crew
        turn: Turn | None = None
        try:
            turn = await self._perform(start)
        except SessionError as error:
            turn = self._gone_on(start, error)
        except Stopped:  # it is not over, and begins anew when the take is resumed
            return
        crew.so_far = schedule.ended(crew.so_far, start, turn)
        crew.ring()

    def _gone_on(self, start: Start, error: SessionError) -> Turn:
        """Go on without a line that cannot be had, if the scene may go on, or if a cue waits for such a thing.

        Raises:
            SessionError: Neither is so, or it is the cue's own line.
        """
        player = error.player or getattr(start.step, "player", "")
        if self._plan.on_lost_player == "continue" and player in self._crew.lost:
            self._crew.lost_line(error.line or getattr(start.step, "id", ""), player, str(error))
            return Turn(player, "")
        strand = self._crew.so_far.strands[start.strand]
        if isinstance(strand.event, Failed) or not schedule.is_awaited(self._plan, Happening("error", player)):
            raise error
        self._crew.lost_line(error.line or getattr(start.step, "id", ""), player, str(error))
        return Turn(player, "")

    async def _perform(self, start: Start) -> Turn | None:
        step, crew = start.step, self._crew
        crew.next_speaker = schedule.next_speaker(crew.so_far, start)
        match step:
            case LinePlan():
                await self._whisper(start)
                return await self._line(step)
            case ItemPlan():
                await self._items(step)
            case PausePlan():
                crew.timeline.pause(step.seconds)
            case SoundPlan():
                crew.play(step, self._company.sounds[step.file, step.gain_db], crew.timeline.next)
                await crew.playback.wait_until_heard(crew.timeline.next)
            case TogetherPlan():
                await self._together(start, step)
            case ListenPlan():
                await self._listen(step)
            case ImprovisePlan():  # its turns are lines
                raise AssertionError(step)
        return None

    # ---- what is no line

    async def _whisper(self, start: Start) -> None:
        """Tell everyone, before the first turn of free play, what it is about."""
        strand = self._crew.so_far.strands[start.strand]
        step = strand.steps[start.at]
        if isinstance(step, ImprovisePlan) and strand.play is not None and not strand.play.asked:
            await self._items(ItemPlan("system", tuple(step.whispers.items()), step.source_line))

    async def _items(self, step: ItemPlan) -> None:
        given = [Given(player, step.role, words) for player, words in step.words]
        given += [Given(player, "user", sound=file) for player, file in step.sounds]
        for item in given:
            if item.player not in self._company.sessions:
                continue
            await self._give(item)
            words = item.words or f"[{item.sound}]"
            self._crew.book.write(record.ItemGiven(player=item.player, role=item.role, words=words))
            self._crew.past.append(item)

    async def _give(self, item: Given) -> None:
        """Put something into a player's conversation; one that is lost is told when it is opened again."""
        player = item.player
        if player in self._crew.lost:
            return
        try:
            await tell(self._company.sessions[player], item, self._company.forms[player], self._company.sounds)
        except (SessionClosed, Timeout) as error:
            self._recall.lose(player, error)

    async def _together(self, start: Start, step: TogetherPlan) -> None:
        crew = self._crew
        at = crew.timeline.next
        failed: list[SessionError] = []
        lines = [part for part in step.parts if isinstance(part, LinePlan) and part.player in self._company.sessions]
        known = self._former.lines.keys() | crew.ended.keys()
        crew.purse.open_for(*((line.id, line.player) for line in lines if line.id not in known))
        crew.number(spoken((step,)))

        async def speak(part: LinePlan) -> None:
            try:
                await self._line(part, at)
            except SessionError as error:  # the others are not to suffer for it
                failed.append(error)

        with unwrapped(), crew.playback.together():
            async with anyio.create_task_group() as group:
                for part in step.parts:
                    if isinstance(part, LinePlan):
                        group.start_soon(speak, part)
                    else:
                        crew.play(part, self._company.sounds[part.file, part.gain_db], at)
        crew.timeline.go_on(step.pause_s)
        for error in failed:
            self._gone_on(start, error)
        await crew.playback.wait_until_heard(crew.timeline.next)

    async def _listen(self, step: ListenPlan) -> None:
        if (former := self._former.of(step.id)) and step.id not in self._former.broken_off:
            await self._former_talk(step, former)
            return
        person, player, crew = self._company.people[step.person], self._plan.player(step.player), self._crew
        try:
            session = await self._recall.session(step.player, step.id)
        except SessionError as error:
            raise error.about(player=step.player, line=step.id) from None
        crew.listening = {step.person: step.player}
        await crew.playback.wait_until(crew.timeline.next)
        crew.book.write(record.ListenBegan(step=step.id))
        ears = Ears(crew, self._company, self._line)
        try:
            with unwrapped(), crew.playback.in_real_time(lambda: crew.timeline.end):
                await Listening(step, player, session, person, ears, former).run()
        except (SessionClosed, Timeout) as error:
            self._recall.lose(step.player, error)
            raise error.about(player=step.player, line=step.id) from None
        except SessionError as error:
            raise error.about(player=step.player, line=step.id) from None
        finally:
            crew.listening = {}
            ears.close()
        if crew.stop.is_set():
            raise Stopped
        ears.miss(step)
        crew.book.write(record.ListenEnded(step=step.id))
        await crew.playback.wait_until_heard(crew.timeline.next)

    async def _former_talk(self, step: ListenPlan, lines: list[Performed]) -> None:
        """Take over what was said at an open microphone, where it was said."""
        crew, session = self._crew, self._company.sessions.get(step.player)
        origin = crew.timeline.next - lines[0].offset_samples
        for former in lines:
            line = replace(step.line(former.player), id=former.id)
            if session and former.player == step.person:
                await session.create_audio(self._former.sound(former), former.said)
            await self._former_line(line, origin + former.offset_samples)

    # ---- lines

    async def _line(self, line: LinePlan, at: int | None = None) -> Turn:
        """Let a line be spoken, by whomever; what it came to."""
        try:
            if line.id in self._former.lines:
                return await self._former_line(line, at)
            if line.player in self._company.people:
                return await self._human_line(line, at)
            async with self._company.floors[line.player]:
                return await self._model_line(line, at)
        except SessionError as error:
            raise error.about(player=line.player, line=line.id) from None

    async def _human_line(self, line: LinePlan, at: int | None) -> Turn:
        crew, alone = self._crew, at is None
        line = crew.begin(line)
        person = self._company.people[line.player]
        if alone:
            await crew.playback.wait_until(crew.timeline.start_of(line))
        async with unless(crew.stop):
            given = await person.deliver(line, crew.book.show)
        if not (given.audio or given.words):
            crew.lost_line(line.id, line.player, f"line {line.id}, player {line.player}: nobody spoke")
            return Turn(line.player, "")
        recording = Recording(crew.folder, line, crew.book)
        if given.audio:
            recording.sounded(given.audio)
        at = crew.timeline.start_of(line) if at is None else at
        if not person.is_live:
            crew.playback.play(given.audio, at)
        crew.leave(line, given.audio, given.words, at, recording.finish())
        if person.is_live:
            crew.playback.skip_to(crew.timeline.end)
        if alone:
            await self._let_be_heard(line)
        return Turn(line.player, given.words, given.audio.duration_s)

    async def _model_line(self, line: LinePlan, at: int | None) -> Turn:
        crew = self._crew
        if line.id not in crew.ended:  # else those takes must do, where there is no money for more
            crew.purse.open_for((line.id, line.player))
        try:
            await let_finish(await self._recall.session(line.player, line.id))
        except Timeout as error:
            self._recall.lose(line.player, error)
        line = crew.begin(line)
        spent = crew.purse.spent
        tries = await self._attempts.takes(line, at)
        chosen = await self._pick(line, tries)
        if chosen.delivery.problem:
            return self._failed_line(line, chosen, at)
        if not line.apart:
            await self._remember(line, tries[-1], chosen)
        delivery, audio = chosen.delivery, chosen.delivery.response.audio
        start = crew.timeline.start_of(line) if at is None else at
        if at is not None or len(tries) > 1:
            crew.playback.play(audio, start)
        said = delivery.response.transcript
        file = chosen.recording.finish()
        crew.leave(line, audio, said, start, file, delivery=delivery, tried=chosen)
        if crew.playback.is_on:
            if at is None:
                await self._let_be_heard(line)
        else:
            await self._let_sound(delivery, chosen.took_s)
        return Turn(line.player, said, audio.duration_s, crew.purse.spent - spent)

    async def _remember(self, line: LinePlan, last: Try, chosen: Try) -> None:
        """Make a player believe that it said the take that was chosen."""
        session, said = self._company.sessions[line.player], chosen.delivery.response.transcript
        if last.is_former:
            await retell(session, line, said)
        elif chosen is not last:
            await remember(session, last.delivery.response, said)

    def _failed_line(self, line: LinePlan, chosen: Try, at: int | None) -> Turn:
        """Note a line that was answered without a sound: nobody hears it, what came is kept, and the scene goes on."""
        crew, delivery = self._crew, chosen.delivery
        if kept := chosen.recording.again():
            delivery = replace(delivery, problem=f"{delivery.problem}; it is kept in {kept}")
        start = crew.timeline.start_of(line) if at is None else at
        crew.leave(line, Pcm(), "", start, None, delivery=delivery, tried=chosen)
        return Turn(line.player, "")

    async def _pick(self, line: LinePlan, tries: list[Try]) -> Try:
        tries = [each for each in tries if not each.delivery.problem] or tries[-1:]
        if len(tries) == 1:
            return tries[0]
        options = [_option(each) for each in tries]
        if line.pick == "ask" and self._ask and not self._crew.stop.is_set():
            return tries[await self._ask(line, options)]
        return tries[picked(line.words, options, line.pick)]

    async def _former_line(self, line: LinePlan, at: int | None) -> Turn:
        """Take over a line from a former take: whoever performs anew is told of it."""
        crew, former = self._crew, self._former.lines[line.id]
        line = crew.begin(line)
        audio = self._former.sound(former)
        if (session := self._company.sessions.get(line.player)) and not line.apart:
            await retell(session, line, former.said)
        start = crew.timeline.start_of(line) if at is None else at
        crew.playback.play(audio, start)
        file = self._former.copy(former, line, crew.folder)
        if self._former.is_elsewhere(line.id, crew.folder):
            for other in former.takes:
                crew.take_comes_along(line, other, self._former.copy_other(other, line, crew.folder))
        crew.take_over(line, audio, start, file, former, self._former)
        if crew.playback.is_on and at is None:
            await self._let_be_heard(line)
        return Turn(line.player, former.said, audio.duration_s, former.cost.total or Decimal(0))

    async def _let_be_heard(self, line: LinePlan) -> None:
        """Wait until the line was heard; not where another cuts into it, which must be there in time."""
        if not line.cut:
            await self._crew.playback.wait_until_heard(self._crew.timeline.next)

    async def _let_sound(self, delivery: Delivery, took_s: float) -> None:
        """Wait until the line would have been heard, where the scene goes on in real time."""
        response = delivery.response
        if self._plan.pace == "realtime" and response.audio:
            with anyio.move_on_after(max(0.0, (response.first_audio_s or 0.0) + response.audio.duration_s - took_s)):
                await self._crew.stop.wait()


def _option(each: Try) -> Option:
    response = each.delivery.response
    return Option(response.transcript, response.audio.duration_s, response.status == "completed")
