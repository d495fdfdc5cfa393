"""An open microphone: a person speaks, turn detection drives the turns, the player answers, and may be interrupted."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pybase64
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tau_stage.audio.formats import Decoder
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.devices.keyboard import key_pressed
from tau_stage.devices.playback import Voice
from tau_stage.errors import SessionClosed
from tau_stage.protocol import server_events
from tau_stage.protocol.client_events import ResponseCreate
from tau_stage.protocol.conversation import usage_of
from tau_stage.protocol.responses import Response
from tau_stage.protocol.usage import Usage
from tau_stage.scene.fields import OFF
from tau_stage.scene.plan import LinePlan, ListenPlan, PlayerPlan
from tau_stage.session import Session
from tau_stage.session.waiting import Subscription
from tau_stage.signals import Signal
from tau_stage.stage import schedule
from tau_stage.stage.events import Event, PlayerState
from tau_stage.stage.exchange import (
    MicrophoneState,
    MicrophoneTurn,
    ModelAnswer,
    PersonSpeech,
    is_asked_for,
    without_usage,
    worded,
)
from tau_stage.stage.line import LineResult
from tau_stage.stage.people import Person
from tau_stage.stage.production import Production, cancel_on_stop
from tau_stage.stage.schedule import Turn
from tau_stage.stage.sessions import Participants
from tau_stage.stage.timeline import LineFile
from tau_stage.take import records as record
from tau_stage.take.take_model import Performed
from tau_stage.text import is_found

FED = RATE // 10
PAUSE = 2 * RATE
"""Silence after an utterance that is fed faster than it is heard: any turn detection takes it for the end."""

ANSWERS = 64
"""Answers that may wait until the one before was heard."""

WORDS_WAIT_S = 3.0
"""How long a person's words may be waited for when the answer is whole."""


class OpenMicrophone:
    """One open microphone, from its opening to its end.

    Args:
        step: From the plan.
        player: Who listens and answers.
        session: The player's.
        person: Who speaks.
        production: Takes care of what is said.
        before: What was said there before the performance was stopped.
    """

    def __init__(
        self,
        step: ListenPlan,
        player: PlayerPlan,
        session: Session,
        person: Person,
        production: Ears,
        before: Sequence[Performed] = (),
    ) -> None:
        self._step = step
        self._player = player
        self._session = session
        self._person = person
        self._production = production
        self._origin = production.next_sample
        self._cap = Cap(player, session, production)
        self._feed = InputFeed(session)
        self._turns = 0
        self._so_far = MicrophoneState.of(step, before)
        self._open = 0
        self._carried: LinePlan | None = None
        self._heard: dict[str, PersonSpeech] = {}
        self._unsaid: list[PersonSpeech] = []
        self._answer: dict[str, ModelAnswer] = {}
        self._stopped_at = 0.0
        self._over = anyio.Event()
        self._changed = Signal()
        for line in before:
            self._look_for_the_end(line.said, answered=line.player == player.name)

    async def run(self) -> None:
        """Listen until the step's end.

        Raises:
            SessionError: The session failed.
        """
        if self._person.types:
            await self._typing()
            return
        session = self._session
        done, finished = anyio.create_memory_object_stream[Response](ANSWERS)
        async with (
            done,
            finished,
            self._ears_open(),
            session.events() as events,
            session.responses() as responses,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._watch, events, responses, done)
            group.start_soon(self._collect, finished)
            group.start_soon(self._wait_for_the_key)
            group.start_soon(self._end_after, self._production.stopped)
            await self._answer_what_was_said()
            self._production.hush(anyio.current_time())
            if self._person.is_live:
                self._production.keep_time(lambda: self._origin + self._feed.samples)
            await (self._live() if self._person.is_live else self._hurried())
            await self._settle()
            group.cancel_scope.cancel()
        self._leave_unsaid()
        self._production.hush(None)

    @asynccontextmanager
    async def _ears_open(self) -> AsyncIterator[None]:
        """Turn detection is on inside, and off again behind."""
        wishes: dict[str, Any] = {"turn_detection": dict(self._player.turn_detection)}
        if self._step.transcription is not None:
            wishes["transcription"] = dict(self._step.transcription) or None
        await self._cap.put_on(self._so_far.answer(self._step))
        await self._session.update(**wishes)
        try:
            yield
        finally:
            if self._session.is_open:
                await self._session.update(turn_detection=None, **self._cap.off)
                await self._session.clear_input_audio_buffer()

    # ---- what the person says

    async def _typing(self) -> None:
        """Hold a conversation in writing."""
        until = float("inf") if self._step.for_s is None else anyio.current_time() + self._step.for_s
        if self._so_far.is_unanswered and not self._over.is_set():
            await self._reply()
        while not self._over.is_set():
            typed = ""
            with anyio.CancelScope(deadline=until):
                typed = await self._production.typed(self._line(self._person.name))
            if not typed:
                return
            await self._session.user(typed)
            self._look_for_the_end(typed, answered=False)
            await self._reply()

    async def _reply(self) -> None:
        words = await self._production.answer(self._line(self._player.name))
        self._so_far.answers += 1
        self._look_for_the_end(words)

    async def _answer_what_was_said(self) -> None:
        """Answer first what was said before the performance was stopped."""
        if not self._so_far.is_unanswered or self._over.is_set():
            return
        answers, self._stopped_at = self._so_far.answers, anyio.current_time()
        await self._session.wire.send(ResponseCreate(event_id=self._session.fresh("evt")))
        with anyio.move_on_after(self._session.deadlines.response_s):
            while self._is_busy or (self._so_far.answers == answers and not self._so_far.lost):
                await self._changed.wait()

    async def _live(self) -> None:
        """Feed what is said while it is said; silence follows the end of a file."""
        with anyio.move_on_after(self._so_far.left_s(self._step.for_s)):
            async with self._person.blocks() as blocks:
                async for block in blocks:
                    await self._give(block)
                    if self._over.is_set():
                        return
            for _ in range(PAUSE // FED):
                await anyio.sleep(FED / RATE)
                await self._give(Pcm.silence(FED))

    async def _hurried(self) -> None:
        """Feed utterance by utterance, each when the one before was answered; nobody speaks into anything."""
        self._session.state.finish_playing()
        if self._so_far.said:
            await self._feed_all(Pcm.silence(PAUSE))
        for take in self._person.takes()[self._so_far.said :]:
            if self._over.is_set() or (self._step.for_s is not None and self._so_far.spoken_s >= self._step.for_s):
                return
            await self._production.others_are_done()
            turns, answers, self._so_far.lost = self._turns, self._so_far.answers, 0
            await self._production.let_hear(take)
            await self._feed_all(Pcm.join([take, Pcm.silence(PAUSE)]))
            await self._session.update()  # its answer comes after everything the sound has led to
            with anyio.move_on_after(self._session.deadlines.response_s):
                while self._is_busy or (
                    self._turns > turns and self._so_far.answers == answers and not self._so_far.lost
                ):
                    await self._changed.wait()
            self._leave_unsaid()

    async def _feed_all(self, sound: Pcm) -> None:
        for at in range(0, len(sound), FED):
            await self._give(sound[at : at + FED])

    async def _give(self, block: Pcm) -> None:
        said = (heard.start for heard in (*self._heard.values(), *self._unsaid))
        self._feed.forget(before=min(said, default=self._feed.samples))
        await self._feed.give(block)

    # ---- what the server says

    async def _watch(
        self,
        events: Subscription[server_events.ServerEvent],
        responses: Subscription[Response],
        done: MemoryObjectSendStream[Response],
    ) -> None:
        async for event in events:
            match event:
                case server_events.SpeechStarted():
                    if self._person.is_live:
                        self._production.interrupted()
                    start = max(0, self._feed.sample(event.audio_start_ms))
                    self._heard[event.item_id] = PersonSpeech(self._line(self._person.name), start)
                    self._production.speaks(self._heard[event.item_id].line)
                    self._production.hush(None)
                    self._state("listening")
                case server_events.SpeechStopped() if event.item_id in self._heard:
                    self._stopped_at = anyio.current_time()
                    self._heard[event.item_id].end = self._feed.sample(event.audio_end_ms)
                case server_events.InputAudioBufferCommitted() if event.item_id in self._heard:
                    self._turns += 1
                    self._unsaid.append(self._heard[event.item_id])
                case server_events.TranscriptionDelta() if event.item_id in self._heard:
                    self._production.show(worded(self._heard[event.item_id].line, event.delta))
                case server_events.TranscriptionCompleted(status="in_progress"):
                    continue  # the words so far; the end of them is yet to come
                case server_events.TranscriptionCompleted() | server_events.TranscriptionFailed() if (
                    event.item_id in self._heard
                ):
                    self._written(self._heard.pop(event.item_id), event)
                case server_events.ResponseCreated() if not is_asked_for(event.response.metadata):
                    self._begin_answer(event.response.id)
                case server_events.AudioDelta() if event.response_id in self._answer:
                    self._first_sound(self._answer[event.response_id])
                    self._production.sounds(self._answer[event.response_id].line, event.delta)
                case server_events.TranscriptDelta() | server_events.TextDelta() if event.response_id in self._answer:
                    self._first_words(self._answer[event.response_id])
                    self._production.show(worded(self._answer[event.response_id].line, event.delta))
                case server_events.ResponseDone():
                    response = await anext(responses)
                    if isinstance(response, Response) and not is_asked_for(response.metadata):
                        await done.send(response)
                case _:
                    continue
            self._changed.notify()
        why = (self._session.wire.closed or SessionClosed(code=1006)).about(player=self._player.name)
        for answer in self._answer.values():  # nobody knows what they have cost
            broken = Response(id="", status="failed", message=why.what_happened(), usage=Usage(untold=1))
            self._production.failed(answer.line, broken)
        raise why

    def _begin_answer(self, response_id: str) -> None:
        """Begin an answer; after a tool's result, it is still the same line."""
        line, self._carried = self._carried or self._line(self._player.name), None
        self._open += 1
        self._answer[response_id] = ModelAnswer(line, self._stopped_at)
        self._production.speaks(line)
        self._state("thinking")

    def _first_sound(self, answer: ModelAnswer) -> None:
        if answer.at is None:
            answer.at = self._origin + self._feed.samples
            answer.first_audio_s = max(0.0, anyio.current_time() - answer.asked_at)
            self._state("speaking")

    def _first_words(self, answer: ModelAnswer) -> None:
        if answer.first_words_s is None:
            answer.first_words_s = max(0.0, anyio.current_time() - answer.asked_at)

    def _written(
        self, heard: PersonSpeech, event: server_events.TranscriptionCompleted | server_events.TranscriptionFailed
    ) -> None:
        if isinstance(event, server_events.TranscriptionCompleted):
            heard.words = event.transcript.strip()
            self._production.transcribed(heard.line, usage_of(event), self._player.name, self._writer)
        else:
            self._production.untranscribed(heard.line, event.error.message or event.error.code or "")
        heard.is_written.set()

    # ---- what is left of it

    async def _collect(self, finished: MemoryObjectReceiveStream[Response]) -> None:
        """Leave each answer when it was heard, or interrupted."""
        async for response in finished:
            answer = self._answer.pop(response.id, None)
            if answer:
                await self._words_of_the_person()
                await self._leave_answer(answer, response)
            self._open -= 1
            self._changed.notify()

    async def _words_of_the_person(self) -> None:
        if self._step.transcription != OFF:
            with anyio.move_on_after(WORDS_WAIT_S):
                for heard in self._unsaid:
                    await heard.is_written.wait()
        self._leave_unsaid()

    def _leave_unsaid(self) -> None:
        """Leave what the person said, before what was answered to it."""
        for heard in self._unsaid:
            end = self._feed.samples if heard.end is None else heard.end
            audio = self._feed.sound(heard.start, end)
            self._so_far.spoken_s += audio.duration_s
            at = self._origin + heard.start if self._person.is_live else None
            self._production.leave(MicrophoneTurn(heard.line, audio, heard.words, at))
            self._look_for_the_end(heard.words, answered=False)
        self._heard = {name: heard for name, heard in self._heard.items() if heard not in self._unsaid}
        self._unsaid.clear()

    async def _leave_answer(self, answer: ModelAnswer, response: Response) -> None:
        if response.status == "failed":
            self._so_far.lost += 1
            self._production.failed(answer.line, response)
            self._fall_silent()
            return
        if response.calls:
            self._production.tool_turn(answer.line, response)
            self._carried = None if response.audio or response.text else answer.line
            if not (response.audio or response.text):
                return
            response = without_usage(response)
        audio, reason = response.audio, response.reason
        if self._person.is_live:
            heard = await self._heard_of(response)
            if heard < len(audio):
                audio, reason = audio[:heard], "turn_detected"
        else:
            self._session.state.finish_playing()
        if not audio and (response.audio or response.status == "cancelled"):  # nobody has heard of it
            self._so_far.lost += 1
            self._production.tool_turn(answer.line, response)
            return
        self._so_far.answers += 1
        self._so_far.spoken_s += audio.duration_s
        took_s = max(0.0, anyio.current_time() - answer.asked_at)
        at = answer.at if self._person.is_live else None
        words = response.transcript or response.text
        first = (answer.first_audio_s, answer.first_words_s)
        self._production.leave(MicrophoneTurn(answer.line, audio, words, at, response, reason, *first, took_s))
        self._look_for_the_end(words)
        self._fall_silent()
        await self._cap.put_on(self._so_far.answer(self._step))

    def _fall_silent(self) -> None:
        """Note that the player has stopped; it is silent, unless the person speaks."""
        if not any(heard.end is None for heard in self._heard.values()):
            self._state("idle")
            self._production.hush(anyio.current_time())

    async def _heard_of(self, response: Response) -> int:
        """Return samples of an answer that were heard, when it was heard to its end or somebody spoke into it."""
        playback = self._session.state.playback
        if playback is None or playback.item_id not in response.item_ids:
            return len(response.audio)
        while playback.is_playing(now := anyio.current_time()):
            with anyio.move_on_after((len(response.audio) - playback.heard_samples(now)) / RATE):
                await self._changed.wait()
        return len(response.audio) if playback.stopped_at is None else playback.stopped_at

    # ---- its end

    async def _wait_for_the_key(self) -> None:
        if self._step.key is not None and sys.stdin is not None and sys.stdin.isatty():
            await self._end_after(partial(key_pressed, self._step.key))

    async def _end_after(self, happened: Callable[[], Awaitable[None]]) -> None:
        await happened()
        self._over.set()
        self._changed.notify()

    def _look_for_the_end(self, words: str, *, answered: bool = True) -> None:
        said = self._step.until and is_found(self._step.until, words, line=self._step.source_line)
        if said or (answered and self._step.turns is not None and self._so_far.answers >= self._step.turns):
            self._over.set()

    async def _settle(self) -> None:
        """Wait for the answers under way; what the person was saying is kept as far as it came."""
        with anyio.move_on_after(self._session.deadlines.response_s):
            while self._is_answering:
                await self._changed.wait()
        await self._words_of_the_person()
        self._unsaid += [heard for heard in self._heard.values() if heard.end is None]

    # ---- small things

    @property
    def _is_busy(self) -> bool:
        """Whether somebody speaks, or is answered."""
        return self._is_answering or any(heard.end is None for heard in self._heard.values())

    @property
    def _is_answering(self) -> bool:
        """Whether an answer is under way, perhaps after a tool's result."""
        return bool(self._open or self._carried or self._session.conversation.active)

    @property
    def _writer(self) -> str:
        """The model that writes down words, as it was asked for or as the server has it."""
        asked = dict(self._step.transcription or ()).get("model")
        heard = ((self._session.session.get("audio") or {}).get("input") or {}).get("transcription") or {}
        return asked or str(heard.get("model") or "")

    def _state(self, state: str) -> None:
        self._production.show(PlayerState(self._player.name, state))

    def _line(self, player: str) -> LinePlan:
        """Make a line that is made up on the spot."""
        return self._so_far.line(self._step, player)


class Ears:
    """What an open microphone needs of a performance.

    Args:
        production: Writes down, lays and tells.
        participants: The sessions and the people.
        answer: Lets a player speak a line.
    """

    def __init__(
        self, production: Production, participants: Participants, answer: Callable[[LinePlan], Awaitable[Turn]]
    ) -> None:
        self._production = production
        self._participants = participants
        self._answer = answer
        self._lines: dict[str, LinePlan] = {}
        self._voices: dict[str, tuple[Voice, Decoder]] = {}
        self._spoke: set[str] = set()

    @property
    def next_sample(self) -> int:
        """The sample of the timeline at which what comes next begins."""
        return self._production.timeline.next

    def leave(self, spoken: MicrophoneTurn) -> None:
        """Commit a finished turn: write it down and let it be heard."""
        production = self._production
        self._spoke.add(spoken.line.player)
        line = self._known(spoken.line)
        self._finish(line)
        recording = LineFile(production.folder, line, production.log)
        if spoken.audio:
            recording.sounded(spoken.audio)
        at = production.timeline.next if spoken.at is None else spoken.at
        delivery = None
        if spoken.response:
            status = "cancelled" if spoken.reason == "turn_detected" else spoken.response.status
            response = replace(spoken.response, status=status, first_audio_s=spoken.first_audio_s)
            delivery = LineResult(response, 1, spoken.reason, spoken.first_words_s)
        production.commit_line(
            line, spoken.audio, spoken.words, at, recording.finish(), delivery=delivery, took_s=spoken.took_s
        )

    def speaks(self, line: LinePlan) -> None:
        """Note that a player begins a line."""
        self._known(line)

    def _known(self, line: LinePlan) -> LinePlan:
        """Return a line with its number; begin it when it is first heard of."""
        if session := self._participants.sessions.get(line.player):
            self._production.answered_by(line.player, session.answered_by)
        if line.id not in self._lines:
            self._lines[line.id] = self._production.begin_line(line)
        return self._lines[line.id]

    def sounds(self, line: LinePlan, coded: str) -> None:
        """Play a piece of an answer's sound that has come."""
        production = self._production
        if not production.playback.is_on:
            return
        if line.id not in self._voices:
            form = self._participants.sessions[line.player].conversation.form
            self._voices[line.id] = production.playback.voice(), form.decoder()
        voice, decoder = self._voices[line.id]
        if audio := decoder.feed(pybase64.b64decode(coded)):
            voice.append(audio)

    def interrupted(self) -> None:
        """Note that the person speaks: what was not heard yet is not to be heard."""
        self._production.playback.mute()

    async def let_hear(self, take: Pcm) -> None:
        """Play what the person has recorded."""
        await self._production.playback.wait_until_heard()
        self._production.playback.play(take)
        await self._production.playback.wait_until_heard()

    def keep_time(self, now: Callable[[], int]) -> None:
        """Let nothing begin before the sample that is heard now."""
        self._production.timeline.now = now

    def close(self) -> None:
        """Note that the microphone is closed."""
        self._production.timeline.now = lambda: 0
        for voice, _ in self._voices.values():
            voice.finish()

    def miss(self, step: ListenPlan) -> None:
        """Warn, where the person has said nothing."""
        if step.person in self._spoke:
            return
        text = f"{step.id}, player {step.person}: nobody spoke at the open microphone"
        if self._participants.people[step.person].is_used_up:
            text = f"{step.id}, player {step.person}: there is nothing left of the recording to listen to"
        self._production.log.append(record.Warned(player=step.person, line=step.id, text=text))

    def _finish(self, line: LinePlan) -> None:
        """Note that the line's sound has come to its end."""
        voice, decoder = self._voices.get(line.id, (None, None))
        if voice and decoder:
            if rest := decoder.finish():
                voice.append(rest)
            voice.finish()

    def tool_turn(self, line: LinePlan, response: Response) -> None:
        """Note that a response called tools."""
        self._production.tool_turn(self._known(line), response)

    def transcribed(self, line: LinePlan, usage: Usage, listener: str, model: str) -> None:
        """Note that a person's words were written down, which is billed."""
        self._production.transcribed(line, usage, listener, model)

    def untranscribed(self, line: LinePlan, why: str) -> None:
        """Note that a person's words could not be written down."""
        self._production.untranscribed(line, why)

    def failed(self, line: LinePlan, response: Response) -> None:
        """Note that an answer could not be had."""
        self._finish(line)
        problem = response.message or response.reason or "the response failed"
        told = f"line {line.id}, player {line.player}: {problem}"
        self._production.skip_line(line.id, line.player, told, usage=response.usage)

    def afford(self, line: LinePlan) -> int | None:
        """Tell whether the scene may cost more, and how many tokens the next answer may have."""
        self._production.budget.check(line.id, line.player)
        return self._production.budget.most_tokens(
            line.id, line.player, self._production.plan.player(line.player).output
        )

    async def others_are_done(self) -> None:
        """Wait until the cues that have started are through."""
        while schedule.cues_pending(self._production.state) and not self._production.stop.is_set():
            await self._production.changed.wait()

    async def stopped(self) -> None:
        """Wait until somebody wants to stop."""
        await self._production.stop.wait()

    async def typed(self, line: LinePlan) -> str:
        """Let a person type a line; what was typed, or nothing at the end."""
        person = self._participants.people[line.player]
        async with cancel_on_stop(self._production.stop):
            given = await person.deliver(line, self._production.log.publish)
            while not (given.words or given.is_over):
                given = await person.deliver(line, self._production.log.publish)
        if given.words:
            self.leave(MicrophoneTurn(line, given.audio, given.words, None))
        return given.words

    async def answer(self, line: LinePlan) -> str:
        """Let a player answer; what it says."""
        return (await self._answer(line)).words

    def hush(self, since: float | None) -> None:
        """Note that a silence has begun, or has ended."""
        self._production.state = schedule.set_silence(self._production.state, since)
        self._production.changed.notify()

    def show(self, news: Event) -> None:
        """Show something to whoever watches."""
        self._production.log.publish(news)


class Cap:
    """The most tokens that a player's next answer may have, as its session is told.

    Args:
        player: Who answers.
        session: The player's.
        production: Knows what is left.
    """

    def __init__(self, player: PlayerPlan, session: Session, production: Ears) -> None:
        self._own = player.max_output_tokens
        self._session = session
        self._production = production
        self._is_on = False

    async def put_on(self, line: LinePlan) -> None:
        """Put the cap on before the next answer.

        Args:
            line: It.

        Raises:
            BudgetExceeded: There is not enough left for one.
        """
        most = self._production.afford(line)
        if most is not None:
            self._is_on = True
            await self._session.update(max_output_tokens=min(most, self._own or most))

    @property
    def off(self) -> dict[str, int | str]:
        """What takes it off, as settings of the session; nothing, where none was put on."""
        return {"max_output_tokens": self._own or "inf"} if self._is_on else {}


KEPT = 5 * RATE
"""Samples kept while nobody speaks: more than any prefix that turn detection reaches back for."""


class InputFeed:
    """The sound that goes into a session's input, counted from the opening of the microphone.

    Args:
        session: Hears it.
    """

    def __init__(self, session: Session) -> None:
        heard = session.conversation.input
        self._session = session
        self._before = heard.begins + round(heard.duration_s * RATE)
        self._kept = bytearray()
        self._forgotten = 0

    @property
    def samples(self) -> int:
        """How much was fed."""
        return self._forgotten + len(self._kept) // 2

    async def give(self, block: Pcm) -> None:
        """Feed some sound."""
        self._kept += block.data
        await self._session.append_input_audio_buffer(block)

    def forget(self, before: int) -> None:
        """Let go of what lies far back, but not of what somebody has said and that is not left yet.

        Args:
            before: The first sample that is still needed.
        """
        spare = min(self.samples - KEPT, before) - self._forgotten
        if spare > 0:
            del self._kept[: 2 * spare]
            self._forgotten += spare

    def sample(self, session_ms: int) -> int:
        """Return the sample at a time of the session's input, which counts on from one microphone to the next."""
        return session_ms * RATE // 1000 - self._before

    def sound(self, start: int, end: int) -> Pcm:
        """Return a span of what was fed, as far as it is kept."""
        first, last = max(0, start - self._forgotten), max(0, end - self._forgotten)
        return Pcm(bytes(self._kept[2 * first : 2 * last]))
