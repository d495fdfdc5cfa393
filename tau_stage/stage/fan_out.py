"""Send what one player says to all who hear it: each in order, the next speaker first.

Theory of operation. `FanOut` has one `Listener` for each session, and each listener one bounded queue of clips. The
frames of a clip are built once for each form of hearing, so that every hearer is sent the same bytes. A listener sends
one clip, waits until the server has acknowledged its items, reports `Heard` or `NotHeard`, and takes the next.

The next speaker gets a head start: the others are sent a clip when its socket has taken it, or after ``HEAD_START_S``.
A listener whose queue is full, whose server does not answer in time, or whose session is closed is lost: it ignores
what follows until `FanOut.open_again` gives it another session, which was told everything so far; what had waited is
dropped then. Nobody waits for a listener here; the schedule does, as long as the next speaker has clips unheard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio

from tau_stage.audio import PCM16, Pcm
from tau_stage.errors import SessionError, Timeout
from tau_stage.protocol import ConversationItemCreate, InputAudio, InputText, Request, UserMessage, request_of
from tau_stage.session import Session, split_audio

QUEUED_CLIPS = 32
"""Clips that may wait for one player; one who falls further behind is lost."""

HEAD_START_S = 2.0
"""How long the next speaker may delay the others while it takes its copy."""


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
        taken: Set when the first hearer's socket has taken it.
    """

    line: str
    name: str
    speaker: str
    audio: Pcm
    words: str
    taken: anyio.Event = field(default_factory=anyio.Event, compare=False)
    _frames: dict[ClipForm, tuple[tuple[bytes, Request], ...]] = field(default_factory=dict, compare=False)

    @property
    def sha256(self) -> str:
        """Hash of the samples."""
        return self.audio.sha256

    def frames(self, form: ClipForm) -> tuple[tuple[bytes, Request], ...]:
        """Make a frame per item, and the request of each; split on a sample boundary where one event is too small."""
        if form not in self._frames:
            self._frames[form] = tuple(self._built(form))
        return self._frames[form]

    def label(self, form: ClipForm) -> str:
        """Tell who speaks, for those who are told; empty for the others, and where nobody speaks."""
        return self.speaker if form.labelled else ""

    def _built(self, form: ClipForm) -> Iterator[tuple[bytes, Request]]:
        label = self.label(form)
        if form.as_text or not self.audio:
            text = f"{label}: {self.words}" if label else self.words
            yield _framed(self.name, (InputText(text=text),))
            return
        for part, piece in enumerate(split_audio(self.audio), 1):
            said = (InputText(text=f"{label} says:"),) if label and part == 1 else ()
            sound = InputAudio(audio="", transcript=self.words)
            frame, request = _framed(f"{self.name}_{part}", (*said, sound))
            before, slot, after = frame.partition(b'"audio":"')
            yield b"".join((before, slot, piece.base64, after)), request


def _framed(name: str, content: tuple[InputText | InputAudio, ...]) -> tuple[bytes, Request]:
    """Frame a user's message; its sound is spliced in afterwards, so that no JSON writer ever sees it."""
    item = UserMessage(id=f"heard_{name}", content=content)
    event = ConversationItemCreate(event_id=f"hear_{name}", item=item)
    request = request_of(event)
    assert request  # noqa: S101 - an item's creation is answered
    return event.encode(), request


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


class Listener:
    """One player's hearing: clips in order, each acknowledged before the next."""

    def __init__(
        self, session: Session, report: Callable[[Heard | NotHeard], None], form: ClipForm = ClipForm()
    ) -> None:
        self._session = session
        self._form = form
        self._report = report
        self._send, self._receive = anyio.create_memory_object_stream[HeardClip](QUEUED_CLIPS)
        self._lost = False

    def enqueue(self, clip: HeardClip) -> None:
        """Line a clip up for this player; never wait. Nobody hears it once the performance is being left."""
        if self._lost:
            return
        try:
            with suppress(anyio.BrokenResourceError):
                self._send.send_nowait(clip)
        except anyio.WouldBlock:
            self._fail(clip, Timeout(what="room for another clip", waited_s=0, player=self._session.name))

    async def run(self) -> None:
        """Deliver clips until ``close``."""
        with self._receive:
            async for clip in self._receive:
                if not self._lost:
                    await self._deliver(clip)

    def close(self) -> None:
        """Note that no more clips will come."""
        self._send.close()

    def open_again(self, session: Session) -> None:
        """Hear through another session; whatever waited was told to it already."""
        while self._receive.statistics().current_buffer_used:
            self._receive.receive_nowait().taken.set()
        self._session, self._lost = session, False

    async def _deliver(self, clip: HeardClip) -> None:
        began, session = anyio.current_time(), self._session
        try:
            await send_clip(session, clip, self._form)
        except SessionError as error:
            clip.taken.set()
            if session is self._session:
                self._fail(clip, error)
        else:
            clip.taken.set()
            if session is self._session:
                self._report(Heard(self._session.name, clip, anyio.current_time() - began))

    def _fail(self, clip: HeardClip, why: SessionError) -> None:
        self._lost = self._lost or isinstance(why, Timeout) or not self._session.is_open
        self._report(
            NotHeard(self._session.name, clip, why.about(player=self._session.name, line=clip.line), self._lost)
        )


async def send_clip(session: Session, clip: HeardClip, form: ClipForm) -> None:
    """Let a player hear a clip, and wait until its server has confirmed it.

    Raises:
        SessionError: It was refused, or not confirmed in time.
    """
    if clip.audio and not form.as_text and session.heard_as != PCM16:
        async with session.wire.send_lock:  # a copy, resampled for a server that hears at a rate of its own
            if label := clip.label(form):
                await session.user(f"{label} says:")
            await session.create_audio(clip.audio, clip.words)
        return
    async with session.wire.send_lock:
        receipts = [await session.wire.send_frame(*framed) for framed in clip.frames(form)]
    clip.taken.set()
    for receipt in receipts:
        await session.wire.answer(receipt)


class FanOut:
    """Sends clips to all listeners of a performance."""

    def __init__(self, listeners: dict[str, Listener], group: anyio.abc.TaskGroup) -> None:
        self._listeners = listeners
        self._group = group

    def send_to(self, clip: HeardClip, hearers: Sequence[str], first: str | None) -> None:
        """Send a clip to its hearers: at once to the one who speaks next, then to all others in parallel."""
        others = [name for name in hearers if name != first]
        if first is not None and first in hearers:
            self._listeners[first].enqueue(clip)
            self._group.start_soon(self._after_the_first, clip, others)
        else:
            self._enqueue(clip, others)

    def open_again(self, name: str, session: Session) -> None:
        """Let a player be back, in another session that was told of everything so far."""
        self._listeners[name].open_again(session)

    async def _after_the_first(self, clip: HeardClip, others: Sequence[str]) -> None:
        with anyio.move_on_after(HEAD_START_S):
            await clip.taken.wait()
        self._enqueue(clip, others)

    def _enqueue(self, clip: HeardClip, hearers: Sequence[str]) -> None:
        for name in hearers:
            self._listeners[name].enqueue(clip)


@asynccontextmanager
async def open_fan_out(
    sessions: Mapping[str, Session], report: Callable[[Heard | NotHeard], None], forms: Mapping[str, ClipForm]
) -> AsyncIterator[FanOut]:
    """Open a listener for every player; when the block ends, whatever was said is still delivered.

    ``report`` is told of every clip heard or missed; ``forms`` are how each player hears.
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
