"""Send what one player says to all who hear it: each in order, the next speaker first.

Theory of operation. `FanOut` has one `Listener` for each session. The frames of a clip are built once for each form of
hearing, so that every hearer is sent the same bytes. A listener has a bounded queue of clips. One task sends them, each
right behind the one before, and reports `Sent`; another waits until the server has acknowledged their items, in order,
and reports `Heard` or `NotHeard`. The socket keeps the order: who was sent a clip may be asked for its line at once.

The next speaker gets a head start, so that its copy has the uplink to itself: the others are sent a clip when the next
speaker's server has acknowledged it, or has had time enough. Who is to speak after all is held back no longer
(`FanOut.hurry`).

A listener whose queue is full, whose server does not answer in time, or whose session is closed is lost: it ignores
what follows until `FanOut.open_again` gives it another session, which was told everything so far; what had waited is
dropped then. Nobody waits for a listener here; the schedule does, as long as the next speaker was not sent everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from pybase64 import b64encode

from tau_stage.audio import PCM16, Format, Pcm
from tau_stage.errors import SessionError, Timeout
from tau_stage.protocol import ConversationItemCreate, InputAudio, InputText, Request, UserMessage, request_of
from tau_stage.session import SLOWEST_UPLINK, Receipt, Session, split_audio
from tau_stage.signals import Signal

QUEUED_CLIPS = 32
"""Clips that one player may not have acknowledged; one who falls further behind is lost."""

HEAD_START_S = 2.0
"""How long the next speakers' servers may delay the others until they acknowledge their copies, beside the time that
these take on the slowest uplink."""


@dataclass(frozen=True, slots=True)
class ClipForm:
    """How a player hears: the words instead of the sound; and whether it is told who speaks."""

    as_text: bool = False
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class HeardClip:
    """One line as others hear it: frames built once for each form, the same bytes for every hearer.

    Attributes:
        line: The line's id, or the effect's.
        name: Makes the ids of events and items: the line's number, or the effect's id.
        speaker: Who spoke; empty for an effect.
        audio: The sound; a line without sound is heard as its words.
    """

    line: str
    name: str
    speaker: str
    audio: Pcm
    words: str
    _frames: dict[tuple[ClipForm, Format], tuple[tuple[bytes, Request], ...]] = field(
        default_factory=dict, compare=False
    )

    @property
    def sha256(self) -> str:
        """Hash of the samples."""
        return self.audio.sha256

    def frames(self, form: ClipForm, heard_as: Format = PCM16) -> tuple[tuple[bytes, Request], ...]:
        """Make a frame per item, and the request of each; split on a sample boundary where one event is too small.

        ``heard_as`` is how sound travels to the server.
        """
        key = form, heard_as
        if key not in self._frames:
            self._frames[key] = tuple(self._built(form, heard_as))
        return self._frames[key]

    def _built(self, form: ClipForm, heard_as: Format) -> Iterator[tuple[bytes, Request]]:
        label = self.speaker if form.labelled else ""
        if form.as_text or not self.audio:
            text = f"{label}: {self.words}" if label else self.words
            yield _framed(self.name, (InputText(text=text),))
            return
        for part, piece in enumerate(split_audio(self.audio, heard_as), 1):
            said = (InputText(text=f"{label} says:"),) if label and part == 1 else ()
            sound = InputAudio(audio="", transcript=self.words)
            frame, request = _framed(f"{self.name}_{part}", (*said, sound))
            before, slot, after = frame.partition(b'"audio":"')
            yield b"".join((before, slot, b64encode(heard_as.encode(piece)), after)), request


def _framed(name: str, content: tuple[InputText | InputAudio, ...]) -> tuple[bytes, Request]:
    """Frame a user's message; its sound is spliced in afterwards, so that no JSON writer ever sees it."""
    item = UserMessage(id=f"heard_{name}", content=content)
    event = ConversationItemCreate(event_id=f"hear_{name}", item=item)
    request = request_of(event)
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


@dataclass(frozen=True, slots=True)
class NotHeard:
    """One player did not hear one line. A player that is ``lost`` hears nothing any more."""

    hearer: str
    clip: HeardClip
    why: SessionError
    lost: bool


HearingNews = Sent | Heard | NotHeard


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


@dataclass(slots=True, eq=False)
class _Delivery:
    """A clip on its way to one player, sent ``at`` some time through a session, and acknowledged by the receipts."""

    clip: HeardClip
    head_start: HeadStart
    session: Session
    is_hurried: bool = False
    at: float = 0.0
    receipts: Sequence[Receipt] = ()


class Listener:
    """One player's hearing: clips in order, each sent behind the one before and acknowledged in its time."""

    def __init__(self, session: Session, report: Callable[[HearingNews], None], form: ClipForm = ClipForm()) -> None:
        self._session = session
        self._form = form
        self._report = report
        self._to_send: deque[_Delivery] = deque()
        self._to_confirm: deque[_Delivery] = deque()
        self._changed = Signal()
        self._is_closing = False
        self._is_done_sending = False
        self._lost = False

    def enqueue(self, clip: HeardClip, head_start: HeadStart) -> None:
        """Line a clip up for this player; never wait. Nobody hears it once the performance is being left."""
        delivery = _Delivery(clip, head_start, self._session)
        if self._lost:
            head_start.end_for(self._session.name)
        elif len(self._to_send) + len(self._to_confirm) >= QUEUED_CLIPS:
            self._end(delivery, Timeout(what="room for another clip", waited_s=0, player=self._session.name))
        else:
            self._to_send.append(delivery)
            self._changed.notify()

    async def run(self) -> None:
        """Send clips, and wait for their acknowledgement, until ``close``."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._confirm_all)
            while await self._next_to_send():
                await self._send(self._to_send.popleft())
            self._is_done_sending = True
            self._changed.notify()

    def close(self) -> None:
        """Note that no more clips will come."""
        self._is_closing = True
        self._changed.notify()

    def look_again(self, *, hurry: bool = False) -> None:
        """Send what is not held back any more: in a ``hurry``, where the player is to speak, all that waits."""
        for delivery in self._to_send if hurry else ():
            delivery.is_hurried = True
        self._changed.notify()

    async def wait_until_confirmed(self) -> None:
        """Wait until all that was sent is acknowledged, or never will be."""
        await self._changed.until(lambda: not self._to_confirm)

    def open_again(self, session: Session) -> None:
        """Hear through another session; whatever waited was told to it already."""
        self._session, self._lost = session, False
        while self._to_send:
            self._to_send.popleft().head_start.end_for(session.name)

    async def _next_to_send(self) -> bool:
        """Wait until a clip is to be sent; tell whether one is, and not the end of all."""
        await self._changed.until(lambda: self._may_send if self._to_send else self._is_closing)
        return bool(self._to_send)

    @property
    def _may_send(self) -> bool:
        head = self._to_send[0]
        return self._lost or head.is_hurried or not head.head_start.holds(self._session.name)

    async def _send(self, delivery: _Delivery) -> None:
        if self._lost:
            delivery.head_start.end_for(self._session.name)
            return
        delivery.at = anyio.current_time()
        try:
            delivery.receipts = await send_clip(delivery.session, delivery.clip, self._form)
        except SessionError as error:
            self._end(delivery, error)
            return
        self._to_confirm.append(delivery)
        self._changed.notify()
        if delivery.session is self._session:
            self._report(Sent(self._session.name, delivery.clip))

    async def _confirm_all(self) -> None:
        while True:
            await self._changed.until(lambda: bool(self._to_confirm) or self._is_done_sending)
            if not self._to_confirm:
                return
            delivery = self._to_confirm[0]
            try:
                await confirm(delivery.session, delivery.receipts)
            except SessionError as error:
                self._end(delivery, error)
            else:
                self._end(delivery)
            self._to_confirm.popleft()
            self._changed.notify()

    def _end(self, delivery: _Delivery, why: SessionError | None = None) -> None:
        """Report what came of a clip; not for who is lost, or was told of it in another session."""
        session, clip = self._session, delivery.clip
        delivery.head_start.end_for(session.name)
        if delivery.session is not session or self._lost:
            return
        if why is None:
            self._report(Heard(session.name, clip, anyio.current_time() - delivery.at))
            return
        self._lost = isinstance(why, Timeout) or not session.is_open
        self._report(NotHeard(session.name, clip, why.about(player=session.name, line=clip.line), self._lost))


async def send_clip(session: Session, clip: HeardClip, form: ClipForm) -> list[Receipt]:
    """Send a clip to a player; nothing comes in between. Return what will be acknowledged.

    Raises:
        SessionError: It cannot be sent.
    """
    async with session.wire.send_lock:
        return [await session.wire.send_frame(*framed) for framed in clip.frames(form, session.heard_as)]


async def confirm(session: Session, receipts: Iterable[Receipt]) -> None:
    """Wait until a player's server has acknowledged what was sent.

    Raises:
        SessionError: It was refused, or not acknowledged in time.
    """
    for receipt in receipts:
        await session.wire.answer(receipt)


class FanOut:
    """Sends clips to all listeners of a performance."""

    def __init__(self, listeners: dict[str, Listener], group: anyio.abc.TaskGroup) -> None:
        self._listeners = listeners
        self._group = group

    def send_to(self, clip: HeardClip, hearers: Sequence[str], first: Iterable[str] = ()) -> None:
        """Send a clip to its hearers: at once to those who speak next, then to all others in parallel."""
        head_start = HeadStart(name for name in first if name in hearers)
        for name in hearers:
            self._listeners[name].enqueue(clip, head_start)
        if not head_start.over.is_set():
            self._group.start_soon(self._end, head_start, clip, hearers)

    def hurry(self, players: Iterable[str]) -> None:
        """Send everything that waits for those who are to speak."""
        for name in players:
            self._listeners[name].look_again(hurry=True)

    async def wait_until_confirmed(self, player: str) -> None:
        """Wait until all that a player was sent is acknowledged, or never will be."""
        await self._listeners[player].wait_until_confirmed()

    def open_again(self, name: str, session: Session) -> None:
        """Let a player be back, in another session that was told of everything so far."""
        self._listeners[name].open_again(session)

    async def _end(self, head_start: HeadStart, clip: HeardClip, hearers: Sequence[str]) -> None:
        """Let all others hear, when those who speak next have, or have had time enough."""
        with anyio.move_on_after(HEAD_START_S + len(clip.audio.data) / SLOWEST_UPLINK):
            await head_start.over.wait()
        head_start.over.set()
        for name in hearers:
            self._listeners[name].look_again()


@asynccontextmanager
async def open_fan_out(
    sessions: Mapping[str, Session], report: Callable[[HearingNews], None], forms: Mapping[str, ClipForm]
) -> AsyncIterator[FanOut]:
    """Open a listener for every player; when the block ends, whatever was said is still delivered.

    ``report`` is told of every clip sent, heard or missed; ``forms`` are how each player hears.
    """
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
