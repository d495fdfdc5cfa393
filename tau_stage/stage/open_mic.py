"""An open microphone: a person speaks, turn detection drives the turns, the player answers, and may be interrupted.

Theory of operation. While the microphone is open, sound flows into the session's input (`InputFeed`), and the server's
events drive everything else; nobody here decides whose turn it is.

- ``SpeechStarted`` opens a `PersonSpeech`, ``InputAudioBufferCommitted`` closes it; it waits in ``_unsaid`` until its
  words are written down, or until they have been waited for long enough.
- ``ResponseCreated`` opens a `ModelAnswer`, unless its metadata names a line that the scene asked for.
  A response that only calls tools hands its line on to the next response.
- ``ResponseDone`` passes the response to `_collect`, one after another: an answer is committed only when it was heard
  to its end or was interrupted, and after what the person said before it. So the take tells turns in their order,
  though events come in any.

A live person is fed block by block, and time is the feed's; what it types meanwhile is a turn, too. Recorded utterances
are fed one at a time, each when the one before was answered. A typist sends words instead. The step is over (``_over``)
when its ``turns``, its ``until``, its key or a stop says so; answers under way are still waited for.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any

import anyio
import pybase64
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tau_stage import protocol
from tau_stage.audio import RATE, Decoder, Pcm
from tau_stage.devices import Playback, Voice, key_pressed
from tau_stage.errors import SessionClosed, SessionError
from tau_stage.protocol import server_events
from tau_stage.scene import OFF, LinePlan, ListenPlan, unwritten_line
from tau_stage.session import Session, Subscription, value_at
from tau_stage.signals import Signal
from tau_stage.stage import schedule
from tau_stage.stage.events import PlayerState, WordsProgress
from tau_stage.stage.line import LineResult, LineTake
from tau_stage.stage.production import Production, cancel_on_stop
from tau_stage.stage.sessions import Participants
from tau_stage.stage.timeline import LineFile
from tau_stage.take import records as record
from tau_stage.text import is_found

FED = RATE // 10
PAUSE = 2 * RATE
"""Silence after an utterance that is fed faster than it is heard: any turn detection takes it for the end."""

WORDS_WAIT_S = 3.0  # how long a person's words may be waited for when the answer is whole

KEPT = 5 * RATE  # samples kept while nobody speaks: more than any prefix that turn detection reaches back for


@dataclass(slots=True)
class PersonSpeech:
    """What the person is saying, in samples of the feed; ``is_written`` is set when its words cannot change."""

    line: LinePlan
    start: int
    end: int | None = None
    words: str = ""
    is_written: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class ModelAnswer:
    """What the model is answering, since the person stopped speaking (``asked_at``).

    ``at`` is the sample of the timeline that its sound begins at; seconds are counted from ``asked_at``.
    """

    line: LinePlan
    asked_at: float
    at: int | None = None
    first_audio_s: float | None = None
    first_words_s: float | None = None

    def sounds(self, at: int) -> bool:
        """Note a piece of its sound, at a sample of the timeline; whether it is the first."""
        if is_first := self.at is None:
            self.at, self.first_audio_s = at, max(0.0, anyio.current_time() - self.asked_at)
        return is_first


class InputFeed:
    """The sound that goes into a session's input, counted from the opening of the microphone."""

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
        """Let go of what lies far back, but for what is still needed: from a sample on."""
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


class _AnswerVoices:
    """Plays answers on the loudspeaker as they arrive, if there is one."""

    def __init__(self, playback: Playback, session: Session) -> None:
        self._playback = playback
        self._session = session
        self._voices: dict[str, tuple[Voice, Decoder]] = {}

    def append(self, line: LinePlan, coded: str) -> None:
        """Play a piece of a line's sound, as the wire brings it."""
        if not self._playback.is_on:
            return
        if line.id not in self._voices:
            self._voices[line.id] = self._playback.voice(), self._session.conversation.form.decoder()
        voice, decoder = self._voices[line.id]
        if audio := decoder.feed(pybase64.b64decode(coded)):
            voice.append(audio)

    def finish(self, line: LinePlan) -> None:
        """Note that a line's sound has come to its end."""
        if line.id in self._voices:
            voice, decoder = self._voices[line.id]
            if rest := decoder.finish():
                voice.append(rest)
            voice.finish()

    def close(self) -> None:
        """Note that nothing more comes."""
        for voice, _ in self._voices.values():
            voice.finish()


class OpenMicrophone:
    """One open microphone, from its opening to its end; ``speak`` lets a player speak a line."""

    def __init__(
        self,
        step: ListenPlan,
        session: Session,
        production: Production,
        participants: Participants,
        speak: Callable[[LinePlan], Awaitable[object]],
    ) -> None:
        self._step = step
        self._session = session
        self._production = production
        self._participants = participants
        self._speak = speak
        self._player = player = production.plan.player(step.player)
        self._person = participants.people[step.person]
        self._origin = production.timeline.next
        self._for_s = inf if step.for_s is None else step.for_s
        self._wanted_answers = inf if step.turns is None else step.turns
        self._feed = InputFeed(session)
        self._voices = _AnswerVoices(production.playback, session)
        self._lines: dict[str, LinePlan] = {}
        self._has_cap = False
        self._has_spoken = False
        self._turns = 0
        self._before = self._said
        self._is_unanswered = bool(self._before) and self._before[-1].player == self._person.name
        self._made = max((int(fact.line.removeprefix(f"{step.id}-")) for fact in self._before), default=0)
        self._lost = 0
        self._open = 0
        self._carried: LinePlan | None = None
        self._heard: dict[str, PersonSpeech] = {}
        self._unsaid: list[PersonSpeech] = []
        self._answer: dict[str, ModelAnswer] = {}
        self._stopped_at = 0.0
        self._over = anyio.Event()
        self._changed = Signal()
        for fact in self._before:
            self._look_for_the_end(fact.said, answered=fact.player == player.name)

    async def run(self) -> None:
        """Listen until the step's end; a ``Stopped`` says that somebody wanted to stop while a person was typing."""
        try:
            await self._run()
        except BaseExceptionGroup as failures:
            closed, others = failures.split(SessionClosed)
            if closed is None or others:
                raise
            raise self._closed() from None  # once, whoever has noticed it
        finally:
            self._production.timeline.now = lambda: 0
            self._voices.close()

    def warn_if_nobody_spoke(self) -> None:
        """Warn, where the person has said nothing."""
        if self._has_spoken:
            return
        where = f"{self._step.id}, player {self._person.name}"
        text = f"{where}: nobody spoke into the open microphone"
        if self._person.is_used_up:
            text = f"{where}: the recording has no more audio"
        self._production.log.append(record.Warned(player=self._person.name, line=self._step.id, text=text))

    async def _run(self) -> None:
        if self._person.types:
            await self._typing()
            return
        session = self._session
        done, finished = anyio.create_memory_object_stream[protocol.Response](64)  # answers that may wait to be heard
        async with (
            done,
            finished,
            self._turn_detection_on(),
            session.events() as events,
            session.responses() as responses,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._watch, events, responses, done)
            group.start_soon(self._collect, finished)
            group.start_soon(self._wait_for_the_key)
            group.start_soon(self._end_after, self._production.stop.wait)
            await self._answer_what_was_said()
            self._set_silence(anyio.current_time())
            if self._person.is_live:
                group.start_soon(self._take_typed)
                self._production.timeline.now = lambda: self._origin + self._feed.samples
            await (self._live() if self._person.is_live else self._hurried())
            await self._settle()
            group.cancel_scope.cancel()
        self._leave_unsaid()
        self._set_silence(None)

    @asynccontextmanager
    async def _turn_detection_on(self) -> AsyncIterator[None]:
        """Turn detection is on inside, and off again behind."""
        wishes: dict[str, Any] = {"turn_detection": dict(self._player.turn_detection)}
        if self._step.transcription is not None:
            wishes["transcription"] = dict(self._step.transcription) or None
        await self._cap_next_answer()
        await self._session.update(**wishes)
        try:
            yield
        finally:
            if self._session.is_open:
                own = self._player.max_output_tokens or "inf"
                uncapped = {"max_output_tokens": own} if self._has_cap else {}
                await self._session.update(turn_detection=None, **uncapped)
                await self._session.clear_input_audio_buffer()

    # ---- what the person says

    async def _typing(self) -> None:
        """Hold a conversation in writing."""
        until = anyio.current_time() + self._for_s
        if self._is_unanswered and not self._over.is_set():
            await self._reply()
        while not self._over.is_set():
            typed = ""
            with anyio.CancelScope(deadline=until):
                typed = await self._typed(self._line(self._person.name))
            if not typed:
                return
            await self._session.user(typed)
            self._look_for_the_end(typed, answered=False)
            await self._reply()

    async def _reply(self) -> None:
        await self._speak(self._line(self._player.name))
        self._look_for_the_end(self._said[-1].said)

    async def _answer_what_was_said(self) -> None:
        """Answer first what was said before the performance was stopped."""
        if not self._is_unanswered or self._over.is_set():
            return
        answers, self._stopped_at = self._answers, anyio.current_time()
        await self._session.wire.send(protocol.ResponseCreate(event_id=self._session.fresh("evt")))
        await self._wait_for_an_answer(lambda: self._answers > answers or self._lost > 0)

    async def _take_typed(self) -> None:
        """Take what the person types meanwhile for a turn, once nobody speaks any more."""
        while True:
            words = await self._person.typed()
            await self._changed.until(lambda: not self._is_busy)
            await self._session.user(words)
            self._commit(self._line(self._person.name), Pcm(), words, self._origin + self._feed.samples)
            self._look_for_the_end(words, answered=False)
            self._stopped_at = anyio.current_time()
            await self._session.wire.send(protocol.ResponseCreate(event_id=self._session.fresh("evt")))

    async def _wait_for_an_answer(self, is_answered: Callable[[], bool]) -> None:
        """Wait until somebody is answered and nobody speaks, but not for ever."""
        with anyio.move_on_after(self._session.deadlines.response_s):
            await self._changed.until(lambda: not self._is_busy and is_answered())

    async def _live(self) -> None:
        """Feed what is said while it is said; silence follows the end of a file."""
        passed = 0
        if self._before:
            passed = self._before[-1].offset_samples + self._before[-1].samples - self._before[0].offset_samples
        with anyio.move_on_after(max(0.0, self._for_s - passed / RATE)):
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
        production = self._production

        def cues_are_through() -> bool:
            return not schedule.cues_pending(production.state) or production.stop.is_set()

        self._session.state.finish_playing()
        if said := sum(fact.player == self._person.name for fact in self._before):
            await self._feed_all(Pcm.silence(PAUSE))
        for take in self._person.takes()[said:]:
            spoken_s = sum(fact.samples for fact in self._said) / RATE
            if self._over.is_set() or spoken_s >= self._for_s:
                return
            await production.changed.until(cues_are_through)
            await self._hear(take)

    async def _hear(self, take: Pcm) -> None:
        """Feed an utterance, and wait until it was answered."""
        turns, answers, self._lost = self._turns, self._answers, 0
        playback = self._production.playback
        await playback.wait_until_heard()
        playback.play(take)
        await playback.wait_until_heard()
        await self._feed_all(Pcm.join([take, Pcm.silence(PAUSE)]))
        await self._session.update()  # its answer comes after everything the sound has led to
        await self._wait_for_an_answer(lambda: self._turns == turns or self._answers > answers or self._lost > 0)
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
        responses: Subscription[protocol.Response],
        done: MemoryObjectSendStream[protocol.Response],
    ) -> None:
        async for event in events:
            self._follow_person(event)
            self._follow_answer(event)
            if isinstance(event, server_events.ResponseDone):
                response = await anext(responses)
                if isinstance(response, protocol.Response) and "line" not in (response.metadata or {}):
                    await done.send(response)
            self._changed.notify()
        why = self._closed()
        for answer in self._answer.values():  # nobody knows what they have cost
            broken = protocol.Response(
                id="", status="failed", message=why.what_happened(), usage=protocol.Usage(untold=1)
            )
            self._fail(answer.line, broken)
        raise why

    def _closed(self) -> SessionError:
        """Tell why the session is closed."""
        return (self._session.wire.closed or SessionClosed(code=1006)).about(player=self._player.name)

    def _begin_speech(self, event: server_events.SpeechStarted) -> None:
        if self._person.is_live:
            self._production.playback.mute()
        start = max(0, self._feed.sample(event.audio_start_ms))
        self._heard[event.item_id] = PersonSpeech(self._line(self._person.name), start)
        self._numbered(self._heard[event.item_id].line)
        self._set_silence(None)
        self._publish_state("listening")

    def _follow_person(self, event: object) -> None:
        if isinstance(event, server_events.SpeechStarted):
            self._begin_speech(event)
            return
        if (heard := self._heard.get(getattr(event, "item_id", ""))) is None:
            return
        match event:
            case server_events.SpeechStopped():
                self._stopped_at = anyio.current_time()
                heard.end = self._feed.sample(event.audio_end_ms)
            case server_events.InputAudioBufferCommitted():
                self._turns += 1
                self._unsaid.append(heard)
            case server_events.TranscriptionDelta():
                self._publish_words(heard.line, event.delta)
            case protocol.TranscriptionCompleted(status="in_progress"):
                pass  # the words so far; the end of them is yet to come
            case protocol.TranscriptionCompleted() | protocol.TranscriptionFailed():
                self._written(self._heard.pop(event.item_id), event)

    def _follow_answer(self, event: object) -> None:
        if isinstance(event, server_events.ResponseCreated) and "line" not in (event.response.metadata or {}):
            self._begin_answer(event.response.id)
        if (answer := self._answer.get(getattr(event, "response_id", ""))) is None:
            return
        match event:
            case server_events.AudioDelta():
                if answer.sounds(self._origin + self._feed.samples):
                    self._publish_state("speaking")
                self._voices.append(answer.line, event.delta)
            case server_events.TranscriptDelta() | server_events.TextDelta():
                if answer.first_words_s is None:
                    answer.first_words_s = max(0.0, anyio.current_time() - answer.asked_at)
                self._publish_words(answer.line, event.delta)

    def _begin_answer(self, response_id: str) -> None:
        """Begin an answer; after a tool's result, it is still the same line."""
        line, self._carried = self._carried or self._line(self._player.name), None
        self._open += 1
        self._answer[response_id] = ModelAnswer(line, self._stopped_at)
        self._numbered(line)
        self._publish_state("thinking")

    def _written(
        self, heard: PersonSpeech, event: protocol.TranscriptionCompleted | protocol.TranscriptionFailed
    ) -> None:
        production, listener, line = self._production, self._player.name, heard.line.id
        if isinstance(event, protocol.TranscriptionCompleted):
            heard.words, usage = event.transcript.strip(), protocol.usage_of(event)
            if not (usage.untold and production.budget.bills_time(listener)):  # else time is all that is paid for
                production.append(record.Transcribed(line=line, player=listener, model=self._writer, usage=usage))
        else:
            why = event.error.message or event.error.code or ""
            hint = "set 'transcription:' to a model (on Azure, to the name of your deployment)"
            text = f"line {line}: its words were not transcribed: {why}; {hint}"
            production.log.append(record.Warned(line=line, text=text))
        heard.is_written.set()

    # ---- what is left of it

    async def _collect(self, finished: MemoryObjectReceiveStream[protocol.Response]) -> None:
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
            at = self._origin + heard.start if self._person.is_live else None
            self._commit(heard.line, audio, heard.words, at)
            self._look_for_the_end(heard.words, answered=False)
        self._heard = {name: heard for name, heard in self._heard.items() if heard not in self._unsaid}
        self._unsaid.clear()

    async def _leave_answer(self, answer: ModelAnswer, response: protocol.Response) -> None:
        if response.status == "failed":
            self._lost += 1
            self._fail(answer.line, response)
            self._fall_silent()
            return
        if response.calls:
            self._production.tool_turn(self._numbered(answer.line), response)
            if not (response.audio or response.text):
                self._carried = answer.line
                return
            response = replace(response, usage=protocol.Usage())
        heard = await self._heard_of(response)
        audio = response.audio[:heard]
        if not audio and (response.audio or response.status == "cancelled"):  # nobody has heard of it
            self._lost += 1
            self._production.tool_turn(self._numbered(answer.line), response)
            return
        took_s = max(0.0, anyio.current_time() - answer.asked_at)
        at = answer.at if self._person.is_live else None
        words = response.transcript or response.text
        self._commit(answer.line, audio, words, at, _answer_result(answer, response, heard), took_s)
        self._look_for_the_end(words)
        self._fall_silent()
        await self._cap_next_answer()

    def _fall_silent(self) -> None:
        """Note that the player has stopped; it is silent, unless the person speaks."""
        if not any(heard.end is None for heard in self._heard.values()):
            self._publish_state("idle")
            self._set_silence(anyio.current_time())

    async def _heard_of(self, response: protocol.Response) -> int:
        """Return samples of an answer that were heard, when it was heard to its end or somebody spoke into it."""
        if not self._person.is_live:
            self._session.state.finish_playing()
            return len(response.audio)
        playback = self._session.state.playback
        if playback.item_id not in response.item_ids:
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
        if said or (answered and self._answers >= self._wanted_answers):
            self._over.set()

    async def _settle(self) -> None:
        """Wait for the answers under way; what the person was saying is kept as far as it came."""
        with anyio.move_on_after(self._session.deadlines.response_s):
            await self._changed.until(lambda: not self._is_answering)
        await self._words_of_the_person()
        self._unsaid += [heard for heard in self._heard.values() if heard.end is None]

    @property
    def _said(self) -> list[record.LineSpoken]:
        """What was said here, before the performance was stopped too."""
        return schedule.turns_at(self._production.state, self._step)

    @property
    def _answers(self) -> int:
        return sum(fact.player == self._player.name for fact in self._said)

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
        heard = value_at(self._session.session, "audio", "input", "transcription", "model")
        return asked or str(heard or "")

    def _publish_state(self, state: str) -> None:
        self._production.log.publish(PlayerState(self._player.name, state))

    def _publish_words(self, line: LinePlan, words: str) -> None:
        self._production.log.publish(WordsProgress(line.player, line.id, words, spoken=True))

    def _line(self, player: str) -> LinePlan:
        """Make one more line that is made up on the spot."""
        self._made += 1
        return unwritten_line(self._step, player, f"{self._step.id}-{self._made}")

    def _numbered(self, line: LinePlan) -> LinePlan:
        """Return a line with its number; begin it when it is first heard of."""
        if session := self._participants.sessions.get(line.player):
            self._production.answered_by(line.player, session.answered_by)
        if line.id not in self._lines:
            self._lines[line.id] = self._production.begin_line(line)
        return self._lines[line.id]

    def _commit(
        self,
        line: LinePlan,
        audio: Pcm,
        words: str,
        at: int | None,
        result: LineResult | None = None,
        took_s: float = 0.0,
    ) -> None:
        """Commit a finished turn, at a sample of the timeline or after what was before."""
        production = self._production
        self._has_spoken |= line.player == self._person.name
        line = self._numbered(line)
        self._voices.finish(line)
        file = LineFile(production.folder, line, production.log)
        if audio:
            file.sounded(audio)
        at = production.timeline.next if at is None else at
        tried = LineTake(1, result, file, took_s) if result else None
        production.commit_line(line, audio, words, at, file.finish(), tried)

    def _fail(self, line: LinePlan, response: protocol.Response) -> None:
        """Go on without an answer that could not be had."""
        self._voices.finish(line)
        problem = response.message or response.reason or "the response failed"
        told = f"line {line.id}, player {line.player}: {problem}"
        self._production.skip_line(line.id, line.player, told, usage=response.usage)

    async def _cap_next_answer(self) -> None:
        """Let the next answer cost no more than the budget has left; raise ``BudgetExceeded`` where none fits."""
        budget, name, own = self._production.budget, self._player.name, self._player.max_output_tokens
        line = f"{self._step.id}-{self._made + 2}"  # the person speaks before it
        await self._production.check(line, name)
        most = budget.most_tokens(line, name, self._player.output)
        if most is not None:
            self._has_cap = True
            await self._session.update(max_output_tokens=min(most, own or most))

    async def _typed(self, line: LinePlan) -> str:
        """Let a person type a line; what was typed, or nothing at the end."""
        async with cancel_on_stop(self._production.stop):
            given = await self._person.deliver(line, self._production.log.publish)
            while not (given.words or given.is_over):
                given = await self._person.deliver(line, self._production.log.publish)
        if given.words:
            self._commit(line, given.audio, given.words, None)
        return given.words

    def _set_silence(self, since: float | None) -> None:
        """Note that a silence has begun, or has ended."""
        self._production.state = schedule.set_silence(self._production.state, since)
        self._production.changed.notify()


def _answer_result(answer: ModelAnswer, response: protocol.Response, heard: int) -> LineResult:
    """Return an answer as far as it was heard, in samples."""
    is_cut = heard < len(response.audio)
    reason = "turn_detected" if is_cut else response.reason
    status = "cancelled" if reason == "turn_detected" else response.status
    response = replace(response, status=status, first_audio_s=answer.first_audio_s)
    told = response.timings.until(min(heard, len(response.audio)))
    return LineResult(response, 1, reason, answer.first_words_s, word_times=told.words, visemes=told.visemes)
