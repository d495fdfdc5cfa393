"""Send what one player says to all who hear it: each in order, the next speaker first.

Theory of operation. `FanOut` has one `Listener` for each session. The frames of a clip are built once for each form of
hearing, so that every hearer is sent the same bytes. A listener has a bounded queue of clips. One task sends them, each
right behind the one before, and reports `Sent`; another waits until the server has acknowledged their items, in order,
and reports `Heard` or `NotHeard`. The socket keeps the order: who was sent a clip may be asked for its line at once.

The next speaker gets a head start, so that its copy has the uplink to itself: the others are sent a clip when the next
speaker's server has acknowledged it, or has had time enough. Who is to speak after all is held back no longer
(`FanOut.hurry`).

Who hears by stream (`ClipForm.streams`) is sent a line while it is spoken: a `LineStream` appends its pieces to the
input buffers of such hearers, each built once. The listener knows what its server's buffer holds. If that is the clip,
sample for sample, when the line is over, it is committed, which makes the same item; if not, the buffer is cleared and
the clip is sent whole. So a take that is rejected, a hearer that came late, a line that was cut: all end in the same
item. A server that refuses a piece or the commit is sent everything whole from then on.

A listener whose queue is full, whose server does not answer in time, or whose session is closed is lost: it ignores
what follows until `Listener.open_again` gives it another session, which was told everything so far; what had waited is
dropped then. Nobody waits for a listener here; the schedule does, as long as the next speaker was not sent everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count

import anyio
from pybase64 import b64encode

from tau_stage import protocol
from tau_stage.audio import PCM16, RATE, Format, Pcm
from tau_stage.errors import ModelRefused, SessionError, Timeout
from tau_stage.session import SLOWEST_UPLINK, Receipt, Session, Wire, split_audio
from tau_stage.signals import Signal
from tau_stage.take import records as record
from tau_stage.text import with_clause

QUEUED_CLIPS = 32  # clips that one player may not have acknowledged; one who falls further behind is lost

SHORTEST_COMMIT = RATE // 10
"""Samples that an input buffer must hold to be committed (OpenAI API reference, ``input_audio_buffer.commit``)."""

PIECE = RATE // 10  # samples that are sent at once of a line that is being spoken: an event for each hearer

PIECES = f"{protocol.OURS}hear_"  # how the ids of events begin that append to an input buffer

HEAD_START_S = 2.0
"""How long the next speakers' servers may delay the others until they acknowledge their copies, beside the time that
these take on the slowest uplink."""


@dataclass(frozen=True, slots=True)
class ClipForm:
    """How a player hears: the words instead of the sound; whether it is told who speaks; and while it is spoken."""

    as_text: bool = False
    labelled: bool = False
    streams: bool = False


@dataclass(frozen=True, slots=True)
class HeardClip:
    """One line as others hear it: frames built once for each form, the same bytes for every hearer."""

    line: str  # the line's id, or the effect's
    name: str  # makes the ids of events and items: the line's number, or the effect's id
    speaker: str  # who spoke; empty for an effect
    audio: Pcm  # the sound; a line without sound is heard as its words
    words: str
    _frames: dict[tuple[ClipForm, Format], tuple[tuple[bytes, protocol.Request], ...]] = field(
        default_factory=dict, compare=False
    )

    def frames(self, form: ClipForm, heard_as: Format = PCM16) -> tuple[tuple[bytes, protocol.Request], ...]:
        """Make a frame per item, and its request, as sound travels to the server; split where an event is too small."""
        key = form, heard_as
        if key not in self._frames:
            self._frames[key] = tuple(self._built(form, heard_as))
        return self._frames[key]

    def label(self, form: ClipForm) -> str:
        """Tell who speaks, for those who are told; empty for the others, and where nobody speaks."""
        return self.speaker if form.labelled else ""

    def _built(self, form: ClipForm, heard_as: Format) -> Iterator[tuple[bytes, protocol.Request]]:
        label = self.label(form)
        if form.as_text or not self.audio:
            text = f"{label}: {self.words}" if label else self.words
            yield _framed(self.name, (protocol.InputText(text=text),))
            return
        for part, piece in enumerate(split_audio(self.audio, heard_as), 1):
            said = (protocol.InputText(text=f"{label} says:"),) if label and part == 1 else ()
            sound = protocol.InputAudio(audio="", transcript=self.words)
            frame, request = _framed(f"{self.name}_{part}", (*said, sound))
            before, slot, after = frame.partition(b'"audio":"')
            yield b"".join((before, slot, b64encode(heard_as.encode(piece)), after)), request


def _framed(name: str, content: tuple[protocol.InputText | protocol.InputAudio, ...]) -> tuple[bytes, protocol.Request]:
    """Frame a user's message; its sound is spliced in afterwards, so that no JSON writer ever sees it."""
    item = protocol.UserMessage(id=f"heard_{name}", content=content)
    event = protocol.ConversationItemCreate(event_id=f"hear_{name}", item=item)
    request = protocol.request_of(event)
    assert request  # noqa: S101 - an item's creation is answered
    return event.encode(), request


@dataclass(frozen=True, slots=True)
class Sent:
    """One player's socket has taken one line: what is asked of the player from now on comes after it."""

    hearer: str
    clip: HeardClip


@dataclass(frozen=True, slots=True)
class Heard:
    """One player has heard one line."""

    hearer: str
    clip: HeardClip
    took_s: float
    by: record.HearingWay


@dataclass(frozen=True, slots=True)
class NotHeard:
    """One player did not hear one line. A player that is ``lost`` hears nothing any more."""

    hearer: str
    clip: HeardClip
    why: SessionError
    lost: bool


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """One player hears by stream no more: why, in words."""

    hearer: str
    why: str

    def __str__(self) -> str:
        """Write the warning of it."""
        problem = f"player {self.hearer} cannot use 'hearing: stream': {self.why}"
        return with_clause(problem, "it will hear each line only after the line is complete")


HearingNews = Sent | Heard | NotHeard | StreamRefused


class HeadStart:
    """Holds a clip back for the others until each of the ``first`` has acknowledged it, or cannot."""

    def __init__(self, first: Iterable[str] = ()) -> None:
        self.over = anyio.Event()
        self._first = frozenset(first)
        self._awaited = set(self._first)
        self.end_for("")

    def end_for(self, name: str) -> None:
        """Note that one has acknowledged the clip, or will not."""
        self._awaited.discard(name)
        if not self._awaited:
            self.over.set()

    def holds(self, name: str) -> bool:
        """Tell whether a hearer has to wait."""
        return not self.over.is_set() and name not in self._first


class LineStream:
    """A line that is heard while it is spoken: pieces of at least ``PIECE`` go to all ``listeners`` as it comes."""

    def __init__(self, name: str, listeners: Sequence[Listener]) -> None:
        self._event_id = f"{PIECES}{name}"
        self._listeners = listeners
        self._numbers = count(1)
        self._waiting: list[Pcm] = []
        self._attempt = _Attempt(self._event_id)

    @property
    def is_heard(self) -> bool:
        """Whether anybody hears it."""
        return bool(self._listeners)

    def append(self, audio: Pcm) -> None:
        """Send sound to everybody, as soon as it makes a piece."""
        if self._listeners:
            self._waiting.append(audio)
            if sum(map(len, self._waiting)) >= PIECE:
                self._flush()

    def start_over(self) -> None:
        """Let everybody forget what was sent: that attempt is rejected."""
        rejected, self._attempt = self._attempt, _Attempt(self._event_id)
        self._waiting.clear()
        for listener in self._listeners if rejected.samples else ():
            listener.enqueue_piece(_Piece(rejected))

    def finish(self, clip: HeardClip) -> _Attempt | None:
        """Send the rest; return what was sent, if it is the clip, sample for sample, and forget it where it is not."""
        self._flush()
        if self._attempt.samples == len(clip.audio) and self._attempt.sha256 == clip.audio.sha256:
            return self._attempt
        self.start_over()
        return None

    def _flush(self) -> None:
        for piece in split_audio(Pcm.join(self._waiting)):
            event_id = f"{self._event_id}_{next(self._numbers)}"
            frame = protocol.InputAudioBufferAppend(event_id=event_id, audio=piece.base64.decode()).encode()
            start = self._attempt.samples
            self._attempt.append(piece)
            for listener in self._listeners:
                listener.enqueue_piece(_Piece(self._attempt, frame, start, len(piece)))
        self._waiting.clear()


class _Attempt:
    """What was sent of one attempt at a line."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        self.samples = 0
        self._hash = sha256()

    def append(self, audio: Pcm) -> None:
        self.samples += len(audio)
        self._hash.update(audio.data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Sound of an attempt, from a sample on; none clears the buffer of it."""

    attempt: _Attempt
    frame: bytes = b""
    start: int = 0
    samples: int = 0


@dataclass(slots=True)
class _Buffer:
    """What a server's input buffer holds of an attempt, through which socket it came there, and why no more does."""

    attempt: _Attempt
    wire: Wire
    samples: int = 0
    problem: SessionError | None = None

    def holds(self, attempt: _Attempt | None, session: Session) -> bool:
        """Tell whether it holds all of an attempt, and enough to be committed."""
        is_whole = self.attempt is attempt and self.samples == attempt.samples >= SHORTEST_COMMIT
        is_there = session.is_open and session.wire is self.wire
        return is_whole and is_there and not self.wire.pieces.get(self.attempt.event_id)


@dataclass(slots=True, eq=False)
class _Delivery:
    """A clip on its way to one player, sent ``at`` some time through a session, and acknowledged by the receipts.

    ``attempt`` is what was streamed of it to this player, and ``by`` is how it is heard. One that ``is_spoiled`` was
    committed with what a refused commit before it had left in the buffer.
    """

    clip: HeardClip
    head_start: HeadStart
    session: Session
    attempt: _Attempt | None = None
    is_hurried: bool = False
    at: float = 0.0
    receipts: Sequence[Receipt] = ()
    by: record.HearingWay = "create_audio"
    is_spoiled: bool = False


class Listener:
    """One player's hearing: clips in order, each sent behind the one before and acknowledged in its time."""

    def __init__(self, session: Session, report: Callable[[HearingNews], None], form: ClipForm = ClipForm()) -> None:
        self._session = session
        self._form = form
        self._report = report
        self._to_send: deque[_Delivery | _Piece] = deque()
        self._to_confirm: deque[_Delivery] = deque()
        self._clips = 0
        self._buffer: _Buffer | None = None
        self._streams = form.streams and not form.as_text
        self._changed = Signal()
        self._sent = Signal()
        self._confirmed = Signal()
        self._is_closing = False
        self._is_done_sending = False
        self._lost = False

    def enqueue(self, clip: HeardClip, head_start: HeadStart, attempt: _Attempt | None = None) -> None:
        """Line a clip up for this player; never wait. Nobody hears it once the performance is being left."""
        delivery = _Delivery(clip, head_start, self._session, attempt, is_hurried=attempt is not None)
        self._clips += 1
        if self._lost:
            self._end(delivery)
        elif self._clips > QUEUED_CLIPS:
            self._end(delivery, Timeout(what="free slot in the clip queue", waited_s=0, player=self._session.name))
        else:
            self._to_send.append(delivery)
            self._changed.notify()

    def enqueue_piece(self, piece: _Piece) -> None:
        """Line up a piece of a line that is being spoken; never wait."""
        if not self._lost:
            self._to_send.append(piece)
            self._changed.notify()

    def may_stream(self) -> bool:
        """Tell whether this player can be sent a line while it is spoken; where it cannot after all, report why."""
        if not self._streams or self._lost:
            return False
        if self._session.heard_as != PCM16:
            self._refuse_stream(f"its server expects audio at {self._session.heard_as.rate} Hz")
        elif self._session.turn_detection is not None:
            self._refuse_stream("turn detection is enabled for its session")
        return self._streams

    async def run(self) -> None:
        """Send clips, and wait for their acknowledgement, until ``close``."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._confirm_all)
            while await self._next_to_send():
                await self._send(self._to_send.popleft())
            self._is_done_sending = True
            self._sent.notify()

    def close(self) -> None:
        """Note that no more clips will come."""
        self._is_closing = True
        self._changed.notify()

    def look_again(self, *, hurry: bool = False) -> None:
        """Send what is not held back any more: in a ``hurry``, where the player is to speak, all that waits."""
        for waiting in self._to_send if hurry else ():
            if isinstance(waiting, _Delivery):
                waiting.is_hurried = True
        self._changed.notify()

    async def wait_until_confirmed(self) -> None:
        """Wait until all that was sent is acknowledged, or never will be."""
        await self._confirmed.until(lambda: not self._to_confirm)

    def open_again(self, session: Session) -> None:
        """Hear through another session; whatever waited was told to it already."""
        self._session, self._lost, self._buffer = session, False, None
        while self._to_send:
            waiting = self._to_send.popleft()
            if isinstance(waiting, _Delivery):
                self._end(waiting)

    async def _next_to_send(self) -> bool:
        """Wait until something is to be sent; tell whether it is, and not the end of all."""
        await self._changed.until(lambda: self._may_send if self._to_send else self._is_closing)
        return bool(self._to_send)

    @property
    def _may_send(self) -> bool:
        head = self._to_send[0]
        if self._lost or isinstance(head, _Piece) or head.is_hurried:
            return True
        return not head.head_start.holds(self._session.name)

    async def _send(self, what: _Delivery | _Piece) -> None:
        if isinstance(what, _Piece):
            await self._send_piece(what)
        elif self._lost:
            self._end(what)
        else:
            await self._send_clip(what)

    async def _send_piece(self, piece: _Piece) -> None:
        """Append a piece to the server's buffer, if that holds what comes before it; or clear the buffer."""
        session, buffer = self._session, self._buffer
        try:
            if not piece.samples:
                if buffer and buffer.attempt is piece.attempt:
                    await self._clear_buffer(session)
                return
            if not self._streams:
                return
            if piece.start == 0:
                await self._clear_buffer(session)
                buffer = self._buffer = _Buffer(piece.attempt, session.wire)
                session.wire.pieces[piece.attempt.event_id] = None
            if buffer is None or buffer.attempt is not piece.attempt or buffer.samples != piece.start:
                return
            async with session.wire.send_lock:
                await session.wire.write(piece.frame)
            buffer.samples += piece.samples
        except SessionError as error:  # the clip will tell
            if buffer:
                buffer.problem = error

    async def _clear_buffer(self, session: Session) -> None:
        if self._buffer is None:
            return
        buffer, self._buffer = self._buffer, None
        if refused := buffer.wire.pieces.pop(buffer.attempt.event_id, None):
            self._refuse_stream(refused.what_happened())
        if buffer.wire is session.wire:
            await session.wire.send(protocol.InputAudioBufferClear())

    async def _send_clip(self, delivery: _Delivery) -> None:
        session, delivery.at = delivery.session, anyio.current_time()
        try:
            if self._buffer and self._buffer.attempt is delivery.attempt and self._buffer.problem:
                raise self._buffer.problem.about()
            if self._buffer and self._buffer.holds(delivery.attempt, session):
                self._buffer, delivery.by = None, "stream"
                delivery.receipts = await commit_clip(session, delivery.clip, self._form)
            else:
                if delivery.attempt:
                    await self._clear_buffer(session)
                await self._send_whole(delivery, self._form)
        except SessionError as error:
            self._end(delivery, error)
            return
        self._to_confirm.append(delivery)
        self._sent.notify()
        if session is self._session:
            self._report(Sent(session.name, delivery.clip))

    async def _send_whole(self, delivery: _Delivery, form: ClipForm) -> None:
        delivery.by = "text" if form.as_text or not delivery.clip.audio else "create_audio"
        delivery.receipts = await send_clip(delivery.session, delivery.clip, form)

    async def _confirm_all(self) -> None:
        while True:
            await self._sent.until(lambda: bool(self._to_confirm) or self._is_done_sending)
            if not self._to_confirm:
                return
            delivery = self._to_confirm[0]
            try:
                await self._confirm(delivery)
            except SessionError as error:
                self._end(delivery, error)
            else:
                self._end(delivery)
            self._to_confirm.popleft()
            self._confirmed.notify()

    async def _confirm(self, delivery: _Delivery) -> None:
        """Wait for the acknowledgement of a clip; where what was streamed is refused, send the clip whole, once."""
        session, refused = delivery.session, None
        try:
            answers = await confirm(session, delivery.receipts)
        except ModelRefused as error:
            if delivery.by != "stream":
                raise
            answers, refused = [], error
        if delivery.attempt and delivery.by == "stream":
            refused = session.wire.pieces.pop(delivery.attempt.event_id, None) or refused
            if answers and answers[-1] is delivery.receipts[-1].request.assumed:  # nobody knows what is in the buffer
                await self._stop_streaming(delivery, "its server does not confirm committed audio")
        if refused is None and not delivery.is_spoiled:
            return
        if item_id := getattr(answers[-1], "item_id", "") if answers else "":  # it lacks a piece, or has too many
            with suppress(ModelRefused):
                await session.delete_conversation_item(item_id)
        if refused:
            await self._stop_streaming(delivery, refused.what_happened())
        await self._send_whole(delivery, replace(self._form, labelled=False))  # its label is there
        await confirm(session, delivery.receipts)

    async def _stop_streaming(self, delivery: _Delivery, why: str) -> None:
        self._refuse_stream(why)
        await self._forget_stream(delivery.session, delivery)

    async def _forget_stream(self, session: Session, refused: _Delivery) -> None:
        """Clear what a refusal has left in the buffer; what was committed behind it has that, too."""
        for delivery in self._to_confirm:
            delivery.is_spoiled = delivery is not refused and delivery.by == "stream"
        self._buffer = None
        await session.wire.send(protocol.InputAudioBufferClear())

    def _refuse_stream(self, why: str) -> None:
        if not self._streams:
            return
        self._streams = False
        self._report(StreamRefused(self._session.name, why))

    def _end(self, delivery: _Delivery, why: SessionError | None = None) -> None:
        """Report what came of a clip; not for who is lost, or was told of it in another session."""
        self._clips -= 1
        session, clip = self._session, delivery.clip
        delivery.head_start.end_for(session.name)
        if delivery.session is not session or self._lost:
            return
        if why is None:
            self._report(Heard(session.name, clip, anyio.current_time() - delivery.at, delivery.by))
            return
        self._lost = isinstance(why, Timeout) or not session.is_open
        self._report(NotHeard(session.name, clip, why.about(player=session.name, line=clip.line), self._lost))


async def send_clip(session: Session, clip: HeardClip, form: ClipForm) -> list[Receipt]:
    """Send a clip, nothing in between, or raise a ``SessionError``; return what will be acknowledged."""
    async with session.wire.send_lock:
        return [await session.wire.send_frame(*framed) for framed in clip.frames(form, session.heard_as)]


async def commit_clip(session: Session, clip: HeardClip, form: ClipForm) -> list[Receipt]:
    """Make an item of a player's input buffer, behind one that tells who speaks; or raise a ``SessionError``."""
    wire, receipts = session.wire, []
    async with wire.send_lock:
        if label := clip.label(form):
            receipts.append(
                await wire.send_frame(*_framed(f"{clip.name}_label", (protocol.InputText(text=f"{label} says:"),)))
            )
        receipts.append(await wire.send(protocol.InputAudioBufferCommit(event_id=f"hear_{clip.name}")))
    return receipts


async def confirm(session: Session, receipts: Iterable[Receipt]) -> list[protocol.ServerEvent]:
    """Wait for the server's answers to what was sent; a ``SessionError`` tells of a refusal, or of none in time."""
    return [await session.wire.answer(receipt) for receipt in receipts]


class FanOut:
    """Sends clips to all listeners of a performance."""

    def __init__(self, listeners: dict[str, Listener], group: anyio.abc.TaskGroup) -> None:
        self.listeners = listeners
        self._group = group
        self._streams: dict[str, tuple[LineStream, Sequence[str]]] = {}

    def begin_stream(self, line: str, name: str, hearers: Iterable[str]) -> LineStream:
        """Begin to send a line, while it is spoken, to those of its hearers who hear by stream."""
        streaming = [hearer for hearer in hearers if self.listeners[hearer].may_stream()]
        stream = LineStream(name, [self.listeners[hearer] for hearer in streaming])
        self._streams[line] = stream, streaming
        return stream

    def send_to(self, clip: HeardClip, hearers: Sequence[str], first: Iterable[str] = ()) -> None:
        """Send a clip to its hearers: at once to those who speak next, then to all others in parallel."""
        head_start = HeadStart(name for name in first if name in hearers)
        stream, streaming = self._streams.pop(clip.line, (None, ()))
        attempt = stream.finish(clip) if stream else None
        for name in hearers:
            self.listeners[name].enqueue(clip, head_start, attempt if name in streaming else None)
        if not head_start.over.is_set():
            self._group.start_soon(self._end, head_start, clip, hearers)

    def hurry(self, players: Iterable[str]) -> None:
        """Send everything that waits for those who are to speak."""
        for name in players:
            self.listeners[name].look_again(hurry=True)

    async def _end(self, head_start: HeadStart, clip: HeardClip, hearers: Sequence[str]) -> None:
        """Let all others hear, when those who speak next have, or have had time enough."""
        with anyio.move_on_after(HEAD_START_S + len(clip.audio.data) / SLOWEST_UPLINK):
            await head_start.over.wait()
        head_start.over.set()
        for name in hearers:
            self.listeners[name].look_again()


@asynccontextmanager
async def open_fan_out(
    sessions: Mapping[str, Session], report: Callable[[HearingNews], None], forms: Mapping[str, ClipForm]
) -> AsyncIterator[FanOut]:
    """Open a listener for every player, which reports every clip; whatever was said is still delivered at the end."""
    listeners = {name: Listener(session, report, forms[name]) for name, session in sessions.items()}
    async with anyio.create_task_group() as listening:
        for listener in listeners.values():
            listening.start_soon(listener.run)
        try:
            async with anyio.create_task_group() as giving:
                yield FanOut(listeners, giving)
        finally:
            for listener in listeners.values():
                listener.close()
