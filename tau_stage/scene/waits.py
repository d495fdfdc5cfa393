"""How long a scene waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the scene waits for its players, in seconds; None is the stage's own patience.

    Attributes:
        opening_s: For a session to open.
        silence_s: For the next sign of a response that is under way.
        hearing_s: For the confirmation of what a player hears or is told.
        closing_s: For a session to close.
    """

    opening_s: float | None = None
    silence_s: float | None = None
    hearing_s: float | None = None
    closing_s: float | None = None
