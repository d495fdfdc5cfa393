"""Get a model's line: its takes, the attempts at each, and the choice among them."""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import anyio

from tau_stage import protocol
from tau_stage.audio import RATE, Pcm, is_audible
from tau_stage.cost import plain_words
from tau_stage.devices import Playback
from tau_stage.errors import (
    BudgetExceeded,
    ConnectFailed,
    ModelRefused,
    SessionClosed,
    SessionError,
    StageError,
    Timeout,
)
from tau_stage.scene import LinePlan
from tau_stage.session import (
    MOST_ROUNDS,
    RULES,
    Receipt,
    ResponseStream,
    Session,
    Tally,
    Trouble,
    choice_after,
    silence_of,
    trouble_with,
    wished_wait_s,
)
from tau_stage.stage.budget import NOTHING
from tau_stage.stage.context import delete_response
from tau_stage.stage.events import WordsProgress
from tau_stage.stage.fan_out import LineStream
from tau_stage.stage.line import RESULT_FACTS, LineResult, LineTake, correction, ending_in_words, trouble_in_words
from tau_stage.stage.production import Production
from tau_stage.stage.reconnect import Reconnector
from tau_stage.stage.sessions import Participants, Stage, wished_tools
from tau_stage.stage.timeline import LineFile
from tau_stage.take import read_sound
from tau_stage.take import records as record
from tau_stage.text import as_written, closeness, pronounce, same_words, with_clause

SILENT_FAILURE = "the response failed without an error message"
STOPPING_S = 2.0  # how long a response may take to end when it was cancelled


class LineRunner:
    """Lets models speak."""

    def __init__(self, participants: Participants, production: Production, reconnector: Reconnector) -> None:
        self._participants = participants
        self._production = production
        self._reconnector = reconnector

    async def takes(self, line: LinePlan, at: int | None) -> list[LineTake]:
        """Perform all takes of a line, as many as the scene wants and the budget has room for.

        ``at`` is the sample of the timeline it begins at, where that is known. A ``SessionError`` says that the line
        cannot be had, a ``BudgetExceeded`` that it could only be had at a further attempt, and there is no money for
        that.
        """
        tries = [self._former(line, fact) for fact in self._production.ended_takes.pop(line.id, ())]
        before = len(tries)
        while not tries or self._wants_another(line, tries):
            if len(tries) > before:
                await _take_back(self._participants.sessions[line.player], line, tries[-1].delivery.response)
            number = tries[-1].number + 1 if tries else 1
            tries.append(await self._try(line, number, at, tries, is_first=len(tries) == before))
        return tries

    def _former(self, line: LinePlan, fact: record.TakeKept) -> LineTake:
        """Return a take that had ended before the performance was stopped."""
        production = self._production
        path = production.folder.inside(fact.file) if fact.file else None
        recording = LineFile(production.folder, line, production.log, fact.take, path)
        audio = read_sound(path, fact.samples) if path else Pcm()
        response = protocol.Response(
            fact.response,
            cast("protocol.Status", fact.status),
            transcript=fact.said,
            audio=audio,
            usage=fact.usage,
            first_audio_s=fact.first_audio_s,
        )
        told = {name: getattr(fact, name) for name in RESULT_FACTS}
        return LineTake(fact.take, LineResult(response, **told), recording, fact.took_s, is_former=True)

    def _wants_another(self, line: LinePlan, tries: list[LineTake]) -> bool:
        """Tell whether a line is to be said once more; not where it has called tools, or there is no money for it."""
        if len(tries) >= line.takes or tries[-1].delivery.response.calls or _is_settled(line, tries):
            return False
        if self._production.budget.affords(line.id, line.player, like=tries[-1].delivery.response.usage):
            return True
        why = "another take would exceed the budget"
        text = f"line {line.id}: stopped after {len(tries)} of {line.takes} takes because {why}"
        self._production.log.append(record.Warned(player=line.player, line=line.id, text=text))
        return False

    async def _try(
        self, line: LinePlan, number: int, at: int | None, tries: Sequence[LineTake], *, is_first: bool
    ) -> LineTake:
        """Perform one take of a line; where several are wanted, pay it and write it down as soon as it has ended."""
        production = self._production
        began = anyio.current_time()
        own = self._participants.tools[line.player]
        attempts = _LineAttempts(
            production, self._participants.stage, line, [own[name].definition for name in line.tools or ()], number, at
        )
        try:
            asked = line if is_first or line.apart else replace(line, prompt="")
            if number > 1:
                asked = replace(asked, metadata={**line.metadata, "take": str(number)})
            if _has_other_words(tries) and (line.apart or not is_first):
                asked = replace(asked, prompt=correction(line, tries[-1].delivery.response.transcript))
                attempts.item_id += f"_{number}"
            delivery = await self._insist(attempts, asked)
            await self._forget(attempts)
        except (ConnectFailed, SessionClosed, Timeout) as error:
            attempts.failed(error.what_happened())
            raise
        except StageError:
            attempts.start_over()
            raise
        finally:
            attempts.voice.finish()
        took_s = anyio.current_time() - began
        recording = attempts.recording
        if line.takes > 1:
            production.take_ended(line, number, delivery, recording.aside(), took_s)
        return LineTake(number, delivery, recording, took_s)

    async def _forget(self, attempts: _LineAttempts) -> None:
        """Take a correction out of the conversation again: the player remembers its line as it is first asked for."""
        session, line = self._participants.sessions[attempts.line.player], attempts.line
        if attempts.item_id != _item_id(line) and session.conversation.knows(attempts.item_id):
            try:
                await session.delete_conversation_item(attempts.item_id)
            except ModelRefused as refused:
                session.warn(refused.what_happened())
            except (SessionClosed, Timeout) as error:
                self._production.presence.mark_lost(line.player, error)

    async def _insist(self, attempts: _LineAttempts, asked: LinePlan) -> LineResult:
        """Let a player speak, and once more where it is lost meanwhile; the line's time goes on."""
        line = attempts.line
        session = await self._reconnector.session(line.player, line.id)
        attempts.deadline = math.inf if line.timeout_s is None else anyio.current_time() + line.timeout_s
        while True:
            try:
                return await _LineRequest(session, asked, attempts).done()
            except (SessionClosed, Timeout) as error:
                trouble, wait_s = self._reconnector.retry_after(line, error, attempts.tally)
                attempts.lost(trouble, error, wait_s)
            await anyio.sleep(wait_s)
            session = await self._reconnector.session(line.player, line.id)
            asked = replace(line, metadata=asked.metadata)


class _LineAttempts:
    """Writes down and pays what happens to one take of a line, and lets it be heard as it comes.

    Attributes:
        tools: The line's own, where it has some.
        sounds: Whether it is to be spoken; else it is to be written.
        keeps: Whether what the model says about its work is part of the line.
        tally: What has gone wrong with it so far.
        deadline: When it takes too long, with all its responses, its tools, and what is tried again.
        owed: What a response used that is written down nowhere yet.
        item_id: What the line is called in the conversation, or what it is asked for again with.
        pronounce: Words as they are written, and as they are sent.
    """

    def __init__(
        self,
        production: Production,
        stage: Stage,
        line: LinePlan,
        tools: Sequence[protocol.FunctionTool],
        number: int,
        at: int | None,
    ) -> None:
        player = production.plan.player(line.player)
        is_heard_at_once = at is None and line.takes == 1  # else it is heard at its end, or another sounds beside it
        playback = production.playback if is_heard_at_once else Playback()
        self.line = line
        self.tools = tools
        self.recording = LineFile(production.folder, line, production.log, number)
        self.voice = playback.voice(lambda: production.timeline.start_of(line))
        self.stream = production.presence.begin_stream(line) if is_heard_at_once else LineStream("", ())
        self.sounds = (line.output or player.output) == "audio"
        self.keeps = (line.commentary or player.commentary) == "keep"
        self.tally = Tally()
        self.deadline = math.inf
        self.production = production
        self._gate, self._account = stage.gate, stage.account_of(player)
        self._asked_tokens: int | None = None
        self._cap = line.max_output_tokens or player.max_output_tokens or sys.maxsize
        self.owed = NOTHING
        self.item_id = _item_id(line)
        self.pronounce = player.pronounce

    def sounded(self, audio: Pcm) -> None:
        """Let a piece of sound be heard."""
        self.recording.sounded(audio)
        self.voice.append(audio)
        self.stream.append(audio)

    def ended(self, response: protocol.Response, session: Session) -> None:
        """Note that a response has ended, before anything else is done about it."""
        self.owed = response.usage
        if self._asked_tokens is not None and not response.usage.untold:
            self._gate.used(self._account, response.usage.tokens - self._asked_tokens)
        self._asked_tokens = None
        self.production.answered_by(self.line.player, session.answered_by)

    async def wait_for_tokens(self) -> None:
        """Wait until the provider's limits have room for a response; that is no part of the line's time."""
        began = anyio.current_time()
        tokens = self.production.budget.tokens(self.line.id, self.line.player)
        await self._gate.tokens(self._account, tokens)
        self._asked_tokens = tokens
        self.deadline += anyio.current_time() - began

    def again(self, response: protocol.Response, trouble: Trouble, wait_s: float) -> None:
        """Note that the line is asked for once more; where the provider wants it, everybody waits."""
        if trouble == "rate limit":
            self._gate.pause(self._account, wait_s)
        problem = trouble_in_words(response, trouble)
        if response.status != "completed":
            told = f": {response.message}" if response.message else ""
            problem = f"{ending_in_words(response, response.reason or trouble)}{told}"
        self._note_retry(trouble, problem, wait_s)

    def lost(self, trouble: Trouble, why: SessionError, wait_s: float) -> None:
        """Note that the line is asked for once more, as its player was lost in it; or raise ``BudgetExceeded``."""
        self._note_retry(trouble, why.what_happened(), wait_s)
        self.afford()
        self.tally.attempts += 1

    def _note_retry(self, trouble: Trouble, problem: str, wait_s: float) -> None:
        facts = {"problem": problem, "wait_s": wait_s, "reason": trouble, **self._cost_and_sound()}
        self.production.append(record.LineAgain(line=self.line.id, player=self.line.player, **facts))

    def failed(self, problem: str) -> None:
        """Note that the line is not asked for any more: pay what it has cost, keep what sounded."""
        facts = {"problem": problem, **self._cost_and_sound()}
        self.production.append(record.LineFailed(line=self.line.id, player=self.line.player, **facts))

    def _cost_and_sound(self) -> protocol.JsonObject:
        """Return what an attempt used that is written down nowhere yet, and where its sound is kept."""
        usage, self.owed = self.owed, NOTHING
        return {"file": self.start_over(), "usage": usage}

    def start_over(self) -> str | None:
        """Keep what has sounded under a name of its own, and say which; nobody is to hear the rest of it."""
        self.voice.restart()
        self.stream.start_over()
        return self.recording.again()

    def afford(self, besides: protocol.Usage = NOTHING) -> None:
        """Raise ``BudgetExceeded`` where there is no money for one more attempt, on top of what is to be paid."""
        budget = self.production.budget
        if budget.limit is not None and not budget.affords(self.line.id, self.line.player, besides):
            raise BudgetExceeded(budget.limit, budget.spent, self.line.id)

    def most_tokens(self) -> int | None:
        """Tell how many tokens the next response may have; None is as many as it likes."""
        output = "audio" if self.sounds else "text"
        most = self.production.budget.most_tokens(self.line.id, self.line.player, output)
        return None if most is None else min(most, self._cap)


class _LineRequest:
    """One line on its way. The words and the request for a response leave together: one round trip."""

    def __init__(self, session: Session, line: LinePlan, attempts: _LineAttempts) -> None:
        self._session = session
        self._line = line
        self._attempts = attempts
        self._production = attempts.production
        self._commentary: list[protocol.Commentary] = []
        self._options = _options(line, attempts.tools, str(session.session.get("instructions") or ""))
        self._spoken = self._verbatim
        if self._spoken:
            self._options[protocol.VERBATIM] = {"content": [{"type": "output_text", "text": self._spoken}]}
        self._is_put = not line.prompt or line.apart or bool(self._spoken)
        self._heard: list[Pcm] = []
        self._words: list[str] = []
        self._timings = protocol.Timings()
        self._sent = 0
        self._left: int | None = None
        self._reason: str | None = None
        self._first_audio_s: float | None = None
        self._first_words_s: float | None = None
        self._ignores_us = False
        self._start_over()

    @property
    def _verbatim(self) -> str:
        """What is spoken as it stands, where the server can: exact words, without their moments; else empty."""
        line, attempts = self._line, self._attempts
        if not (self._session.speaks_verbatim and line.exact and attempts.sounds) or line.apart:
            return ""
        return plain_words(pronounce(line.words, attempts.pronounce))

    async def done(self) -> LineResult:
        response = await self._attempt()
        words: list[str] = []
        texts: list[str] = []
        turns = 0
        while True:
            if again := self._again(response):
                trouble, wait_s = again
                self._attempts.tally.attempts += 1
                self._attempts.again(response, trouble, wait_s)
                await _take_back(self._session, self._line, response)
                self._start_over()
                await anyio.sleep(wait_s)
            else:
                self._commentary += response.commentary
                words.append(response.transcript or response.text)
                texts.append(response.text)
                if self._reason or turns == MOST_ROUNDS or not await self._session.serve(response, self._left_s):
                    break
                self._attempts.owed = NOTHING
                self._production.tool_turn(self._attempts.line, response)
                turns += 1
                if self._left_s <= 0:
                    response = self._too_late()
                    break
                self._options = {**self._options, "tool_choice": choice_after(turns)}
            response = await self._attempt()
        return await self._delivered(response, _joined(words), _joined(texts))

    def _whole(self, response: protocol.Response, audio: Pcm, spoken: str) -> protocol.Response:
        """Return the last response with the sound and the words of all, as far as they were heard."""
        whole = replace(response, audio=audio, transcript=spoken, text="", first_audio_s=self._first_audio_s)
        if self._reason == "cut_in":
            heard = as_written(self._line.words, self._words_heard(), self._attempts.pronounce)
            return replace(whole, status="cancelled", transcript=heard)
        is_late = self._reason == "timeout" and whole.status == "failed"
        return replace(whole, status="cancelled") if is_late else whole

    async def _delivered(self, response: protocol.Response, spoken: str, text: str) -> LineResult:
        """Return the line, after its last response: the words of all, and of those what the model wrote."""
        audio, line = Pcm.join(self._heard), self._line
        spoken = as_written(line.words, spoken, self._attempts.pronounce)
        whole = self._whole(response, audio, spoken)
        told = _joined([comment.transcript or comment.text for comment in self._commentary])
        delivery = LineResult(
            whole,
            self._attempts.tally.attempts,
            self._reason or response.reason,
            self._first_words_s,
            commentary=told,
            commentary_s=round(sum((comment.audio.duration_s for comment in self._commentary), 0.0), 6),
            word_times=self._timings.until(len(audio)).words,
            visemes=self._timings.until(len(audio)).visemes,
            exact=same_words(line.words, spoken) if line.exact and spoken and self._reason != "cut_in" else None,
        )
        if not self._has_failed(whole):
            return delivery
        await _take_back(self._session, self._line, response)
        return failed(delivery, text)

    def _has_failed(self, whole: protocol.Response) -> bool:
        """Tell whether the line as a whole is none: nothing of it can be heard or, if it is to be written, read."""
        if self._line.improvised or whole.calls or self._reason == "cut_in":
            return False
        return not (is_audible(whole.audio) if self._attempts.sounds else whole.transcript)

    async def _attempt(self) -> protocol.Response:
        """Ask once; where the server refuses to speak a text as it stands, ask the model, now and from then on."""
        response = await self._asked_once()
        if not self._spoken or trouble_with(response) != "refused":
            return response
        self._session.speaks_verbatim = False
        problem = f"the server cannot speak a text verbatim ({response.message or response.reason})"
        self._session.warn(with_clause(problem, "the model is asked to say the line instead"))
        self._spoken, self._is_put = "", not self._line.prompt
        del self._options[protocol.VERBATIM]
        return await self._asked_once()

    async def _asked_once(self) -> protocol.Response:
        """Ask once; what is refused is a response that has failed."""
        response = protocol.Response(id="", status="failed")
        try:
            asked, speaking = await self._ask()
            try:
                response = await self._follow(speaking)
                self._attempts.ended(response, self._session)
            except ModelRefused as error:
                response = _refused(response, error)
            if asked:
                await self._session.wire.answer(asked)
            self._is_put = True
        except ModelRefused as error:
            response = _refused(response, error)
        self._attempts.ended(response, self._session)
        return response

    async def _ask(self) -> tuple[Receipt | None, ResponseStream]:
        """Put the line into the conversation, if it is to stand there, and ask for it; nothing comes in between."""
        wire, asked = self._session.wire, None
        options = self._options
        if (most := self._attempts.most_tokens()) is not None:
            options = {**options, "max_output_tokens": most}
        await self._attempts.wait_for_tokens()
        self._attempts.owed = protocol.Usage(untold=1)  # nobody knows yet what it costs
        async with wire.send_lock:
            if not self._is_put:
                name = self._attempts.item_id
                item = protocol.ConversationItemCreate(
                    event_id=name.replace("line", "say"), item=_item(self._line, name)
                )
                asked = await wire.send(item)
            return asked, await self._session.speak(**options)

    @property
    def _left_s(self) -> float:
        """Seconds that are left of the line's time: for all its responses, its tools, and what is tried again."""
        return max(0.0, self._attempts.deadline - anyio.current_time())

    def _unpaid(self, usage: protocol.Usage) -> BudgetExceeded | None:
        """Tell that no other attempt can be paid."""
        try:
            self._attempts.afford(usage)
        except BudgetExceeded as error:
            return error
        return None

    def _again(self, response: protocol.Response) -> tuple[Trouble, float] | None:
        """Find what is wrong with a response, and the seconds until the line is asked for again; None where it stands.

        A ``ModelRefused`` says that it failed for good, a ``BudgetExceeded`` that no other attempt can be paid.
        """
        sounds = self._attempts.sounds and not is_audible(Pcm.join(self._heard))
        trouble = None if self._reason else trouble_with(response, may_be_empty=self._line.improvised, sounds=sounds)
        if trouble is None:
            return None
        wait_s = self._attempts.tally.wait_s(trouble, wished_wait_s(response.message))
        if wait_s is not None and wait_s >= self._left_s:
            self._reason = "timeout"
            return None
        refused: StageError = ModelRefused(code=response.reason or "failed", message=response.message or SILENT_FAILURE)
        if wait_s is not None:
            unpaid = self._unpaid(response.usage)
            if unpaid is None:
                return trouble, wait_s
            refused = unpaid
        if RULES[trouble].stands:
            return None
        self._attempts.failed(response.message or response.reason or "the response failed")
        raise refused

    def _too_late(self) -> protocol.Response:
        self._reason = "timeout"
        return protocol.Response(id="", status="cancelled", reason="timeout")

    def _words_heard(self) -> str:
        """Estimate the words that were heard of a line that was cut, by their share: the provider does not tell."""
        parts = "".join(self._words).split()
        share = sum(map(len, self._heard)) / max(1, self._sent)
        return " ".join(parts[: max(1, round(len(parts) * share))]) + "-" if parts else ""

    def _start_over(self) -> None:
        self._heard.clear()
        self._words.clear()
        self._timings = protocol.Timings()
        self._sent = 0
        self._left = None if self._line.cut is None else round(self._line.cut.heard_s * RATE)

    def _take_words(self, change: protocol.TextChunk, began: float) -> None:
        self._words.append(change.words)
        self._first_words_s = self._first_words_s or anyio.current_time() - began
        self._production.log.publish(WordsProgress(self._line.player, self._line.id, change.words, change.spoken))

    async def _follow(self, speaking: ResponseStream) -> protocol.Response:
        began, before = anyio.current_time(), sum(map(len, self._heard))
        with anyio.move_on_after(self._left_s) as patience:
            async for change in speaking:
                if not self._attempts.keeps and getattr(change, "commentary", False):
                    continue
                if isinstance(change, protocol.AudioChunk):
                    is_counted = self._left is not None or self._attempts.stream.is_heard
                    if self._take(change.audio if is_counted else speaking.with_waiting_sound(change)):
                        await self._cut()
                        break
                if isinstance(change, protocol.TextChunk):
                    self._take_words(change, began)
        response = await (self._stopped(speaking) if patience.cancelled_caught else self._ended(speaking))
        if self._first_audio_s is None:
            self._first_audio_s = response.first_audio_s
        response = response.with_commentary() if self._attempts.keeps else response
        self._heard = [one_of(self._heard, response.audio)]
        self._timings += response.timings.shifted(before)
        return response

    async def _stopped(self, speaking: ResponseStream) -> protocol.Response:
        """Stop a line that took too long: what there is of it is the line. A model that goes on said nothing."""
        late = self._too_late()
        await self._stop(self._session.cancel_response())
        with anyio.move_on_after(STOPPING_S):
            return await self._ended(speaking)
        return replace(late, usage=protocol.Usage(untold=1))

    async def _ended(self, speaking: ResponseStream) -> protocol.Response:
        """Wait for the whole response; of one that did not stop, return what there is."""
        if self._ignores_us:
            words = "".join(self._words)
            return protocol.Response(
                id="", status="cancelled", reason=self._reason, transcript=words, usage=protocol.Usage(untold=1)
            )
        return await speaking.finished()

    async def _stop(self, stopping: Awaitable[protocol.Response | None]) -> None:
        """Wait until the model stops. One that does not is opened again for its next line; what was heard stays."""
        try:
            await stopping
        except Timeout as error:
            self._ignores_us = True
            self._session.warn(with_clause(error.what_happened(), "its session will be reopened for its next line"))
            await self._session.close()

    def _take(self, audio: Pcm) -> bool:
        """Let a piece of sound be heard; whether it is the last that is."""
        self._sent += len(audio)
        if self._left is not None:
            audio = audio[: self._left]
            self._left -= len(audio)
        if audio:
            self._heard.append(audio)
            self._attempts.sounded(audio)
        return self._left == 0

    async def _cut(self) -> None:
        """Cut in with another line: the player stops, and knows how much of it was heard."""
        self._reason = "cut_in"
        await self._stop(self._session.interrupt(sum(map(len, self._heard))))


def _refused(response: protocol.Response, error: ModelRefused) -> protocol.Response:
    return replace(response, status="failed", reason=error.code, message=error.message)


def one_of(pieces: Sequence[Pcm], whole: Pcm) -> Pcm:
    """Return pieces as one sound: the whole itself, where they are all of it, so that it is in memory once."""
    at = 0
    for piece in pieces:
        if not whole.data.startswith(piece.data, at):
            return Pcm.join(pieces)
        at += len(piece.data)
    return whole if at == len(whole.data) else Pcm.join(pieces)


def _joined(words: list[str]) -> str:
    return " ".join(word.strip() for word in words if word.strip())


def failed(delivery: LineResult, text: str) -> LineResult:
    """Make a line that was answered, but not with what was asked for: why, and its words for the record."""
    response = replace(delivery.response, text=text)
    words = text or response.transcript
    reason = delivery.reason or silence_of(response) or "empty"
    problem = trouble_in_words(response, reason, has_commentary=bool(delivery.commentary))
    response = replace(response, status="failed", item_ids=(), text="")
    return replace(delivery, response=response, reason=reason, problem=problem, written=words)


def _item_id(line: LinePlan) -> str:
    return f"line_{line.number}"


def _item(line: LinePlan, item_id: str) -> protocol.SystemMessage | protocol.UserMessage:
    content = (protocol.InputText(text=line.prompt),)
    if line.improvised:
        return protocol.SystemMessage(id=item_id, content=content)
    return protocol.UserMessage(id=item_id, content=content)


async def _take_back(session: Session, line: LinePlan, response: protocol.Response) -> None:
    """Delete an answer from the conversation; one beside it was never there."""
    if not line.apart:
        await delete_response(session, response)


def _is_settled(line: LinePlan, tries: Sequence[LineTake]) -> bool:
    """Tell whether no other take of a line with exact words could be picked: one has them, or nobody can tell."""
    sound = [each.delivery.exact for each in tries if not each.delivery.problem]
    return line.exact and line.pick in ("closest", "first") and any(exact is not False for exact in sound)


def _options(line: LinePlan, tools: Sequence[protocol.FunctionTool], instructions: str) -> protocol.JsonObject:
    """Return what the response is asked to be, other than the session.

    A line that is not remembered is no item of the conversation: it stands in the response's own instructions, which
    replace the session's.
    """
    options: protocol.JsonObject = {"metadata": {**line.metadata, "line": line.id}}
    if line.max_output_tokens is not None:
        options["max_output_tokens"] = line.max_output_tokens
    if line.output is not None:
        options["output_modalities"] = (line.output,)
    options |= wished_tools(line.reasoning, None if line.tools is None else tools, line.tool_choice)
    if line.apart:
        told = "\n".join(filter(None, (instructions, line.prompt)))
        options |= {"conversation": "none", "instructions": told, "tool_choice": "none"}
    return options


@dataclass(frozen=True, slots=True)
class TakeOption:
    """One take, as somebody chooses it; a whole one has completed."""

    said: str
    seconds: float
    is_whole: bool = True
    exact: bool | None = None


ChooseTake = Callable[[LinePlan, Sequence[TakeOption]], Awaitable[int]]
"""Lets somebody choose: the place of a take in the list."""


def pick_take(asked: str, options: Sequence[TakeOption], pick: Literal["closest", "first", "shortest", "ask"]) -> int:
    """Return the place of the take that is the line; the earlier one, where two are as good.

    A take that broke off is picked only where all did, and one with other words than must be said only where all have
    such. What nobody is there to be asked, is the closest.

    >>> pick_take("Have it?", [TakeOption("Halve it?", 1.0), TakeOption("Have it?", 1.2)], "closest")
    1
    >>> pick_take("Yes.", [TakeOption("Yes.", 1.0), TakeOption("Yes.", 0.5), TakeOption("", 0.0, False)], "shortest")
    1
    """
    whole = [number for number, option in enumerate(options) if option.is_whole and option.said.strip()]
    exact = [number for number in whole if options[number].exact]
    among = exact or whole or list(range(len(options)))
    if pick == "first":
        return among[0]
    if pick == "shortest":
        return min(among, key=lambda number: options[number].seconds)
    return max(among, key=lambda number: closeness(asked, options[number].said))


async def wait_until_idle(session: Session) -> None:
    """Wait until a player has answered whoever it listens to, and was heard; a ``Timeout`` says that it goes on."""
    limit = session.deadlines.response_s
    with anyio.move_on_after(limit) as patience:
        async with session.responses() as watch:
            while session.conversation.active and session.is_open:
                await anext(watch, None)
    if patience.cancelled_caught:
        raise Timeout(what="response.done for the previous response", waited_s=limit, player=session.name)
    if session.turn_detection:
        await anyio.sleep(session.state.playback.left_s(anyio.current_time()))


def _has_other_words(tries: Sequence[LineTake]) -> bool:
    """Tell whether the last take of a line is known to have other words than the scene."""
    return bool(tries) and tries[-1].delivery.exact is False
