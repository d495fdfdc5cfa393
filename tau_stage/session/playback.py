"""How far a listener has heard: sound comes faster than it is played, and a status must not run ahead of the ear."""

from __future__ import annotations

from dataclasses import dataclass

from tau_stage.audio.pcm import RATE
from tau_stage.protocol.conversation import Sounded


@dataclass(slots=True)
class Playback:
    """One item being played from the moment its first sound came.

    Attributes:
        item_id: Which item.
        began_at: When its first sound came, on the clock of the loop, in seconds.
        samples: How much of it has come.
        stopped_at: Sample at which it was cut short, once it was.
    """

    item_id: str
    began_at: float
    samples: int = 0
    stopped_at: int | None = None

    def more(self, change: Sounded) -> None:
        """Note that more of it came."""
        self.samples += len(change.audio)

    def heard_samples(self, now: float) -> int:
        """Tell how much a listener has heard who plays it as it comes.

        >>> Playback("item", began_at=10.0, samples=24_000).heard_samples(10.25)
        6000
        """
        if self.stopped_at is not None:
            return self.stopped_at
        return min(self.samples, max(0, round((now - self.began_at) * RATE)))

    def is_playing(self, now: float) -> bool:
        """Tell whether a listener still hears it."""
        return self.stopped_at is None and self.heard_samples(now) < self.samples

    def left_s(self, now: float) -> float:
        """Return seconds until a listener has heard what has come of it.

        >>> Playback("item", began_at=10.0, samples=24_000).left_s(10.25)
        0.75
        """
        return (self.samples - self.heard_samples(now)) / RATE if self.is_playing(now) else 0.0
