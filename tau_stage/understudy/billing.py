"""Usage by the published rules (OpenAI, "Managing costs", Realtime API).

A second of the user's sound is 10 tokens, of the assistant's 20. Every response reads the whole context again. The
unchanged beginning of what the response before it read and made comes from the cache, in steps of 64 tokens of a kind.
Text is counted as one token per four bytes of UTF-8, rounded up: near enough, and the same every time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from tau_stage.audio import Pcm
from tau_stage.cost import ASSISTANT_PER_S, USER_PER_S, cacheable, text_tokens
from tau_stage.protocol import JsonObject
from tau_stage.understudy.sound_store import BlobRef

LEAST_REASONING, MOST_REASONING = 15, 30  # tokens of the reasoning before a line, as recorded


@dataclass(frozen=True, slots=True)
class Read:
    """One thing in the context, and its tokens; what has the same key and version is the same thing, unchanged."""

    key: str
    text: int = 0
    audio: int = 0
    version: int = 0


def user_tokens(samples: int, rate: int) -> int:
    """Count the tokens of sound that a user made: one per 100 ms."""
    return math.ceil(samples * USER_PER_S / rate)


def assistant_tokens(samples: int, rate: int) -> int:
    """Count the tokens of sound that the model made: one per 50 ms, also when it is read again."""
    return math.ceil(samples * ASSISTANT_PER_S / rate)


def reasoning_tokens(words: str) -> int:
    """Count the tokens of the reasoning before some words are spoken: 15 to 30, the same for the same words."""
    return LEAST_REASONING + zlib.crc32(words.encode()) % (MOST_REASONING - LEAST_REASONING + 1)


def response_usage(
    context: Sequence[Read], before: Sequence[Read], transcript: str, audio: Pcm | BlobRef, thought: int = 0
) -> JsonObject:
    """Sum up what a response used, as ``response.done`` tells it.

    It read the ``context``; the longest beginning that the session's response ``before`` read and made, too, comes from
    the cache. What it ``thought``, in tokens, is billed as text.
    """
    cached = [read for read, _ in takewhile(lambda pair: pair[0] == pair[1], zip(context, before, strict=False))]
    text_in, audio_in = sum(read.text for read in context), sum(read.audio for read in context)
    cached_text, cached_audio = cacheable(sum(read.text for read in cached)), cacheable(sum(r.audio for r in cached))
    text_out, audio_out = text_tokens(transcript) + thought, assistant_tokens(len(audio), audio.rate)
    reasoning = {"reasoning_tokens": thought} if thought else {}
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": cached_text + cached_audio,
            "cached_tokens_details": {"text_tokens": cached_text, "audio_tokens": cached_audio, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out, **reasoning},
    }


def transcription_usage(audio: Pcm, words: str, model: str) -> JsonObject:
    """Sum up what writing down a user's words used: tokens of the 4o models, whole seconds of speech of all others."""
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": float(math.ceil(audio.duration_s)) if words else 0.0}
    heard, written = user_tokens(len(audio), audio.rate), text_tokens(words)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "output_tokens": written,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
    }
