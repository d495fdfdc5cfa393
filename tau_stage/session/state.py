"""What a session knows of the moment: who speaks, who listens, and how far a listener has heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tau_stage.audio import RATE
from tau_stage.errors import SessionError
from tau_stage.protocol import (
    AudioChunk,
    ClientEvent,
    Response,
    ResponseChange,
    ResponseEnded,
    ServerEvent,
    SpeechStarted,
    SpeechStopped,
)
from tau_stage.session.waiting import Broadcast, EventWaiter


@dataclass(slots=True)
class PlaybackEstimate:
    """How far a listener has heard one item, who plays it from the moment its first sound came.

    Sound comes faster than it is played, and a status must not run ahead of the ear. Once it is cut short,
    ``stopped_at`` is the sample.
    """

    item_id: str
    began_at: float
    samples: int = 0
    stopped_at: int | None = None

    def heard_samples(self, now: float) -> int:
        """Tell how much a listener has heard who plays it as it comes."""
        if self.stopped_at is not None:
            return self.stopped_at
        return min(self.samples, max(0, round((now - self.began_at) * RATE)))

    def is_playing(self, now: float) -> bool:
        """Tell whether a listener still hears it."""
        return self.stopped_at is None and self.heard_samples(now) < self.samples

    def left_s(self, now: float) -> float:
        """Return seconds until a listener has heard what has come of it.

        >>> heard = PlaybackEstimate("item", began_at=10.0, samples=24_000)
        >>> heard.heard_samples(10.25), heard.left_s(10.25)
        (6000, 0.75)
        """
        return (self.samples - self.heard_samples(now)) / RATE if self.is_playing(now) else 0.0


class SessionState:
    """Fed with every event and what it changed: who watches, what is being heard, and whether the user is speaking."""

    def __init__(self) -> None:
        self.events: Broadcast[ServerEvent] = Broadcast()
        self.sent: Broadcast[ClientEvent] = Broadcast()
        self.responses: Broadcast[Response] = Broadcast()
        self.waiter = EventWaiter()
        self.playback = PlaybackEstimate("", began_at=0.0)  # of no item: nothing sounds yet
        self.is_listening = False

    def apply(self, event: ServerEvent, change: ResponseChange | None, now: float) -> None:
        """Take in an event, and what it changed in the conversation; ``now`` is on the clock of the loop."""
        if isinstance(event, SpeechStarted | SpeechStopped):
            self.is_listening = isinstance(event, SpeechStarted)
        self.apply_change(change, now)
        self.events.publish(event)
        self.waiter.publish(event)

    def apply_sound(self, change: AudioChunk | None, decoded: Callable[[], ServerEvent]) -> None:
        """Take in another delta of the sound that came last, and what it changed."""
        if change:
            self.playback.samples += len(change.audio)
        self.waiter.publish_sound(decoded)

    def apply_change(self, change: ResponseChange | None, now: float) -> None:
        """Take in a change of the conversation."""
        if isinstance(change, AudioChunk):
            if self.playback.item_id != change.item_id:
                self.playback = PlaybackEstimate(change.item_id, began_at=now)
            self.playback.samples += len(change.audio)
        elif isinstance(change, ResponseEnded):
            self.responses.publish(change.response)

    def status(self, now: float) -> Literal["listening", "speaking"] | None:
        """Tell who is heard: the user, the model until a listener has heard it all, or nobody."""
        if self.is_listening:
            return "listening"
        return "speaking" if self.playback.is_playing(now) else None

    def stop_playing(self, now: float) -> PlaybackEstimate | None:
        """Stop what is being heard where a listener is by now, and return it; None if nothing was."""
        if not self.playback.is_playing(now):
            return None
        self.playback.stopped_at = self.playback.heard_samples(now)
        return self.playback

    def finish_playing(self) -> None:
        """Let what is being heard be heard to its end."""
        if self.playback.stopped_at is None:
            self.playback.stopped_at = self.playback.samples

    def end(self, why: SessionError) -> None:
        """Note that nothing more will come."""
        self.events.end()
        self.sent.end()
        self.responses.end()
        self.waiter.end(why)
