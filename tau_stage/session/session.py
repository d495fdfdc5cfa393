"""One open conversation with one realtime model. The Python tau."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from functools import partial
from itertools import count
from math import inf
from typing import Literal, cast, get_args

import anyio
import pybase64

from tau_stage import protocol
from tau_stage.audio import PCM16, RATE, Format, Pcm
from tau_stage.cost import Cost, price, prices
from tau_stage.environment import log_event
from tau_stage.errors import ModelRefused, SessionClosed, SessionError, Timeout, UsageError
from tau_stage.protocol import client_events, items, server_events
from tau_stage.session.arguments import (
    Sound,
    asked_response,
    asked_session,
    differences,
    split_audio,
    text_content,
    to_pcm,
    value_at,
)
from tau_stage.session.retrying import RULES, Tally, trouble_with, wished_wait_s
from tau_stage.session.state import PlaybackEstimate, SessionState
from tau_stage.session.tools import MOST_ROUNDS, BackgroundTasks, Tool, ToolLike, choice_after, run_calls
from tau_stage.session.waiting import Deadlines, ResponseStream, Subscription
from tau_stage.session.wire import Wire
from tau_stage.signals import Signal
from tau_stage.transport import ABNORMAL, Transport

DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")  # how the name of a model ends that says its date

SessionStatus = Literal["idle", "listening", "thinking", "speaking", "closed"]

Comments = Literal["drop", "keep"]  # whether what a model says about its work is part of its answer


def keeps_commentary(wish: object) -> bool:
    """Tell whether commentary is part of an answer; a ``UsageError`` says that there is no such wish."""
    if wish not in get_args(Comments):
        raise UsageError(f"commentary cannot be {wish!r}", "write 'drop' or 'keep'")
    return wish == "keep"


class Session:
    """One conversation, created by ``create_session`` or ``open_session`` and read by one task.

    Args:
        name: A name for messages; in a scene, the player's name.
        deadlines: How long to wait for each kind of answer.
        dialect: The event format of the server.
        opening: What the server sends when a session opens.
        heard_as: The format of the audio that is sent to the server.
        spoken_as: The format of the audio that the server sends.
        tools: The tools that the model may call, by name.
        model: The requested model.
        prices: The provider whose price list is used.
        keeps_audio: Whether the conversation keeps its audio.
        commentary: Whether comments by the model on its own work are part of its answers: ``drop`` or ``keep``.
        speaks_verbatim: Whether the server can speak a given text verbatim.
        on_warning: Called once for each new warning.
        on_oddity: Called once for each kind of deviation of the server from the protocol.
        on_limits: Called with the remaining rate limits when the provider reports them.

    Attributes:
        conversation: The conversation so far, as reported by the server.
        session: The session settings that are in effect on the server.
        warnings: The warnings so far, such as settings that the server did not accept.
        state: Who is speaking, who is listening, and who is subscribed to events.
        background: Tasks that run in the background, such as tool calls in turns that the server detected.
        opened: Signals that the session has opened (at first, after a drop, or on a new socket) or has ended.
        is_closing: Whether ``close`` was called.
        reopens: Whether the session reconnects when its socket is lost.
        answered_by: The model that the server reports, if it is not the requested one; otherwise empty.
        answers: Whether the server answers a kind of request, as far as known, by the type of the answer.

    >>> import anyio
    >>> from tau_stage import create_session, open_understudy
    >>> async def talk() -> str:
    ...     async with open_understudy() as url, create_session(endpoint=url, output_modalities=("text",)) as session:
    ...         await session.user("Where does the wind come from?")
    ...         return (await session.response()).status
    >>> anyio.run(talk)
    'completed'
    """

    def __init__(
        self,
        *,
        name: str = "session",
        deadlines: Deadlines | None = None,
        dialect: protocol.Dialect = protocol.GA,
        opening: protocol.Opening = protocol.USUAL_OPENING,
        heard_as: Format = PCM16,
        spoken_as: Format = PCM16,
        tools: Sequence[Tool] = (),
        model: str = "",
        prices: str = "openai",
        keeps_audio: bool = True,
        commentary: Comments = "drop",
        speaks_verbatim: bool = False,
        on_warning: Callable[[str], None] = protocol.ignore,
        on_oddity: Callable[[str], None] = protocol.ignore,
        on_limits: Callable[[Sequence[protocol.RateLimit]], None] = protocol.ignore,
    ) -> None:
        self.name = name
        self.conversation = protocol.Conversation(spoken_as, keeps_audio=keeps_audio)
        self.session: protocol.JsonObject = {}
        self.warnings: list[str] = []
        self._on_warning = on_warning
        self._on_oddity = on_oddity
        self._on_limits = on_limits
        self.deadlines = deadlines or Deadlines()
        self.heard_as = heard_as
        self.answered_by = ""
        self.keeps_commentary = keeps_commentary(commentary)
        self.speaks_verbatim = speaks_verbatim
        self._model = model
        self._prices = prices
        self._tools = {tool.name: tool for tool in tools}
        self._numbers = count(1)
        self.state = SessionState()
        self.background = BackgroundTasks()
        self.is_closing = False
        self.reopens = False
        self.opened = Signal()
        self._dialect = dialect
        self._opening = opening
        self.answers: dict[str, bool] = {}
        self._wire: Wire | None = None
        self._odd_told = 0

    # ---- what it is

    @property
    def id(self) -> str:
        """The server's id of this session; empty if the server gave none."""
        return str(self.session.get("id", ""))

    @property
    def wire(self) -> Wire:
        """The client's end of the socket: for events that have no method, and for answers that are awaited later.

        Raises:
            SessionClosed: The session was never opened.
        """
        if self._wire is None:
            raise SessionClosed(code=1000, reason="never opened", player=self.name)
        return self._wire

    @property
    def is_open(self) -> bool:
        """Whether the session still accepts requests."""
        return self._wire is not None and self._wire.closed is None

    @property
    def usage(self) -> Cost:
        """Tokens and dollars so far: each response is counted once, plus the transcription of the input."""
        model = self.answered_by or self._model or str(self.session.get("model") or "")
        spent = price(self.conversation.usage, model, self._prices)
        written = self.conversation.transcription
        if prices(model, self._prices).per_minute is not None:  # time is all that is paid for
            written = replace(written, untold=0)
        heard = str(value_at(self.session, "audio", "input", "transcription", "model") or "")
        return spent + price(written, heard, self._prices)

    @property
    def status(self) -> SessionStatus:
        """What the model is doing; it is ``speaking`` from its first audio until a listener has heard all of it."""
        if not self.is_open:
            return "closed"
        return self.state.status(anyio.current_time()) or ("thinking" if self.conversation.active else "idle")

    @property
    def raw(self) -> Transport:
        """The ``send`` and ``receive`` of the socket itself; the session does not see what you receive there."""
        return self.wire.transport

    # ---- the conversation

    async def system(self, text: str) -> protocol.Item:
        """Send the model an instruction: add a system message.

        Raises:
            ValueError: The text is empty.
            SessionError: The request was refused or not answered in time, or the session closed.
        """
        return await self.create(items.SystemMessage(id=self.fresh("item"), content=(text_content(text),)))

    async def user(self, text: str) -> protocol.Item:
        """Say something to the model: add a user message with text."""
        return await self.create(items.UserMessage(id=self.fresh("item"), content=(text_content(text),)))

    async def assistant(self, text: str) -> protocol.Item:
        """Add an assistant message, as if the model had said it."""
        said = items.OutputText(text=text_content(text).text)
        return await self.create(items.AssistantMessage(id=self.fresh("item"), content=(said,)))

    async def create_audio(self, audio: Sound, transcript: str | None = None) -> protocol.Item:
        """Let the model hear audio of any length: add a user message, or several if one event cannot hold it.

        The transcript is stored with each item; the model does not read it. Returns the last item.
        """
        sound = to_pcm(audio)
        if not sound:
            raise ValueError("the audio is empty")
        for part in split_audio(sound, self.heard_as):
            heard = items.InputAudio(audio=self._coded(part), **({"transcript": transcript} if transcript else {}))
            item = await self.create(items.UserMessage(id=self.fresh("item"), content=(heard,)))
            self.conversation.entries.keep_audio(item.id, part)
        return item

    def _coded(self, sound: Pcm) -> str:
        return pybase64.b64encode(self.heard_as.encode(sound)).decode("ascii")

    async def create(self, item: protocol.ClientItem, previous_item_id: str | None = None) -> protocol.Item:
        """Add any item to the conversation.

        Args:
            item: The item; it gets a new id if it has none.
            previous_item_id: The item to insert it after; ``root`` inserts it first, None appends it.

        Returns:
            The item as the server stores it; the server may have given it another id.

        Raises:
            ValueError: Its id is longer than the API accepts.
            SessionError: The request was refused or not answered in time, or the session closed.
        """
        if item.id is None:
            item = item.model_copy(update={"id": self.fresh("item")})
        elif len(item.id) > protocol.MAX_ID and not self.conversation.knows(item.id):
            raise ValueError(
                f"the item id {item.id!r} has {len(item.id)} characters; the API accepts at most {protocol.MAX_ID}"
            )
        where = {} if previous_item_id is None else {"previous_item_id": previous_item_id}
        answer = await self.request(client_events.ConversationItemCreate(item=item, **where))
        made = cast("server_events.PlacedItemEvent", answer).item
        return made if made.id else made.model_copy(update={"id": item.id})

    async def retrieve(self, item_id: str) -> protocol.Entry:
        """Fetch an item as the server stores it, with its audio."""
        answer = await self.request(client_events.ConversationItemRetrieve(item_id=item_id))
        item = cast("server_events.ConversationItemRetrieved", answer).item
        return protocol.Entry.with_sound(item, self.conversation.form if item.role == "assistant" else self.heard_as)

    async def delete_conversation_item(self, item_id: str) -> None:
        """Delete an item from the conversation."""
        await self.request(client_events.ConversationItemDelete(item_id=item_id))

    async def truncate(self, item_id: str, audio_end_ms: int, content_index: int = 0) -> None:
        """Truncate what the model said: keep only the given milliseconds of a content part."""
        place = {"content_index": content_index, "audio_end_ms": audio_end_ms}
        await self.request(client_events.ConversationItemTruncate(item_id=item_id, **place))

    async def update(self, **options: object) -> protocol.JsonObject:
        """Change the session; accepts the options of ``create_session``. Options that you omit keep their values.

        Returns:
            The updated session.
        """
        if "tools" in options:
            made = [*map(Tool.of, cast("Sequence[ToolLike]", options.pop("tools")))]
            self._tools = {tool.name: tool for tool in made}
            options["tools"] = tuple(tool.definition for tool in made)
        wanted = asked_session(**options)
        await self.request(client_events.SessionUpdate(session=wanted))
        return self.session

    # ---- live input

    async def append_input_audio_buffer(self, audio: Sound) -> None:
        """Send audio while it is being produced. The server does not answer; turn detection may start a turn."""
        for part in split_audio(to_pcm(audio), self.heard_as):
            event = client_events.InputAudioBufferAppend(event_id=self.fresh("evt"), audio=self._coded(part))
            await (await self.open_wire()).write(event.encode())
            self.conversation.input.append(part)
            if self.turn_detection:
                self.conversation.input.forget_silence()

    async def commit_input_audio_buffer(self) -> str:
        """Turn the audio that was sent into a user message, and return its id; push-to-talk ends with this call.

        Raises:
            ModelRefused: The buffer contains less than 100 ms.
        """
        answer = await self.request(client_events.InputAudioBufferCommit())
        return answer.item_id if isinstance(answer, server_events.InputAudioBufferCommitted) else ""

    async def clear_input_audio_buffer(self) -> None:
        """Discard the audio that was sent."""
        await self.request(client_events.InputAudioBufferClear())

    @property
    def turn_detection(self) -> str | None:
        """How the server detects turns: ``server_vad``, ``semantic_vad``, or None if the caller decides."""
        kind = value_at(self.session, "audio", "input", "turn_detection", "type")
        return kind if isinstance(kind, str) else None

    # ---- responses

    async def response(
        self, *, commentary: Comments | None = None, max_tries: int = 1, **options: object
    ) -> protocol.Response:
        """Let the model respond, and wait for it; its tool calls are run, and it continues with their outputs.

        Args:
            commentary: Whether comments by the model on its own work are part of the answer: ``drop`` or ``keep``; by
                default, the value of the session.
            max_tries: The number of attempts if the response fails with a transient error.
            **options: Fields of ``ResponseConfig`` (OpenAI API reference, ``response.create``): ``conversation``,
                ``input`` (items and references), ``instructions``, ``output_modalities``, ``tools``, ``tool_choice``,
                ``metadata``, ``max_output_tokens``.

        Raises:
            UsageError: An option or a value is invalid.
            SessionError: The request was refused, the session closed, or the server sent nothing for too long.
        """
        answer = None
        async with aclosing(self.stream_response(commentary=commentary, max_tries=max_tries, **options)) as changes:
            async for change in changes:
                answer = change.response if isinstance(change, protocol.ResponseEnded) else answer
        assert answer is not None  # noqa: S101 - each response has an end
        return answer

    async def stream_response(
        self, *, commentary: Comments | None = None, max_tries: int = 1, **options: object
    ) -> AsyncGenerator[protocol.AudioChunk | protocol.TextChunk | protocol.ResponseEnded, None]:
        """Let the model respond, as ``response`` does; yield audio and words as they arrive, and each response's end.

        There is one ``ResponseEnded`` for each response: those that call tools, those that failed and are requested
        again, and the final answer, which comes last.
        """
        keeps = self.keeps_commentary if commentary is None else keeps_commentary(commentary)
        rounds, tally, before_s = 0, Tally(), 0.0
        while True:
            stream = await self.speak(**options)
            async for change in stream:
                if isinstance(change, protocol.AudioChunk | protocol.TextChunk) and (keeps or not change.commentary):
                    yield change
            response = await stream.finished()
            response = response.with_commentary() if keeps else response
            compute_s = before_s + (response.compute_s or 0.0)
            response = replace(response, attempts=tally.attempts, compute_s=compute_s)
            wait_s = _wait_s(response, tally, max_tries)
            yield protocol.ResponseEnded(response.id, response)
            if wait_s is not None:
                log_event("session", logging.INFO, f"{self.name}: retrying in {wait_s:.1f} s: {response.message}")
                await anyio.sleep(wait_s)
                tally.attempts, before_s = tally.attempts + 1, compute_s
            elif rounds < MOST_ROUNDS and await self.serve(response):
                rounds += 1
                options, tally, before_s = {"tool_choice": choice_after(rounds)}, Tally(), 0.0
            else:
                return

    async def speak(self, **options: object) -> ResponseStream:
        """Let the model respond, and follow the response; options as for ``response``. The caller runs the tools."""
        event_id = self.fresh("evt")
        given = options.pop("metadata", None) or {}
        metadata = {**given, protocol.EVENT_KEY: event_id} if isinstance(given, Mapping) else given
        wanted = asked_response(**options, metadata=metadata)
        return await (await self.open_wire()).speak(client_events.ResponseCreate(event_id=event_id, response=wanted))

    async def tool_output(self, call_id: str, output: str) -> protocol.Item:
        """Answer a tool call manually; request a response when all calls of the turn are answered."""
        return await self.create(items.FunctionCallOutput(id=self.fresh("item"), call_id=call_id, output=output))

    async def serve(self, response: protocol.Response, within_s: float = inf) -> bool:
        """Run the tools that a response calls, within ``within_s`` seconds, and send the model their outputs.

        Returns:
            Whether the model should continue; False if the caller has to answer a call manually.
        """
        by_hand = {name for name, tool in self._tools.items() if tool.run is None}
        if not self._tools or not response.calls or by_hand & {call.name for call in response.calls}:
            return False
        for call, output in await run_calls(self._tools, response.calls, within_s):
            await self.tool_output(call.call_id, output)
        return True

    async def _follow_up(self, response: protocol.Response) -> None:
        """Run the tools that a response calls, and let the model speak on with their outputs; again, if need be."""
        rounds = 0
        while rounds < MOST_ROUNDS and await self.serve(response):
            rounds += 1
            response = await (await self.speak(tool_choice=choice_after(rounds))).finished()

    async def cancel_response(self, response_id: str | None = None) -> protocol.Response | None:
        """Stop the model. Returns the response as far as it arrived; None if the model was not responding.

        Raises:
            Timeout: The response did not end in time.
            SessionClosed: The session was closed first.
        """
        target = response_id or next(iter(self.conversation.active), None)
        if target not in self.conversation.active:
            return None
        limit = self.deadlines.request_s
        async with self.responses() as ended:
            await self.wire.send(client_events.ResponseCancel(response_id=target))
            with anyio.move_on_after(limit):
                async for response in ended:
                    if isinstance(response, protocol.Response) and response.id == target:
                        return response
                raise (self.wire.closed or SessionClosed(code=ABNORMAL)).about(player=self.name)
        raise Timeout(what="response.done for the cancelled response", waited_s=limit, player=self.name)

    async def interrupt(self, samples_heard: int | None = None) -> protocol.Response | None:
        """Interrupt the model: cancel the current response, and tell the model how much was heard.

        Args:
            samples_heard: Samples of the last message that a listener has heard, at 24 kHz; by default, those that
                would have been played since its first audio arrived.

        Returns:
            The cancelled response; None if the model was no longer responding.
        """
        playing = self.state.playback
        heard = playing.heard_samples(anyio.current_time()) if samples_heard is None else samples_heard
        response = await self.cancel_response()
        # words may have run ahead of the sound, though all of it was heard
        cancelled = response.item_ids if response and response.status == "cancelled" else ()
        if heard < playing.samples + (playing.item_id in cancelled):
            playing.stopped_at = heard
            await self._cut(playing)
        return response

    async def _cut(self, playing: PlaybackEstimate) -> None:
        """Truncate an item to where it was stopped; one that was not heard at all is deleted: 0 ms is refused."""
        end_ms = (playing.stopped_at or 0) * 1000 // RATE
        try:
            if end_ms:
                await self.truncate(playing.item_id, end_ms)
            else:
                await self.delete_conversation_item(playing.item_id)
        except (ModelRefused, Timeout) as error:
            self.warn(f"could not truncate the unheard audio: {error.what_happened()}")

    # ---- watching

    def events(self) -> AbstractAsyncContextManager[Subscription[protocol.ServerEvent]]:
        """Subscribe to all server events from now on: ``async with session.events() as events``."""
        return self.state.events.subscribe()

    def sent_events(self) -> AbstractAsyncContextManager[Subscription[protocol.ClientEvent]]:
        """Subscribe to all events that the session sends from now on; they never contain a key."""
        return self.state.sent.subscribe()

    async def playback_finished(self) -> None:
        """Wait until a listener has heard all that the model said, the model was interrupted, or the session closed."""
        async with self.responses() as ended:
            while self.is_open:
                if left_s := self.state.playback.left_s(anyio.current_time()):
                    await anyio.sleep(left_s)
                elif self.conversation.active:
                    await anext(ended, None)
                else:
                    return

    def responses(self) -> AbstractAsyncContextManager[Subscription[protocol.Response]]:
        """Subscribe to all finished responses from now on, including those to detected turns."""
        return self.state.responses.subscribe()

    async def wait_for(self, kind: str, timeout_s: float | None = None) -> protocol.ServerEvent:
        """Wait for the next event of a type; it may have arrived just before this call.

        Raises:
            Timeout: It did not arrive in time.
            SessionClosed: The session was closed first.
        """
        limit = self.deadlines.request_s if timeout_s is None else timeout_s
        try:
            return await self.state.waiter.wait_for(kind, limit)
        except SessionError as error:
            raise error.about(player=self.name) from None

    # ---- requests

    async def request(self, event: protocol.ClientEvent) -> protocol.ServerEvent:
        """Send an event and wait for its answer.

        Raises:
            SessionError: The request was refused or not answered in time, or the session closed.
        """
        wire = await self.open_wire()
        return await wire.answer(await wire.send(event))

    async def open_wire(self) -> Wire:
        """Return its end of the socket; while the session is being opened again, wait for that, as for an answer.

        Raises:
            Timeout: It was not opened again in time.

        :meta private:
        """
        with anyio.move_on_after(self.deadlines.request_s):
            await self.opened.until(lambda: self.is_open or self.is_closing or not self.reopens)
            return self.wire
        raise Timeout(what="new connection", waited_s=self.deadlines.request_s, player=self.name)

    def fresh(self, kind: Literal["evt", "item"]) -> str:
        """Make an id that this session has not used.

        :meta private:
        """
        return f"tau_{kind}_{next(self._numbers)}"

    # ---- its life

    def new_wire(self, transport: Transport) -> Wire:
        """Make an end for a new socket; the session speaks through it once it is swapped in.

        :meta private:
        """
        return Wire(transport, self, name=self.name, deadlines=self.deadlines, dialect=self._dialect)

    async def begin(self, wanted: client_events.SessionConfig, wire: Wire) -> None:
        """Ask for the session that is wanted, and compare what the server made of it.

        Raises:
            ConnectFailed: The server refused in-band.
            SessionError: Anything else that can happen to a request.

        :meta private:
        """
        update = client_events.SessionUpdate(session=wanted)
        answer = await wire.begin(update, self._opening, self.warn)
        if isinstance(answer, server_events.SessionUpdated):
            asked = wanted.model_dump(mode="json", exclude_unset=True)
            for difference in differences(asked, answer.session):
                self.warn(difference)

    def swap(self, wire: Wire) -> Wire | None:
        """Speak through another socket from now on; gives back the former.

        :meta private:
        """
        former, self._wire = self._wire, wire
        self.opened.notify()
        return former

    def take_in(self, event: protocol.ServerEvent) -> protocol.ResponseChange | None:
        """Take in one event of the server and say what changed for whoever listens to a response.

        :meta private:
        """
        now = anyio.current_time()
        match event:
            case server_events.SessionCreated() | server_events.SessionUpdated():
                self.session = event.session
                self._named(event.session.get("model"))
            case server_events.ResponseCreated() | server_events.ResponseDone():
                self._named(event.response.model)
            case server_events.RateLimitsUpdated():
                self._on_limits(event.rate_limits)
            case server_events.SpeechStarted() if playing := self.state.stop_playing(now):
                # on a websocket the server cancels, and leaves it to us to say how much was heard
                self.background.add(partial(self._cut, playing))
        change = self.conversation.apply(event)
        self.state.apply(event, change, now)
        self._note(change)
        return change

    def take_sound(self, data: bytes, decoded: Callable[[], protocol.ServerEvent]) -> protocol.ResponseChange | None:
        """Take in another delta of the sound that came last, without its event: ``decoded`` makes that.

        :meta private:
        """
        change = self.conversation.add_sound(data)
        self.state.apply_sound(change, decoded)
        if len(self.conversation.odd) > self._odd_told:
            self._note(change)
        return change

    def take_end(self, change: protocol.ResponseEnded) -> None:
        """Take in the end of a response that no event told.

        :meta private:
        """
        self.state.apply_change(change, anyio.current_time())
        self._note(change)

    def take_close(self, wire: Wire) -> None:
        """Take in that nothing more comes through a socket: what it was bringing ends here.

        :meta private:
        """
        if wire is self._wire:
            self.conversation.lose_responses()

    def assume(self, event: protocol.ServerEvent, oddity: str) -> None:
        """Take in an answer that the server owes, and tell that it does.

        :meta private:
        """
        self.conversation.odd[oddity] += 1
        self._note(self.conversation.apply(event))

    def _named(self, model: object) -> None:
        """Note the model that the server says answers; its price counts from now on."""
        if other := named_otherwise(self._model, model):
            self.answered_by = other
            problem = f"requested {self._model}, but the server reports that it uses {other}"
            self.warn(f"{problem}; costs are calculated with the price of {other}")

    def warn(self, problem: str) -> None:
        """Note once what whoever reads the take should know.

        :meta private:
        """
        if problem not in self.warnings:
            self.warnings.append(problem)
            log_event("session", logging.WARNING, f"{self.name}: {problem}")
            self._on_warning(problem)

    def _note(self, change: protocol.ResponseChange | None) -> None:
        """Call the tools that a response wants which nobody follows, and tell of what is odd."""
        if (
            isinstance(change, protocol.ResponseEnded)
            and change.response.calls
            and not self.wire.follows(change.response_id)
        ):
            self.background.add(partial(self._follow_up, change.response))
        odd = self.conversation.odd
        for oddity in list(odd)[self._odd_told :] if len(odd) > self._odd_told else ():
            self.warnings.append(oddity)
            self._on_oddity(oddity)
        self._odd_told = len(odd)

    def over(self) -> None:
        """Tell whoever watches that nothing more will come.

        :meta private:
        """
        self.reopens = False
        self.opened.notify()
        self.state.end((self._wire and self._wire.closed) or SessionClosed(code=1000, player=self.name))

    async def close(self) -> None:
        """Close the session cleanly; closing it twice is harmless."""
        self.is_closing = True
        if self._wire:
            await self._wire.close()
        self.over()


def _wait_s(response: protocol.Response, tally: Tally, max_tries: int) -> float | None:
    """Return seconds until a response that has failed is asked for again; None where it stands."""
    if tally.attempts >= max_tries or response.status != "failed":
        return None
    trouble = trouble_with(response)
    return tally.wait_s(trouble, wished_wait_s(response.message)) if trouble and not RULES[trouble].stands else None


def named_otherwise(asked: str, named: object) -> str:
    """Return the model that a server names, where it is another than was asked for; else empty.

    The same name with a date, or without, is the same model.

    >>> named_otherwise("gpt-realtime-2.1", "gpt-realtime-2.1-mini")
    'gpt-realtime-2.1-mini'
    >>> named_otherwise("gpt-realtime", "gpt-realtime-2025-08-28"), named_otherwise("gpt-realtime", None)
    ('', '')
    """
    if not (isinstance(named, str) and named and asked):
        return ""
    one, other = (DATED.sub("", name.strip().lower()) for name in (asked, named))
    return "" if one == other else named
