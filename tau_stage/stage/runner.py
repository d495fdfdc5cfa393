"""Run the steps of a plan: each starts as the schedule says, and is performed to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from tau_stage import scene
from tau_stage.audio import Pcm
from tau_stage.errors import SessionClosed, SessionError, Stopped, Timeout, unwrapped
from tau_stage.stage import schedule
from tau_stage.stage.context import add_line, replace_last_answer
from tau_stage.stage.fan_out import FanOut, open_fan_out
from tau_stage.stage.line import LineResult, LineTake
from tau_stage.stage.open_mic import OpenMicrophone
from tau_stage.stage.production import Production, cancel_on_stop
from tau_stage.stage.reconnect import Reconnector
from tau_stage.stage.schedule import NextStep, Trigger
from tau_stage.stage.sessions import Participants
from tau_stage.stage.takes import ChooseTake, LineRunner, TakeOption, pick_take, wait_until_idle
from tau_stage.stage.timeline import LineFile
from tau_stage.take import Performed, ReusedLines, fold
from tau_stage.take import records as record
from tau_stage.text import with_clause


class Runner:
    """The steps of one plan, from the first to the last; ``ask`` lets somebody choose among takes."""

    def __init__(
        self, participants: Participants, production: Production, former: ReusedLines, ask: ChooseTake | None
    ) -> None:
        self._plan = production.plan
        self._participants = participants
        self._production = production
        self._former = former
        self._ask = ask

    async def play(self) -> None:
        """Perform every step, then wait until everything was heard; a ``StageError`` says why it cannot go on."""
        production, sessions = self._production, self._participants.sessions
        with unwrapped():
            async with anyio.create_task_group() as keeping:
                self._reconnector = Reconnector(self._participants, production, keeping)
                self._attempts = LineRunner(self._participants, production, self._reconnector)
                async with open_fan_out(sessions, production.presence.reported, self._participants.forms) as fan_out:
                    await self._perform_all(fan_out)
                keeping.cancel_scope.cancel()
        if not schedule.is_over(production.state):
            raise Stopped

    async def _perform_all(self, fan_out: FanOut) -> None:
        production = self._production
        production.presence.fan_out = fan_out
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._ring_at_the_stop)
            async with anyio.create_task_group() as group:
                while not (production.stop.is_set() or schedule.is_over(production.state)):
                    if start := schedule.due(production.state):
                        if not (behind := production.presence.behind(schedule.speakers_of(start.step))):
                            if self._plan.on_lost_player == "stop" and production.presence.lost:
                                raise next(iter(production.presence.lost.values()))
                            self._begin(start, group)
                            continue
                        fan_out.hurry(behind)
                    news, wake = production.changed, schedule.wakes_at(self._plan, production.state)
                    if wake is None:
                        await news.wait()
                        continue
                    with anyio.move_on_after(max(0.0, wake - anyio.current_time())):
                        await news.wait()
                    production.pass_silence(anyio.current_time())
            watching.cancel_scope.cancel()
        await production.playback.wait_until_heard()

    async def _ring_at_the_stop(self) -> None:
        await self._production.stop.wait()
        self._production.changed.notify()

    def _begin(self, start: NextStep, group: TaskGroup) -> None:
        production = self._production
        for step in start.skipped:
            production.log.append(record.StepSkipped(source_line=step.source_line))
        production.record_fact(start.began())
        group.start_soon(self._run, start)

    async def _run(self, start: NextStep) -> None:
        dollars = Decimal(0)
        try:
            dollars = await self._perform(start)
        except SessionError as error:
            self._go_on_without(start, error)
        except Stopped:  # it is not over, and begins anew when the take is resumed
            return
        self._production.record_fact(start.ended(dollars))

    def _go_on_without(self, start: NextStep, error: SessionError) -> None:
        """Go on without a line, if the scene may, or a cue waits for such a thing; else raise the error."""
        player = error.player or getattr(start.step, "player", "")
        is_lost = self._plan.on_lost_player == "continue" and player in self._production.presence.lost
        branch = self._production.state.branches[start.branch]
        is_awaited = schedule.is_awaited(self._plan, Trigger("error", player))
        if not is_lost and (isinstance(branch.event, scene.FailureEvent) or not is_awaited):
            raise error
        self._production.skip_line(getattr(start.step, "id", "") or error.line, player, str(error))

    async def _perform(self, start: NextStep) -> Decimal:
        """Perform a step, but for what has come of it before the performance was stopped. Return what it has cost."""
        step, production = start.step, self._production
        production.presence.next_speakers = schedule.next_speakers(production.state, start)
        match step:
            case scene.LinePlan() | scene.SoundPlan() | scene.ChapterPlan() | scene.ListenPlan() if (
                step.id in start.came
            ):
                return self._cost_of(step.id)
            case scene.LinePlan():
                await self._whisper(start)
                return await self._line(step)
            case scene.ItemPlan():
                await self._items(step, start.came)
            case scene.ChapterPlan():
                at = production.timeline.next
                production.record_fact(record.ChapterBegan(chapter=step.id, title=step.title, offset_samples=at))
            case scene.PausePlan():
                production.timeline.pause(step.seconds)
            case scene.SoundPlan():
                self._play(step, production.timeline.next)
                await production.playback.wait_until_heard(production.timeline.next)
            case scene.TogetherPlan():
                await self._together(start, step)
            case scene.ListenPlan():
                await self._listen(start, step)
            case scene.ImprovisePlan():  # its turns are lines
                raise AssertionError(step)
            case _:
                assert_never(step)
        return Decimal(0)

    def _cost_of(self, line: str) -> Decimal:
        """Return what a line has cost that was whole when the performance was stopped, or in a former take."""
        performed = (*fold(self._production.log.records).lines, *self._former.lines.values())
        costs = {each.id: each.cost.total for each in performed}
        return costs.get(line) or Decimal(0)

    # ---- what is no line

    async def _whisper(self, start: NextStep) -> None:
        """Tell everyone, before the first turn of an improvisation, what it is about."""
        branch = self._production.state.branches[start.branch]
        step = branch.steps[start.at]
        if isinstance(step, scene.ImprovisePlan) and branch.play is not None and not branch.play.asked:
            await self._items(scene.ItemPlan("system", tuple(step.whispers.items()), step.source_line), start.came)

    async def _items(self, step: scene.ItemPlan, came: Mapping[str, record.Record]) -> None:
        given = [record.ItemGiven(player=player, role=step.role, words=words) for player, words in step.words]
        given += [
            record.ItemGiven(player=name, role="user", words=f"[{file}]", sound=file) for name, file in step.sounds
        ]
        for item in given:
            if item.player in self._participants.sessions and schedule.key_of(item) not in came:
                await self._give(item)
                self._production.record_fact(item)
                self._production.history.append(item)

    async def _give(self, item: record.ItemGiven) -> None:
        """Put something into a player's conversation; one that is lost is told when it is opened again."""
        player = item.player
        if player in self._production.presence.lost:
            return
        try:
            await self._participants.tell(player, item)
        except (SessionClosed, Timeout) as error:
            self._production.presence.mark_lost(player, error)

    async def _together(self, start: NextStep, step: scene.TogetherPlan) -> None:
        production = self._production
        laid = (fact for fact in start.came.values() if isinstance(fact, record.LineSpoken | record.SoundPlayed))
        at = next((fact.offset_samples for fact in laid), production.timeline.next)
        failed: list[SessionError] = []
        parts = [part for part in step.parts if part.id not in start.came]
        known = self._former.lines.keys() | production.ended_takes.keys()
        asked = [
            part for part in parts if isinstance(part, scene.LinePlan) and part.player in self._participants.sessions
        ]
        await production.reserve(*((line.id, line.player) for line in asked if line.id not in known))
        production.number_lines(scene.lines_of((step,)), start.came)

        async def speak(part: scene.LinePlan) -> None:
            try:
                await self._line(part, at)
            except SessionError as error:  # the others are not to suffer for it
                failed.append(error)

        with unwrapped(), production.playback.together():
            async with anyio.create_task_group() as group:
                for part in parts:
                    if isinstance(part, scene.LinePlan):
                        group.start_soon(speak, part)
                    else:
                        self._play(part, at)
        production.timeline.go_on(step.pause_s)
        for error in failed:
            self._go_on_without(start, error)
        await production.playback.wait_until_heard(production.timeline.next)

    def _play(self, sound: scene.SoundPlan, at: int) -> None:
        self._production.play(sound, self._participants.sounds[sound.file, sound.gain_db], at)

    async def _listen(self, start: NextStep, step: scene.ListenPlan) -> None:
        if former := self._former.of(step.id):
            await self._former_talk(start, step, former)
            return
        production = self._production
        try:
            session = await self._reconnector.session(step.player, step.id)
            production.presence.listening = {step.person: step.player}
            await production.playback.wait_until(production.timeline.next)
            production.log.append(record.ListenBegan(step=step.id))
            mic = OpenMicrophone(step, session, production, self._participants, self._line)
            with unwrapped(), production.playback.in_real_time(lambda: production.timeline.end):
                await mic.run()
        except SessionError as error:
            if isinstance(error, SessionClosed | Timeout):
                self._production.presence.mark_lost(step.player, error)
            raise error.about(player=step.player, line=step.id) from None
        finally:
            production.presence.listening = {}
        if production.stop.is_set():
            raise Stopped
        mic.warn_if_nobody_spoke()
        production.record_fact(record.ListenEnded(step=step.id))
        await production.playback.wait_until_heard(production.timeline.next)

    async def _former_talk(self, start: NextStep, step: scene.ListenPlan, lines: list[Performed]) -> None:
        """Take over what was said at an open microphone, where it was said."""
        production, session = self._production, self._participants.sessions.get(step.player)
        first = start.came.get(lines[0].id)
        at = first.offset_samples if isinstance(first, record.LineSpoken) else production.timeline.next
        for former in lines:
            if former.id in start.came:
                continue
            line = scene.unwritten_line(step, former.player, former.id)
            if session and former.player == step.person:
                await session.create_audio(self._former.sound(former), former.said)
            await self._former_line(line, at - lines[0].offset_samples + former.offset_samples)

    # ---- lines

    async def _line(self, line: scene.LinePlan, at: int | None = None) -> Decimal:
        """Let a line be spoken, by whomever; what it has cost."""
        try:
            if line.id in self._former.lines:
                return await self._former_line(line, at)
            if line.player in self._participants.people:
                return await self._human_line(line, at)
            async with self._participants.speaking_locks[line.player]:
                return await self._model_line(line, at)
        except SessionError as error:
            raise error.about(player=line.player, line=line.id) from None

    async def _human_line(self, line: scene.LinePlan, at: int | None) -> Decimal:
        production, alone = self._production, at is None
        line = production.begin_line(line)
        person = self._participants.people[line.player]
        if alone:
            await production.playback.wait_until(production.timeline.start_of(line))
        async with cancel_on_stop(production.stop):
            given = await person.deliver(line, production.log.publish)
        if not (given.audio or given.words):
            production.skip_line(line.id, line.player, f"line {line.id}, player {line.player}: nobody spoke")
            return Decimal(0)
        recording = LineFile(production.folder, line, production.log)
        if given.audio:
            recording.sounded(given.audio)
        at = production.timeline.start_of(line, at)
        if not person.is_live:
            production.playback.play(given.audio, at)
        production.commit_line(line, given.audio, given.words, at, recording.finish())
        if person.is_live:
            production.playback.skip_to(production.timeline.end)
        await self._let_be_heard(line, alone=alone)
        return Decimal(0)

    async def _model_line(self, line: scene.LinePlan, at: int | None) -> Decimal:
        production = self._production
        if line.id not in production.ended_takes:  # else those takes must do, where there is no money for more
            await production.reserve((line.id, line.player))
        try:
            await wait_until_idle(await self._reconnector.session(line.player, line.id))
        except Timeout as error:
            self._production.presence.mark_lost(line.player, error)
        line = production.begin_line(line)
        spent = production.budget.spent
        tries = await self._attempts.takes(line, at)
        chosen = await self._pick(line, tries)
        await production.presence.fan_out.listeners[line.player].wait_until_confirmed()
        if chosen.delivery.problem:
            return self._failed_line(line, chosen, at)
        if not line.apart:
            await self._remember(line, tries[-1], chosen)
        delivery, audio = chosen.delivery, chosen.delivery.response.audio
        start = production.timeline.start_of(line, at)
        if at is not None or len(tries) > 1:
            production.playback.play(audio, start)
        said = delivery.response.transcript
        file = chosen.recording.finish()
        production.commit_line(line, audio, said, start, file, chosen)
        if production.playback.is_on:
            await self._let_be_heard(line, alone=at is None)
        else:
            await self._let_sound(delivery, chosen.took_s)
        return production.budget.spent - spent

    async def _remember(self, line: scene.LinePlan, last: LineTake, chosen: LineTake) -> None:
        """Make a player believe that it said the take that was chosen."""
        session, said = self._participants.sessions[line.player], chosen.delivery.response.transcript
        if last.is_former:
            await add_line(session, line, said)
        elif chosen is not last:
            await replace_last_answer(session, last.delivery.response, said)

    def _failed_line(self, line: scene.LinePlan, chosen: LineTake, at: int | None) -> Decimal:
        """Note a line that was answered without a sound: nobody hears it, what came is kept, and the scene goes on."""
        production, delivery = self._production, chosen.delivery
        if kept := chosen.recording.again():
            problem = with_clause(delivery.problem, f"the response is saved in {kept}")
            chosen = replace(chosen, delivery=replace(delivery, problem=problem))
        start = production.timeline.start_of(line, at)
        production.commit_line(line, Pcm(), "", start, None, chosen)
        return Decimal(0)

    async def _pick(self, line: scene.LinePlan, tries: list[LineTake]) -> LineTake:
        tries = [each for each in tries if not each.delivery.problem] or tries[-1:]
        if len(tries) == 1:
            return tries[0]
        options = [_option(each.delivery) for each in tries]
        if line.pick == "ask" and self._ask and not self._production.stop.is_set():
            return tries[await self._ask(line, options)]
        return tries[pick_take(line.words, options, line.pick)]

    async def _former_line(self, line: scene.LinePlan, at: int | None) -> Decimal:
        """Take over a line from a former take: whoever performs anew is told of it."""
        production, former = self._production, self._former.lines[line.id]
        line = production.begin_line(line)
        audio = self._former.sound(former)
        if (session := self._participants.sessions.get(line.player)) and not line.apart:
            await add_line(session, line, former.said)
        start = production.timeline.start_of(line, at)
        production.playback.play(audio, start)
        file = self._former.copy(former, line, production.folder)
        for other in former.takes:
            production.reuse_take(line, other, self._former.copy(other, line, production.folder))
        production.reuse_line(line, audio, start, file, former, self._former)
        await self._let_be_heard(line, alone=at is None)
        return former.cost.total or Decimal(0)

    async def _let_be_heard(self, line: scene.LinePlan, *, alone: bool) -> None:
        """Wait until the line was heard; not where another cuts into it, which must be there in time."""
        if alone and not line.cut:
            await self._production.playback.wait_until_heard(self._production.timeline.next)

    async def _let_sound(self, delivery: LineResult, took_s: float) -> None:
        """Wait until the line would have been heard, where the scene goes on in real time."""
        response = delivery.response
        if self._plan.pace == "realtime" and response.audio:
            with anyio.move_on_after(max(0.0, (response.first_audio_s or 0.0) + response.audio.duration_s - took_s)):
                await self._production.stop.wait()


def _option(delivery: LineResult) -> TakeOption:
    said = delivery.response
    return TakeOption(said.transcript, said.audio.duration_s, said.status == "completed", delivery.exact)
