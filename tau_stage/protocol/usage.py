"""Tokens: what a response used, by kind and direction (OpenAI API reference, ``response.usage``)."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal

from pydantic import Field

from tau_stage.protocol.items import Lenient


class CachedDetails(Lenient):
    """Cached input by kind; each is a part of the input of that kind."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputDetails(Lenient):
    """Input by kind, cached input included."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedDetails | None = None


class OutputDetails(Lenient):
    """Output by kind; the text of a spoken response is its transcript."""

    text_tokens: int = 0
    audio_tokens: int = 0


class WireUsage(Lenient):
    """Usage as ``response.done`` tells it."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputDetails = Field(default_factory=InputDetails)
    output_token_details: OutputDetails = Field(default_factory=OutputDetails)


class WireTranscriptionUsage(Lenient):
    """Usage of the input's speech recognition: tokens, or seconds."""

    type: Literal["tokens", "duration"] = "tokens"
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputDetails | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more responses. Fresh and cached input are apart: nothing is counted twice.

    Attributes:
        text_in: Fresh text read, in tokens.
        audio_in: Fresh audio read, in tokens.
        image_in: Fresh pictures read, in tokens.
        cached_text_in: Text read from the cache, in tokens.
        cached_audio_in: Audio read from the cache, in tokens.
        cached_image_in: Pictures read from the cache, in tokens.
        text_out: Text written, in tokens.
        audio_out: Audio spoken, in tokens.

    >>> Usage(audio_out=20) + Usage(audio_out=22, text_in=4)
    Usage(text_in=4, audio_in=0, image_in=0, cached_text_in=0, cached_audio_in=0, cached_image_in=0, \
text_out=0, audio_out=42)
    """

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    cached_image_in: int = 0
    text_out: int = 0
    audio_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def from_wire(cls, wire: WireUsage) -> Usage:
        """Usage of one response; where the cached kinds are not told apart, the cache is taken as text first.

        >>> Usage.from_wire(WireUsage.model_validate({
        ...     "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
        ...     "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        ... })).text_in
        55
        """
        read = wire.input_token_details
        cached = read.cached_tokens_details or _spread(read)
        return cls(
            text_in=read.text_tokens - cached.text_tokens,
            audio_in=read.audio_tokens - cached.audio_tokens,
            image_in=read.image_tokens - cached.image_tokens,
            cached_text_in=cached.text_tokens,
            cached_audio_in=cached.audio_tokens,
            cached_image_in=cached.image_tokens,
            text_out=wire.output_token_details.text_tokens,
            audio_out=wire.output_token_details.audio_tokens,
        )


def _spread(read: InputDetails) -> CachedDetails:
    text = min(read.cached_tokens, read.text_tokens)
    audio = min(read.cached_tokens - text, read.audio_tokens)
    return CachedDetails(text_tokens=text, audio_tokens=audio, image_tokens=read.cached_tokens - text - audio)
