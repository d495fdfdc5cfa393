"""A performance under way: steps start as the cues say, and what is said is laid, written down and heard."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import anyio
from anyio.abc import TaskGroup

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionError, StageError, unwrapped
from tau_stage.protocol.config import FunctionTool
from tau_stage.protocol.conversation import Response
from tau_stage.scene.conditions import Failed
from tau_stage.scene.plan import (
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    SoundPlan,
    TogetherPlan,
)
from tau_stage.session import Session
from tau_stage.stage import cues
from tau_stage.stage.aloud import Voice
from tau_stage.stage.company import Company
from tau_stage.stage.crew import Crew, levelled
from tau_stage.stage.cues import Happening, Start
from tau_stage.stage.ears import Ears
from tau_stage.stage.former import Former
from tau_stage.stage.hearing import House, open_house
from tau_stage.stage.line import Delivery, Prompter, say
from tau_stage.stage.listening import Listening
from tau_stage.stage.notes import Wording
from tau_stage.stage.picking import Ask, picked
from tau_stage.stage.recording import Recording
from tau_stage.stage.tries import Try, forget, let_finish, remember, retell
from tau_stage.stage.turns import Turn
from tau_stage.take import records as record
from tau_stage.take.model import Performed


class Performance:
    """The steps of one plan, from the first to the last.

    Args:
        plan: The scene, resolved.
        company: The sessions and the people.
        crew: Writes down, lays and tells.
        former: What is taken over from a former take.
        ask: Lets somebody choose among takes, if anybody is there.
    """

    def __init__(self, plan: Plan, company: Company, crew: Crew, former: Former, ask: Ask | None) -> None:
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
            TakeError: The folder cannot be written.
        """
        crew, sessions = self._crew, self._company.sessions
        try:
            with unwrapped():
                async with open_house(sessions, crew.reported, self._company.forms) as house:
                    await self._perform_all(house)
        finally:
            crew.timeline.close()

    async def _perform_all(self, house: House) -> None:
        crew = self._crew
        crew.house = house
        async with anyio.create_task_group() as group:
            while not cues.over(self._plan, crew.so_far):
                if start := cues.due(self._plan, crew.so_far):
                    self._begin(start, group)
                    continue
                news, wake = crew.changed, cues.wakes_at(self._plan, crew.so_far)
                with anyio.move_on_after(None if wake is None else max(0.0, wake - anyio.current_time())):
                    await news.wait()
                crew.so_far = cues.quiet(self._plan, crew.so_far, anyio.current_time())
        await crew.aloud.heard()

    def _begin(self, start: Start, group: TaskGroup) -> None:
        crew = self._crew
        for step in start.skipped:
            crew.book.write(record.StepSkipped(source_line=step.source_line))
        crew.so_far = cues.began(crew.so_far, start)
        group.start_soon(self._run, start)

    async def _run(self, start: Start) -> None:
        crew = self._crew
        turn: Turn | None = None
        try:
            turn = await self._perform(start)
        except SessionError as error:
            turn = self._gone_on(start, error)
        crew.so_far = cues.ended(crew.so_far, start, turn)
        crew.ring()

    def _gone_on(self, start: Start, error: SessionError) -> Turn:
        """A line cannot be had: a cue that waits for such a thing lets the scene go on, unless it is its own line.

        Raises:
            SessionError: No cue does.
        """
        player = error.player or getattr(start.step, "player", "")
        strand = self._crew.so_far.strands[start.strand]
        if isinstance(strand.event, Failed) or not cues.is_awaited(self._plan, Happening("error", player)):
            raise error
        self._crew.lost_line(error.line or getattr(start.step, "id", ""), player, str(error))
        return Turn(player, "")

    async def _perform(self, start: Start) -> Turn | None:
        step, crew = start.step, self._crew
        crew.next_speaker = cues.next_speaker(crew.so_far, start)
        match step:
            case LinePlan():
                await self._whisper(start)
                return await self._line(step)
            case ItemPlan():
                await self._items(step)
            case PausePlan():
                crew.timeline.pause(step.seconds)
            case SoundPlan():
                self._sound(step, crew.timeline.next)
                await crew.aloud.heard(crew.timeline.next)
            case TogetherPlan():
                await self._together(start, step)
            case ListenPlan():
                await self._listen(step)
            case ImprovisePlan():  # its turns are lines
                raise AssertionError(step)
        return None

    # ---- what is no line

    async def _whisper(self, start: Start) -> None:
        """Before the first turn of free play, everyone is told what it is about."""
        strand = self._crew.so_far.strands[start.strand]
        step = strand.steps[start.at]
        if isinstance(step, ImprovisePlan) and strand.play is not None and not strand.play.asked:
            await self._items(ItemPlan("system", tuple(step.whispers.items()), step.source_line))

    async def _items(self, step: ItemPlan) -> None:
        for player, words in step.words:
            if (session := self._company.sessions.get(player)) is None:
                continue
            put = {"system": session.system, "user": session.user, "assistant": session.assistant}[step.role]
            await put(words)
            self._crew.book.write(record.ItemGiven(player=player, role=step.role, words=words))
        for player, file in step.sounds:
            if player not in self._company.sessions:
                continue
            await self._company.sessions[player].create_audio(self._company.sounds[file])
            self._crew.book.write(record.ItemGiven(player=player, role="user", words=f"[{file}]"))

    def _sound(self, step: SoundPlan, at: int) -> None:
        audio = levelled(self._company.sounds[step.file], step.gain_db)
        if step.kind == "bed":
            at = self._crew.timeline.begin_bed(step.stem, audio)
            self._crew.aloud.begin_bed(step.stem, audio, at)
        else:
            self._crew.timeline.lay(step.stem, audio, at, step.pause_s)
            self._crew.aloud.play(audio, at)
        self._crew.played(step, audio, at)

    async def _together(self, start: Start, step: TogetherPlan) -> None:
        crew = self._crew
        at = crew.timeline.next
        failed: list[SessionError] = []

        async def speak(part: LinePlan) -> None:
            try:
                await self._line(part, at)
            except SessionError as error:  # the others are not to suffer for it
                failed.append(error)

        with unwrapped(), crew.aloud.together():
            async with anyio.create_task_group() as group:
                for part in step.parts:
                    if isinstance(part, LinePlan):
                        group.start_soon(speak, part)
                    else:
                        self._sound(part, at)
        crew.timeline.go_on(step.pause_s)
        for error in failed:
            self._gone_on(start, error)
        await crew.aloud.heard(crew.timeline.next)

    async def _listen(self, step: ListenPlan) -> None:
        if former := self._former.of(step.id):
            await self._former_talk(step, former)
            return
        session, person = self._company.sessions[step.player], self._company.people[step.person]
        player, crew = self._plan.player(step.player), self._crew
        await crew.aloud.quiet(crew.timeline.next)
        ears = Ears(crew, self._company, self._line)
        try:
            with unwrapped(), crew.aloud.freely(lambda: crew.timeline.end):
                await Listening(step, player, session, person, ears).run()
        except SessionError as error:
            raise error.about(player=step.player, line=step.id) from None
        finally:
            ears.close()
        ears.miss(step)
        await crew.aloud.heard(crew.timeline.next)

    async def _former_talk(self, step: ListenPlan, lines: list[Performed]) -> None:
        """What was said at an open microphone, where it was said."""
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
                return await self._model_line(self._company.sessions[line.player], line, at)
        except SessionError as error:
            raise error.about(player=line.player, line=line.id) from None

    async def _human_line(self, line: LinePlan, at: int | None) -> Turn:
        crew, alone = self._crew, at is None
        line = crew.begin(line)
        person = self._company.people[line.player]
        if alone:
            await crew.aloud.quiet(crew.timeline.start_of(line))
        given = await person.deliver(line, crew.book.show)
        if not (given.audio or given.words):
            crew.lost_line(line.id, line.player, f"line {line.id}, player {line.player}: nobody spoke")
            return Turn(line.player, "")
        recording = Recording(crew.folder, line, crew.book)
        if given.audio:
            recording.sounded(given.audio)
        at = crew.timeline.start_of(line) if at is None else at
        if not person.is_live:
            crew.aloud.play(given.audio, at)
        crew.leave(line, given.audio, given.words, at, recording.finish())
        if person.is_live:
            crew.aloud.skip_to(crew.timeline.end)
        if alone:
            await self._let_be_heard(line)
        return Turn(line.player, given.words, given.audio.duration_s)

    async def _model_line(self, session: Session, line: LinePlan, at: int | None) -> Turn:
        crew = self._crew
        crew.refuse_lost(line)
        crew.purse.open_for(line.id)
        await let_finish(session)
        line = crew.begin(line)
        spent = crew.purse.spent
        tries = [await self._try(session, line, 1, at)]
        while len(tries) < line.takes and not tries[-1].delivery.response.calls:
            await forget(session, tries[-1].delivery.response)
            tries.append(await self._try(session, line, len(tries) + 1, at))
        chosen = await self._pick(line, tries)
        for each in tries:
            if each is not chosen:
                crew.keep_aside(line, each.number, each.delivery, each.recording.aside())
        if chosen is not tries[-1]:
            await remember(session, tries[-1].delivery.response, chosen.delivery.response.transcript)
        delivery, audio = chosen.delivery, chosen.delivery.response.audio
        start = crew.timeline.start_of(line) if at is None else at
        if at is not None or len(tries) > 1:
            crew.aloud.play(audio, start)
        said = delivery.response.transcript
        file = chosen.recording.finish()
        crew.leave(line, audio, said, start, file, delivery=delivery, took_s=chosen.took_s, take=chosen.number)
        if crew.aloud.is_on:
            if at is None:
                await self._let_be_heard(line)
        else:
            await self._let_sound(delivery, chosen.took_s)
        return Turn(line.player, said, audio.duration_s, crew.purse.spent - spent)

    async def _try(self, session: Session, line: LinePlan, number: int, at: int | None) -> Try:
        """One take of a line."""
        crew = self._crew
        began = anyio.current_time()
        recording = Recording(crew.folder, line, crew.book, number)
        aloud = at is None and line.takes == 1
        voice = crew.aloud.voice(lambda: crew.timeline.start_of(line)) if aloud else None
        asked = line if number == 1 or line.apart else replace(line, prompt="")
        try:
            delivery = await say(session, asked, self._prompter(line, recording, voice), self._tools(line))
        except StageError:
            recording.again()
            if voice:
                voice.again()
            raise
        finally:
            if voice:
                voice.done()
        return Try(number, delivery, recording, anyio.current_time() - began)

    async def _pick(self, line: LinePlan, tries: list[Try]) -> Try:
        if len(tries) == 1:
            return tries[0]
        options = [each.option for each in tries]
        if line.pick == "ask" and self._ask:
            return tries[await self._ask(line, options)]
        return tries[picked(line.words, options, line.pick)]

    async def _former_line(self, line: LinePlan, at: int | None) -> Turn:
        """A line as it was in a former take: whoever performs anew is told of it."""
        crew, former = self._crew, self._former.lines[line.id]
        line = crew.begin(line)
        audio = self._former.sound(former)
        if (session := self._company.sessions.get(line.player)) and not line.apart:
            await retell(session, line, former.said)
        start = crew.timeline.start_of(line) if at is None else at
        crew.aloud.play(audio, start)
        file = self._former.copy(former, line, crew.folder)
        crew.take_over(line, audio, start, file, former, self._former)
        if crew.aloud.is_on and at is None:
            await self._let_be_heard(line)
        return Turn(line.player, former.said, audio.duration_s, former.cost.total or Decimal(0))

    def _prompter(self, line: LinePlan, recording: Recording, voice: Voice | None) -> Prompter:
        crew = self._crew

        def sounded(audio: Pcm) -> None:
            recording.sounded(audio)
            if voice:
                voice.sounded(audio)

        def again(response: Response, wait_s: float) -> None:
            crew.again(line, response, wait_s, recording.again())
            if voice:
                voice.again()

        return Prompter(
            sounded=sounded,
            worded=lambda word: crew.book.show(Wording(line.player, line.id, word.words, word.spoken)),
            again=again,
            called=lambda response: crew.tool_turn(line, response),
        )

    def _tools(self, line: LinePlan) -> tuple[FunctionTool, ...]:
        return tuple(self._company.tools[line.player][name].told for name in line.tools or ())

    async def _let_be_heard(self, line: LinePlan) -> None:
        """Wait until the line was heard; not where another cuts into it, which must be there in time."""
        if not line.cut:
            await self._crew.aloud.heard(self._crew.timeline.next)

    async def _let_sound(self, delivery: Delivery, took_s: float) -> None:
        """Where the scene goes on in real time, wait until the line would have been heard."""
        response = delivery.response
        if self._plan.pace == "realtime" and response.audio:
            await anyio.sleep(max(0.0, (response.first_audio_s or 0.0) + response.audio.duration_s - took_s))
