"""What the server wants of whoever speaks: a request in, words and sound out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tau_stage.audio import Pcm
from tau_stage.understudy.sound_store import BlobRef

SHOWN = 60  # characters of a line in a message


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that somebody said to the actor, by sound or in writing."""

    words: str
    """Empty for a sound whose words nobody knows."""
    who: str = ""
    """Who said it, if a label told so."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What an actor is told before it speaks.

    Attributes:
        system: What the prompter whispered, in order.
        user: What the user wrote last, or empty if the last message is a sound or was answered already.
        heard: What was said to the actor since its own last answer, in order; lines asked for are no remarks.
        output: A tool's result that is to be answered, if there is one.
        own: Instructions of this one response, or empty.
        whisper: The whisper that came last of all; empty if anything followed it.
        said: The actor's own answers so far.
        verbatim: What is to be spoken as it stands, or empty: then nothing else counts.
        take: How often it has been asked for the same right before, this time included.
    """

    instructions: str
    system: tuple[str, ...]
    user: str
    heard: tuple[Utterance, ...]
    voice: str
    speed: float = 1.0
    wants_audio: bool = True
    output: str | None = None
    own: str = ""
    whisper: str = ""
    said: tuple[str, ...] = ()
    verbatim: str = ""
    take: int = 1


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """What an actor said, and how it sounds; no sound where none was wanted."""

    words: str
    audio: Pcm | BlobRef | None


class UnsupportedScript(Exception):
    """An actor has no voice for a line and the script it is written in."""

    def __init__(self, words: str, script: str) -> None:
        told = words if len(words) <= SHOWN else f"{words[:SHOWN]}..."
        super().__init__(f"the understudy has no voice for this text: {told} ({script})")


class Actor(Protocol):
    """Speaks for all voices of a server."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something, off the event loop if it takes long; raise an ``UnsupportedScript`` where that cannot be."""
