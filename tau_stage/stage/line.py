"""Speak one line of a model: send the words, take the sound, and try again what may pass."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

import anyio

from tau_stage.audio import RATE, SILENCE_DBFS, Pcm, is_audible, peak_dbfs
from tau_stage.errors import BudgetExceeded, ModelRefused, Timeout
from tau_stage.protocol import (
    AudioChunk,
    Commentary,
    ConversationItemCreate,
    FunctionTool,
    InputText,
    Response,
    Status,
    SystemMessage,
    TextChunk,
    Usage,
    UserMessage,
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
from tau_stage.stage.context import delete_response
from tau_stage.stage.timeline import LineFile
from tau_stage.take import TakeKept
from tau_stage.text import with_clause

SILENT_FAILURE = "the response failed without a word"
MOST_QUOTED = 160
"""Characters of a written answer that a problem quotes."""
STOPPING_S = 2.0
"""How long a response may take to end when it was cancelled."""


@dataclass(frozen=True, slots=True)
class LineResult:
    """A line as it was delivered.

    Attributes:
        response: The last one, with the sound and the words of all.
        attempts: How often it was asked for.
        reason: Why it ended early, if it did: ``cut_in``, ``timeout``, or the provider's own.
        first_words_s: Seconds from the request to the first words.
        problem: Why the line has failed, though it was answered: it has no sound, or, in writing, no words.
        written: The words that came without a sound.
        commentary: What the model said about its work, if it is no part of the line.
        commentary_s: Seconds that it sounds.
    """

    response: Response
    attempts: int
    reason: str | None
    first_words_s: float | None = None
    problem: str = ""
    written: str = ""
    commentary: str = ""
    commentary_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LineCallbacks:
    """Listens in while a line is delivered.

    Attributes:
        sounded: Told of the sound as it arrives.
        worded: Told of the words as they arrive.
        afford: Asked before a response is asked for once more; raises ``BudgetExceeded`` where that may not be.
        again: Told of a response that is asked for once more, of what is wrong with it, and after how many seconds.
        failed: Told of a response that is not.
        called: Told of a response that called tools.
        most_tokens: Tells how many tokens the next response may have; None is as many as it likes.
        asked: Told that a response is about to be asked for.
        ended: Told of every response as it ends, before anything else is done about it.
    """

    sounded: Callable[[Pcm], None]
    worded: Callable[[TextChunk], None]
    afford: Callable[[Response], None]
    again: Callable[[Response, Trouble, float], None]
    failed: Callable[[Response], None]
    called: Callable[[Response], None]
    most_tokens: Callable[[], int | None]
    asked: Callable[[], None]
    ended: Callable[[Response], None]


async def speak_line(
    session: Session,
    line: LinePlan,
    callbacks: LineCallbacks,
    tools: tuple[FunctionTool, ...] = (),
    tally: Tally | None = None,
    *,
    sounds: bool = True,
    keeps_commentary: bool = False,
) -> LineResult:
    """Let a player say its line. The words and the request for a response leave together: one round trip.

    Args:
        session: The player's.
        line: From the plan.
        callbacks: Told of what happens to it.
        tools: The line's own tools, where it has some.
        tally: What has gone wrong with this line before.
        sounds: Whether it is to be spoken; else it is to be written.
        keeps_commentary: Whether what the model says about its work is part of the line.

    Raises:
        SessionError: The line cannot be had.
        BudgetExceeded: It could only be had at a further attempt, and there is no money for that.
    """
    return await _LineRequest(
        session, line, callbacks, tools, tally or Tally(), sounds=sounds, keeps=keeps_commentary
    ).done()


class _LineRequest:
    """One line on its way."""

    def __init__(
        self,
        session: Session,
        line: LinePlan,
        callbacks: LineCallbacks,
        tools: tuple[FunctionTool, ...],
        tally: Tally,
        *,
        sounds: bool,
        keeps: bool,
    ) -> None:
        self._session = session
        self._line = line
        self._callbacks = callbacks
        self._tally = tally
        self._sounds = sounds
        self._keeps = keeps
        self._commentary: list[Commentary] = []
        self._is_put = not line.prompt or line.apart
        self._options = _options(line, tools, str(session.session.get("instructions") or ""))
        self._heard: list[Pcm] = []
        self._words: list[str] = []
        self._sent = 0
        self._left: int | None = None
        self._reason: str | None = None
        self._deadline = math.inf
        self._first_audio_s: float | None = None
        self._first_words_s: float | None = None
        self._ignores_us = False
        self._start_over()

    async def done(self) -> LineResult:
        timeout_s = self._line.timeout_s
        self._deadline = math.inf if timeout_s is None else anyio.current_time() + timeout_s
        response = await self._attempt()
        words: list[str] = []
        texts: list[str] = []
        turns = 0
        while True:
            if again := self._again(response):
                trouble, wait_s = again
                self._tally.attempts += 1
                self._callbacks.again(response, trouble, wait_s)
                await delete_response(self._session, response)
                self._start_over()
                await anyio.sleep(wait_s)
            else:
                self._commentary += response.commentary
                words.append(response.transcript or response.text)
                texts.append(response.text)
                if self._reason or turns == MOST_ROUNDS or not await self._session.serve(response, self._left_s):
                    break
                self._callbacks.called(response)
                turns += 1
                if self._left_s <= 0:
                    response = self._too_late()
                    break
                self._options = {**self._options, "tool_choice": choice_after(turns)}
            response = await self._attempt()
        return await self._delivered(response, _joined(words), _joined(texts))

    async def _delivered(self, response: Response, spoken: str, text: str) -> LineResult:
        """Return the line, after its last response.

        Args:
            response: It.
            spoken: The words of all responses.
            text: Those of them that the model wrote.
        """
        audio = Pcm.join(self._heard)
        whole = replace(response, audio=audio, transcript=spoken, text="", first_audio_s=self._first_audio_s)
        if self._reason == "cut_in":
            whole = replace(whole, status="cancelled", transcript=self._words_heard())
        elif self._reason == "timeout" and whole.status == "failed":
            whole = replace(whole, status="cancelled")
        delivery = LineResult(whole, self._tally.attempts, self._reason or response.reason, self._first_words_s)
        if self._commentary:
            told = _joined([comment.transcript or comment.text for comment in self._commentary])
            seconds = sum(comment.audio.duration_s for comment in self._commentary)
            delivery = replace(delivery, commentary=told, commentary_s=round(seconds, 6))
        if not self._has_failed(whole):
            return delivery
        await delete_response(self._session, response)
        return failed(delivery, text)

    def _has_failed(self, whole: Response) -> bool:
        """Tell whether the line as a whole is none: nothing of it can be heard or, if it is to be written, read."""
        if self._line.improvised or whole.calls or self._reason == "cut_in":
            return False
        return not (is_audible(whole.audio) if self._sounds else whole.transcript)

    async def _attempt(self) -> Response:
        """Ask once; what is refused is a response that has failed."""
        refused: ModelRefused | None = None
        response = Response(id="", status="failed")
        try:
            asked, speaking = await self._ask()
            try:
                response = await self._follow(speaking)
                self._callbacks.ended(response)
            except ModelRefused as error:
                refused = error
            if asked:
                await self._session.wire.answer(asked)
            self._is_put = True
        except ModelRefused as error:
            refused = error
        if refused:
            response = replace(response, status="failed", reason=refused.code, message=refused.message)
            self._callbacks.ended(response)
        return response

    async def _ask(self) -> tuple[Receipt | None, ResponseStream]:
        """Put the line into the conversation, if it is to stand there, and ask for it; nothing comes in between."""
        wire, asked = self._session.wire, None
        options = self._options
        if (most := self._callbacks.most_tokens()) is not None:
            options = {**options, "max_output_tokens": min(most, options.get("max_output_tokens") or most)}
        self._callbacks.asked()
        async with wire.send_lock:
            if not self._is_put:
                item = ConversationItemCreate(event_id=f"say_{self._line.number}", item=_item(self._line))
                asked = await wire.send(item)
            return asked, await self._session.speak(**options)

    @property
    def _left_s(self) -> float:
        """Seconds that are left of the line's time: for all its responses, its tools, and what is tried again."""
        return max(0.0, self._deadline - anyio.current_time())

    def _again(self, response: Response) -> tuple[Trouble, float] | None:
        """Find what is wrong with a response, and the seconds until the line is asked for again; None where it stands.

        Raises:
            ModelRefused: It failed, and for good.
            BudgetExceeded: It failed, and there is no money for another attempt.
        """
        sounds = self._sounds and not is_audible(Pcm.join(self._heard))
        trouble = None if self._reason else trouble_with(response, may_be_empty=self._line.improvised, sounds=sounds)
        if trouble is None:
            return None
        wait_s = self._tally.wait_s(trouble, wished_wait_s(response.message))
        if wait_s is not None and wait_s >= self._left_s:
            self._reason = "timeout"
            return None
        try:
            if wait_s is not None:
                self._callbacks.afford(response)
                return trouble, wait_s
        except BudgetExceeded:
            if not RULES[trouble].stands:
                self._callbacks.failed(response)
                raise
        if RULES[trouble].stands:
            return None
        self._callbacks.failed(response)
        raise ModelRefused(code=response.reason or "failed", message=response.message or SILENT_FAILURE)

    def _too_late(self) -> Response:
        self._reason = "timeout"
        return Response(id="", status="cancelled", reason="timeout")

    def _words_heard(self) -> str:
        """Estimate the words that were heard of a line that was cut, by their share: the provider does not tell."""
        parts = "".join(self._words).split()
        share = sum(map(len, self._heard)) / max(1, self._sent)
        return " ".join(parts[: max(1, round(len(parts) * share))]) + "-" if parts else ""

    def _start_over(self) -> None:
        self._heard.clear()
        self._words.clear()
        self._sent = 0
        self._left = None if self._line.cut is None else round(self._line.cut.heard_s * RATE)

    async def _follow(self, speaking: ResponseStream) -> Response:
        began = anyio.current_time()
        with anyio.move_on_after(self._left_s) as patience:
            async for change in speaking:
                if isinstance(change, AudioChunk | TextChunk) and change.commentary and not self._keeps:
                    continue
                if isinstance(change, AudioChunk) and self._take(change.audio):
                    await self._cut()
                    break
                if isinstance(change, TextChunk):
                    self._words.append(change.words)
                    self._first_words_s = self._first_words_s or anyio.current_time() - began
                    self._callbacks.worded(change)
        response = await (self._stopped(speaking) if patience.cancelled_caught else self._ended(speaking))
        if self._first_audio_s is None:
            self._first_audio_s = response.first_audio_s
        return response.with_commentary() if self._keeps else response

    async def _stopped(self, speaking: ResponseStream) -> Response:
        """Stop a line that took too long: what there is of it is the line. A model that goes on said nothing."""
        late = self._too_late()
        await self._stop(self._session.cancel_response())
        with anyio.move_on_after(STOPPING_S):
            return await self._ended(speaking)
        return replace(late, usage=Usage(untold=1))

    async def _ended(self, speaking: ResponseStream) -> Response:
        """Wait for the whole response; of one that did not stop, return what there is."""
        if self._ignores_us:
            words = "".join(self._words)
            return Response(id="", status="cancelled", reason=self._reason, transcript=words, usage=Usage(untold=1))
        return await speaking.finished()

    async def _stop(self, stopping: Awaitable[Response | None]) -> None:
        """Wait until the model stops. One that does not is opened again for its next line; what was heard stays."""
        try:
            await stopping
        except Timeout as error:
            self._ignores_us = True
            self._session.warn(with_clause(error.what_happened(), "it is opened again for its next line"))
            await self._session.close()

    def _take(self, audio: Pcm) -> bool:
        """Let a piece of sound be heard; whether it is the last that is."""
        self._sent += len(audio)
        if self._left is not None:
            audio = audio[: self._left]
            self._left -= len(audio)
        if audio:
            self._heard.append(audio)
            self._callbacks.sounded(audio)
        return self._left == 0

    async def _cut(self) -> None:
        """Cut in with another line: the player stops, and knows how much of it was heard."""
        self._reason = "cut_in"
        await self._stop(self._session.interrupt(sum(map(len, self._heard))))


def _joined(words: list[str]) -> str:
    return " ".join(word.strip() for word in words if word.strip())


def failed(delivery: LineResult, text: str) -> LineResult:
    """Make a line that was answered, but not with what was asked for: why, and its words for the record.

    Args:
        delivery: As it came.
        text: What the model wrote.
    """
    response = replace(delivery.response, text=text)
    words = text or response.transcript
    reason = delivery.reason or silence_of(response) or "empty"
    problem = trouble_in_words(response, reason, has_commentary=bool(delivery.commentary))
    response = replace(response, status="failed", item_ids=(), text="")
    return replace(delivery, response=response, reason=reason, problem=problem, written=words)


def trouble_in_words(response: Response, reason: str, *, has_commentary: bool = False) -> str:
    """Say what came in the place of what was asked for.

    Args:
        response: Finished.
        reason: What is wrong with it.
        has_commentary: Whether commentary came with it.

    >>> trouble_in_words(Response("r", "completed", audio=Pcm.silence(28_800)), "inaudible")
    'the model answered with 1.2 s of digital silence'
    >>> trouble_in_words(Response("r", "failed", "server_error", "No GPU."), "server_error")
    'the model refused (server_error): No GPU.'
    """
    audio, words = response.audio, response.text or response.transcript
    if silence_of(response) == "in writing":
        more = words if len(words) <= MOST_QUOTED else f"{words[:MOST_QUOTED]}..."
        return f'the model answered in writing: "{more}"'
    if audio and not is_audible(audio):
        peak = peak_dbfs(audio)
        if peak <= SILENCE_DBFS:
            return f"the model answered with {audio.duration_s:.3g} s of digital silence"
        return f"its sound of {audio.duration_s:.3g} s cannot be heard: it peaks at {peak:.0f} dBFS"
    if reason == "timeout":
        return "nothing came within its timeout"
    if response.message:
        return f"the model refused ({reason}): {response.message}"
    if response.status != "completed":
        ended = "failed" if response.status == "failed" else f"is {response.status}"
        return f"the response {ended} ({reason}), and nothing came with it"
    problem = "the response is empty" + (", but for words that nobody spoke" if words else "")
    return problem + (", but for commentary" if has_commentary and not words else "")


def _item(line: LinePlan) -> SystemMessage | UserMessage:
    content = (InputText(text=line.prompt),)
    if line.improvised:
        return SystemMessage(id=f"line_{line.number}", content=content)
    return UserMessage(id=f"line_{line.number}", content=content)


def _options(line: LinePlan, tools: tuple[FunctionTool, ...], instructions: str) -> dict[str, Any]:
    """Return what the response is asked to be, other than the session.

    A line that is not remembered is no item of the conversation: it stands in the response's own instructions, which
    replace the session's.
    """
    options: dict[str, Any] = {"metadata": {**line.metadata, "line": line.id}}
    if line.max_output_tokens is not None:
        options["max_output_tokens"] = line.max_output_tokens
    if line.output is not None:
        options["output_modalities"] = (line.output,)
    if line.reasoning is not None:
        options["reasoning"] = {"effort": line.reasoning}
    if line.tools is not None:
        options["tools"] = tools
    if line.tool_choice in ("auto", "none", "required"):
        options["tool_choice"] = line.tool_choice
    elif line.tool_choice is not None:
        options["tool_choice"] = {"type": "function", "name": line.tool_choice}
    if line.apart:
        told = "\n".join(text for text in (instructions, line.prompt) if text)
        options |= {"conversation": "none", "instructions": told, "tool_choice": "none"}
    return options


@dataclass(frozen=True, slots=True)
class LineTake:
    """One take of a line.

    Attributes:
        number: From 1.
        delivery: How it was delivered.
        recording: Its sound, on its way to the disk.
        took_s: Seconds from the request to its end.
        paid: Dollars that were paid for it, where several are wanted; None where it is not paid for yet.
        is_former: Whether it had ended before the performance was stopped.
    """

    number: int
    delivery: LineResult
    recording: LineFile
    took_s: float
    paid: Decimal | None = None
    is_former: bool = False


def restored_take(fact: TakeKept, audio: Pcm, recording: LineFile, paid: Decimal) -> LineTake:
    """Return a take of a line that had ended before the performance was stopped.

    Args:
        fact: As it was written down.
        audio: Its sound.
        recording: Where that lies.
        paid: Dollars that were paid for it.
    """
    response = Response(
        id=fact.response,
        status=cast("Status", fact.status),
        transcript=fact.said,
        audio=audio,
        usage=fact.usage,
        first_audio_s=fact.first_audio_s,
    )
    told = fact.model_dump(
        include={"attempts", "reason", "first_words_s", "problem", "written", "commentary", "commentary_s"}
    )
    return LineTake(fact.take, LineResult(response, **told), recording, fact.took_s, paid, is_former=True)


@dataclass(slots=True)
class UnrecordedUsage:
    """What was used for a line and is written down nowhere yet.

    Attributes:
        now: By the request under way; None where there is none.
    """

    now: Usage | None = None

    def asked(self) -> None:
        """Note that a response is asked for: until its usage is told, nobody knows what it costs."""
        self.now = Usage(untold=1)

    def ended(self, response: Response) -> None:
        """Note that a response has ended."""
        self.now = response.usage

    def take(self) -> Usage | None:
        """Give what the request under way has used to whoever writes it down."""
        now, self.now = self.now, None
        return now
