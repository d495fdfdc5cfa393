"""What a session notices while events come in: who speaks, who listens, how far it was heard; and who watches."""

from __future__ import annotations

from typing import Literal

from tau_stage.errors import SessionError
from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told
from tau_stage.protocol.conversation import Change, Ended, Response, Sounded
from tau_stage.session.playback import Playback
from tau_stage.session.watching import Gallery, Lookout


class Attention:
    """Fed with every event and what it changed.

    Attributes:
        events: Whoever watches all events of the server.
        sent: Whoever watches all events of ours.
        responses: Whoever watches finished responses.
        lookout: Whoever waits for one event.
        playback: What is being heard, or was last.
        is_listening: Whether the user is speaking, as turn detection tells it.
    """

    def __init__(self) -> None:
        self.events: Gallery[told.ServerEvent] = Gallery()
        self.sent: Gallery[ask.ClientEvent] = Gallery()
        self.responses: Gallery[Response] = Gallery()
        self.lookout = Lookout()
        self.playback: Playback | None = None
        self.is_listening = False

    def notice(self, event: told.ServerEvent, change: Change | None, now: float) -> None:
        """Take in an event.

        Args:
            event: As it came.
            change: What it changed in the conversation.
            now: On the clock of the loop, in seconds.
        """
        if isinstance(event, told.SpeechStarted):
            self.is_listening = True
        elif isinstance(event, told.SpeechStopped):
            self.is_listening = False
        if isinstance(change, Sounded):
            if self.playback is None or self.playback.item_id != change.item_id:
                self.playback = Playback(change.item_id, began_at=now)
            self.playback.more(change)
        elif isinstance(change, Ended):
            self.ended(change)
        self.events.show(event)
        self.lookout.show(event)

    def ended(self, change: Ended) -> None:
        """Take in the end of a response."""
        self.responses.show(change.response)

    def status(self, now: float) -> Literal["listening", "speaking"] | None:
        """Tell who is heard: the user, the model until a listener has heard it all, or nobody."""
        if self.is_listening:
            return "listening"
        return "speaking" if self.playback and self.playback.is_playing(now) else None

    def stop_playing(self, now: float) -> Playback | None:
        """Stop what is being heard where a listener is by now, and return it; None if nothing was."""
        if self.playback is None or not self.playback.is_playing(now):
            return None
        self.playback.stopped_at = self.playback.heard_samples(now)
        return self.playback

    def finish_playing(self) -> None:
        """Let what is being heard be heard to its end."""
        if self.playback and self.playback.stopped_at is None:
            self.playback.stopped_at = self.playback.samples

    def end(self, why: SessionError) -> None:
        """Note that nothing more will come."""
        self.events.end()
        self.sent.end()
        self.responses.end()
        self.lookout.end(why)
