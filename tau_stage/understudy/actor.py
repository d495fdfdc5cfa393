"""What the server wants of whoever speaks: a part in, words and sound out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tau_stage.audio.pcm import Pcm


@dataclass(frozen=True, slots=True)
class Cue:
    """What an actor is told before it speaks.

    Attributes:
        instructions: The session's, or the response's own.
        system: What the prompter whispered, in order.
        user: The last words of the user, or empty.
        heard: How many sounds of others are in the conversation.
        voice: The voice's name.
        speed: Rate of speech; 1 is normal.
        aloud: Whether sound is wanted.
        output: A tool's result that is to be answered, if there is one.
    """

    instructions: str
    system: tuple[str, ...]
    user: str
    heard: int
    voice: str
    speed: float = 1.0
    aloud: bool = True
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an actor said, and how it sounds; no sound where none was wanted."""

    words: str
    audio: Pcm | None


class Actor(Protocol):
    """Speaks for all voices of a server."""

    async def speak(self, cue: Cue) -> Spoken:
        """Say something, off the event loop if it takes long."""
